//! Numbers whose meaning needs a bound: error rates and margins.

use serde::{Deserialize, Serialize};

/// A number outside the bound that its meaning sets.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{what} must lie strictly between {low} and {high}, but this is {got}")]
pub struct OutOfRange {
    what: &'static str,
    low: f64,
    high: f64,
    got: f64,
}

macro_rules! open_interval {
    ($(#[$doc:meta])* $name:ident, $what:literal, $low:literal, $high:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number itself.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                if value > $low && value < $high {
                    Ok(Self(value))
                } else {
                    Err(OutOfRange { what: $what, low: $low, high: $high, got: value })
                }
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }
    };
}

open_interval! {
    /// A probability of error over a whole experiment, in (0, 0.5).
    Alpha, "an error rate (alpha)", 0.0, 0.5
}

open_interval! {
    /// The worst loss that is accepted, relative to control and positive: 0.05 is five percent. In (0, 1).
    Margin, "a margin", 0.0, 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_open() {
        assert!(Alpha::try_from(0.05).is_ok());
        assert!(Alpha::try_from(0.0).is_err());
        assert!(Margin::try_from(1.0).is_err());
        assert!(Margin::try_from(f64::NAN).is_err());
    }
}
