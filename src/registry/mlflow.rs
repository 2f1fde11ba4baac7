//! MLflow's model registry over REST API 2.0, as MLflow 2.9 to 3.x serves it, and Databricks with it.
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

use super::http::{Call, Http, Parameters, ServerInfo};
use super::names::{by_number, check_alias, check_key, check_model, check_value, sort_by_number};
use super::{Auth, Refusal, RegisteredVersion, Registry, RegistryError, Service, VersionInfo, VersionStatus};

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
    /// Which registry it is.
    pub service: Service,
    /// Which of its workspaces is meant, where a server has several: `MLFLOW_WORKSPACE`.
    pub workspace: Option<String>,
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

    /// All pages of a search for versions of one model.
    async fn search(&self, model: &str, filter: &str, subject: &str) -> Result<Vec<Version>, RegistryError> {
        let path = "model-versions/search";
        let mut found: Vec<Version> = Vec::new();
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let mut query = vec![("filter", filter), ("max_results", PAGE_SIZE)];
            if !token.is_empty() {
                query.push(("page_token", token.as_str()));
            }
            let page: Page = self.get(path, subject, query).await?;
            found.extend(page.model_versions.into_iter().filter(|version| version.name == model));
            match page.next_page_token {
                Some(next) if !next.is_empty() && next != token => token = next,
                _ if self.http.service().tells_tags() => return Ok(found),
                _ => return self.each(found).await,
            }
        }
        let call = Call { method: Method::GET, path, subject };
        Err(RegistryError::TooMuch { call: call.words(), bound: "1000 pages" })
    }

    /// Each version by itself, where a search tells too little of it. One that was deleted meanwhile is left out.
    async fn each(&self, found: Vec<Version>) -> Result<Vec<Version>, RegistryError> {
        let mut whole = Vec::with_capacity(found.len());
        for Version { name, version, .. } in found {
            let subject = format!("{name} version {version}");
            let query = vec![("name", name.as_str()), ("version", version.as_str())];
            match self.get::<OneVersion>("model-versions/get", &subject, query).await {
                Ok(found) => whole.push(found.model_version),
                Err(error) if error.refused_as_missing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
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
        let filter = if self.http.service().filters_by_tag() { filter(model, key, value)? } else { by_name(model)? };
        let found = match self.search(model, &filter, &format!("versions of {model} with tag {key}")).await {
            Err(error) if error.refused_as_missing() => return Ok(Vec::new()),
            found => found?,
        };
        // The server's comparison may be wider than ours (some of its databases ignore case).
        let exact = |v: &Version| v.tags.iter().any(|tag| tag.key == key && tag.value == value);
        let mut found: Vec<_> = found.into_iter().filter(exact).map(ModelVersion::from).collect();
        sort_by_number(&mut found);
        Ok(found)
    }

    async fn versions(&self, model: &str) -> Result<Option<Vec<RegisteredVersion>>, RegistryError> {
        check_model(model)?;
        // A search leaves the aliases out, and does not tell a model without versions from none at all.
        let query = vec![("name", model)];
        let aliases = match self.get::<OneModel>("registered-models/get", model, query).await {
            Ok(found) => found.registered_model.aliases,
            Err(error) if error.refused_as_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = self.search(model, &by_name(model)?, &format!("versions of {model}")).await?;
        let mut found: Vec<_> = found.into_iter().map(|found| registered(found, &aliases)).collect();
        found.sort_by_cached_key(|found| by_number(&found.version));
        Ok(Some(found))
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
        format!("{} at {}", self.http.service().name(), self.http.server())
    }
}

/// The search's filter. Both quotes exist but neither can be escaped, so a text takes the one that it doesn't hold; a
/// value with both is left to the comparison on this side.
fn filter(model: &str, key: &str, value: &str) -> Result<String, RegistryError> {
    let name = by_name(model)?;
    Ok(quoted(value).map_or(name.clone(), |value| format!("{name} AND tags.`{key}` = {value}")))
}

fn by_name(model: &str) -> Result<String, RegistryError> {
    let unspeakable = || RegistryError::BadName {
        what: "model name",
        name: model.to_owned(),
        rule: "without one of the two quotes: MLflow's search can't express both",
    };
    quoted(model).map(|name| format!("name = {name}")).ok_or_else(unspeakable)
}

fn quoted(text: &str) -> Option<String> {
    ['\'', '"'].into_iter().find(|quote| !text.contains(*quote)).map(|quote| format!("{quote}{text}{quote}"))
}

#[derive(Deserialize)]
struct OneVersion {
    model_version: Version,
}

#[derive(Deserialize)]
struct OneModel {
    registered_model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    aliases: Vec<Alias>,
}

#[derive(Deserialize)]
struct Alias {
    alias: String,
    version: String,
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
    aliases: Vec<AliasOfVersion>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_message: String,
}

/// MLflow has the alias's name alone, Unity Catalog name and version.
#[derive(Deserialize)]
#[serde(untagged)]
enum AliasOfVersion {
    Name(String),
    Pair { alias: String },
}

impl AliasOfVersion {
    fn name(self) -> String {
        match self {
            Self::Name(alias) | Self::Pair { alias } => alias,
        }
    }
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

/// A version of a search with the aliases that the model says point to it.
fn registered(found: Version, aliases: &[Alias]) -> RegisteredVersion {
    let version = ModelVersion { model: found.name.clone(), version: found.version.clone() };
    let mut info = VersionInfo::from(found);
    info.aliases.extend(aliases.iter().filter(|a| a.version == version.version).map(|a| a.alias.clone()));
    info.aliases.sort_unstable();
    info.aliases.dedup();
    RegisteredVersion { version, info }
}

impl From<Version> for VersionInfo {
    fn from(found: Version) -> Self {
        let mut aliases: Vec<String> = found.aliases.into_iter().map(AliasOfVersion::name).collect();
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
