//! The warehouse in a SQLite file, such as the embedded control store's own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
    TypeInfo, ValueRef,
};

use super::error::WarehouseError;
use super::examine::Remark;
use super::facts::Shape;
use super::sql::{self, Bind, Cell, Engine, Known, Row, SqlWarehouse, Statement};
use super::tables::{self, Columns, Holds, Tables};
use crate::domain::Fact;

/// How often a running statement asks whether it shall stop, in steps of SQLite's machine: some milliseconds.
const STEPS_BETWEEN_QUESTIONS: i32 = 100_000;

/// How long a writer is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a SQLite warehouse lies.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file.
    pub path: PathBuf,
    /// The longest that one query may take.
    pub statement_timeout: Duration,
    /// The two tables.
    pub tables: Tables,
}

/// Two tables of a SQLite file, only ever read.
pub type SqliteWarehouse = SqlWarehouse<Sqlite>;

/// The file behind such a warehouse. Each query opens it anew, to read.
#[derive(Clone)]
pub struct Sqlite {
    settings: SqliteSettings,
    place: String,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// Ends the statement that it belongs to, when the time is up or when nobody waits any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl SqliteWarehouse {
    /// A file that is there and can be read.
    pub async fn open(settings: SqliteSettings) -> Result<Self, WarehouseError> {
        let place = format!("SQLite {}", settings.path.display());
        let engine = Sqlite { settings, place };
        let connection = engine.connect().await.map_err(|error| engine.in_words(error, "opening the file"))?;
        let _ = connection.close().await;
        Ok(SqlWarehouse::over(engine))
    }
}

impl Sqlite {
    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(&self.settings.path).read_only(true);
        let options = options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        // A file that is no database is only found so when it is read.
        let mut connection = options.connect().await?;
        sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut connection).await?;
        Ok(connection)
    }

    /// Hands each row of a statement to `take`, one at a time.
    async fn each(
        &self,
        statement: &Statement,
        mut take: impl FnMut(&SqliteRow) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), sqlx::Error> {
        let mut connection = self.connect().await?;
        let stop = Stop::default();
        let stopped = Arc::clone(&stop.0);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS_BETWEEN_QUESTIONS, move || !stopped.load(Ordering::Relaxed));
        let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
        let query = statement.binds.iter().fold(query, bind);
        let mut rows = query.fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            take(&row)?;
        }
        drop(rows);
        drop(stop);
        let _ = connection.close().await;
        Ok(())
    }

    /// What reading comes to, in so much time as a statement has.
    async fn in_time(
        &self,
        reading: impl Future<Output = Result<(), sqlx::Error>>,
        doing: &str,
    ) -> Result<(), WarehouseError> {
        let timeout = self.settings.statement_timeout;
        match tokio::time::timeout(timeout, reading).await {
            Ok(read) => read.map_err(|error| self.in_words(error, doing)),
            Err(_) => Err(WarehouseError::TimedOut { doing: doing.to_owned(), timeout }),
        }
    }

    fn in_words(&self, error: sqlx::Error, doing: &str) -> WarehouseError {
        let (warehouse, doing) = (self.place.clone(), doing.to_owned());
        let code = match &error {
            sqlx::Error::Database(error) => {
                error.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
            }
            _ => None,
        };
        let told = error.to_string();
        match code {
            // Cannot open, is no database, is malformed, I/O error, permission.
            Some(14 | 26 | 11 | 10 | 23 | 3) => WarehouseError::Unreachable { warehouse, source: error.into() },
            Some(1) if told.contains("no such table") => {
                let table = told.rsplit("no such table: ").next().unwrap_or_default().to_owned();
                WarehouseError::MissingTable { table: format!("the table {table}"), advice: ADVICE.to_owned() }
            }
            _ => WarehouseError::Query { doing, source: error.into() },
        }
    }

    async fn columns(&self) -> Result<std::collections::BTreeMap<String, Columns>, WarehouseError> {
        let mut found = std::collections::BTreeMap::<String, Columns>::new();
        for (table, _) in self.settings.tables.read() {
            let sql = "SELECT name, upper(type) FROM pragma_table_xinfo(?1)".to_owned();
            let statement = Statement { sql, binds: vec![Bind::Text(table.table().to_owned())] };
            for row in self.rows(&statement, "looking at the tables").await? {
                if let [Cell::Text(name), Cell::Text(held)] = row.as_slice() {
                    found.entry(table.to_string()).or_default().push((name.clone(), held.clone()));
                }
            }
        }
        Ok(found)
    }
}

