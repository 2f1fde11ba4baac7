//! The site, written from the control store alone: what changed since it was written last, and nothing else.
//!
//! The front page comes last and what is no more goes after it, so that every link leads somewhere at any time.

mod error;
mod folder;
mod gather;
mod manifest;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::record::assemble;
use crate::apply::sentence_of;
use crate::control::{ControlStore, IncidentOnRecord, JudgedExperiment, RunOnRecord};
use crate::domain::ExperimentId;
use crate::report::site::{Drawn, Front, NightLine, NightStory, STYLE, Story, look};

pub use error::SiteError;
use folder::Folder;
use gather::{file_of, story};
use manifest::{ExperimentEntry, Manifest, NightEntry, PictureEntry};

/// So many nights are shown unless told otherwise.
pub const NIGHTS: u32 = 90;

/// After so many experiments it is noted how far the writing came.
const NOTE_AFTER: usize = 64;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteWritten {
    /// The first page.
    pub index: PathBuf,
    /// Pages of nights.
    pub nights: usize,
    /// Pages of experiments.
    pub experiments: usize,
    /// Files that were written.
    pub written: u64,
    /// Files that stayed as they were.
    pub unchanged: u64,
    /// Files that were removed.
    pub removed: u64,
}

/// What becomes known while a site is written: how many pages are done, and of how many.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Writes the site with its latest `nights`, or brings it up to date.
///
/// # Errors
/// The record cannot be read, or the folder not be written to. Every page that is there is whole even then.
pub async fn write_site(
    control: &ControlStore,
    folder: &Path,
    nights: u32,
    progress: Progress<'_>,
) -> Result<SiteWritten, SiteError> {
    let (folder, before) = Folder::claim(folder)?;
    let index = Index::read(control, nights).await?;
    let mut manifest = Manifest { schema_version: 1, ..Manifest::default() };
    let writer = Writer { control, folder: Arc::new(folder), before: &before, index: &index, progress };
    writer.write_experiments(&mut manifest).await?;
    writer.write_nights(&mut manifest).await?;
    writer.write_front(&manifest).await?;
    let folder = &writer.folder;
    let kept: BTreeSet<String> = manifest.files().collect();
    before.files().filter(|file| !kept.contains(file)).for_each(|file| folder.remove(&file));
    folder.finish(&manifest)?;
    let (written, unchanged, removed) = folder.counts();
    Ok(SiteWritten {
        index: folder.root().join(Front::PATH),
        nights: manifest.nights.len(),
        experiments: manifest.experiments.len(),
        written,
        unchanged,
        removed,
    })
}

/// What there is to show, before anything large is read.
struct Index {
    /// How many nights are shown.
    nights: u32,
    /// The nights that have pages, the earliest first.
    pages: Vec<Date>,
    earlier_nights: u64,
    runs: BTreeMap<Date, Vec<RunOnRecord>>,
    experiments: Vec<JudgedExperiment>,
    files: BTreeMap<ExperimentId, String>,
    marks: BTreeMap<Option<ExperimentId>, Vec<String>>,
    incidents: Vec<IncidentOnRecord>,
    /// What pages look like.
    look: String,
}

impl Index {
    async fn read(control: &ControlStore, nights: u32) -> Result<Index, SiteError> {
        let mut all = control.nights(Date::MAX, i64::MAX).await?;
        let earlier_nights = all.len().saturating_sub(nights as usize) as u64;
        all.truncate(nights as usize);
        all.reverse();
        let mut runs: BTreeMap<Date, Vec<RunOnRecord>> = BTreeMap::new();
        for run in control.runs_since(all.first().copied().unwrap_or(Date::MAX)).await? {
            runs.entry(run.as_of).or_default().push(run);
        }
        let experiments = control.judged_experiments().await?;
        Ok(Index {
            nights,
            pages: all,
            earlier_nights,
            runs,
            files: experiments.iter().map(|judged| (judged.id, file_of(judged))).collect(),
            experiments,
            marks: control.marks_of_change().await?,
            incidents: control.all_incidents().await?,
            look: look(),
        })
    }

