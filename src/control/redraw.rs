//! Control's units, drawn anew batch by batch: each unit of the pool is recorded with its former assignment, whether it
//! moves or stays, since both count as exposed anew. Where it goes follows from its name alone ([`Redraw::arm_of`]), so a
//! redraw that was stopped half-way goes on where it stopped, and one that is repeated changes nothing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::{Any, Row, Transaction};

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::moves::{MOVE_BATCH, units_of};
use super::rows::{Reader, text_of};
use super::snapshot::epoch;
use super::statement;
use crate::domain::{ExperimentId, VariantId};
use crate::plan::Redraw;

/// How a redraw ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redrawing {
    /// All of the pool is drawn.
    Whole,
    /// A later epoch has begun, so the rest of the pool stays: nobody knows any more where it should go.
    Overtaken,
}

/// A batch as it is being written.
struct Batch<'a> {
    key: &'a str,
    experiment: ExperimentId,
    /// What the drawn assignments say from now on.
    assigned_at: Timestamp,
    now: Timestamp,
}

impl ControlStore {
    /// Draws the pool's units, in transactions of some thousand units each.
    ///
    /// `clock` tells the time of each batch. Units that are drawn before [`Redraw::exposed_at`] are assigned at that
    /// instant and make the pool's cohort. Units that are drawn later have lived part of the time on their old arm; they
    /// are assigned just before that instant, which belongs to no cohort.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if one of the arms is not there any more.
    pub async fn redraw(
        &self,
        key: &str,
        experiment: ExperimentId,
        redraw: &Redraw,
        clock: impl Fn() -> Timestamp,
    ) -> Result<Redrawing, ControlError> {
        for arm in redraw.to.iter().map(|drawn| drawn.variant).chain([redraw.from]) {
            if !self.has_variant(experiment, arm).await? {
                return Err(ControlError::Gone { what: format!("variant {arm}, which takes part in a redraw,") });
            }
        }
        let doing = || while_doing(format!("draw the units of variant {} anew", redraw.from));
        let mut after = String::new();
        loop {
            let mut transaction = self.begin().await?;
            if self.is_overtaken(&mut transaction, experiment, redraw).await? {
                return Ok(Redrawing::Overtaken);
            }
            let rows = sqlx::query(statement::NEXT_REDRAW_BATCH.sql(self.dialect))
                .bind(experiment.to_string())
                .bind(redraw.from.to_string())
                .bind(text_of(redraw.assigned_before))
                .bind(after.as_str())
                .bind(MOVE_BATCH)
                .fetch_all(&mut *transaction)
                .await
                .map_err(doing())?;
            let units = rows.iter().map(|row| row.try_get::<String, _>("unit_id")).collect::<Result<Vec<_>, _>>();
            let units = units.map_err(doing())?;
            let Some(last) = units.last().cloned() else { return Ok(Redrawing::Whole) };
            let mut arms: BTreeMap<VariantId, Vec<&str>> = BTreeMap::new();
            for unit in &units {
                arms.entry(redraw.arm_of(experiment, unit)).or_default().push(unit);
            }
            let now = clock();
            let late = now >= redraw.exposed_at;
            let assigned_at = redraw.exposed_at - SignedDuration::from_micros(i64::from(late));
            let batch = Batch { key, experiment, assigned_at, now };
            for (arm, units) in arms {
                self.draw(&mut transaction, &batch, arm, &units).await.map_err(doing())?;
            }
            transaction.commit().await.map_err(doing())?;
            tracing::debug!(action = key, units = units.len(), late, "units drawn anew");
            after = last;
        }
    }

    /// Puts units on an arm, each on record as it was before.
    async fn draw(
        &self,
        transaction: &mut Transaction<'static, Any>,
        batch: &Batch<'_>,
        arm: VariantId,
        units: &[&str],
    ) -> Result<(), sqlx::Error> {
        let (units, assigned_at) = (json!(units).to_string(), text_of(batch.assigned_at));
        sqlx::query(statement::RECORD_REDRAW.sql(self.dialect))
            .bind(batch.key)
            .bind(arm.to_string())
            .bind(text_of(batch.now))
            .bind(assigned_at.as_str())
            .bind(batch.experiment.to_string())
            .bind(units.as_str())
            .execute(&mut **transaction)
            .await?;
        sqlx::query(statement::APPLY_REDRAW.sql(self.dialect))
            .bind(arm.to_string())
            .bind(assigned_at)
            .bind(batch.experiment.to_string())
            .bind(units)
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }

    /// Whether the split has changed since the redraw was decided. The experiment's row is held until the batch is
    /// written, as a night holds it that decides.
    async fn is_overtaken(
        &self,
        transaction: &mut Transaction<'static, Any>,
        experiment: ExperimentId,
        redraw: &Redraw,
    ) -> Result<bool, ControlError> {
        let doing = || while_doing(format!("look for a later epoch of experiment {experiment}"));
        sqlx::query(statement::LOCK_EXPERIMENT.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(doing())?;
        let last = sqlx::query(statement::LAST_EPOCH.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(doing())?;
        // The pool's own epoch is followed at once by that of the new units.
        Ok(last.map(|row| epoch(&row)).transpose()?.is_none_or(|(_, last)| last.number != redraw.epoch + 1))
    }

    /// How many units a redraw gave each arm, those that stayed on control among them.
    pub async fn redrawn_units(&self, key: &str) -> Result<BTreeMap<VariantId, u64>, ControlError> {
        let rows = sqlx::query(statement::REDRAWN_UNITS.sql(self.dialect))
            .bind(key)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("count the units of redraw {key}")))?;
        by_variant("rampkeeper.assignment_moves", &rows)
    }

    /// How many units each arm of an experiment has.
    pub async fn units_by_variant(&self, experiment: ExperimentId) -> Result<BTreeMap<VariantId, u64>, ControlError> {
        let rows = sqlx::query(statement::UNITS_BY_VARIANT.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("count the units of experiment {experiment}")))?;
        by_variant("exp.assignments", &rows)
    }
}

fn by_variant(table: &'static str, rows: &[sqlx::any::AnyRow]) -> Result<BTreeMap<VariantId, u64>, ControlError> {
    let count = |row| {
        let reader = Reader::new(table, "variant_id", row)?;
        Ok((reader.parse("variant_id")?, units_of(row).map_err(while_doing("count units"))?))
    };
    rows.iter().map(count).collect()
}

#[cfg(test)]
#[path = "redraw_tests.rs"]
mod tests;
