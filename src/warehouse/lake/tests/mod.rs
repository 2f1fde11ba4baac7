//! Small lakes in temporary folders, with answers worked out by hand.

mod agree;
mod faults;
mod sums;
mod units;

use std::fs::{self, File};
use std::path::PathBuf;

use polars::prelude::*;
use tempfile::TempDir;

use crate::domain::CohortRequest;
use crate::warehouse::fixture::{CANDIDATE, CONTROL, EXPERIMENT, at};
use crate::warehouse::{Collected, LakeWarehouse, Warehouse, WarehouseError};

/// An event: type, unit, timestamp, `latency_ms`.
type Event<'a> = (&'a str, &'a str, &'a str, Option<f64>);

struct Lake {
    root: TempDir,
}

impl Lake {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for table in ["events", "assignments"] {
            fs::create_dir(root.path().join(table)).unwrap();
        }
        Self { root }
    }

    /// Assignments of one day: unit, variant, assigned_at.
    fn assign(&self, date: &str, rows: &[(&str, &str, &str)]) -> &Self {
        let experiments = vec![EXPERIMENT; rows.len()];
        let mut frame = df!(
            "experiment_id" => experiments,
            "unit_id" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "variant_id" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            "assigned_at" => rows.iter().map(|row| at(row.2).as_microsecond()).collect::<Vec<_>>(),
        )
        .unwrap();
        self.write("assignments", date, "part-0.parquet", utc(&mut frame, "assigned_at"));
        self
    }

    /// Events of one day.
    fn log(&self, date: &str, rows: &[Event<'_>]) -> &Self {
        self.write("events", date, "part-0.parquet", &mut events(rows));
        self
    }

    fn write(&self, table: &str, date: &str, file: &str, frame: &mut DataFrame) -> PathBuf {
        let path = self.path(table, date, file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        ParquetWriter::new(File::create(&path).unwrap()).finish(frame).unwrap();
        path
    }

    fn path(&self, table: &str, date: &str, file: &str) -> PathBuf {
        self.root.path().join(table).join(format!("date={date}")).join(file)
    }

    fn open(&self) -> LakeWarehouse {
        LakeWarehouse::open(self.root.path().to_owned()).unwrap()
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Collected {
        self.open().collect(request).await.unwrap()
    }

    async fn refusal(&self, request: &CohortRequest<'_>) -> WarehouseError {
        self.open().collect(request).await.unwrap_err()
    }
}

fn events(rows: &[Event<'_>]) -> DataFrame {
    let mut frame = df!(
        "event_type" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "unit_id" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "timestamp" => rows.iter().map(|row| at(row.2).as_microsecond()).collect::<Vec<_>>(),
        "latency_ms" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
    )
    .unwrap();
    utc(&mut frame, "timestamp").clone()
}

/// Turns microseconds into instants in UTC.
fn utc<'a>(frame: &'a mut DataFrame, column: &str) -> &'a mut DataFrame {
    let instants = frame.column(column).unwrap().cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)));
    frame.with_column(instants.unwrap()).unwrap()
}

/// A frame as lines of text, one per row, with `c` and `t` for the arms.
fn lines(frame: &DataFrame) -> Vec<String> {
    let line = |row: usize| {
        let cells = frame.columns().iter().map(|column| column.get(row).unwrap()).map(|cell| match cell.get_str() {
            Some(CONTROL) => "c".to_owned(),
            Some(CANDIDATE) => "t".to_owned(),
            Some(text) => text.to_owned(),
            None => cell.to_string(),
        });
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..frame.height()).map(line).collect()
}

/// The float in a column of a row.
fn float(frame: &DataFrame, column: &str, row: usize) -> f64 {
    frame.column(column).unwrap().f64().unwrap().get(row).unwrap()
}

/// Two units on control and one on the candidate on January 5th, and the days of events that their windows need.
fn two_days() -> Lake {
    let lake = Lake::new();
    lake.assign(
        "2026-01-05",
        &[
            ("ann", CONTROL, "2026-01-05T10:00:00Z"),
            ("bob", CONTROL, "2026-01-05T12:00:00Z"),
            ("cyd", CONTROL, "2026-01-05T23:59:59.999999Z"),
            ("dee", CANDIDATE, "2026-01-05T00:00:00Z"),
        ],
    );
    lake
}
