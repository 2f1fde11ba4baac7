//! The whole mail: its first line, its cards and lines, and what stands beside them.

use serde::Serialize;

use super::{Line, Tone, plain};
use crate::decide::Outcome;
use crate::report::night::{ExperimentReport, NightReport, Standing};
use crate::report::words::Words;

/// What the templates of a digest are given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Digest {
    /// The language.
    pub lang: String,
    /// Its direction.
    pub dir: String,
    /// What the window's title says.
    pub title: String,
    /// The day that the evidence speaks about.
    pub as_of: String,
    /// The run; none for a plan.
    pub run: Option<String>,
    /// What a list of mails shows beside the subject.
    pub preheader: String,
    /// The first line's parts: acted, needs you, broken, quiet.
    pub parts: Vec<Part>,
    /// What limits how far decisions may be trusted.
    pub cautions: Vec<String>,
    /// What changed or needs somebody, in a line each, where there is more than one card.
    pub glance: Vec<Line>,
    /// How many more there are.
    pub glance_more: Option<String>,
    /// What is not as decided.
    pub incidents: Vec<String>,
    /// The cards, rendered.
    pub cards: Vec<String>,
    /// The lines, rendered.
    pub lines: Vec<String>,
    /// What was cut, as sentences.
    pub cut: Vec<String>,
    /// What is still to be done.
    pub unfinished: Vec<String>,
    /// Units drawn anew.
    pub moved: Vec<String>,
    /// What earlier nights had left.
    pub resumed: Vec<String>,
    /// What is to be said of the mail itself.
    pub notices: Vec<String>,
    /// The last lines.
    pub foot: Foot,
}

/// One part of the first line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// `Acted`.
    pub name: String,
    /// `1 rolled back, 2 ramped`.
    pub what: String,
    /// `Acted: 1 rolled back, 2 ramped`.
    pub line: String,
    /// What it means.
    pub tone: Tone,
}

/// Why somebody gets this, and where more is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Foot {
    /// Why.
    pub why: String,
    /// Where the whole night is.
    pub see: String,
}

/// How an experiment stands in the first line; it may be in several parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Class {
    /// The job changed it.
    pub(in crate::report) acted: bool,
    /// Somebody must do something about it.
    pub(in crate::report) needs_you: bool,
    /// It could not be evaluated, or is not as decided.
    pub(in crate::report) broken: bool,
    /// Something else is to be told of it: an outside change, changed rules, restated data.
    pub(in crate::report) noted: bool,
}

impl Class {
    pub(in crate::report) fn of(experiment: &ExperimentReport) -> Class {
        let decided = experiment.standing != Standing::AlreadyDecided;
        let acted = experiment.candidates.iter().any(|c| c.decision.outcome != Outcome::Hold);
        let failed = matches!(experiment.standing, Standing::Failed { .. });
        let open = |c: &crate::report::night::CandidateReport| c.needs_somebody() && !c.is_faulty();
        Class {
            // Who came in, or was kept out, is a deed as well.
            acted: decided && (acted || !experiment.route.is_empty()),
            needs_you: experiment.candidates.iter().any(open),
            broken: failed || experiment.faulty,
            noted: !experiment.notes().is_empty(),
        }
    }

    /// Whether it gets a card.
    pub(in crate::report) fn is_told(self) -> bool {
        self.acted || self.needs_you || self.broken || self.noted
    }
}

/// Cards stand in this order: rolled back, promoted, ramped, needs you, broken, the rest.
pub(in crate::report) fn rank(experiment: &ExperimentReport) -> usize {
    let class = Class::of(experiment);
    let outcome = |candidate: &crate::report::night::CandidateReport| match candidate.decision.outcome {
        Outcome::Rollback => 0,
        Outcome::Promote => 1,
        Outcome::Ramp { .. } => 2,
        Outcome::Hold => 3,
    };
    match class {
        Class { acted: true, .. } => experiment.candidates.iter().map(outcome).min().unwrap_or(3),
        Class { needs_you: true, .. } => 4,
        Class { broken: true, .. } => 5,
        Class { noted: true, .. } => 6,
        Class { .. } => 7,
    }
}

