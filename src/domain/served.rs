//! What a new variant serves: control's config with another version in it, in the unified form.
//!
//! Everything else is copied from control, so that the version is all that differs.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The version that a new variant is to serve.
#[derive(Clone, Debug, PartialEq)]
pub enum Newcomer {
    /// A policy version, with the registered model's name.
    Policy {
        /// The row of `exp.policy_versions`.
        id: Uuid,
        /// The model.
        model: String,
    },
    /// A prompt version.
    Prompt {
        /// The row of `exp.prompt_versions`.
        id: Uuid,
        /// Who serves it, if its row says so.
        model_provider: Option<String>,
        /// By which model, if its row says so.
        model_name: Option<String>,
    },
}

/// Control's config with the newcomer in it.
///
/// # Errors
/// Where control serves nothing that the newcomer could stand in for.
pub fn config_of(control: &Value, newcomer: &Newcomer) -> Result<Value, String> {
    let Value::Object(map) = control else { return Err("control's config is no mapping".to_owned()) };
    let strategy = match map.get("execution_strategy").and_then(Value::as_str) {
        Some(strategy) => strategy,
        None if map.contains_key("policy_version_id") => "mlflow_model",
        None => {
            return Err(
                "control's config names no version (it is a flag, or none of the three forms), so there is none \
                        to compare with"
                    .to_owned(),
            );
        }
    };
    let mut config = unified(map, strategy);
    let fits = match newcomer {
        Newcomer::Policy { .. } => matches!(strategy, "mlflow_model" | "hybrid"),
        Newcomer::Prompt { .. } => matches!(strategy, "prompt_template" | "hybrid"),
    };
    if !fits {
        let (what, has) = match newcomer {
            Newcomer::Policy { .. } => ("a model version", "no model version"),
            Newcomer::Prompt { .. } => ("a prompt version", "no prompt version"),
        };
        return Err(format!("control's execution_strategy is {strategy}: it serves {has} that {what} could replace"));
    }
    match newcomer {
        Newcomer::Policy { id, model } => change(&mut config, "mlflow_model", |served| {
            served.insert("policy_version_id".into(), json!(id));
            if served.contains_key("model_name") {
                served.insert("model_name".into(), json!(model));
            }
        }),
        Newcomer::Prompt { id, model_provider, model_name } => change(&mut config, "prompt_config", |served| {
            served.insert("prompt_version_id".into(), json!(id));
            for (key, value) in [("model_provider", model_provider), ("model_name", model_name)] {
                if let Some(value) = value {
                    served.insert(key.into(), json!(value));
                }
            }
        }),
    }
    Ok(Value::Object(config))
}

/// The config in the unified form; a legacy one is brought there.
fn unified(map: &Map<String, Value>, strategy: &str) -> Map<String, Value> {
    let mut config = map.clone();
    config.insert("execution_strategy".into(), json!(strategy));
    if let Some(id) = config.remove("policy_version_id") {
        change(&mut config, "mlflow_model", |served| {
            served.insert("policy_version_id".into(), id);
        });
    }
    config
}

/// Changes the mapping at a key; what is none becomes one.
fn change(config: &mut Map<String, Value>, key: &str, how: impl FnOnce(&mut Map<String, Value>)) {
    let mut inner = match config.remove(key) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    how(&mut inner);
    config.insert(key.to_owned(), Value::Object(inner));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::VariantConfig;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);
    const PROMPT: Uuid = Uuid::from_u128(3);

    fn policy() -> Newcomer {
        Newcomer::Policy { id: NEW, model: "planner_model".into() }
    }

    fn prompt() -> Newcomer {
        Newcomer::Prompt { id: NEW, model_provider: Some("openai".into()), model_name: None }
    }

    #[test]
    fn everything_but_the_version_is_controls() {
        let control = json!({"execution_strategy": "mlflow_model",
            "mlflow_model": {"policy_version_id": OLD, "model_name": "old_model"},
            "flow_config": {"flow_id": "f"}, "params": {"k": 1}});
        let made = config_of(&control, &policy()).unwrap();
        assert_eq!(
            made,
            json!({"execution_strategy": "mlflow_model",
                "mlflow_model": {"policy_version_id": NEW, "model_name": "planner_model"},
                "flow_config": {"flow_id": "f"}, "params": {"k": 1}})
        );
    }

    #[test]
    fn a_legacy_config_becomes_a_unified_one() {
        let made = config_of(&json!({"policy_version_id": OLD, "params": {"k": 1}}), &policy()).unwrap();
        assert_eq!(
            made,
            json!({"execution_strategy": "mlflow_model", "mlflow_model": {"policy_version_id": NEW}, "params": {"k": 1}})
        );
        assert_eq!(VariantConfig::parse(&made).unwrap(), VariantConfig::Model { policy_version_id: NEW });
    }

    #[test]
    fn a_hybrid_changes_one_of_its_two_versions() {
        let control = json!({"execution_strategy": "hybrid", "mlflow_model": {"policy_version_id": OLD},
            "prompt_config": {"prompt_version_id": PROMPT, "model_provider": "p", "model_name": "m"}});
        let model = VariantConfig::parse(&config_of(&control, &policy()).unwrap()).unwrap();
        assert_eq!(model, VariantConfig::Hybrid { policy_version_id: NEW, prompt_version_id: PROMPT });
        let made = config_of(&control, &prompt()).unwrap();
        assert_eq!(
            made["prompt_config"],
            json!({"prompt_version_id": NEW, "model_provider": "openai", "model_name": "m"})
        );
        let words = VariantConfig::parse(&made).unwrap();
        assert_eq!(words, VariantConfig::Hybrid { policy_version_id: OLD, prompt_version_id: NEW });
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let model = json!({"execution_strategy": "mlflow_model", "mlflow_model": {"policy_version_id": OLD}});
        assert!(
            config_of(&model, &prompt()).unwrap_err().contains("no prompt version that a prompt version could replace")
        );
        let words = json!({"execution_strategy": "prompt_template", "prompt_config": {"prompt_version_id": OLD}});
        assert!(config_of(&words, &policy()).unwrap_err().contains("execution_strategy is prompt_template"));
        assert!(config_of(&json!({"feature_enabled": true}), &policy()).unwrap_err().contains("it is a flag"));
        assert!(config_of(&json!(null), &policy()).is_err());
    }
}
