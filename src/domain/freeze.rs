//! Freeze windows: times in which nothing is ramped or promoted.
//!
//! A freeze is about the moment in which the job would act, not about the day that the evidence speaks of. It never keeps
//! a candidate from being lowered.

use chrono::DateTime as Instant;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A window, or a rule that gives many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Freeze {
    /// What readers are told, such as `year end`.
    pub name: String,
    /// When it holds.
    pub window: Window,
    /// The IANA time zone that the window's dates and times are read in.
    pub timezone: String,
}

/// When a freeze holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the first moment up to, and without, the second.
    Between {
        /// Its beginning.
        from: DateTime,
        /// Its end.
        until: DateTime,
    },
    /// Whole days.
    Dates(Vec<Date>),
    /// The same days of every year, as month and day.
    Yearly(Vec<(i8, i8)>),
    /// From each time of a cron expression (minute hour day month weekday) on, for so long.
    Cron {
        /// The expression.
        starts: String,
        /// How long each window lasts.
        minutes: u32,
    },
}

/// A freeze that holds now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// The freeze's name.
    pub name: String,
    /// When it ends, as far as that can be told.
    pub until: Option<Timestamp>,
}

impl Freeze {
    /// Whether the freeze holds at that moment. One that cannot be read (the configuration refuses it) holds: doubt never
    /// raises a candidate.
    pub fn at(&self, now: Timestamp) -> Option<Frozen> {
        let frozen = |until| Frozen { name: self.name.clone(), until };
        let Ok(zone) = TimeZone::get(&self.timezone) else { return Some(frozen(None)) };
        let local = now.to_zoned(zone.clone());
        let instant = |local: DateTime| local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
        let tomorrow = || local.date().tomorrow().ok().and_then(|date| instant(date.into()));
        match &self.window {
            Window::Between { from, until } => {
                let inside = *from <= local.datetime() && local.datetime() < *until;
                inside.then(|| frozen(instant(*until)))
            }
            Window::Dates(dates) => dates.contains(&local.date()).then(|| frozen(tomorrow())),
            Window::Yearly(days) => days.contains(&(local.month(), local.day())).then(|| frozen(tomorrow())),
            Window::Cron { starts, minutes } => match last_start(starts, &self.timezone, now) {
                Err(_) => Some(frozen(None)),
                Ok(None) => None,
                Ok(Some(start)) => {
                    let end = start + SignedDuration::from_mins(i64::from(*minutes));
                    (now < end).then(|| frozen(Some(end)))
                }
            },
        }
    }

    /// The first of several freezes that holds at that moment.
    pub fn first_at(freezes: &[Freeze], now: Timestamp) -> Option<Frozen> {
        freezes.iter().find_map(|freeze| freeze.at(now))
    }

    /// Whether it is over at that moment, and will not come again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let Ok(zone) = TimeZone::get(&self.timezone) else { return false };
        let local = now.to_zoned(zone);
        match &self.window {
            Window::Between { until, .. } => *until <= local.datetime(),
            Window::Dates(dates) => dates.iter().all(|date| *date < local.date()),
            Window::Yearly(_) | Window::Cron { .. } => false,
        }
    }

    /// What is wrong with it, if something is: an unknown time zone, an unreadable expression, an end before the beginning.
    pub fn fault(&self) -> Option<String> {
        if TimeZone::get(&self.timezone).is_err() {
            return Some(format!("{:?} is no IANA time zone; write one such as Europe/Berlin", self.timezone));
        }
        match &self.window {
            Window::Between { from, until } if until <= from => {
                Some(format!("it ends at {until}, which is not after its beginning at {from}"))
            }
            Window::Cron { starts, minutes } => match last_start(starts, &self.timezone, Timestamp::UNIX_EPOCH) {
                Err(why) => Some(format!("{starts:?} is no cron expression of minute hour day month weekday: {why}")),
                Ok(_) if *minutes == 0 => Some("it lasts no time; give `lasts` such as 60h".to_owned()),
                Ok(_) => None,
            },
            Window::Between { .. } | Window::Dates(_) | Window::Yearly(_) => None,
        }
    }
}

