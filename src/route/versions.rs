//! `policies.yml` and `prompts.yml` against the tables. Both are the same question: families of versions, each of which
//! points at something and must not point elsewhere once it was used.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Comparison, Drift};
use crate::config::{Fault, PoliciesFile, PromptsFile};
use crate::control::{Catalogue, Family, Kind, TableChange, VersionRow};
use crate::domain::{ExperimentStatus, ModelVersion, Share, VariantConfig, VersionName, VersionStatus};

/// A policy or a prompt of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedFamily {
    /// Where it stands, as a JSON pointer.
    pub at: String,
    /// Its name.
    pub name: String,
    /// What it is for; one that is left out is left as it is.
    pub description: Option<String>,
    /// Its versions.
    pub versions: Vec<WantedVersion>,
}

/// A version of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedVersion {
    /// Where it stands, as a JSON pointer.
    pub at: String,
    /// Its number.
    pub version: u32,
    /// What it points at, by column.
    pub points_at: BTreeMap<&'static str, Option<String>>,
    /// What the serving side begins with.
    pub defaults: Value,
    /// Where it stands.
    pub status: VersionStatus,
}

impl WantedVersion {
    /// The model version that a policy version points at.
    pub fn model(&self) -> Option<ModelVersion> {
        let text = |key| self.points_at.get(key).cloned().flatten();
        Some(ModelVersion { model: text("mlflow_model_name")?, version: text("mlflow_model_version")? })
    }
}

/// The policies of a file.
pub fn policies_of(file: &PoliciesFile) -> Vec<WantedFamily> {
    let policies = file.policies.iter().enumerate().map(|(i, policy)| WantedFamily {
        at: format!("/policies/{i}"),
        name: policy.name.clone(),
        description: policy.description.clone(),
        versions: policy
            .versions
            .iter()
            .enumerate()
            .map(|(j, version)| WantedVersion {
                at: format!("/policies/{i}/versions/{j}"),
                version: version.version,
                points_at: BTreeMap::from([
                    ("mlflow_model_name", Some(version.mlflow_model_name.clone())),
                    ("mlflow_model_version", Some(version.mlflow_model_version.clone())),
                ]),
                defaults: json!(version.config_defaults),
                status: version.status,
            })
            .collect(),
    });
    policies.collect()
}

/// The prompts of a file.
pub fn prompts_of(file: &PromptsFile) -> Vec<WantedFamily> {
    let prompts = file.prompts.iter().enumerate().map(|(i, prompt)| WantedFamily {
        at: format!("/prompts/{i}"),
        name: prompt.name.clone(),
        description: prompt.description.clone(),
        versions: prompt
            .versions
            .iter()
            .enumerate()
            .map(|(j, version)| WantedVersion {
                at: format!("/prompts/{i}/versions/{j}"),
                version: version.version,
                points_at: BTreeMap::from([
                    ("file_path", Some(version.file_path.clone())),
                    ("model_provider", version.model_provider.clone()),
                    ("model_name", version.model_name.clone()),
                ]),
                defaults: json!(version.config_defaults),
                status: version.status,
            })
            .collect(),
    });
    prompts.collect()
}

/// Holds the file against the tables. `fault` knows where a JSON pointer leads to.
pub fn compare_versions(
    kind: Kind,
    wanted: &[WantedFamily],
    catalogue: &Catalogue,
    fault: &dyn Fn(&str, String) -> Fault,
) -> Comparison {
    let mut comparison = Comparison::default();
    let (families, rows) = catalogue.of(kind);
    for family in wanted {
        let row = families.iter().find(|row| row.name == family.name);
        let id = family_id(&mut comparison, kind, family, row);
        for version in &family.versions {
            let row = rows.iter().find(|row| row.family == id && row.version == version.version);
            let name = VersionName { name: family.name.clone(), version: version.version };
            match row {
                None => add(&mut comparison, kind, id, &name, version),
                Some(row) => change(&mut comparison, kind, catalogue, &name, version, row, fault),
            }
        }
    }
    for family in families {
        let in_file = wanted.iter().find(|wanted| wanted.name == family.name);
        let numbers: Vec<u32> = in_file.iter().flat_map(|wanted| &wanted.versions).map(|v| v.version).collect();
        if in_file.is_none() {
            let detail = "it is in the tables and not in the file; nothing is deleted: add it to the file";
            comparison.drift.push(Drift::new(format!("{} {}", kind.as_str(), family.name), detail));
            continue;
        }
        for row in rows.iter().filter(|row| row.family == family.id && !numbers.contains(&row.version)) {
            let detail = format!(
                "it is in the tables ({}, {}) and not in the file; nothing is deleted: add it to the file, or archive it \
                 there",
                pointed(kind, &row.points_at),
                row.status
            );
            comparison.drift.push(Drift::new(format!("{}/{}", family.name, row.version), detail));
        }
    }
    comparison
}

