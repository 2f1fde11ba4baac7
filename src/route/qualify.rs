//! Which versions stand at the offline gate.

use uuid::Uuid;

use crate::control::{Catalogue, Kind};
use crate::domain::{Criteria, Judgement, ModelVersion, OfflineStatus, VersionName, VersionStatus, judge_offline};

/// A version at the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its key.
    pub id: Uuid,
    /// Its name.
    pub name: VersionName,
    /// The model version that it points at.
    pub model: Option<ModelVersion>,
}

/// A version, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Qualified {
    /// The version.
    pub candidate: Candidate,
    /// What became of it.
    pub judgement: Judgement,
}

impl Candidate {
    /// Judges it by what the catalogue has.
    pub fn judged(self, catalogue: &Catalogue, criteria: &Criteria) -> Qualified {
        let judgement = judge_offline(self.id, &catalogue.results, criteria);
        Qualified { candidate: self, judgement }
    }
}

/// The versions that are asked about: `POLICY/VERSION`, all that `POLICY` has, or, of everything, those that were evaluated
/// against a baseline.
///
/// # Errors
/// What was asked about is not there, or is archived.
pub fn versions_to_judge(catalogue: &Catalogue, asked: Option<&str>) -> Result<Vec<Candidate>, String> {
    let candidate = |id: Uuid| {
        let (name, row) = catalogue.version(Kind::Policy, id)?;
        Some(Candidate { id, name, model: row.model() })
    };
    let usable = catalogue.policy_versions.iter().filter(|row| row.status != VersionStatus::Archived);
    let Some(asked) = asked else {
        return Ok(usable
            .filter(|row| is_at_the_gate(catalogue, row.id))
            .filter_map(|row| candidate(row.id))
            .collect());
    };
    if let Some(policy) = catalogue.policies.iter().find(|policy| policy.name == asked) {
        return Ok(usable.filter(|row| row.family == policy.id).filter_map(|row| candidate(row.id)).collect());
    }
    let names = || catalogue.policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", ");
    let name: VersionName =
        asked.parse().map_err(|_| format!("there is no policy {asked:?}; there are: {}", names()))?;
    let Some(row) = catalogue.named(Kind::Policy, &name) else {
        return Err(format!(
            "{name} is not in the tables (policies there: {}); `rampkeeper policy sync` adds versions",
            names()
        ));
    };
    if row.status == VersionStatus::Archived {
        return Err(format!("{name} is archived and not available; a further try is a new version"));
    }
    Ok(candidate(row.id).into_iter().collect())
}

/// Whether a version's latest result is one that is to be judged. A baseline's own result names none.
fn is_at_the_gate(catalogue: &Catalogue, id: Uuid) -> bool {
    let results = catalogue.results.iter().filter(|result| result.policy_version == id);
    let latest = results.max_by_key(|result| (result.created_at, result.id));
    latest.is_some_and(|result| result.baseline.is_some() || result.status != OfflineStatus::Completed)
}
