//! What follows a decision that had a mail of its own, as an answer in that mail's thread.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

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
    /// A step that had failed is done now.
    Done {
        /// The step's key in the journal.
        key: String,
        /// The step as a sentence.
        what: String,
    },
    /// A step was given up.
    GivenUp {
        /// The step's key in the journal.
        key: String,
        /// The step as a sentence.
        what: String,
        /// Why.
        why: String,
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
        let hash = |key: &str| format!("{:x}", Sha256::digest(key))[..24].to_owned();
        match self {
            FollowUp::NotAsDecided(incident) => format!("incident-{}", incident.id),
            FollowUp::Done { key, .. } => format!("done-{}", hash(key)),
            FollowUp::GivenUp { key, .. } => format!("given-up-{}", hash(key)),
            FollowUp::Undone { at, .. } => format!("undone-{}", at.as_microsecond()),
        }
    }

    /// The Message-ID of its mail in the thread of `original`.
    pub fn message_id(&self, original: &MailDraft) -> String {
        let (decision, domain) = original.message_id.split_once('@').unwrap_or(("action", "localhost"));
        match self {
            // The journal's keys and the moment do not tell decisions apart in every store.
            FollowUp::Undone { .. } => format!("{}.{decision}@{domain}", self.name()),
            _ => format!("{}@{domain}", self.name()),
        }
    }

    fn tell(&self, words: &Words) -> (&'static str, Tone, Vec<String>) {
        match self {
            FollowUp::NotAsDecided(incident) => ("follow_incident", Tone::Bad, vec![plain(&incident.to_string())]),
            FollowUp::Done { what, .. } => ("follow_done", Tone::Good, vec![plain(what)]),
            FollowUp::GivenUp { what, why, .. } => ("follow_failed", Tone::Bad, vec![plain(what), plain(why)]),
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
