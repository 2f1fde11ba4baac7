//! The journal, carried out: every pending action, in its order, each idempotent, none of them choosing anything.
//!
//! An action that fails stays pending and is tried again by the next run. The allocation change is not among them: it was
//! committed together with the decision.
//!
//! One action that fails must neither hold up the night nor be overtaken:
//!
//! - Before anything is decided, only what is due in the control store is done: an allocation change must not wait for a
//!   registry or a mail server that hangs. Their actions come after it, in their order.
//! - A database that is locked or restarts is asked again after a moment. Registry and mail servers are asked again by
//!   their adapters.
//! - Once an adapter is found to be away, its other actions of that pass are skipped; of chats, each is one on its own.
//! - The registry sees its steps of an experiment in their order: behind one that is still to be done, they wait. Else
//!   an alias could be removed today and set tomorrow by the older step.
//! - What failed in a run is not tried twice by it.
//!
//! Nothing that is written is believed: it is compared with what was expected before, and read again afterwards. What
//! differs is an incident (`incidents`).

mod candidate;
mod deed;
mod error;
mod guarded;
mod incidents;
mod redraw;
mod step;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::control::{ControlError, ControlStore, PendingAction};
use crate::domain::ExperimentId;
use crate::notify::{Attachment, CallError, Chat, InlineImage, Mail, Mailer, Post};
use crate::registry::Registry;
use crate::report::{ChatDraft, MailDraft};

pub use deed::{
    action_of_candidate, action_of_chat, action_of_mail, actions_of, actions_of_enrolment, experiment_of, key_of_mail,
    sentence_of,
};
pub use error::chain;

use deed::{Adapter, CHAT, Deed, MAIL, StepPayload};
use error::ActionError;
use step::{End, StepRun};

/// A time after all others.
const DISTANT: Timestamp = Timestamp::MAX;

/// What carries out the journal, during one run.
pub struct Applier<'a> {
    control: &'a ControlStore,
    registry: &'a dyn Registry,
    mailer: Option<&'a dyn Mailer>,
    chat: Option<&'a dyn Chat>,
    run: Uuid,
    now: Timestamp,
    begun: Instant,
    /// Held while a mail or a post is on its way: who stops the run waits for it, lest it go out twice.
    sending: &'a Mutex<()>,
    left: Vec<Left>,
    /// What earlier runs had left, by its keys.
    left_over: BTreeSet<String>,
    resumed: Vec<String>,
    moved: std::sync::Mutex<Vec<String>>,
    registry_is_away: bool,
}

/// How one action went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// Its key.
    pub idempotency_key: String,
    /// The decision that it follows.
    pub decision: Option<Uuid>,
    /// What was to be done, as a sentence.
    pub what: String,
    /// Why it is not done, if it is not.
    pub error: Option<String>,
}

/// What this run has not done.
struct Left {
    action: Applied,
    /// Whether it was tried, or only skipped.
    tried: bool,
}

/// What a pass has met so far.
#[derive(Default)]
struct Pass {
    away: BTreeSet<Adapter>,
    /// The chats that are away.
    silent: BTreeSet<String>,
    behind: BTreeSet<ExperimentId>,
}

impl Pass {
    /// Why an action is not to be tried now.
    fn skips(&self, adapter: Adapter, place: Option<&str>, experiment: Option<ExperimentId>) -> Option<&'static str> {
        match adapter {
            Adapter::Registry if self.away.contains(&adapter) => Some("skipped: the registry did not answer"),
            Adapter::Mail if self.away.contains(&adapter) => Some("skipped: no mail could be sent just before"),
            Adapter::Registry if experiment.is_some_and(|id| self.behind.contains(&id)) => {
                Some("skipped: an earlier step of the same experiment is still to be done")
            }
            Adapter::Chat if place.is_some_and(|place| self.silent.contains(place)) => {
                Some("skipped: this chat did not answer just before")
            }
            Adapter::Control | Adapter::Registry | Adapter::Mail | Adapter::Chat => None,
        }
    }
}

/// Asks again while the store is locked or restarting, a few times.
///
/// # Errors
/// The last answer.
pub async fn patiently<T, F>(ask: impl FnMut() -> F) -> Result<T, ControlError>
where
    F: Future<Output = Result<T, ControlError>>,
{
    ask.retry(a_moment()).sleep(tokio::time::sleep).when(ControlError::is_transient).notify(tell_wait).await
}

/// The waits between two attempts at something local: 0.2 s, 0.4 s, 0.8 s, each drawn out a little at random.
fn a_moment() -> ExponentialBuilder {
    let builder = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
    builder.with_factor(2.0).with_max_times(3).with_jitter()
}

fn tell_wait(error: &impl std::error::Error, wait: Duration) {
    tracing::warn!(?wait, "{}; trying again", chain(error));
}

