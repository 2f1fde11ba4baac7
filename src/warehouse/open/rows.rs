//! What is handed to the open cohorts: who is exposed, and events as plain arrays.

use std::ops::Range;

use super::super::instants::{DAY, Micros};
use super::super::needs::Needs;
use crate::domain::Field;

/// Stands for a number that an event lacks. Whatever else is no number is kept as the usual NaN.
pub(crate) const MISSING: f64 = f64::from_bits(0x7ff8_6d69_7373_6564);

/// Any type of units: it is not known which.
pub(crate) const ANY_UNIT: u8 = u8::MAX;

/// What all requests read of events, each thing named once.
#[derive(Debug)]
pub(crate) struct Reads {
    /// The event types in use.
    pub(crate) types: Vec<String>,
    /// The types of units in use.
    pub(crate) unit_types: Vec<String>,
    /// The fields in use.
    pub(crate) fields: Vec<Field>,
    /// The first instant that counts for anybody, and the first that counts no more.
    pub(crate) span: Range<Micros>,
}

/// Events that may count.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Hash of the unit's id.
    pub(crate) units: Vec<u64>,
    pub(crate) instants: Vec<Micros>,
    /// Places in [`Reads::types`].
    pub(crate) types: Vec<u16>,
    /// Places in [`Reads::unit_types`], or [`ANY_UNIT`].
    pub(crate) unit_types: Vec<u8>,
    /// Hash of the event's id, 0 for none; empty if no event has one.
    pub(crate) ids: Vec<u64>,
    /// Per field of [`Reads::fields`], a number per event; empty if none has one.
    pub(crate) numbers: Vec<Vec<f64>>,
}

/// What assignments tell of a request's cohorts of one day.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The units that count: hash, instant, place of the stratum.
    pub(crate) units: Vec<(u64, Micros, usize)>,
    /// The strata that hold a unit, or lost one.
    pub(crate) strata: Vec<ToldStratum>,
}

/// One variant of one cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToldStratum {
    pub(crate) epoch: i64,
    /// A place in a list of variants.
    pub(crate) variant: u16,
    /// Units left out because they met a second variant.
    pub(crate) multiple_exposed: i64,
}

impl Reads {
    pub(crate) fn of<'a>(requests: impl Iterator<Item = &'a Needs> + Clone) -> Self {
        let mut types: Vec<String> = requests.clone().flat_map(|needs| needs.events.clone()).collect();
        let mut unit_types: Vec<String> = requests.clone().map(|needs| needs.unit_type.clone()).collect();
        let mut fields: Vec<Field> = requests.clone().flat_map(|needs| needs.fields.clone()).collect();
        types.sort();
        types.dedup();
        unit_types.sort();
        unit_types.dedup();
        fields.sort();
        fields.dedup();
        let from = requests.clone().map(|needs| needs.events_from).min().unwrap_or(Micros::MAX);
        let to = requests.map(|needs| needs.events_to).max().unwrap_or(Micros::MIN);
        Self { types, unit_types, fields, span: from..to }
    }
}

impl Events {
    /// Forgets the events and keeps the room for others.
    pub(crate) fn clear(&mut self) {
        self.units.clear();
        self.instants.clear();
        self.types.clear();
        self.unit_types.clear();
        self.ids.clear();
        self.numbers.iter_mut().for_each(Vec::clear);
    }
}

impl Told {
    /// The stratum of an assignment, if it was made on that day and in a span that counts.
    pub(crate) fn stratum_of(&mut self, (at, variant): (Micros, u16), day: i64, needs: &Needs) -> Option<usize> {
        if at.div_euclid(DAY) != day {
            return None;
        }
        let epoch = needs.epoch_at(at)?;
        let known = self.strata.iter().position(|known| (known.epoch, known.variant) == (epoch, variant));
        Some(known.unwrap_or_else(|| {
            self.strata.push(ToldStratum { epoch, variant, multiple_exposed: 0 });
            self.strata.len() - 1
        }))
    }
}
