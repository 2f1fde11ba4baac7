//! Versions of policies and prompts: how they are named, and the way that their status goes.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a version stands. The order is the way that it goes, and it never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VersionStatus {
    /// Usable in experiments.
    #[default]
    Active,
    /// Works, but what uses it should move on.
    Deprecated,
    /// Not available.
    Archived,
}

impl VersionStatus {
    /// The word that the tables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Archived => "archived",
        }
    }
}

impl fmt::Display for VersionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for VersionStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "active" => Self::Active,
            "deprecated" => Self::Deprecated,
            "archived" => Self::Archived,
            other => return Err(format!("{other:?} is not one of active, deprecated, archived")),
        })
    }
}

/// `NAME/VERSION`: a version of a policy or of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionName {
    /// The policy's or the prompt's name.
    pub name: String,
    /// The version's number, from 1.
    pub version: u32,
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

impl FromStr for VersionName {
    type Err = String;

    /// A name may hold slashes itself, so the number stands behind the last one.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no NAME/VERSION; write it as planner_policy/3");
        let (name, version) = text.rsplit_once('/').ok_or_else(wrong)?;
        let version = version.strip_prefix('v').unwrap_or(version).parse().map_err(|_| wrong())?;
        if name.is_empty() || version == 0 {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_goes_one_way() {
        assert!(
            VersionStatus::Active < VersionStatus::Deprecated && VersionStatus::Deprecated < VersionStatus::Archived
        );
        assert_eq!("deprecated".parse(), Ok(VersionStatus::Deprecated));
        assert!("gone".parse::<VersionStatus>().unwrap_err().contains("is not one of active"));
    }

    #[test]
    fn a_version_is_named_by_what_it_is_a_version_of() {
        let named: VersionName = "team/planner/v12".parse().unwrap();
        assert_eq!(named.to_string(), "team/planner/12");
        for wrong in ["planner", "planner/", "/3", "planner/x", "planner/0", "planner/-1"] {
            assert!(wrong.parse::<VersionName>().is_err(), "{wrong}");
        }
    }
}
