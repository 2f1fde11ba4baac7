//! What differs from one SQL engine to the next. A new engine is one more file in `dialects`.

use sqlx::types::Uuid;

use super::statement::{Bind, Binder};
use crate::domain::TableName;
use crate::domain::{Field, FieldRoot};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::facts::Types;
use crate::warehouse::instants::Micros;
use crate::warehouse::needs::Needs;

/// The expressions that an engine has its own words for. Arguments and results are SQL text.
pub(crate) trait Dialect: Types + Send + Sync {
    /// An identifier in quotes.
    fn quote(&self, identifier: &str) -> String;

    /// A table, quoted part by part.
    fn table(&self, name: &TableName) -> String {
        name.parts().map(|part| self.quote(part)).collect::<Vec<_>>().join(".")
    }

    /// How values go with a statement.
    fn parameters(&self) -> Parameters;

    /// Why the request cannot be met by these tables, where their columns are known beforehand.
    fn refuse(&self, _needs: &Needs, _events: &TableName) -> Option<WarehouseError> {
        None
    }

    /// The template of the one query; engines that know no common table expressions have their own.
    fn template(&self) -> &'static str {
        include_str!("../../../queries/warehouse/cohorts.sql")
    }

    /// The keyword that has a common table expression computed once, where there is one to rely on. Without it nothing may
    /// be numbered in one, since the same rows could get other numbers where it is read again.
    fn materialized(&self) -> Option<&'static str> {
        None
    }

    /// Whether rows of facts find their units by a window over both, for want of any other join than a search through the units
    /// for each row.
    fn joins_facts_by_window(&self) -> bool {
        false
    }

    /// The clause, if there is one, that keeps a subquery from being merged into its parent and computed twice.
    fn fence(&self) -> &'static str {
        ""
    }

    /// What goes before a statement so that it is planned and not run; none where the engine cannot do that.
    fn explain(&self) -> Option<&'static str>;

    /// Whether a column holds a key.
    fn is_key(&self, column: &str, key: Uuid, binder: &mut Binder) -> String {
        // Exports write UUIDs in small letters or in capitals.
        let spellings = [key.to_string(), key.to_string().to_uppercase()];
        format!("{column} IN ({})", spellings.map(|text| binder.bind(Bind::Text(text))).join(", "))
    }

    /// A key as text.
    fn key_text(&self, key: &str) -> String {
        key.to_owned()
    }

    /// Whether keys are a type of their own, so that a key inside JSON compares with its text only.
    fn key_is_native(&self) -> bool {
        false
    }

    /// How many rows meet a condition.
    fn count_where(&self, condition: &str) -> String {
        format!("count(CASE WHEN {condition} THEN 1 END)")
    }

    /// The sum of the numbers in a field over the rows that meet a condition.
    fn sum_where(&self, field: usize, condition: &str) -> String {
        format!("sum(CASE WHEN {condition} THEN number_{field} END)")
    }

    /// The number in a field; null, or not greater than anything, where there is none.
    fn known_number(&self, field: usize) -> String {
        format!("number_{field}")
    }

    /// A text that is compared letter by letter, whatever rules the column has for comparing.
    fn exact(&self, text: &str) -> String {
        text.to_owned()
    }

    /// A unit's id as one groups by it.
    fn unit_key(&self, id: &str) -> String {
        id.to_owned()
    }

    /// Whether `exact` and `unit_key` are more than the text itself.
    fn compares_loosely(&self) -> bool {
        false
    }

    /// An instant's column as it compares with bound instants.
    fn instant(&self, column: &str) -> String {
        column.to_owned()
    }

    /// A condition beside the exact one by which the engine finds rows of `from..to` quickly; none where the exact one
    /// serves.
    fn reach(&self, _column: &str, _from: Micros, _to: Micros, _binder: &mut Binder) -> Option<String> {
        None
    }

    /// Whether an instant's column may hold what is no instant, which then reads as null.
    fn may_misread(&self) -> bool {
        false
    }

    /// The days since 1970 of an instant, in UTC.
    fn day(&self, instant: &str) -> String;

    /// The microseconds since 1970 of an instant.
    fn micros(&self, instant: &str) -> String;

    /// An instant moved forward by a length of time.
    fn later(&self, instant: &str, length: &str) -> String;

    /// The first instant of the UTC day after that of an instant.
    fn next_midnight(&self, instant: &str) -> String;

    /// A field of the event `e`, still as JSON; null if it is absent.
    fn field(&self, field: &Field) -> String;

    /// Whether a field is absent or null; never null itself.
    fn is_missing(&self, json: &str) -> String;

    /// A field as a double; null if it is not a number that a double can hold.
    fn number(&self, json: &str) -> String;

    /// A number as a double.
    fn double(&self, number: &str) -> String;

    /// A whole number as the engine's 64 bits.
    fn integer(&self, number: &str) -> String;

    /// Something as text.
    fn text(&self, value: &str) -> String {
        format!("CAST({value} AS text)")
    }

    /// A column of a fact with values, as a double; null if there is no number that a double can hold.
    fn value(&self, value: &str, held: &str) -> String;

    /// The same, null where it is no finite number; else that is told where it is summed.
    fn finite_value(&self, value: &str, held: &str) -> String {
        self.value(value, held)
    }

    /// No number, of the type of numbers.
    fn no_number(&self) -> String {
        self.double("NULL")
    }

    /// The instant in a column of that type.
    fn instant_held(&self, column: &str, _held: &str) -> String {
        self.instant(column)
    }

    /// [`Dialect::reach`] for a column of that type.
    fn reach_held(&self, column: &str, _held: &str, from: Micros, to: Micros, binder: &mut Binder) -> Option<String> {
        self.reach(column, from, to, binder)
    }

    /// The sum of a hash of each row, made of texts none of which is null, in 64 bits. Of an engine without a hash, the texts
    /// of a row as one; see [`Engine::checksum`](super::Engine::checksum).
    fn sum_of_hashes(&self, texts: &[String]) -> String;

    /// What makes one row `c` of each experiment that the event `e` carries, with its keys as texts.
    fn contexts(&self) -> Contexts;

    /// A condition by which the engine finds the events that carry an experiment; none if it has no quick way.
    fn carries(&self, _key: Uuid, _binder: &mut Binder) -> Option<String> {
        None
    }

    /// [`Dialect::sum_of_hashes`] of the events `e`, as far as metrics may read them.
    fn checksum(&self, roots: &[FieldRoot]) -> String {
        let columns = ["event_type", "unit_type", "unit_id", "timestamp"].into_iter();
        let columns = columns.chain(roots.iter().map(|root| root.as_str()));
        self.sum_of_hashes(&columns.map(|column| format!("e.{}", self.quote(column))).collect::<Vec<_>>())
    }

    /// Whether moments are centred by a window over the units: aggregates such as `regr_sxx` and `var_pop`, which update means
    /// and squares row by row, lose digits where a mean is 10⁸ standard deviations from zero.
    fn centres_by_window(&self) -> bool {
        true
    }

    /// Σ(y-ȳ)² over a group, without cancellation, where the engine has such an aggregate.
    fn centred_squares(&self, sum: usize) -> String {
        self.centred_products(sum, sum)
    }

    /// Σ(y-ȳ)(d-d̄) over a group, without cancellation. By a window: the means are columns, and what rounding leaves of the
    /// deviations is taken out again (Chan, Golub & LeVeque 1983, eq. 1.7).
    fn centred_products(&self, y: usize, d: usize) -> String {
        let (y, d) = (format!("(sum_{y} - mean_{y})"), format!("(sum_{d} - mean_{d})"));
        format!("sum({y} * {d}) - sum({y}) * sum({d}) / count(*)")
    }

    /// What rounding took from [`Dialect::mean`], where parts of a cohort are joined here: the distance of two parts' means must
    /// not depend on the last digit of either.
    fn mean_rest(&self, _sum: usize) -> Option<String> {
        None
    }

    /// The mean over a group.
    fn mean(&self, sum: usize) -> String {
        if self.centres_by_window() {
            format!("min(mean_{sum}) + sum(sum_{sum} - mean_{sum}) / count(*)")
        } else {
            format!("avg(sum_{sum})")
        }
    }
}

/// How values go with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    /// `$1`, `?1`: each once, named by its number after that character.
    Numbered(char),
    /// `?`: in the order of the text, as often as they are used.
    InOrder,
    /// Not at all: they are written into the text.
    InText,
}

/// How an event's experiments are read.
pub(crate) struct Contexts {
    /// What follows the table `e`: a join that makes the rows.
    pub(crate) join: String,
    /// The experiment's key.
    pub(crate) experiment: String,
    /// The variant's key.
    pub(crate) variant: String,
}

/// A text in the quotes of standard SQL.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
