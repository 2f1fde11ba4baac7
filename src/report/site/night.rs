//! A night's page, and its line of the index.

use serde::Serialize;

use super::card::{Card, done};
use super::render::{self, PAGE};
use super::story::{Deed, NightLine, NightStory};
use super::words::{clock, day, visible};
use crate::decide::{Outcome, Reason};
use crate::report::night::{CandidateReport, ExperimentReport, Standing};

/// More deeds than these are counted on a line of the index.
const MOST_DEEDS: usize = 6;

/// Longer sentences are cut to a few words in the list of what is held.
const LONGEST_WAIT: usize = 200;

#[derive(Serialize)]
struct View {
    /// From the page to the root of the site.
    root: &'static str,
    as_of: String,
    day: String,
    headline: String,
    verdict: &'static str,
    at: String,
    run: Option<String>,
    before: Option<String>,
    after: Option<String>,
    cautions: Vec<String>,
    incidents: Vec<String>,
    needing: Vec<ExperimentView>,
    acted: Vec<ExperimentView>,
    quiet: Vec<QuietView>,
    unfinished: Vec<String>,
    resumed: Vec<String>,
    moved: Vec<String>,
}

#[derive(Serialize)]
struct ExperimentView {
    name: String,
    page: Option<String>,
    failed: Option<String>,
    owners: Vec<String>,
    notes: Vec<String>,
    cards: Vec<Card>,
    allocations: Vec<String>,
    steps: Vec<String>,
}

/// An experiment on which nothing happened.
#[derive(Serialize)]
struct QuietView {
    name: String,
    page: Option<String>,
    candidate: Option<String>,
    share: String,
    why: String,
}

/// What a night was, in the order of the mail's first line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Needs,
    Acted,
    Quiet,
}

fn kind(experiment: &ExperimentReport) -> Kind {
    let acted = |candidate: &CandidateReport| candidate.decision.outcome != Outcome::Hold;
    if experiment.needs_somebody() || matches!(experiment.standing, Standing::Failed { .. }) {
        Kind::Needs
    } else if experiment.candidates.iter().any(acted)
        || !experiment.by_hand.is_empty()
        || !experiment.notes().is_empty()
    {
        Kind::Acted
    } else {
        Kind::Quiet
    }
}

impl NightStory {
    /// Where the page lies, from the root of the site.
    pub fn path(&self) -> String {
        format!("nights/{}.html", self.report.as_of)
    }

