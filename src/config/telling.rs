//! Who is told beside the readers of the mail: chats, and the heartbeat that alarms when a night stays away.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use super::fault::Fault;
use super::secret::SecretRef;

/// A place that nights are told at.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatEntry {
    /// How a message is written: `slack` or `json`.
    pub kind: ChatKind,
    /// The webhook's address. It is a secret: who has it may post there.
    pub url: SecretRef,
    /// Names of experiments that it is told of, in which `*` stands for anything; all unless told.
    #[serde(default)]
    pub experiments: Vec<String>,
    /// The nights that it is told of; all unless told.
    #[serde(default = "all_nights")]
    #[schemars(length(min = 1))]
    pub when: Vec<ChatNight>,
    /// A PEM file with a certificate authority to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// As Slack's incoming webhooks, and those that imitate them, take it.
    Slack,
    /// The night as JSON, as `--output json` prints it.
    Json,
}

/// What a night may be; several of these at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatNight {
    /// A candidate was rolled back, ramped or promoted.
    Acted,
    /// Somebody must do something.
    NeedsYou,
    /// Something failed, is not as decided, or is still to be done.
    Broken,
    /// None of these.
    Quiet,
}

fn all_nights() -> Vec<ChatNight> {
    vec![ChatNight::Acted, ChatNight::NeedsYou, ChatNight::Broken, ChatNight::Quiet]
}

/// The heartbeat.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatEntry {
    /// The address that is pinged. It is a secret: who has it may keep the alarm silent.
    pub url: SecretRef,
    /// Which exit codes of a night that is over are told as a failure, of 3 and 4; `[4]` unless told.
    #[serde(default = "follow_ups")]
    #[schemars(inner(range(min = 3, max = 4)))]
    pub fail_on: Vec<u8>,
    /// A PEM file with a certificate authority to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a mail could not be sent, nobody is told but by the heartbeat.
fn follow_ups() -> Vec<u8> {
    vec![4]
}

/// Checks of meaning that the schema cannot express.
pub(super) fn check(document: &Document, chats: &[ChatEntry], heartbeat: Option<&HeartbeatEntry>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let chats = chats.iter().enumerate().map(|(index, chat)| (format!("/chat/{index}/url"), &chat.url));
    let heartbeat = heartbeat.map(|heartbeat| ("/heartbeat/url".to_owned(), &heartbeat.url));
    for (at, url) in chats.chain(heartbeat) {
        if url.env.is_some() == url.file.is_some() {
            faults.push(
                document.fault(&at, "a secret is given as { env: NAME } or as { file: PATH }, exactly one of them"),
            );
        }
    }
    faults
}
