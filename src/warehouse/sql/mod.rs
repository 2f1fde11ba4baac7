//! Compiles a request to one SQL statement. The template gives the structure, the dialect the engine's own words,
//! and every value is bound, never written into the text.

mod dialect;
mod postgres;
#[cfg(test)]
mod tests;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use sqlx::types::Uuid;

pub(crate) use dialect::Dialect;
pub(crate) use postgres::Postgres;

use super::error::WarehouseError;
use super::instants::Micros;
use super::needs::{Adds, MetricNeed, Needs, Reading};
use crate::domain::Field;

/// A statement and the values of its parameters, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub sql: String,
    pub binds: Vec<Bind>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bind {
    Key(Uuid),
    Text(String),
    Integer(i64),
    Float(f64),
    /// An instant.
    Instant(Micros),
    /// A length of time.
    Length(Micros),
}

/// Values on their way to becoming parameters.
struct Binder<'a> {
    dialect: &'a dyn Dialect,
    binds: Vec<Bind>,
}

impl Binder<'_> {
    fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        self.dialect.placeholder(self.binds.len())
    }
}

/// The statement that collects moments and health of the request's cohorts.
pub(crate) fn compile(needs: &Needs, dialect: &dyn Dialect) -> Result<Statement, WarehouseError> {
    let mut binder = Binder { dialect, binds: Vec::new() };
    let experiment_id = binder.bind(Bind::Key(needs.experiment_id));
    let unit_type = binder.bind(Bind::Text(needs.unit_type.clone()));
    let exposed_from = binder.bind(Bind::Instant(needs.exposed_from));
    let events_to = binder.bind(Bind::Instant(needs.events_to));
    let window = binder.bind(Bind::Length(needs.window));
    let spans: Vec<Value> = needs
        .spans
        .iter()
        .map(|span| {
            let (from, to) = (binder.bind(Bind::Instant(span.from)), binder.bind(Bind::Instant(span.to)));
            context! { from, to, epoch => binder.bind(Bind::Integer(span.epoch)) }
        })
        .collect();
    let events: Vec<String> = needs.events.iter().map(|name| binder.bind(Bind::Text(name.clone()))).collect();
    let sums: Vec<String> = needs.sums.iter().map(|sum| unit_sum(&events[sum.event], sum.adds, &mut binder)).collect();
    let template_context = context! {
        materialized => dialect.materialized(),
        fence => dialect.fence(),
        assignments => table("assignments", dialect),
        events_table => table("events", dialect),
        timestamp => dialect.quote("timestamp"),
        cohort_date => dialect.utc_date("a.assigned_at"),
        window_end => dialect.later("x.assigned_at", &window),
        fields => fields(needs, &events, dialect),
        readings => readings(needs, &events),
        metrics => metrics(needs, dialect),
        experiment_id, unit_type, exposed_from, events_to, spans, events, sums,
    };
    let sql = render(template_context).map_err(|error| WarehouseError::Query {
        doing: format!("writing the query of experiment {:?}", needs.experiment),
        source: error.into(),
    })?;
    Ok(Statement { sql, binds: binder.binds })
}

fn render(values: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("cohorts.sql", include_str!("../../../queries/warehouse/cohorts.sql"))?;
    environment.get_template("cohorts.sql")?.render(values)
}

fn table(name: &str, dialect: &dyn Dialect) -> String {
    format!("{}.{}", dialect.quote("exp"), dialect.quote(name))
}

fn unit_sum(event: &str, adds: Adds, binder: &mut Binder<'_>) -> String {
    match adds {
        Adds::One => format!("count(CASE WHEN event_type = {event} THEN 1 END)"),
        Adds::Number(field) => format!("sum(CASE WHEN event_type = {event} THEN number_{field} END)"),
        Adds::OneAbove(field, threshold) => {
            let threshold = binder.bind(Bind::Float(threshold));
            format!("count(CASE WHEN event_type = {event} AND number_{field} > {threshold} THEN 1 END)")
        }
    }
}

fn fields(needs: &Needs, events: &[String], dialect: &dyn Dialect) -> Vec<Value> {
    let sql = |(place, field): (usize, &Field)| {
        let json = format!("json_{place}");
        let needing = needs.readings.iter().filter(|reading| reading.field == place);
        context! {
            events => needing.map(|reading| events[reading.event].clone()).collect::<Vec<String>>(),
            json => dialect.json_member(&format!("e.{}", dialect.quote(field.root.as_str())), &field.key),
            missing => dialect.is_missing(&json),
            number => dialect.number(&json),
        }
    };
    needs.fields.iter().enumerate().map(sql).collect()
}

fn readings(needs: &Needs, events: &[String]) -> Vec<Value> {
    let sql = |reading: &Reading| context! { event => events[reading.event].as_str(), field => reading.field };
    needs.readings.iter().map(sql).collect()
}

fn metrics(needs: &Needs, dialect: &dyn Dialect) -> Vec<Value> {
    let sql = |metric: &MetricNeed| {
        let y = format!("sum_{}", metric.numerator);
        let d = metric.denominator.map(|place| format!("sum_{place}"));
        context! {
            m2_y => dialect.centred_squares(&y),
            m2_d => d.as_deref().map(|d| dialect.centred_squares(d)),
            c_yd => d.as_deref().map(|d| dialect.centred_products(&y, d)),
            y,
            d,
        }
    };
    needs.metrics.iter().map(sql).collect()
}
