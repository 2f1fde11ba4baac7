//! The JSON Schema of each file, made from the very types that it is read into.

use serde_json::{Value, json};

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
}

impl ConfigFile {
    /// The schema that the file is checked against before its meaning is.
    pub fn schema(self) -> Value {
        let (schema, title) = match self {
            ConfigFile::Settings => (schemars::schema_for!(SettingsFile), "rampkeeper.yml"),
            ConfigFile::Metrics => (schemars::schema_for!(MetricsFile), "metrics.yml"),
            ConfigFile::Promotion => (schemars::schema_for!(PromotionFile), "promotion.yml"),
        };
        let mut schema = schema.to_value();
        if let Some(object) = schema.as_object_mut() {
            object.insert("title".to_owned(), json!(title));
        }
        schema
    }
}
