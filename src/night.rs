//! A night, in one page.
//!
//! ```text
//! lease → resume → snapshot → collect → assess → decide → plan → record → apply → report → notify
//!         (journal) (control) (warehouse) (pure)  (pure)  (pure) (control) (journal) (pure)  (journal)
//! ```
//!
//! Where an experiment says so, a version that passed offline evaluation comes in before *collect* (`route`).
//!
//! Every experiment goes through the middle on its own, so a bad one does not spoil the night for the others.

mod ahead;
mod at_once;
mod by_hand;
mod chat;
mod collect;
mod commit;
mod days;
mod error;
mod flip;
mod judge;
mod mailing;
mod percentiles;
mod record;
mod replay;
mod restate;
mod route;
mod site;
mod stored;
mod tell;
mod thresholds;
mod under_lease;
mod undo;

use std::collections::VecDeque;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::apply::{Applier, chain};
use crate::config::Config;
use crate::control::{ControlStore, ExperimentRecord, Run, observe_epochs};
use crate::domain::in_force_since;
use crate::notify::{Chat, Mailer};
use crate::plan::Versions;
use crate::registry::Registry;
use crate::report::{ExperimentReport, NightReport, Standing};
use crate::warehouse::Warehouse;

use ahead::Ahead;
use by_hand::{ByHand, by_hand};
use days::Days;
pub use error::NightError;
pub use flip::flips_of;
use judge::{Case, Judged};
pub use judge::{own_faults, shared_faults};
pub use mailing::{readers, stationery};
pub use record::{NightOnRecord, night_on_record};
pub use replay::{Recalled, Repeated, recall, repeat};
use route::Route;
pub use route::{ByHandOf, EnrolReport, QualifiedVersion, QualifyReport};
pub use site::{Extent, NIGHTS, SiteError, SiteWritten, write_site};
use stored::Stored;
pub use thresholds::{Found, FreezeError, percentile, threshold};
pub use under_lease::alone;
use under_lease::under_lease;
pub use undo::{Undo, UndoReport};

/// One night's work and everything that it needs.
pub struct Night<'a> {
    /// What is measured and how it is judged.
    pub config: &'a Config,
    /// The experiments and Rampkeeper's own tables.
    pub control: &'a ControlStore,
    /// Events and first exposures.
    pub warehouse: &'a dyn Warehouse,
    /// The model registry.
    pub registry: &'a dyn Registry,
    /// The way to the readers, if mail is configured.
    pub mailer: Option<&'a dyn Mailer>,
    /// The way to chats, if any is configured.
    pub chat: Option<&'a dyn Chat>,
    /// The day that the evidence speaks about.
    pub as_of: Date,
    /// When this run began.
    pub now: Timestamp,
    /// Who takes the lease.
    pub holder: String,
}

/// Whether a night acts or only says what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Act { run: Run },
    Plan,
}

