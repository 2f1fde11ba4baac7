//! Every metric's interval beside its margin, tonight.

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, PADDING, PLAIN, RIGHT, SMALL, Stroke, Towards, Type, sharp};
use super::letters::{Weight, cut, fitting, spoken, spoken_title, width, wrap};
use super::palette::{INK, PALE, PLATE, RED, RED_GROUND, SOFT, Tone};
use super::scale::{Scale, aim, range};
use super::{ChartError, Picture, Sketch, raster, words};
use crate::domain::Direction;

/// More rows than these are counted, not drawn.
const MOST_ROWS: usize = 9;

const ROW: f64 = 42.0;
/// Where names end.
const NAMES: f64 = 190.0;
/// Where the plot begins and ends.
const PLOT: (f64, f64) = (200.0, 384.0);
/// Where verdicts begin.
const VERDICTS: f64 = 396.0;

/// A forest plot: a row per metric, worse always on the left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// Who is compared with whom.
    pub title: String,
    /// What the evidence covers.
    pub subtitle: String,
    /// The metrics, in the order in which they are drawn. Of more than 9, those shown worse are drawn first of all.
    pub rows: Vec<ForestRow>,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForestRow {
    /// Its name.
    pub metric: String,
    /// Which way it should go.
    pub better: Direction,
    /// What its numbers are.
    pub scale: Scale,
    /// The margin (positive), or the ceiling or floor, by the scale.
    pub bound: Option<f64>,
    /// The estimated lift or value.
    pub estimate: Option<f64>,
    /// Low and high end; an infinite end is open.
    #[serde(with = "super::spoken::ends")]
    pub interval: Option<(f64, f64)>,
    /// The verdict, as reports word it.
    pub verdict: String,
    /// What the verdict means.
    pub tone: Tone,
    /// Why there is no interval, if there is none.
    pub missing: String,
}

impl Forest {
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
        let mut y = drawing.heading(&self.title, &self.subtitle);
        let (rows, rest) = self.chosen();
        if rows.is_empty() {
            drawing.text(PADDING, y + PLAIN, Type::plain(SOFT), "There is no metric to show.");
            return (drawing, y + PLAIN + PADDING);
        }
        let axis = axis(&rows);
        sides(&mut drawing, y + SMALL);
        y += SMALL + 7.0;
        let bottom = y + ROW * rows.len() as f64;
        // The grounds lie below the lines of the grid, and those below the intervals.
        for (at, row) in rows.iter().enumerate() {
            row.draw_ground(&mut drawing, &axis, y + ROW * at as f64);
        }
        for at in 0..=rows.len() {
            let top = y + ROW * at as f64;
            drawing.line((PADDING, top), (RIGHT, top), Stroke::new(PALE, 1.0));
        }
        grid(&mut drawing, &axis, y, bottom);
        for (at, row) in rows.iter().enumerate() {
            row.draw(&mut drawing, &axis, y + ROW * at as f64);
        }
        let mut below = bottom + 38.0;
        if let Some(rest) = rest {
            drawing.text(PADDING, below, Type::small(INK), &rest);
            below += 20.0;
        }
        legend(&mut drawing, below);
        (drawing, below + PADDING)
    }

    /// The rows that are drawn, and words about the others.
    fn chosen(&self) -> (Vec<&ForestRow>, Option<String>) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&at| self.rows[at].tone != Tone::Bad);
        let (shown, hidden) = order.split_at(order.len().min(MOST_ROWS));
        let mut shown = shown.to_vec();
        shown.sort_unstable();
        let bad = hidden.iter().filter(|&&at| self.rows[at].tone == Tone::Bad).count();
        let rest = match (hidden.len(), bad) {
            (0, _) => None,
            (more, 0) => Some(format!("and {more} more, none shown worse")),
            (more, bad) => Some(format!("and {more} more, {bad} shown worse")),
        };
        (shown.into_iter().map(|at| &self.rows[at]).collect(), rest)
    }

    fn alt(&self) -> String {
        let (rows, rest) = self.chosen();
        let mut sentences = vec![spoken_title("Forest plot", &self.title, &self.subtitle)];
        sentences.extend(rows.iter().map(|row| row.alt()));
        sentences.extend(rest);
        if rows.is_empty() {
            sentences.push("There is no metric to show".to_owned());
        }
        sentences.join(". ") + "."
    }
}

impl ForestRow {
    fn place(&self, value: f64) -> Option<f64> {
        self.scale.lift_percent(value, self.better)
    }

    /// The margin or limit as a place on the axis of lifts.
    fn bound_place(&self) -> Option<f64> {
        self.place(self.scale.bound_value(self.bound, self.better)?).filter(|place| place.is_finite())
    }

