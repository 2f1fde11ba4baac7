//! The warehouse in PostgreSQL: the `exp` schema itself, or a replica of it.

mod copied;
mod faults;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgArguments, PgColumn, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
    Transaction, TypeInfo, ValueRef,
};
use tokio::sync::OnceCell;

use super::cohort_rows::CohortRow;
use super::error::{Cause, WarehouseError};
use super::examine::Remark;
use super::facts::Shape;
use super::instants::Micros;
use super::needs::Needs;
use super::sql::{self, Bind, Cell, Dialect, Engine, Known, Row, SqlWarehouse, Statement};
use super::tables::Tables;
use crate::domain::{ExposedBy, Fact, Session};

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a PostgreSQL warehouse.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`; appears in no log and no error.
    pub url: String,
    /// The longest that one query may take.
    pub statement_timeout: Duration,
    /// The most connections held at once.
    pub max_connections: u32,
    /// The two tables.
    pub tables: Tables,
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("url", &"(hidden)")
            .field("statement_timeout", &self.statement_timeout)
            .field("max_connections", &self.max_connections)
            .finish()
    }
}

/// Two tables of a PostgreSQL database, only ever read.
pub type PostgresWarehouse = SqlWarehouse<Postgres>;

/// The server behind such a warehouse.
///
/// `exp.assignments` is unique in (experiment, unit): then no unit can be in two arms and none is counted as such. A table or
/// view without that key is read as a lake is.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    statement_timeout: Duration,
    place: String,
    tables: Tables,
    unique: Arc<OnceCell<()>>,
}

impl PostgresWarehouse {
    /// Connects, so that a wrong address is found at the start and not in the middle of a night.
    pub async fn connect(settings: PostgresSettings) -> Result<Self, WarehouseError> {
        // The parser quotes the URL in its errors, password and all, so its words are left out.
        let options: PgConnectOptions = settings.url.parse().map_err(|_: sqlx::Error| WarehouseError::Unreachable {
            warehouse: "in PostgreSQL".to_owned(),
            source: "its URL is not of the form postgres://user:password@host:port/database".into(),
        })?;
        let options = options.application_name("rampkeeper").disable_statement_logging();
        let place = place_of(&options);
        let unreachable = |source: Cause| WarehouseError::Unreachable { warehouse: place.clone(), source };
        // A pool repeats a refused connection until its patience ends, so the first one is made outside of it.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
        let refused = |error: sqlx::Error| match faults::tls_advice_on(&error) {
            Some(advice) => WarehouseError::Tls { warehouse: place.clone(), advice, source: error.into() },
            None => unreachable(error.into()),
        };
        let first = first.map_err(|elapsed| unreachable(elapsed.into()))?.map_err(refused)?;
        // A server that was reached does not become unreachable by a goodbye that fails.
        let _ = first.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            // Others may wait for a connection while a query runs to its own limit.
            .acquire_timeout(settings.statement_timeout + CONNECT_TIMEOUT)
            .connect_lazy_with(options);
        let PostgresSettings { statement_timeout, tables, .. } = settings;
        Ok(SqlWarehouse::over(Postgres { pool, statement_timeout, place, tables, unique: Arc::default() }))
    }

    /// A warehouse over connections that exist already.
    pub fn from_pool(pool: PgPool, statement_timeout: Duration) -> Self {
        let place = place_of(&pool.connect_options());
        let tables = Tables::of_schema("exp");
        SqlWarehouse::over(Postgres { pool, statement_timeout, place, tables, unique: Arc::default() })
    }
}

impl Postgres {
    /// A transaction that can neither write nor outlast the timeout, and whose plans see the actual values.
    async fn reading(&self) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        // Since version 14 a server can look whether anybody still waits for the answer.
        let settings = "SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', \
                        'force_custom_plan', true), set_config('jit', 'off', true), \
                        CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL \
                        THEN set_config('client_connection_check_interval', '2s', true) END";
        let timeout_ms = self.statement_timeout.as_millis().to_string();
        sqlx::query(settings).bind(timeout_ms).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn fetch(&self, statement: &Statement, setting: Option<&'static str>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = self.reading().await?;
        if let Some(setting) = setting {
            sqlx::query(setting).execute(&mut *transaction).await?;
        }
        let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
        let query = statement.binds.iter().fold(query, bind);
        let rows = query.fetch_all(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok(rows)
    }

    async fn answer(
        &self,
        statement: &Statement,
        setting: Option<&'static str>,
        doing: &str,
    ) -> Result<Vec<Row>, WarehouseError> {
        let read = async {
            let rows = self.fetch(statement, setting).await?;
            rows.iter().map(cells).collect::<Result<Vec<Row>, sqlx::Error>>()
        };
        match read.await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.explain(error, doing.to_owned()).await),
        }
    }

    /// The error in words, with a look at the tables where the query missed something in them.
    async fn explain(&self, error: sqlx::Error, doing: String) -> WarehouseError {
        if faults::concerns_schema(&error)
            && let Ok(columns) = faults::columns(&self.pool, &self.tables).await
            && let Some(fault) = faults::schema_faults(&self.tables, &columns).into_iter().next()
        {
            return fault;
        }
        faults::in_words(error, doing, &self.place, self.statement_timeout)
    }
}

#[async_trait]
impl Engine for Postgres {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn known(&self) -> Result<Known, WarehouseError> {
        if !self.unique.initialized() {
            let doing = "looking at the table of assignments";
            let sql = include_str!("../../../queries/warehouse/postgres/unique.sql").to_owned();
            let table = sql::Postgres.table(&self.tables.assignments);
            let rows = self.rows(&Statement { sql, binds: vec![Bind::Text(table)] }, doing).await?;
            if sql::only(&rows, doing)?[0] == Cell::Integer(1) {
                let _ = self.unique.set(());
            }
        }
        Ok(Known {
            dialect: Arc::new(sql::Postgres),
            tables: self.tables.clone(),
            unique: self.unique.initialized(),
            cluster: None,
        })
    }

    async fn rows(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        self.answer(statement, None, doing).await
    }

    /// The planner takes the exposures for fewer than they are, and would look through a fact's days for each of them.
    async fn rows_of_facts(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        self.answer(statement, Some("SET LOCAL enable_nestloop = off"), doing).await
    }

    async fn stream(&self, requests: &[Needs]) -> Result<Option<Vec<Vec<CohortRow>>>, WarehouseError> {
        let from_assignments = requests.iter().all(|needs| needs.exposed_by == ExposedBy::Assignment);
        // Where a unit may come twice, only the query knows which of its rows count.
        if !from_assignments || !self.known().await?.unique {
            return Ok(None);
        }
        match self.copy(requests).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.explain(error, "streaming the events".to_owned()).await),
        }
    }

    async fn describe(&self, fact: &Fact) -> Result<Shape, WarehouseError> {
        let describe = async {
            let mut transaction = self.reading().await?;
            let prepared = transaction.prepare(AssertSqlSafe(sql::described(fact)).into_sql_str()).await?;
            let column = |column: &PgColumn| (column.name().to_owned(), column.type_info().name().to_lowercase());
            let columns = prepared.columns().iter().map(column).collect();
            transaction.rollback().await?;
            Ok(Shape { columns })
        };
        describe.await.map_err(|error: sqlx::Error| {
            let line = faults::line(&error, &sql::described(fact)).and_then(sql::line_of_fact);
            faults::in_words(error, String::new(), &self.place, self.statement_timeout).of_fact(fact, line)
        })
    }

    async fn faults(&self) -> Result<Vec<WarehouseError>, WarehouseError> {
        match faults::columns(&self.pool, &self.tables).await {
            Ok(columns) => Ok(faults::schema_faults(&self.tables, &columns)),
            Err(error) => Err(self.explain(error, "looking at the tables".to_owned()).await),
        }
    }

    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        let doing = "asking the server about the connection";
        let sql = include_str!("../../../queries/checks/session.sql").to_owned();
        let rows = self.rows(&Statement { sql, binds: Vec::new() }, doing).await?;
        let text = sql::only(&rows, doing)?[0].text().unwrap_or_default();
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| WarehouseError::Query { doing: doing.to_owned(), source: error.into() })
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        Ok(Vec::new())
    }
}

/// Host, port and database; neither user nor password.
fn place_of(options: &PgConnectOptions) -> String {
    format!("PostgreSQL {}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or_default())
}

fn bind<'q>(query: Query<'q, sqlx::Postgres, PgArguments>, value: &'q Bind) -> Query<'q, sqlx::Postgres, PgArguments> {
    match value {
        Bind::Key(key) => query.bind(*key),
        Bind::Text(text) => query.bind(text.as_str()),
        Bind::Integer(number) => query.bind(*number),
        Bind::Float(number) => query.bind(*number),
        Bind::Instant(instant) => query.bind(chrono_instant(*instant)),
        Bind::Length(microseconds) => query.bind(PgInterval { months: 0, days: 0, microseconds: *microseconds }),
        Bind::Null => query.bind(None::<String>),
    }
}

/// sqlx speaks chrono. An instant that chrono cannot hold lies past any event; so does chrono's last one.
fn chrono_instant(instant: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(instant).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn cells(row: &PgRow) -> Result<Row, sqlx::Error> {
    let cell = |place: usize| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        Ok(match value.type_info().name() {
            "INT4" => Cell::Integer(row.try_get::<i32, _>(place)?.into()),
            "INT8" => Cell::Integer(row.try_get(place)?),
            "FLOAT8" => Cell::Float(row.try_get(place)?),
            _ => Cell::Text(row.try_get(place)?),
        })
    };
    (0..row.len()).map(cell).collect()
}
