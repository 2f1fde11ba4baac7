//! The follow-ups that happen in the experiment tables, but for moves. Each may be repeated and then changes nothing;
//! each is guarded by the value that its plan was computed from, so that what somebody else has set is not overwritten.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement::{self, Statement};
use crate::domain::{ExperimentId, Share, VariantId};

/// What a guarded change met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The value was as expected and is changed.
    Made,
    /// The value stood there already.
    AlreadyThere,
    /// Somebody else has set this value; it was left alone.
    Other(String),
}

impl ControlStore {
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

    /// Sets the status of a policy version that has one of the `expected`.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such version any more.
    pub async fn set_policy_version_status(
        &self,
        id: Uuid,
        status: &str,
        expected: &[String],
    ) -> Result<Change, ControlError> {
        let (read, write) = (&statement::POLICY_VERSION_STATUS, &statement::SET_POLICY_VERSION_STATUS);
        self.swap(read, write, &format!("policy version {id}"), id, status, expected).await
    }

    /// Sets the status of a prompt version that has one of the `expected`.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such version any more.
    pub async fn set_prompt_version_status(
        &self,
        id: Uuid,
        status: &str,
        expected: &[String],
    ) -> Result<Change, ControlError> {
        let (read, write) = (&statement::PROMPT_VERSION_STATUS, &statement::SET_PROMPT_VERSION_STATUS);
        self.swap(read, write, &format!("prompt version {id}"), id, status, expected).await
    }

    /// Renames a variant that is still called `from`.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such variant any more.
    pub async fn retire_variant(&self, id: VariantId, from: &str, name: &str) -> Result<Change, ControlError> {
        let (read, write) = (&statement::VARIANT_NAME, &statement::RETIRE_VARIANT);
        self.swap(read, write, &format!("variant {id}"), id.0, name, &[from.to_owned()]).await
    }

    /// Completes an experiment that is active.
    ///
    /// # Errors
    /// [`ControlError::Gone`] if there is no such experiment any more.
    pub async fn complete_experiment(&self, id: ExperimentId, now: Timestamp) -> Result<Change, ControlError> {
        let touched = sqlx::query(statement::COMPLETE_EXPERIMENT.sql(self.dialect))
            .bind(id.to_string())
            .bind(text_of(now))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("complete experiment {id}")))?;
        if touched.rows_affected() == 1 {
            return Ok(Change::Made);
        }
        let what = format!("experiment {id}");
        match self.value(&statement::EXPERIMENT_STATUS, &what, id.0).await?.as_str() {
            "completed" => Ok(Change::AlreadyThere),
            other => Ok(Change::Other(other.to_owned())),
        }
    }

    /// A variant's share as it stands in the table now; none if the variant is not there any more.
    pub async fn load_share(&self, id: VariantId) -> Result<Option<Share>, ControlError> {
        let row = sqlx::query(statement::LOAD_SHARE.sql(self.dialect))
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("read the allocation of variant {id} again")))?;
        let Some(row) = row else { return Ok(None) };
        let text: String = row.try_get("allocation").map_err(while_doing(format!("read the allocation of {id}")))?;
        text.parse().map(Some).map_err(|error: <Share as std::str::FromStr>::Err| ControlError::Row {
            table: "exp.variants",
            key: id.to_string(),
            column: "allocation",
            found: format!("{text:?}"),
            expected: error.to_string(),
        })
    }

    /// Compares and sets: the value is read, compared with what may stand there, and changed only if it is still what
    /// was read.
    async fn swap(
        &self,
        read: &'static Statement,
        write: &'static Statement,
        what: &str,
        id: Uuid,
        to: &str,
        expected: &[String],
    ) -> Result<Change, ControlError> {
        let found = self.value(read, what, id).await?;
        if found == to {
            return Ok(Change::AlreadyThere);
        }
        if !expected.contains(&found) {
            return Ok(Change::Other(found));
        }
        let touched = sqlx::query(write.sql(self.dialect))
            .bind(id.to_string())
            .bind(to)
            .bind(found)
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("set {what} to {to}")))?;
        match touched.rows_affected() {
            1 => Ok(Change::Made),
            // Somebody was faster.
            _ => self.value(read, what, id).await.map(Change::Other),
        }
    }

    async fn value(&self, read: &'static Statement, what: &str, id: Uuid) -> Result<String, ControlError> {
        let doing = || while_doing(format!("read {what}"));
        let row = sqlx::query(read.sql(self.dialect)).bind(id.to_string()).fetch_optional(&self.pool).await;
        match row.map_err(doing())? {
            Some(row) => row.try_get("value").map_err(doing()),
            None => Err(ControlError::Gone { what: what.to_owned() }),
        }
    }
}
