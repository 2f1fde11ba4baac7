//! A rollback that somebody wants now: the night's own way from *assess* to *tell*, for one candidate, on the evidence that
//! is stored. No warehouse is asked, so it works while that is away.

use tokio::sync::Mutex;

use super::collect::Collected;
use super::error::NightError;
use super::judge::{Case, Digests};
use super::route::Route;
use super::under_lease::under_lease;
use super::{Mode, Night};
use crate::control::Run;
use crate::domain::Act;
use crate::report::NightReport;

impl Night<'_> {
    /// Keeps the act and carries it out under the lease: decision, allocation, follow-ups and mail. It stops when `stop`
    /// ends; the next night then goes on from there, since the act is kept.
    ///
    /// # Errors
    /// [`NightError::Control`] with a held lease if a night runs just now; the act is then not kept either.
    pub async fn carry_out(&self, act: &Act, stop: impl Future<Output = ()>) -> Result<NightReport, NightError> {
        let sending = Mutex::new(());
        let work = self.carry_out_under_lease(act, &sending);
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    async fn carry_out_under_lease(&self, act: &Act, sending: &Mutex<()>) -> Result<NightReport, NightError> {
        let run = Run::by_hand(self.run_id());
        self.control.tell_act(act).await?;
        let mut applier = self.applier(run, sending);
        let mut report = self.empty_report();
        self.decide_at_once(act, run, &mut report).await?;
        self.finish(&mut report, run, &mut applier, true).await?;
        Ok(report)
    }

    async fn decide_at_once(&self, act: &Act, run: Run, report: &mut NightReport) -> Result<(), NightError> {
        let versions = self.control.load_versions().await?;
        let records = self.control.load_experiments().await?;
        self.check_order(&records)?;
        for mut record in records.into_iter().filter(|record| Some(record.experiment.id) == act.experiment) {
            let mode = Mode::Act { run };
            self.observe(&mut record, mode, self.now).await?;
            let mut collected = Collected::nothing();
            for set in self.metric_sets(&record) {
                collected.add(self.control.load_checked_cohorts(record.experiment.id, &set).await?);
            }
            let case = Case {
                config: self.config,
                versions: &versions,
                collected: &collected,
                as_of: self.as_of,
                now: self.now,
                settling_time: self.settling_time(),
                by_hand_only: true,
                digests: &Digests::default(),
            };
            let concluded = self.conclude(&case, &record, &Route::default(), mode, report).await?;
            report.experiments.push(concluded);
        }
        Ok(())
    }
}
