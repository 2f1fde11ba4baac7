//! What a file says there should be, written into the experiment tables: all of its changes in one transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use super::ControlStore;
use super::catalogue::Kind;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::snapshot::NewEpoch;
use super::statement::{self, Statement};
use crate::domain::{ExperimentId, ExperimentStatus, Share, VariantId, VersionStatus};

/// One change. Each names what it is about, for messages.
#[derive(Clone, Debug, PartialEq)]
pub enum TableChange {
    /// A policy or a prompt that is new.
    NewFamily {
        /// Which of the two.
        kind: Kind,
        /// Its key.
        id: Uuid,
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
    },
    /// Another description.
    Describe {
        /// Of which of the two.
        kind: Kind,
        /// Its key.
        id: Uuid,
        /// The description.
        description: Option<String>,
    },
    /// A version that is new.
    NewVersion {
        /// Of which of the two.
        kind: Kind,
        /// Its key.
        id: Uuid,
        /// What it is a version of.
        family: Uuid,
        /// Its number.
        version: u32,
        /// What it points at.
        points_at: BTreeMap<&'static str, Option<String>>,
        /// What the serving side begins with.
        defaults: Value,
        /// Where it stands.
        status: VersionStatus,
    },
    /// A version that nothing has used points elsewhere.
    ChangeVersion {
        /// Of which of the two.
        kind: Kind,
        /// Its key.
        id: Uuid,
        /// What it points at.
        points_at: BTreeMap<&'static str, Option<String>>,
        /// What the serving side begins with.
        defaults: Value,
    },
    /// A version's status goes on.
    VersionStatus {
        /// Of which of the two.
        kind: Kind,
        /// Its key.
        id: Uuid,
        /// What it was.
        from: VersionStatus,
        /// What it becomes.
        to: VersionStatus,
    },
    /// An experiment that is new.
    NewExperiment {
        /// Its key.
        id: ExperimentId,
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// Where it stands.
        status: ExperimentStatus,
        /// What is randomised.
        unit_type: String,
        /// When it begins and ends.
        times: (Option<Timestamp>, Option<Timestamp>),
    },
    /// An experiment's description, unit or times.
    ChangeExperiment {
        /// Its key.
        id: ExperimentId,
        /// What it is for.
        description: Option<String>,
        /// What is randomised.
        unit_type: String,
        /// When it begins and ends.
        times: (Option<Timestamp>, Option<Timestamp>),
    },
    /// An experiment's status goes on.
    ExperimentStatus {
        /// Its key.
        id: ExperimentId,
        /// What it was.
        from: ExperimentStatus,
        /// What it becomes.
        to: ExperimentStatus,
    },
    /// A variant that is new.
    NewVariant {
        /// Its key.
        id: VariantId,
        /// Its experiment.
        experiment: ExperimentId,
        /// Its name.
        name: String,
        /// What it tries.
        description: Option<String>,
        /// Its share.
        share: Share,
        /// What it serves.
        config: Value,
        /// Its place among those that the same transaction makes: they are walked in this order.
        place: u32,
    },
    /// A variant's description or, while nothing was assigned, its config.
    ChangeVariant {
        /// Its key.
        id: VariantId,
        /// What it tries.
        description: Option<String>,
        /// What it serves.
        config: Value,
    },
    /// A variant's share.
    Reallocate {
        /// Its key.
        id: VariantId,
        /// What it was.
        from: Share,
        /// What it becomes.
        to: Share,
    },
    /// A changed split begins an epoch, as one that was changed by hand does.
    OpenEpoch {
        /// The experiment.
        experiment: ExperimentId,
        /// The epoch.
        epoch: NewEpoch,
        /// `start` or `outside`.
        opened_by: &'static str,
    },
    /// All arms together must have exactly 1 now.
    SumsToOne {
        /// The experiment.
        experiment: ExperimentId,
        /// Its name.
        name: String,
    },
}

type Statements = Query<'static, Any, AnyArguments>;

