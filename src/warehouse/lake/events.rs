//! The rows of events that bear on a pass, as plain arrays.

use polars::prelude::{Column, DataFrame, DataType, PolarsResult};

use super::columns::{Absence, Kind, Wanted, frames};
use super::files::Day;
use super::groups::{Group, Recent, instants, integers, numbers, texts};
use crate::domain::{Field, FieldRoot};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{midnight, next_midnight};
use crate::warehouse::needs::Needs;
use crate::warehouse::open::ids::Keys;
use crate::warehouse::open::sets::Sieve;
use crate::warehouse::open::{ANY_UNIT, Events, MISSING, Reads};

/// Reads events out of a lake.
pub(super) struct Reader<'a> {
    keys: Keys,
    reads: &'a Reads,
    columns: Vec<String>,
    /// The units whose events may count, if they are known.
    of: Option<&'a Sieve>,
}

impl<'a> Reader<'a> {
    /// Reads for those units alone, or for any.
    pub(super) fn new(keys: Keys, reads: &'a Reads, of: Option<&'a Sieve>) -> Self {
        let mut columns = ["event_type", "unit_type", "unit_id", "timestamp", "event_id"].map(str::to_owned).to_vec();
        columns.extend(reads.fields.iter().map(column_of));
        columns.sort();
        columns.dedup();
        Self { keys, reads, columns, of }
    }

    /// The events of a row group that may count.
    pub(super) fn read(&self, group: &Group<'_>) -> Result<Events, WarehouseError> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let frame = group.read(&columns)?;
        self.of_frame(&frame).map_err(|error| group.failed(error))
    }

    fn of_frame(&self, frame: &DataFrame) -> PolarsResult<Events> {
        let (mut rows, mut types, mut unit_types) = self.rows_in_use(frame)?;
        let mut units = self.units_of(frame, &rows)?;
        if let Some(of) = self.of {
            let kept: Vec<usize> = (0..units.len()).filter(|at| of.contains(units[*at])).collect();
            keep(&mut rows, &kept);
            keep(&mut types, &kept);
            keep(&mut unit_types, &kept);
            keep(&mut units, &kept);
        }
        let mut events = Events { units, types, unit_types, ..Events::default() };
        events.instants.reserve(rows.len());
        let (instants, to_micros) = instants(frame.column("timestamp")?)?;
        for instants in instants.downcast_iter() {
            events.instants.extend(rows.iter().map(|row| to_micros(instants.value(*row as usize))));
        }
        if let Ok(ids) = frame.column("event_id") {
            events.ids = self.ids(ids, &rows)?;
        }
        for field in &self.reads.fields {
            events.numbers.push(match frame.column(&column_of(field)) {
                Ok(column) => numbers_of(column, &rows)?,
                Err(_) => Vec::new(),
            });
        }
        Ok(events)
    }

    fn units_of(&self, frame: &DataFrame, rows: &[u32]) -> PolarsResult<Vec<u64>> {
        let mut hashes = Vec::with_capacity(rows.len());
        for units in texts(frame.column("unit_id")?)?.downcast_iter() {
            hashes.extend(rows.iter().map(|row| self.keys.text(units.value(*row as usize))));
        }
        Ok(hashes)
    }

    /// The rows that may count, with their types and their units' types.
    fn rows_in_use(&self, frame: &DataFrame) -> PolarsResult<(Vec<u32>, Vec<u16>, Vec<u8>)> {
        let types = texts(frame.column("event_type")?)?;
        let (instants, to_micros) = instants(frame.column("timestamp")?)?;
        let no_unit = frame.column("unit_id")?.null_count() > 0;
        let no_unit = no_unit.then(|| frame.column("unit_id").map(Column::is_null)).transpose()?;
        let unit_types = frame.column("unit_type").ok().map(texts).transpose()?;
        let unit_types = unit_types.as_ref().and_then(|column| column.downcast_iter().next());
        let mut rows = (Vec::with_capacity(frame.height()), Vec::with_capacity(frame.height()), Vec::new());
        rows.2.reserve(frame.height());
        let (mut known_types, mut known_unit_types) = (Recent::new(), Recent::new());
        for (types, instants) in types.downcast_iter().zip(instants.downcast_iter()) {
            for row in 0..types.len() {
                let Some(name) = types.get(row) else { continue };
                if instants.validity().is_some_and(|valid| !valid.get_bit(row)) {
                    continue;
                }
                let ticks = instants.value(row);
                let Some(place) = known_types.get(types.views()[row].as_u128(), || place_in(&self.reads.types, name))
                else {
                    continue;
                };
                let unit_type = match unit_types {
                    None => usize::from(ANY_UNIT),
                    Some(unit_types) => {
                        let Some(name) = unit_types.get(row) else { continue };
                        let view = unit_types.views()[row].as_u128();
                        match known_unit_types.get(view, || place_in(&self.reads.unit_types, name)) {
                            Some(place) => place,
                            None => continue,
                        }
                    }
                };
                if !self.reads.span.contains(&to_micros(ticks)) {
                    continue;
                }
                if no_unit.as_ref().is_some_and(|null| null.get(row) == Some(true)) {
                    continue;
                }
                rows.0.push(row as u32);
                rows.1.push(place as u16);
                rows.2.push(u8::try_from(unit_type).unwrap_or(ANY_UNIT));
            }
        }
        Ok(rows)
    }

