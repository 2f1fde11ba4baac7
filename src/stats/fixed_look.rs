//! A comparison at one look fixed in advance. For display only: looked at every night, its p-value is not valid.
//!
//! What is estimated: the difference of two independent estimates with its standard error, against Student's t with
//! Welch–Satterthwaite degrees of freedom or against the normal.
//!
//! Assumes: independent arms, near-normal estimates. Student corrects for estimated variances in small samples, not for
//! skew. Fails: heavy right tails with few units (cap the values), peeking.
//!
//! Reference: Welch 1947; Satterthwaite 1946; statistics.md 1.1.

use serde::{Deserialize, Serialize};

use super::fieller::Interval;
use super::insufficient::{Arm, Insufficient, finite, open_unit};
use super::overlap::Arms;
use super::student;

/// What the test is against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// A difference either way.
    TwoSided,
    /// The candidate's value is greater.
    Greater,
    /// The candidate's value is less.
    Less,
}

/// The distribution of the statistic under the null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Known variances, or many units.
    Normal,
    /// Estimated variances, Welch–Satterthwaite degrees of freedom.
    Student,
}

/// How to look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedLook {
    /// What the test is against; a one-sided test has a one-sided interval.
    pub alternative: Alternative,
    /// The distribution of the statistic.
    pub reference: Reference,
    /// Coverage of the interval, e.g. 0.95.
    pub confidence: f64,
}

impl FixedLook {
    /// Two-sided against Student's t.
    pub fn two_sided(confidence: f64) -> Self {
        FixedLook { alternative: Alternative::TwoSided, reference: Reference::Student, confidence }
    }

    /// Half width of the interval in standard errors.
    fn multiplier(&self, df: f64) -> f64 {
        let tail = match self.alternative {
            Alternative::TwoSided => 0.5 * (1.0 - self.confidence),
            Alternative::Greater | Alternative::Less => 1.0 - self.confidence,
        };
        student::upper_quantile(tail, df)
    }

    /// The side of ±`half_width` around `centre` that the alternative leaves open is infinite.
    fn interval(&self, centre: f64, half_width: f64) -> Interval {
        let around = Interval::around(centre, half_width);
        match self.alternative {
            Alternative::TwoSided => around,
            Alternative::Greater => Interval { high: f64::INFINITY, ..around },
            Alternative::Less => Interval { low: f64::NEG_INFINITY, ..around },
        }
    }
}

/// The result of a fixed look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The difference or the relative lift.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Estimate over standard error.
    pub statistic: f64,
    /// Degrees of freedom; f64::MAX stands for the normal.
    pub df: f64,
    /// p-value at this one look.
    pub p: f64,
    /// log10 of `p`, also where `p` underflows.
    pub log10_p: f64,
    /// Interval with the look's confidence.
    pub interval: Interval,
}

impl Comparison {
    pub(crate) fn of(estimate: f64, variance: f64, df: f64, look: &FixedLook) -> Result<Self, Insufficient> {
        open_unit("the confidence level", look.confidence)?;
        finite("the estimate of a comparison", estimate)?;
        let standard_error = finite("the standard error of a comparison", variance.sqrt())?;
        let statistic = finite("the test statistic", estimate / standard_error)?;
        let ln_p = match look.alternative {
            Alternative::TwoSided => (std::f64::consts::LN_2 + student::ln_sf(statistic.abs(), df)).min(0.0),
            Alternative::Greater => student::ln_sf(statistic, df),
            Alternative::Less => student::ln_sf(-statistic, df),
        };
        Ok(Comparison {
            estimate,
            standard_error,
            statistic,
            df,
            p: ln_p.exp(),
            log10_p: ln_p / std::f64::consts::LN_10,
            interval: look.interval(estimate, look.multiplier(df) * standard_error),
        })
    }
}

/// Candidate minus control (Welch 1947 for means; the same for ratios and adjusted means).
///
/// # Errors
/// [`Insufficient`] if an arm has no variance or fewer than two units, or a number is not finite.
pub fn difference(arms: &Arms, look: &FixedLook) -> Result<Comparison, Insufficient> {
    check(arms)?;
    let (c, t) = (&arms.control, &arms.candidate);
    Comparison::of(t.mean - c.mean, t.variance + c.variance, degrees(arms, look, t.variance, c.variance), look)
}

/// The relative lift by the delta method: Var(R) = V_t/μ_c² + R²·V_c/μ_c². Symmetric around R − 1, so worse than Fieller's
/// interval when the control is noisy.
///
/// # Errors
/// As [`difference`], and `ControlNearZero`.
pub fn relative_delta(arms: &Arms, look: &FixedLook) -> Result<Comparison, Insufficient> {
    check(arms)?;
    let lift = super::fieller::lift(arms)?;
    let (c, t) = (&arms.control, &arms.candidate);
    let ratio = t.mean / c.mean;
    let variance = t.variance / c.mean / c.mean + ratio * ratio * (c.variance / c.mean / c.mean);
    Comparison::of(lift, variance, degrees(arms, look, t.variance, c.variance), look)
}

/// The interval of the relative lift on the log scale, exp(ln R ± q·√(V_t/μ_t² + V_c/μ_c²)) − 1, with degrees of freedom of
/// that scale. Positive means only. Its test is not that of the difference, so the two may disagree at the edge.
///
/// # Errors
/// As [`difference`]; `OutOfRange` if a mean is not above zero.
pub fn relative_log_ratio(arms: &Arms, look: &FixedLook) -> Result<Interval, Insufficient> {
    check(arms)?;
    open_unit("the confidence level", look.confidence)?;
    let (c, t) = (&arms.control, &arms.candidate);
    super::insufficient::positive("the mean of control on a log scale", c.mean)?;
    super::insufficient::positive("the mean of candidate on a log scale", t.mean)?;
    let (vt, vc) = (t.variance / t.mean / t.mean, c.variance / c.mean / c.mean);
    let half_width = look.multiplier(degrees(arms, look, vt, vc)) * (vt + vc).sqrt();
    let ln_ratio = (t.mean / c.mean).ln();
    let log_scale = look.interval(ln_ratio, half_width);
    let lower = if log_scale.low.is_finite() { log_scale.low.exp_m1() } else { f64::NEG_INFINITY };
    Ok(Interval { low: lower, high: log_scale.high.exp_m1() })
}

/// Welch–Satterthwaite: (V_t + V_c)²/(V_t²/(n_t − 1) + V_c²/(n_c − 1)).
fn degrees(arms: &Arms, look: &FixedLook, vt: f64, vc: f64) -> f64 {
    match look.reference {
        Reference::Normal => f64::MAX,
        Reference::Student => {
            // As shares of the sum: tiny variances must not underflow when squared.
            let (t, c) = (vt / (vt + vc), vc / (vt + vc));
            1.0 / (t * t / (arms.candidate.n - 1) as f64 + c * c / (arms.control.n - 1) as f64)
        }
    }
}

fn check(arms: &Arms) -> Result<(), Insufficient> {
    for (estimate, arm) in [(&arms.control, Arm::Control), (&arms.candidate, Arm::Candidate)] {
        estimate.check(arm)?;
        if estimate.n < 2 {
            return Err(Insufficient::TooFewUnits { arm, units: estimate.n, needed: 2 });
        }
    }
    Ok(())
}
