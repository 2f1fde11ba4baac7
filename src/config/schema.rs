//! The JSON Schema of each file, made from the very types that it is read into.

use serde_json::{Value, json};

use super::catalogue::{ExperimentsFile, PoliciesFile, PromptsFile};
use super::metrics::MetricsFile;
use super::promotion::PromotionFile;
use super::settings::SettingsFile;

/// A file of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// `rampkeeper.yml`.
    Settings,
    /// `metrics.yml`.
    Metrics,
    /// `promotion.yml`.
    Promotion,
    /// `policies.yml`.
    Policies,
    /// `experiments.yml`.
    Experiments,
    /// `prompts.yml`.
    Prompts,
}

impl ConfigFile {
    /// The schema that the file is checked against before its meaning is.
    pub fn schema(self) -> Value {
        let (schema, title, description) = match self {
            ConfigFile::Settings => (
                schemars::schema_for!(SettingsFile),
                "rampkeeper.yml",
                "Where everything lies, who reads the mail, and when the night runs.",
            ),
            ConfigFile::Metrics => (schemars::schema_for!(MetricsFile), "metrics.yml", "What is measured."),
            ConfigFile::Promotion => {
                (schemars::schema_for!(PromotionFile), "promotion.yml", "How candidates are judged.")
            }
            ConfigFile::Policies => {
                (schemars::schema_for!(PoliciesFile), "policies.yml", "Policies, and the model versions behind theirs.")
            }
            ConfigFile::Experiments => {
                (schemars::schema_for!(ExperimentsFile), "experiments.yml", "Experiments, and what they begin with.")
            }
            ConfigFile::Prompts => {
                (schemars::schema_for!(PromptsFile), "prompts.yml", "Prompts, and the files behind their versions.")
            }
        };
        let mut schema = schema.to_value();
        if let Some(object) = schema.as_object_mut() {
            object.insert("title".to_owned(), json!(title));
            object.insert("description".to_owned(), json!(description));
        }
        schema
    }
}
