//! A candidate's card: what was decided, why, and what the evidence shows. It is the card of the mails, so mail, night page
//! and experiment page show the same words and numbers.

use std::sync::LazyLock;

use serde::Serialize;

use super::words::tight;
use crate::decide::Outcome;
use crate::domain::RolloutStatus;
use crate::report::night::{CandidateReport, ExperimentReport};
use crate::report::view::{CandidateCard, Command};
use crate::report::words::Words;

static WORDS: LazyLock<Words> = LazyLock::new(Words::built_in);

/// A card, with what only pages show.
#[derive(Serialize)]
pub(super) struct Card {
    shown: CandidateCard,
    word: &'static str,
    tone: &'static str,
    needs: bool,
    /// The sign of each metric's verdict.
    signs: Vec<&'static str>,
}

/// What was done, as people read it, and how that is meant.
pub(super) fn done(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Rollback => ("rolled back", "bad"),
        Outcome::Promote => ("promoted", "good"),
        Outcome::Ramp { .. } => ("ramped", "act"),
        Outcome::Hold => ("held", "open"),
    }
}

/// Where a candidate stands, and how that is meant.
pub(super) fn standing(status: Option<RolloutStatus>) -> (&'static str, &'static str) {
    match status {
        Some(RolloutStatus::Ramping) => ("on the ramp", "act"),
        Some(RolloutStatus::Promoted) => ("promoted", "good"),
        Some(RolloutStatus::RolledBack) => ("rolled back", "bad"),
        Some(RolloutStatus::Superseded) => ("superseded", "open"),
        None => ("not known", "open"),
    }
}

/// The sign of a verdict.
fn sign(verdict: &str) -> &'static str {
    match verdict {
        "breach" | "harm" => "✗",
        "safe" => "✓",
        "better" => "↑",
        "no data" => "–",
        "insufficient" => "!",
        _ => "?",
    }
}

impl Card {
    /// Of one night's report. A candidate that is not `open` is neither held nor rolled back any more.
    pub(super) fn of(experiment: &ExperimentReport, candidate: &CandidateReport, open: bool) -> Card {
        let mut shown = CandidateCard::of(experiment, candidate, &WORDS);
        for metric in &mut shown.metrics {
            for number in [&mut metric.effect, &mut metric.interval, &mut metric.bound] {
                *number = tight(number);
            }
        }
        if !open {
            shown.commands.retain(|command| command.line.starts_with("rampkeeper undo-moves "));
        }
        if let Some(id) = &shown.decision_id {
            let what = "All of its inputs, bounds and reasons".to_owned();
            shown.commands.push(Command { what, line: format!("rampkeeper explain {id} --flip") });
        }
        let (word, tone) = done(&candidate.decision.outcome);
        let signs = shown.metrics.iter().map(|metric| sign(&metric.verdict)).collect();
        Card { shown, word, tone, needs: open && candidate.needs_somebody(), signs }
    }
}
