//! The warehouse in MySQL or MariaDB.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{
    MySqlArguments, MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions, MySqlRow,
};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, NaiveDateTime};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row as _, SqlSafeStr as _, Statement as _,
    TypeInfo, ValueRef,
};

use super::error::{Cause, WarehouseError};
use super::examine::Remark;
use super::facts::Shape;
use super::instants::Micros;
use super::sql::{self, Bind, Cell, Engine, Known, Row, SqlWarehouse, Statement};
use super::tables::Tables;
use crate::domain::Fact;

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a MySQL or MariaDB warehouse.
#[derive(Clone, Debug)]
pub struct MysqlSettings {
    /// `mysql://user:password@host:port/database`; appears in no log and no error.
    pub url: SecretString,
    /// The longest that one query may take.
    pub statement_timeout: Duration,
    /// The most connections held at once.
    pub max_connections: u32,
    /// The two tables.
    pub tables: Tables,
}

/// Two tables of a MySQL or MariaDB database, only ever read.
pub type MysqlWarehouse = SqlWarehouse<Mysql>;

/// The server behind such a warehouse.
#[derive(Clone, Debug)]
pub struct Mysql {
    pool: MySqlPool,
    statement_timeout: Duration,
    place: String,
    tables: Tables,
    kind: Kind,
}

/// The two differ in how a statement's time is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    MySql,
    MariaDb,
}

impl MysqlWarehouse {
    /// Connects, so that a wrong address is found at the start and not in the middle of a night.
    pub async fn connect(settings: MysqlSettings) -> Result<Self, WarehouseError> {
        // The parser quotes the URL in its errors, password and all, so its words are left out.
        let options: MySqlConnectOptions =
            settings.url.expose_secret().parse().map_err(|_: sqlx::Error| WarehouseError::Unreachable {
                warehouse: "in MySQL".to_owned(),
                source: "its URL is not of the form mysql://user:password@host:port/database".into(),
            })?;
        // Instants are bound and read in UTC, whatever the server's own zone.
        let options = options.timezone(Some("+00:00".to_owned())).disable_statement_logging();
        let database = options.get_database().unwrap_or_default();
        let place = format!("MySQL {}:{}/{database}", options.get_host(), options.get_port());
        let unreachable = |source: Cause| WarehouseError::Unreachable { warehouse: place.clone(), source };
        // A pool repeats a refused connection until its patience ends, so the first one is made outside of it.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
        let refused = |error: sqlx::Error| match faults::tls_advice_on(&error) {
            Some(advice) => WarehouseError::Tls { warehouse: place.clone(), advice, source: error.into() },
            None => unreachable(error.into()),
        };
        let mut first = first.map_err(|elapsed| unreachable(elapsed.into()))?.map_err(refused)?;
        let version: String = sqlx::query_scalar("SELECT version()")
            .fetch_one(&mut first)
            .await
            .map_err(|error| unreachable(error.into()))?;
        let kind = if version.contains("MariaDB") { Kind::MariaDb } else { Kind::MySql };
        let _ = first.close().await;
        let pool = MySqlPoolOptions::new()
            .max_connections(settings.max_connections)
            // Others may wait for a connection while a query runs to its own limit.
            .acquire_timeout(settings.statement_timeout + CONNECT_TIMEOUT)
            .connect_lazy_with(options);
        let MysqlSettings { statement_timeout, tables, .. } = settings;
        Ok(SqlWarehouse::over(Mysql { pool, statement_timeout, place, tables, kind }))
    }
}

/// Kills a statement that nobody waits for any more: the server would not notice.
struct Running {
    options: Arc<MySqlConnectOptions>,
    connection: u64,
    done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (options, connection) = (Arc::clone(&self.options), self.connection);
        if self.done {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let kill = async {
                    let mut killer: MySqlConnection = options.connect().await?;
                    killer.execute(AssertSqlSafe(format!("KILL QUERY {connection}"))).await?;
                    killer.close().await
                };
                if let Err(error) = kill.await {
                    tracing::warn!("a query of the warehouse may run on until its time is up: {error}");
                }
            });
        }
    }
}

