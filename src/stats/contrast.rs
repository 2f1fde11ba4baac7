//! Linear contrasts of the two arms: each question of a guardrail as one estimate with one variance.
//!
//! What is estimated: ψ = ±(μ_t − r·μ_c), with r = 1 for harm and r = 1 ∓ margin for non-inferiority. A margin is
//! relative to the control, yet the contrast is linear in the means: no bias of one over a mean, additive over
//! strata, a martingale under the null, and its test is exactly the inversion of Fieller's interval.
//!
//! Assumes: arms independent, estimates near normal (≥ 1000 units per arm before the first look).
//!
//! Fails: relative margins when the control's mean is not separated from zero; constant arms (variance 0), which need
//! the score test of [`super::harm_by_score`] or the exact ones.
//!
//! Reference: statistics.md 2.3 and 2.4; Fieller 1954; Farrington & Manning 1990 for the form with r ≠ 1.

use serde::{Deserialize, Serialize};

use super::insufficient::{Arm, Insufficient, finite};
use super::overlap::{Arms, Estimate};

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Better {
    /// +1 if more is better, −1 otherwise: the s of statistics.md section 2.
    pub fn sign(self) -> f64 {
        match self {
            Better::Higher => 1.0,
            Better::Lower => -1.0,
        }
    }
}

/// An estimate and the variance of that estimate, on the metric's own scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// ψ, positive when the named statement looks true.
    pub estimate: f64,
    /// Its variance.
    pub variance: f64,
}

impl Contrast {
    /// ψ over its standard error.
    pub fn z(&self) -> f64 {
        self.estimate / self.variance.sqrt()
    }

    /// Fisher information, 1/variance: the clock of the sequential methods.
    pub fn information(&self) -> f64 {
        1.0 / self.variance
    }

    fn checked(estimate: f64, variance: f64) -> Result<Self, Insufficient> {
        finite("the contrast of the two arms", estimate)?;
        finite("the variance of the contrast", variance)?;
        Ok(Contrast { estimate, variance })
    }
}

/// Standard errors by which the control's mean must be away from zero before a relative margin means anything.
const MIN_CONTROL_Z: f64 = 3.0;

/// Positive when the candidate looks worse than control: −s(μ_t − μ_c), variance V_t + V_c.
///
/// # Errors
/// [`Insufficient`] if an arm's estimate is not finite or has no variance.
pub fn harm(arms: &Arms, better: Better) -> Result<Contrast, Insufficient> {
    better_than_control(arms, better).map(|c| Contrast { estimate: -c.estimate, ..c })
}

/// Positive when the candidate looks better than control: s(μ_t − μ_c), variance V_t + V_c.
///
/// # Errors
/// As [`harm`].
pub fn better_than_control(arms: &Arms, better: Better) -> Result<Contrast, Insufficient> {
    check(arms)?;
    let (c, t) = (&arms.control, &arms.candidate);
    Contrast::checked(better.sign() * (t.mean - c.mean), t.variance + c.variance)
}

/// Positive when the candidate looks inside the margin (non-inferior): s(μ_t − r·μ_c) with r = 1 − s·margin and variance
/// V_t + r²·V_c. The margin is a share of the control's absolute mean, e.g. 0.05; negative asks for superiority by that
/// much. A negated harm beyond the margin: `estimate < 0` looks like a breach.
///
/// # Errors
/// [`Insufficient`] as for [`harm`]; `ControlNearZero` if the control's mean is within three standard errors of zero.
pub fn inside_margin(arms: &Arms, better: Better, margin: f64) -> Result<Contrast, Insufficient> {
    check(arms)?;
    finite("the margin", margin)?;
    let (c, t) = (&arms.control, &arms.candidate);
    if c.mean * c.mean <= MIN_CONTROL_Z * MIN_CONTROL_Z * c.variance {
        return Err(Insufficient::ControlNearZero);
    }
    let s = better.sign();
    // The loss accepted is a share of |μ_c|, so that a metric that is negative by nature keeps its direction.
    let r = 1.0 - s * margin * c.mean.signum();
    Contrast::checked(s * (t.mean - r * c.mean), t.variance + r * r * c.variance)
}

/// Positive when the candidate looks worse than an absolute limit: −s(μ_t − L), variance V_t. The limit is a floor if
/// more is better and a ceiling otherwise. Not a comparison: a breach that the control shares is an incident, not harm.
///
/// # Errors
/// [`Insufficient`] if the estimate or the limit is not finite or the estimate has no variance.
pub fn against_limit(estimate: &Estimate, better: Better, limit: f64) -> Result<Contrast, Insufficient> {
    estimate.check(Arm::Candidate)?;
    finite("the limit", limit)?;
    Contrast::checked(-better.sign() * (estimate.mean - limit), estimate.variance)
}

fn check(arms: &Arms) -> Result<(), Insufficient> {
    arms.control.check(Arm::Control)?;
    arms.candidate.check(Arm::Candidate)
}
