//! What people ask for who look at the store: the last run, who is at work, what is still to be done. Nothing here writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::journal::{PendingAction, StoredReport, stored_report};
use super::ledger::{StoredDecision, stored};
use super::rows::Reader;
use super::statement;
use crate::domain::{ExperimentId, ExperimentStatus, Share, VariantId};

/// A run that decided or told something.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its key.
    pub id: Uuid,
    /// The night.
    pub as_of: Date,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs, or if it broke off.
    pub finished_at: Option<Timestamp>,
    /// The night in a few words, once it ended.
    pub summary: Option<String>,
}

/// A follow-up that is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAction {
    /// What is to be done.
    pub action: PendingAction,
    /// Whether it was given up.
    pub given_up: bool,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// The first time at which it may be done; none if at once.
    pub not_before: Option<Timestamp>,
    /// When it was tried last, or journalled.
    pub updated_at: Timestamp,
}

/// Who may act now.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseHolder {
    /// Host, process and run.
    pub holder: String,
    /// Until when, unless it is renewed.
    pub expires_at: Timestamp,
}

/// A variant's name and share.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantShare {
    /// Its key.
    pub id: VariantId,
    /// Its name now.
    pub name: String,
    /// Its share now.
    pub allocation: Share,
}

impl ControlStore {
    /// The last decision of each candidate of running and paused experiments.
    pub async fn latest_decisions(&self) -> Result<Vec<StoredDecision>, ControlError> {
        self.rows(&statement::LATEST_DECISIONS, "read the last decisions").await?.iter().map(stored).collect()
    }

    /// What readers were told together with those decisions, by run and experiment.
    pub async fn latest_reports(&self) -> Result<BTreeMap<(Uuid, ExperimentId), Value>, ControlError> {
        let rows = self.rows(&statement::LATEST_REPORTS, "read the last reports").await?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.night_reports", "run_id", row)?;
            Ok(((reader.parse("run_id")?, reader.parse("experiment_id")?), reader.json("report")?))
        };
        rows.iter().map(read).collect()
    }

    /// The last run, if there was one.
    pub async fn last_run(&self) -> Result<Option<RunRecord>, ControlError> {
        let rows = self.rows(&statement::LAST_RUN, "read the last run").await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let reader = Reader::new("rampkeeper.runs", "id", row)?;
        let told: Option<String> = reader.get("summary")?;
        let told: Option<Value> = told.map(|_| reader.json("summary")).transpose()?;
        Ok(Some(RunRecord {
            id: reader.parse("id")?,
            as_of: reader.parse("as_of")?,
            started_at: reader.parse("started_at")?,
            finished_at: reader.parse_optional("finished_at")?,
            summary: told.and_then(|told| Some(told.get("summary")?.as_str()?.to_owned())),
        }))
    }

    /// Everything in the journal that is not done, due or not, in the order in which it was planned.
    pub async fn open_actions(&self) -> Result<Vec<OpenAction>, ControlError> {
        let rows = self.rows(&statement::OPEN_ACTIONS, "read what is still to be done").await?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", row)?;
            Ok(OpenAction {
                given_up: reader.get::<String>("status")? == "failed",
                last_error: reader.get("last_error")?,
                not_before: reader.parse_optional("not_before")?,
                updated_at: reader.parse("updated_at")?,
                action: PendingAction {
                    decision: reader.parse_optional("decision_id")?,
                    kind: reader.get("kind")?,
                    payload: reader.json("payload")?,
                    attempts: reader.get("attempts")?,
                    idempotency_key: reader.key,
                },
            })
        };
        rows.iter().map(read).collect()
    }

    /// Who holds the lease, be it expired or not.
    pub async fn lease(&self) -> Result<Option<LeaseHolder>, ControlError> {
        let rows = self.rows(&statement::LEASE_HOLDER, "read the lease").await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let reader = Reader::new("rampkeeper.leases", "holder", row)?;
        Ok(Some(LeaseHolder { expires_at: reader.parse("expires_at")?, holder: reader.key }))
    }

    /// The variants of an experiment, whatever its status.
    pub async fn variants_of(&self, experiment: ExperimentId) -> Result<Vec<VariantShare>, ControlError> {
        let rows = sqlx::query(statement::VARIANTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the variants of experiment {experiment}")))?;
        let read = |row| {
            let reader = Reader::new("exp.variants", "id", row)?;
            Ok(VariantShare {
                id: reader.parse("id")?,
                name: reader.get("name")?,
                allocation: reader.parse("allocation")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Where an experiment stands; none if it is gone.
    pub async fn experiment_status(&self, experiment: ExperimentId) -> Result<Option<ExperimentStatus>, ControlError> {
        let row = sqlx::query(statement::EXPERIMENT_STATUS.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("read the status of experiment {experiment}")))?;
        row.map(|row| Reader::new("exp.experiments", "value", &row)?.parse("value")).transpose()
    }

    /// The place and the hash of the last decision in the chain.
    pub async fn chain_head(&self) -> Result<Option<(i64, String)>, ControlError> {
        let rows = self.rows(&statement::LAST_DECISION, "read the end of the ledger").await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let doing = || while_doing("read the end of the ledger");
        let (position, hash) = (row.try_get("position").map_err(doing())?, row.try_get("hash").map_err(doing())?);
        Ok(Some((position, hash)))
    }

    /// The place of the first decision after a place in the chain.
    pub async fn next_position(&self, after: i64) -> Result<Option<i64>, ControlError> {
        let doing = || while_doing(format!("look for a decision after position {after}"));
        let row = sqlx::query(statement::NEXT_POSITION.sql(self.dialect))
            .bind(after)
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        row.try_get("position").map_err(doing())
    }

    /// Reports that tell of decisions which ought to be in the ledger: those of nights that have none there, and those
    /// of the last run.
    pub async fn reports_to_check(&self) -> Result<Vec<StoredReport>, ControlError> {
        let rows = self.rows(&statement::REPORTS_TO_CHECK, "read what was told of decisions").await?;
        rows.iter().map(stored_report).collect()
    }
}
