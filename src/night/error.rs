//! What can end a night, or one experiment's part of it.

use jiff::civil::Date;
use uuid::Uuid;

use crate::control::ControlError;
use crate::evidence::FrameError;
use crate::warehouse::WarehouseError;

/// A fault of a night.
#[derive(Debug, thiserror::Error)]
pub enum NightError {
    /// The day is not over.
    #[error("as-of date {as_of} is not over (today is {today} in UTC); judge a day once it is complete")]
    NotOver {
        /// The date that was asked for.
        as_of: Date,
        /// Today.
        today: Date,
    },
    /// A later night was decided already.
    #[error("as-of date {as_of} lies before {last}, the last night that was decided; run for {last} or later")]
    TooOld {
        /// The date that was asked for.
        as_of: Date,
        /// The last decided night.
        last: Date,
    },
    /// The control store.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The warehouse is out of reach.
    #[error("the warehouse {warehouse} is out of reach")]
    Outage {
        /// Which warehouse.
        warehouse: String,
        /// Why.
        source: Box<WarehouseError>,
    },
    /// The warehouse answered what it must not.
    #[error("experiment {experiment}")]
    Frame {
        /// The experiment.
        experiment: String,
        /// What is wrong with the answer.
        source: FrameError,
    },
    /// A stored report is not one.
    #[error("the stored report of {as_of} by run {run} cannot be read; it was written by another version")]
    Report {
        /// The night.
        as_of: Date,
        /// The run.
        run: Uuid,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The rules of a decision are not stored.
    #[error("the rules {digest} of decision {decision} are not in rampkeeper.rules; the ledger has lost something")]
    RulesLost {
        /// The decision.
        decision: Uuid,
        /// The rules' digest.
        digest: String,
    },
    /// Somebody asked the run to stop.
    #[error("stopped before it was over; what was committed stays, and the next run goes on from there")]
    Stopped,
    /// No such decision.
    #[error(
        "no decision's key begins with {asked:?}; mails and reports name each decision's key, in hexadecimal digits"
    )]
    NoDecision {
        /// What was asked for.
        asked: String,
    },
    /// Several such decisions.
    #[error("several decisions' keys begin with {asked:?}: {}; give more of the key", list(.found))]
    ManyDecisions {
        /// What was asked for.
        asked: String,
        /// Some that begin like that.
        found: Vec<Uuid>,
    },
    /// Something that was asked for by hand is not done, for these reasons.
    #[error("refused; nothing was changed{}", why.iter().map(|why| format!("\n  {why}")).collect::<String>())]
    Refused {
        /// All that speaks against it.
        why: Vec<String>,
    },
}

impl NightError {
    /// Whether the other experiments cannot go on either.
    pub(super) fn ends_the_night(&self) -> bool {
        match self {
            NightError::Control(ControlError::Conflict { .. } | ControlError::Row { .. }) => false,
            NightError::Frame { .. } => false,
            NightError::Control(_)
            | NightError::NotOver { .. }
            | NightError::TooOld { .. }
            | NightError::Outage { .. }
            | NightError::Report { .. }
            | NightError::RulesLost { .. }
            | NightError::Stopped
            | NightError::NoDecision { .. }
            | NightError::ManyDecisions { .. }
            | NightError::Refused { .. } => true,
        }
    }
}

fn list(keys: &[Uuid]) -> String {
    keys.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
}
