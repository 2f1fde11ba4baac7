//! What `promotion.yml` may say, key by key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::route::{EnrolmentEntry, QualificationEntry};

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionFile {
    /// How every experiment is judged unless it says otherwise.
    pub defaults: PolicyEntry,
    /// What single experiments, by name, do differently. A list given here replaces the default list.
    #[serde(default)]
    pub experiments: BTreeMap<String, PolicyEntry>,
    /// Whether nothing at all is changed, whatever any policy says: every night decides, tells, and touches nothing.
    #[serde(default)]
    pub kill_switch: bool,
    /// What an offline result has to reach before its version may become a candidate.
    #[serde(default)]
    pub qualification: QualificationEntry,
}

/// A policy, or the part of it that an experiment overrides.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyEntry {
    /// The name of the baseline variant; `control` unless told.
    pub(super) control: Option<String>,
    /// The ramp; 10 % for 3 days, 25 % for 5, 50 % for 7, with 1000 units per arm, unless told.
    #[schemars(length(min = 1))]
    pub(super) stages: Option<Vec<StageEntry>>,
    /// What must not get worse.
    #[schemars(length(min = 1))]
    pub(super) guardrails: Option<Vec<GuardrailEntry>>,
    /// What promotion wants shown beside safe guardrails.
    pub(super) success: Option<SuccessEntry>,
    /// The error rates over a whole experiment.
    pub(super) alphas: Option<AlphasEntry>,
    /// The least harm that is rolled back, as a fraction of the margin; 0.5 unless told.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) materiality: Option<f64>,
    /// After so many nights promotion is not tested any more; declares the planned looks of the group-sequential test.
    #[schemars(range(min = 1))]
    pub(super) max_nights: Option<u32>,
    /// What becomes of a candidate that was not promoted by then: `hold` (the default), `rollback`, or
    /// `promote_if_non_inferior`, by which the last planned night takes success metrics shown no worse for an answer.
    pub(super) after_max_nights: Option<AfterDeadlineWord>,
    /// Promotion must have been shown on so many of the last nights; tonight alone unless told.
    pub(super) confirmation: Option<ConfirmationEntry>,
    /// Full days after a change of the experiment's allocations before the next step up; 0 unless told.
    #[schemars(range(max = 365))]
    pub(super) cooldown_days: Option<u32>,
    /// The most harm over all units that the next stage may bring: its share × the upper bound on a guardrail's loss, such
    /// as 0.01 for one percent. Not limited unless told.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) risk_budget: Option<f64>,
    /// Nights without a guardrail's data after which somebody is called; 2 unless told.
    #[schemars(range(min = 1, max = 365))]
    pub(super) page_after_nights: Option<u32>,
    /// When nothing is ramped or promoted. Rollbacks happen all the same.
    pub(super) freezes: Option<Vec<FreezeEntry>>,
    /// `act` (the default), or `advise`: say what would be done, and change nothing.
    pub(super) mode: Option<ModeWord>,
    /// What may be decided from aggregates, where the metrics are made from them: `lower` (the default: roll back and hold),
    /// `ramp` as well, or `promote` too.
    pub(super) from_aggregates: Option<FromAggregatesWord>,
    /// The mail addresses of those who answer for the experiment.
    pub(super) owners: Option<Vec<String>>,
    /// Whether the night lets candidates in by itself once they passed offline evaluation; false unless told.
    pub(super) auto_enroll: Option<bool>,
    /// How candidates come in.
    pub(super) enrolment: Option<EnrolmentEntry>,
    /// What a ramp does beside raising the allocation.
    pub(super) ramp: Option<RampEntry>,
    /// What a rollback does beside setting the allocation to 0.
    pub(super) rollback: Option<RollbackEntry>,
    /// What a promotion does beside giving the candidate every unit.
    pub(super) promote: Option<PromoteEntry>,
}

