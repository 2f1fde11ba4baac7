//! Each change as a sentence.

use std::fmt;

use super::{Flip, Setting};
use crate::decide::{Outcome, Percent, Reason, Rounded};
use crate::domain::Bound;
use crate::evidence::Scale;

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, it would have been {}", self.setting, past(&self.then.outcome))?;
        match (&self.then.outcome, self.then.reasons.first()) {
            (Outcome::Hold | Outcome::Rollback, Some(reason)) => write!(f, " ({}).", reason.brief()),
            _ => f.write_str("."),
        }
    }
}

/// What would have become of the candidate.
fn past(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rollback => "rolled back".to_owned(),
        Outcome::Promote => "promoted".to_owned(),
        Outcome::Ramp { to, .. } => format!("ramped to {to}"),
        Outcome::Hold => "held".to_owned(),
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Metric { metric, change, scale, bound, measured, instead } => {
                let way = if *change < 0.0 { "lower" } else { "higher" };
                let size = if change.abs() < 1e-5 {
                    "ever so slightly".to_owned()
                } else {
                    format!("{} %", Rounded(100.0 * change.abs()))
                };
                write!(f, "Had {metric} been {size} {way} in the candidate")?;
                let show = |value: f64| match scale {
                    Scale::Lift => Percent(value).to_string(),
                    Scale::Value => Rounded(value).to_string(),
                };
                if let (Some(measured), Some(instead)) = (measured, instead) {
                    write!(f, " ({} instead of the measured {}", show(*instead), show(*measured))?;
                    match bound {
                        Bound::Margin(_) => f.write_str(")")?,
                        Bound::Ceiling(limit) => write!(f, ", ceiling {})", Rounded(*limit))?,
                        Bound::Floor(limit) => write!(f, ", floor {})", Rounded(*limit))?,
                    }
                }
                Ok(())
            }
            Setting::Nearer { part } => {
                write!(
                    f,
                    "Had every metric of the candidate been {} % of the way nearer to control",
                    Rounded(100.0 * part)
                )
            }
            Setting::Units { times, candidate, measured } => {
                let times = Rounded(*times);
                write!(
                    f,
                    "Had {times} times as many units come in ({candidate} in the candidate instead of {measured})"
                )
            }
            Setting::Nights { nights: 1, as_of } => write!(f, "After one more night like the latest ({as_of})"),
            Setting::Nights { nights, as_of } => {
                write!(f, "After {nights} more nights like the latest (that is {as_of})")
            }
            Setting::Without { reasons } => {
                let told: Vec<String> = reasons.iter().map(without).collect();
                f.write_str(&sentence(&told.join(", and ")))
            }
        }
    }
}

/// A world in which that reason could not be given.
fn without(reason: &Reason) -> String {
    match reason {
        Reason::RolledBackByHand { said } => format!("had {} not taken it off", said.by),
        Reason::HeldByHand { hold } => format!("had {} not held it", hold.said.by),
        Reason::Frozen { freeze } => format!("without the freeze {:?}", freeze.name),
        Reason::NotActive { status } => format!("had the experiment been active and not {}", status.as_str()),
        Reason::Misconfigured { .. } => "without the faults of the configuration".to_owned(),
        Reason::SampleRatioMismatch { .. } | Reason::HarmHeldForMismatch => "had the split been as planned".to_owned(),
        Reason::MultipleExposure { .. } => "had no unit been seen in two arms".to_owned(),
        Reason::NotNumbers { .. } => "had all values been numbers".to_owned(),
        Reason::Stale { date, .. } => format!("had the events of {date} been complete"),
        Reason::QueryFailed { .. } => "had the warehouse answered with nothing new".to_owned(),
        Reason::DataVanished { .. } => "had no data stopped coming".to_owned(),
        Reason::TooSoon { needed, .. } => format!("had the stage lasted its {needed} days"),
        Reason::NotWholeWeeks { .. } => "had the stage lasted whole weeks".to_owned(),
        Reason::CoolingDown { .. } => "had the allocations not changed lately".to_owned(),
        Reason::NotConfirmed { needed, .. } => format!("had it been shown on {needed} nights"),
        Reason::FromAggregates { .. } => "had units been known, and shown the same".to_owned(),
        Reason::AwaitingApproval { .. } => "had somebody approved it".to_owned(),
        Reason::Rejected { said } => format!("had {} approved instead of rejected it", said.by),
        Reason::AdviceOnly { .. } => "had the job been allowed to act".to_owned(),
        Reason::NoRoom { .. } => "had control had all the rest of the units".to_owned(),
        other => format!("without \"{}\"", other.brief()),
    }
}

/// The text with a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
