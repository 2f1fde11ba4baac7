//! The gates by their names, in the order in which they are walked, and how a decision found each of them.
//!
//! For readers: [`super::decide`] walks the gates themselves and does not look here.

use serde::Serialize;

use super::{Decision, Outcome, Reason};

/// One gate, or one question, in the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Did somebody take the candidate off?
    RollbackByHand,
    /// Is the experiment running?
    Active,
    /// Is harm shown?
    Harm,
    /// Does somebody hold it?
    HoldByHand,
    /// Can the data be believed?
    ValidData,
    /// Are the data there?
    PresentData,
    /// Is harm shown that is not rolled back?
    HarmToHold,
    /// Has it a share of the units?
    Share,
    /// Does a deadline roll it back?
    Deadline,
    /// Is there a freeze?
    Freeze,
    /// Was the stage long and large enough?
    TimeAndUnits,
    /// Is the evidence for the next step there?
    Evidence,
    /// Does control keep enough units?
    Room,
    /// Are units known, or are aggregates allowed to raise?
    UnitsKnown,
    /// Did somebody approve, where that is wanted?
    Approval,
    /// Is a sibling promoted tonight?
    Sibling,
    /// May the job act?
    MayAct,
}

/// How a decision found a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Passage {
    /// Nothing stood in the way.
    Open,
    /// It named the outcome, or would have.
    Closed,
    /// The walk ended before it.
    NotAsked,
}

impl Gate {
    /// All gates in the order of the walk.
    pub const ORDER: [Gate; 17] = [
        Gate::RollbackByHand,
        Gate::Active,
        Gate::Harm,
        Gate::HoldByHand,
        Gate::ValidData,
        Gate::PresentData,
        Gate::HarmToHold,
        Gate::Share,
        Gate::Deadline,
        Gate::Freeze,
        Gate::TimeAndUnits,
        Gate::Evidence,
        Gate::Room,
        Gate::UnitsKnown,
        Gate::Approval,
        Gate::Sibling,
        Gate::MayAct,
    ];

    /// The gate in words.
    pub fn word(self) -> &'static str {
        match self {
            Gate::RollbackByHand => "not rolled back by hand",
            Gate::Active => "the experiment is active",
            Gate::Harm => "no harm is shown",
            Gate::HoldByHand => "not held by hand",
            Gate::ValidData => "the data can be believed",
            Gate::PresentData => "the data are there",
            Gate::HarmToHold => "no harm that only holds",
            Gate::Share => "it has a share of the units",
            Gate::Deadline => "no deadline rolls it back",
            Gate::Freeze => "no freeze",
            Gate::TimeAndUnits => "the stage was long and large enough",
            Gate::Evidence => "the evidence for the next step",
            Gate::Room => "control keeps enough units",
            Gate::UnitsKnown => "units are known, or need not be",
            Gate::Approval => "approved, where that is wanted",
            Gate::Sibling => "no sibling is promoted tonight",
            Gate::MayAct => "the job may act",
        }
    }
}

impl Reason {
    /// The gate that this reason closes; none for what only goes with a decision.
    pub fn gate(&self) -> Option<Gate> {
        Some(match self {
            Reason::RolledBackByHand { .. } => Gate::RollbackByHand,
            Reason::NotActive { .. } => Gate::Active,
            Reason::HarmShown { .. } => Gate::Harm,
            Reason::HeldByHand { .. } => Gate::HoldByHand,
            Reason::Misconfigured { .. }
            | Reason::SampleRatioMismatch { .. }
            | Reason::MultipleExposure { .. }
            | Reason::NotNumbers { .. } => Gate::ValidData,
            Reason::Stale { .. } | Reason::QueryFailed { .. } | Reason::NoData { .. } | Reason::DataVanished { .. } => {
                Gate::PresentData
            }
            Reason::HarmInsideMargin { .. } | Reason::LimitBrokenByBoth { .. } | Reason::HarmHeldForMismatch => {
                Gate::HarmToHold
            }
            Reason::NoTraffic => Gate::Share,
            Reason::DeadlineRollback { .. } => Gate::Deadline,
            Reason::Frozen { .. } => Gate::Freeze,
            Reason::TooSoon { .. }
            | Reason::NotWholeWeeks { .. }
            | Reason::CoolingDown { .. }
            | Reason::TooFewUnits { .. } => Gate::TimeAndUnits,
            Reason::HarmSuspected { .. }
            | Reason::EstimateOutsideMargin { .. }
            | Reason::NotShownSafe { .. }
            | Reason::NotShownBetter { .. }
            | Reason::BeforeFirstLook { .. }
            | Reason::DeadlinePassed { .. }
            | Reason::NotConfirmed { .. }
            | Reason::RiskOverBudget { .. } => Gate::Evidence,
            Reason::NoRoom { .. } => Gate::Room,
            Reason::FromAggregates { .. } => Gate::UnitsKnown,
            Reason::AwaitingApproval { .. } | Reason::Rejected { .. } => Gate::Approval,
            Reason::SiblingPromoted { .. } => Gate::Sibling,
            Reason::AdviceOnly { .. } => Gate::MayAct,
            Reason::HarmDespiteMismatch
            | Reason::HarmToTell { .. }
            | Reason::Approved { .. }
            | Reason::ShownSafeAtDeadline { .. }
            | Reason::StagePassed { .. }
            | Reason::ShownSafe { .. } => return None,
        })
    }
}

