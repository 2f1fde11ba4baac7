//! What mails need to know beside the night itself: the nights before, the mail that began a thread, and what followed late.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::journal::PendingAction;
use super::ledger::{StoredDecision, stored};
use super::rows::{Reader, text_of};
use super::statement;
use crate::domain::{ExperimentId, VariantId};

/// A follow-up that was settled after the mail about its decision had been written.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledLate {
    /// The follow-up.
    pub action: PendingAction,
    /// Whether it was given up.
    pub given_up: bool,
    /// What kept it from being done, if it was given up.
    pub last_error: Option<String>,
    /// When it was settled.
    pub at: Timestamp,
    /// The journal's key of that mail.
    pub mail: String,
}

impl ControlStore {
    /// The last decisions about a candidate before a night, the oldest first, so many at most.
    pub async fn looks_before(
        &self,
        (experiment, candidate): (ExperimentId, VariantId),
        as_of: Date,
        most: i64,
    ) -> Result<Vec<StoredDecision>, ControlError> {
        let rows = sqlx::query(statement::LOOKS_BEFORE.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(candidate.to_string())
            .bind(as_of.to_string())
            .bind(most)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("read what was decided about candidate {candidate} before {as_of}")))?;
        rows.iter().rev().map(stored).collect()
    }

    /// A mail as it was journalled, if it was.
    pub async fn journalled_mail(&self, key: &str) -> Result<Option<Value>, ControlError> {
        let row = sqlx::query(statement::JOURNALLED_MAIL.sql(self.dialect))
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("look for mail {key} in the journal")))?;
        let Some(row) = row else { return Ok(None) };
        Reader { table: "rampkeeper.actions", key: key.to_owned(), row: &row }.json("payload").map(Some)
    }

    /// Follow-ups that were done or given up since, later than the mail about their decision was written by a sender of
    /// that domain.
    pub async fn settled_late(&self, domain: &str, since: Timestamp) -> Result<Vec<SettledLate>, ControlError> {
        let rows = sqlx::query(statement::SETTLED_LATE.sql(self.dialect))
            .bind(domain)
            .bind(text_of(since))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("look for follow-ups that were settled late"))?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", row)?;
            let decision: Option<Uuid> = reader.parse_optional("decision_id")?;
            Ok(SettledLate {
                given_up: reader.get::<String>("status")? == "failed",
                last_error: reader.get("last_error")?,
                at: reader.parse("updated_at")?,
                mail: reader.get("mail")?,
                action: PendingAction {
                    decision,
                    kind: reader.get("kind")?,
                    payload: reader.json("payload")?,
                    attempts: reader.get("attempts")?,
                    idempotency_key: reader.key,
                },
            })
        };
        rows.iter().map(read).collect()
    }
}
