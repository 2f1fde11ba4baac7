//! Why a number could not be computed. Never a verdict: a metric that could not be judged is neither safe nor harmful.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The baseline.
    Control,
    /// The variant under judgement.
    Candidate,
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arm::Control => "control",
            Arm::Candidate => "candidate",
        })
    }
}

/// The data do not carry the answer. Each variant says what is missing and why that matters.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Insufficient {
    /// An arm is empty in every stratum.
    #[error("no units: an arm has no unit in any stratum, so there is nothing to compare")]
    NoUnits,
    /// An arm has units, but fewer than the method needs.
    #[error("too few units: {arm} has {units}, at least {needed} are needed")]
    TooFewUnits {
        /// The arm that is short.
        arm: Arm,
        /// What it has.
        units: u64,
        /// What it needs.
        needed: u64,
    },
    /// An input or a result is NaN or infinite.
    #[error("{what} is not a finite number, so nothing that follows from it can be trusted")]
    NonFinite {
        /// Which number.
        what: Cow<'static, str>,
    },
    /// Every unit of an arm has the same value, so its variance says nothing about chance.
    #[error("{arm} has no variance: all its units agree, which is no licence to decide; an exact test is needed")]
    ZeroVariance {
        /// The arm without variance.
        arm: Arm,
    },
    /// A variance came out below zero by more than rounding can explain: the moments contradict each other.
    #[error("{arm} has a negative variance beyond rounding: its moments contradict each other, check the query")]
    NegativeVariance {
        /// The arm concerned.
        arm: Arm,
    },
    /// A relative effect has no meaning because the control's mean is not separated from zero.
    #[error("the control's mean is not separated from zero, so an effect relative to it has no meaning")]
    ControlNearZero,
    /// A ratio has no meaning because its denominator is not separated from zero.
    #[error("the denominator of {arm} is not separated from zero, so its ratio has no meaning")]
    DenominatorNearZero {
        /// The arm concerned.
        arm: Arm,
    },
    /// Too few successes or failures for a normal approximation of a rate.
    #[error("too few events: {arm} has {events}, at least {needed} of each outcome are needed")]
    TooFewEvents {
        /// The arm that is short.
        arm: Arm,
        /// Its count of the rarer outcome.
        events: u64,
        /// What it needs.
        needed: u64,
    },
    /// A setting or an input lies outside the range where the formula is defined.
    #[error("{what} is {value}, but it must be {bound}")]
    OutOfRange {
        /// Which number.
        what: Cow<'static, str>,
        /// Its value.
        value: f64,
        /// The range it must lie in.
        bound: Cow<'static, str>,
    },
}

impl Insufficient {
    /// Shorthand for [`Insufficient::NonFinite`].
    pub(crate) fn non_finite(what: &'static str) -> Self {
        Insufficient::NonFinite { what: Cow::Borrowed(what) }
    }

    /// Shorthand for [`Insufficient::OutOfRange`]; a value that is no number is reported as such, so that it survives JSON.
    pub(crate) fn out_of_range(what: &'static str, value: f64, bound: &'static str) -> Self {
        if value.is_finite() {
            Insufficient::OutOfRange { what: Cow::Borrowed(what), value, bound: Cow::Borrowed(bound) }
        } else {
            Insufficient::non_finite(what)
        }
    }
}

/// `Ok(value)` if it is finite.
pub(crate) fn finite(what: &'static str, value: f64) -> Result<f64, Insufficient> {
    if value.is_finite() { Ok(value) } else { Err(Insufficient::non_finite(what)) }
}

/// `Ok(value)` if it is a probability strictly between 0 and 1.
pub(crate) fn open_unit(what: &'static str, value: f64) -> Result<f64, Insufficient> {
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(Insufficient::out_of_range(what, value, "strictly between 0 and 1"))
    }
}

/// `Ok(value)` if it is finite and above zero.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<f64, Insufficient> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(Insufficient::out_of_range(what, value, "above zero"))
    }
}
