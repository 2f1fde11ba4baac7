//! The registry, held against the file and the tables: versions that are not there, and marks that contradict a status.

use std::collections::{BTreeMap, BTreeSet};

use super::versions::WantedFamily;
use super::{Comparison, Drift};
use crate::config::Fault;
use crate::control::{Catalogue, Kind};
use crate::domain::{ModelVersion, VersionName, VersionStatus};
use crate::registry::{VersionInfo, VersionStatus as Readiness};

/// What the registry says.
#[derive(Debug, Default)]
pub struct Registered {
    /// The registry in a few words.
    pub registry: String,
    /// Each version that was asked about; nothing if it is not there.
    pub versions: BTreeMap<ModelVersion, Option<VersionInfo>>,
    /// Where the aliases `champion` and `challenger` point, by model and alias.
    pub aliases: BTreeMap<(String, String), ModelVersion>,
}

/// Adds to a comparison of `policies.yml` what the registry contradicts.
pub fn drift(
    comparison: &mut Comparison,
    wanted: &[WantedFamily],
    catalogue: &Catalogue,
    registered: &Registered,
    fault: &dyn Fn(&str, String) -> Fault,
) {
    let mut named: BTreeMap<ModelVersion, Vec<(VersionName, VersionStatus)>> = BTreeMap::new();
    for family in wanted {
        for version in &family.versions {
            let Some(model) = version.model() else { continue };
            let name = VersionName { name: family.name.clone(), version: version.version };
            let row = catalogue.named(Kind::Policy, &name);
            // Where a night has gone ahead of the file, the table counts.
            let status = row.map_or(version.status, |row| row.status.max(version.status));
            let at = format!("{}/mlflow_model_version", version.at);
            match registered.versions.get(&model) {
                Some(None) if status == VersionStatus::Archived => {
                    let detail =
                        format!("{} does not have {model} any more; {name} is archived, so be it", registered.registry);
                    comparison.drift.push(Drift::new(name.to_string(), detail));
                }
                Some(None) => {
                    let message = format!(
                        "{} has no {model}; register it there first, or correct the name or the version",
                        registered.registry
                    );
                    comparison.faults.push(fault(&at, message));
                }
                Some(Some(info)) => match &info.status {
                    Readiness::Failed(why) => {
                        let message = format!("the registration of {model} failed ({why}); it cannot be served");
                        comparison.faults.push(fault(&at, message));
                    }
                    Readiness::Pending => {
                        comparison.warnings.push(format!("{name}: {model} is still being registered"));
                    }
                    Readiness::Ready | Readiness::Other(_) => {}
                },
                None => {}
            }
            named.entry(model).or_default().push((name, status));
        }
    }
    for row in &catalogue.policy_versions {
        let Some((model, (name, _))) = row.model().zip(catalogue.version(Kind::Policy, row.id)) else { continue };
        let known = named.entry(model).or_default();
        if !known.iter().any(|(known, _)| *known == name) {
            known.push((name, row.status));
        }
    }
    for (model, names) in &named {
        let stage = registered.versions.get(model).and_then(Option::as_ref).and_then(|info| info.tags.get("stage"));
        let lively = names.iter().any(|(_, status)| *status == VersionStatus::Active);
        let told: Vec<String> = names.iter().map(|(name, status)| format!("{name} is {status}")).collect();
        let mut contradiction = |mark: &str, mend: &str| {
            comparison.drift.push(Drift::new(model.to_string(), format!("{mark}, but {}; {mend}", told.join(", "))));
        };
        match stage.map(String::as_str) {
            Some("production") if !lively => contradiction(
                "its stage in the registry is production",
                "set the stage to archived if it is not served any more, or add a version that is",
            ),
            Some("candidate") if !lively => {
                contradiction("its stage in the registry is candidate", "set the stage to archived");
            }
            Some("archived") if lively => {
                contradiction(
                    "its stage in the registry is archived",
                    "archive it in the file, too, or look why it is",
                );
            }
            _ => {}
        }
        for alias in ["champion", "challenger"] {
            let bears = registered.aliases.get(&(model.model.clone(), alias.to_owned())) == Some(model);
            if bears && names.iter().all(|(_, status)| *status == VersionStatus::Archived) {
                contradiction(&format!("it bears the alias {alias}"), "move the alias, or remove it");
            }
        }
    }
    let models: BTreeSet<&str> = named.keys().map(|version| version.model.as_str()).collect();
    for ((model, alias), version) in &registered.aliases {
        if models.contains(model.as_str()) && !named.contains_key(version) {
            let detail = format!(
                "it bears the alias {alias}, and no policy has it; add a version to the file, or move the alias"
            );
            comparison.drift.push(Drift::new(version.to_string(), detail));
        }
    }
}
