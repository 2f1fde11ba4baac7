//! What a person is told who asked for a judgement or an enrolment.

use serde::Serialize;

use crate::domain::{Finding, ModelVersion, Share, Threshold};
use crate::route::{Enrolling, Qualified};

/// What became of the versions at the gate.
#[derive(Clone, Debug, Serialize)]
pub struct QualifyReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Each version.
    pub versions: Vec<QualifiedVersion>,
    /// What is still to be done, with the error that keeps it from being done.
    pub unfinished: Vec<String>,
}

/// One version at the gate.
#[derive(Clone, Debug, Serialize)]
pub struct QualifiedVersion {
    /// Its name.
    pub version: String,
    /// The model version behind it.
    pub model: Option<ModelVersion>,
    /// `passed`, `failed` or `unjudged`.
    pub verdict: &'static str,
    /// The verdict with what it rests on.
    pub told: String,
    /// Each criterion.
    pub findings: Vec<Finding>,
    /// Whether it was judged from these results for the first time.
    pub new: bool,
}

/// What became of an enrolment.
#[derive(Clone, Debug, Serialize)]
pub struct EnrolReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The experiment.
    pub experiment: String,
    /// The new variant.
    pub variant: String,
    /// The version that it serves.
    pub version: String,
    /// Its share.
    pub share: Share,
    /// The others' shares, before and after.
    pub shares: Vec<(String, Share, Share)>,
    /// What it serves.
    pub config: serde_json::Value,
    /// What follows in the registry.
    pub steps: Vec<String>,
    /// What the offline gate said.
    pub gate: Option<String>,
    /// The thresholds that are frozen with it.
    pub thresholds: Vec<Threshold>,
    /// Rules that were set aside.
    pub set_aside: Vec<String>,
    /// What is still to be done, with the error that keeps it from being done.
    pub unfinished: Vec<String>,
}

/// The report of a visit to the gate.
pub(super) fn qualify_report<'a>(
    dry_run: bool,
    judged: impl Iterator<Item = (&'a Qualified, bool)>,
    unfinished: Vec<String>,
) -> QualifyReport {
    let versions = judged.map(|(Qualified { candidate, judgement }, new)| QualifiedVersion {
        version: candidate.name.to_string(),
        model: candidate.model.clone(),
        verdict: judgement.verdict.word(),
        told: judgement.to_string(),
        findings: judgement.findings.clone(),
        new,
    });
    QualifyReport { schema_version: 1, dry_run, versions: versions.collect(), unfinished }
}

/// The report of an enrolment.
pub(super) fn enrol_report(
    experiment: &str,
    enrolling: &Enrolling,
    dry_run: bool,
    unfinished: Vec<String>,
) -> EnrolReport {
    EnrolReport {
        schema_version: 1,
        dry_run,
        experiment: experiment.to_owned(),
        variant: enrolling.name.clone(),
        version: enrolling.version_name.to_string(),
        share: enrolling.share,
        shares: enrolling.shrunk.iter().map(|(_, name, from, to)| (name.clone(), *from, *to)).collect(),
        config: enrolling.config.clone(),
        steps: enrolling.steps.iter().map(ToString::to_string).collect(),
        gate: enrolling.judgement.as_ref().map(ToString::to_string),
        thresholds: enrolling.thresholds.clone(),
        set_aside: enrolling.set_aside.clone(),
        unfinished,
    }
}
