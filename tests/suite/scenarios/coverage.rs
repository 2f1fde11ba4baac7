//! What the scenarios together must show.

use std::collections::BTreeSet;

use rampkeeper::decide::{AdviceOnly, Decision, Forecast, Outcome, Reason, Step};
use rampkeeper::domain::RolloutStatus;
use rampkeeper::evidence::DayState;

use super::gates::{Gate, Made, REASONS, place};

/// Gates that cannot apply together. The deadline is about promotion, which comes after the last stage: nothing is taken
/// from control any more then, and a candidate without a share has its stages before it.
const APART: [(Gate, Gate); 2] = [(Gate::Deadline, Gate::Room), (Gate::NoShare, Gate::Deadline)];

/// Aggregates are a matter of the whole experiment, and the gate is asked as approvals are: these pairs show its place.
const OF_UNITS: [(Gate, Gate); 3] =
    [(Gate::Harm, Gate::UnitsKnown), (Gate::TimeAndUnits, Gate::UnitsKnown), (Gate::UnitsKnown, Gate::Approval)];

/// What one scenario showed, as texts.
pub fn shown(made: &Made, forecast: Option<&Forecast>) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let decision = &made.decision;
    shown.insert(format!("outcome {}", decision.outcome.word()));
    shown.extend(decision.reasons.iter().map(|reason| format!("reason {}", place(reason).0)));
    shown.extend(decision.reasons.iter().filter_map(variety));
    if made.told().is_empty() && decision.outcome == Outcome::Hold {
        shown.insert(if sibling(decision) { "held for a sibling" } else { "held by a mode" }.to_owned());
    }
    if let Some(forecast) = forecast {
        shown.insert(format!("forecast {}", forecast_word(forecast)));
    }
    if let Some(first) = made.told().first() {
        shown.extend(made.applying().iter().filter(|later| *later > first).map(|later| pair(*first, *later)));
    }
    shown
}

/// What a rollout that is over, or is not, showed.
pub fn ended(status: RolloutStatus) -> String {
    format!("candidate {}", status.as_str())
}

fn pair(earlier: Gate, later: Gate) -> String {
    format!("{earlier} › {later}")
}

fn sibling(decision: &Decision) -> bool {
    decision.reasons.iter().any(|reason| matches!(reason, Reason::SiblingPromoted { .. }))
}

fn forecast_word(forecast: &Forecast) -> &'static str {
    match forecast {
        Forecast::Expected { .. } => "expected",
        Forecast::Unreachable { .. } => "unreachable",
    }
}

/// Reasons that come in several kinds.
fn variety(reason: &Reason) -> Option<String> {
    Some(match reason {
        Reason::Stale { state, .. } => format!(
            "a day that is {}",
            match state {
                DayState::Complete => "complete",
                DayState::Missing => "missing",
                DayState::Broken { .. } => "broken",
                DayState::EndsEarly { .. } => "cut short",
                DayState::UnusualSize { .. } => "of unusual size",
            }
        ),
        Reason::AdviceOnly { would, why } => format!(
            "advice to {} by {}",
            step_word(would),
            match why {
                AdviceOnly::Mode => "the mode",
                AdviceOnly::KillSwitch => "the kill switch",
            }
        ),
        Reason::AwaitingApproval { step, .. } => format!("approval wanted to {}", step_word(step)),
        _ => return None,
    })
}

fn step_word(step: &Step) -> &'static str {
    match step {
        Step::Ramp { .. } => "ramp",
        Step::Promote => "promote",
        Step::Rollback => "roll back",
        Step::Stay => "stay",
    }
}

/// Everything that has to be shown.
fn wanted() -> BTreeSet<String> {
    let mut wanted: BTreeSet<String> = REASONS.iter().map(|reason| format!("reason {reason}")).collect();
    wanted.extend(["rollback", "promote", "ramp", "hold"].map(|word| format!("outcome {word}")));
    wanted.extend(["expected", "unreachable"].map(|word| format!("forecast {word}")));
    wanted.extend(["missing", "broken", "cut short", "of unusual size"].map(|word| format!("a day that is {word}")));
    for step in ["ramp", "promote", "roll back"] {
        wanted.extend(["the mode", "the kill switch"].map(|by| format!("advice to {step} by {by}")));
    }
    wanted.extend(["ramp", "promote"].map(|step| format!("approval wanted to {step}")));
    wanted.extend(["held for a sibling", "held by a mode"].map(str::to_owned));
    use RolloutStatus::{Promoted, Ramping, RolledBack, Superseded};
    wanted.extend([Ramping, Promoted, RolledBack, Superseded].map(ended));
    for (place, earlier) in Gate::ALL.into_iter().enumerate() {
        let of_units = |later: Gate| earlier == Gate::UnitsKnown || later == Gate::UnitsKnown;
        let later = Gate::ALL.into_iter().skip(place + 1).filter(|later| !APART.contains(&(earlier, *later)));
        let later = later.filter(|later| !of_units(*later) || OF_UNITS.contains(&(earlier, *later)));
        wanted.extend(later.map(|later| pair(earlier, later)));
    }
    wanted
}

/// What none of the scenarios showed.
pub fn missing<'a>(shown: impl Iterator<Item = &'a String>) -> Vec<String> {
    let shown: BTreeSet<&String> = shown.collect();
    wanted().into_iter().filter(|wanted| !shown.contains(wanted)).collect()
}
