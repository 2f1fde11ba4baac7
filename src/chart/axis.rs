//! Axes: from numbers and dates to places.

use jiff::civil::Date;

use super::words;

/// A straight axis; `start` is the place of `from`, and may lie right of or below `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// An axis over a range, which is widened where it is empty.
    pub fn new(from: f64, to: f64, start: f64, end: f64) -> Axis {
        let (from, to) = if from.is_finite() && to.is_finite() { (from.min(to), from.max(to)) } else { (-1.0, 1.0) };
        let least = 1e-9 * from.abs().max(to.abs()).max(1e-6);
        let (from, to) = if to - from > least { (from, to) } else { (from - 500.0 * least, to + 500.0 * least) };
        Axis { from, to, start, end }
    }

    /// The place of a number; beyond the ends it is the end.
    pub fn at(&self, value: f64) -> f64 {
        let part = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.start + part * (self.end - self.start)
    }

    /// The place of a number on the axis prolonged: for lines that are clipped, whose slope must stay what it is.
    pub fn prolonged(&self, value: f64) -> f64 {
        let part = ((value - self.from) / (self.to - self.from)).clamp(-1000.0, 1000.0);
        self.start + part * (self.end - self.start)
    }

    pub fn is_below(&self, value: f64) -> bool {
        value < self.from
    }

    pub fn is_above(&self, value: f64) -> bool {
        value > self.to
    }

    pub fn holds(&self, value: f64) -> bool {
        value >= self.from && value <= self.to
    }

    /// Round numbers along the axis, at most about `most`, zero among them if it is on the axis.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        let rough = (self.to - self.from) / most.max(1) as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|step| *step >= rough * (1.0 - 1e-9));
        let step = step.unwrap_or(10.0 * magnitude);
        let (first, last) = ((self.from / step - 1e-9).ceil(), (self.to / step + 1e-9).floor());
        // Counted, not added up: a sum of steps would miss zero by a hair.
        (0..=(last - first).clamp(-1.0, 2.0 * most as f64) as i64).map(|i| (first + i as f64) * step).collect()
    }
}

/// An axis of days.
#[derive(Clone, Copy, Debug)]
pub(super) struct Days {
    first: Date,
    last: Date,
    axis: Axis,
}

/// Days between two labels, at least.
const STEPS: [i32; 8] = [1, 2, 7, 14, 28, 91, 182, 365];

impl Days {
    /// An axis from one day to another; a single day lies in the middle.
    pub fn new(first: Date, last: Date, start: f64, end: f64) -> Days {
        let days = f64::from(days_between(first, last));
        let axis = if days > 0.0 { Axis::new(0.0, days, start, end) } else { Axis::new(-1.0, 1.0, start, end) };
        Days { first, last, axis }
    }

    pub fn at(&self, date: Date) -> f64 {
        self.axis.at(f64::from(days_between(self.first, date)))
    }

    /// Pixels from one day to the next.
    pub fn pitch(&self) -> f64 {
        let days = f64::from(days_between(self.first, self.last)).max(1.0);
        (self.axis.end - self.axis.start).abs() / days
    }

    /// Days to label, from the first on, no closer than `room` pixels; the first one, and each of a new year, has its
    /// year.
    pub fn ticks(&self, room: f64) -> Vec<(Date, String)> {
        let pitch = self.pitch();
        let whole = days_between(self.first, self.last);
        let step = STEPS.into_iter().find(|step| f64::from(*step) * pitch >= room);
        // Centuries do not fit the steps: then the ends alone are labelled.
        let step = step.unwrap_or(whole.max(1));
        let days = (0..=whole).step_by(usize::try_from(step).unwrap_or(1));
        let dates = days.filter_map(|days| self.first.checked_add(jiff::Span::new().try_days(days).ok()?).ok());
        let mut year = None;
        let mut ticks = Vec::new();
        for date in dates {
            let text = if year == Some(date.year()) { words::day(date) } else { words::date(date) };
            year = Some(date.year());
            ticks.push((date, text));
        }
        ticks
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn places_are_in_proportion_and_stay_on_the_axis() {
        let axis = Axis::new(-10.0, 10.0, 100.0, 300.0);
        assert_eq!(axis.at(0.0), 200.0);
        assert_eq!(axis.at(5.0), 250.0);
        assert_eq!(axis.at(f64::INFINITY), 300.0);
        assert_eq!(axis.at(-99.0), 100.0);
        assert!(axis.is_above(11.0) && axis.is_below(-11.0) && axis.holds(10.0));
    }

    #[test]
    fn ticks_are_round_and_hold_zero() {
        assert_eq!(Axis::new(-12.0, 8.0, 0.0, 1.0).ticks(5), [-10.0, -5.0, 0.0, 5.0]);
        assert_eq!(Axis::new(0.0, 1.0, 0.0, 1.0).ticks(4), [0.0, 0.5, 1.0]);
        let tiny = Axis::new(0.3, 0.3, 0.0, 1.0);
        assert!(!tiny.ticks(5).is_empty() && tiny.at(0.3) == 0.5);
        let broken = Axis::new(f64::NAN, f64::INFINITY, 0.0, 1.0);
        assert_eq!(broken.at(0.0), 0.5);
    }

    #[test]
    fn days_are_labelled_with_room_between_them() {
        let days = Days::new(date(2026, 12, 20), date(2027, 1, 20), 0.0, 310.0);
        let labels: Vec<String> = days.ticks(60.0).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["20 Dec 2026", "27 Dec", "3 Jan 2027", "10 Jan", "17 Jan"]);
        assert_eq!(days.at(date(2026, 12, 30)), 100.0);
        let one = Days::new(date(2026, 3, 1), date(2026, 3, 1), 0.0, 300.0);
        assert_eq!((one.at(date(2026, 3, 1)), one.ticks(60.0).len()), (150.0, 1));
        let ages = Days::new(Date::MIN, Date::MAX, 0.0, 300.0);
        assert!(ages.ticks(60.0).len() <= 6);
    }
}
