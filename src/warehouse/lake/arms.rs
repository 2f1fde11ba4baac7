//! Who met which variants when: what is kept of the assignments of one experiment, so that each unit is in one cohort.
//!
//! Whether a unit counts must not depend on the range of dates that is read, or a cohort read again would differ from the
//! one that was stored. So a cohort of a date is told from the assignments of all days since the experiment began up to
//! the last one of its window: only the first assignment of a unit counts, and a second variant that it met before its
//! cohort closes spoils it.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use crate::warehouse::instants::{DAY, Micros};
use crate::warehouse::needs::Needs;
use crate::warehouse::open::Told;
use crate::warehouse::open::sets::{ByHash, Hashes, home};

/// How far a unit's instant may lie before the experiment's beginning to be packed.
const BEFORE: Micros = 366 * DAY;
/// Bits of the instant; the variant takes the other 16. They reach 8.9 years.
const INSTANT_BITS: u32 = 48;
/// The unit met two variants, or its instant does not fit.
const LISTED: u64 = u64::MAX;

/// When a unit was first assigned to a variant, which is a place in [`Arms::variants`].
type Arm = (Micros, u16);

/// The units of one experiment. Almost all met one variant; those are packed in 16 bytes, since there may be millions.
pub(super) struct Arms {
    /// Hash of the unit, and its packed arm. A hash of 0 is a free slot.
    slots: Vec<[u64; 2]>,
    taken: usize,
    /// The others, in no order.
    listed: ByHash<Vec<Arm>>,
    base: Micros,
    /// The variants' keys.
    pub(super) variants: Vec<u128>,
    /// Units with an assignment on a day whose cohort is still to be told, in the order of reading.
    waiting: BTreeMap<i64, Waiting>,
}

#[derive(Default)]
struct Waiting {
    units: Vec<u64>,
    /// Whether a unit may be there twice.
    repeated: bool,
}

