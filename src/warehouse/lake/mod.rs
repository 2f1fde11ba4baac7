//! The warehouse as a lake of Parquet files, read by polars in its streaming engine.
//!
//! `ROOT/events/date=YYYY-MM-DD/*.parquet` holds the events of a UTC day: `event_type`, `unit_id`, `timestamp`,
//! optionally `unit_type` and `event_id`, and one number column per key of `metrics`, named as the key; a key of
//! `context` or `payload` is a column `context.key` or `payload.key`. `ROOT/assignments/date=YYYY-MM-DD/*.parquet` holds
//! the assignments made on that day: `experiment_id`, `unit_id`, `variant_id`, `assigned_at`. Instants are UTC unless
//! they carry a zone. Only the days and columns that a request needs are read.
//!
//! ROOT is a folder, or an address in an object store, such as `s3://bucket/prefix`.

mod ahead;
mod arms;
mod assignments;
mod bucket;
mod columns;
mod content;
mod days;
mod events;
mod examine;
mod exceed;
mod few;
mod files;
mod groups;
mod noted;
mod pass;
mod shelf;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;

use crate::domain::{CohortRequest, FieldRoot};

pub use self::bucket::BucketSettings;

use self::bucket::Bucket;
use self::files::{Folders, Table};
use self::shelf::Shelf;
use super::error::WarehouseError;
use super::instants::instant_of;
use super::needs::Needs;
use super::{Collected, Exceeded, Exceeding, Partition, Warehouse};

/// A lake of Parquet files under one root folder.
///
/// A lake has no keys, so it may hold what a table could not. An event id that comes twice counts once. A unit's first
/// assignment is its exposure; a later one to the same variant changes nothing; a second variant before the cohort
/// closes leaves the unit out, counted as `multiple_exposed`.
#[derive(Clone, Debug)]
pub struct LakeWarehouse {
    folders: Folders,
}

impl LakeWarehouse {
    /// A lake that has the folders `events` and `assignments` under `root`.
    pub fn open(root: PathBuf) -> Result<Self, WarehouseError> {
        Self::open_by(root, "date")
    }

    /// The same where another word than `date` stands before the date in the names of the days' folders, such as `dt`.
    pub fn open_by(root: PathBuf, word: &str) -> Result<Self, WarehouseError> {
        Self::over(Folders::new(Shelf::Folders, root, word))
    }

    /// A lake in a bucket. `word` stands before the date in the names of the days' folders.
    pub async fn in_bucket(settings: BucketSettings, word: &str) -> Result<Self, WarehouseError> {
        let word = word.to_owned();
        on_worker(format!("opening the lake {}", settings.url), move || {
            let shelf = Shelf::Bucket(Arc::new(Bucket::new(&settings)?));
            Self::over(Folders::new(shelf, PathBuf::from(settings.url.trim_end_matches('/')), &word))
        })
        .await
    }

    fn over(folders: Folders) -> Result<Self, WarehouseError> {
        folders.require(Table::Events)?;
        folders.require(Table::Assignments)?;
        Ok(Self { folders })
    }
}

#[async_trait]
impl Warehouse for LakeWarehouse {
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let folders = self.folders.clone();
        let doing = format!("looking at the lake's events of {date}");
        on_worker(doing, move || {
            let Some(day) = folders.day(Table::Events, date)? else { return Ok(None) };
            let latest = events::latest(&day)?;
            let rows = day.files.iter().map(|file| file.rows).sum();
            Ok(Some(Partition { date, rows, latest_event_at: latest.and_then(instant_of) }))
        })
        .await
    }

    async fn content(&self, date: Date, _roots: &[FieldRoot]) -> Result<Option<i64>, WarehouseError> {
        let folders = self.folders.clone();
        on_worker(format!("looking at the lake's events of {date}"), move || {
            Ok(folders.day(Table::Events, date)?.map(|day| content::content(&day)))
        })
        .await
    }

    async fn exceed(&self, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
        self.count_beyond(asked).await
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        let mut answers = self.collect_many(std::slice::from_ref(request)).await;
        answers
            .pop()
            .unwrap_or_else(|| Err(unanswered("collecting an experiment from the lake", "there was no answer")))
    }

    async fn collect_many(&self, requests: &[CohortRequest<'_>]) -> Vec<Result<Collected, WarehouseError>> {
        let needs: Vec<_> = requests.iter().map(|request| Needs::of_events_alone(request, "a lake")).collect();
        let folders = self.folders.clone();
        let doing = format!("collecting {} experiments from the lake", needs.len());
        match on_worker(doing, move || Ok(pass::collect_many(&folders, needs))).await {
            Ok(answers) => answers,
            Err(error) => {
                requests.iter().map(|_| Err(unanswered("collecting from the lake", &error.to_string()))).collect()
            }
        }
    }

    fn describe(&self) -> String {
        format!("Parquet lake {}", self.folders.root().display())
    }
}

fn unanswered(doing: &str, why: &str) -> WarehouseError {
    WarehouseError::Query { doing: doing.to_owned(), source: why.into() }
}

/// polars blocks its thread, so it must not run on one that serves other tasks.
async fn on_worker<T: Send + 'static>(
    doing: String,
    work: impl FnOnce() -> Result<T, WarehouseError> + Send + 'static,
) -> Result<T, WarehouseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(WarehouseError::Query { doing, source: error.into() }),
    }
}
