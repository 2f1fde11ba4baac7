//! The exact conditional test of harm for units with and without an event, over strata.
//!
//! What is tested: H0 "the candidate's rate is not worse". Given each stratum's total of successes, the candidate's count is
//! hypergeometric whatever the base rate, so the p-value of the sum over strata is exact: no variance, no approximation,
//! meaningful with a count of zero.
//!
//! Assumes: one trial per unit, each unit in one stratum. One fixed look; nightly, use [`super::breaker`].
//!
//! Fails: more than a few thousand successes cost time; the score test is then as good and is asked for.
//!
//! Reference: Fisher 1935; Gart 1970 (stratified conditional test).

use super::contrast::Better;
use super::insufficient::{Arm, Insufficient};
use super::proportion::Successes;

/// The largest number of possible candidate counts that is enumerated.
const MAX_SUPPORT: u64 = 5_000;

/// ln of the exact one-sided p-value of harm: P(candidate's total at most, or at least, the observed one | totals). The
/// direction is that of `better`.
///
/// # Errors
/// [`Insufficient`] without units, without successes or without failures, if a count exceeds its units, or if the totals
/// are too large to enumerate.
pub fn harm_ln_p(strata: &[(Successes, Successes)], better: Better) -> Result<f64, Insufficient> {
    let mut total = vec![0.0];
    let (mut observed, mut least, mut support) = (0u64, 0u64, 0u64);
    for (control, candidate) in strata {
        if control.n == 0 || candidate.n == 0 {
            continue;
        }
        control.check(Arm::Control)?;
        candidate.check(Arm::Candidate)?;
        let table = Table::of(control, candidate, better);
        support = support.saturating_add(table.high - table.low);
        if support > MAX_SUPPORT && table.observed != table.low {
            return Err(Insufficient::out_of_range(
                "the number of possible counts",
                support as f64,
                "at most 5000 for the exact test; use the score test",
            ));
        }
        observed += table.observed;
        least += table.low;
        total = convolve(&total, &table.probabilities(observed - least));
    }
    if support == 0 {
        return Err(Insufficient::ZeroVariance { arm: Arm::Control });
    }
    // `total` holds ln P(sum = least + k) for k up to the observed sum.
    let wanted = (observed - least) as usize;
    Ok(ln_sum(total.iter().take(wanted + 1).copied()).min(0.0))
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

/// ln of the product distribution's probabilities.
fn convolve(a: &[f64], b: &[f64]) -> Vec<f64> {
    (0..a.len() + b.len() - 1)
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

/// ln C(n, k) by differences that stay small: Σ over the shorter side, or Stirling through `ln_beta`'s arguments.
fn ln_choose(n: u64, k: u64) -> f64 {
    let k = k.min(n - k);
    if k <= 64 {
        return (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum();
    }
    let (n, k) = (n as f64, k as f64);
    libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0)
}