impl Arms {
    pub(super) fn new(needs: &Needs) -> Self {
        Self {
            slots: Vec::new(),
            taken: 0,
            listed: ByHash::default(),
            base: needs.assigning_since - BEFORE,
            variants: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// The place of a variant's key.
    pub(super) fn variant(&mut self, key: u128) -> u16 {
        let place = self.variants.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.variants.push(key);
            self.variants.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// Makes room for so many further units.
    pub(super) fn make_room(&mut self, units: usize) {
        let slots = ((self.taken + units) * 5).div_ceil(4);
        if slots > self.slots.len() {
            self.widen(slots);
        }
    }

    /// Adds an assignment. `waits` says whether the cohort of its day is still to be told.
    pub(super) fn add(&mut self, unit: u64, arm: Arm, waits: bool) {
        let (changed, known) = self.note(unit, arm);
        if changed && waits {
            let waiting = self.waiting.entry(arm.0.div_euclid(DAY)).or_default();
            waiting.units.push(unit);
            waiting.repeated |= known;
        }
    }

    /// Whether this told anything new, and whether the unit was known.
    fn note(&mut self, unit: u64, arm: Arm) -> (bool, bool) {
        let place = self.place_of(unit);
        if self.slots[place][0] == 0 {
            let packed = self.pack(arm);
            if packed == LISTED {
                self.listed.insert(unit, vec![arm]);
            }
            self.slots[place] = [unit, packed];
            self.taken += 1;
            return (true, false);
        }
        let packed = self.slots[place][1];
        if packed == LISTED {
            return (add_to(self.listed.entry(unit), arm), true);
        }
        let known = self.unpack(packed);
        if known.1 == arm.1 && known.0 <= arm.0 {
            return (false, true);
        }
        self.slots[place][1] = match known.1 == arm.1 {
            true => self.pack(arm),
            false => LISTED,
        };
        if self.slots[place][1] == LISTED {
            let arms = if known.1 == arm.1 { vec![arm] } else { vec![known, arm] };
            self.listed.insert(unit, arms);
        }
        (true, true)
    }

    /// Tells the cohort of a day, with what is known of its units by now.
    pub(super) fn tell(&mut self, day: i64, needs: &Needs) -> Told {
        let Waiting { units, repeated } = self.waiting.remove(&day).unwrap_or_default();
        let mut told = Told::default();
        let mut seen = Hashes::default();
        for unit in units {
            if repeated && !seen.insert(unit) {
                continue;
            }
            let (first, second) = self.in_order(unit);
            let spoiled = second.is_some_and(|(at, _)| at < needs.closes_at(first.0));
            if !spoiled && let Some(stratum) = told.stratum_of(first, day, needs) {
                told.units.push((unit, first.0, stratum));
            }
            // A second variant met after its cohort closed can no longer take the unit out of it: it is counted in the
            // cohort of that second assignment, to which the unit does not belong either.
            let counted_at = if spoiled { Some(first) } else { second };
            if let Some(stratum) = counted_at.and_then(|arm| told.stratum_of(arm, day, needs)) {
                told.strata[stratum].multiple_exposed += 1;
            }
        }
        told
    }

    /// The first arm and the second, if there is one; the keys decide between equal instants.
    fn in_order(&self, unit: u64) -> (Arm, Option<Arm>) {
        let packed = self.find(unit).map_or(LISTED, |place| self.slots[place][1]);
        if packed != LISTED {
            return (self.unpack(packed), None);
        }
        let mut arms = self.listed.get(&unit).cloned().unwrap_or_default();
        arms.sort_by_key(|(at, variant)| (*at, self.variants.get(usize::from(*variant))));
        (arms.first().copied().unwrap_or((Micros::MAX, u16::MAX)), arms.get(1).copied())
    }

    fn pack(&self, (at, variant): Arm) -> u64 {
        match u64::try_from(at.saturating_sub(self.base)) {
            Ok(offset) if offset >> INSTANT_BITS == 0 && variant < u16::MAX => {
                u64::from(variant) << INSTANT_BITS | offset
            }
            _ => LISTED,
        }
    }

    fn unpack(&self, packed: u64) -> Arm {
        let offset = packed & ((1 << INSTANT_BITS) - 1);
        (self.base + offset.cast_signed(), (packed >> INSTANT_BITS) as u16)
    }

    /// The slot of a unit, or a free one for it.
    fn place_of(&mut self, unit: u64) -> usize {
        if (self.taken + 1) * 5 > self.slots.len() * 4 {
            // By half, since most of a long pass's memory is here: doubled, up to three slots of five would be free.
            self.widen((self.slots.len() + self.slots.len() / 2).max(64));
        }
        probe(&self.slots, unit)
    }

    fn find(&self, unit: u64) -> Option<usize> {
        let place = (!self.slots.is_empty()).then(|| probe(&self.slots, unit))?;
        (self.slots[place][0] != 0).then_some(place)
    }

    fn widen(&mut self, slots: usize) {
        let mut wider = vec![[0; 2]; slots];
        for slot in self.slots.iter().filter(|slot| slot[0] != 0) {
            let place = probe(&wider, slot[0]);
            wider[place] = *slot;
        }
        self.slots = wider;
    }
}

/// Adds an arm to those of a unit, and says whether that told anything new.
fn add_to(arms: Entry<'_, u64, Vec<Arm>>, arm: Arm) -> bool {
    let arms = arms.or_default();
    match arms.iter_mut().find(|known| known.1 == arm.1) {
        Some(known) if known.0 <= arm.0 => false,
        Some(known) => {
            known.0 = arm.0;
            true
        }
        None => {
            arms.push(arm);
            true
        }
    }
}

/// The slot that holds a unit, or the free one where it belongs.
#[inline]
fn probe(slots: &[[u64; 2]], unit: u64) -> usize {
    let mut place = home(unit, slots.len());
    while slots[place][0] != 0 && slots[place][0] != unit {
        place = if place + 1 == slots.len() { 0 } else { place + 1 };
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::fixture::{count, experiment, mean, request};
    use crate::warehouse::instants::midnight;

    #[test]
    fn packed_units_and_listed_ones_are_told_alike() {
        let (metrics, experiment) = ([mean("m", count("e"))], experiment());
        let needs = Needs::of(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).unwrap();
        let mut arms = Arms::new(&needs);
        let noon = midnight("2026-01-05".parse().unwrap()) + DAY / 2;
        let [control, other] = [7, 3].map(|key| arms.variant(key));
        for unit in 1..=1_000 {
            arms.add(unit, (noon, control), true);
        }
        // Earlier under the same variant; earlier under another one; at the same instant; long before the experiment.
        arms.add(1, (noon - 5, control), true);
        arms.add(2, (noon - 5, other), true);
        arms.add(3, (noon, other), true);
        arms.add(4, (-DAY * 40_000, control), true);
        let told = arms.tell(noon.div_euclid(DAY), &needs);
        assert_eq!(told.units.len(), 997);
        assert_eq!(told.units[0], (1, noon - 5, 0));
        assert!(told.units[1..].iter().all(|(unit, at, _)| *unit > 4 && *at == noon));
        let lost: Vec<_> = told.strata.iter().map(|s| (s.variant, s.multiple_exposed)).collect();
        // Equal instants: the smaller key comes first.
        assert_eq!(lost, [(control, 0), (other, 2)]);
        assert!(arms.tell(noon.div_euclid(DAY), &needs).units.is_empty());
    }
}
