//! Facts inside a statement: a fact's SQL stands there as a subquery and nothing else, and its rows are read like events.
//!
//! Conditions stand outside of it, on its columns themselves, so that an engine's planner can push the days down to an index.

use minijinja::{Value, context};

use super::dialect::Dialect;
use super::statement::{Bind, Binder};
use crate::domain::Fact;
use crate::warehouse::facts::{Kind, Shape};
use crate::warehouse::instants::Micros;
use crate::warehouse::needs::{FactNeed, Needs};

/// A fact's columns in a statement in which it is called `f`.
pub(super) struct Columns<'a> {
    dialect: &'a dyn Dialect,
    shape: &'a Shape,
}

impl<'a> Columns<'a> {
    pub(super) fn of(dialect: &'a dyn Dialect, shape: &'a Shape) -> Self {
        Self { dialect, shape }
    }

    /// A column, and the engine's name of its type.
    fn column(&self, name: &str) -> (String, &'a str) {
        (format!("f.{}", self.dialect.quote(name)), self.shape.held(name).unwrap_or_default())
    }

    fn gives(&self, name: &str) -> bool {
        self.shape.held(name).is_some()
    }

    /// A column as a text, whatever it holds.
    pub(super) fn text(&self, name: &str) -> String {
        let (column, held) = self.column(name);
        match self.dialect.kind(held) {
            // As it is, so that an index on it is of use.
            Kind::Text => column,
            _ => self.dialect.text(&column),
        }
    }

    /// When a row happened.
    pub(super) fn instant(&self) -> String {
        let (column, held) = self.column("timestamp");
        self.dialect.instant_held(&column, held)
    }

    /// A column with values, as a number.
    pub(super) fn value(&self, name: &str) -> String {
        let (column, held) = self.column(name);
        self.dialect.value(&column, held)
    }

    /// The same, null where it is no finite number.
    pub(super) fn finite_value(&self, name: &str) -> String {
        let (column, held) = self.column(name);
        self.dialect.finite_value(&column, held)
    }

    /// A column as a text that is never null, so that its place among others shows.
    pub(super) fn told(&self, name: &str) -> String {
        let (column, _) = self.column(name);
        format!("coalesce({}, '')", self.dialect.text(&column))
    }

    /// Whether a column lacks its value.
    pub(super) fn is_missing(&self, name: &str) -> String {
        format!("{} IS NULL", self.column(name).0)
    }

    /// The condition by which rows of `from..to` are found quickly.
    pub(super) fn reach(&self, from: Micros, to: Micros, binder: &mut Binder) -> Option<String> {
        let (column, held) = self.column("timestamp");
        self.dialect.reach_held(&column, held, from, to, binder)
    }

    /// Whether a row is of that type of units, and of that experiment, as far as the fact says so.
    fn is_of(&self, needs: &Needs, binder: &mut Binder) -> Vec<String> {
        let mut conditions = Vec::new();
        if self.gives("unit_type") {
            conditions.push(format!(
                "{} = {}",
                self.text("unit_type"),
                binder.bind(Bind::Text(needs.unit_type.clone()))
            ));
        }
        if self.gives("experiment_id") {
            let (column, held) = self.column("experiment_id");
            conditions.push(match self.dialect.kind(held) {
                Kind::Key => self.dialect.is_key(&column, needs.experiment_id, binder),
                // Exports write UUIDs in small letters or in capitals.
                _ => {
                    let key = needs.experiment_id.to_string();
                    let spellings = [key.clone(), key.to_uppercase()].map(|text| binder.bind(Bind::Text(text)));
                    format!("{} IN ({})", self.text("experiment_id"), spellings.join(", "))
                }
            });
        }
        conditions
    }

    /// The variant whose units alone a row counts for, in the letters that exposures have; none if the fact gives none.
    fn variant(&self) -> Option<String> {
        self.gives("variant_id").then(|| {
            let (column, held) = self.column("variant_id");
            match self.dialect.kind(held) {
                Kind::Key => self.dialect.key_text(&column),
                _ => format!("lower({})", self.text("variant_id")),
            }
        })
    }
}

/// The texts that a statement needs of the request: instants and the length of a window.
pub(super) struct Bounds<'a> {
    pub(super) events_from: &'a str,
    pub(super) events_to: &'a str,
    /// From when on what a unit `x` does counts, before exposure or from it on, and until when.
    pub(super) begin: &'a str,
    pub(super) window_end: &'a str,
}

