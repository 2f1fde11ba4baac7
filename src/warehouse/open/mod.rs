//! Adding events up here rather than in an engine: the units whose windows are open, and what their events come to until
//! the window closes. It serves many requests at once, and all of them see each event once.

pub(crate) mod ids;
mod order;
mod rows;
pub(crate) mod sets;
mod tally;

use std::cmp::Ordering;
use std::collections::VecDeque;

pub(crate) use self::rows::{ANY_UNIT, Events, MISSING, Reads, Told};
use self::sets::{Seen, fetch};
use super::cohort_rows::CohortRow;
use super::instants::{DAY, Micros, date_of};
use super::needs::{Adds, Needs};

/// No further exposure of that unit.
const NONE: u32 = u32::MAX;

/// How many events are looked at together.
const BLOCK: usize = 512;

/// What a request does with events.
pub(crate) struct Program {
    /// Place of its type of units in [`Reads::unit_types`].
    unit_type: u8,
    window: Micros,
    /// How long before exposure events count.
    before: Micros,
    /// How many sums a unit has.
    sums: usize,
    /// Per event type of [`Reads::types`], what an event does; `None` if the request does not read it.
    by_type: Vec<Option<Vec<Step>>>,
    /// The same of an event before exposure.
    before_by_type: Vec<Option<Vec<Step>>>,
}

/// What one event does to the sums of a unit; places of fields and sums.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// The field should be there; all steps that read it come after this one.
    Check { field: usize },
    /// One more.
    One { sum: usize },
    /// The field's number is added, if it is one.
    Number { sum: usize, field: usize },
    /// One more, if the field's number lies above.
    OneAbove { sum: usize, field: usize, above: f64 },
}

impl Program {
    pub(crate) fn of(needs: &Needs, reads: &Reads) -> Self {
        let place_of = |field: usize| reads.fields.iter().position(|known| *known == needs.fields[field]).unwrap_or(0);
        let steps = |name: &String, first: usize| {
            let event = first + needs.events.iter().position(|known| known == name)?;
            let checks = needs.readings.iter().filter(|reading| reading.event == event);
            let checks = checks.map(|reading| Step::Check { field: place_of(reading.field) });
            let sums = needs.sums.iter().enumerate().filter(|(_, sum)| sum.event == event);
            let sums = sums.map(|(sum, unit_sum)| match unit_sum.adds {
                Adds::One => Step::One { sum },
                Adds::Number(field) => Step::Number { sum, field: place_of(field) },
                Adds::OneAbove(field, above) => Step::OneAbove { sum, field: place_of(field), above },
            });
            Some(checks.chain(sums).collect())
        };
        let unit_type = reads.unit_types.iter().position(|known| *known == needs.unit_type).unwrap_or(0);
        Self {
            unit_type: u8::try_from(unit_type).unwrap_or(ANY_UNIT),
            window: needs.window,
            before: needs.before,
            sums: needs.sums.len(),
            by_type: reads.types.iter().map(|name| steps(name, 0)).collect(),
            before_by_type: reads.types.iter().map(|name| steps(name, needs.inside())).collect(),
        }
    }
}

/// A unit in an open cohort of a request.
#[derive(Clone, Copy, Debug)]
struct Exposure {
    unit: u64,
    assigned_at: Micros,
    request: u32,
    /// The number of the day's cohorts, counted from the first that were opened.
    cohorts: u32,
    /// Where its sums begin.
    sums: u32,
    stratum: u32,
    /// The next exposure of the same unit, which belongs to another request or day.
    next: u32,
}

/// One variant of an open cohort, as far as its row is known.
struct Stratum {
    request: usize,
    row: CohortRow,
}

/// How much of [`Open`] belongs to the cohorts of one day.
#[derive(Default)]
struct Cohorts {
    day: i64,
    exposures: usize,
    sums: usize,
    strata: usize,
    /// Hashes of the events that counted, each mixed with its request.
    counted: Seen,
}

/// The open cohorts of all requests. The days' parts lie one after another, the oldest first.
#[derive(Default)]
pub(crate) struct Open {
    days: VecDeque<Cohorts>,
    /// How many days were closed.
    closed: u32,
    /// How many events counted for the cohorts that were closed last.
    usual: usize,
    exposures: Vec<Exposure>,
    sums: Vec<f64>,
    /// Where events come in any order: per sum, what rounding took from it, so that its last digit hangs on no order.
    rests: Option<Vec<f64>>,
    strata: Vec<Stratum>,
    /// The upper half of a unit's hash, and its first exposure; none in a free slot. The number of slots is a power of two.
    slots: Vec<(u32, u32)>,
    /// Events and the exposures that they may count for: room that is used again.
    hits: Vec<(u32, u32)>,
}

impl Open {
    /// For units and events that come in another order each time that they are read, as a server hands them out.
    pub(crate) fn in_any_order() -> Self {
        Self { rests: Some(Vec::new()), ..Self::default() }
    }

