//! The site, written from the control store alone: what changed since it was written last, and nothing else.
//!
//! The front page comes last and what is no more goes after it, so that every link leads somewhere at any time.

mod error;
mod folder;
mod gather;
mod index;
mod manifest;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use tokio::task::JoinSet;

use super::record::assemble;
use crate::apply::sentence_of;
use crate::control::{ControlStore, JudgedExperiment};
use crate::decide::Outcome;
use crate::domain::ExperimentId;
use crate::report::site::{Drawn, Front, NightLine, NightStory, STYLE, Story};
use crate::report::{CandidateReport, ExperimentReport};

pub use error::SiteError;
use folder::Folder;
use gather::{file_of, story};
use index::Index;
use manifest::{ExperimentEntry, Manifest, NightEntry, PictureEntry};

/// So many nights are shown unless told otherwise.
pub const NIGHTS: u32 = 90;

/// So many experiments' pages a night writes at most: those first that acted or need somebody. What it leaves is as of an
/// earlier night.
pub const PAGES_OF_A_NIGHT: usize = 200;

/// How much of the record is shown, and how much is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The latest nights that are shown, of each experiment, too.
    pub nights: u32,
    /// How many experiments' pages are written at most; all that changed if there is no such bound.
    pub pages: Option<usize>,
}

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
    /// Experiments whose pages are as of an earlier night, or not there yet, since there were too many.
    pub behind: usize,
}

