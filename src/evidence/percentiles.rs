//! Percentiles per arm with their intervals, for display: read off the shares of events beyond fixed edges.
//!
//! Both arms are weighted alike over strata, as every metric is, so a drifting base does not pull them apart. The interval
//! is the outer one (statistics.md 1.5), whose standard error is clustered by unit. It holds at one look, unlike those of
//! the metrics: nothing is decided by it.

use serde::{Deserialize, Serialize};

use super::arms;
use super::assess::{Comparison, counting, strata};
use crate::domain::Percentiles;
use crate::stats::{Arms, Estimate, Insufficient, overlap, quantile};

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// A percentile in both arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PercentileReading {
    /// What readers call the field.
    pub name: String,
    /// The level, such as 0.99.
    pub level: f64,
    /// In control; none if it lies beyond the edges or too little was seen.
    pub control: Option<Percentile>,
    /// In the candidate.
    pub candidate: Option<Percentile>,
}

/// A percentile with its interval; an end that lies beyond the edges is not known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// The estimate.
    pub value: f64,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// The share of events beyond an edge, as an arm has it.
#[derive(Clone, Copy, Debug)]
struct Beyond {
    edge: f64,
    share: f64,
    error: f64,
}

impl Beyond {
    /// The squared error by that of one event; 0 where all events or none lie beyond.
    fn inflation(&self) -> f64 {
        let of_one = self.share * (1.0 - self.share);
        if of_one > 0.0 { self.error * self.error / of_one } else { 0.0 }
    }
}

/// The percentiles of one field over the comparison's cohorts, which are those of the field's own metrics.
pub fn percentiles(comparison: &Comparison<'_>, of: &Percentiles) -> Vec<PercentileReading> {
    let counting = counting(comparison);
    let comparison = &Comparison { cohorts: &counting, ..*comparison };
    let days = arms::Arms::of(comparison);
    let seen: Vec<(f64, Arms)> =
        of.edges.iter().filter_map(|edge| Some((*edge, overlap(&strata(&days, &of.metric(*edge))).ok()?))).collect();
    let arm = |pick: fn(&Arms) -> Estimate| -> Vec<Beyond> {
        let beyond = |(edge, arms): &(f64, Arms)| {
            let estimate = pick(arms);
            Beyond { edge: *edge, share: estimate.mean, error: estimate.standard_error() }
        };
        seen.iter().map(beyond).collect()
    };
    let (control, candidate) = (arm(|arms| arms.control), arm(|arms| arms.candidate));
    let reading = |level: &f64| PercentileReading {
        name: of.name.clone(),
        level: *level,
        control: percentile(&control, *level),
        candidate: percentile(&candidate, *level),
    };
    of.levels.iter().map(reading).collect()
}

fn percentile(beyond: &[Beyond], level: f64) -> Option<Percentile> {
    let value = at(beyond, level)?;
    let pair = around(beyond, level)?;
    // Between edges the error is that of the level itself, as many times that of independent events as beside it. Where nothing
    // varies on either side there is no interval to tell.
    let error = (pair.0.inflation().max(pair.1.inflation()) * level * (1.0 - level)).sqrt();
    let outer = quantile::outer(
        |level| Ok::<f64, Insufficient>(at(beyond, level).unwrap_or(f64::NAN)),
        level,
        error,
        quantile::multiplier(CONFIDENCE),
    );
    let end = |end: f64| end.is_finite().then_some(end);
    let (low, high) = outer.map_or((None, None), |outer| (end(outer.interval.low), end(outer.interval.high)));
    Some(Percentile { value, low, high })
}

/// The two edges between which the level lies: more than 1 − level exceed the first, and no more the second.
fn around(beyond: &[Beyond], level: f64) -> Option<(Beyond, Beyond)> {
    let second = beyond.iter().position(|edge| edge.share <= 1.0 - level)?;
    Some((beyond[second.checked_sub(1)?], beyond[second]))
}