    /// The worse and the better end of the interval on the axis of lifts.
    fn span(&self) -> Option<(f64, f64)> {
        let (low, high) = range(self.interval)?;
        let (one, other) = (self.place(low)?, self.place(high)?);
        Some((one.min(other), one.max(other)))
    }

    /// Why no interval is drawn.
    fn absence(&self) -> String {
        match (range(self.interval), self.interval) {
            (Some(_), _) => "control has no value to compare with".to_owned(),
            (None, Some(_)) => "the interval is not a range of numbers".to_owned(),
            (None, None) if self.missing.trim().is_empty() => "no interval yet".to_owned(),
            (None, None) => self.missing.clone(),
        }
    }

    /// The side beyond the margin.
    fn draw_ground(&self, drawing: &mut Drawing, axis: &Axis, top: f64) {
        if self.span().is_none() {
            return;
        }
        let Some(bound) = self.bound_place().filter(|bound| !axis.is_below(*bound)) else { return };
        drawing.rect(PLOT.0, top + 1.0, sharp(axis.at(bound)) - PLOT.0, ROW - 2.0, RED_GROUND);
    }

    fn draw(&self, drawing: &mut Drawing, axis: &Axis, top: f64) {
        let (first, second) = (top + 17.0, top + 33.0);
        let name = cut(&self.metric, PLAIN, Weight::Bold, NAMES - PADDING);
        drawing.text(PADDING, first, Type::plain(INK).bold(), &name);
        // The sign of a margin tells which way is worse; where there is none, words do.
        let below = self.scale.bound_words(self.bound, self.better).unwrap_or_else(|| aim(self.better).to_owned());
        drawing.text(PADDING, second, Type::small(SOFT), &below);
        match self.span() {
            Some(span) => self.draw_interval(drawing, axis, top, span),
            None => self.draw_absence(drawing, top),
        }
        drawing.sign(VERDICTS + 6.0, first - 4.0, 6.0, self.tone);
        let room = RIGHT - VERDICTS;
        let verdict = cut(&self.verdict, PLAIN, Weight::Bold, room - 18.0);
        drawing.text(VERDICTS + 18.0, first, Type::plain(self.tone.colour()).bold(), &verdict);
        let write = |estimate, interval| self.scale.write_all(estimate, interval);
        let numbers = [
            write(self.estimate, self.interval),
            write(None, self.interval),
            write(self.estimate, None),
            "numbers too long to print".to_owned(),
        ];
        drawing.text(VERDICTS, second, Type::small(SOFT), &fitting(numbers, SMALL, room));
    }

    fn draw_interval(&self, drawing: &mut Drawing, axis: &Axis, top: f64, (worse, better): (f64, f64)) {
        if let Some(bound) = self.bound_place().filter(|bound| axis.holds(*bound)) {
            let x = sharp(axis.at(bound));
            drawing.line((x, top + 5.0), (x, top + ROW - 5.0), Stroke::new(RED, 2.0));
        }
        let y = top + 0.5 * ROW;
        let colour = self.tone.colour();
        let bar = Stroke::new(colour, 2.5);
        let (left, right) = (axis.at(worse), axis.at(better));
        drawing.line((left, y), (right, y), bar);
        let cap = |drawing: &mut Drawing, x: f64| drawing.line((x, y - 4.0), (x, y + 4.0), Stroke::new(colour, 1.5));
        if axis.holds(worse) {
            cap(drawing, left);
        }
        if axis.holds(better) {
            cap(drawing, right);
        }
        // An end that is not on the axis is an arrow beside the plot.
        if axis.is_below(worse) {
            drawing.arrow(PLOT.0 - 7.0, y, Towards::Left, 9.0, colour);
        }
        if axis.is_above(better) {
            drawing.arrow(PLOT.1 + 7.0, y, Towards::Right, 9.0, colour);
        }
        let estimate = self.estimate.and_then(|estimate| self.place(estimate)).filter(|place| axis.holds(*place));
        if let Some(estimate) = estimate {
            drawing.point(axis.at(estimate), y, self.tone);
        }
    }

    /// Words instead of an interval, on white: the grid would strike them through.
    fn draw_absence(&self, drawing: &mut Drawing, top: f64) {
        drawing.rect(PLOT.0, top + 0.5, PLOT.1 - PLOT.0, ROW - 1.0, PLATE);
        let lines = wrap(&self.absence(), SMALL, Weight::Regular, PLOT.1 - PLOT.0, 2);
        let first = top + 0.5 * ROW + 4.0 - 7.5 * (lines.len() as f64 - 1.0);
        let look = Type::small(SOFT).anchored(Anchor::Middle);
        for (at, line) in lines.iter().enumerate() {
            drawing.text(0.5 * (PLOT.0 + PLOT.1), first + 15.0 * at as f64, look, line);
        }
    }

