//! What an entry of the journal says: written when a night decides, read when it is carried out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::error::ActionError;
use crate::control::{NewAction, PendingAction, UNDO_MOVES};
use crate::domain::{Experiment, ExperimentId, ModelVersion, VariantId};
use crate::plan::{Plan, Step};
use crate::report::{ChatDraft, MailDraft};

pub(super) const MAIL: &str = "mail";
/// The word in the journal for a version that is marked as a candidate.
const MARK_CANDIDATE: &str = "mark_candidate";
pub(super) const CHAT: &str = "chat";

/// A step with what it needs to know of its experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StepPayload {
    pub(super) experiment: ExperimentId,
    /// The experiment's name, for words.
    #[serde(default)]
    pub(super) name: String,
    pub(super) unit_type: String,
    pub(super) step: Step,
}

/// A journalled action, read.
#[derive(Debug)]
pub(super) enum Deed {
    Mail(MailDraft),
    Chat(ChatDraft),
    Step(StepPayload),
    /// A decision's moves are taken back, as somebody has asked for.
    Undo(UndoPayload),
    /// A version passed offline evaluation.
    Candidate(CandidatePayload),
}

/// Which version is marked as a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CandidatePayload {
    pub(super) version: ModelVersion,
}

/// Which decision's moves go back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct UndoPayload {
    pub(super) decision: Uuid,
}

/// Who carries an action out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Adapter {
    Control,
    Registry,
    Mail,
    Chat,
}

/// The journal entries of a plan's steps. `decision_of` names the decision of each candidate.
pub fn actions_of(
    experiment: &Experiment,
    plan: &Plan,
    decision_of: impl Fn(VariantId) -> Option<Uuid>,
    settled: Timestamp,
) -> Vec<NewAction> {
    let steps = plan.steps.iter().enumerate().filter_map(|(index, planned)| {
        let decision = decision_of(planned.candidate)?;
        let payload = StepPayload {
            experiment: experiment.id,
            name: experiment.name.clone(),
            unit_type: experiment.unit_type.clone(),
            step: planned.step.clone(),
        };
        Some(NewAction {
            idempotency_key: format!("{decision}/{index}/{}", planned.step.kind()),
            decision: Some(decision),
            kind: planned.step.kind().to_owned(),
            payload: json!(payload),
            not_before: None,
        })
    });
    let mut actions: Vec<NewAction> = steps.collect();
    // Until the new split has settled, units may still be given the arm that was left; a second sweep takes them, too.
    let sweeps = actions.iter().filter(|action| action.kind == SWEPT_TWICE).map(|action| NewAction {
        idempotency_key: format!("{}{AGAIN}", action.idempotency_key),
        not_before: Some(settled),
        ..action.clone()
    });
    actions.extend(sweeps.collect::<Vec<_>>());
    actions
}

/// The kind of step that is repeated once the split has settled.
const SWEPT_TWICE: &str = "move_assignments";

/// How the key of that repetition ends.
pub(super) const AGAIN: &str = "/again";

/// The journal entries of what an enrolment changes in the registry.
pub fn actions_of_enrolment(experiment: &Experiment, enrolment: Uuid, steps: &[Step]) -> Vec<NewAction> {
    let entries = steps.iter().enumerate().map(|(index, step)| NewAction {
        idempotency_key: format!("enrol/{enrolment}/{index}/{}", step.kind()),
        decision: None,
        kind: step.kind().to_owned(),
        payload: json!(StepPayload {
            experiment: experiment.id,
            name: experiment.name.clone(),
            unit_type: experiment.unit_type.clone(),
            step: step.clone(),
        }),
        not_before: None,
    });
    entries.collect()
}

/// The journal entry of a version that passed offline evaluation.
pub fn action_of_candidate(qualification: Uuid, version: &ModelVersion) -> NewAction {
    NewAction {
        idempotency_key: format!("qualify/{qualification}/{MARK_CANDIDATE}"),
        decision: None,
        kind: MARK_CANDIDATE.to_owned(),
        payload: json!(CandidatePayload { version: version.clone() }),
        not_before: None,
    }
}

