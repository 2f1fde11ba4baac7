//! The warehouse in `rampkeeper.yml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::SettingsFile;
use super::address::{Connection, POSTGRES_OR_SQLITE, Schemes, address, encryption};
use super::aggregates::{self, AggregatesEntry};
use super::lake::{self, LakeEntry};
use crate::config::secret::SecretRef;
use crate::domain::TableName;

/// The warehouse: exactly one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarehouseEntry {
    /// `exp.events` and `exp.assignments` in PostgreSQL.
    pub postgres: Option<PostgresEntry>,
    /// Two tables of a SQLite file.
    pub sqlite: Option<SqliteEntry>,
    /// Two tables of a MySQL or MariaDB database.
    pub mysql: Option<MysqlEntry>,
    /// Two tables of a ClickHouse server or cluster.
    pub clickhouse: Option<ClickhouseEntry>,
    /// A folder of Parquet files, here or in an object store.
    pub lake: Option<LakeEntry>,
    /// Reads aggregates over events from the PostgreSQL or SQLite database that is named beside it, and nothing else: for
    /// where neither events nor assignments are kept.
    pub aggregates: Option<AggregatesEntry>,
    /// What makes a unit exposed: its first row in the table of assignments, unless told.
    #[serde(default)]
    pub exposure: ExposureWord,
    /// The same for single experiments, by name.
    #[serde(default)]
    pub exposure_of: BTreeMap<String, ExposureWord>,
}

/// What makes a unit exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExposureWord {
    /// Its first row in the table of assignments.
    #[default]
    Assignments,
    /// Its first event that carries the experiment.
    Events,
}

/// SQLite.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteEntry {
    /// The file.
    pub path: PathBuf,
    /// The table of events; `exp_events` unless told.
    #[schemars(with = "Option<String>")]
    pub events: Option<TableName>,
    /// The table of assignments; `exp_assignments` unless told.
    #[schemars(with = "Option<String>")]
    pub assignments: Option<TableName>,
    /// Seconds that one query may take; 600 unless told.
    #[schemars(range(min = 1))]
    pub statement_timeout_seconds: Option<u64>,
}

/// MySQL or MariaDB.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlEntry {
    /// `mysql://user@host/database`, without a password.
    pub url: Option<String>,
    /// The same from an environment variable or a file, where it may hold a password.
    pub url_from: Option<SecretRef>,
    /// The password for `url`.
    pub password: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the public ones; the connection is then encrypted, and
    /// the certificate and the host name in it are checked.
    pub ca_file: Option<PathBuf>,
    /// The table of events, `events` or `database.events`; `events` unless told.
    #[schemars(with = "Option<String>")]
    pub events: Option<TableName>,
    /// The table of assignments; `assignments` unless told.
    #[schemars(with = "Option<String>")]
    pub assignments: Option<TableName>,
    /// Seconds that one query may take; 600 unless told.
    #[schemars(range(min = 1))]
    pub statement_timeout_seconds: Option<u64>,
}

/// ClickHouse, by its HTTP interface.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClickhouseEntry {
    /// Its address, such as `https://clickhouse:8443`.
    pub url: String,
    /// The user; `default` unless told.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretRef>,
    /// The database of tables that are named without one.
    pub database: Option<String>,
    /// A PEM file with a certificate authority to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The table of events, `events` or `database.events`; `events` unless told.
    #[schemars(with = "Option<String>")]
    pub events: Option<TableName>,
    /// The table of assignments; `assignments` unless told.
    #[schemars(with = "Option<String>")]
    pub assignments: Option<TableName>,
    /// Seconds that one query may take; 600 unless told.
    #[schemars(range(min = 1))]
    pub statement_timeout_seconds: Option<u64>,
}

/// PostgreSQL; without `url` it is the control store's.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresEntry {
    /// `postgres://user@host/database`, without a password.
    pub url: Option<String>,
    /// The same from an environment variable or a file, where it may hold a password.
    pub url_from: Option<SecretRef>,
    /// The password for `url`.
    pub password: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the public ones; the connection is then encrypted, and
    /// the certificate and the host name in it are checked.
    pub ca_file: Option<PathBuf>,
    /// The table of events; `exp.events` unless told.
    #[schemars(with = "Option<String>")]
    pub events: Option<TableName>,
    /// The table of assignments; `exp.assignments` unless told.
    #[schemars(with = "Option<String>")]
    pub assignments: Option<TableName>,
    /// Seconds that one query may take; 600 unless told.
    #[schemars(range(min = 1))]
    pub statement_timeout_seconds: Option<u64>,
}