impl<'a> Applier<'a> {
    /// An applier for the run of that key, which began at `now`. Without a `mailer`, mails stay in the journal. `sending`
    /// is locked while a mail is on its way.
    pub fn new(
        control: &'a ControlStore,
        registry: &'a dyn Registry,
        mailer: Option<&'a dyn Mailer>,
        (run, now): (Uuid, Timestamp),
        sending: &'a Mutex<()>,
    ) -> Self {
        let (left, left_over, resumed) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (begun, moved) = (Instant::now(), std::sync::Mutex::default());
        Self {
            control,
            registry,
            mailer,
            chat: None,
            run,
            now,
            begun,
            sending,
            left,
            left_over,
            resumed,
            moved,
            registry_is_away: false,
        }
    }

    /// The same with a way to chats; without it their messages are given up.
    pub fn with_chat(self, chat: Option<&'a dyn Chat>) -> Self {
        Self { chat, ..self }
    }

    /// Carries out what earlier runs left to do in the control store; what they left for others waits until the night is
    /// decided.
    ///
    /// # Errors
    /// Only where the journal itself cannot be read or written; a failed action is a result.
    pub async fn resume(&mut self) -> Result<(), ControlError> {
        let pending = self.control.pending_actions(self.now).await?;
        self.left_over = pending.into_iter().map(|action| action.idempotency_key).collect();
        self.apply(|_, adapter| adapter == Adapter::Control).await?;
        Ok(())
    }

