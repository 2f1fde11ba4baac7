//! The same rows, written into every engine as its users would keep them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use polars::prelude::{
    DataFrame, DataType, IntoSeries, NamedFrom, ParquetWriter, Series, StructChunked, TimeUnit,
    TimeZone as PolarsTimeZone, df,
};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Connection, PgPool};

use super::world::{Assignment, Event};
use crate::support::clickhouse::Clickhouse;
use crate::support::mariadb::Mariadb;

fn metrics(event: &Event) -> String {
    let fields = [
        event.latency.0.as_ref().map(|latency| format!("\"latency_ms\": {latency}")),
        event.reading.map(|reading| format!("\"reading\": {reading}")),
    ];
    format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn payload(event: &Event) -> Option<String> {
    event.cost.map(|cost| format!("{{\"cost\": {cost}}}"))
}

fn experiments(event: &Event) -> String {
    let items = event.experiments.iter().map(|(experiment, variant)| {
        // Services write keys as they please.
        let variant = variant.to_string().to_uppercase();
        json!({ "experiment_id": experiment.to_string(), "variant_id": variant })
    });
    json!(items.collect::<Vec<_>>()).to_string()
}

fn chrono(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.as_microsecond()).unwrap()
}

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL

const POSTGRES: &str = "
    CREATE SCHEMA exp;
    CREATE TABLE exp.assignments (experiment_id uuid NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, variant_id uuid NOT NULL, assigned_at timestamptz NOT NULL);
    CREATE INDEX ON exp.assignments (experiment_id, assigned_at);
    CREATE TABLE exp.first_assignments (LIKE exp.assignments, UNIQUE (experiment_id, unit_id));
    CREATE INDEX ON exp.first_assignments (experiment_id, assigned_at);
    CREATE TABLE exp.events (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_type varchar(100) NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, experiments jsonb, context jsonb, metrics jsonb, payload jsonb,
        timestamp timestamptz NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON exp.events (unit_type, unit_id);
    CREATE INDEX ON exp.events (timestamp);";

/// Empty tables.
pub(super) async fn create_postgres(pool: &PgPool) {
    sqlx::raw_sql(POSTGRES).execute(pool).await.unwrap();
}

pub(super) async fn assign_postgres(pool: &PgPool, table: &str, rows: &[Assignment]) {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO exp.{table} (experiment_id, unit_type, unit_id, variant_id, assigned_at)
         SELECT e, 'user', u, v, a FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS t(e, u, v, a)"
    )))
    .bind(rows.iter().map(|row| row.experiment).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.unit.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.variant).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| chrono(row.at)).collect::<Vec<_>>())
    .execute(pool)
    .await
    .unwrap();
}

pub(super) async fn happen_postgres(pool: &PgPool, events: &[Event]) {
    sqlx::query(
        "INSERT INTO exp.events (event_type, unit_type, unit_id, timestamp, metrics, payload, experiments)
         SELECT k, t, u, a, m::jsonb, p::jsonb, x::jsonb
         FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
              AS t(k, t, u, a, m, p, x)",
    )
    .bind(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.unit_type).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.unit.clone()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| chrono(event.at)).collect::<Vec<_>>())
    .bind(events.iter().map(metrics).collect::<Vec<_>>())
    .bind(events.iter().map(payload).collect::<Vec<_>>())
    .bind(events.iter().map(experiments).collect::<Vec<_>>())
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("ANALYZE").execute(pool).await.unwrap();
}

// ---------------------------------------------------------------------------------------------------------------------
// SQLite

