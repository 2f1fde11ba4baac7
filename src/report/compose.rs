//! From a letter to its mail: the most telling experiments as cards, the others in a line each, and never more than mail
//! programs show.

use super::attach::attachment;
use super::circulation::{About, Letter, Readers, letters};
use super::draft::{MailDraft, PictureDraft};
use super::night::{ExperimentReport, NightReport};
use super::pictures::{Pasts, pictures_of};
use super::stationery::Stationery;
use super::view::{self, Card, Class, Digest, Foot, Line, PictureView, Tone};
use super::words::Words;
use crate::domain::{Bound, Direction};

/// Gmail cuts a mail's HTML at about 102 kB as it is sent; these are the bytes as written, and as sent.
const MOST_BYTES: usize = 80_000;
const MOST_BYTES_SENT: usize = 96_000;
/// What the sentences about what was cut may take.
const FOR_THE_CUT: usize = 1_500;
/// Longer titles are cut by whoever shows them.
const LONGEST_TITLE: usize = 70;
/// So many lines of what changed or needs somebody stand on top.
const MOST_AT_A_GLANCE: usize = 12;
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

/// A rendered text.
type Written = Result<String, minijinja::Error>;

/// What gives a card its pictures.
type Illustrate<'a> = dyn FnMut(&ExperimentReport, &mut Card) + 'a;

/// How a digest is written.
struct Form<'a> {
    stationery: &'a Stationery,
    foot: Foot,
    bounded: bool,
}

/// What stands in a mail, and what found no room.
#[derive(Default)]
struct Fitted {
    cards: Vec<String>,
    lines: Vec<String>,
    cards_left: usize,
    lines_left: usize,
}

impl Form<'_> {
    fn digest_html(&self, night: &NightReport, illustrate: &mut Illustrate<'_>) -> Written {
        self.digest(night, "html", illustrate)
    }

    fn digest_text(&self, night: &NightReport) -> Written {
        self.digest(night, "txt", &mut |_, _| {})
    }

    fn digest(&self, night: &NightReport, kind: &str, illustrate: &mut Illustrate<'_>) -> Written {
        let words = self.stationery.words();
        let mut view = self.view(night);
        let frame = self.stationery.render(&format!("digest.{kind}"), &view)?;
        let room = if self.bounded { Room::for_mail(&frame) } else { Room::ENDLESS };
        let fitted = self.fit(night, kind, room, illustrate)?;
        let cut = |key: &str, left: usize| (left > 0).then(|| words.count(key, left as u64));
        view.cut =
            [cut("cut_cards", fitted.cards_left), cut("cut_lines", fitted.lines_left)].into_iter().flatten().collect();
        (view.cards, view.lines) = (fitted.cards, fitted.lines);
        self.stationery.render(&format!("digest.{kind}"), &view)
    }

    fn view(&self, night: &NightReport) -> Digest {
        let words = self.stationery.words();
        let lines = |lines: &[String]| bounded(lines.iter().map(|line| view::plain(line)).collect(), words);
        let notices = self.stationery.faults().iter().map(|fault| {
            let why = view::plain(&fault.to_string());
            words.fill("broken_template", &[("file", &view::plain(&fault.file)), ("why", &why)])
        });
        let told = told(night);
        let mut glance: Vec<Line> = match told.as_slice() {
            [_, _, ..] => told.iter().flat_map(|experiment| Line::at_a_glance(experiment, words)).collect(),
            _ => Vec::new(),
        };
        let more = glance.len().saturating_sub(MOST_AT_A_GLANCE);
        glance.truncate(MOST_AT_A_GLANCE);
        for line in &mut glance {
            line.why = view::shortened(&line.why, 160);
        }
        Digest {
            cautions: night.cautions().iter().map(|caution| view::plain(caution)).collect(),
            glance,
            glance_more: (more > 0).then(|| words.count("more", more as u64)),
            lang: words.say("lang"),
            dir: words.say("dir"),
            title: words.fill("title", &[("as_of", &night.as_of)]),
            as_of: night.as_of.to_string(),
            run: night.run.map(|run| run.to_string()),
            preheader: view::preheader(night, words),
            parts: view::parts(night, words),
            incidents: lines(&night.incidents.iter().map(ToString::to_string).collect::<Vec<_>>()),
            cards: Vec::new(),
            lines: Vec::new(),
            cut: Vec::new(),
            unfinished: lines(&night.unfinished),
            moved: lines(&night.moved),
            resumed: lines(&night.resumed),
            notices: notices.collect(),
            foot: self.foot.clone(),
        }
    }

    /// Cards while there is room for them, then lines.
    fn fit(
        &self,
        night: &NightReport,
        kind: &str,
        mut room: Room,
        illustrate: &mut Illustrate<'_>,
    ) -> Result<Fitted, minijinja::Error> {
        let words = self.stationery.words();
        let line = |line: &Line| self.stationery.render(&format!("line.{kind}"), line);
        let told = told(night);
        let quiet: Vec<&ExperimentReport> = night.experiments.iter().filter(|e| !Class::of(e).is_told()).collect();
        // Lines keep a third of the room, or what they need of it.
        let mut of_quiet = Lines { rest: quiet.iter().copied(), words }.render(&line, room.part(3))?;
        let for_lines = Room::needed_by(&of_quiet.rendered).at_most(room.part(3));
        let mut for_cards = room.without(for_lines);
        let mut fitted = Fitted::default();
        let mut beyond = told.iter();
        for experiment in beyond.by_ref() {
            let mut card = Card::of(experiment, words);
            illustrate(experiment, &mut card);
            let rendered = self.stationery.render(&format!("card.{kind}"), &card)?;
            if !for_cards.take(&rendered) {
                fitted.cards_left = 1;
                break;
            }
            room.take(&rendered);
            fitted.cards.push(rendered);
        }
        if fitted.cards_left > 0 {
            let rest: Vec<&ExperimentReport> = told[fitted.cards.len()..].to_vec();
            let mut lines = Lines { rest: rest.into_iter(), words }.render(&line, room)?;
            fitted.cards_left = lines.experiments;
            fitted.lines_left += lines.left;
            for rendered in &lines.rendered {
                room.take(rendered);
            }
            fitted.lines.append(&mut lines.rendered);
            // What is left for the quiet ones may be less than they were given at first.
            of_quiet = Lines { rest: quiet.iter().copied(), words }.render(&line, room)?;
        } else {
            of_quiet = if of_quiet.left > 0 {
                Lines { rest: quiet.iter().copied(), words }.render(&line, room)?
            } else {
                of_quiet
            };
        }
        fitted.lines_left += of_quiet.left;
        fitted.lines.append(&mut of_quiet.rendered);
        Ok(fitted)
    }
}

