//! The steps that a plan may have, as data: what the journal keeps and carries out.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Redraw;
use crate::domain::{ModelVersion, VariantId};

/// One follow-up of a decision, in the order of execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Take every unit of one variant to another, each move recorded.
    MoveAssignments {
        /// The arm that they leave.
        from: VariantId,
        /// Its name.
        from_name: String,
        /// The arm that they join.
        to: VariantId,
        /// Its name.
        to_name: String,
    },
    /// Draw control's units anew, so that a ramp reaches units that have an arm.
    RedrawControl(Redraw),
    /// Write an event of our own.
    LogEvent {
        /// Such as `model_promoted`.
        event_type: String,
        /// The variant that it is about.
        variant: VariantId,
        /// Its payload.
        payload: Value,
    },
    /// Set a tag of a model version.
    SetTag {
        /// The version.
        version: ModelVersion,
        /// The tag's key.
        key: String,
        /// Its value.
        value: String,
        /// The values that it may replace.
        #[serde(default)]
        expect: Vec<String>,
        /// Whether it replaces any other value, too, and tells of it. What takes a version out of use insists.
        #[serde(default)]
        insist: bool,
    },
    /// Set `stage=archived` on every version of the model that is tagged `stage=production`, but for one. A version that
    /// is not expected to be in production is told of.
    ArchiveOtherProduction {
        /// The version that stays.
        keep: ModelVersion,
        /// The versions that are known to be in production.
        #[serde(default)]
        expect: Vec<ModelVersion>,
    },
    /// Point an alias at a version.
    SetAlias {
        /// The alias.
        alias: String,
        /// The version.
        version: ModelVersion,
        /// The versions that it may be taken from.
        #[serde(default)]
        expect: Vec<ModelVersion>,
        /// Whether it may be taken from a version that is tagged `stage=production`, too: where control serves no
        /// version of the model, none is known by name.
        #[serde(default)]
        or_production: bool,
    },
    /// Remove an alias, if it points at that version.
    ReleaseAlias {
        /// The alias.
        alias: String,
        /// The version.
        version: ModelVersion,
    },
    /// Set the status of a policy version.
    SetPolicyVersionStatus {
        /// The policy version.
        id: Uuid,
        /// `active`, `deprecated` or `archived`.
        status: String,
        /// The statuses that it may replace.
        #[serde(default)]
        expect: Vec<String>,
    },
    /// Set the status of a prompt version.
    SetPromptVersionStatus {
        /// The prompt version.
        id: Uuid,
        /// `active`, `deprecated` or `archived`.
        status: String,
        /// The statuses that it may replace.
        #[serde(default)]
        expect: Vec<String>,
    },
    /// Retire a variant by renaming it.
    RetireVariant {
        /// The variant.
        variant: VariantId,
        /// Its name until now.
        #[serde(default)]
        from: String,
        /// Its new name.
        name: String,
    },
    /// Set the active experiment's status to `completed`.
    CompleteExperiment,
}

impl Step {
    /// The word in the journal.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::MoveAssignments { .. } => "move_assignments",
            Step::RedrawControl(_) => "redraw_control",
            Step::LogEvent { .. } => "log_event",
            Step::SetTag { .. } => "set_tag",
            Step::ArchiveOtherProduction { .. } => "archive_other_production",
            Step::SetAlias { .. } => "set_alias",
            Step::ReleaseAlias { .. } => "release_alias",
            Step::SetPolicyVersionStatus { .. } => "set_policy_version_status",
            Step::SetPromptVersionStatus { .. } => "set_prompt_version_status",
            Step::RetireVariant { .. } => "retire_variant",
            Step::CompleteExperiment => "complete_experiment",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::MoveAssignments { from_name, to_name, .. } => write!(f, "move the units of {from_name} to {to_name}"),
            Step::RedrawControl(redraw) => redraw.fmt(f),
            Step::LogEvent { event_type, .. } => write!(f, "log the event {event_type}"),
            Step::SetTag { version, key, value, .. } => write!(f, "tag {version} {key}={value}"),
            Step::ArchiveOtherProduction { keep, .. } => {
                write!(f, "tag every other production version of {} stage=archived", keep.model)
            }
            Step::SetAlias { alias, version, .. } => write!(f, "point alias {alias} at {version}"),
            Step::ReleaseAlias { alias, version } => write!(f, "remove alias {alias} if it points at {version}"),
            Step::SetPolicyVersionStatus { id, status, .. } => write!(f, "set policy version {id} to {status}"),
            Step::SetPromptVersionStatus { id, status, .. } => write!(f, "set prompt version {id} to {status}"),
            Step::RetireVariant { name, .. } => write!(f, "retire a variant as {name}"),
            Step::CompleteExperiment => f.write_str("complete the experiment"),
        }
    }
}
