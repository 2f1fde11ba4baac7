//! What can go wrong with a mail, in words that say where and what to do.

use std::path::PathBuf;

/// Why a mail wasn't sent. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A part of the mail can't be written as it is.
    #[error("mail {field} `{value}`: {problem}")]
    Field {
        /// Which part.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What is wrong and what it must be.
        problem: String,
    },
    /// Nobody to send to.
    #[error("mail `{subject}` has no receiver: give at least one address")]
    NoReceiver {
        /// The mail's subject.
        subject: String,
    },
    /// The message can't be put together.
    #[error("mail `{subject}` could not be put together")]
    Compose {
        /// The mail's subject.
        subject: String,
        /// What the library said.
        #[source]
        source: lettre::error::Error,
    },
    /// The settings can't be used.
    #[error("mail settings: {0}")]
    Settings(String),
    /// The file of certificate authorities can't be used.
    #[error("mail settings: the certificate file {} could not be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server refused, failed or couldn't be reached.
    #[error("{server}: {step} failed{}{}", tried(*attempts), hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Smtp {
        /// The server's host and port.
        server: String,
        /// What was being done.
        step: &'static str,
        /// How often it was tried.
        attempts: u32,
        /// Whether trying again can't help.
        permanent: bool,
        /// What to do about it, when that is known.
        hint: Option<String>,
        /// What the server or the network said.
        #[source]
        source: lettre::transport::smtp::Error,
    },
    /// The server took too long.
    #[error("{server}: no end after {seconds} s{}; is the port right, and does it expect implicit TLS?", tried(*attempts))]
    TimedOut {
        /// The server's host and port.
        server: String,
        /// How often it was tried.
        attempts: u32,
        /// How long one attempt may take, in seconds.
        seconds: u64,
    },
    /// The mail's file couldn't be written.
    #[error("the mail's file {} could not be written", path.display())]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The step of an SMTP error in which the server judges the mail itself.
pub(super) const HANDING_OVER: &str = "handing over the mail";

fn tried(attempts: u32) -> String {
    if attempts > 1 { format!(" in each of {attempts} attempts") } else { String::new() }
}

impl MailError {
    /// Whether the same mail over the same settings would fail again, so that repeating it at once is useless: the
    /// server said no (5xx), its certificate isn't trusted, or the mail or the settings are wrong. Mended settings may
    /// still bring it on its way: see [`MailError::is_for_good`].
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Field { .. }
            | Self::NoReceiver { .. }
            | Self::Compose { .. }
            | Self::Settings(_)
            | Self::CaFile { .. } => true,
            Self::Smtp { permanent, .. } => *permanent,
            Self::TimedOut { .. } | Self::File { .. } => false,
        }
    }

    /// Whether no settings can bring this mail on its way: it can't be put together, or the server refused the mail
    /// itself. What the server says of who sends it (a login or encryption that it wants, a policy: 5.7.x of RFC 3463)
    /// can be mended.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::Field { .. } | Self::NoReceiver { .. } | Self::Compose { .. } => true,
            Self::Smtp { step, source, .. } => *step == HANDING_OVER && source.is_permanent() && !is_of_sender(source),
            Self::Settings(_) | Self::CaFile { .. } | Self::TimedOut { .. } | Self::File { .. } => false,
        }
    }

    /// Whether any other mail would meet the same now: the way to the server is at fault, not this mail.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Smtp { step, source, .. } => {
                *step != HANDING_OVER || (source.status().is_none() && !source.is_client())
            }
            Self::Settings(_) | Self::CaFile { .. } | Self::TimedOut { .. } | Self::File { .. } => true,
            Self::Field { .. } | Self::NoReceiver { .. } | Self::Compose { .. } => false,
        }
    }

    /// The same error, saying how often it was tried.
    pub(super) fn after(mut self, tried: u32) -> Self {
        match &mut self {
            Self::Smtp { attempts, .. } | Self::TimedOut { attempts, .. } => *attempts = tried,
            _ => {}
        }
        self
    }
}

/// Whether a refusal is about who sends and how: RFC 4954's codes, or the enhanced code of security and policy.
fn is_of_sender(source: &lettre::transport::smtp::Error) -> bool {
    let code = source.status().map(u16::from);
    let text = std::error::Error::source(source).map(ToString::to_string).unwrap_or_default();
    matches!(code, Some(530 | 534 | 535 | 538)) || text.starts_with("5.7.")
}
