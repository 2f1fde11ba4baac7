//! What each reason means, for somebody who was woken up by it: what is the case, and what there is to do.

use crate::decide::{AdviceOnly, Decision, Finding, Outcome, Percent, Reason, Rounded};
use crate::domain::{Bound, Direction, Share};
use crate::evidence::{DayState, Scale};

/// What became of the candidate, in one sentence.
pub(super) fn outcome(decision: &Decision, candidate: &str, share: Option<Share>) -> String {
    let from = share.map_or("its share".to_owned(), |share| share.to_string());
    match &decision.outcome {
        Outcome::Rollback => format!("{candidate} was taken off: its {from} of the units went back to control."),
        Outcome::Promote => format!("{candidate} became the new baseline: it went from {from} to every unit."),
        Outcome::Ramp { to, .. } => format!("{candidate} was given more units: from {from} to {to}."),
        Outcome::Hold if decision.reasons.iter().any(|reason| matches!(reason, Reason::AdviceOnly { .. })) => {
            format!("{candidate} stayed at {from}: the job was told to advise and not to act.")
        }
        Outcome::Hold => format!("{candidate} stayed at {from}."),
    }
}

/// What a reason means and what there is to do.
pub(super) fn meaning(reason: &Reason) -> String {
    let wait = "Nothing is to be done; it goes on by itself.";
    match reason {
        Reason::HarmShown { findings, log_needed, .. } => format!(
            "{}. Evidence like this comes up in at most one of {} harmless experiments, however often one looks. Nothing \
             is to be done; another attempt is a new variant.",
            sentences(findings),
            Rounded(log_needed.exp())
        ),
        Reason::HarmDespiteMismatch => {
            "The units did not split as planned either, so the numbers may be off; but taking a candidate off is the safe \
             side. Look for where units get lost before the next attempt."
                .to_owned()
        }
        Reason::HarmInsideMargin { finding } => format!(
            "{}. That it is worse is certain, but it is less than the policy rolls back for (`materiality` × margin). Decide \
             whether that is acceptable: roll it back by hand, or let it wait.",
            sentence(finding)
        ),
        Reason::LimitBrokenByBoth { finding } => format!(
            "{}. Control is beyond the same limit, so something is wrong with both arms. Look for an incident.",
            sentence(finding)
        ),
        Reason::HarmSuspected { findings, .. } => format!(
            "{}. It is too early to call that harm, and too much to give it more units. {wait}",
            sentences(findings)
        ),
        Reason::HarmHeldForMismatch => {
            "Harm is shown, but the units did not split as planned, and the policy (`rollback.on_srm: hold`) wants a person \
             to look first. Mend the assignment, or roll it back by hand."
                .to_owned()
        }
        Reason::HarmToTell { findings } => {
            format!("{}. The policy only warns of these, so nothing else follows.", sentences(findings))
        }
        Reason::AdviceOnly { would, why } => {
            let who = match why {
                AdviceOnly::Mode => "`mode: advise` is set for it",
                AdviceOnly::KillSwitch => "the kill switch is on for all experiments",
            };
            format!("The job would {would}, but {who} in promotion.yml. Do it by hand, or let the job act.")
        }
        Reason::FromAggregates { step } => format!(
            "All that was looked at would let the job {step}. But it is made from aggregates over events, which know no units: \
             neither whether units split as planned nor how alike a unit's events are. Measure by units, decide by hand, or \
             set `from_aggregates` in promotion.yml."
        ),
        Reason::RolledBackByHand { said } => format!("{} took it off: {}", said.by, said.reason),
        Reason::HeldByHand { hold } => {
            let until = match hold.until {
                Some(until) => format!("It ends by itself after {until}."),
                None => "It lasts until somebody lifts it.".to_owned(),
            };
            format!("{} holds it: {}. {until}", hold.said.by, hold.said.reason)
        }
        Reason::Frozen { freeze } => match freeze.until {
            Some(until) => format!("Nothing goes up during the freeze {:?}, which ends at {until}. {wait}", freeze.name),
            None => format!("Nothing goes up during the freeze {:?}, whose end cannot be told.", freeze.name),
        },
        Reason::NotActive { status } => {
            format!("The experiment is {}, and then it is left as it is. Make it active to go on.", status.as_str())
        }
        Reason::Misconfigured { what } => format!("The experiment cannot be judged as it is set up: {what}"),
        Reason::SampleRatioMismatch { candidate_units, planned, .. } => format!(
            "{candidate_units} units came to the candidate where {planned:.0} were planned, which is no accident. Units get \
             lost in one arm, so no comparison can be trusted. Look at assignment, redirects, crashes and bots."
        ),
        Reason::MultipleExposure { share, .. } => format!(
            "{} % of the units were seen in both arms; they are left out, but so many say that the assignment is not \
             stable. Mend it.",
            Rounded(100.0 * share)
        ),
        Reason::NotNumbers { count, .. } => format!(
            "{count} values that should be numbers are text or something else. Mend the field's name in metrics.yml, or \
             the events."
        ),
        Reason::NoTraffic => "It has no share, so nothing can be learnt. Give it one, or end the experiment.".to_owned(),
        Reason::Stale { date, state } => {
            let accept = match state {
                DayState::EndsEarly { .. } | DayState::UnusualSize { .. } => {
                    " If the day is right as it is, name it under `evidence.accept_days`."
                }
                DayState::Missing | DayState::Broken { .. } | DayState::Complete => "",
            };
            format!("The events of {date} are {state}. Nothing goes up on half of the data; it goes on once they are there.{accept}")
        }
        Reason::QueryFailed { why } => format!("The warehouse could not answer, so nothing new was seen: {why}"),
        Reason::NoData { metric } => {
            format!("Not one unit has a value of {metric}. Missing is not zero: check the event's name in metrics.yml.")
        }
        Reason::DataVanished { vanished } => format!(
            "{} had data and has none any more, for {} nights. Check who writes those events.",
            vanished.metric, vanished.nights
        ),
        Reason::NotWholeWeeks { .. } => format!("The stage is left after 7, 14, 21 … full days only. {wait}"),
        Reason::CoolingDown { .. } => format!("The shares changed too lately for another change. {wait}"),
        Reason::RiskOverBudget { finding, to, .. } => format!(
            "At {to}, {} could do more harm over all units than the policy's `risk_budget` bears, as far as is known by \
             now. More units narrow that down. {wait}",
            finding.metric
        ),
        Reason::NotConfirmed { needed, of, .. } => {
            format!("Everything was shown tonight; the policy wants it on {needed} of {of} nights. {wait}")
        }
        Reason::AwaitingApproval { step, .. } => {
            format!("Everything is there to {step}, and the policy wants a person's yes. Approve or reject this decision.")
        }
        Reason::Rejected { said } => format!("{} said no: {}", said.by, said.reason),
        Reason::Approved { said } => format!("{} said yes: {}", said.by, said.reason),
        Reason::DeadlineRollback { max_nights } => format!(
            "The {max_nights} nights on which promotion could be shown are over, and the policy (`after_max_nights`) then \
             rolls back. It was not shown harmful; it was not shown safe enough."
        ),
        Reason::ShownSafeAtDeadline { .. } => {
            "On the last planned night everything is shown no worse than its margin, and the policy takes that for an \
             answer."
                .to_owned()
        }
        Reason::TooSoon { days, needed, stage } => {
            let over = if *days == 1 { "1 of them is over".to_owned() } else { format!("{days} of them are over") };
            format!("The stage of {stage} lasts {needed} full days at least, and {over}. {wait}")
        }
        Reason::TooFewUnits { control, candidate, needed } => format!(
            "Both arms need {needed} units whose time is over; control has {control} and the candidate {candidate}. {wait} If \
             the forecast says never, give it more traffic or a smaller `min_units`."
        ),
        Reason::EstimateOutsideMargin { findings } => format!(
            "{}. That is no proof of harm, but precise enough not to give it more units. {wait}",
            sentences(findings)
        ),
        Reason::NotShownSafe { findings } => {
            let missing = findings.iter().filter(|finding| finding.effect.is_none()).count();
            let hint = if missing > 0 { " What has no estimate could not be measured; see the table." } else { "" };
            format!("{}. Being inside is not yet certain enough. {wait}{hint}", sentences(findings))
        }
        Reason::BeforeFirstLook { first, .. } => {
            format!("Promotion is tested on planned nights, and night {first} is the first of them. {wait}")
        }
        Reason::DeadlinePassed { .. } => {
            "No error rate is left for another test of promotion. End the experiment, or begin a new one.".to_owned()
        }
        Reason::NotShownBetter { findings } => {
            format!("{}. What promotion wants shown of it is not shown yet. {wait}", sentences(findings))
        }
        Reason::NoRoom { keep, .. } => format!(
            "The next stage would take so much from control that less than {keep} stayed, and then nothing could be \
             compared. End another candidate first."
        ),
        Reason::SiblingPromoted { sibling } => {
            format!("{sibling} took every unit, and only one candidate can. This one is closed.")
        }
        Reason::StagePassed { .. } => "Long enough, units enough, and no sign of harm.".to_owned(),
        Reason::ShownSafe { .. } => {
            "Every guardrail is shown to be inside its limit, and what was wanted of the success metrics is shown.".to_owned()
        }
    }
}

