//! A guardrail on a quantile, tested as a rate: "p99 ≤ 2 s" holds exactly when at most 1 % of the events exceed 2 s.
//!
//! What is estimated: the exceedance rate Σ E_i/Σ N_i, E_i of the unit's N_i events lying above a frozen threshold. It is a
//! ratio metric ([`super::overlap`] with E as y and N as d), exact, additive over strata and clustered by unit.
//!
//! * absolute ceiling p_q ≤ L: threshold L, and the rate may be at most 1 − q: [`ceiling`];
//! * relative, "p99 not above +10 %": threshold 1.10 × the control's p99 before the start, frozen; then the candidate's rate
//!   is compared with the control's like any other ratio.
//!
//! Assumes: the threshold is frozen before the first look. Fails: with no exceedance at all there is no variance, and so no
//! verdict from this test; [`none_exceeds`] is the exact statement for that case.
//!
//! Reference: statistics.md 1.5; Hanley & Lippman-Hand 1983 (no events in n).

use super::contrast::{Better, Contrast, against_limit};
use super::insufficient::{Insufficient, open_unit};
use super::overlap::Estimate;

/// Positive when the candidate's quantile at `level` (e.g. 0.99) looks above the threshold whose exceedance `rate`
/// estimates.
///
/// # Errors
/// [`Insufficient`] if the level is outside (0, 1), or as [`against_limit`].
pub fn ceiling(rate: &Estimate, level: f64) -> Result<Contrast, Insufficient> {
    open_unit("the quantile's level", level)?;
    against_limit(rate, Better::Lower, 1.0 - level)
}

/// ln of the exact one-sided p-value against "a share of at least 1 − `level` of the *units* has an exceedance" when none of
/// `units` units has one: n·ln(level). Conservative for events, since a unit may have many.
///
/// # Errors
/// [`Insufficient`] without units, or if the level is outside (0, 1).
pub fn none_exceeds(units: u64, level: f64) -> Result<f64, Insufficient> {
    open_unit("the quantile's level", level)?;
    if units == 0 {
        return Err(Insufficient::NoUnits);
    }
    Ok(units as f64 * level.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_on_p99_is_a_ceiling_on_the_rate_above_it() {
        let rate = |mean: f64| Estimate { mean, variance: 1e-8, n: 10_000 };
        assert!(ceiling(&rate(0.012), 0.99).unwrap().z() > 19.9);
        assert!(ceiling(&rate(0.008), 0.99).unwrap().z() < -19.9);
        assert!(ceiling(&rate(0.008), 1.0).is_err());
        // The rule of three: none in 300 units shows a rate below 1 %.
        assert!(none_exceeds(300, 0.99).unwrap() < 0.05f64.ln() && none_exceeds(298, 0.99).unwrap() > 0.05f64.ln());
    }
}
