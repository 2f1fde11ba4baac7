//! The gates of the way up, and the one way down. Each answers with the reasons that keep it closed.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::forecast::days_between;
use super::reason::{Reason, Step};
use super::{Look, Situation};
use crate::domain::{AfterDeadline, Approval, Bound, OnHarm, Policy, Share, SuccessTest};
use crate::evidence::{Assessment, PromotionLook, Reading, Verdict};

/// The share of values that may be something other than numbers.
const MAX_NOT_NUMBERS: f64 = 0.001;

/// What the harm evidence demands.
pub(super) enum Harm {
    /// Nothing.
    None,
    /// Neither rollback nor advance.
    Hold(Vec<Reason>),
    /// Rollback.
    Rollback(Vec<Reason>),
}

/// Rollback when the average e-value reaches A/α and some guardrail that carries the proof is estimated worse than
/// `materiality` × its margin (statistics.md 3.6a). The second condition can only lower the error.
pub(super) fn harm(situation: &Situation<'_>) -> Harm {
    let (policy, assessment) = (situation.policy, situation.assessment);
    let log_needed = (situation.facts.candidates.max(1) as f64 / policy.alphas.rollback.get()).ln();
    let log_e = assessment.log_e_rollback;
    let shared: Vec<Reason> = assessment
        .guardrails
        .iter()
        .filter(|r| policy.on_harm(&r.metric) != OnHarm::Warn)
        .filter(|r| r.control_breaks_limit && r.verdict == Verdict::Breach)
        .map(|r| Reason::LimitBrokenByBoth { finding: r.into() })
        .collect();
    // NaN compares as not proven.
    if log_e >= log_needed {
        let answering = || assessment.guardrails.iter().filter(|r| policy.on_harm(&r.metric) == OnHarm::Rollback);
        let mut carriers: Vec<&Reading> = answering().filter(|r| r.log_e_adjusted >= log_needed).collect();
        if carriers.is_empty() {
            // The proof is that some guardrail is harmed, without saying which: the worst one stands for it.
            carriers.extend(answering().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm)));
        }
        carriers.sort_by(|a, b| b.log_e_harm.total_cmp(&a.log_e_harm));
        let material = carriers.iter().any(|r| is_material(r, policy.materiality));
        let mismatch = assessment.split.as_ref().is_some_and(|split| split.mismatch);
        if !material {
            let finding = carriers.first().map(|r| Finding::from(*r));
            return Harm::Hold(finding.into_iter().map(|finding| Reason::HarmInsideMargin { finding }).collect());
        }
        if mismatch && policy.srm_blocks_rollback {
            return Harm::Hold(vec![Reason::HarmHeldForMismatch]);
        }
        let findings = carriers.into_iter().map(Finding::from).collect();
        let mut reasons = vec![Reason::HarmShown { findings, log_e, log_needed }];
        if mismatch {
            reasons.push(Reason::HarmDespiteMismatch);
        }
        return Harm::Rollback(reasons);
    }
    if shared.is_empty() { Harm::None } else { Harm::Hold(shared) }
}

fn is_material(reading: &Reading, materiality: f64) -> bool {
    let least = match reading.bound {
        Bound::Margin(margin) => materiality * margin.get(),
        Bound::Ceiling(_) | Bound::Floor(_) => 0.0,
    };
    reading.estimated_harm().is_some_and(|harm| harm >= least)
}

/// Data that must not be believed: faults of the experiment, a mismatched split, units in two arms, text for numbers.
pub(super) fn invalid_data(situation: &Situation<'_>) -> Vec<Reason> {
    let assessment = situation.assessment;
    let mut reasons: Vec<Reason> =
        situation.facts.faults.iter().map(|what| Reason::Misconfigured { what: what.clone() }).collect();
    if let Some(split) = assessment.split.as_ref().filter(|split| split.mismatch) {
        reasons.push(Reason::SampleRatioMismatch {
            candidate_units: split.candidate_units,
            planned: split.planned_candidate_units,
            log_e: split.log_e,
            chi_square_p: split.chi_square_p,
        });
    }
    if assessment.multiple_exposure > situation.facts.max_multiple_exposure {
        let borne = situation.facts.max_multiple_exposure;
        reasons.push(Reason::MultipleExposure { share: assessment.multiple_exposure, borne });
    }
    // A stray value is left out and counted; more than that is a field of another meaning.
    if assessment.not_numbers as f64 > MAX_NOT_NUMBERS * assessment.events as f64 {
        reasons.push(Reason::NotNumbers { count: assessment.not_numbers, events: assessment.events });
    }
    reasons
}

