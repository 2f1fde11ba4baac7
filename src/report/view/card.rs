//! An experiment that changed or needs somebody, in full.

use serde::Serialize;

use super::command::{Command, commands_of};
use super::line::Line;
use super::metric::MetricRow;
use super::{Tone, change, plain};
use crate::decide::{EValue, Forecast, Outcome, Reason, Rounded};
use crate::evidence::{Percentile, PercentileReading};
use crate::report::night::{CandidateReport, ExperimentReport, Standing};
use crate::report::words::{Count, Words};

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Why it could not be evaluated, if so.
    pub failed: Option<String>,
    /// What that, or people's own doing, asks of somebody.
    pub needs_you: Option<String>,
    /// What else readers must know, as sentences.
    pub notes: Vec<String>,
    /// Its candidates that changed or need somebody.
    pub candidates: Vec<CandidateCard>,
    /// The others.
    pub quiet: Vec<Line>,
    /// The allocations before and after.
    pub allocations: Vec<String>,
    /// What follows from the decisions, in order.
    pub steps: Vec<String>,
    /// Who answers for it.
    pub owners: Vec<String>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CandidateCard {
    /// Its experiment.
    pub experiment: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub word: String,
    /// What that means.
    pub tone: Tone,
    /// From which share to which, or where it stays.
    pub change: String,
    /// The stage that it stands at.
    pub stage: String,
    /// The deciding reason.
    pub why: String,
    /// The others.
    pub also: Vec<String>,
    /// What somebody must do.
    pub needs_you: Option<String>,
    /// What it may expect.
    pub forecast: Option<String>,
    /// Its metrics.
    pub metrics: Vec<MetricRow>,
    /// The head of their table.
    pub caption: String,
    /// Percentiles of both arms, which decide nothing.
    pub percentiles: Vec<String>,
    /// Units per arm.
    pub units: String,
    /// How units split.
    pub split: SplitView,
    /// Through which day the evidence goes.
    pub data_through: String,
    /// The night before, if it was decided then.
    pub since: Option<String>,
    /// What is otherwise since.
    pub changes: Vec<String>,
    /// How to overrule it.
    pub commands: Vec<Command>,
    /// The decision's key; none for a plan.
    pub decision_id: Option<String>,
    /// How often this night was decided before.
    pub revision: Option<String>,
    /// Its pictures.
    pub pictures: Vec<PictureView>,
}

/// How units split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitView {
    /// In words.
    pub text: String,
    /// Whether it is mismatched.
    pub mismatch: bool,
}

/// A picture as `img` wants it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PictureView {
    /// Where it lies: `cid:…` in a mail.
    pub src: String,
    /// What it says.
    pub alt: String,
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
}

/// The word for an outcome.
pub(in crate::report) fn word_of(outcome: &Outcome, words: &Words) -> String {
    words.say(match outcome {
        Outcome::Rollback => "word_rollback",
        Outcome::Promote => "word_promote",
        Outcome::Ramp { .. } => "word_ramp",
        Outcome::Hold => "word_hold",
    })
}

pub(super) fn tone_of(outcome: &Outcome) -> Tone {
    match outcome {
        Outcome::Rollback => Tone::Bad,
        Outcome::Promote => Tone::Good,
        Outcome::Ramp { .. } => Tone::Act,
        Outcome::Hold => Tone::Open,
    }
}

impl Card {
    /// The candidates that its card tells in full: those that changed or need somebody. Where the experiment itself is
    /// what is told of, all of them.
    pub(in crate::report) fn told_of(experiment: &ExperimentReport) -> Vec<&CandidateReport> {
        let told: Vec<&CandidateReport> = experiment.candidates.iter().filter(|c| is_told(c)).collect();
        if told.is_empty() { experiment.candidates.iter().collect() } else { told }
    }

