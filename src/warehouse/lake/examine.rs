//! A closer look at the lake: the schemas of its newest days, and some of their events.

use async_trait::async_trait;
use jiff::civil::Date;
use polars::prelude::{DataFrame, PolarsResult};

use super::columns::{Wanted, check, frames};
use super::events::{column_of, latest, wanted};
use super::files::{Day, Folders, Table};
use super::{LakeWarehouse, assignments, exceed, on_worker};
use crate::domain::{Measure, Metric, Session, Value};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::{Examine, Exceeded, Exceeding, SAMPLE, Sample, rehearsal};

#[async_trait]
impl Examine for LakeWarehouse {
    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        Ok(None)
    }

    async fn faults(&self, until: Date) -> Result<Vec<WarehouseError>, WarehouseError> {
        let folders = self.folders.clone();
        on_worker("looking at the lake's newest days".to_owned(), move || {
            let mut faults = Vec::new();
            // Every column that an event must have is read to date the newest of them.
            if let Some(day) = newest(&folders, Table::Events, until)? {
                let whole = check(&day, &super::events::base("user"));
                faults.extend(whole.and_then(|()| latest(&day)).err());
            }
            if let Some(day) = newest(&folders, Table::Assignments, until)? {
                faults.extend(check(&day, &assignments::wanted()).err());
            }
            Ok(faults)
        })
        .await
    }

    async fn newest(&self, until: Date) -> Result<Option<Date>, WarehouseError> {
        let folders = self.folders.clone();
        on_worker("looking for the lake's newest events".to_owned(), move || {
            Ok(newest(&folders, Table::Events, until)?.map(|day| day.date))
        })
        .await
    }

    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError> {
        let folders = self.folders.clone();
        let needs = rehearsal(metric, day)?;
        let samples = Sample::of(metric);
        on_worker(format!("rehearsing metric {:?}", metric.name), move || {
            let Some(day) = folders.day(Table::Events, day)? else { return Ok(samples) };
            let wanted = wanted(&needs);
            samples.into_iter().map(|sample| look_at(sample, &wanted, &day)).collect()
        })
        .await
    }
}

impl LakeWarehouse {
    /// See [`crate::warehouse::Warehouse::exceed`].
    pub(super) async fn count_beyond(&self, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
        let folders = self.folders.clone();
        let measure = Measure::of_event(asked.event, Value::Sum(asked.field.clone()));
        let needs = rehearsal(&Metric::of_units("the field", measure), asked.from)?;
        let (event, field, edges) = (asked.event.to_owned(), asked.field.clone(), asked.edges.to_vec());
        let question = exceed::Question { event, field, from: asked.from, to: asked.to, edges };
        let doing = format!("counting {} of events of type {:?}", asked.field, asked.event);
        on_worker(doing, move || exceed::exceed(&folders, &question, &wanted(&needs))).await
    }
}

/// The newest day of a table up to that date that has files.
fn newest(folders: &Folders, table: Table, until: Date) -> Result<Option<Day>, WarehouseError> {
    for date in folders.dates(table)?.into_iter().rev().filter(|date| *date <= until) {
        if let Some(day) = folders.day(table, date)? {
            return Ok(Some(day));
        }
    }
    Ok(None)
}

/// A column that is not there, or that holds no numbers, is told by the schemas of the files.
fn look_at(sample: Sample, wanted: &[Wanted], day: &Day) -> Result<Sample, WarehouseError> {
    check(day, wanted)?;
    let column = sample.field.as_ref().map(column_of);
    let read = |wanted: &&Wanted| wanted.column == "event_type" || Some(&wanted.column) == column.as_ref();
    let read: Vec<Wanted> = wanted.iter().filter(read).cloned().collect();
    let number = read.iter().find(|wanted| Some(&wanted.column) == column.as_ref()).map(|wanted| wanted.alias.as_str());
    let mut seen = Sample { events: 0, missing: 0, not_numbers: 0, ..sample };
    for frame in frames(std::slice::from_ref(day), &read)? {
        count(&mut seen, number, &frame?).map_err(|error| WarehouseError::Query {
            doing: format!("looking at some {}", seen.of),
            source: error.into(),
        })?;
        if seen.events >= u64::from(SAMPLE) {
            break;
        }
    }
    Ok(seen)
}

/// Counts more events of the type, up to as many as are looked at. An event that is only counted needs no number.
fn count(seen: &mut Sample, number: Option<&str>, frame: &DataFrame) -> PolarsResult<()> {
    let numbers = number.map(|number| frame.column(number)?.f64()).transpose()?;
    let types = frame.column("event_type")?.str()?;
    let rows = types.iter().enumerate().filter(|(_, name)| *name == Some(seen.of.name())).map(|(row, _)| row);
    let rows: Vec<usize> = rows.take((u64::from(SAMPLE) - seen.events) as usize).collect();
    for row in rows {
        let number = numbers.map_or(Some(0.0), |numbers| numbers.get(row));
        seen.events += 1;
        seen.missing += u64::from(number.is_none());
        seen.not_numbers += u64::from(number.is_some_and(|number| !number.is_finite()));
    }
    Ok(())
}
