//! The journal, carried out: every pending action, in its order, each idempotent, none of them choosing anything.
//!
//! An action that fails stays pending and is tried again by the next run before that run decides anything new. The
//! allocation change is not among them: it was committed together with the decision.
//!
//! One action that fails must neither hold up the night nor be overtaken:
//!
//! - Once an adapter is found to be away, its other actions of that pass are skipped.
//! - The registry sees the steps of an experiment in their order: behind one that is still to be done, they wait. Else
//!   an alias could be removed today and set tomorrow by the older step.
//! - What failed in a run is not tried twice by it.

mod deed;
mod error;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::control::{ControlError, ControlStore, PendingAction};
use crate::domain::ExperimentId;
use crate::notify::{Mail, Mailer};
use crate::plan::Step;
use crate::registry::Registry;
use crate::report::MailDraft;

pub use deed::{action_of_mail, actions_of, experiment_of, sentence_of};
pub use error::chain;

use deed::{Adapter, Deed, MAIL, StepPayload};
use error::ActionError;

/// What carries out the journal, during one run.
pub struct Applier<'a> {
    control: &'a ControlStore,
    registry: &'a dyn Registry,
    mailer: Option<&'a dyn Mailer>,
    now: Timestamp,
    left: Vec<Left>,
}

/// How one action went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// Its key.
    pub idempotency_key: String,
    /// The decision that it follows.
    pub decision: Option<Uuid>,
    /// What was to be done, as a sentence.
    pub what: String,
    /// Why it is not done, if it is not.
    pub error: Option<String>,
}

/// What this run has not done.
struct Left {
    action: Applied,
    /// Whether it was tried, or only skipped.
    tried: bool,
}

/// What a pass has met so far.
#[derive(Default)]
struct Pass {
    away: BTreeSet<Adapter>,
    behind: BTreeSet<ExperimentId>,
}

impl Pass {
    /// Why an action is not to be tried now.
    fn skips(&self, adapter: Adapter, experiment: Option<ExperimentId>) -> Option<&'static str> {
        match adapter {
            Adapter::Registry if self.away.contains(&adapter) => Some("skipped: the registry did not answer"),
            Adapter::Mail if self.away.contains(&adapter) => Some("skipped: no mail could be sent just before"),
            Adapter::Registry if experiment.is_some_and(|id| self.behind.contains(&id)) => {
                Some("skipped: an earlier step of the same experiment is still to be done")
            }
            Adapter::Control | Adapter::Registry | Adapter::Mail => None,
        }
    }
}

impl<'a> Applier<'a> {
    /// An applier for the run that began at `now`. Without a `mailer`, mails stay in the journal.
    pub fn new(
        control: &'a ControlStore,
        registry: &'a dyn Registry,
        mailer: Option<&'a dyn Mailer>,
        now: Timestamp,
    ) -> Self {
        Self { control, registry, mailer, now, left: Vec::new() }
    }

