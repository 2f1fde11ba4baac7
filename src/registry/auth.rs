//! Who is calling, and which kind of registry is called.

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};

/// How to say who is calling.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password: `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A bearer token: `MLFLOW_TRACKING_TOKEN`.
    Bearer(SecretString),
}

impl Auth {
    pub(super) fn secret(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Basic { password, .. } => Some(password.expose_secret()),
            Self::Bearer(token) => Some(token.expose_secret()),
        }
    }

    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            Self::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }
}

/// Which registry answers: they share MLflow's calls and differ in what those can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// MLflow's own server.
    #[default]
    Mlflow,
    /// The registry of a Databricks workspace: the same calls; a search filters by name alone.
    Databricks,
    /// Unity Catalog: calls below a path of their own, models named `catalog.schema.model`, and a search that tells
    /// neither tags nor aliases.
    UnityCatalog,
}

impl Service {
    /// What stands between the API's path and the call's.
    pub(super) fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Mlflow | Self::Databricks => None,
            Self::UnityCatalog => Some("unity-catalog"),
        }
    }

    /// Whether a search can be asked for a tag.
    pub(super) fn filters_by_tag(self) -> bool {
        matches!(self, Self::Mlflow)
    }

    /// Whether a search tells the tags of what it found.
    pub(super) fn tells_tags(self) -> bool {
        !matches!(self, Self::UnityCatalog)
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mlflow => "MLflow",
            Self::Databricks => "the workspace registry",
            Self::UnityCatalog => "Unity Catalog",
        }
    }
}
