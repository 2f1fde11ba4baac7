//! A scenario as its golden text tells it: nights on which something changes in full, the others in a line.

use std::error::Error;
use std::fmt::Write;

use jiff::civil::Date;
use rampkeeper::decide::{Forecast, Outcome, Reason};
use rampkeeper::report::{CandidateReport, ExperimentReport, NightReport, Standing};

use super::gates::{Gate, Made, place};

/// How far the text beside a date stands from the left.
const INDENT: &str = "            ";

/// The text so far.
pub struct Telling {
    text: String,
    /// The night that was told last, if the next one may be like it.
    last: Option<Told>,
    /// The nights since that were like it.
    alike: Option<(Date, Date, Vec<String>)>,
}

/// A night, as far as the next one may be like it.
#[derive(PartialEq)]
struct Told {
    /// Per candidate: its name, share, reasons, forecast's kind and hidden gates.
    candidates: Vec<(String, String, Vec<&'static str>, u8, Vec<Gate>)>,
    forecasts: Vec<String>,
    /// Whether each experiment was decided tonight.
    decided: Vec<bool>,
}

impl Telling {
    pub fn new(title: &str) -> Telling {
        Telling { text: format!("{title}\n\n"), last: None, alike: None }
    }

    /// A night that came to its end.
    pub fn night(&mut self, report: &NightReport, made: &[Made]) {
        let told = as_told(report, made);
        let changes = report.experiments.iter().any(is_eventful) || !report.unfinished.is_empty();
        let like = |last: &Told| last.candidates == told.candidates && last.decided == told.decided;
        if !changes && self.last.as_ref().is_some_and(like) {
            let first = self.alike.as_ref().map_or(report.as_of, |(first, ..)| *first);
            self.alike = Some((first, report.as_of, told.forecasts));
            return;
        }
        self.flush();
        let mut lines = Vec::new();
        for experiment in &report.experiments {
            tell(experiment, made, &mut lines);
        }
        if report.experiments.is_empty() {
            lines.push("no experiment is running".to_owned());
        }
        lines.extend(report.unfinished.iter().map(|what| format!("still to be done: {what}")));
        self.write(&report.as_of.to_string(), &lines);
        self.last = Some(told);
    }

    /// A night that broke off.
    pub fn failed(&mut self, as_of: Date, error: &dyn Error) {
        self.flush();
        self.last = None;
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(chain, ": {error}");
            cause = error.source();
        }
        self.write(&as_of.to_string(), &[format!("the night breaks off: {chain}")]);
    }

    /// What somebody did.
    pub fn said(&mut self, what: &str) {
        self.flush();
        let _ = writeln!(self.text, "\n{INDENT}→ {what}\n");
    }

    /// The whole text.
    pub fn end(mut self, lines: &[String]) -> String {
        self.flush();
        self.text.push('\n');
        self.write("in the end", lines);
        self.text
    }

    fn flush(&mut self) {
        let Some((first, last, forecasts)) = self.alike.take() else { return };
        let nights = if first == last { first.to_string() } else { format!("{first} … {last}") };
        let mut line = format!("{nights}  the same");
        if self.last.as_ref().is_some_and(|told| told.forecasts != forecasts) {
            let _ = write!(line, ", at last {}", forecasts.join("; "));
        }
        let _ = writeln!(self.text, "{line}");
        if let Some(told) = &mut self.last {
            told.forecasts = forecasts;
        }
    }

    fn write(&mut self, head: &str, lines: &[String]) {
        for (index, line) in lines.iter().enumerate() {
            let head = if index == 0 { format!("{head:<12}") } else { INDENT.to_owned() };
            let _ = writeln!(self.text, "{head}{line}");
        }
    }
}

/// Whether more is to be told of an experiment than its holds.
fn is_eventful(experiment: &ExperimentReport) -> bool {
    let acts = experiment.candidates.iter().any(|candidate| candidate.decision.outcome != Outcome::Hold);
    let failed = matches!(experiment.standing, Standing::Failed { .. });
    failed || acts || experiment.outside_change || experiment.amendment.is_some()
}

fn as_told(report: &NightReport, made: &[Made]) -> Told {
    let candidates = report.experiments.iter().flat_map(|experiment| &experiment.candidates);
    let forecasts = candidates.clone().filter_map(|candidate| candidate.forecast.as_ref()).map(ToString::to_string);
    let told = candidates.zip(made).map(|(candidate, made)| {
        let reasons: Vec<_> = candidate.decision.reasons.iter().map(|reason| place(reason).0).collect();
        let forecast = match &candidate.forecast {
            None => 0,
            Some(Forecast::Expected { .. }) => 1,
            Some(Forecast::Unreachable { .. }) => 2,
        };
        let hidden = made.hidden().into_iter().collect();
        (candidate.name.clone(), candidate.share.to_string(), reasons, forecast, hidden)
    });
    let decided = report.experiments.iter().map(|experiment| experiment.standing == Standing::Decided).collect();
    Told { candidates: told.collect(), forecasts: forecasts.collect(), decided }
}

fn tell(experiment: &ExperimentReport, made: &[Made], lines: &mut Vec<String>) {
    match &experiment.standing {
        Standing::Decided => {}
        Standing::AlreadyDecided => lines.push("nothing to decide".to_owned()),
        Standing::Failed { why } => lines.push(format!("it fails: {why}")),
    }
    if experiment.outside_change {
        lines.push("somebody else changed the split".to_owned());
    }
    if let Some(amendment) = &experiment.amendment {
        lines.push(format!("the rules have changed: {}", amendment.changes.join("; ")));
        lines.push(match experiment.evidence_from.filter(|_| amendment.restarts) {
            Some(from) => format!("the evidence begins anew with the units of {from}"),
            None => "the evidence stands".to_owned(),
        });
    }
    let moved = experiment.allocations.iter().filter(|change| change.from != change.to);
    let moved: Vec<String> = moved.map(|change| format!("{} {} → {}", change.name, change.from, change.to)).collect();
    if !moved.is_empty() {
        lines.push(format!("shares: {}", moved.join(", ")));
    }
    for (candidate, made) in experiment.candidates.iter().zip(made) {
        tell_candidate(candidate, made, lines);
    }
}

fn tell_candidate(candidate: &CandidateReport, made: &Made, lines: &mut Vec<String>) {
    let CandidateReport { name, share, stage: (stage, stages), decision, .. } = candidate;
    let word = decision.outcome.word();
    lines.push(match decision.outcome {
        Outcome::Hold => format!("{name}: {word} at {share}, stage {stage} of {stages}"),
        Outcome::Ramp { to, .. } => format!("{name}: {} to {to}", word.to_uppercase()),
        Outcome::Rollback | Outcome::Promote => format!("{name}: {}", word.to_uppercase()),
    });
    lines.extend(decision.reasons.iter().map(|reason: &Reason| format!("  – {reason}")));
    let hidden: Vec<String> = made.hidden().into_iter().map(|gate| gate.to_string()).collect();
    if !hidden.is_empty() {
        lines.push(format!("  (and would be held up by: {})", hidden.join(", ")));
    }
    if let Some(forecast) = &candidate.forecast {
        lines.push(format!("  {forecast}"));
    }
    if decision.needs_somebody() {
        lines.push("  somebody is needed".to_owned());
    }
}