    fn alt(&self) -> String {
        let numbers = self.scale.write_all(self.estimate, self.interval);
        let absence = if range(self.interval).is_none() { spoken(&self.absence()) } else { String::new() };
        let bound = self.scale.bound_words(self.bound, self.better).unwrap_or_default();
        let parts = [spoken(&self.verdict), numbers, absence, aim(self.better).to_owned(), bound];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}: {}", spoken(&self.metric), parts.join(", "))
    }
}

/// An axis that shows zero, the margins and most of the intervals. Single ends far outside become arrows, so that one
/// metric without much data does not press all others together.
fn axis(rows: &[&ForestRow]) -> Axis {
    let bounds: Vec<f64> = rows.iter().filter_map(|row| row.bound_place()).collect();
    let spans = rows.iter().filter_map(|row| row.span());
    let estimates = rows.iter().filter_map(|row| row.place(row.estimate?));
    let ends: Vec<f64> = spans.flat_map(|(l, h)| [l, h]).chain(estimates).filter(|end| end.is_finite()).collect();
    let usual = (2.0 * typical(&bounds)).max(2.5 * typical(&ends));
    let near = |places: &[f64], reach: f64| places.iter().map(|p| p.clamp(-reach, reach)).collect::<Vec<_>>();
    let shown = [near(&ends, usual), near(&bounds, 2.0 * usual)].concat();
    let shown = || shown.iter().copied();
    let (left, right) = (shown().fold(0.0, f64::min), shown().fold(0.0, f64::max));
    if left == 0.0 && right == 0.0 {
        return Axis::new(-1.0, 1.0, PLOT.0, PLOT.1);
    }
    let (left, right) = (left.min(-0.3 * right), right.max(-0.3 * left));
    Axis::new(1.1 * left, 1.1 * right, PLOT.0, PLOT.1)
}

/// The median of sizes; 0 of none.
fn typical(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0)
}

fn sides(drawing: &mut Drawing, baseline: f64) {
    let look = Type::small(SOFT);
    drawing.arrow(PLOT.0, baseline - 4.0, Towards::Left, 7.0, SOFT);
    drawing.text(PLOT.0 + 11.0, baseline, look, "worse");
    drawing.arrow(PLOT.1, baseline - 4.0, Towards::Right, 7.0, SOFT);
    drawing.text(PLOT.1 - 11.0, baseline, look.anchored(Anchor::End), "better");
}

/// Light lines with how many percent off control they are; control's own is dark.
fn grid(drawing: &mut Drawing, axis: &Axis, top: f64, bottom: f64) {
    for (tick, label) in ticks(axis) {
        let x = sharp(axis.at(tick));
        let colour = if tick == 0.0 { INK } else { PALE };
        drawing.line((x, top), (x, bottom + 4.0), Stroke::new(colour, 1.0));
        drawing.text(x, bottom + 15.0, Type::small(SOFT).anchored(Anchor::Middle), &label);
    }
}

/// As many round numbers as there is room for their words.
fn ticks(axis: &Axis) -> Vec<(f64, String)> {
    let label = |tick: f64| if tick == 0.0 { "control".to_owned() } else { format!("{} %", words::number(tick.abs())) };
    let labelled = |most| axis.ticks(most).into_iter().map(|tick| (tick, label(tick))).collect::<Vec<_>>();
    let half = |label: &str| 0.5 * width(label, SMALL, Weight::Regular) + 3.0;
    let apart = |pair: &[(f64, String)]| axis.at(pair[1].0) - half(&pair[1].1) > axis.at(pair[0].0) + half(&pair[0].1);
    let fitting = (2..=7).rev().map(labelled).find(|ticks| ticks.windows(2).all(apart));
    fitting.unwrap_or_else(|| vec![(0.0, label(0.0))])
}

fn legend(drawing: &mut Drawing, baseline: f64) {
    let (look, middle) = (Type::small(SOFT), baseline - 4.0);
    drawing.rect(PADDING, middle - 6.0, 16.0, 12.0, RED_GROUND);
    drawing.line((PADDING + 16.0, middle - 6.0), (PADDING + 16.0, middle + 6.0), Stroke::new(RED, 2.0));
    drawing.text(PADDING + 24.0, baseline, look, "beyond the margin or limit");
    let x = PLOT.0;
    drawing.line((x, middle), (x + 22.0, middle), Stroke::new(SOFT, 2.5));
    drawing.point(x + 11.0, middle, Tone::Open);
    drawing.text(x + 29.0, baseline, look, "estimate and interval");
}
