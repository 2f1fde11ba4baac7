//! Whether a day's partition of events can be believed (statistics.md section 6, gate 1).

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// What a warehouse says about one day's events.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// The day (UTC).
    pub date: Date,
    /// Its events.
    pub rows: u64,
    /// When the last of them happened.
    pub latest_event_at: Option<Timestamp>,
    /// An order-free checksum of them, where one was taken.
    pub content: Option<i64>,
}

/// Whether a day's partition is complete, and if not, why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DayState {
    /// Nothing speaks against it.
    Complete,
    /// There is none.
    Missing,
    /// It could not be read to its end.
    Broken {
        /// What the warehouse says.
        why: String,
    },
    /// Its last event lies more than an hour before the end of the day.
    EndsEarly {
        /// The last event, if there is one.
        latest: Option<Timestamp>,
    },
    /// It has less than half, or more than twice, the rows that this weekday usually has.
    UnusualSize {
        /// Its rows.
        rows: u64,
        /// The median of the same weekday in the last four weeks.
        usual: u64,
    },
}

impl DayState {
    /// Whether cohorts may be closed over it.
    pub fn is_complete(&self) -> bool {
        *self == DayState::Complete
    }

    /// The state in a few words, without what was found.
    pub fn in_short(&self) -> &'static str {
        match self {
            DayState::Complete => "complete",
            DayState::Missing => "missing",
            DayState::Broken { .. } => "not readable",
            DayState::EndsEarly { latest: None } => "without a single event",
            DayState::EndsEarly { latest: Some(_) } => "incomplete",
            DayState::UnusualSize { .. } => "of unusual size",
        }
    }
}

impl fmt::Display for DayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DayState::Complete => f.write_str("complete"),
            DayState::Missing => f.write_str("missing"),
            DayState::Broken { why } => write!(f, "not readable: {why}"),
            DayState::EndsEarly { latest: None } => f.write_str("without a single event"),
            DayState::EndsEarly { latest: Some(at) } => write!(f, "incomplete: its last event is of {at}"),
            DayState::UnusualSize { rows, usual } => {
                write!(f, "of unusual size: {rows} events, where this weekday usually has {usual}")
            }
        }
    }
}

/// Judges a day by the time of its last event and by the sizes of the same weekday in the last four weeks, which
/// `rows_of` tells where they are known.
pub fn judge_day(date: Date, day: Option<&Day>, rows_of: impl Fn(Date) -> Option<u64>) -> DayState {
    let Some(day) = day else { return DayState::Missing };
    let midnight = date.tomorrow().ok().and_then(|next| next.to_zoned(TimeZone::UTC).ok());
    let late_enough = midnight.map(|end| end.timestamp() - SignedDuration::from_hours(1));
    match (day.latest_event_at, late_enough) {
        (Some(latest), Some(bound)) if latest >= bound => {}
        (latest, _) => return DayState::EndsEarly { latest },
    }
    let weeks_before = (1..=4).filter_map(|weeks: i64| date.checked_sub((7 * weeks).days()).ok());
    let mut usual: Vec<u64> = weeks_before.filter_map(rows_of).collect();
    usual.sort_unstable();
    if let Some(&usual) = usual.get(usual.len() / 2)
        && (day.rows.saturating_mul(2) < usual || day.rows > usual.saturating_mul(2))
    {
        return DayState::UnusualSize { rows: day.rows, usual };
    }
    DayState::Complete
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn day(rows: u64, latest: &str) -> Day {
        Day { date: date(2026, 3, 8), rows, latest_event_at: Some(latest.parse().unwrap()), content: None }
    }

    #[test]
    fn a_day_is_judged_by_its_end_and_its_size() {
        let on = date(2026, 3, 8);
        let none = |_| None;
        assert_eq!(judge_day(on, None, none), DayState::Missing);
        assert!(judge_day(on, Some(&day(9, "2026-03-08T23:30:00Z")), none).is_complete());
        let early = judge_day(on, Some(&day(9, "2026-03-08T22:59:59Z")), none);
        assert!(matches!(early, DayState::EndsEarly { .. }));
        let usual = |d: Date| (d == date(2026, 3, 1)).then_some(100);
        let small = judge_day(on, Some(&day(49, "2026-03-08T23:30:00Z")), usual);
        assert_eq!(small, DayState::UnusualSize { rows: 49, usual: 100 });
        assert!(judge_day(on, Some(&day(200, "2026-03-08T23:30:00Z")), usual).is_complete());
    }
}
