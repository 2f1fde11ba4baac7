//! A rollback that somebody wants now: the night's own way from *assess* to *tell*, for one candidate, on the evidence that
//! is stored. No warehouse is asked, so it works while that is away.

use super::collect::Collected;
use super::error::NightError;
use super::judge::Case;
use super::{Mode, Night};
use crate::apply::{Applier, chain};
use crate::decide::Look;
use crate::domain::Act;
use crate::evidence::MetricSet;
use crate::report::NightReport;

impl Night<'_> {
    /// Keeps the act and carries it out under the lease: decision, allocation, follow-ups and mail.
    ///
    /// # Errors
    /// [`NightError::Control`] with a held lease if a night runs just now; the act is then not kept either.
    pub async fn carry_out(&self, act: &Act) -> Result<NightReport, NightError> {
        let lease = self.control.acquire_lease(&self.holder, self.now).await?;
        let result = tokio::select! {
            result = self.carry_out_under_lease(act) => result,
            error = self.control.keep_lease(&lease, self.now) => Err(error.into()),
        };
        if let Err(error) = self.control.release_lease(lease).await {
            tracing::warn!("{}", chain(&error));
        }
        result
    }

    async fn carry_out_under_lease(&self, act: &Act) -> Result<NightReport, NightError> {
        self.control.tell_act(act).await?;
        let mut applier = Applier::new(self.control, self.registry, self.mailer, self.now);
        let mut report = self.empty_report();
        let run = self.run_id();
        let versions = self.control.load_versions().await?;
        let records = self.control.load_experiments().await?;
        self.check_order(&records)?;
        for mut record in records.into_iter().filter(|record| Some(record.experiment.id) == act.experiment) {
            let mode = Mode::Act { run };
            self.observe(&mut record, mode, self.now).await?;
            let mut collected = Collected { cohorts: Vec::new(), look: Look::Fresh, restatement: None };
            for set in MetricSet::group(self.metrics_of(self.config.policies.of(&record.experiment.name))) {
                collected.cohorts.extend(self.control.load_cohorts(record.experiment.id, &set).await?);
            }
            let case = Case {
                config: self.config,
                versions: &versions,
                collected: &collected,
                as_of: self.as_of,
                now: self.now,
                by_hand_only: true,
            };
            let concluded = self.conclude(&case, &record, mode, &mut report).await?;
            report.experiments.push(concluded);
        }
        // The allocation is changed; now the follow-ups, with what an earlier night had left.
        applier.apply_pending().await?;
        report.unfinished = applier.unfinished();
        self.tell(&mut report, run, &mut applier, true).await?;
        Ok(report)
    }
}
