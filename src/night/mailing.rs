//! What the mails need: the readers of the configuration, the templates of its folder, the nights before, and what followed
//! late. Nothing of it may keep a night from being told.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Night;
use super::error::NightError;
use crate::apply::{chain, key_of_mail, sentence_of};
use crate::config::{ActionWord, AttachWord, Config, MailEntry, QuietWord, TellWord};
use crate::control::{ControlError, StoredDecision, UNDO_MOVES, Wanted};
use crate::domain::{ExperimentId, Share, VariantId};
use crate::report::{
    ActionKind, Attach, Before, FollowUp, Incident, Letter, MailDraft, Past, PastNight, Pasts, Readers, Role,
    Stationery, Wants, action_id, follow_up, pictured,
};

/// How many nights a picture shows.
const NIGHTS_SHOWN: i64 = 90;

/// For how long a follow-up that was settled late is looked for.
const LOOKED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The readers that the configuration names; none without mail.
pub fn readers(config: &Config) -> Option<Readers> {
    let mail: &MailEntry = config.settings.mail.as_ref()?;
    let roles = mail.digests.iter().map(|digest| Role {
        to: digest.to.clone(),
        experiments: digest.experiments.clone(),
        wants: digest.tell.as_ref().map_or(Wants::ALL, |tell| Wants {
            acted: tell.contains(&TellWord::Acted),
            needs_you: tell.contains(&TellWord::NeedsYou),
            broken: tell.contains(&TellWord::Broken),
            quiet: tell.contains(&TellWord::Quiet),
        }),
    });
    let mut readers = Readers::new(mail.from.clone(), mail.to.clone());
    readers.reply_to.clone_from(&mail.reply_to);
    readers.roles = roles.collect();
    readers.owners = mail.owners.unwrap_or(true);
    readers.quiet = mail.quiet == QuietWord::Send;
    readers.pictures = mail.pictures.unwrap_or(true);
    readers.attach = mail
        .attach
        .iter()
        .map(|word| match word {
            AttachWord::Csv => Attach::Csv,
            AttachWord::Json => Attach::Json,
        })
        .collect();
    if let Some(actions) = &mail.actions {
        readers.actions = actions
            .iter()
            .map(|word| match word {
                ActionWord::Rollback => ActionKind::Rollback,
                ActionWord::Promote => ActionKind::Promote,
                ActionWord::Ramp => ActionKind::Ramp,
            })
            .collect();
    }
    readers.page = config.settings.reports.as_ref().map(|folder| folder.display().to_string());
    Some(readers)
}

/// The templates and texts of the configuration's folder, the built-in ones where there is none. What cannot be read or
/// used is among its faults.
pub fn stationery(config: &Config) -> Stationery {
    let folder = config.settings.mail.as_ref().and_then(|mail| mail.templates.as_ref());
    match folder {
        Some(folder) => own_stationery(&config.base.join(folder)),
        None => Stationery::built_in(),
    }
}

fn own_stationery(folder: &Path) -> Stationery {
    let mut files = Vec::new();
    let mut unread = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let fault = (folder.display().to_string(), format!("the folder of templates cannot be read: {error}"));
            return Stationery::with(&[], &[fault]);
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_file() {
            continue;
        }
        match std::fs::read_to_string(entry.path()) {
            Ok(text) => files.push((name, text)),
            Err(error) => unread.push((name, format!("cannot be read as text: {error}"))),
        }
    }
    files.sort();
    unread.sort();
    Stationery::with(&files, &unread)
}

