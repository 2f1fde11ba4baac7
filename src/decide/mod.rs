//! Verdicts and policy → one decision per candidate, with its reasons.
//!
//! This is the second page that a newcomer reads, after `night.rs`. [`decide`] walks the gates in the order of
//! design.md; the first that closes names the outcome, and every other closed one is told too:
//!
//! ```text
//!   rolled back by hand › paused › harm shown (rollback) › held by hand › invalid data › stale or missing data
//!     › harm shown that is not rolled back › no share of the units › the deadline (rollback) › freeze
//!     › minimum time and units › evidence for the next step › room in the allocation › knowledge of units › approval
//!     › advance
//! ```
//!
//! A hold by hand that says so stands before harm. What rolls back, and a pause, says nothing of what stands behind it;
//! and nobody is asked for an approval that something else would hold up.
//!
//! Harm is judged every night, on whatever evidence is stored; everything else only gates the way up. So anything that
//! is unsure can lower a candidate or hold it, and never raise it.

mod brief;
mod finding;
mod flip;
mod forecast;
mod gate;
mod gates;
mod proof;
mod reason;
mod siblings;
mod words;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::{ExperimentStatus, Frozen, Policy, RolloutState, Share, VariantId, Wish};
use crate::evidence::{Assessment, DayState, Vanished};

pub use finding::Finding;
pub(crate) use finding::{EValue, Percent, Rounded};
pub use flip::{Flip, Flips, Setting, World, flips};
pub use forecast::{Forecast, forecast};
pub use gate::{Gate, Passage};
pub use reason::{Reason, Step};
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

/// Why the job only says what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdviceOnly {
    /// The policy's mode.
    Mode,
    /// The kill switch of the configuration.
    KillSwitch,
}

/// What a decision depends on beside the rules and the evidence. Stored with the decision, so that it can be repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Where the experiment stands.
    pub status: ExperimentStatus,
    /// How many candidates share the error rates.
    pub candidates: usize,
    /// Where the candidate stands.
    pub state: RolloutState,
    /// The candidate's present share.
    pub share: Share,
    /// Control's present share.
    pub control_share: Share,
    /// Whether tonight brought a look.
    pub look: Look,
    /// Faults of the experiment's configuration that concern this candidate.
    pub faults: Vec<String>,
    /// The share of units seen in two arms that is borne.
    pub max_multiple_exposure: f64,
    /// The day that the evidence speaks about.
    pub as_of: Date,
    /// The freeze that holds.
    pub frozen: Option<Frozen>,
    /// What people want of it.
    pub wish: Wish,
    /// Why the job only advises, if it does.
    pub advice_only: Option<AdviceOnly>,
    /// When the experiment's allocations were last changed, after its beginning.
    pub changed_on: Option<Date>,
    /// Guardrails whose data stopped coming.
    pub vanished: Vec<Vanished>,
    /// On how many of the nights before tonight that confirmation looks at promotion was shown.
    pub shown_before: u32,
}

impl Facts {
    /// A candidate of a running experiment of which nothing else is to be said.
    pub fn plain(state: RolloutState, share: Share, control_share: Share, as_of: Date) -> Facts {
        Facts {
            status: ExperimentStatus::Active,
            candidates: 1,
            state,
            share,
            control_share,
            look: Look::Fresh,
            faults: Vec::new(),
            max_multiple_exposure: 0.001,
            as_of,
            frozen: None,
            wish: Wish::default(),
            advice_only: None,
            changed_on: None,
            vanished: Vec::new(),
            shown_before: 0,
        }
    }
}

/// What a decision was made from, beside the stored cohorts and the rules: with these it can be made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// The candidate's name at the time.
    pub name: String,
    /// The digest of the rules.
    pub rules: String,
    /// The variant that it was compared with.
    pub control: VariantId,
    /// The first day whose units count, where the rules were changed on the way.
    pub since: Option<Date>,
    /// All the rest.
    pub facts: Facts,
}

/// Everything that one decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// How the candidate is judged.
    pub policy: &'a Policy,
    /// What the evidence shows.
    pub assessment: &'a Assessment,
    /// All the rest.
    pub facts: &'a Facts,
}

