//! What can go wrong with a registry, in words that say where and what to do.

use std::fmt;
use std::time::Duration;

use crate::domain::ModelVersion;

/// Why a registry didn't do what was asked. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry's settings can't be used.
    #[error("registry settings: {0}")]
    Settings(String),
    /// No TLS crypto provider is installed in this process.
    #[error("no TLS crypto provider is installed: the program must call install_crypto_provider() before it connects")]
    NoCryptoProvider,
    /// A name that a registry doesn't accept.
    #[error("{what} `{name}` is not allowed: it must be {rule}")]
    BadName {
        /// What the name is for.
        what: &'static str,
        /// The name.
        name: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A tag's value beyond the registry's bound.
    #[error("the value of tag `{key}` has {length} bytes; a registry takes at most {longest}")]
    ValueTooLong {
        /// The tag's key.
        key: String,
        /// The value's length in bytes.
        length: usize,
        /// The bound in bytes.
        longest: usize,
    },
    /// The version to be tagged or pointed to doesn't exist.
    #[error("{registry} has no {version}: register it, or correct the policy that names it")]
    NoSuchVersion {
        /// The registry.
        registry: String,
        /// The version.
        version: ModelVersion,
    },
    /// No answer came.
    #[error("{call} got no answer from {server} in {attempts} attempt(s); is the server up and the URL right?")]
    Unreachable {
        /// Method, path and subject of the call.
        call: String,
        /// The server, without credentials.
        server: String,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        #[source]
        source: reqwest::Error,
    },
    /// A certificate came that isn't trusted, or that bears another name.
    #[error(
        "{call} was not sent: the certificate of {server} is not accepted; give the authority that signed it as `ca_file`, and use the host name that it bears"
    )]
    Untrusted {
        /// Method, path and subject of the call.
        call: String,
        /// The server, without credentials.
        server: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// An answer came, and it was no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer came that isn't the registry's.
    #[error("{call} was answered with something other than MLflow's JSON ({excerpt}); is {server} an MLflow server?")]
    Unreadable {
        /// Method, path and subject of the call.
        call: String,
        /// The server, without credentials.
        server: String,
        /// The beginning of the answer.
        excerpt: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// An answer that is too long, or a listing that doesn't end.
    #[error("{call} was answered with more than {bound}; the answer was given up")]
    TooMuch {
        /// Method, path and subject of the call.
        call: String,
        /// The bound.
        bound: &'static str,
    },
    /// The local registry's tables can't be read or written.
    #[error("the local registry could not {doing}; if its tables are missing, run `rampkeeper migrate`")]
    Store {
        /// What was being done.
        doing: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
}

/// A registry's refusal of one call.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Method, path and subject of the call.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// MLflow's `error_code`; None when the answer wasn't MLflow's.
    pub code: Option<String>,
    /// MLflow's message, or the beginning of the body.
    pub message: String,
    /// What to do about it, when that is known.
    pub hint: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered {}", self.call, self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if self.attempts > 1 {
            write!(f, " in each of {} attempts", self.attempts)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.hint {
            Some(hint) => write!(f, ". {hint}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// Whether MLflow says that the model, version or run doesn't exist.
    ///
    /// A bare 404 is not that: it comes from a wrong URL or a proxy, and must not pass for "there is none".
    pub(super) fn is_missing(&self) -> bool {
        self.code.as_deref() == Some("RESOURCE_DOES_NOT_EXIST")
    }

    /// Whether MLflow says that the model has no such alias, which it does with a 400.
    pub(super) fn is_missing_alias(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        self.code.as_deref() == Some("INVALID_PARAMETER_VALUE")
            && message.contains("alias")
            && message.contains("not found")
    }

    fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }
}

impl RegistryError {
    /// Whether the same call may succeed later: the server was away, overloaded or failing.
    ///
    /// Such an error leaves the step pending for the next run; any other needs a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_builder(),
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Store { source, .. } => is_away(source) || is_locked(source),
            Self::Settings(_)
            | Self::NoCryptoProvider
            | Self::Untrusted { .. }
            | Self::BadName { .. }
            | Self::ValueTooLong { .. }
            | Self::NoSuchVersion { .. }
            | Self::Unreadable { .. }
            | Self::TooMuch { .. } => false,
        }
    }

    /// Whether the call was tried once only and may succeed in a moment. A server's calls were repeated already.
    pub fn is_worth_a_moment(&self) -> bool {
        matches!(self, Self::Store { .. }) && self.is_transient()
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(super) fn refused_as_missing(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_missing)
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }

    /// The same error, saying how often it was tried.
    pub(super) fn after(mut self, tried: u32) -> Self {
        match &mut self {
            Self::Unreachable { attempts, .. } => *attempts = tried,
            Self::Refused(refusal) => refusal.attempts = tried,
            _ => {}
        }
        self
    }
}

/// Whether the database did not answer.
fn is_away(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed
    )
}

/// Whether the database has the table locked for somebody else: SQLite's busy (5) and locked (6) with their extended
/// codes, PostgreSQL's deadlock, serialization failure and lock that is not free.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| match code.parse::<i32>() {
        Ok(of_sqlite) if code.len() < 5 => matches!(of_sqlite & 0xff, 5 | 6),
        _ => matches!(&*code, "40001" | "40P01" | "55P03"),
    })
}
