//! The way from a trained model to an experiment: what the files say, held against the tables and the registry; the offline
//! gate; and the plan by which a version becomes a variant.
//!
//! Nothing here reads or writes: values go in, and what is to be done comes out. `night` and `cli` carry it out.

mod drift;
mod enrol;
mod experiments;
mod qualify;
mod versions;
mod waiting;

use serde::Serialize;

use crate::config::Fault;
use crate::control::TableChange;

pub use drift::{Registered, drift};
pub use enrol::{Asked, Enrolling, Refusal, Rule, challenger, plan_enrolment};
pub use experiments::{Around, compare_experiments};
pub use qualify::{Candidate, Qualified, versions_to_judge};
pub use versions::{WantedFamily, WantedVersion, compare_versions, policies_of, prompts_of};
pub use waiting::{Prospect, Waiting, newest_untried, waiting};

/// A file, held against the tables.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What must not be; with any of them nothing is changed.
    pub faults: Vec<Fault>,
    /// What is to be changed, in this order.
    pub changes: Vec<Planned>,
    /// What should be looked at, and stops nothing.
    pub warnings: Vec<String>,
    /// Where file, tables and registry say different things, each with what to do.
    pub drift: Vec<Drift>,
}

/// One change, for people and for the tables.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// What is done: `add`, `change`, `status`, …
    pub action: &'static str,
    /// To what.
    pub what: String,
    /// From what, and to what.
    pub detail: String,
    /// The changes themselves.
    #[serde(skip)]
    pub changes: Vec<TableChange>,
}

/// Two places that say different things of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Of what.
    pub what: String,
    /// What each says, and what to do.
    pub detail: String,
}

impl Drift {
    fn new(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), detail: detail.into() }
    }
}

impl Comparison {
    fn plan(&mut self, action: &'static str, what: impl Into<String>, detail: impl Into<String>, change: TableChange) {
        self.changes.push(Planned { action, what: what.into(), detail: detail.into(), changes: vec![change] });
    }

    /// All changes, in order.
    pub fn table_changes(&self) -> Vec<TableChange> {
        self.changes.iter().flat_map(|planned| planned.changes.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