/// Experiments that are told in a line each.
struct Lines<'a, I> {
    rest: I,
    words: &'a Words,
}

struct RenderedLines {
    rendered: Vec<String>,
    /// How many experiments have lines.
    experiments: usize,
    /// How many found no room.
    left: usize,
}

impl<'a, I: Iterator<Item = &'a ExperimentReport>> Lines<'_, I> {
    fn render(self, line: &dyn Fn(&Line) -> Written, mut room: Room) -> Result<RenderedLines, minijinja::Error> {
        let mut done = RenderedLines { rendered: Vec::new(), experiments: 0, left: 0 };
        for experiment in self.rest {
            let lines: Vec<String> = if done.left > 0 {
                Vec::new()
            } else {
                Line::of(experiment, self.words).iter().map(line).collect::<Result<_, _>>()?
            };
            if done.left > 0 || !room.take(&lines.concat()) {
                done.left += 1;
                continue;
            }
            done.experiments += 1;
            done.rendered.extend(lines);
        }
        Ok(done)
    }
}

/// The bytes that are left, as written and as sent.
#[derive(Clone, Copy, Debug)]
struct Room {
    written: usize,
    sent: usize,
}

impl Room {
    const ENDLESS: Room = Room { written: usize::MAX, sent: usize::MAX };

    fn for_mail(frame: &str) -> Room {
        Room {
            written: MOST_BYTES.saturating_sub(frame.len() + FOR_THE_CUT),
            sent: MOST_BYTES_SENT.saturating_sub(sent(frame) + FOR_THE_CUT),
        }
    }

    fn needed_by(texts: &[String]) -> Room {
        Room { written: texts.iter().map(String::len).sum(), sent: texts.iter().map(|text| sent(text)).sum() }
    }

    fn at_most(self, other: Room) -> Room {
        Room { written: self.written.min(other.written), sent: self.sent.min(other.sent) }
    }

    fn part(self, of: usize) -> Room {
        Room { written: self.written / of, sent: self.sent / of }
    }

