//! What engines answer, and how rows become cohorts.

use std::collections::BTreeMap;
use std::fmt;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use sqlx::types::Uuid;

use crate::domain::TableName;
use crate::warehouse::cohort_rows::{CohortRow, Moments};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::needs::Needs;

use super::shares::{Rest, Share};

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Float(f64),
    Text(String),
}

/// One row of an answer.
pub(crate) type Row = Vec<Cell>;

/// The columns of the one query before its moments.
const BEFORE_MOMENTS: usize = 8;

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => Ok(()),
            Cell::Integer(number) => write!(f, "{number}"),
            Cell::Float(number) => write!(f, "{number}"),
            Cell::Text(text) => f.write_str(text),
        }
    }
}

impl Cell {
    /// A whole number, if it is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that must be there.
    pub(crate) fn count(&self, doing: &str) -> Result<i64, WarehouseError> {
        self.integer().ok_or_else(|| unexpected(doing, "a whole number", self))
    }

    /// A number; NaN where a sum left the range of doubles, which is told as such where the moments are laid out.
    pub(crate) fn float(&self) -> f64 {
        match self {
            Cell::Float(number) => *number,
            Cell::Integer(number) => *number as f64,
            Cell::Null | Cell::Text(_) => f64::NAN,
        }
    }
}

fn unexpected(doing: &str, expected: &str, found: &Cell) -> WarehouseError {
    let source = format!("the server answered {found:?} where {expected} belongs").into();
    WarehouseError::Query { doing: doing.to_owned(), source }
}

/// The only row of an answer.
pub(crate) fn only<'a>(rows: &'a [Row], doing: &str) -> Result<&'a Row, WarehouseError> {
    let source = || "the server answered no row".into();
    rows.first().ok_or_else(|| WarehouseError::Query { doing: doing.to_owned(), source: source() })
}

/// The rows of the one query. Where several speak of the same variant of the same cohort, as shards do, they are joined.
pub(crate) fn cohorts(
    needs: &Needs,
    rows: &[Row],
    assignments: &TableName,
    rests_told: bool,
    doing: &str,
) -> Result<Vec<CohortRow>, WarehouseError> {
    let mut found: BTreeMap<(Date, i64, String), Share> = BTreeMap::new();
    for row in rows {
        if row.len() < BEFORE_MOMENTS {
            return Err(unexpected(doing, "a cohort", &Cell::Null));
        }
        // A shard that has no unit of the cohorts answers with a row of nothing.
        if row[2].text().is_none_or(str::is_empty) && row[3].integer() == Some(0) && row[7].integer() == Some(0) {
            continue;
        }
        let new = cohort(needs, row, assignments, rests_told, doing)?;
        let key = (new.row.cohort_date, new.row.epoch, new.row.variant_id.clone());
        match found.get_mut(&key) {
            Some(known) => known.join(&new),
            None => {
                found.insert(key, new);
            }
        }
    }
    Ok(found.into_values().map(|share| share.row).collect())
}

fn cohort(
    needs: &Needs,
    row: &Row,
    assignments: &TableName,
    rests_told: bool,
    doing: &str,
) -> Result<Share, WarehouseError> {
    if row[1] == Cell::Null {
        return Err(WarehouseError::WrongColumn {
            table: assignments.to_string(),
            column: "assigned_at".to_owned(),
            expected: "an instant such as 2026-01-05T12:00:00Z".to_owned(),
            found: "something else".to_owned(),
        });
    }
    let day = row[0].count(doing)?;
    let cohort_date = date(1970, 1, 1).checked_add(day.days());
    let cohort_date = cohort_date.map_err(|_| unexpected(doing, "a day of the calendar", &row[0]))?;
    let variant = row[2].text().unwrap_or_default();
    let variant_id = Uuid::parse_str(variant).map_err(|_| WarehouseError::WrongColumn {
        table: assignments.to_string(),
        column: "variant_id".to_owned(),
        expected: "the keys of variants (UUIDs)".to_owned(),
        found: format!("{variant:?}"),
    })?;
    let mut numbers = row[BEFORE_MOMENTS..].iter().map(Cell::float);
    let mut next = || numbers.next().unwrap_or(f64::NAN);
    let units = row[3].count(doing)?;
    let (moments, rests) = needs
        .metrics
        .iter()
        .map(|metric| {
            let (mean_y, m2_y) = (next(), next());
            let (mean_d, m2_d, c_yd) =
                if metric.denominator.is_some() { (next(), next(), next()) } else { (1.0, 0.0, 0.0) };
            let y = if rests_told { next() } else { 0.0 };
            let d = if rests_told && metric.denominator.is_some() { next() } else { 0.0 };
            if units == 0 {
                return (Moments { mean_y: 0.0, m2_y: 0.0, mean_d: 0.0, m2_d: 0.0, c_yd: 0.0 }, Rest::default());
            }
            // What rounding leaves of a sum of squares may lie below zero.
            let (m2_y, m2_d) = (not_below_zero(m2_y), not_below_zero(m2_d));
            (Moments { mean_y, m2_y, mean_d, m2_d, c_yd }, Rest { y, d })
        })
        .unzip();
    let row = CohortRow {
        cohort_date,
        epoch: row[1].count(doing)?,
        variant_id: variant_id.to_string(),
        units,
        events: row[4].count(doing)?,
        missing: row[5].count(doing)?,
        not_numbers: row[6].count(doing)?,
        multiple_exposed: row[7].count(doing)?,
        moments,
    };
    Ok(Share { row, rests })
}

/// NaN stays NaN.
fn not_below_zero(square: f64) -> f64 {
    if square < 0.0 { 0.0 } else { square }
}
