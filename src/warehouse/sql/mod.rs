//! Warehouses that speak SQL: one compiler, a small dialect per engine, and the questions that all engines are asked alike.
//!
//! An engine knows how to connect, to run a statement and to put its own faults into words. Everything else is here.

mod compile;
mod dialect;
mod dialects;
mod examine;
mod facts;
mod look;
mod rows;
mod shapes;
mod shares;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::Date;

pub(crate) use compile::{Place, Source, compile, render};
pub(crate) use dialect::Dialect;
pub(crate) use dialects::{Clickhouse, Mysql, Postgres, Sqlite, Typed};
pub(crate) use facts::{described, line_of_fact};
pub(crate) use rows::{Cell, Row, only};
pub(crate) use shares::{Rest, Share};
pub(crate) use statement::{Bind, Binder, Statement, literal};

use self::shapes::Shapes;
use super::cohort_rows::CohortRow;
use super::error::WarehouseError;
use super::examine::Remark;
use super::facts::Shape;
use super::instants::{instant_of, midnight, next_midnight};
use super::needs::Needs;
use super::tables::Tables;
use super::{Collected, Exceeded, Exceeding, Partition, Warehouse};
use crate::domain::{CohortRequest, Fact, FieldRoot, Session};

/// What an engine knows of its tables once it has looked at them.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) dialect: Arc<dyn Dialect>,
    /// The tables that the one query reads; those of each shard where there are shards.
    pub(crate) tables: Tables,
    /// Whether no unit can come twice in an experiment's assignments.
    pub(crate) unique: bool,
    /// The cluster on whose shards the tables lie.
    pub(crate) cluster: Option<String>,
}

impl Known {
    /// For a request with facts: what their SQL reads, nobody knows to lie on the shards by unit. So all is read by way of the
    /// one server, by the tables' own names.
    fn gathered(self, tables: &Tables) -> Self {
        Self { tables: tables.clone(), cluster: None, ..self }
    }
}

/// One kind of server, or file, that runs SQL.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    /// The tables as they are called in the connection.
    fn tables(&self) -> &Tables;

    /// Where it is, for logs; holds no secret.
    fn place(&self) -> &str;

    /// What the tables are like; asked of the server once.
    async fn known(&self) -> Result<Known, WarehouseError>;

    /// Runs a statement that reads. It ends by itself when the time is up, and when the answer is no longer waited for.
    async fn rows(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError>;

    /// The same for a statement that reads facts, of which nobody knows whether units are found in them by an index.
    async fn rows_of_facts(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        self.rows(statement, doing).await
    }

    /// What a statement with [`Dialect::sum_of_hashes`] comes to: one number. An engine without a hash is told the text of
    /// each row, and adds up the hashes here.
    async fn checksum(&self, statement: &Statement, doing: &str) -> Result<Option<i64>, WarehouseError> {
        let rows = self.rows(statement, doing).await?;
        Ok(rows::only(&rows, doing)?[0].integer())
    }

    /// The rows of each request from statements that serve many at once; none for one that is to be asked by its own query.
    async fn together(&self, _requests: &[Needs]) -> Vec<Option<Result<Vec<CohortRow>, WarehouseError>>> {
        Vec::new()
    }

    /// The rows of each request from one narrow stream of events, where that is faster than a query for each.
    async fn stream(&self, _requests: &[Needs]) -> Result<Option<Vec<Vec<CohortRow>>>, WarehouseError> {
        Ok(None)
    }

    /// The columns that a fact's SQL gives; nothing is read. An error of the SQL is [`WarehouseError::FactRefused`].
    async fn describe(&self, fact: &Fact) -> Result<Shape, WarehouseError>;

    /// Everything that the tables lack.
    async fn faults(&self) -> Result<Vec<WarehouseError>, WarehouseError>;

    /// What the server says of the connection, where it can say all that a session holds.
    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        Ok(None)
    }

    /// What somebody should know of the server and of what the user may do.
    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError>;
}

