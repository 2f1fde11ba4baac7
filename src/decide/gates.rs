//! The gates of the way up, and the one way down. Each answers with the reasons that keep it closed.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::forecast::days_between;
use super::reason::{Reason, Step};
use super::{Look, Situation};
use crate::domain::{AfterDeadline, Approval, Bound, FromAggregates, OnHarm, Share};
use crate::evidence::{PromotionLook, Reading, Verdict};

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

/// The planned nights are over, and the policy takes such a candidate off.
pub(super) fn deadline_rollback(situation: &Situation<'_>) -> Option<Reason> {
    match situation.assessment.promotion_look {
        PromotionLook::Over { max_nights } if situation.policy.after_max_nights == AfterDeadline::Rollback => {
            Some(Reason::DeadlineRollback { max_nights })
        }
        _ => None,
    }
}

/// Aggregates know no units, so neither their split nor the true variance: they may lower, and raise as far as the policy
/// says. Told only where nothing else stands in the way, since no passing of time opens it.
pub(super) fn knowledge_of_units(situation: &Situation<'_>, next: Option<(usize, Share)>) -> Option<Reason> {
    situation.assessment.from_events.as_ref()?;
    let (needed, step) = match next {
        Some((_, to)) => (FromAggregates::Ramp, Step::Ramp { to }),
        None => (FromAggregates::Promote, Step::Promote),
    };
    (situation.policy.from_aggregates < needed).then_some(Reason::FromAggregates { step })
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