/// Data that are not there.
pub(super) fn missing_data(situation: &Situation<'_>) -> Vec<Reason> {
    let mut reasons = match &situation.facts.look {
        Look::Fresh => Vec::new(),
        Look::Stale { date, state } => vec![Reason::Stale { date: *date, state: state.clone() }],
        Look::QueryFailed { why } => vec![Reason::QueryFailed { why: why.clone() }],
    };
    let readings = situation.assessment.guardrails.iter().chain(&situation.assessment.success);
    let unmeasured = readings.filter(|r| r.verdict == Verdict::NoData).map(|r| &r.metric);
    // A metric may be guardrail and success metric at once.
    let unmeasured: BTreeSet<&String> = unmeasured.collect();
    reasons.extend(unmeasured.into_iter().map(|metric| Reason::NoData { metric: metric.clone() }));
    reasons.extend(situation.facts.vanished.iter().map(|gone| Reason::DataVanished { vanished: gone.clone() }));
    reasons
}

/// The stage's least duration and units.
pub(super) fn time_and_units(situation: &Situation<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let Some(stage) = situation.policy.stages.get(stage_of(situation)) else { return reasons };
    let days = days_in_stage(situation);
    if days < i64::from(stage.min_days) {
        reasons.push(Reason::TooSoon { days, needed: stage.min_days, stage: stage.allocation });
    }
    if stage.whole_weeks && days % 7 != 0 && days >= i64::from(stage.min_days) {
        reasons.push(Reason::NotWholeWeeks { days, stage: stage.allocation });
    }
    // A change that tonight noticed is of tomorrow, seen from the day that the evidence speaks about.
    let since_change = situation.facts.changed_on.map(|changed| days_between(changed, situation.facts.as_of).max(0));
    if let Some(days) = since_change.filter(|days| *days < i64::from(situation.policy.cooldown_days)) {
        reasons.push(Reason::CoolingDown { days, needed: situation.policy.cooldown_days });
    }
    let (control, candidate) = (situation.assessment.control_units, situation.assessment.candidate_units);
    if control < stage.min_units || candidate < stage.min_units {
        reasons.push(Reason::TooFewUnits { control, candidate, needed: stage.min_units });
    }
    reasons
}

/// Full days in the stage, up to and with the as-of date; a stage that was entered after it has none.
pub(super) fn days_in_stage(situation: &Situation<'_>) -> i64 {
    days_between(situation.facts.state.entered_on, situation.facts.as_of).max(0)
}

/// A ramp is no proof but a bounded exposure: no suspicion of harm at α_warn, no estimate outside its margin that is
/// precise enough to tell (statistics.md 3.6c), and no more harm at stake than the risk budget.
pub(super) fn evidence_for_ramp(situation: &Situation<'_>, to: Share) -> Vec<Reason> {
    let mut reasons = suspicion(situation.policy, situation.assessment, situation.facts.candidates);
    let outside: Vec<&Reading> = binding(situation.policy, situation.assessment)
        .filter(|reading| {
            let (Some(harm), Some(se)) = (reading.estimated_harm(), reading.standard_error) else { return false };
            match reading.bound {
                Bound::Margin(margin) => harm > margin.get() && se < margin.get() / 2.0,
                // Half of the ten percent that a test against a limit is tuned to.
                Bound::Ceiling(limit) | Bound::Floor(limit) => harm > 0.0 && se < limit.abs() / 20.0,
            }
        })
        .collect();
    if !outside.is_empty() {
        reasons.push(Reason::EstimateOutsideMargin { findings: outside.into_iter().map(Finding::from).collect() });
    }
    // A guardrail that could not be measured is no licence to expose more units. Of one without any data that is told.
    let blind: Vec<Finding> = binding(situation.policy, situation.assessment)
        .filter(|reading| reading.effect.is_none() && reading.verdict != Verdict::NoData)
        .map(Finding::from)
        .collect();
    if !blind.is_empty() {
        reasons.push(Reason::NotShownSafe { findings: blind });
    }
    reasons.extend(risk(situation, to));
    reasons
}

