//! A day of traffic as Parquet files.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::Date;
use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, ParquetWriter, Series, TimeUnit, TimeZone};

use super::traffic::DayOfTraffic;

/// Writes `events/date=…/` and `assignments/date=…/` under the lake's folder.
pub fn write_day(lake: &Path, date: Date, traffic: &DayOfTraffic) -> anyhow::Result<()> {
    let events = &traffic.events;
    let columns = vec![
        text("event_type", events.iter().map(|e| e.event)),
        text("unit_id", events.iter().map(|e| e.unit.as_str())),
        times("timestamp", events.iter().map(|e| e.at))?,
        Series::new("latency_ms".into(), events.iter().map(|e| e.latency_ms).collect::<Vec<_>>()),
        Series::new("cost".into(), events.iter().map(|e| e.cost).collect::<Vec<_>>()),
    ];
    write(&lake.join(format!("events/date={date}")), columns)?;
    let assignments = &traffic.assignments;
    let ids = |ids: Vec<String>, name: &str| Series::new(name.into(), ids);
    let columns = vec![
        ids(assignments.iter().map(|a| a.experiment.to_string()).collect(), "experiment_id"),
        text("unit_id", assignments.iter().map(|a| a.unit.as_str())),
        ids(assignments.iter().map(|a| a.variant.to_string()).collect(), "variant_id"),
        times("assigned_at", assignments.iter().map(|a| a.at))?,
    ];
    write(&lake.join(format!("assignments/date={date}")), columns)
}

fn text<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Series {
    Series::new(name.into(), values.collect::<Vec<_>>())
}

fn times(name: &str, values: impl Iterator<Item = Timestamp>) -> anyhow::Result<Series> {
    let micros = Series::new(name.into(), values.map(|at| at.as_microsecond()).collect::<Vec<i64>>());
    Ok(micros.cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)))?)
}

fn write(folder: &Path, columns: Vec<Series>) -> anyhow::Result<()> {
    let height = columns.first().map_or(0, |series| series.len());
    let mut frame = DataFrame::new(height, columns.into_iter().map(IntoColumn::into_column).collect())?;
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let path = folder.join("part-0.parquet");
    let file = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
    ParquetWriter::new(file).finish(&mut frame).with_context(|| format!("could not write {}", path.display()))?;
    Ok(())
}
