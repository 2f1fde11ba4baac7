//! The running experiments: whether a night could judge them, and whether enough units come to judge anything by.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use uuid::Uuid;

use super::Asked;
use super::finding::{Area, Finding, in_time, some_of};
use super::metrics;
use crate::control::{ControlStore, ExperimentRecord};
use crate::domain::{ExperimentStatus, ModelVersion, Policy, RolloutStatus, Share, Variant};
use crate::evidence::{Cohort, MetricSet};
use crate::night;

const AREA: Area = Area::Experiments;

/// Closed days whose units are averaged.
const RECENT_DAYS: i64 = 7;

/// A stage that takes longer than this at the present inflow will hardly be waited for.
const LONG_DAYS: f64 = 60.0;

/// What the store says of the experiments, for every area that needs it.
pub(super) struct Known {
    /// Those that are active or paused.
    pub(super) records: Vec<ExperimentRecord>,
    /// The names of all that there are.
    pub(super) names: Vec<String>,
    /// The model versions behind the policy versions.
    pub(super) versions: BTreeMap<Uuid, ModelVersion>,
    /// The prompt versions.
    pub(super) prompts: BTreeSet<Uuid>,
}

impl Known {
    /// Those that a night judges.
    pub(super) fn active(&self) -> impl Iterator<Item = &ExperimentRecord> {
        self.records.iter().filter(|record| record.experiment.status == ExperimentStatus::Active)
    }
}

/// Loads the experiments, if anybody asks about something that needs them.
pub(super) async fn load(asked: &Asked<'_>, store: &ControlStore) -> Result<Option<Known>, Finding> {
    use Area::{Configuration, Experiments, Freshness, Mail, Registry};
    if !asked.wants_any(&[Configuration, Experiments, Freshness, Mail, Registry]) && !metrics::asks_the_store(asked) {
        return Ok(None);
    }
    let loaded = in_time(async {
        Ok::<Known, anyhow::Error>(Known {
            records: store.load_experiments().await?,
            names: store.experiment_names().await?,
            versions: store.load_versions().await?,
            prompts: store.load_prompt_versions().await?,
        })
    });
    loaded.await.map(Some).map_err(|error| {
        let mend = "run `rampkeeper migrate`; if the tables are there, see what the lines about grants say";
        Finding::fail(AREA, "tables", error, mend)
    })
}

/// What is to be said of the experiments.
pub(super) async fn findings(asked: &Asked<'_>, store: Option<&ControlStore>, known: Option<&Known>) -> Vec<Finding> {
    let (Some(store), Some(known)) = (store, known) else { return Vec::new() };
    if known.records.is_empty() {
        let detail = "none is active or paused; a night has nothing to judge";
        return vec![Finding::ok(AREA, "experiments", detail)];
    }
    let mut findings = Vec::new();
    for record in &known.records {
        let experiment = &record.experiment;
        if experiment.status == ExperimentStatus::Paused {
            findings.push(Finding::ok(AREA, &experiment.name, "paused; every night leaves it alone"));
            continue;
        }
        let policy = asked.config.policies.of(&experiment.name);
        let mut told = faults(record, policy, known);
        told.extend(dates(asked, record));
        match in_time(inflow(asked, store, record, policy)).await {
            Ok(found) => told.extend(found),
            Err(error) => {
                told.push(Finding::fail(AREA, &experiment.name, error, "see what the lines about the store say"))
            }
        }
        if told.is_empty() {
            let shares = experiment.variants.iter().filter(|variant| variant.allocation > Share::NONE);
            let shares: Vec<String> =
                shares.map(|variant| format!("{} {}", variant.name, variant.allocation)).collect();
            told.push(Finding::ok(AREA, &experiment.name, some_of(&shares)));
        }
        findings.extend(told);
    }
    findings
}

/// The candidates that a night would judge.
pub(super) fn candidates<'a>(record: &'a ExperimentRecord, policy: &'a Policy) -> impl Iterator<Item = &'a Variant> {
    let closed = |variant: &&Variant| {
        let state = record.rollouts.iter().find(|state| state.candidate == variant.id);
        state.is_some_and(|state| state.status != RolloutStatus::Ramping)
    };
    let variants = record.experiment.variants.iter();
    variants.filter(|v| v.name != policy.control && v.allocation > Share::NONE).filter(move |v| !closed(v))
}

