//! Whether units split as planned.

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, PADDING, PLAIN, RIGHT, SMALL, Stroke, Towards, Type, sharp};
use super::letters::{Weight, cut, fitting, spoken, spoken_title};
use super::palette::{INK, PALE, PLATE, SOFT, Tone};
use super::{ChartError, Picture, Sketch, raster, words};

/// More rows than these are counted, not drawn: the last ones stay.
const MOST_ROWS: usize = 10;

/// Where labels end.
const LABELS: f64 = 136.0;
/// Where the plot begins and ends.
const PLOT: (f64, f64) = (148.0, 354.0);
/// Where numbers begin.
const NUMBERS: f64 = 368.0;

/// The 97.5th percentile of the normal distribution: 95 of 100 fair splits lie within so many standard errors.
const CHANCE: f64 = 1.959_963_984_540_054;

/// How units split between one candidate and control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Whose split it is.
    pub title: String,
    /// What stands below the title.
    pub subtitle: String,
    /// Days or epochs, in their order.
    pub rows: Vec<SplitRow>,
    /// ln of the e-value against the planned split, over all of the rows.
    #[serde(with = "super::spoken::number")]
    pub log_e: f64,
    /// The e-value from which on the split counts as mismatched: one over the error rate.
    pub threshold: f64,
    /// Whether it does.
    pub mismatch: bool,
}

/// One day or epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitRow {
    /// What the row is about: `3 Nov`, `epoch 2`.
    pub label: String,
    /// The candidate's planned share of the units of both arms, from 0 to 1.
    pub planned: f64,
    /// Units of the candidate.
    pub candidate_units: u64,
    /// Units of control.
    pub control_units: u64,
}

impl SplitRow {
    fn units(&self) -> u64 {
        self.candidate_units.saturating_add(self.control_units)
    }

    fn planned(&self) -> Option<f64> {
        Some(self.planned).filter(|planned| (0.0..=1.0).contains(planned))
    }

    /// The candidate's observed share.
    fn observed(&self) -> Option<f64> {
        (self.units() > 0).then(|| self.candidate_units as f64 / self.units() as f64)
    }

    /// Observed less planned, in percentage points.
    fn off(&self) -> Option<f64> {
        Some(100.0 * (self.observed()? - self.planned()?))
    }

    /// How far chance alone takes 95 of 100 such splits, in percentage points.
    fn chance(&self) -> Option<f64> {
        let planned = self.planned()?;
        let units = self.units();
        (units > 0).then(|| 100.0 * CHANCE * (planned * (1.0 - planned) / units as f64).sqrt())
    }

    /// `22.10 % seen, 25 % planned`.
    fn shares(&self) -> String {
        let seen = self.observed().map_or("none".to_owned(), |seen| format!("{:.2} %", 100.0 * seen));
        let planned = self.planned().map_or("no share".to_owned(), words::share);
        format!("{seen} seen, {planned} planned")
    }

    fn counts(&self) -> String {
        format!("{} of {} units", words::count(self.candidate_units), words::count(self.units()))
    }
}

impl Split {
    /// Draws the picture.
    ///
    /// # Errors
    ///
    /// Only if the rasteriser fails, which no data make it do.
    pub fn draw(&self) -> Result<Picture, ChartError> {
        let (drawing, height) = self.compose();
        raster::picture(&drawing, height, self.alt())
    }

    fn tone(&self) -> Tone {
        if self.mismatch { Tone::Bad } else { Tone::Good }
    }

