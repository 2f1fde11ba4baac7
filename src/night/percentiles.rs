//! Percentiles for the report: cohorts of their own, read once like all others. Nothing is decided by them, so whatever goes
//! wrong on the way is logged, and readers see what there is.

use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::ahead::Ahead;
use super::collect::CloseError;
use super::days::Days;
use super::stored::Stored;
use super::{Mode, Night};
use crate::apply::chain;
use crate::control::{ControlError, ExperimentRecord};
use crate::domain::{ExperimentStatus, Percentiles};
use crate::evidence::{Cohort, MetricSet, closable_through};

/// The cohorts of each field whose percentiles are shown.
pub(super) type Shown = Vec<(Percentiles, Vec<Cohort>)>;

impl Night<'_> {
    /// The fields that are shown, each with the metrics of its edges, which share one window.
    pub(super) fn shown(&self) -> Vec<(Percentiles, MetricSet)> {
        let set = |of: &Percentiles| Some((of.clone(), MetricSet::group(&of.metrics()).pop()?));
        self.config.percentiles.iter().filter_map(set).collect()
    }

    /// Reads the cohorts that have newly closed, and loads the rest.
    pub(super) async fn percentiles(
        &self,
        record: &ExperimentRecord,
        (days, ahead, stored): (&Days<'_>, &Ahead, &Stored<'_>),
        mode: Mode,
    ) -> Shown {
        let mut shown = Shown::new();
        for (of, set) in &stored.shown {
            match self.cohorts_of(record, (of, set), (days, ahead, stored), mode).await {
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
        (of, set): (&Percentiles, &MetricSet),
        (days, ahead, stored): (&Days<'_>, &Ahead, &Stored<'_>),
        mode: Mode,
    ) -> Result<Vec<Cohort>, ControlError> {
        let experiment = &record.experiment;
        let mut cohorts = self.control.load_cohorts(experiment.id, set).await?;
        let Some(first) = record.epochs.first().filter(|_| experiment.status == ExperimentStatus::Active) else {
            return Ok(cohorts);
        };
        let from = match stored.closed_through(experiment.id, set) {
            Some(through) => through.saturating_add(1.days()),
            None => first.started_at.to_zoned(TimeZone::UTC).date(),
        };
        let closable = closable_through(from, self.as_of, set.window_days, |date| days.is_complete(date));
        let Some(through) = closable else { return Ok(cohorts) };
        match self.close(record, set, (from, through), ahead).await {
            Ok(closed) => {
                if mode != Mode::Plan {
                    self.control.save_cohorts(experiment.id, set, &closed, through, self.now).await?;
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
