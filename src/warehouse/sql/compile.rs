//! Compiles a request to one SQL statement. The template gives the structure, the dialect the engine's own words.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::dialect::Dialect;
use super::facts::{self, Bounds};
use super::statement::{Bind, Binder, Statement};
use crate::domain::ExposedBy;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::facts::Shape;
use crate::warehouse::instants::{date_of, midnight};
use crate::warehouse::needs::{Adds, Needs, Reading, UnitSum};
use crate::warehouse::tables::Tables;

/// Where exposures are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A table of assignments in which no unit comes twice in an experiment.
    UniqueAssignments,
    /// A table of assignments that may hold a unit more than once.
    Assignments,
    /// The experiments that events carry.
    Events,
}

impl Source {
    /// The source for a request, where the table of assignments is unique in (experiment, unit) or is not.
    pub(crate) fn of(needs: &Needs, unique: bool) -> Self {
        match (needs.exposed_by, unique) {
            (ExposedBy::Event, _) => Source::Events,
            (ExposedBy::Assignment, true) => Source::UniqueAssignments,
            (ExposedBy::Assignment, false) => Source::Assignments,
        }
    }
}

/// The tables to read, and by which cluster if they lie on its shards.
pub(crate) struct Place<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) source: Source,
    pub(crate) cluster: Option<&'a str>,
    /// What the request's facts give, in their order.
    pub(crate) facts: &'a [Shape],
}

/// The statement that collects moments and health of the request's cohorts.
pub(crate) fn compile(needs: &Needs, dialect: &dyn Dialect, place: &Place<'_>) -> Result<Statement, WarehouseError> {
    let mut binder = Binder::default();
    let b = &mut binder;
    let unit_type = b.bind(Bind::Text(needs.unit_type.clone()));
    let exposed_from = b.bind(Bind::Instant(needs.exposed_from));
    let events_to = b.bind(Bind::Instant(needs.events_to));
    let window = b.bind(Bind::Length(needs.window));
    let counts_before = needs.before > 0;
    let events_from = if counts_before { b.bind(Bind::Instant(needs.events_from)) } else { exposed_from.clone() };
    let since = date_of(needs.assigning_since).map_or(needs.assigning_since, midnight);
    let assigning_since = b.bind(Bind::Instant(since));
    let spans: Vec<Value> = needs
        .spans
        .iter()
        .map(|span| {
            let (from, to) = (b.bind(Bind::Instant(span.from)), b.bind(Bind::Instant(span.to)));
            context! { from, to, epoch => b.bind(Bind::Integer(span.epoch)) }
        })
        .collect();
    let event_names: Vec<String> = needs.events.iter().map(|name| b.bind(Bind::Text(name.clone()))).collect();
    let of_type = |name: &String| match dialect.compares_loosely() {
        true => format!("{} = {}", dialect.exact("e.event_type"), dialect.exact(name)),
        false => format!("e.event_type = {name}"),
    };
    let events: Vec<Value> = event_names.iter().map(|name| context! { is => of_type(name) }).collect();
    let fields = fields(needs, &event_names, dialect);
    let sum_of = |sum: &UnitSum| {
        let total = unit_sum(dialect, sum.event, sum.adds, b);
        dialect.double(&format!("coalesce({total}, 0)"))
    };
    let sums: Vec<String> = needs.sums.iter().map(sum_of).collect();
    let readings =
        needs.readings.iter().map(|reading: &Reading| context! { event => reading.event, field => reading.field });
    let readings: Vec<Value> = readings.collect();
    let assigned_at = dialect.instant("a.assigned_at");
    let happened_at = dialect.instant(&format!("e.{}", dialect.quote("timestamp")));
    let raw_timestamp = format!("e.{}", dialect.quote("timestamp"));
    let total = |name: &str| dialect.integer(&format!("sum({name})"));
    let source = match place.source {
        // ClickHouse's tables have no unique keys, and its template none for one.
        Source::UniqueAssignments => None,
        Source::Assignments => Some(context! {
            table => format!("{} AS a", dialect.table(&place.tables.assignments)),
            unit => dialect.unit_key("a.unit_id"),
            unit_id => "a.unit_id",
            variant => dialect.key_text("a.variant_id"),
            instant => assigned_at.as_str(),
            condition => dialect.is_key("a.experiment_id", needs.experiment_id, b),
            reach_all => dialect.reach("a.assigned_at", since, needs.events_to, b),
            reach => dialect.reach("a.assigned_at", needs.exposed_from, needs.events_to, b),
            narrow => false,
        }),
        Source::Events => {
            let contexts = dialect.contexts();
            let mut conditions = vec![
                format!("e.unit_type = {unit_type}"),
                dialect.is_key(&contexts.experiment, needs.experiment_id, b),
                format!("{} IS NOT NULL", contexts.variant),
            ];
            if dialect.key_is_native() {
                conditions[1] = text_key(&contexts.experiment, needs, b);
            }
            conditions.extend(dialect.carries(needs.experiment_id, b));
            Some(context! {
                table => format!("{} AS e {}", dialect.table(&place.tables.events), contexts.join),
                unit => dialect.unit_key("e.unit_id"),
                unit_id => "e.unit_id",
                variant => contexts.variant,
                instant => happened_at.as_str(),
                condition => conditions.join(" AND "),
                reach_all => dialect.reach(&raw_timestamp, since, needs.events_to, b),
                reach => dialect.reach(&raw_timestamp, needs.exposed_from, needs.events_to, b),
                // Events are many: only those of units that are there on the days asked for are looked through.
                narrow => true,
            })
        }
    };
    let window_end = dialect.later("x.assigned_at", &window);
    let before = b.bind(Bind::Length(needs.before));
    let earlier = b.bind(Bind::Length(-needs.before));
    let begin_of = |exposed: &str| if counts_before { dialect.later(exposed, &earlier) } else { exposed.to_owned() };
    let (begin, begin_alone) = (begin_of("x.assigned_at"), begin_of("assigned_at"));
    let bounds = Bounds { events_from: &events_from, events_to: &events_to, begin: &begin, window_end: &window_end };
    let facts = facts::arms(needs, place.facts, dialect, &bounds, b);
    let values = context! {
        cluster => place.cluster.map(|cluster| b.bind(Bind::Text(cluster.to_owned()))),
        materialized => dialect.materialized().unwrap_or_default(),
        fence => dialect.fence(),
        number => dialect.materialized().is_some().then_some("row_number() OVER ()"),
        loosely => dialect.compares_loosely(),
        may_misread => dialect.may_misread(),
        by_window => dialect.centres_by_window(),
        assignments => dialect.table(&place.tables.assignments),
        events_table => dialect.table(&place.tables.events),
        of_experiment => dialect.is_key("a.experiment_id", needs.experiment_id, b),
        reach_assignments => dialect.reach("a.assigned_at", needs.exposed_from, needs.events_to - needs.window, b),
        reach_events => dialect.reach(&raw_timestamp, needs.events_from, needs.events_to, b),
        exact_unit => dialect.unit_key("a.unit_id"),
        exact_event_unit => dialect.unit_key("e.unit_id"),
        variant => dialect.key_text("a.variant_id"),
        variant_text => "variant_id",
        day_assigned => dialect.day(&assigned_at),
        day_met => dialect.day("met_at"),
        day_counted => dialect.day("counted_at"),
        closes_at => dialect.later(&dialect.next_midnight("met_at"), &window),
        // What stands before the names of the statement's own parts, so that none of them hides a table that a fact reads.
        own => if needs.facts.is_empty() { "" } else { "rampkeeper_" },
        facts_by_window => dialect.joins_facts_by_window(),
        window_end_alone => dialect.later("assigned_at", &window),
        no_facts => facts::nothings(needs, dialect),
        no_fields => facts::no_fields(needs, dialect),
        // Tables that lie on shards, read by way of one server.
        gather => if !needs.facts.is_empty() && place.cluster.is_none() { "GLOBAL " } else { "" },
        inside => needs.inside(),
        total => context! { events => total("events"), missing => total("missing"), not_numbers => total("not_numbers") },
        zero => dialect.integer("0"),
        moments => moments(needs, dialect),
        source, assigned_at, happened_at, unit_type, exposed_from, events_from, events_to, counts_before, assigning_since, window,
        spans, event_names, events, fields, facts, readings, sums, window_end, before, begin, begin_alone,
    };
    let text = render(dialect.template(), values).map_err(|error| WarehouseError::Query {
        doing: format!("writing the query of experiment {:?}", needs.experiment),
        source: error.into(),
    })?;
    Ok(binder.finish(&text, dialect))
}