    /// The digest of all that an experiment's page is made from.
    fn key_of_experiment(&self, judged: &JudgedExperiment) -> String {
        let linked = self.pages.iter().filter(|date| (judged.first_night..=judged.last_night).contains(*date));
        let linked: Vec<&Date> = linked.collect();
        let marks = [self.marks.get(&None), self.marks.get(&Some(judged.id))];
        digest(&format!("{} {} {judged:?} {marks:?} {:?} {}", self.look, self.nights, linked.first(), linked.len()))
    }

    /// The digest of all that a night's page is made from.
    fn key_of_night(&self, date: Date) -> String {
        let (before, after) = self.neighbours(date);
        let runs = self.runs.get(&date).map(Vec::as_slice).unwrap_or_default();
        let incidents: Vec<_> = self
            .incidents
            .iter()
            .filter(|i| runs.iter().any(|run| run.id == i.run))
            .map(|i| (i.id, &i.found))
            .collect();
        digest(&format!("{} {before:?} {after:?} {runs:?} {incidents:?}", self.look))
    }

    fn neighbours(&self, date: Date) -> (Option<Date>, Option<Date>) {
        let at = self.pages.partition_point(|page| *page < date);
        (at.checked_sub(1).map(|at| self.pages[at]), self.pages.get(at + 1).copied())
    }
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))[..32].to_owned()
}

/// A site at work.
struct Writer<'a> {
    control: &'a ControlStore,
    folder: Arc<Folder>,
    before: &'a Manifest,
    index: &'a Index,
    progress: Progress<'a>,
}

