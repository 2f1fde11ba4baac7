//! The names that a registry accepts: MLflow's rules, held by every registry so that a configuration tried on a laptop
//! doesn't fail on the server.

use crate::domain::ModelVersion;

use super::RegistryError;

/// MLflow's bound on a tag's key and on an alias.
const LONGEST_NAME: usize = 250;

/// MLflow's bound on a tag's value.
const LONGEST_VALUE: usize = 100_000;

/// A tag's key: letters, digits, `_`, `-`, `.`, space, `:` and `/`.
pub(super) fn check_key(key: &str) -> Result<(), RegistryError> {
    let allowed = |c: char| c.is_alphanumeric() || "_-. :/".contains(c);
    if key.is_empty() || key.len() > LONGEST_NAME || !key.chars().all(allowed) {
        return Err(RegistryError::BadName {
            what: "tag key",
            name: brief(key),
            rule: "1 to 250 letters, digits, `_`, `-`, `.`, `:`, `/` or spaces",
        });
    }
    Ok(())
}

/// A tag's value: any text up to 100 000 bytes.
pub(super) fn check_value(key: &str, value: &str) -> Result<(), RegistryError> {
    if value.len() > LONGEST_VALUE {
        return Err(RegistryError::ValueTooLong { key: key.to_owned(), length: value.len(), longest: LONGEST_VALUE });
    }
    Ok(())
}

/// An alias: letters, digits, `_` and `-`; neither `latest` nor `v` with a number, which MLflow keeps for itself.
pub(super) fn check_alias(alias: &str) -> Result<(), RegistryError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let lower = alias.to_ascii_lowercase();
    let numbered = lower.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    if alias.is_empty() || alias.len() > LONGEST_NAME || !alias.chars().all(allowed) || lower == "latest" || numbered {
        return Err(RegistryError::BadName {
            what: "alias",
            name: brief(alias),
            rule: "1 to 250 letters, digits, `_` or `-`, and neither `latest` nor `v` with a number",
        });
    }
    Ok(())
}

/// A registered model's name: anything but empty text, `/` and `:`.
pub(super) fn check_model(model: &str) -> Result<(), RegistryError> {
    if model.is_empty() || model.contains(['/', ':']) {
        return Err(RegistryError::BadName {
            what: "model name",
            name: brief(model),
            rule: "not empty and without `/` and `:`",
        });
    }
    Ok(())
}

/// Puts versions in the order of their numbers, and any that isn't a number after them.
pub(super) fn sort_by_number(versions: &mut [ModelVersion]) {
    versions.sort_by_cached_key(by_number);
}

/// The place of a version in that order.
pub(super) fn by_number(version: &ModelVersion) -> (u64, String) {
    (version.version.parse::<u64>().unwrap_or(u64::MAX), version.version.clone())
}

/// At most 80 characters of a name, for a message.
fn brief(name: &str) -> String {
    match name.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_follow_the_rules_of_mlflow() {
        for good in ["champion", "Champion", "challenger-2", "123", "v", "v2-final"] {
            assert!(check_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "LATEST", "v1", "V12", "two words", "a.b", "é"] {
            assert!(check_alias(bad).is_err(), "{bad}");
        }
        assert!(check_alias(&"a".repeat(251)).is_err());
    }

    #[test]
    fn a_bad_key_is_named_with_the_rule() {
        assert!(check_key("rampkeeper.run id:/x").is_ok());
        let error = check_key("a'b").unwrap_err().to_string();
        assert!(error.contains("tag key `a'b`") && error.contains("letters, digits"), "{error}");
        assert!(check_value("stage", &"x".repeat(100_001)).unwrap_err().to_string().contains("100001"));
        assert!(check_model("a/b").is_err());
    }

    #[test]
    fn versions_sort_as_numbers() {
        let mut versions: Vec<ModelVersion> =
            ["10", "x", "9"].map(|v| ModelVersion { model: "m".into(), version: v.into() }).to_vec();
        sort_by_number(&mut versions);
        let sorted: Vec<&str> = versions.iter().map(|v| v.version.as_str()).collect();
        assert_eq!(sorted, ["9", "10", "x"]);
    }
}
