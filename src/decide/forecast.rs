//! When a candidate that is held would go on, if everything stayed as it is; or that it never would.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};
use serde::{Deserialize, Serialize};

use super::{Decision, Facts, Outcome, Reason};
use crate::evidence::{Assessment, Comparison, Outlook, nights_after};

/// What a held candidate may expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "forecast", rename_all = "snake_case")]
pub enum Forecast {
    /// The night on which the last of what it waits for is there.
    Expected {
        /// The night, by its as-of date.
        on: Date,
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
            Forecast::Expected { on } => write!(f, "expected to go on with the night of {on}"),
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
    let outlook = Outlook::of(comparison, assessment);
    let mut latest = facts.as_of;
    for reason in &decision.reasons {
        match wait(reason, facts, &outlook)? {
            Ok(on) => latest = latest.max(on),
            Err(why) => return Some(Forecast::Unreachable { why }),
        }
    }
    (latest > facts.as_of).then_some(Forecast::Expected { on: latest })
}

/// Until when one reason stands; the error says why for ever.
fn wait(reason: &Reason, facts: &Facts, outlook: &Outlook) -> Option<Result<Date, String>> {
    let entered = facts.state.entered_on;
    let after = |date: Date, days: i64| date.saturating_add(days.days());
    Some(match reason {
        Reason::TooSoon { needed, .. } => Ok(after(entered, i64::from(*needed))),
        Reason::NotWholeWeeks { days, .. } => Ok(after(entered, (days / 7 + 1) * 7)),
        Reason::CoolingDown { days, needed } => Ok(after(facts.as_of, i64::from(*needed) - days)),
        Reason::BeforeFirstLook { night, first } => Ok(nights_after(facts.as_of, first.saturating_sub(*night))),
        Reason::NotConfirmed { shown, needed, .. } => Ok(nights_after(facts.as_of, needed.saturating_sub(*shown))),
        Reason::HeldByHand { hold } => Ok(after(hold.until?, 1)),
        Reason::Frozen { freeze } => {
            let ends = freeze.until?.to_zoned(TimeZone::UTC).date();
            // A night that runs after the end speaks about the day before it at the earliest.
            Ok(ends.max(facts.as_of.saturating_add(1.days())))
        }
        Reason::TooFewUnits { control, candidate, needed } => {
            let nights = |have: u64, per_day: f64| {
                let missing = needed.saturating_sub(have) as f64;
                if missing > 0.0 { missing / per_day } else { 0.0 }
            };
            let nights = nights(*control, outlook.control_per_day).max(nights(*candidate, outlook.candidate_per_day));
            if nights.is_finite() && nights < 3650.0 {
                Ok(nights_after(facts.as_of, nights.ceil() as u32))
            } else {
                Err(format!("too few units come in to reach {needed} per arm"))
            }
        }
        Reason::NotShownSafe { .. } | Reason::NotShownBetter { .. } => {
            outlook.shown_in.clone().map(|nights| nights_after(facts.as_of, nights.max(1)))
        }
        Reason::HarmToTell { .. } => Ok(facts.as_of),
        _ => return None,
    })
}

/// Full days between two nights.
pub(super) fn days_between(from: Date, to: Date) -> i64 {
    from.until((Unit::Day, to)).map_or(0, |span| i64::from(span.get_days()))
}
