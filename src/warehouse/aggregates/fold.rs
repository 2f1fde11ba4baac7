//! Buckets → cohorts: counts, means and spreads added up, and taken for those of independent events.
//!
//! n events of design effect D say as much as n / D independent ones, so that is how many there are said to be: the
//! variance of the mean is D times as large, and so is what is waited for before a first look.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::types::Uuid;

use super::question::{Asked, AskedMetric};
use crate::domain::{AggregateOf, TableName};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{Micros, date_of};
use crate::warehouse::sql::{Cell, Row};

/// One row of aggregates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) variant: String,
    pub(super) metric: String,
    pub(super) start: Micros,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) stddev: Option<f64>,
}

/// The events of one name in one arm of a cohort.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Total {
    count: f64,
    mean: f64,
    m2: f64,
    /// Whether a bucket lacked its sum or spread, so that only the count can be used.
    bare: bool,
}

/// What a metric shows in one arm of a cohort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    /// Independent events that say as much.
    pub(super) n: u64,
    pub(super) mean: f64,
    pub(super) m2: f64,
}

/// One arm of a cohort.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arm {
    pub(super) date: Date,
    pub(super) epoch: i64,
    pub(super) variant: String,
    /// Events counted over all names.
    pub(super) events: u64,
    /// In the order of the request; none where there was no event.
    pub(super) shown: Vec<Option<Shown>>,
}

impl Bucket {
    pub(super) fn read(row: &Row, table: &TableName, doing: &str) -> Result<Bucket, WarehouseError> {
        let wrong = |column: &str, expected: &str, found: &Cell| WarehouseError::WrongColumn {
            table: table.to_string(),
            column: column.to_owned(),
            expected: expected.to_owned(),
            found: format!("{:?}", found.to_string()),
        };
        let number = |column: &str, cell: &Cell| match cell {
            Cell::Null => Ok(None),
            Cell::Integer(number) => Ok(Some(*number as f64)),
            Cell::Float(number) if number.is_finite() => Ok(Some(*number)),
            other => Err(wrong(column, "a finite number", other)),
        };
        let variant = row[0].text().unwrap_or_default();
        let variant =
            Uuid::parse_str(variant).map_err(|_| wrong("variant_id", "the keys of variants (UUIDs)", &row[0]))?;
        let count = row[3].integer().and_then(|count| u64::try_from(count).ok());
        Ok(Bucket {
            variant: variant.to_string(),
            metric: row[1].text().unwrap_or_default().to_owned(),
            start: row[2].count(doing)?,
            count: count.ok_or_else(|| wrong("count", "a number of events", &row[3]))?,
            sum: number("sum", &row[4])?,
            stddev: number("stddev", &row[5])?,
        })
    }

    fn total(&self) -> Total {
        let count = self.count as f64;
        let (mean, spread) = (self.sum.map(|sum| sum / count), self.stddev.map(|s| s * s * count));
        match (mean, spread) {
            // Whether by n or by n - 1 was divided, this is no less.
            (Some(mean), Some(m2)) => Total { count, mean, m2, bare: false },
            (Some(mean), None) if self.count == 1 => Total { count, mean, m2: 0.0, bare: false },
            _ => Total { count, bare: true, ..Total::default() },
        }
    }
}

impl Total {
    /// Chan, Golub & LeVeque 1983.
    fn join(&self, other: &Total) -> Total {
        let count = self.count + other.count;
        let share = other.count / count;
        let apart = other.mean - self.mean;
        Total {
            count,
            mean: self.mean + apart * share,
            m2: self.m2 + other.m2 + apart * apart * self.count * share,
            bare: self.bare || other.bare,
        }
    }
}

/// The cohorts of those buckets: a day, an epoch and a variant each.
pub(super) fn cohorts(asked: &Asked, buckets: &[Bucket], size: Micros) -> Result<Vec<Arm>, WarehouseError> {
    let mut totals: BTreeMap<(Date, i64, &str), BTreeMap<&str, Total>> = BTreeMap::new();
    for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
        let Some(epoch) = asked.epoch_of(bucket.start, bucket.start + size) else { continue };
        let Some(date) = date_of(bucket.start) else { continue };
        let of_arm = totals.entry((date, epoch, &bucket.variant)).or_default();
        let new = bucket.total();
        of_arm.entry(&bucket.metric).and_modify(|known| *known = known.join(&new)).or_insert(new);
    }
    let arm = |((date, epoch, variant), totals): ((Date, i64, &str), BTreeMap<&str, Total>)| {
        let place = || format!("cohort {date}, epoch {epoch}, variant {variant}");
        let shown: Result<Vec<Option<Shown>>, WarehouseError> =
            asked.metrics.iter().map(|metric| shown(asked, metric, &totals, &place)).collect();
        let events = totals.values().map(|total| total.count as u64).fold(0, u64::saturating_add);
        Ok(Arm { date, epoch, variant: variant.to_owned(), events, shown: shown? })
    };
    totals.into_iter().map(arm).collect()
}

fn shown(
    asked: &Asked,
    metric: &AskedMetric,
    totals: &BTreeMap<&str, Total>,
    place: &impl Fn() -> String,
) -> Result<Option<Shown>, WarehouseError> {
    let refuse = |what: String| WarehouseError::Query {
        doing: format!("reading metric {:?} of experiment {:?} from aggregates", metric.name, asked.experiment),
        source: format!("{what} ({})", place()).into(),
    };
    let counted = |name: &str| totals.get(name).map_or(0.0, |total| total.count);
    let said_by = |events: f64| (events / metric.design_effect.get()).floor() as u64;
    let (n, mean, spread) = match &metric.of {
        AggregateOf::Mean(name) => {
            let Some(total) = totals.get(name.as_str()) else { return Ok(None) };
            if total.bare {
                return Err(refuse(format!("a row of {name} counts more than one event and lacks `sum` or `stddev`")));
            }
            (said_by(total.count), total.mean, total.m2 / total.count)
        }
        AggregateOf::Rate { of, among } => {
            let (happened, tried) = (counted(of), counted(among));
            if tried == 0.0 {
                return Ok(None);
            }
            let rate = happened / tried;
            if rate > 1.0 {
                return Err(refuse(format!(
                    "there are {happened} {of} and only {tried} {among}, so this is no rate; write `count` and `per`"
                )));
            }
            (said_by(tried), rate, rate * (1.0 - rate))
        }
        AggregateOf::Count { of, per } => {
            let (happened, tried) = (counted(of), counted(per));
            if tried == 0.0 {
                return Ok(None);
            }
            // Counts of independent events vary as much as they are large (Poisson).
            let mean = happened / tried;
            (said_by(tried), mean, mean)
        }
    };
    let m2 = spread * n as f64;
    if !mean.is_finite() || !m2.is_finite() {
        return Err(WarehouseError::NotFinite { metric: metric.name.clone(), cohort: place() });
    }
    Ok((n > 0).then_some(Shown { n, mean, m2 }))
}