/// The last time at or before `now` that the expression names.
fn last_start(starts: &str, timezone: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let zone: chrono_tz::Tz = timezone.parse().map_err(|_| format!("{timezone} is no time zone"))?;
    let cron: croner::Cron = starts.parse().map_err(|error: croner::errors::CronError| error.to_string())?;
    let now = Instant::from_timestamp(now.as_second(), 0).ok_or("the time is out of range")?;
    let found = cron.find_previous_occurrence(&now.with_timezone(&zone), true).ok();
    Ok(found.and_then(|start| Timestamp::from_second(start.timestamp()).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeze(window: Window) -> Freeze {
        Freeze { name: "quiet".into(), window, timezone: "Europe/Berlin".into() }
    }

    fn at(freeze: &Freeze, now: &str) -> Option<String> {
        let frozen = freeze.at(now.parse().unwrap())?;
        Some(frozen.until.map_or("–".into(), |until| until.to_string()))
    }

    #[test]
    fn a_window_holds_in_its_own_time_zone() {
        let between = freeze(Window::Between {
            from: "2026-12-20T00:00".parse().unwrap(),
            until: "2027-01-04T00:00".parse().unwrap(),
        });
        assert_eq!(at(&between, "2026-12-19T22:59:59Z"), None);
        assert_eq!(at(&between, "2026-12-19T23:00:00Z").as_deref(), Some("2027-01-03T23:00:00Z"));
        assert_eq!(at(&between, "2027-01-03T23:00:00Z"), None);
        let christmas = freeze(Window::Yearly(vec![(12, 25)]));
        assert_eq!(at(&christmas, "2031-12-25T12:00:00Z").as_deref(), Some("2031-12-25T23:00:00Z"));
        assert_eq!(at(&christmas, "2031-12-25T23:30:00Z"), None);
        let holiday = freeze(Window::Dates(vec!["2026-05-01".parse().unwrap()]));
        assert_eq!(at(&holiday, "2026-05-01T00:30:00Z").as_deref(), Some("2026-05-01T22:00:00Z"));
        let is_over = |freeze: &Freeze, now: &str| freeze.is_over(now.parse().unwrap());
        assert!(!is_over(&between, "2027-01-03T22:59:59Z") && is_over(&between, "2027-01-03T23:00:00Z"));
        assert!(!is_over(&holiday, "2026-05-01T21:59:59Z") && is_over(&holiday, "2026-05-01T22:00:00Z"));
        assert!(!is_over(&christmas, "2031-12-26T12:00:00Z"), "it comes again");
    }

    #[test]
    fn a_cron_expression_opens_windows_of_a_length() {
        // From Friday noon for 60 hours: over the weekend, and over the change of clocks on 29 March.
        let weekend = freeze(Window::Cron { starts: "0 12 * * FRI".into(), minutes: 60 * 60 });
        assert_eq!(at(&weekend, "2026-03-27T10:59:59Z"), None);
        assert_eq!(at(&weekend, "2026-03-27T11:00:00Z").as_deref(), Some("2026-03-29T23:00:00Z"));
        assert_eq!(at(&weekend, "2026-03-29T22:59:59Z").as_deref(), Some("2026-03-29T23:00:00Z"));
        assert_eq!(at(&weekend, "2026-03-29T23:00:00Z"), None);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_holds() {
        let odd = freeze(Window::Cron { starts: "every friday".into(), minutes: 60 });
        assert!(odd.fault().unwrap().contains("every friday"));
        assert_eq!(at(&odd, "2026-03-27T10:59:59Z").as_deref(), Some("–"));
        let nowhere = Freeze { timezone: "Mars/Olympus".into(), ..freeze(Window::Yearly(vec![])) };
        assert!(nowhere.fault().is_some() && nowhere.at(Timestamp::UNIX_EPOCH).is_some());
        let backwards = freeze(Window::Between {
            from: "2026-12-20T00:00".parse().unwrap(),
            until: "2026-12-20T00:00".parse().unwrap(),
        });
        assert!(backwards.fault().is_some());
    }
}
