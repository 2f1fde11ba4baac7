//! The follow-ups that happen in the experiment tables. Each may be repeated and then changes nothing.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement::{self, Statement};
use crate::domain::{ExperimentId, VariantId};

/// Units that one transaction moves.
const MOVE_BATCH: i64 = 10_000;

impl ControlStore {
    /// Moves every unit of one variant to another, batch by batch, each unit recorded under `key` with where it came
    /// from. Stopped half-way, it goes on where it stopped. Returns how many were moved now.
    pub async fn move_assignments(
        &self,
        key: &str,
        experiment: ExperimentId,
        from: VariantId,
        to: VariantId,
        now: Timestamp,
    ) -> Result<u64, ControlError> {
        let doing = || while_doing(format!("move the units of variant {from} to variant {to}"));
        let mut after = String::new();
        let mut moved = 0;
        loop {
            let mut transaction = self.begin().await?;
            let batch = sqlx::query(statement::NEXT_MOVE_BATCH.sql(self.dialect))
                .bind(experiment.to_string())
                .bind(from.to_string())
                .bind(after.as_str())
                .bind(MOVE_BATCH)
                .fetch_one(&mut *transaction)
                .await
                .map_err(doing())?;
            let last: Option<String> = batch.try_get("last").map_err(doing())?;
            let Some(last) = last else { break };
            sqlx::query(statement::RECORD_MOVES.sql(self.dialect))
                .bind(key)
                .bind(to.to_string())
                .bind(text_of(now))
                .bind(experiment.to_string())
                .bind(from.to_string())
                .bind(after.as_str())
                .bind(last.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(doing())?;
            let touched = sqlx::query(statement::APPLY_MOVES.sql(self.dialect))
                .bind(to.to_string())
                .bind(experiment.to_string())
                .bind(from.to_string())
                .bind(after.as_str())
                .bind(last.as_str())
                .bind(key)
                .execute(&mut *transaction)
                .await
                .map_err(doing())?;
            transaction.commit().await.map_err(doing())?;
            moved += touched.rows_affected();
            after = last;
        }
        Ok(moved)
    }

    /// Writes an event of our own. Its key follows from `key`, so a repetition finds it there.
    pub async fn log_event(
        &self,
        key: &str,
        (experiment, unit_type, variant): (ExperimentId, &str, VariantId),
        event_type: &str,
        payload: &Value,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let id = Uuid::new_v5(&experiment.0, key.as_bytes());
        let context = json!([{ "experiment_id": experiment, "variant_id": variant }]);
        sqlx::query(statement::LOG_EVENT.sql(self.dialect))
            .bind(id.to_string())
            .bind(event_type)
            .bind(unit_type)
            .bind(context.to_string())
            .bind(payload.to_string())
            .bind(text_of(now))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("log the event {event_type}")))?;
        Ok(())
    }

    /// Sets the status of a policy version.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such version any more.
    pub async fn set_policy_version_status(&self, id: Uuid, status: &str) -> Result<(), ControlError> {
        self.touch_one(&statement::SET_POLICY_VERSION_STATUS, format!("policy version {id}"), id, status).await
    }

    /// Sets the status of a prompt version.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such version any more.
    pub async fn set_prompt_version_status(&self, id: Uuid, status: &str) -> Result<(), ControlError> {
        self.touch_one(&statement::SET_PROMPT_VERSION_STATUS, format!("prompt version {id}"), id, status).await
    }

    /// Renames a variant.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such variant any more.
    pub async fn retire_variant(&self, id: VariantId, name: &str) -> Result<(), ControlError> {
        self.touch_one(&statement::RETIRE_VARIANT, format!("variant {id}"), id.0, name).await
    }

    /// Completes an experiment; a completed one stays as it is.
    pub async fn complete_experiment(&self, id: ExperimentId, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::COMPLETE_EXPERIMENT.sql(self.dialect))
            .bind(id.to_string())
            .bind(text_of(now))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("complete experiment {id}")))?;
        Ok(())
    }

    async fn touch_one(
        &self,
        statement: &'static Statement,
        what: String,
        id: Uuid,
        value: &str,
    ) -> Result<(), ControlError> {
        let touched = sqlx::query(statement.sql(self.dialect))
            .bind(id.to_string())
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("set {what} to {value}")))?;
        if touched.rows_affected() == 1 { Ok(()) } else { Err(ControlError::Gone { what }) }
    }
}
