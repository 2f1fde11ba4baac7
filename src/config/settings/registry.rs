//! The model registry in `rampkeeper.yml`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::address::address;
use crate::config::secret::SecretRef;

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

/// Checks of meaning that the schema cannot express.
pub(super) fn check(fault: &mut impl FnMut(&str, &str), registry: &RegistryEntry) {
    match (&registry.mlflow, &registry.local) {
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
}
