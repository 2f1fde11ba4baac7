//! Thresholds that are frozen when a version comes in: from the days on which control had all units.
//!
//! It happens once, before the first look at that version, in the transaction by which it comes in. What cannot be taken
//! keeps the version out: without a threshold its guardrail could not be judged, and nothing could rise.

mod percentile;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use self::percentile::{Found, FreezeError, percentile};
use super::Night;
use super::error::NightError;
use crate::apply::chain;
use crate::config::Freezable;
use crate::control::ExperimentRecord;
use crate::domain::{RolloutStatus, Share, Threshold, VariantId};
use crate::route::{Refusal, Rule};
use crate::warehouse::Warehouse;

/// What a threshold is, taken from the days up to `to`.
///
/// # Errors
/// The warehouse cannot be asked, or has too few events.
pub async fn threshold(warehouse: &dyn Warehouse, of: &Freezable, to: Date) -> Result<Threshold, FreezeError> {
    let from = to.saturating_sub((i64::from(of.days) - 1).days());
    let Found { value, events } = percentile(warehouse, (&of.event, &of.field), (from, to), of.percentile).await?;
    Ok(Threshold {
        metric: of.metric.clone(),
        definition: of.definition(),
        threshold: percentile::rounded_up(value * of.times),
        value,
        from,
        to,
        events,
    })
}

impl Night<'_> {
    /// The thresholds that an experiment needs before a version comes in, or what keeps them from being taken.
    pub(super) async fn freeze(&self, record: &ExperimentRecord) -> Result<Vec<Threshold>, FreezeFault> {
        let missing = self.config.unfrozen(&record.experiment.name, &record.thresholds);
        let refused = |about, message| FreezeFault::Refused(Refusal { rule: Rule::Firm, about, message });
        if let Some(first) = missing.first()
            && record.rollouts.iter().any(|rollout| rollout.status == RolloutStatus::Ramping)
        {
            return Err(refused(
                "threshold at work",
                format!(
                    "metric {} has no threshold yet, and a candidate is at work already; `rampkeeper freeze-thresholds` freezes it, \
                     and its evidence begins anew",
                    first.metric
                ),
            ));
        }
        let to = self.last_day_of_control(record);
        let mut frozen: Vec<Threshold> = Vec::new();
        for freezable in missing {
            match threshold(self.warehouse, freezable, to).await {
                Ok(threshold) => frozen.push(threshold),
                Err(FreezeError::Warehouse(source)) if source.is_outage() => {
                    let warehouse = self.warehouse.describe();
                    return Err(NightError::Outage { warehouse, source: Box::new(source) }.into());
                }
                Err(error) => {
                    let message =
                        format!("the threshold of {} could not be taken: {}", freezable.metric, chain(&error));
                    return Err(refused("threshold", message));
                }
            }
        }
        Ok(frozen)
    }

    /// The last day on which no other variant than control had units, at most that of the evidence.
    fn last_day_of_control(&self, record: &ExperimentRecord) -> Date {
        let control = record.experiment.variant(&self.config.policies.of(&record.experiment.name).control);
        let control = control.map(|control| control.id);
        let is_shared = |shares: &[(VariantId, Share)]| {
            shares.iter().any(|(variant, share)| Some(*variant) != control && *share > Share::NONE)
        };
        let now: Vec<(VariantId, Share)> = record.experiment.variants.iter().map(|v| (v.id, v.allocation)).collect();
        let begun = match record.epochs.iter().find(|epoch| is_shared(&epoch.allocations)) {
            Some(epoch) => Some(epoch.started_at),
            None if record.epochs.is_empty() && is_shared(&now) => {
                Some(record.experiment.start_at.unwrap_or(record.created_at))
            }
            None => None,
        };
        let before = begun.map(|begun| begun.to_zoned(TimeZone::UTC).date().saturating_sub(1.days()));
        before.map_or(self.as_of, |before| before.min(self.as_of))
    }
}

/// Why no thresholds were frozen.
#[derive(Debug)]
pub(super) enum FreezeFault {
    /// The version stays out, for this reason.
    Refused(Refusal),
    /// The night ends.
    Night(NightError),
}

impl From<NightError> for FreezeFault {
    fn from(error: NightError) -> Self {
        Self::Night(error)
    }
}