impl Mysql {
    /// A transaction that can neither write nor outlast the timeout.
    async fn reading(&self) -> Result<(PoolConnection<sqlx::MySql>, Running), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let limit = match self.kind {
            Kind::MariaDb => format!("SET SESSION max_statement_time = {}", self.statement_timeout.as_secs_f64()),
            Kind::MySql => format!("SET SESSION max_execution_time = {}", self.statement_timeout.as_millis()),
        };
        connection.execute(AssertSqlSafe(limit)).await?;
        connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        connection.execute("START TRANSACTION READ ONLY").await?;
        let id: u64 = sqlx::query_scalar("SELECT connection_id()").fetch_one(&mut *connection).await?;
        Ok((connection, Running { options: self.pool.connect_options(), connection: id, done: false }))
    }

    async fn fetch(&self, statement: &Statement) -> Result<Vec<MySqlRow>, sqlx::Error> {
        let (mut connection, mut running) = self.reading().await?;
        let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
        let query = statement.binds.iter().fold(query, bind);
        let rows = query.fetch_all(&mut *connection).await;
        running.done = true;
        match rows {
            Ok(rows) => {
                connection.execute("ROLLBACK").await?;
                Ok(rows)
            }
            Err(error) => {
                // Whatever state it is in, nobody else is to be given it.
                let _ = connection.close().await;
                Err(error)
            }
        }
    }

    /// The error in words, with a look at the tables where the query missed something in them.
    async fn explain(&self, error: sqlx::Error, doing: &str) -> WarehouseError {
        if faults::concerns_schema(&error)
            && let Ok(columns) = faults::columns(self).await
            && let Some(fault) = faults::schema_faults(&self.tables, &columns).into_iter().next()
        {
            return fault;
        }
        faults::in_words(error, doing.to_owned(), &self.place, self.statement_timeout)
    }
}

#[async_trait]
impl Engine for Mysql {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn known(&self) -> Result<Known, WarehouseError> {
        let doing = "looking at the table of assignments";
        let sql = include_str!("../../../queries/warehouse/mysql/unique.sql").to_owned();
        let rows = self.rows(&Statement { sql, binds: faults::named(&self.tables.assignments) }, doing).await?;
        Ok(Known {
            dialect: Arc::new(sql::Mysql),
            tables: self.tables.clone(),
            unique: sql::only(&rows, doing)?[0] == Cell::Integer(1),
            cluster: None,
        })
    }