    fn ids(&self, column: &Column, rows: &[u32]) -> PolarsResult<Vec<u64>> {
        let mut hashes = Vec::with_capacity(rows.len());
        if column.dtype().is_integer() && *column.dtype() != DataType::UInt64 {
            let ids = integers(column)?;
            for ids in ids.downcast_iter() {
                let valid = |row: usize| ids.validity().is_none_or(|valid| valid.get_bit(row));
                let hash = |row: usize| if valid(row) { self.keys.number(ids.value(row).cast_unsigned()) } else { 0 };
                hashes.extend(rows.iter().map(|row| hash(*row as usize)));
            }
        } else {
            let ids = texts(column)?;
            for ids in ids.downcast_iter() {
                hashes.extend(rows.iter().map(|row| ids.get(*row as usize).map_or(0, |id| self.keys.key(id))));
            }
        }
        Ok(hashes)
    }
}

/// Leaves those of some places.
fn keep<T: Copy>(all: &mut Vec<T>, kept: &[usize]) {
    *all = kept.iter().map(|at| all[*at]).collect();
}

fn place_in(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|known| known == name)
}

fn numbers_of(column: &Column, rows: &[u32]) -> PolarsResult<Vec<f64>> {
    let numbers = numbers(column)?;
    let mut values = Vec::with_capacity(rows.len());
    for numbers in numbers.downcast_iter() {
        let all = numbers.values().as_slice();
        let finite = |x: f64| if x.is_finite() { x } else { f64::NAN };
        match numbers.validity() {
            None => values.extend(rows.iter().map(|row| finite(all[*row as usize]))),
            Some(valid) => values.extend(rows.iter().map(|row| match valid.get_bit(*row as usize) {
                true => finite(all[*row as usize]),
                false => MISSING,
            })),
        }
    }
    Ok(values)
}

/// The columns of an event, whatever its type.
pub(super) fn base(unit_type: &str) -> Vec<Wanted> {
    vec![
        Wanted::required("event_type", Kind::Text),
        Wanted::required("unit_id", Kind::Text),
        Wanted::required("timestamp", Kind::Instant),
        Wanted { absence: Absence::Constant(unit_type.to_owned()), ..Wanted::required("unit_type", Kind::Text) },
    ]
}

/// The columns of the events that are needed, with the fields that are read.
pub(super) fn wanted(needs: &Needs) -> Vec<Wanted> {
    let mut wanted = base(&needs.unit_type);
    wanted.push(Wanted { absence: Absence::Null, ..Wanted::required("event_id", Kind::Key) });
    for (place, field) in needs.fields.iter().enumerate() {
        let event = needs.readings.iter().find(|reading| reading.field == place).map(|reading| reading.event);
        let event = event.map(|event| needs.events[event].clone()).unwrap_or_default();
        wanted.push(Wanted {
            column: column_of(field),
            alias: format!("number_{place}"),
            absence: Absence::FaultForWholeDay(format!("field {field} of event {event:?}")),
            kind: Kind::Number { event, field: field.to_string() },
        });
    }
    wanted
}

/// The same of a day that is read for what happened before exposure alone. It may lie long ago, when a field was not written
/// yet: then there is nothing to add up.
pub(super) fn wanted_before(needs: &Needs) -> Vec<Wanted> {
    let lenient = |wanted: Wanted| match wanted.absence {
        Absence::FaultForWholeDay(_) => Wanted { absence: Absence::Null, ..wanted },
        Absence::Fault | Absence::Constant(_) | Absence::Null => wanted,
    };
    wanted(needs).into_iter().map(lenient).collect()
}

/// A key of `metrics` is a column of its own name; those of the other roots carry the root before a dot.
pub(super) fn column_of(field: &Field) -> String {
    match field.root {
        FieldRoot::Metrics => field.key.clone(),
        FieldRoot::Context | FieldRoot::Payload | FieldRoot::Fact => field.to_string(),
    }
}

/// Only for the latest event of a day: its count comes from the footers. An event that lies in the day's folder and
/// happened on another, such as one of a clock that is ahead, says nothing of how far the day was written.
pub(super) fn latest(day: &Day) -> Result<Option<i64>, WarehouseError> {
    let begin = midnight(day.date);
    let on_that_day = begin..next_midnight(begin);
    let wanted = [Wanted::required("timestamp", Kind::Instant)];
    let mut latest = None;
    for frame in frames(std::slice::from_ref(day), &wanted)? {
        let frame = frame?;
        let instants = frame.column("timestamp").and_then(Column::i64).map_err(|error| WarehouseError::Query {
            doing: format!("dating the {}", day.describe()),
            source: error.into(),
        })?;
        latest = latest.max(instants.iter().flatten().filter(|instant| on_that_day.contains(instant)).max());
    }
    Ok(latest)
}
