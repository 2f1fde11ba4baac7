//! A decision's moves, undone: every unit goes back to the arm that it came from, unless somebody else has moved or
//! assigned it since. Recorded as the moves were, and resumable in the same way.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::moves::{MOVE_BATCH, units_of};
use super::record::NewAction;
use super::rows::{Reader, text_of};
use super::snapshot::{NewEpoch, epoch};
use super::statement::{self, Dialect};
use crate::domain::{Epoch, ExperimentId, VariantId};
use crate::plan::Step;

/// The word in the journal for a decision's moves that go back.
pub const UNDO_MOVES: &str = "undo_moves";

/// A decision that was asked for by the beginning of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundDecision {
    /// Its key.
    pub id: Uuid,
    /// The experiment.
    pub experiment: ExperimentId,
    /// The experiment's name and the candidate's, as far as they are still there.
    pub names: (Option<String>, Option<String>),
    /// The night.
    pub as_of: Date,
    /// What was decided: `rollback`, …
    pub outcome: String,
}

/// One sweep of a decision, and where its units are now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepStanding {
    /// Its key in the journal.
    pub key: String,
    /// The arm that the units came from.
    pub from: VariantId,
    /// Its name when they left it.
    pub from_name: String,
    /// The arm that they were moved to; where control's units were drawn anew for several, the first of these.
    pub to: VariantId,
    /// Its name then, or their names.
    pub to_name: String,
    /// Units that go back: they are where they were moved to.
    pub there: u64,
    /// Units that went back before.
    pub undone: u64,
    /// Units that are on another arm by now, and stay there.
    pub elsewhere: u64,
    /// Units that were assigned anew since, and stay where that put them.
    pub reassigned: u64,
    /// Units that have no assignment any more.
    pub gone: u64,
    /// Units whose old arm was deleted, and which stay.
    pub arm_gone: u64,
    /// Whether the sweep is still to come, or to come again.
    pub pending: bool,
}

impl SweepStanding {
    /// Units that do not go back.
    pub fn left_alone(&self) -> u64 {
        self.elsewhere + self.reassigned + self.gone + self.arm_gone
    }
}

/// The key of the journal's action, and of the recorded moves.
fn undo_key(decision: Uuid) -> String {
    format!("undo/{decision}")
}

/// The key of the sweep that repeats another.
fn again(key: &str) -> String {
    format!("{key}/again")
}

