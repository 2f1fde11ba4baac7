//! The chain of hashes, link by link.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use crate::control::{ControlError, ControlStore, StoredDecision, StoredReport, Wanted};

/// Something wrong with the chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Fault {
    /// The place in the chain.
    pub(super) position: i64,
    /// The decision, where it is known.
    pub(super) id: Option<Uuid>,
    /// What is wrong.
    pub(super) what: String,
}

/// What was walked so far.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) decisions: i64,
    pub(super) faults: Vec<Fault>,
    position: i64,
    /// The hash of the last decision; none where it could not be read.
    hash: Option<String>,
    ids: BTreeSet<Uuid>,
}

/// The next decisions. One that cannot be read is a fault and no end: those before it are given, and where it stands.
pub(super) async fn read(
    control: &ControlStore,
    wanted: Wanted<'_>,
    limit: i64,
) -> Result<(Vec<StoredDecision>, Option<Fault>), ControlError> {
    match control.decisions(wanted, limit).await {
        Ok(decisions) => Ok((decisions, None)),
        Err(error) if is_unreadable(&error) => one_by_one(control, wanted, limit).await,
        Err(error) => Err(error),
    }
}

async fn one_by_one(
    control: &ControlStore,
    wanted: Wanted<'_>,
    limit: i64,
) -> Result<(Vec<StoredDecision>, Option<Fault>), ControlError> {
    let mut decisions: Vec<StoredDecision> = Vec::new();
    while (decisions.len() as i64) < limit {
        let after = decisions.last().map_or(wanted.after, |last| last.position);
        match control.decisions(Wanted { after, ..wanted }, 1).await {
            Ok(mut one) => match one.pop() {
                Some(decision) => decisions.push(decision),
                None => break,
            },
            Err(error) if is_unreadable(&error) => {
                let position = control.next_position(after).await?.unwrap_or(after + 1);
                let what = format!("it cannot be read: {error}");
                return Ok((decisions, Some(Fault { position, id: None, what })));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((decisions, None))
}

fn is_unreadable(error: &ControlError) -> bool {
    match error {
        ControlError::Row { .. } => true,
        // A column of another type, as SQLite allows it.
        ControlError::Statement { doing, .. } => doing.starts_with("read column"),
        _ => false,
    }
}

impl Chain {
    /// Holds the next decision against the one before it.
    pub(super) fn add(&mut self, stored: &StoredDecision) {
        let mut fault = |position: i64, id, what: String| self.faults.push(Fault { position, id, what });
        let expected = self.position + 1;
        if stored.position != expected {
            let missing = match stored.position - expected {
                1 => "is missing".to_owned(),
                several => format!("and {} after it are missing", several - 1),
            };
            let what = format!(
                "it {missing}: the next one stands at {}; a row was taken out of rampkeeper.decisions or rampkeeper.looks",
                stored.position
            );
            fault(expected, None, what);
        } else if self.hash.as_ref().is_some_and(|hash| *hash != stored.previous_hash)
            || (expected == 1 && !stored.previous_hash.is_empty())
        {
            let before = self.hash.as_deref().unwrap_or("nothing");
            let what = format!(
                "it follows {}, but the decision before it has the hash {before}: one was put between, taken out or altered",
                stored.previous_hash
            );
            fault(stored.position, Some(stored.id), what);
        }
        let hash = stored.link().hash();
        if hash != stored.hash {
            let what = format!("its contents give the hash {hash}, but {} is stored{}", stored.hash, hint(stored));
            fault(stored.position, Some(stored.id), what);
        } else if stored.outcome != stored.decision.outcome.word() {
            fault(stored.position, Some(stored.id), outcome(stored));
        }
        self.decisions += 1;
        self.position = stored.position;
        self.hash = Some(stored.hash.clone());
        self.ids.insert(stored.id);
    }

    /// Goes on behind a decision that cannot be read.
    pub(super) fn skip(&mut self, fault: Fault) {
        self.decisions += 1;
        self.position = fault.position;
        self.hash = None;
        self.faults.push(fault);
    }

    /// Looks for what is missing at the end: decisions that have lost what they saw, and decisions that readers were told
    /// of and that the ledger does not have, because it was cut.
    pub(super) fn end(&mut self, last: i64, reports: &[StoredReport]) {
        if last > self.position {
            let what = format!("it, and all up to {last}, lack what they saw: rows were taken out of rampkeeper.looks");
            self.faults.push(Fault { position: self.position + 1, id: None, what });
        }
        for report in reports {
            let candidates = report.report.get("candidates").and_then(|list| list.as_array());
            let told = candidates.into_iter().flatten().filter_map(|c| c.get("decision_id")?.as_str()?.parse().ok());
            for id in told.filter(|id: &Uuid| !self.ids.contains(id)) {
                let what = format!("the report of {} tells of it, and it is not in the ledger", report.as_of);
                self.faults.push(Fault { position: self.position + 1, id: Some(id), what });
            }
        }
    }
}

/// Which column was altered, as far as others that say the same can tell.
fn hint(stored: &StoredDecision) -> String {
    let mut odd = Vec::new();
    if stored.outcome != stored.decision.outcome.word() {
        odd.push(outcome(stored));
    }
    if let Some(basis) = &stored.basis {
        let facts = &basis.facts;
        let mut differs = |what: &str, column: String, fact: String| {
            if column != fact {
                odd.push(format!("column {what} is {column}, but its facts say {fact}"));
            }
        };
        differs("as_of", stored.as_of.to_string(), facts.as_of.to_string());
        differs("experiment_id", stored.experiment.to_string(), facts.state.experiment.to_string());
        differs("candidate_id", stored.candidate.to_string(), facts.state.candidate.to_string());
    }
    if odd.is_empty() { ": it was altered".to_owned() } else { format!(": {}", odd.join("; ")) }
}

fn outcome(stored: &StoredDecision) -> String {
    format!("column outcome is {:?}, but the decision is to {}", stored.outcome, stored.decision.outcome.word())
}
