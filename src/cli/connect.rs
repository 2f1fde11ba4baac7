//! From settings to connected adapters: secrets are read here, and addresses made whole.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Exit, Global, now};
use crate::config::{self, Config, EncryptionWord, MlflowEntry, PostgresEntry, SecretRef, SmtpEntry};
use crate::control::{ControlStore, Dialect};
use crate::notify::{FileMailer, Mailer, SmtpMailer, SmtpSettings, Tls};
use crate::registry::{Auth, LocalRegistry, MlflowRegistry, MlflowSettings, Registry, TablePrefix};
use crate::warehouse::{LakeWarehouse, PostgresSettings, PostgresWarehouse, Warehouse};

/// Everything that a night talks to.
pub(super) struct Connections {
    pub(super) control: ControlStore,
    pub(super) warehouse: Box<dyn Warehouse>,
    pub(super) registry: Box<dyn Registry>,
    pub(super) mailer: Option<Box<dyn Mailer>>,
}

impl Connections {
    /// Connects to all that the configuration names.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let control = control(config).await?;
        let warehouse = warehouse(config).await?;
        let registry = registry(config, &control)?;
        let mailer = mailer(config)?;
        Ok(Self { control, warehouse, registry, mailer })
    }
}

/// Connects to the control store.
pub(super) async fn control(config: &Config) -> anyhow::Result<ControlStore> {
    let url = control_url(config, "rw")?;
    Ok(ControlStore::connect(&url).await?)
}

/// The same, and makes the embedded store's file if it is not there.
pub(super) async fn new_control(config: &Config) -> anyhow::Result<ControlStore> {
    let url = control_url(config, "rwc")?;
    Ok(ControlStore::connect(&url).await?)
}

fn control_url(config: &Config, mode: &str) -> anyhow::Result<SecretString> {
    let entry = &config.settings.control;
    let url = address(config, "control", &entry.url, &entry.url_from, &entry.password)?;
    let url = url.ok_or_else(|| anyhow!("control: no url is configured"))?;
    Ok(match url.expose_secret().strip_prefix("sqlite:") {
        Some(path) => sqlite_url(&config.base, path, mode)?.into(),
        None => url,
    })
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
            let known = ["postgres://", "postgresql://", "sqlite:"];
            if !known.iter().any(|scheme| url.expose_secret().starts_with(scheme)) {
                // Not repeated: of such a text it is not known which part is the secret.
                return Err(anyhow!("{what}.url_from holds no postgres://… or sqlite:… address"));
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
    match (&config.settings.warehouse.postgres, &config.settings.warehouse.lake) {
        (Some(postgres), _) => Ok(Box::new(postgres_warehouse(config, postgres).await?)),
        (None, Some(lake)) => Ok(Box::new(LakeWarehouse::open(config.base.join(&lake.path))?)),
        (None, None) => Err(anyhow!("warehouse: give `postgres` or `lake`")),
    }
}

async fn postgres_warehouse(config: &Config, entry: &PostgresEntry) -> anyhow::Result<PostgresWarehouse> {
    let own = address(config, "warehouse.postgres", &entry.url, &entry.url_from, &entry.password)?;
    let url = match own {
        Some(url) => url,
        None => control_url(config, "rw")?,
    };
    let settings = PostgresSettings {
        url: url.expose_secret().to_owned(),
        statement_timeout: Duration::from_secs(entry.statement_timeout_seconds.unwrap_or(600)),
        max_connections: 2,
    };
    Ok(PostgresWarehouse::connect(settings).await?)
}

fn registry(config: &Config, control: &ControlStore) -> anyhow::Result<Box<dyn Registry>> {
    match &config.settings.registry.mlflow {
        Some(entry) => Ok(Box::new(mlflow(config, entry)?)),
        None => {
            let prefix = match control.dialect() {
                Dialect::Postgres => TablePrefix::Postgres,
                Dialect::Sqlite => TablePrefix::Sqlite,
            };
            Ok(Box::new(LocalRegistry::new(control.pool().clone(), prefix)))
        }
    }
}

fn mlflow(config: &Config, entry: &MlflowEntry) -> anyhow::Result<MlflowRegistry> {
    let read = |secret: &SecretRef, key: &str| {
        secret.read(&config.base).map_err(|why| anyhow!("registry.mlflow.{key}: {why}"))
    };
    let auth = match (&entry.username, &entry.password, &entry.token) {
        (Some(user), Some(password), _) => Auth::Basic { user: user.clone(), password: read(password, "password")? },
        (_, _, Some(token)) => Auth::Bearer(read(token, "token")?),
        _ => Auth::None,
    };
    let settings = MlflowSettings {
        url: Url::parse(&entry.url).context("registry.mlflow.url is no address")?,
        auth,
        ca_file: entry.ca_file.as_ref().map(|file| config.base.join(file)),
        timeout: Duration::from_secs(entry.timeout_seconds.unwrap_or(30)),
        retries: 4,
        retry_delay: Duration::from_millis(500),
    };
    Ok(MlflowRegistry::new(settings)?)
}

fn mailer(config: &Config) -> anyhow::Result<Option<Box<dyn Mailer>>> {
    let Some(mail) = &config.settings.mail else { return Ok(None) };
    match (&mail.smtp, &mail.directory) {
        (Some(smtp), _) => Ok(Some(Box::new(smtp_mailer(config, smtp)?))),
        (None, Some(directory)) => Ok(Some(Box::new(FileMailer::new(config.base.join(directory))))),
        (None, None) => Err(anyhow!("mail: give `smtp` or `directory`")),
    }
}

fn smtp_mailer(config: &Config, entry: &SmtpEntry) -> anyhow::Result<SmtpMailer> {
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
        timeout: Duration::from_secs(30),
        ca_file: entry.ca_file.as_ref().map(|file| config.base.join(file)),
        retries: 3,
        retry_delay: Duration::from_secs(1),
    };
    Ok(SmtpMailer::new(settings)?)
}

