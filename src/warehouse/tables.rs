//! The tables that a warehouse reads: what they are called, and which columns they must have.

use std::collections::BTreeMap;

use super::error::WarehouseError;
use crate::domain::TableName;

/// Where a warehouse keeps events and assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The events.
    pub events: TableName,
    /// The assignments.
    pub assignments: TableName,
    /// Aggregates over events, where these are read in place of both.
    pub aggregates: Option<TableName>,
}

impl Tables {
    /// `exp.events` and `exp.assignments`, as PostgreSQL has them.
    pub fn of_schema(schema: &str) -> Self {
        Self {
            events: TableName::of(schema, "events"),
            assignments: TableName::of(schema, "assignments"),
            aggregates: None,
        }
    }

    /// `events` and `assignments` of the connection's own database.
    pub fn plain() -> Self {
        Self { events: TableName::plain("events"), assignments: TableName::plain("assignments"), aggregates: None }
    }

    /// `exp_events` and `exp_assignments`, as the embedded store has them.
    pub fn embedded() -> Self {
        Self {
            events: TableName::plain("exp_events"),
            assignments: TableName::plain("exp_assignments"),
            aggregates: None,
        }
    }

    /// The same, with aggregates in place of both.
    pub fn with_aggregates(self, table: TableName) -> Self {
        Self { aggregates: Some(table), ..self }
    }

    /// What is read, each with the columns that it must have.
    pub(crate) fn read(&self) -> Vec<(&TableName, &'static [Needed])> {
        match &self.aggregates {
            Some(aggregates) => vec![(aggregates, AGGREGATES)],
            None => vec![(&self.assignments, ASSIGNMENTS), (&self.events, EVENTS)],
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A text.
    Text,
    /// A key, or its text.
    Key,
    /// An instant.
    Instant,
    /// A JSON document.
    Json,
    /// A whole number.
    Count,
    /// A number.
    Number,
}

/// A column that must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needed {
    pub(crate) column: &'static str,
    pub(crate) holds: Holds,
    /// Whether it is read for some metrics only, so that it may be absent, or not for the user to see.
    pub(crate) on_demand: bool,
}

const fn needed(column: &'static str, holds: Holds) -> Needed {
    Needed { column, holds, on_demand: false }
}

const fn on_demand(column: &'static str) -> Needed {
    Needed { column, holds: Holds::Json, on_demand: true }
}

/// The columns of an assignment.
pub(crate) const ASSIGNMENTS: &[Needed] = &[
    needed("experiment_id", Holds::Key),
    needed("unit_id", Holds::Text),
    needed("variant_id", Holds::Key),
    needed("assigned_at", Holds::Instant),
];

/// The columns of an event.
pub(crate) const EVENTS: &[Needed] = &[
    needed("event_type", Holds::Text),
    needed("unit_type", Holds::Text),
    needed("unit_id", Holds::Text),
    needed("timestamp", Holds::Instant),
    needed("metrics", Holds::Json),
    on_demand("context"),
    on_demand("payload"),
    on_demand("experiments"),
];

/// The columns of a row of aggregates.
pub(crate) const AGGREGATES: &[Needed] = &[
    needed("experiment_id", Holds::Key),
    needed("variant_id", Holds::Key),
    needed("metric_name", Holds::Text),
    needed("bucket_type", Holds::Text),
    needed("bucket_start", Holds::Instant),
    needed("count", Holds::Count),
    needed("sum", Holds::Number),
    needed("stddev", Holds::Number),
];

/// The columns of a table with the engine's names of their types.
pub(crate) type Columns = Vec<(String, String)>;

/// Everything that the tables lack. `types` are the engine's names of the types that a column may have.
pub(crate) fn faults(
    tables: &[(&TableName, &[Needed])],
    found: &BTreeMap<String, Columns>,
    types: fn(Holds) -> &'static [&'static str],
    advice: &str,
) -> Vec<WarehouseError> {
    let mut faults = Vec::new();
    for (table, needed) in tables {
        match found.get(&table.to_string()) {
            Some(columns) => {
                faults.extend(needed.iter().filter_map(|needed| column_fault(table, needed, columns, types)));
            }
            None => faults
                .push(WarehouseError::MissingTable { table: format!("the table {table}"), advice: advice.to_owned() }),
        }
    }
    faults
}

fn column_fault(
    table: &TableName,
    needed: &Needed,
    found: &Columns,
    types: fn(Holds) -> &'static [&'static str],
) -> Option<WarehouseError> {
    let column = needed.column.to_owned();
    let types = types(needed.holds);
    match found.iter().find(|(name, _)| *name == column) {
        Some((_, held)) if types.contains(&held.as_str()) => None,
        Some((_, held)) => Some(WarehouseError::WrongColumn {
            table: table.to_string(),
            column,
            expected: types.join(" or "),
            found: held.clone(),
        }),
        None if needed.on_demand => None,
        None => Some(WarehouseError::MissingColumn {
            table: format!("the table {table}"),
            column,
            needed_by: "the warehouse".to_owned(),
            found: found.iter().map(|(name, _)| name.clone()).collect(),
        }),
    }
}
