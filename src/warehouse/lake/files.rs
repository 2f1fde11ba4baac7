//! Where the lake keeps its days: `ROOT/TABLE/date=YYYY-MM-DD/*.parquet`, or another word than `date`, and what the footers of those files say.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use polars::prelude::{FileMetadataRef, ParquetReader, PolarsResult, Schema, SchemaExt, SerReader};

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
    pub(super) table: Table,
    pub(super) date: Date,
    pub(super) files: Vec<DataFile>,
}

/// A Parquet file whose footer could be read.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
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
    root: PathBuf,
    /// What stands before `=` in the name of a day's folder.
    word: String,
}

impl Folders {
    pub(super) fn new(root: PathBuf, word: &str) -> Self {
        Self { root, word: word.to_owned() }
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
        let folder = self.root.join(table.name());
        if folder.is_dir() {
            return Ok(());
        }
        let advice = format!(
            "a lake keeps {0}/{1}=YYYY-MM-DD/*.parquet under its root; check the root {2} and that it is mounted",
            table.name(),
            self.word,
            self.root.display()
        );
        Err(WarehouseError::MissingTable { table: format!("the folder {}", folder.display()), advice })
    }

    /// The data files of one day in order of their names; `None` if there are none.
    pub(super) fn day(&self, table: Table, date: Date) -> Result<Option<Day>, WarehouseError> {
        let folder = self.day_folder(table, date);
        let unreadable = |path: &Path, error: io::Error| broken(path, date, "it cannot be listed", Some(error.into()));
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.require(table)?;
                return Ok(None);
            }
            Err(error) => return Err(unreadable(&folder, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&folder, error))?.path();
            if is_data(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        let files = paths.into_iter().map(|path| read_footer(path, date)).collect::<Result<Vec<_>, _>>()?;
        Ok((!files.is_empty()).then_some(Day { table, date, files }))
    }

    /// The dates that a table has a folder for, in order.
    pub(super) fn dates(&self, table: Table) -> Result<Vec<Date>, WarehouseError> {
        self.require(table)?;
        let folder = self.root.join(table.name());
        let failed = |error: io::Error| WarehouseError::Query {
            doing: format!("listing {}", folder.display()),
            source: error.into(),
        };
        let mut dates = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let date = name.to_str().and_then(|name| name.strip_prefix(self.word.as_str())?.strip_prefix('='));
            dates.extend(date.and_then(|date| date.parse::<Date>().ok()));
        }
        dates.sort();
        Ok(dates)
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
fn is_data(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".parquet") && !name.starts_with(['_', '.'])
}

/// A file that was only half written has no footer: Parquet writes it last.
fn read_footer(path: PathBuf, date: Date) -> Result<DataFile, WarehouseError> {
    let footer = |path: &Path| -> PolarsResult<(FileMetadataRef, Arc<Schema>)> {
        let mut reader = ParquetReader::new(File::open(path)?);
        let schema = Schema::from_arrow_schema(reader.schema()?.as_ref());
        Ok((reader.get_metadata()?.clone(), Arc::new(schema)))
    };
    match footer(&path) {
        Ok((footer, schema)) => Ok(DataFile { path, rows: footer.num_rows as u64, schema, footer }),
        Err(error) => Err(broken(&path, date, "it is no whole Parquet file", Some(error.into()))),
    }
}