/// A warehouse behind an engine.
#[derive(Clone, Debug)]
pub struct SqlWarehouse<E> {
    pub(super) engine: E,
    /// What the facts give that were read before.
    shapes: Shapes,
}

impl<E> SqlWarehouse<E> {
    pub(super) fn over(engine: E) -> Self {
        Self { engine, shapes: Shapes::default() }
    }
}

#[async_trait]
impl<E: Engine> Warehouse for SqlWarehouse<E> {
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let known = self.engine.known().await?;
        let (from, to) = (midnight(date), next_midnight(midnight(date)));
        let doing = format!("counting the events of {date}");
        let statement =
            over_events(include_str!("../../../queries/warehouse/partition.sql"), &known, &self.engine, from, to);
        let rows = self.engine.rows(&statement, &doing).await?;
        let row = rows::only(&rows, &doing)?;
        let (events, latest, unreadable) = (row[0].count(&doing)?, row[1].integer(), row[2].count(&doing)?);
        if unreadable > 0 {
            return Err(WarehouseError::WrongColumn {
                table: self.engine.tables().events.to_string(),
                column: "timestamp".to_owned(),
                expected: "an instant such as 2026-01-05T12:00:00Z".to_owned(),
                found: format!("something else in {unreadable} rows near {date}"),
            });
        }
        let latest_event_at = latest.filter(|_| events > 0).and_then(instant_of);
        Ok((events > 0).then_some(Partition { date, rows: events.unsigned_abs(), latest_event_at }))
    }

    async fn content(&self, date: Date, roots: &[FieldRoot]) -> Result<Option<i64>, WarehouseError> {
        let known = self.engine.known().await?;
        let dialect = known.dialect.as_ref();
        let (from, to) = (midnight(date), next_midnight(midnight(date)));
        let template =
            include_str!("../../../queries/warehouse/content.sql").replace("{checksum}", &dialect.checksum(roots));
        let doing = format!("taking the checksum of the events of {date}");
        self.engine.checksum(&over_events(&template, &known, &self.engine, from, to), &doing).await
    }

    async fn exceed(&self, asked: &Exceeding<'_>) -> Result<Exceeded, WarehouseError> {
        examine::count_beyond(&self.engine, asked).await
    }

    async fn content_of_fact(&self, date: Date, fact: &Fact, checksum: bool) -> Result<Option<i64>, WarehouseError> {
        look::content(&self.engine, &self.shapes, fact, (date, checksum)).await.map(Some)
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        let needs = Needs::of(request)?;
        if needs.spans.is_empty() {
            return Collected::from_rows(&needs, Vec::new());
        }
        if let Some(rows) = self.engine.together(std::slice::from_ref(&needs)).await.pop().flatten() {
            return Collected::from_rows(&needs, rows?);
        }
        let known = self.engine.known().await?;
        let rests_told = known.dialect.mean_rest(0).is_some();
        let statement = self.shapes.question(&self.engine, &needs, known).await?;
        let doing = format!("collecting experiment {:?}", needs.experiment);
        let answer = shapes::rows(&self.engine, &needs, &statement, &doing).await?;
        let assignments = &self.engine.tables().assignments;
        Collected::from_rows(&needs, rows::cohorts(&needs, &answer, assignments, rests_told, &doing)?)
    }

    async fn collect_many(&self, requests: &[CohortRequest<'_>]) -> Vec<Result<Collected, WarehouseError>> {
        // Facts are no part of a stream, and whoever reads what was before exposure reads many more days: neither must keep the
        // others from being gone about as if they were alone.
        let reads_before =
            |request: &CohortRequest<'_>| request.metrics.iter().any(|metric| metric.days_before().is_some());
        let mut groups: BTreeMap<(bool, bool), Vec<usize>> = BTreeMap::new();
        for (place, request) in requests.iter().enumerate() {
            groups.entry((request.has_facts(), reads_before(request))).or_default().push(place);
        }
        if groups.len() < 2 {
            return collect_alike(self, requests).await;
        }
        let mut answers = Vec::with_capacity(requests.len());
        for places in groups.into_values() {
            let alike: Vec<CohortRequest<'_>> = places.iter().map(|place| requests[*place].clone()).collect();
            answers.extend(places.into_iter().zip(collect_alike(self, &alike).await));
        }
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn describe(&self) -> String {
        self.engine.place().to_owned()
    }
}

/// Answers requests that read about as many days, all of them facts or none.
async fn collect_alike<E: Engine>(
    warehouse: &SqlWarehouse<E>,
    requests: &[CohortRequest<'_>],
) -> Vec<Result<Collected, WarehouseError>> {
    // A request that cannot be is told by its own query.
    let possible = requests.iter().enumerate().filter_map(|(place, request)| Some((place, Needs::of(request).ok()?)));
    let (places, needs): (Vec<usize>, Vec<Needs>) = possible.unzip();
    let of_facts = needs.iter().any(|needs| !needs.facts.is_empty());
    if needs.len() == requests.len() && needs.len() > 1 && !of_facts {
        match warehouse.engine.stream(&needs).await {
            Ok(Some(rows)) => {
                return needs.iter().zip(rows).map(|(needs, rows)| Collected::from_rows(needs, rows)).collect();
            }
            Ok(None) => {}
            Err(error) => tracing::info!("the experiments are asked for one by one: {error}"),
        }
    }
    let mut answers: Vec<Option<Result<Collected, WarehouseError>>> = requests.iter().map(|_| None).collect();
    for ((place, needs), rows) in places.into_iter().zip(&needs).zip(warehouse.engine.together(&needs).await) {
        answers[place] = rows.map(|rows| rows.and_then(|rows| Collected::from_rows(needs, rows)));
    }
    let mut outage: Option<WarehouseError> = None;
    let mut all = Vec::with_capacity(requests.len());
    for (request, answer) in requests.iter().zip(answers) {
        let answer = match (answer, &outage) {
            (Some(answer), _) => answer,
            (None, Some(outage)) => Err(outage.of_another(warehouse.engine.place())),
            (None, None) => warehouse.collect(request).await,
        };
        if let Err(error) = &answer
            && error.is_outage()
        {
            outage.get_or_insert_with(|| error.of_another(warehouse.engine.place()));
        }
        all.push(answer);
    }
    all
}

/// The one query.
pub(crate) fn cohorts(needs: &Needs, known: &Known, facts: &[Shape]) -> Result<Statement, WarehouseError> {
    known.dialect.refuse(needs, &known.tables.events).map_or(Ok(()), Err)?;
    let source = Source::of(needs, known.unique);
    let place = Place { tables: &known.tables, source, cluster: known.cluster.as_deref(), facts };
    compile(needs, known.dialect.as_ref(), &place)
}

/// A small query over the events of `from..to`.
fn over_events(template: &str, known: &Known, engine: &dyn Engine, from: i64, to: i64) -> Statement {
    let dialect = known.dialect.as_ref();
    let mut binder = Binder::default();
    let column = format!("e.{}", dialect.quote("timestamp"));
    let instant = dialect.instant(&column);
    let bounds = [from, to].map(|at| binder.bind(Bind::Instant(at)));
    let exactly = format!("{instant} >= {} AND {instant} < {}", bounds[0], bounds[1]);
    let reach = dialect.reach(&column, from, to, &mut binder);
    let (filter, misread) = match (reach, dialect.may_misread()) {
        // What cannot be read must not pass for an event of another day.
        (Some(reach), true) => (reach, format!("count(CASE WHEN {instant} IS NULL THEN 1 END)")),
        (Some(reach), false) => (format!("{reach} AND {exactly}"), dialect.integer("0")),
        (None, _) => (exactly.clone(), dialect.integer("0")),
    };
    let text = template
        .replace("{events}", &dialect.table(&engine.tables().events))
        .replace("{filter}", &filter)
        .replace("{exactly}", &exactly)
        .replace("{latest}", &dialect.micros(&format!("max(CASE WHEN {exactly} THEN {instant} END)")))
        .replace("{misread}", &misread);
    binder.finish(&text, dialect)
}