/// Checks of meaning that the schema cannot express.
pub(super) fn check(fault: &mut impl FnMut(&str, &str), file: &SettingsFile) {
    let warehouse = &file.warehouse;
    let given = [
        warehouse.postgres.is_some(),
        warehouse.sqlite.is_some(),
        warehouse.mysql.is_some(),
        warehouse.clickhouse.is_some(),
        warehouse.lake.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        fault("/warehouse", "give exactly one of `postgres`, `sqlite`, `mysql`, `clickhouse` and `lake`");
    }
    aggregates::check(fault, warehouse);
    if let Some(lake) = &warehouse.lake {
        lake::check(fault, lake);
    }
    if let Some(mysql) = &warehouse.mysql {
        mysql_url(fault, mysql);
    }
    if let Some(clickhouse) = &warehouse.clickhouse {
        clickhouse_url(fault, clickhouse);
    }
    if let Some(postgres) = &warehouse.postgres {
        let own = Connection { url: &postgres.url, url_from: &postgres.url_from, password: &postgres.password };
        own.check(fault, "/warehouse/postgres", &POSTGRES_OR_SQLITE, false);
        encryption(fault, "/warehouse/postgres", &postgres.url, &postgres.ca_file);
        let own = postgres.url.is_some() || postgres.url_from.is_some();
        if !own && postgres.ca_file.is_some() {
            fault("/warehouse/postgres/ca_file", "without `url` this is the control store; give `control.ca_file`");
        }
        if !own && file.control.url.as_deref().is_some_and(|url| url.starts_with("sqlite:")) {
            fault("/warehouse/postgres", "without `url` this is the control store, and that is SQLite; give a `url`");
        }
    }
}

fn mysql_url(fault: &mut impl FnMut(&str, &str), entry: &MysqlEntry) {
    let at = "/warehouse/mysql";
    let own = Connection { url: &entry.url, url_from: &entry.url_from, password: &entry.password };
    let Some(url) = own.check(fault, at, &Schemes { known: &["mysql", "mariadb"], examples: "mysql://…" }, true)
    else {
        return;
    };
    if url.path().trim_matches('/').is_empty() {
        return fault(&format!("{at}/url"), "name the database, as in mysql://user@host/database");
    }
    let mode = url.query_pairs().find(|(key, _)| key == "ssl-mode" || key == "sslmode");
    let mode = mode.map(|(_, mode)| mode.to_ascii_lowercase());
    if entry.ca_file.is_some()
        && mode.is_some_and(|mode| ["disabled", "preferred", "required"].contains(&mode.as_str()))
    {
        let message = "this `ssl-mode` checks no certificate, so `ca_file` would be of no use; leave `ssl-mode` out";
        fault(&format!("{at}/ca_file"), message);
    }
}

fn clickhouse_url(fault: &mut impl FnMut(&str, &str), entry: &ClickhouseEntry) {
    let at = "/warehouse/clickhouse";
    let instead = "`username` and `password: { env: NAME }`";
    match address(&entry.url, &["http", "https"], "http://… or https://…", instead) {
        Err(message) => fault(&format!("{at}/url"), &message),
        Ok(url) if !url.username().is_empty() => {
            fault(&format!("{at}/url"), "a user does not go into the address; use `username` and `password`");
        }
        Ok(url) if url.query().is_some() => {
            fault(
                &format!("{at}/url"),
                "no settings go into the address; give them to the user's profile at the server",
            );
        }
        Ok(url) if url.scheme() == "http" && entry.ca_file.is_some() => {
            fault(&format!("{at}/ca_file"), "http has no certificate to check; write https://… as the `url`");
        }
        Ok(_) => {}
    }
    if entry.password.is_some() && entry.username.is_none() {
        fault(at, "`password` needs a `username`");
    }
}
