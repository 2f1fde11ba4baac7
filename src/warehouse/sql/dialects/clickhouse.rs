//! ClickHouse, within what its release 18.16 understands: numbers are columns of their own, values are written into the text.

use std::collections::BTreeMap;

use sqlx::types::Uuid;

use crate::domain::TableName;
use crate::domain::{ExposedBy, Field, FieldRoot};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::facts::{Kind, Types};
use crate::warehouse::instants::Micros;
use crate::warehouse::needs::Needs;
use crate::warehouse::sql::dialect::{Contexts, Dialect, Parameters};
use crate::warehouse::sql::statement::{Bind, Binder, literal};

/// The columns of the tables with their types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) events: BTreeMap<String, String>,
    pub(crate) assignments: BTreeMap<String, String>,
}

/// The dialect of ClickHouse over tables whose columns are known.
pub(crate) struct Clickhouse(pub(crate) Typed);

const SECOND: Micros = 1_000_000;

impl Clickhouse {
    /// The type of that instant's column; a DateTime counts seconds, anything else microseconds.
    fn held(&self, column: &str) -> &str {
        let name = column.rsplit('.').next().unwrap_or(column).trim_matches('`');
        let held = self.0.events.get(name).or_else(|| self.0.assignments.get(name));
        held.map_or("DateTime", String::as_str)
    }

    /// Whether a column holds one of these keys.
    pub(crate) fn is_among(&self, column: &str, keys: &[Uuid]) -> String {
        let name = column.rsplit('.').next().unwrap_or(column);
        let native = self.0.assignments.get(name).is_some_and(|held| held == "UUID");
        // A UUID is compared with its text; a text may be written in capitals.
        let spellings = |key: &Uuid| match native {
            true => literal(&key.to_string()),
            false => format!("{}, {}", literal(&key.to_string()), literal(&key.to_string().to_uppercase())),
        };
        format!("{column} IN ({})", keys.iter().map(spellings).collect::<Vec<_>>().join(", "))
    }

    /// The number of a field, -inf where it is missing and nan where it is no finite number.
    pub(crate) fn plain_number(&self, field: &Field) -> String {
        let name = Self::column_of(field);
        let column = format!("e.{}", self.quote(&name));
        let nullable = self.0.events.get(&name).is_none_or(|held| held.starts_with("Nullable("));
        match nullable {
            true => {
                let number = format!("assumeNotNull(toFloat64({column}))");
                format!("if(isNull({column}), -inf, if(isFinite({number}), {number}, nan))")
            }
            false => format!("if(isFinite(toFloat64({column})), toFloat64({column}), nan)"),
        }
    }

    /// The column that a field lies in: a key of `metrics` under its own name, others with their root before a dot.
    pub(crate) fn column_of(field: &Field) -> String {
        match field.root {
            FieldRoot::Metrics => field.key.clone(),
            FieldRoot::Context | FieldRoot::Payload | FieldRoot::Fact => field.to_string(),
        }
    }
}

impl Types for Clickhouse {
    fn kind(&self, held: &str) -> Kind {
        match plain(held) {
            "String" => Kind::Text,
            "UUID" => Kind::Key,
            "DateTime" => Kind::Instant,
            held if held.starts_with("DateTime(") => Kind::Instant,
            held if held.starts_with("FixedString") || held.starts_with("Enum") => Kind::Text,
            held if held.starts_with("Int") || held.starts_with("UInt") => Kind::Whole,
            held if is_number(held) => Kind::Number,
            _ => Kind::Other,
        }
    }

    /// Microseconds too, as events may have them.
    fn is_instant(&self, held: &str) -> bool {
        self.kind(held) == Kind::Instant || plain(held) == "Int64"
    }

    fn as_instant(&self, column: &str, _: &str) -> String {
        format!("toDateTime({column})")
    }

    fn as_number(&self, column: &str) -> String {
        format!("toFloat64({column})")
    }
}

impl Dialect for Clickhouse {
    fn quote(&self, identifier: &str) -> String {
        format!("`{}`", identifier.replace('\\', "\\\\").replace('`', "\\`"))
    }

    fn table(&self, name: &TableName) -> String {
        name.parts().map(|part| self.quote(part)).collect::<Vec<_>>().join(".")
    }

    fn parameters(&self) -> Parameters {
        Parameters::InText
    }