    /// The card of an experiment, without pictures.
    pub fn of(experiment: &ExperimentReport, words: &Words) -> Card {
        let told = Card::told_of(experiment);
        let quiet: Vec<&CandidateReport> = match told.len() == experiment.candidates.len() {
            true => Vec::new(),
            false => experiment.candidates.iter().filter(|candidate| !is_told(candidate)).collect(),
        };
        let failed = match &experiment.standing {
            Standing::Failed { why } => Some(plain(why)),
            Standing::Decided | Standing::AlreadyDecided => None,
        };
        let needs_you = match &failed {
            Some(_) => Some(words.say("needs_you_failed")),
            None if !experiment.by_hand.is_empty() => Some(words.say("needs_you_by_hand")),
            None => None,
        };
        let allocation = |a: &crate::plan::Reallocation| {
            words.fill("allocation", &[("name", &plain(&a.name)), ("from", &a.from), ("to", &a.to)])
        };
        Card {
            name: plain(&experiment.name),
            failed,
            needs_you,
            notes: experiment.notes().iter().map(|note| plain(note)).collect(),
            candidates: told.iter().map(|candidate| CandidateCard::of(experiment, candidate, words)).collect(),
            quiet: quiet.iter().map(|candidate| Line::of_candidate(experiment, candidate, words)).collect(),
            allocations: experiment.allocations.iter().map(allocation).collect(),
            steps: experiment.steps.iter().map(|step| plain(step)).collect(),
            owners: experiment.owners.iter().map(|owner| plain(owner)).collect(),
        }
    }
}

/// Whether a candidate needs more than a line.
fn is_told(candidate: &CandidateReport) -> bool {
    candidate.decision.outcome != Outcome::Hold || candidate.needs_somebody()
}

impl CandidateCard {
    /// The card of one candidate, without pictures.
    pub fn of(experiment: &ExperimentReport, candidate: &CandidateReport, words: &Words) -> CandidateCard {
        let assessment = &candidate.assessment;
        let moved = experiment.allocations.iter().find(|a| a.name == candidate.name).filter(|a| a.from != a.to);
        let reasons: Vec<String> = candidate.decision.reasons.iter().map(|reason| plain(&reason.to_string())).collect();
        let guardrails = assessment.guardrails.iter().map(|reading| MetricRow::of(reading, false, words));
        let success = assessment.success.iter().map(|reading| MetricRow::of(reading, true, words));
        let (since, changes) = change::since(candidate, words).unzip();
        let name = plain(&candidate.name);
        CandidateCard {
            experiment: plain(&experiment.name),
            word: word_of(&candidate.decision.outcome, words),
            tone: tone_of(&candidate.decision.outcome),
            change: match moved {
                Some(moved) => words.fill("from_to", &[("from", &moved.from), ("to", &moved.to)]),
                None => words.fill("stays", &[("share", &candidate.share)]),
            },
            stage: words.fill("of_stage", &[("stage", &candidate.stage.0), ("stages", &candidate.stage.1)]),
            why: reasons.first().cloned().unwrap_or_default(),
            also: reasons.into_iter().skip(1).collect(),
            needs_you: needs_you(candidate, words),
            forecast: candidate.forecast.as_ref().map(|forecast| plain(&forecast.to_string())),
            metrics: guardrails.chain(success).collect(),
            percentiles: candidate.percentiles.iter().map(|reading| percentile_of(reading, words)).collect(),
            caption: words.fill("table", &[("candidate", &name)]),
            units: words.fill(
                if assessment.from_events.is_some() { "events_of" } else { "units_of" },
                &[("control", &Count(assessment.control_units)), ("candidate", &Count(assessment.candidate_units))],
            ),
            split: split_of(candidate, words),
            data_through: match assessment.evidence_through {
                Some(date) => words.fill("data_through", &[("date", &date)]),
                None => words.say("no_data_yet"),
            },
            since,
            changes: changes.unwrap_or_default(),
            commands: commands_of(&experiment.name, candidate, words),
            decision_id: candidate.decision_id.map(|id| id.to_string()),
            revision: (candidate.revision > 0).then(|| words.fill("revision", &[("n", &candidate.revision)])),
            pictures: Vec::new(),
            name,
        }
    }
}

