//! Aggregates over events in place of the events: one row per variant, metric and hour or day.
//!
//! Rows of buckets that lie wholly within a span of constant allocations are added up here; there are few. What they
//! cannot tell (whose the events are, and since when) is left out of the answer: units are counted as events divided by
//! their design effect, and whoever reads a metric of this kind must say so.

mod examine;
mod fold;
mod frames;
mod question;

use async_trait::async_trait;
use jiff::SignedDuration;
use jiff::civil::Date;

use super::error::WarehouseError;
use super::instants::{instant_of, length, midnight, next_midnight};
use super::sql::{self, Engine, SqlWarehouse};
use super::{Collected, Partition, Warehouse};
use crate::domain::{CohortRequest, TableName};
use fold::Bucket;

/// The length of time that a row of aggregates stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketSize {
    /// `hourly`.
    Hour,
    /// `daily`.
    Day,
}

impl BucketSize {
    /// Its word in `bucket_type`.
    fn word(self) -> &'static str {
        match self {
            BucketSize::Hour => "hourly",
            BucketSize::Day => "daily",
        }
    }

    fn micros(self) -> i64 {
        length(SignedDuration::from_hours(match self {
            BucketSize::Hour => 1,
            BucketSize::Day => 24,
        }))
    }
}

/// A table of aggregates behind an engine. The engine's own tables must name it.
#[derive(Clone, Debug)]
pub(crate) struct AggregatesWarehouse<E> {
    engine: E,
    table: TableName,
    bucket: BucketSize,
}

impl<E: Engine> AggregatesWarehouse<E> {
    /// Over the connection of a warehouse whose tables name the aggregates; nothing if they do not.
    pub(crate) fn over(warehouse: SqlWarehouse<E>, bucket: BucketSize) -> Option<Self> {
        let table = warehouse.engine.tables().aggregates.clone()?;
        Some(Self { engine: warehouse.engine, table, bucket })
    }
}

#[async_trait]
impl<E: Engine> Warehouse for AggregatesWarehouse<E> {
    /// Rows are the events counted over all metrics, since that is what grows when a late bucket is written.
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let doing = format!("counting the aggregates of {date}");
        let (from, to) = (midnight(date), next_midnight(midnight(date)));
        let statement = self.of_time(from, to).await?;
        let rows = self.engine.rows(&statement, &doing).await?;
        let row = sql::only(&rows, &doing)?;
        let Some(latest) = row[1].integer() else { return Ok(None) };
        let events = row[0].count(&doing)?;
        // The last instant of the bucket: up to there its events are counted.
        let latest_event_at = instant_of(latest + self.bucket.micros() - 1);
        Ok(Some(Partition { date, rows: events.unsigned_abs(), latest_event_at }))
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        let asked = question::Asked::of(request)?;
        let doing = format!("collecting the aggregates of experiment {:?}", request.experiment.name);
        let statement = self.of_experiment(&asked).await?;
        let rows = self.engine.rows(&statement, &doing).await?;
        let buckets: Result<Vec<Bucket>, WarehouseError> =
            rows.iter().map(|row| Bucket::read(row, &self.table, &doing)).collect();
        let arms = fold::cohorts(&asked, &buckets?, self.bucket.micros())?;
        frames::collected(&asked, &arms)
    }

    fn describe(&self) -> String {
        format!("{}, aggregates of {}", self.engine.place(), self.table)
    }
}

#[cfg(test)]
mod tests;
