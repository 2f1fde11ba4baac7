//! The relative lift of candidate over control, with Fieller's interval.
//!
//! What is estimated: (μ_t − μ_c)/|μ_c|. The interval is the set of lifts r − 1 that the linear contrast does not reject,
//! {r : |μ_t − r·μ_c| ≤ q·√(V_t + r²·V_c)}, so the picture and the verdict of [`super::inside_margin`] cannot disagree. With
//! q = z it covers at one fixed look; with q = [`super::two_sided_multiplier`] at all looks together.
//!
//! Assumes: independent arms, estimates near normal. Positive or negative control means; for a negative one the lift
//! keeps its sign (positive means the candidate's mean is higher).
//!
//! Fails: control's mean within q standard errors of zero: the set is then unbounded and (−∞, ∞) is returned.
//!
//! Reference: Fieller 1954; statistics.md 2.3: A = μ_c² − q²V_c, B = μ_t·μ_c, C = μ_t² − q²V_t, roots (B ∓ √(B² − AC))/A.

use serde::{Deserialize, Serialize};

use super::insufficient::{Arm, Insufficient};
use super::overlap::Arms;

/// A closed interval; an unbounded side is infinite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    #[serde(with = "endpoint")]
    pub low: f64,
    /// Upper end.
    #[serde(with = "endpoint")]
    pub high: f64,
}

impl Interval {
    /// Says nothing: the whole line.
    pub const UNBOUNDED: Interval = Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// `centre` ± `half_width`; the whole line if either is no number.
    pub fn around(centre: f64, half_width: f64) -> Self {
        if centre.is_finite() && half_width.is_finite() {
            Interval { low: centre - half_width, high: centre + half_width }
        } else {
            Interval::UNBOUNDED
        }
    }

    /// Whether `value` lies within, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether both ends are finite.
    pub fn is_bounded(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}

/// (μ_t − μ_c)/|μ_c|: 0.05 is five percent above control.
///
/// # Errors
/// [`Insufficient`] if a mean is not finite, or the control's mean is zero.
pub fn lift(arms: &Arms) -> Result<f64, Insufficient> {
    let (control, candidate) = (arms.control.mean, arms.candidate.mean);
    if control == 0.0 {
        return Err(Insufficient::ControlNearZero);
    }
    super::insufficient::finite("the relative lift", (candidate - control) / control.abs())
}

/// Fieller's interval of the relative lift with the multiplier `q` ≥ 0 of a standard error.
///
/// # Errors
/// [`Insufficient`] if an estimate is not finite, has a negative variance, or no variance, or if `q` is negative or no number.
pub fn fieller(arms: &Arms, q: f64) -> Result<Interval, Insufficient> {
    arms.control.check(Arm::Control)?;
    arms.candidate.check(Arm::Candidate)?;
    if q.is_nan() || q < 0.0 {
        return Err(Insufficient::out_of_range("the multiplier of the standard error", q, "at least zero"));
    }
    let (c, t) = (&arms.control, &arms.candidate);
    if c.mean == 0.0 || q.is_infinite() {
        return Ok(Interval::UNBOUNDED);
    }
    // All relative to the control's mean, so that the scale of the metric cannot overflow anything.
    let ratio = t.mean / c.mean;
    let (vt, vc) = (q * q * (t.variance / c.mean / c.mean), q * q * (c.variance / c.mean / c.mean));
    let a = 1.0 - vc;
    if a <= 0.0 || a.is_nan() {
        return Ok(Interval::UNBOUNDED);
    }
    // r − 1 directly, and the discriminant expanded: both keep their digits when the lift is small.
    let centre = ((t.mean - c.mean) / c.mean + vc) / a;
    let half_width = (vt * a + vc * ratio * ratio).sqrt() / a;
    let interval = Interval::around(centre, half_width);
    Ok(if c.mean > 0.0 { interval } else { Interval { low: -interval.high, high: -interval.low } })
}

/// JSON has no infinities: they are written as the strings "inf" and "-inf".
mod endpoint {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if *value == f64::INFINITY {
            serializer.serialize_str("inf")
        } else if *value == f64::NEG_INFINITY {
            serializer.serialize_str("-inf")
        } else {
            serializer.serialize_f64(*value)
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number),
            Written::Text(text) if text == "inf" => Ok(f64::INFINITY),
            Written::Text(text) if text == "-inf" => Ok(f64::NEG_INFINITY),
            Written::Text(text) => Err(D::Error::custom(format!("an interval's end is {text:?}, not a number"))),
        }
    }
}