/// Decides one candidate. Pure: the same situation gives the same decision.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let decision = judge(situation);
    match situation.facts.advice_only {
        // A person's own rollback is no act of the job's judgement, so no mode keeps it from being done.
        Some(why) if decision.outcome != Outcome::Hold && situation.facts.wish.rollback.is_none() => {
            let mut reasons = vec![Reason::AdviceOnly { would: decision.outcome.into(), why }];
            reasons.extend(decision.reasons);
            hold(reasons)
        }
        _ => decision,
    }
}

fn judge(situation: &Situation<'_>) -> Decision {
    let facts = situation.facts;
    if let Some(said) = &facts.wish.rollback {
        return Decision { outcome: Outcome::Rollback, reasons: vec![Reason::RolledBackByHand { said: said.clone() }] };
    }
    if facts.status != ExperimentStatus::Active {
        return hold(vec![Reason::NotActive { status: facts.status }]);
    }
    let harm = gates::harm(situation);
    if let gates::Harm::Rollback(reasons) = harm {
        return match facts.wish.hold.as_ref().filter(|held| held.even_if_harmful) {
            Some(held) => hold(std::iter::once(Reason::HeldByHand { hold: held.clone() }).chain(reasons).collect()),
            None => Decision { outcome: Outcome::Rollback, reasons },
        };
    }
    let mut closed = Vec::new();
    closed.extend(facts.wish.hold.iter().map(|held| Reason::HeldByHand { hold: held.clone() }));
    closed.extend(gates::invalid_data(situation));
    closed.extend(gates::missing_data(situation));
    if let gates::Harm::Hold(reasons) = harm {
        closed.extend(reasons);
    }
    if facts.share == Share::NONE {
        closed.push(Reason::NoTraffic);
    }
    let next = gates::next_stage(situation);
    if next.is_none()
        && let Some(reason) = gates::deadline_rollback(situation)
    {
        // A deadline lowers, so neither freeze nor time nor units stand in its way; data that cannot be believed do.
        if closed.is_empty() {
            return Decision { outcome: Outcome::Rollback, reasons: vec![reason] };
        }
        closed.push(reason);
    }
    closed.extend(facts.frozen.iter().map(|frozen| Reason::Frozen { freeze: frozen.clone() }));
    closed.extend(gates::time_and_units(situation));
    match next {
        None => closed.extend(proof::evidence_for_promotion(situation)),
        Some((_, to)) => {
            closed.extend(proof::evidence_for_ramp(situation, to));
            closed.extend(gates::room(situation, to));
        }
    }
    proof::leave_out_repeated_harm(situation, &mut closed);
    if closed.is_empty() {
        closed.extend(gates::knowledge_of_units(situation, next));
    }
    if closed.is_empty() {
        closed.extend(gates::approval(situation, next));
    }
    if !closed.is_empty() {
        closed.extend(gates::warnings(situation));
        return hold(closed);
    }
    let days = gates::days_in_stage(situation);
    let (outcome, reason) = match next {
        None => (Outcome::Promote, proof::promotion_shown_by(situation, days)),
        Some((stage, to)) => {
            let (control_units, candidate_units) =
                (situation.assessment.control_units, situation.assessment.candidate_units);
            (Outcome::Ramp { stage, to }, Reason::StagePassed { days, control_units, candidate_units })
        }
    };
    let approved = facts.wish.approved.iter().map(|said| Reason::Approved { said: said.clone() });
    let reasons = std::iter::once(reason).chain(approved).chain(gates::warnings(situation)).collect();
    Decision { outcome, reasons }
}

/// Whether what promotion wants of the evidence is shown, whatever else stands in its way. What confirmation counts.
pub fn promotion_is_shown(policy: &Policy, assessment: &Assessment, candidates: usize) -> bool {
    proof::shown_for_promotion(policy, assessment, candidates).is_empty()
}

impl Decision {
    /// Whether somebody must do something, or nothing will go on.
    pub fn needs_somebody(&self) -> bool {
        let unattended = |reason: &Reason| matches!(reason, Reason::HarmShown { .. }) || reason.needs_somebody();
        self.outcome == Outcome::Hold && self.reasons.iter().any(unattended)
    }
}

fn hold(reasons: Vec<Reason>) -> Decision {
    Decision { outcome: Outcome::Hold, reasons }
}

#[cfg(test)]
mod tests;
