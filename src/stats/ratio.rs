//! One arm without strata: a mean per unit, or a ratio of sums by the delta method.
//!
//! What is estimated: R = Σy/Σd and its variance from unit-level residuals,
//! Var(R) = (s_y² − 2R·s_yd + R²·s_d²)/(n·d̄²). With d = 1 it is the mean and s²/n.
//!
//! Assumes: units are what was randomised, many of them, d̄ away from zero. This is the only estimator for event-level
//! means and rates: counting events as if independent makes the variance too small by the design effect.
//!
//! Fails: when the candidate changes d itself (sessions per unit), R can move without y; watch [`denominator`] as a
//! guardrail of its own.
//!
//! Reference: Deng, Knoblich & Lu 2018, sections 2–3; statistics.md 1.3.

use super::insufficient::{Arm, Insufficient};
use super::moments::Moments;
use super::overlap::{Arms, Estimate, Stratum, overlap};

/// Both arms as one stratum.
///
/// # Errors
/// As [`overlap`].
pub fn unstratified(control: &Moments, candidate: &Moments) -> Result<Arms, Insufficient> {
    overlap(&[Stratum { control: *control, candidate: *candidate }])
}

/// One arm by itself.
///
/// # Errors
/// As [`overlap`].
pub fn single(moments: &Moments, arm: Arm) -> Result<Estimate, Insufficient> {
    if moments.n < 2 {
        return Err(match moments.n {
            0 => Insufficient::NoUnits,
            units => Insufficient::TooFewUnits { arm, units, needed: 2 },
        });
    }
    unstratified(moments, moments).map(|arms| arms.candidate)
}

/// The denominator per unit as a mean metric: a ratio is only fair to read while this stands still.
pub fn denominator(moments: &Moments) -> Moments {
    Moments::of_units(moments.n, moments.mean_d, moments.m2_d)
}
