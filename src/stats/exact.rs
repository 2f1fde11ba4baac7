//! The exact conditional test of harm for units with and without an event, over strata.
//!
//! What is tested: H0 "the candidate's rate is not worse". Given each stratum's total of successes, the candidate's count is
//! hypergeometric whatever the base rate, so the p-value of the sum over strata is exact: no variance, no approximation,
//! meaningful with a count of zero.
//!
//! Assumes: one trial per unit, each unit in one stratum. One fixed look; nightly, use [`super::breaker`].
//!
//! Fails: a candidate count thousands above its least possible is not enumerated; the score test is then as good and is
//! asked for.
//!
//! Reference: Fisher 1935; Gart 1970 (stratified conditional test).

use super::contrast::Better;
use super::insufficient::{Arm, Insufficient};
use super::proportion::Successes;

/// The largest number of candidate counts, from the least possible to the observed one, that is enumerated.
const MAX_REACH: u64 = 5_000;

/// ln of the exact one-sided p-value of harm: P(candidate's total at most, or at least, the observed one | totals). The
/// direction is that of `better`.
///
/// # Errors
/// [`Insufficient`] if a stratum has an arm without units, if there are no successes or no failures, if a count exceeds
/// its units, or if the counts are too large to enumerate.
pub fn harm_ln_p(strata: &[(Successes, Successes)], better: Better) -> Result<f64, Insufficient> {
    let mut tables = Vec::with_capacity(strata.len());
    for (control, candidate) in strata {
        control.check(Arm::Control)?;
        candidate.check(Arm::Candidate)?;
        tables.push(Table::of(control, candidate, better));
    }
    if tables.iter().all(|t| t.low == t.high) {
        return Err(Insufficient::ZeroVariance { arm: Arm::Control });
    }
    if tables.iter().all(|t| t.observed == t.high) {
        // Nothing could look less like harm.
        return Ok(0.0);
    }
    let reach: u64 = tables.iter().map(|t| t.observed - t.low).sum();
    if reach > MAX_REACH {
        return Err(Insufficient::out_of_range(
            "the number of counts to add up",
            reach as f64,
            "at most 5000 for the exact test; use the score test",
        ));
    }
    // `total` holds ln P(sum = least + k); no term beyond the observed sum is ever needed.
    let mut total = vec![0.0];
    for table in &tables {
        total = convolve(&total, &table.probabilities(reach), reach);
    }
    Ok(ln_sum(total.into_iter()).min(0.0))
}

/// One stratum's table, turned so that harm is a low candidate count.
struct Table {
    control: u64,
    candidate: u64,
    successes: u64,
    observed: u64,
    low: u64,
    high: u64,
}

impl Table {
    fn of(control: &Successes, candidate: &Successes, better: Better) -> Self {
        let count = |s: &Successes| match better {
            Better::Higher => s.x,
            // Fewer is better: harm is then few units *without* the event.
            Better::Lower => s.n - s.x,
        };
        let successes = count(control) + count(candidate);
        Table {
            control: control.n,
            candidate: candidate.n,
            successes,
            observed: count(candidate),
            low: successes.saturating_sub(control.n),
            high: successes.min(candidate.n),
        }
    }

    /// ln P(candidate's count = low + k) for k = 0..=min(high − low, reach).
    fn probabilities(&self, reach: u64) -> Vec<f64> {
        let (n_c, n_t, x) = (self.control, self.candidate, self.successes);
        let mut current = ln_choose(n_t, self.low) + ln_choose(n_c, x - self.low) - ln_choose(n_c + n_t, x);
        let mut all = vec![current];
        for k in self.low..self.low + (self.high - self.low).min(reach) {
            let (up, down) = ((n_t - k) as f64 * (x - k) as f64, (k + 1) as f64 * (n_c + k + 1 - x) as f64);
            current += (up / down).ln();
            all.push(current);
        }
        all
    }
}

/// ln of the probabilities of the sum of two counts, up to `reach`.
fn convolve(a: &[f64], b: &[f64], reach: u64) -> Vec<f64> {
    (0..(a.len() + b.len() - 1).min(reach as usize + 1))
        .map(|k| {
            let first = (k + 1).saturating_sub(b.len());
            ln_sum((first..=k.min(a.len() - 1)).map(|i| a[i] + b[k - i]))
        })
        .collect()
}

fn ln_sum(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() { largest } else { largest + terms.map(|t| (t - largest).exp()).sum::<f64>().ln() }
}

/// ln C(n, k): a sum of logarithms while that is short, log-gamma functions otherwise.
fn ln_choose(n: u64, k: u64) -> f64 {
    let k = k.min(n - k);
    if k <= 64 {
        return (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum();
    }
    let (n, k) = (n as f64, k as f64);
    libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ln_p(strata: &[(u64, u64, u64, u64)], better: Better) -> f64 {
        let strata: Vec<_> =
            strata.iter().map(|&(nc, xc, nt, xt)| (Successes { n: nc, x: xc }, Successes { n: nt, x: xt })).collect();
        harm_ln_p(&strata, better).unwrap()
    }

    /// By scipy: fisher_exact, and the convolution of two hypergeometric laws.
    #[test]
    fn it_is_fishers_test_and_its_stratified_form() {
        assert!((ln_p(&[(120, 12, 100, 3)], Better::Higher) + 3.369_741_474_887_958_6).abs() < 1e-10);
        let two = [(120, 12, 100, 3), (40, 5, 50, 1)];
        assert!((ln_p(&two, Better::Higher) + 5.461_143_250_724_941).abs() < 1e-10);
    }

    #[test]
    fn the_other_direction_is_the_other_arm() {
        let turned = ln_p(&[(100, 3, 120, 12)], Better::Lower);
        assert!((turned - ln_p(&[(120, 12, 100, 3)], Better::Higher)).abs() < 1e-10);
    }

    #[test]
    fn nothing_to_compare_is_refused() {
        let none = [(Successes { n: 50, x: 0 }, Successes { n: 50, x: 0 })];
        assert!(matches!(harm_ln_p(&none, Better::Higher), Err(Insufficient::ZeroVariance { .. })));
        let impossible = [(Successes { n: 5, x: 9 }, Successes { n: 50, x: 0 })];
        assert!(harm_ln_p(&impossible, Better::Higher).is_err());
        assert_eq!(
            harm_ln_p(&[(Successes::default(), Successes { n: 5, x: 1 })], Better::Higher),
            Err(Insufficient::NoUnits)
        );
    }
}
