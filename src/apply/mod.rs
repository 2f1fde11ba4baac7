//! The journal, carried out: every pending action, in its order, each idempotent, none of them choosing anything.
//!
//! An action that fails stays pending and is tried again by the next run before that run decides anything new. The
//! allocation change is not among them: it was committed together with the decision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::control::{ControlError, ControlStore, NewAction, PendingAction};
use crate::domain::{Experiment, ExperimentId, VariantId};
use crate::notify::{Mail, MailError, Mailer};
use crate::plan::{Plan, Step};
use crate::registry::{Registry, RegistryError};
use crate::report::MailDraft;

/// What carries out the journal.
pub struct Applier<'a> {
    /// The control store with the journal.
    pub control: &'a ControlStore,
    /// The model registry.
    pub registry: &'a dyn Registry,
    /// The way to the readers, if there is one.
    pub mailer: Option<&'a dyn Mailer>,
    /// The time of this run.
    pub now: Timestamp,
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

/// A step with what it needs to know of its experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StepPayload {
    experiment: ExperimentId,
    unit_type: String,
    step: Step,
}

/// Why an action could not be carried out.
#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("no mail is configured, so this mail has no way to go; configure `mail` again")]
    NoMailer,
    #[error("the journal holds an action that this version does not know ({kind}): {error}")]
    Unknown { kind: String, error: String },
}

impl ActionError {
    /// Whether trying again cannot help.
    fn is_for_good(&self) -> bool {
        matches!(self, ActionError::Mail(error) if error.is_permanent())
    }
}

/// The journal entries of a plan's steps. `decision_of` names the decision of each candidate.
pub fn actions_of(
    experiment: &Experiment,
    plan: &Plan,
    decision_of: impl Fn(VariantId) -> Option<Uuid>,
) -> Vec<NewAction> {
    let steps = plan.steps.iter().enumerate().filter_map(|(index, planned)| {
        let decision = decision_of(planned.candidate)?;
        let payload = StepPayload {
            experiment: experiment.id,
            unit_type: experiment.unit_type.clone(),
            step: planned.step.clone(),
        };
        Some(NewAction {
            idempotency_key: format!("{decision}/{index}/{}", planned.step.kind()),
            decision: Some(decision),
            kind: planned.step.kind().to_owned(),
            payload: json!(payload),
        })
    });
    steps.collect()
}

/// The journal entry of a mail.
pub fn action_of_mail(draft: &MailDraft) -> NewAction {
    NewAction {
        idempotency_key: format!("mail/{}", draft.message_id),
        decision: None,
        kind: MAIL.to_owned(),
        payload: json!(draft),
    }
}

const MAIL: &str = "mail";

impl Applier<'_> {
    /// Carries out everything that is pending and notes each result in the journal.
    ///
    /// # Errors
    /// Only where the journal itself cannot be read or written; a failed action is a result.
    pub async fn apply_pending(&self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|_| true).await
    }

    /// Carries out the mails that are pending, and nothing else.
    ///
    /// # Errors
    /// As [`Applier::apply_pending`].
    pub async fn apply_mail(&self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|action| action.kind == MAIL).await
    }

    async fn apply(&self, wanted: impl Fn(&PendingAction) -> bool) -> Result<Vec<Applied>, ControlError> {
        let mut applied = Vec::new();
        for action in self.control.pending_actions().await?.into_iter().filter(wanted) {
            let key = action.idempotency_key.clone();
            let decision = action.decision;
            let (what, result) = self.carry_out(&action).await;
            let error = match result {
                Ok(()) => {
                    tracing::info!(action = %key, "{what}");
                    self.control.action_done(&key, self.now).await?;
                    None
                }
                Err(error) => {
                    let told = chain(&error);
                    tracing::warn!(action = %key, attempts = action.attempts + 1, "could not {what}: {told}");
                    self.control.action_failed(&key, &told, error.is_for_good(), self.now).await?;
                    Some(told)
                }
            };
            applied.push(Applied { idempotency_key: key, decision, what, error });
        }
        Ok(applied)
    }

    async fn carry_out(&self, action: &PendingAction) -> (String, Result<(), ActionError>) {
        let unknown =
            |error: serde_json::Error| ActionError::Unknown { kind: action.kind.clone(), error: error.to_string() };
        if action.kind == MAIL {
            return match serde_json::from_value::<MailDraft>(action.payload.clone()) {
                Ok(draft) => (format!("send the mail {:?}", draft.subject), self.send(draft).await),
                Err(error) => ("send a mail".to_owned(), Err(unknown(error))),
            };
        }
        match serde_json::from_value::<StepPayload>(action.payload.clone()) {
            Ok(payload) => {
                let what = payload.step.to_string();
                (what, self.step(&action.idempotency_key, payload).await)
            }
            Err(error) => (format!("carry out {}", action.kind), Err(unknown(error))),
        }
    }

    async fn send(&self, draft: MailDraft) -> Result<(), ActionError> {
        let mailer = self.mailer.ok_or(ActionError::NoMailer)?;
        mailer.send(&Mail::from(draft)).await?;
        Ok(())
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

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.ends_with(&cause_told) {
            told = format!("{told}: {cause_told}");
        }
        source = cause.source();
    }
    told
}
