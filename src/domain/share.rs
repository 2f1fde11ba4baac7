//! A share of units in exact ten-thousandths, as `decimal(5,4)` keeps it.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The share of units that a variant is allocated: an exact number of ten-thousandths in 0..=1.
///
/// The assignment service compares cumulative shares × 10000 with a bucket, so anything finer would never be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u16);

/// Why a number is not a share.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ShareError {
    /// Outside 0..=1, or not a number at all.
    #[error("a share must lie in 0..=1, but this is {0}")]
    OutOfRange(String),
    /// Finer than a ten-thousandth.
    #[error("a share has at most four decimals (decimal(5,4)), but this is {0}")]
    TooFine(String),
}

impl Share {
    /// No unit.
    pub const NONE: Share = Share(0);
    /// Every unit.
    pub const ALL: Share = Share(10_000);

    /// From ten-thousandths in 0..=10000.
    pub fn from_ten_thousandths(parts: u16) -> Result<Self, ShareError> {
        if parts > 10_000 {
            return Err(ShareError::OutOfRange(format!("{}", f64::from(parts) / 10_000.0)));
        }
        Ok(Share(parts))
    }

    /// The number of ten-thousandths.
    pub fn ten_thousandths(self) -> u16 {
        self.0
    }

    /// As a fraction in 0..=1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// `self - other`, or zero where that would be negative.
    pub fn saturating_sub(self, other: Share) -> Share {
        Share(self.0.saturating_sub(other.0))
    }

    /// `self + other`, or everything where that would be more.
    pub fn saturating_add(self, other: Share) -> Share {
        Share((self.0 + other.0).min(10_000))
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(value: f64) -> Result<Self, ShareError> {
        if !(0.0..=1.0).contains(&value) {
            return Err(ShareError::OutOfRange(value.to_string()));
        }
        let parts = (value * 10_000.0).round();
        if (value * 10_000.0 - parts).abs() > 1e-6 {
            return Err(ShareError::TooFine(value.to_string()));
        }
        Ok(Share(parts as u16))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.as_f64()
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let value: f64 = text.trim().parse().map_err(|_| ShareError::OutOfRange(format!("{text:?}")))?;
        Share::try_from(value)
    }
}

impl Sum for Share {
    /// The sum, capped at everything; use [`Share::ten_thousandths`] where an excess must be seen.
    fn sum<I: Iterator<Item = Share>>(shares: I) -> Share {
        shares.fold(Share::NONE, Share::saturating_add)
    }
}

impl fmt::Display for Share {
    /// As a percentage without needless decimals: `10 %`, `33.33 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = f64::from(self.0) / 100.0;
        write!(f, "{percent} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_decimal_5_4_keeps() {
        assert_eq!(Share::try_from(0.1).unwrap().ten_thousandths(), 1_000);
        assert_eq!("0.3333".parse::<Share>().unwrap().to_string(), "33.33 %");
        assert_eq!(Share::try_from(1.0).unwrap(), Share::ALL);
    }

    #[test]
    fn refuses_what_it_does_not() {
        assert!(matches!(Share::try_from(1.01), Err(ShareError::OutOfRange(_))));
        assert!(matches!(Share::try_from(f64::NAN), Err(ShareError::OutOfRange(_))));
        assert!(matches!(Share::try_from(0.33333), Err(ShareError::TooFine(_))));
        assert!("ten".parse::<Share>().is_err());
    }
}
