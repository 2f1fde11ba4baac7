//! A web server that keeps what is posted to it: a chat, or a heartbeat's service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::launcher::Launcher;

/// What a server is to do.
#[derive(Clone, Debug, Default)]
pub struct Manners<'a> {
    /// Answer the next requests so, one after the other: `503`, or `429:1` with a Retry-After.
    pub answers: &'a [&'a str],
    /// Answer every other request so.
    pub always: Option<u16>,
    /// Answer so many seconds later.
    pub slow: f64,
    /// Keep so many requests, but hang up instead of answering.
    pub vanish: u32,
}

/// A running server; stopped and removed when dropped. Beneath `/slack/` it takes only what Slack would.
pub struct Hooks {
    _launcher: Launcher,
    port: u16,
    folder: PathBuf,
}

/// A request as it came.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// By lower-case names.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Hooks {
    /// Starts a server.
    pub async fn start(manners: Manners<'_>) -> Self {
        let mut arguments = vec![format!("--slow={}", manners.slow), format!("--vanish={}", manners.vanish)];
        arguments.extend(manners.answers.iter().map(|answer| format!("--answer={answer}")));
        arguments.extend(manners.always.map(|status| format!("--always={status}")));
        #[derive(Deserialize)]
        struct Ready {
            port: u16,
            folder: PathBuf,
        }
        let (launcher, ready) =
            Launcher::start("hooks.py", arguments).await.unwrap_or_else(|fault| panic!("web server: {fault}"));
        let Ready { port, folder } =
            serde_json::from_value(ready).unwrap_or_else(|cause| panic!("web server: not ready: {cause}"));
        Self { _launcher: launcher, port, folder }
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        let entries = self.folder.read_dir().unwrap_or_else(|cause| panic!("web server's folder: {cause}"));
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
            serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
        };
        files.iter().map(read).collect()
    }

    /// Waits until there are so many requests.
    pub async fn heard(&self, count: usize) {
        for _ in 0..600 {
            if self.requests().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("only {} of {count} requests came", self.requests().len());
    }
}