/// What keeps candidates from rising, in the words of the night.
fn faults(record: &ExperimentRecord, policy: &Policy, known: &Known) -> Vec<Finding> {
    let name = &record.experiment.name;
    let mut faults = night::shared_faults(record, policy);
    let own = candidates(record, policy).flat_map(|candidate| night::own_faults(candidate, &known.versions));
    faults.extend(own);
    // Control's version is archived or deprecated after a decision; one that is not there leaves that step undone.
    for variant in record.experiment.variants.iter().filter(|variant| variant.allocation > Share::NONE) {
        let Ok(config) = &variant.config else { continue };
        if let Some(id) = config.prompt_version_id().filter(|id| !known.prompts.contains(id)) {
            faults.push(format!("variant {}: prompt version {id} is not in exp.prompt_versions", variant.name));
        }
        let of_control = config.policy_version_id().filter(|_| variant.name == policy.control);
        if let Some(id) = of_control.filter(|id| !known.versions.contains_key(id)) {
            faults.push(format!("variant {}: policy version {id} is not in exp.policy_versions", variant.name));
        }
    }
    let mend = "mend the experiment's rows in schema exp; until then nothing of it rises";
    let mut findings: Vec<Finding> = faults.into_iter().map(|fault| Finding::fail(AREA, name, fault, mend)).collect();
    if findings.is_empty() && candidates(record, policy).next().is_none() {
        let detail = "no variant beside control has a share, so nothing is judged";
        let mend = "give a candidate a share, or complete the experiment";
        findings.push(Finding::warn(AREA, name, detail, mend));
    }
    findings
}

fn dates(asked: &Asked<'_>, record: &ExperimentRecord) -> Option<Finding> {
    let experiment = &record.experiment;
    let end = experiment.end_at.filter(|end| *end <= asked.now)?;
    let detail = format!("still active, though its end was {end}; it is judged all the same");
    Some(Finding::warn(AREA, &experiment.name, detail, "complete or pause it, or set exp.experiments.end_at anew"))
}

/// Whether the units that come make the present stage end in a time that somebody would wait.
async fn inflow(
    asked: &Asked<'_>,
    store: &ControlStore,
    record: &ExperimentRecord,
    policy: &Policy,
) -> anyhow::Result<Vec<Finding>> {
    let metrics = policy.guardrails.iter().filter_map(|guardrail| asked.config.metrics.get(&guardrail.metric));
    let Some(set) = MetricSet::group(metrics).into_iter().next() else { return Ok(Vec::new()) };
    let cohorts = store.load_cohorts(record.experiment.id, &set).await?;
    let Some(through) = cohorts.iter().map(|cohort| cohort.date).max() else { return Ok(Vec::new()) };
    let Some(control) = record.experiment.variant(&policy.control) else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for candidate in candidates(record, policy) {
        let state = record.rollouts.iter().find(|state| state.candidate == candidate.id);
        let stage = state.map_or_else(|| policy.stage_of(candidate.allocation), |state| state.stage);
        let Some(stage) = policy.stages.get(stage) else { continue };
        let arms = [control, candidate].map(|arm| units_a_day(&cohorts, arm, through));
        let fewest = arms[0].min(arms[1]);
        let days = stage.min_units as f64 / fewest;
        let bound = policy.max_nights.map_or(LONG_DAYS, f64::from);
        if days > bound {
            let what = format!("{}, {}", record.experiment.name, candidate.name);
            let detail = format!(
                "{:.1} units a day in control and {:.1} in the candidate up to {through}: the {} units per arm of its stage take {}",
                arms[0],
                arms[1],
                stage.min_units,
                if days.is_finite() { format!("{days:.0} days") } else { "for ever".to_owned() },
            );
            let mend = "see whether units are assigned at all; widen the experiment, or lower `min_units` knowing that little will be shown";
            findings.push(Finding::warn(AREA, what, detail, mend));
        }
    }
    Ok(findings)
}

/// Units per day of an arm in the last closed days.
fn units_a_day(cohorts: &[Cohort], arm: &Variant, through: Date) -> f64 {
    let since = through.saturating_sub((RECENT_DAYS - 1).days());
    let recent = || cohorts.iter().filter(|cohort| cohort.date >= since);
    let days: BTreeSet<Date> = recent().map(|cohort| cohort.date).collect();
    let units: u64 = recent().filter(|cohort| cohort.variant == arm.id).map(|cohort| cohort.health.units).sum();
    units as f64 / days.len().max(1) as f64
}
