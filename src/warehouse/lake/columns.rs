//! From the files of some days to frames with columns of known types.
//!
//! Exports differ: milliseconds or microseconds, integers or decimals, one file with a column and the next without it.
//! What can be read without guessing is cast to one form here; all else is an error that names column and file.

use polars::prelude::{DataFrame, DataType, Expr, Field as PolarsField, IntoLazy, Null, TimeUnit, col, lit};

use crate::warehouse::error::WarehouseError;

use super::files::{DataFile, Day};
use super::groups::groups_of;

/// A column that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its name in the files.
    pub(super) column: String,
    /// Its name in the frame.
    pub(super) alias: String,
    /// What it must hold.
    pub(super) kind: Kind,
    /// What its absence means.
    pub(super) absence: Absence,
}

/// What a column must hold, and the type that it is cast to.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Text, as String.
    Text,
    /// Text or an integer. It is only ever told apart from others.
    Key,
    /// A date with time, as microseconds since 1970 (Int64). Without a time zone it is UTC.
    Instant,
    /// The experiments that an event carries: a list of structs with the texts `experiment_id` and `variant_id`.
    Experiments,
    /// A number, as Float64. Event and field are for the message if it is something else.
    Number { event: String, field: String },
}

/// What it means that a column is absent.
#[derive(Clone, Debug)]
pub(super) enum Absence {
    /// A fault.
    Fault,
    /// A fault if it is absent in every file of a day, since a day without it says nothing about it; else null in
    /// the files that lack it, where exports write one file per event type. The text says who needs it.
    FaultForWholeDay(String),
    /// That value in every row of the file.
    Constant(String),
    /// Null in every row of the file.
    Null,
}

impl Wanted {
    /// A column that must be there under its own name.
    pub(super) fn required(column: &str, kind: Kind) -> Self {
        Self { column: column.to_owned(), alias: column.to_owned(), kind, absence: Absence::Fault }
    }

    fn needed_by(&self) -> &str {
        match &self.absence {
            Absence::FaultForWholeDay(who) => who,
            Absence::Fault | Absence::Constant(_) | Absence::Null => "the lake",
        }
    }

    /// The column of one file in its common form.
    fn expression(&self, file: &DataFile) -> Result<Expr, WarehouseError> {
        let Some(held) = file.schema.get(&self.column) else {
            return Ok(self.stand_in());
        };
        let column = col(self.column.as_str());
        let column = match (&self.kind, held) {
            (Kind::Text, DataType::String) => column,
            (Kind::Text | Kind::Key, DataType::String | DataType::Categorical(..) | DataType::Enum(..)) => {
                column.cast(DataType::String)
            }
            (Kind::Key, held) if held.is_integer() => column.cast(DataType::String),
            (Kind::Instant, DataType::Datetime(unit, _)) => {
                let ticks = column.cast(DataType::Int64);
                match unit {
                    TimeUnit::Milliseconds => ticks * lit(1_000_i64),
                    TimeUnit::Microseconds => ticks,
                    TimeUnit::Nanoseconds => ticks.floor_div(lit(1_000_i64)),
                }
            }
            (Kind::Experiments, held) if has_experiments(held) => column,
            (Kind::Number { .. }, DataType::Float64) => column,
            (Kind::Number { .. }, held) if held.is_numeric() || matches!(held, DataType::Null) => {
                column.cast(DataType::Float64)
            }
            (Kind::Number { event, field }, held) => {
                return Err(WarehouseError::NotANumber {
                    event: event.clone(),
                    field: field.clone(),
                    found: format!("{held} (file {})", file.path.display()),
                });
            }
            (Kind::Text | Kind::Key | Kind::Instant | Kind::Experiments, held) => {
                return Err(WarehouseError::WrongColumn {
                    table: file.path.display().to_string(),
                    column: self.column.clone(),
                    expected: self.kind.in_words().to_owned(),
                    found: held.to_string(),
                });
            }
        };
        Ok(column.alias(self.alias.as_str()))
    }

    /// What stands for the column in a file without it.
    fn stand_in(&self) -> Expr {
        let value = match &self.absence {
            Absence::Constant(text) => lit(text.as_str()),
            Absence::Fault | Absence::FaultForWholeDay(_) | Absence::Null => lit(Null {}).cast(self.kind.dtype()),
        };
        value.alias(self.alias.as_str())
    }

    /// Whether a file without the column is acceptable, given the other files of its day.
    fn may_lack(&self, day: &Day) -> bool {
        match &self.absence {
            Absence::Fault => false,
            Absence::FaultForWholeDay(_) => day.files.iter().any(|file| file.schema.contains(&self.column)),
            Absence::Constant(_) | Absence::Null => true,
        }
    }
}

impl Kind {
    fn dtype(&self) -> DataType {
        match self {
            Kind::Text | Kind::Key => DataType::String,
            Kind::Instant => DataType::Int64,
            Kind::Number { .. } => DataType::Float64,
            Kind::Experiments => {
                let key = |name: &str| PolarsField::new(name.into(), DataType::String);
                DataType::List(Box::new(DataType::Struct(vec![key("experiment_id"), key("variant_id")])))
            }
        }
    }

    fn in_words(&self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Key => "text or an integer",
            Kind::Instant => "a date with time",
            Kind::Number { .. } => "a number",
            Kind::Experiments => "a list of structs with the texts experiment_id and variant_id",
        }
    }
}

/// Whether a column holds experiments as events carry them. There may be more in each struct.
fn has_experiments(held: &DataType) -> bool {
    let DataType::List(item) = held else { return false };
    let DataType::Struct(fields) = item.as_ref() else { return false };
    let is_text = |name: &str| fields.iter().any(|field| field.name() == name && field.dtype() == &DataType::String);
    is_text("experiment_id") && is_text("variant_id")
}

/// Refuses a day whose files lack a column, or hold something else in it.
pub(super) fn check(day: &Day, wanted: &[Wanted]) -> Result<(), WarehouseError> {
    refuse_missing(day, wanted)?;
    for file in &day.files {
        wanted.iter().try_for_each(|wanted| wanted.expression(file).map(drop))?;
    }
    Ok(())
}

/// The wanted columns of those days, row group by row group, in their common form.
pub(super) fn frames<'a>(
    days: &'a [Day],
    wanted: &'a [Wanted],
) -> Result<impl Iterator<Item = Result<DataFrame, WarehouseError>> + 'a, WarehouseError> {
    for day in days {
        refuse_missing(day, wanted)?;
    }
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.column.as_str()).collect();
    Ok(days.iter().flat_map(groups_of).map(move |group| {
        let columns = wanted.iter().map(|wanted| wanted.expression(group.file)).collect::<Result<Vec<_>, _>>()?;
        let frame = group.read(&names)?.lazy().select(columns).collect();
        frame.map_err(|error| group.failed(error))
    }))
}

fn refuse_missing(day: &Day, wanted: &[Wanted]) -> Result<(), WarehouseError> {
    for wanted in wanted {
        let lacking = day.files.iter().find(|file| !file.schema.contains(&wanted.column));
        if let Some(file) = lacking
            && !wanted.may_lack(day)
        {
            return Err(WarehouseError::MissingColumn {
                table: format!("the lake's {} ({})", day.describe(), file.path.display()),
                column: wanted.column.clone(),
                needed_by: wanted.needed_by().to_owned(),
                found: file.schema.iter_names().map(|name| name.to_string()).collect(),
            });
        }
    }
    Ok(())
}
