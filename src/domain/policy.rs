//! How candidates are judged: the resolved promotion policy of one experiment.

use serde::{Deserialize, Serialize};

use super::aggregate::FromAggregates;
use super::freeze::Freeze;
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
    /// What becomes of a candidate that was not promoted on the last planned night.
    pub after_max_nights: AfterDeadline,
    /// On how many of the last nights promotion must have been shown; none for tonight alone.
    pub confirmation: Option<Confirmation>,
    /// Full days after any change of the experiment's allocations before the next ramp or promotion.
    pub cooldown_days: u32,
    /// The most harm over all units that the next stage may bring: its share × the upper bound on a guardrail's loss
    /// (Xu, Duan & Huang, KDD 2018, bound the risk of a ramp in the same way).
    pub risk_budget: Option<f64>,
    /// Nights without data after which somebody is called.
    pub page_after_nights: u32,
    /// When nothing is ramped or promoted.
    pub freezes: Vec<Freeze>,
    /// Whether the job acts, or only says what it would do.
    pub mode: Mode,
    /// Who is told, as mail addresses.
    pub owners: Vec<String>,
    /// What becomes of control's units when a candidate's share is raised.
    pub on_ramp: ExistingUnits,
    /// What becomes of a rolled back candidate's units.
    pub on_rollback: ExistingUnits,
    /// What becomes of the other variants' units when a candidate is promoted.
    pub on_promote: ExistingUnits,
    /// Whether a sample ratio mismatch keeps even proven harm from being rolled back.
    pub srm_blocks_rollback: bool,
    /// Whether promotion completes the experiment.
    pub complete_on_promote: bool,
    /// What may be decided where metrics are made from aggregates over events.
    #[serde(default, skip_serializing_if = "FromAggregates::is_default")]
    pub from_aggregates: FromAggregates,
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
    /// Whether it may be left upwards after 7, 14, 21 … full days only, so that every weekday weighs the same.
    pub whole_weeks: bool,
    /// Whether somebody must say yes before it is left upwards.
    pub approval: Approval,
}

/// Whether a step needs a person's yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// It does not.
    Auto,
    /// It does.
    Required,
}

/// Whether the job acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does what it decides.
    Act,
    /// It says what it would do, and changes nothing.
    Advise,
}

/// What becomes of a candidate after the last planned night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterDeadline {
    /// It stays where it is, for a person to decide.
    Hold,
    /// It returns to control.
    Rollback,
    /// On the last planned night it is enough that the success metrics are shown non-inferior; after it, hold.
    PromoteIfNonInferior,
}

/// On `nights` of the last `of` nights, tonight among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// How many nights must have shown it.
    pub nights: u32,
    /// Out of how many.
    pub of: u32,
}

/// A metric that must not get worse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    /// The metric's name.
    pub metric: String,
    /// What "worse" means.
    pub bound: Bound,
    /// What shown harm does.
    pub on_harm: OnHarm,
}

/// What a guardrail's shown harm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHarm {
    /// It counts towards a rollback, and must be shown absent for a promotion.
    Rollback,
    /// It stops the way up, and must be shown absent for a promotion.
    Hold,
    /// It is told, and stops nothing.
    Warn,
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

impl Guardrail {
    /// A guardrail whose shown harm is rolled back.
    pub fn new(metric: impl Into<String>, bound: Bound) -> Guardrail {
        Guardrail { metric: metric.into(), bound, on_harm: OnHarm::Rollback }
    }
}

impl Policy {
    /// The names of the metrics that candidates are judged by: those of the guardrails, then those of success. A name may
    /// come twice.
    pub fn judged_by(&self) -> impl Iterator<Item = &String> {
        let guarded = self.guardrails.iter().map(|guardrail| &guardrail.metric);
        guarded.chain(self.success.metrics.iter().map(|success| &success.metric))
    }

    /// The policy that holds where nothing else is said, without a guardrail: the route's ramp of 10 % for 3 days, 25 %
    /// for 5 and 50 % for 7 (domain.md, rules of the route), and the error rates of statistics.md, section 0.
    pub fn standard() -> Policy {
        let stage = |parts, min_days| Stage {
            allocation: Share::from_ten_thousandths(parts).expect("the built-in shares lie in 0..=1"),
            min_days,
            min_units: 1000,
            whole_weeks: false,
            approval: Approval::Auto,
        };
        let alpha = |value| Alpha::try_from(value).expect("the built-in error rates lie in (0, 0.5)");
        Policy {
            control: "control".to_owned(),
            stages: vec![stage(1_000, 3), stage(2_500, 5), stage(5_000, 7)],
            guardrails: Vec::new(),
            success: Success { require: Require::All, metrics: Vec::new() },
            alphas: Alphas { rollback: alpha(0.05), promotion: alpha(0.05), warn: alpha(0.2), srm: alpha(0.001) },
            materiality: 0.5,
            max_nights: None,
            after_max_nights: AfterDeadline::Hold,
            confirmation: None,
            cooldown_days: 0,
            risk_budget: None,
            page_after_nights: 2,
            freezes: Vec::new(),
            mode: Mode::Act,
            owners: Vec::new(),
            on_ramp: ExistingUnits::Keep,
            on_rollback: ExistingUnits::Move,
            on_promote: ExistingUnits::Move,
            srm_blocks_rollback: false,
            complete_on_promote: true,
            from_aggregates: FromAggregates::Lower,
        }
    }

    /// The first night on which a candidate that lost no day may be promoted: the sum of the stages' least days.
    pub fn first_promotion_night(&self) -> u32 {
        self.stages.iter().map(|stage| stage.min_days).fold(0, u32::saturating_add).max(1)
    }

    /// What shown harm of that guardrail does; of a metric that is no guardrail, nothing.
    pub fn on_harm(&self, metric: &str) -> OnHarm {
        let guardrail = self.guardrails.iter().find(|guardrail| guardrail.metric == metric);
        guardrail.map_or(OnHarm::Warn, |guardrail| guardrail.on_harm)
    }

    /// The stage at which a candidate with that share stands: the first that grants at least as much.
    pub fn stage_of(&self, share: Share) -> usize {
        let found = self.stages.iter().position(|stage| stage.allocation >= share);
        found.unwrap_or(self.stages.len().saturating_sub(1))
    }
}
