//! The whole record, for those who read it long afterwards: nights, judged experiments, mails. Nothing here writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::journal::PendingAction;
use super::ledger::{StoredDecision, stored};
use super::rows::Reader;
use super::snapshot::rollout;
use super::statement;
use crate::domain::{ExperimentId, ExperimentStatus, RolloutState};

/// A run with everything that it left about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOnRecord {
    /// Its key.
    pub id: Uuid,
    /// The night.
    pub as_of: Date,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs, or if it broke off.
    pub finished_at: Option<Timestamp>,
    /// What it noted of the night at its end.
    pub summary: Option<Value>,
}

/// What one run said of one experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportOnRecord {
    /// The run.
    pub run: Uuid,
    /// The experiment.
    pub experiment: ExperimentId,
    /// The report, as its maker wrote it.
    pub report: Value,
}

/// An experiment that was ever judged.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedExperiment {
    /// Its key.
    pub id: ExperimentId,
    /// Its name; empty if its row is gone.
    pub name: String,
    /// Where it stands; none if its row is gone.
    pub status: Option<ExperimentStatus>,
    /// What is randomised.
    pub unit_type: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// How many decisions about it are on record. They are only ever added to, so as many are the same ones.
    pub decisions: u64,
    /// In how many nights it was judged.
    pub nights: u64,
    /// The first of them.
    pub first_night: Date,
    /// The last of them.
    pub last_night: Date,
}

/// An incident, over or not.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentOnRecord {
    /// Its key.
    pub id: Uuid,
    /// The run that found it.
    pub run: Uuid,
    /// The decision that it contradicts, if that is known.
    pub decision: Option<Uuid>,
    /// The journal's action that found it, if one did.
    pub action: Option<String>,
    /// The experiment that it concerns, if that is known.
    pub experiment: Option<ExperimentId>,
    /// That experiment's name, if it is still there.
    pub experiment_name: Option<String>,
    /// What has the value.
    pub what: String,
    /// What was expected there.
    pub expected: String,
    /// What stood there.
    pub found: String,
    /// What was done about it, and what to do.
    pub advice: String,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it was over, if it is.
    pub closed_at: Option<Timestamp>,
}

/// A mail of the journal, and whether it went out.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalledMail {
    /// The action.
    pub action: PendingAction,
    /// `pending`, `done` or `failed`.
    pub status: String,
}

