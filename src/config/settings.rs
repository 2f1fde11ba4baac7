//! `rampkeeper.yml`: where everything lies, and when the night runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::aggregates::{self, AggregatesEntry};
use super::document::Document;
use super::fault::Fault;
use super::secret::SecretRef;
use super::telling::{self, ChatEntry, HeartbeatEntry};
use crate::domain::TableName;

/// The file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// The database with the experiment tables and Rampkeeper's own.
    pub control: ControlEntry,
    /// Where events and first exposures are read.
    pub warehouse: WarehouseEntry,
    /// Where models are registered.
    pub registry: RegistryEntry,
    /// Who reads the report, and how it gets there.
    pub mail: Option<MailEntry>,
    /// Chats that are told as well.
    #[serde(default)]
    pub chat: Vec<ChatEntry>,
    /// An address that is pinged when a night begins and ends, and alarms when none does.
    pub heartbeat: Option<HeartbeatEntry>,
    /// A folder for the site: an index, a page per night, a page per experiment.
    pub reports: Option<PathBuf>,
    /// When `serve` runs the night.
    pub schedule: Option<ScheduleEntry>,
    /// How evidence is read.
    #[serde(default)]
    pub evidence: EvidenceEntry,
    /// The metrics file; `metrics.yml` beside this one unless told.
    pub metrics: Option<PathBuf>,
    /// The promotion file; `promotion.yml` beside this one unless told.
    pub promotion: Option<PathBuf>,
    /// The file of policies, for `policy sync`; `policies.yml` beside this one unless told.
    pub policies: Option<PathBuf>,
    /// The file of experiments, for `experiments sync`; `experiments.yml` beside this one unless told.
    pub experiments: Option<PathBuf>,
    /// The file of prompts, for `prompts sync`; `prompts.yml` beside this one unless told.
    pub prompts: Option<PathBuf>,
}

/// The control store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlEntry {
    /// `postgres://user@host/database` or `sqlite:path/to/file.db`, without a password.
    pub url: Option<String>,
    /// The same from an environment variable or a file, where it may hold a password.
    pub url_from: Option<SecretRef>,
    /// The password for `url`.
    pub password: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the public ones; the connection is then encrypted, and
    /// the certificate and the host name in it are checked.
    pub ca_file: Option<PathBuf>,
}

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
    /// A folder of Parquet files.
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

/// The lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeEntry {
    /// The folder that holds `events/` and `assignments/`.
    pub path: PathBuf,
}

/// The model registry: exactly one of the two.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryEntry {
    /// An MLflow tracking server.
    pub mlflow: Option<MlflowEntry>,
    /// The embedded registry in the control store.
    pub local: Option<LocalEntry>,
}

/// MLflow. What is left out is taken from the environment, by the names that MLflow's own clients read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MlflowEntry {
    /// Its base address, such as `http://mlflow:5000`; or `databricks`, `databricks-uc`, each with `://PROFILE` if need be.
    /// MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI unless told.
    pub url: Option<String>,
    /// The user for basic authentication.
    pub username: Option<String>,
    /// The password for basic authentication.
    pub password: Option<SecretRef>,
    /// A bearer token instead.
    pub token: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the system's; MLFLOW_TRACKING_SERVER_CERT_PATH unless told.
    pub ca_file: Option<PathBuf>,
    /// Seconds that one request may take; MLFLOW_HTTP_REQUEST_TIMEOUT or 30 unless told.
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u64>,
}

/// The embedded registry; it has no settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalEntry {}

/// The report's way to its readers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailEntry {
    /// The sender, such as `Rampkeeper <rampkeeper@example.com>`.
    pub from: String,
    /// The readers of everything.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Whether the owners of an experiment read of theirs; true unless told.
    pub owners: Option<bool>,
    /// Those who read a part.
    #[serde(default)]
    pub digests: Vec<DigestEntry>,
    /// What becomes of a night on which nothing happened: `send` (the default) or `skip`. A missing mail then no longer
    /// means a broken job.
    #[serde(default)]
    pub quiet: QuietWord,
    /// Which decisions have a mail of their own, with a thread for what follows; `[rollback, promote]` unless told.
    pub actions: Option<Vec<ActionWord>>,
    /// Whether mails have pictures; true unless told.
    pub pictures: Option<bool>,
    /// The night as files beside the digests.
    #[serde(default)]
    pub attach: Vec<AttachWord>,
    /// A folder with templates and texts of your own; what is not in it is built in.
    pub templates: Option<PathBuf>,
    /// A mail server.
    pub smtp: Option<SmtpEntry>,
    /// A folder that mails are written to as `.eml` files instead.
    pub directory: Option<PathBuf>,
}

