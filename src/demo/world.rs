//! The scenarios: what is true of each candidate, and which endings that truth allows.

/// What is true of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Better on most metrics.
    Better,
    /// Worse on some.
    Harmful,
    /// The same model under another name.
    Harmless,
    /// The same model, but some of its units get lost before they are counted.
    BrokenSplit,
    /// The same model with hardly any traffic.
    Starved,
    /// The same model while everybody's base rate falls as the ramp rises.
    DriftingBase,
}

/// How a candidate's story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It became the baseline.
    Promoted,
    /// It was returned to control.
    RolledBack,
    /// It is held because units did not split as planned.
    HeldForMismatch,
    /// It is held for want of units.
    HeldForUnits,
    /// It is held for another reason, or still on its way.
    Held,
}

impl Truth {
    /// The truth in words.
    pub fn told(self) -> &'static str {
        match self {
            Truth::Better => "better",
            Truth::Harmful => "harmful",
            Truth::Harmless => "harmless (identical)",
            Truth::BrokenSplit => "identical, split broken",
            Truth::Starved => "identical, starved of units",
            Truth::DriftingBase => "identical, base rate falls 12 → 9 %",
        }
    }

    /// What must become of it, in words.
    pub fn wanted(self) -> &'static str {
        match self {
            Truth::Better | Truth::Harmless => "promoted",
            Truth::Harmful => "rolled back",
            Truth::BrokenSplit => "held for sample ratio mismatch",
            Truth::Starved => "held for want of units",
            Truth::DriftingBase => "not rolled back",
        }
    }

    /// Whether it may end like that.
    pub fn allows(self, ending: Ending) -> bool {
        match self {
            Truth::Better | Truth::Harmless => ending == Ending::Promoted,
            Truth::Harmful => ending == Ending::RolledBack,
            Truth::BrokenSplit => ending == Ending::HeldForMismatch,
            Truth::Starved => ending == Ending::HeldForUnits,
            Truth::DriftingBase => ending != Ending::RolledBack,
        }
    }
}

impl Ending {
    /// The ending in words.
    pub fn told(self) -> &'static str {
        match self {
            Ending::Promoted => "promoted",
            Ending::RolledBack => "rolled back",
            Ending::HeldForMismatch => "held for sample ratio mismatch",
            Ending::HeldForUnits => "held for want of units",
            Ending::Held => "held",
        }
    }
}

/// What the candidate multiplies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effects {
    /// The chance that a plan is accepted.
    pub acceptance: f64,
    /// The edits of an accepted plan.
    pub edits: f64,
    /// The chance that the validator steps in.
    pub validator: f64,
    /// The cost of a plan.
    pub cost: f64,
    /// The time that a plan takes.
    pub latency: f64,
}

impl Effects {
    /// None at all.
    pub const NONE: Effects = Effects { acceptance: 1.0, edits: 1.0, validator: 1.0, cost: 1.0, latency: 1.0 };
}

/// One experiment of the world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in the experiment tables.
    pub experiment: &'static str,
    /// The candidate's name.
    pub candidate: &'static str,
    /// What is true of the candidate.
    pub truth: Truth,
    /// Units first exposed per day, all arms.
    pub units_per_day: u32,
    /// What the candidate multiplies.
    pub effects: Effects,
    /// The share of the candidate's units that get lost.
    pub candidate_loss: f64,
    /// The chance of an order on the first day, by the day of the experiment; none where nobody orders.
    pub order_rate: fn(i64) -> f64,
}

/// The world of the demo.
pub fn scenarios() -> Vec<Scenario> {
    let plain = Scenario {
        experiment: "",
        candidate: "",
        truth: Truth::Harmless,
        units_per_day: 4_000,
        effects: Effects::NONE,
        candidate_loss: 0.0,
        order_rate: |_| 0.0,
    };
    vec![
        Scenario {
            experiment: "planner_policy_exp",
            candidate: "planner_v3",
            truth: Truth::Better,
            effects: Effects { acceptance: 1.06, edits: 0.92, validator: 0.97, cost: 0.95, latency: 0.95 },
            ..plain.clone()
        },
        Scenario {
            experiment: "leftovers_exp",
            candidate: "leftovers_v2",
            truth: Truth::Harmful,
            effects: Effects { acceptance: 0.94, edits: 1.05, cost: 1.14, ..Effects::NONE },
            ..plain.clone()
        },
        Scenario { experiment: "refactored_planner_exp", candidate: "planner_v3b", ..plain.clone() },
        Scenario {
            experiment: "mobile_planner_exp",
            candidate: "mobile_v1",
            truth: Truth::BrokenSplit,
            candidate_loss: 0.12,
            ..plain.clone()
        },
        Scenario {
            experiment: "niche_cuisine_exp",
            candidate: "niche_v1",
            truth: Truth::Starved,
            units_per_day: 25,
            ..plain.clone()
        },
        Scenario {
            experiment: "checkout_ranker_exp",
            candidate: "ranker_v7",
            truth: Truth::DriftingBase,
            units_per_day: 6_000,
            order_rate: |day| match day {
                ..3 => 0.12,
                3..8 => 0.10,
                _ => 0.09,
            },
            ..plain
        },
    ]
}
