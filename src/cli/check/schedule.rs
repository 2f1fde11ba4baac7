//! When the nights run, and in whose time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Asked;
use super::finding::{Area, Finding};
use crate::schedule;

const AREA: Area = Area::Schedule;

/// How many runs are told.
const RUNS: usize = 3;

/// What is to be said of the schedule.
pub(super) fn findings(asked: &Asked<'_>) -> Vec<Finding> {
    let utc = TimeZone::UTC;
    let Some(entry) = &asked.config.settings.schedule else {
        let told = format!(
            "none, so `serve` cannot run; cron, systemd or Kubernetes start the nights. It is {}",
            at(asked.now, &utc)
        );
        return vec![Finding::ok(AREA, "schedule", told)];
    };
    let name = entry.timezone.as_deref().unwrap_or("UTC");
    let Ok(zone) = TimeZone::get(name) else {
        let detail = format!("{name:?} is no time zone that is known here");
        return vec![Finding::fail(AREA, "time zone", detail, "write an IANA name such as Europe/Berlin")];
    };
    let runs = match schedule::next_runs(&entry.cron, name, asked.now, RUNS) {
        Ok(runs) => runs,
        Err(error) => {
            let mend = "write second minute hour day month weekday, such as 0 30 2 * * *";
            return vec![Finding::fail(AREA, "next runs", error.to_string(), mend)];
        }
    };
    if runs.is_empty() {
        let detail = format!("{:?} names no time that is still to come", entry.cron);
        return vec![Finding::fail(AREA, "next runs", detail, "write one that does, such as 0 30 2 * * *")];
    }
    let told: Vec<String> = runs
        .iter()
        .map(|run| match name {
            "UTC" | "Etc/UTC" => at(*run, &utc),
            _ => format!("{} ({})", at(*run, &zone), at(*run, &utc)),
        })
        .collect();
    vec![
        Finding::ok(AREA, "time zone", format!("{name}; it is {}", at(asked.now, &zone))),
        Finding::ok(AREA, "next runs", told.join(", ")),
    ]
}

fn at(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}