impl ControlStore {
    /// The decisions whose key begins like that, at most six of them.
    pub async fn find_decisions(&self, prefix: &str) -> Result<Vec<FoundDecision>, ControlError> {
        let prefix = prefix.to_ascii_lowercase();
        if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(statement::FIND_DECISIONS.sql(self.dialect))
            .bind(format!("{prefix}%"))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("look for decision {prefix}")))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let reader = Reader::new("rampkeeper.decisions", "id", &row)?;
            found.push(FoundDecision {
                id: reader.parse("id")?,
                experiment: reader.parse("experiment_id")?,
                names: (reader.get("experiment")?, reader.get("candidate")?),
                as_of: reader.parse("as_of")?,
                outcome: reader.get("outcome")?,
            });
        }
        Ok(found)
    }

    /// The sweeps of a decision, the last first, with what has become of their units.
    pub async fn sweeps_of(&self, decision: &FoundDecision) -> Result<Vec<SweepStanding>, ControlError> {
        let doing = || while_doing(format!("load the moves of decision {}", decision.id));
        let rows = sqlx::query(statement::SWEEPS_OF_DECISION.sql(self.dialect))
            .bind(decision.id.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(doing())?;
        let mut sweeps = Vec::with_capacity(rows.len());
        for row in rows {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", &row)?;
            let payload: Value = reader.json("payload")?;
            let step: Option<Step> = payload.get("step").and_then(|step| serde_json::from_value(step.clone()).ok());
            let arms = match step {
                Some(Step::MoveAssignments { from, from_name, to, to_name }) => Some((from, from_name, to, to_name)),
                Some(Step::RedrawControl(redraw)) => {
                    let names: Vec<String> = redraw.to.iter().map(|drawn| drawn.name.clone()).collect();
                    let first = redraw.to.first().map(|drawn| drawn.variant);
                    first.map(|to| (redraw.from, redraw.from_name, to, names.join(", ")))
                }
                _ => None,
            };
            let Some((from, from_name, to, to_name)) = arms else {
                return Err(reader.wrong("payload", payload.to_string(), "a step that moves assignments".into()));
            };
            let mut sweep = SweepStanding {
                key: reader.key.clone(),
                from,
                from_name,
                to,
                to_name,
                there: 0,
                undone: 0,
                elsewhere: 0,
                reassigned: 0,
                gone: 0,
                arm_gone: 0,
                pending: reader.get::<String>("status")? == "pending",
            };
            let standings = sqlx::query(statement::STANDING_OF_MOVES.sql(self.dialect))
                .bind(sweep.key.as_str())
                .bind(undo_key(decision.id))
                .bind(again(&sweep.key))
                .fetch_all(&self.pool)
                .await
                .map_err(doing())?;
            for row in standings {
                let (standing, units): (String, u64) =
                    (row.try_get("standing").map_err(doing())?, units_of(&row).map_err(doing())?);
                match standing.as_str() {
                    "there" => sweep.there = units,
                    "undone" => sweep.undone = units,
                    "elsewhere" => sweep.elsewhere = units,
                    "reassigned" => sweep.reassigned = units,
                    _ => sweep.gone = units,
                }
            }
            if !self.has_variant(decision.experiment, from).await? {
                sweep.arm_gone = std::mem::take(&mut sweep.there);
            }
            sweeps.push(sweep);
        }
        Ok(sweeps)
    }

    /// Some of the units of a sweep that do not go back, in their order.
    pub async fn left_alone(
        &self,
        decision: Uuid,
        sweep: &SweepStanding,
        most: i64,
    ) -> Result<Vec<String>, ControlError> {
        let doing = || while_doing(format!("list the units that stay where decision {decision} did not put them"));
        let rows = sqlx::query(statement::LEFT_ALONE.sql(self.dialect))
            .bind(sweep.key.as_str())
            .bind(undo_key(decision))
            .bind(again(&sweep.key))
            .bind(most)
            .fetch_all(&self.pool)
            .await
            .map_err(doing())?;
        rows.iter().map(|row| row.try_get("unit_id").map_err(doing())).collect()
    }

    /// Whether the undoing of a decision was begun and not ended.
    pub async fn is_undo_pending(&self, decision: Uuid, now: Timestamp) -> Result<bool, ControlError> {
        let key = undo_key(decision);
        Ok(self.pending_actions(now).await?.iter().any(|action| action.idempotency_key == key))
    }

    /// Begins to undo a decision's moves, in one transaction: the journal gets the action, sweeps that are still to come
    /// are given up, and a new epoch begins, since what units lived through from now on belongs to another arm.
    ///
    /// `moves` says whether any unit goes back; without one no epoch begins.
    pub async fn begin_undo(
        &self,
        run: Uuid,
        decision: &FoundDecision,
        moves: bool,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let doing = || while_doing(format!("begin to undo the moves of decision {}", decision.id));
        let mut transaction = self.begin().await?;
        sqlx::query(statement::LOCK_EXPERIMENT.sql(self.dialect))
            .bind(decision.experiment.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(doing())?;
        let action = NewAction {
            idempotency_key: undo_key(decision.id),
            decision: Some(decision.id),
            kind: UNDO_MOVES.to_owned(),
            payload: json!({ "experiment": decision.experiment, "decision": decision.id }),
            not_before: None,
        };
        self.write_actions(&mut transaction, run, &[action], now).await?;
        // How many are still to come is not known here: none, one or several are well.
        sqlx::query(statement::CANCEL_SWEEPS.sql(self.dialect))
            .bind(decision.id.to_string())
            .bind("given up: the moves of this decision were undone by hand")
            .bind(text_of(now))
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        let last = sqlx::query(statement::LAST_EPOCH.sql(self.dialect))
            .bind(decision.experiment.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(doing())?;
        if let Some(row) = last.filter(|_| moves) {
            let (_, last) = epoch(&row)?;
            let started_at = now.max(last.started_at);
            // The shares that were last known: should somebody have changed them since, the next night sees that.
            let epoch = Epoch {
                number: last.number + 1,
                started_at,
                ended_at: None,
                moved_units: true,
                outside: false,
                redrawn_at: None,
                ..last
            };
            let new = NewEpoch { ends: Some((epoch.number - 1, started_at)), epoch };
            super::record::write_epoch(&mut transaction, self.dialect, decision.experiment, &new, "decision").await?;
        }
        transaction.commit().await.map_err(doing())
    }

    /// Takes the units of a decision's sweeps back, batch by batch. Stopped half-way, it goes on where it stopped. Returns
    /// how many went back now.
    pub async fn undo_moves(
        &self,
        decision: &FoundDecision,
        sweeps: &[SweepStanding],
        now: Timestamp,
    ) -> Result<u64, ControlError> {
        let mut moved = 0;
        for sweep in sweeps.iter().filter(|sweep| sweep.there > 0) {
            moved += self.undo_sweep(decision, sweep, now).await?;
        }
        Ok(moved)
    }

    /// Notes that a decision's moves are undone.
    pub async fn finish_undo(&self, decision: Uuid, now: Timestamp) -> Result<(), ControlError> {
        self.action_done(&undo_key(decision), 1, now).await
    }

    async fn undo_sweep(
        &self,
        decision: &FoundDecision,
        sweep: &SweepStanding,
        now: Timestamp,
    ) -> Result<u64, ControlError> {
        let doing = || while_doing(format!("move units back to variant {}", sweep.from));
        let undo = undo_key(decision.id);
        let mut after = String::new();
        let mut moved = 0;
        loop {
            let mut transaction = self.begin().await?;
            let row = sqlx::query(statement::NEXT_UNDO_BATCH.sql(self.dialect))
                .bind(sweep.key.as_str())
                .bind(after.as_str())
                .bind(MOVE_BATCH)
                .fetch_one(&mut *transaction)
                .await
                .map_err(doing())?;
            let Some(last) = row.try_get::<Option<String>, _>("last").map_err(doing())? else { return Ok(moved) };
            let record = match self.dialect {
                Dialect::Postgres => &statement::UNDO_BATCH,
                Dialect::Sqlite => &statement::RECORD_UNDO,
            };
            let query = sqlx::query(record.sql(self.dialect))
                .bind(sweep.key.as_str())
                .bind(decision.experiment.to_string())
                .bind(sweep.from.to_string())
                .bind(after.as_str())
                .bind(last.as_str())
                .bind(undo.as_str())
                .bind(text_of(now));
            moved += match self.dialect {
                Dialect::Postgres => {
                    let row = query.fetch_one(&mut *transaction).await.map_err(doing())?;
                    units_of(&row).map_err(doing())?
                }
                Dialect::Sqlite => {
                    query.execute(&mut *transaction).await.map_err(doing())?;
                    let touched = sqlx::query(statement::APPLY_UNDO.sql(self.dialect))
                        .bind(sweep.from.to_string())
                        .bind(decision.experiment.to_string())
                        .bind(after.as_str())
                        .bind(last.as_str())
                        .bind(undo.as_str())
                        .bind(text_of(now))
                        .execute(&mut *transaction)
                        .await
                        .map_err(doing())?;
                    touched.rows_affected()
                }
            };
            transaction.commit().await.map_err(doing())?;
            after = last;
        }
    }
}

#[cfg(test)]
#[path = "undo_tests.rs"]
mod tests;
