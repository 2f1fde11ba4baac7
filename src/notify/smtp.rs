//! Mail over SMTP: one connection a mail, TLS with checked certificates, bounded time, bounded repetition.
//!
//! A night sends a handful of mails, so connections aren't kept. That leaves no half-used connection behind after a
//! timeout and makes each error's step known.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::error::HANDING_OVER;
use super::receivers::{Asked, ask};
use super::{Mail, MailError, Mailer, Sent, compose, header};

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: for a relay on the same machine or network. Allows a password only to a loopback address.
    None,
    /// STARTTLS, required: usually port 587.
    StartTls,
    /// From the first byte: usually port 465.
    Implicit,
}

/// An SMTP server and how to speak to it.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// The server's name or address, which its certificate must bear.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The encryption.
    pub tls: Tls,
    /// The user, with a password.
    pub username: Option<String>,
    /// The password, with a user.
    pub password: Option<SecretString>,
    /// How long one attempt may take, from connecting to the server's last answer.
    pub timeout: Duration,
    /// A PEM file of certificate authorities to be trusted beside Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// How often sending is repeated after connection errors, timeouts and the server's 4xx.
    pub retries: u32,
    /// The wait before the first repetition; it doubles each time, up to one minute.
    pub retry_delay: Duration,
}

/// A mailer over SMTP.
pub struct SmtpMailer {
    host: String,
    port: u16,
    tls: Tls,
    tls_parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    timeout: Duration,
    retries: u32,
    backoff: ExponentialBuilder,
}

/// A mail that a server has taken.
struct Taken {
    /// Its last answer.
    answer: String,
    /// The receivers whom it refused, each with its words.
    refused: Vec<String>,
}

impl SmtpMailer {
    /// Checks the settings and reads the file of certificates; connects to nothing.
    ///
    /// # Errors
    /// A user without a password or the reverse, a password that would travel in the clear, a file of certificates that
    /// can't be used.
    pub fn new(settings: SmtpSettings) -> Result<Self, MailError> {
        let SmtpSettings { host, port, tls, username, password, timeout, ca_file, retries, retry_delay } = settings;
        let credentials = match (username, password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some(Credentials::new(user, password.expose_secret().to_owned())),
            (Some(_), None) => return Err(MailError::Settings("there is a user name and no password".into())),
            (None, Some(_)) => return Err(MailError::Settings("there is a password and no user name".into())),
        };
        if tls == Tls::None && credentials.is_some() && !is_loopback(&host) {
            return Err(MailError::Settings(format!(
                "the password would travel to {host} in the clear: use STARTTLS or implicit TLS, or no user name"
            )));
        }
        let tls_parameters = match tls {
            Tls::None => None,
            Tls::StartTls | Tls::Implicit => Some(tls_parameters(&host, ca_file)?),
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(retry_delay)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(usize::try_from(retries).unwrap_or(usize::MAX))
            .with_jitter();
        Ok(Self { host, port, tls, tls_parameters, credentials, timeout, retries, backoff })
    }

    /// Connects, encrypts and authenticates as for a mail, and sends none. Tried once. Gives the server's certificate
    /// (DER) where there is encryption.
    ///
    /// # Errors
    /// What [`Mailer::send`] would meet before the mail itself.
    pub async fn check(&self) -> Result<Option<Vec<u8>>, MailError> {
        self.in_time(async {
            let mut connection = self.connect().await?;
            let encrypted = self.tls_parameters.is_some();
            let certificate = encrypted.then(|| connection.peer_certificate().ok()).flatten();
            // A server that hangs up instead of taking leave has still let us in.
            let _ = connection.quit().await;
            Ok(certificate)
        })
        .await
    }

    fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// One attempt at one mail. A receiver who is refused only for now is waited for, unless it is the last attempt.
    async fn attempt(&self, message: &Message, bytes: &[u8], is_last: bool) -> Result<Taken, MailError> {
        self.in_time(async {
            let mut connection = self.connect().await?;
            match connection.send(message.envelope(), bytes).await {
                Ok(answer) => Ok(taken(connection, &answer, Vec::new()).await),
                Err(source) if source.status().is_some() && message.envelope().to().len() > 1 => {
                    self.without_refused(message, bytes, source, is_last).await
                }
                Err(source) => Err(self.failed(HANDING_OVER, source)),
            }
        })
        .await
    }

    /// Sends a mail that was refused with `source` to those of its receivers whom the server takes mail for, if the
    /// refusal was about receivers and concerned only some of them.
    async fn without_refused(
        &self,
        message: &Message,
        bytes: &[u8],
        source: lettre::transport::smtp::Error,
        is_last: bool,
    ) -> Result<Taken, MailError> {
        let mut connection = self.connect().await?;
        let failed = |source| self.failed(HANDING_OVER, source);
        let Asked { accepted, refused, for_now } = ask(&mut connection, message.envelope()).await.map_err(failed)?;
        match accepted {
            Some(envelope) if !refused.is_empty() && (is_last || !for_now) => {
                let answer = connection.send(&envelope, bytes).await.map_err(failed)?;
                Ok(taken(connection, &answer, refused).await)
            }
            Some(_) | None => Err(failed(source)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let name = ClientId::default();
        let at_once = self.tls_parameters.clone().filter(|_| self.tls == Tls::Implicit);
        let address = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &name, at_once, None)
            .await
            .map_err(|source| self.failed("connecting", source))?;
        if let (Tls::StartTls, Some(parameters)) = (self.tls, &self.tls_parameters) {
            connection
                .starttls(parameters.clone(), &name)
                .await
                .map_err(|source| self.failed("encrypting by STARTTLS", source))?;
        }
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|source| self.failed("authenticating", source))?;
        }
        Ok(connection)
    }

