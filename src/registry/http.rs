//! One call to MLflow's REST API: authenticated, bounded in time and size, retried while there is hope, and explained
//! when there is none.

use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, Method, Response, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::hint;
use super::{Auth, MlflowSettings, Refusal, RegistryError, Service};

/// The longest wait between two attempts, whatever a `Retry-After` asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;

/// The header by which a server with several workspaces is told which is meant.
const WORKSPACE: &str = "x-mlflow-workspace";

/// The part of an answer that a message quotes, in characters.
const EXCERPT: usize = 300;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its version; none if it does not tell.
    pub version: Option<String>,
    /// Its certificate (DER), over TLS.
    pub certificate: Option<Vec<u8>>,
}

/// What is asked of the server and, for messages, about which model or version.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Below `api/2.0/mlflow/`.
    pub(super) path: &'static str,
    /// As in "for planner version 5".
    pub(super) subject: &'a str,
}

impl Call<'_> {
    pub(super) fn words(&self) -> String {
        format!("{} api/2.0/mlflow/{} for {}", self.method, self.path, self.subject)
    }
}

/// The parameters of a call.
pub(super) enum Parameters<'a> {
    Query(Vec<(&'static str, &'a str)>),
    Json(serde_json::Value),
}

/// MLflow's server as HTTP sees it.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    auth: Auth,
    service: Service,
    workspace: Option<HeaderValue>,
    backoff: ExponentialBuilder,
}

impl Http {
    /// Checks the settings; connects to nothing.
    pub(super) fn new(settings: MlflowSettings) -> Result<Self, RegistryError> {
        let MlflowSettings { mut url, auth, service, workspace, ca_file, timeout, retries, retry_delay } = settings;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(RegistryError::Settings(format!(
                "the URL's scheme is `{}`; an MLflow server is reached by http or https",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RegistryError::Settings(
                "the URL holds credentials; take them out and set MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
                    .into(),
            ));
        }
        // A token with a line end would fail in every request, and less clearly.
        if auth.secret().is_some_and(|secret| secret.is_empty() || HeaderValue::from_str(secret).is_err()) {
            return Err(RegistryError::Settings(
                "the password or token is empty or holds a line end or another character that no HTTP header can \
                 carry; check the file or variable that it comes from"
                    .into(),
            ));
        }
        if url.path().contains("/api/2.0") {
            return Err(RegistryError::Settings(
                "the URL ends in the API's own path; leave `/api/2.0/mlflow` out, it is added".into(),
            ));
        }
        let workspace = workspace.map(|name| HeaderValue::from_str(&name)).transpose().map_err(|_| {
            RegistryError::Settings("the workspace's name holds a character that no HTTP header can carry".into())
        })?;
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(RegistryError::NoCryptoProvider);
        }
        url.set_query(None);
        url.set_fragment(None);
        let authorities = ca_file.map(|path| authorities(&path)).transpose()?.unwrap_or_default();
        let client = Client::builder()
            .tls_certs_merge(authorities)
            .tls_info(true)
            .user_agent(concat!("rampkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout)
            // A redirect leads to a login page, and following one would turn a POST into a GET.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| RegistryError::Settings(format!("no HTTP client could be built: {error}")))?;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(retry_delay)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(usize::try_from(retries).unwrap_or(usize::MAX))
            .with_jitter();
        Ok(Self { client, base: url, auth, service, workspace, backoff })
    }

    /// Which registry it is.
    pub(super) fn service(&self) -> Service {
        self.service
    }

    /// Asks for the version, which MLflow tells at `/version` as plain text.
    pub(super) async fn about(&self) -> Result<ServerInfo, RegistryError> {
        let call = Call { method: Method::GET, path: "version", subject: "the server" };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("version");
        }
        let request = self.auth.apply(self.client.get(url));
        let mut response = request.send().await.map_err(|source| self.unreachable(&call, source))?;
        let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        let certificate = certificate.map(<[u8]>::to_vec);
        let first = response.chunk().await.map_err(|source| self.unreachable(&call, source))?.unwrap_or_default();
        // Before MLflow 1.24 there was no such page, and a proxy may hide it: that is not worth an error.
        let told = response.status().is_success().then(|| self.excerpt(&first));
        let version = told.filter(|told| told.len() < 40 && told.starts_with(|c: char| c.is_ascii_digit()));
        Ok(ServerInfo { version, certificate })
    }

    /// The server's URL, which holds no credentials.
    pub(super) fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Calls until an answer comes that is final, or the retries are used up.
    ///
    /// Every call that this program makes may be repeated, so a lost answer is reason enough to ask again.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<T, RegistryError> {
        let mut attempts = 0;
        let outcome = (|| {
            attempts += 1;
            self.attempt(call, parameters)
        })
        .retry(self.backoff)
        .sleep(tokio::time::sleep)
        .when(RegistryError::is_transient)
        .adjust(|error, wait| wait.map(|wait| error.retry_after().unwrap_or(wait).min(LONGEST_WAIT)))
        .notify(|error, wait| tracing::warn!(%error, ?wait, "the model registry failed; trying again"))
        .await;
        let body = outcome.map_err(|error: RegistryError| error.after(attempts))?;
        serde_json::from_slice(&body).map_err(|source| RegistryError::Unreadable {
            call: call.words(),
            server: self.server().to_owned(),
            excerpt: self.excerpt(&body),
            source,
        })
    }

