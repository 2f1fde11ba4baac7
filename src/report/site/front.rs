//! The first page: what needs somebody, the nights, the experiments.

use serde::Serialize;

use super::render::{self, PAGE};
use super::story::{CandidateLine, Deed, ExperimentLine, Front, NightLine};
use super::words::{day, several, visible};

#[derive(Serialize)]
struct View<'a> {
    /// From the page to the root of the site.
    root: &'static str,
    latest: Option<NightView<'a>>,
    nights: Vec<NightView<'a>>,
    earlier_nights: Option<String>,
    needing: Vec<&'a ExperimentLine>,
    running: Vec<&'a ExperimentLine>,
    over: Vec<&'a ExperimentLine>,
    /// Pages as of an earlier night.
    behind: Option<String>,
    unfinished: Vec<String>,
    totals: Vec<Total>,
}

#[derive(Serialize)]
struct NightView<'a> {
    as_of: String,
    day: String,
    headline: &'a str,
    needs: bool,
    done: &'a [Deed],
    more_done: usize,
    needed: &'a [Deed],
    more_needed: usize,
}

/// A number with its word.
#[derive(Serialize)]
struct Total {
    number: usize,
    word: &'static str,
}

impl<'a> NightView<'a> {
    fn of(line: &'a NightLine) -> NightView<'a> {
        NightView {
            as_of: line.as_of.to_string(),
            day: day(line.as_of),
            headline: &line.headline,
            needs: line.needs,
            done: &line.done,
            more_done: line.more_done,
            needed: &line.needed,
            more_needed: line.more_needed,
        }
    }
}

impl Front {
    /// Where the page lies.
    pub const PATH: &'static str = "index.html";

    /// The page.
    pub fn page(&self) -> String {
        let is_running = |line: &&ExperimentLine| matches!(line.status.as_str(), "active" | "paused");
        let (running, over): (Vec<_>, Vec<_>) = self.experiments.iter().partition(is_running);
        let (needing, running): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|line| line.candidates.iter().any(|candidate| candidate.needs));
        let ending = |state: &str| {
            let candidates = self.experiments.iter().flat_map(|line| &line.candidates);
            candidates.filter(|candidate: &&CandidateLine| candidate.state == state).count()
        };
        let totals = vec![
            Total { number: running.len() + needing.len(), word: "running" },
            Total { number: needing.len(), word: if needing.len() == 1 { "needs somebody" } else { "need somebody" } },
            Total { number: ending("promoted"), word: "promoted" },
            Total { number: ending("rolled back"), word: "rolled back" },
        ];
        let view = View {
            root: "",
            latest: self.nights.first().map(NightView::of),
            nights: self.nights.iter().map(NightView::of).collect(),
            earlier_nights: (self.earlier_nights > 0).then(|| several(self.earlier_nights, "earlier night")),
            needing,
            running,
            over,
            behind: (self.behind > 0).then(|| several(self.behind, "experiment")),
            unfinished: self.unfinished.iter().map(|line| visible(line)).collect(),
            totals,
        };
        render::page(PAGE.front, &view)
    }
}
