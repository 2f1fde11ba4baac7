//! Telling: every committed report reaches its readers once, whatever becomes of the run that made it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::error::NightError;
use super::site::{Extent, NIGHTS, PAGES_OF_A_NIGHT, write_site};
use super::{Night, chain, mailing};
use crate::apply::{Applier, action_of_mail, key_of_mail};
use crate::control::{NewAction, Run, StoredReport};
use crate::report::{ExperimentReport, Letter, MailDraft, NightReport, Readers, Standing, draft, letters};

impl Night<'_> {
    /// Journals and sends the mails for all that is still to be told: tonight's, and what a night before was kept from
    /// telling. Brings the pages up to date.
    pub(super) async fn tell(
        &self,
        report: &mut NightReport,
        run: Run,
        applier: &mut Applier<'_>,
        complete: bool,
    ) -> Result<(), NightError> {
        self.name_experiments(&mut report.incidents).await?;
        let mut nights: BTreeMap<Date, Vec<ExperimentReport>> = BTreeMap::new();
        for stored in self.control.untold_reports().await? {
            nights.entry(stored.as_of).or_default().push(read(&stored)?);
        }
        // What failed left nothing in the tables, and is told as well.
        let failed: Vec<ExperimentReport> =
            report.experiments.iter().filter(|e| matches!(e.standing, Standing::Failed { .. })).cloned().collect();
        if !failed.is_empty() {
            nights.entry(self.as_of).or_default().extend(failed.iter().cloned());
        }
        // A missing mail must mean a broken job, so a night without experiments is told, too. So is a new incident.
        let told_of = || self.control.reports_of_night(self.as_of);
        let uneventful = complete && report.experiments.is_empty() && told_of().await?.is_empty();
        if nights.is_empty() && (uneventful || report.incidents.iter().any(|incident| incident.new)) {
            nights.insert(self.as_of, Vec::new());
        }
        let last = nights.keys().next_back().copied();
        for (as_of, mut experiments) in nights {
            experiments.sort_by(|a, b| a.name.cmp(&b.name));
            // Of several nights that are told at once, the last tells what is not as decided.
            let incidents = if Some(as_of) == last { report.incidents.clone() } else { Vec::new() };
            let untold = NightReport { as_of, experiments, incidents, ..report.clone() };
            self.tell_one(untold, report, run).await?;
        }
        self.answer_late(report, run).await?;
        applier.apply_mail().await?;
        report.unfinished = applier.unfinished();
        self.note_end(report, run, &failed).await?;
        // The pages come last: no mail waits for pictures, and what a run that is killed did not write, the next one does.
        if let Some(missing) = self.write_pages().await {
            report.unfinished.push(missing);
            self.note_end(report, run, &failed).await?;
        }
        Ok(())
    }

    /// Notes how the run ended, and what of it stands nowhere else.
    async fn note_end(&self, report: &NightReport, run: Run, failed: &[ExperimentReport]) -> Result<(), NightError> {
        if report.run.is_some() {
            let summary = json!({
                "summary": report.summary(),
                "unfinished": report.unfinished,
                "resumed": report.resumed,
                "moved": report.moved,
                "failed": failed,
            });
            self.control.finish_run(run.id, &summary, self.now).await?;
        }
        Ok(())
    }

    /// One night's mails.
    async fn tell_one(&self, mut untold: NightReport, report: &mut NightReport, run: Run) -> Result<(), NightError> {
        let readers = mailing::readers(self.config);
        let planned = readers.as_ref().map(|readers| letters(&untold, readers)).unwrap_or_default();
        let mails = planned.iter().map(|letter| key_of_mail(&letter.message_id));
        let chats = self.chats_about(&untold).into_iter().map(|action| action.idempotency_key);
        match self.are_journalled(&mails.chain(chats).collect::<Vec<_>>()).await? {
            // The same failure as before is told already.
            Some(true) => return Ok(()),
            None if untold.experiments.is_empty() && untold.incidents.is_empty() => return Ok(()),
            Some(false) | None => {}
        }
        self.begin(report, run).await?;
        // A run that only tells what others decided is named as well.
        untold.run = report.run;
        let mails = match &readers {
            Some(readers) => self.mails_about(&untold, readers).await?,
            None => Vec::new(),
        };
        let mut actions: Vec<NewAction> = mails.iter().map(action_of_mail).collect();
        actions.extend(self.chats_about(&untold));
        let incidents: Vec<Uuid> = untold.incidents.iter().map(|incident| incident.id).collect();
        self.control.tell(run.id, untold.as_of, &actions, &incidents, self.now).await?;
        Ok(())
    }

    /// The mails about a night that are not journalled yet, and those in the threads of earlier ones.
    async fn mails_about(&self, night: &NightReport, readers: &Readers) -> Result<Vec<MailDraft>, NightError> {
        let stationery = mailing::stationery(self.config);
        for fault in stationery.faults() {
            tracing::error!("a template of your own is not used: {fault}");
        }
        let planned = self.not_journalled(letters(night, readers)).await?;
        let pasts = self.pasts(&planned, readers).await?;
        let mut mails: Vec<MailDraft> =
            planned.iter().map(|letter| draft(letter, readers, &stationery, &pasts)).collect();
        mails.extend(self.follow_ups(readers, &stationery, &night.incidents).await?);
        Ok(mails)
    }

    /// Answers in the threads of earlier decisions where no night is left to be told.
    async fn answer_late(&self, report: &mut NightReport, run: Run) -> Result<(), NightError> {
        let Some(readers) = mailing::readers(self.config) else { return Ok(()) };
        let mails = self.follow_ups(&readers, &mailing::stationery(self.config), &[]).await?;
        if mails.is_empty() {
            return Ok(());
        }
        self.begin(report, run).await?;
        let actions: Vec<NewAction> = mails.iter().map(action_of_mail).collect();
        self.control.tell(run.id, self.as_of, &actions, &[], self.now).await?;
        Ok(())
    }

    async fn not_journalled(&self, letters: Vec<Letter>) -> Result<Vec<Letter>, NightError> {
        let mut missing = Vec::new();
        for letter in letters {
            if !self.control.has_action(&key_of_mail(&letter.message_id)).await? {
                missing.push(letter);
            }
        }
        Ok(missing)
    }

    /// Brings the pages up to date, if pages are wanted. Gives what keeps them from being written, if something does: the
    /// mail has the same words, so a full disk must not end the night here.
    async fn write_pages(&self) -> Option<String> {
        let folder = self.config.base.join(self.config.settings.reports.as_ref()?);
        let extent = Extent { nights: NIGHTS, pages: Some(PAGES_OF_A_NIGHT) };
        let error = match write_site(self.control, &folder, extent, &|_, _| ()).await {
            Ok(written) => {
                if written.behind > 0 {
                    tracing::info!(
                        behind = written.behind,
                        "the pages of the other experiments are as of an earlier night"
                    );
                }
                return None;
            }
            Err(error) => error,
        };
        tracing::error!("{}", chain(&error));
        Some(format!("write the pages: {}", chain(&error)))
    }
}

fn read(stored: &StoredReport) -> Result<ExperimentReport, NightError> {
    serde_json::from_value(stored.report.clone()).map_err(|source| NightError::Report {
        as_of: stored.as_of,
        run: stored.run,
        source,
    })
}