const ADVICE: &str = "check that `path` names the right file, and `events` and `assignments` the right tables in it";

/// SQLite keeps what it is given; the declared types say what is meant.
fn types(holds: Holds) -> &'static [&'static str] {
    match holds {
        Holds::Text | Holds::Key => &["TEXT", "VARCHAR", "CHAR", "VARCHAR(255)", "CHAR(36)", "UUID"],
        Holds::Instant => &["TEXT", "TIMESTAMP", "DATETIME"],
        Holds::Json => &["TEXT", "JSON"],
        Holds::Count => &["INTEGER", "BIGINT", "INT"],
        Holds::Number => &["REAL", "DOUBLE", "NUMERIC", "DECIMAL(20,6)", "DECIMAL(20, 6)"],
    }
}

#[async_trait]
impl Engine for Sqlite {
    fn tables(&self) -> &Tables {
        &self.settings.tables
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn known(&self) -> Result<Known, WarehouseError> {
        let sql = include_str!("../../../queries/warehouse/sqlite/unique.sql").to_owned();
        let binds = vec![Bind::Text(self.settings.tables.assignments.table().to_owned())];
        let doing = "looking at the table of assignments";
        let rows = self.rows(&Statement { sql, binds }, doing).await?;
        Ok(Known {
            dialect: Arc::new(sql::Sqlite),
            tables: self.settings.tables.clone(),
            unique: sql::only(&rows, doing)?[0] == Cell::Integer(1),
            cluster: None,
        })
    }

    async fn rows(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        let mut rows = Vec::new();
        let take = |row: &SqliteRow| {
            rows.push(cells(row)?);
            Ok(())
        };
        self.in_time(self.each(statement, take), doing).await?;
        Ok(rows)
    }

    async fn checksum(&self, statement: &Statement, doing: &str) -> Result<Option<i64>, WarehouseError> {
        let mut sum = 0_i64;
        let take = |row: &SqliteRow| {
            // Whatever bytes a text has.
            let digest = Sha256::digest(row.try_get_unchecked::<&[u8], _>(0)?);
            let hash = digest.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
            sum = sum.wrapping_add(hash);
            Ok(())
        };
        self.in_time(self.each(statement, take), doing).await?;
        Ok(Some(sum))
    }

    async fn describe(&self, fact: &Fact) -> Result<Shape, WarehouseError> {
        let describe = async {
            let mut connection = self.connect().await?;
            let prepared = connection.prepare(AssertSqlSafe(sql::described(fact)).into_sql_str()).await?;
            let column = |column: &SqliteColumn| (column.name().to_owned(), column.type_info().name().to_owned());
            let columns = prepared.columns().iter().map(column).collect();
            let _ = connection.close().await;
            Ok(Shape { columns })
        };
        // SQLite tells no place in the text, but the word near it.
        let told = |error: sqlx::Error| WarehouseError::FactRefused {
            fact: fact.name.clone(),
            line: None,
            source: error.into(),
        };
        describe.await.map_err(told)
    }

    async fn faults(&self) -> Result<Vec<WarehouseError>, WarehouseError> {
        Ok(tables::faults(&self.settings.tables.read(), &self.columns().await?, types, ADVICE))
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        let statement = Statement { sql: "SELECT sqlite_version()".to_owned(), binds: Vec::new() };
        let rows = self.rows(&statement, "asking for SQLite's version").await?;
        let version = sql::only(&rows, "asking for SQLite's version")?[0].text().unwrap_or_default().to_owned();
        Ok(vec![
            Remark::well("file", format!("{}, read by SQLite {version}", self.place)),
            Remark::well("rights", "the file is opened to be read only"),
        ])
    }
}

fn bind<'q>(
    query: Query<'q, sqlx::Sqlite, SqliteArguments>,
    value: &'q Bind,
) -> Query<'q, sqlx::Sqlite, SqliteArguments> {
    match value {
        Bind::Key(key) => query.bind(key.to_string()),
        Bind::Text(text) => query.bind(text.as_str()),
        Bind::Integer(number) | Bind::Instant(number) | Bind::Length(number) => query.bind(*number),
        Bind::Float(number) => query.bind(*number),
        Bind::Null => query.bind(None::<String>),
    }
}

fn cells(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let cell = |place: usize| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        Ok(match value.type_info().name() {
            "INTEGER" => Cell::Integer(row.try_get_unchecked(place)?),
            "REAL" => Cell::Float(row.try_get_unchecked(place)?),
            _ => Cell::Text(row.try_get_unchecked(place)?),
        })
    };
    (0..row.len()).map(cell).collect()
}