/// The template, filled in.
pub(crate) fn render(template: &str, values: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("cohorts.sql", template)?;
    environment.get_template("cohorts.sql")?.render(values)
}

/// A key inside JSON is a text, whatever the engine's columns of keys are.
fn text_key(column: &str, needs: &Needs, binder: &mut Binder) -> String {
    let key = needs.experiment_id.to_string();
    let spellings = [key.clone(), key.to_uppercase()];
    format!("{column} IN ({})", spellings.map(|text| binder.bind(Bind::Text(text))).join(", "))
}

fn unit_sum(dialect: &dyn Dialect, event: usize, adds: Adds, binder: &mut Binder) -> String {
    match adds {
        Adds::One => dialect.count_where(&format!("event = {event}")),
        Adds::Number(field) => dialect.sum_where(field, &format!("event = {event}")),
        Adds::OneAbove(field, threshold) => {
            let threshold = binder.bind(Bind::Float(threshold));
            dialect.count_where(&format!("event = {event} AND {} > {threshold}", dialect.known_number(field)))
        }
    }
}

fn fields(needs: &Needs, events: &[String], dialect: &dyn Dialect) -> Vec<Value> {
    let sql = |(place, field)| {
        let json = format!("json_{place}");
        let needing = needs.readings.iter().filter(|reading| reading.field == place);
        let needing: Vec<String> = needing.map(|reading| events[reading.event].clone()).collect();
        context! {
            when => format!("e.event_type IN ({})", needing.join(", ")),
            json => dialect.field(field),
            missing => dialect.is_missing(&json),
            number => dialect.number(&json),
        }
    };
    needs.fields.iter().enumerate().map(sql).collect()
}

/// Mean and centred sum of the numerator and, for a ratio, those of the denominator and the cross product, then what rounding
/// took from the means where the dialect tells it, metric by metric.
fn moments(needs: &Needs, dialect: &dyn Dialect) -> Vec<String> {
    let of_metric = |metric: &crate::warehouse::needs::MetricNeed| {
        let y = metric.numerator;
        let mut moments = vec![dialect.mean(y), dialect.centred_squares(y)];
        if let Some(d) = metric.denominator {
            moments.extend([dialect.mean(d), dialect.centred_squares(d), dialect.centred_products(y, d)]);
        }
        moments.extend([Some(y), metric.denominator].into_iter().flatten().filter_map(|sum| dialect.mean_rest(sum)));
        moments
    };
    needs.metrics.iter().flat_map(of_metric).collect()
}
