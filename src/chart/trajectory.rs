//! One metric's interval, night by night.

mod band;
mod marks;

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::axis::{Axis, Days};
use super::drawing::{Anchor, Drawing, PADDING, PLAIN, RIGHT, SMALL, Stroke, Towards, Type, sharp};
use super::lanes::{self, Room, Wish};
use super::letters::{Weight, cut, spoken, spoken_title};
use super::palette::{BLUE, BLUE_GROUND, INK, PALE, RED, RED_GROUND, SOFT, Tone};
use super::scale::{Scale, aim, range, sign};
use super::{ChartError, Picture, Sketch, raster, words};
use crate::domain::Direction;
use band::Seen;
use marks::LANE;

const HEIGHT: f64 = 210.0;
/// Where the plot begins and ends.
const PLOT: (f64, f64) = (74.0, 448.0);
/// The lanes of labels above the plot.
const LANES: usize = 3;
/// Numbers beyond this have no place on an axis.
const FARTHEST: f64 = 1e100;

/// How one metric's interval went: worse is always below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// Which metric of which candidate.
    pub title: String,
    /// What stands below the title.
    pub subtitle: String,
    /// Which way the metric should go.
    pub better: Direction,
    /// What its numbers are.
    pub scale: Scale,
    /// The margin (positive), or the ceiling or floor, by the scale.
    pub bound: Option<f64>,
    /// The nights. Of two of the same date the later one counts.
    pub nights: Vec<Night>,
    /// The night that settled it, if one did.
    pub crossing: Option<Crossing>,
}

/// One night.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Night {
    /// The as-of date.
    pub date: Date,
    /// The estimated lift or value.
    pub estimate: Option<f64>,
    /// Low and high end; none leaves a gap.
    #[serde(with = "super::spoken::ends")]
    pub interval: Option<(f64, f64)>,
    /// The candidate's share that day, from 0 to 1.
    pub share: f64,
}

/// The night on which the interval crossed its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// The as-of date.
    pub date: Date,
    /// What was shown then: `breach`, `safe`.
    pub verdict: String,
    /// What that means.
    pub tone: Tone,
}

impl Trajectory {
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
        let (Some(first), Some(last)) = (nights.keys().next(), nights.keys().next_back()) else {
            drawing.text(PADDING, y + PLAIN, Type::plain(SOFT), "There is no night to show.");
            return (drawing, y + PLAIN + PADDING);
        };
        let seen = band::seen(&nights, self.better);
        let days = Days::new(*first, *last, PLOT.0 + 10.0, PLOT.1 - 10.0);
        let marks = marks::marks(&nights, self.crossing.as_ref());
        let wishes: Vec<Wish> = marks.iter().map(|mark| mark.wish(&days)).collect();
        let slots = lanes::place(&wishes, Room { left: PLOT.0 - 30.0, right: RIGHT, lanes: LANES });
        let top = y + LANE * lanes::used(&slots) as f64 + 4.0;
        let bottom = top + HEIGHT;
        let axis = self.axis(&seen, top, bottom);

