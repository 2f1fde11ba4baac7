//! How candidates are judged: the resolved promotion policy of one experiment.

use serde::{Deserialize, Serialize};

use super::numbers::{Alpha, Margin};
use super::share::Share;

/// Everything that judging one experiment's candidates depends on, beside the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The name of the baseline variant.
    pub control: String,
    /// The ramp, with rising allocations; promotion follows its last stage.
    pub stages: Vec<Stage>,
    /// What must not get worse.
    pub guardrails: Vec<Guardrail>,
    /// What promotion wants shown.
    pub success: Success,
    /// The error rates.
    pub alphas: Alphas,
    /// The least harm that is rolled back, as a fraction of the margin in 0..=1; proven harm below it is held.
    pub materiality: f64,
    /// The last night, counted from the experiment's first day, on which promotion is tested. It declares the planned
    /// looks of a group-sequential test; without it promotion is tested by a confidence sequence without an end.
    pub max_nights: Option<u32>,
    /// What becomes of a rolled back candidate's units.
    pub on_rollback: ExistingUnits,
    /// What becomes of the other variants' units when a candidate is promoted.
    pub on_promote: ExistingUnits,
    /// Whether a sample ratio mismatch keeps even proven harm from being rolled back.
    pub srm_blocks_rollback: bool,
    /// Whether promotion completes the experiment.
    pub complete_on_promote: bool,
}

/// One step of the ramp.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The candidate's share.
    pub allocation: Share,
    /// Full days before it may be left upwards.
    pub min_days: u32,
    /// Units per arm in closed cohorts before it may be left upwards; also before the first look.
    pub min_units: u64,
}

/// A metric that must not get worse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    /// The metric's name.
    pub metric: String,
    /// What "worse" means.
    pub bound: Bound,
}

/// The limit of a guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Relative to control, in the metric's bad direction.
    Margin(Margin),
    /// The candidate's value must not exceed this.
    Ceiling(f64),
    /// The candidate's value must not fall below this.
    Floor(f64),
}

/// What promotion wants shown beside safe guardrails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// How many of the metrics.
    pub require: Require,
    /// The metrics; none means that safe guardrails are enough.
    pub metrics: Vec<SuccessMetric>,
}

/// How many success metrics must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// At least one; the error rate is then shared among them.
    Any,
    /// Every one.
    All,
}

/// A metric that promotion looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuccessMetric {
    /// The metric's name.
    pub metric: String,
    /// What is to be shown.
    pub test: SuccessTest,
    /// The non-inferiority margin, or the size of effect that a superiority test is tuned to.
    pub margin: Margin,
}

/// What is to be shown of a success metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuccessTest {
    /// Better than control.
    Superior,
    /// Not worse than control by the margin.
    NonInferior,
}

/// The error rates, each over a whole experiment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alphas {
    /// P(ever roll back a candidate that is no worse).
    pub rollback: Alpha,
    /// P(ever promote a candidate worse than a margin).
    pub promotion: Alpha,
    /// The level of harm evidence that stops the ramp already.
    pub warn: Alpha,
    /// P(ever call a sound split mismatched).
    pub srm: Alpha,
}

/// What becomes of units that already have an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExistingUnits {
    /// They stay where they are; only new units follow the new allocation.
    Keep,
    /// They are moved, each move recorded.
    Move,
}

impl Policy {
    /// The first night on which a candidate that lost no day may be promoted: the sum of the stages' least days.
    pub fn first_promotion_night(&self) -> u32 {
        self.stages.iter().map(|stage| stage.min_days).fold(0, u32::saturating_add).max(1)
    }

    /// The stage at which a candidate with that share stands: the first that grants at least as much.
    pub fn stage_of(&self, share: Share) -> usize {
        let found = self.stages.iter().position(|stage| stage.allocation >= share);
        found.unwrap_or(self.stages.len().saturating_sub(1))
    }
}
