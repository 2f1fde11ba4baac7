//! Percentiles that are shown and decide nothing: a field's distribution, counted at fixed edges.
//!
//! Each edge is the share of events beyond it, a ratio of per-unit sums like any other metric (statistics.md 1.5). So the
//! counts of cohorts add up, whatever engine they come from, and the intervals know that a unit's events are alike.

use serde::{Deserialize, Serialize};

use super::metric::{Direction, Field, Measure, Metric, MetricForm, Value};

/// How many parts the range of a field is cut into, each larger than the one before by the same factor.
const PARTS: u16 = 48;

/// Less than every number that a warehouse gives: what exceeds it is any number at all.
const LOWEST: f64 = -1e300;

/// A field whose percentiles are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// What readers call it.
    pub name: String,
    /// The event type.
    pub event: String,
    /// The field.
    pub field: Field,
    /// The percentiles, such as 0.5 and 0.99.
    pub levels: Vec<f64>,
    /// The edges, rising.
    pub edges: Vec<f64>,
    /// Days after a unit's first exposure during which its events count.
    pub window_days: u16,
}

impl Percentiles {
    /// The edges between two positive numbers, at five digits: the same on every machine.
    pub fn edges(from: f64, to: f64) -> Vec<f64> {
        let step = (to / from).ln() / f64::from(PARTS);
        let edge = |part: u16| {
            let edge = from * (step * f64::from(part)).exp();
            format!("{edge:.4e}").parse().unwrap_or(edge)
        };
        let mut edges: Vec<f64> = (0..=PARTS).map(edge).collect();
        edges.dedup();
        edges
    }

    /// One metric for each edge, in their order: the share of the events with a number that exceed it.
    pub fn metrics(&self) -> Vec<Metric> {
        let above =
            |edge: f64| Measure { event: self.event.clone(), value: Value::CountAbove(self.field.clone(), edge) };
        let metric = |edge: &f64| Metric {
            name: self.metric(*edge),
            description: None,
            form: MetricForm::Ratio { numerator: above(*edge), denominator: above(LOWEST) },
            direction: Direction::Decrease,
            window_days: self.window_days,
            covariate_days: None,
        };
        self.edges.iter().map(metric).collect()
    }

    /// The name of an edge's metric.
    pub fn metric(&self, edge: f64) -> String {
        format!("{} of {} > {edge}", self.field, self.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_rise_by_one_factor_from_end_to_end() {
        let edges = Percentiles::edges(10.0, 60_000.0);
        assert_eq!((edges.len(), edges[0], edges[48]), (49, 10.0, 60_000.0));
        let factors: Vec<f64> = edges.windows(2).map(|pair| pair[1] / pair[0]).collect();
        assert!(factors.iter().all(|factor| (factor - 6000f64.powf(1.0 / 48.0)).abs() < 1e-3), "{factors:?}");
    }
}
