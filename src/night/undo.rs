//! `undo-moves`: a decision's moves go back, under the lease, on record, and resumable like any other step.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::error::NightError;
use super::under_lease::under_lease;
use crate::control::{ControlStore, FoundDecision, Run, SweepStanding};

/// How many of the units that stay are named.
const NAMED: i64 = 20;

/// A decision whose moves are to be undone.
pub struct Undo<'a> {
    /// The store.
    pub control: &'a ControlStore,
    /// The decision's key, or the beginning of it.
    pub decision: &'a str,
    /// The last day that is over, for the record of the run.
    pub as_of: Date,
    /// When this run began.
    pub now: Timestamp,
    /// Who takes the lease.
    pub holder: String,
    /// The digest of the configuration, for the record of the run.
    pub config_digest: &'a str,
}

/// What was, or would be, undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UndoReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// The decision.
    pub decision: Uuid,
    /// The experiment's name, if it is still there.
    pub experiment: Option<String>,
    /// The candidate's name, if it is still there.
    pub candidate: Option<String>,
    /// What was decided.
    pub outcome: String,
    /// The night that it was decided for.
    pub as_of: Date,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Units that went back; in a dry run, those that would.
    pub moved_back: u64,
    /// Units that went back before.
    pub undone_before: u64,
    /// Units that stay, since they were moved, assigned anew or removed since.
    pub left_alone: u64,
    /// Some of these.
    pub left_alone_units: Vec<String>,
    /// Units that did not go back although they should have.
    pub stuck: u64,
    /// The sweeps, the last first, as they stood before.
    pub sweeps: Vec<SweepStanding>,
}

impl Undo<'_> {
    /// Counts what would go back. Takes no lease and writes nothing.
    ///
    /// # Errors
    /// No decision, or several, begin like that; or the store cannot be read.
    pub async fn dry_run(&self) -> Result<UndoReport, NightError> {
        let decision = self.find().await?;
        let sweeps = self.control.sweeps_of(&decision).await?;
        let moved_back = there(&sweeps);
        self.report(decision, sweeps, true, moved_back, 0).await
    }

    /// Takes the units back, unless they were moved or assigned since. Repeated, it changes nothing more. It stops where it
    /// is when `stop` ends; run again, or by the next night, it goes on.
    ///
    /// # Errors
    /// As [`Undo::dry_run`]; also if another run holds the lease.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<UndoReport, NightError> {
        let decision = self.find().await?;
        let sending = Mutex::new(());
        let work = self.undo(decision);
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    async fn undo(&self, decision: FoundDecision) -> Result<UndoReport, NightError> {
        let control = self.control;
        let sweeps = control.sweeps_of(&decision).await?;
        let begun = control.is_undo_pending(decision.id, self.now).await?;
        let to_do = there(&sweeps) > 0 || sweeps.iter().any(|sweep| sweep.pending);
        if !begun && !to_do {
            return self.report(decision, sweeps, false, 0, 0).await;
        }
        let name = format!("undo {} {} {}", decision.id, self.now, self.holder);
        let run = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        control.start_run(Run::by_hand(run), self.as_of, self.config_digest, self.now).await?;
        if !begun {
            control.begin_undo(run, &decision, there(&sweeps) > 0, self.now).await?;
        }
        let moved_back = control.undo_moves(&decision, &sweeps, self.now).await?;
        control.finish_undo(decision.id, self.now).await?;
        let stuck = there(&control.sweeps_of(&decision).await?);
        let summary = json!({ "undone": decision.id, "moved_back": moved_back, "stuck": stuck });
        control.finish_run(run, &summary, self.now).await?;
        self.report(decision, sweeps, false, moved_back, stuck).await
    }

    async fn find(&self) -> Result<FoundDecision, NightError> {
        let mut found = self.control.find_decisions(self.decision).await?;
        let asked = self.decision.to_owned();
        match found.len() {
            0 => Err(NightError::NoDecision { asked }),
            1 => Ok(found.remove(0)),
            _ => Err(NightError::ManyDecisions { asked, found: found.iter().map(|d| d.id).collect() }),
        }
    }

    async fn report(
        &self,
        decision: FoundDecision,
        sweeps: Vec<SweepStanding>,
        dry_run: bool,
        moved_back: u64,
        stuck: u64,
    ) -> Result<UndoReport, NightError> {
        let mut left_alone_units = Vec::new();
        for sweep in sweeps.iter().filter(|sweep| sweep.left_alone() > 0) {
            left_alone_units.extend(self.control.left_alone(decision.id, sweep, NAMED).await?);
        }
        left_alone_units.truncate(usize::try_from(NAMED).unwrap_or_default());
        let (experiment, candidate) = decision.names;
        Ok(UndoReport {
            schema_version: 1,
            decision: decision.id,
            experiment,
            candidate,
            outcome: decision.outcome,
            as_of: decision.as_of,
            dry_run,
            moved_back,
            undone_before: sweeps.iter().map(|sweep| sweep.undone).sum(),
            left_alone: sweeps.iter().map(SweepStanding::left_alone).sum(),
            left_alone_units,
            stuck,
            sweeps,
        })
    }
}

fn there(sweeps: &[SweepStanding]) -> u64 {
    sweeps.iter().map(|sweep| sweep.there).sum()
}
