//! Many experiments from one narrow stream: `COPY … TO STDOUT (FORMAT binary)` of what counts of each event, added up here.
//!
//! The server would have to join and group what JSON it has taken apart; measured, it takes longer over that than over
//! handing the rows on (docs/design.md). So it only takes the numbers out of the JSON, in parallel where it likes.
//! COPY takes no parameters, so the few values are written into the text as literals.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::Postgres;
use super::copied::{Copied, Fields};
use crate::domain::Field;
use crate::warehouse::cohort_rows::CohortRow;
use crate::warehouse::instants::{DAY, Micros, instant_of};
use crate::warehouse::needs::Needs;
use crate::warehouse::open::ids::Keys;
use crate::warehouse::open::sets::ByHash;
use crate::warehouse::open::{ANY_UNIT, Events, MISSING, Open, Program, Reads, Told};
use crate::warehouse::sql::{self, Dialect};

/// The most units whose sums are held at once.
const UNITS: i64 = 600_000;
/// So many events per exposed unit are streamed in the time that the server takes to join the unit's own.
const EVENTS_PER_UNIT: f64 = 40.0;
/// How many events are added up at once.
const BATCH: usize = 8_192;
/// The longest number that is read; the same as in the queries.
const LONGEST_NUMBER: usize = 300;

/// What the server's planner may take a row for that one of its workers hands on. By its own measure, 0.1, it would leave all
/// of the JSON to one process; taking that apart costs far more than a row's way, and more than the planner knows of.
const PARALLEL_TUPLE_COST: &str = "0.001";

/// 2000-01-01, from which the server counts microseconds.
const EPOCH: Micros = 946_684_800_000_000;

/// How many exposures a request has on each day.
type Counts = BTreeMap<i64, i64>;

impl Postgres {
    /// The rows of every request, or none if queries are the faster way.
    pub(super) async fn copy(&self, requests: &[Needs]) -> Result<Option<Vec<Vec<CohortRow>>>, sqlx::Error> {
        let assignments = sql::Postgres.table(&self.tables.assignments);
        let events = sql::Postgres.table(&self.tables.events);
        let mut transaction = self.reading().await?;
        for (setting, value) in [("standard_conforming_strings", "on"), ("parallel_tuple_cost", PARALLEL_TUPLE_COST)] {
            let set = sqlx::query("SELECT set_config($1, $2, true)").bind(setting).bind(value);
            set.execute(&mut *transaction).await?;
        }
        let counts = exposures_by_day(&mut transaction, &assignments, requests).await?;
        let reads = Reads::of(requests.iter());
        let units: i64 = counts.values().sum();
        let mut rows: Vec<Vec<CohortRow>> = requests.iter().map(|_| Vec::new()).collect();
        if units > 0 {
            if expected_events(&mut transaction, &events, &reads).await? > EVENTS_PER_UNIT * units as f64 {
                return Ok(None);
            }
            let programs: Vec<Program> = requests.iter().map(|needs| Program::of(needs, &reads)).collect();
            for days in parts_of(&counts) {
                let tables = (events.as_str(), assignments.as_str());
                let part = Part { tables, requests, reads: &reads, programs: &programs, keys: Keys::new(), days };
                part.read(&mut transaction, &mut rows).await?;
            }
        }
        transaction.rollback().await?;
        Ok(Some(rows))
    }
}

/// Cohort dates, counted from 1970, that are read together.
struct Part<'a> {
    /// Events and assignments, as they are called in a statement.
    tables: (&'a str, &'a str),
    requests: &'a [Needs],
    reads: &'a Reads,
    programs: &'a [Program],
    keys: Keys,
    days: (i64, i64),
}

