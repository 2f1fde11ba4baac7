//! What a variant serves: the three forms of its config column.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A version in the model registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The registered model's name.
    pub model: String,
    /// The version, as text as the registry has it.
    pub version: String,
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.model, self.version)
    }
}

/// A variant's config, read from any of the unified, legacy or flag forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum VariantConfig {
    /// A model version (`mlflow_model`, or the legacy form without a strategy).
    Model {
        /// The row of `exp.policy_versions`.
        policy_version_id: Uuid,
    },
    /// A prompt version.
    Prompt {
        /// The row of `exp.prompt_versions`.
        prompt_version_id: Uuid,
    },
    /// Both.
    Hybrid {
        /// The row of `exp.policy_versions`.
        policy_version_id: Uuid,
        /// The row of `exp.prompt_versions`.
        prompt_version_id: Uuid,
    },
    /// A feature flag: no version stands behind it and only allocations move.
    Flag,
}

/// Why a variant's config is none of the three forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariantConfigError {
    /// Neither an `execution_strategy`, nor a `policy_version_id`, nor a `feature_enabled`.
    #[error(
        "config is none of the three forms: expected `execution_strategy` (unified), `policy_version_id` (legacy) or `feature_enabled` (flag), found {0}"
    )]
    UnknownForm(String),
    /// A strategy that nobody knows.
    #[error("execution_strategy {0} is not one of mlflow_model, prompt_template, hybrid")]
    UnknownStrategy(String),
    /// A key that the form needs is missing or no UUID.
    #[error("config key `{key}` must be a UUID, found {found}")]
    BadId {
        /// The dotted key.
        key: &'static str,
        /// What stands there.
        found: String,
    },
}

impl VariantConfig {
    /// Reads the config column.
    pub fn parse(config: &Value) -> Result<Self, VariantConfigError> {
        let Value::Object(map) = config else {
            return Err(VariantConfigError::UnknownForm(brief(config)));
        };
        if let Some(strategy) = map.get("execution_strategy") {
            return Self::unified(strategy, map);
        }
        if map.contains_key("policy_version_id") {
            return Ok(Self::Model { policy_version_id: id_at(map, "policy_version_id", "policy_version_id")? });
        }
        if matches!(map.get("feature_enabled"), Some(Value::Bool(_))) {
            return Ok(Self::Flag);
        }
        Err(VariantConfigError::UnknownForm(brief(config)))
    }

    fn unified(strategy: &Value, map: &Map<String, Value>) -> Result<Self, VariantConfigError> {
        let policy = || nested(map, "mlflow_model", "policy_version_id", "mlflow_model.policy_version_id");
        let prompt = || nested(map, "prompt_config", "prompt_version_id", "prompt_config.prompt_version_id");
        match strategy.as_str() {
            Some("mlflow_model") => Ok(Self::Model { policy_version_id: policy()? }),
            Some("prompt_template") => Ok(Self::Prompt { prompt_version_id: prompt()? }),
            Some("hybrid") => Ok(Self::Hybrid { policy_version_id: policy()?, prompt_version_id: prompt()? }),
            _ => Err(VariantConfigError::UnknownStrategy(brief(strategy))),
        }
    }

    /// The policy version behind it, if there is one.
    pub fn policy_version_id(&self) -> Option<Uuid> {
        match self {
            Self::Model { policy_version_id } | Self::Hybrid { policy_version_id, .. } => Some(*policy_version_id),
            Self::Prompt { .. } | Self::Flag => None,
        }
    }

    /// The prompt version behind it, if there is one.
    pub fn prompt_version_id(&self) -> Option<Uuid> {
        match self {
            Self::Prompt { prompt_version_id } | Self::Hybrid { prompt_version_id, .. } => Some(*prompt_version_id),
            Self::Model { .. } | Self::Flag => None,
        }
    }
}

fn nested(map: &Map<String, Value>, outer: &str, inner: &str, name: &'static str) -> Result<Uuid, VariantConfigError> {
    match map.get(outer) {
        Some(Value::Object(found)) => id_at(found, inner, name),
        other => Err(VariantConfigError::BadId { key: name, found: other.map_or("nothing".into(), brief) }),
    }
}

fn id_at(map: &Map<String, Value>, key: &str, name: &'static str) -> Result<Uuid, VariantConfigError> {
    let found = map.get(key);
    found
        .and_then(Value::as_str)
        .and_then(|text| Uuid::parse_str(text).ok())
        .ok_or_else(|| VariantConfigError::BadId { key: name, found: found.map_or("nothing".into(), brief) })
}

/// At most 80 characters of a value, for a message. JSON escapes most control characters, but not all.
fn brief(value: &Value) -> String {
    let text = value.to_string().replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "6f2f9a4e-2c35-4f5e-9a55-0d1f6f3f9a01";

    #[test]
    fn reads_every_form() {
        let id = Uuid::parse_str(ID).unwrap();
        let model = json!({"execution_strategy": "mlflow_model", "mlflow_model": {"policy_version_id": ID}});
        assert_eq!(VariantConfig::parse(&model).unwrap().policy_version_id(), Some(id));
        let legacy = json!({"policy_version_id": ID, "params": {}});
        assert_eq!(VariantConfig::parse(&legacy).unwrap(), VariantConfig::Model { policy_version_id: id });
        let prompt = json!({"execution_strategy": "prompt_template", "prompt_config": {"prompt_version_id": ID}});
        assert_eq!(VariantConfig::parse(&prompt).unwrap().prompt_version_id(), Some(id));
        assert_eq!(VariantConfig::parse(&json!({"feature_enabled": false})).unwrap(), VariantConfig::Flag);
    }

    #[test]
    fn names_what_is_wrong() {
        let strategy = VariantConfig::parse(&json!({"execution_strategy": "magic"})).unwrap_err();
        assert!(strategy.to_string().contains("\"magic\" is not one of mlflow_model"));
        let missing =
            VariantConfig::parse(&json!({"execution_strategy": "hybrid", "mlflow_model": {"policy_version_id": ID}}));
        assert!(missing.unwrap_err().to_string().contains("prompt_config.prompt_version_id"));
        assert!(VariantConfig::parse(&json!(["x"])).is_err());
        assert!(VariantConfig::parse(&json!({"feature_enabled": "yes"})).is_err());
    }
}
