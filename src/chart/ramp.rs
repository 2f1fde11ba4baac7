//! A candidate's share over time, and who changed it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::act::{Act, DecidedBy};
use super::axis::{Axis, Days};
use super::drawing::{Anchor, Drawing, PADDING, PLAIN, RIGHT, SMALL, Stroke, Type, sharp};
use super::lanes::{self, Room, Slot, Wish};
use super::letters::{Weight, spoken_title, width};
use super::palette::{BLUE, BLUE_GROUND, INK, PALE, SOFT};
use super::{ChartError, Picture, Sketch, raster, words};

const HEIGHT: f64 = 140.0;
/// Where the plot begins and ends.
const PLOT: (f64, f64) = (62.0, 532.0);
/// The lanes of labels above the plot; a label has two lines.
const LANES: usize = 4;
const LANE: f64 = 33.0;
/// Nights closer than this have no ring of their own when they held.
const RINGS_APART: f64 = 7.0;
/// More acts than these are not told one by one in the alternative text.
const MOST_TOLD: usize = 20;

/// How a candidate's share went, from 0 to 100 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// Whose share it is.
    pub title: String,
    /// What stands below the title.
    pub subtitle: String,
    /// The nights. Of two of the same date the later one counts.
    pub nights: Vec<RampNight>,
}

/// One night of a ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RampNight {
    /// The as-of date.
    pub date: Date,
    /// The share from that night on, from 0 to 1.
    pub share: f64,
    /// What was done, if anything.
    pub act: Option<Act>,
    /// Who did it. A share that became another one although the job held was changed by hand, whatever stands here.
    pub by: DecidedBy,
}

/// A night on which something changed.
struct Turn<'a> {
    night: &'a RampNight,
    act: Act,
    by: DecidedBy,
    /// From which share to which.
    shares: String,
}

impl Turn<'_> {
    fn wish(&self, days: &Days) -> Wish {
        let first = self.word_width() + width(self.by.word(), SMALL, Weight::Regular);
        Wish {
            x: days.at(self.night.date),
            width: first.max(width(&self.shares, SMALL, Weight::Regular)),
            first: matches!(self.act, Act::Promote | Act::Rollback),
        }
    }

    /// How wide what was done is, with the white after it.
    fn word_width(&self) -> f64 {
        width(self.act.word(), SMALL, Weight::Bold) + 5.0
    }

    fn draw(&self, drawing: &mut Drawing, x: f64, mark: f64, top: f64, slot: Option<&Slot>) {
        let Some(slot) = slot else { return };
        let below = top - LANE * slot.lane as f64 - 6.0;
        drawing.line((x, below), (x, mark), Stroke::new(self.act.colour(), 1.0));
        let (first, second) = (below - 18.0, below - 4.0);
        drawing.text(slot.left, first, Type::small(self.act.colour()).bold(), self.act.word());
        let by = self.by;
        drawing.text(slot.left + self.word_width(), first, Type::small(by.colour()), by.word());
        drawing.text(slot.left, second, Type::small(INK), &self.shares);
    }
}

impl Ramp {
    /// Draws the picture.
    ///
    /// # Errors
    ///
    /// Only if the rasteriser fails, which no data make it do.
    pub fn draw(&self) -> Result<Picture, ChartError> {
        let (drawing, height) = self.compose();
        raster::picture(&drawing, height, self.alt())
    }

    /// What the picture will say, and its size, without drawing it.
    pub fn sketch(&self) -> Sketch {
        Sketch::of(self.compose().1, self.alt())
    }

    pub(super) fn compose(&self) -> (Drawing, f64) {
        let mut drawing = Drawing::default();
        let y = drawing.heading(&self.title, &self.subtitle);
        let nights = self.by_date();
        let (Some(first), Some(last)) = (nights.first(), nights.last()) else {
            drawing.text(PADDING, y + PLAIN, Type::plain(SOFT), "There is no night to show.");
            return (drawing, y + PLAIN + PADDING);
        };
        let days = Days::new(first.date, last.date, PLOT.0 + 12.0, PLOT.1 - 12.0);
        let turns = turns(&nights);
        let wishes: Vec<Wish> = turns.iter().map(|turn| turn.wish(&days)).collect();
        let slots = lanes::place(&wishes, Room { left: PLOT.0 - 10.0, right: RIGHT, lanes: LANES });
        let top = y + LANE * lanes::used(&slots) as f64 + 6.0;
        let bottom = top + HEIGHT;
        let axis = Axis::new(0.0, 1.0, bottom, top);

        draw_steps(&mut drawing, &axis, &days, &nights);
        draw_grid(&mut drawing, &axis, &days, bottom);
        draw_step_line(&mut drawing, &axis, &days, &nights);
        let rings = days.pitch() >= RINGS_APART;
        for night in nights.iter().filter(|night| rings && night.act == Some(Act::Hold)) {
            Act::Hold.draw(&mut drawing, days.at(night.date), axis.at(night.share));
        }
        for (turn, slot) in turns.iter().zip(&slots) {
            let (x, mark) = (days.at(turn.night.date), axis.at(turn.night.share));
            turn.draw(&mut drawing, sharp(x), mark, top, slot.as_ref());
        }
        for turn in &turns {
            turn.act.draw(&mut drawing, days.at(turn.night.date), axis.at(turn.night.share));
        }
        let hidden = slots.iter().filter(|slot| slot.is_none()).count();
        let below = legend(&mut drawing, bottom + 40.0, &nights, rings, hidden);
        (drawing, below + PADDING)
    }