impl Part<'_> {
    async fn read(&self, connection: &mut PgConnection, rows: &mut [Vec<CohortRow>]) -> Result<(), sqlx::Error> {
        let mut open = Open::in_any_order();
        self.expose(connection, &mut open).await?;
        open.index();
        self.count(connection, &mut open).await?;
        let requests: Vec<&Needs> = self.requests.iter().collect();
        for _ in self.days.0..=self.days.1 {
            open.close(&requests).into_iter().for_each(|(place, row)| rows[place].push(row));
        }
        Ok(())
    }

    /// Opens the cohorts of the days.
    async fn expose(&self, connection: &mut PgConnection, open: &mut Open) -> Result<(), sqlx::Error> {
        let (first, last) = self.days;
        let mut places: ByHash<Vec<usize>> = ByHash::default();
        for (place, needs) in self.requests.iter().enumerate() {
            places.entry(fold(needs.experiment_id.as_u128())).or_default().push(place);
        }
        let mut variants: Vec<u128> = Vec::new();
        let days = usize::try_from(last - first + 1).unwrap_or(0);
        let mut told: Vec<Vec<Told>> =
            (0..days).map(|_| self.requests.iter().map(|_| Told::default()).collect()).collect();
        let copy = format!(
            "COPY (SELECT a.experiment_id, a.unit_id, a.variant_id, a.assigned_at {} AND a.assigned_at >= {} AND \
             a.assigned_at < {}) TO STDOUT (FORMAT binary)",
            of_experiments(self.tables.1, self.requests),
            instant(first * DAY),
            instant((last + 1) * DAY),
        );
        let mut stream = connection.copy_out_raw(&copy).await?;
        let mut copied = Copied::default();
        while let Some(bytes) = stream.try_next().await? {
            copied.take(bytes, |mut row| {
                let experiment = row.next_key()?;
                let unit = self.keys.text(row.next_text()?.unwrap_or_default());
                let key = row.next_key()?;
                let at = row.next_integer()?.saturating_add(EPOCH);
                let variant = variants.iter().position(|known| *known == key).unwrap_or_else(|| {
                    variants.push(key);
                    variants.len() - 1
                });
                let day = at.div_euclid(DAY);
                for place in places.get(&fold(experiment)).into_iter().flatten() {
                    let needs = &self.requests[*place];
                    if needs.experiment_id.as_u128() != experiment {
                        continue;
                    }
                    let told = &mut told[usize::try_from(day - first).unwrap_or(0)][*place];
                    let arm = (at, u16::try_from(variant).unwrap_or(u16::MAX));
                    if let Some(stratum) = told.stratum_of(arm, day, needs) {
                        told.units.push((unit, at, stratum));
                    }
                }
                Ok(())
            })?;
        }
        let variants: Vec<String> = variants.iter().map(|key| sqlx::types::Uuid::from_u128(*key).to_string()).collect();
        for (day, told) in (first..).zip(told) {
            open.begin(day);
            for (place, told) in told.iter().enumerate() {
                open.add(place, &self.requests[place], &self.programs[place], told, &variants);
            }
        }
        Ok(())
    }

    /// Adds up the events of the windows.
    async fn count(&self, connection: &mut PgConnection, open: &mut Open) -> Result<(), sqlx::Error> {
        let window = self.requests.iter().map(|needs| needs.window).max().unwrap_or(DAY);
        let before = self.requests.iter().map(|needs| needs.before).max().unwrap_or(0);
        let span = (self.days.0 * DAY - before, (self.days.1 + 1) * DAY + window);
        let mut stream = connection.copy_out_raw(&events(self.tables.0, self.reads, self.requests, span)).await?;
        let mut copied = Copied::default();
        let mut batch = self.batch();
        while let Some(bytes) = stream.try_next().await? {
            copied.take(bytes, |mut row| {
                batch.units.push(self.keys.text(row.next_text()?.unwrap_or_default()));
                batch.types.push(row.next_small()?);
                batch.unit_types.push(u8::try_from(row.next_small()?).unwrap_or(ANY_UNIT));
                batch.instants.push(row.next_integer()?.saturating_add(EPOCH));
                for numbers in &mut batch.numbers {
                    numbers.push(number(&mut row)?);
                }
                Ok(())
            })?;
            if batch.units.len() >= BATCH {
                open.count(&batch, self.programs);
                batch.clear();
            }
        }
        open.count(&batch, self.programs);
        Ok(())
    }

    fn batch(&self) -> Events {
        Events { numbers: self.reads.fields.iter().map(|_| Vec::with_capacity(BATCH)).collect(), ..Events::default() }
    }
}

/// Members of JSON come as JSON.
fn number(row: &mut Fields<'_>) -> Result<f64, sqlx::Error> {
    Ok(match row.next_text()? {
        None | Some("null") => MISSING,
        // A number begins so, and a text in quotes; `parse` takes more, such as `inf`.
        Some(json) if json.starts_with(|c: char| c.is_ascii_digit() || c == '-') && json.len() <= LONGEST_NUMBER => {
            json.parse().ok().filter(|number: &f64| number.is_finite()).unwrap_or(f64::NAN)
        }
        Some(_) => f64::NAN,
    })
}