/// The key of a family: its row's or, where it is new, one that follows from its name.
fn family_id(comparison: &mut Comparison, kind: Kind, wanted: &WantedFamily, row: Option<&Family>) -> Uuid {
    let (name, description) = (wanted.name.clone(), wanted.description.clone());
    let Some(row) = row else {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("rampkeeper {} {name}", kind.as_str()).as_bytes());
        let detail = description.clone().unwrap_or_default();
        let what = format!("{} {name}", kind.as_str());
        comparison.plan("add", what, detail, TableChange::NewFamily { kind, id, name, description });
        return id;
    };
    if description.is_some() && description != row.description {
        let detail = format!("description: {}", description.clone().unwrap_or_default());
        let what = format!("{} {name}", kind.as_str());
        comparison.plan("change", what, detail, TableChange::Describe { kind, id: row.id, description });
    }
    row.id
}

fn add(comparison: &mut Comparison, kind: Kind, family: Uuid, name: &VersionName, wanted: &WantedVersion) {
    let detail = format!("{}, {}", pointed(kind, &wanted.points_at), wanted.status);
    let change = TableChange::NewVersion {
        kind,
        id: Uuid::new_v5(&family, wanted.version.to_string().as_bytes()),
        family,
        version: wanted.version,
        points_at: wanted.points_at.clone(),
        defaults: wanted.defaults.clone(),
        status: wanted.status,
    };
    comparison.plan("add", name.to_string(), detail, change);
}

fn change(
    comparison: &mut Comparison,
    kind: Kind,
    catalogue: &Catalogue,
    name: &VersionName,
    wanted: &WantedVersion,
    row: &VersionRow,
    fault: &dyn Fn(&str, String) -> Fault,
) {
    let used = catalogue.use_of(kind, row.id);
    if wanted.points_at != row.points_at || wanted.defaults != row.defaults {
        let (from, to) = match wanted.points_at != row.points_at {
            true => (pointed(kind, &row.points_at), pointed(kind, &wanted.points_at)),
            false => (format!("config_defaults {}", row.defaults), format!("config_defaults {}", wanted.defaults)),
        };
        match used {
            Some(used) => {
                let key = kind.columns().iter().find(|key| wanted.points_at.get(*key) != row.points_at.get(*key));
                let at = format!("{}/{}", wanted.at, key.unwrap_or(&"config_defaults"));
                let message = format!(
                    "{name} is {from} in the tables and {to} here, but {used}; what a version is never changes once it \
                     was used: write a new version"
                );
                comparison.faults.push(fault(&at, message));
            }
            None => {
                let change = TableChange::ChangeVersion {
                    kind,
                    id: row.id,
                    points_at: wanted.points_at.clone(),
                    defaults: wanted.defaults.clone(),
                };
                comparison.plan("change", name.to_string(), format!("{from} → {to}"), change);
            }
        }
    }
    let (from, to) = (row.status, wanted.status);
    let at = format!("{}/status", wanted.at);
    if to < from {
        if catalogue.settled.contains(&row.id) {
            let detail =
                format!("a night has set its status to {from}, and the file says {to}; write {from} in the file");
            comparison.drift.push(Drift::new(name.to_string(), detail));
        } else {
            let message = format!(
                "{name} is {from} in the tables; a status moves from active to deprecated to archived and never back to \
                 {to}: write {from} here, or add a new version"
            );
            comparison.faults.push(fault(&at, message));
        }
    }
    if to > from {
        match served_by(kind, catalogue, row.id).filter(|_| to == VersionStatus::Archived) {
            Some(by) => {
                let message = format!("{by}, so {name} cannot be archived; take it off first (`rampkeeper rollback`)");
                comparison.faults.push(fault(&at, message));
            }
            None => {
                let change = TableChange::VersionStatus { kind, id: row.id, from, to };
                comparison.plan("status", name.to_string(), format!("{from} → {to}"), change);
            }
        }
    }
}

/// Who serves a version now.
fn served_by(kind: Kind, catalogue: &Catalogue, id: Uuid) -> Option<String> {
    let running = catalogue
        .experiments
        .iter()
        .filter(|e| matches!(e.status, ExperimentStatus::Active | ExperimentStatus::Paused))
        .flat_map(|e| e.variants.iter().map(move |v| (e, v)));
    let serves = |config: &Value| {
        let config = VariantConfig::parse(config).ok()?;
        match kind {
            Kind::Policy => config.policy_version_id(),
            Kind::Prompt => config.prompt_version_id(),
        }
    };
    let mut serving = running.filter(|(_, v)| v.allocation > Share::NONE && serves(&v.config) == Some(id));
    serving.next().map(|(e, v)| format!("variant {} of {} serves it to {} of the units", v.name, e.name, v.allocation))
}

/// What a version points at, in a few words.
pub(super) fn pointed(kind: Kind, points_at: &BTreeMap<&'static str, Option<String>>) -> String {
    let text = |key| points_at.get(key).cloned().flatten();
    match kind {
        Kind::Policy => format!(
            "{} version {}",
            text("mlflow_model_name").unwrap_or_default(),
            text("mlflow_model_version").unwrap_or_default()
        ),
        Kind::Prompt => {
            let by: Vec<String> = ["model_provider", "model_name"].into_iter().filter_map(text).collect();
            let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(" ")) };
            format!("{}{by}", text("file_path").unwrap_or_default())
        }
    }
}
