//! The one transaction that makes a night's decisions about an experiment true: decisions, looks, allocation change,
//! epoch, rollout states and pending actions are committed together, or none of them.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::snapshot::{NewEpoch, end_of};
use super::statement::{self, Dialect};
use crate::decide::{Basis, Decision};
use crate::domain::{Amendment, Experiment, ExperimentId, RolloutState, Rules, VariantId};
use crate::evidence::Assessment;
use crate::plan::Plan;

/// What is to be recorded of one experiment.
#[derive(Clone, Debug)]
pub struct NightRecord<'a> {
    /// The run.
    pub run: Uuid,
    /// The experiment as it was read.
    pub experiment: &'a Experiment,
    /// The night.
    pub as_of: Date,
    /// What was decided of each candidate.
    pub decisions: Vec<NewDecision<'a>>,
    /// What follows.
    pub plan: &'a Plan,
    /// The rollout states to write, each with the version that it was computed from.
    pub rollouts: Vec<RolloutState>,
    /// The epochs that the allocation change opens, in their order; a ramp that draws control's units anew opens two.
    pub epochs: Vec<NewEpoch>,
    /// The follow-ups for the journal.
    pub actions: Vec<NewAction>,
    /// What readers are to be told of it.
    pub report: Value,
    /// What the report tells of the route, by the keys of the notes.
    pub told_notes: Vec<Uuid>,
    /// What it was judged by.
    pub rules: &'a Rules,
    /// How often the rules were changed before; none before the first night.
    pub last_rules: Option<i64>,
    /// How the rules differ from the night before.
    pub amendment: Option<&'a Amendment>,
    /// The first day whose units count, where the rules were changed on the way.
    pub evidence_from: Option<Date>,
    /// When.
    pub now: Timestamp,
}

/// A decision to be recorded.
#[derive(Clone, Debug)]
pub struct NewDecision<'a> {
    /// Its key.
    pub id: Uuid,
    /// The candidate.
    pub candidate: VariantId,
    /// How often this night was decided before.
    pub revision: i64,
    /// The decision.
    pub decision: &'a Decision,
    /// What it saw.
    pub assessment: &'a Assessment,
    /// What else it was made from.
    pub basis: Basis,
    /// The digest of everything that it was made from.
    pub inputs_digest: String,
}

/// A follow-up to be journalled.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAction {
    /// The same for the same deed, whoever repeats it.
    pub idempotency_key: String,
    /// The decision that it follows, if it follows one.
    pub decision: Option<Uuid>,
    /// What kind of deed.
    pub kind: String,
    /// Everything that the deed needs.
    pub payload: Value,
    /// The first time at which it may be done; none if at once.
    pub not_before: Option<Timestamp>,
}

/// A decision's place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedDecision {
    /// Its key.
    pub id: Uuid,
    /// Its hash, which holds the hash of the decision before it.
    pub hash: String,
}

