//! `rampkeeper.yml`: where everything lies, and when the night runs.

mod address;
mod aggregates;
mod lake;
mod mail;
mod registry;
mod warehouse;

use std::path::PathBuf;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::document::Document;
use super::fault::Fault;
use super::secret::SecretRef;
use super::telling::{self, ChatEntry, HeartbeatEntry};

use address::{Connection, POSTGRES_OR_SQLITE};
pub(super) use aggregates::agree;
pub use aggregates::*;
pub use lake::*;
pub use mail::*;
pub use registry::*;
pub use warehouse::*;

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
    /// The folder with the SQL of custom facts; `queries/facts` beside this file unless told.
    pub facts: Option<PathBuf>,
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
    /// How restated data are found: `counts` (the default) of a day's events, or `checksums` of them, which also find events
    /// that were changed in place and cost a reading of those days (a lake tells them by its files' footers).
    pub restatement: RestatementWord,
    /// Days of events that a person has looked at and accepts as they are, although they look incomplete.
    #[schemars(schema_with = "dates")]
    pub accept_days: Vec<Date>,
}

/// How restated data are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestatementWord {
    /// A day has another number of events.
    #[default]
    Counts,
    /// Or another checksum of them.
    Checksums,
}

fn dates(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "format": "date" } })
}

/// Checks of meaning that the schema cannot express.
pub(super) fn check(document: &Document, file: &SettingsFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |at: &str, message: &str| faults.push(document.fault(at, message));
    let own = Connection { url: &file.control.url, url_from: &file.control.url_from, password: &file.control.password };
    own.check(&mut fault, "/control", &POSTGRES_OR_SQLITE, true);
    address::encryption(&mut fault, "/control", &file.control.url, &file.control.ca_file);
    warehouse::check(&mut fault, file);
    registry::check(&mut fault, &file.registry);
    if let Some(mail) = &file.mail {
        mail::check(&mut fault, mail);
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
