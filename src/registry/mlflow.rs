//! MLflow's model registry over REST API 2.0, as MLflow 2.9 to 3.x serves it.
//!
//! Facts that shape this file: a version's number is text; `tags` and `aliases` are absent when empty; an alias that
//! doesn't exist is a 400; setting an alias moves it in one step; removing one that isn't there succeeds; MLflow's own
//! stages are deprecated and not used.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use url::Url;

use crate::domain::ModelVersion;

use super::http::{Auth, Call, Http, Parameters, ServerInfo};
use super::names::{check_alias, check_key, check_model, check_value, sort_by_number};
use super::{Refusal, Registry, RegistryError, VersionInfo, VersionStatus};

/// How many versions one page of a search holds.
const PAGE_SIZE: &str = "200";

/// The most pages that one search reads.
const MOST_PAGES: usize = 1_000;

/// Where an MLflow server is and how to speak to it.
#[derive(Clone, Debug)]
pub struct MlflowSettings {
    /// The server, with the path prefix that it may have, without credentials.
    pub url: Url,
    /// Who is calling.
    pub auth: Auth,
    /// A PEM file of certificate authorities to be trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a call is repeated after connection errors, timeouts and the statuses 408, 429 and 5xx.
    pub retries: u32,
    /// The wait before the first repetition; it doubles each time, up to one minute. A `Retry-After` in seconds goes
    /// before it, up to one minute too.
    pub retry_delay: Duration,
}

/// An MLflow server's registry.
#[derive(Debug)]
pub struct MlflowRegistry {
    http: Http,
}

impl MlflowRegistry {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// A URL that isn't http or https or that holds credentials; a secret that no HTTP header can carry; no crypto
    /// provider installed (see [`super::install_crypto_provider`]).
    pub fn new(settings: MlflowSettings) -> Result<Self, RegistryError> {
        Ok(Self { http: Http::new(settings)? })
    }