    /// Bounds an attempt's time, and keeps the library's own log records out of ours: they hold the password.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, MailError>>) -> Result<T, MailError> {
        let work = work.with_subscriber(NoSubscriber::default());
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| {
            Err(MailError::TimedOut { server: self.server(), attempts: 1, seconds: self.timeout.as_secs() })
        })
    }

    fn failed(&self, step: &'static str, source: lettre::transport::smtp::Error) -> MailError {
        let untrusted = is_untrusted(&source);
        let code = source.status().map(u16::from);
        let hint = match code {
            _ if untrusted => Some("give the authority that signed its certificate as the CA file".to_owned()),
            Some(530) if self.tls == Tls::None => Some("the server wants TLS or a user name".to_owned()),
            Some(530) => Some("the server wants a user name and password".to_owned()),
            Some(534 | 535) => Some("check the mail user name and password".to_owned()),
            _ if source.is_client() && step == "encrypting by STARTTLS" => {
                Some("the server offers no STARTTLS: is this its submission port?".to_owned())
            }
            _ => None,
        };
        MailError::Smtp {
            server: self.server(),
            step,
            attempts: 1,
            permanent: source.is_permanent() || source.is_client() || source.is_tls() || untrusted,
            hint,
            source,
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<Sent, MailError> {
        let message = compose(mail)?;
        let bytes = message.formatted();
        let mut attempts = 0;
        let outcome = (|| {
            attempts += 1;
            self.attempt(&message, &bytes, attempts > self.retries)
        })
        .retry(self.backoff)
        .sleep(tokio::time::sleep)
        .when(|error: &MailError| !error.is_permanent())
        .notify(|error, wait| tracing::warn!(%error, ?wait, "a mail was not taken; trying again"))
        .await;
        match outcome {
            Ok(Taken { answer, refused }) => {
                for receiver in &refused {
                    tracing::warn!("the mail {:?} did not go to {receiver}", mail.subject);
                }
                Ok(Sent { message_id: mail.message_id.clone(), detail: answer, refused })
            }
            Err(error) => Err(error.after(attempts)),
        }
    }

    fn describe(&self) -> String {
        let tls = match self.tls {
            Tls::None => "no TLS",
            Tls::StartTls => "STARTTLS",
            Tls::Implicit => "TLS",
        };
        let user = if self.credentials.is_some() { ", authenticated" } else { "" };
        format!("SMTP {} ({tls}{user})", self.server())
    }
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SmtpMailer").field(&self.describe()).finish()
    }
}

/// Takes leave of a server that has taken a mail.
async fn taken(mut connection: AsyncSmtpConnection, answer: &Response, refused: Vec<String>) -> Taken {
    // One that hangs up instead of answering has done no harm.
    let _ = connection.quit().await;
    let text: Vec<&str> = answer.message().collect();
    Taken { answer: header::shortened(&format!("{} {}", answer.code(), text.join(" "))), refused }
}

/// Mozilla's authorities and those of the file, if there is one.
fn tls_parameters(host: &str, ca_file: Option<PathBuf>) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(path) = ca_file {
        let pem = std::fs::read(&path).map_err(|source| MailError::CaFile { path: path.clone(), source })?;
        let unusable =
            |why: String| MailError::Settings(format!("{} holds no usable certificate: {why}", path.display()));
        // A file without a certificate is read without complaint and would then fail far from here.
        if !pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
            return Err(unusable("no `-----BEGIN CERTIFICATE-----` in it".into()));
        }
        builder =
            builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?);
    }
    builder.build().map_err(|error| MailError::Settings(format!("no TLS client could be built: {error}")))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether somewhere beneath an error stands a certificate that wasn't accepted.
fn is_untrusted(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(rustls::Error::InvalidCertificate(_)) = inner.and_then(|inner| inner.downcast_ref()) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
