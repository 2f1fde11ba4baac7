//! The heartbeat: an address that expects a ping every night, and alarms somebody when none comes.
//!
//! As Healthchecks and those that imitate it have it: `/start` when a night begins, the address itself when it is over,
//! `/fail` when it failed. The three of one night bear the same `rid`, by which the service knows them as one.

use reqwest::Method;
use uuid::Uuid;

use super::CallError;
use super::web::{Content, Web, WebSettings};

/// The most bytes of words that a ping takes along.
const MOST_BYTES: usize = 100_000;

/// What a ping says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A night begins.
    Start,
    /// It is over, with these words.
    Success(String),
    /// It failed, with these words.
    Failure(String),
}

/// The heartbeat of one night.
#[derive(Debug)]
pub struct Heartbeat {
    web: Web,
    night: Uuid,
}

impl Heartbeat {
    /// Checks the settings; connects to nothing. `night` is the same for all pings of a night, and no other's.
    ///
    /// # Errors
    /// The secret is no address, or the file of certificates can't be used.
    pub fn new(settings: WebSettings, night: Uuid) -> Result<Self, CallError> {
        Ok(Self { web: Web::new(settings)?, night })
    }

    /// Pings.
    ///
    /// # Errors
    /// No ping was taken in any of the attempts, or one was refused.
    pub async fn ping(&self, beat: &Beat) -> Result<(), CallError> {
        let mut url = self.web.url();
        let (method, end, words) = match beat {
            Beat::Start => (Method::GET, Some("start"), None),
            Beat::Success(words) => (Method::POST, None, Some(words)),
            Beat::Failure(words) => (Method::POST, Some("fail"), Some(words)),
        };
        if let (Some(end), Ok(mut segments)) = (end, url.path_segments_mut()) {
            segments.pop_if_empty().push(end);
        }
        url.query_pairs_mut().append_pair("rid", &self.night.to_string());
        let content = words.map(|words| Content {
            media_type: "text/plain; charset=utf-8",
            bytes: cut(words).to_owned().into_bytes(),
        });
        self.web.call(method, url, content.as_ref(), None).await
    }

    /// Whether the server is there. Pings nothing. Gives the server's certificate (DER), over TLS.
    ///
    /// # Errors
    /// It is not.
    pub async fn check(&self) -> Result<Option<Vec<u8>>, CallError> {
        self.web.reach().await
    }

    /// The server, without what is secret of the address.
    pub fn server(&self) -> &str {
        self.web.server()
    }

    /// Whether the address can be read on the way.
    pub fn is_open(&self) -> bool {
        self.web.is_open()
    }
}

/// As much of the words as a ping takes.
fn cut(words: &str) -> &str {
    let end = (0..=words.len().min(MOST_BYTES)).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    &words[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(MOST_BYTES + 1)).len(), MOST_BYTES);
        assert_eq!(cut(&"ü".repeat(MOST_BYTES)).len(), MOST_BYTES);
        assert_eq!(cut(&format!("x{}", "ü".repeat(MOST_BYTES))).len(), MOST_BYTES - 1);
    }
}
