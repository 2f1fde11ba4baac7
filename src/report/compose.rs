//! From a letter to its mail: the most telling experiments as cards, the others in a line each, and never more than mail
//! programs show.

mod digest;
mod room;
mod subject;

use self::digest::Form;
use self::subject::{action_subject, digest_subject};
use super::attach::attachment;
use super::circulation::{About, Letter, Readers, letters};
use super::draft::{MailDraft, PictureDraft};
use super::night::{ExperimentReport, NightReport};
use super::pictures::{Pasts, pictures_of};
use super::stationery::Stationery;
use super::view::{self, Card, Class, Digest, Foot, PictureView, Tone};
use super::words::Words;

/// Longer titles are cut by whoever shows them.
const LONGEST_TITLE: usize = 70;
/// Only the first so many candidates of a mail have pictures.
const MOST_PICTURED: usize = 8;

/// The mails of a night, the digests first, then one for each decision that has its own.
pub fn mails_of(night: &NightReport, readers: &Readers, stationery: &Stationery, pasts: &Pasts) -> Vec<MailDraft> {
    letters(night, readers).iter().map(|letter| draft(letter, readers, stationery, pasts)).collect()
}

/// The decisions whose cards have pictures, so that the nights before are looked up for no others.
pub fn pictured(letters: &[Letter], readers: &Readers) -> Vec<uuid::Uuid> {
    let mut found: Vec<uuid::Uuid> = Vec::new();
    for letter in letters.iter().filter(|_| readers.pictures) {
        let told = told(&letter.night).into_iter().flat_map(|e| Card::told_of(e));
        found.extend(told.filter_map(|candidate| candidate.decision_id).take(MOST_PICTURED));
    }
    found.sort();
    found.dedup();
    found
}

/// The mail of a letter. Should a template of somebody's own fail on what its trial did not have, the built-in ones stand
/// in: no mail is lost for the look of it.
pub fn draft(letter: &Letter, readers: &Readers, stationery: &Stationery, pasts: &Pasts) -> MailDraft {
    let error = match try_draft(letter, readers, stationery, pasts) {
        Ok(draft) => return draft,
        Err(error) => error,
    };
    tracing::error!("the built-in templates stand in, since one failed: {error:#}");
    let instead = stationery.built_in_instead(&error);
    try_draft(letter, readers, &instead, pasts).unwrap_or_else(|error| bare(letter, readers, &error))
}

/// A mail without any template, should even the built-in ones fail on what nobody foresaw.
fn bare(letter: &Letter, readers: &Readers, error: &minijinja::Error) -> MailDraft {
    let said = format!("{} as of {} ({error:#})", letter.night.summary(), letter.night.as_of);
    let escaped = said.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    MailDraft {
        from: readers.from.clone(),
        to: letter.to.clone(),
        reply_to: readers.reply_to.clone(),
        subject: digest_subject(&letter.night, &Words::built_in()),
        html: format!("<!DOCTYPE html><html lang=\"en\"><title>Rampkeeper</title><p>{escaped}</p></html>"),
        text: said,
        message_id: letter.message_id.clone(),
        date: letter.night.at,
        in_reply_to: None,
        list_id: format!("{}.{}", letter.list, readers.domain()),
        headers: Vec::new(),
        pictures: Vec::new(),
        attachments: Vec::new(),
    }
}

pub(super) fn try_draft(
    letter: &Letter,
    readers: &Readers,
    stationery: &Stationery,
    pasts: &Pasts,
) -> Result<MailDraft, minijinja::Error> {
    let words = stationery.words();
    let night = &letter.night;
    let mut pictures = Vec::new();
    let foot = foot(letter, readers, words);
    let (html, text, subject) = match &letter.about {
        About::Action { .. } => {
            let own = own_mail(letter, readers, stationery, pasts, &mut pictures, foot)?;
            (own.0, own.1, action_subject(night, words))
        }
        About::Everything | About::Role | About::Owned => {
            let form = Form { stationery, foot, bounded: true };
            let html = form.digest_html(night, &mut |e, card| {
                illustrate(night, e, card, &mut pictures, readers, pasts);
            })?;
            (html, form.digest_text(night)?, digest_subject(night, words))
        }
    };
    // What was cut from the HTML again has taken its pictures along.
    pictures.retain(|picture: &PictureDraft| html.contains(&format!("cid:{}", picture.content_id)));
    let mut headers = vec![("X-Rampkeeper-As-Of".to_owned(), night.as_of.to_string())];
    headers.extend(night.run.map(|run| ("X-Rampkeeper-Run".to_owned(), run.to_string())));
    if let About::Action { decision } = &letter.about {
        headers.push(("X-Rampkeeper-Decision".to_owned(), decision.to_string()));
        headers.push(("Thread-Topic".to_owned(), subject.clone()));
    }
    let attachments = match letter.about {
        About::Action { .. } => Vec::new(),
        _ => readers.attach.iter().map(|kind| attachment(*kind, night)).collect(),
    };
    Ok(MailDraft {
        from: readers.from.clone(),
        to: letter.to.clone(),
        reply_to: readers.reply_to.clone(),
        subject,
        text,
        html,
        message_id: letter.message_id.clone(),
        date: night.at,
        in_reply_to: None,
        list_id: format!("{}.{}", letter.list, readers.domain()),
        headers,
        pictures,
        attachments,
    })
}

