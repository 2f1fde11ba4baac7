//! From settings to connected adapters: secrets are read here, and addresses made whole.

mod warehouses;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use super::{address, mlflow};
use crate::config::{ChatEntry, Config, EncryptionWord, HeartbeatEntry, MlflowEntry, SecretRef, SmtpEntry};
use crate::control::{ControlStore, Dialect};
use crate::notify::{
    CallError, FileMailer, Heartbeat, Mailer, SmtpMailer, SmtpSettings, Tls, WebSettings, Webhook, Webhooks,
};
use crate::registry::{LocalRegistry, MlflowRegistry, Registry, TablePrefix};
use crate::warehouse::{Examine, NoWarehouse, Warehouse};

pub(super) use warehouses::{protected, statement_timeout};

/// Everything that a night talks to.
pub(super) struct Connections {
    pub(super) control: ControlStore,
    pub(super) warehouse: Box<dyn Warehouse>,
    pub(super) registry: Box<dyn Registry>,
    pub(super) mailer: Option<Box<dyn Mailer>>,
    pub(super) chat: Webhooks,
}

/// How long a server is waited for, and how often it is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest that one request may take, whatever is configured.
    longest: Duration,
    /// Whether a failed request is repeated.
    repeats: bool,
}

impl Patience {
    /// Nobody waits, and the work should be done.
    pub(super) const OF_A_NIGHT: Patience = Patience { longest: Duration::MAX, repeats: true };
    /// Somebody sits in front of it.
    pub(super) const SHORT: Patience = Patience { longest: Duration::from_secs(10), repeats: false };

    /// The longest that one request may take.
    pub(super) fn longest(self) -> Duration {
        self.longest
    }

    /// How often a failed request is repeated.
    pub(super) fn retries(self, otherwise: u32) -> u32 {
        if self.repeats { otherwise } else { 0 }
    }
}

impl Connections {
    /// Connects to all that the configuration names.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let warehouse = warehouse(config).await?;
        Ok(Self { warehouse, ..Self::without_warehouse(config).await? })
    }

    /// The same for what acts on stored evidence alone, and must not wait for a warehouse.
    pub(super) async fn without_warehouse(config: &Config) -> anyhow::Result<Self> {
        let control = control(config).await?;
        let registry = registry(config, &control, Patience::OF_A_NIGHT)?;
        let mailer = mailer(config)?;
        let chat = chats(config);
        Ok(Self { control, warehouse: Box::new(NoWarehouse), registry, mailer, chat })
    }
}

/// Connects to the control store.
pub(super) async fn control(config: &Config) -> anyhow::Result<ControlStore> {
    let url = control_address(config)?;
    Ok(ControlStore::connect(&url).await?)
}

/// The same, and makes the embedded store's file if it is not there.
pub(super) async fn new_control(config: &Config) -> anyhow::Result<ControlStore> {
    let url = control_url(config, "rwc")?;
    Ok(ControlStore::connect(&url).await?)
}

/// The control store's address, made whole.
pub(super) fn control_address(config: &Config) -> anyhow::Result<SecretString> {
    control_url(config, "rw")
}

fn control_url(config: &Config, mode: &str) -> anyhow::Result<SecretString> {
    let entry = &config.settings.control;
    let url = address(config, "control", &entry.url, &entry.url_from, &entry.password)?;
    let url = url.ok_or_else(|| anyhow!("control: no url is configured"))?;
    Ok(match url.expose_secret().strip_prefix("sqlite:") {
        Some(path) => sqlite_url(&config.base, path, mode)?.into(),
        None => encrypted(config, "control", url, &entry.ca_file)?,
    })
}

fn encrypted(
    config: &Config,
    what: &str,
    url: SecretString,
    ca_file: &Option<PathBuf>,
) -> anyhow::Result<SecretString> {
    let ca_file = ca_file.as_ref().map(|file| config.base.join(file));
    address::with_encryption(url, ca_file.as_deref(), address::pgsslmode().as_deref())
        .with_context(|| format!("{what}.ca_file cannot be used"))
}

/// A SQLite file is taken from the configuration's folder; only `migrate` makes it.
fn sqlite_url(base: &Path, path: &str, mode: &str) -> anyhow::Result<String> {
    let path = path.trim_start_matches("//");
    let file = base.join(path.split('?').next().unwrap_or(path));
    if mode == "rw" && !file.exists() {
        return Err(anyhow!("the control store {} is not there; run `rampkeeper migrate` first", file.display()));
    }
    Ok(format!("sqlite:{}?mode={mode}", file.display()))
}

fn address(
    config: &Config,
    what: &str,
    url: &Option<String>,
    url_from: &Option<SecretRef>,
    password: &Option<SecretRef>,
) -> anyhow::Result<Option<SecretString>> {
    let read = |secret: &SecretRef, key: &str| secret.read(&config.base).map_err(|why| anyhow!("{what}.{key}: {why}"));
    match (url, url_from) {
        (None, Some(from)) => {
            let url = read(from, "url_from")?;
            let known: &[&str] = match what {
                "warehouse.mysql" => &["mysql://", "mariadb://"],
                _ => &["postgres://", "postgresql://", "sqlite:"],
            };
            if !known.iter().any(|scheme| url.expose_secret().starts_with(scheme)) {
                // Not repeated: of such a text it is not known which part is the secret.
                return Err(anyhow!(
                    "{what}.url_from holds no {}… address",
                    known.join("… or ").replace("postgresql://… or ", "")
                ));
            }
            Ok(Some(url))
        }
        (Some(url), _) => match password {
            None => Ok(Some(url.clone().into())),
            Some(password) => {
                let mut url = Url::parse(url).with_context(|| format!("{what}.url is no address"))?;
                let password = read(password, "password")?;
                url.set_password(Some(password.expose_secret()))
                    .map_err(|()| anyhow!("{what}.url takes no password; write it as postgres://user@host/database"))?;
                Ok(Some(url.to_string().into()))
            }
        },
        (None, None) => Ok(None),
    }
}

