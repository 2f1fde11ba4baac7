//! One call to an address that is itself a secret: bounded in time, repeated while there is hope, and told without it.
//!
//! Who knows a webhook's address may post there, and who knows a heartbeat's may keep an alarm silent. So no error, log
//! record or `Debug` names more of it than the server.

use std::path::PathBuf;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use url::Url;

use super::CallError;

/// The longest wait between two attempts, whatever a `Retry-After` asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The part of an answer that a message quotes, in characters.
const EXCERPT: usize = 200;

/// The least length of a part of the address that is hidden where an answer repeats it: a token is longer, a word shorter.
const PART: usize = 6;

/// A secret address and how patiently it is called.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The address, token and all.
    pub url: SecretString,
    /// A PEM file of certificate authorities to be trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often a call is repeated after connection errors, timeouts, 429 and 5xx.
    pub retries: u32,
    /// The wait before the first repetition; it doubles each time, up to one minute.
    pub retry_delay: Duration,
}

/// What is sent along.
pub(super) struct Content {
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// An address that can be called.
pub(super) struct Web {
    client: Client,
    url: Url,
    /// What may be told of it: scheme, host and port.
    server: String,
    backoff: ExponentialBuilder,
}

impl Web {
    /// Checks the settings; connects to nothing.
    pub(super) fn new(settings: WebSettings) -> Result<Self, CallError> {
        let WebSettings { url, ca_file, timeout, retries, retry_delay } = settings;
        // The parser's error names no part of the text, but its kind.
        let url = Url::parse(url.expose_secret().trim()).map_err(|error| {
            CallError::Settings(format!("the secret is no address ({error}); it begins with https://"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(CallError::Settings("the secret is no address of the web; it begins with https://".into()));
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(CallError::Settings("the process has no TLS provider".into()));
        }
        let authorities = ca_file.map(|path| authorities(&path)).transpose()?.unwrap_or_default();
        let client = Client::builder()
            .tls_certs_merge(authorities)
            .tls_info(true)
            .user_agent(concat!("rampkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout)
            // HTTP/2's encoder logs what it sends, from a task of its own.
            .http1_only()
            // Whoever answers with another address is not the one that was configured.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| CallError::Settings(format!("no HTTP client could be built: {}", error.without_url())))?;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(retry_delay)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(usize::try_from(retries).unwrap_or(usize::MAX))
            .with_jitter();
        let server = url.origin().ascii_serialization();
        Ok(Self { client, url, server, backoff })
    }

    /// What may be told of the address.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Whether what is sent can be read on its way: http, and not to this machine.
    pub(super) fn is_open(&self) -> bool {
        let local = match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        self.url.scheme() == "http" && !local
    }

    /// The address, to be varied.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// Calls until an answer comes that is final, or the attempts are used up.
    pub(super) async fn call(
        &self,
        method: Method,
        url: Url,
        content: Option<&Content>,
        id: Option<&str>,
    ) -> Result<(), CallError> {
        let mut attempts = 0;
        let outcome = (|| {
            attempts += 1;
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(content) = content {
                request = request.header(CONTENT_TYPE, content.media_type).body(content.bytes.clone());
            }
            if let Some(id) = id {
                request = request.header("Idempotency-Key", id);
            }
            self.attempt(request)
        })
        .retry(self.backoff)
        .sleep(tokio::time::sleep)
        .when(CallError::is_transient)
        .adjust(|error, wait| wait.map(|wait| error.retry_after().unwrap_or(wait).min(LONGEST_WAIT)))
        .notify(|error, wait| tracing::debug!(%error, ?wait, "an address was not reached; trying again"))
        .await;
        outcome.map_err(|error| error.after(attempts))
    }

    /// Whether the server is there, asked of its front page: neither posts nor pings, and does not tell the address.
    /// Gives the server's certificate (DER), over TLS.
    pub(super) async fn reach(&self) -> Result<Option<Vec<u8>>, CallError> {
        let mut front = self.url.clone();
        front.set_path("/");
        front.set_query(None);
        front.set_fragment(None);
        // Whom it lets in matters here no more than what it says.
        let _ = front.set_username("");
        let _ = front.set_password(None);
        let response = self.send(self.client.head(front)).await?;
        let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        Ok(certificate.map(<[u8]>::to_vec))
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<(), CallError> {
        let mut response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = retry_after(&response);
        // Only quoted, so an answer that breaks off is as good as its beginning.
        let said = response.chunk().await.ok().flatten().unwrap_or_default();
        let refused = CallError::Refused {
            server: self.server.clone(),
            status: status.as_u16(),
            said: self.excerpt(&said),
            transient: is_transient(status),
            attempts: 1,
            retry_after,
        };
        Err(refused)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        // The library's own log records name the address.
        let sent = request.send().with_subscriber(NoSubscriber::default()).await;
        sent.map_err(|source| CallError::Unreachable {
            server: self.server.clone(),
            attempts: 1,
            source: source.without_url(),
        })
    }

    /// The beginning of an answer as one line, without the address should the server repeat it.
    fn excerpt(&self, said: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(said).into_owned();
        let whole = [self.url.as_str(), self.url.path(), self.url.query().unwrap_or_default()];
        let parts = self.url.path().split('/').chain(self.url.query().unwrap_or_default().split(['&', '=']));
        let own = parts.chain([self.url.username(), self.url.password().unwrap_or_default()]);
        for secret in whole.into_iter().chain(own).filter(|part| part.len() >= PART) {
            text = text.replace(secret, "***");
        }
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        let line = words.join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Web").field(&self.server).finish()
    }
}

/// Whether the same call may be answered otherwise in a while.
fn is_transient(status: StatusCode) -> bool {
    let for_now = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || for_now.contains(&status)
}

/// The wait that the server asks for. The header's other form is a date, which would need a clock: the growing wait serves
/// as well.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn authorities(path: &std::path::Path) -> Result<Vec<Certificate>, CallError> {
    let unusable = |why: String| CallError::Settings(format!("the certificate file {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unusable(format!("it could not be read: {error}")))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() {
        return Err(unusable("there is no `-----BEGIN CERTIFICATE-----` in it".into()));
    }
    Ok(found)
}

/// Whether somewhere beneath an error stands a certificate that wasn't accepted.
pub(super) fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error that stands for another passes it over in its chain.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
#[path = "web_tests.rs"]
mod tests;
