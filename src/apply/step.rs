//! One step, carried out and read back.

use uuid::Uuid;

use super::error::ActionError;
use super::incidents::{Subject, Words};
use super::{Applier, DISTANT, StepPayload};
use crate::control::Change;
use crate::domain::{ExperimentId, VariantId};
use crate::plan::Step;

/// How a step ended that met no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is done, by now or before.
    Done,
    /// Somebody else has set the value, and it was left alone; that is told as an incident.
    LeftAlone(String),
    /// It did not hold, and the next run is to try again.
    Again(String),
}

/// How often an arm is swept at once: units may join it behind the sweep's back.
pub(super) const SWEEPS: usize = 3;

/// A step at work.
pub(super) struct StepRun<'a> {
    pub(super) applier: &'a Applier<'a>,
    /// The action's key.
    pub(super) key: &'a str,
    /// The decision that it follows.
    pub(super) decision: Option<Uuid>,
}

impl StepRun<'_> {
    pub(super) async fn carry_out(&self, payload: &StepPayload) -> Result<End, ActionError> {
        let (control, now) = (self.applier.control, self.applier.now);
        let StepPayload { experiment, name, unit_type, step } = payload;
        let changed = match step {
            Step::MoveAssignments { from, from_name, to, .. } => {
                return self.sweep(*experiment, name, (*from, from_name), *to).await;
            }
            Step::RedrawControl(redraw) => return self.redraw(*experiment, name, redraw).await,
            Step::LogEvent { event_type, variant, payload } => {
                let about = (*experiment, unit_type.as_str(), *variant);
                control.log_event(self.key, about, event_type, payload, now).await?;
                return Ok(End::Done);
            }
            Step::SetTag { version, key, value, expect, insist } => {
                return self.write_tag(version, (key, value), expect, *insist).await;
            }
            Step::ArchiveOtherProduction { keep, expect } => return self.archive_other_production(keep, expect).await,
            Step::SetAlias { alias, version, expect, or_production } => {
                return self.point_alias(alias, version, expect, *or_production).await;
            }
            Step::ReleaseAlias { alias, version } => return self.release_alias(alias, version).await,
            Step::SetPolicyVersionStatus { id, status, expect } => {
                let change = control.set_policy_version_status(*id, status, expect).await?;
                (change, format!("the status of policy version {id}"), expect.join(" or "), status.as_str())
            }
            Step::SetPromptVersionStatus { id, status, expect } => {
                let change = control.set_prompt_version_status(*id, status, expect).await?;
                (change, format!("the status of prompt version {id}"), expect.join(" or "), status.as_str())
            }
            Step::RetireVariant { variant, from, name: to } => {
                let change = control.retire_variant(*variant, from, to).await?;
                (change, format!("the name of {name}/{from}"), from.clone(), to.as_str())
            }
            Step::CompleteExperiment => {
                let change = control.complete_experiment(*experiment, now).await?;
                (change, format!("the status of {name}"), "active".to_owned(), "completed")
            }
        };
        let (Change::Other(found), what, expected, wanted) = changed else { return Ok(End::Done) };
        let words = Words {
            what,
            expected: format!("{expected}, before it is set to {wanted}"),
            found,
            advice: format!(
                "somebody else has set that, so it was left alone; set it to {wanted} yourself if that is wanted"
            ),
        };
        self.left_alone(words, None).await
    }

    /// Sweeps an arm until no unit is left on it, and counts.
    ///
    /// The first sweep comes while assignment services may still give out the arm; so it answers for the units that were
    /// there when this run began. The second comes when the split has settled, and answers for all.
    async fn sweep(
        &self,
        experiment: ExperimentId,
        name: &str,
        (from, from_name): (VariantId, &str),
        to: VariantId,
    ) -> Result<End, ActionError> {
        let control = self.applier.control;
        let settled = self.key.ends_with(super::deed::AGAIN);
        let assigned_before = if settled { DISTANT } else { self.applier.now };
        let mut left = 0;
        for _ in 0..SWEEPS {
            let moved = control.move_assignments(self.key, experiment, from, to, self.applier.now).await?;
            tracing::info!(action = self.key, moved, "units moved");
            left = control.units_on(experiment, from, assigned_before).await?;
            if left == 0 {
                return Ok(End::Done);
            }
        }
        let what = format!("the units on {name}/{from_name}");
        let advice = if settled {
            "its share was taken away longer ago than the settling time, and units still come to it: let the assignment \
             service read exp.variants.allocation again; the next run sweeps them"
        } else {
            "they were moved and are there all the same: look for a trigger or a program that writes exp.assignments; \
             the next run tries again"
        };
        let words =
            Words { what: what.clone(), expected: "0".to_owned(), found: left.to_string(), advice: advice.to_owned() };
        let subject = Subject::Units { experiment, variant: from };
        self.applier.note(self.decision, Some(self.key), words, Some(&subject)).await?;
        Ok(End::Again(format!("{what} are {left}, not 0, after a sweep")))
    }

    /// Tells of somebody else's value.
    pub(super) async fn left_alone(&self, words: Words, subject: Option<&Subject>) -> Result<End, ActionError> {
        let told = format!("left alone: {} is {}, expected {}", words.what, words.found, words.expected);
        self.applier.note(self.decision, Some(self.key), words, subject).await?;
        Ok(End::LeftAlone(told))
    }
}