impl ControlStore {
    /// Begins a transaction that may write.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, ControlError> {
        let begin = match self.dialect {
            Dialect::Postgres => "BEGIN",
            // A deferred transaction could find the file locked half-way.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
        };
        self.pool.begin_with(begin).await.map_err(while_doing("begin a transaction"))
    }

    /// Records a night of one experiment.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if a status, an allocation or a rollout state is no longer what the plan was computed
    /// from; then nothing was written.
    pub async fn record(&self, record: &NightRecord<'_>) -> Result<Vec<RecordedDecision>, ControlError> {
        let name = &record.experiment.name;
        let mut transaction = self.begin().await?;
        self.hold_still(&mut transaction, record.experiment).await?;
        self.write_rules(&mut transaction, record).await?;
        let recorded = self.write_decisions(&mut transaction, record).await?;
        for change in &record.plan.allocations {
            let touched = sqlx::query(statement::CHANGE_ALLOCATION.sql(self.dialect))
                .bind(change.variant.to_string())
                .bind(format!("{:.4}", change.to.as_f64()))
                .bind(i64::from(change.from.ten_thousandths()))
                .execute(&mut *transaction)
                .await
                .map_err(while_doing(format!("change the allocation of {name}/{}", change.name)))?;
            if touched.rows_affected() != 1 {
                return Err(ControlError::Conflict { what: format!("the allocation of {name}/{}", change.name) });
            }
        }
        for epoch in &record.epochs {
            write_epoch(&mut transaction, self.dialect, record.experiment.id, epoch, "decision").await?;
        }
        for state in &record.rollouts {
            self.write_rollout(&mut transaction, state, name, record.now).await?;
        }
        self.write_actions(&mut transaction, record.run, &record.actions, record.now).await?;
        self.tell_notes(&mut transaction, record.run, &record.told_notes).await?;
        sqlx::query(statement::INSERT_REPORT.sql(self.dialect))
            .bind(record.run.to_string())
            .bind(record.experiment.id.to_string())
            .bind(record.as_of.to_string())
            .bind(record.report.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(while_doing(format!("keep the report about {name}")))?;
        transaction.commit().await.map_err(while_doing(format!("commit the night of {name}")))?;
        Ok(recorded)
    }

    /// Locks the experiment's row and checks that status and allocations are still as they were read.
    pub(super) async fn hold_still(
        &self,
        transaction: &mut Transaction<'static, Any>,
        experiment: &Experiment,
    ) -> Result<(), ControlError> {
        let name = &experiment.name;
        let doing = || while_doing(format!("read {name} again before its night is recorded"));
        let row = sqlx::query(statement::LOCK_EXPERIMENT.sql(self.dialect))
            .bind(experiment.id.to_string())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(doing())?;
        let status: Option<String> = row.map(|row| row.try_get("status")).transpose().map_err(doing())?;
        if status.as_deref() != Some(experiment.status.as_str()) {
            return Err(ControlError::Conflict { what: format!("the status of {name}") });
        }
        for variant in &experiment.variants {
            let row = sqlx::query(statement::CHECK_ALLOCATION.sql(self.dialect))
                .bind(variant.id.to_string())
                .bind(i64::from(variant.allocation.ten_thousandths()))
                .fetch_one(&mut **transaction)
                .await
                .map_err(doing())?;
            let found: i64 = row.try_get("found").map_err(doing())?;
            if found != 1 {
                return Err(ControlError::Conflict { what: format!("the allocation of {name}/{}", variant.name) });
            }
        }
        Ok(())
    }

    async fn write_decisions(
        &self,
        transaction: &mut Transaction<'static, Any>,
        record: &NightRecord<'_>,
    ) -> Result<Vec<RecordedDecision>, ControlError> {
        let doing = || while_doing(format!("record the decisions about {}", record.experiment.name));
        let last = sqlx::query(statement::LAST_DECISION.sql(self.dialect))
            .fetch_optional(&mut **transaction)
            .await
            .map_err(doing())?;
        let (mut position, mut previous) = match last {
            Some(row) => (row.try_get("position").map_err(doing())?, row.try_get("hash").map_err(doing())?),
            None => (0i64, String::new()),
        };
        let mut recorded = Vec::new();
        for new in &record.decisions {
            position += 1;
            let decision = json!(new.decision).to_string();
            let (assessment, basis) = (json!(new.assessment).to_string(), json!(new.basis).to_string());
            let link = Link {
                previous: &previous,
                position,
                id: new.id,
                run: record.run,
                experiment: record.experiment.id,
                candidate: new.candidate,
                as_of: record.as_of,
                revision: new.revision,
                inputs_digest: &new.inputs_digest,
                decided_at: record.now,
                texts: [&decision, &assessment, &basis],
            };
            let hash = link.hash();
            sqlx::query(statement::INSERT_DECISION.sql(self.dialect))
                .bind(new.id.to_string())
                .bind(position)
                .bind(record.run.to_string())
                .bind(record.experiment.id.to_string())
                .bind(new.candidate.to_string())
                .bind(record.as_of.to_string())
                .bind(new.revision)
                .bind(new.decision.outcome.word())
                .bind(decision)
                .bind(new.inputs_digest.as_str())
                .bind(text_of(record.now))
                .bind(previous)
                .bind(hash.as_str())
                .execute(&mut **transaction)
                .await
                .map_err(doing())?;
            sqlx::query(statement::INSERT_LOOK.sql(self.dialect))
                .bind(new.id.to_string())
                .bind(assessment)
                .bind(basis)
                .execute(&mut **transaction)
                .await
                .map_err(doing())?;
            recorded.push(RecordedDecision { id: new.id, hash: hash.clone() });
            previous = hash;
        }
        Ok(recorded)
    }

    async fn write_rollout(
        &self,
        transaction: &mut Transaction<'static, Any>,
        state: &RolloutState,
        experiment: &str,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let touched = sqlx::query(statement::WRITE_ROLLOUT.sql(self.dialect))
            .bind(state.experiment.to_string())
            .bind(state.candidate.to_string())
            .bind(state.status.as_str())
            .bind(i64::try_from(state.stage).unwrap_or(i64::MAX))
            .bind(state.entered_on.to_string())
            .bind(state.version)
            .bind(text_of(now))
            .execute(&mut **transaction)
            .await
            .map_err(while_doing(format!("write a rollout state of {experiment}")))?;
        if touched.rows_affected() != 1 {
            return Err(ControlError::Conflict { what: format!("the rollout state of a candidate of {experiment}") });
        }
        Ok(())
    }

    pub(super) async fn write_actions(
        &self,
        transaction: &mut Transaction<'static, Any>,
        run: Uuid,
        actions: &[NewAction],
        now: Timestamp,
    ) -> Result<(), ControlError> {
        if actions.is_empty() {
            return Ok(());
        }
        let doing = || while_doing("journal the follow-ups");
        let row = sqlx::query(statement::LAST_ACTION_POSITION.sql(self.dialect))
            .fetch_one(&mut **transaction)
            .await
            .map_err(doing())?;
        let mut position: i64 = row.try_get("position").map_err(doing())?;
        for action in actions {
            position += 1;
            sqlx::query(statement::INSERT_ACTION.sql(self.dialect))
                .bind(action.idempotency_key.as_str())
                .bind(action.decision.map(|id| id.to_string()))
                .bind(run.to_string())
                .bind(position)
                .bind(action.kind.as_str())
                .bind(action.payload.to_string())
                .bind(text_of(now))
                .bind(action.not_before.map(text_of))
                .execute(&mut **transaction)
                .await
                .map_err(doing())?;
        }
        Ok(())
    }
}

