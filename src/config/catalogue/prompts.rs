//! `prompts.yml`: prompts and their versions, each of which points at a file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Checked, each_once, each_version_once};
use crate::domain::VersionStatus;

/// The file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptsFile {
    /// The prompts.
    pub prompts: Vec<PromptEntry>,
}

/// A prompt.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptEntry {
    /// Its unique name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its versions.
    #[serde(default)]
    pub versions: Vec<PromptVersionEntry>,
}

/// A version of a prompt.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptVersionEntry {
    /// Its number, unique in its prompt.
    pub version: u32,
    /// What is new in it; for readers of the file, since the tables have no column for it.
    pub description: Option<String>,
    /// The template; a relative path starts at the folder of this file.
    pub file_path: String,
    /// Who serves it.
    pub model_provider: Option<String>,
    /// By which model.
    pub model_name: Option<String>,
    /// `active` (usable in experiments), `deprecated` (works, move on) or `archived` (not available).
    #[serde(default)]
    pub status: VersionStatus,
    /// What the serving side begins with.
    #[serde(default)]
    pub config_defaults: BTreeMap<String, Value>,
}

impl Checked for PromptsFile {
    fn check(&self, fault: &mut dyn FnMut(&str, String)) {
        let names = self.prompts.iter().enumerate();
        each_once("prompt", names.map(|(i, p)| (format!("/prompts/{i}/name"), p.name.as_str())), fault);
        for (i, prompt) in self.prompts.iter().enumerate() {
            let versions = prompt.versions.iter().enumerate();
            let versions = versions.map(|(j, v)| (format!("/prompts/{i}/versions/{j}/version"), v.version));
            each_version_once(&prompt.name, versions, fault);
        }
    }
}
