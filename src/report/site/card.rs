//! A candidate's card: what was decided, why, and what the evidence shows. Night pages and experiment pages show the same.

use serde::Serialize;

use super::words::{count, shell, tight, visible};
use crate::decide::{EValue, Forecast, Outcome, Percent, Reason, Rounded};
use crate::domain::{Bound, Direction, RolloutStatus, Share};
use crate::evidence::{Reading, Scale, SplitReading, Verdict};
use crate::report::night::{CandidateReport, ExperimentReport};

/// A card.
#[derive(Serialize)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) word: &'static str,
    pub(super) tone: &'static str,
    change: String,
    stage: String,
    reasons: Vec<String>,
    forecast: Option<String>,
    /// Whether somebody must do something about it.
    pub(super) needs: bool,
    units: String,
    split: Option<String>,
    data_through: String,
    decision_id: Option<String>,
    revision: i64,
    commands: Vec<Command>,
    metrics: Vec<MetricRow>,
}

/// A command that overrules.
#[derive(Serialize)]
struct Command {
    what: &'static str,
    command: String,
}

/// A metric's row.
#[derive(Serialize)]
struct MetricRow {
    name: String,
    role: &'static str,
    control: String,
    candidate: String,
    effect: String,
    interval: String,
    bound: String,
    e_value: String,
    verdict: &'static str,
    sign: &'static str,
    tone: &'static str,
    why: Option<String>,
}

/// What was done, as people read it, and how that is meant.
pub(super) fn done(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Rollback => ("rolled back", "bad"),
        Outcome::Promote => ("promoted", "good"),
        Outcome::Ramp { .. } => ("ramped", "up"),
        Outcome::Hold => ("held", "open"),
    }
}

/// Where a candidate stands, and how that is meant.
pub(super) fn standing(status: Option<RolloutStatus>) -> (&'static str, &'static str) {
    match status {
        Some(RolloutStatus::Ramping) => ("on the ramp", "up"),
        Some(RolloutStatus::Promoted) => ("promoted", "good"),
        Some(RolloutStatus::RolledBack) => ("rolled back", "bad"),
        Some(RolloutStatus::Superseded) => ("superseded", "open"),
        None => ("not known", "open"),
    }
}

/// From which share to which a night took a candidate, if it did.
pub(super) fn moved(experiment: &ExperimentReport, candidate: &str) -> Option<(Share, Share)> {
    let change = experiment.allocations.iter().find(|change| change.name == candidate)?;
    (change.from != change.to).then_some((change.from, change.to))
}

/// Whether somebody must do something, or nothing will go on.
pub(super) fn needs_somebody(report: &CandidateReport) -> bool {
    report.decision.needs_somebody() || matches!(report.forecast, Some(Forecast::Unreachable { .. }))
}

impl Card {
    /// Of one night's report. `open` tells whether the candidate may still be held or rolled back.
    pub(super) fn of(report: &CandidateReport, experiment: &str, moved: Option<(Share, Share)>, open: bool) -> Card {
        let assessment = &report.assessment;
        let (word, tone) = done(&report.decision.outcome);
        let metrics = assessment.guardrails.iter().map(|reading| MetricRow::of(reading, "guardrail"));
        let metrics = metrics.chain(assessment.success.iter().map(|reading| MetricRow::of(reading, "success metric")));
        Card {
            name: visible(&report.name),
            word,
            tone,
            change: match moved {
                Some((from, to)) => format!("{from} → {to}"),
                None => format!("stays at {}", report.share),
            },
            stage: format!("stage {} of {}", report.stage.0, report.stage.1),
            reasons: report.decision.reasons.iter().map(|reason| visible(&reason.to_string())).collect(),
            forecast: report.forecast.as_ref().map(|forecast| visible(&forecast.to_string())),
            needs: needs_somebody(report),
            units: format!(
                "{} in control, {} in the candidate",
                count(assessment.control_units),
                count(assessment.candidate_units)
            ),
            split: assessment.split.as_ref().map(split),
            data_through: assessment.evidence_through.map_or("no closed day yet".into(), |date| date.to_string()),
            decision_id: report.decision_id.map(|id| id.to_string()),
            revision: report.revision,
            commands: commands(report, experiment, open),
            metrics: metrics.collect(),
        }
    }
}

fn split(split: &SplitReading) -> String {
    let word = if split.mismatch { "not as planned" } else { "as planned" };
    format!(
        "{word}: {} candidate units, {:.0} planned (e-value {})",
        count(split.candidate_units),
        split.planned_candidate_units,
        EValue(split.log_e)
    )
}

/// What people may type. A candidate that is not `open` is neither held nor rolled back any more.
fn commands(report: &CandidateReport, experiment: &str, open: bool) -> Vec<Command> {
    let whole = shell(&format!("{experiment}/{}", report.name));
    let id = report.decision_id.map(|id| id.to_string()).unwrap_or_default();
    let command = |what, command: String| Command { what, command };
    let mut commands = Vec::new();
    if id.is_empty() {
        return commands;
    }
    if open && report.decision.reasons.iter().any(|reason| matches!(reason, Reason::AwaitingApproval { .. })) {
        commands.push(command("let it go on", format!("rampkeeper approve {id} --reason 'why'")));
        commands.push(command("keep it where it is", format!("rampkeeper reject {id} --reason 'why'")));
    }
    if report.decision.outcome == Outcome::Rollback {
        commands.push(command("take its units back", format!("rampkeeper undo-moves {id} --dry-run")));
    } else if open && report.decision.outcome != Outcome::Promote {
        commands.push(command("stop ramps and promotions", format!("rampkeeper hold {whole} --reason 'why'")));
        commands.push(command("take it off now", format!("rampkeeper rollback {whole} --reason 'why'")));
    }
    commands.push(command("all of its inputs and bounds", format!("rampkeeper explain {id} --flip")));
    commands
}

impl MetricRow {
    fn of(reading: &Reading, role: &'static str) -> MetricRow {
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| Rounded(value).to_string());
        let show = |effect: f64| match reading.scale {
            Scale::Lift => Percent(effect).to_string(),
            Scale::Value => Rounded(effect).to_string(),
        };
        let (sign, tone) = match reading.verdict {
            Verdict::Breach | Verdict::Harm => ("✗", "bad"),
            Verdict::Safe => ("✓", "good"),
            Verdict::Better => ("↑", "good"),
            Verdict::Inconclusive => ("?", "open"),
            Verdict::NoData => ("–", "open"),
            Verdict::Insufficient { .. } => ("!", "open"),
        };
        MetricRow {
            name: visible(&reading.metric),
            role,
            control: value(reading.control),
            candidate: value(reading.candidate),
            effect: tight(&reading.effect.map_or("–".to_owned(), show)),
            interval: tight(
                &reading.interval.map_or("–".to_owned(), |i| format!("{} to {}", show(i.low), show(i.high))),
            ),
            bound: tight(&match (reading.bound, reading.direction) {
                (Bound::Margin(margin), Direction::Increase) => format!("−{} %", Rounded(100.0 * margin.get())),
                (Bound::Margin(margin), Direction::Decrease) => format!("+{} %", Rounded(100.0 * margin.get())),
                (Bound::Ceiling(limit), _) => format!("≤ {}", Rounded(limit)),
                (Bound::Floor(limit), _) => format!("≥ {}", Rounded(limit)),
            }),
            e_value: EValue(reading.log_e_harm).to_string(),
            verdict: reading.verdict.word(),
            sign,
            tone,
            why: match &reading.verdict {
                Verdict::Insufficient { why } => Some(why.to_string()),
                _ => None,
            },
        }
    }
}
