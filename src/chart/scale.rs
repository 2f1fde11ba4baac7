//! What a metric's numbers are, and how they are written.

use serde::{Deserialize, Serialize};

use super::words::{decimals, number, signed};
use crate::domain::Direction;

/// Beyond this no place on an axis makes sense: such numbers are drawn as arrows, as infinite ones are.
const FARTHEST: f64 = 1e9;

/// What the numbers of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scale {
    /// Lifts over control: 0.05 is five percent. The bound is the margin, positive.
    Lift,
    /// The candidate's own values in the metric's unit. The bound is the ceiling or floor.
    Value {
        /// Control's value, where it is known. A forest places such a row by it: the line of zero is control.
        control: Option<f64>,
    },
}

/// +1 where more is better, −1 where less is.
pub(super) fn sign(better: Direction) -> f64 {
    match better {
        Direction::Increase => 1.0,
        Direction::Decrease => -1.0,
    }
}

/// A pair of ends, if it is one.
pub(super) fn range(interval: Option<(f64, f64)>) -> Option<(f64, f64)> {
    interval.filter(|(low, high)| low <= high && *low < f64::INFINITY && *high > f64::NEG_INFINITY)
}

impl Scale {
    /// Where a number stands on an axis of lifts whose right side is better: in percent of control. Infinite beyond all
    /// axes; `None` where it has no place.
    pub(super) fn lift_percent(self, value: f64, better: Direction) -> Option<f64> {
        let lift = match self {
            Scale::Lift => value,
            Scale::Value { control } => {
                let control = control.filter(|c| c.is_finite() && *c != 0.0)?;
                (value - control) / control.abs()
            }
        };
        let percent = 100.0 * sign(better) * lift;
        if percent.is_nan() {
            return None;
        }
        Some(if percent.abs() > FARTHEST { percent.signum() * f64::INFINITY } else { percent })
    }

    /// The bound as a number of this scale: a margin lies on the worse side of zero.
    pub(super) fn bound_value(self, bound: Option<f64>, better: Direction) -> Option<f64> {
        let bound = bound.filter(|b| b.is_finite())?;
        Some(match self {
            Scale::Lift => -sign(better) * bound.abs(),
            Scale::Value { .. } => bound,
        })
    }

    /// `margin −5 %`, `limit 0.01`.
    pub(super) fn bound_words(self, bound: Option<f64>, better: Direction) -> Option<String> {
        let value = self.bound_value(bound, better)?;
        Some(match self {
            Scale::Lift => {
                let text = number((100.0 * value).abs());
                let sign = if text == "0" {
                    ""
                } else if value > 0.0 {
                    "+"
                } else {
                    "−"
                };
                format!("margin {sign}{text} %")
            }
            Scale::Value { .. } => format!("limit {}", number(value)),
        })
    }

    /// One number: `+4.1 %`, `0.0094`.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Scale::Lift => format!("{} %", signed(100.0 * value, decimals(&[100.0 * value]))),
            Scale::Value { .. } => number(value),
        }
    }

    /// An estimate and its interval: `+4.1 % (+2.7 to +5.5 %)`. Parts that are unknown are left out; empty if all are.
    pub(super) fn write_all(self, estimate: Option<f64>, interval: Option<(f64, f64)>) -> String {
        let estimate = estimate.filter(|e| !e.is_nan());
        let interval = range(interval);
        let known: Vec<f64> = estimate.into_iter().chain(interval.into_iter().flat_map(|(l, h)| [l, h])).collect();
        let (write, unit): (Box<dyn Fn(f64) -> String>, _) = match self {
            Scale::Lift => {
                let decimals = decimals(&known.iter().map(|v| 100.0 * v).collect::<Vec<_>>());
                (Box::new(move |v| signed(100.0 * v, decimals)), " %")
            }
            Scale::Value { .. } => (Box::new(number), ""),
        };
        let estimate = estimate.map(|e| format!("{}{unit}", write(e)));
        let interval = interval.map(|(low, high)| format!("{} to {}{unit}", write(low), write(high)));
        match (estimate, interval) {
            (Some(estimate), Some(interval)) => format!("{estimate} ({interval})"),
            (estimate, interval) => estimate.or(interval).unwrap_or_default(),
        }
    }
}

/// `lower is better`.
pub(super) fn aim(better: Direction) -> &'static str {
    match better {
        Direction::Increase => "higher is better",
        Direction::Decrease => "lower is better",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_left_whichever_way_a_metric_should_go() {
        let (up, down) = (Direction::Increase, Direction::Decrease);
        assert_eq!(Scale::Lift.lift_percent(0.25, down), Some(-25.0));
        assert_eq!(Scale::Lift.lift_percent(0.25, up), Some(25.0));
        let share = Scale::Value { control: Some(0.5) };
        assert_eq!(share.lift_percent(0.75, down), Some(-50.0));
        assert_eq!(Scale::Lift.bound_value(Some(0.05), up), Some(-0.05));
        assert_eq!(Scale::Lift.bound_value(Some(0.05), down), Some(0.05));
        assert_eq!(share.bound_value(Some(0.6), down), Some(0.6));
    }

    #[test]
    fn what_has_no_place_gets_none() {
        let up = Direction::Increase;
        assert_eq!(Scale::Lift.lift_percent(f64::NAN, up), None);
        assert_eq!(Scale::Lift.lift_percent(1e300, up), Some(f64::INFINITY));
        assert_eq!(Scale::Value { control: Some(0.0) }.lift_percent(1.0, up), None);
        assert_eq!(Scale::Value { control: None }.lift_percent(1.0, up), None);
        assert_eq!(range(Some((2.0, 1.0))), None);
        assert_eq!(range(Some((f64::NAN, 1.0))), None);
        assert_eq!(range(Some((f64::NEG_INFINITY, 1.0))), Some((f64::NEG_INFINITY, 1.0)));
    }

    #[test]
    fn numbers_are_written_with_their_own_sign_not_that_of_the_axis() {
        let scale = Scale::Lift;
        assert_eq!(scale.write_all(Some(0.041), Some((0.027, 0.055))), "+4.1 % (+2.7 to +5.5 %)");
        assert_eq!(scale.write_all(None, Some((f64::NEG_INFINITY, 0.055))), "−∞ to +5.5 %");
        assert_eq!(scale.write_all(Some(f64::NAN), None), "");
        assert_eq!(scale.bound_words(Some(0.05), Direction::Decrease).as_deref(), Some("margin +5 %"));
        let value = Scale::Value { control: None };
        assert_eq!(value.write_all(Some(0.0094), Some((0.0091, 0.0098))), "0.0094 (0.0091 to 0.0098)");
        assert_eq!(value.bound_words(Some(0.01), Direction::Decrease).as_deref(), Some("limit 0.01"));
    }
}
