//! The loss that promoting now would be expected to cost: a number for people to sort by, not a rule.
//!
//! What is computed: E[max(0, −g)] under g ~ N(m, s²), the posterior of the candidate's effect g (positive = better) under a N(0, τ²)
//! prior: m = ĝτ²/(τ² + V), s² = Vτ²/(τ² + V), loss = s[φ(a) − aΦ(−a)] with a = m/s. In the unit of ĝ.
//!
//! Assumes: the prior. Fails: as a decision rule; it is not calibrated under nightly stopping over many metrics.
//!
//! Reference: Deng, Lu & Chen 2016; Raiffa & Schlaifer 1961 (the unit normal loss integral); statistics.md section 8.

use super::contrast::Contrast;
use super::insufficient::{Insufficient, finite, positive};
use super::normal;

/// The expected loss of promoting the candidate whose effect is `better` (positive = candidate better), prior scale `tau`.
///
/// # Errors
/// [`Insufficient`] if the contrast is not finite, has no variance, or `tau` is not above zero.
pub fn expected_loss(better: &Contrast, tau: f64) -> Result<f64, Insufficient> {
    finite("the effect", better.estimate)?;
    positive("the variance of the effect", better.variance)?;
    positive("the prior's scale", tau)?;
    // V/(τ² + V) without squaring τ alone: tiny scales must not underflow.
    let root = better.variance.sqrt() / tau;
    let kept = 1.0 / (1.0 + root * root);
    let (mean, sd) = (better.estimate * kept, (better.variance * kept).sqrt());
    finite("the expected loss", sd * normal::unit_loss(mean / sd))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By mpmath.
    #[test]
    fn the_loss_integral_keeps_its_digits() {
        for (a, want) in [
            (-3.0, 3.000_382_154_317_047_7),
            (0.0, 0.398_942_280_401_432_7),
            (5.000_000_1, 5.346_162_667_317_83e-8),
            (12.0, 1.460_520_116_984_548_8e-34),
            (30.0, 1.631_956_734_091_342e-199),
        ] {
            let got = normal::unit_loss(a);
            assert!((got - want).abs() <= 1e-12 * want, "{a}: got {got}, want {want}");
        }
    }

    #[test]
    fn a_worse_candidate_costs_more_and_a_sure_winner_nothing() {
        let loss = |estimate| expected_loss(&Contrast { estimate, variance: 1e-4 }, 0.05).unwrap();
        assert!(loss(-0.02) > loss(0.0) && loss(0.0) > loss(0.02) && loss(0.5) < 1e-100);
        assert!((loss(-0.5) - 0.5 * 25.0 / 26.0).abs() < 1e-12);
        assert!(expected_loss(&Contrast { estimate: 0.0, variance: 0.0 }, 0.05).is_err());
    }
}
