//! When a candidate that is held would go on, if everything stayed as it is; or that it never would.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};
use serde::{Deserialize, Serialize};

use super::{Decision, Facts, Outcome, Reason, Situation, gates};
use crate::domain::{Approval, Share, Stage};
use crate::evidence::{Assessment, Comparison, Outlook, nights_after};

/// What a held candidate may expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "forecast", rename_all = "snake_case")]
pub enum Forecast {
    /// The night on which the last of what it waits for is there.
    Expected {
        /// The night, by its as-of date.
        on: Date,
        /// Whether somebody's approval is still to be asked for then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        approval: bool,
    },
    /// It cannot go on as things are.
    Unreachable {
        /// Why not.
        why: String,
    },
}

impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Forecast::Expected { on, approval: false } => write!(f, "expected to go on with the night of {on}"),
            Forecast::Expected { on, approval: true } => {
                write!(f, "expected to be ready for somebody's approval with the night of {on}")
            }
            Forecast::Unreachable { why } => write!(f, "cannot go on: {why}"),
        }
    }
}

/// The forecast of a held candidate. None where it waits for a person, or for data whose coming nobody can tell.
pub fn forecast(
    comparison: &Comparison<'_>,
    assessment: &Assessment,
    facts: &Facts,
    decision: &Decision,
) -> Option<Forecast> {
    if decision.outcome != Outcome::Hold {
        return None;
    }
    let stages = &comparison.policy.stages;
    let stage = stages.get(facts.state.stage.min(stages.len().saturating_sub(1)))?;
    if decision.reasons.iter().any(|reason| matches!(reason, Reason::DeadlineRollback { .. })) {
        return None;
    }
    // Time alone does not bring what aggregates may not do.
    let situation = Situation { policy: comparison.policy, assessment, facts };
    if gates::knowledge_of_units(&situation, gates::next_stage(&situation)).is_some() {
        return None;
    }
    let waiting = Waiting { stage, facts, outlook: Outlook::of(comparison, assessment), comparison, assessment };
    let waits: Vec<Option<Result<Date, String>>> =
        decision.reasons.iter().map(|reason| waiting.for_end_of(reason)).collect();
    // What never comes need not wait for what nobody can tell.
    if let Some(why) = waits.iter().flatten().find_map(|wait| wait.as_ref().err()) {
        return Some(Forecast::Unreachable { why: why.clone() });
    }
    let mut latest = facts.as_of;
    for wait in waits {
        latest = latest.max(wait?.ok()?);
    }
    if latest <= facts.as_of || facts.wish.rejected.is_some() {
        return None;
    }
    let approval = stage.approval == Approval::Required && facts.wish.approved.is_none();
    Some(Forecast::Expected { on: latest, approval })
}

/// A candidate that waits.
struct Waiting<'a> {
    stage: &'a Stage,
    facts: &'a Facts,
    outlook: Outlook,
    comparison: &'a Comparison<'a>,
    assessment: &'a Assessment,
}

impl Waiting<'_> {
    /// Until when one reason stands; the error says why for ever, and nothing that nobody can tell.
    ///
    /// A night is taken to run soon after the day that it speaks about: whatever ends with a day is over for the night of that
    /// day.
    fn for_end_of(&self, reason: &Reason) -> Option<Result<Date, String>> {
        let Waiting { stage, facts, outlook, comparison, assessment } = self;
        let after = |date: Date, days: i64| date.saturating_add(days.days());
        let tomorrow = after(facts.as_of, 1);
        let entered = facts.state.entered_on;
        Some(match reason {
            Reason::TooSoon { needed, .. } => {
                let days = if stage.whole_weeks { needed.div_ceil(7) * 7 } else { *needed };
                Ok(after(entered, i64::from(days)))
            }
            Reason::NotWholeWeeks { days, .. } => Ok(after(entered, (days / 7 + 1) * 7)),
            Reason::CoolingDown { needed, .. } => Ok(after(facts.changed_on?, i64::from(*needed))),
            Reason::NotConfirmed { shown, needed, .. } => Ok(nights_after(facts.as_of, needed.saturating_sub(*shown))),
            Reason::HeldByHand { hold } => Ok(hold.until?.max(tomorrow)),
            Reason::Frozen { freeze } => {
                let last_moment = freeze.until?.checked_sub(1.nanosecond()).ok()?;
                Ok(last_moment.to_zoned(TimeZone::UTC).date().max(tomorrow))
            }
            Reason::TooFewUnits { control, candidate, needed } => {
                let nights = |have: u64, per_day: f64| {
                    let missing = needed.saturating_sub(have) as f64;
                    if missing > 0.0 { missing / per_day } else { 0.0 }
                };
                let (of_control, of_candidate) = outlook.units_per_day?;
                let nights = nights(*control, of_control).max(nights(*candidate, of_candidate));
                if nights.is_finite() && nights < 3650.0 {
                    Ok(nights_after(facts.as_of, nights.ceil() as u32))
                } else {
                    Err(format!("too few units come in to reach {needed} per arm"))
                }
            }
            Reason::BeforeFirstLook { night, first } => {
                let wait = first.saturating_sub(*night);
                // The bar of the first looks is higher than that of the nights before them.
                outlook.shown_in.clone().unwrap_or(Ok(0)).map(|nights| nights_after(facts.as_of, nights.max(wait)))
            }
            // On the ramp a guardrail that could not be measured is meant, and nobody can tell when it will be.
            Reason::NotShownSafe { .. }
                if comparison.policy.stages.iter().any(|stage| stage.allocation > facts.share) =>
            {
                return None;
            }
            Reason::NotShownSafe { .. } | Reason::NotShownBetter { .. } => {
                outlook.shown_in.clone()?.map(|nights| nights_after(facts.as_of, nights.max(1)))
            }
            Reason::RiskOverBudget { to, budget, .. } => {
                let nights = Outlook::risk_borne_in(comparison, assessment, *to, *budget)?;
                nights.map(|nights| nights_after(facts.as_of, nights.max(1)))
            }
            // Where nobody else has a share, none will come free.
            Reason::NoRoom { control, keep, .. } if control.saturating_add(facts.share) == Share::ALL => Err(format!(
                "control must keep {keep}, the share of the first stage, and the next stage leaves it less"
            )),
            Reason::HarmToTell { .. } => Ok(facts.as_of),
            _ => return None,
        })
    }
}

/// Full days between two nights.
pub(super) fn days_between(from: Date, to: Date) -> i64 {
    from.until((Unit::Day, to)).map_or(0, |span| i64::from(span.get_days()))
}