impl Night<'_> {
    /// What the last decision of an earlier night said of a candidate.
    pub(super) async fn before(&self, of: (ExperimentId, VariantId)) -> Result<Option<Before>, NightError> {
        let stored = match readable(self.control.looks_before(of, self.as_of, 1).await)? {
            Some(stored) => stored,
            None => return Ok(None),
        };
        Ok(stored.last().map(|last| Before::of(last.as_of, share_of(last), &last.decision, &last.assessment)))
    }

    /// The nights before those decisions that have pictures.
    pub(super) async fn pasts(&self, letters: &[Letter], readers: &Readers) -> Result<Pasts, NightError> {
        let mut pasts = Pasts::new();
        for decision in pictured(letters, readers) {
            let id = decision.to_string();
            let wanted = Wanted { id: &id, ..Wanted::default() };
            let Some(found) = readable(self.control.decisions(wanted, 1).await)? else { continue };
            let Some(tonight) = found.first() else { continue };
            let of = (tonight.experiment, tonight.candidate);
            let before =
                readable(self.control.looks_before(of, tonight.as_of, NIGHTS_SHOWN).await)?.unwrap_or_default();
            let nights = before.into_iter().map(|stored| PastNight {
                as_of: stored.as_of,
                share: share_of(&stored),
                decision: stored.decision,
                assessment: stored.assessment,
            });
            pasts.insert(decision, Past { nights: nights.collect() });
        }
        Ok(pasts)
    }

    /// Says of each incident which experiment it is about.
    pub(super) async fn name_experiments(&self, incidents: &mut [Incident]) -> Result<(), NightError> {
        for incident in incidents.iter_mut().filter(|incident| incident.experiment.is_none()) {
            let Some(decision) = incident.decision else { continue };
            let found = self.control.find_decisions(&decision.to_string()).await?;
            incident.experiment = found.into_iter().next().and_then(|decision| decision.names.0);
        }
        Ok(())
    }

    /// The mails in the threads of earlier decisions: new incidents about them, and follow-ups that were settled late.
    pub(super) async fn follow_ups(
        &self,
        readers: &Readers,
        stationery: &Stationery,
        incidents: &[Incident],
    ) -> Result<Vec<MailDraft>, NightError> {
        let mut drafts = Vec::new();
        for incident in incidents.iter().filter(|incident| incident.new) {
            let Some(decision) = incident.decision else { continue };
            let key = key_of_mail(&action_id(decision, readers));
            let news = FollowUp::NotAsDecided(incident.clone());
            drafts.extend(self.answer(&key, &news, stationery).await?);
        }
        let since = self.now.checked_sub(LOOKED_FOR).unwrap_or(Timestamp::MIN);
        let Some(late) = readable(self.control.settled_late(readers.domain(), since).await)? else { return Ok(drafts) };
        // What one run settled of one decision is one answer.
        let mut settled: BTreeMap<(String, Timestamp), (Vec<String>, Vec<String>)> = BTreeMap::new();
        for late in late {
            let what = sentence_of(&late.action);
            if let (Some(decision), UNDO_MOVES, false) =
                (late.action.decision, late.action.kind.as_str(), late.given_up)
            {
                let news = self.undone(decision, late.at).await?;
                drafts.extend(self.answer(&late.mail, &news, stationery).await?);
                continue;
            }
            let (done, given_up) = settled.entry((late.mail, late.at)).or_default();
            match late.given_up {
                true => given_up.push(format!("{what}: {}", late.last_error.unwrap_or_default())),
                false => done.push(what),
            }
        }
        for ((mail, at), (done, given_up)) in settled {
            let news = FollowUp::Settled { done, given_up, at };
            drafts.extend(self.answer(&mail, &news, stationery).await?);
        }
        Ok(drafts)
    }

    async fn undone(&self, decision: Uuid, at: Timestamp) -> Result<FollowUp, NightError> {
        let (mut units, mut left) = (0, 0);
        for found in self.control.find_decisions(&decision.to_string()).await? {
            for sweep in self.control.sweeps_of(&found).await? {
                units += sweep.undone;
                left += sweep.left_alone();
            }
        }
        Ok(FollowUp::Undone { units, left, at })
    }

    /// The answer in the thread that a mail of the journal began, unless it was given before.
    async fn answer(
        &self,
        key: &str,
        news: &FollowUp,
        stationery: &Stationery,
    ) -> Result<Option<MailDraft>, NightError> {
        let Some(payload) = readable(self.control.journalled_mail(key).await)?.flatten() else { return Ok(None) };
        let original: MailDraft = match serde_json::from_value(payload) {
            Ok(original) => original,
            Err(error) => {
                tracing::error!("{key} of the journal is no mail, so nothing is added to its thread: {error}");
                return Ok(None);
            }
        };
        let told = self.control.has_action(&key_of_mail(&news.message_id(&original))).await?;
        Ok((!told).then(|| follow_up(&original, news, self.now, stationery)))
    }
}

/// What was read, or nothing where a row cannot be: a mail without it is better than none.
fn readable<T>(read: Result<T, ControlError>) -> Result<Option<T>, NightError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error @ ControlError::Row { .. }) => {
            tracing::error!("the mail goes without it: {}", chain(&error));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The candidate's share when it was decided; an older version kept none.
fn share_of(stored: &StoredDecision) -> Share {
    stored.basis.as_ref().map_or(Share::NONE, |basis| basis.facts.share)
}
