//! Why an action could not be carried out, and what that means for the others.

use super::deed::Adapter;
use crate::control::ControlError;
use crate::notify::{CallError, MailError};
use crate::registry::RegistryError;

/// Why an action could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActionError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Chat(#[from] CallError),
    #[error("no mail is configured, so this mail has no way to go; configure `mail` again")]
    NoMailer,
    #[error("the journal holds an action that this version does not know ({kind}): {error}")]
    Unknown { kind: String, error: String },
}

impl ActionError {
    /// Whether no later night, and no other configuration, can carry the action out.
    pub(super) fn is_for_good(&self) -> bool {
        match self {
            ActionError::Control(error) => matches!(error, ControlError::Gone { .. }),
            ActionError::Mail(error) => error.is_for_good(),
            ActionError::Chat(error) => error.is_for_good(),
            ActionError::Registry(_) | ActionError::NoMailer | ActionError::Unknown { .. } => false,
        }
    }

    /// Whether it was tried once only and may be better in a moment: a database that is locked or restarts. A registry's,
    /// a mail server's and a chat's calls are repeated by their adapters.
    pub(super) fn is_worth_a_moment(&self) -> bool {
        match self {
            ActionError::Control(error) => error.is_transient(),
            ActionError::Registry(error) => error.is_worth_a_moment(),
            ActionError::Mail(_) | ActionError::Chat(_) | ActionError::NoMailer | ActionError::Unknown { .. } => false,
        }
    }

    /// The adapter that is away, so that its other actions would only wait as long and fail as well.
    pub(super) fn outage(&self) -> Option<Adapter> {
        match self {
            // A server that says 500 is there; what it stumbles over may be this one call.
            ActionError::Registry(error) if error.refusal().is_some_and(|refusal| refusal.status == 500) => None,
            ActionError::Registry(error) => error.is_transient().then_some(Adapter::Registry),
            ActionError::Mail(error) => error.is_outage().then_some(Adapter::Mail),
            // One chat that is away says nothing of another.
            ActionError::Chat(_) => None,
            ActionError::Control(_) | ActionError::NoMailer | ActionError::Unknown { .. } => None,
        }
    }

    /// Whether the chat that was to be told is away, so that its other messages would only wait as long and fail as well.
    pub(super) fn is_silent_chat(&self) -> bool {
        matches!(self, ActionError::Chat(error) if error.is_outage())
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
