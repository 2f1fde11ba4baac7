//! The warehouse in PostgreSQL: the `exp` schema itself, or a replica of it.

mod copied;
mod examine;
mod faults;
mod stream;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::types::chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, Transaction};

use crate::domain::CohortRequest;

use super::cohort_rows::{CohortRow, Moments};
use super::error::{Cause, WarehouseError};
use super::instants::{Micros, instant_of, midnight, next_midnight};
use super::needs::{MetricNeed, Needs};
use super::sql::{self, Bind, Statement};
use super::{Collected, Partition, Warehouse};

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

/// The tables `exp.assignments` and `exp.events` of a PostgreSQL database, only ever read.
///
/// `exp.assignments` is unique in (experiment, unit), so no unit can be in two arms and none is counted as such.
#[derive(Clone, Debug)]
pub struct PostgresWarehouse {
    pool: PgPool,
    statement_timeout: Duration,
    place: String,
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
        Ok(Self { pool, statement_timeout: settings.statement_timeout, place })
    }

    /// A warehouse over connections that exist already.
    pub fn from_pool(pool: PgPool, statement_timeout: Duration) -> Self {
        let place = place_of(&pool.connect_options());
        Self { pool, statement_timeout, place }
    }

    /// A transaction that can neither write nor outlast the timeout, and whose plans see the actual values.
    async fn reading(&self) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let settings = "SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', \
                        'force_custom_plan', true), set_config('jit', 'off', true)";
        let timeout_ms = self.statement_timeout.as_millis().to_string();
        sqlx::query(settings).bind(timeout_ms).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn rows(&self, statement: &Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = self.reading().await?;
        let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
        let query = statement.binds.iter().fold(query, bind);
        let rows = query.fetch_all(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok(rows)
    }

    /// The error in words, with a look at the tables where the query missed something in them.
    async fn explain(&self, error: sqlx::Error, doing: String) -> WarehouseError {
        if faults::concerns_schema(&error)
            && let Ok(columns) = faults::columns(&self.pool).await
            && let Some(fault) = faults::schema_faults(&columns).into_iter().next()
        {
            return fault;
        }
        faults::in_words(error, doing, &self.place, self.statement_timeout)
    }
}

#[async_trait]
impl Warehouse for PostgresWarehouse {
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let statement = Statement {
            sql: include_str!("../../../queries/warehouse/partition.sql").to_owned(),
            binds: [midnight(date), next_midnight(midnight(date))].map(Bind::Instant).to_vec(),
        };
        let read = async {
            let rows = self.rows(&statement).await?;
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            Ok((row.try_get::<i64, _>(0)?, row.try_get::<Option<DateTime<Utc>>, _>(1)?))
        };
        match read.await {
            Ok((0, _)) => Ok(None),
            Ok((rows, latest)) => Ok(Some(Partition {
                date,
                rows: rows.unsigned_abs(),
                latest_event_at: latest.and_then(|latest| instant_of(latest.timestamp_micros())),
            })),
            Err(error) => Err(self.explain(error, format!("counting the events of {date}")).await),
        }
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        let needs = Needs::of(request)?;
        if needs.spans.is_empty() {
            return Collected::from_rows(&needs, Vec::new());
        }
        let statement = sql::compile(&needs, &sql::Postgres)?;
        let read = async {
            let rows = self.rows(&statement).await?;
            rows.iter().map(|row| cohort_row(&needs, row)).collect::<Result<Vec<_>, sqlx::Error>>()
        };
        match read.await {
            Ok(rows) => Collected::from_rows(&needs, rows),
            Err(error) => Err(self.explain(error, format!("collecting experiment {:?}", needs.experiment)).await),
        }
    }

    async fn collect_many(&self, requests: &[CohortRequest<'_>]) -> Vec<Result<Collected, WarehouseError>> {
        let needs: Result<Vec<Needs>, WarehouseError> = requests.iter().map(Needs::of).collect();
        // A request that cannot be is told by its own query.
        if let Ok(needs) = needs
            && needs.len() > 1
        {
            match self.stream(&needs).await {
                Ok(Some(rows)) => {
                    return needs.iter().zip(rows).map(|(needs, rows)| Collected::from_rows(needs, rows)).collect();
                }
                Ok(None) => {}
                Err(error) => tracing::info!("the experiments are asked for one by one: {error}"),
            }
        }
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(self.collect(request).await);
        }
        answers
    }

    fn describe(&self) -> String {
        self.place.clone()
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
    }
}

/// sqlx speaks chrono. An instant that chrono cannot hold lies past any event; so does chrono's last one.
fn chrono_instant(instant: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(instant).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn cohort_row(needs: &Needs, row: &PgRow) -> Result<CohortRow, sqlx::Error> {
    let moments = |(place, metric): (usize, &MetricNeed)| -> Result<Moments, sqlx::Error> {
        let get = |name: &str| row.try_get::<f64, _>(format!("{name}_{place}").as_str());
        let (mean_y, m2_y) = (get("mean_y")?, get("m2_y")?);
        let (mean_d, m2_d, c_yd) = match metric.denominator {
            Some(_) => (get("mean_d")?, get("m2_d")?, get("c_yd")?),
            None => (1.0, 0.0, 0.0),
        };
        Ok(Moments { mean_y, m2_y, mean_d, m2_d, c_yd })
    };
    Ok(CohortRow {
        cohort_date: civil(row.try_get::<NaiveDate, _>("cohort_date")?)?,
        epoch: row.try_get("epoch")?,
        variant_id: row.try_get::<Uuid, _>("variant_id")?.to_string(),
        units: row.try_get("units")?,
        events: row.try_get("events")?,
        missing: row.try_get("missing")?,
        not_numbers: row.try_get("not_numbers")?,
        multiple_exposed: 0,
        moments: needs.metrics.iter().enumerate().map(moments).collect::<Result<_, _>>()?,
    })
}

/// Both calendars write a date as YYYY-MM-DD.
fn civil(date: NaiveDate) -> Result<Date, sqlx::Error> {
    date.to_string().parse().map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))
}