/// What counts of the events that happened in that time.
fn events(table: &str, reads: &Reads, requests: &[Needs], (from, to): (Micros, Micros)) -> String {
    let places = |column: &str, names: &[String]| {
        let cases =
            (0..).zip(names).map(|(place, name): (u16, &String)| format!(" WHEN {} THEN {place}", literal(name)));
        format!("CAST(CASE {column}{} END AS smallint)", cases.collect::<String>())
    };
    let among = |names: &[String]| names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
    // A number is taken out of the JSON only where its event needs it.
    let json = |field: &Field| {
        let reading = |needs: &Needs| -> Vec<String> {
            let readings = needs.readings.iter().filter(|reading| needs.fields[reading.field] == *field);
            readings.map(|reading| needs.events[reading.event].clone()).collect()
        };
        let events: BTreeSet<String> = requests.iter().flat_map(reading).collect();
        let events: Vec<String> = events.into_iter().collect();
        let member = sql::Postgres.field(field);
        format!(", CASE WHEN e.event_type IN ({}) THEN CAST({member} AS text) END", among(&events))
    };
    format!(
        "COPY (SELECT e.unit_id, {}, {}, e.\"timestamp\"{} FROM {table} AS e WHERE e.\"timestamp\" >= {} AND \
         e.\"timestamp\" < {} AND e.event_type IN ({}) AND e.unit_type IN ({})) TO STDOUT (FORMAT binary)",
        places("e.event_type", &reads.types),
        places("e.unit_type", &reads.unit_types),
        reads.fields.iter().map(json).collect::<String>(),
        instant(from),
        instant(to),
        among(&reads.types),
        among(&reads.unit_types),
    )
}

fn of_experiments(table: &str, requests: &[Needs]) -> String {
    let keys: Vec<String> = requests.iter().map(|needs| format!("'{}'", needs.experiment_id)).collect();
    format!("FROM {table} AS a WHERE a.experiment_id IN ({})", keys.join(", "))
}

async fn exposures_by_day(
    connection: &mut PgConnection,
    table: &str,
    requests: &[Needs],
) -> Result<Counts, sqlx::Error> {
    let from = requests.iter().map(|needs| needs.exposed_from).min().unwrap_or(0);
    let to = requests.iter().map(|needs| needs.events_to - needs.window).max().unwrap_or(0);
    let sql = format!(
        "SELECT CAST(floor(extract(epoch FROM a.assigned_at) / 86400) AS bigint), count(*) {} AND a.assigned_at >= {} \
         AND a.assigned_at < {} GROUP BY 1",
        of_experiments(table, requests),
        instant(from),
        instant(to),
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// About how many events would be streamed, as the server expects.
async fn expected_events(connection: &mut PgConnection, table: &str, reads: &Reads) -> Result<f64, sqlx::Error> {
    let sql = format!(
        "EXPLAIN (FORMAT json) SELECT FROM {table} AS e WHERE e.\"timestamp\" >= {} AND e.\"timestamp\" < {}",
        instant(reads.span.start),
        instant(reads.span.end),
    );
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(connection).await?;
    let plan: serde_json::Value = row.try_get(0)?;
    Ok(plan[0]["Plan"]["Plan Rows"].as_f64().unwrap_or(f64::INFINITY))
}

/// Ranges of days without more units than are held at once, a single day apart.
fn parts_of(counts: &Counts) -> Vec<(i64, i64)> {
    let mut parts: Vec<(i64, i64, i64)> = Vec::new();
    for (day, units) in counts {
        match parts.last_mut() {
            Some((_, last, held)) if *held + units <= UNITS => {
                *last = *day;
                *held += units;
            }
            _ => parts.push((*day, *day, *units)),
        }
    }
    parts.into_iter().map(|(first, last, _)| (first, last)).collect()
}

fn fold(key: u128) -> u64 {
    (key >> 64) as u64 ^ key as u64
}

/// With `standard_conforming_strings`, a quote is all that must be doubled.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An instant that the calendar cannot hold lies past any event.
fn instant(micros: Micros) -> String {
    match instant_of(micros) {
        Some(instant) => format!("TIMESTAMPTZ '{instant}'"),
        None => "TIMESTAMPTZ 'infinity'".to_owned(),
    }
}
