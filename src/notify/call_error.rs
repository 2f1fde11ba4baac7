//! Why a webhook or a heartbeat was not reached. None of these errors holds the address.

use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The settings can't be used.
    #[error("{0}")]
    Settings(String),
    /// What was to be told has no place any more.
    #[error("no chat is configured for {place} any more")]
    NoPlace {
        /// The place, as the journal names it.
        place: String,
    },
    /// No answer came.
    #[error("{server} could not be reached{}", tried(*attempts))]
    Unreachable {
        /// Scheme, host and port.
        server: String,
        /// How often it was tried.
        attempts: u32,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{server} answered {status}{}{}{}", quoted(said), hint(*status), tried(*attempts))]
    Refused {
        /// Scheme, host and port.
        server: String,
        /// The status of the answer.
        status: u16,
        /// The beginning of the answer.
        said: String,
        /// Whether it may say yes later: 408, 425, 429, 5xx.
        transient: bool,
        /// How often it was tried.
        attempts: u32,
        /// The wait that it asks for.
        retry_after: Option<Duration>,
    },
}

fn tried(attempts: u32) -> String {
    if attempts > 1 { format!(" in each of {attempts} attempts") } else { String::new() }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => "; it redirects, and redirects are not followed: configure the final address",
        401 | 403 | 404 | 410 => "; is the address still the one that the service gave out?",
        _ => "",
    }
}

impl CallError {
    /// Whether the same call may succeed in a while.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Settings(_) | Self::NoPlace { .. } => false,
            // A certificate that is not trusted, or a request that can't be built, stays so for this run.
            Self::Unreachable { source, .. } => !source.is_builder() && !super::web::is_untrusted(source),
            Self::Refused { transient, .. } => *transient,
        }
    }

    /// Whether no later night can make the call succeed: the server said no to it, or there is nobody to call.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::NoPlace { .. } => true,
            Self::Refused { transient, .. } => !transient,
            Self::Settings(_) | Self::Unreachable { .. } => false,
        }
    }

    /// Whether another call to the same address would only wait as long and fail as well.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Unreachable { .. } => true,
            Self::Refused { transient, .. } => *transient,
            Self::NoPlace { .. } => false,
        }
    }

    /// The wait that the server asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Settings(_) | Self::NoPlace { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The same error, saying how often it was tried.
    pub(super) fn after(mut self, tried: u32) -> Self {
        if let Self::Unreachable { attempts, .. } | Self::Refused { attempts, .. } = &mut self {
            *attempts = tried;
        }
        self
    }
}
