//! Metrics whose data stopped coming: the night goes on without them for a while, and then somebody must look.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{ToSpan, Unit};
use serde::{Deserialize, Serialize};

use super::by_metric::Sought;
use super::cohort::Cohort;
use crate::domain::{Metric, MetricForm, VariantId};
use crate::stats::Moments;

/// A metric whose data stopped coming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vanished {
    /// The metric.
    pub metric: String,
    /// The last day with data in both arms.
    pub last: Option<Date>,
    /// Nights without any since.
    pub nights: i64,
}

/// The expected sum from which on a sum of nothing is no accident: with counts, it happens once in e^30 times.
const EXPECTED: f64 = 30.0;

/// The metrics among `names` without data in one of the arms for at least `nights` nights up to `as_of`. Days before
/// `begin`, on which the present split began, do not count, nor do those after `until`, where that is given.
///
/// No data are no unit, a denominator of nothing, or a sum of nothing over as many units as brought `EXPECTED` before.
pub fn vanished<'c>(
    cohorts: &'c [Cohort],
    (control, candidate): (VariantId, VariantId),
    metrics: &BTreeMap<String, Metric>,
    names: impl Iterator<Item = &'c str>,
    (begin, as_of, until): (Date, Date, Option<Date>),
    nights: u32,
) -> Vec<Vanished> {
    let mut by_date: Vec<&Cohort> = cohorts.iter().collect();
    by_date.sort_by_key(|cohort| cohort.date);
    let days: Vec<&[&Cohort]> = by_date.chunk_by(|a, b| a.date == b.date).collect();
    let silent = |name: &str| {
        let metric = metrics.get(name)?;
        let due = as_of.saturating_sub(i64::from(metric.window_days).days());
        let due = until.map_or(due, |until| due.min(until));
        let nights_since = |last: Option<Date>| {
            let since = last.map_or(begin, |last| last.saturating_add(1.days())).max(begin);
            since.until((Unit::Day, due)).map_or(0, |span| i64::from(span.get_days())) + 1
        };
        let days = &days[..days.partition_point(|day| day[0].date <= due)];
        let mut sought = Sought::new(name);
        let mut arms = |day: &[&'c Cohort]| arms_of(day, (control, candidate), &mut sought);
        let has_both = |(control, candidate): &(Moments, Moments)| {
            control.n > 0 && candidate.n > 0 && !no_denominator(metric, control, candidate)
        };
        // A day on which both arms brought something ends every silence before it, so the last days mostly tell enough.
        let heard = |arms: &(Moments, Moments)| has_both(arms) && !sums_to_nothing(&arms.0.merge(&arms.1));
        let latest = days.iter().rev().find(|day| arms(day).as_ref().is_some_and(heard));
        if latest.is_some_and(|day| nights_since(Some(day[0].date)) < i64::from(nights)) {
            return None;
        }
        let mut usual = Moments::default();
        let mut last = None;
        let mut missed = 0.0;
        for day in days {
            let Some(arms) = arms(day) else { continue };
            let both = arms.0.merge(&arms.1);
            missed += if sums_to_nothing(&both) { usual.mean_y.abs() * both.n as f64 } else { -missed };
            if has_both(&arms) && missed < EXPECTED {
                last = Some(day[0].date);
            }
            usual = usual.merge(&both);
        }
        let silent = nights_since(last);
        (silent >= i64::from(nights)).then(|| Vanished { metric: name.to_owned(), last, nights: silent })
    };
    names.filter_map(silent).collect()
}

/// What control and the candidate have of a metric on one day; none if no cohort of that day has it.
fn arms_of<'c>(
    day: &[&'c Cohort],
    (control, candidate): (VariantId, VariantId),
    sought: &mut Sought<'c>,
) -> Option<(Moments, Moments)> {
    let mut arms: Option<(Moments, Moments)> = None;
    for cohort in day {
        // Of a third arm only the day counts.
        if cohort.variant != control && cohort.variant != candidate && arms.is_some() {
            continue;
        }
        let Some(moments) = sought.of(&cohort.moments) else { continue };
        let arms = arms.get_or_insert_default();
        if cohort.variant == control {
            arms.0 = arms.0.merge(moments);
        } else if cohort.variant == candidate {
            arms.1 = arms.1.merge(moments);
        }
    }
    arms
}

fn no_denominator(metric: &Metric, control: &Moments, candidate: &Moments) -> bool {
    matches!(metric.form, MetricForm::Ratio { .. }) && (control.mean_d == 0.0 || candidate.mean_d == 0.0)
}

fn sums_to_nothing(both: &Moments) -> bool {
    both.n > 0 && both.mean_y == 0.0 && both.m2_y == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Measure, Value};
    use crate::evidence::CohortHealth;
    use jiff::civil::date;
    use uuid::Uuid;

    const CONTROL: VariantId = VariantId(Uuid::from_u128(1));
    const CANDIDATE: VariantId = VariantId(Uuid::from_u128(2));

    fn metrics() -> BTreeMap<String, Metric> {
        let metric = Metric::of_units("m", Measure::of_event("e", Value::Count));
        [("m".to_owned(), metric)].into()
    }

    fn day(day: i8, mean: f64, candidate_units: u64) -> [Cohort; 2] {
        [(CONTROL, 100), (CANDIDATE, candidate_units)].map(|(variant, n)| Cohort {
            date: date(2026, 3, day),
            epoch: 0,
            variant,
            moments: [("m".to_owned(), Moments::of_units(n, mean, if mean == 0.0 { 0.0 } else { n as f64 }))].into(),
            health: CohortHealth::default(),
        })
    }

    fn silent(cohorts: &[Cohort], as_of: Date) -> Option<i64> {
        silent_until(cohorts, as_of, None)
    }

    fn silent_until(cohorts: &[Cohort], as_of: Date, until: Option<Date>) -> Option<i64> {
        let days = (date(2026, 3, 1), as_of, until);
        let found = vanished(cohorts, (CONTROL, CANDIDATE), &metrics(), ["m"].into_iter(), days, 2);
        found.first().map(|found| found.nights)
    }

    #[test]
    fn data_that_stop_are_missed_after_two_nights() {
        let cohorts: Vec<Cohort> = (1..=5).flat_map(|d| day(d, 1.0, 100)).collect();
        assert_eq!(silent(&cohorts, date(2026, 3, 6)), None);
        assert_eq!(silent(&cohorts, date(2026, 3, 7)), None);
        assert_eq!(silent(&cohorts, date(2026, 3, 8)), Some(2));
        assert_eq!(silent(&[], date(2026, 3, 3)), Some(2), "never any");
        let last = Some(date(2026, 3, 5));
        assert_eq!(silent_until(&cohorts, date(2026, 3, 20), last), None, "no unit was to come");
        let mut without = cohorts;
        without.extend((6..=8).flat_map(|d| day(d, 1.0, 0)));
        assert_eq!(silent_until(&without, date(2026, 3, 20), Some(date(2026, 3, 8))), Some(3), "one arm fell silent");
    }

    #[test]
    fn an_arm_without_units_is_missed_and_a_rare_event_is_not() {
        let mut cohorts: Vec<Cohort> = (1..=5).flat_map(|d| day(d, 1.0, 100)).collect();
        cohorts.extend((6..=8).flat_map(|d| day(d, 1.0, 0)));
        assert_eq!(silent(&cohorts, date(2026, 3, 9)), Some(3));
        let mut often: Vec<Cohort> = (1..=5).flat_map(|d| day(d, 1.0, 100)).collect();
        often.extend((6..=8).flat_map(|d| day(d, 0.0, 100)));
        assert_eq!(silent(&often, date(2026, 3, 9)), Some(3), "hundreds a day, and then none");
        let mut rarely: Vec<Cohort> = (1..=5).flat_map(|d| day(d, 0.001, 100)).collect();
        rarely.extend((6..=8).flat_map(|d| day(d, 0.0, 100)));
        assert_eq!(silent(&rarely, date(2026, 3, 9)), None, "a crash now and then");
    }
}
