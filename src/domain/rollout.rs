//! Where a candidate stands on its way to production.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::experiment::{ExperimentId, VariantId};

/// Whether a candidate is still being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStatus {
    /// On the ramp.
    Ramping,
    /// Became the baseline.
    Promoted,
    /// Returned to control; the arm stays closed.
    RolledBack,
    /// Closed because a sibling was promoted.
    Superseded,
}

impl RolloutStatus {
    /// The word that the control tables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ramping => "ramping",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }
}

impl std::str::FromStr for RolloutStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "ramping" => Self::Ramping,
            "promoted" => Self::Promoted,
            "rolled_back" => Self::RolledBack,
            "superseded" => Self::Superseded,
            other => return Err(format!("{other:?} is not one of ramping, promoted, rolled_back, superseded")),
        })
    }
}

/// The state of one candidate's ramp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutState {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The candidate.
    pub candidate: VariantId,
    /// Whether it is still being judged.
    pub status: RolloutStatus,
    /// The index of its stage in the policy's ramp.
    pub stage: usize,
    /// The as-of date of the night that brought it to this stage; the stage's first full day is the next one.
    pub entered_on: Date,
    /// Counts the changes of this state; every change is guarded by the number that it was computed from.
    pub version: i64,
}
