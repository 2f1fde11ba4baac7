//! The warehouse in ClickHouse, by its HTTP interface; one server, or the shards of a cluster behind `Distributed` tables.
//!
//! Over shards each is asked the whole question about its own units, and only moments come back: for that, both tables must
//! lie on the same shards by the same expression of `unit_id`. A shard that does not answer is an error, never a gap:
//! `skip_unavailable_shards` is switched off in each query, and a server that has it on is refused.

mod faults;
mod http;
mod layout;
mod together;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::OnceCell;
use url::Url;

use super::cohort_rows::CohortRow;
use super::error::WarehouseError;
use super::examine::Remark;
use super::facts::Shape;
use super::needs::Needs;
use super::sql::{self, Cell, Clickhouse as Dialect, Engine, Known, Row, SqlWarehouse, Statement, Typed};
use super::tables::Tables;
use crate::domain::Fact;
use http::{Answer, Http};

/// How to reach a ClickHouse warehouse.
#[derive(Clone, Debug)]
pub struct ClickhouseSettings {
    /// `https://host:8443`; no password in it.
    pub url: Url,
    /// The user; `default` unless told.
    pub username: Option<String>,
    /// Its password; appears in no log and no error.
    pub password: Option<SecretString>,
    /// The database of tables that are named without one.
    pub database: Option<String>,
    /// A PEM file with a certificate authority to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The longest that one query may take.
    pub statement_timeout: Duration,
    /// The two tables.
    pub tables: Tables,
}

/// Two tables of a ClickHouse server or cluster, only ever read.
pub type ClickhouseWarehouse = SqlWarehouse<Clickhouse>;

/// The server behind such a warehouse.
#[derive(Clone)]
pub struct Clickhouse {
    http: Http,
    statement_timeout: Duration,
    tables: Tables,
    known: Arc<OnceCell<Known>>,
    /// The dialect of these tables, once they are known.
    typed: Arc<OnceCell<Arc<Dialect>>>,
}

impl fmt::Debug for Clickhouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.http.place())
    }
}

impl ClickhouseWarehouse {
    /// Connects, so that a wrong address is found at the start, and refuses a server that would leave out shards.
    pub async fn connect(settings: ClickhouseSettings) -> Result<Self, WarehouseError> {
        let (tables, statement_timeout) = (settings.tables.clone(), settings.statement_timeout);
        let http = Http::new(settings)?;
        let engine = Clickhouse { http, statement_timeout, tables, known: Arc::default(), typed: Arc::default() };
        engine.refuse_gaps().await?;
        Ok(SqlWarehouse::over(engine))
    }
}

impl Clickhouse {
    /// Asks before any setting of ours is sent, since a user who may change none is told so in clear words.
    async fn refuse_gaps(&self) -> Result<(), WarehouseError> {
        let doing = "asking the server for its settings";
        let sql = include_str!("../../../queries/warehouse/clickhouse/settings.sql");
        let rows = self.ask(sql, doing, Answer::WithoutSettings).await?;
        let setting = |name: &str| rows.iter().find(|row| row[0].text() == Some(name)).and_then(|row| row[1].text());
        if setting("skip_unavailable_shards").is_some_and(|value| value != "0") {
            return Err(faults::leaves_out_shards(self.http.place()));
        }
        if setting("readonly") == Some("1") {
            return Err(faults::may_set_nothing(self.http.place()));
        }
        Ok(())
    }

    async fn ask(&self, sql: &str, doing: &str, answer: Answer) -> Result<Vec<Row>, WarehouseError> {
        match self.http.ask(sql, self.statement_timeout, answer).await {
            Ok(rows) => Ok(rows),
            Err(fault) => Err(faults::in_words(fault, doing, self.http.place(), self.statement_timeout)),
        }
    }

    /// What the tables lack for a request.
    fn refuses(&self, needs: &Needs) -> Option<WarehouseError> {
        sql::Dialect::refuse(self.typed.get()?.as_ref(), needs, &self.tables.events)
    }

    /// The question without a look at the tables first, for the look itself.
    async fn look(&self, sql: &str) -> Result<Vec<Row>, WarehouseError> {
        self.ask(sql, "looking at the tables", Answer::Whole).await
    }
}

#[async_trait]
impl Engine for Clickhouse {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn place(&self) -> &str {
        self.http.place()
    }

