//! The door through which a warehouse's frames come in: checked row by row, then domain values.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use polars::prelude::{Column, DataFrame, DataType, PolarsError};

use super::by_metric::ByMetric;
use super::cohort::{Cohort, CohortHealth, MetricSet};
use crate::domain::VariantId;
use crate::stats::Moments;

/// A frame that is not what a warehouse promises.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A column is missing or of another type.
    #[error("the warehouse's answer has no usable column `{column}`")]
    Column {
        /// The column.
        column: &'static str,
        /// What polars says.
        source: PolarsError,
    },
    /// A value that cannot be.
    #[error("row {row} of the warehouse's answer: `{column}` is {found}, expected {expected}")]
    Value {
        /// The row, from 0.
        row: usize,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A metric that was not asked for, or one that is missing.
    #[error("cohort {date}, epoch {epoch}, variant {variant}: {problem}")]
    Metrics {
        /// The cohort's date.
        date: Date,
        /// The cohort's epoch.
        epoch: i64,
        /// The variant.
        variant: VariantId,
        /// What is wrong with its metrics.
        problem: String,
    },
}

type Key = (Date, i64, VariantId);

/// Cohorts from the two frames of one request, in order of date, epoch and variant.
///
/// `moments` has cohort_date, epoch, variant_id, metric, n, mean_y, m2_y, mean_d, m2_d, c_yd; `health` has cohort_date,
/// epoch, variant_id, units, events, missing, not_numbers, multiple_exposed.
pub fn cohorts_from_frames(
    moments: &DataFrame,
    health: &DataFrame,
    set: &MetricSet,
) -> Result<Vec<Cohort>, FrameError> {
    let mut cohorts: BTreeMap<Key, Cohort> = BTreeMap::new();
    let keys = Keys::of(health)?;
    let counts = ["units", "events", "missing", "not_numbers", "multiple_exposed"];
    let counts = counts.map(|name| Ok((name, integers(health, name)?)));
    let [units, events, missing, not_numbers, multiple] = flip(counts)?;
    for row in 0..health.height() {
        let (date, epoch, variant) = keys.at(row)?;
        let health = CohortHealth {
            units: count(&units, row)?,
            events: count(&events, row)?,
            missing: count(&missing, row)?,
            not_numbers: count(&not_numbers, row)?,
            multiple_exposed: count(&multiple, row)?,
        };
        match cohorts.entry((date, epoch, variant)) {
            Entry::Vacant(free) => {
                free.insert(Cohort { date, epoch, variant, moments: ByMetric::default(), health });
            }
            Entry::Occupied(_) => {
                return Err(FrameError::Metrics { date, epoch, variant, problem: "it comes twice".into() });
            }
        }
    }

    let keys = Keys::of(moments)?;
    let metric = texts(moments, "metric")?;
    let n = ("n", integers(moments, "n")?);
    let [mean_y, m2_y, mean_d, m2_d, c_yd] =
        flip(["mean_y", "m2_y", "mean_d", "m2_d", "c_yd"].map(|name| Ok((name, floats(moments, name)?))))?;
    for row in 0..moments.height() {
        let (date, epoch, variant) = keys.at(row)?;
        let name = text(&metric, "metric", row)?;
        let found = Moments {
            n: count(&n, row)?,
            mean_y: finite(&mean_y, row)?,
            m2_y: finite(&m2_y, row)?,
            mean_d: finite(&mean_d, row)?,
            m2_d: finite(&m2_d, row)?,
            c_yd: finite(&c_yd, row)?,
        };
        let wrong = |problem: String| FrameError::Metrics { date, epoch, variant, problem };
        let cohort = cohorts
            .get_mut(&(date, epoch, variant))
            .ok_or_else(|| wrong(format!("moments of `{name}` came without counts")))?;
        if !set.metrics.iter().any(|m| m.name == name) {
            return Err(wrong(format!("metric `{name}` was not asked for")));
        }
        if cohort.moments.insert(name.clone(), found).is_some() {
            return Err(wrong(format!("metric `{name}` came twice")));
        }
    }
    for cohort in cohorts.values_mut() {
        fill(cohort, set)?;
    }
    Ok(cohorts.into_values().collect())
}

/// A cohort without a single unit has no moments to send; any other must have all.
fn fill(cohort: &mut Cohort, set: &MetricSet) -> Result<(), FrameError> {
    for metric in &set.metrics {
        if cohort.moments.contains_key(&metric.name) {
            continue;
        }
        if cohort.health.units > 0 {
            return Err(FrameError::Metrics {
                date: cohort.date,
                epoch: cohort.epoch,
                variant: cohort.variant,
                problem: format!("metric `{}` is missing; missing is not zero", metric.name),
            });
        }
        cohort.moments.insert(metric.name.clone(), Moments::EMPTY);
    }
    Ok(())
}

/// The three columns that name a cohort.
struct Keys {
    dates: Vec<Option<i32>>,
    epochs: Vec<Option<i64>>,
    variants: Vec<Option<String>>,
}

impl Keys {
    fn of(frame: &DataFrame) -> Result<Self, FrameError> {
        let wrap = |column| move |source| FrameError::Column { column, source };
        let dates = cast(frame, "cohort_date", &DataType::Int32)?;
        let dates = dates.i32().map_err(wrap("cohort_date"))?.iter().collect();
        Ok(Keys { dates, epochs: integers(frame, "epoch")?, variants: texts(frame, "variant_id")? })
    }

