//! Decisions → the exact steps. A plan is data: execution makes no choices, and nothing to change gives an empty plan.
//!
//! The allocation change is applied in the same transaction that records the decisions; the steps follow from the
//! journal, each with an idempotency key. A step that overwrites a value says what it expects to stand there: what else
//! is found, somebody else has set. Nothing there, and what Rampkeeper itself wrote last, is expected always.

mod planner;
mod promotion;
mod redraw;
mod rollback;
mod step;
mod versions;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::{Decision, Outcome};
use crate::domain::{Experiment, ModelVersion, Policy, RolloutState, Share, Variant, VariantId};
use planner::Planner;
use promotion::RETIRED;
pub use redraw::{Drawn, Redraw};
pub use step::Step;

/// A step and the candidate whose decision it follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The candidate.
    pub candidate: VariantId,
    /// What is to be done.
    pub step: Step,
}

/// A variant's share before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reallocation {
    /// The variant.
    pub variant: VariantId,
    /// Its name.
    pub name: String,
    /// Its share that the plan was computed from.
    pub from: Share,
    /// Its share afterwards.
    pub to: Share,
}

/// Everything that one experiment's decisions change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// All variants, if any share changes; empty otherwise.
    pub allocations: Vec<Reallocation>,
    /// Whether units that have an arm are moved to another.
    pub moves_units: bool,
    /// The rollout states after the change, each with the version that it was computed from.
    pub rollouts: Vec<RolloutState>,
    /// The follow-ups.
    pub steps: Vec<PlannedStep>,
}

/// When a plan is made, and what it begins.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The night.
    pub as_of: Date,
    /// When its allocations are set.
    pub now: Timestamp,
    /// When the split has settled.
    pub settled: Timestamp,
    /// The number of the epoch that a changed split opens.
    pub epoch: i64,
}

/// The versions behind the variants, as the experiment tables name them.
pub type Versions = BTreeMap<Uuid, ModelVersion>;

/// Plans one experiment. `judged` has each candidate's state and decision; at most one of them is promoted.
pub fn plan(
    experiment: &Experiment,
    policy: &Policy,
    versions: &Versions,
    judged: &[(&RolloutState, &Decision)],
    moment: Moment,
) -> Plan {
    let Some(control) = experiment.variant(&policy.control) else { return Plan::default() };
    let mut planner = Planner::new(experiment, policy, versions, control, moment.as_of);
    // What lowers goes first, so that what it frees is there for what rises.
    for (state, decision) in judged {
        if decision.outcome == Outcome::Rollback {
            planner.roll_back(state, decision);
        }
    }
    for (state, decision) in judged {
        if let Outcome::Ramp { stage, to } = decision.outcome {
            planner.ramp(state, stage, to);
        }
    }
    planner.redraw(moment);
    for (state, decision) in judged {
        if decision.outcome == Outcome::Promote {
            let siblings: Vec<&RolloutState> = judged
                .iter()
                .filter(|(s, d)| s.candidate != state.candidate && d.outcome != Outcome::Rollback)
                .map(|(s, _)| *s)
                .collect();
            planner.promote(state, &siblings);
        }
    }
    planner.finish()
}

/// Whether a variant was retired by an earlier promotion.
pub fn is_retired(variant: &Variant) -> bool {
    variant.name.contains(RETIRED)
}

impl Plan {
    /// How control's units are drawn anew, if they are.
    pub fn redraw(&self) -> Option<&Redraw> {
        self.steps.iter().find_map(|planned| match &planned.step {
            Step::RedrawControl(redraw) => Some(redraw),
            _ => None,
        })
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty() && self.rollouts.is_empty() && self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests;
