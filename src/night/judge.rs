//! The pure middle of a night for one experiment: assess every candidate, decide, plan.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::collect::Collected;
use crate::config::Config;
use crate::control::ExperimentRecord;
use crate::decide::{Decision, Look, Outcome, Reason, Situation, decide, promote_at_most_one};
use crate::domain::{Epoch, ExperimentId, Policy, RolloutState, RolloutStatus, Share, Variant, VariantId};
use crate::evidence::{Assessment, Comparison, assess};
use crate::plan::{Plan, Versions, is_retired, plan};
use crate::report::{CandidateReport, ExperimentReport, Standing};

/// One experiment, judged.
pub(super) struct Judged {
    pub(super) candidates: Vec<JudgedCandidate>,
    pub(super) plan: Plan,
    /// SHA-256 of everything that the decisions were made from, the rollout state apart.
    pub(super) inputs_digest: String,
    stages: usize,
    /// Somebody else changed the split, and no decision has been made since.
    outside_change: bool,
}

/// One candidate, judged.
pub(super) struct JudgedCandidate {
    pub(super) name: String,
    pub(super) share: Share,
    pub(super) state: RolloutState,
    /// Whether that state differs from the stored one.
    pub(super) state_is_new: bool,
    pub(super) revision: i64,
    pub(super) assessment: Assessment,
    pub(super) decision: Decision,
}

/// Judges one experiment. Pure: the same record and cohorts give the same result.
pub(super) fn judge(
    config: &Config,
    record: &ExperimentRecord,
    versions: &Versions,
    collected: &Collected,
    as_of: Date,
) -> Judged {
    let experiment = &record.experiment;
    let policy = config.policies.of(&experiment.name);
    let control = experiment.variant(&policy.control);
    let arms = candidates_of(record, policy);
    let shared = shared_faults(record, policy);
    let max_multiple_exposure = config.settings.evidence.max_multiple_exposure.unwrap_or(0.001);
    let mut control_share = control.map_or(Share::NONE, |c| c.allocation);
    let mut candidates = Vec::new();
    let mut all_faults = shared.clone();
    for candidate in arms.iter().filter(|v| is_open(record, v.id)) {
        let (state, state_is_new) = state_of(record, policy, candidate, as_of);
        let assessment = assess(&Comparison {
            // Without a control nothing can be compared; the readings then say that there are no data.
            control: control.map_or(VariantId(Uuid::nil()), |c| c.id),
            candidate: candidate.id,
            candidates: arms.len(),
            policy,
            metrics: &config.metrics,
            cohorts: &collected.cohorts,
            epochs: &record.epochs,
            as_of,
        });
        let own = own_faults(candidate, versions);
        let faults: Vec<String> = shared.iter().chain(&own).cloned().collect();
        let decision = decide(&Situation {
            experiment,
            policy,
            candidates: arms.len(),
            state: &state,
            share: candidate.allocation,
            control_share,
            assessment: &assessment,
            look: &collected.look,
            faults: &faults,
            max_multiple_exposure,
            as_of,
        });
        if let Outcome::Ramp { to, .. } = decision.outcome {
            // What one sibling takes tonight is not there for the next.
            control_share = control_share.saturating_sub(to.saturating_sub(candidate.allocation));
        }
        all_faults.extend(own);
        let before = record.last_decisions.get(&candidate.id).filter(|last| last.as_of == as_of);
        candidates.push(JudgedCandidate {
            name: candidate.name.clone(),
            share: candidate.allocation,
            state,
            state_is_new,
            revision: before.map_or(0, |last| last.revision + 1),
            assessment,
            decision,
        });
    }
    let mut judgements: Vec<_> =
        candidates.iter_mut().map(|c| (c.name.as_str(), &c.assessment, &mut c.decision)).collect();
    promote_at_most_one(&mut judgements);
    let decided: Vec<_> = candidates.iter().map(|c| (&c.state, &c.decision)).collect();
    let plan = plan(experiment, policy, versions, &decided, as_of);
    let directions: Vec<_> = config.metrics.values().map(|metric| (&metric.name, metric.direction)).collect();
    let rules = json!([policy, directions, arms.len(), max_multiple_exposure]);
    let inputs_digest = inputs_digest(record, &rules, collected, &all_faults);
    let outside_change = outside_epoch(record).is_some();
    Judged { candidates, plan, inputs_digest, stages: policy.stages.len(), outside_change }
}

