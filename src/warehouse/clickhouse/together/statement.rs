//! The statement that answers a question, in ClickHouse's words.

use minijinja::{Value, context};
use sqlx::types::Uuid;

use super::question::{Question, Shape, Slot};
use crate::domain::{ExposedBy, TableName};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::Micros;
use crate::warehouse::sql::{Bind, Binder, Clickhouse, Dialect, Known, Statement, literal, render};
use crate::warehouse::tables::Tables;

/// What no instant reaches.
const NEVER: i64 = 1 << 62;

/// Rows that a block of events may become when it is joined with the exposures of its units, at most.
const JOINED_ROWS: usize = 262_144;

/// The two statements of a question read exposures from the same source.
struct Source {
    table: String,
    unit: &'static str,
    variant: String,
    instant: String,
    condition: String,
    trial: String,
    reach_all: String,
    reach: String,
}

/// The one statement.
pub(super) fn together(
    question: &Question<'_>,
    dialect: &Clickhouse,
    known: &Known,
) -> Result<Statement, WarehouseError> {
    let mut binder = Binder::default();
    let source = Source::of(question, dialect, &known.tables, &mut binder);
    let timestamp = format!("e.{}", dialect.quote("timestamp"));
    let (base, window) = (question.since, question.window);
    let sinces: Vec<i64> = question.trials.iter().map(|trial| trial.since).collect();
    let history = question.exposed_from - base;
    // Where most assignments are older than the days asked for, those of units that do not come there are left out early.
    let narrow = question.exposed_by == ExposedBy::Event || history > question.events_to - question.exposed_from;
    let values = context! {
        cluster => known.cluster.as_ref().map(|cluster| binder.bind(Bind::Text(cluster.clone()))),
        events => question.events.iter().map(|name| binder.bind(Bind::Text(name.clone()))).collect::<Vec<_>>(),
        readings => question.readings.iter().map(|reading| context! { event => reading.event + 1, field => reading.field })
            .collect::<Vec<_>>(),
        sums => question.slots.iter().enumerate().map(|(place, slot)| sum(place, slot)).collect::<Vec<_>>(),
        products => question.products.iter().map(|(y, d)| context! { y, d }).collect::<Vec<_>>(),
        cuts => cuts(question),
        fields => question.fields.iter().map(|field| dialect.plain_number(field)).collect::<Vec<_>>(),
        happened_at => dialect.instant(&timestamp),
        events_table => dialect.table(&known.tables.events),
        reach_events => dialect.reach(&timestamp, question.exposed_from, question.events_to, &mut binder),
        unit_type => binder.bind(Bind::Text(question.unit_type.to_owned())),
        never => NEVER,
        base_and_window => base + window,
        variants => list(question.variants.iter().map(quoted)),
        variant_numbers => list(1..=question.variants.len()),
        sinces => sinces.iter().any(|since| *since != base).then(|| list(&sinces)),
        arm_from => (question.exposed_from - base) * 8192,
        arm_to => (question.exposed_to - base) * 8192,
        trial => source.trial.clone(),
        source => source.values(),
        block => (question.trials.len() > 4).then(|| JOINED_ROWS / question.trials.len()),
        base, window, narrow,
    };
    let text = filled(include_str!("../../../../queries/warehouse/clickhouse/together.sql"), values, question)?;
    Ok(binder.finish(&text, dialect))
}

/// The statement that says how many exposures each experiment has.
pub(super) fn sizes(
    question: &Question<'_>,
    dialect: &Clickhouse,
    named: &Tables,
) -> Result<Statement, WarehouseError> {
    let mut binder = Binder::default();
    let source = Source::of(question, dialect, named, &mut binder);
    let count = match question.exposed_by {
        ExposedBy::Assignment => "count()".to_owned(),
        ExposedBy::Event => format!("uniq({})", source.unit),
    };
    let values = context! { trial => source.trial.clone(), source => source.values(), count };
    let text = filled(include_str!("../../../../queries/warehouse/clickhouse/sizes.sql"), values, question)?;
    Ok(binder.finish(&text, dialect))
}

fn filled(template: &str, values: Value, question: &Question<'_>) -> Result<String, WarehouseError> {
    render(template, values).map_err(|error| WarehouseError::Query {
        doing: format!("writing the query of {} experiments", question.trials.len()),
        source: error.into(),
    })
}

