//! An experiment's page.

use jiff::civil::Date;
use serde::Serialize;

use super::card::{Card, done, standing};
use super::history::{self, Row};
use super::pictures::{Sketch, sketches};
use super::render::{self, PAGE};
use super::story::{CandidateLine, CandidateStory, ExperimentLine, Story};
use super::words::{clock, day, several, visible};
use crate::chart::Picture;
use crate::domain::{ExperimentStatus, RolloutStatus, Share};

#[derive(Serialize)]
struct View {
    /// From the page to the root of the site.
    root: &'static str,
    name: String,
    status: &'static str,
    unit_type: String,
    started: Option<String>,
    /// The last night that the page knows of.
    as_of: Option<String>,
    owners: Vec<String>,
    notes: Vec<String>,
    shares: Vec<ShareView>,
    candidates: Vec<CandidateView>,
    history: Vec<Row>,
    earlier_nights: Option<String>,
}

#[derive(Serialize)]
struct ShareView {
    name: String,
    share: String,
    percent: u8,
    is_candidate: bool,
}

#[derive(Serialize)]
struct CandidateView {
    standing: &'static str,
    standing_tone: &'static str,
    share: Option<String>,
    last_night: String,
    page: Option<String>,
    card: Card,
    pictures: Vec<PictureView>,
}

#[derive(Serialize)]
struct PictureView {
    src: String,
    width: u32,
    height: u32,
    alt: String,
    caption: String,
}

/// How large a picture is and what it says; the dots lie in a file.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, Serialize)]
pub struct Drawn {
    /// The width in CSS pixels.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// What the picture says, in words.
    pub alt: String,
}

impl From<&Picture> for Drawn {
    fn from(picture: &Picture) -> Drawn {
        Drawn { width: picture.width, height: picture.height, alt: picture.alt.clone() }
    }
}

impl Story {
    /// Where the page lies, from the root of the site.
    pub fn path(&self) -> String {
        format!("experiments/{}.html", self.file)
    }

    /// The pictures that the page shows, candidate by candidate.
    pub fn sketches(&self) -> Vec<Sketch> {
        self.candidates.iter().flat_map(|candidate| sketches(candidate, &self.file)).collect()
    }

    /// The page. `drawn` are the pictures of [`Story::sketches`], in the same order; one that could not be drawn is left
    /// out.
    pub fn page(&self, drawn: &[Option<Drawn>]) -> String {
        let sketches = self.sketches();
        let mut pictures: Vec<(String, PictureView)> = Vec::new();
        for (sketch, drawn) in sketches.iter().zip(drawn) {
            let Some(drawn) = drawn else { continue };
            let src = sketch.path.strip_prefix("experiments/").unwrap_or(&sketch.path).to_owned();
            let picture = PictureView {
                src,
                width: drawn.width,
                height: drawn.height,
                alt: drawn.alt.clone(),
                caption: sketch.caption.clone(),
            };
            pictures.push((sketch.path.clone(), picture));
        }
        let mut of = |candidate: &CandidateStory| {
            let folder = format!("experiments/{}/{}/", self.file, candidate.folder);
            let (ours, others) = pictures.drain(..).partition(|(path, _)| path.starts_with(&folder));
            pictures = others;
            let ours: Vec<(String, PictureView)> = ours;
            ours.into_iter().map(|(_, picture)| picture).collect::<Vec<_>>()
        };
        let candidates = self.candidates.iter().map(|candidate| self.candidate(candidate, of(candidate))).collect();
        let view = View {
            root: "../",
            name: visible(&self.name),
            status: self.status.map_or("gone", ExperimentStatus::as_str),
            unit_type: visible(&self.unit_type),
            started: self.started.map(clock),
            as_of: self.candidates.iter().map(|candidate| candidate.last_night).max().map(day),
            owners: self.owners.iter().map(|owner| visible(owner)).collect(),
            notes: self.notes.iter().map(|note| visible(note)).collect(),
            shares: self.shares(),
            candidates,
            history: history::rows(self),
            earlier_nights: (self.earlier_nights > 0).then(|| several(self.earlier_nights, "earlier night")),
        };
        render::page(PAGE.experiment, &view)
    }

    fn candidate(&self, story: &CandidateStory, pictures: Vec<PictureView>) -> CandidateView {
        let status = story.state.as_ref().map(|state| state.status);
        let (standing, standing_tone) = standing(status);
        let open = self.is_open(story);
        CandidateView {
            standing,
            standing_tone,
            share: story.share.map(|share| share.to_string()),
            last_night: day(story.last_night),
            page: self.pages.contains(&story.last_night).then(|| format!("../nights/{}.html", story.last_night)),
            card: Card::of(&story.report, &story.last, open),
            pictures,
        }
    }

    /// Whether the candidate is still being judged.
    fn is_open(&self, candidate: &CandidateStory) -> bool {
        let running = matches!(self.status, Some(ExperimentStatus::Active | ExperimentStatus::Paused));
        running && candidate.state.as_ref().is_none_or(|state| state.status == RolloutStatus::Ramping)
    }

    fn shares(&self) -> Vec<ShareView> {
        let is_candidate = |name: &str| self.candidates.iter().any(|candidate| candidate.name == name);
        let view = |(name, share): &(String, Share)| ShareView {
            name: visible(name),
            share: share.to_string(),
            percent: percent(*share),
            is_candidate: is_candidate(name),
        };
        self.variants.iter().map(view).collect()
    }

    /// The same as a line of the index.
    pub fn line(&self) -> ExperimentLine {
        let candidate = |story: &CandidateStory| {
            let open = self.is_open(story);
            let (state, _) = standing(story.state.as_ref().map(|state| state.status));
            let (word, tone) = done(&story.last.decision.outcome);
            CandidateLine {
                name: visible(&story.name),
                state: state.to_owned(),
                share: story.share.map_or("–".to_owned(), |share| share.to_string()),
                percent: story.share.map_or(0, percent),
                word: word.to_owned(),
                tone: tone.to_owned(),
                why: story.last.decision.in_short().first().map(|why| visible(why)).unwrap_or_default(),
                last_night: story.last_night,
                needs: open && story.last.needs_somebody(),
            }
        };
        ExperimentLine {
            name: visible(&self.name),
            file: self.file.clone(),
            status: self.status.map_or("gone", ExperimentStatus::as_str).to_owned(),
            candidates: self.candidates.iter().map(candidate).collect(),
        }
    }
}

impl ExperimentLine {
    /// The last night that it knows of.
    pub fn last_night(&self) -> Option<Date> {
        self.candidates.iter().map(|candidate| candidate.last_night).max()
    }
}

/// A share in whole percent, for a bar; what is not nothing is seen.
fn percent(share: Share) -> u8 {
    let whole = share.ten_thousandths().div_ceil(100);
    u8::try_from(whole).unwrap_or(100)
}