fn sentences(findings: &[Finding]) -> String {
    let told: Vec<String> = findings.iter().map(sentence).collect();
    told.join("; ")
}

/// `cost_per_plan is 13.5 % higher than control (surely between +10.7 % and +16.4 %); at most 10 % higher is accepted`.
fn sentence(finding: &Finding) -> String {
    let metric = &finding.metric;
    let Some(effect) = finding.effect else { return format!("{metric} could not be measured") };
    let between = |show: &dyn Fn(f64) -> String| match finding.interval {
        Some(interval) if interval.low.is_finite() && interval.high.is_finite() => {
            format!(" (surely between {} and {})", show(interval.low), show(interval.high))
        }
        _ => String::new(),
    };
    match (finding.scale, finding.bound) {
        (Scale::Lift, bound) => {
            let percent = |value: f64| Percent(value).to_string();
            let way = if effect < 0.0 { "lower" } else { "higher" };
            let size = Rounded((1000.0 * effect.abs()).round() / 10.0);
            let is = if effect.abs() < 0.0005 {
                "is like control".to_owned()
            } else {
                format!("is {size} % {way} than control")
            };
            let accepted = match (bound, finding.direction) {
                (Bound::Margin(margin), Direction::Increase) => {
                    format!("; at most {} % lower", Rounded(100.0 * margin.get()))
                }
                (Bound::Margin(margin), Direction::Decrease) => {
                    format!("; at most {} % higher", Rounded(100.0 * margin.get()))
                }
                (Bound::Ceiling(_) | Bound::Floor(_), _) => String::new(),
            };
            let accepted = if accepted.is_empty() { accepted } else { format!("{accepted} is accepted") };
            format!("{metric} {is}{}{accepted}", between(&percent))
        }
        (Scale::Value, bound) => {
            let rounded = |value: f64| Rounded(value).to_string();
            let limit = match bound {
                Bound::Ceiling(limit) => format!("; it must not exceed {}", Rounded(limit)),
                Bound::Floor(limit) => format!("; it must not fall below {}", Rounded(limit)),
                Bound::Margin(_) => String::new(),
            };
            format!("{metric} is {}{}{limit}", Rounded(effect), between(&rounded))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Margin;
    use crate::evidence::Interval;

    fn finding(bound: Bound, scale: Scale, effect: f64) -> Finding {
        Finding {
            superior: false,
            metric: "cost".into(),
            bound,
            direction: Direction::Decrease,
            scale,
            effect: Some(effect),
            interval: Some(Interval { low: effect - 0.01, high: effect + 0.01 }),
            verdict: "harm".into(),
            insufficient: None,
        }
    }

    #[test]
    fn a_finding_is_a_sentence() {
        let margin = Bound::Margin(Margin::try_from(0.1).unwrap());
        assert_eq!(
            sentence(&finding(margin, Scale::Lift, 0.135)),
            "cost is 13.5 % higher than control (surely between +12.5 % and +14.5 %); at most 10 % higher is accepted"
        );
        assert!(sentence(&finding(margin, Scale::Lift, 0.0001)).starts_with("cost is like control (surely between"));
        assert_eq!(
            sentence(&finding(Bound::Ceiling(0.02), Scale::Value, 0.05)),
            "cost is 0.05 (surely between 0.04 and 0.06); it must not exceed 0.02"
        );
        let unmeasured = Finding { effect: None, ..finding(margin, Scale::Lift, 0.0) };
        assert_eq!(sentence(&unmeasured), "cost could not be measured");
    }
}
