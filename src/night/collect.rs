//! Evidence: the cohorts that closed since the last look are read once and kept; the others were kept before.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::ahead::Ahead;
use super::days::Days;
use super::error::NightError;
use super::percentiles::Shown;
use super::stored::Stored;
use super::{Mode, Night};
use crate::apply::chain;
use crate::control::ExperimentRecord;
use crate::decide::Look;
use crate::domain::{CohortRequest, ExperimentStatus, exposure_spans};
use crate::evidence::{Cohort, MetricSet, closable_through, cohorts_from_frames};
use crate::report::Restatement;

/// All closed cohorts of an experiment, and whether tonight brought a look at them.
pub(super) struct Collected {
    pub(super) cohorts: Vec<Cohort>,
    /// The checksums of the cohorts, in their order.
    pub(super) checksums: Vec<String>,
    pub(super) look: Look,
    pub(super) restatement: Option<Restatement>,
    /// What is shown and decides nothing.
    pub(super) percentiles: Shown,
}

impl Collected {
    pub(super) fn nothing() -> Self {
        Collected {
            cohorts: Vec::new(),
            checksums: Vec::new(),
            look: Look::Fresh,
            restatement: None,
            percentiles: Vec::new(),
        }
    }

    /// Adds cohorts with their checksums.
    pub(super) fn add(&mut self, cohorts: impl IntoIterator<Item = (Cohort, String)>) {
        for (cohort, checksum) in cohorts {
            self.cohorts.push(cohort);
            self.checksums.push(checksum);
        }
    }
}

impl Night<'_> {
    /// Closes what can be closed and loads the rest. A failed query or an incomplete day leaves the stored evidence.
    pub(super) async fn collect(
        &self,
        record: &ExperimentRecord,
        (days, ahead, stored): (&mut Days<'_>, &Ahead, &mut Stored<'_>),
        mode: Mode,
    ) -> Result<Collected, NightError> {
        let experiment = &record.experiment;
        let mut collected = Collected::nothing();
        let Some(first) = record.epochs.first() else { return Ok(collected) };
        let first_date = first.started_at.to_zoned(TimeZone::UTC).date();
        let mut restated = 0;
        for set in stored.sets_of(experiment.id).iter() {
            let mut known = stored.of(experiment.id, set).await?;
            if experiment.status == ExperimentStatus::Active {
                restated += self.restate(record, set, &mut known, days, ahead, mode).await?;
            }
            collected.add(known);
            if experiment.status != ExperimentStatus::Active {
                continue;
            }
            let from = match stored.closed_through(experiment.id, set) {
                Some(through) => through.saturating_add(1.days()),
                None => first_date,
            };
            let closable = self.closable(set, from, days).await?;
            if let Some((date, state)) = days.first_incomplete(from, self.as_of)
                && collected.look == Look::Fresh
            {
                collected.look = Look::Stale { date, state };
            }
            let Some(through) = closable else { continue };
            match self.close(record, set, (from, through), ahead).await {
                Ok(cohorts) => {
                    if mode != Mode::Plan {
                        self.control.save_cohorts(experiment.id, set, &cohorts, through, self.now).await?;
                    }
                    collected.add(cohorts.into_iter().map(Cohort::checked));
                }
                Err(CloseError::Query(why)) => collected.look = Look::QueryFailed { why },
                Err(CloseError::Night(error)) => return Err(error),
            }
        }
        collected.restatement = self.restatement(record, &collected.cohorts, days, restated).await?;
        Ok(collected)
    }

    /// The last date from `from` on whose cohort can be closed tonight.
    pub(super) async fn closable(
        &self,
        set: &MetricSet,
        from: Date,
        days: &mut Days<'_>,
    ) -> Result<Option<Date>, NightError> {
        days.look_at(from.min(self.as_of), self.as_of).await?;
        let until = self.as_of.saturating_sub(i64::from(set.window_days).days());
        let complete = |date| days.is_complete(date);
        Ok((from <= until).then(|| closable_through(from, self.as_of, set.window_days, complete)).flatten())
    }

    /// The cohorts of `from..=through`: answered ahead, or asked of the warehouse now.
    pub(super) async fn close(
        &self,
        record: &ExperimentRecord,
        set: &MetricSet,
        (from, through): (Date, Date),
        ahead: &Ahead,
    ) -> Result<Vec<Cohort>, CloseError> {
        let mut request = CohortRequest {
            experiment: &record.experiment,
            metrics: set.metrics.iter().collect(),
            window_days: set.window_days,
            from,
            to: through,
            exposed_by: self.config.exposed_by(&record.experiment.name),
            spans: Vec::new(),
        };
        request.spans = exposure_spans(&record.epochs, self.settling_time(), request.exposed_to());
        let asked;
        let answer = match ahead.answer(&request, set) {
            Some(answer) => answer,
            None => {
                asked = match self.warehouse.collect(&request).await {
                    Err(source) if source.is_outage() => {
                        return Err(CloseError::Night(NightError::Outage {
                            warehouse: self.warehouse.describe(),
                            source: Box::new(source),
                        }));
                    }
                    answer => answer,
                };
                &asked
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(experiment = %record.experiment.name, "{}", chain(error));
                return Err(CloseError::Query(chain(error)));
            }
        };
        let cohorts = cohorts_from_frames(&answer.moments, &answer.health, set).map_err(|source| {
            CloseError::Night(NightError::Frame { experiment: record.experiment.name.clone(), source })
        })?;
        Ok(cohorts.into_iter().filter(|cohort| (from..=through).contains(&cohort.date)).collect())
    }

    /// The metrics that an experiment is judged by and that can be measured, by window.
    pub(super) fn metric_sets(&self, record: &ExperimentRecord) -> Vec<MetricSet> {
        let metrics = self.config.metrics_with(&record.thresholds);
        let names = self.config.policies.of(&record.experiment.name).judged_by();
        MetricSet::group(names.filter_map(|name| metrics.get(name)).filter(|metric| metric.is_frozen()))
    }
}

pub(super) enum CloseError {
    /// This experiment's query failed; the others may go on.
    Query(String),
    /// More than that.
    Night(NightError),
}
