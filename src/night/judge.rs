//! The pure middle of a night for one experiment: assess every candidate, decide, plan.

mod digests;
mod faults;
mod state;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::collect::Collected;
use crate::config::Config;
use crate::control::ExperimentRecord;
use crate::decide::{
    AdviceOnly, Decision, Facts, Forecast, Look, Outcome, Reason, Situation, decide, forecast, promote_at_most_one,
    promotion_is_shown,
};
use crate::domain::{
    Amendment, ExistingUnits, ExperimentId, Freeze, Mode, Percentiles, Policy, RolloutState, RolloutStatus, Rules,
    Share, Variant, VariantId, Wish, in_force_since,
};
use crate::evidence::{
    Assessment, Cohort, Comparison, PercentileReading, Vanished, assess, closed_by, percentiles, vanished,
};
use crate::plan::{Moment, Plan, Versions, is_retired, plan};
use crate::report::{CandidateReport, ExperimentReport, Restatement, Standing};
pub(super) use digests::Digests;
use faults::unfrozen;
pub use faults::{own_faults, shared_faults};
use state::{outside_epoch, state_of};

/// One experiment, judged.
pub(super) struct Judged {
    pub(super) control: VariantId,
    pub(super) candidates: Vec<JudgedCandidate>,
    pub(super) plan: Plan,
    /// What it was judged by.
    pub(super) rules: Rules,
    pub(super) rules_digest: String,
    /// How that differs from the last night's.
    pub(super) amendment: Option<Amendment>,
    /// The first day whose units count, where the rules were changed on the way.
    pub(super) since: Option<Date>,
    pub(super) restatement: Option<Restatement>,
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
    pub(super) facts: Facts,
    pub(super) decision: Decision,
    pub(super) forecast: Option<Forecast>,
    /// What is shown and decides nothing.
    pub(super) percentiles: Vec<PercentileReading>,
}

/// What an experiment is judged from, beside its record.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) config: &'a Config,
    pub(super) versions: &'a Versions,
    pub(super) collected: &'a Collected,
    /// The day that the evidence speaks about.
    pub(super) as_of: Date,
    /// When the job would act.
    pub(super) now: Timestamp,
    /// How long assignment services may go on serving the split before a change.
    pub(super) settling_time: SignedDuration,
    /// The only candidates to judge: those that somebody takes off at once. All of them if false.
    pub(super) by_hand_only: bool,
    /// The digests of the rules that are known already.
    pub(super) digests: &'a Digests,
}