    /// One request and its answer's body, when the answer is a success.
    async fn attempt(&self, call: &Call<'_>, parameters: &Parameters<'_>) -> Result<Vec<u8>, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "2.0", "mlflow"]);
            segments.extend(self.service.prefix()).extend(call.path.split('/'));
        }
        let mut request = self.auth.apply(self.client.request(call.method.clone(), url));
        if let Some(workspace) = &self.workspace {
            request = request.header(WORKSPACE, workspace);
        }
        let request = match parameters {
            Parameters::Query(query) => request.query(query),
            Parameters::Json(body) => request.json(body),
        };
        let unreachable = |source| self.unreachable(call, source);
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(RegistryError::TooMuch { call: call.words(), bound: "16 MiB" });
            }
            body.extend_from_slice(&chunk);
        }
        if response.status().is_success() { Ok(body) } else { Err(self.refusal(call, &response, &body)) }
    }

    fn unreachable(&self, call: &Call<'_>, source: reqwest::Error) -> RegistryError {
        let (call, server, source) = (call.words(), self.server().to_owned(), source.without_url());
        match is_untrusted(&source) {
            true => RegistryError::Untrusted { call, server, source },
            false => RegistryError::Unreachable { call, server, attempts: 1, source },
        }
    }

    fn refusal(&self, call: &Call<'_>, response: &Response, body: &[u8]) -> RegistryError {
        #[derive(Deserialize)]
        struct Body {
            error_code: String,
            #[serde(default)]
            message: String,
        }
        let (code, message) = match serde_json::from_slice::<Body>(body) {
            Ok(Body { error_code, message }) => (Some(error_code), self.excerpt(message.as_bytes())),
            Err(_) => (None, self.excerpt(body)),
        };
        let hint = hint::of(self.service, &self.base, response.status(), (code.as_deref(), &message));
        RegistryError::Refused(Box::new(Refusal {
            call: call.words(),
            status: response.status().as_u16(),
            code,
            message,
            hint,
            attempts: 1,
            // The header's other form is a date, which would need a clock: the growing wait serves as well.
            retry_after: response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs),
        }))
    }

    /// The beginning of an answer as one line, without the secret should the server repeat it.
    fn excerpt(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let text = hint::without_markup(&text);
        let text = match self.auth.secret() {
            Some(secret) => text.replace(secret, "***"),
            None => text,
        };
        let mut words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let mut line = words.next().unwrap_or_default().to_owned();
        for word in words {
            if line.len() > EXCERPT {
                break;
            }
            line.push(' ');
            line.push_str(word);
        }
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<Certificate>, RegistryError> {
    let unusable = |why: String| RegistryError::Settings(format!("the certificate file {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unusable(format!("it could not be read: {error}")))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
    // A file without a certificate is read without complaint and would then fail far from here.
    if found.is_empty() {
        return Err(unusable("there is no `-----BEGIN CERTIFICATE-----` in it".into()));
    }
    Ok(found)
}

/// Whether somewhere beneath an error stands a certificate that wasn't accepted.
fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error that stands for another, perhaps again an I/O error, passes it over in its chain.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}
