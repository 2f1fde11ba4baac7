//! The rules that experiments were judged by, and how they changed on the way.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use sqlx::{Any, Transaction};

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::record::NightRecord;
use super::rows::{Reader, text_of};
use super::statement;
use crate::domain::{ExperimentId, Rules};

/// The rules that an experiment was judged by last.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRules {
    /// The rules.
    pub rules: Rules,
    /// How often they were changed.
    pub number: i64,
    /// The first day whose units count, where a change made the evidence begin anew.
    pub evidence_from: Option<Date>,
}

/// One entry of an experiment's history of rules; the first has no changes.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAmendment {
    /// The night that noticed it.
    pub as_of: Date,
    /// What changed, as sentences.
    pub changes: Vec<String>,
    /// Whether the evidence began anew.
    pub restarts: bool,
    /// When it was noticed.
    pub noted_at: Timestamp,
    /// The first day whose units count since, where the evidence began anew now or before.
    pub evidence_from: Option<Date>,
}

impl ControlStore {
    /// The rules of that digest.
    pub async fn rules(&self, digest: &str) -> Result<Option<Rules>, ControlError> {
        let row = sqlx::query(statement::RULES_BY_DIGEST.sql(self.dialect))
            .bind(digest)
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("load the rules {digest}")))?;
        row.map(|row| Reader::new("rampkeeper.rules", "digest", &row)?.json("rules")).transpose()
    }

    /// How an experiment's rules changed, oldest first.
    pub async fn amendments_of(&self, experiment: ExperimentId) -> Result<Vec<StoredAmendment>, ControlError> {
        let rows = sqlx::query(statement::AMENDMENTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load how the rules of experiment {experiment} changed")))?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.amendments", "experiment_id", row)?;
            Ok(StoredAmendment {
                as_of: reader.parse("as_of")?,
                changes: reader.json("changes")?,
                restarts: reader.get::<i64>("restarts")? != 0,
                noted_at: reader.parse("noted_at")?,
                evidence_from: reader.parse_optional("evidence_from")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Keeps the rules of a night, and the amendment if they are not those of the night before.
    pub(super) async fn write_rules(
        &self,
        transaction: &mut Transaction<'static, Any>,
        record: &NightRecord<'_>,
    ) -> Result<(), ControlError> {
        let doing = || while_doing(format!("keep the rules of {}", record.experiment.name));
        let number = match (record.last_rules, record.amendment) {
            (Some(_), None) => return Ok(()),
            (Some(last), Some(_)) => last + 1,
            (None, _) => 0,
        };
        let digest = record.rules.digest();
        sqlx::query(statement::INSERT_RULES.sql(self.dialect))
            .bind(digest.as_str())
            .bind(json!(record.rules).to_string())
            .execute(&mut **transaction)
            .await
            .map_err(doing())?;
        sqlx::query(statement::INSERT_AMENDMENT.sql(self.dialect))
            .bind(record.experiment.id.to_string())
            .bind(number)
            .bind(record.as_of.to_string())
            .bind(text_of(record.now))
            .bind(digest)
            .bind(json!(record.amendment.map(|amendment| &amendment.changes[..]).unwrap_or_default()).to_string())
            .bind(i64::from(record.amendment.is_some_and(|amendment| amendment.restarts)))
            .bind(record.evidence_from.map(|date| date.to_string()))
            .execute(&mut **transaction)
            .await
            .map_err(doing())?;
        Ok(())
    }
}
