//! Where the lake keeps its days: `ROOT/TABLE/date=YYYY-MM-DD/*.parquet`, or another word than `date`, and what the footers of those files say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use polars::prelude::{FileMetadataRef, Schema, SchemaExt, infer_schema};

use super::shelf::{Entry, Shelf};
use crate::warehouse::error::WarehouseError;

/// A table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Events,
    Assignments,
}

impl Table {
    /// The name of its folder.
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Assignments => "assignments",
        }
    }
}

/// The day partition of a table: at least one file.
#[derive(Clone, Debug)]
pub(super) struct Day {
    pub(super) shelf: Shelf,
    pub(super) table: Table,
    pub(super) date: Date,
    pub(super) files: Vec<DataFile>,
}

/// A Parquet file whose footer could be read.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    /// Its path, or its address in a bucket.
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    pub(super) schema: Arc<Schema>,
    /// What the footer says of its row groups.
    pub(super) footer: FileMetadataRef,
}

impl Day {
    /// For messages: `events of 2026-01-02`.
    pub(super) fn describe(&self) -> String {
        format!("{} of {}", self.table.name(), self.date)
    }
}

/// The folders of the lake.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    shelf: Shelf,
    root: PathBuf,
    /// What stands before `=` in the name of a day's folder.
    word: String,
}

impl Folders {
    pub(super) fn new(shelf: Shelf, root: PathBuf, word: &str) -> Self {
        Self { shelf, root, word: word.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one day.
    pub(super) fn day_folder(&self, table: Table, date: Date) -> PathBuf {
        self.root.join(table.name()).join(format!("{}={date}", self.word))
    }

    /// Fails unless the table's folder is there; an unmounted lake must not look like a day without events.
    pub(super) fn require(&self, table: Table) -> Result<(), WarehouseError> {
        self.list(table).map(drop)
    }

    /// What lies in a table's folder.
    fn list(&self, table: Table) -> Result<Vec<Entry>, WarehouseError> {
        let folder = self.root.join(table.name());
        if let Some(entries) = self.shelf.list(&folder)? {
            return Ok(entries);
        }
        let keeps = format!("a lake keeps {0}/{1}=YYYY-MM-DD/*.parquet under its root", table.name(), self.word);
        let root = self.root.display();
        let advice = match self.shelf {
            Shelf::Folders => format!("{keeps}; check the root {root} and that it is mounted"),
            Shelf::Bucket(_) => format!("{keeps}; check the root {root}"),
        };
        Err(WarehouseError::MissingTable { table: format!("the folder {}", folder.display()), advice })
    }

    /// The data files of one day in order of their names; `None` if there are none.
    pub(super) fn day(&self, table: Table, date: Date) -> Result<Option<Day>, WarehouseError> {
        let folder = self.day_folder(table, date);
        let Some(mut entries) = self.shelf.list(&folder)? else {
            self.require(table)?;
            return Ok(None);
        };
        entries.retain(|entry| is_data(&entry.name));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let read = |Entry { name, bytes }| self.file(folder.join(name), date, bytes);
        let files = entries.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok((!files.is_empty()).then(|| Day { shelf: self.shelf.clone(), table, date, files }))
    }

    /// The dates that a table has a folder for, in order.
    pub(super) fn dates(&self, table: Table) -> Result<Vec<Date>, WarehouseError> {
        let date = |entry: Entry| entry.name.strip_prefix(self.word.as_str())?.strip_prefix('=')?.parse::<Date>().ok();
        let mut dates: Vec<Date> = self.list(table)?.into_iter().filter_map(date).collect();
        dates.sort();
        Ok(dates)
    }

    fn file(&self, path: PathBuf, date: Date, bytes: u64) -> Result<DataFile, WarehouseError> {
        let footer = self.shelf.footer(&path, date, bytes)?;
        let schema = infer_schema(&footer)
            .map_err(|error| broken(&path, date, "it is no whole Parquet file", Some(error.into())))?;
        let schema = Arc::new(Schema::from_arrow_schema(&schema));
        Ok(DataFile { path, rows: footer.num_rows as u64, schema, footer })
    }
}

/// A file that could not be read, or a partition that should be there.
pub(super) fn broken(
    path: &Path,
    date: Date,
    reason: &str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
) -> WarehouseError {
    WarehouseError::BrokenPartition { path: path.to_owned(), date, reason: reason.to_owned(), source }
}

/// Writers leave `_SUCCESS`, `.crc` and files still being written beside the data.
fn is_data(name: &str) -> bool {
    name.ends_with(".parquet") && !name.starts_with(['_', '.'])
}
