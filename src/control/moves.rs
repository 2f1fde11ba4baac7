//! Units taken from one arm to another: batch by batch, each unit recorded with where it came from.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement::{self, Dialect, Statement};
use crate::domain::{ExperimentId, VariantId};

/// Units that one transaction moves. Larger ones are no faster, and they hold their rows longer.
pub(super) const MOVE_BATCH: i64 = 10_000;

impl ControlStore {
    /// Moves every unit of one variant to another, batch by batch, each unit recorded under `key` with where it came
    /// from. Stopped half-way, it goes on where it stopped. Returns how many were moved now.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if the variant that they are to join is not one of the experiment any more.
    pub async fn move_assignments(
        &self,
        key: &str,
        experiment: ExperimentId,
        from: VariantId,
        to: VariantId,
        now: Timestamp,
    ) -> Result<u64, ControlError> {
        if !self.has_variant(experiment, to).await? {
            return Err(ControlError::Gone { what: format!("variant {to}, which the units of {from} were to join,") });
        }
        let doing = || while_doing(format!("move the units of variant {from} to variant {to}"));
        let mut after = String::new();
        let mut moved = 0;
        loop {
            let mut transaction = self.begin().await?;
            let row = sqlx::query(statement::NEXT_MOVE_BATCH.sql(self.dialect))
                .bind(experiment.to_string())
                .bind(from.to_string())
                .bind(after.as_str())
                .bind(MOVE_BATCH)
                .fetch_one(&mut *transaction)
                .await
                .map_err(doing())?;
            let Some(last) = row.try_get::<Option<String>, _>("last").map_err(doing())? else { return Ok(moved) };
            let bound = |statement: &'static Statement| {
                let query = sqlx::query(statement.sql(self.dialect)).bind(experiment.to_string());
                query.bind(from.to_string()).bind(to.to_string()).bind(after.clone()).bind(last.clone())
            };
            moved += match self.dialect {
                Dialect::Postgres => {
                    let query = bound(&statement::MOVE_BATCH).bind(key).bind(text_of(now));
                    units_of(&query.fetch_one(&mut *transaction).await.map_err(doing())?).map_err(doing())?
                }
                Dialect::Sqlite => {
                    let record = bound(&statement::RECORD_MOVES).bind(key).bind(text_of(now));
                    record.execute(&mut *transaction).await.map_err(doing())?;
                    let touched = bound(&statement::APPLY_MOVES).execute(&mut *transaction).await.map_err(doing())?;
                    touched.rows_affected()
                }
            };
            transaction.commit().await.map_err(doing())?;
            after = last;
        }
    }

    /// How many units of an arm were assigned before that instant.
    pub async fn units_on(
        &self,
        experiment: ExperimentId,
        variant: VariantId,
        assigned_before: Timestamp,
    ) -> Result<u64, ControlError> {
        let doing = || while_doing(format!("count the units of variant {variant}"));
        let row = sqlx::query(statement::COUNT_UNITS.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(variant.to_string())
            .bind(text_of(assigned_before))
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        units_of(&row).map_err(doing())
    }

    /// Whether the experiment has that variant.
    pub(super) async fn has_variant(&self, experiment: ExperimentId, variant: VariantId) -> Result<bool, ControlError> {
        let doing = || while_doing(format!("look for variant {variant}"));
        let row = sqlx::query(statement::VARIANT_EXISTS.sql(self.dialect))
            .bind(variant.to_string())
            .bind(experiment.to_string())
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        let found: i64 = row.try_get("found").map_err(doing())?;
        Ok(found > 0)
    }
}

/// The count of units in a row.
pub(super) fn units_of(row: &AnyRow) -> Result<u64, sqlx::Error> {
    let units: i64 = row.try_get("units")?;
    Ok(u64::try_from(units).unwrap_or(0))
}
