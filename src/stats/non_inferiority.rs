//! Non-inferiority at one fixed look: the score test for two proportions with an absolute margin, Wald's beside it, and
//! the variant for means that takes the margin as a fixed number.
//!
//! What is tested: H0 s(p_t − p_c) ≤ −margin, with s = +1 if more is better. The score test takes its variance from the
//! maximum-likelihood rates under H0, the root of a cubic, so it keeps its level where Wald's does not.
//!
//! Decisions use the linear contrast [`super::inside_margin`], where a relative margin carries the control's noise.
//! [`fixed_margin`] ignores that noise: slightly liberal when less is better, conservative otherwise; display only.
//!
//! Assumes: one stratum, one look, counts of ten or more. Fails: peeking.
//!
//! Reference: Farrington & Manning 1990, eq. 2 (~) and appendix; Miettinen & Nurminen 1985; statistics.md 1.2 and 2.3.

use serde::{Deserialize, Serialize};

use super::contrast::{Better, Contrast, better_than_control};
use super::insufficient::{Arm, Insufficient, finite};
use super::normal;
use super::overlap::Arms;
use super::proportion::Successes;

/// One-sided test of non-inferiority of two proportions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NonInferiority {
    /// Positive when the candidate looks inside the margin.
    pub z: f64,
    /// One-sided p-value.
    pub p: f64,
    /// ln of `p`.
    pub ln_p: f64,
    /// The candidate's rate that enters the variance.
    pub candidate_rate: f64,
    /// The control's rate that enters the variance.
    pub control_rate: f64,
}

/// Farrington–Manning's score test with an absolute `margin` ≥ 0 on the rate.
///
/// # Errors
/// [`Insufficient`] without units, if the margin is not in 0..1, or if the rates under H0 leave no variance.
pub fn score(
    control: &Successes,
    candidate: &Successes,
    better: Better,
    margin: f64,
) -> Result<NonInferiority, Insufficient> {
    check(control, candidate, margin)?;
    let shift = -better.sign() * margin;
    let (t, c) = null_rates(control, candidate, shift);
    statistic(control, candidate, better, margin, t, c)
}

/// Wald's test: as [`score`], with the observed rates in the variance.
///
/// # Errors
/// As [`score`].
pub fn wald(
    control: &Successes,
    candidate: &Successes,
    better: Better,
    margin: f64,
) -> Result<NonInferiority, Insufficient> {
    check(control, candidate, margin)?;
    statistic(control, candidate, better, margin, candidate.rate(), control.rate())
}

/// The margin times the control's mean as if that mean were known: s(μ_t − μ_c) + margin·|μ_c|, variance V_t + V_c.
///
/// # Errors
/// As [`better_than_control`].
pub fn fixed_margin(arms: &Arms, better: Better, margin: f64) -> Result<Contrast, Insufficient> {
    finite("the margin", margin)?;
    let contrast = better_than_control(arms, better)?;
    Ok(Contrast { estimate: contrast.estimate + margin * arms.control.mean.abs(), ..contrast })
}

fn statistic(
    control: &Successes,
    candidate: &Successes,
    better: Better,
    margin: f64,
    t: f64,
    c: f64,
) -> Result<NonInferiority, Insufficient> {
    let variance = t * (1.0 - t) / candidate.n as f64 + c * (1.0 - c) / control.n as f64;
    if variance <= 0.0 {
        return Err(Insufficient::ZeroVariance { arm: Arm::Candidate });
    }
    let distance = better.sign() * (candidate.rate() - control.rate()) + margin;
    let z = finite("the score statistic", distance / variance.sqrt())?;
    let ln_p = normal::ln_sf(z);
    Ok(NonInferiority { z, p: ln_p.exp(), ln_p, candidate_rate: t, control_rate: c })
}

/// The maximum-likelihood rates (candidate, control) under p_t − p_c = `shift`: the one root of the score cubic with both
/// rates in [0, 1] (Farrington & Manning 1990, appendix), trigonometric, then polished by Newton's method.
pub(crate) fn null_rates(control: &Successes, candidate: &Successes, shift: f64) -> (f64, f64) {
    let theta = control.n as f64 / candidate.n as f64;
    let (pt, pc) = (candidate.rate(), control.rate());
    let a = 1.0 + theta;
    let b = -(1.0 + theta + pt + theta * pc + shift * (theta + 2.0));
    let c = shift * shift + shift * (2.0 * pt + theta + 1.0) + pt + theta * pc;
    let d = -pt * shift * (1.0 + shift);
    let third = b / (3.0 * a);
    let v = third * third * third - b * c / (6.0 * a * a) + d / (2.0 * a);
    let u = (third * third - c / (3.0 * a)).max(0.0).sqrt().copysign(v);
    let angle = if u == 0.0 { 1.0 } else { (v / (u * u * u)).clamp(-1.0, 1.0) };
    let root = 2.0 * u * ((std::f64::consts::PI + angle.acos()) / 3.0).cos() - third;
    let (low, high) = (shift.max(0.0), (1.0 + shift).min(1.0));
    let mut t = root.clamp(low, high);
    for _ in 0..4 {
        let slope = (3.0 * a * t + 2.0 * b) * t + c;
        let step = (((a * t + b) * t + c) * t + d) / slope;
        // A double root has no slope; the trigonometric value is then as good as it gets.
        if !step.is_finite() || step.abs() > 1e-3 {
            break;
        }
        t = (t - step).clamp(low, high);
    }
    (t, (t - shift).clamp(0.0, 1.0))
}

fn check(control: &Successes, candidate: &Successes, margin: f64) -> Result<(), Insufficient> {
    control.check(Arm::Control)?;
    candidate.check(Arm::Candidate)?;
    if (0.0..1.0).contains(&margin) {
        Ok(())
    } else {
        Err(Insufficient::out_of_range("the absolute margin of a rate", margin, "at least 0 and below 1"))
    }
}
