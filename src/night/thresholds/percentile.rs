//! A percentile from counts alone: how many numbers lie beyond some edges, then beyond edges between two of them.
//!
//! No row leaves the warehouse, and each engine gives the same answer, since it only compares numbers with numbers.

use jiff::civil::Date;

use crate::domain::Field;
use crate::warehouse::{Exceeding, Warehouse, WarehouseError};

/// Edges of the first look: powers of four from 10⁻⁹ to 10¹⁵.
const POWERS: std::ops::RangeInclusive<i32> = -15..=25;

/// Parts that an interval is cut into at each further look.
const PARTS: u32 = 40;

/// An interval this narrow, relative to its end, is a number.
const NARROW: f64 = 1e-4;

/// Numbers beyond the percentile that it takes to speak of it (statistics.md 1.5).
const LEAST_BEYOND: f64 = 100.0;

/// A percentile, and how many events it is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The percentile.
    pub value: f64,
    /// How many events.
    pub events: u64,
}

/// Why there is no percentile.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The warehouse did not answer.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Too few events to speak of it.
    #[error("there are {events} events of type {event:?} with {field}; {needed} are needed for this percentile")]
    TooFew {
        /// The event type.
        event: String,
        /// The field.
        field: Field,
        /// How many there are.
        events: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Beyond all edges.
    #[error("this percentile of {field} is not between {low:e} and {high:e}")]
    OutOfRange {
        /// The field.
        field: Field,
        /// The lowest edge.
        low: f64,
        /// The highest.
        high: f64,
    },
}

/// The smallest number, to four digits, that no more than 1 − `percentile` of the field's numbers exceed.
///
/// # Errors
/// The warehouse does not answer, or the numbers are too few or too far out.
pub async fn percentile(
    warehouse: &dyn Warehouse,
    (event, field): (&str, &Field),
    (from, to): (Date, Date),
    percentile: f64,
) -> Result<Found, FreezeError> {
    let mut edges: Vec<f64> = POWERS.map(|power| 4f64.powi(power)).collect();
    loop {
        let counted = warehouse.exceed(&Exceeding { event, field, from, to, edges: &edges }).await?;
        let events = counted.numbers;
        let beyond = (1.0 - percentile) * events as f64;
        if beyond < LEAST_BEYOND {
            let needed = (LEAST_BEYOND / (1.0 - percentile)).ceil() as u64;
            return Err(FreezeError::TooFew { event: event.to_owned(), field: field.clone(), events, needed });
        }
        let (low, high) = match within(&edges, &counted.beyond, beyond) {
            Some(interval) => interval,
            None => {
                let (low, high) = (edges[0], edges[edges.len() - 1]);
                return Err(FreezeError::OutOfRange { field: field.clone(), low, high });
            }
        };
        if high - low <= NARROW * high {
            return Ok(Found { value: high, events });
        }
        edges = (0..=PARTS).map(|part| low + (high - low) * f64::from(part) / f64::from(PARTS)).collect();
    }
}

/// The two edges between which the number lies: more than `most` lie beyond the first, and no more beyond the second.
fn within(edges: &[f64], beyond: &[u64], most: f64) -> Option<(f64, f64)> {
    let place = beyond.iter().position(|count| *count as f64 <= most)?;
    // Whoever cut an interval knows that it lies in there; of the whole range that is not known.
    let low = place.checked_sub(1)?;
    Some((edges[low], edges[place]))
}

/// Four digits, rounded up: no more numbers exceed it than the percentile lets.
pub(super) fn rounded_up(value: f64) -> f64 {
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits.abs());
    // A power below one is not exact, so small scales divide.
    let up = if digits >= 0 { (value * scale).ceil() / scale } else { (value / scale).ceil() * scale };
    // What is a number of four digits already must not grow by its own rounding.
    let nearest = if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale };
    if (nearest - value).abs() <= 1e-9 * value.abs() { nearest } else { up }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_first_that_few_enough_lie_beyond() {
        let edges = [1.0, 4.0, 16.0, 64.0];
        assert_eq!(within(&edges, &[1000, 100, 10, 0], 10.0), Some((4.0, 16.0)));
        assert_eq!(within(&edges, &[1000, 100, 11, 0], 10.0), Some((16.0, 64.0)));
        assert_eq!(within(&edges, &[5, 0, 0, 0], 10.0), None);
        assert_eq!(within(&edges, &[900, 900, 900, 800], 10.0), None);
    }

    #[test]
    fn four_digits_stay_and_more_are_rounded_up() {
        assert_eq!(rounded_up(1873.2), 1874.0);
        assert_eq!(rounded_up(1873.0), 1873.0);
        assert_eq!(rounded_up(0.021_234), 0.02124);
        assert_eq!(rounded_up(0.0212), 0.0212);
        assert_eq!(rounded_up(187_320.0), 187_400.0);
        assert_eq!(rounded_up(1.1 * 1500.0), 1650.0);
    }
}