    /// Opens the cohorts of a day.
    pub(crate) fn begin(&mut self, day: i64) {
        // One day is much like the other, and a table that need not grow is never there twice.
        let counted = Seen::with_room(self.usual + self.usual / 8);
        self.days.push_back(Cohorts { day, counted, ..Cohorts::default() });
    }

    /// Adds what a request was told of the day that was opened last.
    pub(crate) fn add(&mut self, request: usize, needs: &Needs, program: &Program, told: &Told, variants: &[String]) {
        let Some(cohorts) = self.days.back_mut() else { return };
        let Some(cohort_date) = date_of(cohorts.day * DAY) else { return };
        let first = self.strata.len();
        self.strata.extend(told.strata.iter().map(|stratum| Stratum {
            request,
            row: CohortRow {
                cohort_date,
                epoch: stratum.epoch,
                variant_id: variants.get(usize::from(stratum.variant)).cloned().unwrap_or_default(),
                units: 0,
                events: 0,
                missing: 0,
                not_numbers: 0,
                multiple_exposed: stratum.multiple_exposed,
                moments: Vec::with_capacity(needs.metrics.len()),
            },
        }));
        let number = self.closed + self.days.len() as u32 - 1;
        self.exposures.reserve(told.units.len());
        for (unit, assigned_at, stratum) in &told.units {
            let stratum = first + stratum;
            self.strata[stratum].row.units += 1;
            self.exposures.push(Exposure {
                unit: *unit,
                assigned_at: *assigned_at,
                request: request as u32,
                cohorts: number,
                sums: self.sums.len() as u32,
                stratum: stratum as u32,
                next: NONE,
            });
            self.sums.resize(self.sums.len() + program.sums, 0.0);
        }
        if let Some(rests) = &mut self.rests {
            rests.resize(self.sums.len(), 0.0);
        }
        let Some(cohorts) = self.days.back_mut() else { return };
        cohorts.exposures += told.units.len();
        cohorts.sums += told.units.len() * program.sums;
        cohorts.strata += told.strata.len();
    }

    /// Makes the units known that are open now.
    pub(crate) fn index(&mut self) {
        let wide = (self.exposures.len() * 2).next_power_of_two().max(64);
        self.slots.clear();
        self.slots.resize(wide, (0, NONE));
        for place in 0..self.exposures.len() {
            let unit = self.exposures[place].unit;
            let slot = self.slot_of(unit);
            let (_, first) = self.slots[slot];
            self.exposures[place].next = first;
            self.slots[slot] = (tag(unit), place as u32);
        }
    }

