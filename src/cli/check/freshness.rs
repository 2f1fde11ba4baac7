//! How old the events are: the last complete day, and how many nights go without one.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};

use super::Asked;
use super::experiments::Known;
use super::finding::{Area, Finding, in_one_line, in_time};
use crate::control::ControlStore;
use crate::evidence::{Day, DayState, judge_day};
use crate::warehouse::{Examine, WarehouseError};

const AREA: Area = Area::Freshness;

/// Weeks of known days that the size of a day is judged by, and a bit.
const REMEMBERED_DAYS: i64 = 35;

/// Days that are looked at to find a complete one. Each may cost a count over the day's events.
const LOOKED_AT: usize = 4;

/// What is to be said of the events' age.
pub(super) async fn findings(
    asked: &Asked<'_>,
    store: Option<&ControlStore>,
    warehouse: Option<&dyn Examine>,
    known: Option<&Known>,
) -> Vec<Finding> {
    let Some(warehouse) = warehouse else { return Vec::new() };
    let since = asked.as_of.saturating_sub(REMEMBERED_DAYS.days());
    let remembered = match store {
        // A store without its tables is told elsewhere.
        Some(store) => in_time(store.load_days(since)).await.unwrap_or_default(),
        None => BTreeMap::new(),
    };
    match in_time(last_complete(asked, warehouse, remembered)).await {
        Ok(found) => vec![judge(asked, known, &found)],
        Err(error) => {
            let mend = "see what the lines about the warehouse say; an index on exp.events (timestamp) makes counting a day quick";
            vec![Finding::fail(AREA, "events", error, mend)]
        }
    }
}

/// What was found of the days.
struct Found {
    /// The last complete day.
    complete: Option<Day>,
    /// Whether there is any event at all.
    any: bool,
    /// Why the newest day that was looked at is not complete.
    incomplete: Option<(Date, DayState)>,
}

async fn last_complete(
    asked: &Asked<'_>,
    warehouse: &dyn Examine,
    mut days: BTreeMap<Date, Day>,
) -> Result<Found, WarehouseError> {
    let as_of = asked.as_of;
    days.retain(|date, _| *date <= as_of);
    let Some(newest) = warehouse.newest(as_of).await? else {
        return Ok(Found { complete: None, any: false, incomplete: Some((as_of, DayState::Missing)) });
    };
    let remembered = days.last_key_value().map(|(date, _)| *date);
    let mut incomplete = (newest < as_of).then_some((as_of, DayState::Missing));
    let mut date = newest;
    for _ in 0..LOOKED_AT {
        if remembered.is_some_and(|remembered| remembered >= date) {
            break;
        }
        let state = match warehouse.partition(date).await {
            Ok(found) => {
                let day = found.map(|p| Day { date, rows: p.rows, latest_event_at: p.latest_event_at, content: None });
                let state = judge_day(date, day.as_ref(), |before| days.get(&before).map(|day| day.rows));
                let accepted = asked.config.settings.evidence.accept_days.contains(&date);
                match day {
                    Some(day) if state.is_complete() || accepted => {
                        return Ok(Found { complete: Some(day), any: true, incomplete });
                    }
                    _ => state,
                }
            }
            Err(error @ WarehouseError::BrokenPartition { .. }) => DayState::Broken { why: in_one_line(&error.into()) },
            Err(error) => return Err(error),
        };
        incomplete.get_or_insert((date, state));
        let Ok(before) = date.yesterday() else { break };
        date = before;
    }
    Ok(Found { complete: days.pop_last().map(|(_, day)| day), any: true, incomplete })
}

fn judge(asked: &Asked<'_>, known: Option<&Known>, found: &Found) -> Finding {
    let as_of = asked.as_of;
    let complete = found.complete.as_ref();
    let detail = match complete {
        Some(day) => format!("the last complete day is {}, with {} events", day.date, day.rows),
        None if found.any => "no complete day was found".to_owned(),
        None => format!("there are none up to {as_of}"),
    };
    if complete.is_some_and(|day| day.date >= as_of) {
        return Finding::ok(AREA, "events", detail);
    }
    let why = found.incomplete.as_ref().map(|(date, state)| format!("; the events of {date} are {state}"));
    let detail = format!("{detail}{}", why.unwrap_or_default());
    let mend = "see why they are late; a day that is right as it is can be named in `evidence.accept_days`";
    // A night waits for a while before it calls for somebody; by then this is no wait any more.
    let overdue = known.into_iter().flat_map(Known::active).any(|record| {
        let begun = record.experiment.start_at.unwrap_or(record.created_at).to_zoned(TimeZone::UTC).date();
        let since = complete.map_or(begun, |day| begun.max(day.date.saturating_add(1.days())));
        let nights = since.until((Unit::Day, as_of)).map_or(0, |span| i64::from(span.get_days())) + 1;
        nights >= i64::from(asked.config.policies.of(&record.experiment.name).page_after_nights)
    });
    if overdue { Finding::fail(AREA, "events", detail, mend) } else { Finding::warn(AREA, "events", detail, mend) }
}