/// The harm that the next stage may bring at worst: its share × the upper bound on a guardrail's loss.
fn risk(situation: &Situation<'_>, to: Share) -> Option<Reason> {
    let budget = situation.policy.risk_budget?;
    let margins = binding(situation.policy, situation.assessment).filter(|r| matches!(r.bound, Bound::Margin(_)));
    let at_stake = margins.map(|reading| {
        // Without an interval nothing bounds the loss.
        let loss = reading.worst_harm().map_or(f64::INFINITY, |harm| harm.max(0.0));
        (to.as_f64() * loss, reading)
    });
    let (risk, reading) = at_stake.max_by(|a, b| a.0.total_cmp(&b.0))?;
    // A record cannot hold what is not finite.
    let told = risk.is_finite().then_some(risk);
    (risk > budget).then(|| Reason::RiskOverBudget { finding: reading.into(), to, risk: told, budget })
}

/// Promotion: every guardrail shown safe and the success rule satisfied, on the same night (statistics.md 3.6b), and on
/// enough of the nights before.
pub(super) fn evidence_for_promotion(situation: &Situation<'_>) -> Vec<Reason> {
    let mut reasons = shown_for_promotion(situation.policy, situation.assessment, situation.facts.candidates);
    if deadline_rollback(situation).is_some() {
        // That the nights are over was told with what follows from it.
        reasons.retain(|reason| !matches!(reason, Reason::DeadlinePassed { .. }));
        return reasons;
    }
    match situation.policy.confirmation {
        Some(wanted) if reasons.is_empty() && situation.facts.shown_before + 1 < wanted.nights => {
            vec![Reason::NotConfirmed { shown: situation.facts.shown_before + 1, needed: wanted.nights, of: wanted.of }]
        }
        _ => reasons,
    }
}

/// What promotion still wants of the evidence of one night.
pub(super) fn shown_for_promotion(policy: &Policy, assessment: &Assessment, candidates: usize) -> Vec<Reason> {
    let mut reasons = suspicion(policy, assessment, candidates);
    match assessment.promotion_look {
        PromotionLook::EveryNight | PromotionLook::Planned { .. } => {}
        PromotionLook::NotYet { night, first } => reasons.push(Reason::BeforeFirstLook { night, first }),
        PromotionLook::Over { max_nights } => reasons.push(Reason::DeadlinePassed { max_nights }),
    }
    let unsafe_ones: Vec<Finding> =
        binding(policy, assessment).filter(|reading| !reading.verdict.is_safe()).map(Finding::from).collect();
    if !unsafe_ones.is_empty() {
        reasons.push(Reason::NotShownSafe { findings: unsafe_ones });
    }
    let lenient = is_lenient(policy, assessment);
    if !assessment.success_shown(policy, lenient) {
        reasons.push(Reason::NotShownBetter { findings: success(policy, assessment, lenient, false) });
    }
    reasons
}

/// The success metrics that are shown or not, as what they are to be.
fn success(policy: &Policy, assessment: &Assessment, lenient: bool, shown: bool) -> Vec<Finding> {
    let wanted = policy.success.metrics.iter().zip(&assessment.success).map(|(wanted, reading)| {
        let superior = wanted.test == SuccessTest::Superior && !lenient;
        let is_shown = if superior { reading.verdict == Verdict::Better } else { reading.verdict.is_safe() };
        (is_shown, Finding { superior, ..reading.into() })
    });
    wanted.filter(|(is_shown, _)| *is_shown == shown).map(|(_, finding)| finding).collect()
}

/// Whether tonight is the last planned look and the policy then takes "no worse by the margin" for an answer. What is
/// promoted was shown within its margins at a planned look either way, so the error rate is kept.
fn is_lenient(policy: &Policy, assessment: &Assessment) -> bool {
    let last = matches!(assessment.promotion_look, PromotionLook::Planned { look, of } if look == of);
    last && policy.after_max_nights == AfterDeadline::PromoteIfNonInferior
}

/// The reason of a promotion.
pub(super) fn promotion_shown_by(situation: &Situation<'_>, days: i64) -> Reason {
    let (policy, assessment) = (situation.policy, situation.assessment);
    let guardrails = binding(policy, assessment).map(Finding::from).collect();
    if assessment.success_shown(policy, false) {
        Reason::ShownSafe { guardrails, success: success(policy, assessment, false, true), days }
    } else {
        Reason::ShownSafeAtDeadline { guardrails, success: success(policy, assessment, true, true) }
    }
}

/// The planned nights are over, and the policy takes such a candidate off.
pub(super) fn deadline_rollback(situation: &Situation<'_>) -> Option<Reason> {
    match situation.assessment.promotion_look {
        PromotionLook::Over { max_nights } if situation.policy.after_max_nights == AfterDeadline::Rollback => {
            Some(Reason::DeadlineRollback { max_nights })
        }
        _ => None,
    }
}