    fn headline(&self) -> &'static str {
        if self.mismatch { "Units did not split as planned" } else { "Units split as planned" }
    }

    fn evidence(&self) -> String {
        let (e, threshold) = (words::e_value(self.log_e), words::e_value(self.threshold.ln()));
        format!("e-value {e} against the planned split; a mismatch from {threshold} on")
    }

    /// What the picture will say, and its size, without drawing it.
    pub fn sketch(&self) -> Sketch {
        Sketch::of(self.compose().1, self.alt())
    }

    pub(super) fn compose(&self) -> (Drawing, f64) {
        let mut drawing = Drawing::default();
        let mut y = drawing.heading(&self.title, &self.subtitle);
        // A mismatch voids every other picture of the experiment, so it is told larger.
        let (size, leading, radius) = if self.mismatch { (19.0, 26.0, 9.0) } else { (13.0, 18.0, 6.0) };
        let look = Type { size, ..Type::plain(self.tone().colour()).bold() };
        let left = PADDING + 2.0 * radius + 6.0;
        drawing.sign(PADDING + radius, y + 0.5 * size, radius, self.tone());
        drawing.text(left, y + 0.86 * size, look, self.headline());
        drawing.text(left, y + leading + PLAIN, Type::plain(INK), &self.evidence());
        y += leading + PLAIN + 16.0;

        let rows = &self.rows[self.rows.len().saturating_sub(MOST_ROWS)..];
        if rows.is_empty() {
            drawing.text(PADDING, y + PLAIN, Type::plain(SOFT), "There is no day to show.");
            return (drawing, y + PLAIN + PADDING);
        }
        if self.rows.len() > rows.len() {
            let more = format!("{} more before", self.rows.len() - rows.len());
            drawing.text(PADDING, y + SMALL, Type::small(SOFT), &more);
        }
        let axis = axis(rows);
        let look = Type::small(SOFT);
        drawing.arrow(PLOT.0, y + SMALL - 4.0, Towards::Left, 7.0, SOFT);
        drawing.text(PLOT.0 + 11.0, y + SMALL, look, "too few");
        drawing.arrow(PLOT.1, y + SMALL - 4.0, Towards::Right, 7.0, SOFT);
        drawing.text(PLOT.1 - 11.0, y + SMALL, look.anchored(Anchor::End), "too many");
        y += SMALL + 7.0;

        let row_height = if self.mismatch { 42.0 } else { 36.0 };
        let bottom = y + row_height * rows.len() as f64;
        for (at, row) in rows.iter().enumerate() {
            if let Some(chance) = row.chance() {
                let (left, right) = (axis.at(-chance), axis.at(chance));
                let middle = y + row_height * (at as f64 + 0.5);
                drawing.rect(left, middle - 6.0, right - left, 12.0, PALE);
            }
        }
        grid(&mut drawing, &axis, y, bottom);
        for (at, row) in rows.iter().enumerate() {
            self.draw_row(&mut drawing, &axis, row, y + row_height * at as f64, row_height);
        }
        drawing.line((PADDING, bottom), (RIGHT, bottom), Stroke::new(PALE, 1.0));
        let below = bottom + 38.0;
        drawing.rect(PLOT.0, below - 10.0, 22.0, 12.0, PALE);
        drawing.text(PLOT.0 + 30.0, below, look, "where chance alone puts 95 of 100 such splits");
        (drawing, below + PADDING)
    }

    fn draw_row(&self, drawing: &mut Drawing, axis: &Axis, row: &SplitRow, top: f64, height: f64) {
        let middle = top + 0.5 * height;
        drawing.line((PADDING, top), (RIGHT, top), Stroke::new(PALE, 1.0));
        let label = cut(&row.label, PLAIN, Weight::Bold, LABELS - PADDING);
        drawing.text(PADDING, middle + 4.0, Type::plain(INK).bold(), &label);
        drawing.text(NUMBERS, middle - 4.0, Type::small(INK), &row.shares());
        let counts = fitting([row.counts(), "more units than fit here".to_owned()], SMALL, RIGHT - NUMBERS);
        drawing.text(NUMBERS, middle + 11.0, Type::small(SOFT), &counts);
        let Some(off) = row.off() else {
            let words = if row.units() == 0 { "no units" } else { "no planned share" };
            drawing.rect(PLOT.0, top + 0.5, PLOT.1 - PLOT.0, height - 1.0, PLATE);
            let look = Type::small(SOFT).anchored(Anchor::Middle);
            drawing.text(0.5 * (PLOT.0 + PLOT.1), middle + 4.0, look, words);
            return;
        };
        let colour = self.tone().colour();
        drawing.line((axis.at(0.0), middle), (axis.at(off), middle), Stroke::new(colour, 2.5));
        drawing.point(axis.at(off), middle, self.tone());
    }

    fn alt(&self) -> String {
        let mut sentences = vec![spoken_title("Split of units", &self.title, &self.subtitle)];
        sentences.push(format!("{}: {}", self.headline(), self.evidence()));
        let rows = &self.rows[self.rows.len().saturating_sub(MOST_ROWS)..];
        sentences.extend(rows.iter().map(|row| format!("{}: {}, {}", spoken(&row.label), row.shares(), row.counts())));
        if self.rows.len() > rows.len() {
            sentences.push(format!("{} more before", self.rows.len() - rows.len()));
        }
        sentences.join(". ") + "."
    }
}

/// An axis with the plan in its middle that holds every row.
fn axis(rows: &[SplitRow]) -> Axis {
    let reaches = rows.iter().flat_map(|row| [row.off().map(f64::abs), row.chance()]).flatten();
    let reach = reaches.fold(0.0, f64::max);
    let reach = if reach > 0.0 { 1.12 * reach } else { 1.0 };
    Axis::new(-reach, reach, PLOT.0, PLOT.1)
}

fn grid(drawing: &mut Drawing, axis: &Axis, top: f64, bottom: f64) {
    for tick in axis.ticks(5) {
        let x = sharp(axis.at(tick));
        let colour = if tick == 0.0 { INK } else { PALE };
        drawing.line((x, top), (x, bottom + 4.0), Stroke::new(colour, 1.0));
        let label = match tick {
            0.0 => "plan".to_owned(),
            tick if tick > 0.0 => format!("+{}", words::number(tick)),
            tick => words::number(tick),
        };
        drawing.text(x, bottom + 15.0, Type::small(SOFT).anchored(Anchor::Middle), &label);
    }
    drawing.text(NUMBERS, bottom + 15.0, Type::small(SOFT), "percentage points");
}
