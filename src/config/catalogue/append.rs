//! One more version, written into `policies.yml` without touching anything else in it: comments, order and blank lines
//! stay. What was written is read again, and must be the old file with that version and nothing beside.

use std::path::Path;

use super::{Filed, PoliciesFile, PolicyVersionEntry};
use crate::config::document::Document;

/// A text with one more version in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The lines that were added, as they stand in the file.
    pub lines: String,
    /// The whole file.
    pub text: String,
}

/// The version as lines of YAML, its dash at that column.
fn lines_of(version: &PolicyVersionEntry, indent: usize) -> String {
    let pad = " ".repeat(indent);
    // JSON is YAML, too: a text in double quotes means the same in both.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = format!("{pad}- version: {}\n", version.version);
    if let Some(description) = &version.description {
        lines.push_str(&format!("{pad}  description: {}\n", quoted(description)));
    }
    lines.push_str(&format!("{pad}  mlflow_model_name: {}\n", quoted(&version.mlflow_model_name)));
    lines.push_str(&format!("{pad}  mlflow_model_version: {}\n", quoted(&version.mlflow_model_version)));
    lines.push_str(&format!("{pad}  status: {}\n", version.status));
    if !version.config_defaults.is_empty() {
        lines.push_str(&format!("{pad}  config_defaults: {}\n", serde_json::json!(version.config_defaults)));
    }
    lines
}

/// A new policy with that version.
fn policy_of(policy: &str, version: &PolicyVersionEntry, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let name = serde_json::Value::from(policy);
    format!("{pad}- name: {name}\n{pad}  versions:\n{}", lines_of(version, indent + 4))
}

/// The file with one more version of that policy, behind its last one; of a policy that is not there yet, behind the last
/// policy.
///
/// # Errors
/// Where the file is written so that no line can simply be added, with the lines to add by hand.
pub fn append_version(
    filed: &Filed<PoliciesFile>,
    policy: &str,
    version: &PolicyVersionEntry,
) -> Result<Appended, String> {
    let index = filed.file.policies.iter().position(|entry| entry.name == policy);
    let last = match index {
        Some(i) => filed.file.policies[i].versions.len().checked_sub(1).map(|j| format!("/policies/{i}/versions/{j}")),
        None => filed.file.policies.len().checked_sub(1).map(|i| format!("/policies/{i}")),
    };
    let by_hand = || {
        let lines = match index {
            Some(_) => lines_of(version, 0),
            None => policy_of(policy, version, 0),
        };
        format!("{} has no place where lines could simply be added; add these by hand:\n{lines}", filed.path.display())
    };
    // Where the last entry's first key stands, two columns behind its dash.
    let (line, column) = last.and_then(|last| filed.document.spot(&last)).ok_or_else(by_hand)?;
    let indent = column.checked_sub(3).ok_or_else(by_hand)?;
    let added = match index {
        Some(_) => lines_of(version, indent),
        None => policy_of(policy, version, indent),
    };
    let all: Vec<&str> = filed.text.split_inclusive('\n').collect();
    let mut end = line;
    for (n, text) in all.iter().enumerate().skip(line) {
        let content = text.trim();
        if content.is_empty() {
            continue;
        }
        let depth = text.len() - text.trim_start().len();
        if depth <= indent {
            break;
        }
        end = n + 1;
    }
    let mut text: String = all[..end.min(all.len())].concat();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&added);
    text.extend(all[end.min(all.len())..].iter().copied());
    let appended = Appended { lines: added, text };
    if is_that_file_and_no_other(&filed.path, filed, policy, version, &appended.text) {
        Ok(appended)
    } else {
        Err(by_hand())
    }
}

/// Whether the new text says what the old one said, with the version at the end of its policy.
fn is_that_file_and_no_other(
    path: &Path,
    filed: &Filed<PoliciesFile>,
    policy: &str,
    version: &PolicyVersionEntry,
    text: &str,
) -> bool {
    let Ok(after) =
        Document::parse(path, text).map_err(|_| ()).and_then(|d| d.decode::<PoliciesFile>().map_err(|_| ()))
    else {
        return false;
    };
    let mut before = filed.file.clone();
    match before.policies.iter_mut().find(|entry| entry.name == policy) {
        Some(entry) => entry.versions.push(version.clone()),
        None => before.policies.push(super::PolicyCatalogueEntry {
            name: policy.to_owned(),
            description: None,
            versions: vec![version.clone()],
        }),
    }
    format!("{before:?}") == format!("{after:?}")
}
