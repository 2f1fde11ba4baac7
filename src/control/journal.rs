//! The journal's reading side: what is still to be done, and how it went. Also the runs.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::record::NewAction;
use super::rows::{Reader, text_of};
use super::statement;

/// A follow-up that is still to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingAction {
    /// Its key.
    pub idempotency_key: String,
    /// The decision that it follows, if it follows one.
    pub decision: Option<Uuid>,
    /// What kind of deed.
    pub kind: String,
    /// Everything that the deed needs.
    pub payload: Value,
    /// How often it was tried.
    pub attempts: i64,
}

impl ControlStore {
    /// Notes that a night has begun.
    pub async fn start_run(&self, id: Uuid, as_of: Date, config: &str, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::START_RUN.sql(self.dialect))
            .bind(id.to_string())
            .bind(as_of.to_string())
            .bind(text_of(now))
            .bind(config)
            .execute(&self.pool)
            .await
            .map_err(while_doing("note the beginning of the run"))?;
        Ok(())
    }

    /// Notes how a night ended.
    pub async fn finish_run(&self, id: Uuid, summary: &Value, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::FINISH_RUN.sql(self.dialect))
            .bind(id.to_string())
            .bind(text_of(now))
            .bind(summary.to_string())
            .execute(&self.pool)
            .await
            .map_err(while_doing("note the end of the run"))?;
        Ok(())
    }

    /// Journals follow-ups that belong to the night as a whole, such as its mail.
    pub async fn add_actions(&self, run: Uuid, actions: &[NewAction], now: Timestamp) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        self.write_actions(&mut transaction, run, actions, now).await?;
        transaction.commit().await.map_err(while_doing("journal the follow-ups"))
    }

    /// Everything that is still to be done, in the order in which it was planned.
    pub async fn pending_actions(&self) -> Result<Vec<PendingAction>, ControlError> {
        let rows = sqlx::query(statement::PENDING_ACTIONS.sql(self.dialect))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("read the journal"))?;
        let mut actions = Vec::with_capacity(rows.len());
        for row in rows {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", &row)?;
            actions.push(PendingAction {
                decision: reader.parse_optional("decision_id")?,
                kind: reader.get("kind")?,
                payload: reader.json("payload")?,
                attempts: reader.get("attempts")?,
                idempotency_key: reader.key,
            });
        }
        Ok(actions)
    }

    /// Notes that a follow-up is done.
    pub async fn action_done(&self, key: &str, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::ACTION_DONE.sql(self.dialect))
            .bind(key)
            .bind(text_of(now))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note that action {key} is done")))?;
        Ok(())
    }

    /// Notes that a follow-up failed; `for_good` if trying again cannot help.
    pub async fn action_failed(
        &self,
        key: &str,
        error: &str,
        for_good: bool,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        sqlx::query(statement::ACTION_FAILED.sql(self.dialect))
            .bind(key)
            .bind(text_of(now))
            .bind(error)
            .bind(if for_good { "failed" } else { "pending" })
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note that action {key} failed")))?;
        Ok(())
    }
}