    fn without(self, other: Room) -> Room {
        Room { written: self.written.saturating_sub(other.written), sent: self.sent.saturating_sub(other.sent) }
    }

    /// Whether a text has room; then there is less.
    fn take(&mut self, text: &str) -> bool {
        let (written, sent) = (text.len(), sent(text));
        if written > self.written || sent > self.sent {
            return false;
        }
        self.written -= written;
        self.sent -= sent;
        true
    }
}

/// How many bytes quoted-printable makes of a text.
fn sent(text: &str) -> usize {
    let bytes: usize = text.bytes().map(|b| if b == b'=' || !b.is_ascii() { 3 } else { 1 }).sum();
    bytes + 3 * (bytes / 73)
}

/// The first of many lines, and how many others there are.
fn bounded(mut lines: Vec<String>, words: &Words) -> Vec<String> {
    const MOST_LINES: usize = 25;
    const LONGEST: usize = 600;
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    for line in &mut lines {
        *line = view::shortened(line, LONGEST);
    }
    if more > 0 {
        lines.push(words.count("more", more as u64));
    }
    lines
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

fn digest_subject(night: &NightReport, words: &Words) -> String {
    let classes: Vec<Class> = night.experiments.iter().map(Class::of).collect();
    let count = |class: fn(&Class) -> bool| classes.iter().filter(|c| class(c)).count();
    let outcomes = view::outcomes(night);
    let broken = count(|c| c.broken) + night.incidents.len() + usize::from(!night.unfinished.is_empty());
    let acted = [("rolled_back", outcomes[0]), ("promoted", outcomes[1]), ("ramped", outcomes[2])];
    let rest = [("subject_needs_you", count(|c| c.needs_you)), ("subject_broken", broken), ("held", outcomes[3])];
    let mut what = view::counted(words, &[&acted[..], &rest[..]].concat());
    if what.is_empty() {
        what.push(words.say(if night.experiments.is_empty() { "no_experiment" } else { "nothing" }));
    }
    words.fill("subject_digest", &[("as_of", &night.as_of), ("what", &what.join(", "))])
}

/// `[rampkeeper] ROLLED BACK planner_policy_exp/leftovers_v2: cost per plan +12.4 % (margin +10 %)`, with names cut where
/// it would be long.
pub(super) fn action_subject(night: &NightReport, words: &Words) -> String {
    const LONG: usize = 96;
    let Some((experiment, candidate)) = night.experiments.first().and_then(|e| Some((e, e.candidates.first()?))) else {
        return words.fill("subject_digest", &[("as_of", &night.as_of), ("what", &night.summary())]);
    };
    let word = view::word_of(&candidate.decision.outcome, words);
    let told = |(names, metrics): (usize, usize)| {
        let shown = super::pictures::named_by_reasons(candidate);
        let what = match shown.and_then(|reading| Some((reading, reading.effect?))) {
            Some((reading, effect)) => {
                let bound = view::bound_of(reading.bound, reading.direction);
                let bound = match (reading.bound, reading.direction) {
                    (Bound::Margin(_), Direction::Increase | Direction::Decrease) => {
                        words.fill("margin", &[("bound", &bound)])
                    }
                    (Bound::Ceiling(_) | Bound::Floor(_), _) => words.fill("limit", &[("bound", &bound)]),
                };
                let metric = view::shortened(&view::plain(&reading.metric).replace('_', " "), metrics);
                let effect = view::effect_of(reading.scale, effect);
                words.fill("subject_breach", &[("metric", &metric), ("effect", &effect), ("bound", &bound)])
            }
            None => {
                let brief = candidate.decision.in_short().into_iter().next().unwrap_or_default();
                view::shortened(&view::plain(&brief), 2 * metrics)
            }
        };
        let experiment = view::shortened(&view::plain(&experiment.name), names);
        let of = view::shortened(&view::plain(&candidate.name), names);
        words.fill(
            "subject_action",
            &[("word", &word), ("experiment", &experiment), ("candidate", &of), ("what", &what)],
        )
    };
    let subjects = [(60, 40), (28, 28), (24, 24), (20, 20), (16, 20), (12, 16)].map(told);
    let fits = |subject: &&String| subject.chars().count() <= LONG;
    subjects.iter().find(fits).unwrap_or(&subjects[subjects.len() - 1]).clone()
}
