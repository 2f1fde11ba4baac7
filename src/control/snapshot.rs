//! The experiments as they are now: variants, epochs, rollout states, and what was decided last.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::{Reader, text_of};
use super::rules::StoredRules;
use super::statement::{self, Statement};
use crate::domain::{
    Act, Epoch, Experiment, ExperimentId, ModelVersion, RolloutState, Share, Threshold, Variant, VariantConfig,
    VariantId,
};

/// One experiment with everything that Rampkeeper keeps about it.
#[derive(Clone, Debug)]
pub struct ExperimentRecord {
    /// The experiment and its variants.
    pub experiment: Experiment,
    /// When its row was created.
    pub created_at: Timestamp,
    /// Its allocation epochs, in order.
    pub epochs: Vec<Epoch>,
    /// The states of the candidates that are known already.
    pub rollouts: Vec<RolloutState>,
    /// The last decision of each candidate that has one.
    pub last_decisions: BTreeMap<VariantId, LastDecision>,
    /// The rules that it was judged by last.
    pub rules: Option<StoredRules>,
    /// What people told the job of it, or of everything, in order.
    pub acts: Vec<Act>,
    /// The thresholds that were frozen for it when versions came in.
    pub thresholds: Vec<Threshold>,
    /// Rows of it that could not be read.
    pub faults: Vec<String>,
}

/// The last decision of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct LastDecision {
    /// The night that it was made for.
    pub as_of: Date,
    /// How often that night was decided before.
    pub revision: i64,
    /// What it was made from.
    pub inputs_digest: String,
    /// When.
    pub decided_at: Timestamp,
}

/// An epoch that has begun and is not recorded yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of the epoch that it ends, and until when that one is known to have lasted.
    pub ends: Option<(i64, Timestamp)>,
}

impl NewEpoch {
    /// Puts it behind the epochs before, of which it ends the last.
    pub fn append_to(self, epochs: &mut Vec<Epoch>) {
        if let (Some(last), Some((_, at))) = (epochs.last_mut(), self.ends) {
            last.ended_at = Some(at);
        }
        epochs.push(self.epoch);
    }
}

/// Compares the experiment's allocations with its last epoch. A first sight begins epoch 0 at the experiment's start; an
/// allocation that nobody here has set begins a new epoch now, and the epoch before is only trusted until it was last
/// seen, since nobody knows when the change was made.
pub fn observe_epochs(record: &ExperimentRecord, now: Timestamp) -> Option<NewEpoch> {
    let allocations: Vec<(VariantId, Share)> =
        record.experiment.variants.iter().map(|v| (v.id, v.allocation)).collect();
    let Some(last) = record.epochs.last() else {
        let started_at = record.experiment.start_at.unwrap_or(record.created_at).min(now);
        let epoch = Epoch {
            number: 0,
            started_at,
            ended_at: None,
            allocations,
            moved_units: false,
            outside: false,
            redrawn_at: None,
        };
        return Some(NewEpoch { epoch, ends: None });
    };
    let positive = |allocations: &[(VariantId, Share)]| {
        let mut positive: Vec<_> = allocations.iter().filter(|(_, share)| *share > Share::NONE).copied().collect();
        positive.sort();
        positive
    };
    if positive(&last.allocations) == positive(&allocations) {
        return None;
    }
    let seen = record.last_decisions.values().map(|d| d.decided_at).max();
    let seen = seen.unwrap_or(last.started_at).max(last.started_at);
    // It began after the decision that saw the split before it, even where both bear the same time.
    let now = now.max(seen + SignedDuration::from_micros(1));
    let epoch = Epoch {
        number: last.number + 1,
        started_at: now,
        ended_at: None,
        allocations,
        moved_units: false,
        outside: true,
        redrawn_at: None,
    };
    Some(NewEpoch { epoch, ends: Some((last.number, seen)) })
}

impl ControlStore {
    /// Loads every running or paused experiment.
    pub async fn load_experiments(&self) -> Result<Vec<ExperimentRecord>, ControlError> {
        let mut records = Vec::new();
        for row in self.rows(&statement::LOAD_EXPERIMENTS, "load the experiments").await? {
            records.push(experiment(&row)?);
        }
        let index: BTreeMap<ExperimentId, usize> =
            records.iter().enumerate().map(|(index, record)| (record.experiment.id, index)).collect();
        let mut place = |id: ExperimentId, put: &mut dyn FnMut(&mut ExperimentRecord)| {
            if let Some(&index) = index.get(&id) {
                put(&mut records[index]);
            }
        };
        for row in self.rows(&statement::LOAD_VARIANTS, "load the variants").await? {
            let reader = Reader::new("exp.variants", "id", &row)?;
            let read = variant(&reader);
            place(reader.parse("experiment_id")?, &mut |record| match &read {
                Ok(variant) => record.experiment.variants.push(variant.clone()),
                // One unreadable variant is a fault of its experiment, and no reason to leave the others alone.
                Err(error) => record.faults.push(error.to_string()),
            });
        }
        for row in self.rows(&statement::LOAD_EPOCHS, "load the allocation epochs").await? {
            let (id, epoch) = epoch(&row)?;
            place(id, &mut |record| record.epochs.push(epoch.clone()));
        }
        for row in self.rows(&statement::LOAD_ROLLOUTS, "load the rollout states").await? {
            let state = rollout(&row)?;
            place(state.experiment, &mut |record| record.rollouts.push(state.clone()));
        }
        for row in self.rows(&statement::LOAD_LAST_DECISIONS, "load the last decisions").await? {
            let reader = Reader::new("rampkeeper.decisions", "candidate_id", &row)?;
            let last = LastDecision {
                as_of: reader.parse("as_of")?,
                revision: reader.get("revision")?,
                inputs_digest: reader.get("inputs_digest")?,
                decided_at: reader.parse("decided_at")?,
            };
            let candidate: VariantId = reader.parse("candidate_id")?;
            place(reader.parse("experiment_id")?, &mut |record| {
                record.last_decisions.insert(candidate, last.clone());
            });
        }
        for row in self.rows(&statement::LOAD_RULES, "load the rules").await? {
            let reader = Reader::new("rampkeeper.amendments", "experiment_id", &row)?;
            let stored = StoredRules {
                rules: reader.json("rules")?,
                number: reader.get("number")?,
                evidence_from: reader.parse_optional("evidence_from")?,
            };
            place(reader.parse("experiment_id")?, &mut |record| record.rules = Some(stored.clone()));
        }
        for row in self.rows(&statement::LOAD_THRESHOLDS, "load the frozen thresholds").await? {
            let reader = Reader::new("rampkeeper.thresholds", "metric", &row)?;
            let known = Threshold {
                metric: reader.get("metric")?,
                definition: reader.get("definition")?,
                threshold: reader.get("threshold")?,
                value: reader.get("value")?,
                from: reader.parse("first_day")?,
                to: reader.parse("last_day")?,
                events: reader.count("events")?,
            };
            place(reader.parse("experiment_id")?, &mut |record| record.thresholds.push(known.clone()));
        }
        for act in self.load_acts().await? {
            match act.experiment {
                Some(id) => place(id, &mut |record| record.acts.push(act.clone())),
                None => index.keys().for_each(|id| place(*id, &mut |record| record.acts.push(act.clone()))),
            }
        }
        Ok(records)
    }

