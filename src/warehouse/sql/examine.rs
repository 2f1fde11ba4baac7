//! A closer look at the tables behind an engine.

use async_trait::async_trait;
use jiff::civil::{Date, date};

use super::look::look;
use super::shapes;
use super::statement::{Bind, Binder, Statement};
use super::{Dialect, Engine, Row, SqlWarehouse, over_events, rows};
use crate::domain::{CohortRequest, Fact, Metric, Rows, Session};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::{Examine, Exceeded, Exceeding, FactLook, Remark, SAMPLE, Sample, rehearsal};
use crate::warehouse::instants::{date_of, midnight, next_midnight};
use crate::warehouse::needs::{FactNeed, Needs};

#[async_trait]
impl<E: Engine> Examine for SqlWarehouse<E> {
    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        self.engine.session().await
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        self.engine.remarks().await
    }

    async fn faults(&self, _until: Date) -> Result<Vec<WarehouseError>, WarehouseError> {
        self.engine.faults().await
    }

    async fn explain(&self, request: &CohortRequest<'_>) -> Result<Option<String>, WarehouseError> {
        let needs = Needs::of(request)?;
        let known = self.engine.known().await?;
        let Some(explain) = known.dialect.explain() else { return Ok(None) };
        let statement = self.shapes.question(&self.engine, &needs, known).await?;
        let statement = Statement { sql: format!("{explain}{}", statement.sql), ..statement };
        let doing = format!("explaining the query of experiment {:?}", needs.experiment);
        let rows = shapes::rows(&self.engine, &needs, &statement, &doing).await?;
        let line = |row: &Row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("\t");
        Ok(Some(rows.iter().map(line).collect::<Vec<_>>().join("\n")))
    }

    async fn newest(&self, until: Date) -> Result<Option<Date>, WarehouseError> {
        let known = self.engine.known().await?;
        let template = include_str!("../../../queries/warehouse/newest.sql");
        let (first, end) = (midnight(date(1970, 1, 1)), next_midnight(midnight(until)));
        let statement = over_events(template, &known, &self.engine, first, end);
        let rows = self.engine.rows(&statement, "looking for the newest event").await?;
        // Nothing reads as null, or as the beginning of 1970 where an engine knows no null here.
        Ok(rows::only(&rows, "looking for the newest event")?[0]
            .integer()
            .filter(|latest| *latest > 0)
            .and_then(date_of))
    }

    async fn look_at_fact(&self, fact: &Fact, columns: &[String], day: Date) -> Result<FactLook, WarehouseError> {
        look(&self.engine, &FactNeed { fact: fact.clone(), columns: columns.to_vec() }, day).await
    }

    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError> {
        let doing = format!("rehearsing metric {:?}", metric.name);
        let known = self.engine.known().await?;
        let needs;
        let rehearsed = match known.dialect.explain() {
            // The server plans the query and checks what it names and who may read it, and reads nothing.
            Some(explain) => {
                needs = rehearsal(metric, day)?;
                let statement = self.shapes.question(&self.engine, &needs, known).await?;
                Statement { sql: format!("{explain}{}", statement.sql), ..statement }
            }
            // The same, over a day that is yet to come.
            None => {
                needs = rehearsal(metric, date(2100, 1, 1))?;
                self.shapes.question(&self.engine, &needs, known).await?
            }
        };
        shapes::rows(&self.engine, &needs, &rehearsed, &doing).await?;
        let mut samples = Sample::of(metric);
        for sample in &mut samples {
            match sample.of.clone() {
                Rows::Event(event) => look_at(&self.engine, (&event, sample), day, &doing).await?,
                Rows::Fact(fact) => {
                    let columns = sample.field.iter().map(|field| field.key.clone()).collect();
                    let found = look(&self.engine, &FactNeed { fact, columns }, day).await?.sample.unwrap_or_default();
                    sample.events = found.rows;
                    (sample.missing, sample.not_numbers) = found.values.first().copied().unwrap_or_default();
                }
            }
        }
        Ok(samples)
    }
}