/// The value at a level, between two edges by the logarithm.
fn at(beyond: &[Beyond], level: f64) -> Option<f64> {
    let (first, second) = around(beyond, level)?;
    let between = (first.share - (1.0 - level)) / (first.share - second.share);
    Some(first.edge * ((second.edge / first.edge).ln() * between).exp())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Policy, VariantId};
    use crate::evidence::{Cohort, CohortHealth};
    use crate::stats::Moments;

    const ARMS: [VariantId; 2] = [VariantId(Uuid::from_u128(1)), VariantId(Uuid::from_u128(2))];

    fn of() -> Percentiles {
        Percentiles {
            name: "latency".into(),
            event: "plan".into(),
            field: "latency_ms".parse().unwrap(),
            levels: vec![0.5, 0.99],
            edges: Percentiles::edges(10.0, 10_000.0),
            window_days: 1,
        }
    }

    /// Units with `events` events each, all of a unit's alike: latencies 1000 × (i + ½)/n, `factor` times that in the
    /// candidate.
    fn cohorts(of: &Percentiles, units: usize, events: f64, factor: f64) -> Vec<Cohort> {
        let arm = |(variant, factor): (VariantId, f64)| {
            let latency = |unit: usize| factor * 1000.0 * (unit as f64 + 0.5) / units as f64;
            let moments = of.edges.iter().map(|edge| {
                let above: Vec<f64> = (0..units).map(|unit| if latency(unit) > *edge { events } else { 0.0 }).collect();
                let mean_y = above.iter().sum::<f64>() / units as f64;
                let m2_y = above.iter().map(|y| (y - mean_y).powi(2)).sum();
                let n = units as u64;
                (of.metric(*edge), Moments { n, mean_y, m2_y, mean_d: events, m2_d: 0.0, c_yd: 0.0 })
            });
            Cohort {
                date: date(2026, 3, 2),
                epoch: 0,
                variant,
                moments: moments.collect(),
                health: CohortHealth { units: units as u64, ..CohortHealth::default() },
            }
        };
        ARMS.into_iter().zip([1.0, factor]).map(arm).collect()
    }

    fn read(cohorts: &[Cohort]) -> Vec<PercentileReading> {
        let (policy, metrics) = (Policy::standard(), BTreeMap::new());
        let comparison = Comparison {
            control: ARMS[0],
            candidate: ARMS[1],
            candidates: 1,
            policy: &policy,
            metrics: &metrics,
            cohorts,
            epochs: &[],
            as_of: date(2026, 3, 3),
            since: None,
        };
        percentiles(&comparison, &of())
    }

    #[test]
    fn percentiles_and_their_intervals_are_those_of_the_distribution() {
        // Both arms' values end at an edge: where a distribution ends between two, nobody knows where.
        let edges = of().edges;
        let factor = edges[33] / edges[32];
        assert_eq!(edges[32], 1000.0);
        let readings = read(&cohorts(&of(), 4_000, 1.0, factor));
        for (reading, expected) in readings.iter().zip([500.0, 990.0]) {
            let (control, candidate) = (reading.control.unwrap(), reading.candidate.unwrap());
            // Uniform between edges fifteen percent apart.
            assert!((control.value / expected - 1.0).abs() < 0.02, "{reading:?}");
            assert!((candidate.value / (factor * expected) - 1.0).abs() < 0.02, "{reading:?}");
            let (low, high) = (control.low.unwrap(), control.high.unwrap());
            assert!(low < control.value && control.value < high, "{reading:?}");
        }
        // For uniform values the error of the median is 1000 × √(¼/n): an interval of ± 15.5.
        let median = readings[0].control.unwrap();
        let half = (median.high.unwrap() - median.low.unwrap()) / 2.0;
        assert!((half - 15.5).abs() < 3.0, "{median:?}");
    }

    #[test]
    fn events_of_one_unit_make_no_interval_narrower() {
        let (one, many) = (read(&cohorts(&of(), 1_000, 1.0, 1.0)), read(&cohorts(&of(), 1_000, 25.0, 1.0)));
        for (one, many) in one.iter().zip(&many) {
            let (one, many) = (one.control.unwrap(), many.control.unwrap());
            let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() / b.unwrap() - 1.0).abs() < 1e-9;
            assert!(near(one.low, many.low) && near(one.high, many.high), "{one:?} {many:?}");
        }
    }

    #[test]
    fn what_lies_beyond_the_edges_is_not_known() {
        let mut readings = read(&cohorts(&of(), 500, 1.0, 1e-3));
        assert!(readings.remove(0).candidate.is_none());
        assert!(read(&[]).iter().all(|reading| reading.control.is_none() && reading.candidate.is_none()));
    }
}
