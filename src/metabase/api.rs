//! One call to Metabase's REST API: by key, bounded in time, and explained when it is refused.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part of an answer that a message quotes, in characters.
const EXCERPT: usize = 200;

/// Why a push did not happen, or not wholly. No variant holds the key.
#[derive(Debug, thiserror::Error)]
pub enum MetabaseError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Asked(String),
    /// No answer came.
    #[error("{call} got no answer from {server}; is Metabase up and the address right?")]
    Unreachable {
        /// Method and path.
        call: String,
        /// The server.
        server: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// An answer came, and it was no.
    #[error("{call} was answered {status}: {message}{hint}")]
    Refused {
        /// Method and path.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// An answer came that is not Metabase's.
    #[error("{call} was answered with something other than Metabase's JSON ({excerpt}); is {server} a Metabase?")]
    Unreadable {
        /// Method and path.
        call: String,
        /// The server.
        server: String,
        /// The beginning of the answer.
        excerpt: String,
    },
    /// What was written reads otherwise.
    #[error("{what} was written and reads otherwise: {keys}")]
    NotKept {
        /// The card or dashboard.
        what: String,
        /// What differs.
        keys: String,
    },
}

/// A Metabase server, and the key by which it lets us in.
#[derive(Debug)]
pub struct Api {
    client: Client,
    base: Url,
    key: SecretString,
}

impl Api {
    /// Checks the address and the key; connects to nothing.
    ///
    /// # Errors
    /// An address that is not http or https or holds credentials; a key that no HTTP header can carry.
    pub fn new(base: &str, key: SecretString) -> Result<Self, MetabaseError> {
        let asked = |words: String| MetabaseError::Asked(words);
        // Not repeated: even a mistyped address may hold a password.
        let mut base = Url::parse(base).map_err(|error| asked(format!("the address of Metabase is none: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || !base.username().is_empty() || base.password().is_some() {
            return Err(asked(
                "the address of Metabase must be http://… or https://…, without a user or password".into(),
            ));
        }
        base.set_query(None);
        base.set_fragment(None);
        if key.expose_secret().is_empty() || HeaderValue::from_str(key.expose_secret()).is_err() {
            return Err(asked("the API key is empty or holds a character that no HTTP header can carry".into()));
        }
        let client = Client::builder()
            .user_agent(concat!("rampkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| asked(format!("no HTTP client could be built: {error}")))?;
        Ok(Self { client, base, key })
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, MetabaseError> {
        self.call(Method::GET, path, query, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, MetabaseError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, MetabaseError> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, MetabaseError> {
        let call = format!("{method} /api/{path}");
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path.split('/'));
        }
        let mut request = self.client.request(method, url).query(query);
        let mut key = HeaderValue::from_str(self.key.expose_secret()).unwrap_or(HeaderValue::from_static(""));
        key.set_sensitive(true);
        request = request.header("x-api-key", key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |source: reqwest::Error| MetabaseError::Unreachable {
            call: call.clone(),
            server: self.server().to_owned(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            let (message, hint) = (self.excerpt(&bytes), hint(status));
            return Err(MetabaseError::Refused { call, status: status.as_u16(), message, hint });
        }
        let unreadable = |_| MetabaseError::Unreadable {
            call: call.clone(),
            server: self.server().to_owned(),
            excerpt: self.excerpt(&bytes),
        };
        serde_json::from_slice(&bytes).map_err(unreadable)
    }

    /// The beginning of an answer as one line, without the key should the server repeat it.
    fn excerpt(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body).replace(self.key.expose_secret(), "***");
        let text = text.replace(char::is_control, " ");
        match text.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

fn hint(status: StatusCode) -> String {
    let words = match status {
        StatusCode::UNAUTHORIZED => {
            ". Check the API key: an administrator makes it in Metabase under Settings › Authentication › API keys"
        }
        StatusCode::FORBIDDEN => {
            ". The key's group needs to curate the collection, and to create native queries on the database"
        }
        StatusCode::NOT_FOUND => ". Is that the address of a Metabase, path included?",
        _ if status.is_redirection() => ". Redirects are not followed: give the final address",
        _ => "",
    };
    words.to_owned()
}
