//! The standards of a night, remembered: the bounds of planned looks take a fraction of a millisecond each to compute, and
//! the same few ramps come again in every run.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::Policy;
use crate::evidence::Standards;

/// What has been computed so far, shared by all threads.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Where there is no planned look.
    unplanned: Standards,
    /// By the harmonic numbers of units that the looks have seen.
    planned: RwLock<HashMap<Box<[u64]>, Standards>>,
}

impl Bounds {
    pub(super) fn new(policy: &Policy) -> Bounds {
        Bounds { unplanned: Standards::of(policy, 1, None), planned: RwLock::default() }
    }

    pub(super) fn unplanned(&self) -> Standards {
        self.unplanned
    }

    /// For a look of `of` that, with those before it, has seen `seen`, given as the bits of the numbers.
    pub(super) fn planned(&self, policy: &Policy, seen: &[u64], of: u32) -> Standards {
        // A thread that panicked has left nothing half done here: an entry is there or not.
        if let Some(known) = self.planned.read().unwrap_or_else(PoisonError::into_inner).get(seen) {
            return *known;
        }
        let weights: Vec<f64> = seen.iter().map(|bits| f64::from_bits(*bits)).collect();
        let standards = Standards::of(policy, 1, Some((&weights, of)));
        self.planned.write().unwrap_or_else(PoisonError::into_inner).insert(seen.into(), standards);
        standards
    }
}
