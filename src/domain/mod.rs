//! The words of the world that Rampkeeper lives in: experiments, variants, allocations, metrics, cohorts, stages.
//!
//! Nothing here reads a clock, a file or a server. A number with a meaning is a type that was checked once, at the border.

mod aggregate;
mod amendment;
mod cohort;
mod covariate;
mod database;
mod experiment;
mod fact;
mod freeze;
mod metric;
mod numbers;
mod offline;
mod operator;
mod percentiles;
mod policy;
mod rollout;
mod room;
mod served;
mod share;
mod table;
mod threshold;
mod variant_config;
mod version;

pub use aggregate::{Aggregate, AggregateOf, DesignEffect, FromAggregates};
pub use amendment::{Amendment, Rules};
pub use cohort::{CohortRequest, Epoch, EpochSpan, ExposedBy, after_redraw, exposure_spans, in_force_since};
pub use covariate::{COMPANION, Companion};
pub use database::{Relation, Session, tls_advice};
pub use experiment::{Experiment, ExperimentId, ExperimentStatus, Variant, VariantId};
pub use fact::{Fact, Rows};
pub use freeze::{Freeze, Frozen, Window};
pub use metric::{Direction, Field, FieldRoot, Measure, Metric, MetricForm, Value};
pub use numbers::{Alpha, Margin, OutOfRange};
pub use offline::{
    Criteria, Criterion, Finding, Judgement, OfflineResult, OfflineStatus, Score, ScoreName, Scores, Unjudged, Verdict,
    judge_offline,
};
pub use operator::{Act, ActKind, ManualHold, Said, Wish};
pub use percentiles::Percentiles;
pub use policy::{
    AfterDeadline, Alphas, Approval, Bound, Confirmation, ExistingUnits, Guardrail, Mode, OnHarm, Policy, Require,
    Stage, Success, SuccessMetric, SuccessTest,
};
pub use rollout::{RolloutState, RolloutStatus};
pub use room::make_room;
pub use served::{Newcomer, config_of};
pub use share::{Share, ShareError};
pub use table::TableName;
pub use threshold::Threshold;
pub use variant_config::{ModelVersion, VariantConfig, VariantConfigError};
pub use version::{VersionName, VersionStatus};
