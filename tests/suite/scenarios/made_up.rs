//! The made-up warehouse: it answers with exactly the moments that a scenario's file describes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan, Unit};
use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, Series};
use rampkeeper::control::ControlStore;
use rampkeeper::domain::{CohortRequest, EpochSpan, Metric, Share, Variant, VariantId};
use rampkeeper::warehouse::{Collected, Partition, Warehouse, WarehouseError};
use serde_json::Value;

use super::story::Days;

/// Events that each unit brings, for the counts beside the moments.
const EVENTS_PER_UNIT: f64 = 2.0;

/// The warehouse.
pub struct MadeUp {
    /// Where the shares of each epoch are read, as the assignment service knows them.
    control: ControlStore,
    days: Vec<Days>,
    /// What of it is out of order tonight.
    tonight: Mutex<Tonight>,
}

/// What the warehouse is like tonight.
#[derive(Clone, Debug, Default)]
pub struct Tonight {
    /// The night.
    pub as_of: Date,
    /// What a query ends with.
    pub query_fails: Option<String>,
    /// Whether nobody answers at all.
    pub out_of_reach: bool,
}

impl MadeUp {
    /// With the data of a scenario.
    pub fn new(control: ControlStore, days: Vec<Days>) -> MadeUp {
        MadeUp { control, days, tonight: Mutex::default() }
    }

    /// What it is like from now on.
    pub fn tonight(&self, tonight: Tonight) {
        *self.tonight.lock().expect("no panic holds it") = tonight;
    }

    fn now(&self) -> Tonight {
        self.tonight.lock().expect("no panic holds it").clone()
    }

    /// A day, as the entries that are for it make it; a later entry goes before.
    fn day(&self, date: Date) -> Days {
        let ours = self.days.iter().filter(|days| {
            days.from.is_none_or(|from| from <= date)
                && days.to.is_none_or(|to| date <= to)
                && days.on.is_none_or(|on| on == date)
        });
        ours.cloned().fold(Days::default(), |mut all, days| {
            all.units_per_day = days.units_per_day.or(all.units_per_day);
            all.in_two_arms = days.in_two_arms.or(all.in_two_arms);
            all.not_numbers = days.not_numbers.or(all.not_numbers);
            all.events = days.events.or(all.events);
            all.lost.extend(days.lost);
            for (metric, levels) in days.metrics {
                all.metrics.entry(metric).or_default().extend(levels);
            }
            all
        })
    }
}

#[async_trait]
impl Warehouse for MadeUp {
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let now = self.now();
        if now.out_of_reach {
            let source = "connection refused".into();
            return Err(WarehouseError::Unreachable { warehouse: self.describe(), source });
        }
        let day = self.day(date);
        let rows = (day.units_per_day.unwrap_or_default() * EVENTS_PER_UNIT).round() as u64;
        let noon = date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).expect("noon in UTC").timestamp();
        let complete = Partition { date, rows, latest_event_at: Some(noon + SignedDuration::from_mins(719)) };
        Ok(match day.events.as_deref().unwrap_or("complete") {
            "complete" => Some(complete),
            "missing" => None,
            "cut short" => Some(Partition { latest_event_at: Some(noon), ..complete }),
            "few" => Some(Partition { rows: rows / 3, ..complete }),
            "unreadable" => {
                let path = PathBuf::from(format!("lake/events/date={date}/part-0.parquet"));
                let reason = "its footer is missing".to_owned();
                return Err(WarehouseError::BrokenPartition { path, date, reason, source: None });
            }
            other => {
                let seen = other.strip_prefix("late until ").and_then(|text| text.parse::<Date>().ok());
                let seen = seen.unwrap_or_else(|| panic!("events: {other:?} is not known"));
                (now.as_of >= seen).then_some(complete)
            }
        })
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        if let Some(what) = self.now().query_fails {
            let doing = format!("reading the cohorts of {}", request.experiment.name);
            return Err(WarehouseError::Query { doing, source: what.into() });
        }
        let epochs = self.control.epochs_of(request.experiment.id).await.expect("the epochs are readable");
        let shares: BTreeMap<i64, &[(VariantId, Share)]> =
            epochs.iter().map(|epoch| (epoch.number, epoch.allocations.as_slice())).collect();
        let mut answer = Answer::default();
        for date in request.from.series(1.day()).take_while(|date| *date <= request.to) {
            let day = self.day(date);
            for span in &request.spans {
                let part = part_of(date, span);
                for variant in &request.experiment.variants {
                    let shares = shares.get(&span.epoch).copied().unwrap_or_default();
                    let share =
                        shares.iter().find(|(id, _)| *id == variant.id).map_or(0.0, |(_, share)| share.as_f64());
                    answer.add(&day, (date, span.epoch), variant, part * share, &request.metrics);
                }
            }
        }
        Ok(answer.frames())
    }

    fn describe(&self) -> String {
        "made up".to_owned()
    }
}

