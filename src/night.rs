//! A night, in one page.
//!
//! ```text
//! lease → resume → snapshot → collect → assess → decide → plan → record → apply → report → notify
//!         (journal) (control) (warehouse) (pure)  (pure)  (pure) (control) (journal) (pure)  (journal)
//! ```
//!
//! Every experiment goes through the middle on its own, so a bad one does not spoil the night for the others.

mod collect;
mod days;
mod error;
mod judge;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use uuid::Uuid;

use crate::apply::{Applier, action_of_mail, actions_of, chain};
use crate::config::Config;
use crate::control::{ControlStore, ExperimentRecord, Lease, NewDecision, NewEpoch, NightRecord, RENEW_EVERY};
use crate::domain::{Epoch, RolloutState};
use crate::notify::Mailer;
use crate::plan::Versions;
use crate::registry::Registry;
use crate::report::{ExperimentReport, NightReport, Readers, Standing, digest_mail};
use crate::warehouse::Warehouse;

use days::Days;
pub use error::NightError;
use judge::Judged;

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
    Act { run: Uuid },
    Plan,
}

impl Night<'_> {
    /// Decides, acts, and tells. Repeated for the same day and the same data, it changes nothing and sends nothing.
    pub async fn run(&self) -> Result<NightReport, NightError> {
        self.check_as_of()?;
        let lease = self.control.acquire_lease(&self.holder, self.now).await?;
        // Robbed of its lease, a night stops where it is; what it had not committed is rolled back.
        let result = tokio::select! {
            result = self.run_under() => result,
            error = self.keep(&lease) => Err(error),
        };
        self.control.release_lease(lease).await?;
        result
    }

    /// What [`Night::run`] would do now. Reads, and writes nothing.
    pub async fn plan(&self) -> Result<NightReport, NightError> {
        self.check_as_of()?;
        self.evaluate_all(Mode::Plan).await
    }

    /// Renews the lease for as long as the night lasts; returns only if that fails.
    async fn keep(&self, lease: &Lease) -> NightError {
        let mut now = self.now;
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            now += RENEW_EVERY;
            if let Err(error) = self.control.renew_lease(lease, now).await {
                return error.into();
            }
        }
    }

    async fn run_under(&self) -> Result<NightReport, NightError> {
        let mut applier = Applier::new(self.control, self.registry, self.mailer, self.now);
        let resumed = applier.apply_pending().await?;
        let run = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {} {}", self.as_of, self.now, self.holder).as_bytes());
        let mut report = self.evaluate_all(Mode::Act { run }).await?;
        applier.apply_pending().await?;
        report.resumed = resumed.iter().filter(|a| a.error.is_none()).map(|a| a.what.clone()).collect();
        report.unfinished = applier.unfinished();
        self.tell(&mut report, run, &mut applier).await?;
        if report.is_news() || !resumed.is_empty() {
            tracing::info!(as_of = %self.as_of, "{}", report.summary());
        }
        Ok(report)
    }

    async fn evaluate_all(&self, mode: Mode) -> Result<NightReport, NightError> {
        let records = self.control.load_experiments().await?;
        let versions = self.control.load_versions().await?;
        self.check_order(&records)?;
        let mut days = Days::new(self.warehouse, self.control, self.as_of, mode != Mode::Plan).await?;
        let mut experiments = Vec::with_capacity(records.len());
        let mut begun = false;
        for record in records {
            let name = record.experiment.name.clone();
            match self.evaluate(record, &versions, &mut days, mode, &mut begun).await {
                Ok(report) => experiments.push(report),
                Err(error) if error.ends_the_night() => return Err(error),
                Err(error) => experiments.push(failed(name, chain(&error))),
            }
        }
        let run = match mode {
            Mode::Act { run } if begun => Some(run),
            Mode::Act { .. } | Mode::Plan => None,
        };
        Ok(NightReport {
            schema_version: 1,
            as_of: self.as_of,
            run,
            at: self.now,
            experiments,
            resumed: Vec::new(),
            unfinished: Vec::new(),
        })
    }

    /// One experiment: observe → collect → judge (assess, decide, plan) → record.
    async fn evaluate(
        &self,
        mut record: ExperimentRecord,
        versions: &Versions,
        days: &mut Days<'_>,
        mode: Mode,
        begun: &mut bool,
    ) -> Result<ExperimentReport, NightError> {
        let outside_change = self.observe(&mut record, mode).await?;
        let collected = self.collect(&record, days, mode).await?;
        let judged = judge::judge(self.config, &record, versions, &collected, self.as_of);
        if judged.is_known(&record, self.as_of) {
            return Ok(judged.report(&record, Standing::AlreadyDecided, outside_change));
        }
        if let Mode::Act { run } = mode {
            if !*begun {
                self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
                *begun = true;
            }
            self.record(run, &record, &judged).await?;
            let mut report = judged.report(&record, Standing::Decided, outside_change);
            for (candidate, verdict) in report.candidates.iter_mut().zip(&judged.candidates) {
                candidate.decision_id = Some(verdict.decision_id(self.as_of, record.experiment.id));
            }
            return Ok(report);
        }
        Ok(judged.report(&record, Standing::Decided, outside_change))
    }

    /// Notes an epoch that has begun: the experiment's first, or one that somebody else began by changing the split.
    async fn observe(&self, record: &mut ExperimentRecord, mode: Mode) -> Result<bool, NightError> {
        let Some(new) = crate::control::observe_epochs(record, self.now) else { return Ok(false) };
        let outside = new.ends.is_some();
        if mode != Mode::Plan {
            let opened_by = if outside { "outside" } else { "start" };
            self.control.open_epoch(record.experiment.id, &new, opened_by).await?;
        }
        if let (Some(last), Some((_, at))) = (record.epochs.last_mut(), new.ends) {
            last.ended_at = Some(at);
        }
        record.epochs.push(new.epoch);
        Ok(outside)
    }

    /// Decisions, allocation change, epoch, states and journal: one transaction.
    async fn record(&self, run: Uuid, record: &ExperimentRecord, judged: &Judged) -> Result<(), NightError> {
        let experiment = &record.experiment;
        let id_of = |candidate| {
            let found = judged.candidates.iter().find(|c| c.state.candidate == candidate);
            found.map(|c| c.decision_id(self.as_of, experiment.id))
        };
        let decisions = judged.candidates.iter().map(|c| NewDecision {
            id: c.decision_id(self.as_of, experiment.id),
            candidate: c.state.candidate,
            revision: c.revision,
            decision: &c.decision,
            assessment: &c.assessment,
            inputs_digest: judged.inputs_digest.clone(),
        });
        let untouched = |state: &&RolloutState| !judged.plan.rollouts.iter().any(|r| r.candidate == state.candidate);
        let first_seen = judged.candidates.iter().map(|c| &c.state).filter(|s| s.version == 0).filter(untouched);
        let rollouts = judged.plan.rollouts.iter().chain(first_seen).cloned().collect();
        let epoch = record.epochs.last().filter(|_| !judged.plan.allocations.is_empty()).map(|last| NewEpoch {
            epoch: Epoch {
                number: last.number + 1,
                started_at: self.now,
                ended_at: None,
                allocations: judged.plan.allocations.iter().map(|a| (a.variant, a.to)).collect(),
                moved_units: judged.plan.moves_units,
            },
            ends: Some((last.number, self.now)),
        });
        let night = NightRecord {
            run,
            experiment,
            as_of: self.as_of,
            decisions: decisions.collect(),
            plan: &judged.plan,
            rollouts,
            epoch,
            actions: actions_of(experiment, &judged.plan, id_of),
            now: self.now,
        };
        self.control.record(&night).await?;
        Ok(())
    }

    /// Writes the report and sends it, once.
    async fn tell(&self, report: &mut NightReport, run: Uuid, applier: &mut Applier<'_>) -> Result<(), NightError> {
        if !report.is_news() {
            return Ok(());
        }
        if report.run.is_none() {
            // Nothing could be decided, which is news as well.
            self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
            report.run = Some(run);
        }
        if let Some(folder) = &self.config.settings.reports {
            error::write_page(&self.config.base.join(folder), report)?;
        }
        if let Some(mail) = &self.config.settings.mail {
            let readers = Readers { from: mail.from.clone(), to: mail.to.clone(), reply_to: mail.reply_to.clone() };
            let action = action_of_mail(&digest_mail(report, &readers));
            self.control.add_actions(run, &[action], self.now).await?;
            // What failed a moment ago was told in this mail; it is tried again by the next run.
            applier.apply_mail().await?;
            report.unfinished = applier.unfinished();
        }
        let summary = json!({ "summary": report.summary(), "unfinished": report.unfinished });
        self.control.finish_run(run, &summary, self.now).await?;
        Ok(())
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
    ExperimentReport {
        name,
        standing: Standing::Failed { why },
        candidates: Vec::new(),
        allocations: Vec::new(),
        steps: Vec::new(),
        outside_change: false,
    }
}