async fn warehouse(config: &Config) -> anyhow::Result<Box<dyn Warehouse>> {
    Ok(warehouses::open(config, Patience::OF_A_NIGHT).await?)
}

/// The same for a closer look, by somebody who waits.
pub(super) async fn warehouse_to_examine(config: &Config) -> anyhow::Result<Box<dyn Examine>> {
    warehouses::open(config, Patience::SHORT).await
}

/// The same with the time that a night's query has.
pub(super) async fn warehouse_to_examine_at_length(config: &Config) -> anyhow::Result<Box<dyn Examine>> {
    warehouses::open(config, Patience::OF_A_NIGHT).await
}

/// The model registry.
pub(super) fn registry(
    config: &Config,
    control: &ControlStore,
    patience: Patience,
) -> anyhow::Result<Box<dyn Registry>> {
    match &config.settings.registry.mlflow {
        Some(entry) => Ok(Box::new(mlflow(config, entry, patience)?)),
        None => {
            let prefix = match control.dialect() {
                Dialect::Postgres => TablePrefix::Postgres,
                Dialect::Sqlite => TablePrefix::Sqlite,
            };
            Ok(Box::new(LocalRegistry::new(control.pool().clone(), prefix)))
        }
    }
}

/// The tracking server.
pub(super) fn mlflow(config: &Config, entry: &MlflowEntry, patience: Patience) -> anyhow::Result<MlflowRegistry> {
    let found = mlflow::find(config, entry, patience, &mlflow::environment)?;
    Ok(MlflowRegistry::new(found.settings)?)
}

/// The way to the readers, if mail is configured.
pub(super) fn mailer(config: &Config) -> anyhow::Result<Option<Box<dyn Mailer>>> {
    let Some(mail) = &config.settings.mail else { return Ok(None) };
    match (&mail.smtp, &mail.directory) {
        (Some(smtp), _) => Ok(Some(Box::new(smtp_mailer(config, smtp, Patience::OF_A_NIGHT)?))),
        (None, Some(directory)) => Ok(Some(Box::new(FileMailer::new(config.base.join(directory))))),
        (None, None) => Err(anyhow!("mail: give `smtp` or `directory`")),
    }
}

/// The mail server.
pub(super) fn smtp_mailer(config: &Config, entry: &SmtpEntry, patience: Patience) -> anyhow::Result<SmtpMailer> {
    let tls = match entry.encryption {
        EncryptionWord::Starttls => Tls::StartTls,
        EncryptionWord::Tls => Tls::Implicit,
        EncryptionWord::None => Tls::None,
    };
    let port = entry.port.unwrap_or(match tls {
        Tls::StartTls => 587,
        Tls::Implicit => 465,
        Tls::None => 25,
    });
    let password = entry
        .password
        .as_ref()
        .map(|secret| secret.read(&config.base).map_err(|why| anyhow!("mail.smtp.password: {why}")));
    let settings = SmtpSettings {
        host: entry.host.clone(),
        port,
        tls,
        username: entry.username.clone(),
        password: password.transpose()?,
        timeout: Duration::from_secs(30).min(patience.longest),
        ca_file: entry.ca_file.as_ref().map(|file| config.base.join(file)),
        retries: patience.retries(3),
        retry_delay: Duration::from_secs(1),
    };
    Ok(SmtpMailer::new(settings)?)
}

/// The chats. A secret that is not there keeps what is to be posted there waiting, and no night from its work.
fn chats(config: &Config) -> Webhooks {
    let opened = config.settings.chat.iter().map(|entry| {
        let webhook = webhook(config, entry, Patience::OF_A_NIGHT).map_err(|error| format!("{error:#}"));
        (entry.url.name(), webhook)
    });
    Webhooks::new(opened)
}

/// One chat.
pub(super) fn webhook(config: &Config, entry: &ChatEntry, patience: Patience) -> anyhow::Result<Webhook> {
    let settings = web(config, "chat", &entry.url, &entry.ca_file, patience.retries(3))?;
    Webhook::new(settings).map_err(|error| of_key("chat", error))
}

/// The heartbeat, for the night of that key.
pub(super) fn heartbeat(config: &Config, entry: &HeartbeatEntry, night: Uuid) -> anyhow::Result<Heartbeat> {
    let settings = web(config, "heartbeat", &entry.url, &entry.ca_file, 2)?;
    Heartbeat::new(settings, night).map_err(|error| of_key("heartbeat", error))
}

fn of_key(key: &str, error: CallError) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("{key}.url cannot be used"))
}

fn web(
    config: &Config,
    key: &str,
    url: &SecretRef,
    ca_file: &Option<PathBuf>,
    retries: u32,
) -> anyhow::Result<WebSettings> {
    Ok(WebSettings {
        url: url.read(&config.base).map_err(|why| anyhow!("{key}.url: {why}"))?,
        ca_file: ca_file.as_ref().map(|file| config.base.join(file)),
        timeout: Duration::from_secs(10),
        retries,
        retry_delay: Duration::from_secs(1),
    })
}