impl Source {
    fn of(question: &Question<'_>, dialect: &Clickhouse, tables: &Tables, binder: &mut Binder) -> Self {
        let keys: Vec<Uuid> = question.trials.iter().map(|trial| trial.needs.experiment_id).collect();
        let table = |name: &TableName, alias: &str| format!("{} AS {alias}", dialect.table(name));
        let trial = |column: &str| {
            let (keys, numbers) = (list(keys.iter().map(quoted)), list(1..=keys.len()));
            format!("transform({}, [{keys}], [{numbers}], 0)", dialect.key_text(column))
        };
        let mut reach = |column: &str, from: Micros, to: Micros| {
            dialect.reach(column, from, to, binder).unwrap_or_else(|| "1".to_owned())
        };
        let (since, from, to, end) = (question.since, question.exposed_from, question.exposed_to, question.events_to);
        match question.exposed_by {
            ExposedBy::Assignment => Source {
                table: table(&tables.assignments, "a"),
                unit: "a.unit_id",
                variant: dialect.key_text("a.variant_id"),
                instant: dialect.instant("a.assigned_at"),
                condition: dialect.is_among("a.experiment_id", &keys),
                trial: trial("a.experiment_id"),
                reach_all: reach("a.assigned_at", since, end),
                reach: reach("a.assigned_at", from, to),
            },
            ExposedBy::Event => {
                let contexts = dialect.contexts();
                let timestamp = format!("e.{}", dialect.quote("timestamp"));
                let (reach_all, reach) = (reach(&timestamp, since, end), reach(&timestamp, from, to));
                let unit_type = binder.bind(Bind::Text(question.unit_type.to_owned()));
                Source {
                    table: format!("{} {}", table(&tables.events, "e"), contexts.join),
                    unit: "e.unit_id",
                    instant: dialect.instant(&timestamp),
                    condition: format!(
                        "e.unit_type = {unit_type} AND {} AND {} IS NOT NULL",
                        dialect.is_among(&contexts.experiment, &keys),
                        contexts.variant
                    ),
                    trial: trial(&contexts.experiment),
                    variant: contexts.variant,
                    reach_all,
                    reach,
                }
            }
        }
    }

    fn values(&self) -> Value {
        let Source { table, unit, variant, instant, condition, reach_all, reach, .. } = self;
        let unit = *unit;
        context! { table, unit, variant, instant, condition, reach_all, reach }
    }
}

/// How a sum is made: of events that were counted anyway, or by an expression of its own.
fn sum(place: usize, slot: &Slot) -> Value {
    let event = slot.event + 1;
    let adds = match slot.adds {
        Shape::One => None,
        Shape::Number(field) => Some(format!("sumIf(number_{field}, what = {event} AND isFinite(number_{field}))")),
        Shape::OneAbove(field) => {
            Some(format!("countIf(what = {event} AND number_{field} > {})", threshold(&slot.thresholds)))
        }
    };
    let unit = if adds.is_some() { format!("sum_{place}") } else { format!("saw_{event}") };
    context! { unit, adds }
}

/// The threshold, looked up by the trial where they have different ones.
fn threshold(thresholds: &[Option<f64>]) -> String {
    let written = |threshold: f64| Bind::Float(threshold).literal();
    let mut all: Vec<f64> = thresholds.iter().flatten().copied().collect();
    all.dedup_by_key(|threshold| threshold.to_bits());
    match all.as_slice() {
        [one] => written(*one),
        _ => {
            let each = thresholds.iter().map(|threshold| threshold.map_or("inf".to_owned(), written));
            format!("arrayElement([inf, {}], bitAnd(tag, 65535) + 1)", list(each))
        }
    }
}

/// The instants that part days: first those that come first in their days, then the second ones.
fn cuts(question: &Question<'_>) -> Vec<Value> {
    let days = list(question.cuts.keys());
    (0..question.parts())
        .map(|nth| {
            let instants = question.cuts.values().map(|instants| instants.get(nth).copied().unwrap_or(NEVER));
            context! { days => days.as_str(), instants => list(instants) }
        })
        .collect()
}

fn quoted(key: &Uuid) -> String {
    literal(&key.to_string())
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
