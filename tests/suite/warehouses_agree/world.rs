//! A made-up world with the edges on purpose: exposures and events at the first and last instant of days, epochs and
//! windows, fields that are absent, null or no numbers, units of other experiments and of other types, strange ids.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use polars::prelude::{
    DataFrame, DataType, NamedFrom, ParquetWriter, Series, TimeUnit, TimeZone as PolarsTimeZone, df,
};
use rampkeeper::domain::{
    CohortRequest, Epoch, Experiment, ExperimentId, ExperimentStatus, Metric, Share, Variant, VariantConfig, VariantId,
    exposure_spans,
};
use sqlx::PgPool;
use sqlx::types::Uuid;
use sqlx::types::chrono::{DateTime, Utc};

const EVENT_TYPES: [&str; 4] = ["plan_generated", "plan_accepted", "edit_applied", "custom.noise"];
/// The first day of exposures.
pub(super) const FIRST: Date = date(2026, 1, 5);

struct Assignment {
    experiment: Uuid,
    unit: String,
    variant: Uuid,
    at: Timestamp,
}

pub(super) struct Event {
    kind: &'static str,
    unit_type: &'static str,
    unit: String,
    at: Timestamp,
    /// As JSON has it, and as a column of numbers has it.
    latency: (Option<&'static str>, Option<f64>),
    cost: Option<f64>,
    /// One per unit, far from zero.
    reading: Option<f64>,
}

/// One experiment with its ramp, and all that happened to its units.
pub(super) struct World {
    experiment: Experiment,
    epochs: Vec<Epoch>,
    assignments: Vec<Assignment>,
    pub(super) events: Vec<Event>,
}

/// SplitMix64: small, and the same world on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..1.
    fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn micros(&mut self, within: SignedDuration) -> SignedDuration {
        SignedDuration::from_micros(self.below(within.as_micros() as u64) as i64)
    }
}

fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn variant(number: u128, name: &str) -> Variant {
    Variant {
        id: VariantId(Uuid::from_u128(0xc0_0000 + number)),
        name: name.to_owned(),
        allocation: Share::NONE,
        config: Ok(VariantConfig::Flag),
    }
}

impl World {
    /// Three days of exposures over a ramp 10 % → 25 % at two in the night, and the events of eight days.
    pub(super) fn new() -> Self {
        let mut dice = Dice(20_260_105);
        let experiment = Experiment {
            id: ExperimentId(Uuid::from_u128(0xe1)),
            name: "planner_v2".to_owned(),
            status: ExperimentStatus::Active,
            unit_type: "user".to_owned(),
            start_at: Some(midnight(FIRST)),
            end_at: None,
            variants: vec![variant(0, "control"), variant(1, "candidate")],
        };
        let ramp_at = midnight(FIRST) + SignedDuration::from_hours(26);
        let epoch = |number, started_at| Epoch {
            number,
            started_at,
            ended_at: None,
            allocations: Vec::new(),
            moved_units: false,
            outside: false,
            redrawn_at: None,
        };
        let epochs = vec![epoch(0, midnight(FIRST)), epoch(1, ramp_at)];
        let mut world = Self { experiment, epochs, assignments: Vec::new(), events: Vec::new() };
        for number in 0..6_000 {
            world.add_unit(number, ramp_at, &mut dice);
        }
        world
    }

