//! What people told the job to do: approvals, holds and rollbacks by hand. Acts are kept for ever and never changed; what
//! holds now is read off them.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::experiment::{ExperimentId, VariantId};
use super::rollout::RolloutState;
use super::share::Share;

/// One thing that somebody told the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Its key.
    pub id: Uuid,
    /// What is asked for.
    pub kind: ActKind,
    /// The experiment; none for all of them.
    pub experiment: Option<ExperimentId>,
    /// The candidate; none for all of the experiment's.
    pub candidate: Option<VariantId>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum ActKind {
    /// Let the candidate leave the stage at which a decision found it waiting.
    Approve {
        /// The decision that waits.
        decision: Uuid,
        /// The night of that decision.
        as_of: Date,
        /// The stage that may be left.
        stage: usize,
    },
    /// Keep it there.
    Reject {
        /// The decision that waits.
        decision: Uuid,
        /// The night of that decision.
        as_of: Date,
        /// The stage that is not left.
        stage: usize,
    },
    /// Neither ramp nor promote.
    Hold {
        /// The last day of it; none for until it is lifted.
        until: Option<Date>,
        /// Not even proven harm is rolled back meanwhile.
        even_if_harmful: bool,
    },
    /// Lift what is held.
    Resume,
    /// Back to control at once.
    Rollback,
    /// Let a version in as a candidate.
    Enroll {
        /// The version, as NAME/VERSION.
        version: String,
        /// The share that it begins with.
        share: Share,
        /// Whether a rule was set aside for it.
        forced: bool,
    },
}

impl ActKind {
    /// The word in tables.
    pub fn word(&self) -> &'static str {
        match self {
            ActKind::Approve { .. } => "approve",
            ActKind::Reject { .. } => "reject",
            ActKind::Hold { .. } => "hold",
            ActKind::Resume => "resume",
            ActKind::Rollback => "rollback",
            ActKind::Enroll { .. } => "enroll",
        }
    }
}

/// Who said something, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl From<&Act> for Said {
    fn from(act: &Act) -> Said {
        Said { by: act.by.clone(), reason: act.reason.clone() }
    }
}

/// A hold that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManualHold {
    /// Who placed it, and why.
    pub said: Said,
    /// Its last day.
    pub until: Option<Date>,
    /// Whether it keeps even proven harm from being rolled back.
    pub even_if_harmful: bool,
}

/// What people want of one candidate now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// A hold on it, on its experiment or on everything.
    pub hold: Option<ManualHold>,
    /// That it may leave its present stage.
    pub approved: Option<Said>,
    /// That it may not.
    pub rejected: Option<Said>,
    /// That it is to go.
    pub rollback: Option<Said>,
}

impl Wish {
    /// Reads off the acts, in the order in which they were told, what holds for a candidate on the day `today`.
    ///
    /// The last hold or resume that concerns the candidate counts, whether it was told of it, of its experiment or of
    /// everything. A word about a stage counts as long as the candidate stands at that stage without having left it.
    pub fn of(acts: &[Act], state: &RolloutState, today: Date) -> Wish {
        let mut wish = Wish::default();
        for act in acts {
            let ours = act.experiment.is_none_or(|id| id == state.experiment)
                && act.candidate.is_none_or(|id| id == state.candidate);
            if !ours {
                continue;
            }
            match &act.kind {
                ActKind::Hold { until, even_if_harmful } => {
                    wish.hold = Some(ManualHold { said: act.into(), until: *until, even_if_harmful: *even_if_harmful });
                }
                ActKind::Resume => wish.hold = None,
                ActKind::Rollback => wish.rollback = Some(act.into()),
                ActKind::Approve { as_of, stage, .. } if here(state, *as_of, *stage) => {
                    (wish.approved, wish.rejected) = (Some(act.into()), None);
                }
                ActKind::Reject { as_of, stage, .. } if here(state, *as_of, *stage) => {
                    (wish.approved, wish.rejected) = (None, Some(act.into()));
                }
                ActKind::Approve { .. } | ActKind::Reject { .. } | ActKind::Enroll { .. } => {}
            }
        }
        wish.hold = wish.hold.filter(|hold| hold.until.is_none_or(|until| today <= until));
        wish
    }
}

fn here(state: &RolloutState, as_of: Date, stage: usize) -> bool {
    stage == state.stage && as_of >= state.entered_on
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RolloutStatus;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 3, 10);

    fn state() -> RolloutState {
        RolloutState {
            experiment: ExperimentId(Uuid::from_u128(1)),
            candidate: VariantId(Uuid::from_u128(2)),
            status: RolloutStatus::Ramping,
            stage: 1,
            entered_on: date(2026, 3, 5),
            version: 3,
        }
    }

    fn act(kind: ActKind) -> Act {
        let state = state();
        Act {
            id: Uuid::nil(),
            kind,
            experiment: Some(state.experiment),
            candidate: Some(state.candidate),
            by: "ana".into(),
            reason: "because".into(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn hold(until: Option<Date>) -> Act {
        act(ActKind::Hold { until, even_if_harmful: false })
    }

    #[test]
    fn a_hold_lasts_until_its_day_or_until_it_is_lifted() {
        assert!(Wish::of(&[hold(None)], &state(), TODAY).hold.is_some());
        assert!(Wish::of(&[hold(Some(TODAY))], &state(), TODAY).hold.is_some());
        assert_eq!(Wish::of(&[hold(Some(date(2026, 3, 9)))], &state(), TODAY).hold, None);
        assert_eq!(Wish::of(&[hold(None), act(ActKind::Resume)], &state(), TODAY).hold, None);
        let everything = Act { experiment: None, candidate: None, ..hold(None) };
        assert!(Wish::of(&[act(ActKind::Resume), everything], &state(), TODAY).hold.is_some());
        let other = Act { candidate: Some(VariantId(Uuid::from_u128(9))), ..hold(None) };
        assert_eq!(Wish::of(&[other], &state(), TODAY).hold, None);
    }

    #[test]
    fn an_approval_is_for_one_stay_at_one_stage() {
        let approve = |as_of, stage| act(ActKind::Approve { decision: Uuid::nil(), as_of, stage });
        assert!(Wish::of(&[approve(date(2026, 3, 9), 1)], &state(), TODAY).approved.is_some());
        assert_eq!(Wish::of(&[approve(date(2026, 3, 9), 0)], &state(), TODAY).approved, None, "another stage");
        assert_eq!(Wish::of(&[approve(date(2026, 3, 4), 1)], &state(), TODAY).approved, None, "an earlier stay");
        let reject = act(ActKind::Reject { decision: Uuid::nil(), as_of: date(2026, 3, 9), stage: 1 });
        let wish = Wish::of(&[approve(date(2026, 3, 9), 1), reject], &state(), TODAY);
        assert!(wish.approved.is_none() && wish.rejected.is_some());
    }
}