/// The condition for the events of some days, and an event type as a parameter.
fn over(dialect: &dyn Dialect, (first, last): (Date, Date), event: &str, binder: &mut Binder) -> (String, String) {
    let (from, to) = (midnight(first), next_midnight(midnight(last)));
    let column = format!("e.{}", dialect.quote("timestamp"));
    let instant = dialect.instant(&column);
    let bounds = [from, to].map(|at| binder.bind(Bind::Instant(at)));
    let exactly = format!("{instant} >= {} AND {instant} < {}", bounds[0], bounds[1]);
    let filter = [dialect.reach(&column, from, to, binder), Some(exactly)];
    let filter: Vec<String> = filter.into_iter().flatten().collect();
    (filter.join(" AND "), binder.bind(Bind::Text(event.to_owned())))
}

/// Fills in what the events of that day say of a sample.
async fn look_at(
    engine: &dyn Engine,
    (event, sample): (&str, &mut Sample),
    day: Date,
    doing: &str,
) -> Result<(), WarehouseError> {
    let known = engine.known().await?;
    let dialect = known.dialect.as_ref();
    let mut binder = Binder::default();
    let (filter, event) = over(dialect, (day, day), event, &mut binder);
    let limit = binder.bind(Bind::Integer(i64::from(SAMPLE)));
    let (json, missing, number) = match &sample.field {
        Some(field) => (dialect.field(field), dialect.is_missing("json"), dialect.number("json")),
        // Events that are only counted have no field to look at.
        None => ("1".to_owned(), "json IS NULL".to_owned(), "json".to_owned()),
    };
    let text = include_str!("../../../queries/warehouse/sample.sql")
        .replace("{missing}", &missing)
        .replace("{number}", &number)
        .replace("{json}", &json)
        .replace("{events}", &dialect.table(&engine.tables().events))
        .replace("{event}", &event)
        .replace("{filter}", &filter)
        .replace("{limit}", &limit);
    let rows = engine.rows(&binder.finish(&text, dialect), doing).await?;
    let row = rows::only(&rows, doing)?;
    let count = |place: usize| row[place].count(doing).map(i64::unsigned_abs);
    (sample.events, sample.missing, sample.not_numbers) = (count(0)?, count(1)?, count(2)?);
    Ok(())
}

/// See [`crate::warehouse::Warehouse::exceed`].
pub(super) async fn count_beyond<E: Engine>(engine: &E, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
    let doing = format!("counting {} of events of type {:?}", asked.field, asked.event);
    let known = engine.known().await?;
    let dialect = known.dialect.as_ref();
    let mut binder = Binder::default();
    let (filter, event) = over(dialect, (asked.from, asked.to), asked.event, &mut binder);
    let number = dialect.number("json");
    let beyond = |edge: &f64| {
        let edge = binder.bind(Bind::Float(*edge));
        format!(", count(CASE WHEN {number} > {edge} THEN 1 END)")
    };
    let beyond: String = asked.edges.iter().map(beyond).collect();
    let text = include_str!("../../../queries/warehouse/exceed.sql")
        .replace("{beyond}", &beyond)
        .replace("{number}", &number)
        .replace("{json}", &dialect.field(asked.field))
        .replace("{events}", &dialect.table(&engine.tables().events))
        .replace("{event}", &event)
        .replace("{filter}", &filter);
    let rows = engine.rows(&binder.finish(&text, dialect), &doing).await?;
    let row = rows::only(&rows, &doing)?;
    let counts: Result<Vec<u64>, WarehouseError> =
        row.iter().map(|cell| cell.count(&doing).map(i64::unsigned_abs)).collect();
    let mut counts = counts?.into_iter();
    Ok(Exceeded { numbers: counts.next().unwrap_or_default(), beyond: counts.collect() })
}
