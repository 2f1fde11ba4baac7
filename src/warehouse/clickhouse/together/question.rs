//! What several requests want, as one question: each event type, field, reading and sum named once, and where each request
//! finds its own among them.

use std::collections::BTreeMap;

use sqlx::types::Uuid;

use crate::domain::{ExposedBy, Field};
use crate::warehouse::instants::{DAY, Micros, date_of, midnight};
use crate::warehouse::needs::{Adds, Needs, Reading};

/// One question for all of its trials.
pub(super) struct Question<'a> {
    /// The requests.
    pub(super) trials: Vec<Trial<'a>>,
    /// Common to all: what makes a unit exposed, what is randomised, the window.
    pub(super) exposed_by: ExposedBy,
    pub(super) unit_type: &'a str,
    pub(super) window: Micros,
    /// The first instant of the first cohort of any.
    pub(super) exposed_from: Micros,
    /// The first instant after the last span of any.
    pub(super) exposed_to: Micros,
    /// The first instant after the last window of any.
    pub(super) events_to: Micros,
    /// The earliest midnight from which on assignments of any count.
    pub(super) since: Micros,
    pub(super) events: Vec<String>,
    pub(super) fields: Vec<Field>,
    pub(super) readings: Vec<Reading>,
    pub(super) slots: Vec<Slot>,
    /// The slots of the numerators and denominators of ratios.
    pub(super) products: Vec<(usize, usize)>,
    /// All variants that are known, in the order of their texts.
    pub(super) variants: Vec<Uuid>,
    /// The instants at which a span begins or ends, by the day that they part.
    pub(super) cuts: BTreeMap<i64, Vec<Micros>>,
}

/// One request.
pub(super) struct Trial<'a> {
    pub(super) needs: &'a Needs,
    /// The midnight from which on its assignments count.
    pub(super) since: Micros,
    /// Where its event types, readings and sums stand in the question.
    pub(super) events: Vec<usize>,
    pub(super) readings: Vec<usize>,
    pub(super) sums: Vec<usize>,
}

/// A sum of each unit. Trials whose sums differ by their threshold alone share one.
pub(super) struct Slot {
    pub(super) event: usize,
    pub(super) adds: Shape,
    /// The threshold of each trial that has one.
    pub(super) thresholds: Vec<Option<f64>>,
    /// Which of several thresholds of the same number it is.
    nth: usize,
}

/// What an event adds, whatever the threshold; places in [`Question::fields`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Number(usize),
    OneAbove(usize),
}

impl<'a> Question<'a> {
    /// One question for requests that are alike; at least one.
    pub(super) fn of(requests: &[&'a Needs]) -> Option<Self> {
        let first = requests.first()?;
        let midnight_of = |instant| date_of(instant).map_or(instant, midnight);
        let spans = || requests.iter().flat_map(|needs| &needs.spans);
        let mut question = Question {
            trials: Vec::with_capacity(requests.len()),
            exposed_by: first.exposed_by,
            unit_type: &first.unit_type,
            window: first.window,
            exposed_from: requests.iter().map(|needs| needs.exposed_from).min()?,
            exposed_to: spans().map(|span| span.to).max()?,
            events_to: requests.iter().map(|needs| needs.events_to).max()?,
            since: midnight_of(requests.iter().map(|needs| needs.assigning_since).min()?),
            events: requests.iter().flat_map(|needs| needs.events.iter().cloned()).collect(),
            fields: requests.iter().flat_map(|needs| needs.fields.iter().cloned()).collect(),
            readings: Vec::new(),
            slots: Vec::new(),
            products: Vec::new(),
            variants: requests.iter().flat_map(|needs| needs.variants.iter().copied()).collect(),
            cuts: cuts(requests),
        };
        question.events.sort();
        question.events.dedup();
        question.fields.sort();
        question.fields.dedup();
        // The order of UUIDs is that of their texts.
        question.variants.sort();
        question.variants.dedup();
        for needs in requests {
            question.add(needs, midnight_of(needs.assigning_since), requests.len());
        }
        Some(question)
    }

    fn add(&mut self, needs: &'a Needs, since: Micros, of: usize) {
        let trial = self.trials.len();
        let place = |names: &[String], name: &String| names.partition_point(|known| known < name);
        let events: Vec<usize> = needs.events.iter().map(|name| place(&self.events, name)).collect();
        let fields: Vec<usize> =
            needs.fields.iter().map(|field| self.fields.partition_point(|known| known < field)).collect();
        let readings: Vec<Reading> = needs
            .readings
            .iter()
            .map(|reading| Reading { event: events[reading.event], field: fields[reading.field] })
            .collect();
        let readings = readings.into_iter().map(|reading| place_in(&mut self.readings, reading)).collect();
        let mut sums = Vec::with_capacity(needs.sums.len());
        for sum in &needs.sums {
            let (adds, threshold) = match sum.adds {
                Adds::One => (Shape::One, None),
                Adds::Number(field) => (Shape::Number(fields[field]), None),
                Adds::OneAbove(field, threshold) => (Shape::OneAbove(fields[field]), Some(threshold)),
            };
            let event = events[sum.event];
            let same = |slot: &Slot| slot.event == event && slot.adds == adds;
            let taken: Vec<usize> = sums.iter().copied().filter(|slot| same(&self.slots[*slot])).collect();
            let nth = taken.len();
            let found = self.slots.iter().position(|slot| same(slot) && slot.nth == nth);
            let slot = found.unwrap_or_else(|| {
                self.slots.push(Slot { event, adds, thresholds: vec![None; of], nth });
                self.slots.len() - 1
            });
            self.slots[slot].thresholds[trial] = threshold;
            sums.push(slot);
        }
        for metric in &needs.metrics {
            if let Some(denominator) = metric.denominator {
                place_in(&mut self.products, (sums[metric.numerator], sums[denominator]));
            }
        }
        self.trials.push(Trial { needs, since, events, readings, sums });
    }

    /// The most instants that part one day.
    pub(super) fn parts(&self) -> usize {
        self.cuts.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The first instant of a part of a day.
    pub(super) fn begin_of(&self, day: i64, part: usize) -> Option<Micros> {
        match part.checked_sub(1) {
            None => day.checked_mul(DAY),
            Some(nth) => self.cuts.get(&day)?.get(nth).copied(),
        }
    }
}

/// The instants within a day at which a span of any request begins or ends.
pub(super) fn cuts(requests: &[&Needs]) -> BTreeMap<i64, Vec<Micros>> {
    let mut cuts: BTreeMap<i64, Vec<Micros>> = BTreeMap::new();
    let spans = requests.iter().flat_map(|needs| &needs.spans);
    for instant in spans.flat_map(|span| [span.from, span.to]).filter(|instant| instant.rem_euclid(DAY) != 0) {
        cuts.entry(instant.div_euclid(DAY)).or_default().push(instant);
    }
    for instants in cuts.values_mut() {
        instants.sort_unstable();
        instants.dedup();
    }
    cuts
}

fn place_in<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
