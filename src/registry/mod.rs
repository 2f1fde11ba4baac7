//! The model registry: where the outcome of an experiment becomes visible to those who serve models.
//!
//! A version's stage is a tag (`stage` = `candidate`, `production`, `archived`), and the version in charge also carries
//! an alias (`champion`). This module reads and writes both and knows nothing of why. [`MlflowRegistry`] speaks MLflow's
//! REST API; [`LocalRegistry`] keeps the same two facts in the control store, so that a laptop needs no server. The
//! two pass the same contract test.
//!
//! A registry has no compare-and-swap: every write here says what shall be, repeating it changes nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::domain::ModelVersion;

mod auth;
#[cfg(test)]
mod contract;
mod error;
#[cfg(test)]
mod fake_mlflow;
mod hint;
mod http;
mod local;
mod mlflow;
mod names;

pub use auth::{Auth, Service};
pub use error::{Refusal, RegistryError};
pub use http::ServerInfo;
pub use local::{LocalRegistry, TablePrefix};
pub use mlflow::{MlflowRegistry, MlflowSettings};

/// Where versions, their tags and their aliases are kept.
///
/// Every write may be repeated: the second time changes nothing. None of the methods reads the clock.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The version, or None when the registry has no such model or version.
    ///
    /// # Errors
    /// The registry can't be reached, refuses, or answers what can't be read.
    async fn version(&self, version: &ModelVersion) -> Result<Option<VersionInfo>, RegistryError>;

    /// Every version of `model` whose tag `key` is exactly `value`, by rising version number.
    ///
    /// A model that the registry doesn't know has none.
    ///
    /// # Errors
    /// As [`Registry::version`]; also a `key` that can't be a tag's name.
    async fn versions_tagged(&self, model: &str, key: &str, value: &str) -> Result<Vec<ModelVersion>, RegistryError>;

    /// Every version of `model` with its tags and aliases, by rising version number; None when the registry has no such
    /// model.
    ///
    /// # Errors
    /// As [`Registry::version`].
    async fn versions(&self, model: &str) -> Result<Option<Vec<RegisteredVersion>>, RegistryError>;

    /// Sets one tag, over whatever it was.
    ///
    /// # Errors
    /// As [`Registry::version`]; also a `key` that can't be a tag's name, and [`RegistryError::NoSuchVersion`] where a
    /// version must exist first.
    async fn set_tag(&self, version: &ModelVersion, key: &str, value: &str) -> Result<(), RegistryError>;

    /// The version that an alias of `model` points to, or None when there is no such alias (or no such model).
    ///
    /// # Errors
    /// As [`Registry::version`]; also an `alias` that can't be one.
    async fn alias(&self, model: &str, alias: &str) -> Result<Option<ModelVersion>, RegistryError>;

    /// Points an alias of the version's model to this version, in one step, wherever it pointed before.
    ///
    /// # Errors
    /// As [`Registry::version`]; also an `alias` that can't be one, and [`RegistryError::NoSuchVersion`].
    async fn set_alias(&self, version: &ModelVersion, alias: &str) -> Result<(), RegistryError>;

    /// Removes an alias. That it was not there is no error.
    ///
    /// # Errors
    /// As [`Registry::version`]; also an `alias` that can't be one.
    async fn delete_alias(&self, model: &str, alias: &str) -> Result<(), RegistryError>;

    /// The registry in a few words for a message or a status line, without secrets.
    fn describe(&self) -> String;
}

/// What a registry says of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// The aliases that point to this version, sorted.
    pub aliases: Vec<String>,
    /// Whether the version can be served.
    pub status: VersionStatus,
}

impl VersionInfo {
    /// A version that is ready and of which nothing else is known.
    pub(crate) fn bare() -> Self {
        Self { tags: BTreeMap::new(), aliases: Vec::new(), status: VersionStatus::Ready }
    }
}

/// A version, and what the registry says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredVersion {
    /// The version.
    pub version: ModelVersion,
    /// What the registry says of it.
    pub info: VersionInfo,
}

/// Whether a version's files are in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionStatus {
    /// Ready to be served. The local registry knows no other.
    Ready,
    /// Still being registered.
    Pending,
    /// Registration failed, with the registry's own words.
    Failed(String),
    /// A status that this program doesn't know.
    Other(String),
}

/// Installs ring as this process's TLS crypto provider, unless one is installed already.
///
/// The HTTP client needs one and chooses none by itself. A process-wide choice belongs to the program and not to a
/// library, so nothing here calls this: `main` does, and tests do. Calling it again does nothing.
pub fn install_crypto_provider() {
    // An error means that another thread was first, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