/// Readers of a part.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestEntry {
    /// The readers.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
    /// Names of experiments, in which `*` stands for anything; all unless told.
    #[schemars(length(min = 1))]
    pub experiments: Option<Vec<String>>,
    /// What of them; everything unless told.
    #[schemars(length(min = 1))]
    pub tell: Option<Vec<TellWord>>,
}

/// What is told of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TellWord {
    /// The job changed it.
    Acted,
    /// Somebody must do something about it.
    NeedsYou,
    /// It could not be evaluated, or is not as decided.
    Broken,
    /// Nothing of that.
    Quiet,
}

/// What becomes of a night on which nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuietWord {
    /// It is told.
    #[default]
    Send,
    /// It is not.
    Skip,
}

/// A decision that may have a mail of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionWord {
    /// A candidate was taken off.
    Rollback,
    /// A candidate became the baseline.
    Promote,
    /// A candidate got more.
    Ramp,
}

/// A file beside a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachWord {
    /// A row per metric of each candidate.
    Csv,
    /// As `--output json` has it.
    Json,
}

/// A mail server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpEntry {
    /// Its host name.
    pub host: String,
    /// Its port; 587 with STARTTLS, 465 with TLS, 25 without, unless told.
    pub port: Option<u16>,
    /// `starttls` (the default), `tls` or `none`.
    #[serde(default)]
    pub encryption: EncryptionWord,
    /// The user, if it wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionWord {
    /// Plain first, then upgraded; without the upgrade nothing is sent.
    #[default]
    Starttls,
    /// Encrypted from the start.
    Tls,
    /// Not at all.
    None,
}

/// When `serve` runs the night.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    /// A cron expression with seconds: second minute hour day month weekday.
    pub cron: String,
    /// An IANA time zone; `UTC` unless told.
    pub timezone: Option<String>,
}

/// How evidence is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceEntry {
    /// Minutes after an allocation change during which first exposures are left out; 15 unless told.
    #[schemars(range(max = 1440))]
    pub settle_minutes: Option<u32>,
    /// The share of units seen in two arms above which nothing is ramped or promoted; 0.001 unless told.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_multiple_exposure: Option<f64>,
    /// How many of the latest days are counted again every night, to find data that were restated; 3 unless told.
    #[schemars(range(max = 60))]
    pub restatement_days: Option<u32>,
    /// Days of events that a person has looked at and accepts as they are, although they look incomplete.
    #[schemars(schema_with = "dates")]
    pub accept_days: Vec<Date>,
}

fn dates(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "format": "date" } })
}

