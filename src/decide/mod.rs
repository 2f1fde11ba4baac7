//! Verdicts and policy → one decision per candidate, with its reasons.
//!
//! This is the second page that a newcomer reads, after `night.rs`. [`decide`] walks the gates in the order of
//! design.md; the first that closes names the outcome, and every other closed one is told too:
//!
//! ```text
//!   paused by hand › harm shown (rollback) › invalid data › stale or missing data › no share of the units
//!                  › minimum time and units › evidence for the next step › room in the allocation › advance
//! ```
//!
//! Harm is judged every night, on whatever evidence is stored; everything else only gates the way up. So anything that
//! is unsure can lower a candidate or hold it, and never raise it.

mod gates;
mod reason;
mod siblings;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::{Experiment, ExperimentStatus, Policy, RolloutState, Share};
use crate::evidence::{Assessment, DayState};

pub use reason::{Finding, Reason};
pub(crate) use reason::{Percent, Rounded};
pub use siblings::promote_at_most_one;

/// What is to be done with one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Back to control; the arm is closed.
    Rollback,
    /// The candidate becomes the baseline.
    Promote,
    /// On to the next stage.
    Ramp {
        /// The index of the next stage.
        stage: usize,
        /// Its allocation.
        to: Share,
    },
    /// Nothing changes; the reasons say what it waits for.
    Hold,
}

impl Outcome {
    /// The word in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Rollback => "rollback",
            Outcome::Promote => "promote",
            Outcome::Ramp { .. } => "ramp",
            Outcome::Hold => "hold",
        }
    }
}

/// An outcome with its reasons, the deciding one first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to be done.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// Whether tonight brought a look at the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "look", rename_all = "snake_case")]
pub enum Look {
    /// Everything that should have closed has closed.
    Fresh,
    /// A day's partition is missing or incomplete.
    Stale {
        /// The day.
        date: Date,
        /// What is wrong with it.
        state: DayState,
    },
    /// The warehouse could not answer.
    QueryFailed {
        /// The error, with its causes.
        why: String,
    },
}

/// Everything that one decision depends on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// How it is judged.
    pub policy: &'a Policy,
    /// How many candidates share the error rates.
    pub candidates: usize,
    /// Where the candidate stands.
    pub state: &'a RolloutState,
    /// The candidate's present share.
    pub share: Share,
    /// Control's present share.
    pub control_share: Share,
    /// What the evidence shows.
    pub assessment: &'a Assessment,
    /// Whether tonight brought a look.
    pub look: &'a Look,
    /// Faults of the experiment's configuration that concern this candidate.
    pub faults: &'a [String],
    /// The share of units seen in two arms that is borne.
    pub max_multiple_exposure: f64,
    /// The day that the evidence speaks about.
    pub as_of: Date,
}

/// Decides one candidate. Pure: the same situation gives the same decision.
pub fn decide(situation: &Situation<'_>) -> Decision {
    if situation.experiment.status != ExperimentStatus::Active {
        return hold(vec![Reason::NotActive { status: situation.experiment.status }]);
    }
    let harm = gates::harm(situation);
    if let gates::Harm::Rollback(reasons) = harm {
        return Decision { outcome: Outcome::Rollback, reasons };
    }
    let mut closed = Vec::new();
    closed.extend(gates::invalid_data(situation));
    closed.extend(gates::missing_data(situation));
    if let gates::Harm::Hold(reasons) = harm {
        closed.extend(reasons);
    }
    if situation.share == Share::NONE {
        closed.push(Reason::NoTraffic);
    }
    closed.extend(gates::time_and_units(situation));
    let next = gates::next_stage(situation);
    match next {
        None => closed.extend(gates::evidence_for_promotion(situation)),
        Some((_, to)) => {
            closed.extend(gates::evidence_for_ramp(situation));
            closed.extend(gates::room(situation, to));
        }
    }
    if !closed.is_empty() {
        return hold(closed);
    }
    let days = gates::days_in_stage(situation);
    let Some((stage, to)) = next else {
        let reasons = vec![Reason::ShownSafe { guardrails: gates::findings(&situation.assessment.guardrails), days }];
        return Decision { outcome: Outcome::Promote, reasons };
    };
    let reasons = vec![Reason::StagePassed {
        days,
        control_units: situation.assessment.control_units,
        candidate_units: situation.assessment.candidate_units,
    }];
    Decision { outcome: Outcome::Ramp { stage, to }, reasons }
}

fn hold(reasons: Vec<Reason>) -> Decision {
    Decision { outcome: Outcome::Hold, reasons }
}

#[cfg(test)]
mod tests;
