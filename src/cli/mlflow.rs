//! Where MLflow is and who calls it: what the configuration says first, then the names that MLflow's own clients read.

mod databricks;
mod ini;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use secrecy::SecretString;
use url::Url;

use super::connect::Patience;
use crate::config::{Config, MlflowEntry, SecretRef};
use crate::registry::{Auth, MlflowSettings, Service};

/// Answers an environment variable's value.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// How MLflow is reached, and where each part of that was found.
pub(super) struct Found {
    pub(super) settings: MlflowSettings,
    /// Each value with where it came from; never a secret.
    pub(super) origins: Vec<String>,
    /// Variables that mean something to MLflow's clients and nothing here.
    pub(super) unheeded: Vec<&'static str>,
}

/// What MLflow's clients heed and this program does not.
const UNHEEDED: [&str; 3] = ["MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH"];

/// The most repetitions that MLflow's clients take from the environment.
const MOST_RETRIES: u32 = 10;

/// The process's environment.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Finds everything that the configuration leaves open in the environment.
pub(super) fn find(
    config: &Config,
    entry: &MlflowEntry,
    patience: Patience,
    environment: &Environment<'_>,
) -> anyhow::Result<Found> {
    // An empty variable is as good as none.
    let environment = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let search = Search { config, entry, environment: &environment };
    let mut origins = Vec::new();
    let (text, from) = search.address()?;
    let (url, service, auth) = match place(&text, from)? {
        Place::Server(url) => {
            origins.push(format!("address from {from}"));
            let (auth, told) = search.login()?;
            origins.push(told);
            (url, Service::Mlflow, auth)
        }
        Place::Databricks { service, profile } => {
            let told = search.own_login()?;
            let workspace = databricks::find(profile.as_deref(), told.is_some(), &environment)?;
            origins.push(format!("`{}` from {from}, its host from {}", service_word(service), workspace.host_from));
            let (auth, told) = match (told, workspace.token) {
                (Some(own), _) => own,
                (None, Some((token, from))) => (Auth::Bearer(token), format!("token from {from}")),
                (None, None) => bail!("no token for Databricks was found"),
            };
            origins.push(told);
            (workspace.host, service, auth)
        }
    };
    let ca_file = search.authority(&url, &mut origins)?;
    let timeout = search.timeout(&mut origins)?;
    let retries = search.retries(&mut origins)?;
    let workspace = environment("MLFLOW_WORKSPACE");
    origins.extend(workspace.as_ref().map(|name| format!("workspace {name} from MLFLOW_WORKSPACE")));
    let settings = MlflowSettings {
        url,
        auth,
        service,
        workspace,
        ca_file,
        timeout: timeout.min(patience.longest()),
        retries: patience.retries(retries),
        retry_delay: Duration::from_millis(500),
    };
    let unheeded = UNHEEDED.into_iter().filter(|name| environment(name).is_some()).collect();
    Ok(Found { settings, origins, unheeded })
}

struct Search<'a> {
    config: &'a Config,
    entry: &'a MlflowEntry,
    environment: &'a Environment<'a>,
}

