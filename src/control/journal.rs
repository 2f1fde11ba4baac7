//! The journal's reading side: what is still to be done, and how it went. Also the runs.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::record::NewAction;
use super::rows::{Reader, text_of};
use super::statement;
use crate::domain::ExperimentId;

/// Whose a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// A night's.
    Night,
    /// Somebody's, between two nights.
    ByHand,
}

impl RunKind {
    fn as_str(self) -> &'static str {
        match self {
            RunKind::Night => "night",
            RunKind::ByHand => "by_hand",
        }
    }
}

/// A run that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its key.
    pub id: Uuid,
    /// Whose it is.
    pub kind: RunKind,
}

impl Run {
    /// A night's.
    pub fn night(id: Uuid) -> Self {
        Self { id, kind: RunKind::Night }
    }

    /// Somebody's.
    pub fn by_hand(id: Uuid) -> Self {
        Self { id, kind: RunKind::ByHand }
    }
}

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

/// An experiment's report as it was committed with its decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReport {
    /// The night.
    pub as_of: Date,
    /// The run that made it.
    pub run: Uuid,
    /// The report, as its maker wrote it.
    pub report: Value,
}

pub(super) fn stored_report(row: &AnyRow) -> Result<StoredReport, ControlError> {
    let reader = Reader::new("rampkeeper.night_reports", "run_id", row)?;
    Ok(StoredReport { as_of: reader.parse("as_of")?, run: reader.parse("run_id")?, report: reader.json("report")? })
}

impl ControlStore {
    /// Notes that a run has begun.
    pub async fn start_run(&self, run: Run, as_of: Date, config: &str, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::START_RUN.sql(self.dialect))
            .bind(run.id.to_string())
            .bind(as_of.to_string())
            .bind(text_of(now))
            .bind(config)
            .bind(run.kind.as_str())
            .execute(&self.pool)
            .await
            .map_err(while_doing("note the beginning of the run"))?;
        Ok(())
    }

    /// Notes how a run ended.
    pub async fn finish_run(&self, id: Uuid, summary: &Value, now: Timestamp) -> Result<(), ControlError> {
        let touched = sqlx::query(statement::FINISH_RUN.sql(self.dialect))
            .bind(id.to_string())
            .bind(text_of(now))
            .bind(summary.to_string())
            .execute(&self.pool)
            .await
            .map_err(while_doing("note the end of the run"))?;
        if touched.rows_affected() == 1 { Ok(()) } else { Err(ControlError::Gone { what: format!("run {id}") }) }
    }

    /// What readers are still to be told: experiments' reports, by the night and the run that made them.
    pub async fn untold_reports(&self) -> Result<Vec<StoredReport>, ControlError> {
        let rows = sqlx::query(statement::UNTOLD_REPORTS.sql(self.dialect))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("load what is still to be told"))?;
        rows.iter().map(stored_report).collect()
    }

    /// The last that was said of each experiment that night.
    pub async fn reports_of_night(&self, as_of: Date) -> Result<Vec<StoredReport>, ControlError> {
        let rows = sqlx::query(statement::REPORTS_OF_NIGHT.sql(self.dialect))
            .bind(as_of.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the reports of {as_of}")))?;
        rows.iter().map(stored_report).collect()
    }

    /// Whether a report about the experiment was ever committed for that night.
    pub async fn has_report(&self, experiment: ExperimentId, as_of: Date) -> Result<bool, ControlError> {
        let doing = || while_doing(format!("look for a report of {as_of} about experiment {experiment}"));
        let row = sqlx::query(statement::HAS_REPORT.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(as_of.to_string())
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        let found: i64 = row.try_get("found").map_err(doing())?;
        Ok(found > 0)
    }

    /// Journals the mails of a night and notes that its reports and these incidents are told, together.
    pub async fn tell(
        &self,
        run: Uuid,
        as_of: Date,
        mails: &[NewAction],
        incidents: &[Uuid],
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        self.write_actions(&mut transaction, run, mails, now).await?;
        self.write_told(&mut transaction, incidents, now).await?;
        // None at all where everything failed: what failed left no report here.
        sqlx::query(statement::MARK_TOLD.sql(self.dialect))
            .bind(as_of.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(while_doing(format!("note that the night of {as_of} is told")))?;
        transaction.commit().await.map_err(while_doing("journal the mail"))
    }

    /// Whether an action of that key was ever journalled.
    pub async fn has_action(&self, key: &str) -> Result<bool, ControlError> {
        let doing = || while_doing(format!("look for action {key} in the journal"));
        let row = sqlx::query(statement::ACTION_EXISTS.sql(self.dialect))
            .bind(key)
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        let found: i64 = row.try_get("found").map_err(doing())?;
        Ok(found > 0)
    }

    /// Everything that is due by now and still to be done, in the order in which it was planned.
    pub async fn pending_actions(&self, now: Timestamp) -> Result<Vec<PendingAction>, ControlError> {
        let rows = sqlx::query(statement::PENDING_ACTIONS.sql(self.dialect))
            .bind(text_of(now))
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

    /// Notes that a follow-up is done, after so many attempts.
    ///
    /// # Errors
    /// [`ControlError::Overtaken`] if somebody else has dealt with it.
    pub async fn action_done(&self, key: &str, attempts: u32, now: Timestamp) -> Result<(), ControlError> {
        let touched = sqlx::query(statement::ACTION_DONE.sql(self.dialect))
            .bind(key)
            .bind(text_of(now))
            .bind(i64::from(attempts))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note that action {key} is done")))?;
        still_ours(touched.rows_affected(), key)
    }

    /// Notes that a follow-up failed, after so many attempts; `for_good` if trying again cannot help.
    ///
    /// # Errors
    /// [`ControlError::Overtaken`] if somebody else has dealt with it.
    pub async fn action_failed(
        &self,
        key: &str,
        error: &str,
        for_good: bool,
        attempts: u32,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let touched = sqlx::query(statement::ACTION_FAILED.sql(self.dialect))
            .bind(key)
            .bind(text_of(now))
            .bind(error)
            .bind(if for_good { "failed" } else { "pending" })
            .bind(i64::from(attempts))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note that action {key} failed")))?;
        still_ours(touched.rows_affected(), key)
    }
}

fn still_ours(touched: u64, key: &str) -> Result<(), ControlError> {
    if touched == 1 { Ok(()) } else { Err(ControlError::Overtaken { key: key.to_owned() }) }
}
