//! What stood in the way and is no matter of the metrics: each is taken away, and the decision made again.

use jiff::ToSpan;

use super::{Flip, Setting, World, differs};
use crate::decide::{Decision, Facts, Look, Reason};
use crate::domain::{ExperimentStatus, Said, Share};
use crate::evidence::Assessment;

/// The facts that alone make a difference; where none does, all of them together if they do.
pub(super) fn without(world: &World<'_>, assessment: &Assessment, decision: &Decision) -> Vec<Flip> {
    let mut taken: Vec<&Reason> = Vec::new();
    let (mut no_facts, mut no_flaws) = (world.facts.clone(), assessment.clone());
    let mut flips = Vec::new();
    for reason in &decision.reasons {
        let known = taken.iter().any(|other| std::mem::discriminant(*other) == std::mem::discriminant(reason));
        let (mut facts, mut flawless) = (world.facts.clone(), assessment.clone());
        if known || !take_away(reason, &mut facts, &mut flawless) {
            continue;
        }
        take_away(reason, &mut no_facts, &mut no_flaws);
        taken.push(reason);
        let then = (world.decide)(&flawless, &facts);
        if differs(&then.outcome, &decision.outcome) {
            flips.push(Flip { setting: Setting::Without { reasons: vec![reason.clone()] }, then });
        }
    }
    if flips.is_empty() && taken.len() > 1 {
        let then = (world.decide)(&no_flaws, &no_facts);
        if differs(&then.outcome, &decision.outcome) {
            let reasons = taken.into_iter().cloned().collect();
            flips.push(Flip { setting: Setting::Without { reasons }, then });
        }
    }
    flips
}

/// Makes the world such that this reason would not be given. False where that is a matter of the metrics.
fn take_away(reason: &Reason, facts: &mut Facts, assessment: &mut Assessment) -> bool {
    match reason {
        Reason::RolledBackByHand { .. } => facts.wish.rollback = None,
        Reason::HeldByHand { .. } => facts.wish.hold = None,
        Reason::Frozen { .. } => facts.frozen = None,
        Reason::NotActive { .. } => facts.status = ExperimentStatus::Active,
        Reason::Misconfigured { .. } => facts.faults.clear(),
        Reason::SampleRatioMismatch { .. } | Reason::HarmHeldForMismatch => {
            if let Some(split) = &mut assessment.split {
                split.mismatch = false;
            }
        }
        Reason::MultipleExposure { .. } => assessment.multiple_exposure = 0.0,
        Reason::NotNumbers { .. } => assessment.not_numbers = 0,
        Reason::Stale { .. } | Reason::QueryFailed { .. } => facts.look = Look::Fresh,
        Reason::DataVanished { .. } => facts.vanished.clear(),
        Reason::TooSoon { days, needed, .. } => older(facts, i64::from(*needed) - days),
        Reason::NotWholeWeeks { days, .. } => older(facts, (7 - days % 7) % 7),
        Reason::CoolingDown { .. } => facts.changed_on = None,
        Reason::NotConfirmed { needed, .. } => facts.shown_before = *needed,
        Reason::FromAggregates { .. } => assessment.from_events = None,
        Reason::AwaitingApproval { .. } | Reason::Rejected { .. } => {
            facts.wish.rejected = None;
            facts.wish.approved = Some(Said { by: "somebody".to_owned(), reason: "as if".to_owned() });
        }
        Reason::AdviceOnly { .. } => facts.advice_only = None,
        Reason::NoRoom { .. } => facts.control_share = Share::ALL.saturating_sub(facts.share),
        Reason::HarmShown { .. }
        | Reason::HarmDespiteMismatch
        | Reason::HarmInsideMargin { .. }
        | Reason::LimitBrokenByBoth { .. }
        | Reason::HarmSuspected { .. }
        | Reason::HarmToTell { .. }
        | Reason::NoTraffic
        | Reason::NoData { .. }
        | Reason::RiskOverBudget { .. }
        | Reason::Approved { .. }
        | Reason::DeadlineRollback { .. }
        | Reason::ShownSafeAtDeadline { .. }
        | Reason::TooFewUnits { .. }
        | Reason::EstimateOutsideMargin { .. }
        | Reason::NotShownSafe { .. }
        | Reason::BeforeFirstLook { .. }
        | Reason::DeadlinePassed { .. }
        | Reason::NotShownBetter { .. }
        | Reason::SiblingPromoted { .. }
        | Reason::StagePassed { .. }
        | Reason::ShownSafe { .. } => return false,
    }
    true
}

/// Lets the stage have begun some days before it did.
fn older(facts: &mut Facts, days: i64) {
    facts.state.entered_on = facts.state.entered_on.saturating_sub(days.days());
}