/// Checks of meaning that the schema cannot express.
pub(super) fn check(document: &Document, file: &SettingsFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |at: &str, message: &str| faults.push(document.fault(at, message));
    one_url(&mut fault, "/control", &file.control.url, &file.control.url_from, &file.control.password, true);
    encryption(&mut fault, "/control", &file.control.url, &file.control.ca_file);
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
    aggregates::check(&mut fault, warehouse);
    if let Some(mysql) = &warehouse.mysql {
        mysql_url(&mut fault, mysql);
    }
    if let Some(clickhouse) = &warehouse.clickhouse {
        clickhouse_url(&mut fault, clickhouse);
    }
    if let Some(postgres) = &warehouse.postgres {
        one_url(&mut fault, "/warehouse/postgres", &postgres.url, &postgres.url_from, &postgres.password, false);
        encryption(&mut fault, "/warehouse/postgres", &postgres.url, &postgres.ca_file);
        let own = postgres.url.is_some() || postgres.url_from.is_some();
        if !own && postgres.ca_file.is_some() {
            fault("/warehouse/postgres/ca_file", "without `url` this is the control store; give `control.ca_file`");
        }
        if !own && file.control.url.as_deref().is_some_and(|url| url.starts_with("sqlite:")) {
            fault("/warehouse/postgres", "without `url` this is the control store, and that is SQLite; give a `url`");
        }
    }
    match (&file.registry.mlflow, &file.registry.local) {
        (Some(mlflow), None) => {
            let instead = "`username` and `password: { env: NAME }`";
            let url = mlflow.url.as_deref().unwrap_or_default();
            let schemes = ["http", "https", "databricks", "databricks-uc"];
            match address(url, &schemes, "http://…, https://…, databricks or databricks-uc", instead) {
                _ if mlflow.url.is_none() || url == "databricks" || url == "databricks-uc" => {}
                Err(message) => fault("/registry/mlflow/url", &message),
                Ok(url) if !url.username().is_empty() => {
                    fault("/registry/mlflow/url", "a user does not go into the address; use `username` and `password`");
                }
                Ok(_) => {}
            }
            if mlflow.ca_file.is_some() && url.starts_with("http://") {
                fault("/registry/mlflow/ca_file", "http has no certificate to check; write https://… as the `url`");
            }
            if mlflow.username.is_some() != mlflow.password.is_some() {
                fault("/registry/mlflow", "`username` and `password` belong together");
            }
            if mlflow.token.is_some() && mlflow.username.is_some() {
                fault("/registry/mlflow", "give `username` and `password`, or `token`, not both");
            }
        }
        (None, Some(_)) => {}
        _ => fault("/registry", "give exactly one of `mlflow` and `local`"),
    }
    if let Some(mail) = &file.mail {
        if mail.smtp.is_some() == mail.directory.is_some() {
            fault("/mail", "give exactly one of `smtp` and `directory`");
        }
        let addresses = std::iter::once(("/mail/from".to_owned(), &mail.from))
            .chain(mail.to.iter().enumerate().map(|(i, to)| (format!("/mail/to/{i}"), to)))
            .chain(mail.digests.iter().enumerate().flat_map(|(i, digest)| {
                let to = digest.to.iter().enumerate();
                to.map(move |(j, to)| (format!("/mail/digests/{i}/to/{j}"), to))
            }))
            .chain(mail.reply_to.iter().map(|to| ("/mail/reply_to".to_owned(), to)));
        for (at, address) in addresses {
            if let Err(error) = address.parse::<lettre::message::Mailbox>() {
                fault(&at, &format!("{address:?} is no mail address ({error}); write name@example.com"));
            }
        }
        for (i, digest) in mail.digests.iter().enumerate() {
            let empty = |list: Option<usize>| list == Some(0);
            if digest.to.is_empty() {
                fault(&format!("/mail/digests/{i}"), "`to` names nobody; give an address, or leave the digest out");
            }
            if empty(digest.experiments.as_ref().map(Vec::len)) {
                let message = "`experiments` names none; leave it out for all of them";
                fault(&format!("/mail/digests/{i}/experiments"), message);
            }
            if empty(digest.tell.as_ref().map(Vec::len)) {
                let message =
                    "`tell` says nothing; leave it out for everything, or name acted, needs_you, broken or quiet";
                fault(&format!("/mail/digests/{i}/tell"), message);
            }
        }
        if let Some(smtp) = &mail.smtp
            && smtp.username.is_some() != smtp.password.is_some()
        {
            fault("/mail/smtp", "`username` and `password` belong together");
        }
    }
    faults.extend(telling::check(document, &file.chat, file.heartbeat.as_ref()));
    let mut fault = |at: &str, message: &str| faults.push(document.fault(at, message));
    if let Some(schedule) = &file.schedule
        && let Some(zone) = &schedule.timezone
        && zone.parse::<chrono_tz::Tz>().is_err()
    {
        fault("/schedule/timezone", &format!("{zone:?} is no IANA time zone; write one such as Europe/Berlin"));
    }
    if let Some(schedule) = &file.schedule
        && let Err(error) = tokio_cron_scheduler::Job::new(schedule.cron.as_str(), |_, _| {})
    {
        let message =
            format!("{:?} is no cron expression of second minute hour day month weekday: {error}", schedule.cron);
        fault("/schedule/cron", &message);
    }
    faults
}