    async fn rows(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        let read = async {
            let rows = self.fetch(statement).await?;
            rows.iter().map(cells).collect::<Result<Vec<Row>, sqlx::Error>>()
        };
        match read.await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.explain(error, doing).await),
        }
    }

    async fn describe(&self, fact: &Fact) -> Result<Shape, WarehouseError> {
        let describe = async {
            let (mut connection, mut running) = self.reading().await?;
            let prepared = connection.prepare(AssertSqlSafe(sql::described(fact)).into_sql_str()).await;
            running.done = true;
            // A statement that was prepared is left behind with its connection.
            let columns = prepared.map(|prepared| {
                let column = |column: &MySqlColumn| (column.name().to_owned(), column.type_info().name().to_owned());
                prepared.columns().iter().map(column).collect()
            });
            let _ = connection.close().await;
            Ok(Shape { columns: columns? })
        };
        describe.await.map_err(|error: sqlx::Error| {
            let line = faults::line(&error).and_then(sql::line_of_fact);
            faults::in_words(error, String::new(), &self.place, self.statement_timeout).of_fact(fact, line)
        })
    }

    async fn faults(&self) -> Result<Vec<WarehouseError>, WarehouseError> {
        match faults::columns(self).await {
            Ok(columns) => Ok(faults::schema_faults(&self.tables, &columns)),
            Err(error) => Err(self.explain(error, "looking at the tables").await),
        }
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        let doing = "asking the server about the connection";
        let sql = include_str!("../../../queries/warehouse/mysql/session.sql").to_owned();
        let rows = self.rows(&Statement { sql, binds: Vec::new() }, doing).await?;
        let row = sql::only(&rows, doing)?;
        let text = |place: usize| row[place].text().unwrap_or_default().to_owned();
        let (version, user, zone, system_zone, mode) = (text(0), text(1), text(2), text(3), text(4));
        let status = Statement { sql: "SHOW STATUS LIKE 'Ssl_cipher'".to_owned(), binds: Vec::new() };
        let cipher = self.rows(&status, doing).await?.first().and_then(|row| row[1].text().map(str::to_owned));
        let cipher = cipher.unwrap_or_default();
        let zone = if zone == "SYSTEM" { system_zone } else { zone };
        let mut remarks = vec![Remark::well("server", format!("{}, version {version}, as {user}", self.place))];
        remarks.push(match cipher.is_empty() {
            false => Remark::well("encryption", format!("the connection is encrypted ({cipher})")),
            true => Remark::well("encryption", "the connection is not encrypted"),
        });
        remarks.push(match zone.as_str() {
            "UTC" | "+00:00" | "GMT" | "Etc/UTC" => Remark::well("time zone", "the server's is UTC, as the columns are read"),
            _ => Remark::amiss(
                "time zone",
                format!("the server's is {zone}: a DATETIME is read as UTC, and what writes local time into one is read hours off"),
                "set default_time_zone = '+00:00', or make sure that events and assignments are written in UTC",
            ),
        });
        remarks.push(match mode.contains("STRICT_TRANS_TABLES") || mode.contains("STRICT_ALL_TABLES") {
            true => Remark::well("sql_mode", "strict: values that do not fit are refused when they are written"),
            false => Remark::amiss(
                "sql_mode",
                format!("{mode:?} is not strict: values that do not fit are cut off or zeroed when they are written"),
                "add STRICT_TRANS_TABLES to the server's sql_mode",
            ),
        });
        let grants = self.rows(&Statement { sql: "SHOW GRANTS".to_owned(), binds: Vec::new() }, doing).await?;
        let may_write = grants.iter().filter_map(|row| row[0].text()).any(faults::grants_writing);
        remarks.push(match may_write {
            false => Remark::well("rights", "the user may not write"),
            true => Remark::amiss(
                "rights",
                format!("{user} may do more than read"),
                "give the warehouse a user of its own with GRANT SELECT on the two tables",
            ),
        });
        Ok(remarks)
    }
}

fn bind<'q>(query: Query<'q, sqlx::MySql, MySqlArguments>, value: &'q Bind) -> Query<'q, sqlx::MySql, MySqlArguments> {
    match value {
        Bind::Key(key) => query.bind(key.to_string()),
        Bind::Text(text) => query.bind(text.as_str()),
        Bind::Integer(number) | Bind::Length(number) => query.bind(*number),
        Bind::Float(number) => query.bind(*number),
        Bind::Instant(instant) => query.bind(naive(*instant)),
        Bind::Null => query.bind(None::<String>),
    }
}

/// MySQL's DATETIME ends with the year 9999.
fn naive(instant: Micros) -> NaiveDateTime {
    let last = Micros::from(253_402_300_799_i64) * 1_000_000;
    DateTime::from_timestamp_micros(instant.min(last)).unwrap_or(DateTime::UNIX_EPOCH).naive_utc()
}

fn cells(row: &MySqlRow) -> Result<Row, sqlx::Error> {
    let cell = |place: usize| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let held = value.type_info().name().to_owned();
        Ok(if held.contains("INT") || held == "BOOLEAN" {
            Cell::Integer(row.try_get_unchecked(place)?)
        } else if held == "DOUBLE" || held == "FLOAT" {
            Cell::Float(row.try_get_unchecked(place)?)
        } else {
            let text: String = row.try_get_unchecked(place)?;
            match text.parse::<f64>() {
                Ok(number) if held == "DECIMAL" => Cell::Float(number),
                _ => Cell::Text(text),
            }
        })
    };
    (0..row.len()).map(cell).collect()
}
