//! Metrics of which only aggregates are kept: how many events there were, their sum and their spread, and nothing of units.
//!
//! Events of one unit are alike, so events say less than as many independent ones would. How much less is the design
//! effect, 1 + (E\[N²\]/E\[N\] − 1) × the correlation within a unit (statistics.md 1.3). Aggregates cannot tell it, so
//! somebody must; all variances are multiplied by it.

use serde::{Deserialize, Serialize};

/// A metric made from aggregates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// What is made of them.
    pub of: AggregateOf,
    /// By how much the variance is larger than that of independent events.
    pub design_effect: DesignEffect,
}

/// What is made of aggregates; the texts are values of `metric_name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateOf {
    /// The mean of a number over its events.
    Mean(String),
    /// The share of the events `among` that an event `of` follows; at most one follows each.
    Rate {
        /// What follows.
        of: String,
        /// What it follows.
        among: String,
    },
    /// How many events `of` there are per event `per`.
    Count {
        /// What is counted.
        of: String,
        /// What it is counted for.
        per: String,
    },
}

impl AggregateOf {
    /// The aggregates that it reads.
    pub fn names(&self) -> Vec<&str> {
        match self {
            AggregateOf::Mean(name) => vec![name],
            AggregateOf::Rate { of, among: beside } | AggregateOf::Count { of, per: beside } => vec![of, beside],
        }
    }
}

/// By how much a variance is larger than that of independent events: 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct DesignEffect(f64);

impl DesignEffect {
    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for DesignEffect {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        match value.is_finite() && value >= 1.0 {
            true => Ok(Self(value)),
            false => Err(format!(
                "a design effect must be a number of 1 or more (1 says that a unit's events are independent), but this is {value}"
            )),
        }
    }
}

impl From<DesignEffect> for f64 {
    fn from(value: DesignEffect) -> f64 {
        value.0
    }
}

/// What may be decided from aggregates alone. Without units neither the split nor the true variance is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAggregates {
    /// A candidate may be rolled back and held.
    #[default]
    Lower,
    /// It may be ramped as well.
    Ramp,
    /// It may be promoted, too.
    Promote,
}

impl FromAggregates {
    /// Whether it is what holds where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == FromAggregates::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_effect_is_no_gain() {
        assert!(DesignEffect::try_from(1.0).is_ok());
        for bad in [0.99, 0.0, -2.0, f64::NAN, f64::INFINITY] {
            assert!(DesignEffect::try_from(bad).unwrap_err().contains("1 or more"), "{bad}");
        }
    }
}
