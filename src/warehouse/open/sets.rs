//! Sets and maps of hashes, which are spread evenly already: hashing them again would add nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

/// A set of hashes.
pub(crate) type Hashes = HashSet<u64, BuildHasherDefault<AsIs>>;

/// A map by hashes.
pub(crate) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// Takes a number for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Where a hash belongs among so many slots: the hash as a fraction of all hashes. The number of slots may be any.
#[inline]
pub(crate) fn home(hash: u64, slots: usize) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

/// A set of hashes that is only ever added to, in one block of memory.
#[derive(Default)]
pub(crate) struct Seen {
    /// 0 is a free slot.
    slots: Vec<u64>,
    taken: usize,
}

impl Seen {
    /// An empty set that need not grow for so many.
    pub(crate) fn with_room(hashes: usize) -> Self {
        Self { slots: vec![0; (hashes * 4).div_ceil(3)], taken: 0 }
    }

    /// How many hashes it holds.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// Adds a hash, and says whether it is new.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) -> bool {
        let hash = hash.max(1);
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = slot_of(&self.slots, hash);
        let new = self.slots[slot] == 0;
        self.slots[slot] = hash;
        self.taken += usize::from(new);
        new
    }

    fn contains(&self, hash: u64) -> bool {
        !self.slots.is_empty() && self.slots[slot_of(&self.slots, hash.max(1))] != 0
    }

    /// What lies where a hash belongs, for [`fetch`].
    #[inline]
    pub(crate) fn peek(&self, hash: u64) -> u64 {
        self.slots.get(home(hash, self.slots.len())).copied().unwrap_or(0)
    }

    fn grow(&mut self) {
        let mut grown = vec![0; (self.slots.len() * 2).max(64)];
        for hash in self.slots.iter().filter(|hash| **hash != 0) {
            let slot = slot_of(&grown, *hash);
            grown[slot] = *hash;
        }
        self.slots = grown;
    }
}

/// The slot that holds a hash, or the free one where it belongs.
#[inline]
fn slot_of(slots: &[u64], hash: u64) -> usize {
    let mut slot = home(hash, slots.len());
    while slots[slot] != 0 && slots[slot] != hash {
        slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
    }
    slot
}

/// Reads something of each, so that their memory is fetched together rather than waited for one after another.
#[inline]
pub(crate) fn fetch(read: impl Iterator<Item = u64>) {
    black_box(read.fold(0, |all, one| all ^ one));
}

/// A set of hashes that is mostly asked for others: a few bits for each of its own answer for most of those.
pub(crate) struct Sieve {
    held: Seen,
    bits: Vec<u64>,
}

impl Sieve {
    /// An empty one. Of so many hashes, one bit in eight is set at most, so that as many others have to be looked for.
    pub(crate) fn with_room(hashes: usize) -> Self {
        Self { held: Seen::with_room(hashes), bits: vec![0; hashes / 8 + 1] }
    }

    pub(crate) fn add(&mut self, hash: u64) {
        let bit = home(hash, self.bits.len() * 64);
        self.bits[bit / 64] |= 1 << (bit % 64);
        self.held.add(hash);
    }

    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        let bit = home(hash, self.bits.len() * 64);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1 && self.held.contains(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Keys;
    use super::*;

    #[test]
    fn a_hash_is_new_once() {
        let (keys, mut seen) = (Keys::new(), Seen::default());
        for round in 0..2 {
            for n in 0..50_000 {
                assert_eq!(seen.add(keys.number(n)), round == 0, "{n}");
            }
        }
        assert!(!seen.add(keys.number(7)) && seen.add(u64::MAX) && !seen.add(u64::MAX));
    }

    #[test]
    fn a_set_with_room_does_not_grow() {
        let (keys, many) = (Keys::new(), 50_000);
        let mut seen = Seen::with_room(many);
        let slots = seen.slots.len();
        (0..many as u64).for_each(|n| assert!(seen.add(keys.number(n))));
        assert_eq!((seen.slots.len(), seen.len()), (slots, many));
        assert!(seen.add(keys.number(many as u64)) && seen.slots.len() > slots);
    }

    #[test]
    fn a_sieve_holds_what_it_was_made_of_and_nothing_else() {
        let keys = Keys::new();
        for many in [0, 1, 50_000] {
            let mut sieve = Sieve::with_room(many as usize / 2);
            (0..many).for_each(|n| sieve.add(keys.number(n)));
            for n in 0..2 * many + 10 {
                assert_eq!(sieve.contains(keys.number(n)), n < many, "{n} of {many}");
            }
        }
    }
}