/// The report as a page: whole, and without pictures.
pub fn render_html(report: &NightReport) -> String {
    let form = Form { stationery: &Stationery::built_in(), foot: Foot::default(), bounded: false };
    form.digest_html(report, &mut |_, _| {}).unwrap_or_else(|error| failed(report, &error))
}

/// The same words and numbers as plain text.
pub fn render_text(report: &NightReport) -> String {
    let form = Form { stationery: &Stationery::built_in(), foot: Foot::default(), bounded: false };
    form.digest_text(report).unwrap_or_else(|error| failed(report, &error))
}

fn failed(report: &NightReport, error: &minijinja::Error) -> String {
    format!("{} as of {} ({error:#})", report.summary(), report.as_of)
}

/// Gives the candidates of a card their pictures, while the mail has room for any.
fn illustrate(
    night: &NightReport,
    experiment: &ExperimentReport,
    card: &mut Card,
    pictures: &mut Vec<PictureDraft>,
    readers: &Readers,
    pasts: &Pasts,
) {
    if !readers.pictures {
        return;
    }
    let pictured = |pictures: &[PictureDraft]| {
        let mut ids: Vec<&str> =
            pictures.iter().filter_map(|p| p.content_id.split_once('-')).map(|(_, id)| id).collect();
        ids.dedup();
        ids.len()
    };
    for (view, candidate) in card.candidates.iter_mut().zip(Card::told_of(experiment)) {
        let Some(id) = candidate.decision_id.filter(|_| pictured(pictures) < MOST_PICTURED) else { continue };
        for chart in pictures_of(candidate, night.as_of, pasts.get(&id)) {
            let content_id = format!("{}-{id}@{}", chart.kind(), readers.domain());
            let sketch = chart.sketch();
            view.pictures.push(PictureView {
                src: format!("cid:{content_id}"),
                alt: sketch.alt,
                width: sketch.width,
                height: sketch.height,
            });
            let filename = format!("{}-{}.png", super::circulation::slug(&candidate.name), chart.kind());
            pictures.push(PictureDraft { content_id, filename, chart });
        }
    }
}

/// The experiments that get a card, in the order of the first line.
fn told(night: &NightReport) -> Vec<&ExperimentReport> {
    let mut told: Vec<&ExperimentReport> = night.experiments.iter().filter(|e| Class::of(e).is_told()).collect();
    told.sort_by_key(|experiment| view::rank(experiment));
    told
}

/// What templates of an action's mail are given.
#[derive(serde::Serialize)]
struct ActionView {
    #[serde(flatten)]
    digest: Digest,
    heading: String,
    tone: Tone,
    card: String,
}

/// A decision's own mail, as HTML and text.
fn own_mail(
    letter: &Letter,
    readers: &Readers,
    stationery: &Stationery,
    pasts: &Pasts,
    pictures: &mut Vec<PictureDraft>,
    foot: Foot,
) -> Result<(String, String), minijinja::Error> {
    let words = stationery.words();
    let night = &letter.night;
    let form = Form { stationery, foot, bounded: true };
    let Some((experiment, candidate)) = night.experiments.first().and_then(|e| Some((e, e.candidates.first()?))) else {
        return Ok((form.digest_html(night, &mut |_, _| {})?, form.digest_text(night)?));
    };
    let mut card = Card::of(experiment, words);
    illustrate(night, experiment, &mut card, pictures, readers, pasts);
    let short = |name: &str| view::shortened(&view::plain(name), 40);
    let (name, of) = (short(&experiment.name), short(&candidate.name));
    let word = view::word_of(&candidate.decision.outcome, words);
    let heading = words.fill("action_heading", &[("word", &word), ("experiment", &name), ("candidate", &of)]);
    let of_kind = |kind: &str| {
        let mut digest = form.view(night);
        digest.title = view::shortened(&heading, LONGEST_TITLE);
        digest.preheader = candidate.decision.reasons.first().map(|r| view::plain(&r.to_string())).unwrap_or_default();
        let tone = card.candidates.first().map_or(Tone::Open, |c| c.tone);
        let rendered = stationery.render(&format!("card.{kind}"), &card)?;
        stationery
            .render(&format!("action.{kind}"), &ActionView { digest, heading: heading.clone(), tone, card: rendered })
    };
    Ok((of_kind("html")?, of_kind("txt")?))
}

fn foot(letter: &Letter, readers: &Readers, words: &Words) -> Foot {
    let names: Vec<String> = letter.night.experiments.iter().map(|e| view::plain(&e.name)).collect();
    let what = match names.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} {}", words.count("more", rest.len() as u64))
        }
        few => few.join(", "),
    };
    Foot {
        why: match &letter.about {
            About::Everything => words.say("foot_everything"),
            About::Role => words.say("foot_role"),
            About::Owned => words.fill("foot_owner", &[("what", &what)]),
            About::Action { .. } => words.fill("foot_action", &[("what", &what)]),
        },
        see: match &readers.page {
            Some(page) => words.fill("see_page", &[("page", page)]),
            None => words.say("see_status"),
        },
    }
}
