//! What needs no card: one candidate in one line, with a small bar for its most telling metric.

use serde::Serialize;

use super::card::{tone_of, word_of};
use super::metric::{bound_of, effect_of, tone_of as tone_of_verdict};
use super::{Tone, plain};
use crate::decide::{Forecast, Outcome};
use crate::domain::{Bound, Direction};
use crate::evidence::{Reading, Scale};
use crate::report::night::{CandidateReport, ExperimentReport, Standing};
use crate::report::words::Words;

/// How wide each half of a bar is.
const HALF: u32 = 36;

/// A lift as a bar in CSS pixels: each half is 36 wide and reaches to twice the margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// How much of the worse half is filled.
    pub worse: u32,
    /// How much of the better half is filled.
    pub better: u32,
    /// What is left of the worse half.
    pub worse_rest: u32,
    /// What is left of the better half.
    pub better_rest: u32,
    /// What the verdict means.
    pub tone: Tone,
}

impl Bar {
    /// The bar of a reading; none without a lift.
    pub fn of(reading: &Reading) -> Option<Bar> {
        let effect = reading.effect.filter(|effect| effect.is_finite())?;
        let sign = match reading.direction {
            Direction::Increase => 1.0,
            Direction::Decrease => -1.0,
        };
        // How far towards the bound, which stands at half of the worse side.
        let part = match (reading.scale, reading.bound) {
            (Scale::Lift, Bound::Margin(margin)) => sign * effect / (2.0 * margin.get()),
            (_, Bound::Ceiling(limit) | Bound::Floor(limit)) => {
                let control = reading.control?;
                let reach = (limit - control).abs();
                if reach == 0.0 {
                    return None;
                }
                sign * (effect - control) / (2.0 * reach)
            }
            (Scale::Value, Bound::Margin(_)) => return None,
        };
        if !part.is_finite() {
            return None;
        }
        let filled = (f64::from(HALF) * part.abs().min(1.0)).round() as u32;
        let tone = tone_of_verdict(&reading.verdict);
        let (worse, better) = if part < 0.0 { (filled, 0) } else { (0, filled) };
        Some(Bar { worse, better, worse_rest: HALF - worse, better_rest: HALF - better, tone })
    }
}

/// One candidate, or an experiment without one, in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The experiment.
    pub experiment: String,
    /// The candidate; none where there is none to tell of.
    pub candidate: Option<String>,
    /// What became of it.
    pub word: String,
    /// What that means.
    pub tone: Tone,
    /// Where it stands: `at 25 %`, `25 % → 50 %`.
    pub share: Option<String>,
    /// Why, in a few words.
    pub why: String,
    /// When it would go on.
    pub expected: Option<String>,
    /// Its most telling metric: `cost_per_plan +1.2 % (bound +10 %)`.
    pub leading: Option<String>,
    /// The same as a bar.
    pub bar: Option<Bar>,
}

impl Line {
    /// The lines of an experiment.
    pub fn of(experiment: &ExperimentReport, words: &Words) -> Vec<Line> {
        if experiment.candidates.is_empty() {
            let (word, tone, why) = match &experiment.standing {
                Standing::Failed { why } => (words.say("word_failed"), Tone::Bad, plain(why)),
                Standing::AlreadyDecided => (words.say("word_unchanged"), Tone::Open, words.say("decided_before")),
                Standing::Decided => {
                    let first = experiment.notes().into_iter().next();
                    let why = first.map(|note| plain(note.split("; ").next().unwrap_or_default()));
                    (words.say("word_unchanged"), Tone::Open, why.unwrap_or_else(|| words.say("no_candidate")))
                }
            };
            return vec![Line {
                experiment: plain(&experiment.name),
                candidate: None,
                word,
                tone,
                share: None,
                why,
                expected: None,
                leading: None,
                bar: None,
            }];
        }
        experiment.candidates.iter().map(|candidate| Line::of_candidate(experiment, candidate, words)).collect()
    }

    /// The lines of an experiment that has a card: of each candidate that changed or needs somebody, and what is wanted.
    pub fn at_a_glance(experiment: &ExperimentReport, words: &Words) -> Vec<Line> {
        let needed = |mut line: Line| {
            (line.word, line.tone) = (words.say("word_needs_you"), Tone::Warn);
            line
        };
        if experiment.candidates.is_empty() {
            let mut lines = Line::of(experiment, words);
            let noted = experiment.notes().into_iter().next().map(|note| plain(&note));
            if let (Some(note), true) = (noted, experiment.standing == Standing::AlreadyDecided) {
                lines.iter_mut().for_each(|line| line.why.clone_from(&note));
                return lines.into_iter().map(needed).collect();
            }
            return lines;
        }
        let told = super::Card::told_of(experiment).into_iter();
        told.map(|candidate| {
            let line = Line::of_candidate(experiment, candidate, words);
            if candidate.decision.outcome == Outcome::Hold && candidate.needs_somebody() { needed(line) } else { line }
        })
        .collect()
    }

    /// The line of one candidate.
    pub fn of_candidate(experiment: &ExperimentReport, candidate: &CandidateReport, words: &Words) -> Line {
        let moved = experiment.allocations.iter().find(|a| a.name == candidate.name).filter(|a| a.from != a.to);
        let share = match moved {
            Some(moved) => words.fill("from_to", &[("from", &moved.from), ("to", &moved.to)]),
            None => words.fill("stays", &[("share", &candidate.share)]),
        };
        let leading = leading(candidate);
        let told = |reading: &Reading| {
            let effect = effect_of(reading.scale, reading.effect?);
            Some(format!("{} {effect} ({})", plain(&reading.metric), bound_of(reading.bound, reading.direction)))
        };
        Line {
            experiment: plain(&experiment.name),
            candidate: Some(plain(&candidate.name)),
            word: word_of(&candidate.decision.outcome, words),
            tone: tone_of(&candidate.decision.outcome),
            share: Some(share),
            why: plain(&candidate.decision.in_short().into_iter().next().unwrap_or_default()),
            expected: candidate.forecast.as_ref().and_then(|forecast| match forecast {
                Forecast::Expected { on, .. } => Some(on.to_string()),
                Forecast::Unreachable { .. } => None,
            }),
            leading: leading.and_then(told),
            bar: leading.and_then(Bar::of),
        }
    }
}

/// The guardrail with the most evidence of harm, or the first success metric.
pub(in crate::report) fn leading(candidate: &CandidateReport) -> Option<&Reading> {
    let assessment = &candidate.assessment;
    let guardrail = assessment.guardrails.iter().rev().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm));
    guardrail.or(assessment.success.first())
}