/// What becomes known while a site is written: how many pages are done, and of how many.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Writes the site, or brings it up to date.
///
/// # Errors
/// The record cannot be read, or the folder not be written to. Every page that is there is whole even then.
pub async fn write_site(
    control: &ControlStore,
    folder: &Path,
    extent: Extent,
    progress: Progress<'_>,
) -> Result<SiteWritten, SiteError> {
    let (folder, before) = Folder::claim(folder)?;
    let index = Index::read(control, extent.nights).await?;
    let mut manifest = Manifest { schema_version: 1, ..Manifest::default() };
    let writer = Writer { control, folder: Arc::new(folder), before: &before, index: &index, progress };
    let behind = writer.write_experiments(&mut manifest, extent.pages).await?;
    writer.write_nights(&mut manifest).await?;
    writer.write_front(&manifest, behind).await?;
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
        behind,
    })
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
    /// Writes the pages that changed, `most` of them, and gives how many more there are.
    async fn write_experiments(&self, manifest: &mut Manifest, most: Option<usize>) -> Result<usize, SiteError> {
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
        let behind = wanted.len().saturating_sub(most.unwrap_or(usize::MAX));
        if behind > 0 {
            let urgent = self.urgent().await?;
            wanted.sort_by_cached_key(|(judged, _)| self.turn(judged, &urgent));
            for (judged, _) in wanted.drain(wanted.len() - behind..) {
                // The page stays as it is; its key is not the one that is wanted, so that its turn comes.
                if let Some(entry) = self.standing(judged) {
                    self.folder.skip(entry.files().count());
                    manifest.experiments.insert(judged.id, entry.clone());
                }
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
                let oldest_link = self.index.pages.iter().find(|date| **date >= judged.first_night).copied();
                work.spawn_blocking(move || {
                    let mut entry = write_experiment(&folder, &story, key, &known)?;
                    entry.oldest_link = oldest_link;
                    Ok((id, entry))
                });
            }
            let Some(finished) = work.join_next().await else { return Ok(behind) };
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

    /// The page of an experiment as it was written before, if it is still whole and where it belongs: under another name it
    /// might take another's place.
    fn standing(&self, judged: &JudgedExperiment) -> Option<&ExperimentEntry> {
        let file = file_of(judged);
        let entry = self.before.experiments.get(&judged.id).filter(|entry| entry.line.file == file)?;
        entry.files().all(|file| self.folder.has(&file)).then_some(entry)
    }

    /// The experiments that acted in the last night or need somebody.
    async fn urgent(&self) -> Result<BTreeSet<ExperimentId>, SiteError> {
        let Some(last) = self.index.pages.last() else { return Ok(BTreeSet::new()) };
        let runs = self.index.runs.get(last).map(Vec::as_slice).unwrap_or_default();
        let reports = self.control.all_reports_of_night(*last).await?;
        let Some(night) = assemble(*last, runs, reports, &self.index.incidents) else { return Ok(BTreeSet::new()) };
        let told = night.report.experiments.iter().zip(night.experiments);
        let is_urgent = |report: &ExperimentReport| {
            let is_told =
                |candidate: &CandidateReport| candidate.needs_somebody() || candidate.decision.outcome != Outcome::Hold;
            report.candidates.iter().any(is_told)
        };
        Ok(told.filter(|(report, _)| is_urgent(report)).filter_map(|(_, id)| id).collect())
    }

    /// Whose page comes first: those that tell of deeds and needs, now or before, then those that are not there, then those
    /// that stayed behind longest.
    fn turn(
        &self,
        judged: &JudgedExperiment,
        urgent: &BTreeSet<ExperimentId>,
    ) -> (bool, bool, Option<Date>, ExperimentId) {
        let standing = self.standing(judged);
        let needed = standing.is_some_and(|entry| entry.line.candidates.iter().any(|candidate| candidate.needs));
        let seen = standing.and_then(|entry| entry.line.last_night());
        (!(urgent.contains(&judged.id) || needed), standing.is_some(), seen, judged.id)
    }

    /// Nights that are not shown any more, but that pages of experiments which stayed behind still link to.
    fn still_linked(&self, manifest: &Manifest) -> BTreeMap<Date, NightEntry> {
        let oldest = manifest.experiments.values().filter_map(|entry| entry.oldest_link).min();
        let (Some(first), Some(oldest)) = (self.index.pages.first(), oldest) else { return BTreeMap::new() };
        let earlier = self.before.nights.range(oldest.min(*first)..*first);
        let earlier = earlier.filter(|(date, _)| self.folder.has(&format!("nights/{date}.html")));
        earlier.map(|(date, entry)| (*date, entry.clone())).collect()
    }

    async fn write_nights(&self, manifest: &mut Manifest) -> Result<(), SiteError> {
        let earlier = self.still_linked(manifest);
        self.folder.skip(earlier.len());
        manifest.nights.extend(earlier);
        for date in &self.index.pages {
            let key = self.index.key_of_night(*date, |id| Some(manifest.experiments.get(id)?.line.file.as_str()));
            let known = self.before.nights.get(date).filter(|entry| entry.key == key);
            if let Some(entry) = known.filter(|_| self.folder.has(&format!("nights/{date}.html"))) {
                self.folder.skip(1);
                manifest.nights.insert(*date, entry.clone());
                continue;
            }
            let Some(line) = self.write_night(*date, manifest).await? else { continue };
            manifest.nights.insert(*date, NightEntry { key, line });
        }
        Ok(())
    }

    async fn write_night(&self, date: Date, manifest: &Manifest) -> Result<Option<NightLine>, SiteError> {
        let runs = self.index.runs.get(&date).map(Vec::as_slice).unwrap_or_default();
        let reports = self.control.all_reports_of_night(date).await?;
        let Some(night) = assemble(date, runs, reports, &self.index.incidents) else { return Ok(None) };
        let (before, after) = self.index.neighbours(date);
        let file = |id: &Option<ExperimentId>| Some(manifest.experiments.get(id.as_ref()?)?.line.file.clone());
        let files = night.experiments.iter().map(file).collect();
        let story = NightStory { report: night.report, files, before, after };
        self.folder.write(&story.path(), story.page().as_bytes())?;
        Ok(Some(story.line()))
    }

    async fn write_front(&self, manifest: &Manifest, behind: usize) -> Result<(), SiteError> {
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
            nights: self
                .index
                .pages
                .iter()
                .rev()
                .filter_map(|date| Some(manifest.nights.get(date)?.line.clone()))
                .collect(),
            earlier_nights: self.index.earlier_nights,
            experiments,
            behind: behind as u64,
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
    Ok(ExperimentEntry { key, line: story.line(), pictures, oldest_link: None })
}