impl Writer<'_> {
    async fn write_experiments(&self, manifest: &mut Manifest) -> Result<(), SiteError> {
        let mut wanted = Vec::new();
        for judged in &self.index.experiments {
            let key = self.index.key_of_experiment(judged);
            match self.before.experiments.get(&judged.id).filter(|entry| entry.key == key) {
                Some(entry) if entry.files().all(|file| self.folder.has(&file)) => {
                    self.folder.skip(entry.files().count());
                    manifest.experiments.insert(judged.id, entry.clone());
                }
                _ => wanted.push((judged, key)),
            }
        }
        let total = wanted.len() as u64;
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut work: JoinSet<Result<(ExperimentId, ExperimentEntry), SiteError>> = JoinSet::new();
        let (mut done, mut unnoted) = (0, 0);
        let mut wanted = wanted.into_iter();
        loop {
            while work.len() < at_once
                && let Some((judged, key)) = wanted.next()
            {
                let story =
                    story(self.control, judged, self.index.nights, &self.index.pages, &self.index.incidents).await?;
                let (folder, id) = (Arc::clone(&self.folder), judged.id);
                let known = self.before.experiments.get(&id).map(|entry| entry.pictures.clone()).unwrap_or_default();
                work.spawn_blocking(move || Ok((id, write_experiment(&folder, &story, key, &known)?)));
            }
            let Some(finished) = work.join_next().await else { return Ok(()) };
            let (id, entry) = finished.map_err(|error| SiteError::Broken(error.to_string()))??;
            manifest.experiments.insert(id, entry);
            done += 1;
            unnoted += 1;
            (self.progress)(done, total);
            if unnoted >= NOTE_AFTER {
                unnoted = 0;
                // What is not made again yet is still there.
                let mut so_far = self.before.clone();
                so_far.experiments.extend(manifest.experiments.clone());
                self.folder.note(&so_far)?;
            }
        }
    }

    async fn write_nights(&self, manifest: &mut Manifest) -> Result<(), SiteError> {
        // A page that has another name now is linked anew wherever it is named.
        let is_elsewhere = |(id, entry): (&ExperimentId, &ExperimentEntry)| {
            self.index.files.get(id).is_none_or(|file| *file != entry.line.file)
        };
        let moved = self.before.experiments.iter().any(is_elsewhere);
        for date in &self.index.pages {
            let key = self.index.key_of_night(*date);
            let known = self.before.nights.get(date).filter(|entry| entry.key == key && !moved);
            if let Some(entry) = known.filter(|_| self.folder.has(&format!("nights/{date}.html"))) {
                self.folder.skip(1);
                manifest.nights.insert(*date, entry.clone());
                continue;
            }
            let Some(line) = self.write_night(*date).await? else { continue };
            manifest.nights.insert(*date, NightEntry { key, line });
        }
        Ok(())
    }

    async fn write_night(&self, date: Date) -> Result<Option<NightLine>, SiteError> {
        let runs = self.index.runs.get(&date).map(Vec::as_slice).unwrap_or_default();
        let reports = self.control.all_reports_of_night(date).await?;
        let Some(night) = assemble(date, runs, reports, &self.index.incidents) else { return Ok(None) };
        let (before, after) = self.index.neighbours(date);
        let file = |id: &Option<ExperimentId>| self.index.files.get(id.as_ref()?).cloned();
        let files = night.experiments.iter().map(file).collect();
        let story = NightStory { report: night.report, files, before, after };
        self.folder.write(&story.path(), story.page().as_bytes())?;
        Ok(Some(story.line()))
    }

    async fn write_front(&self, manifest: &Manifest) -> Result<(), SiteError> {
        let since = self.index.pages.first().copied();
        let open = self.control.open_actions().await?;
        let recent =
            |at: jiff::Timestamp| since.is_some_and(|since| at.to_zoned(jiff::tz::TimeZone::UTC).date() >= since);
        // What waits for its time without an error is nobody's business.
        let stuck = open.iter().filter(|open| open.last_error.is_some() && (!open.given_up || recent(open.updated_at)));
        let told = |open: &crate::control::OpenAction| {
            let given_up = if open.given_up { "given up, " } else { "" };
            format!("{}: {given_up}{}", sentence_of(&open.action), open.last_error.as_deref().unwrap_or_default())
        };
        let mut experiments: Vec<_> = manifest.experiments.values().map(|entry| entry.line.clone()).collect();
        experiments.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        let front = Front {
            nights: manifest.nights.values().rev().map(|entry| entry.line.clone()).collect(),
            earlier_nights: self.index.earlier_nights,
            experiments,
            unfinished: stuck.map(told).collect(),
        };
        self.folder.write("style.css", STYLE.as_bytes())?;
        self.folder.write(Front::PATH, front.page().as_bytes())
    }
}

/// Draws and writes an experiment's pictures, those that are not there yet, and then its page.
fn write_experiment(
    folder: &Folder,
    story: &Story,
    key: String,
    known: &BTreeMap<String, PictureEntry>,
) -> Result<ExperimentEntry, SiteError> {
    let mut pictures = BTreeMap::new();
    let mut drawn = Vec::new();
    for sketch in story.sketches() {
        let digest = sketch.digest();
        let there = known.get(&sketch.path).filter(|entry| entry.digest == digest && folder.has(&sketch.path));
        let entry = match there {
            Some(entry) => {
                folder.skip(1);
                entry.clone()
            }
            None => match sketch.draw() {
                Ok(picture) => {
                    folder.write(&sketch.path, &picture.png)?;
                    PictureEntry { digest, drawn: Drawn::from(&picture) }
                }
                Err(error) => {
                    tracing::error!(path = sketch.path, "a picture is left out: {error}");
                    drawn.push(None);
                    continue;
                }
            },
        };
        drawn.push(Some(entry.drawn.clone()));
        pictures.insert(sketch.path, entry);
    }
    folder.write(&story.path(), story.page(&drawn).as_bytes())?;
    Ok(ExperimentEntry { key, line: story.line(), pictures })
}