/// `check`: reads the configuration and asks every server one harmless question.
pub(super) async fn check(global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let mut failed = false;
    let mut line = |what: String, result: anyhow::Result<String>| match result {
        Ok(told) => println!("ok    {what}: {told}"),
        Err(error) => {
            failed = true;
            println!("fail  {what}: {error:#}");
        }
    };
    let metrics = config.metrics.len();
    line(format!("configuration {}", global.config.display()), Ok(format!("{metrics} metrics")));
    let control = control(&config).await;
    match control {
        Ok(control) => {
            let experiments = control.load_experiments().await;
            let told = experiments.map(|found| format!("{} running or paused experiments", found.len()));
            line(format!("control store {}", control.describe()), told.map_err(Into::into));
            let registry = registry(&config, &control);
            match registry {
                Ok(registry) => {
                    let asked = registry.versions_tagged("rampkeeper-check", "stage", "production").await;
                    line(registry.describe(), asked.map(|_| "answers".to_owned()).map_err(Into::into));
                }
                Err(error) => line("registry".into(), Err(error)),
            }
        }
        Err(error) => line("control store".into(), Err(error)),
    }
    match warehouse(&config).await {
        Ok(warehouse) => {
            let date = super::as_of(global, now(global));
            let asked = warehouse.partition(date).await.map(|found| match found {
                Some(day) => format!("{} events on {date}", day.rows),
                None => format!("no events on {date}"),
            });
            line(warehouse.describe(), asked.map_err(Into::into));
        }
        Err(error) => line("warehouse".into(), Err(error)),
    }
    match config.settings.mail.as_ref().map(|mail| &mail.smtp) {
        None => line("mail".into(), Ok("none is configured; nobody reads the nights".into())),
        Some(None) => line("mail".into(), Ok("written to a folder".into())),
        Some(Some(smtp)) => {
            let asked = match smtp_mailer(&config, smtp) {
                Ok(mailer) => mailer.check().await.map_err(Into::into),
                Err(error) => Err(error),
            };
            line(format!("mail server {}", smtp.host), asked.map(|_| "answers".to_owned()));
        }
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}
