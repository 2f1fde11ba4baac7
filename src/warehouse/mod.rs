//! The warehouse: where events and assignments lie, and the one query per experiment that turns them into moments.
//!
//! Raw rows never leave a warehouse. It answers with the sufficient statistics of each cohort, so that all reasoning
//! happens elsewhere and on little data. This module must not know how the numbers are judged.

mod aggregates;
mod clickhouse;
mod cohort_rows;
mod error;
mod examine;
mod facts;
#[cfg(test)]
mod fixture;
mod instants;
mod lake;
mod mysql;
mod needs;
mod none;
mod open;
mod postgres;
mod sql;
mod sqlite;
mod tables;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use polars::prelude::DataFrame;

use crate::domain::{CohortRequest, Fact, FieldRoot};

pub(crate) use aggregates::{AggregatesWarehouse, BucketSize};
pub use clickhouse::{ClickhouseSettings, ClickhouseWarehouse};
pub use error::WarehouseError;
pub use examine::{Examine, Exceeded, Exceeding, FactLook, FactSample, Remark, Sample};
pub use facts::FactFault;
pub use lake::{BucketSettings, LakeWarehouse};
pub use mysql::{MysqlSettings, MysqlWarehouse};
pub use none::NoWarehouse;
pub use postgres::{PostgresSettings, PostgresWarehouse};
pub use sql::SqlWarehouse;
pub use sqlite::{SqliteSettings, SqliteWarehouse};
pub use tables::Tables;

/// A place that holds events and assignments and can sum over them.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// What lies in the day partition of events of that UTC date; `None` if there is nothing at all.
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError>;

    /// An order-free checksum of that day's events, as far as metrics may read them; `roots` are the JSON columns that they
    /// do. `None` of an engine that has none, or where there is nothing.
    async fn content(&self, _date: Date, _roots: &[FieldRoot]) -> Result<Option<i64>, WarehouseError> {
        Ok(None)
    }

    /// How many rows that day of a fact has, or their checksum if that is wanted and the engine has one.
    async fn content_of_fact(&self, _date: Date, _fact: &Fact, _checksum: bool) -> Result<Option<i64>, WarehouseError> {
        Ok(None)
    }

    /// The moments and the health of the cohorts asked for, from one pass over the events.
    ///
    /// A unit belongs to the cohort of its first assignment: the UTC date, and the epoch of the span that holds it.
    /// Events count when the unit is theirs and `assigned_at <= timestamp < assigned_at + window`.
    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError>;

    /// The same for many requests, one answer for each, in their order. A warehouse whose events are read for all at
    /// once does so here; an answer is the same as alone, and one that fails leaves the others.
    async fn collect_many(&self, requests: &[CohortRequest<'_>]) -> Vec<Result<Collected, WarehouseError>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.collect(request).await);
        }
        answers
    }

    /// How many numbers a field has, and how many of them exceed each of some edges: all that a percentile is made of.
    async fn exceed(&self, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
        let what = format!("counting {} of events of type {:?}", asked.field, asked.event);
        let source = format!("{} cannot do that; write the threshold into the metrics file", self.describe()).into();
        Err(WarehouseError::Query { doing: what, source })
    }

    /// Where this warehouse is, for logs; holds no secret.
    fn describe(&self) -> String;
}

/// The events of one UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The day.
    pub date: Date,
    /// How many events there are.
    pub rows: u64,
    /// When the latest of them happened; `None` if there are no rows.
    pub latest_event_at: Option<Timestamp>,
}

/// What a warehouse answers to a [`CohortRequest`].
#[derive(Clone, Debug)]
pub struct Collected {
    /// One row per cohort date, epoch, variant and metric that has at least one unit.
    ///
    /// Columns: `cohort_date` (Date), `epoch` (Int64), `variant_id`, `metric` (String), `n` (Int64: all exposed units,
    /// those without events counting as zeros), `mean_y`, `m2_y`, `mean_d`, `m2_d`, `c_yd` (Float64). `m2` and `c` are
    /// centred sums: Σ(y-ȳ)², Σ(d-d̄)², Σ(y-ȳ)(d-d̄). A mean has the constant denominator 1.
    pub moments: DataFrame,
    /// One row per cohort date, epoch and variant, with counts that say how far the moments may be trusted.
    ///
    /// Columns: `cohort_date`, `epoch`, `variant_id`, then as Int64 `units`; `events` (of the types in use, inside the
    /// windows); `missing` (needed fields that were absent or null, summed over fields); `not_numbers` (needed fields
    /// that held something else than a finite number); `multiple_exposed` (units left out because they were assigned
    /// to more than one variant).
    pub health: DataFrame,
}
