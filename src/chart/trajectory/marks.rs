//! What happened on a night: labels above the plot, and lines down through it.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Crossing, Night};
use crate::chart::axis::Days;
use crate::chart::drawing::{Drawing, SMALL, Stroke, Type, sharp};
use crate::chart::lanes::{Slot, Wish};
use crate::chart::letters::{Weight, cut, width};
use crate::chart::palette::{SOFT, Tone};
use crate::chart::words;

/// The height of a lane of labels.
pub(super) const LANE: f64 = 17.0;

/// A label above the plot, with the line that it stands on.
pub(super) struct Mark {
    date: Date,
    label: String,
    tone: Option<Tone>,
}

/// The night that settled it, then the changes of the share.
pub(super) fn marks(nights: &BTreeMap<Date, &Night>, crossing: Option<&Crossing>) -> Vec<Mark> {
    let crossing = crossing.into_iter().filter(|crossing| nights.contains_key(&crossing.date)).map(|crossing| Mark {
        date: crossing.date,
        label: cut(&format!("{} on {}", crossing.verdict, words::day(crossing.date)), SMALL, Weight::Bold, 180.0),
        tone: Some(crossing.tone),
    });
    let changes = changes(nights).into_iter().map(|(date, from, to)| Mark {
        date,
        label: format!("{} → {}", words::share(from).trim_end_matches(" %"), words::share(to)),
        tone: None,
    });
    crossing.chain(changes).collect()
}

impl Mark {
    fn weight(&self) -> Weight {
        if self.tone.is_some() { Weight::Bold } else { Weight::Regular }
    }

    pub fn wish(&self, days: &Days) -> Wish {
        let sign = if self.tone.is_some() { 17.0 } else { 0.0 };
        Wish {
            x: days.at(self.date),
            width: sign + width(&self.label, SMALL, self.weight()),
            first: self.tone.is_some(),
        }
    }

    pub fn draw(&self, drawing: &mut Drawing, days: &Days, slot: Option<&Slot>, (top, bottom): (f64, f64)) {
        let x = sharp(days.at(self.date));
        let colour = self.tone.map_or(SOFT, Tone::colour);
        let lane = slot.map_or(0.0, |slot| slot.lane as f64);
        let stroke =
            if self.tone.is_some() { Stroke::new(colour, 1.5) } else { Stroke::new(colour, 1.0).dashed(4.0, 3.0) };
        drawing.line((x, top - LANE * lane - 2.0), (x, bottom), stroke);
        let Some(slot) = slot else { return };
        let baseline = top - LANE * lane - 6.0;
        let look = Type { weight: self.weight(), ..Type::small(colour) };
        match self.tone {
            Some(tone) => {
                drawing.sign(slot.left + 6.0, baseline - 4.0, 6.0, tone);
                drawing.text(slot.left + 17.0, baseline, look, &self.label);
            }
            None => drawing.text(slot.left, baseline, look, &self.label),
        }
    }
}

/// The days on which the share became another one, with both.
pub(super) fn changes(nights: &BTreeMap<Date, &Night>) -> Vec<(Date, f64, f64)> {
    let shares: Vec<(Date, f64)> =
        nights.values().filter(|night| night.share.is_finite()).map(|night| (night.date, night.share)).collect();
    let pairs = shares.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    pairs.map(|pair| (pair[1].0, pair[0].1, pair[1].1)).collect()
}
