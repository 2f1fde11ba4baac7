//! The two frames of an answer. Here each metric has its own number of events, where other warehouses have one of units.

use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, PolarsError, Series};

use super::fold::{Arm, Shown};
use super::question::Asked;
use crate::warehouse::Collected;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::day_number;

/// The answer. `units` of a cohort are the least independent events that any of its metrics has, since nobody knows units;
/// so a cohort in which one of them was not measured has none, and the others are there all the same.
pub(super) fn collected(asked: &Asked, arms: &[Arm]) -> Result<Collected, WarehouseError> {
    let failed = |error: PolarsError| WarehouseError::Query {
        doing: format!("laying out the aggregates of experiment {:?}", asked.experiment),
        source: error.into(),
    };
    Ok(Collected { moments: moments(asked, arms).map_err(failed)?, health: health(arms).map_err(failed)? })
}

fn moments(asked: &Asked, arms: &[Arm]) -> Result<DataFrame, PolarsError> {
    let cells: Vec<(&Arm, &str, &Shown)> = arms
        .iter()
        .flat_map(|arm| asked.metrics.iter().zip(&arm.shown).map(move |(metric, shown)| (arm, metric, shown)))
        .filter_map(|(arm, metric, shown)| Some((arm, metric.name.as_str(), shown.as_ref()?)))
        .collect();
    let float = |name: &str, of: fn(&Shown) -> f64| {
        Series::new(name.into(), cells.iter().map(|(_, _, shown)| of(shown)).collect::<Vec<f64>>()).into_column()
    };
    let columns = vec![
        dates(cells.iter().map(|(arm, _, _)| *arm))?,
        integers("epoch", cells.iter().map(|(arm, _, _)| arm.epoch)),
        texts("variant_id", cells.iter().map(|(arm, _, _)| arm.variant.as_str())),
        texts("metric", cells.iter().map(|(_, metric, _)| *metric)),
        integers("n", cells.iter().map(|(_, _, shown)| whole(shown.n))),
        float("mean_y", |shown| shown.mean),
        float("m2_y", |shown| shown.m2),
        float("mean_d", |_| 1.0),
        float("m2_d", |_| 0.0),
        float("c_yd", |_| 0.0),
    ];
    DataFrame::new(cells.len(), columns)
}

fn health(arms: &[Arm]) -> Result<DataFrame, PolarsError> {
    let units = |arm: &Arm| arm.shown.iter().map(|shown| shown.map_or(0, |shown| shown.n)).min().unwrap_or(0);
    let nothing = |name: &str| integers(name, arms.iter().map(|_| 0));
    let columns = vec![
        dates(arms.iter())?,
        integers("epoch", arms.iter().map(|arm| arm.epoch)),
        texts("variant_id", arms.iter().map(|arm| arm.variant.as_str())),
        integers("units", arms.iter().map(|arm| whole(units(arm)))),
        integers("events", arms.iter().map(|arm| whole(arm.events))),
        nothing("missing"),
        nothing("not_numbers"),
        nothing("multiple_exposed"),
    ];
    DataFrame::new(arms.len(), columns)
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn integers(name: &str, values: impl Iterator<Item = i64>) -> Column {
    Series::new(name.into(), values.collect::<Vec<i64>>()).into_column()
}

fn texts<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Column {
    Series::new(name.into(), values.collect::<Vec<&str>>()).into_column()
}

fn dates<'a>(arms: impl Iterator<Item = &'a Arm>) -> Result<Column, PolarsError> {
    let days: Vec<i32> = arms.map(|arm| day_number(arm.date)).collect();
    Series::new("cohort_date".into(), days).cast(&DataType::Date).map(Series::into_column)
}