    /// A column that is not there, or holds something else, is told before the server is asked.
    fn refuse(&self, needs: &Needs, events: &TableName) -> Option<WarehouseError> {
        let found = || self.0.events.keys().cloned().collect::<Vec<_>>();
        let missing = |column: String, needed_by: String| WarehouseError::MissingColumn {
            table: format!("the table {events}"),
            column,
            needed_by,
            found: found(),
        };
        for (place, field) in needs.fields.iter().enumerate() {
            let reading = needs.readings.iter().find(|reading| reading.field == place);
            let event = reading.map(|reading| needs.events[reading.event].clone()).unwrap_or_default();
            let column = Self::column_of(field);
            match self.0.events.get(&column) {
                None => return Some(missing(column, format!("field {field} of event {event:?}"))),
                Some(held) if !is_number(held) => {
                    return Some(WarehouseError::NotANumber { event, field: field.to_string(), found: held.clone() });
                }
                Some(_) => {}
            }
        }
        let carried = ["experiments.experiment_id", "experiments.variant_id"];
        let lacking = carried.into_iter().find(|column| !self.0.events.contains_key(*column));
        lacking
            .filter(|_| needs.exposed_by == ExposedBy::Event)
            .map(|column| missing(column.to_owned(), "`exposure: events`".to_owned()))
    }

