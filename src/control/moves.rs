//! Units taken from one arm to another: batch by batch, each unit recorded with where it came from.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement::{self, Dialect};
use crate::domain::{ExperimentId, VariantId};

/// Units that one transaction moves. Larger ones are no faster, and they hold their rows longer.
pub(super) const MOVE_BATCH: i64 = 10_000;

/// One sweep of an arm.
struct Sweep<'a> {
    key: &'a str,
    experiment: ExperimentId,
    from: VariantId,
    to: VariantId,
    now: Timestamp,
}

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
        let sweep = Sweep { key, experiment, from, to, now };
        let mut after = String::new();
        let mut moved = 0;
        loop {
            let (last, units) = match self.dialect {
                Dialect::Postgres => self.move_batch(&sweep, &after).await?,
                Dialect::Sqlite => self.move_batch_by_steps(&sweep, &after).await?,
            };
            moved += units;
            match last {
                Some(last) => after = last,
                None => return Ok(moved),
            }
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

    /// The next batch, and its last unit if there was one.
    async fn move_batch(&self, sweep: &Sweep<'_>, after: &str) -> Result<(Option<String>, u64), ControlError> {
        let row = sqlx::query(statement::MOVE_BATCH.sql(self.dialect))
            .bind(sweep.experiment.to_string())
            .bind(sweep.from.to_string())
            .bind(after)
            .bind(MOVE_BATCH)
            .bind(sweep.to.to_string())
            .bind(sweep.key)
            .bind(text_of(sweep.now))
            .fetch_one(&self.pool)
            .await
            .map_err(sweep.doing())?;
        Ok((row.try_get("last").map_err(sweep.doing())?, units_of(&row).map_err(sweep.doing())?))
    }

    /// The same where one statement cannot change two tables.
    async fn move_batch_by_steps(&self, sweep: &Sweep<'_>, after: &str) -> Result<(Option<String>, u64), ControlError> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(statement::NEXT_MOVE_BATCH.sql(self.dialect))
            .bind(sweep.experiment.to_string())
            .bind(sweep.from.to_string())
            .bind(after)
            .bind(MOVE_BATCH)
            .fetch_one(&mut *transaction)
            .await
            .map_err(sweep.doing())?;
        let Some(last) = row.try_get::<Option<String>, _>("last").map_err(sweep.doing())? else {
            return Ok((None, 0));
        };
        sqlx::query(statement::RECORD_MOVES.sql(self.dialect))
            .bind(sweep.key)
            .bind(sweep.to.to_string())
            .bind(text_of(sweep.now))
            .bind(sweep.experiment.to_string())
            .bind(sweep.from.to_string())
            .bind(after)
            .bind(last.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(sweep.doing())?;
        let touched = sqlx::query(statement::APPLY_MOVES.sql(self.dialect))
            .bind(sweep.to.to_string())
            .bind(sweep.experiment.to_string())
            .bind(sweep.from.to_string())
            .bind(after)
            .bind(last.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(sweep.doing())?;
        transaction.commit().await.map_err(sweep.doing())?;
        Ok((Some(last), touched.rows_affected()))
    }
}

impl Sweep<'_> {
    fn doing(&self) -> impl FnOnce(sqlx::Error) -> ControlError {
        while_doing(format!("move the units of variant {} to variant {}", self.from, self.to))
    }
}

/// The count of units in a row.
pub(super) fn units_of(row: &AnyRow) -> Result<u64, sqlx::Error> {
    let units: i64 = row.try_get("units")?;
    Ok(u64::try_from(units).unwrap_or(0))
}