    /// The model versions behind the policy versions.
    pub async fn load_versions(&self) -> Result<BTreeMap<Uuid, ModelVersion>, ControlError> {
        let mut versions = BTreeMap::new();
        for row in self.rows(&statement::LOAD_VERSIONS, "load the policy versions").await? {
            let reader = Reader::new("exp.policy_versions", "id", &row)?;
            let version =
                ModelVersion { model: reader.get("mlflow_model_name")?, version: reader.get("mlflow_model_version")? };
            versions.insert(reader.parse("id")?, version);
        }
        Ok(versions)
    }

    /// Records an epoch that has begun.
    pub async fn open_epoch(
        &self,
        experiment: ExperimentId,
        new: &NewEpoch,
        opened_by: &'static str,
    ) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        super::record::write_epoch(&mut transaction, self.dialect, experiment, new, opened_by).await?;
        transaction.commit().await.map_err(while_doing("record an allocation epoch"))
    }

    pub(super) async fn rows(&self, statement: &'static Statement, doing: &str) -> Result<Vec<AnyRow>, ControlError> {
        sqlx::query(statement.sql(self.dialect)).fetch_all(&self.pool).await.map_err(while_doing(doing))
    }
}

fn experiment(row: &AnyRow) -> Result<ExperimentRecord, ControlError> {
    let reader = Reader::new("exp.experiments", "id", row)?;
    Ok(ExperimentRecord {
        experiment: Experiment {
            id: reader.parse("id")?,
            name: reader.get("name")?,
            status: reader.parse("status")?,
            unit_type: reader.get("unit_type")?,
            start_at: reader.parse_optional("start_at")?,
            end_at: reader.parse_optional("end_at")?,
            variants: Vec::new(),
        },
        created_at: reader.parse("created_at")?,
        epochs: Vec::new(),
        rollouts: Vec::new(),
        last_decisions: BTreeMap::new(),
        rules: None,
        acts: Vec::new(),
        thresholds: Vec::new(),
        faults: Vec::new(),
    })
}

fn variant(reader: &Reader<'_>) -> Result<Variant, ControlError> {
    let config: Option<String> = reader.get("config")?;
    let config = match config {
        Some(_) => reader.json("config")?,
        None => Value::Null,
    };
    Ok(Variant {
        id: reader.parse("id")?,
        name: reader.get("name")?,
        allocation: reader.parse("allocation")?,
        config: VariantConfig::parse(&config),
    })
}

/// An epoch's row.
pub(super) fn epoch(row: &AnyRow) -> Result<(ExperimentId, Epoch), ControlError> {
    let reader = Reader::new("rampkeeper.allocation_epochs", "experiment_id", row)?;
    let moved: i64 = reader.get("moved_units")?;
    let epoch = Epoch {
        number: reader.get("number")?,
        started_at: reader.parse("started_at")?,
        ended_at: reader.parse_optional("ended_at")?,
        allocations: reader.json("allocations")?,
        moved_units: moved != 0,
        outside: reader.get::<String>("opened_by")? == "outside",
        redrawn_at: reader.parse_optional("redrawn_at")?,
    };
    Ok((reader.parse("experiment_id")?, epoch))
}

pub(super) fn rollout(row: &AnyRow) -> Result<RolloutState, ControlError> {
    let reader = Reader::new("rampkeeper.rollouts", "candidate_id", row)?;
    Ok(RolloutState {
        experiment: reader.parse("experiment_id")?,
        candidate: reader.parse("candidate_id")?,
        status: reader.parse("status")?,
        stage: usize::try_from(reader.count("stage")?).unwrap_or(usize::MAX),
        entered_on: reader.parse("entered_on")?,
        version: reader.get("version")?,
    })
}

/// The end of an epoch as a text, for the tables.
pub(super) fn end_of(new: &NewEpoch) -> Option<(i64, String)> {
    new.ends.map(|(number, at)| (number, text_of(at)))
}