/// The variants that are, or were, judged against control: they share the error rates.
fn candidates_of<'a>(record: &'a ExperimentRecord, policy: &Policy) -> Vec<&'a Variant> {
    let known = |id| record.rollouts.iter().any(|r| r.candidate == id);
    let variants = record.experiment.variants.iter();
    let mut candidates: Vec<&Variant> = variants
        .filter(|v| v.name != policy.control && !is_retired(v) && (v.allocation > Share::NONE || known(v.id)))
        .collect();
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    candidates
}

/// Whether a candidate is still on its ramp. A closed arm does not come back with the same data.
fn is_open(record: &ExperimentRecord, candidate: VariantId) -> bool {
    let state = record.rollouts.iter().find(|r| r.candidate == candidate);
    state.is_none_or(|state| state.status == RolloutStatus::Ramping)
}

/// The stored state, or a new one: a candidate seen for the first time entered its stage with the present epoch, and one
/// whose share somebody changed by hand begins again at the stage of that share. Says whether it is new.
fn state_of(record: &ExperimentRecord, policy: &Policy, candidate: &Variant, as_of: Date) -> (RolloutState, bool) {
    let Some(stored) = record.rollouts.iter().find(|r| r.candidate == candidate.id) else {
        let state = RolloutState {
            experiment: record.experiment.id,
            candidate: candidate.id,
            status: RolloutStatus::Ramping,
            stage: policy.stage_of(candidate.allocation),
            entered_on: first_full_day(record).saturating_sub(1.days()),
            version: 0,
        };
        return (state, true);
    };
    let share_in =
        |epoch: &Epoch| epoch.allocations.iter().find(|(id, _)| *id == candidate.id).map(|(_, share)| *share);
    let before = outside_epoch(record).and_then(|index| record.epochs.get(index.checked_sub(1)?)).and_then(share_in);
    match before {
        Some(before) if before != candidate.allocation => {
            let stage = policy.stage_of(candidate.allocation);
            (RolloutState { stage, entered_on: as_of, ..stored.clone() }, true)
        }
        _ => (stored.clone(), false),
    }
}

/// The first day that the present epoch fills from its beginning.
fn first_full_day(record: &ExperimentRecord) -> Date {
    let began = record.epochs.last().map_or(record.created_at, |epoch| epoch.started_at).to_zoned(TimeZone::UTC);
    let at_midnight = began.time() == jiff::civil::Time::midnight();
    if at_midnight { began.date() } else { began.date().saturating_add(1.days()) }
}

/// The first epoch that somebody else began after the last decision, by its place in the list.
fn outside_epoch(record: &ExperimentRecord) -> Option<usize> {
    let decided = record.last_decisions.values().map(|last| last.decided_at).max();
    record.epochs.iter().position(|epoch| epoch.outside && decided.is_none_or(|at| epoch.started_at > at))
}

/// Faults of the experiment that concern every candidate.
fn shared_faults(record: &ExperimentRecord, policy: &Policy) -> Vec<String> {
    let experiment = &record.experiment;
    let mut faults = record.faults.clone();
    match experiment.variant(&policy.control) {
        None => {
            let names: Vec<&str> = experiment.variants.iter().map(|v| v.name.as_str()).collect();
            let control = &policy.control;
            faults.push(format!(
                "there is no variant named {control:?} to compare with (there are: {}); name the control in the promotion file",
                names.join(", ")
            ));
        }
        Some(control) => {
            if let Err(error) = &control.config {
                faults.push(format!("variant {}: {error}", control.name));
            }
        }
    }
    let sum = experiment.allocated_ten_thousandths();
    if sum != 10_000 {
        let sum = f64::from(sum) / 10_000.0;
        faults.push(format!("the allocations sum to {sum}, not to 1; mend exp.variants.allocation"));
    }
    faults
}

