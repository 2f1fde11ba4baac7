//! Ids as numbers: what a pass over a lake keeps of a unit or an event is a hash under keys that nobody knows beforehand.
//!
//! Two of n different ids meet by chance once in 2^65 / n² passes: for ten million ids, once in 370,000. Then one unit
//! would be counted with another. The mixing is that of wyhash: products of 64 bits, folded.

use std::hash::{BuildHasher, RandomState};

/// The keys of one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    first: u64,
    second: u64,
    third: u64,
}

impl Keys {
    /// Keys that this process draws at random.
    pub(crate) fn new() -> Self {
        let draw = |n: u64| RandomState::new().hash_one(n) | 1;
        Self { first: draw(1), second: draw(2), third: draw(3) }
    }

    /// Never 0, which stands for none.
    #[inline]
    pub(crate) fn text(&self, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let length = bytes.len();
        let mut state = self.first;
        let (low, high) = match length {
            0 => (0, 0),
            1..=3 => {
                let middle = u64::from(bytes[length / 2]);
                (u64::from(bytes[0]) << 16 | middle << 8 | u64::from(bytes[length - 1]), 0)
            }
            4..=7 => (u64::from(four(bytes, 0)), u64::from(four(bytes, length - 4))),
            8..=16 => (eight(bytes, 0), eight(bytes, length - 8)),
            _ => {
                let mut at = 0;
                while at + 16 < length {
                    state = fold(eight(bytes, at) ^ self.second, eight(bytes, at + 8) ^ state);
                    at += 16;
                }
                (eight(bytes, length - 16), eight(bytes, length - 8))
            }
        };
        self.end(fold(low ^ self.second, high ^ state), length as u64)
    }

    /// Never 0.
    #[inline]
    pub(crate) fn number(&self, number: u64) -> u64 {
        self.end(fold(number ^ self.second, self.third), u64::MAX)
    }

    /// A text that an integer would be written as counts as that integer: exports differ in how they keep an id.
    #[inline]
    pub(crate) fn key(&self, text: &str) -> u64 {
        match as_integer(text) {
            Some(number) => self.number(number),
            None => self.text(text),
        }
    }

    #[inline]
    fn end(&self, state: u64, length: u64) -> u64 {
        fold(state ^ self.third, length ^ self.first).max(1)
    }
}

/// The integer's bits, if this is how it is written: no sign but a minus, no zeros in front.
#[inline]
fn as_integer(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 19 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if (digits.starts_with('0') && digits.len() > 1) || text == "-0" {
        return None;
    }
    text.parse::<i64>().map(i64::cast_unsigned).ok()
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

#[inline]
fn four(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::sets::Hashes;
    use super::*;

    #[test]
    fn different_texts_of_every_length_have_different_hashes() {
        let keys = Keys::new();
        let mut seen = Hashes::default();
        for length in 0..70 {
            assert!(seen.insert(keys.text(&"a".repeat(length))), "{length}");
            for place in 0..length {
                let mut text = "a".repeat(length);
                text.replace_range(place..=place, "b");
                assert!(seen.insert(keys.text(&text)), "{length} {place}");
            }
        }
        for n in 0..100_000u64 {
            assert!(seen.insert(keys.number(n)) && seen.insert(keys.text(&format!("u{n}"))), "{n}");
        }
    }

    #[test]
    fn an_integer_and_its_text_are_one_id() {
        let keys = Keys::new();
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(keys.key(&number.to_string()), keys.number(number.cast_unsigned()), "{number}");
        }
        for other in ["", "-", "-0", "+1", "01", "1 ", "1e3", "9223372036854775808"] {
            assert_eq!(keys.key(other), keys.text(other), "{other:?}");
        }
        assert_ne!(Keys::new().text("a"), keys.text("a"));
    }
}
