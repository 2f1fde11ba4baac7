//! Versions that could become candidates, and what each of them waits for.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Asked, Candidate, plan_enrolment};
use crate::config::Policies;
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, Kind, VersionRow};
use crate::domain::{Judgement, Mode, ModelVersion, Share, VariantConfig, VersionName, VersionStatus};

/// A version that could become a candidate of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The experiment.
    pub experiment: String,
    /// The version.
    pub version: VersionName,
    /// The model version behind it.
    pub model: Option<ModelVersion>,
    /// What the offline gate says of it.
    pub judgement: Judgement,
    /// What becomes of it.
    pub prospect: Prospect,
}

/// What becomes of a version that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "prospect", rename_all = "snake_case")]
pub enum Prospect {
    /// It has not passed offline evaluation.
    NotPassed,
    /// It passed, and something else speaks against it.
    Refused {
        /// What.
        why: Vec<String>,
    },
    /// A newer version that passed comes first.
    Behind,
    /// The next night lets it in.
    NextNight {
        /// With which share.
        share: Share,
    },
    /// Somebody must let it in.
    ByHand,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waiting { experiment, version, judgement, .. } = self;
        match &self.prospect {
            Prospect::NotPassed => write!(f, "{version}: offline evaluation {judgement}"),
            Prospect::Refused { why } => {
                write!(f, "{version} passed offline evaluation and stays out: {}", why.join("; "))
            }
            Prospect::Behind => write!(f, "{version} passed offline evaluation, and a newer version comes first"),
            Prospect::NextNight { share } => {
                write!(f, "{version} passed offline evaluation and comes in with the next night, with {share}")
            }
            Prospect::ByHand => {
                write!(f, "{version} passed offline evaluation; `rampkeeper enroll {experiment} {version}` lets it in")
            }
        }
    }
}

/// The versions that wait to come into an experiment, the newest first. Where nobody is let in by night, only those that
/// were evaluated.
pub fn waiting(catalogue: &Catalogue, record: &ExperimentRecord, policies: &Policies, now: Timestamp) -> Vec<Waiting> {
    let name = &record.experiment.name;
    let Some(row) = catalogue.experiments.iter().find(|row| row.id == record.experiment.id) else { return Vec::new() };
    let (policy, enrolment) = (policies.of(name), policies.enrolment_of(name));
    let auto = enrolment.auto && policy.mode == Mode::Act;
    let Some(wanted) = enrolment.policy.clone().or_else(|| served_policy(catalogue, row, &policy.control)) else {
        return Vec::new();
    };
    let mut found: Vec<Waiting> = Vec::new();
    for version in newest_untried(catalogue, row, &wanted, &policy.control) {
        let Some(version_row) = catalogue.named(Kind::Policy, &version) else { continue };
        let candidate = Candidate { id: version_row.id, name: version.clone(), model: version_row.model() };
        let model = candidate.model.clone();
        let judgement = candidate.judged(catalogue, &policies.criteria).judgement;
        if !auto && judgement.result.is_none() {
            continue;
        }
        let behind = found.iter().any(|newer| newer.judgement.is_pass());
        let asked = Asked::by_night(name.clone(), version.clone());
        let prospect = match plan_enrolment(&asked, catalogue, Some(record), policies, now) {
            _ if !judgement.is_pass() => Prospect::NotPassed,
            Err(refusals) => Prospect::Refused { why: refusals.into_iter().map(|refusal| refusal.message).collect() },
            Ok(_) if !auto => Prospect::ByHand,
            Ok(_) if behind => Prospect::Behind,
            Ok(enrolling) => Prospect::NextNight { share: enrolling.share },
        };
        found.push(Waiting { experiment: name.clone(), version, model, judgement, prospect });
    }
    found
}

/// The policy whose version an experiment's control serves.
fn served_policy(catalogue: &Catalogue, experiment: &ExperimentRow, control: &str) -> Option<String> {
    served(catalogue, experiment, control).map(|(name, _)| name.name)
}

/// The policy version that an experiment's control serves.
fn served<'a>(
    catalogue: &'a Catalogue,
    experiment: &ExperimentRow,
    control: &str,
) -> Option<(VersionName, &'a VersionRow)> {
    let control = experiment.variants.iter().find(|variant| variant.name == control)?;
    catalogue.version(Kind::Policy, VariantConfig::parse(&control.config).ok()?.policy_version_id()?)
}

/// Versions of a policy that the night may let in, the newest first: active, newer than control's, and never in the
/// experiment before.
pub fn newest_untried(
    catalogue: &Catalogue,
    experiment: &ExperimentRow,
    policy: &str,
    control: &str,
) -> Vec<VersionName> {
    let Some(family) = catalogue.policies.iter().find(|family| family.name == policy) else { return Vec::new() };
    // Where control serves another policy, or none, nothing says which versions are newer.
    let served = served(catalogue, experiment, control).filter(|(_, row)| row.family == family.id);
    let Some((served, _)) = served else { return Vec::new() };
    let mut versions: Vec<&VersionRow> = catalogue
        .policy_versions
        .iter()
        .filter(|row| row.family == family.id && row.status == VersionStatus::Active && row.version > served.version)
        .filter(|row| was_in(catalogue, experiment, Kind::Policy, row.id).is_none())
        .collect();
    versions.sort_by_key(|row| std::cmp::Reverse(row.version));
    versions.into_iter().map(|row| VersionName { name: policy.to_owned(), version: row.version }).collect()
}

/// As what a version is, or was, in an experiment.
pub(super) fn was_in(catalogue: &Catalogue, experiment: &ExperimentRow, kind: Kind, id: Uuid) -> Option<String> {
    let serves = |config: &Value| {
        let config = VariantConfig::parse(config).ok()?;
        match kind {
            Kind::Policy => config.policy_version_id(),
            Kind::Prompt => config.prompt_version_id(),
        }
    };
    let variant = experiment.variants.iter().find(|variant| serves(&variant.config) == Some(id));
    let as_variant = variant.map(|variant| format!("as variant {}", variant.name));
    as_variant
        .or_else(|| catalogue.enrolled.contains(&(experiment.id, id)).then(|| "as a variant that was deleted".into()))
}
