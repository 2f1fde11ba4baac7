//! What the evidence must show before a candidate goes on to the next step.

use super::Situation;
use super::finding::Finding;
use super::gates::deadline_rollback;
use super::reason::Reason;
use crate::domain::{AfterDeadline, Bound, OnHarm, Policy, Share, SuccessTest};
use crate::evidence::{Assessment, PromotionLook, Reading, Verdict};

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
    if reasons.is_empty() {
        let shown = situation.facts.shown_before + 1;
        let wanted = situation.policy.confirmation.filter(|wanted| shown < wanted.nights);
        return wanted.map(|w| Reason::NotConfirmed { shown, needed: w.nights, of: w.of }).into_iter().collect();
    }
    if deadline_rollback(situation).is_some() {
        // That the nights are over was told with what follows from it.
        reasons.retain(|reason| !matches!(reason, Reason::DeadlinePassed { .. }));
    }
    for reason in &mut reasons {
        if let Reason::NotShownSafe { findings } | Reason::NotShownBetter { findings } = reason {
            // That there are no data of a metric was told as such.
            findings.retain(|finding| finding.verdict != Verdict::NoData.word());
        }
    }
    let says_nothing = |reason: &Reason| match reason {
        Reason::NotShownSafe { findings } | Reason::NotShownBetter { findings } => findings.is_empty(),
        _ => false,
    };
    reasons.retain(|reason| !says_nothing(reason));
    reasons
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
    let guardrails: Vec<Finding> = binding(policy, assessment).map(Finding::from).collect();
    if assessment.success_shown(policy, false) {
        let guarded = |finding: &Finding| policy.guardrails.iter().any(|g| g.metric == finding.metric);
        let mut success = success(policy, assessment, false, true);
        // What a guardrail has just told need not be told again.
        success.retain(|finding| finding.superior || !guarded(finding));
        Reason::ShownSafe { guardrails, success, days }
    } else {
        Reason::ShownSafeAtDeadline { guardrails, success: success(policy, assessment, true, true) }
    }
}

/// The guardrails that bind: all but those that are only to be told of.
fn binding<'a>(policy: &'a Policy, assessment: &'a Assessment) -> impl Iterator<Item = &'a Reading> {
    assessment.guardrails.iter().filter(|reading| policy.on_harm(&reading.metric) != OnHarm::Warn)
}

/// Evidence of harm that is too much to go on with.
fn suspicion(policy: &Policy, assessment: &Assessment, candidates: usize) -> Vec<Reason> {
    let harmed: Vec<Finding> = binding(policy, assessment).filter(|r| r.verdict.is_harm()).map(Finding::from).collect();
    // Written so that a NaN, which is no evidence of anything, closes the gate.
    let quiet = assessment.log_e_rollback < log_warn(policy, candidates);
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

fn log_warn(policy: &Policy, candidates: usize) -> f64 {
    (candidates.max(1) as f64 / policy.alphas.warn.get()).ln()
}

/// Harm that is told as shown, or as an incident, need not be told as suspected, too.
pub(super) fn leave_out_repeated_harm(situation: &Situation<'_>, reasons: &mut Vec<Reason>) {
    let told = |metric: &str, log_e: f64| {
        reasons.iter().any(|reason| match reason {
            Reason::HarmInsideMargin { finding } => finding.metric == metric,
            Reason::LimitBrokenByBoth { finding } => {
                finding.metric == metric && log_e < log_warn(situation.policy, situation.facts.candidates)
            }
            _ => false,
        })
    };
    let repeated = |reason: &Reason| match reason {
        Reason::HarmSuspected { findings, log_e } => findings.iter().all(|finding| told(&finding.metric, *log_e)),
        _ => false,
    };
    let kept: Vec<bool> = reasons.iter().map(|reason| !repeated(reason)).collect();
    let mut kept = kept.into_iter();
    reasons.retain(|_| kept.next().unwrap_or(true));
}