    fn add_unit(&mut self, number: u64, ramp_at: Timestamp, dice: &mut Dice) {
        let unit = match number % 5 {
            0 => format!("用户 {number} “é”"),
            1 => format!("o'brien\\{number}\t%"),
            _ => Uuid::from_u128(u128::from(dice.roll()) << 64 | u128::from(number)).to_string(),
        };
        let at = match number {
            // The edges of days and epochs.
            0 => midnight(FIRST),
            1 => midnight(FIRST) + SignedDuration::from_hours(24) - SignedDuration::from_micros(1),
            2 => ramp_at - SignedDuration::from_micros(1),
            3 => ramp_at,
            4 => ramp_at + SignedDuration::from_mins(15),
            5 => midnight(FIRST) + SignedDuration::from_hours(72),
            _ => midnight(FIRST) + dice.micros(SignedDuration::from_hours(80)),
        };
        let share = if at < ramp_at { 0.10 } else { 0.25 };
        let variant = self.experiment.variants[usize::from(dice.share() < share)].id.0;
        // Every twentieth unit is in another experiment only, so its events count for nothing here.
        let experiment = if number % 20 == 19 { Uuid::from_u128(0xe2) } else { self.experiment.id.0 };
        self.assignments.push(Assignment { experiment, unit: unit.clone(), variant, at });
        if number % 11 == 7 {
            return; // A unit without events.
        }
        let day = SignedDuration::from_hours(24);
        let micro = SignedDuration::from_micros(1);
        for offset in [-micro, SignedDuration::ZERO, day - micro, day, day * 2 - micro, day * 2] {
            if dice.share() < 0.3 {
                self.add_event(&unit, "user", at + offset, dice);
            }
        }
        for _ in 0..dice.below(20) {
            self.add_event(&unit, "user", at + dice.micros(SignedDuration::from_hours(60)), dice);
        }
        self.add_event(&unit, "session", at + dice.micros(day), dice);
        self.events.push(Event {
            kind: "custom.reading",
            unit_type: "user",
            unit,
            at: at + dice.micros(day),
            latency: (None, None),
            cost: None,
            reading: Some(1e9 + (dice.share() * 1e4).round() / 1e3),
        });
    }

    fn add_event(&mut self, unit: &str, unit_type: &'static str, at: Timestamp, dice: &mut Dice) {
        let kind = EVENT_TYPES[dice.below(EVENT_TYPES.len() as u64) as usize];
        let latency = match dice.below(40) {
            0 => (None, None),
            1 => (Some("null"), None),
            // JSON has no NaN: what is no number there is NaN in a column.
            2 => (Some("\"12\""), Some(f64::NAN)),
            3 => (Some("[1]"), Some(f64::NAN)),
            4 => (Some("1e400"), Some(f64::INFINITY)),
            5 => (Some("1e-400"), Some(f64::NAN)),
            6 => (Some("2000"), Some(2000.0)),
            7 => (Some("2000.0000001"), Some(2000.0000001)),
            8 => (Some("-3.5e2"), Some(-350.0)),
            9 => (Some("0"), Some(0.0)),
            n => [
                (Some("811.25"), Some(811.25)),
                (Some("1e3"), Some(1e3)),
                (Some("3141.592653589793"), Some(3141.592653589793)),
            ][n as usize % 3],
        };
        let cost = (dice.share() < 0.9).then(|| (dice.share() * 1e6).round() / 1e6);
        self.events.push(Event { kind, unit_type, unit: unit.to_owned(), at, latency, cost, reading: None });
    }

    pub(super) fn request<'a>(&'a self, metrics: &'a [Metric], window_days: u16) -> CohortRequest<'a> {
        let until = midnight(FIRST) + SignedDuration::from_hours(24 * 10);
        CohortRequest {
            experiment: &self.experiment,
            metrics: metrics.iter().collect(),
            window_days,
            from: FIRST,
            to: FIRST + 2.days(),
            spans: exposure_spans(&self.epochs, SignedDuration::from_mins(15), until),
        }
    }

