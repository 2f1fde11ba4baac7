//! A digest: cards while there is room for them, then a line each.

use super::room::Room;
use super::told;
use crate::report::night::{ExperimentReport, NightReport};
use crate::report::stationery::Stationery;
use crate::report::view::{self, Card, Class, Digest, Foot, Line};
use crate::report::words::Words;

/// So many lines of what changed or needs somebody stand on top.
const MOST_AT_A_GLANCE: usize = 12;

/// A rendered text.
pub(super) type Written = Result<String, minijinja::Error>;

/// What gives a card its pictures.
pub(super) type Illustrate<'a> = dyn FnMut(&ExperimentReport, &mut Card) + 'a;

/// How a digest is written.
pub(super) struct Form<'a> {
    pub(super) stationery: &'a Stationery,
    pub(super) foot: Foot,
    pub(super) bounded: bool,
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
    pub(super) fn digest_html(&self, night: &NightReport, illustrate: &mut Illustrate<'_>) -> Written {
        self.digest(night, "html", illustrate)
    }

    pub(super) fn digest_text(&self, night: &NightReport) -> Written {
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

    pub(super) fn view(&self, night: &NightReport) -> Digest {
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
