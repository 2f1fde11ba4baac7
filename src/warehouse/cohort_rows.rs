//! One row per cohort and variant, as any warehouse hands it over, and the two frames made of those rows.

use jiff::civil::Date;
use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, PolarsError, Series};

use super::Collected;
use super::error::WarehouseError;
use super::instants::day_number;
use super::needs::Needs;

/// What a warehouse knows of one variant of one cohort.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CohortRow {
    pub cohort_date: Date,
    pub epoch: i64,
    pub variant_id: String,
    /// Units that count.
    pub units: i64,
    /// Events of the used types inside the windows of those units.
    pub events: i64,
    /// Needed fields that were absent or null.
    pub missing: i64,
    /// Needed fields that held something else than a finite number.
    pub not_numbers: i64,
    /// Units left out because they met a second variant.
    pub multiple_exposed: i64,
    /// One per metric, in the order of [`Needs::metrics`].
    pub moments: Vec<Moments>,
}

/// Means and centred sums of one metric over the units of a row; `d` is the constant 1 where there is no denominator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    pub mean_y: f64,
    pub m2_y: f64,
    pub mean_d: f64,
    pub m2_d: f64,
    pub c_yd: f64,
}

impl Collected {
    /// The frames of these rows, sorted by date, epoch, variant and the request's order of metrics.
    pub(crate) fn from_rows(needs: &Needs, mut rows: Vec<CohortRow>) -> Result<Self, WarehouseError> {
        rows.sort_by(|a, b| (a.cohort_date, a.epoch, &a.variant_id).cmp(&(b.cohort_date, b.epoch, &b.variant_id)));
        refuse_infinite(needs, &rows)?;
        let failed = |error: PolarsError| WarehouseError::Query {
            doing: format!("laying out the moments of experiment {:?}", needs.experiment),
            source: error.into(),
        };
        Ok(Collected {
            moments: moments_frame(needs, &rows).map_err(failed)?,
            health: health_frame(&rows).map_err(failed)?,
        })
    }
}

/// A sum that left the range of doubles must not reach the statistics as infinity or NaN.
fn refuse_infinite(needs: &Needs, rows: &[CohortRow]) -> Result<(), WarehouseError> {
    for row in rows.iter().filter(|row| row.units > 0) {
        for (metric, m) in needs.metrics.iter().zip(&row.moments) {
            if ![m.mean_y, m.m2_y, m.mean_d, m.m2_d, m.c_yd].into_iter().all(f64::is_finite) {
                let cohort = format!("cohort {}, epoch {}, variant {}", row.cohort_date, row.epoch, row.variant_id);
                return Err(WarehouseError::NotFinite { metric: metric.name.clone(), cohort });
            }
        }
    }
    Ok(())
}

fn moments_frame(needs: &Needs, rows: &[CohortRow]) -> Result<DataFrame, PolarsError> {
    let cells: Vec<(&CohortRow, &str, &Moments)> = rows
        .iter()
        .filter(|row| row.units > 0)
        .flat_map(|row| needs.metrics.iter().zip(&row.moments).map(move |(metric, m)| (row, metric.name.as_str(), m)))
        .collect();
    let float = |name: &str, of: fn(&Moments) -> f64| {
        Series::new(name.into(), cells.iter().map(|(_, _, m)| of(m)).collect::<Vec<_>>()).into_column()
    };
    DataFrame::new(
        cells.len(),
        vec![
            dates(cells.iter().map(|(row, _, _)| row.cohort_date))?,
            integers("epoch", cells.iter().map(|(row, _, _)| row.epoch)),
            texts("variant_id", cells.iter().map(|(row, _, _)| row.variant_id.as_str())),
            texts("metric", cells.iter().map(|(_, metric, _)| *metric)),
            integers("n", cells.iter().map(|(row, _, _)| row.units)),
            float("mean_y", |m| m.mean_y),
            float("m2_y", |m| m.m2_y),
            float("mean_d", |m| m.mean_d),
            float("m2_d", |m| m.m2_d),
            float("c_yd", |m| m.c_yd),
        ],
    )
}

fn health_frame(rows: &[CohortRow]) -> Result<DataFrame, PolarsError> {
    let count = |name: &str, of: fn(&CohortRow) -> i64| integers(name, rows.iter().map(of));
    DataFrame::new(
        rows.len(),
        vec![
            dates(rows.iter().map(|row| row.cohort_date))?,
            count("epoch", |row| row.epoch),
            texts("variant_id", rows.iter().map(|row| row.variant_id.as_str())),
            count("units", |row| row.units),
            count("events", |row| row.events),
            count("missing", |row| row.missing),
            count("not_numbers", |row| row.not_numbers),
            count("multiple_exposed", |row| row.multiple_exposed),
        ],
    )
}

fn integers(name: &str, values: impl Iterator<Item = i64>) -> Column {
    Series::new(name.into(), values.collect::<Vec<i64>>()).into_column()
}

fn texts<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Column {
    Series::new(name.into(), values.collect::<Vec<&str>>()).into_column()
}

/// polars keeps a date as the number of days since 1970.
fn dates(values: impl Iterator<Item = Date>) -> Result<Column, PolarsError> {
    Series::new("cohort_date".into(), values.map(day_number).collect::<Vec<i32>>())
        .cast(&DataType::Date)
        .map(Series::into_column)
}
