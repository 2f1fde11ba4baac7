//! Sequential sample ratio mismatch for any number of arms: the Dirichlet–multinomial Bayes factor.
//!
//! What is computed, for counts n of N against planned shares θ with a Dirichlet(κθ) alternative:
//! ln BF = ln B(κθ + n) − ln B(κθ) − Σ n_a ln θ_a. It starts at 0 and BF is a martingale under the plan, so
//! P(ever BF ≥ 1/α) ≤ α. Epochs with their own shares multiply: each starts from a fresh prior.
//!
//! Assumes: independent assignment; counts within an epoch are cumulative, of first exposures. κ = 10 000 looks for
//! distortions of about a percent, 1 000 for larger ones in small experiments.
//!
//! Numerics: at N ~ 1e9 the log-gamma functions are 1e10 and their difference has no digits left below 1e-6. Written with
//! Stirling's formula everything large cancels on paper: with r_a = (n_a − Nθ_a)/(θ_a(κ + N)),
//! ln BF = (κ + N) Σ θ_a h(r_a) − ½ Σ ln(1 + r_a) − ½(k − 1) ln((κ + N)/κ) + Stirling remainders, h(r) = (1 + r)ln(1 + r) − r.
//!
//! Reference: Lindon & Malek 2022, eqs. 5–7 (~); statistics.md section 5 and 9.

use super::insufficient::{Insufficient, positive};
use super::srm::Split;

/// κ of the alternative if nothing else is said.
pub const DEFAULT_CONCENTRATION: f64 = 10_000.0;

/// ln of the Bayes factor against the plan over epochs, each with its cumulative counts. Units in an arm planned at 0 give
/// f64::MAX. No units at all: 0.
///
/// # Errors
/// [`Insufficient`] if the lists differ in length, a share is negative or not finite, or `concentration` is not above 0.
pub fn log_bayes_factor(epochs: &[Split], concentration: f64) -> Result<f64, Insufficient> {
    positive("the Dirichlet concentration", concentration)?;
    let mut total = 0.0;
    for epoch in epochs {
        super::srm::check_shares(&epoch.observed, &epoch.planned)?;
        total += of_epoch(epoch, concentration);
    }
    Ok(total.clamp(-f64::MAX, f64::MAX))
}

/// The sequential p-value after each look: the smallest 1/BF so far, at most 1.
pub fn sequential_p(log_bayes_factors: &[f64]) -> f64 {
    super::evidence::always_valid_p(log_bayes_factors)
}

fn of_epoch(Split { observed, planned }: &Split, kappa: f64) -> f64 {
    let units: f64 = observed.iter().map(|&count| count as f64).sum();
    if units == 0.0 {
        return 0.0;
    }
    let share_sum: f64 = planned.iter().sum();
    let after = kappa + units;
    let (mut arms, mut log_bf) = (0.0, 0.0);
    for (&count, &share) in observed.iter().zip(planned) {
        if share == 0.0 {
            if count > 0 {
                return f64::INFINITY;
            }
            continue;
        }
        arms += 1.0;
        let theta = share / share_sum;
        let r = (count as f64 - units * theta) / (theta * after);
        log_bf += after * theta * excess(r) - 0.5 * r.ln_1p();
        log_bf += remainder(kappa * theta + count as f64) - remainder(kappa * theta);
    }
    log_bf - 0.5 * (arms - 1.0) * (units / kappa).ln_1p() - remainder(after) + remainder(kappa)
}

/// h(r) = (1 + r)·ln(1 + r) − r, without cancellation around 0.
fn excess(r: f64) -> f64 {
    if r.abs() > 0.02 {
        return (1.0 + r) * r.ln_1p() - r;
    }
    // r²/2 − r³/6 + r⁴/12 − …, the k-th term (−1)^k r^k/(k(k − 1)).
    let (mut power, mut sum) = (r, 0.0);
    for k in 2..14 {
        power *= -r;
        sum -= power / f64::from(k * (k - 1));
    }
    sum
}

/// ln Γ(x) minus Stirling's (x − ½)ln x − x + ½ ln 2π.
fn remainder(x: f64) -> f64 {
    const HALF_LN_2PI: f64 = 0.918_938_533_204_672_8;
    if x < 12.0 {
        return libm::lgamma(x) - ((x - 0.5) * x.ln() - x + HALF_LN_2PI);
    }
    let b = 1.0 / (x * x);
    (1.0 / 12.0 - b * (1.0 / 360.0 - b * (1.0 / 1260.0 - b * (1.0 / 1680.0 - b / 1188.0)))) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_mean_under_the_plan_is_one() {
        let (n, theta) = (40u64, 0.3f64);
        let mut probability = (1.0 - theta).powi(n as i32);
        let mut mean = 0.0;
        for k in 0..=n {
            let split = Split { observed: vec![n - k, k], planned: vec![1.0 - theta, theta] };
            mean += probability * log_bayes_factor(&[split], 5.0).unwrap().exp();
            probability *= (n - k) as f64 / (k + 1) as f64 * (theta / (1.0 - theta));
        }
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    /// By log-gamma functions with 30 digits.
    #[test]
    fn a_billion_units_keep_nine_digits() {
        let split = Split { observed: vec![1_000_000_000, 1_000_100_000], planned: vec![0.5, 0.5] };
        let got = log_bayes_factor(&[split], DEFAULT_CONCENTRATION).unwrap();
        assert!((got + 3.603_226_312_030_39).abs() < 1e-9, "{got}");
    }

    #[test]
    fn an_arm_planned_at_nothing_must_stay_empty() {
        let split = |x| [Split { observed: vec![5, x], planned: vec![1.0, 0.0] }];
        assert_eq!(log_bayes_factor(&split(0), 10.0), Ok(0.0));
        assert_eq!(log_bayes_factor(&split(1), 10.0), Ok(f64::MAX));
    }
}
