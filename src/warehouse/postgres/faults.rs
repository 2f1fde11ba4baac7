//! From the server's error codes to words that say what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{PgPool, Row};

use crate::domain::tls_advice;
use crate::warehouse::error::WarehouseError;

/// A column that must be there.
struct Needed {
    column: &'static str,
    /// The server's names of the types that it may have.
    types: &'static [&'static str],
    /// Whether it is read for some metrics only, so that the user need not see it.
    on_demand: bool,
}

const fn needed(column: &'static str, types: &'static [&'static str]) -> Needed {
    Needed { column, types, on_demand: false }
}

const fn on_demand(column: &'static str) -> Needed {
    Needed { column, types: &["jsonb"], on_demand: true }
}

const TEXTS: &[&str] = &["text", "varchar"];

const ASSIGNMENTS: &[Needed] = &[
    needed("experiment_id", &["uuid"]),
    needed("unit_id", TEXTS),
    needed("variant_id", &["uuid"]),
    needed("assigned_at", &["timestamptz"]),
];

const EVENTS: &[Needed] = &[
    needed("event_type", TEXTS),
    needed("unit_type", TEXTS),
    needed("unit_id", TEXTS),
    needed("timestamp", &["timestamptz"]),
    needed("metrics", &["jsonb"]),
    on_demand("context"),
    on_demand("payload"),
];

/// The columns of each table with their types.
pub(super) type Columns = BTreeMap<String, Vec<(String, String)>>;

/// Whether the query named something that is not there, or of another type.
pub(super) fn concerns_schema(error: &sqlx::Error) -> bool {
    // Undefined table, schema, column, function; type mismatch; and a result that does not decode.
    let codes = ["42P01", "3F000", "42703", "42883", "42804", "42846", "42809"];
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| codes.contains(&code.as_ref())),
        sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// The columns of the tables that the warehouse reads.
pub(super) async fn columns(pool: &PgPool) -> Result<Columns, sqlx::Error> {
    let mut columns = Columns::new();
    for row in sqlx::query(include_str!("../../../queries/warehouse/columns.sql")).fetch_all(pool).await? {
        columns.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    Ok(columns)
}

/// Everything that the tables lack.
pub(super) fn schema_faults(columns: &Columns) -> Vec<WarehouseError> {
    let mut faults = Vec::new();
    for (table, needed) in [("assignments", ASSIGNMENTS), ("events", EVENTS)] {
        match columns.get(table) {
            Some(found) => faults.extend(needed.iter().filter_map(|needed| column_fault(table, needed, found))),
            None => faults.push(WarehouseError::MissingTable {
                table: format!("the table exp.{table}"),
                advice: "check that the URL names the right database, that its migrations ran, and that the user may \
                         see schema exp"
                    .to_owned(),
            }),
        }
    }
    faults
}

fn column_fault(table: &str, needed: &Needed, found: &[(String, String)]) -> Option<WarehouseError> {
    let column = needed.column.to_owned();
    match found.iter().find(|(name, _)| *name == column) {
        Some((_, held)) if needed.types.contains(&held.as_str()) => None,
        Some((_, held)) => Some(WarehouseError::WrongColumn {
            table: format!("exp.{table}"),
            column,
            expected: needed.types.join(" or "),
            found: held.clone(),
        }),
        None if needed.on_demand => None,
        None => Some(WarehouseError::MissingColumn {
            table: format!("the table exp.{table}"),
            column,
            needed_by: "the warehouse".to_owned(),
            found: found.iter().map(|(name, _)| name.clone()).collect(),
        }),
    }
}

/// What to do about an error, if it is one of TLS.
pub(super) fn tls_advice_on(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Tls(error) => Some(tls_advice(&error.to_string())),
        sqlx::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Some(tls_advice(&error.to_string()))
        }
        _ => None,
    }
}

/// What the error means for the run.
pub(super) fn in_words(error: sqlx::Error, doing: String, place: &str, timeout: Duration) -> WarehouseError {
    let warehouse = place.to_owned();
    if let Some(advice) = tls_advice_on(&error) {
        return WarehouseError::Tls { warehouse, advice, source: error.into() };
    }
    let code = match &error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => "08006".to_owned(),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "08001".to_owned(),
        sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    };
    match code.as_str() {
        "57014" => WarehouseError::TimedOut { doing, timeout },
        // Every number that is read fits a double; only what is made of them may not.
        "22003" => WarehouseError::Overflow { doing, source: error.into() },
        "42501" => WarehouseError::Forbidden { warehouse, doing, source: error.into() },
        // Shutdown or restart of the server, too many connections, and no such database.
        "57P01" | "57P02" | "57P03" | "53300" | "3D000" => {
            WarehouseError::Unreachable { warehouse, source: error.into() }
        }
        // Connection lost, and login refused.
        code if code.starts_with("08") || code.starts_with("28") => {
            WarehouseError::Unreachable { warehouse, source: error.into() }
        }
        _ => WarehouseError::Query { doing, source: error.into() },
    }
}