impl ControlStore {
    /// The latest nights up to a day that anything was recorded of, the latest first.
    pub async fn nights(&self, up_to: Date, limit: i64) -> Result<Vec<Date>, ControlError> {
        let rows = sqlx::query(statement::NIGHTS.sql(self.dialect))
            .bind(up_to.to_string())
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("look which nights are on record"))?;
        rows.iter().map(|row| Reader::new("rampkeeper.runs", "as_of", row)?.parse("as_of")).collect()
    }

    /// The runs of a night and of those after it, in the order in which they began.
    pub async fn runs_since(&self, from: Date) -> Result<Vec<RunOnRecord>, ControlError> {
        let rows = sqlx::query(statement::RUNS_SINCE.sql(self.dialect))
            .bind(from.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the runs since the night of {from}")))?;
        let read = |row: &AnyRow| {
            let reader = Reader::new("rampkeeper.runs", "id", row)?;
            let told: Option<String> = reader.get("summary")?;
            Ok(RunOnRecord {
                id: reader.parse("id")?,
                as_of: reader.parse("as_of")?,
                started_at: reader.parse("started_at")?,
                finished_at: reader.parse_optional("finished_at")?,
                summary: told.map(|_| reader.json("summary")).transpose()?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Everything that was said of one night, in the order of the runs that said it.
    pub async fn all_reports_of_night(&self, as_of: Date) -> Result<Vec<ReportOnRecord>, ControlError> {
        let rows = sqlx::query(statement::ALL_REPORTS_OF_NIGHT.sql(self.dialect))
            .bind(as_of.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load what was said of the night of {as_of}")))?;
        rows.iter().map(report_on_record).collect()
    }

    /// What a run said of an experiment, if it said anything.
    pub async fn report_of_run(&self, run: Uuid, experiment: ExperimentId) -> Result<Option<Value>, ControlError> {
        let row = sqlx::query(statement::REPORT_OF_RUN.sql(self.dialect))
            .bind(run.to_string())
            .bind(experiment.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("load what run {run} said of experiment {experiment}")))?;
        row.map(|row| report_on_record(&row).map(|report| report.report)).transpose()
    }

    /// Every experiment that was ever judged, by name.
    pub async fn judged_experiments(&self) -> Result<Vec<JudgedExperiment>, ControlError> {
        let rows = self.rows(&statement::JUDGED_EXPERIMENTS, "load the judged experiments").await?;
        let read = |row: &AnyRow| {
            let reader = Reader::new("exp.experiments", "id", row)?;
            Ok(JudgedExperiment {
                id: reader.parse("id")?,
                name: reader.get("name")?,
                status: reader.parse_optional("status")?,
                unit_type: reader.get("unit_type")?,
                started_at: reader.parse_optional("started_at")?,
                decisions: reader.count("decisions")?,
                nights: reader.count("nights")?,
                first_night: reader.parse("first_night")?,
                last_night: reader.parse("last_night")?,
            })
        };
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, ControlError>>()?;
        // Databases sort names in ways of their own.
        found.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(found)
    }

    /// For each experiment, and under no key for all of them, what else its record consists of, in short and in order.
    pub async fn marks_of_change(&self) -> Result<BTreeMap<Option<ExperimentId>, Vec<String>>, ControlError> {
        let rows = self.rows(&statement::MARKS_OF_CHANGE, "look what is on record of the experiments").await?;
        let mut marks: BTreeMap<Option<ExperimentId>, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let reader = Reader::new("rampkeeper.rollouts", "mark", row)?;
            marks.entry(reader.parse_optional("experiment_id")?).or_default().push(reader.key.clone());
        }
        marks.values_mut().for_each(|marks| marks.sort());
        Ok(marks)
    }

    /// The latest nights that an experiment was judged in, the latest first.
    pub async fn latest_nights_of(&self, experiment: ExperimentId, limit: i64) -> Result<Vec<Date>, ControlError> {
        let rows = sqlx::query(statement::LATEST_NIGHTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("look in which nights experiment {experiment} was judged")))?;
        rows.iter().map(|row| Reader::new("rampkeeper.decisions", "as_of", row)?.parse("as_of")).collect()
    }

    /// An experiment's decisions of a night and of those after it, in the order of the chain.
    pub async fn decisions_since(
        &self,
        experiment: ExperimentId,
        from: Date,
    ) -> Result<Vec<StoredDecision>, ControlError> {
        let rows = sqlx::query(statement::DECISIONS_SINCE.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(from.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("read the ledger of experiment {experiment}")))?;
        rows.iter().map(stored).collect()
    }

    /// Where an experiment's candidates stand, whatever its status.
    pub async fn rollouts_of(&self, experiment: ExperimentId) -> Result<Vec<RolloutState>, ControlError> {
        let rows = sqlx::query(statement::ROLLOUTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load the states of experiment {experiment}")))?;
        rows.iter().map(rollout).collect()
    }

    /// Everything that was ever found otherwise than decided, the oldest first.
    pub async fn all_incidents(&self) -> Result<Vec<IncidentOnRecord>, ControlError> {
        let rows = self.rows(&statement::ALL_INCIDENTS, "load the incidents").await?;
        let read = |row: &AnyRow| {
            let reader = Reader::new("rampkeeper.incidents", "id", row)?;
            Ok(IncidentOnRecord {
                id: reader.parse("id")?,
                run: reader.parse("run_id")?,
                decision: reader.parse_optional("decision_id")?,
                action: reader.get("action_key")?,
                experiment: reader.parse_optional("experiment_id")?,
                experiment_name: reader.get("experiment")?,
                what: reader.get("what")?,
                expected: reader.get("expected")?,
                found: reader.get("found")?,
                advice: reader.get("advice")?,
                found_at: reader.parse("found_at")?,
                closed_at: reader.parse_optional("closed_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The journalled mails that have a text somewhere in them, in the order in which they were planned.
    pub async fn mails_that_name(&self, text: &str) -> Result<Vec<JournalledMail>, ControlError> {
        let rows = sqlx::query(statement::MAILS_THAT_NAME.sql(self.dialect))
            .bind(text)
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("look for mails in the journal"))?;
        let read = |row: &AnyRow| {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", row)?;
            Ok(JournalledMail {
                status: reader.get("status")?,
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
}

fn report_on_record(row: &AnyRow) -> Result<ReportOnRecord, ControlError> {
    let reader = Reader::new("rampkeeper.night_reports", "run_id", row)?;
    Ok(ReportOnRecord {
        run: reader.parse("run_id")?,
        experiment: reader.parse("experiment_id")?,
        report: reader.json("report")?,
    })
}
