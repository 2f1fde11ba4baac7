//! Percentiles for the report: cohorts of their own, read once like all others. Nothing is decided by them, so whatever goes
//! wrong on the way is logged, and readers see what there is.

use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::ahead::Ahead;
use super::collect::CloseError;
use super::days::Days;
use super::{Mode, Night};
use crate::apply::chain;
use crate::control::{ControlError, ExperimentRecord};
use crate::domain::{ExperimentStatus, Metric, Percentiles};
use crate::evidence::{Cohort, MetricSet, closable_through};

/// The cohorts of each field whose percentiles are shown.
pub(super) type Shown = Vec<(Percentiles, Vec<Cohort>)>;

impl Night<'_> {
    /// Reads the cohorts that have newly closed, and loads the rest.
    pub(super) async fn percentiles(
        &self,
        record: &ExperimentRecord,
        days: &Days<'_>,
        ahead: &Ahead,
        mode: Mode,
    ) -> Shown {
        let mut shown = Shown::new();
        for of in &self.config.percentiles {
            match self.cohorts_of(record, of, days, (ahead, mode)).await {
                Ok(cohorts) => shown.push((of.clone(), cohorts)),
                Err(error) => {
                    let experiment = &record.experiment.name;
                    tracing::warn!(%experiment, "the percentiles of {} are not shown: {}", of.name, chain(&error));
                }
            }
        }
        shown
    }

    async fn cohorts_of(
        &self,
        record: &ExperimentRecord,
        of: &Percentiles,
        days: &Days<'_>,
        (ahead, mode): (&Ahead, Mode),
    ) -> Result<Vec<Cohort>, ControlError> {
        let experiment = &record.experiment;
        let metrics = of.metrics();
        let Some(set) = MetricSet::group(metrics.iter().collect::<Vec<&Metric>>()).pop() else { return Ok(Vec::new()) };
        let mut cohorts = self.control.load_cohorts(experiment.id, &set).await?;
        let Some(first) = record.epochs.first().filter(|_| experiment.status == ExperimentStatus::Active) else {
            return Ok(cohorts);
        };
        let progress = self.control.load_progress(experiment.id).await?;
        let from = match progress.get(&set.digest) {
            Some(through) => through.saturating_add(1.days()),
            None => first.started_at.to_zoned(TimeZone::UTC).date(),
        };
        let closable = closable_through(from, self.as_of, set.window_days, |date| days.is_complete(date));
        let Some(through) = closable else { return Ok(cohorts) };
        match self.close(record, &set, (from, through), ahead).await {
            Ok(closed) => {
                if mode != Mode::Plan {
                    self.control.save_cohorts(experiment.id, &set, &closed, through, self.now).await?;
                }
                cohorts.extend(closed);
            }
            Err(CloseError::Query(_)) => {}
            Err(CloseError::Night(error)) => {
                tracing::warn!(experiment = %experiment.name, "the percentiles of {} stay as they were: {}", of.name, chain(&error));
            }
        }
        Ok(cohorts)
    }
}
