//! Writes a world as a lake: `ROOT/{events,assignments}/date=…/part-0.parquet` and `ROOT/world.json`.

use std::fs::{self, File};
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::{
    Column, DataFrame, DataType, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter, Series, TimeUnit, TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::world::{Event, Size, TYPES, Trial, World, id};

/// What the readers of a lake must know of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Facts {
    pub size: Size,
    pub events: u64,
    pub units: u64,
    pub last_date: Date,
    pub trials: Vec<Trial>,
}

/// The date of a day, from 0.
pub fn date_of(day: i64) -> Date {
    date(2026, 6, 1).checked_add(day.days()).expect("a day of the calendar")
}

/// Reads what `generate` wrote.
pub fn facts(root: &Path) -> anyhow::Result<Facts> {
    Ok(serde_json::from_reader(File::open(root.join("world.json"))?)?)
}

pub fn generate(root: &Path, size: Size) -> anyhow::Result<()> {
    let world = World::new(size);
    let unit_ids: Vec<[u8; 36]> = (0..world.units.len() as u64)
        .map(|number| {
            let mut text = [0; 36];
            id(size.seed, "unit", number).hyphenated().encode_lower(&mut text);
            text
        })
        .collect();
    let unit_id = |unit: u32| std::str::from_utf8(&unit_ids[unit as usize]).unwrap_or_default();
    let keys: Vec<[String; 3]> = world
        .trials
        .iter()
        .map(|trial| [trial.id, trial.control, trial.candidate].map(|key| key.to_string()))
        .collect();
    let mut total = 0u64;
    for day in 0..size.days {
        let exposed = &world.exposed_on[day as usize];
        let mut exposed: Vec<u32> = exposed.clone();
        exposed.sort_by_key(|unit| world.units[*unit as usize].assigned_at);
        let unit = |place: &u32| &world.units[*place as usize];
        let key = |place: &u32, which: usize| keys[usize::from(unit(place).trial)][which].as_str();
        let variant = |place: &u32| key(place, 1 + usize::from(unit(place).candidate));
        let assignments = vec![
            texts("experiment_id", exposed.iter().map(|unit| key(unit, 0))),
            texts("unit_type", exposed.iter().map(|_| "user")),
            texts("unit_id", exposed.iter().map(|unit| unit_id(*unit))),
            texts("variant_id", exposed.iter().map(variant)),
            column(Series::new("epoch".into(), exposed.iter().map(|at| i32::from(unit(at).epoch)).collect::<Vec<_>>())),
            instants("assigned_at", exposed.iter().map(|at| unit(at).assigned_at))?,
        ];
        write(&root.join("assignments").join(format!("date={}", date_of(day))), exposed.len(), assignments)?;
        let events = world.events_of(day);
        let float = |name: &str, of: fn(&Event) -> f64| {
            column(Series::new(name.into(), events.iter().map(of).collect::<Vec<f64>>()))
        };
        let columns = vec![
            column(Series::new(
                "event_id".into(),
                (total..).take(events.len()).map(u64::cast_signed).collect::<Vec<_>>(),
            )),
            texts("event_type", events.iter().map(|event| TYPES[usize::from(event.kind)])),
            texts("unit_type", events.iter().map(|_| "user")),
            texts("unit_id", events.iter().map(|event| unit_id(event.unit))),
            texts("experiment_id", events.iter().map(|event| key(&event.unit, 0))),
            texts("variant_id", events.iter().map(|event| variant(&event.unit))),
            instants("timestamp", events.iter().map(|event| event.at))?,
            float("latency_ms", |event| event.latency_ms),
            float("cost", |event| event.cost),
            column(Series::new("token_count".into(), events.iter().map(|event| event.tokens).collect::<Vec<i32>>())),
        ];
        write(&root.join("events").join(format!("date={}", date_of(day))), events.len(), columns)?;
        total += events.len() as u64;
    }
    let facts = Facts {
        size,
        events: total,
        units: world.units.len() as u64,
        last_date: date_of(size.days - 1),
        trials: world.trials,
    };
    serde_json::to_writer_pretty(File::create(root.join("world.json"))?, &facts)?;
    println!("{} events of {} units on {} days in {}", facts.events, facts.units, size.days, root.display());
    Ok(())
}

fn column(series: Series) -> Column {
    series.into_column()
}

fn texts<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Column {
    column(Series::new(name.into(), values.collect::<Vec<_>>()))
}

fn instants(name: &str, values: impl Iterator<Item = i64>) -> anyhow::Result<Column> {
    let micros = Series::new(name.into(), values.collect::<Vec<i64>>());
    Ok(column(micros.cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)))?))
}

fn write(folder: &Path, height: usize, columns: Vec<Column>) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join("part-0.parquet"))?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(Some(ZstdLevel::try_new(1)?)))
        .with_row_group_size(Some(131_072))
        .finish(&mut DataFrame::new(height, columns)?)?;
    Ok(())
}