/// Faults of one candidate.
fn own_faults(candidate: &Variant, versions: &Versions) -> Vec<String> {
    match &candidate.config {
        Err(error) => vec![format!("variant {}: {error}", candidate.name)],
        Ok(config) => {
            let missing = config.policy_version_id().filter(|id| !versions.contains_key(id));
            let told = missing
                .map(|id| format!("variant {}: policy version {id} is not in exp.policy_versions", candidate.name));
            told.into_iter().collect()
        }
    }
}

/// The digest of what was decided from. The rollout state is left out: it changes by the decision itself, and a repeated
/// night must find its own inputs again. So are epochs without a cohort, which a decision may have opened.
fn inputs_digest(record: &ExperimentRecord, rules: &Value, collected: &Collected, faults: &[String]) -> String {
    let checksums: Vec<String> = collected.cohorts.iter().map(|cohort| cohort.checksum()).collect();
    let last_epoch = collected.cohorts.iter().map(|cohort| cohort.epoch).max().unwrap_or(-1);
    let epochs = record.epochs.iter().filter(|epoch| epoch.number <= last_epoch);
    let epochs: BTreeMap<i64, _> = epochs.map(|epoch| (epoch.number, &epoch.allocations)).collect();
    let look = match &collected.look {
        Look::Fresh => json!("fresh"),
        Look::Stale { date, .. } => json!(["stale", date]),
        Look::QueryFailed { .. } => json!("query failed"),
    };
    let inputs = json!([record.experiment.status, rules, checksums, epochs, look, faults]);
    format!("{:x}", Sha256::digest(inputs.to_string()))
}

impl Judged {
    /// Whether every candidate was decided for this night before, from the same inputs.
    pub(super) fn is_known(&self, record: &ExperimentRecord, as_of: Date) -> bool {
        !self.outside_change
            && self.candidates.iter().all(|candidate| {
                let last = record.last_decisions.get(&candidate.state.candidate);
                last.is_some_and(|last| last.as_of == as_of && last.inputs_digest == self.inputs_digest)
            })
    }

    /// The experiment's part of the report.
    pub(super) fn report(&self, record: &ExperimentRecord, standing: Standing) -> ExperimentReport {
        let decided = standing == Standing::Decided;
        let candidates = self.candidates.iter().filter(|_| decided).map(|c| CandidateReport {
            name: c.name.clone(),
            decision_id: None,
            revision: c.revision,
            share: c.share,
            stage: (c.state.stage + 1, self.stages),
            decision: c.decision.clone(),
            assessment: c.assessment.clone(),
        });
        ExperimentReport {
            name: record.experiment.name.clone(),
            standing,
            faulty: self.candidates.iter().any(|c| c.decision.reasons.iter().any(Reason::is_failure)),
            candidates: candidates.collect(),
            allocations: if decided { self.plan.allocations.clone() } else { Vec::new() },
            steps: if decided { self.plan.steps.iter().map(|s| s.step.to_string()).collect() } else { Vec::new() },
            outside_change: self.outside_change,
            by_hand: Vec::new(),
        }
    }
}

impl JudgedCandidate {
    /// The decision's key: the same for the same candidate, night and revision.
    pub(super) fn decision_id(&self, as_of: Date, experiment: ExperimentId) -> Uuid {
        let name = format!("{} {as_of} {}", self.state.candidate, self.revision);
        Uuid::new_v5(&experiment.0, name.as_bytes())
    }
}