/// Counts with their words; what is not there is left out.
pub(in crate::report) fn counted(words: &Words, counts: &[(&str, usize)]) -> Vec<String> {
    let there = counts.iter().filter(|(_, count)| *count > 0);
    there.map(|(key, count)| words.count(key, *count as u64)).collect()
}

/// How many candidates were rolled back, promoted, ramped, and held without needing somebody.
pub(in crate::report) fn outcomes(report: &NightReport) -> [usize; 4] {
    [
        report.count(|o| *o == Outcome::Rollback),
        report.count(|o| *o == Outcome::Promote),
        report.count(|o| matches!(o, Outcome::Ramp { .. })),
        report.decided().filter(|c| c.decision.outcome == Outcome::Hold && !c.needs_somebody()).count(),
    ]
}

/// The first line: acted, needs you, broken, quiet.
pub(in crate::report) fn parts(report: &NightReport, words: &Words) -> Vec<Part> {
    let classes: Vec<Class> = report.experiments.iter().map(Class::of).collect();
    let of = |class: fn(&Class) -> bool| classes.iter().filter(|c| class(c)).count();
    let [rolled_back, promoted, ramped, held] = outcomes(report);
    let acted = counted(words, &[("rolled_back", rolled_back), ("promoted", promoted), ("ramped", ramped)]);
    let failed = report.experiments.iter().filter(|e| matches!(e.standing, Standing::Failed { .. })).count();
    let broken = counted(
        words,
        &[
            ("failed", failed),
            ("experiments", of(|c| c.broken).saturating_sub(failed)),
            ("not_as_decided", report.incidents.len()),
            ("unfinished", report.unfinished.len()),
        ],
    );
    let needs = counted(words, &[("experiments", of(|c| c.needs_you))]);
    let unchanged = report.experiments.iter().filter(|e| e.standing == Standing::AlreadyDecided).count();
    let mut quiet = counted(words, &[("held", held), ("unchanged", unchanged)]);
    let nothing = acted.is_empty() && needs.is_empty() && broken.is_empty();
    if nothing && quiet.is_empty() {
        let what = if report.experiments.is_empty() { "no_experiment" } else { "nothing" };
        quiet.push(words.say(what));
    }
    let part = |key: &str, what: Vec<String>, tone| {
        let (name, what) = (words.say(key), what.join(", "));
        let line = words.fill("part", &[("part", &name), ("what", &what)]);
        (!what.is_empty()).then_some(Part { name, what, line, tone })
    };
    let tone_of_acts = if rolled_back > 0 { Tone::Bad } else { Tone::Act };
    [
        part("part_acted", acted, tone_of_acts),
        part("part_needs_you", needs, Tone::Warn),
        part("part_broken", broken, Tone::Bad),
        part("part_quiet", quiet, Tone::Open),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a list of mails shows beside the subject: what was done, by name, and then the counts.
pub(in crate::report) fn preheader(report: &NightReport, words: &Words) -> String {
    let decided = report.experiments.iter().filter(|e| e.standing == Standing::Decided);
    let acts = decided.flat_map(|e| e.candidates.iter().map(move |c| (e, c)));
    let acts = acts.filter(|(_, c)| c.decision.outcome != Outcome::Hold);
    let told = acts.map(|(e, c)| {
        let word = super::word_of(&c.decision.outcome, words);
        format!("{word} {}/{}", shortened(&plain(&e.name), 24), shortened(&plain(&c.name), 24))
    });
    let parts = parts(report, words);
    let rest = parts.iter().filter(|part| part.name != words.say("part_acted")).map(|part| part.line.clone());
    told.take(2).chain(rest).collect::<Vec<_>>().join(". ")
}

/// A text of so many characters at most, the middle left out.
pub(in crate::report) fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let head: String = characters[..head].iter().collect();
    let tail: String = characters[characters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}
