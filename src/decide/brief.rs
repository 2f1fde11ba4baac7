//! Each reason in a few words, for tables in which a sentence has no room.

use super::AdviceOnly;
use super::finding::{Finding, Rounded};
use super::reason::Reason;

/// The metrics of findings: two by name, the others by their number.
fn names(findings: &[Finding]) -> String {
    let named: Vec<&str> = findings.iter().take(2).map(|finding| finding.metric.as_str()).collect();
    match findings.len() {
        0 => "no metric".to_owned(),
        1 | 2 => named.join(", "),
        3 => format!("{}, {}", named.join(", "), findings[2].metric),
        more => format!("{} and {} more", named.join(", "), more - 2),
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
            Reason::Stale { date, .. } => format!("stale: the events of {date}"),
            Reason::QueryFailed { .. } => "the warehouse did not answer".to_owned(),
            Reason::NoData { metric } => format!("no data: {metric}"),
            Reason::DataVanished { vanished } => format!("the data stopped: {}", vanished.metric),
            Reason::NotWholeWeeks { days, .. } => format!("whole weeks only: {days} days"),
            Reason::CoolingDown { days, needed } => format!("cooling down: {days} of {needed} days"),
            Reason::RiskOverBudget { finding, .. } => format!("over the risk budget: {}", finding.metric),
            Reason::NotConfirmed { shown, needed, .. } => format!("to be confirmed: {shown} of {needed} nights"),
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