    async fn known(&self) -> Result<Known, WarehouseError> {
        let known = self.known.get_or_try_init(async || {
            let layout = layout::of(self).await?;
            layout.faults.into_iter().next().map_or(Ok(()), Err)?;
            let dialect = Arc::new(Dialect(layout.typed));
            let dialect = self.typed.get_or_init(async || dialect).await;
            Ok(Known {
                dialect: Arc::clone(dialect) as Arc<dyn sql::Dialect>,
                tables: layout.tables,
                // No engine of ClickHouse's keeps a key unique.
                unique: false,
                cluster: layout.cluster,
            })
        });
        known.await.cloned()
    }

    async fn rows(&self, statement: &Statement, doing: &str) -> Result<Vec<Row>, WarehouseError> {
        let fault = match self.http.ask(&statement.sql, self.statement_timeout, Answer::Whole).await {
            Ok(rows) => return Ok(rows),
            Err(fault) => fault,
        };
        if fault.concerns_schema()
            && let Ok(layout) = layout::of(self).await
            && let Some(fault) = layout.faults.into_iter().next()
        {
            return Err(fault);
        }
        Err(faults::in_words(fault, doing, self.http.place(), self.statement_timeout))
    }

    async fn together(&self, requests: &[Needs]) -> Vec<Option<Result<Vec<CohortRow>, WarehouseError>>> {
        match self.ask_together(requests).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::info!("the experiments are asked for one by one: {error}");
                requests.iter().map(|_| None).collect()
            }
        }
    }

    async fn describe(&self, fact: &Fact) -> Result<Shape, WarehouseError> {
        let sql = format!("DESCRIBE TABLE (\n{}\n)", fact.sql);
        match self.http.ask(&sql, self.statement_timeout, Answer::Whole).await {
            Ok(rows) => Ok(Shape { columns: told(&rows) }),
            Err(fault) => {
                let line = fault.line().and_then(sql::line_of_fact);
                Err(faults::in_words(fault, "", self.http.place(), self.statement_timeout).of_fact(fact, line))
            }
        }
    }

    async fn faults(&self) -> Result<Vec<WarehouseError>, WarehouseError> {
        Ok(layout::of(self).await?.faults)
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        let doing = "asking the server about the connection";
        let rows =
            self.ask(include_str!("../../../queries/warehouse/clickhouse/session.sql"), doing, Answer::Whole).await?;
        let row = sql::only(&rows, doing)?;
        let text = |place: usize| row[place].text().unwrap_or_default();
        let mut remarks = vec![Remark::well("server", format!("{}, version {}", self.http.place(), text(0)))];
        remarks.push(match text(1) {
            "UTC" | "Etc/UTC" | "GMT" => Remark::well("time zone", "the server's is UTC"),
            zone => Remark::well(
                "time zone",
                format!("the server's is {zone}; instants are read as such, days are UTC days"),
            ),
        });
        remarks.push(match text(2) {
            "0" => Remark::amiss(
                "rights",
                "the user may write",
                "give the warehouse a user of its own with the profile setting readonly = 2",
            ),
            _ => Remark::well("rights", "the user may not write"),
        });
        let layout = layout::of(self).await?;
        if let Some(cluster) = &layout.cluster {
            let shards = layout::shards(self, cluster).await?;
            remarks.push(Remark::well("shards", format!("{shards} of cluster {cluster}; each sums its own units")));
        }
        remarks.push(match self.http.is_encrypted() {
            true => Remark::well("encryption", "the server's certificate is checked"),
            false if self.http.is_local() => Remark::well("encryption", "none, and none is needed on this machine"),
            false => Remark::amiss(
                "encryption",
                "none: whoever is on the way can read and change what is said",
                "switch on https_port at the server, and write https://… as the `url`",
            ),
        });
        Ok(remarks)
    }
}

/// The columns of a subquery, of which the first two cells are the name and the type.
fn told(rows: &[Row]) -> Vec<(String, String)> {
    let named = |row: &Row| match row.as_slice() {
        [Cell::Text(name), Cell::Text(held), ..] => Some((name.clone(), held.clone())),
        _ => None,
    };
    rows.iter().filter_map(named).collect()
}

/// The columns of a table as the server names their types.
fn columns(rows: &[Row]) -> impl Iterator<Item = (String, String)> + '_ {
    rows.iter().filter_map(|row| match row.as_slice() {
        [Cell::Text(name), Cell::Text(held)] => Some((name.clone(), held.clone())),
        _ => None,
    })
}

/// Which columns there are.
fn typed(events: &[(String, String)], assignments: &[(String, String)]) -> Typed {
    Typed { events: events.iter().cloned().collect(), assignments: assignments.iter().cloned().collect() }
}
