//! Row groups: the parts of a Parquet file that are decoded one by one, and their columns as plain arrays.

use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::{
    Column, DataFrame, DataType, Float64Chunked, Int64Chunked, PolarsResult, StringChunked, TimeUnit,
};

use super::files::{DataFile, Day, broken};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::Micros;

/// Makes microseconds of the ticks of a column.
type ToMicros = fn(i64) -> Micros;

/// A row group of a day's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) day: &'a Day,
    pub(super) file: &'a DataFile,
    place: usize,
}

/// The row groups of a day that hold a row, in order.
pub(super) fn groups_of(day: &Day) -> impl Iterator<Item = Group<'_>> {
    let of_file = move |file: &DataFile| file.footer.row_groups.len();
    day.files
        .iter()
        .flat_map(move |file| (0..of_file(file)).map(move |place| Group { day, file, place }))
        .filter(|group| group.rows() > 0)
}

impl Group<'_> {
    pub(super) fn rows(&self) -> usize {
        self.file.footer.row_groups.get(self.place).map_or(0, |group| group.num_rows())
    }

    /// Whether an instant from `since` on may stand in that column, as far as the footer tells.
    pub(super) fn may_reach(&self, column: &str, since: Micros) -> bool {
        let footer = &self.file.footer;
        let latest = footer.row_groups.get(self.place).and_then(|group| {
            let mut columns = group.columns_under_root_iter(column)?;
            let (Some(only), None) = (columns.next(), columns.next()) else { return None };
            only.statistics(&footer.footer_buf)?.ok()?.as_int64()?.max_value
        });
        let Some((latest, dtype)) = latest.zip(self.file.schema.get(column)) else { return true };
        micros_of(dtype)(latest) >= since
    }

    /// Those of the columns that the file has.
    pub(super) fn read(&self, columns: &[&str]) -> Result<DataFrame, WarehouseError> {
        let columns = columns.iter().filter(|column| self.file.schema.contains(column));
        let columns = columns.map(|column| (*column).to_owned()).collect();
        let (path, date) = (self.file.path.as_path(), self.day.date);
        let read = || self.day.shelf.read((path, date), (&self.file.footer, self.place), columns);
        // Some broken files make the decoder panic.
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            Err(broken(path, date, "it cannot be read to its end", Some("the decoder gave up".into())))
        })
    }

    /// For what should not happen, since the types of columns are checked beforehand.
    pub(super) fn failed(&self, error: polars::prelude::PolarsError) -> WarehouseError {
        WarehouseError::Query { doing: format!("reading {}", self.file.path.display()), source: error.into() }
    }
}

/// A column of text in one piece.
pub(super) fn texts(column: &Column) -> PolarsResult<StringChunked> {
    match column.dtype() {
        DataType::String => Ok(column.str()?.rechunk().into_owned()),
        _ => Ok(column.cast(&DataType::String)?.str()?.rechunk().into_owned()),
    }
}

/// A column of numbers in one piece.
pub(super) fn numbers(column: &Column) -> PolarsResult<Float64Chunked> {
    match column.dtype() {
        DataType::Float64 => Ok(column.f64()?.rechunk().into_owned()),
        _ => Ok(column.cast(&DataType::Float64)?.f64()?.rechunk().into_owned()),
    }
}

/// A column of integers in one piece.
pub(super) fn integers(column: &Column) -> PolarsResult<Int64Chunked> {
    match column.dtype() {
        DataType::Int64 => Ok(column.i64()?.rechunk().into_owned()),
        _ => Ok(column.cast(&DataType::Int64)?.i64()?.rechunk().into_owned()),
    }
}

/// A column of instants in one piece, and how its ticks become microseconds.
pub(super) fn instants(column: &Column) -> PolarsResult<(Int64Chunked, ToMicros)> {
    Ok((integers(&column.to_physical_repr())?, micros_of(column.dtype())))
}

/// How the ticks of a column of instants become microseconds.
fn micros_of(dtype: &DataType) -> ToMicros {
    match dtype {
        DataType::Datetime(TimeUnit::Milliseconds, _) => |ticks| ticks.saturating_mul(1_000),
        DataType::Datetime(TimeUnit::Nanoseconds, _) => |ticks| ticks.div_euclid(1_000),
        _ => |ticks| ticks,
    }
}

/// Remembers what the last few different texts were found to be. A text that Parquet keeps in a dictionary has the same
/// view in every row of a group, and comparing views costs next to nothing.
pub(super) struct Recent<T> {
    known: [(u128, T); 8],
    next: usize,
}

impl<T: Copy + Default> Recent<T> {
    pub(super) fn new() -> Self {
        // No text has this view: its length would be the largest there is.
        Self { known: [(u128::MAX, T::default()); 8], next: 0 }
    }

    #[inline]
    pub(super) fn get(&mut self, view: u128, find: impl FnOnce() -> T) -> T {
        if let Some((_, found)) = self.known.iter().find(|(known, _)| *known == view) {
            return *found;
        }
        let found = find();
        self.known[self.next] = (view, found);
        self.next = (self.next + 1) % self.known.len();
        found
    }
}
