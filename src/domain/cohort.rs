//! Cohorts: the units first exposed on one date in one allocation epoch, and the spans of time that may feed them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::experiment::{Experiment, VariantId};
use super::metric::Metric;
use super::share::Share;

/// A period of constant allocations.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Its number in the experiment, from 0.
    pub number: i64,
    /// When its allocations were set.
    pub started_at: Timestamp,
    /// Until when those allocations are known to have been in force; `None` while they are. An epoch that somebody
    /// else's change ended ends at the last time that it was seen, since nobody knows when the change was made.
    pub ended_at: Option<Timestamp>,
    /// The planned share of each variant.
    pub allocations: Vec<(VariantId, Share)>,
    /// Whether units that had an arm were moved to another one when it began.
    pub moved_units: bool,
    /// Whether somebody else began it, by changing the split by hand.
    pub outside: bool,
    /// When the units that were drawn anew from control count as exposed. They are the cohort of such an epoch, and its
    /// allocations are how they were split; an epoch of new units has none.
    pub redrawn_at: Option<Timestamp>,
}

/// The exposures that belong to one epoch: first exposure in `from..to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    /// The epoch's number.
    pub epoch: i64,
    /// The first instant that counts.
    pub from: Timestamp,
    /// The first instant that counts no more.
    pub to: Timestamp,
}

/// What makes a unit exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExposedBy {
    /// Its first row in the table of assignments.
    #[default]
    Assignment,
    /// Its first event that carries the experiment, where no table of assignments is kept.
    Event,
}

/// What a warehouse is asked for: the moments of all metrics of one window, for the cohorts of a range of dates.
#[derive(Clone, Debug)]
pub struct CohortRequest<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Metrics that all have the window `window_days`.
    pub metrics: Vec<&'a Metric>,
    /// Days after first exposure during which a unit's events count.
    pub window_days: u16,
    /// The first cohort date.
    pub from: Date,
    /// The last cohort date, inclusive.
    pub to: Date,
    /// What makes a unit exposed.
    pub exposed_by: ExposedBy,
    /// Which exposures belong to which epoch; instants outside every span are left out of the evidence.
    pub spans: Vec<EpochSpan>,
}

/// The exposures that may enter the evidence, epoch by epoch.
///
/// Two kinds of instants are left out (statistics.md section 0): the settling time after an allocation change, while
/// assignment services may still serve the old split; and everything before an epoch that moved units between arms. What
/// had closed by then was kept; what had not was partly lived in another arm, and its assignments now name that arm.
///
/// A redrawn pool is exposed at one instant, and that instant is the whole span of its epoch.
///
/// `epochs` are in order of their start; `until` ends the last one.
pub fn exposure_spans(epochs: &[Epoch], settle: SignedDuration, until: Timestamp) -> Vec<EpochSpan> {
    let readable = epochs.iter().rposition(|epoch| epoch.moved_units).unwrap_or(0);
    epochs
        .iter()
        .enumerate()
        .skip(readable)
        .filter_map(|(index, epoch)| {
            let from = match epoch.redrawn_at {
                Some(at) => at,
                None if index == 0 => epoch.started_at,
                None => epoch.started_at + settle,
            };
            let mut to = epoch.redrawn_at.map(after_redraw).or(epoch.ended_at).unwrap_or(until);
            if let Some(next) = epochs.get(index + 1) {
                to = to.min(next.started_at);
            }
            let to = to.min(until);
            (from < to).then_some(EpochSpan { epoch: epoch.number, from, to })
        })
        .collect()
}

/// The first instant after a redrawn pool's: databases keep microseconds. The epoch of the new units begins with it.
pub fn after_redraw(redrawn_at: Timestamp) -> Timestamp {
    redrawn_at + SignedDuration::from_micros(1)
}

/// Since when the allocations are what they are. The epoch behind a redrawn pool is said to begin after the pool's instant,
/// which was still to come when its allocations were set.
pub fn in_force_since(epochs: &[Epoch]) -> Option<Timestamp> {
    let set = match epochs {
        [.., pool, _] if pool.redrawn_at.is_some() => Some(pool),
        _ => epochs.last(),
    };
    set.map(|epoch| epoch.started_at)
}