/// `latency p99: 980 (950 to 1020) → 1010 (970 to 1060)`.
fn percentile_of(reading: &PercentileReading, words: &Words) -> String {
    let end = |end: Option<f64>| end.map_or("?".to_owned(), |end| Rounded(end).to_string());
    let arm = |arm: &Option<Percentile>| match arm {
        Some(found) => {
            let interval = words.fill("interval", &[("low", &end(found.low)), ("high", &end(found.high))]);
            format!("{} ({interval})", Rounded(found.value))
        }
        None => "–".to_owned(),
    };
    let level = Rounded(100.0 * reading.level);
    let (name, control, candidate) = (plain(&reading.name), arm(&reading.control), arm(&reading.candidate));
    words.fill("percentile", &[("name", &name), ("level", &level), ("control", &control), ("candidate", &candidate)])
}

fn split_of(candidate: &CandidateReport, words: &Words) -> SplitView {
    if candidate.assessment.from_events.is_some() {
        return SplitView { text: words.say("split_of_events"), mismatch: false };
    }
    let Some(split) = &candidate.assessment.split else {
        return SplitView { text: words.say("split_unknown"), mismatch: false };
    };
    let key = if split.mismatch { "split_mismatched" } else { "split_as_planned" };
    let planned = Count(split.planned_candidate_units.round().max(0.0) as u64);
    let (seen, e) = (Count(split.candidate_units), EValue(split.log_e));
    SplitView { text: words.fill(key, &[("seen", &seen), ("planned", &planned), ("e", &e)]), mismatch: split.mismatch }
}

/// What somebody must do about a candidate.
pub(super) fn needs_you(candidate: &CandidateReport, words: &Words) -> Option<String> {
    if !candidate.needs_somebody() {
        return None;
    }
    let key = candidate.decision.reasons.iter().find_map(asks).unwrap_or(match candidate.forecast {
        Some(Forecast::Unreachable { .. }) => "needs_you_unreachable",
        Some(Forecast::Expected { .. }) | None => "needs_you",
    });
    Some(words.say(key))
}

/// What a reason of a hold asks of people.
fn asks(reason: &Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::AwaitingApproval { .. } => "needs_you_approve",
        Reason::FromAggregates { .. } => "needs_you_aggregates",
        Reason::SampleRatioMismatch { .. } => "needs_you_split",
        Reason::MultipleExposure { .. } => "needs_you_exposed",
        Reason::LimitBrokenByBoth { .. } => "needs_you_limit",
        Reason::HarmInsideMargin { .. } | Reason::HarmHeldForMismatch | Reason::HarmShown { .. } => "needs_you_harm",
        Reason::HarmSuspected { .. } if reason.needs_somebody() => "needs_you_harm",
        Reason::DataVanished { .. } => "needs_you_vanished",
        Reason::DeadlinePassed { .. } => "needs_you_deadline",
        Reason::NoTraffic => "needs_you_traffic",
        Reason::AdviceOnly { .. } => "needs_you_advice",
        Reason::Misconfigured { .. } => "needs_you_misconfigured",
        Reason::QueryFailed { .. } => "needs_you_query",
        Reason::NotNumbers { .. } => "needs_you_numbers",
        Reason::HarmDespiteMismatch
        | Reason::HarmSuspected { .. }
        | Reason::HarmToTell { .. }
        | Reason::RolledBackByHand { .. }
        | Reason::HeldByHand { .. }
        | Reason::Frozen { .. }
        | Reason::NotActive { .. }
        | Reason::Stale { .. }
        | Reason::NoData { .. }
        | Reason::NotWholeWeeks { .. }
        | Reason::CoolingDown { .. }
        | Reason::RiskOverBudget { .. }
        | Reason::NotConfirmed { .. }
        | Reason::Rejected { .. }
        | Reason::Approved { .. }
        | Reason::DeadlineRollback { .. }
        | Reason::ShownSafeAtDeadline { .. }
        | Reason::TooSoon { .. }
        | Reason::TooFewUnits { .. }
        | Reason::EstimateOutsideMargin { .. }
        | Reason::NotShownSafe { .. }
        | Reason::BeforeFirstLook { .. }
        | Reason::NotShownBetter { .. }
        | Reason::NoRoom { .. }
        | Reason::SiblingPromoted { .. }
        | Reason::StagePassed { .. }
        | Reason::ShownSafe { .. } => return None,
    })
}
