//! What a variant of the file serves: its config with names resolved to keys, and whether that may be served.

use serde_json::{Map, Value, json};

use crate::control::{Catalogue, Kind, VersionRow};
use crate::domain::{Criteria, VariantConfig, VersionName, VersionStatus, judge_offline};

/// A config as the table has it.
pub(super) struct Served {
    pub(super) config: Value,
    /// In a few words.
    pub(super) told: String,
    read: VariantConfig,
}

/// Where the keys of a version stand in a config: its kind, the mapping, the name's key, and the id's.
const PLACES: [(Kind, &str, &str, &str); 2] = [
    (Kind::Policy, "mlflow_model", "policy", "policy_version_id"),
    (Kind::Prompt, "prompt_config", "prompt", "prompt_version_id"),
];

/// Resolves the names in a config and reads it. The error has the key that it is about, as the end of a JSON pointer.
pub(super) fn of(config: &Map<String, Value>, catalogue: &Catalogue) -> Result<Served, (String, String)> {
    let mut config = config.clone();
    for (kind, outer, name_key, id_key) in PLACES {
        let Some(Value::Object(inner)) = config.get_mut(outer) else { continue };
        let Some(name) = inner.remove(name_key) else { continue };
        let version = inner.remove("version");
        let at = format!("/{outer}");
        if inner.contains_key(id_key) {
            return Err((at, format!("give `{name_key}` and `version`, or `{id_key}`, not both")));
        }
        let number = version.as_ref().and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let (Some(name), Some(version)) = (name.as_str(), number) else {
            return Err((at, format!("`{name_key}` is a name, and `version` beside it a whole number")));
        };
        let named = VersionName { name: name.to_owned(), version };
        let Some(row) = catalogue.named(kind, &named) else {
            let command = if kind == Kind::Policy { "policy sync" } else { "prompts sync" };
            return Err((at, format!("{named} is not in the tables; run `rampkeeper {command}` first")));
        };
        inner.insert(id_key.to_owned(), json!(row.id));
    }
    if config.contains_key("policy_version_id") && !config.contains_key("execution_strategy") {
        let message = "write it in the unified form: `execution_strategy: mlflow_model` and `mlflow_model: { policy: NAME, \
                       version: N }`";
        return Err((String::new(), message.to_owned()));
    }
    let config = Value::Object(config);
    let read = VariantConfig::parse(&config).map_err(|error| (String::new(), error.to_string()))?;
    let mut told: Vec<String> = versions(&read)
        .into_iter()
        .map(|(kind, id)| catalogue.version(kind, id).map_or_else(|| id.to_string(), |(name, _)| name.to_string()))
        .collect();
    if told.is_empty() {
        told.push("a flag".to_owned());
    }
    Ok(Served { config, told: told.join(" and "), read })
}

fn versions(read: &VariantConfig) -> Vec<(Kind, uuid::Uuid)> {
    let policy = read.policy_version_id().map(|id| (Kind::Policy, id));
    policy.into_iter().chain(read.prompt_version_id().map(|id| (Kind::Prompt, id))).collect()
}

impl Served {
    fn rows<'a>(&self, catalogue: &'a Catalogue) -> Vec<(VersionName, &'a VersionRow)> {
        versions(&self.read).into_iter().filter_map(|(kind, id)| catalogue.version(kind, id)).collect()
    }

    /// Versions that are not there, or not available; each with the mapping that names it.
    pub(super) fn faults(&self, catalogue: &Catalogue) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (kind, id) in versions(&self.read) {
            let key = if kind == Kind::Policy { "mlflow_model" } else { "prompt_config" };
            match catalogue.version(kind, id) {
                None => faults.push((key, format!("{} version {id} is not in the tables", kind.as_str()))),
                Some((name, row)) if row.status == VersionStatus::Archived => {
                    faults.push((key, format!("{name} is archived and not available; name an active version")));
                }
                Some(_) => {}
            }
        }
        faults
    }

    /// Versions that work and should be moved on from.
    pub(super) fn warnings(&self, catalogue: &Catalogue, what: &str) -> Vec<String> {
        let rows = self.rows(catalogue);
        let deprecated = rows.iter().filter(|(_, row)| row.status == VersionStatus::Deprecated);
        deprecated.map(|(name, _)| format!("{what} serves {name}, which is deprecated; move on from it")).collect()
    }

    /// Why its model version has not passed offline evaluation, if it has not.
    pub(super) fn not_passed(&self, catalogue: &Catalogue, criteria: &Criteria) -> Option<String> {
        let id = self.read.policy_version_id()?;
        let (name, _) = catalogue.version(Kind::Policy, id)?;
        let judgement = judge_offline(id, &catalogue.results, criteria);
        (!judgement.is_pass()).then(|| format!("{name} has not passed offline evaluation ({judgement})"))
    }
}
