//! Digests of rules: most experiments of a night are judged by the same ones, whose digest is then made once.

use std::sync::Mutex;

use crate::domain::Rules;

/// How many different rules are remembered.
const KEPT: usize = 8;

/// The latest rules with their digests.
#[derive(Default)]
pub(in crate::night) struct Digests(Mutex<Vec<(Rules, String)>>);

impl Digests {
    /// [`Rules::digest`].
    pub(super) fn of(&self, rules: &Rules) -> String {
        // Whoever panicked over it left whole entries.
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, digest)) = known.iter().find(|(same, _)| same == rules) {
            return digest.clone();
        }
        let digest = rules.digest();
        known.truncate(KEPT - 1);
        known.insert(0, (rules.clone(), digest.clone()));
        digest
    }
}
