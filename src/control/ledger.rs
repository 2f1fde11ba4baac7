//! The ledger's reading side: what was decided, when, and from what.

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::record::Link;
use super::rows::{Reader, text_of};
use super::snapshot::epoch;
use super::statement;
use crate::decide::{Basis, Decision};
use crate::domain::{Epoch, ExperimentId, VariantId};
use crate::evidence::{Assessment, Cohort, MetricSet};

/// A decision as it stands in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDecision {
    /// Its key.
    pub id: Uuid,
    /// Its place in the chain.
    pub position: i64,
    /// The run that made it.
    pub run: Uuid,
    /// The experiment.
    pub experiment: ExperimentId,
    /// Its name now; empty if it is gone.
    pub experiment_name: String,
    /// The candidate.
    pub candidate: VariantId,
    /// Its name now; empty if it is gone.
    pub candidate_name: String,
    /// The night.
    pub as_of: Date,
    /// How often that night was decided before.
    pub revision: i64,
    /// The outcome's word, which stands beside the decision for whoever reads the table.
    pub outcome: String,
    /// The decision.
    pub decision: Decision,
    /// What the evidence showed.
    pub assessment: Assessment,
    /// What else it was made from; none for one that an older version made.
    pub basis: Option<Basis>,
    /// The digest of what it was made from.
    pub inputs_digest: String,
    /// When.
    pub decided_at: Timestamp,
    /// The hash of the decision before.
    pub previous_hash: String,
    /// Its own.
    pub hash: String,
    /// The stored texts that the hash is taken over: decision, assessment, basis.
    pub texts: [String; 3],
}

/// Which decisions are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Those whose key begins so.
    pub id: &'a str,
    /// Those of one experiment.
    pub experiment: Option<ExperimentId>,
    /// Those of one night.
    pub as_of: Option<Date>,
    /// Those after a place in the chain.
    pub after: i64,
}

impl StoredDecision {
    /// What its hash is taken over, as it is stored.
    pub fn link(&self) -> Link<'_> {
        let [decision, assessment, basis] = &self.texts;
        Link {
            previous: &self.previous_hash,
            position: self.position,
            id: self.id,
            run: self.run,
            experiment: self.experiment,
            candidate: self.candidate,
            as_of: self.as_of,
            revision: self.revision,
            inputs_digest: &self.inputs_digest,
            decided_at: self.decided_at,
            texts: [decision, assessment, basis],
        }
    }

    /// The candidate's name at the time, as far as it is known.
    pub fn name(&self) -> &str {
        self.basis.as_ref().map_or(self.candidate_name.as_str(), |basis| basis.name.as_str())
    }
}

impl ControlStore {
    /// The decisions that are asked for, in the order of the chain, `limit` at most.
    pub async fn decisions(&self, wanted: Wanted<'_>, limit: i64) -> Result<Vec<StoredDecision>, ControlError> {
        let rows = sqlx::query(statement::DECISIONS.sql(self.dialect))
            .bind(wanted.id)
            .bind(wanted.experiment.map(|id| id.to_string()).unwrap_or_default())
            .bind(wanted.as_of.map(|date| date.to_string()).unwrap_or_default())
            .bind(wanted.after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("read the ledger"))?;
        rows.iter().map(stored).collect()
    }

    /// The experiment of that name or key, whatever its status.
    pub async fn find_experiment(&self, name: &str) -> Result<Option<(ExperimentId, String)>, ControlError> {
        let row = sqlx::query(statement::FIND_EXPERIMENT.sql(self.dialect))
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("look for experiment {name:?}")))?;
        let read = |row: AnyRow| {
            let reader = Reader::new("exp.experiments", "id", &row)?;
            Ok((reader.parse("id")?, reader.get("name")?))
        };
        row.map(read).transpose()
    }

    /// The names of all experiments.
    pub async fn experiment_names(&self) -> Result<Vec<String>, ControlError> {
        let rows = self.rows(&statement::EXPERIMENT_NAMES, "load the experiments' names").await?;
        rows.iter().map(|row| Reader::new("exp.experiments", "name", row)?.get("name")).collect()
    }

    /// All epochs of an experiment, whatever its status.
    pub async fn epochs_of(&self, experiment: ExperimentId) -> Result<Vec<Epoch>, ControlError> {
        let rows = sqlx::query(statement::EPOCHS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the epochs of experiment {experiment}")))?;
        rows.iter().map(|row| epoch(row).map(|(_, epoch)| epoch)).collect()
    }

    /// The cohorts of a metric set as they were known at a moment.
    pub async fn cohorts_read_by(
        &self,
        experiment: ExperimentId,
        set: &MetricSet,
        at: Timestamp,
    ) -> Result<Vec<Cohort>, ControlError> {
        let rows = sqlx::query(statement::COHORTS_READ_BY.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(set.digest.as_str())
            .bind(text_of(at))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the cohorts of experiment {experiment} as of {at}")))?;
        let cohorts = super::collected::latest(&rows, set)?;
        Ok(cohorts.into_iter().map(|(cohort, _)| cohort).collect())
    }
}

pub(super) fn stored(row: &AnyRow) -> Result<StoredDecision, ControlError> {
    let reader = Reader::new("rampkeeper.decisions", "id", row)?;
    let basis: Option<String> = reader.get("basis")?;
    Ok(StoredDecision {
        id: reader.parse("id")?,
        position: reader.get("position")?,
        run: reader.parse("run_id")?,
        experiment: reader.parse("experiment_id")?,
        experiment_name: reader.get("experiment")?,
        candidate: reader.parse("candidate_id")?,
        candidate_name: reader.get("candidate")?,
        as_of: reader.parse("as_of")?,
        revision: reader.get("revision")?,
        outcome: reader.get("outcome")?,
        decision: reader.json("decision")?,
        assessment: reader.json("assessment")?,
        basis: if basis.is_some() { Some(reader.json("basis")?) } else { None },
        inputs_digest: reader.get("inputs_digest")?,
        decided_at: reader.parse("decided_at")?,
        previous_hash: reader.get("previous_hash")?,
        hash: reader.get("hash")?,
        texts: [reader.get("decision")?, reader.get("assessment")?, basis.unwrap_or_default()],
    })
}
