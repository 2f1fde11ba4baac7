//! What there is to show, in short, and by which digests it is known whether a page is still what it would be.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::error::SiteError;
use crate::control::{ControlStore, IncidentOnRecord, JudgedExperiment, RunOnRecord};
use crate::domain::ExperimentId;
use crate::report::site::look;

/// What there is to show, before anything large is read.
pub(super) struct Index {
    /// How many nights are shown.
    pub(super) nights: u32,
    /// The nights that have pages, the earliest first.
    pub(super) pages: Vec<Date>,
    pub(super) earlier_nights: u64,
    pub(super) runs: BTreeMap<Date, Vec<RunOnRecord>>,
    pub(super) experiments: Vec<JudgedExperiment>,
    marks: BTreeMap<Option<ExperimentId>, Vec<String>>,
    pub(super) incidents: Vec<IncidentOnRecord>,
    /// What pages look like.
    look: String,
}

impl Index {
    /// Reads it.
    pub(super) async fn read(control: &ControlStore, nights: u32) -> Result<Index, SiteError> {
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
            experiments,
            marks: control.marks_of_change().await?,
            incidents: control.all_incidents().await?,
            look: look(),
        })
    }

    /// The digest of all that an experiment's page is made from.
    pub(super) fn key_of_experiment(&self, judged: &JudgedExperiment) -> String {
        let linked = self.pages.iter().filter(|date| (judged.first_night..=judged.last_night).contains(*date));
        let linked: Vec<&Date> = linked.collect();
        let marks = [self.marks.get(&None), self.marks.get(&Some(judged.id))];
        digest(&format!("{} {} {judged:?} {marks:?} {:?} {}", self.look, self.nights, linked.first(), linked.len()))
    }

    /// The digest of all that a night's page is made from. `file` is where an experiment's page lies, if it has one.
    pub(super) fn key_of_night<'a>(&self, date: Date, file: impl Fn(&ExperimentId) -> Option<&'a str>) -> String {
        let (before, after) = self.neighbours(date);
        let runs = self.runs.get(&date).map(Vec::as_slice).unwrap_or_default();
        let incidents: Vec<_> = self
            .incidents
            .iter()
            .filter(|i| runs.iter().any(|run| run.id == i.run))
            .map(|i| (i.id, &i.found))
            .collect();
        // What began later is not named there.
        let began = |judged: &JudgedExperiment| {
            let started = judged.started_at.map(|at| at.to_zoned(TimeZone::UTC).date());
            started.map_or(judged.first_night, |started| started.min(judged.first_night))
        };
        let named = self.experiments.iter().filter(|judged| began(judged) <= date);
        let files: Vec<(ExperimentId, Option<&str>)> = named.map(|judged| (judged.id, file(&judged.id))).collect();
        digest(&format!("{} {before:?} {after:?} {runs:?} {incidents:?} {files:?}", self.look))
    }

    /// The nights beside one.
    pub(super) fn neighbours(&self, date: Date) -> (Option<Date>, Option<Date>) {
        let at = self.pages.partition_point(|page| *page < date);
        (at.checked_sub(1).map(|at| self.pages[at]), self.pages.get(at + 1).copied())
    }
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))[..32].to_owned()
}
