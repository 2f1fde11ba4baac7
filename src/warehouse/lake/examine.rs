//! A closer look at the lake: the schemas of its newest days, and some of their events.

use async_trait::async_trait;
use jiff::civil::Date;
use polars::prelude::{Column, DataType, Expr, col, len, lit};

use super::columns::{Wanted, collect, scan};
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
                let whole = scan(std::slice::from_ref(&day), &super::events::base("user"));
                faults.extend(whole.and_then(|_| latest(&day)).err());
            }
            if let Some(day) = newest(&folders, Table::Assignments, until)? {
                faults.extend(scan(std::slice::from_ref(&day), &assignments::wanted()).err());
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

    async fn exceed(&self, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
        let folders = self.folders.clone();
        let measure = Measure::of_event(asked.event, Value::Sum(asked.field.clone()));
        let needs = rehearsal(&Metric::of_units("the field", measure), asked.from)?;
        let (event, field, edges) = (asked.event.to_owned(), asked.field.clone(), asked.edges.to_vec());
        let question = exceed::Question { event, field, from: asked.from, to: asked.to, edges };
        let doing = format!("counting {} of events of type {:?}", asked.field, asked.event);
        on_worker(doing, move || exceed::exceed(&folders, &question, &wanted(&needs))).await
    }

    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError> {
        let folders = self.folders.clone();
        let needs = rehearsal(metric, day)?;
        let samples = Sample::of(metric);
        on_worker(format!("rehearsing metric {:?}", metric.name), move || {
            let Some(day) = folders.day(Table::Events, day)? else { return Ok(samples) };
            let wanted = wanted(&needs);
            samples.into_iter().map(|sample| look_at(sample, &wanted, std::slice::from_ref(&day))).collect()
        })
        .await
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
fn look_at(sample: Sample, wanted: &[Wanted], days: &[Day]) -> Result<Sample, WarehouseError> {
    let number = sample.field.as_ref().and_then(|field| {
        let column = column_of(field);
        wanted.iter().find(|wanted| wanted.column == column).map(|wanted| col(wanted.alias.as_str()))
    });
    // An event that is only counted needs no number.
    let number = number.unwrap_or_else(|| lit(0.0));
    let some = scan(days, wanted)?.filter(col("event_type").eq(lit(sample.of.name()))).limit(SAMPLE);
    let count = |of: Expr, name: &str| of.sum().cast(DataType::Int64).alias(name);
    let counted = some.with_column(number.alias("number")).select([
        len().cast(DataType::Int64).alias("events"),
        count(col("number").is_null(), "missing"),
        count(col("number").is_finite().not(), "not_numbers"),
    ]);
    let counted = collect(counted, days)?;
    let read = |name: &str| {
        let count = counted.column(name).and_then(Column::i64).map(|counts| counts.get(0).unwrap_or_default());
        count.map(|count| u64::try_from(count).unwrap_or_default()).map_err(|error| WarehouseError::Query {
            doing: format!("looking at some {}", sample.of),
            source: error.into(),
        })
    };
    let (events, missing, not_numbers) = (read("events")?, read("missing")?, read("not_numbers")?);
    Ok(Sample { events, missing, not_numbers, ..sample })
}
