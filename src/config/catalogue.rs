//! The three files that say what there is: `policies.yml`, `prompts.yml` and `experiments.yml`. The nights do not read
//! them; the commands that write the experiment tables do.
//!
//! Read here is what a file says by itself. Whether it fits the tables and the registry is asked in `route`.

mod append;
mod experiments;
mod policies;
mod prompts;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use append::{Appended, append_version};
pub use experiments::{ExperimentEntry, ExperimentsFile, VariantEntry};
pub use policies::{PoliciesFile, PolicyCatalogueEntry, PolicyVersionEntry};
pub use prompts::{PromptEntry, PromptVersionEntry, PromptsFile};

use super::document::Document;
use super::fault::{ConfigError, Fault};
use super::read;

/// A file with the place of everything in it.
#[derive(Debug)]
pub struct Filed<T> {
    /// What it says.
    pub file: T,
    /// Where it lies.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    document: Document,
}

/// What a file says beyond its schema.
pub trait Checked: DeserializeOwned + JsonSchema {
    /// Adds the faults of the file by itself: what comes twice, what cannot be.
    fn check(&self, fault: &mut dyn FnMut(&str, String));
}

impl<T: Checked> Filed<T> {
    /// Reads and checks a file; its faults are told all at once.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (document, text) = read(path).map_err(|fault| ConfigError(vec![fault]))?;
        Self::checked(path, document, text)
    }

    /// The same for a text that is not in the file yet.
    ///
    /// # Errors
    /// It is not what it should be.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text).map_err(|fault| ConfigError(vec![fault]))?;
        Self::checked(path, document, text.to_owned())
    }

    fn checked(path: &Path, document: Document, text: String) -> Result<Self, ConfigError> {
        let file: T = document.decode().map_err(ConfigError)?;
        let mut faults = Vec::new();
        file.check(&mut |at, message| faults.push(document.fault(at, message)));
        if !faults.is_empty() {
            return Err(ConfigError(faults));
        }
        Ok(Self { file, path: path.to_owned(), text, document })
    }

    /// A fault at the value that a JSON pointer names.
    pub fn fault(&self, pointer: &str, message: impl Into<String>) -> Fault {
        self.document.fault(pointer, message)
    }
}

/// Faults for names that come twice. `names` come with the pointer of their entry and the key that holds the name.
fn each_once<'a>(what: &str, names: impl Iterator<Item = (String, &'a str)>, fault: &mut dyn FnMut(&str, String)) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, name) in names {
        if !seen.insert(name) {
            fault(&at, format!("there is another {what} {name:?} above; give each a name of its own"));
        }
        if name.trim().is_empty() || name.chars().count() > 255 {
            fault(&at, format!("the name of a {what} has 1 to 255 characters"));
        }
    }
}

/// Faults for versions that come twice, or are none.
fn each_version_once(of: &str, versions: impl Iterator<Item = (String, u32)>, fault: &mut dyn FnMut(&str, String)) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, version) in versions {
        if version == 0 {
            fault(&at, "versions count from 1".to_owned());
        } else if !seen.insert(version) {
            fault(&at, format!("version {version} of {of} stands there twice; give each version a number of its own"));
        }
    }
}

#[cfg(test)]
mod tests;