fn one_url(
    fault: &mut impl FnMut(&str, &str),
    at: &str,
    url: &Option<String>,
    url_from: &Option<SecretRef>,
    password: &Option<SecretRef>,
    needed: bool,
) {
    match (url, url_from) {
        (Some(_), Some(_)) => fault(at, "give `url` or `url_from`, not both"),
        (None, None) if needed => fault(at, "give `url`, or `url_from: { env: NAME }`"),
        (None, Some(_)) if password.is_some() => fault(at, "`password` goes with `url`; `url_from` may hold its own"),
        (None, None) if password.is_some() => fault(at, "`password` needs a `url`"),
        (Some(url), None) => {
            let schemes = ["postgres", "postgresql", "sqlite"];
            let instead = "`password: { env: NAME }` or `url_from`";
            if let Err(message) = address(url, &schemes, "postgres://… or sqlite:…", instead) {
                fault(&format!("{at}/url"), &message);
            }
        }
        _ => {}
    }
}

fn mysql_url(fault: &mut impl FnMut(&str, &str), entry: &MysqlEntry) {
    let at = "/warehouse/mysql";
    match (&entry.url, &entry.url_from) {
        (Some(_), Some(_)) => fault(at, "give `url` or `url_from`, not both"),
        (None, None) => fault(at, "give `url`, or `url_from: { env: NAME }`"),
        (None, Some(_)) if entry.password.is_some() => {
            fault(at, "`password` goes with `url`; `url_from` may hold its own");
        }
        (Some(url), None) => {
            let instead = "`password: { env: NAME }` or `url_from`";
            match address(url, &["mysql", "mariadb"], "mysql://…", instead) {
                Err(message) => fault(&format!("{at}/url"), &message),
                Ok(url) if url.path().trim_matches('/').is_empty() => {
                    fault(&format!("{at}/url"), "name the database, as in mysql://user@host/database");
                }
                Ok(url) => {
                    let mode = url.query_pairs().find(|(key, _)| key == "ssl-mode" || key == "sslmode");
                    let mode = mode.map(|(_, mode)| mode.to_ascii_lowercase());
                    let unchecked = ["disabled", "preferred", "required"];
                    if entry.ca_file.is_some() && mode.is_some_and(|mode| unchecked.contains(&mode.as_str())) {
                        let message = "this `ssl-mode` checks no certificate, so `ca_file` would be of no use; leave `ssl-mode` out";
                        fault(&format!("{at}/ca_file"), message);
                    }
                }
            }
        }
        _ => {}
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

/// How an address says that it is to be encrypted, beside the file of certificates.
fn encryption(fault: &mut impl FnMut(&str, &str), at: &str, url: &Option<String>, ca_file: &Option<PathBuf>) {
    // An address that cannot be read has told so already.
    let Some(url) = url.as_deref().and_then(|url| url::Url::parse(url).ok()) else { return };
    if url.scheme() == "sqlite" {
        if ca_file.is_some() {
            fault(&format!("{at}/ca_file"), "SQLite is a file and has no certificate to check");
        }
        return;
    }
    let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let mode = url.query_pairs().find(|(key, _)| key == "sslmode" || key == "ssl-mode").map(|(_, mode)| mode);
    match mode.as_deref() {
        Some(mode) if !modes.contains(&mode) => {
            // Not repeated: of an address it is not known which part is a secret.
            fault(&format!("{at}/url"), &format!("this `sslmode` is not one of {}", modes.join(", ")));
        }
        Some("disable" | "allow" | "prefer" | "require") if ca_file.is_some() => {
            let message = "this `sslmode` checks no certificate, so `ca_file` would be of no use; leave `sslmode` out";
            fault(&format!("{at}/ca_file"), message);
        }
        _ => {}
    }
}

/// An address of one of the schemes without a password, or why it is none. The text is never repeated: even a mistyped
/// address may hold a password.
fn address(text: &str, schemes: &[&str], examples: &str, instead: &str) -> Result<url::Url, String> {
    let parsed = url::Url::parse(text).map_err(|error| format!("this is no address: {error}; write {examples}"))?;
    // Drivers take a password as a parameter as well: `?password=`, `?sslpassword=`.
    let is_secret = |key: &str| ["password", "token", "secret"].iter().any(|word| key.to_lowercase().contains(word));
    if parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| is_secret(&key)) {
        return Err(format!("a password must not stand in the file; use {instead}"));
    }
    if !schemes.contains(&parsed.scheme()) {
        return Err(format!("this kind of address is not supported; write {examples}"));
    }
    Ok(parsed)
}