/// Judges one experiment. Pure: the same record and cohorts give the same result.
pub(super) fn judge(case: &Case<'_>, record: &ExperimentRecord) -> Judged {
    let Case { config, versions, collected, as_of, now, .. } = *case;
    let experiment = &record.experiment;
    let policy = config.policies.of(&experiment.name);
    let metrics = config.metrics_with(&record.thresholds);
    let rules = Rules::new(policy, &metrics);
    let amendment = record.rules.as_ref().and_then(|stored| rules.amend(&stored.rules));
    let since = match &amendment {
        // Whoever changed the rules may have seen everything up to tonight.
        Some(amendment) if amendment.restarts => Some(as_of.saturating_add(1.days())),
        _ => record.rules.as_ref().and_then(|stored| stored.evidence_from),
    };
    let control = experiment.variant(&policy.control);
    // Without a control nothing can be compared; the readings then say that there are no data.
    let control_id = control.map_or(VariantId(Uuid::nil()), |c| c.id);
    let arms = candidates_of(record, policy);
    let mut shared = shared_faults(record, policy);
    shared.extend(unfrozen(&metrics, policy));
    let comparison = Comparison {
        control: control_id,
        candidate: control_id,
        candidates: arms.len(),
        policy,
        metrics: &metrics,
        cohorts: &collected.cohorts,
        epochs: &record.epochs,
        as_of,
        since,
    };
    let frozen = Freeze::first_at(&policy.freezes, now);
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut control_share = control.map_or(Share::NONE, |c| c.allocation);
    let mut candidates = Vec::new();
    let mut all_faults = shared.clone();
    for candidate in arms.iter().filter(|v| is_open(record, v.id)) {
        let (state, state_is_new) = state_of(record, policy, candidate, as_of);
        let wish = Wish::of(&record.acts, &state, today);
        if case.by_hand_only && wish.rollback.is_none() {
            continue;
        }
        let comparison = Comparison { candidate: candidate.id, ..comparison };
        let assessment = assess(&comparison);
        let own = own_faults(candidate, versions);
        let facts = Facts {
            status: experiment.status,
            candidates: arms.len(),
            share: candidate.allocation,
            control_share,
            look: collected.look.clone(),
            faults: shared.iter().chain(&own).cloned().collect(),
            max_multiple_exposure: config.max_multiple_exposure(),
            as_of,
            frozen: frozen.clone(),
            wish,
            advice_only: advice_only(config, policy),
            changed_on: changed_on(record),
            vanished: silence(&comparison, record, candidate),
            shown_before: shown_before(&comparison),
            state: state.clone(),
        };
        let decision = decide(&Situation { policy, assessment: &assessment, facts: &facts });
        if let Outcome::Ramp { to, .. } = decision.outcome {
            // What one sibling takes tonight is not there for the next.
            control_share = control_share.saturating_sub(to.saturating_sub(candidate.allocation));
        }
        all_faults.extend(own);
        let before = record.last_decisions.get(&candidate.id).filter(|last| last.as_of == as_of);
        candidates.push(JudgedCandidate {
            name: candidate.name.clone(),
            share: candidate.allocation,
            forecast: forecast(&comparison, &assessment, &facts, &decision),
            percentiles: shown(&comparison, collected),
            state,
            state_is_new,
            revision: before.map_or(0, |last| last.revision + 1),
            assessment,
            facts,
            decision,
        });
    }
    let mut judgements: Vec<_> =
        candidates.iter_mut().map(|c| (c.name.as_str(), &c.assessment, &mut c.decision)).collect();
    promote_at_most_one(&mut judgements);
    for closed in candidates.iter_mut().filter(|c| c.decision.reasons.iter().any(is_about_a_sibling)) {
        closed.forecast = None;
    }
    let decided: Vec<_> = candidates.iter().map(|c| (&c.state, &c.decision)).collect();
    let plan = plan(experiment, policy, versions, &decided, moment(record, as_of, now, case.settling_time));
    let told: Vec<_> = record.acts.iter().map(|act| act.id).collect();
    let held: Vec<_> = candidates.iter().map(|c| &c.facts.wish.hold).collect();
    let frozen = frozen.map(|frozen| frozen.name);
    let rules_digest = case.digests.of(&rules);
    let given = json!([
        rules_digest,
        since,
        arms.len(),
        config.max_multiple_exposure(),
        advice_only(config, policy),
        frozen,
        told,
        held
    ]);
    let inputs_digest = inputs_digest(record, &given, collected, &all_faults);
    let outside_change = outside_epoch(record).is_some();
    Judged {
        control: control_id,
        candidates,
        plan,
        rules,
        rules_digest,
        amendment,
        since,
        restatement: collected.restatement.clone(),
        inputs_digest,
        stages: policy.stages.len(),
        outside_change,
    }
}

/// The percentiles of a candidate and control.
fn shown(comparison: &Comparison<'_>, collected: &Collected) -> Vec<PercentileReading> {
    let read = |(of, cohorts): &(Percentiles, Vec<Cohort>)| percentiles(&Comparison { cohorts, ..*comparison }, of);
    collected.percentiles.iter().flat_map(read).collect()
}

fn is_about_a_sibling(reason: &Reason) -> bool {
    matches!(reason, Reason::SiblingPromoted { .. })
}

fn advice_only(config: &Config, policy: &Policy) -> Option<AdviceOnly> {
    match policy.mode {
        _ if config.policies.kill_switch => Some(AdviceOnly::KillSwitch),
        Mode::Advise => Some(AdviceOnly::Mode),
        Mode::Act => None,
    }
}

/// When a changed split would be set. Not before the last epoch begins, which may be some minutes from now where control's
/// units were drawn anew just before.
pub(super) fn moment(record: &ExperimentRecord, as_of: Date, now: Timestamp, settling_time: SignedDuration) -> Moment {
    let last = record.epochs.last();
    let now = last.map_or(now, |last| now.max(last.started_at));
    Moment { as_of, now, settled: now + settling_time, epoch: last.map_or(0, |last| last.number + 1) }
}