/// The arms of the one query that read the request's facts, in their order.
pub(super) fn arms(
    needs: &Needs,
    shapes: &[Shape],
    dialect: &dyn Dialect,
    bounds: &Bounds<'_>,
    binder: &mut Binder,
) -> Vec<Value> {
    let facts = needs.facts.iter().zip(shapes).enumerate();
    facts.map(|(place, (need, shape))| arm(needs, (place, need), Columns::of(dialect, shape), bounds, binder)).collect()
}

fn arm(
    needs: &Needs,
    (place, need): (usize, &FactNeed),
    columns: Columns<'_>,
    bounds: &Bounds<'_>,
    binder: &mut Binder,
) -> Value {
    let dialect = columns.dialect;
    let (unit, instant, variant) = (columns.text("unit_id"), columns.instant(), columns.variant());
    let mut filter: Vec<String> = columns.reach(needs.events_from, needs.events_to, binder).into_iter().collect();
    filter.push(format!("{instant} >= {}", bounds.events_from));
    filter.push(format!("{instant} < {}", bounds.events_to));
    filter.extend(columns.is_of(needs, binder));
    let mut join = vec![format!("{unit} = x.unit_id")];
    if dialect.compares_loosely() {
        join.push(format!("{} = x.unit_key", dialect.unit_key(&unit)));
    }
    join.push(format!("{instant} >= {}", bounds.begin));
    join.push(format!("{instant} < {}", bounds.window_end));
    join.extend(variant.iter().map(|variant| format!("{variant} = x.variant_id")));
    let own = |name: &String| context! { missing => columns.is_missing(name), number => columns.value(name) };
    let own: Vec<Value> = need.columns.iter().map(own).collect();
    let told =
        (0..own.len()).map(|nth| context! { missing => format!("lacks_{nth}"), number => format!("value_{nth}") });
    let told: Vec<Value> = told.collect();
    let first = needs.first_column(place);
    let among_all = |own: &[Value]| -> Vec<Value> {
        let all = needs.fields.len()..columns_of(needs);
        let of = |column: usize| column.checked_sub(first).and_then(|nth| own.get(nth)).cloned();
        all.map(|column| of(column).unwrap_or_else(|| nothing(dialect))).collect()
    };
    let place = needs.events.len() + place;
    // What is before exposure is numbered on behind what is inside the window, as of events.
    let event = |happened: &str, exposed: &str| match needs.before {
        0 => place.to_string(),
        _ => format!("CASE WHEN {happened} >= {exposed} THEN {place} ELSE {} END", needs.inside() + place),
    };
    context! {
        sql => need.fact.sql.as_str(),
        event => event(&instant, "x.assigned_at"),
        told_event => event("happened_at", "assigned_at"),
        values => among_all(&own),
        told => among_all(&told),
        unit_key => dialect.unit_key(&unit),
        own, unit, instant, variant, place, join, filter,
    }
}

/// How many columns with numbers there are, those of events and those of facts.
fn columns_of(needs: &Needs) -> usize {
    needs.first_column(needs.facts.len())
}

/// The columns of facts, in a row that has none of them.
pub(super) fn nothings(needs: &Needs, dialect: &dyn Dialect) -> Vec<Value> {
    (needs.fields.len()..columns_of(needs)).map(|_| nothing(dialect)).collect()
}

/// The fields of events, in a row of a fact.
pub(super) fn no_fields(needs: &Needs, dialect: &dyn Dialect) -> Vec<Value> {
    needs.fields.iter().map(|_| nothing(dialect)).collect()
}

fn nothing(dialect: &dyn Dialect) -> Value {
    context! { missing => "1 = 0", number => dialect.no_number() }
}

/// A fact's SQL as a subquery. It ends with a line of its own, since its last one may be a comment.
pub(super) fn subquery(fact: &Fact) -> String {
    format!("(\n{}\n) AS f", fact.sql)
}

/// The statement whose columns are those of a fact, and which reads nothing. The fact's first line is its second.
pub(crate) fn described(fact: &Fact) -> String {
    format!("SELECT * FROM {} LIMIT 0", subquery(fact))
}

/// The line of a fact that a line of [`described`] is.
pub(crate) fn line_of_fact(line: usize) -> Option<usize> {
    line.checked_sub(1).filter(|line| *line > 0)
}
