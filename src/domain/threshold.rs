//! A threshold that was taken from the days before a version came into an experiment, and stays with that experiment.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A frozen threshold, and what it was taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The metric.
    pub metric: String,
    /// What the metrics file said it was to be taken from: another text, another threshold.
    pub definition: String,
    /// The number beyond which events count.
    pub threshold: f64,
    /// The percentile that was found.
    pub value: f64,
    /// The first day that was looked at.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// How many events there were.
    pub events: u64,
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Threshold { metric, threshold, from, to, events, .. } = self;
        write!(f, "{metric} counts what is above {threshold}, taken from {events} events of {from} to {to}")
    }
}