/// When the experiment's allocations were last changed, after its beginning.
fn changed_on(record: &ExperimentRecord) -> Option<Date> {
    record.epochs.last().filter(|epoch| epoch.number > 0)?;
    Some(in_force_since(&record.epochs)?.to_zoned(TimeZone::UTC).date())
}

/// Guardrails whose data stopped coming; a candidate without a share brings none.
fn silence(comparison: &Comparison<'_>, record: &ExperimentRecord, candidate: &Variant) -> Vec<Vanished> {
    let (policy, since) = (comparison.policy, in_force_since(&record.epochs));
    let Some(since) = since.filter(|_| candidate.allocation > Share::NONE) else { return Vec::new() };
    let begin = since.to_zoned(TimeZone::UTC).date();
    // Where units are drawn anew, none need come in between: a day without a single unit is then no silence.
    let still = policy.on_ramp == ExistingUnits::Move;
    let last = comparison.cohorts.iter().map(|cohort| cohort.date).max().filter(|_| still);
    vanished(
        comparison.cohorts,
        (comparison.control, comparison.candidate),
        comparison.metrics,
        policy.guardrails.iter().map(|guardrail| guardrail.metric.as_str()),
        (begin, comparison.as_of, last),
        policy.page_after_nights,
    )
}

/// On how many of the nights before tonight promotion was shown, among those that confirmation looks at.
fn shown_before(comparison: &Comparison<'_>) -> u32 {
    let Some(confirmation) = comparison.policy.confirmation else { return 0 };
    let shown = (1..confirmation.of).filter(|back| {
        let as_of = comparison.as_of.saturating_sub(i64::from(*back).days());
        let cohorts = closed_by(comparison.cohorts, comparison.metrics, as_of);
        let assessment = assess(&Comparison { as_of, cohorts: &cohorts, ..*comparison });
        promotion_is_shown(comparison.policy, &assessment, comparison.candidates)
    });
    u32::try_from(shown.count()).unwrap_or(u32::MAX)
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

/// The digest of what was decided from. The rollout state is left out: it changes by the decision itself, and a repeated
/// night must find its own inputs again. So are epochs without a cohort, which a decision may have opened.
fn inputs_digest(record: &ExperimentRecord, rules: &Value, collected: &Collected, faults: &[String]) -> String {
    let last_epoch = collected.cohorts.iter().map(|cohort| cohort.epoch).max().unwrap_or(-1);
    let epochs = record.epochs.iter().filter(|epoch| epoch.number <= last_epoch);
    let epochs: BTreeMap<i64, _> = epochs.map(|epoch| (epoch.number, &epoch.allocations)).collect();
    let look = match &collected.look {
        Look::Fresh => json!("fresh"),
        Look::Stale { date, .. } => json!(["stale", date]),
        Look::QueryFailed { .. } => json!("query failed"),
    };
    let inputs = json!([record.experiment.status, rules, collected.checksums, epochs, look, faults]);
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
            // A policy may have lost stages since.
            stage: ((c.state.stage + 1).min(self.stages), self.stages),
            decision: c.decision.clone(),
            assessment: c.assessment.clone(),
            forecast: c.forecast.clone(),
            before: None,
            percentiles: c.percentiles.clone(),
            split_needed: Some(c.facts.candidates.max(1) as f64 / self.rules.policy.alphas.srm.get()),
        });
        ExperimentReport {
            name: record.experiment.name.clone(),
            standing,
            faulty: self.candidates.iter().any(|c| c.decision.reasons.iter().any(Reason::is_failure)),
            candidates: candidates.collect(),
            allocations: if decided { self.plan.allocations.clone() } else { Vec::new() },
            steps: if decided { self.plan.steps.iter().map(|s| s.step.to_string()).collect() } else { Vec::new() },
            outside_change: self.outside_change,
            amendment: self.amendment.clone(),
            restatement: self.restatement.clone().filter(|_| decided),
            evidence_from: self.since,
            owners: self.rules.policy.owners.clone(),
            by_hand: Vec::new(),
            route: Vec::new(),
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
