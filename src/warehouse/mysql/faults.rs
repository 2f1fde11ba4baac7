//! From the server's error numbers to words that say what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::mysql::MySqlDatabaseError;

use super::Mysql;
use crate::domain::TableName;
use crate::domain::tls_advice;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::sql::Bind;
use crate::warehouse::tables::{self, Columns, Holds, Tables};

/// The server's names of the types that a column may have. MariaDB's JSON is a longtext.
fn types(holds: Holds) -> &'static [&'static str] {
    match holds {
        Holds::Text => &["varchar", "char", "text"],
        Holds::Key => &["char", "varchar", "uuid"],
        Holds::Instant => &["datetime", "timestamp"],
        Holds::Count => &["bigint", "int"],
        Holds::Number => &["decimal", "double", "float", "bigint", "int"],
        Holds::Json => &["json", "longtext", "text", "mediumtext"],
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    match error {
        sqlx::Error::Database(error) => error.try_downcast_ref::<MySqlDatabaseError>().map(|error| error.number()),
        _ => None,
    }
}

/// The line of a statement that an error speaks of, from 1: `… near 'FORM orders' at line 3`.
pub(super) fn line(error: &sqlx::Error) -> Option<usize> {
    let sqlx::Error::Database(error) = error else { return None };
    error.message().rsplit_once(" at line ")?.1.trim().parse().ok()
}

/// Whether the query named something that is not there.
pub(super) fn concerns_schema(error: &sqlx::Error) -> bool {
    // Unknown table, column, database in a query; no such table or function; JSON where there is none.
    matches!(number(error), Some(1051 | 1054 | 1109 | 1146 | 1305 | 3141 | 3146 | 4038))
        || matches!(error, sqlx::Error::ColumnDecode { .. })
}

/// A table's database, null for the connection's own, and its name.
pub(super) fn named(table: &TableName) -> Vec<Bind> {
    let schema = table.schema().map_or(Bind::Null, |schema| Bind::Text(schema.to_owned()));
    vec![schema, Bind::Text(table.table().to_owned())]
}

/// The columns of the tables that the warehouse reads.
pub(super) async fn columns(mysql: &Mysql) -> Result<BTreeMap<String, Columns>, sqlx::Error> {
    let mut columns = BTreeMap::<String, Columns>::new();
    for table in [&mysql.tables.events, &mysql.tables.assignments] {
        let query = sqlx::query(include_str!("../../../queries/warehouse/mysql/columns.sql"));
        let query = query.bind(table.schema().map(str::to_owned)).bind(table.table().to_owned());
        for row in query.fetch_all(&mysql.pool).await? {
            let text = |place: usize| row.try_get_unchecked::<String, _>(place);
            columns.entry(table.to_string()).or_default().push((text(0)?, text(1)?));
        }
    }
    Ok(columns)
}

/// Everything that the tables lack.
pub(super) fn schema_faults(tables: &Tables, columns: &BTreeMap<String, Columns>) -> Vec<WarehouseError> {
    let advice = "check that the URL names the right database, `events` and `assignments` the right tables, and that the \
                  user may see them";
    let read = [(&tables.assignments, tables::ASSIGNMENTS), (&tables.events, tables::EVENTS)];
    tables::faults(&read, columns, types, advice)
}

/// Whether a line of SHOW GRANTS gives more than reading.
pub(super) fn grants_writing(line: &str) -> bool {
    let granted = line.strip_prefix("GRANT ").and_then(|rest| rest.split(" ON ").next()).unwrap_or_default();
    let harmless = ["USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS"];
    line.starts_with("GRANT ")
        && line.contains(" ON ")
        && granted.split(',').any(|right| {
            let right = right.split('(').next().unwrap_or_default().trim();
            !right.is_empty() && !harmless.contains(&right) && right.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
        })
}

/// What to do about an error, if it is one of TLS.
pub(super) fn tls_advice_on(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Tls(error) if error.to_string().contains("does not support TLS") => Some(
            "the server offers no encryption: switch it on there (`ssl_cert`, `ssl_key`) or, on a network that is yours \
             alone, put `?ssl-mode=disabled` at the end of the address",
        ),
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
    match (number(&error), &error) {
        // MariaDB's and MySQL's limit of time.
        (Some(1969 | 3024), _) => WarehouseError::TimedOut { doing, timeout },
        (Some(1690 | 1264), _) => WarehouseError::Overflow { doing, source: error.into() },
        (Some(1142 | 1143 | 1044), _) => WarehouseError::Forbidden { warehouse, doing, source: error.into() },
        // Login refused, no such database, shutdown, too many connections, connection killed.
        (Some(1045 | 1698 | 1049 | 1053 | 1040 | 1927 | 1129 | 1130 | 1203), _)
        | (
            None,
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => WarehouseError::Unreachable { warehouse, source: error.into() },
        _ => WarehouseError::Query { doing, source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_beyond_reading_are_seen() {
        assert!(!grants_writing("GRANT USAGE ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*AB'"));
        assert!(!grants_writing("GRANT SELECT, SHOW VIEW ON `shop`.`events` TO `reader`@`%`"));
        assert!(!grants_writing("GRANT SELECT (`unit_id`, `timestamp`) ON `shop`.`events` TO `reader`@`%`"));
        assert!(grants_writing("GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%`"));
        assert!(grants_writing("GRANT SELECT, INSERT ON `shop`.* TO `app`@`%`"));
        assert!(!grants_writing("GRANT `readers` TO `reader`@`%`"));
    }
}