    /// The slot of a unit, or the free one where it belongs.
    #[inline]
    fn slot_of(&self, unit: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (unit as usize) & mask;
        loop {
            let (known, first) = self.slots[slot];
            if first == NONE || (known == tag(unit) && self.exposures[first as usize].unit == unit) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Adds events to the units that they belong to.
    ///
    /// Some hundred events go through each step together: the memory that one needs is then on its way while others are
    /// looked at.
    pub(crate) fn count(&mut self, events: &Events, programs: &[Program]) {
        let mut hits = std::mem::take(&mut self.hits);
        let rows = events.units.len();
        for begin in (0..rows).step_by(BLOCK) {
            hits.clear();
            for row in begin..(begin + BLOCK).min(rows) {
                let (_, first) = self.slots[self.slot_of(events.units[row])];
                if first != NONE {
                    hits.push((row as u32, first));
                }
            }
            self.keep_those_that_count(&mut hits, events, programs);
            for (row, place) in &hits {
                let exposure = &self.exposures[*place as usize];
                let program = &programs[exposure.request as usize];
                let row = *row as usize;
                let inside = events.instants[row] >= exposure.assigned_at;
                let by_type = if inside { &program.by_type } else { &program.before_by_type };
                let Some(steps) = &by_type[usize::from(events.types[row])] else { continue };
                let place = exposure.sums as usize..exposure.sums as usize + program.sums;
                let rests = self.rests.as_mut().map_or(&mut [][..], |rests| &mut rests[place.clone()]);
                let health = &mut self.strata[exposure.stratum as usize].row;
                health.events += i64::from(inside);
                run(steps, events, row, (&mut self.sums[place], rests), health);
            }
        }
        self.hits = hits;
    }

    /// Puts all exposures of a unit in place of its first, and leaves those for which the event counts.
    fn keep_those_that_count(&mut self, hits: &mut Vec<(u32, u32)>, events: &Events, programs: &[Program]) {
        for at in 0..hits.len() {
            let (row, first) = hits[at];
            let mut next = self.exposures[first as usize].next;
            while next != NONE {
                hits.push((row, next));
                next = self.exposures[next as usize].next;
            }
        }
        hits.retain(|(row, place)| {
            let (row, exposure) = (*row as usize, &self.exposures[*place as usize]);
            let program = &programs[exposure.request as usize];
            let since_exposure = events.instants[row].saturating_sub(exposure.assigned_at);
            let unit_type = events.unit_types[row];
            (-program.before..program.window).contains(&since_exposure)
                && (unit_type == program.unit_type || unit_type == ANY_UNIT)
                && program.by_type[usize::from(events.types[row])].is_some()
        });
        if events.ids.is_empty() {
            return;
        }
        let (days, closed) = (&mut self.days, self.closed);
        // The day among those that are open, and the hash of the event there. An event without an id is like no other.
        let mark_of = |(row, place): (u32, u32)| {
            let (id, exposure) = (events.ids[row as usize], &self.exposures[place as usize]);
            (id != 0).then(|| ((exposure.cohorts - closed) as usize, id.wrapping_add(mix(exposure.request))))
        };
        fetch(hits.iter().filter_map(|hit| mark_of(*hit)).map(|(day, mark)| days[day].counted.peek(mark)));
        hits.retain(|hit| mark_of(*hit).is_none_or(|(day, mark)| days[day].counted.add(mark)));
    }

    /// Ends the sums of the cohorts and puts their units in an order that does not hang on how they came: by instant, and where
    /// that is the same by their sums.
    fn put_in_order(&mut self, oldest: &Cohorts, requests: &[&Needs]) {
        let Some(rests) = &self.rests else { return };
        for (sum, rest) in self.sums[..oldest.sums].iter_mut().zip(rests) {
            *sum += if rest.is_finite() { *rest } else { 0.0 };
        }
        let (sums, strata) = (&self.sums, &self.strata);
        let sums_of = |exposure: &Exposure| {
            let wide = requests[strata[exposure.stratum as usize].request].sums.len();
            &sums[exposure.sums as usize..][..wide]
        };
        self.exposures[..oldest.exposures].sort_unstable_by(|a, b| {
            let by_sums = || {
                let each = sums_of(a).iter().zip(sums_of(b)).map(|(a, b)| a.total_cmp(b));
                each.fold(Ordering::Equal, Ordering::then)
            };
            (a.stratum, a.assigned_at).cmp(&(b.stratum, b.assigned_at)).then_with(by_sums)
        });
    }

    /// Closes the oldest cohorts and hands out their rows, each with its request.
    pub(crate) fn close(&mut self, requests: &[&Needs]) -> Vec<(usize, CohortRow)> {
        let Some(oldest) = self.days.pop_front() else { return Vec::new() };
        self.closed += 1;
        self.usual = oldest.counted.len();
        if self.rests.is_some() {
            self.put_in_order(&oldest, requests);
        }
        let mut units: Vec<Vec<u32>> = vec![Vec::new(); oldest.strata];
        for exposure in self.exposures.drain(..oldest.exposures) {
            units[exposure.stratum as usize].push(exposure.sums);
        }
        let strata = self.strata.drain(..oldest.strata).zip(&units);
        let rows = strata.map(|(mut stratum, units)| {
            let metrics = requests[stratum.request].metrics.iter();
            stratum.row.moments.extend(metrics.map(|metric| tally::moments(metric, &self.sums, units)));
            (stratum.request, stratum.row)
        });
        let rows = rows.collect();
        self.sums.drain(..oldest.sums);
        if let Some(rests) = &mut self.rests {
            rests.drain(..oldest.sums);
        }
        for exposure in &mut self.exposures {
            exposure.sums -= oldest.sums as u32;
            exposure.stratum -= oldest.strata as u32;
        }
        rows
    }
}

/// What one event does. Without room for what rounding takes from sums, that is lost.
#[inline]
fn run(steps: &[Step], events: &Events, row: usize, (sums, rests): (&mut [f64], &mut [f64]), health: &mut CohortRow) {
    let number = |field: usize| events.numbers[field].get(row).copied().unwrap_or(MISSING);
    for step in steps {
        match *step {
            Step::One { sum } => sums[sum] += 1.0,
            Step::Number { sum, field } => {
                let number = number(field);
                match rests.get_mut(sum) {
                    _ if number.is_nan() => {}
                    None => sums[sum] += number,
                    Some(rest) => order::add(&mut sums[sum], rest, number),
                }
            }
            // Nothing that is no number lies above.
            Step::OneAbove { sum, field, above } => sums[sum] += f64::from(u8::from(number(field) > above)),
            Step::Check { field } => {
                let number = number(field);
                if number.is_nan() {
                    let missing = number.to_bits() == MISSING.to_bits();
                    health.missing += i64::from(missing);
                    health.not_numbers += i64::from(!missing);
                }
            }
        }
    }
}

fn tag(unit: u64) -> u32 {
    (unit >> 32) as u32
}

/// Spreads the requests' places over all numbers, so that one event has another hash in each.
fn mix(request: u32) -> u64 {
    u64::from(request).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
