//! What follows a decision that had a mail of its own, as an answer in that mail's thread.

use jiff::Timestamp;
use serde::Serialize;

use super::draft::MailDraft;
use super::night::Incident;
use super::stationery::Stationery;
use super::view::{Foot, Tone, plain, shortened};
use super::words::Words;

/// What happened since.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowUp {
    /// Something that the decision set is otherwise.
    NotAsDecided(Incident),
    /// Steps that were still to be done are done now, or given up.
    Settled {
        /// Those that are done, as sentences.
        done: Vec<String>,
        /// Those that were given up, as sentences with the reason.
        given_up: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// The units that it moved went back.
    Undone {
        /// How many.
        units: u64,
        /// How many stay where they are.
        left: u64,
        /// When that was asked for.
        at: Timestamp,
    },
}

#[derive(Serialize)]
struct FollowView {
    lang: String,
    dir: String,
    title: String,
    preheader: String,
    heading: String,
    tone: Tone,
    lines: Vec<String>,
    intro: String,
    notices: Vec<String>,
    run: Option<String>,
    foot: Foot,
}

impl FollowUp {
    /// The part of the Message-ID in front of the `@`: the same for the same news.
    fn name(&self) -> String {
        match self {
            FollowUp::NotAsDecided(incident) => format!("incident-{}", incident.id),
            FollowUp::Settled { at, .. } => format!("settled-{}", at.as_microsecond()),
            FollowUp::Undone { at, .. } => format!("undone-{}", at.as_microsecond()),
        }
    }

    /// The Message-ID of its mail in the thread of `original`.
    pub fn message_id(&self, original: &MailDraft) -> String {
        let (decision, domain) = original.message_id.split_once('@').unwrap_or(("action", "localhost"));
        match self {
            // The moment does not tell decisions apart.
            FollowUp::Undone { .. } | FollowUp::Settled { .. } => format!("{}.{decision}@{domain}", self.name()),
            FollowUp::NotAsDecided(_) => format!("{}@{domain}", self.name()),
        }
    }

    fn tell(&self, words: &Words) -> (&'static str, Tone, Vec<String>) {
        match self {
            FollowUp::NotAsDecided(incident) => ("follow_incident", Tone::Bad, vec![plain(&incident.to_string())]),
            FollowUp::Settled { done, given_up, .. } => {
                let (key, tone) =
                    if given_up.is_empty() { ("follow_done", Tone::Good) } else { ("follow_failed", Tone::Bad) };
                (key, tone, given_up.iter().chain(done).map(|line| plain(line)).collect())
            }
            FollowUp::Undone { units, left, .. } => {
                let left = (*left > 0).then(|| words.count("undone_left", *left));
                let told = [words.count("undone_units", *units)].into_iter().chain(left);
                ("follow_undone", Tone::Act, told.collect())
            }
        }
    }
}

/// The mail about what followed: an answer to exactly the original's subject, to the same readers.
pub fn follow_up(original: &MailDraft, news: &FollowUp, at: Timestamp, stationery: &Stationery) -> MailDraft {
    let words = stationery.words();
    let (heading, tone, lines) = news.tell(words);
    let as_of = original.headers.iter().find(|(name, _)| name == "X-Rampkeeper-As-Of");
    let as_of = as_of.map_or("–", |(_, value)| value.as_str());
    let heading = words.say(heading);
    let lines: Vec<String> = lines.iter().map(|line| shortened(line, 4_000)).collect();
    let view = FollowView {
        lang: words.say("lang"),
        dir: words.say("dir"),
        title: heading.clone(),
        preheader: lines.join(" "),
        heading,
        tone,
        intro: words.fill("follow_intro", &[("as_of", &as_of), ("subject", &plain(&original.subject))]),
        lines,
        notices: Vec::new(),
        run: None,
        foot: Foot::default(),
    };
    let written = |stationery: &Stationery| {
        Ok::<_, minijinja::Error>((stationery.render("follow.txt", &view)?, stationery.render("follow.html", &view)?))
    };
    let (text, html) = written(stationery).or_else(|_| written(&Stationery::built_in())).unwrap_or_else(|error| {
        let said = format!("{}: {} ({error:#})", view.heading, view.lines.join(" "));
        (said.clone(), format!("<p>{}</p>", said.replace('&', "&amp;").replace('<', "&lt;")))
    });
    MailDraft {
        subject: words.fill("subject_reply", &[("subject", &original.subject)]),
        text,
        html,
        message_id: news.message_id(original),
        date: at,
        in_reply_to: Some(original.message_id.clone()),
        pictures: Vec::new(),
        attachments: Vec::new(),
        ..original.clone()
    }
}
