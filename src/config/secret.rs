//! Secrets by reference: the configuration names an environment variable or a file, never the secret.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

/// Where a secret is to be read from: exactly one of the two.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The name of an environment variable.
    pub env: Option<String>,
    /// A file whose contents, without the last line break, are the secret.
    pub file: Option<PathBuf>,
}

impl SecretRef {
    /// Where the secret stands, in words that are no secret: `env NAME` or `file PATH`.
    pub fn name(&self) -> String {
        match (&self.env, &self.file) {
            (Some(name), _) => format!("env {name}"),
            (None, Some(file)) => format!("file {}", file.display()),
            (None, None) => "nowhere".to_owned(),
        }
    }

    /// Reads the secret. Relative files are taken from `base`, the configuration's folder.
    pub fn read(&self, base: &Path) -> Result<SecretString, String> {
        match (&self.env, &self.file) {
            (Some(name), None) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(value.into()),
                Ok(_) => Err(format!("environment variable {name} is empty")),
                Err(_) => Err(format!("environment variable {name} is not set")),
            },
            (None, Some(file)) => {
                let path = base.join(file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("could not read the secret file {}: {error}", path.display()))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
            }
            _ => Err("a secret is given as { env: NAME } or as { file: PATH }, exactly one of them".to_owned()),
        }
    }
}
