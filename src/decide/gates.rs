//! The gates of the way up, and the one way down. Each answers with the reasons that keep it closed.

use jiff::Unit;

use super::reason::{Finding, Reason};
use super::{Look, Situation};
use crate::domain::{Bound, Share};
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
    let log_needed = (situation.candidates.max(1) as f64 / policy.alphas.rollback.get()).ln();
    let log_e = assessment.log_e_rollback;
    let shared: Vec<Reason> = assessment
        .guardrails
        .iter()
        .filter(|r| r.control_breaks_limit && r.verdict == Verdict::Breach)
        .map(|r| Reason::LimitBrokenByBoth { finding: r.into() })
        .collect();
    // NaN compares as not proven.
    if log_e >= log_needed {
        let mut carriers: Vec<&Reading> =
            assessment.guardrails.iter().filter(|r| r.log_e_adjusted >= log_needed).collect();
        if carriers.is_empty() {
            // The proof is that some guardrail is harmed, without saying which: the worst one stands for it.
            carriers.extend(assessment.guardrails.iter().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm)));
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
        situation.faults.iter().map(|what| Reason::Misconfigured { what: what.clone() }).collect();
    if let Some(split) = assessment.split.as_ref().filter(|split| split.mismatch) {
        reasons.push(Reason::SampleRatioMismatch {
            candidate_units: split.candidate_units,
            planned: split.planned_candidate_units,
            log_e: split.log_e,
            chi_square_p: split.chi_square_p,
        });
    }
    if assessment.multiple_exposure > situation.max_multiple_exposure {
        let borne = situation.max_multiple_exposure;
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
    let mut reasons = match situation.look {
        Look::Fresh => Vec::new(),
        Look::Stale { date, state } => vec![Reason::Stale { date: *date, state: state.clone() }],
        Look::QueryFailed { why } => vec![Reason::QueryFailed { why: why.clone() }],
    };
    let readings = situation.assessment.guardrails.iter().chain(&situation.assessment.success);
    let unmeasured = readings.filter(|r| r.verdict == Verdict::NoData);
    reasons.extend(unmeasured.map(|r| Reason::NoData { metric: r.metric.clone() }));
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
    let (control, candidate) = (situation.assessment.control_units, situation.assessment.candidate_units);
    if control < stage.min_units || candidate < stage.min_units {
        reasons.push(Reason::TooFewUnits { control, candidate, needed: stage.min_units });
    }
    reasons
}

/// Full days in the stage, up to and with the as-of date.
pub(super) fn days_in_stage(situation: &Situation<'_>) -> i64 {
    let span = situation.state.entered_on.until((Unit::Day, situation.as_of));
    span.map_or(0, |span| i64::from(span.get_days()))
}

/// A ramp is no proof but a bounded exposure: no suspicion of harm at α_warn, and no estimate outside its margin that is
/// precise enough to tell (statistics.md 3.6c).
pub(super) fn evidence_for_ramp(situation: &Situation<'_>) -> Vec<Reason> {
    let mut reasons = suspicion(situation);
    let outside: Vec<&Reading> = situation
        .assessment
        .guardrails
        .iter()
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
    // A guardrail that could not be measured at all is no licence to expose more units.
    let blind: Vec<Finding> =
        situation.assessment.guardrails.iter().filter(|r| r.effect.is_none()).map(Finding::from).collect();
    if !blind.is_empty() {
        reasons.push(Reason::NotShownSafe { findings: blind });
    }
    reasons
}

/// Promotion: every guardrail shown safe and the success rule satisfied, on the same night (statistics.md 3.6b).
pub(super) fn evidence_for_promotion(situation: &Situation<'_>) -> Vec<Reason> {
    let mut reasons = suspicion(situation);
    match situation.assessment.promotion_look {
        PromotionLook::EveryNight | PromotionLook::Planned { .. } => {}
        PromotionLook::NotYet { night, first } => reasons.push(Reason::BeforeFirstLook { night, first }),
        PromotionLook::Over { max_nights } => reasons.push(Reason::DeadlinePassed { max_nights }),
    }
    let unsafe_ones: Vec<Finding> =
        situation.assessment.guardrails.iter().filter(|r| !r.verdict.is_safe()).map(Finding::from).collect();
    if !unsafe_ones.is_empty() {
        reasons.push(Reason::NotShownSafe { findings: unsafe_ones });
    }
    if !situation.assessment.success_shown(situation.policy) {
        reasons.push(Reason::NotShownBetter { findings: findings(&situation.assessment.success) });
    }
    reasons
}

/// Evidence of harm that is too much to go on with.
fn suspicion(situation: &Situation<'_>) -> Vec<Reason> {
    let assessment = situation.assessment;
    let log_warn = (situation.candidates.max(1) as f64 / situation.policy.alphas.warn.get()).ln();
    let harmed: Vec<Finding> =
        assessment.guardrails.iter().filter(|r| r.verdict.is_harm()).map(Finding::from).collect();
    // Written so that a NaN, which is no evidence of anything, closes the gate.
    let quiet = assessment.log_e_rollback < log_warn;
    if quiet && harmed.is_empty() {
        return Vec::new();
    }
    let worst = || {
        let worst = assessment.guardrails.iter().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm));
        worst.into_iter().map(Finding::from).collect()
    };
    let findings = if harmed.is_empty() { worst() } else { harmed };
    vec![Reason::HarmSuspected { findings, log_e: assessment.log_e_rollback }]
}

/// The stage that the candidate stands at. A policy may have lost stages since; the last one then stands for them.
fn stage_of(situation: &Situation<'_>) -> usize {
    situation.state.stage.min(situation.policy.stages.len().saturating_sub(1))
}

/// The stage to ramp to, with its allocation, or none where promotion is next. A share that was lowered by hand below its
/// stage's first returns to the stage.
pub(super) fn next_stage(situation: &Situation<'_>) -> Option<(usize, Share)> {
    let at = stage_of(situation);
    let stages = situation.policy.stages.iter().enumerate().skip(at);
    let mut above = stages.filter(|(_, stage)| stage.allocation > situation.share);
    above.next().map(|(index, stage)| (index, stage.allocation))
}

/// The next stage must leave control the share of the first stage, the least on which anything is judged.
pub(super) fn room(situation: &Situation<'_>, to: Share) -> Option<Reason> {
    let keep = situation.policy.stages.first().map_or(Share::NONE, |first| first.allocation);
    let wanted = to.saturating_sub(situation.share);
    let left = situation.control_share.saturating_sub(wanted);
    let fits = wanted <= situation.control_share && left >= keep;
    (!fits).then_some(Reason::NoRoom { control: situation.control_share, wanted, keep })
}

pub(super) fn findings(readings: &[Reading]) -> Vec<Finding> {
    readings.iter().map(Finding::from).collect()
}
