//! Instants as whole microseconds since 1970: what PostgreSQL keeps, and what a Parquet column is brought to.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// An instant, or a length of time, in microseconds. The calendar's ends, ±9999 years, are 3e17: an i64 holds them.
pub(crate) type Micros = i64;

/// A day's length; UTC as kept here has no leap seconds.
pub(crate) const DAY: Micros = 86_400_000_000;

/// Rounded up: an instant kept in whole microseconds is `>= t` exactly if it is `>= micros(t)`.
pub(crate) fn micros(instant: Timestamp) -> Micros {
    -((-instant.as_nanosecond()).div_euclid(1_000)) as Micros
}

/// A length of time; windows are whole days, so nothing is rounded.
pub(crate) fn length(duration: SignedDuration) -> Micros {
    duration.as_secs() * 1_000_000
}

/// The instant of that many microseconds; `None` outside the calendar.
pub(crate) fn instant_of(micros: Micros) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// The UTC date of an instant; `None` outside the calendar.
pub(crate) fn date_of(micros: Micros) -> Option<Date> {
    Some(instant_of(micros)?.to_zoned(TimeZone::UTC).date())
}

/// Days since 1970.
pub(crate) fn day_number(day: Date) -> i32 {
    (day - date(1970, 1, 1)).get_days()
}

/// The first instant of a UTC date.
pub(crate) fn midnight(day: Date) -> Micros {
    i64::from(day_number(day)) * DAY
}

/// The first instant of the UTC date after that of an instant.
pub(crate) fn next_midnight(instant: Micros) -> Micros {
    instant.div_euclid(DAY) * DAY + DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_between_two_microseconds_is_the_later_one() {
        let micros_of = |text: &str| micros(text.parse().unwrap());
        assert_eq!(micros_of("1970-01-01T00:00:00.000001Z"), 1);
        assert_eq!(micros_of("1970-01-01T00:00:00.000001001Z"), 2);
        assert_eq!(micros_of("1969-12-31T23:59:59.999999001Z"), 0);
    }

    #[test]
    fn midnights_stand_on_both_sides_of_1970() {
        assert_eq!(midnight(date(1970, 1, 2)), DAY);
        assert_eq!(midnight(date(1969, 12, 31)), -DAY);
        assert_eq!(next_midnight(-1), 0);
        assert_eq!(next_midnight(0), DAY);
        assert_eq!(date_of(-1), Some(date(1969, 12, 31)));
    }
}