/// One step of the ramp.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageEntry {
    /// The candidate's share, such as 0.25.
    pub(super) allocation: f64,
    /// Full days before the stage may be left upwards.
    pub(super) min_days: u32,
    /// Units per arm in closed cohorts before the stage may be left upwards; 1000 unless told.
    #[schemars(range(min = 2))]
    pub(super) min_units: Option<u64>,
    /// Whether the stage may be left upwards after 7, 14, 21 … full days only.
    #[serde(default)]
    pub(super) whole_weeks: bool,
    /// `auto` (the default), or `required`: somebody must approve before the stage is left upwards.
    pub(super) approval: Option<ApprovalWord>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ApprovalWord {
    Auto,
    Required,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeWord {
    Act,
    Advise,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromAggregatesWord {
    Lower,
    Ramp,
    Promote,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AfterDeadlineWord {
    Hold,
    Rollback,
    PromoteIfNonInferior,
}

/// On `nights` of the last `of` nights.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmationEntry {
    #[schemars(range(min = 1, max = 28))]
    pub(super) nights: u32,
    #[schemars(range(min = 1, max = 28))]
    pub(super) of: u32,
}

/// What a ramp does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RampEntry {
    /// `keep` (the default) lets new units alone follow the new allocation; `move` re-randomises those on control, which
    /// a fixed population needs.
    pub(super) existing_units: Option<ExistingUnitsWord>,
}

/// A time in which nothing is ramped or promoted: `from` and `to`, `dates`, `yearly`, or `cron` with `lasts`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeEntry {
    /// What readers are told, such as `year end`.
    pub(super) name: String,
    /// The first day, or the first moment: 2026-12-20, 2026-12-20T18:00.
    pub(super) from: Option<String>,
    /// The last day, or the moment of its end.
    pub(super) to: Option<String>,
    /// Single days, such as 2026-05-01.
    pub(super) dates: Option<Vec<String>>,
    /// Days of every year, as month and day: 12-25.
    pub(super) yearly: Option<Vec<String>>,
    /// When windows begin: minute hour day month weekday, such as `0 12 * * FRI`.
    pub(super) cron: Option<String>,
    /// How long such a window lasts: 60h, 2d 12h.
    pub(super) lasts: Option<String>,
    /// The IANA time zone of all this; `UTC` unless told.
    pub(super) timezone: Option<String>,
}

/// A metric and exactly one limit for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailEntry {
    pub(super) metric: String,
    /// The worst loss accepted, relative to control: 0.05 is five percent.
    pub(super) margin: Option<f64>,
    /// The candidate's value must not exceed this.
    pub(super) ceiling: Option<f64>,
    /// The candidate's value must not fall below this.
    pub(super) floor: Option<f64>,
    /// What shown harm does: `rollback` (the default), `hold` (stop the way up), or `warn` (tell, and stop nothing).
    pub(super) on_harm: Option<OnHarmWord>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnHarmWord {
    Rollback,
    Hold,
    Warn,
}

/// The success metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessEntry {
    /// `all` (the default) or `any` of the metrics.
    pub(super) require: Option<RequireWord>,
    /// The metrics.
    #[schemars(length(min = 1))]
    pub(super) metrics: Vec<SuccessMetricEntry>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequireWord {
    Any,
    All,
}

/// One success metric.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessMetricEntry {
    pub(super) metric: String,
    /// What is to be shown.
    pub(super) test: SuccessTestWord,
    /// The non-inferiority margin, or the size of effect that a superiority test is tuned to.
    pub(super) margin: f64,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SuccessTestWord {
    Superior,
    NonInferior,
}

/// Error rates in (0, 0.5).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlphasEntry {
    /// P(ever roll back a candidate that is no worse); 0.05 unless told.
    pub(super) rollback: Option<f64>,
    /// P(ever promote a candidate worse than a margin); 0.05 unless told.
    pub(super) promotion: Option<f64>,
    /// The level of harm evidence that stops the ramp already; 0.2 unless told.
    pub(super) warn: Option<f64>,
    /// P(call a sound split mismatched); 0.001 unless told.
    pub(super) srm: Option<f64>,
}

/// What a rollback does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackEntry {
    /// `move` (the default) takes the failed candidate's units back to control; `keep` leaves them.
    pub(super) existing_units: Option<ExistingUnitsWord>,
    /// `rollback` (the default) or `hold`: whether proven harm is acted on while the split is mismatched.
    pub(super) on_srm: Option<OnSrmWord>,
}

/// What a promotion does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromoteEntry {
    /// `move` (the default) takes the other variants' units onto the winner; `keep` leaves them.
    pub(super) existing_units: Option<ExistingUnitsWord>,
    /// Whether the experiment is completed; true unless told.
    pub(super) complete_experiment: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExistingUnitsWord {
    Keep,
    Move,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnSrmWord {
    Rollback,
    Hold,
}