    fn template(&self) -> &'static str {
        include_str!("../../../../queries/warehouse/cohorts.clickhouse.sql")
    }

    fn explain(&self) -> Option<&'static str> {
        None
    }

    fn is_key(&self, column: &str, key: Uuid, binder: &mut Binder) -> String {
        let name = column.rsplit('.').next().unwrap_or(column);
        let mut bound = |text: String| binder.bind(Bind::Text(text));
        let spellings = [key.to_string(), key.to_string().to_uppercase()];
        match self.0.assignments.get(name).map(String::as_str) {
            // The column itself, so that the table's order is of use.
            Some("UUID") => format!("{column} = toUUID({})", bound(key.to_string())),
            Some(_) => format!("{column} IN ({})", spellings.map(bound).join(", ")),
            None => format!("toString({column}) IN ({})", spellings.map(bound).join(", ")),
        }
    }

    fn key_text(&self, key: &str) -> String {
        format!("lower(toString({key}))")
    }

    fn count_where(&self, condition: &str) -> String {
        format!("countIf({condition})")
    }

    fn sum_where(&self, field: usize, condition: &str) -> String {
        let number = format!("assumeNotNull(number_{field})");
        format!("sumIf({number}, {condition} AND isNotNull(number_{field}) AND isFinite({number}))")
    }

    fn known_number(&self, field: usize) -> String {
        let number = format!("assumeNotNull(number_{field})");
        format!("isNotNull(number_{field}) AND isFinite({number}) AND {number}")
    }

    fn instant(&self, column: &str) -> String {
        self.instant_held(column, self.held(column))
    }

    fn instant_held(&self, column: &str, held: &str) -> String {
        if in_seconds(held) { format!("toInt64(toUInt32({column})) * {SECOND}") } else { column.to_owned() }
    }

    /// Conditions on the column itself, by which parts and marks are left unread.
    fn reach(&self, column: &str, from: Micros, to: Micros, binder: &mut Binder) -> Option<String> {
        self.reach_held(column, self.held(column), from, to, binder)
    }

    fn reach_held(&self, column: &str, held: &str, from: Micros, to: Micros, binder: &mut Binder) -> Option<String> {
        let mut side = |instant: Micros| match in_seconds(held) {
            // A whole second is >= t exactly if it is >= t rounded up. DateTime ends in 2106.
            true => {
                let seconds = -(-instant).div_euclid(SECOND);
                format!("toDateTime({})", binder.bind(Bind::Integer(seconds.clamp(0, i64::from(u32::MAX)))))
            }
            false => binder.bind(Bind::Integer(instant)),
        };
        let (from, to) = (side(from), side(to));
        Some(format!("({column} >= {from} AND {column} < {to})"))
    }

    fn day(&self, instant: &str) -> String {
        format!("intDiv({instant}, 86400000000)")
    }

    fn micros(&self, instant: &str) -> String {
        instant.to_owned()
    }

    fn later(&self, instant: &str, length: &str) -> String {
        format!("{instant} + {length}")
    }

    fn next_midnight(&self, instant: &str) -> String {
        format!("(intDiv({instant}, 86400000000) + 1) * 86400000000")
    }

    fn field(&self, field: &Field) -> String {
        format!("toNullable(toFloat64(e.{}))", self.quote(&Self::column_of(field)))
    }

    fn is_missing(&self, number: &str) -> String {
        format!("isNull({number})")
    }

    fn number(&self, number: &str) -> String {
        format!("if(isNotNull({number}) AND isFinite(assumeNotNull({number})), {number}, NULL)")
    }

    fn double(&self, number: &str) -> String {
        format!("toFloat64(assumeNotNull({number}))")
    }

    fn integer(&self, number: &str) -> String {
        format!("toInt64({number})")
    }

    /// Every number of an event is a column of its own, so all columns with numbers count, whatever metrics read of them.
    fn checksum(&self, _roots: &[FieldRoot]) -> String {
        let numbers = self.0.events.iter().filter(|(_, held)| is_number(held));
        // The hash of nothing is nothing, and would take the rest of the event along.
        let numbers = numbers.map(|(column, _)| format!(", ifNull(toString(e.{}), '')", self.quote(column)));
        let more: String = numbers.collect();
        format!(
            "toInt64(sum(cityHash64(toString(e.event_type), toString(e.unit_type), toString(e.unit_id), \
             toString(e.`timestamp`){more})))"
        )
    }

    fn text(&self, value: &str) -> String {
        format!("toString({value})")
    }

    fn finite_value(&self, value: &str, held: &str) -> String {
        self.number(&self.value(value, held))
    }

    /// A constant would be none any more where another server's rows come beneath it.
    fn no_number(&self) -> String {
        "materialize(CAST(NULL, 'Nullable(Float64)'))".to_owned()
    }

    /// What is no finite number is told apart where it is summed.
    fn value(&self, value: &str, _: &str) -> String {
        format!("toNullable(toFloat64({value}))")
    }

    fn sum_of_hashes(&self, texts: &[String]) -> String {
        format!("toInt64(sum(cityHash64({})))", texts.join(", "))
    }

    fn contexts(&self) -> Contexts {
        Contexts {
            join: "ARRAY JOIN `experiments.experiment_id` AS c_experiment, `experiments.variant_id` AS c_variant"
                .to_owned(),
            experiment: "c_experiment".to_owned(),
            variant: "lower(toString(c_variant))".to_owned(),
        }
    }

    /// By two passes over the units' sums, kept in arrays as the template names them: `varPopStable` loses digits where a mean
    /// is 10⁸ standard deviations from zero, more of them the more threads add.
    fn centres_by_window(&self) -> bool {
        false
    }

    fn mean(&self, sum: usize) -> String {
        format!("mean_{sum} + arraySum(x -> x - mean_{sum}, sums_{sum}) / length(sums_{sum})")
    }

    fn mean_rest(&self, sum: usize) -> Option<String> {
        let more = format!("arraySum(x -> x - mean_{sum}, sums_{sum}) / length(sums_{sum})");
        Some(format!("{more} - ((mean_{sum} + {more}) - mean_{sum})"))
    }

    fn centred_products(&self, y: usize, d: usize) -> String {
        let left_over = |sum: usize| format!("arraySum(x -> x - mean_{sum}, sums_{sum})");
        let products = match y == d {
            true => format!("arraySum(x -> (x - mean_{y}) * (x - mean_{y}), sums_{y})"),
            false => format!("arraySum((x, z) -> (x - mean_{y}) * (z - mean_{d}), sums_{y}, sums_{d})"),
        };
        format!("{products} - {} * {} / length(sums_{y})", left_over(y), left_over(d))
    }
}

/// Whether instants of that type count seconds; else they count microseconds.
fn in_seconds(held: &str) -> bool {
    plain(held).starts_with("DateTime")
}

/// The type without what says that it may be null, or how it is kept.
fn plain(held: &str) -> &str {
    fn within<'a>(held: &'a str, outer: &str) -> &'a str {
        held.strip_prefix(outer).and_then(|rest| rest.strip_suffix(')')).unwrap_or(held)
    }
    within(within(held, "LowCardinality("), "Nullable(")
}

/// Whether a column of that type holds numbers, some of them null or not.
fn is_number(held: &str) -> bool {
    let held = plain(held);
    ["Int", "UInt", "Float", "Decimal"].iter().any(|number| held.starts_with(number))
}
