//! The one sentence of each reason that record, mail and output share.

use std::fmt;

use super::AdviceOnly;
use super::finding::{EValue, Finding, Rounded};
use super::reason::Reason;
use crate::evidence::{Vanished, Verdict};

fn list(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}

struct FullDays(i64);

impl fmt::Display for FullDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} full {}", self.0, if self.0 == 1 { "day" } else { "days" })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::HarmShown { findings, log_e, log_needed } => {
                let needed = EValue(*log_needed);
                write!(f, "harm shown: {} (average e-value {}, needed {needed})", list(findings), EValue(*log_e))
            }
            Reason::HarmDespiteMismatch => f.write_str("the split was mismatched too, but lowering is the safe side"),
            Reason::HarmInsideMargin { finding } => {
                write!(f, "harm shown, but smaller than what is rolled back: {finding}")
            }
            Reason::LimitBrokenByBoth { finding } => {
                write!(
                    f,
                    "control breaks the same limit, so this is an incident and not the candidate's harm: {finding}"
                )
            }
            Reason::HarmSuspected { findings, log_e } => {
                // A metric's own test may show harm that the average over all of them does not.
                let harmed =
                    |finding: &Finding| [Verdict::Harm.word(), Verdict::Breach.word()].contains(&&*finding.verdict);
                let single = !findings.is_empty() && findings.iter().all(harmed);
                let what = if single { "harm in single metrics" } else { "harm is suspected" };
                write!(f, "{what}: {}", list(findings))?;
                // Below 1 it is no evidence of harm: the suspicion is then a single metric's, which it may leave out.
                if *log_e > 0.0 { write!(f, " (average e-value {})", EValue(*log_e)) } else { Ok(()) }
            }
            Reason::HarmHeldForMismatch => {
                f.write_str("harm shown, but the split is mismatched and the policy then holds")
            }
            Reason::HarmToTell { findings } => {
                write!(f, "harm shown where the policy only warns: {}", list(findings))
            }
            Reason::AdviceOnly { would, why: AdviceOnly::Mode } => {
                write!(f, "advice only, nothing is changed: it would {would} now")
            }
            Reason::AdviceOnly { would, why: AdviceOnly::KillSwitch } => {
                write!(f, "the kill switch is on, nothing is changed: it would {would} now")
            }
            Reason::RolledBackByHand { said } => write!(f, "rolled back by {}: {}", said.by, said.reason),
            Reason::HeldByHand { hold } => {
                write!(f, "held by {}", hold.said.by)?;
                if let Some(until) = hold.until {
                    write!(f, " until {until}")?;
                }
                if hold.even_if_harmful {
                    f.write_str(", even if harmful")?;
                }
                write!(f, ": {}", hold.said.reason)
            }
            Reason::Frozen { freeze } => {
                write!(f, "frozen: {}", freeze.name)?;
                freeze.until.map_or(Ok(()), |until| write!(f, ", until {until}"))
            }
            Reason::NotActive { status } => write!(f, "the experiment is {}", status.as_str()),
            Reason::Misconfigured { what } => write!(f, "misconfigured: {what}"),
            Reason::SampleRatioMismatch { candidate_units, planned, log_e, chi_square_p } => {
                write!(
                    f,
                    "sample ratio mismatch: {candidate_units} candidate units where the plan gives {planned:.0}"
                )?;
                write!(f, " (e-value {}", EValue(*log_e))?;
                match chi_square_p {
                    Some(p) => write!(f, ", chi-square p {p:.1e})"),
                    None => f.write_str(")"),
                }
            }
            Reason::MultipleExposure { share, borne } => {
                let (share, borne) = (Rounded(100.0 * share), Rounded(100.0 * borne));
                write!(f, "{share} % of the units were seen in two arms, {borne} % are borne")
            }
            Reason::NotNumbers { count, events } => {
                write!(
                    f,
                    "{count} values in {events} events are not numbers where a metric wants them; mend the field's name or the events to come"
                )
            }
            Reason::NoTraffic => f.write_str("its allocation is 0; give it a share of the units to have it judged"),
            Reason::Stale { date, state } => write!(f, "stale: the events of {date} are {state}"),
            Reason::QueryFailed { why } => write!(f, "the warehouse could not answer: {why}"),
            Reason::NoData { metric } => write!(f, "no data: {metric} has no closed cohort yet"),
            Reason::DataVanished { vanished: Vanished { metric, last, nights } } => {
                write!(f, "the data of {metric} stopped coming: ")?;
                match last {
                    Some(last) => write!(f, "{nights} nights without any since {last}"),
                    None => write!(f, "none in {nights} nights"),
                }
            }
            Reason::NotWholeWeeks { days, stage } => {
                write!(f, "{} at {stage}, and the stage is left after whole weeks only", FullDays(*days))
            }
            Reason::CoolingDown { days, needed } => {
                write!(f, "cooling down: {days} of {needed} full days since the allocations changed")
            }
            Reason::RiskOverBudget { finding, to, risk, budget } => {
                write!(f, "over the risk budget of {} %: ", Rounded(100.0 * budget))?;
                match risk {
                    Some(risk) => {
                        let risk = Rounded(100.0 * risk);
                        write!(f, "with {to} of the units up to {risk} % may be lost by {finding}")
                    }
                    None => write!(f, "nothing bounds the loss yet by {finding}"),
                }
            }
            Reason::NotConfirmed { shown, needed, of } => {
                write!(f, "shown, and to be confirmed: on {shown} of the last {of} nights, needed {needed}")
            }
            Reason::FromAggregates { step } => {
                write!(
                    f,
                    "everything is there to {step} but knowledge of units: aggregates over events alone may lower a candidate, \
                     and raise it only as far as `from_aggregates` in the promotion file allows"
                )
            }
            Reason::AwaitingApproval { step, .. } => write!(f, "everything is there to {step} but somebody's approval"),
            Reason::Rejected { said } => write!(f, "rejected by {}: {}", said.by, said.reason),
            Reason::Approved { said } => write!(f, "approved by {}: {}", said.by, said.reason),
            Reason::DeadlineRollback { max_nights } => {
                write!(
                    f,
                    "the {max_nights} planned nights are over without a promotion, and the policy then rolls back"
                )
            }
            Reason::ShownSafeAtDeadline { guardrails, success } => {
                let shown: Vec<Finding> = guardrails.iter().chain(success).cloned().collect();
                write!(f, "the last planned night, and shown no worse than the margins: {}", list(&shown))
            }
            Reason::TooSoon { days, needed, stage } => {
                write!(f, "too soon: {days} of {needed} full days at {stage}")
            }
            Reason::TooFewUnits { control, candidate, needed } => {
                write!(f, "too few units: control {control}, candidate {candidate}, needed {needed} each")
            }
            Reason::EstimateOutsideMargin { findings } => write!(f, "estimated outside the margin: {}", list(findings)),
            Reason::NotShownSafe { findings } => write!(f, "not yet shown safe: {}", list(findings)),
            Reason::BeforeFirstLook { night, first } => {
                write!(f, "too early to promote: night {night}, and the planned looks begin with night {first}")
            }
            Reason::DeadlinePassed { max_nights } => {
                write!(
                    f,
                    "the {max_nights} planned nights are over without a promotion; end the experiment, or begin a new one"
                )
            }
            Reason::NotShownBetter { findings } => write!(f, "not yet shown: {}", list(findings)),
            Reason::NoRoom { control, wanted, keep } => {
                write!(f, "no room: control has {control}, the ramp wants {wanted} of it, and {keep} must stay")
            }
            Reason::SiblingPromoted { sibling } => write!(f, "{sibling} is promoted tonight, and only one can be"),
            Reason::StagePassed { days, control_units, candidate_units } => {
                write!(f, "stage passed: {}, {control_units} and {candidate_units} units, no harm", FullDays(*days))
            }
            Reason::ShownSafe { guardrails, success, days } => {
                write!(f, "shown safe after {} at the last stage: {}", FullDays(*days), list(guardrails))?;
                if success.is_empty() { Ok(()) } else { write!(f, "; success metrics: {}", list(success)) }
            }
        }
    }
}