impl Search<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// The address and what it came from.
    fn address(&self) -> anyhow::Result<(String, &'static str)> {
        if let Some(url) = &self.entry.url {
            return Ok((url.clone(), "registry.mlflow.url"));
        }
        for name in ["MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"] {
            if let Some(uri) = self.variable(name) {
                return Ok((uri.trim().to_owned(), name));
            }
        }
        bail!(
            "registry.mlflow has no `url`, and neither MLFLOW_REGISTRY_URI nor MLFLOW_TRACKING_URI is set: give one of them"
        )
    }

    /// Who calls, as the configuration says, with the words for it.
    fn own_login(&self) -> anyhow::Result<Option<(Auth, String)>> {
        let read = |secret: &SecretRef, key: &str| {
            secret.read(&self.config.base).map_err(|why| anyhow!("registry.mlflow.{key}: {why}"))
        };
        match (&self.entry.username, &self.entry.password, &self.entry.token) {
            (Some(user), Some(password), _) => {
                let auth = Auth::Basic { user: user.clone(), password: read(password, "password")? };
                Ok(Some((auth, "user and password from registry.mlflow".to_owned())))
            }
            (_, _, Some(token)) => {
                Ok(Some((Auth::Bearer(read(token, "token")?), "token from registry.mlflow.token".to_owned())))
            }
            _ => Ok(None),
        }
    }

    /// Who calls: the configuration, MLflow's variables, its file of credentials, or nobody in particular.
    fn login(&self) -> anyhow::Result<(Auth, String)> {
        if let Some(own) = self.own_login()? {
            return Ok(own);
        }
        let (user, password) = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD");
        let file = self.variable("HOME").map(|home| PathBuf::from(home).join(".mlflow/credentials"));
        let kept = file.as_deref().and_then(|file| ini::section(file, "mlflow"));
        let kept = |key: &str| kept.as_ref().and_then(|kept| kept.get(key).cloned());
        // As MLflow's clients do: each of the two from the environment or, failing that, from the file.
        let found_user = self.variable(user).or_else(|| kept("mlflow_tracking_username"));
        let found_password = self.variable(password).or_else(|| kept("mlflow_tracking_password"));
        let token = self.variable("MLFLOW_TRACKING_TOKEN");
        match (found_user, found_password, token) {
            (Some(name), Some(secret), _) => {
                let from = match self.variable(user).is_some() && self.variable(password).is_some() {
                    true => format!("{user} and {password}"),
                    false => "~/.mlflow/credentials".to_owned(),
                };
                Ok((
                    Auth::Basic { user: name, password: SecretString::from(secret) },
                    format!("user and password from {from}"),
                ))
            }
            (_, _, Some(token)) => {
                Ok((Auth::Bearer(SecretString::from(token)), "token from MLFLOW_TRACKING_TOKEN".to_owned()))
            }
            (Some(_), None, None) => bail!("{user} is set without {password}: set both, or neither"),
            (None, Some(_), None) => bail!("{password} is set without {user}: set both, or neither"),
            (None, None, None) => Ok((Auth::None, "no login".to_owned())),
        }
    }

    fn authority(&self, url: &Url, origins: &mut Vec<String>) -> anyhow::Result<Option<PathBuf>> {
        let insecure = self.variable("MLFLOW_TRACKING_INSECURE_TLS");
        if url.scheme() == "https" && insecure.is_some_and(|word| is_yes(&word)) {
            // Whoever sits in between could then read the password and choose what is promoted.
            bail!(
                "MLFLOW_TRACKING_INSECURE_TLS asks to check no certificate, which this program never does: unset it, and \
                 name the authority that signed the server's certificate by `ca_file` or MLFLOW_TRACKING_SERVER_CERT_PATH"
            );
        }
        if let Some(file) = &self.entry.ca_file {
            origins.push("authority from registry.mlflow.ca_file".to_owned());
            return Ok(Some(self.config.base.join(file)));
        }
        let Some(path) = self.variable("MLFLOW_TRACKING_SERVER_CERT_PATH").filter(|_| url.scheme() == "https") else {
            return Ok(None);
        };
        origins.push("authority from MLFLOW_TRACKING_SERVER_CERT_PATH".to_owned());
        Ok(Some(path.into()))
    }

    fn timeout(&self, origins: &mut Vec<String>) -> anyhow::Result<Duration> {
        let name = "MLFLOW_HTTP_REQUEST_TIMEOUT";
        let (seconds, from) = match (self.entry.timeout_seconds, self.variable(name)) {
            (Some(seconds), _) => (seconds, "registry.mlflow.timeout_seconds"),
            (None, Some(text)) => (number(name, &text, 1, 86_400)?, name),
            (None, None) => return Ok(Duration::from_secs(30)),
        };
        origins.push(format!("timeout {seconds} s from {from}"));
        Ok(Duration::from_secs(seconds))
    }

    fn retries(&self, origins: &mut Vec<String>) -> anyhow::Result<u32> {
        let name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES";
        let Some(text) = self.variable(name) else { return Ok(4) };
        let retries = number(name, &text, 0, u64::from(MOST_RETRIES))?;
        origins.push(format!("{retries} retries from {name}"));
        Ok(u32::try_from(retries).unwrap_or(MOST_RETRIES))
    }
}

fn number(name: &str, text: &str, least: u64, most: u64) -> anyhow::Result<u64> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| anyhow!("{name} must be a whole number from {least} to {most}, and is {text:?}"))
}

fn is_yes(word: &str) -> bool {
    matches!(word.trim().to_ascii_lowercase().as_str(), "true" | "1")
}

/// What an address names.
enum Place {
    Server(Url),
    Databricks { service: Service, profile: Option<String> },
}

/// Reads an address. It is never repeated: some hold a password.
fn place(text: &str, from: &str) -> anyhow::Result<Place> {
    let (scheme, rest) = text.split_once("://").map_or((text, None), |(scheme, rest)| (scheme, Some(rest)));
    let service = match scheme {
        "databricks" => Service::Databricks,
        "databricks-uc" => Service::UnityCatalog,
        "http" | "https" => {
            return Ok(Place::Server(Url::parse(text).with_context(|| format!("{from} is no address"))?));
        }
        _ => bail!(
            "{from} names no server that can be asked: it must be http://…, https://…, databricks or databricks-uc, each \
             with ://PROFILE if need be. A folder or a database is opened by MLflow itself: start `mlflow server` over it"
        ),
    };
    let profile = rest.map(|rest| rest.trim_end_matches('/')).filter(|rest| !rest.is_empty());
    if profile.is_some_and(|profile| profile.contains([':', '@', '/'])) {
        bail!(
            "{from} names a secret scope of Databricks, which only its own jobs can read; name a profile, or set DATABRICKS_HOST and DATABRICKS_TOKEN"
        );
    }
    Ok(Place::Databricks { service, profile: profile.map(str::to_owned) })
}

fn service_word(service: Service) -> &'static str {
    match service {
        Service::Mlflow => "mlflow",
        Service::Databricks => "databricks",
        Service::UnityCatalog => "databricks-uc",
    }
}

#[cfg(test)]
mod tests;