    /// The server's version and, over TLS, its certificate. Asked once, whatever the settings say of retries.
    ///
    /// # Errors
    /// As [`Registry::version`].
    pub async fn about(&self) -> Result<ServerInfo, RegistryError> {
        self.http.about().await
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &'static str,
        subject: &str,
        query: Vec<(&'static str, &str)>,
    ) -> Result<T, RegistryError> {
        self.http.call(&Call { method: Method::GET, path, subject }, &Parameters::Query(query)).await
    }

    async fn write(
        &self,
        method: Method,
        path: &'static str,
        subject: &str,
        body: serde_json::Value,
    ) -> Result<(), RegistryError> {
        self.http.call::<IgnoredAny>(&Call { method, path, subject }, &Parameters::Json(body)).await.map(|_| ())
    }

    fn no_such(&self, version: &ModelVersion) -> RegistryError {
        RegistryError::NoSuchVersion { registry: self.describe(), version: version.clone() }
    }
}

#[async_trait]
impl Registry for MlflowRegistry {
    async fn version(&self, version: &ModelVersion) -> Result<Option<VersionInfo>, RegistryError> {
        check_model(&version.model)?;
        let query = vec![("name", version.model.as_str()), ("version", version.version.as_str())];
        match self.get::<OneVersion>("model-versions/get", &version.to_string(), query).await {
            Ok(found) => Ok(Some(found.model_version.into())),
            Err(error) if error.refused_as_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn versions_tagged(&self, model: &str, key: &str, value: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        check_model(model)?;
        check_key(key)?;
        let filter = filter(model, key, value)?;
        let subject = format!("versions of {model} with tag {key}");
        let path = "model-versions/search";
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let mut query = vec![("filter", filter.as_str()), ("max_results", PAGE_SIZE)];
            if !token.is_empty() {
                query.push(("page_token", token.as_str()));
            }
            let page: Page = self.get(path, &subject, query).await?;
            // The server's comparison may be wider than ours (some of its databases ignore case).
            let exact = |v: &Version| v.name == model && v.tags.iter().any(|tag| tag.key == key && tag.value == value);
            found.extend(page.model_versions.into_iter().filter(exact).map(ModelVersion::from));
            match page.next_page_token {
                Some(next) if !next.is_empty() && next != token => token = next,
                _ => {
                    sort_by_number(&mut found);
                    return Ok(found);
                }
            }
        }
        let call = Call { method: Method::GET, path, subject: &subject };
        Err(RegistryError::TooMuch { call: call.words(), bound: "1000 pages" })
    }

    async fn set_tag(&self, version: &ModelVersion, key: &str, value: &str) -> Result<(), RegistryError> {
        check_model(&version.model)?;
        check_key(key)?;
        check_value(key, value)?;
        let body = json!({"name": version.model, "version": version.version, "key": key, "value": value});
        let subject = format!("{version}, tag {key}");
        match self.write(Method::POST, "model-versions/set-tag", &subject, body).await {
            Err(error) if error.refused_as_missing() => Err(self.no_such(version)),
            other => other,
        }
    }

    async fn alias(&self, model: &str, alias: &str) -> Result<Option<ModelVersion>, RegistryError> {
        check_model(model)?;
        check_alias(alias)?;
        let subject = format!("{model}, alias {alias}");
        match self.get::<OneVersion>("registered-models/alias", &subject, vec![("name", model), ("alias", alias)]).await
        {
            Ok(found) => Ok(Some(found.model_version.into())),
            Err(error) if error.refusal().is_some_and(|r| r.is_missing() || Refusal::is_missing_alias(r)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_alias(&self, version: &ModelVersion, alias: &str) -> Result<(), RegistryError> {
        check_model(&version.model)?;
        check_alias(alias)?;
        let body = json!({"name": version.model, "alias": alias, "version": version.version});
        let subject = format!("{version}, alias {alias}");
        match self.write(Method::POST, "registered-models/alias", &subject, body).await {
            Err(error) if error.refused_as_missing() => Err(self.no_such(version)),
            other => other,
        }
    }

    async fn delete_alias(&self, model: &str, alias: &str) -> Result<(), RegistryError> {
        check_model(model)?;
        check_alias(alias)?;
        let body = json!({"name": model, "alias": alias});
        let subject = format!("{model}, alias {alias}");
        match self.write(Method::DELETE, "registered-models/alias", &subject, body).await {
            Err(error) if error.refusal().is_some_and(|r| r.is_missing() || Refusal::is_missing_alias(r)) => Ok(()),
            other => other,
        }
    }

    fn describe(&self) -> String {
        format!("MLflow at {}", self.http.server())
    }
}

/// The search's filter. Both quotes exist but neither can be escaped, so a text takes the one that it doesn't hold; a
/// value with both is left to the comparison on this side.
fn filter(model: &str, key: &str, value: &str) -> Result<String, RegistryError> {
    let Some(name) = quoted(model) else {
        return Err(RegistryError::BadName {
            what: "model name",
            name: model.to_owned(),
            rule: "without one of the two quotes: MLflow's search can't express both",
        });
    };
    match quoted(value) {
        Some(value) => Ok(format!("name = {name} AND tags.`{key}` = {value}")),
        None => Ok(format!("name = {name}")),
    }
}

fn quoted(text: &str) -> Option<String> {
    ['\'', '"'].into_iter().find(|quote| !text.contains(*quote)).map(|quote| format!("{quote}{text}{quote}"))
}

#[derive(Deserialize)]
struct OneVersion {
    model_version: Version,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    model_versions: Vec<Version>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    version: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_message: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl From<Version> for ModelVersion {
    fn from(found: Version) -> Self {
        Self { model: found.name, version: found.version }
    }
}

impl From<Version> for VersionInfo {
    fn from(found: Version) -> Self {
        let mut aliases = found.aliases;
        aliases.sort_unstable();
        let status = match found.status.as_str() {
            "" | "READY" => VersionStatus::Ready,
            "PENDING_REGISTRATION" => VersionStatus::Pending,
            "FAILED_REGISTRATION" => VersionStatus::Failed(found.status_message),
            _ => VersionStatus::Other(found.status),
        };
        Self { tags: found.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(), aliases, status }
    }
}

#[cfg(test)]
#[path = "mlflow_tests.rs"]
mod tests;
