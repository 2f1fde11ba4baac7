//! `policies.yml`: policies and their versions, each of which points at a model version of the registry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Checked, each_once, each_version_once};
use crate::domain::VersionStatus;

/// The file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoliciesFile {
    /// The policies.
    pub policies: Vec<PolicyCatalogueEntry>,
}

/// A policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyCatalogueEntry {
    /// Its unique name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its versions.
    #[serde(default)]
    pub versions: Vec<PolicyVersionEntry>,
}

/// A version of a policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersionEntry {
    /// Its number, unique in its policy.
    pub version: u32,
    /// What is new in it; for readers of the file, since the tables have no column for it.
    pub description: Option<String>,
    /// The registered model.
    pub mlflow_model_name: String,
    /// The model's version, as text, as MLflow has it.
    pub mlflow_model_version: String,
    /// `active` (usable in experiments), `deprecated` (works, move on) or `archived` (not available).
    #[serde(default)]
    pub status: VersionStatus,
    /// What the serving side begins with.
    #[serde(default)]
    pub config_defaults: BTreeMap<String, Value>,
}

impl Checked for PoliciesFile {
    fn check(&self, fault: &mut dyn FnMut(&str, String)) {
        let names = self.policies.iter().enumerate();
        each_once("policy", names.map(|(i, p)| (format!("/policies/{i}/name"), p.name.as_str())), fault);
        for (i, policy) in self.policies.iter().enumerate() {
            let at = |j: usize, key: &str| format!("/policies/{i}/versions/{j}/{key}");
            let versions = policy.versions.iter().enumerate().map(|(j, v)| (at(j, "version"), v.version));
            each_version_once(&policy.name, versions, fault);
            for (j, version) in policy.versions.iter().enumerate() {
                for (key, text) in [
                    ("mlflow_model_name", &version.mlflow_model_name),
                    ("mlflow_model_version", &version.mlflow_model_version),
                ] {
                    if text.trim().is_empty() {
                        fault(&at(j, key), "this names nothing".to_owned());
                    }
                }
            }
        }
    }
}