/// The part of a day that lies in a span.
fn part_of(date: Date, span: &EpochSpan) -> f64 {
    let begin = date.to_zoned(TimeZone::UTC).expect("a midnight in UTC").timestamp();
    let end = begin + SignedDuration::from_hours(24);
    let inside = span.to.min(end).duration_since(span.from.max(begin));
    inside.as_secs_f64().max(0.0) / 86_400.0
}

/// The answer's rows.
#[derive(Default)]
struct Answer {
    health: Vec<(Key, [i64; 5])>,
    moments: Vec<(Key, String, i64, [f64; 5])>,
}

type Key = (Date, i64, String);

impl Answer {
    /// The units of one arm in one cohort, with all that they brought.
    fn add(&mut self, day: &Days, (date, epoch): (Date, i64), variant: &Variant, part: f64, metrics: &[&Metric]) {
        let arriving = 1.0 - day.lost.get(&variant.name).copied().unwrap_or_default();
        let met = (day.units_per_day.unwrap_or_default() * part * arriving).round();
        let elsewhere = (met * day.in_two_arms.unwrap_or_default()).round();
        let units = met - elsewhere;
        if met == 0.0 {
            return;
        }
        let events = (units * EVENTS_PER_UNIT).round();
        let not_numbers = (events * day.not_numbers.unwrap_or_default()).round();
        let key = (date, epoch, variant.id.to_string());
        self.health.push((key.clone(), [units, events, 0.0, not_numbers, elsewhere].map(|count| count as i64)));
        if units == 0.0 {
            return;
        }
        for metric in metrics {
            let levels = day.metrics.get(&metric.name);
            let levels = levels.unwrap_or_else(|| panic!("the data say nothing of {} on {date}", metric.name));
            let level = levels.get(&variant.name).or_else(|| levels.get("control"));
            let numbers = match level.and_then(Value::as_f64) {
                Some(mean) => {
                    let spread = levels.get("spread").and_then(Value::as_f64);
                    let variance = spread.map_or(mean * (1.0 - mean), |spread| spread * spread);
                    [mean, variance * units, 1.0, 0.0, 0.0]
                }
                // A mean has the denominator one whatever comes in; the denominator of a ratio is an event, too.
                None if metric.denominator().is_none() => [0.0, 0.0, 1.0, 0.0, 0.0],
                None => [0.0; 5],
            };
            self.moments.push((key.clone(), metric.name.clone(), units as i64, numbers));
        }
    }

    fn frames(self) -> Collected {
        let mut health = keys(self.health.iter().map(|(key, _)| key));
        for (place, name) in ["units", "events", "missing", "not_numbers", "multiple_exposed"].into_iter().enumerate() {
            let counts: Vec<i64> = self.health.iter().map(|(_, counts)| counts[place]).collect();
            health.push(Series::new(name.into(), counts));
        }
        let mut moments = keys(self.moments.iter().map(|(key, ..)| key));
        let names: Vec<&str> = self.moments.iter().map(|(_, name, ..)| name.as_str()).collect();
        moments.push(Series::new("metric".into(), names));
        moments.push(Series::new("n".into(), self.moments.iter().map(|(_, _, n, _)| *n).collect::<Vec<i64>>()));
        for (place, name) in ["mean_y", "m2_y", "mean_d", "m2_d", "c_yd"].into_iter().enumerate() {
            let numbers: Vec<f64> = self.moments.iter().map(|(.., numbers)| numbers[place]).collect();
            moments.push(Series::new(name.into(), numbers));
        }
        Collected { moments: frame(moments), health: frame(health) }
    }
}

fn keys<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Series> {
    let days = keys.clone().map(|(day, ..)| date(1970, 1, 1).until((Unit::Day, *day)).expect("days").get_days());
    let days = Series::new("cohort_date".into(), days.collect::<Vec<i32>>());
    vec![
        days.cast(&DataType::Date).expect("days are dates"),
        Series::new("epoch".into(), keys.clone().map(|(_, epoch, _)| *epoch).collect::<Vec<i64>>()),
        Series::new("variant_id".into(), keys.map(|(.., variant)| variant.as_str()).collect::<Vec<&str>>()),
    ]
}

fn frame(columns: Vec<Series>) -> DataFrame {
    let height = columns[0].len();
    DataFrame::new(height, columns.into_iter().map(IntoColumn::into_column).collect()).expect("columns of one length")
}
