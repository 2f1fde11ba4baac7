//! Each reason in a few words, for tables in which a sentence has no room.

use super::finding::{Finding, Rounded};
use super::reason::Reason;
use super::{AdviceOnly, Decision};

impl Decision {
    /// The reasons in a few words each; those that say the same of several metrics as one.
    pub fn in_short(&self) -> Vec<String> {
        let unmeasured: Vec<&str> = self
            .reasons
            .iter()
            .filter_map(|reason| match reason {
                Reason::NoData { metric } => Some(metric.as_str()),
                _ => None,
            })
            .collect();
        let mut told = Vec::new();
        for reason in &self.reasons {
            let brief = match reason {
                Reason::NoData { .. } => format!("no data: {}", several(&unmeasured)),
                other => other.brief(),
            };
            if !told.contains(&brief) {
                told.push(brief);
            }
        }
        told
    }
}

/// The metrics of findings: three by name, or two and the number of the others.
fn names(findings: &[Finding]) -> String {
    let names: Vec<&str> = findings.iter().map(|finding| finding.metric.as_str()).collect();
    several(&names)
}

fn several(names: &[&str]) -> String {
    match names {
        [] => "no metric".to_owned(),
        [first, second, more @ ..] if more.len() > 1 => format!("{first}, {second} and {} more", more.len()),
        few => few.join(", "),
    }
}

impl Reason {
    /// The reason in a few words.
    pub fn brief(&self) -> String {
        match self {
            Reason::HarmShown { findings, .. } => format!("harm shown: {}", names(findings)),
            Reason::HarmDespiteMismatch => "the split was mismatched too".to_owned(),
            Reason::HarmInsideMargin { finding } => format!("harm shown, but small: {}", finding.metric),
            Reason::LimitBrokenByBoth { finding } => format!("control breaks the limit too: {}", finding.metric),
            Reason::HarmSuspected { findings, .. } => format!("harm suspected: {}", names(findings)),
            Reason::HarmHeldForMismatch => "harm shown, held for the mismatched split".to_owned(),
            Reason::HarmToTell { findings } => format!("harm to tell of: {}", names(findings)),
            Reason::AdviceOnly { would, why: AdviceOnly::Mode } => format!("advice only: would {would}"),
            Reason::AdviceOnly { would, why: AdviceOnly::KillSwitch } => format!("kill switch: would {would}"),
            Reason::RolledBackByHand { said } => format!("rolled back by {}", said.by),
            Reason::HeldByHand { hold } => match hold.until {
                Some(until) => format!("held by {} until {until}", hold.said.by),
                None => format!("held by {}", hold.said.by),
            },
            Reason::Frozen { freeze } => format!("frozen: {}", freeze.name),
            Reason::NotActive { status } => format!("the experiment is {}", status.as_str()),
            Reason::Misconfigured { what } => format!("misconfigured: {what}"),
            Reason::SampleRatioMismatch { .. } => "sample ratio mismatch".to_owned(),
            Reason::MultipleExposure { share, .. } => format!("{} % of units in two arms", Rounded(100.0 * share)),
            Reason::NotNumbers { count, .. } => format!("{count} values are not numbers"),
            Reason::NoTraffic => "its share is 0".to_owned(),
            Reason::Stale { date, state } => format!("stale: the events of {date} are {}", state.in_short()),
            Reason::QueryFailed { .. } => "the warehouse did not answer".to_owned(),
            Reason::NoData { metric } => format!("no data: {metric}"),
            Reason::DataVanished { vanished } => format!("the data stopped: {}", vanished.metric),
            Reason::NotWholeWeeks { days, .. } => format!("whole weeks only: {days} days"),
            Reason::CoolingDown { days, needed } => format!("cooling down: {days} of {needed} days"),
            Reason::RiskOverBudget { finding, .. } => format!("over the risk budget: {}", finding.metric),
            Reason::NotConfirmed { shown, needed, .. } => format!("to be confirmed: {shown} of {needed} nights"),
            Reason::FromAggregates { step } => format!("aggregates alone may not {step}"),
            Reason::AwaitingApproval { step, .. } => format!("awaits approval to {step}"),
            Reason::Rejected { said } => format!("rejected by {}", said.by),
            Reason::Approved { said } => format!("approved by {}", said.by),
            Reason::DeadlineRollback { max_nights } => format!("not promoted in {max_nights} nights"),
            Reason::ShownSafeAtDeadline { .. } => "shown no worse, on the last night".to_owned(),
            Reason::TooSoon { days, needed, .. } => format!("too soon: {days} of {needed} days"),
            Reason::TooFewUnits { control, candidate, needed } => {
                format!("too few units: {} of {needed}", control.min(candidate))
            }
            Reason::EstimateOutsideMargin { findings } => format!("estimated outside: {}", names(findings)),
            Reason::NotShownSafe { findings } => format!("not yet shown safe: {}", names(findings)),
            Reason::BeforeFirstLook { night, first } => format!("too early to promote: night {night} of {first}"),
            Reason::DeadlinePassed { max_nights } => format!("the {max_nights} planned nights are over"),
            Reason::NotShownBetter { findings } => format!("not yet shown: {}", names(findings)),
            Reason::NoRoom { .. } => "no room: control would get too small".to_owned(),
            Reason::SiblingPromoted { sibling } => format!("{sibling} was promoted"),
            Reason::StagePassed { days, .. } => format!("stage passed: {days} days, no harm"),
            Reason::ShownSafe { .. } => "shown safe".to_owned(),
        }
    }
}
