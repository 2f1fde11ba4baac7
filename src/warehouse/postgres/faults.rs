//! From the server's error codes to words that say what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{PgPool, Row};

use crate::domain::tls_advice;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::tables::{self, Columns, Holds, Tables};

/// The server's names of the types that a column may have.
fn types(holds: Holds) -> &'static [&'static str] {
    match holds {
        Holds::Text => &["text", "varchar"],
        Holds::Key => &["uuid"],
        Holds::Instant => &["timestamptz"],
        Holds::Json => &["jsonb"],
        Holds::Count => &["int8", "int4"],
        Holds::Number => &["numeric", "float8", "float4", "int8", "int4"],
    }
}

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
pub(super) async fn columns(pool: &PgPool, tables: &Tables) -> Result<BTreeMap<String, Columns>, sqlx::Error> {
    let mut columns = BTreeMap::<String, Columns>::new();
    let names: Vec<String> = tables.read().iter().map(|(table, _)| table.to_string()).collect();
    let query = sqlx::query(include_str!("../../../queries/warehouse/postgres/columns.sql")).bind(names.as_slice());
    for row in query.fetch_all(pool).await? {
        columns.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    Ok(columns)
}

/// Everything that the tables lack.
pub(super) fn schema_faults(tables: &Tables, columns: &BTreeMap<String, Columns>) -> Vec<WarehouseError> {
    let advice =
        "check that the URL names the right database, that its migrations ran, and that the user may see its schema";
    tables::faults(&tables.read(), columns, types, advice)
}

/// The line of a statement that an error speaks of, from 1.
pub(super) fn line(error: &sqlx::Error, sql: &str) -> Option<usize> {
    let sqlx::Error::Database(error) = error else { return None };
    match error.try_downcast_ref::<PgDatabaseError>()?.position()? {
        // In characters, from 1.
        PgErrorPosition::Original(position) => Some(1 + sql.chars().take(position).filter(|c| *c == '\n').count()),
        PgErrorPosition::Internal { .. } => None,
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
