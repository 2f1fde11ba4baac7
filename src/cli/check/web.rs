//! Chats and the heartbeat: whether their servers are there. Nothing is posted and nothing pinged, and no line holds an
//! address, since that is the secret.

use super::Asked;
use super::certificate;
use super::experiments::Known;
use super::finding::{Area, Finding, in_one_line, in_time, nearest, some_of};
use crate::cli::connect::{self, Patience};
use crate::config::{ChatEntry, ChatKind};
use crate::report::matches;

/// What is to be said of the chats.
pub(super) async fn chats(asked: &Asked<'_>) -> Vec<Finding> {
    let entries = &asked.config.settings.chat;
    if entries.is_empty() {
        return vec![Finding::ok(Area::Chat, "chat", "none is configured")];
    }
    let mut findings = Vec::new();
    for entry in entries {
        findings.extend(chat(asked, entry).await);
    }
    findings
}

async fn chat(asked: &Asked<'_>, entry: &ChatEntry) -> Vec<Finding> {
    let what = entry.url.name();
    let webhook = match connect::webhook(asked.config, entry, Patience::SHORT) {
        Ok(webhook) => webhook,
        Err(error) => {
            let mend =
                format!("set the secret ({what}) to the address that the chat gives out for its incoming webhook");
            return vec![Finding::fail(Area::Chat, what, in_one_line(&error), mend)];
        }
    };
    let told = match entry.experiments.as_slice() {
        [] => "all experiments".to_owned(),
        some => some_of(some),
    };
    let form = match entry.kind {
        ChatKind::Slack => "Slack",
        ChatKind::Json => "JSON",
    };
    let detail = format!("{} is there; {form}, {told}; nothing was posted", webhook.server());
    let mut findings = reached(asked, Area::Chat, &what, in_time(webhook.check()).await, detail);
    if webhook.is_open() {
        findings.push(readable(Area::Chat, &what));
    }
    findings
}

/// The experiments that a chat is to be told of, and that nobody knows.
pub(super) async fn unknown(asked: &Asked<'_>, known: Option<&Known>) -> Vec<Finding> {
    let Some(known) = known else { return Vec::new() };
    let named =
        asked.config.settings.chat.iter().flat_map(|entry| entry.experiments.iter().map(move |name| (entry, name)));
    let strange =
        named.filter(|(_, name)| !known.names.iter().any(|known| matches(name, known))).map(|(entry, name)| {
            let mend = match nearest(name, known.names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}? correct `chat` in {}", asked.global.config.display()),
                None => format!("correct `chat` in {}, or create the experiment", asked.global.config.display()),
            };
            let detail = format!("is to be told of {name}, and there is no such experiment");
            Finding::warn(Area::Chat, entry.url.name(), detail, mend)
        });
    strange.collect()
}

/// What is to be said of the heartbeat.
pub(super) async fn heartbeat(asked: &Asked<'_>) -> Vec<Finding> {
    let area = Area::Heartbeat;
    let Some(entry) = &asked.config.settings.heartbeat else {
        return vec![Finding::ok(area, "heartbeat", "none is configured; nobody is alarmed when a night stays away")];
    };
    let what = entry.url.name();
    let heartbeat = match connect::heartbeat(asked.config, entry, uuid::Uuid::nil()) {
        Ok(heartbeat) => heartbeat,
        Err(error) => {
            let mend = format!("set the secret ({what}) to the address that the monitoring service gives out");
            return vec![Finding::fail(area, what, in_one_line(&error), mend)];
        }
    };
    let detail = format!("{} is there; nothing was pinged", heartbeat.server());
    let mut findings = reached(asked, area, &what, in_time(heartbeat.check()).await, detail);
    if heartbeat.is_open() {
        findings.push(readable(area, &what));
    }
    findings
}

fn reached(
    asked: &Asked<'_>,
    area: Area,
    what: &str,
    answer: Result<Option<Vec<u8>>, String>,
    detail: String,
) -> Vec<Finding> {
    match answer {
        Ok(certificate) => {
            let mut findings = vec![Finding::ok(area, what, detail)];
            findings.extend(certificate::finding(area, certificate.as_deref(), asked.now));
            findings
        }
        Err(error) => {
            let mend = "correct the address in the secret, or let this machine reach that server; behind an authority of \
                        your own, give `ca_file`";
            vec![Finding::fail(area, what, error, mend)]
        }
    }
}

fn readable(area: Area, what: &str) -> Finding {
    let detail = "is called over http, where whoever is on the way can read the address and what is told";
    Finding::warn(area, what, detail, "use an address that begins with https://")
}