const SQLITE: &str = "
    CREATE TABLE exp_assignments (experiment_id TEXT NOT NULL, unit_type TEXT NOT NULL, unit_id TEXT NOT NULL,
        variant_id TEXT NOT NULL, assigned_at TEXT NOT NULL);
    CREATE INDEX assignments_by_time ON exp_assignments (experiment_id, assigned_at);
    CREATE TABLE first_assignments (experiment_id TEXT NOT NULL, unit_type TEXT NOT NULL, unit_id TEXT NOT NULL,
        variant_id TEXT NOT NULL, assigned_at TEXT NOT NULL, PRIMARY KEY (experiment_id, unit_id)) WITHOUT ROWID;
    CREATE TABLE exp_events (id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, unit_type TEXT NOT NULL,
        unit_id TEXT NOT NULL, experiments TEXT, context TEXT, metrics TEXT, payload TEXT, timestamp TEXT NOT NULL);
    CREATE INDEX events_by_unit ON exp_events (unit_type, unit_id);
    CREATE INDEX events_by_time ON exp_events (timestamp);";

/// Empty tables.
pub(super) async fn create_sqlite(file: &Path) {
    in_file(file, async |connection| {
        sqlx::raw_sql(SQLITE).execute(connection).await.unwrap();
    })
    .await;
}

pub(super) async fn assign_sqlite(file: &Path, table: &str, rows: &[Assignment]) {
    let rows = rows.iter().enumerate().map(|(number, row)| {
        json!([row.experiment.to_string(), row.unit, row.variant.to_string(), text(number, row.at)])
    });
    let rows = json!(rows.collect::<Vec<_>>()).to_string();
    let sql = format!(
        "INSERT INTO {table} (experiment_id, unit_type, unit_id, variant_id, assigned_at)
         SELECT value ->> 0, 'user', value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"
    );
    in_file(file, async |connection| {
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(rows).execute(connection).await.unwrap();
    })
    .await;
}

pub(super) async fn happen_sqlite(file: &Path, events: &[Event]) {
    let rows = events.iter().enumerate().map(|(number, event)| {
        let at = text(number, event.at);
        json!([event.kind, event.unit_type, event.unit, at, metrics(event), payload(event), experiments(event)])
    });
    let rows = json!(rows.collect::<Vec<_>>()).to_string();
    let sql = "INSERT INTO exp_events (event_type, unit_type, unit_id, timestamp, metrics, payload, experiments)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
         FROM json_each(?)";
    in_file(file, async |connection| {
        sqlx::query(sql).bind(rows).execute(&mut *connection).await.unwrap();
        sqlx::raw_sql("ANALYZE").execute(connection).await.unwrap();
    })
    .await;
}

async fn in_file(file: &Path, work: impl AsyncFnOnce(&mut SqliteConnection)) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    work(&mut connection).await;
    connection.close().await.unwrap();
}