impl CohortRequest<'_> {
    /// The first instant of the first cohort date (UTC).
    pub fn exposed_from(&self) -> Timestamp {
        start_of(self.from)
    }

    /// The first instant after the last cohort date (UTC).
    pub fn exposed_to(&self) -> Timestamp {
        start_of(self.to) + SignedDuration::from_hours(24)
    }

    /// The first instant after the last window (UTC); no event from then on counts.
    pub fn events_to(&self) -> Timestamp {
        self.exposed_to() + self.window()
    }

    /// Whether any of its metrics is made from a fact.
    pub fn has_facts(&self) -> bool {
        self.metrics.iter().any(|metric| metric.facts().next().is_some())
    }

    /// The metric window.
    pub fn window(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.window_days))
    }
}

/// Midnight UTC at the start of a date.
fn start_of(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).expect("a date of the calendar has a midnight in UTC").timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn epoch(number: i64, started_at: &str, ended_at: Option<&str>, moved_units: bool) -> Epoch {
        Epoch {
            number,
            started_at: at(started_at),
            ended_at: ended_at.map(at),
            allocations: vec![],
            moved_units,
            outside: false,
            redrawn_at: None,
        }
    }

    #[test]
    fn settling_time_is_left_out_after_a_change_only() {
        let epochs = [
            epoch(0, "2026-01-01T00:00:00Z", Some("2026-01-04T02:00:00Z"), false),
            epoch(1, "2026-01-04T02:00:00Z", None, false),
        ];
        let spans = exposure_spans(&epochs, SignedDuration::from_mins(15), at("2026-01-09T00:00:00Z"));
        assert_eq!(spans[0].from, at("2026-01-01T00:00:00Z"));
        assert_eq!(spans[0].to, at("2026-01-04T02:00:00Z"));
        assert_eq!(spans[1].from, at("2026-01-04T02:15:00Z"));
        assert_eq!(spans[1].to, at("2026-01-09T00:00:00Z"));
    }

    #[test]
    fn what_was_open_at_a_move_is_left_out() {
        let epochs = [
            epoch(0, "2026-01-01T00:00:00Z", Some("2026-01-04T02:00:00Z"), false),
            epoch(1, "2026-01-04T02:00:00Z", None, true),
        ];
        let spans = exposure_spans(&epochs, SignedDuration::from_mins(15), at("2026-01-09T00:00:00Z"));
        assert_eq!(spans.iter().map(|s| (s.epoch, s.from)).collect::<Vec<_>>(), [(1, at("2026-01-04T02:15:00Z"))]);
    }

    #[test]
    fn a_redrawn_pool_is_one_instant_and_new_units_come_after_it() {
        let began = "2026-01-04T02:00:00Z";
        let mut pool = epoch(1, began, Some("2026-01-04T02:15:00.000001Z"), true);
        pool.redrawn_at = Some(at("2026-01-04T02:15:00Z"));
        let epochs = [
            epoch(0, "2026-01-01T00:00:00Z", Some(began), false),
            pool,
            epoch(2, "2026-01-04T02:15:00.000001Z", None, false),
        ];
        // Whatever the settling time is by now: the units bear the instant that it was then.
        for minutes in [5, 15, 60] {
            let spans = exposure_spans(&epochs, SignedDuration::from_mins(minutes), at("2026-01-09T00:00:00Z"));
            assert_eq!(spans.iter().map(|s| s.epoch).collect::<Vec<_>>(), [1, 2]);
            assert_eq!((spans[0].from, spans[0].to), (at("2026-01-04T02:15:00Z"), at("2026-01-04T02:15:00.000001Z")));
            assert_eq!(spans[1].from, spans[0].to + SignedDuration::from_mins(minutes));
        }
        assert_eq!(in_force_since(&epochs), Some(at(began)));
        assert_eq!(in_force_since(&epochs[..1]), Some(at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn an_epoch_shorter_than_its_settling_time_feeds_nothing() {
        let epochs = [
            epoch(0, "2026-01-01T00:00:00Z", Some("2026-01-04T02:00:00Z"), false),
            epoch(1, "2026-01-04T02:00:00Z", Some("2026-01-04T02:10:00Z"), false),
            epoch(2, "2026-01-04T02:10:00Z", None, false),
        ];
        let spans = exposure_spans(&epochs, SignedDuration::from_mins(15), at("2026-01-09T00:00:00Z"));
        assert_eq!(spans.iter().map(|s| s.epoch).collect::<Vec<_>>(), [0, 2]);
    }
}