impl Night<'_> {
    /// Decides, acts, and tells. Repeated for the same day and the same data, it changes nothing and sends nothing.
    pub async fn run(&self) -> Result<NightReport, NightError> {
        self.run_until(std::future::pending()).await
    }

    /// The same, but it stops when `stop` ends: what is committed by then stays, and the next run goes on from there.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<NightReport, NightError> {
        self.check_as_of()?;
        let sending = Mutex::new(());
        let work = self.run_under_lease(&sending);
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    /// What [`Night::run`] would do now. Reads, and writes nothing.
    pub async fn plan(&self) -> Result<NightReport, NightError> {
        self.check_as_of()?;
        let mut report = self.empty_report();
        self.evaluate_all(Mode::Plan, &mut report).await?;
        Ok(report)
    }

    async fn run_under_lease(&self, sending: &Mutex<()>) -> Result<NightReport, NightError> {
        let run = Run::night(self.run_id());
        let mut applier = self.applier(run, sending);
        applier.resume().await?;
        let mut report = self.empty_report();
        // What was decided before a night broke off is carried out and told all the same.
        let evaluated = self.evaluate_all(Mode::Act { run }, &mut report).await;
        if let Err(refused @ NightError::TooOld { .. }) = evaluated {
            return Err(refused);
        }
        let finished = self.finish(&mut report, run, &mut applier, evaluated.is_ok()).await;
        if let (Err(_), Err(then)) = (&evaluated, &finished) {
            // The first fault is the cause, so it is what the run ends with.
            tracing::error!("what was decided before could not be carried out and told: {}", chain(then));
        }
        evaluated.and(finished).map(|()| report)
    }

    /// Carries out what is due and tells what is not told yet.
    async fn finish(
        &self,
        report: &mut NightReport,
        run: Run,
        applier: &mut Applier<'_>,
        complete: bool,
    ) -> Result<(), NightError> {
        applier.apply_pending().await?;
        applier.read_back(report).await?;
        report.resumed = applier.resumed().to_vec();
        report.moved = applier.moved();
        report.unfinished = applier.unfinished();
        report.incidents = applier.incidents().await?;
        self.tell(report, run, applier, complete).await
    }

    fn applier<'b>(&'b self, run: Run, sending: &'b Mutex<()>) -> Applier<'b> {
        Applier::new(self.control, self.registry, self.mailer, (run.id, self.now), sending).with_chat(self.chat)
    }

    fn run_id(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {} {}", self.as_of, self.now, self.holder).as_bytes())
    }

    fn empty_report(&self) -> NightReport {
        NightReport {
            schema_version: 1,
            as_of: self.as_of,
            run: None,
            at: self.now,
            experiments: Vec::new(),
            resumed: Vec::new(),
            moved: Vec::new(),
            unfinished: Vec::new(),
            incidents: Vec::new(),
        }
    }

    async fn evaluate_all(&self, mode: Mode, report: &mut NightReport) -> Result<(), NightError> {
        let records = self.control.load_experiments().await?;
        let versions = self.control.load_versions().await?;
        self.check_order(&records)?;
        let begun = std::time::Instant::now();
        let mut days = Days::new(self.warehouse, self.control, self.config, self.as_of, mode != Mode::Plan).await?;
        days.count_again(self.as_of, self.config.settings.evidence.restatement_days.unwrap_or(3)).await?;
        let mut stored = self.load_stored(&records, self.control.load_all_progress().await?);
        let mut records = VecDeque::from(records);
        while !records.is_empty() {
            let ahead = self.ask_ahead(records.make_contiguous(), &stored, &mut days).await?;
            for record in records.drain(..ahead.experiments) {
                // Whole seconds: an epoch begins when its allocations are set, and not when the night began.
                let elapsed = SignedDuration::from_secs(i64::try_from(begun.elapsed().as_secs()).unwrap_or(0));
                let name = record.experiment.name.clone();
                let now = self.now + elapsed;
                match self.evaluate(record, &versions, (&mut days, &ahead, &mut stored), mode, now, report).await {
                    Ok(experiment) => report.experiments.push(experiment),
                    Err(error) if error.ends_the_night() => return Err(error),
                    Err(error) => report.experiments.push(failed(name, chain(&error))),
                }
            }
        }
        days.settle().await?;
        Ok(())
    }

    /// One experiment: observe → enrol → collect → judge (assess, decide, plan) → record.
    async fn evaluate(
        &self,
        mut record: ExperimentRecord,
        versions: &Versions,
        (days, ahead, stored): (&mut Days<'_>, &Ahead, &mut Stored<'_>),
        mode: Mode,
        now: Timestamp,
        night: &mut NightReport,
    ) -> Result<ExperimentReport, NightError> {
        self.observe(&mut record, mode, now).await?;
        let thresholds = record.thresholds.len();
        let route = self.walk_route(&mut record, mode, now, night).await?;
        if record.thresholds.len() > thresholds {
            stored.renew(record.experiment.id, self.metric_sets(&record));
        }
        // A decision is never older than the epoch that it was made in.
        let now = in_force_since(&record.epochs).map_or(now, |since| now.max(since));
        let mut collected = self.collect(&record, (days, ahead, stored), mode).await?;
        collected.percentiles = self.percentiles(&record, (days, ahead, stored), mode).await;
        let case = Case {
            config: self.config,
            versions,
            collected: &collected,
            as_of: self.as_of,
            now,
            settling_time: self.settling_time(),
            by_hand_only: false,
            digests: &stored.digests,
        };
        self.conclude(&case, &record, &route, mode, night).await
    }

    /// From what was collected to what is recorded.
    async fn conclude(
        &self,
        case: &Case<'_>,
        record: &ExperimentRecord,
        route: &Route,
        mode: Mode,
        night: &mut NightReport,
    ) -> Result<ExperimentReport, NightError> {
        let judged = judge::judge(case, record);
        if judged.candidates.is_empty() && !record.faults.is_empty() {
            return Ok(failed(record.experiment.name.clone(), record.faults.join("; ")));
        }
        let by_hand = by_hand(record);
        let known = route.lines.is_empty() && self.is_known(record, &judged, &by_hand).await?;
        let mut report = judged.report(record, if known { Standing::AlreadyDecided } else { Standing::Decided });
        report.faulty |= by_hand.needs_someone;
        report.by_hand = by_hand.lines;
        report.route = route.lines.clone();
        report.steps.splice(0..0, route.steps.iter().cloned());
        if known {
            return Ok(report);
        }
        for (candidate, verdict) in report.candidates.iter_mut().zip(&judged.candidates) {
            let id = verdict.state.candidate;
            // Whoever was never decided about has nothing before.
            if record.last_decisions.contains_key(&id) {
                candidate.before = self.before((record.experiment.id, id)).await?;
            }
        }
        if let Mode::Act { run } = mode {
            for (candidate, verdict) in report.candidates.iter_mut().zip(&judged.candidates) {
                candidate.decision_id = Some(verdict.decision_id(self.as_of, record.experiment.id));
            }
            self.begin(night, run).await?;
            self.record(run.id, record, &judged, (&report, &route.notes), case.now).await?;
        }
        Ok(report)
    }

    /// Whether there is nothing to record of this night that is not recorded.
    async fn is_known(&self, record: &ExperimentRecord, judged: &Judged, by_hand: &ByHand) -> Result<bool, NightError> {
        if !judged.candidates.is_empty() {
            return Ok(judged.is_known(record, self.as_of));
        }
        // Nothing is decided where no arm is open, so a report is what shows that people's deeds were told.
        let silent = judged.is_known(record, self.as_of) && by_hand.lines.is_empty();
        Ok(silent || self.control.has_report(record.experiment.id, self.as_of).await?)
    }

    /// Notes the run, once, before the first thing that belongs to it.
    async fn begin(&self, night: &mut NightReport, run: Run) -> Result<(), NightError> {
        if night.run.is_none() {
            self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
            night.run = Some(run.id);
        }
        Ok(())
    }

    /// Notes an epoch that has begun: the experiment's first, or one that somebody else began by changing the split.
    async fn observe(&self, record: &mut ExperimentRecord, mode: Mode, now: Timestamp) -> Result<(), NightError> {
        let Some(new) = observe_epochs(record, now) else { return Ok(()) };
        if mode != Mode::Plan {
            let opened_by = if new.epoch.outside { "outside" } else { "start" };
            self.control.open_epoch(record.experiment.id, &new, opened_by).await?;
        }
        new.append_to(&mut record.epochs);
        Ok(())
    }

    /// How long assignment services may go on serving the split before a change.
    fn settling_time(&self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.config.settings.evidence.settle_minutes.unwrap_or(15)))
    }

    /// A day must be over before it can be judged.
    fn check_as_of(&self) -> Result<(), NightError> {
        let today = self.now.to_zoned(TimeZone::UTC).date();
        if self.as_of >= today {
            return Err(NightError::NotOver { as_of: self.as_of, today });
        }
        Ok(())
    }

    /// An older night must not act on a present that a later one has made.
    fn check_order(&self, records: &[ExperimentRecord]) -> Result<(), NightError> {
        let last = records.iter().flat_map(|r| r.last_decisions.values()).map(|d| d.as_of).max();
        match last {
            Some(last) if last > self.as_of => Err(NightError::TooOld { as_of: self.as_of, last }),
            _ => Ok(()),
        }
    }
}

fn failed(name: String, why: String) -> ExperimentReport {
    tracing::error!(experiment = %name, "{why}");
    ExperimentReport::bare(name, Standing::Failed { why })
}