    /// The page.
    pub fn page(&self) -> String {
        let report = &self.report;
        let of = |wanted: Kind| self.experiments().filter(move |(experiment, _)| kind(experiment) == wanted);
        let cards =
            |wanted| -> Vec<ExperimentView> { of(wanted).map(|(e, file)| ExperimentView::of(e, file)).collect() };
        let told = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| visible(line)).collect() };
        let view = View {
            root: "../",
            as_of: report.as_of.to_string(),
            day: day(report.as_of),
            headline: self.headline(),
            verdict: self.verdict(),
            at: clock(report.at),
            run: report.run.map(|run| run.to_string()),
            before: self.before.map(|date| date.to_string()),
            after: self.after.map(|date| date.to_string()),
            cautions: told(&report.cautions()),
            incidents: report.incidents.iter().map(|incident| visible(&incident.to_string())).collect(),
            needing: cards(Kind::Needs),
            acted: cards(Kind::Acted),
            quiet: of(Kind::Quiet).flat_map(|(experiment, file)| quiet(experiment, file)).collect(),
            unfinished: told(&report.unfinished),
            resumed: told(&report.resumed),
            moved: told(&report.moved),
        };
        render::page(PAGE.night, &view)
    }

    fn experiments(&self) -> impl Iterator<Item = (&ExperimentReport, Option<&str>)> {
        self.report.experiments.iter().zip(self.files.iter().map(Option::as_deref))
    }

    fn verdict(&self) -> &'static str {
        let report = &self.report;
        let needs = self.report.experiments.iter().any(|experiment| kind(experiment) == Kind::Needs);
        if report.has_failures() || !report.unfinished.is_empty() || needs {
            "needs"
        } else if report.count(|outcome| *outcome != Outcome::Hold) > 0 {
            "acted"
        } else {
            "quiet"
        }
    }

    fn headline(&self) -> String {
        self.report.summary()
    }

    /// The same as a line of the index.
    pub fn line(&self) -> NightLine {
        let deed = |word: &str, tone: &str, name: String, file: Option<&str>, owners: &[String]| Deed {
            word: word.to_owned(),
            tone: tone.to_owned(),
            name: visible(&name),
            file: file.map(str::to_owned),
            owners: owners.iter().map(|owner| visible(owner)).collect(),
        };
        let (mut deeds, mut needed) = (Vec::new(), Vec::new());
        for (experiment, file) in self.experiments() {
            if let Standing::Failed { .. } = experiment.standing {
                needed.push(deed("failed", "bad", experiment.name.clone(), file, &experiment.owners));
            }
            for candidate in &experiment.candidates {
                let name = format!("{}/{}", experiment.name, candidate.name);
                let (word, tone) = done(&candidate.decision.outcome);
                if candidate.decision.outcome != Outcome::Hold {
                    deeds.push(deed(word, tone, name.clone(), file, &[]));
                }
                if candidate.needs_somebody() {
                    let why = candidate.decision.in_short().into_iter().next().unwrap_or_default();
                    needed.push(deed(&visible(&why), "bad", name, file, &experiment.owners));
                }
            }
            for line in &experiment.by_hand {
                deeds.push(deed(&visible(line), "open", experiment.name.clone(), file, &[]));
            }
        }
        for incident in &self.report.incidents {
            needed.push(deed("not as decided", "bad", incident.what.clone(), None, &[]));
        }
        let more_done = deeds.len().saturating_sub(MOST_DEEDS);
        let more_needed = needed.len().saturating_sub(MOST_DEEDS);
        deeds.truncate(MOST_DEEDS);
        needed.truncate(MOST_DEEDS);
        NightLine {
            as_of: self.report.as_of,
            headline: self.headline(),
            needs: self.verdict() == "needs",
            done: deeds,
            more_done,
            needed,
            more_needed,
        }
    }
}

impl ExperimentView {
    fn of(experiment: &ExperimentReport, file: Option<&str>) -> ExperimentView {
        let card = |candidate: &CandidateReport| Card::of(experiment, candidate, true);
        ExperimentView {
            name: visible(&experiment.name),
            page: file.map(|file| format!("../experiments/{file}.html")),
            failed: match &experiment.standing {
                Standing::Failed { why } => Some(visible(why)),
                Standing::Decided | Standing::AlreadyDecided => None,
            },
            owners: experiment.owners.iter().map(|owner| visible(owner)).collect(),
            notes: experiment.notes().iter().map(|note| visible(note)).collect(),
            cards: experiment.candidates.iter().map(card).collect(),
            allocations: experiment
                .allocations
                .iter()
                .map(|change| format!("{}: {} → {}", visible(&change.name), change.from, change.to))
                .collect(),
            steps: experiment.steps.iter().map(|step| visible(step)).collect(),
        }
    }
}

/// A reason as a sentence, or in a few words where the sentence has too many numbers for a line.
fn wait(reason: &Reason) -> String {
    let sentence = reason.to_string();
    if sentence.chars().count() <= LONGEST_WAIT { sentence } else { reason.brief() }
}

fn quiet(experiment: &ExperimentReport, file: Option<&str>) -> Vec<QuietView> {
    let view = |candidate: Option<&CandidateReport>| QuietView {
        name: visible(&experiment.name),
        page: file.map(|file| format!("../experiments/{file}.html")),
        candidate: candidate.map(|candidate| visible(&candidate.name)),
        share: candidate.map_or("–".to_owned(), |candidate| candidate.share.to_string()),
        why: match candidate {
            Some(candidate) => {
                let mut why: Vec<String> = candidate.decision.reasons.iter().map(wait).collect();
                why.extend(candidate.forecast.as_ref().map(ToString::to_string));
                visible(&why.join("; "))
            }
            None => "no candidate is judged".to_owned(),
        },
    };
    if experiment.candidates.is_empty() {
        return vec![view(None)];
    }
    experiment.candidates.iter().map(|candidate| view(Some(candidate))).collect()
}
