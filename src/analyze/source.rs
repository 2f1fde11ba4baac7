//! A CSV or Parquet file as a lazy frame whose columns have known types, and the search for the row that broke it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::{
    DataFrame, DataType, Engine, Expr, HiveOptions, LazyCsvReader, LazyFileListReader, LazyFrame, PlRefPath,
    PolarsError, PolarsResult, ScanArgsParquet, Schema, col, lit,
};

use super::error::{FileFault, nearest};

/// A file that was opened, with its columns.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
    schema: Schema,
}

#[derive(Debug)]
enum Kind {
    Csv { separator: u8 },
    Parquet,
}

/// A column that is to be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// Its name in the file.
    pub(super) column: String,
    /// Its name in the frame.
    pub(super) alias: String,
    /// What it must hold.
    pub(super) holds: Holds,
    /// The argument that names it, for messages.
    pub(super) asked_by: String,
}

/// What a column must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A key of a few values, as String.
    Key,
    /// The key of the units: in Parquet the type that it has.
    Unit,
    /// A number, true or false, as Float64.
    Number,
}

/// Rows from which the type of a CSV column is guessed; only `true` and `false` depend on the guess.
const ROWS_TO_GUESS_FROM: usize = 1_000;

impl Source {
    /// Looks at the file's first bytes and reads its columns' names.
    pub(super) fn open(path: &Path) -> Result<Self, FileFault> {
        let unreadable = |source| FileFault::Unreadable { source };
        let wrong = |what: String| FileFault::WrongKind { what };
        if path.is_dir() {
            return Err(wrong("this is a folder; name one CSV or Parquet file".to_owned()));
        }
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let start = file.fill_buf().map_err(unreadable)?;
        let kind = if start.is_empty() {
            return Err(wrong("the file is empty".to_owned()));
        } else if start.starts_with(b"PAR1") {
            Kind::Parquet
        } else if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return Err(wrong("the file is compressed; unpack it first".to_owned()));
        } else if start.contains(&0) || path.extension().is_some_and(|extension| extension == "parquet") {
            return Err(wrong("this is neither CSV nor Parquet".to_owned()));
        } else {
            let mut header = Vec::new();
            // A line that never ends is no header.
            file.take(1 << 20).read_until(b'\n', &mut header).map_err(unreadable)?;
            Kind::Csv { separator: separator_of(&header) }
        };
        let mut source = Source { path: path.to_owned(), kind, schema: Schema::default() };
        let schema = source.scan(&[]).and_then(|mut frame| frame.collect_schema());
        source.schema =
            Arc::unwrap_or_clone(schema.map_err(|error| source.broken("its columns cannot be read", error))?);
        Ok(source)
    }

    /// Whether it has that column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.schema.contains(column)
    }

    /// The wanted columns, renamed and in their types.
    ///
    /// # Errors
    /// [`FileFault`] if one is not there or of a type that cannot hold what is wanted.
    pub(super) fn frame(&self, wanted: &[Wanted]) -> Result<LazyFrame, FileFault> {
        let columns = wanted.iter().map(|wanted| self.expression(wanted)).collect::<Result<Vec<_>, _>>()?;
        let frame = self.scan(wanted).map_err(|error| self.broken("it cannot be opened", error))?;
        Ok(frame.select(columns))
    }

    /// What polars' error was about: the first text among the numbers, or else what polars says.
    pub(super) fn explain(&self, wanted: &[Wanted], error: PolarsError) -> FileFault {
        for wanted in wanted.iter().filter(|wanted| wanted.holds == Holds::Number) {
            if let Some((row, found)) = self.first_text(wanted) {
                let (column, asked_by) = (wanted.column.clone(), wanted.asked_by.clone());
                return FileFault::Text { column, asked_by, found, row };
            }
        }
        self.broken("it cannot be read to its end", error)
    }

    /// Names the row of a value that is not finite.
    pub(super) fn not_finite(&self, wanted: &Wanted) -> FileFault {
        let (column, asked_by) = (wanted.column.clone(), wanted.asked_by.clone());
        let number = || col(wanted.alias.as_str());
        let bad = number().is_nan().or(number().is_infinite());
        let first = match self.frame(std::slice::from_ref(wanted)) {
            Ok(frame) => first_row(frame, bad),
            Err(error) => return error,
        };
        let found = first.and_then(|(row, frame)| {
            Some((row, frame.column(&wanted.alias).ok()?.f64().ok()?.iter().next().flatten()?))
        });
        match found {
            Some((row, found)) => FileFault::NotFinite { column, asked_by, found, row },
            None => FileFault::Overflow { column, asked_by },
        }
    }

    fn scan(&self, wanted: &[Wanted]) -> PolarsResult<LazyFrame> {
        let path = PlRefPath::new(self.path.to_string_lossy().as_ref());
        match self.kind {
            Kind::Parquet => {
                let hive_options = HiveOptions::new_disabled();
                LazyFrame::scan_parquet(path, ScanArgsParquet { hive_options, glob: false, ..Default::default() })
            }
            Kind::Csv { separator } => {
                let types = wanted.iter().map(|wanted| (wanted.column.as_str().into(), self.csv_type(wanted)));
                self.csv(path, separator).with_dtype_overwrite(Some(Arc::new(types.collect()))).finish()
            }
        }
    }

    fn csv(&self, path: PlRefPath, separator: u8) -> LazyCsvReader {
        LazyCsvReader::new(path)
            .with_separator(separator)
            .with_glob(false)
            .with_infer_schema_length(Some(ROWS_TO_GUESS_FROM))
    }

    /// Keys are text as they stand there (`007` is not `7`); numbers are parsed by the reader itself, which is fastest.
    fn csv_type(&self, wanted: &Wanted) -> DataType {
        match (wanted.holds, self.schema.get(&wanted.column)) {
            (Holds::Key | Holds::Unit, _) => DataType::String,
            (Holds::Number, Some(DataType::Boolean)) => DataType::Boolean,
            (Holds::Number, _) => DataType::Float64,
        }
    }

    fn expression(&self, wanted: &Wanted) -> Result<Expr, FileFault> {
        let (name, asked_by) = (wanted.column.clone(), wanted.asked_by.clone());
        let Some(held) = self.schema.get(&name) else {
            let present: Vec<String> = self.schema.iter_names().map(|name| name.to_string()).collect();
            let nearest = nearest(&name, present.iter().map(String::as_str));
            return Err(FileFault::NoColumn { column: name, asked_by, nearest, present });
        };
        let column = col(name.as_str());
        let is_csv = matches!(self.kind, Kind::Csv { .. });
        let wrong =
            |expected| Err(FileFault::WrongType { column: name.clone(), asked_by, found: held.to_string(), expected });
        let is_flat = !(held.is_nested() || matches!(held, DataType::Binary));
        let column = match wanted.holds {
            Holds::Number if is_csv => column.cast(DataType::Float64),
            Holds::Number if held.is_numeric() || matches!(held, DataType::Boolean | DataType::Null) => {
                column.cast(DataType::Float64)
            }
            Holds::Number if held.is_string() => match self.first_text(wanted) {
                Some((row, found)) => {
                    let asked_by = wanted.asked_by.clone();
                    return Err(FileFault::Text { column: name, asked_by, found, row });
                }
                None => return wrong("numbers"),
            },
            Holds::Number => return wrong("numbers"),
            Holds::Key | Holds::Unit if is_csv || held.is_string() => column,
            Holds::Unit if is_flat => column,
            Holds::Key if is_flat => column.cast(DataType::String),
            Holds::Key | Holds::Unit => return wrong("text, whole numbers or dates"),
        };
        Ok(column.alias(wanted.alias.as_str()))
    }

    /// The first value of the column that is text and no number, with its row from 1.
    fn first_text(&self, wanted: &Wanted) -> Option<(u64, String)> {
        let text = || col(wanted.column.as_str());
        let as_text = Wanted { holds: Holds::Key, ..wanted.clone() };
        let is_number = match self.schema.get(&wanted.column)? {
            DataType::Boolean => text().eq(lit("true")).or(text().eq(lit("false"))),
            _ => text().cast(DataType::Float64).is_not_null(),
        };
        let frame = self.scan(&[as_text]).ok()?.select([text()]);
        let (row, first) = first_row(frame, text().is_not_null().and(is_number.not()))?;
        let found = first.column(&wanted.column).ok()?.str().ok()?.iter().next().flatten()?.to_owned();
        Some((row, found))
    }

    fn broken(&self, doing: &'static str, source: PolarsError) -> FileFault {
        FileFault::Broken { doing, source }
    }
}

/// The first row that fits, with its number from 1; `None` if there is none, or if polars cannot say.
fn first_row(frame: LazyFrame, fits: Expr) -> Option<(u64, DataFrame)> {
    const NUMBER: &str = "number of the row";
    let frame = frame.with_row_index(NUMBER, None).filter(fits).limit(1);
    let first = frame.collect_with_engine(Engine::Streaming).ok()?.unwrap_single();
    let row = first.column(NUMBER).ok()?.u32().ok()?.iter().next().flatten()?;
    Some((u64::from(row) + 1, first))
}

/// The separator that the header uses most; names rarely hold any.
fn separator_of(header: &[u8]) -> u8 {
    let used = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    b",;\t|".iter().copied().rev().max_by_key(|separator| used(*separator)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_read_off_the_header() {
        for (header, separator) in [("a,b;c,d", b','), ("a;b", b';'), ("a\tb\tc", b'\t'), ("a|b", b'|'), ("a", b',')] {
            assert_eq!(separator_of(header.as_bytes()), separator, "{header}");
        }
    }
}