/// An instant in the ways in which programs write one.
fn text(number: usize, at: Timestamp) -> String {
    let utc = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    match number % 4 {
        0 => format!("{utc}Z"),
        1 => utc.replace('T', " "),
        2 => {
            let east = at + SignedDuration::from_hours(9);
            format!("{}+09:00", east.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f"))
        }
        // Trailing zeros are left out.
        _ => at.to_string(),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// MariaDB

const MARIADB: &str = "
    CREATE TABLE assignments (experiment_id char(36) NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, variant_id char(36) NOT NULL, assigned_at datetime(6) NOT NULL,
        KEY (experiment_id, assigned_at));
    CREATE TABLE first_assignments (experiment_id char(36) NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) COLLATE utf8mb4_nopad_bin NOT NULL, variant_id char(36) NOT NULL,
        assigned_at timestamp(6) NOT NULL, UNIQUE (experiment_id, unit_id));
    CREATE TABLE events (id bigint AUTO_INCREMENT PRIMARY KEY, event_type varchar(100) NOT NULL,
        unit_type varchar(50) NOT NULL, unit_id varchar(255) NOT NULL, experiments json, context json, metrics json,
        payload json, `timestamp` datetime(6) NOT NULL, KEY (unit_type, unit_id), KEY (`timestamp`));";

/// A text as a literal of MySQL's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn datetime(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("'%Y-%m-%d %H:%M:%S%.6f'").to_string()
}

/// Empty tables.
pub(super) async fn create_mariadb(server: &Mariadb, url: &str) {
    server.sql(url, MARIADB).await;
}

async fn insert_mariadb(server: &Mariadb, url: &str, table: &str, rows: &[String]) {
    for rows in rows.chunks(4_000) {
        let statement = format!("SET time_zone = '+00:00'; INSERT INTO {table} VALUES {}", rows.join(","));
        server.sql(url, &statement).await;
    }
    server.sql(url, &format!("ANALYZE TABLE {table}")).await;
}

pub(super) async fn assign_mariadb(server: &Mariadb, url: &str, table: &str, rows: &[Assignment]) {
    let row = |row: &Assignment| {
        format!("('{}','user',{},'{}',{})", row.experiment, quoted(&row.unit), row.variant, datetime(row.at))
    };
    insert_mariadb(server, url, table, &rows.iter().map(row).collect::<Vec<_>>()).await;
}

pub(super) async fn happen_mariadb(server: &Mariadb, url: &str, events: &[Event]) {
    let row = |event: &Event| {
        let payload = payload(event).map_or("NULL".to_owned(), |payload| quoted(&payload));
        format!(
            "(NULL,'{}','{}',{},{},NULL,{},{payload},{})",
            event.kind,
            event.unit_type,
            quoted(&event.unit),
            quoted(&experiments(event)),
            quoted(&metrics(event)),
            datetime(event.at)
        )
    };
    insert_mariadb(server, url, "events", &events.iter().map(row).collect::<Vec<_>>()).await;
}

// ---------------------------------------------------------------------------------------------------------------------
// ClickHouse

const CLICKHOUSE: [&str; 2] = [
    "CREATE TABLE {}.assignments{} (experiment_id String, unit_type String, unit_id String, variant_id {key},
        assigned_at Int64) ENGINE = MergeTree PARTITION BY intDiv(assigned_at, 86400000000)
        ORDER BY (experiment_id, assigned_at)",
    "CREATE TABLE {}.events{} (event_type String, unit_type String, unit_id String,
        `experiments.experiment_id` Array(String), `experiments.variant_id` Array(String), timestamp Int64,
        latency_ms Nullable(Float64), reading Nullable(Float64), `payload.cost` Nullable(Float64))
        ENGINE = MergeTree PARTITION BY intDiv(timestamp, 86400000000) ORDER BY (event_type, timestamp)",
];

/// Empty tables in a new database: on one server, or on the shards of all.
pub(super) async fn create_clickhouse(servers: &Clickhouse, database: &str, sharded: bool) {
    let tables = |suffix: &str, key: &str| {
        CLICKHOUSE.map(|table| table.replacen("{}", database, 1).replacen("{}", suffix, 1).replace("{key}", key))
    };
    if !sharded {
        servers.sql(0, &format!("CREATE DATABASE {database}")).await;
        for table in tables("", "UUID") {
            servers.sql(0, &table).await;
        }
        return;
    }
    servers.everywhere(&format!("CREATE DATABASE {database}")).await;
    for table in tables("_local", "String") {
        servers.everywhere(&table).await;
    }
    for table in ["assignments", "events"] {
        servers
            .sql(
                0,
                &format!(
                    "CREATE TABLE {database}.{table} AS {database}.{table}_local
                     ENGINE = Distributed(shards, {database}, {table}_local, cityHash64(unit_id))"
                ),
            )
            .await;
    }
}

pub(super) async fn assign_clickhouse(servers: &Clickhouse, database: &str, assignments: &[Assignment]) {
    let mut rows = String::new();
    for row in assignments {
        let (experiment, variant) = (row.experiment.to_string(), row.variant.to_string());
        let _ = writeln!(rows, "{experiment}\tuser\t{}\t{variant}\t{}", escaped(&row.unit), row.at.as_microsecond());
    }
    insert(servers, &format!("{database}.assignments"), &rows, assignments.len()).await;
}