    /// Carries out what is pending, but for what this run has tried already, and notes each result in the journal.
    ///
    /// # Errors
    /// Only where the journal itself cannot be read or written; a failed action is a result.
    pub async fn apply_pending(&mut self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|_| true).await
    }

    /// The same for the mails alone.
    ///
    /// # Errors
    /// As [`Applier::apply_pending`].
    pub async fn apply_mail(&mut self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|action| action.kind == MAIL).await
    }

    /// What this run has not done, each with the reason, as sentences.
    pub fn unfinished(&self) -> Vec<String> {
        let told = |action: &Applied| action.error.as_ref().map(|error| format!("{}: {error}", action.what));
        self.left.iter().filter_map(|left| told(&left.action)).collect()
    }

    async fn apply(&mut self, wanted: impl Fn(&PendingAction) -> bool) -> Result<Vec<Applied>, ControlError> {
        let mut pass = Pass::default();
        let mut applied = Vec::new();
        for action in self.control.pending_actions(self.now).await?.into_iter().filter(wanted) {
            let experiment = experiment_of(&action);
            if self.left.iter().any(|left| left.tried && left.action.idempotency_key == action.idempotency_key) {
                pass.behind.extend(experiment);
                continue;
            }
            let deed = Deed::of(&action);
            let what = deed.as_ref().map_or_else(|_| format!("carry out {}", action.kind), Deed::told);
            let adapter = deed.as_ref().map_or(Adapter::Control, Deed::adapter);
            let skipped = pass.skips(adapter, experiment);
            let error = match skipped {
                Some(why) => {
                    tracing::info!(action = %action.idempotency_key, "did not {what}: {why}");
                    Some(why.to_owned())
                }
                None => self.attempt(&action, deed, &what, &mut pass).await?,
            };
            let outcome = Applied { idempotency_key: action.idempotency_key, decision: action.decision, what, error };
            self.left.retain(|left| left.action.idempotency_key != outcome.idempotency_key);
            if outcome.error.is_some() {
                self.left.push(Left { action: outcome.clone(), tried: skipped.is_none() });
            }
            applied.push(outcome);
        }
        Ok(applied)
    }

    /// Tries one action and notes the result in the journal. Answers why it is not done, if it is not.
    async fn attempt(
        &self,
        action: &PendingAction,
        deed: Result<Deed, ActionError>,
        what: &str,
        pass: &mut Pass,
    ) -> Result<Option<String>, ControlError> {
        let key = &action.idempotency_key;
        let result = match deed {
            Ok(deed) => self.carry_out(key, deed).await,
            Err(unknown) => Err(unknown),
        };
        let Err(error) = result else {
            tracing::info!(action = %key, "{what}");
            self.control.action_done(key, self.now).await?;
            return Ok(None);
        };
        let told = chain(&error);
        let for_good = error.is_for_good();
        let again = if for_good { "given up" } else { "tried again by the next run" };
        tracing::warn!(action = %key, attempts = action.attempts + 1, "could not {what}: {told} ({again})");
        self.control.action_failed(key, &told, for_good, self.now).await?;
        pass.away.extend(error.outage());
        // What is given up holds nobody up.
        pass.behind.extend(experiment_of(action).filter(|_| !for_good));
        Ok(Some(if for_good { format!("given up: {told}") } else { told }))
    }

    async fn carry_out(&self, key: &str, deed: Deed) -> Result<(), ActionError> {
        match deed {
            Deed::Mail(draft) => {
                let mailer = self.mailer.ok_or(ActionError::NoMailer)?;
                mailer.send(&Mail::from(draft)).await?;
                Ok(())
            }
            Deed::Step(payload) => self.step(key, payload).await,
        }
    }

    async fn step(&self, key: &str, payload: StepPayload) -> Result<(), ActionError> {
        let StepPayload { experiment, unit_type, step } = payload;
        match step {
            Step::MoveAssignments { from, to, .. } => {
                let moved = self.control.move_assignments(key, experiment, from, to, self.now).await?;
                tracing::info!(moved, "units moved");
            }
            Step::LogEvent { event_type, variant, payload } => {
                let about = (experiment, unit_type.as_str(), variant);
                self.control.log_event(key, about, &event_type, &payload, self.now).await?;
            }
            Step::SetTag { version, key, value } => self.registry.set_tag(&version, &key, &value).await?,
            Step::ArchiveOtherProduction { keep } => {
                for version in self.registry.versions_tagged(&keep.model, "stage", "production").await? {
                    if version != keep {
                        self.registry.set_tag(&version, "stage", "archived").await?;
                    }
                }
            }
            Step::SetAlias { alias, version } => self.registry.set_alias(&version, &alias).await?,
            Step::ReleaseAlias { alias, version } => {
                if self.registry.alias(&version.model, &alias).await?.as_ref() == Some(&version) {
                    self.registry.delete_alias(&version.model, &alias).await?;
                }
            }
            Step::SetPolicyVersionStatus { id, status } => self.control.set_policy_version_status(id, &status).await?,
            Step::SetPromptVersionStatus { id, status } => self.control.set_prompt_version_status(id, &status).await?,
            Step::RetireVariant { variant, name } => self.control.retire_variant(variant, &name).await?,
            Step::CompleteExperiment => self.control.complete_experiment(experiment, self.now).await?,
        }
        Ok(())
    }
}

impl From<MailDraft> for Mail {
    fn from(draft: MailDraft) -> Mail {
        Mail {
            from: draft.from,
            to: draft.to,
            reply_to: draft.reply_to,
            subject: draft.subject,
            text: draft.text,
            html: draft.html,
            message_id: draft.message_id,
            date: draft.date,
            in_reply_to: None,
            list_id: Some(draft.list_id),
            headers: draft.headers,
            inline_images: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
