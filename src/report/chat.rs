//! The night as a message to a chat, or as JSON for whatever listens.
//!
//! What is posted is made once and kept in the journal until it is delivered. Slack refuses a message that is too long in
//! any of its parts, so every part is cut here ([`slack`]).

mod slack;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::circulation::{matches, told_digest};
use super::night::{NightReport, Standing};
use crate::decide::Outcome;

/// What a night was, as one who is told of it sees it. A night may be several of these at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    /// A candidate was rolled back, ramped or promoted.
    Acted,
    /// Somebody must do something, or an experiment does not go on.
    NeedsYou,
    /// Something failed, is not as decided, or is still to be done.
    Broken,
    /// None of these.
    Quiet,
}

impl Mood {
    /// All that a night was; never nothing.
    pub fn of(report: &NightReport) -> BTreeSet<Mood> {
        let acted = report.count(|outcome| *outcome != Outcome::Hold) > 0;
        let failed = report.experiments.iter().any(|e| matches!(e.standing, Standing::Failed { .. }));
        let moods = [
            (Mood::Acted, acted),
            (Mood::NeedsYou, report.experiments.iter().any(|e| e.needs_somebody() || !e.by_hand.is_empty())),
            (Mood::Broken, failed || report.has_failures() || !report.unfinished.is_empty()),
        ];
        let mut moods: BTreeSet<Mood> = moods.into_iter().filter(|(_, is)| *is).map(|(mood, _)| mood).collect();
        if moods.is_empty() {
            moods.insert(Mood::Quiet);
        }
        moods
    }

    /// The words for it at the head of a message.
    fn words(self) -> &'static str {
        match self {
            Mood::Acted => "acted",
            Mood::NeedsYou => "needs you",
            Mood::Broken => "broken",
            Mood::Quiet => "quiet",
        }
    }
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatForm {
    /// As Slack's incoming webhooks and those that imitate them take it.
    Slack,
    /// The night as data: what `--output json` prints.
    Json,
}

/// A place that nights are told at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the journal, which holds no secret.
    pub place: String,
    /// How a message is written.
    pub form: ChatForm,
    /// The experiments that it is told of, `*` standing for anything; all, if there are none here.
    pub experiments: Vec<String>,
    /// The nights that it is told of.
    pub when: BTreeSet<Mood>,
}

/// A message as the journal keeps it until it is posted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatDraft {
    /// Where it goes.
    pub place: String,
    /// What it is known by: the same night told again gets the same.
    pub id: String,
    /// What it is about, for the words of the journal.
    pub about: String,
    /// What is posted.
    pub body: Value,
}

/// What a channel is told of a night, if anything.
///
/// What is still to be done belongs to no single experiment, so everybody is told; so is what is not as decided, unless it is
/// known whose it is.
pub fn chat_draft(report: &NightReport, channel: &Channel) -> Option<ChatDraft> {
    let night = match channel.experiments.as_slice() {
        [] => report.clone(),
        wanted => {
            let mut night = report.clone();
            let named = |name: &str| wanted.iter().any(|pattern| matches(pattern, name));
            night.experiments.retain(|experiment| named(&experiment.name));
            night.incidents.retain(|incident| incident.experiment.as_deref().is_none_or(named));
            let silent = night.experiments.is_empty() && night.incidents.is_empty() && night.unfinished.is_empty();
            if silent {
                return None;
            }
            night
        }
    };
    if Mood::of(&night).is_disjoint(&channel.when) {
        return None;
    }
    let body = match channel.form {
        ChatForm::Slack => slack::message(&night),
        ChatForm::Json => serde_json::to_value(&night).ok()?,
    };
    let form = match channel.form {
        ChatForm::Slack => "slack",
        ChatForm::Json => "json",
    };
    let id = format!("night-{}.{}.{form}", night.as_of, &told_digest(&night)[..16]);
    let about = format!("{}: {}", night.as_of, night.summary());
    Some(ChatDraft { place: channel.place.clone(), id, about, body })
}

#[cfg(test)]
mod tests;