/// The key of a mail in the journal.
pub fn key_of_mail(message_id: &str) -> String {
    format!("mail/{message_id}")
}

/// The journal entry of a mail.
pub fn action_of_mail(draft: &MailDraft) -> NewAction {
    NewAction {
        idempotency_key: key_of_mail(&draft.message_id),
        decision: None,
        kind: MAIL.to_owned(),
        payload: json!(draft),
        not_before: None,
    }
}

/// The journal entry of a message to a chat: one for each place, so that one of them keeps no other waiting.
pub fn action_of_chat(draft: &ChatDraft) -> NewAction {
    NewAction {
        idempotency_key: format!("chat/{}/{}", draft.place, draft.id),
        decision: None,
        kind: CHAT.to_owned(),
        payload: json!(draft),
        not_before: None,
    }
}

impl Deed {
    pub(super) fn of(action: &PendingAction) -> Result<Deed, ActionError> {
        let payload = action.payload.clone();
        let read = match action.kind.as_str() {
            MAIL => serde_json::from_value(payload).map(Deed::Mail),
            CHAT => serde_json::from_value(payload).map(Deed::Chat),
            UNDO_MOVES => serde_json::from_value(payload).map(Deed::Undo),
            MARK_CANDIDATE => serde_json::from_value(payload).map(Deed::Candidate),
            _ => serde_json::from_value(payload).map(Deed::Step),
        };
        read.map_err(|error| ActionError::Unknown { kind: action.kind.clone(), error: error.to_string() })
    }

    pub(super) fn adapter(&self) -> Adapter {
        match self {
            Deed::Mail(_) => Adapter::Mail,
            Deed::Chat(_) => Adapter::Chat,
            Deed::Undo(_) => Adapter::Control,
            Deed::Candidate(_) => Adapter::Registry,
            Deed::Step(payload) => match payload.step {
                Step::SetTag { .. }
                | Step::ArchiveOtherProduction { .. }
                | Step::SetAlias { .. }
                | Step::ReleaseAlias { .. } => Adapter::Registry,
                Step::MoveAssignments { .. }
                | Step::RedrawControl(_)
                | Step::LogEvent { .. }
                | Step::SetPolicyVersionStatus { .. }
                | Step::SetPromptVersionStatus { .. }
                | Step::RetireVariant { .. }
                | Step::CompleteExperiment => Adapter::Control,
            },
        }
    }

    /// Where it is told, if it is a message to a chat: each of these is away or there on its own.
    pub(super) fn place(&self) -> Option<&str> {
        match self {
            Deed::Chat(draft) => Some(&draft.place),
            Deed::Mail(_) | Deed::Step(_) | Deed::Undo(_) | Deed::Candidate(_) => None,
        }
    }

    /// The deed as a sentence.
    pub(super) fn told(&self) -> String {
        match self {
            Deed::Mail(draft) => format!("send the mail {:?}", draft.subject),
            Deed::Chat(draft) => format!("post {:?} to the chat of {}", draft.about, draft.place),
            Deed::Step(payload) => payload.step.to_string(),
            Deed::Candidate(payload) => format!("tag {} stage=candidate", payload.version),
            Deed::Undo(payload) => format!("take the units that decision {} moved back", payload.decision),
        }
    }
}

/// The experiment that an action belongs to, read even from a step that this version does not know.
pub fn experiment_of(action: &PendingAction) -> Option<ExperimentId> {
    serde_json::from_value(action.payload.get("experiment")?.clone()).ok()
}

/// The action as a sentence; of one that this version does not know, its kind.
pub fn sentence_of(action: &PendingAction) -> String {
    Deed::of(action).map_or_else(|_| action.kind.clone(), |deed| deed.told())
}
