//! Aggregates in a SQLite file, held to the events that they were made of.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use super::*;
use crate::domain::{Aggregate, AggregateOf, DesignEffect, Direction, EpochSpan, Metric, MetricForm};
use crate::warehouse::fixture::{CANDIDATE, CONTROL, EXPERIMENT, at, count, day, experiment, mean, request};
use crate::warehouse::{Examine, SqliteSettings, SqliteWarehouse, Tables};

const TABLE: &str = "CREATE TABLE exp_metric_aggregates (
    experiment_id TEXT, variant_id TEXT, metric_name TEXT, bucket_type TEXT, bucket_start TEXT,
    count BIGINT, sum DOUBLE, mean DOUBLE, min DOUBLE, max DOUBLE, stddev DOUBLE)";

fn of(name: &str, of: AggregateOf, effect: f64) -> Metric {
    let design_effect = DesignEffect::try_from(effect).unwrap();
    let form = MetricForm::Aggregate(Aggregate { of, design_effect });
    Metric {
        name: name.into(),
        description: None,
        form,
        direction: Direction::Decrease,
        window_days: 1,
        covariate_days: None,
    }
}

fn latency(effect: f64) -> Metric {
    of("latency", AggregateOf::Mean("latency_ms".into()), effect)
}

fn acceptance(effect: f64) -> Metric {
    of("acceptance", AggregateOf::Rate { of: "accepted".into(), among: "generated".into() }, effect)
}

/// A file with a table of aggregates, and the warehouse over it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let world = World { dir: tempfile::tempdir().unwrap() };
        world.run(TABLE).await;
        world
    }

    async fn run(&self, sql: &str) {
        let url = format!("sqlite:{}?mode=rwc", self.dir.path().join("a.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    /// One hourly bucket of those values.
    async fn bucket(&self, variant: &str, metric: &str, start: &str, values: &[f64]) {
        let n = values.len() as f64;
        let average = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - average) * (v - average)).sum::<f64>() / n;
        self.row(variant, metric, "hourly", start, (values.len(), Some(values.iter().sum()), Some(variance.sqrt())))
            .await;
    }

    async fn row(
        &self,
        variant: &str,
        metric: &str,
        bucket: &str,
        start: &str,
        (count, sum, stddev): (usize, Option<f64>, Option<f64>),
    ) {
        let number = |value: Option<f64>| value.map_or("NULL".to_owned(), |value| format!("{value:?}"));
        self.run(&format!(
            "INSERT INTO exp_metric_aggregates (experiment_id, variant_id, metric_name, bucket_type, bucket_start, count, sum, stddev)
             VALUES ('{EXPERIMENT}', '{variant}', '{metric}', '{bucket}', '{start}', {count}, {}, {})",
            number(sum),
            number(stddev)
        ))
        .await;
    }

    async fn open(&self, bucket: BucketSize) -> AggregatesWarehouse<crate::warehouse::sqlite::Sqlite> {
        let settings = SqliteSettings {
            path: self.dir.path().join("a.db"),
            statement_timeout: Duration::from_secs(5),
            tables: Tables::embedded().with_aggregates(TableName::plain("exp_metric_aggregates")),
        };
        AggregatesWarehouse::over(SqliteWarehouse::open(settings).await.unwrap(), bucket).unwrap()
    }
}

fn numbers(frame: &polars::prelude::DataFrame, column: &str) -> Vec<f64> {
    let column = frame.column(column).unwrap().cast(&polars::prelude::DataType::Float64).unwrap();
    column.f64().unwrap().iter().map(Option::unwrap).collect()
}

#[tokio::test]
async fn buckets_add_up_to_their_events_at_a_design_effects_worth() {
    let world = World::new().await;
    let values: Vec<f64> = (0..240).map(|i| 100.0 + f64::from((i * 37) % 91)).collect();
    for (hour, part) in values.chunks(10).enumerate() {
        world.bucket(CONTROL, "latency_ms", &format!("2026-01-05T{hour:02}:00:00Z"), part).await;
    }
    // Of other days, other buckets and another name: nothing of these counts.
    world.bucket(CONTROL, "latency_ms", "2026-01-04T23:00:00Z", &[1e6; 9]).await;
    world.bucket(CONTROL, "cost", "2026-01-05T03:00:00Z", &[1e6; 9]).await;
    world.row(CONTROL, "latency_ms", "daily", "2026-01-05T00:00:00Z", (240, Some(1e9), Some(1e9))).await;
    let experiment = experiment();
    for effect in [1.0, 2.5] {
        let metrics = [latency(effect)];
        let request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
        let found = world.open(BucketSize::Hour).await.collect(&request).await.unwrap();
        let n = (240.0 / effect).floor();
        let average = values.iter().sum::<f64>() / 240.0;
        let variance = values.iter().map(|v| (v - average).powi(2)).sum::<f64>() / 240.0;
        assert_eq!(numbers(&found.moments, "n"), [n]);
        assert!((numbers(&found.moments, "mean_y")[0] - average).abs() < 1e-9);
        assert!((numbers(&found.moments, "m2_y")[0] / n - variance).abs() < 1e-9 * variance);
        assert_eq!(numbers(&found.health, "units"), [n]);
        assert_eq!(numbers(&found.health, "events"), [240.0]);
    }
}

