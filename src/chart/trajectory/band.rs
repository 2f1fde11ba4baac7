//! The band of a metric's intervals, and the line of its estimates.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::Night;
use crate::chart::axis::{Axis, Days};
use crate::chart::drawing::{Drawing, Stroke};
use crate::chart::palette::{BLUE, BLUE_GROUND, PLATE};
use crate::chart::scale::{range, sign};
use crate::domain::Direction;

/// Nights closer than this have no dots of their own.
const DOTS_APART: f64 = 8.0;

/// A night with an interval, in numbers whose higher ones are better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub date: Date,
    pub worse: f64,
    pub better: f64,
    pub estimate: Option<f64>,
}

/// The nights that have an interval, in their order.
pub(super) fn seen(nights: &BTreeMap<Date, &Night>, better: Direction) -> Vec<Seen> {
    let up = |value: f64| sign(better) * value;
    let seen = nights.values().filter_map(|night| {
        let (low, high) = range(night.interval)?;
        let (worse, better) = (up(low).min(up(high)), up(low).max(up(high)));
        Some(Seen { date: night.date, worse, better, estimate: night.estimate.map(up).filter(|e| e.is_finite()) })
    });
    seen.collect()
}

/// Stretches of nights without a gap. Nights are usually a day apart; where all are further apart, that is no gap.
fn stretches(seen: &[Seen]) -> Vec<&[Seen]> {
    let apart = |a: &Seen, b: &Seen| a.date.until(b.date).map_or(0, |span| span.get_days());
    let usual = seen.windows(2).map(|pair| apart(&pair[0], &pair[1])).min().unwrap_or(1);
    seen.chunk_by(|a, b| apart(a, b) <= usual).collect()
}

/// Draws the intervals; a night without neighbours is a bar.
pub(super) fn draw_band(drawing: &mut Drawing, axis: &Axis, days: &Days, seen: &[Seen]) {
    for stretch in stretches(seen) {
        if let [night] = stretch {
            let x = days.at(night.date);
            let (low, high) = (axis.prolonged(night.worse), axis.prolonged(night.better));
            drawing.rect(x - 3.0, high, 6.0, low - high, BLUE_GROUND);
            continue;
        }
        let upper = stretch.iter().map(|night| (days.at(night.date), axis.prolonged(night.better)));
        let lower = stretch.iter().rev().map(|night| (days.at(night.date), axis.prolonged(night.worse)));
        drawing.polygon(&upper.clone().chain(lower.clone()).collect::<Vec<_>>(), BLUE_GROUND);
        for edge in [upper.collect::<Vec<_>>(), lower.collect()] {
            drawing.polyline(&edge, Stroke::new(BLUE, 1.0));
        }
    }
}

/// Draws the estimates, with a dot per night where there is room.
pub(super) fn draw_estimates(drawing: &mut Drawing, axis: &Axis, days: &Days, seen: &[Seen]) {
    let dots = days.pitch() >= DOTS_APART || seen.len() == 1;
    for stretch in stretches(seen) {
        for part in stretch.split(|night| night.estimate.is_none()) {
            let points: Vec<(f64, f64)> =
                part.iter().filter_map(|night| Some((days.at(night.date), axis.prolonged(night.estimate?)))).collect();
            drawing.polyline(&points, Stroke::new(BLUE, 2.0));
            if dots || points.len() == 1 {
                for (x, y) in points {
                    drawing.circle(x, y, 3.0, BLUE, Stroke::new(PLATE, 1.0));
                }
            }
        }
    }
}
