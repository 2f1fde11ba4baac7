//! What people told the job: written once, read every night.

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::{Reader, text_of};
use super::statement;
use crate::domain::{Act, ExperimentId};

impl ControlStore {
    /// Everything that holds for running experiments, in the order in which it was told.
    pub async fn load_acts(&self) -> Result<Vec<Act>, ControlError> {
        self.rows(&statement::LOAD_ACTS, "load what people told the job").await?.iter().map(act).collect()
    }

    /// Everything that was ever told of an experiment, or of all of them.
    pub async fn acts_of(&self, experiment: ExperimentId) -> Result<Vec<Act>, ControlError> {
        let rows = sqlx::query(statement::ACTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load what people told the job of experiment {experiment}")))?;
        rows.iter().map(act).collect()
    }

    /// Keeps what somebody told the job.
    pub async fn tell_act(&self, act: &Act) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        self.write_act(&mut transaction, act).await?;
        transaction.commit().await.map_err(while_doing(format!("keep the {} by {}", act.kind.word(), act.by)))
    }

    pub(super) async fn write_act(
        &self,
        transaction: &mut Transaction<'static, Any>,
        act: &Act,
    ) -> Result<(), ControlError> {
        sqlx::query(statement::INSERT_ACT.sql(self.dialect))
            .bind(act.id.to_string())
            .bind(act.experiment.map(|id| id.to_string()))
            .bind(act.candidate.map(|id| id.to_string()))
            .bind(json!(act.kind).to_string())
            .bind(act.by.as_str())
            .bind(act.reason.as_str())
            .bind(text_of(act.at))
            .execute(&mut **transaction)
            .await
            .map_err(while_doing(format!("keep the {} by {}", act.kind.word(), act.by)))?;
        Ok(())
    }
}

fn act(row: &AnyRow) -> Result<Act, ControlError> {
    let reader = Reader::new("rampkeeper.acts", "id", row)?;
    Ok(Act {
        id: reader.parse("id")?,
        kind: reader.json("act")?,
        experiment: reader.parse_optional("experiment_id")?,
        candidate: reader.parse_optional("candidate_id")?,
        by: reader.get("said_by")?,
        reason: reader.get("reason")?,
        at: reader.parse("said_at")?,
    })
}