        self.draw_ground(&mut drawing, &axis, &days, bottom);
        let window = (PLOT.0, top, PLOT.1 - PLOT.0, HEIGHT);
        drawing.clipped(window.0, window.1, window.2, window.3, |inside| {
            band::draw_band(inside, &axis, &days, &seen);
            self.draw_lines(inside, &axis);
            band::draw_estimates(inside, &axis, &days, &seen);
        });
        for (mark, slot) in marks.iter().zip(&slots) {
            mark.draw(&mut drawing, &days, slot.as_ref(), (top, bottom));
        }
        self.draw_crossing(&mut drawing, &axis, &days, &seen);
        self.draw_margin_words(&mut drawing, &axis, &seen, (top, bottom));
        if seen.is_empty() {
            let centre = 0.5 * (PLOT.0 + PLOT.1);
            let look = Type::plain(SOFT).anchored(Anchor::Middle);
            drawing.text(centre, top + 0.25 * HEIGHT, look, "No night has an interval yet.");
        }
        let unlabelled = slots.iter().filter(|slot| slot.is_none()).count();
        let below = footer(&mut drawing, bottom, &axis, &seen, unlabelled);
        (drawing, below + PADDING)
    }

    fn by_date(&self) -> BTreeMap<Date, &Night> {
        self.nights.iter().map(|night| (night.date, night)).collect()
    }

    /// The bound in numbers whose higher ones are better.
    fn bound_up(&self) -> Option<f64> {
        let bound = sign(self.better) * self.scale.bound_value(self.bound, self.better)?;
        Some(bound).filter(|bound| bound.abs() < FARTHEST)
    }

    /// The line that stands for control.
    fn control_up(&self) -> Option<f64> {
        match self.scale {
            Scale::Lift => Some(0.0),
            Scale::Value { control } => Some(sign(self.better) * control?).filter(|control| control.abs() < FARTHEST),
        }
    }

    /// An axis that shows control, the bound, and the narrower half of the intervals. The first nights' are often a
    /// hundred times as wide as the last one's; they run off the plot.
    fn axis(&self, seen: &[Seen], top: f64, bottom: f64) -> Axis {
        let widths = seen.iter().map(|night| night.better - night.worse);
        let mut widths: Vec<f64> = widths.filter(|width| width.is_finite()).collect();
        widths.sort_by(f64::total_cmp);
        let usual = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let narrow = seen.iter().filter(|night| night.better - night.worse <= usual);
        let ends = narrow.flat_map(|night| [night.worse, night.better]).chain(seen.iter().filter_map(|s| s.estimate));
        let farthest = 20.0 * (usual + self.bound_up().unwrap_or(0.0).abs() + self.control_up().unwrap_or(0.0).abs());
        let ends = ends.filter(|end| end.abs() <= farthest).chain(self.bound_up()).chain(self.control_up());
        let ends = ends.filter(|end| end.abs() < FARTHEST);
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), end| (l.min(end), h.max(end)));
        let white = 0.12 * (high - low);
        Axis::new(low - white, high + white, bottom, top)
    }

    /// The grid, and the ground beyond the margin.
    fn draw_ground(&self, drawing: &mut Drawing, axis: &Axis, days: &Days, bottom: f64) {
        if let Some(bound) = self.bound_up() {
            let y = sharp(axis.at(bound));
            drawing.rect(PLOT.0, y, PLOT.1 - PLOT.0, bottom - y, RED_GROUND);
        }
        let part = if self.scale == Scale::Lift { 100.0 } else { 1.0 };
        let ticks = axis.ticks(6);
        // Neighbouring labels differ in their last decimal, and all have the same number of them.
        let step = ticks.windows(2).map(|pair| part * (pair[1] - pair[0])).fold(f64::INFINITY, f64::min);
        let decimals = if step > 0.0 && step < 1.0 { (-(step * 1.0001).log10().floor()).min(8.0) as usize } else { 0 };
        for tick in ticks {
            let y = sharp(axis.at(tick));
            drawing.line((PLOT.0, y), (PLOT.1, y), Stroke::new(PALE, 1.0));
            let value = part * sign(self.better) * tick;
            let label = match self.scale {
                _ if value == 0.0 => "0".to_owned(),
                Scale::Lift => format!("{} %", words::signed(value, decimals)),
                Scale::Value { .. } => words::fixed(value, decimals),
            };
            drawing.text(PLOT.0 - 8.0, y + 4.0, Type::small(SOFT).anchored(Anchor::End), &label);
        }
        for (date, label) in days.ticks(74.0) {
            let x = sharp(days.at(date));
            drawing.line((x, bottom), (x, bottom + 4.0), Stroke::new(SOFT, 1.0));
            drawing.text(x, bottom + 16.0, Type::small(SOFT).anchored(Anchor::Middle), &label);
        }
        drawing.line((PLOT.0, bottom), (PLOT.1, bottom), Stroke::new(SOFT, 1.0));
    }

    /// Control and the bound, above the band.
    fn draw_lines(&self, drawing: &mut Drawing, axis: &Axis) {
        if let Some(control) = self.control_up().filter(|control| axis.holds(*control)) {
            let y = sharp(axis.at(control));
            drawing.line((PLOT.0, y), (PLOT.1, y), Stroke::new(INK, 1.0));
        }
        if let Some(bound) = self.bound_up() {
            let y = sharp(axis.at(bound));
            drawing.line((PLOT.0, y), (PLOT.1, y), Stroke::new(RED, 1.5).dashed(2.0, 3.0));
        }
    }

    fn draw_crossing(&self, drawing: &mut Drawing, axis: &Axis, days: &Days, seen: &[Seen]) {
        let Some(crossing) = &self.crossing else { return };
        let Some(night) = seen.iter().find(|night| night.date == crossing.date) else { return };
        let Some(estimate) = night.estimate.filter(|estimate| axis.holds(*estimate)) else { return };
        drawing.point(days.at(night.date), axis.at(estimate), crossing.tone);
    }

    /// What the lines at the right are, without one covering another.
    fn draw_margin_words(&self, drawing: &mut Drawing, axis: &Axis, seen: &[Seen], (top, bottom): (f64, f64)) {
        let mut words: Vec<(f64, Type, String)> = Vec::new();
        if let (Some(bound), Some(text)) = (self.bound_up(), self.scale.bound_words(self.bound, self.better)) {
            words.push((axis.at(bound), Type::small(RED), text));
        }
        if let Some(control) = self.control_up().filter(|control| axis.holds(*control)) {
            words.push((axis.at(control), Type::small(INK), "control".to_owned()));
        }
        if let Some(night) = seen.last()
            && let Some(estimate) = night.estimate.filter(|estimate| axis.holds(*estimate))
        {
            let text = self.scale.write(sign(self.better) * estimate);
            words.push((axis.at(estimate), Type::small(BLUE).bold(), text));
        }
        words.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Pushed down where they are too close, then up again from the bottom.
        let apart = 14.0;
        for at in 1..words.len() {
            words[at].0 = words[at].0.max(words[at - 1].0 + apart);
        }
        let mut lowest = bottom - 20.0;
        for word in words.iter_mut().rev() {
            word.0 = word.0.min(lowest);
            lowest = word.0 - apart;
        }
        let x = PLOT.1 + 8.0;
        for (y, look, text) in words {
            drawing.text(x, y.max(top + 18.0) + 4.0, look, &cut(&text, SMALL, look.weight, RIGHT - x));
        }
        drawing.arrow(x + 4.0, top, Towards::Up, 7.0, SOFT);
        drawing.text(x + 13.0, top + 8.0, Type::small(SOFT), "better");
        drawing.arrow(x + 4.0, bottom, Towards::Down, 7.0, SOFT);
        drawing.text(x + 13.0, bottom, Type::small(SOFT), "worse");
    }

    fn alt(&self) -> String {
        let nights = self.by_date();
        let mut sentences = vec![spoken_title("Interval by night", &self.title, &self.subtitle)];
        let bound = self.scale.bound_words(self.bound, self.better);
        let parts: Vec<String> =
            [Some(format!("Direction: {}", aim(self.better))), bound].into_iter().flatten().collect();
        sentences.push(parts.join(", "));
        let with: Vec<&&Night> = nights.values().filter(|night| range(night.interval).is_some()).collect();
        let tell = |night: &Night| {
            format!("{}: {}", words::date(night.date), self.scale.write_all(night.estimate, night.interval))
        };
        match with.as_slice() {
            [] => sentences.push("No night has an interval yet".to_owned()),
            [only] => sentences.push(tell(only)),
            [first, .., last] => sentences.push(format!("{}; {}", tell(first), tell(last))),
        }
        sentences.push(format!("{} of {} with an interval", with.len(), words::several(nights.len(), "night")));
        for (date, from, to) in marks::changes(&nights) {
            sentences.push(format!("{}: share {} to {}", words::date(date), words::share(from), words::share(to)));
        }
        if let Some(crossing) = &self.crossing {
            sentences.push(format!("Settled: {} on {}", spoken(&crossing.verdict), words::date(crossing.date)));
        }
        sentences.join(". ") + "."
    }
}

/// What the reader could ask about the plot; returns where it ends.
fn footer(drawing: &mut Drawing, bottom: f64, axis: &Axis, seen: &[Seen], unlabelled: usize) -> f64 {
    let baseline = bottom + 40.0;
    let mut x = PLOT.0;
    let mut notes = Vec::new();
    if !seen.is_empty() {
        drawing.rect(x, baseline - 10.0, 20.0, 12.0, BLUE_GROUND);
        drawing.line((x, baseline - 4.0), (x + 20.0, baseline - 4.0), Stroke::new(BLUE, 2.0));
        x += 28.0;
        notes.push("estimate and interval".to_owned());
    }
    let wider = seen.iter().filter(|night| axis.is_below(night.worse) || axis.is_above(night.better)).count();
    if wider > 0 {
        notes.push(format!("on {} it is wider than the plot", words::several(wider, "night")));
    }
    if unlabelled > 0 {
        notes.push(format!("{} without a label", words::several(unlabelled, "mark")));
    }
    if notes.is_empty() {
        return bottom + 22.0;
    }
    drawing.text(x, baseline, Type::small(SOFT), &cut(&notes.join("; "), SMALL, Weight::Regular, RIGHT - x));
    baseline
}