/// Everything that a decision's hash is taken over. Each holds the hash of the one before, so that no row can be changed,
/// removed or put between without the chain telling.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The hash of the decision before.
    pub previous: &'a str,
    /// The place in the chain.
    pub position: i64,
    /// The decision's key.
    pub id: Uuid,
    /// The run.
    pub run: Uuid,
    /// The experiment.
    pub experiment: ExperimentId,
    /// The candidate.
    pub candidate: VariantId,
    /// The night.
    pub as_of: Date,
    /// How often that night was decided before.
    pub revision: i64,
    /// The digest of what it was made from.
    pub inputs_digest: &'a str,
    /// When.
    pub decided_at: Timestamp,
    /// Decision, assessment and basis as they are stored.
    pub texts: [&'a str; 3],
}

impl Link<'_> {
    /// SHA-256 of the link, in hexadecimal.
    pub fn hash(&self) -> String {
        let content = json!([
            self.previous,
            self.position,
            self.id,
            self.run,
            self.experiment,
            self.candidate,
            self.as_of,
            self.revision,
            self.inputs_digest,
            text_of(self.decided_at),
            self.texts,
        ]);
        format!("{:x}", Sha256::digest(content.to_string()))
    }
}

/// Ends the epoch before and begins a new one.
pub(super) async fn write_epoch(
    transaction: &mut Transaction<'static, Any>,
    dialect: Dialect,
    experiment: ExperimentId,
    new: &NewEpoch,
    opened_by: &'static str,
) -> Result<(), ControlError> {
    let doing = || while_doing(format!("record an allocation epoch of experiment {experiment}"));
    if let Some((number, at)) = end_of(new) {
        let touched = sqlx::query(statement::CLOSE_EPOCH.sql(dialect))
            .bind(experiment.to_string())
            .bind(number)
            .bind(at)
            .execute(&mut **transaction)
            .await
            .map_err(doing())?;
        if touched.rows_affected() != 1 {
            return Err(ControlError::Conflict {
                what: format!("allocation epoch {number} of experiment {experiment}"),
            });
        }
    }
    sqlx::query(statement::OPEN_EPOCH.sql(dialect))
        .bind(experiment.to_string())
        .bind(new.epoch.number)
        .bind(text_of(new.epoch.started_at))
        .bind(json!(new.epoch.allocations).to_string())
        .bind(opened_by)
        .bind(i64::from(new.epoch.moved_units))
        .bind(new.epoch.redrawn_at.map(text_of))
        .execute(&mut **transaction)
        .await
        .map_err(doing())?;
    Ok(())
}
