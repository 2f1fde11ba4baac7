//! What the pages are made from: nights and experiments as they stand on record.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::Decision;
use crate::domain::{ActKind, ExperimentStatus, RolloutState, Share};
use crate::evidence::Assessment;
use crate::report::night::{CandidateReport, ExperimentReport, NightReport};

/// An experiment with all that happened to it.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its name; that of its last report if its row is gone.
    pub name: String,
    /// Where its page lies: `experiments/<file>.html`.
    pub file: String,
    /// Where it stands; none if its row is gone.
    pub status: Option<ExperimentStatus>,
    /// What is randomised.
    pub unit_type: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// Who answers for it.
    pub owners: Vec<String>,
    /// The variants now, with their shares.
    pub variants: Vec<(String, Share)>,
    /// Its candidates: those on the ramp first, then by name.
    pub candidates: Vec<CandidateStory>,
    /// What happened between the decisions, in no order.
    pub events: Vec<Happened>,
    /// What readers must know of it, as its last report tells it.
    pub notes: Vec<String>,
    /// Nights before the first that is told.
    pub earlier_nights: u64,
    /// The nights that have pages.
    pub pages: Vec<Date>,
}

/// One candidate's way.
#[derive(Clone, Debug)]
pub struct CandidateStory {
    /// Its name, as decisions knew it.
    pub name: String,
    /// Where its pictures lie: `experiments/<file>/<folder>/`.
    pub folder: String,
    /// Where it stands, if it is known.
    pub state: Option<RolloutState>,
    /// Its share now; none if its row is gone.
    pub share: Option<Share>,
    /// The last night's report of it.
    pub last: CandidateReport,
    /// What else that night said of the experiment.
    pub report: ExperimentReport,
    /// The day of that night.
    pub last_night: Date,
    /// The e-value from which on the split counts as mismatched.
    pub mismatch_from: f64,
    /// The nights, in the order in which they were decided.
    pub nights: Vec<PastNight>,
}

/// One decision.
#[derive(Clone, Debug)]
pub struct PastNight {
    /// Its key.
    pub id: Uuid,
    /// The night.
    pub as_of: Date,
    /// How often that night was decided before.
    pub revision: i64,
    /// When.
    pub decided_at: Timestamp,
    /// The candidate's share before; none where an older version kept none.
    pub share: Option<Share>,
    /// The decision.
    pub decision: Decision,
    /// What it saw.
    pub assessment: Assessment,
}

/// Something that happened between the decisions.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Event,
}

/// What can happen between decisions.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody told the job something.
    Act {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Of which candidate, if of one alone.
        candidate: Option<String>,
        /// What.
        act: ActKind,
    },
    /// The rules were changed.
    Amendment {
        /// What is different.
        changes: Vec<String>,
        /// The first day whose units count since, if the evidence begins anew.
        restarts_with: Option<Date>,
    },
    /// The shares were changed.
    Epoch {
        /// Its number.
        number: i64,
        /// Whether somebody else did it.
        outside: bool,
        /// Whether units were moved.
        moved_units: bool,
        /// Whether control's units were drawn anew.
        redrawn: bool,
        /// Whether a version came in, which is before the night decides.
        enrolled: bool,
        /// The shares since.
        shares: Vec<(String, Share)>,
    },
    /// The night let a version in.
    Enrolled {
        /// As which candidate.
        candidate: String,
        /// Which version.
        version: String,
        /// What the offline gate said.
        gate: Option<String>,
    },
    /// A value was found that is not as decided.
    Incident {
        /// What has the value.
        what: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: String,
        /// When it was over, if it is.
        over: Option<Timestamp>,
    },
}

/// A night and its neighbours.
#[derive(Clone, Debug)]
pub struct NightStory {
    /// The night as it stands on record.
    pub report: NightReport,
    /// For each of its experiments, in their order, the file of its page, if it has one.
    pub files: Vec<Option<String>>,
    /// The night before that has a page.
    pub before: Option<Date>,
    /// The night after.
    pub after: Option<Date>,
}

/// A night as one line of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NightLine {
    /// The day.
    pub as_of: Date,
    /// The first line of its mail.
    pub headline: String,
    /// Whether somebody is needed.
    pub needs: bool,
    /// What was done, a few words each.
    pub done: Vec<Deed>,
    /// How much more was done.
    pub more_done: usize,
    /// Whom and what needs somebody.
    pub needed: Vec<Deed>,
    /// How much more needs somebody.
    pub more_needed: usize,
}

/// A few words about an experiment or a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// What was done or is wanted.
    pub word: String,
    /// How that is meant: `bad`, `good`, `act`, `open`.
    pub tone: String,
    /// Of what.
    pub name: String,
    /// The file of its page.
    pub file: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub owners: Vec<String>,
}

/// An experiment as one line of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentLine {
    /// Its name.
    pub name: String,
    /// The file of its page.
    pub file: String,
    /// Where it stands.
    pub status: String,
    /// Its candidates.
    pub candidates: Vec<CandidateLine>,
}

/// A candidate as one line of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateLine {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: String,
    /// Its share.
    pub share: String,
    /// The share in whole percent, for a bar.
    pub percent: u8,
    /// The last decision's word.
    pub word: String,
    /// How that is meant.
    pub tone: String,
    /// Why, in a few words.
    pub why: String,
    /// The last night.
    pub last_night: Date,
    /// Whether somebody is needed.
    pub needs: bool,
}

/// The first page.
#[derive(Clone, Debug)]
pub struct Front {
    /// The nights, the latest first.
    pub nights: Vec<NightLine>,
    /// The nights that are not shown.
    pub earlier_nights: u64,
    /// The experiments, by name.
    pub experiments: Vec<ExperimentLine>,
    /// How many experiments' pages are as of an earlier night, or not there yet.
    pub behind: u64,
    /// What is still to be done.
    pub unfinished: Vec<String>,
}