#[tokio::test]
async fn a_bucket_that_saw_two_splits_counts_for_neither() {
    let world = World::new().await;
    for hour in ["01", "02", "03"] {
        world.bucket(CANDIDATE, "latency_ms", &format!("2026-01-05T{hour}:00:00Z"), &[1.0, 3.0]).await;
    }
    let experiment = experiment();
    let metrics = [latency(1.0)];
    let mut request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    request.spans = vec![
        EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-01-05T02:30:00Z") },
        EpochSpan { epoch: 1, from: at("2026-01-05T02:45:00Z"), to: at("2026-02-01T00:00:00Z") },
    ];
    let found = world.open(BucketSize::Hour).await.collect(&request).await.unwrap();
    assert_eq!(numbers(&found.moments, "epoch"), [0.0, 1.0]);
    assert_eq!(numbers(&found.moments, "n"), [2.0, 2.0]);
    // A whole day saw both.
    world.row(CANDIDATE, "latency_ms", "daily", "2026-01-05T00:00:00Z", (6, Some(12.0), Some(1.0))).await;
    let found = world.open(BucketSize::Day).await.collect(&request).await.unwrap();
    assert_eq!(found.moments.height(), 0);
}

#[tokio::test]
async fn a_rate_is_of_what_was_tried_and_what_was_not_measured_is_not_zero() {
    let world = World::new().await;
    world.row(CONTROL, "generated", "hourly", "2026-01-05T01:00:00Z", (1000, None, None)).await;
    world.row(CONTROL, "accepted", "hourly", "2026-01-05T01:00:00Z", (250, None, None)).await;
    world.row(CANDIDATE, "accepted", "hourly", "2026-01-05T01:00:00Z", (7, None, None)).await;
    let experiment = experiment();
    let edits = of("edits", AggregateOf::Count { of: "generated".into(), per: "accepted".into() }, 1.0);
    let metrics = [acceptance(4.0), edits];
    let request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    let found = world.open(BucketSize::Hour).await.collect(&request).await.unwrap();
    // Control's two, and the candidate's count of nothing among seven.
    assert_eq!(numbers(&found.moments, "n"), [250.0, 250.0, 7.0]);
    assert_eq!(numbers(&found.moments, "mean_y"), [0.25, 4.0, 0.0]);
    assert_eq!(numbers(&found.moments, "m2_y"), [250.0 * 0.25 * 0.75, 250.0 * 4.0, 0.0]);
    assert_eq!(numbers(&found.health, "units"), [250.0, 0.0]);
    world.row(CANDIDATE, "generated", "hourly", "2026-01-05T02:00:00Z", (5, None, None)).await;
    let refused = world.open(BucketSize::Hour).await.collect(&request).await.unwrap_err();
    assert!(format!("{:?}", refused).contains("this is no rate; write `count` and `per`"), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_judged_is_refused_in_words() {
    let world = World::new().await;
    world.row(CONTROL, "latency_ms", "hourly", "2026-01-05T01:00:00Z", (9, Some(3.0), None)).await;
    let experiment = experiment();
    let metrics = [latency(1.0)];
    let spread = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    let warehouse = world.open(BucketSize::Hour).await;
    let refused = warehouse.collect(&spread).await.unwrap_err();
    assert!(format!("{refused:?}").contains("lacks `sum` or `stddev`"), "{refused:?}");
    let per_unit = [mean("orders", count("order_placed"))];
    let refused = warehouse.collect(&request(&experiment, &per_unit, "2026-01-05", "2026-01-05")).await.unwrap_err();
    assert!(refused.to_string().contains("aggregates know no units"), "{refused}");
    world.run("ALTER TABLE exp_metric_aggregates DROP COLUMN stddev").await;
    let told: Vec<String> =
        warehouse.faults(day("2026-01-05")).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("exp_metric_aggregates has no column \"stddev\""), "{told:?}");
}

#[tokio::test]
async fn a_day_is_complete_with_its_last_bucket() {
    let world = World::new().await;
    let warehouse = world.open(BucketSize::Hour).await;
    assert_eq!(warehouse.partition(day("2026-01-05")).await.unwrap(), None);
    assert_eq!(warehouse.newest(day("2026-01-09")).await.unwrap(), None);
    world.bucket(CONTROL, "latency_ms", "2026-01-05T01:00:00Z", &[1.0, 2.0]).await;
    world.bucket(CANDIDATE, "latency_ms", "2026-01-05T23:00:00Z", &[1.0, 2.0, 3.0]).await;
    let found = warehouse.partition(day("2026-01-05")).await.unwrap().unwrap();
    assert_eq!((found.rows, found.latest_event_at), (5, Some(at("2026-01-05T23:59:59.999999Z"))));
    assert_eq!(warehouse.newest(day("2026-01-09")).await.unwrap(), Some(day("2026-01-05")));
    let samples = warehouse.rehearse(&acceptance(1.0), day("2026-01-05")).await.unwrap();
    assert_eq!(
        samples.iter().map(|sample| (sample.event.as_str(), sample.events)).collect::<Vec<_>>(),
        [("accepted", 0), ("generated", 0)]
    );
}
