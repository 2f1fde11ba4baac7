//! What chats are told of a night: from the configuration's words to the journal's.

use std::collections::BTreeSet;

use super::Night;
use super::error::NightError;
use crate::apply::action_of_chat;
use crate::config::{ChatEntry, ChatKind, ChatNight};
use crate::control::NewAction;
use crate::report::{Channel, ChatForm, Mood, NightReport, chat_draft};

impl Night<'_> {
    /// The journal's entries for all chats that are told of this night.
    pub(super) fn chats_about(&self, night: &NightReport) -> Vec<NewAction> {
        let channels = self.config.settings.chat.iter().map(channel);
        channels.filter_map(|channel| chat_draft(night, &channel)).map(|draft| action_of_chat(&draft)).collect()
    }

    /// Whether all of these were journalled before; none if there are none.
    pub(super) async fn are_journalled(&self, keys: &[String]) -> Result<Option<bool>, NightError> {
        for key in keys {
            if !self.control.has_action(key).await? {
                return Ok(Some(false));
            }
        }
        Ok((!keys.is_empty()).then_some(true))
    }
}

fn channel(entry: &ChatEntry) -> Channel {
    let mood = |night: &ChatNight| match night {
        ChatNight::Acted => Mood::Acted,
        ChatNight::NeedsYou => Mood::NeedsYou,
        ChatNight::Broken => Mood::Broken,
        ChatNight::Quiet => Mood::Quiet,
    };
    let when: BTreeSet<Mood> = entry.when.iter().map(mood).collect();
    Channel {
        place: entry.url.name(),
        form: match entry.kind {
            ChatKind::Slack => ChatForm::Slack,
            ChatKind::Json => ChatForm::Json,
        },
        experiments: entry.experiments.clone(),
        when,
    }
}
