//! Where a lake's files lie: in folders of this machine, or in a bucket of an object store.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use polars::prelude::{
    DataFrame, FileMetadata, FileMetadataRef, ParallelStrategy, ParquetReader, PolarsResult, SerReader,
};

use super::bucket::Bucket;
use super::files::broken;
use crate::warehouse::error::WarehouseError;

/// Where files lie. A path on a shelf is that of a file here, or an address such as `s3://bucket/lake/events`.
#[derive(Clone, Debug)]
pub(super) enum Shelf {
    /// This machine's folders.
    Folders,
    /// A bucket.
    Bucket(Arc<Bucket>),
}

/// Something that lies in a folder: a file, or a further folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// How many bytes a file has, where the listing says so.
    pub(super) bytes: u64,
}

impl Shelf {
    /// What lies in a folder; none if there is no such folder. A bucket knows no empty folders.
    pub(super) fn list(&self, folder: &Path) -> Result<Option<Vec<Entry>>, WarehouseError> {
        match self {
            Shelf::Folders => list_here(folder).map_err(|error| WarehouseError::Query {
                doing: format!("listing {}", folder.display()),
                source: error.into(),
            }),
            Shelf::Bucket(bucket) => bucket.list(folder),
        }
    }

    /// What the end of a file says of the whole. A file that was only half written has none: Parquet writes it last.
    pub(super) fn footer(&self, path: &Path, date: Date, bytes: u64) -> Result<FileMetadataRef, WarehouseError> {
        let read =
            || -> PolarsResult<FileMetadataRef> { Ok(ParquetReader::new(File::open(path)?).get_metadata()?.clone()) };
        match self {
            Shelf::Folders => {
                read().map_err(|error| broken(path, date, "it is no whole Parquet file", Some(error.into())))
            }
            Shelf::Bucket(bucket) => bucket.footer(path, date, bytes),
        }
    }

    /// Some columns of a row group.
    pub(super) fn read(
        &self,
        (path, date): (&Path, Date),
        (footer, group): (&FileMetadata, usize),
        columns: Vec<String>,
    ) -> Result<DataFrame, WarehouseError> {
        match self {
            Shelf::Folders => decode_here(path, footer, group, columns)
                .map_err(|error| broken(path, date, "it cannot be read to its end", Some(error.into()))),
            Shelf::Bucket(bucket) => bucket.read((path, date), (footer, group), &columns),
        }
    }
}

fn list_here(folder: &Path) -> io::Result<Option<Vec<Entry>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok());
    let names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
    Ok(Some(names.into_iter().flatten().map(|name| Entry { name, bytes: 0 }).collect()))
}

fn decode_here(path: &Path, whole: &FileMetadata, group: usize, columns: Vec<String>) -> PolarsResult<DataFrame> {
    let group = whole.row_groups[group].clone();
    // The reader takes whole files; to it, this is one of a single row group.
    let alone = FileMetadata {
        version: whole.version,
        num_rows: group.num_rows(),
        max_row_group_height: group.num_rows(),
        created_by: None,
        row_groups: vec![group],
        key_value_metadata: whole.key_value_metadata.clone(),
        schema_descr: whole.schema_descr.clone(),
        column_orders: None,
        footer_buf: whole.footer_buf.clone(),
    };
    let mut reader = ParquetReader::new(File::open(path)?).read_parallel(ParallelStrategy::None);
    reader.set_metadata(Arc::new(alone));
    reader.with_columns(Some(columns)).finish()
}