pub(super) async fn happen_clickhouse(servers: &Clickhouse, database: &str, events: &[Event]) {
    let mut rows = String::new();
    let number = |number: Option<f64>| number.map_or("\\N".to_owned(), |number| format!("{number:?}"));
    for event in events {
        let keys = |of: fn(&(sqlx::types::Uuid, sqlx::types::Uuid)) -> sqlx::types::Uuid| {
            event.experiments.iter().map(|carried| format!("'{}'", of(carried))).collect::<Vec<_>>().join(",")
        };
        let _ = writeln!(
            rows,
            "{}\t{}\t{}\t[{}]\t[{}]\t{}\t{}\t{}\t{}",
            event.kind,
            event.unit_type,
            escaped(&event.unit),
            keys(|carried| carried.0),
            keys(|carried| carried.1),
            event.at.as_microsecond(),
            number(event.latency.1),
            number(event.reading),
            number(event.cost)
        );
    }
    insert(servers, &format!("{database}.events"), &rows, events.len()).await;
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

/// A `Distributed` table hands rows on in the background, so they are waited for.
async fn insert(servers: &Clickhouse, table: &str, rows: &str, count: usize) {
    let there = async || servers.sql(0, &format!("SELECT count() FROM {table}")).await.parse::<usize>().unwrap();
    let before = there().await;
    servers.sql(0, &format!("INSERT INTO {table} FORMAT TabSeparated\n{rows}")).await;
    for _ in 0..400 {
        if there().await == before + count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{table} never came to {} rows", before + count);
}

// ---------------------------------------------------------------------------------------------------------------------
// The lake

/// Adds files named after `part`.
pub(super) fn happen_lake(root: &Path, events: &[Event], part: &str) {
    let mut days: BTreeMap<Date, Vec<&Event>> = BTreeMap::new();
    for event in events {
        days.entry(event.at.to_zoned(TimeZone::UTC).date()).or_default().push(event);
    }
    for (date, events) in days {
        for (number, events) in events.chunks(events.len().div_ceil(2)).enumerate() {
            write(root, "events", date, &format!("{part}-{number}"), events_frame(events));
        }
    }
}

pub(super) fn assign_lake(root: &Path, assignments: &[Assignment], part: &str) {
    let mut days: BTreeMap<Date, Vec<&Assignment>> = BTreeMap::new();
    for assignment in assignments {
        days.entry(assignment.at.to_zoned(TimeZone::UTC).date()).or_default().push(assignment);
    }
    for (date, assignments) in days {
        write(root, "assignments", date, part, assignments_frame(&assignments));
    }
}

fn events_frame(events: &[&Event]) -> DataFrame {
    let carried = |event: &&Event| -> Series {
        let keys = |name: &str, keys: Vec<String>| Series::new(name.into(), keys);
        let of = &event.experiments;
        let fields = [
            keys("experiment_id", of.iter().map(|(experiment, _)| experiment.to_string()).collect()),
            keys("variant_id", of.iter().map(|(_, variant)| variant.to_string()).collect()),
        ];
        StructChunked::from_series("item".into(), of.len(), fields.iter()).unwrap().into_series()
    };
    let mut frame = df!(
        "event_type" => events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        "unit_type" => events.iter().map(|event| event.unit_type).collect::<Vec<_>>(),
        "unit_id" => events.iter().map(|event| event.unit.as_str()).collect::<Vec<_>>(),
        "timestamp" => instants(events.iter().map(|event| event.at)),
        "latency_ms" => events.iter().map(|event| event.latency.1).collect::<Vec<_>>(),
        "reading" => events.iter().map(|event| event.reading).collect::<Vec<_>>(),
        "payload.cost" => events.iter().map(|event| event.cost).collect::<Vec<_>>(),
    )
    .unwrap();
    let experiments = Series::new("experiments".into(), events.iter().map(carried).collect::<Vec<_>>());
    frame.with_column(experiments.into()).unwrap();
    frame
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

fn write(root: &Path, table: &str, date: Date, part: &str, mut frame: DataFrame) {
    let folder = root.join(table).join(format!("date={date}"));
    fs::create_dir_all(&folder).unwrap();
    let file = File::create(folder.join(format!("part-{part}.parquet"))).unwrap();
    ParquetWriter::new(file).with_row_group_size(Some(1_000)).finish(&mut frame).unwrap();
}