/// The last gate: a person's yes, where the stage wants one.
pub(super) fn approval(situation: &Situation<'_>, next: Option<(usize, Share)>) -> Option<Reason> {
    let at = stage_of(situation);
    let stage = situation.policy.stages.get(at)?;
    let wish = &situation.facts.wish;
    if let Some(said) = &wish.rejected {
        return Some(Reason::Rejected { said: said.clone() });
    }
    let wanted = stage.approval == Approval::Required && wish.approved.is_none();
    let step = next.map_or(Step::Promote, |(_, to)| Step::Ramp { to });
    wanted.then_some(Reason::AwaitingApproval { stage: at, step })
}

/// Shown harm of guardrails that are only to be told of.
pub(super) fn warnings(situation: &Situation<'_>) -> Option<Reason> {
    let told = |reading: &&Reading| situation.policy.on_harm(&reading.metric) == OnHarm::Warn;
    let harmed = situation.assessment.guardrails.iter().filter(told).filter(|reading| reading.verdict.is_harm());
    let findings: Vec<Finding> = harmed.map(Finding::from).collect();
    (!findings.is_empty()).then_some(Reason::HarmToTell { findings })
}

/// The guardrails that bind: all but those that are only to be told of.
fn binding<'a>(policy: &'a Policy, assessment: &'a Assessment) -> impl Iterator<Item = &'a Reading> {
    assessment.guardrails.iter().filter(|reading| policy.on_harm(&reading.metric) != OnHarm::Warn)
}

/// Evidence of harm that is too much to go on with.
fn suspicion(policy: &Policy, assessment: &Assessment, candidates: usize) -> Vec<Reason> {
    let log_warn = (candidates.max(1) as f64 / policy.alphas.warn.get()).ln();
    let harmed: Vec<Finding> = binding(policy, assessment).filter(|r| r.verdict.is_harm()).map(Finding::from).collect();
    // Written so that a NaN, which is no evidence of anything, closes the gate.
    let quiet = assessment.log_e_rollback < log_warn;
    if quiet && harmed.is_empty() {
        return Vec::new();
    }
    let worst = || {
        let worst = binding(policy, assessment).max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm));
        worst.into_iter().map(Finding::from).collect()
    };
    let findings = if harmed.is_empty() { worst() } else { harmed };
    vec![Reason::HarmSuspected { findings, log_e: assessment.log_e_rollback }]
}

/// Harm that is told as shown need not be told as suspected, too.
pub(super) fn leave_out_repeated_harm(reasons: &mut Vec<Reason>) {
    let shown = reasons.iter().find_map(|reason| match reason {
        Reason::HarmInsideMargin { finding } => Some(finding.metric.clone()),
        _ => None,
    });
    let Some(shown) = shown else { return };
    let repeats = |findings: &[Finding]| findings.iter().all(|finding| finding.metric == shown);
    reasons.retain(|reason| !matches!(reason, Reason::HarmSuspected { findings, .. } if repeats(findings)));
}

/// The stage that the candidate stands at. A policy may have lost stages since; the last one then stands for them.
fn stage_of(situation: &Situation<'_>) -> usize {
    situation.facts.state.stage.min(situation.policy.stages.len().saturating_sub(1))
}

/// The stage to ramp to, with its allocation, or none where promotion is next. A share that was lowered by hand below its
/// stage's first returns to the stage.
pub(super) fn next_stage(situation: &Situation<'_>) -> Option<(usize, Share)> {
    let at = stage_of(situation);
    let stages = situation.policy.stages.iter().enumerate().skip(at);
    let mut above = stages.filter(|(_, stage)| stage.allocation > situation.facts.share);
    above.next().map(|(index, stage)| (index, stage.allocation))
}

/// The next stage must leave control the share of the first stage, the least on which anything is judged.
pub(super) fn room(situation: &Situation<'_>, to: Share) -> Option<Reason> {
    let keep = situation.policy.stages.first().map_or(Share::NONE, |first| first.allocation);
    let wanted = to.saturating_sub(situation.facts.share);
    let left = situation.facts.control_share.saturating_sub(wanted);
    let fits = wanted <= situation.facts.control_share && left >= keep;
    (!fits).then_some(Reason::NoRoom { control: situation.facts.control_share, wanted, keep })
}