    pub(super) async fn fill_postgres(&self, pool: &PgPool) {
        sqlx::raw_sql(TABLES).execute(pool).await.unwrap();
        let assignments = &self.assignments;
        sqlx::query(
            "INSERT INTO exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
             SELECT e, 'user', u, v, a FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS t(e, u, v, a)",
        )
        .bind(assignments.iter().map(|row| row.experiment).collect::<Vec<_>>())
        .bind(assignments.iter().map(|row| row.unit.clone()).collect::<Vec<_>>())
        .bind(assignments.iter().map(|row| row.variant).collect::<Vec<_>>())
        .bind(assignments.iter().map(|row| chrono(row.at)).collect::<Vec<_>>())
        .execute(pool)
        .await
        .unwrap();
        let events = &self.events;
        let metrics = |event: &Event| {
            let fields = [
                event.latency.0.map(|latency| format!("\"latency_ms\": {latency}")),
                event.reading.map(|reading| format!("\"reading\": {reading}")),
            ];
            format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(", "))
        };
        let payload = |event: &Event| event.cost.map(|cost| format!("{{\"cost\": {cost}}}"));
        sqlx::query(
            "INSERT INTO exp.events (event_type, unit_type, unit_id, timestamp, metrics, payload)
             SELECT k, t, u, a, m::jsonb, p::jsonb
             FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[]) AS t(k, t, u, a, m, p)",
        )
        .bind(events.iter().map(|event| event.kind).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.unit_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.unit.clone()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| chrono(event.at)).collect::<Vec<_>>())
        .bind(events.iter().map(metrics).collect::<Vec<_>>())
        .bind(events.iter().map(payload).collect::<Vec<_>>())
        .execute(pool)
        .await
        .unwrap();
        sqlx::raw_sql("ANALYZE exp.assignments, exp.events").execute(pool).await.unwrap();
    }

    pub(super) fn fill_lake(&self, root: &Path) {
        let mut days: BTreeMap<Date, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            days.entry(event.at.to_zoned(TimeZone::UTC).date()).or_default().push(event);
        }
        for (date, events) in days {
            for (part, events) in events.chunks(events.len().div_ceil(2)).enumerate() {
                write(root, "events", date, part, events_frame(events));
            }
        }
        let mut days: BTreeMap<Date, Vec<&Assignment>> = BTreeMap::new();
        for assignment in &self.assignments {
            days.entry(assignment.at.to_zoned(TimeZone::UTC).date()).or_default().push(assignment);
        }
        for (date, assignments) in days {
            write(root, "assignments", date, 0, assignments_frame(&assignments));
        }
    }
}

const TABLES: &str = "
    CREATE SCHEMA exp;
    CREATE TABLE exp.assignments (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), experiment_id uuid NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, variant_id uuid NOT NULL, assigned_at timestamptz NOT NULL,
        UNIQUE (experiment_id, unit_id));
    CREATE TABLE exp.events (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_type varchar(100) NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, experiments jsonb, context jsonb, metrics jsonb, payload jsonb,
        timestamp timestamptz NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON exp.events (unit_type, unit_id);
    CREATE INDEX ON exp.events (timestamp);";

fn chrono(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.as_microsecond()).unwrap()
}

fn events_frame(events: &[&Event]) -> DataFrame {
    df!(
        "event_type" => events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        "unit_type" => events.iter().map(|event| event.unit_type).collect::<Vec<_>>(),
        "unit_id" => events.iter().map(|event| event.unit.as_str()).collect::<Vec<_>>(),
        "timestamp" => instants(events.iter().map(|event| event.at)),
        "latency_ms" => events.iter().map(|event| event.latency.1).collect::<Vec<_>>(),
        "reading" => events.iter().map(|event| event.reading).collect::<Vec<_>>(),
        "payload.cost" => events.iter().map(|event| event.cost).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn assignments_frame(rows: &[&Assignment]) -> DataFrame {
    df!(
        "experiment_id" => rows.iter().map(|row| row.experiment.to_string()).collect::<Vec<_>>(),
        "unit_id" => rows.iter().map(|row| row.unit.as_str()).collect::<Vec<_>>(),
        "variant_id" => rows.iter().map(|row| row.variant.to_string()).collect::<Vec<_>>(),
        "assigned_at" => instants(rows.iter().map(|row| row.at)),
    )
    .unwrap()
}

fn instants(values: impl Iterator<Item = Timestamp>) -> Series {
    let utc = DataType::Datetime(TimeUnit::Microseconds, Some(PolarsTimeZone::UTC));
    Series::new("".into(), values.map(|at| at.as_microsecond()).collect::<Vec<_>>()).cast(&utc).unwrap()
}

fn write(root: &Path, table: &str, date: Date, part: usize, mut frame: DataFrame) {
    let folder = root.join(table).join(format!("date={date}"));
    fs::create_dir_all(&folder).unwrap();
    let file = File::create(folder.join(format!("part-{part}.parquet"))).unwrap();
    ParquetWriter::new(file).with_row_group_size(Some(1_000)).finish(&mut frame).unwrap();
}
