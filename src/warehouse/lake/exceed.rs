//! How many numbers of a field lie beyond some edges, over the events of some days.

use jiff::ToSpan;
use jiff::civil::Date;
use polars::prelude::{DataFrame, PolarsResult};

use super::columns::{Wanted, frames};
use super::events::column_of;
use super::files::{Day, Folders, Table};
use crate::domain::Field;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::Exceeded;
use crate::warehouse::open::ids::Keys;
use crate::warehouse::open::sets::Seen;

/// The question, with everything that it names, so that it may move to another thread.
pub(super) struct Question {
    pub(super) event: String,
    pub(super) field: Field,
    pub(super) from: Date,
    pub(super) to: Date,
    pub(super) edges: Vec<f64>,
}

/// What was counted so far.
struct Counting<'a> {
    asked: &'a Question,
    /// The name of the numbers' column.
    number: &'a str,
    keys: Keys,
    /// The ids of the events that were counted: one that comes twice counts once, as it does for a metric.
    seen: Seen,
    counted: Exceeded,
}

/// The answer. A day without files has no numbers.
pub(super) fn exceed(folders: &Folders, asked: &Question, wanted: &[Wanted]) -> Result<Exceeded, WarehouseError> {
    let mut counting = Counting {
        asked,
        number: "",
        keys: Keys::new(),
        seen: Seen::default(),
        counted: Exceeded { numbers: 0, beyond: vec![0; asked.edges.len()] },
    };
    let column = column_of(&asked.field);
    let Some(number) = wanted.iter().find(|wanted| wanted.column == column) else { return Ok(counting.counted) };
    counting.number = number.alias.as_str();
    let needed = ["event_type", "event_id", column.as_str()];
    let wanted: Vec<Wanted> =
        wanted.iter().filter(|wanted| needed.contains(&wanted.column.as_str())).cloned().collect();
    let dates = asked.from.series(1.days()).take_while(|date| *date <= asked.to);
    for date in dates {
        let day: Option<Day> = folders.day(Table::Events, date)?;
        for frame in frames(day.as_slice(), &wanted)? {
            counting.count(&frame?).map_err(|error| WarehouseError::Query {
                doing: format!("counting {} of events of type {:?}", asked.field, asked.event),
                source: error.into(),
            })?;
        }
    }
    Ok(counting.counted)
}

impl Counting<'_> {
    fn count(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let types = frame.column("event_type")?.str()?;
        let ids = frame.column("event_id")?.str()?;
        let numbers = frame.column(self.number)?.f64()?;
        for ((name, id), number) in types.iter().zip(ids.iter()).zip(numbers.iter()) {
            let Some(number) = number.filter(|number| number.is_finite() && name == Some(self.asked.event.as_str()))
            else {
                continue;
            };
            if id.is_some_and(|id| !self.seen.add(self.keys.key(id))) {
                continue;
            }
            self.counted.numbers += 1;
            for (beyond, edge) in self.counted.beyond.iter_mut().zip(&self.asked.edges) {
                *beyond += u64::from(number > *edge);
            }
        }
        Ok(())
    }
}