impl ControlStore {
    /// Makes all of the changes, or none.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if a value is no longer what a change was computed from.
    pub async fn sync(&self, changes: &[TableChange], now: Timestamp) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        for change in changes {
            self.sync_one(&mut transaction, change, now).await?;
        }
        transaction.commit().await.map_err(while_doing("commit what the file says"))
    }

    async fn sync_one(
        &self,
        transaction: &mut Transaction<'static, Any>,
        change: &TableChange,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let sql = |statement: &'static Statement| sqlx::query(statement.sql(self.dialect));
        let (query, what): (Statements, String) = match change {
            TableChange::NewFamily { kind, id, name, description } => {
                let statement = by(*kind, &statement::INSERT_POLICY, &statement::INSERT_PROMPT);
                let query = sql(statement).bind(id.to_string()).bind(name.clone()).bind(description.clone());
                (query, format!("add {} {name}", kind.as_str()))
            }
            TableChange::Describe { kind, id, description } => {
                let statement = by(*kind, &statement::DESCRIBE_POLICY, &statement::DESCRIBE_PROMPT);
                (
                    sql(statement).bind(id.to_string()).bind(description.clone()),
                    format!("describe {} {id}", kind.as_str()),
                )
            }
            TableChange::NewVersion { kind, id, family, version, points_at, defaults, status } => {
                let statement = by(*kind, &statement::INSERT_POLICY_VERSION, &statement::INSERT_PROMPT_VERSION);
                let query = sql(statement).bind(id.to_string()).bind(family.to_string()).bind(i64::from(*version));
                let query = query.bind(defaults.to_string()).bind(status.as_str());
                (pointing(query, *kind, points_at), format!("add version {version} of {} {family}", kind.as_str()))
            }
            TableChange::ChangeVersion { kind, id, points_at, defaults } => {
                let statement = by(*kind, &statement::CHANGE_POLICY_VERSION, &statement::CHANGE_PROMPT_VERSION);
                let query = sql(statement).bind(id.to_string()).bind(defaults.to_string());
                (pointing(query, *kind, points_at), format!("change {} version {id}", kind.as_str()))
            }
            TableChange::VersionStatus { kind, id, from, to } => {
                let set = by(*kind, &statement::SET_POLICY_VERSION_STATUS, &statement::SET_PROMPT_VERSION_STATUS);
                let query = sql(set).bind(id.to_string()).bind(to.as_str()).bind(from.as_str());
                (query, format!("the status of {} version {id}", kind.as_str()))
            }
            TableChange::NewExperiment { id, name, description, status, unit_type, times } => {
                let query = sql(&statement::INSERT_EXPERIMENT).bind(id.to_string()).bind(name.clone());
                let query = query.bind(description.clone()).bind(status.as_str()).bind(unit_type.clone());
                let query = query.bind(times.0.map(text_of)).bind(times.1.map(text_of)).bind(text_of(now));
                (query, format!("add experiment {name}"))
            }
            TableChange::ChangeExperiment { id, description, unit_type, times } => {
                let query = sql(&statement::CHANGE_EXPERIMENT).bind(id.to_string()).bind(description.clone());
                let query = query.bind(unit_type.clone()).bind(times.0.map(text_of)).bind(times.1.map(text_of));
                (query, format!("change experiment {id}"))
            }
            TableChange::ExperimentStatus { id, from, to } => {
                let query = sql(&statement::SET_EXPERIMENT_STATUS).bind(id.to_string()).bind(to.as_str());
                (query.bind(from.as_str()), format!("the status of experiment {id}"))
            }
            TableChange::NewVariant { id, experiment, name, description, share, config, place } => {
                // Variants are walked by their time of creation.
                let at = now + jiff::SignedDuration::from_micros(i64::from(*place));
                let query = sql(&statement::INSERT_VARIANT).bind(id.to_string()).bind(experiment.to_string());
                let query = query.bind(name.clone()).bind(description.clone()).bind(format!("{:.4}", share.as_f64()));
                (query.bind(config.to_string()).bind(text_of(at)), format!("add variant {name}"))
            }
            TableChange::ChangeVariant { id, description, config } => {
                let query = sql(&statement::CHANGE_VARIANT).bind(id.to_string()).bind(description.clone());
                (query.bind(config.to_string()), format!("change variant {id}"))
            }
            TableChange::Reallocate { id, from, to } => {
                let query = sql(&statement::CHANGE_ALLOCATION).bind(id.to_string());
                let query = query.bind(format!("{:.4}", to.as_f64())).bind(i64::from(from.ten_thousandths()));
                (query, format!("the allocation of variant {id}"))
            }
            TableChange::OpenEpoch { experiment, epoch, opened_by } => {
                return super::record::write_epoch(transaction, self.dialect, *experiment, epoch, opened_by).await;
            }
            TableChange::SumsToOne { experiment, name } => {
                return self.must_sum_to_one(transaction, *experiment, name).await;
            }
        };
        let touched = query.execute(&mut **transaction).await.map_err(while_doing(what.clone()))?;
        match touched.rows_affected() {
            1 => Ok(()),
            _ => Err(ControlError::Conflict { what }),
        }
    }

    /// Refuses to go on unless an experiment's allocations sum to exactly 1.
    pub(super) async fn must_sum_to_one(
        &self,
        transaction: &mut Transaction<'static, Any>,
        experiment: ExperimentId,
        name: &str,
    ) -> Result<(), ControlError> {
        let doing = || while_doing(format!("add up the allocations of {name}"));
        let row = sqlx::query(statement::SUM_ALLOCATIONS.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_one(&mut **transaction)
            .await
            .map_err(doing())?;
        let allocated: i64 = row.try_get("allocated").map_err(doing())?;
        match allocated {
            10_000 => Ok(()),
            // Somebody has added or changed an arm in between.
            _ => Err(ControlError::Conflict { what: format!("the variants of {name}") }),
        }
    }
}

fn by(kind: Kind, policy: &'static Statement, prompt: &'static Statement) -> &'static Statement {
    match kind {
        Kind::Policy => policy,
        Kind::Prompt => prompt,
    }
}

/// Binds what a version points at, in the order of the columns.
fn pointing(mut query: Statements, kind: Kind, points_at: &BTreeMap<&'static str, Option<String>>) -> Statements {
    for column in kind.columns() {
        query = query.bind(points_at.get(column).cloned().flatten());
    }
    query
}