    fn at(&self, row: usize) -> Result<Key, FrameError> {
        let value = |column, found: String, expected| FrameError::Value { row, column, found, expected };
        let days = self.dates[row].ok_or_else(|| value("cohort_date", "null".into(), "a date"))?;
        let date = date(1970, 1, 1)
            .checked_add(i64::from(days).days())
            .map_err(|_| value("cohort_date", format!("day {days}"), "a date of the calendar"))?;
        let epoch = self.epochs[row].ok_or_else(|| value("epoch", "null".into(), "a number"))?;
        let name = text(&self.variants, "variant_id", row)?;
        let variant = name.parse().map_err(|_| value("variant_id", name.clone(), "a UUID"))?;
        Ok((date, epoch, variant))
    }
}

fn cast(frame: &DataFrame, name: &'static str, to: &DataType) -> Result<Column, FrameError> {
    let column = frame.column(name).and_then(|column| column.strict_cast(to));
    column.map_err(|source| FrameError::Column { column: name, source })
}

fn integers(frame: &DataFrame, name: &'static str) -> Result<Vec<Option<i64>>, FrameError> {
    let column = cast(frame, name, &DataType::Int64)?;
    Ok(column.i64().map_err(|source| FrameError::Column { column: name, source })?.iter().collect())
}

fn floats(frame: &DataFrame, name: &'static str) -> Result<Vec<Option<f64>>, FrameError> {
    let column = cast(frame, name, &DataType::Float64)?;
    Ok(column.f64().map_err(|source| FrameError::Column { column: name, source })?.iter().collect())
}

fn texts(frame: &DataFrame, name: &'static str) -> Result<Vec<Option<String>>, FrameError> {
    let column = cast(frame, name, &DataType::String)?;
    let strings = column.str().map_err(|source| FrameError::Column { column: name, source })?;
    Ok(strings.iter().map(|text| text.map(str::to_owned)).collect())
}

fn text(column: &[Option<String>], name: &'static str, row: usize) -> Result<String, FrameError> {
    column[row].clone().ok_or(FrameError::Value { row, column: name, found: "null".into(), expected: "a text" })
}

fn count((column, values): &(&'static str, Vec<Option<i64>>), row: usize) -> Result<u64, FrameError> {
    values[row].and_then(|value| u64::try_from(value).ok()).ok_or_else(|| FrameError::Value {
        row,
        column,
        found: values[row].map_or("null".into(), |v| v.to_string()),
        expected: "a count of zero or more",
    })
}

fn finite((column, values): &(&'static str, Vec<Option<f64>>), row: usize) -> Result<f64, FrameError> {
    values[row].filter(|value| value.is_finite()).ok_or_else(|| FrameError::Value {
        row,
        column,
        found: values[row].map_or("null".into(), |v| v.to_string()),
        expected: "a finite number",
    })
}

fn flip<T, const N: usize>(results: [Result<T, FrameError>; N]) -> Result<[T; N], FrameError> {
    let all: Result<Vec<T>, FrameError> = results.into_iter().collect();
    Ok(all?.try_into().unwrap_or_else(|_| unreachable!("the number of results does not change")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Measure, Metric, MetricForm, Value};
    use polars::prelude::df;

    const VARIANT: &str = "6f2f9a4e-2c35-4f5e-9a55-0d1f6f3f9a01";

    fn set() -> MetricSet {
        let value = Measure { event: "e".into(), value: Value::Count };
        let metric = Metric {
            name: "m".into(),
            description: None,
            form: MetricForm::Mean { value },
            direction: Direction::Increase,
            window_days: 1,
            covariate_days: None,
        };
        MetricSet::group([&metric]).remove(0)
    }

    fn health(units: i64) -> DataFrame {
        df!("cohort_date" => [20_000i32], "epoch" => [0i64], "variant_id" => [VARIANT], "units" => [units],
            "events" => [5i64], "missing" => [0i64], "not_numbers" => [0i64], "multiple_exposed" => [0i64])
        .unwrap()
    }

    fn moments(mean: f64, metric: &str) -> DataFrame {
        df!("cohort_date" => [20_000i32], "epoch" => [0i64], "variant_id" => [VARIANT], "metric" => [metric],
            "n" => [3i64], "mean_y" => [mean], "m2_y" => [2.0], "mean_d" => [1.0], "m2_d" => [0.0], "c_yd" => [0.0])
        .unwrap()
    }

    #[test]
    fn frames_become_cohorts() {
        let cohorts = cohorts_from_frames(&moments(0.5, "m"), &health(3), &set()).unwrap();
        assert_eq!(cohorts.len(), 1);
        assert_eq!(cohorts[0].date, date(2024, 10, 4));
        assert_eq!(cohorts[0].moments["m"], Moments::of_units(3, 0.5, 2.0));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let nan = cohorts_from_frames(&moments(f64::NAN, "m"), &health(3), &set()).unwrap_err();
        assert_eq!(nan.to_string(), "row 0 of the warehouse's answer: `mean_y` is NaN, expected a finite number");
        let other = cohorts_from_frames(&moments(0.5, "x"), &health(3), &set()).unwrap_err();
        assert!(other.to_string().contains("`x` was not asked for"));
        let none = moments(0.5, "m").head(Some(0));
        let missing = cohorts_from_frames(&none, &health(3), &set()).unwrap_err();
        assert!(missing.to_string().contains("missing is not zero"));
        assert!(cohorts_from_frames(&none, &health(0), &set()).is_ok());
        assert!(cohorts_from_frames(&none, &health(-1), &set()).is_err());
    }
}