    /// Carries out what is pending, but for what this run has tried already, and notes each result in the journal.
    ///
    /// # Errors
    /// As [`Applier::resume`].
    pub async fn apply_pending(&mut self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|_, _| true).await
    }

    /// The same for the mails and posts alone.
    ///
    /// # Errors
    /// As [`Applier::resume`].
    pub async fn apply_mail(&mut self) -> Result<Vec<Applied>, ControlError> {
        self.apply(|action, _| action.kind == MAIL || action.kind == CHAT).await
    }

    /// What earlier runs had left and this one has done, as sentences.
    pub fn resumed(&self) -> &[String] {
        &self.resumed
    }

    /// How many units this run has drawn anew, as sentences.
    pub fn moved(&self) -> Vec<String> {
        self.moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn tell_moved(&self, told: String) {
        self.moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(told);
    }

    /// The time by now: a night may take longer than a split needs to settle.
    fn clock(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::MAX);
        self.now.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// What this run has not done, each with the reason, as sentences.
    pub fn unfinished(&self) -> Vec<String> {
        let told = |action: &Applied| action.error.as_ref().map(|error| format!("{}: {error}", action.what));
        self.left.iter().filter_map(|left| told(&left.action)).collect()
    }

    async fn apply(&mut self, wanted: impl Fn(&PendingAction, Adapter) -> bool) -> Result<Vec<Applied>, ControlError> {
        let mut pass = Pass::default();
        let mut applied = Vec::new();
        let pending = self.control.pending_actions(self.now).await?.into_iter().map(|action| {
            let deed = Deed::of(&action);
            let adapter = deed.as_ref().map_or(Adapter::Control, Deed::adapter);
            (action, deed, adapter)
        });
        let mut pending: Vec<_> = pending.filter(|(action, _, adapter)| wanted(action, *adapter)).collect();
        // Units on a failed arm do not wait for a registry either. The order among the others stays.
        pending.sort_by_key(|(_, _, adapter)| *adapter != Adapter::Control);
        for (action, deed, adapter) in pending {
            // A unit that comes back to a closed arm must not keep its version from being archived.
            let ordered = adapter == Adapter::Registry || deed.is_err();
            let experiment = experiment_of(&action).filter(|_| ordered);
            if self.left.iter().any(|left| left.tried && left.action.idempotency_key == action.idempotency_key) {
                pass.behind.extend(experiment);
                continue;
            }
            let what = deed.as_ref().map_or_else(|_| format!("carry out {}", action.kind), Deed::told);
            let place = deed.as_ref().ok().and_then(Deed::place);
            let skipped = pass.skips(adapter, place, experiment);
            let error = match skipped {
                Some(why) => {
                    tracing::info!(action = %action.idempotency_key, "did not {what}: {why}");
                    Some(why.to_owned())
                }
                None => self.attempt(&action, deed, (&what, experiment), &mut pass).await?,
            };
            let outcome = Applied { idempotency_key: action.idempotency_key, decision: action.decision, what, error };
            self.left.retain(|left| left.action.idempotency_key != outcome.idempotency_key);
            if outcome.error.is_some() {
                self.left.push(Left { action: outcome.clone(), tried: skipped.is_none() });
            } else if self.left_over.contains(&outcome.idempotency_key) {
                self.resumed.push(outcome.what.clone());
            }
            applied.push(outcome);
        }
        self.registry_is_away = pass.away.contains(&Adapter::Registry);
        Ok(applied)
    }

    /// Tries one action and notes the result in the journal. Answers why it is not done, if it is not; then the later
    /// registry steps of `experiment` wait.
    async fn attempt(
        &self,
        action: &PendingAction,
        deed: Result<Deed, ActionError>,
        (what, experiment): (&str, Option<ExperimentId>),
        pass: &mut Pass,
    ) -> Result<Option<String>, ControlError> {
        let key = &action.idempotency_key;
        // Until its fate is noted: a mail that is out and not noted would go out again.
        let _on_its_way = match &deed {
            Ok(Deed::Mail(_) | Deed::Chat(_)) => Some(self.sending.lock().await),
            _ => None,
        };
        let place = deed.as_ref().ok().and_then(Deed::place).map(str::to_owned);
        let mut tries = 0;
        let result = match deed {
            Ok(deed) => {
                let attempt = || {
                    tries += 1;
                    self.carry_out(action, &deed)
                };
                let retried = attempt.retry(a_moment()).sleep(tokio::time::sleep);
                retried.when(ActionError::is_worth_a_moment).notify(tell_wait).await
            }
            Err(unknown) => Err(unknown),
        };
        let tries = tries.max(1);
        let (told, for_good, error) = match result {
            Ok(End::Done) => {
                tracing::info!(action = %key, "{what}");
                patiently(|| self.control.action_done(key, tries, self.now)).await?;
                return Ok(None);
            }
            Ok(End::LeftAlone(told)) => {
                patiently(|| self.control.action_failed(key, &told, true, tries, self.now)).await?;
                // Told as an incident; nothing is left to be tried.
                return Ok(None);
            }
            Ok(End::Again(told)) => (told, false, None),
            Err(error) => (chain(&error), error.is_for_good(), Some(error)),
        };
        let again = if for_good { "given up" } else { "tried again by the next run" };
        let attempts = action.attempts + i64::from(tries);
        tracing::warn!(action = %key, attempts, "could not {what}: {told} ({again})");
        patiently(|| self.control.action_failed(key, &told, for_good, tries, self.now)).await?;
        pass.away.extend(error.as_ref().and_then(ActionError::outage));
        pass.silent.extend(place.filter(|_| error.as_ref().is_some_and(ActionError::is_silent_chat)));
        // What is given up holds nobody up.
        pass.behind.extend(experiment.filter(|_| !for_good));
        let before = if action.attempts > 0 { format!(" (attempt {attempts})") } else { String::new() };
        Ok(Some(if for_good { format!("given up: {told}") } else { format!("{told}{before}") }))
    }

    async fn carry_out(&self, action: &PendingAction, deed: &Deed) -> Result<End, ActionError> {
        let (key, decision) = (action.idempotency_key.as_str(), action.decision);
        match deed {
            Deed::Mail(draft) => {
                let mailer = self.mailer.ok_or(ActionError::NoMailer)?;
                mailer.send(&Mail::from(draft.clone())).await?;
                Ok(End::Done)
            }
            Deed::Chat(draft) => {
                let chat = self.chat.ok_or_else(|| CallError::NoPlace { place: draft.place.clone() })?;
                chat.post(&Post::from(draft.clone())).await?;
                Ok(End::Done)
            }
            Deed::Step(payload) => StepRun { applier: self, key, decision }.carry_out(payload).await,
            Deed::Candidate(payload) => StepRun { applier: self, key, decision }.mark_candidate(&payload.version).await,
            Deed::Undo(payload) => {
                for decision in self.control.find_decisions(&payload.decision.to_string()).await? {
                    let sweeps = self.control.sweeps_of(&decision).await?;
                    let units = self.control.undo_moves(&decision, &sweeps, self.now).await?;
                    tracing::info!(action = key, units, "units moved back");
                }
                Ok(End::Done)
            }
        }
    }
}

impl From<MailDraft> for Mail {
    fn from(draft: MailDraft) -> Mail {
        let mut draft = draft;
        let pictures = draft.draw().into_iter().map(|picture| InlineImage {
            content_id: picture.content_id,
            filename: picture.filename,
            png: picture.png,
        });
        let inline_images = pictures.collect();
        let attachments = draft.attachments.into_iter().map(|file| Attachment {
            filename: file.filename,
            content_type: file.content_type,
            bytes: file.text.into_bytes(),
        });
        Mail {
            from: draft.from,
            to: draft.to,
            reply_to: draft.reply_to,
            subject: draft.subject,
            text: draft.text,
            html: draft.html,
            message_id: draft.message_id,
            date: draft.date,
            in_reply_to: draft.in_reply_to,
            list_id: Some(draft.list_id),
            headers: draft.headers,
            inline_images,
            attachments: attachments.collect(),
        }
    }
}

impl From<ChatDraft> for Post {
    fn from(draft: ChatDraft) -> Post {
        Post { place: draft.place, id: draft.id, body: draft.body }
    }
}

#[cfg(test)]
mod tests;