    /// The nights in their order, without those whose share is no number from 0 to 1.
    fn by_date(&self) -> Vec<&RampNight> {
        let nights: BTreeMap<Date, &RampNight> = self.nights.iter().map(|night| (night.date, night)).collect();
        nights.into_values().filter(|night| (0.0..=1.0).contains(&night.share)).collect()
    }

    fn alt(&self) -> String {
        let nights = self.by_date();
        let mut sentences = vec![spoken_title("Share by night", &self.title, &self.subtitle)];
        match (nights.first(), nights.last()) {
            (Some(first), Some(last)) => {
                let tell = |night: &RampNight| format!("{} on {}", words::share(night.share), words::date(night.date));
                sentences.push(format!("{} at first, {} at last", tell(first), tell(last)));
            }
            _ => sentences.push("There is no night to show".to_owned()),
        }
        let turns = turns(&nights);
        for turn in turns.iter().take(MOST_TOLD) {
            let (date, act) = (words::date(turn.night.date), turn.act.word());
            sentences.push(format!("{date}: {act} {}, {}", turn.shares, turn.by.word()));
        }
        if turns.len() > MOST_TOLD {
            sentences.push(format!("And {} more", words::several(turns.len() - MOST_TOLD, "change")));
        }
        let held = nights.iter().filter(|night| night.act == Some(Act::Hold)).count();
        if held > 0 {
            sentences.push(format!("Held on {}", words::several(held, "night")));
        }
        sentences.join(". ") + "."
    }
}

/// The nights on which something changed, with what is said of them. A share that changed without an act was set.
fn turns<'a>(nights: &[&'a RampNight]) -> Vec<Turn<'a>> {
    let mut before: Option<f64> = None;
    let mut turns = Vec::new();
    for night in nights {
        let from = before.replace(night.share).filter(|from| *from != night.share);
        let (act, by) = match night.act {
            Some(Act::Hold) if from.is_some() => (Act::Set, DecidedBy::Hand),
            None if from.is_some() => (Act::Set, night.by),
            Some(Act::Hold) | None => continue,
            Some(act) => (act, night.by),
        };
        let to = words::share(night.share);
        let shares = from.map_or(to.clone(), |from| format!("{} → {to}", words::share(from).trim_end_matches(" %")));
        turns.push(Turn { night, act, by, shares });
    }
    turns
}

/// The corners of the steps: each night's share holds until the next one.
fn corners(axis: &Axis, days: &Days, nights: &[&RampNight]) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for night in nights {
        let (x, y) = (days.at(night.date), axis.at(night.share));
        if let Some((_, before)) = corners.last().copied().filter(|(_, before)| *before != y) {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    // The last share is in force; a stub says so.
    if let Some((x, y)) = corners.last().copied() {
        corners.push((x + 12.0, y));
    }
    corners
}

fn draw_steps(drawing: &mut Drawing, axis: &Axis, days: &Days, nights: &[&RampNight]) {
    let mut ground = corners(axis, days, nights);
    if let (Some(first), Some(last)) = (ground.first().copied(), ground.last().copied()) {
        ground.extend([(last.0, axis.at(0.0)), (first.0, axis.at(0.0))]);
        drawing.polygon(&ground, BLUE_GROUND);
    }
}

fn draw_step_line(drawing: &mut Drawing, axis: &Axis, days: &Days, nights: &[&RampNight]) {
    drawing.polyline(&corners(axis, days, nights), Stroke::new(BLUE, 2.0));
}

fn draw_grid(drawing: &mut Drawing, axis: &Axis, days: &Days, bottom: f64) {
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = sharp(axis.at(share));
        let colour = if share == 0.0 { INK } else { PALE };
        drawing.line((PLOT.0, y), (PLOT.1, y), Stroke::new(colour, 1.0));
        let look = Type::small(SOFT).anchored(Anchor::End);
        drawing.text(PLOT.0 - 8.0, y + 4.0, look, &words::share(share));
    }
    for (date, label) in days.ticks(76.0) {
        let x = sharp(days.at(date));
        drawing.line((x, bottom), (x, bottom + 4.0), Stroke::new(SOFT, 1.0));
        drawing.text(x, bottom + 16.0, Type::small(SOFT).anchored(Anchor::Middle), &label);
    }
}

/// The marks in use and their words; returns where it ends.
fn legend(drawing: &mut Drawing, baseline: f64, nights: &[&RampNight], rings: bool, hidden: usize) -> f64 {
    let mut acts: Vec<Act> = turns(nights).iter().map(|turn| turn.act).collect();
    acts.extend(nights.iter().filter_map(|night| night.act));
    acts.sort_unstable();
    acts.dedup();
    let mut x = PLOT.0;
    for act in acts {
        let word = match act {
            Act::Hold => {
                let held = nights.iter().filter(|night| night.act == Some(Act::Hold)).count();
                format!("HOLD ({})", words::several(held, "night"))
            }
            act => act.word().to_owned(),
        };
        if act != Act::Hold || rings {
            act.draw(drawing, x + 5.0, baseline - 4.0);
            x += 15.0;
        }
        drawing.text(x, baseline, Type::small(SOFT), &word);
        x += width(&word, SMALL, Weight::Regular) + 16.0;
    }
    if hidden == 0 {
        return baseline;
    }
    let words = format!("{} without a label", words::several(hidden, "mark"));
    drawing.text(PLOT.0, baseline + 18.0, Type::small(SOFT), &words);
    baseline + 18.0
}
