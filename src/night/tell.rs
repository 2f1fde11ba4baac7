//! Telling: every committed report reaches its readers once, whatever becomes of the run that made it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::error::{NightError, write_page};
use super::{Night, chain, mailing};
use crate::apply::{Applier, action_of_mail, key_of_mail};
use crate::control::{NewAction, StoredReport};
use crate::report::{ExperimentReport, Letter, MailDraft, NightReport, Readers, Standing, draft, letters};

impl Night<'_> {
    /// Journals and sends the mails for all that is still to be told: tonight's, and what a night before was kept from
    /// telling. Writes the pages of those nights.
    pub(super) async fn tell(
        &self,
        report: &mut NightReport,
        run: Uuid,
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
        let mut missing_pages = Vec::new();
        let last = nights.keys().next_back().copied();
        for (as_of, mut experiments) in nights {
            experiments.sort_by(|a, b| a.name.cmp(&b.name));
            // Of several nights that are told at once, the last tells what is not as decided.
            let incidents = if Some(as_of) == last { report.incidents.clone() } else { Vec::new() };
            let untold = NightReport { as_of, experiments, incidents, ..report.clone() };
            missing_pages.extend(self.tell_one(untold, report, run, &failed).await?);
        }
        applier.apply_mail().await?;
        report.unfinished = missing_pages;
        report.unfinished.extend(applier.unfinished());
        if report.run.is_some() {
            let summary = json!({ "summary": report.summary(), "unfinished": report.unfinished });
            self.control.finish_run(run, &summary, self.now).await?;
        }
        Ok(())
    }

    /// One night's mails and page. Gives what keeps the page from being written, if something does.
    async fn tell_one(
        &self,
        mut untold: NightReport,
        report: &mut NightReport,
        run: Uuid,
        failed: &[ExperimentReport],
    ) -> Result<Option<String>, NightError> {
        let readers = mailing::readers(self.config);
        let is_empty = untold.experiments.is_empty() && untold.incidents.is_empty();
        if let Some(readers) = &readers {
            let planned = letters(&untold, readers);
            // The same failure as before is told already.
            if !planned.is_empty() && self.not_journalled(planned).await?.is_empty() {
                return Ok(None);
            }
        }
        let nobody_reads = readers.as_ref().is_none_or(|readers| letters(&untold, readers).is_empty());
        if nobody_reads && is_empty {
            return Ok(None);
        }
        self.begin(report, run).await?;
        // A run that only tells what others decided is named as well.
        untold.run = report.run;
        // The page goes first: a run that is killed in between writes it again, but what is told is not told again.
        let missing = self.page(&untold, failed).await?;
        let mails = match &readers {
            Some(readers) => self.mails_about(&untold, readers).await?,
            None => Vec::new(),
        };
        let actions: Vec<NewAction> = mails.iter().map(action_of_mail).collect();
        let incidents: Vec<Uuid> = untold.incidents.iter().map(|incident| incident.id).collect();
        self.control.tell(run, untold.as_of, &actions, &incidents, self.now).await?;
        Ok(missing)
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

    async fn not_journalled(&self, letters: Vec<Letter>) -> Result<Vec<Letter>, NightError> {
        let mut missing = Vec::new();
        for letter in letters {
            if !self.control.has_action(&key_of_mail(&letter.message_id)).await? {
                missing.push(letter);
            }
        }
        Ok(missing)
    }

    /// Writes a night's page, if pages are wanted. Gives what keeps it from being written, if something does.
    async fn page(&self, untold: &NightReport, failed: &[ExperimentReport]) -> Result<Option<String>, NightError> {
        let Some(folder) = &self.config.settings.reports else { return Ok(None) };
        let page = self.page_of(untold, failed).await?;
        if let Err(error) = write_page(&self.config.base.join(folder), &page) {
            // The mail has the same words, so a full disk must not end the night here.
            tracing::error!("{}", chain(&error));
            return Ok(Some(format!("write the page of {}: {}", page.as_of, chain(&error))));
        }
        Ok(None)
    }

    /// All that was said of a night, by whichever run.
    async fn page_of(&self, untold: &NightReport, failed: &[ExperimentReport]) -> Result<NightReport, NightError> {
        let mut experiments = Vec::new();
        for stored in self.control.reports_of_night(untold.as_of).await? {
            experiments.push(read(&stored)?);
        }
        if untold.as_of == self.as_of {
            experiments.extend(failed.iter().cloned());
        }
        experiments.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(NightReport { experiments, ..untold.clone() })
    }
}

fn read(stored: &StoredReport) -> Result<ExperimentReport, NightError> {
    serde_json::from_value(stored.report.clone()).map_err(|source| NightError::Report {
        as_of: stored.as_of,
        run: stored.run,
        source,
    })
}