impl Decision {
    /// How this decision found every gate, in their order.
    pub fn passages(&self) -> Vec<(Gate, Passage)> {
        let closed: Vec<Gate> = self.reasons.iter().filter_map(Reason::gate).collect();
        let ends_the_walk = [Gate::RollbackByHand, Gate::Active, Gate::Harm, Gate::Deadline];
        let end = ends_the_walk.into_iter().filter(|gate| closed.contains(gate)).min();
        // These two are asked only when nothing else is in the way.
        let on_the_way = |before: Gate| closed.iter().any(|gate| *gate < before);
        let passage = |gate: Gate| {
            if closed.contains(&gate) {
                return Passage::Closed;
            }
            let after_the_end = end.is_some_and(|end| gate > end);
            // Siblings and the right to act are asked of every outcome but a rollback by hand.
            let always = matches!(gate, Gate::Sibling | Gate::MayAct) && self.outcome != Outcome::Rollback;
            match gate {
                _ if after_the_end && !always => Passage::NotAsked,
                Gate::Approval | Gate::UnitsKnown if on_the_way(gate) => Passage::NotAsked,
                _ => Passage::Open,
            }
        };
        Gate::ORDER.into_iter().map(|gate| (gate, passage(gate))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ExperimentStatus, Share};

    fn passage(decision: &Decision, gate: Gate) -> Passage {
        decision.passages().into_iter().find(|(at, _)| *at == gate).map(|(_, passage)| passage).unwrap()
    }

    fn hold(reasons: Vec<Reason>) -> Decision {
        Decision { outcome: Outcome::Hold, reasons }
    }

    #[test]
    fn the_order_is_the_order_of_the_walk() {
        assert!(Gate::ORDER.is_sorted());
    }

    #[test]
    fn a_rollback_ends_the_walk_and_a_hold_asks_all_that_follows() {
        let harm = Reason::HarmShown { findings: vec![], log_e: 5.0, log_needed: 3.0 };
        let decision = Decision { outcome: Outcome::Rollback, reasons: vec![harm, Reason::HarmDespiteMismatch] };
        assert_eq!(passage(&decision, Gate::Active), Passage::Open);
        assert_eq!(passage(&decision, Gate::Harm), Passage::Closed);
        assert_eq!(passage(&decision, Gate::ValidData), Passage::NotAsked);
        let held = hold(vec![Reason::NoTraffic, Reason::TooSoon { days: 1, needed: 3, stage: Share::NONE }]);
        assert_eq!(passage(&held, Gate::Share), Passage::Closed);
        assert_eq!(passage(&held, Gate::TimeAndUnits), Passage::Closed);
        assert_eq!(passage(&held, Gate::Evidence), Passage::Open);
        assert_eq!(passage(&held, Gate::Approval), Passage::NotAsked);
        let paused = hold(vec![Reason::NotActive { status: ExperimentStatus::Paused }]);
        assert_eq!(passage(&paused, Gate::Harm), Passage::NotAsked);
        assert_eq!(passage(&paused, Gate::MayAct), Passage::Open);
    }
}
