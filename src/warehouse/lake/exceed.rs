//! How many numbers of a field lie beyond some edges, over the events of some days.

use jiff::ToSpan;
use jiff::civil::Date;
use polars::prelude::{Column, DataType, Expr, LazyFrame, col, lit};

use super::columns::{Wanted, collect, scan};
use super::events::column_of;
use super::files::{Day, Folders, Table};
use crate::domain::Field;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::Exceeded;

/// The question, with everything that it names, so that it may move to another thread.
pub(super) struct Question {
    pub(super) event: String,
    pub(super) field: Field,
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) edges: Vec<f64>,
}

/// The answer. A day without files has no numbers.
pub(super) fn exceed(folders: &Folders, asked: &Question, wanted: &[Wanted]) -> Result<Exceeded, WarehouseError> {
    let dates = asked.from.series(1.days()).take_while(|date| *date <= asked.to);
    let days: Result<Vec<Option<Day>>, WarehouseError> = dates.map(|date| folders.day(Table::Events, date)).collect();
    let days: Vec<Day> = days?.into_iter().flatten().collect();
    let column = column_of(&asked.field);
    let alias = wanted.iter().find(|wanted| wanted.column == column).map(|wanted| wanted.alias.as_str());
    let (false, Some(alias)) = (days.is_empty(), alias) else {
        return Ok(Exceeded { numbers: 0, beyond: vec![0; asked.edges.len()] });
    };
    let events: LazyFrame = scan(&days, wanted)?.filter(col("event_type").eq(lit(asked.event.as_str())));
    let number = || col(alias);
    let count = |of: Expr, name: String| of.sum().cast(DataType::Int64).alias(name);
    let mut counts = vec![count(number().is_finite(), "numbers".to_owned())];
    let beyond = asked.edges.iter().enumerate();
    counts.extend(
        beyond.map(|(place, edge)| count(number().gt(lit(*edge)).and(number().is_finite()), format!("beyond_{place}"))),
    );
    let counted = collect(events.select(counts), &days)?;
    let read = |name: &str| {
        let count = counted.column(name).and_then(Column::i64).map(|counts| counts.get(0).unwrap_or_default());
        count.map(|count| u64::try_from(count).unwrap_or_default()).map_err(|error| WarehouseError::Query {
            doing: format!("counting {} of events of type {:?}", asked.field, asked.event),
            source: error.into(),
        })
    };
    let beyond: Result<Vec<u64>, WarehouseError> =
        (0..asked.edges.len()).map(|place| read(&format!("beyond_{place}"))).collect();
    Ok(Exceeded { numbers: read("numbers")?, beyond: beyond? })
}
