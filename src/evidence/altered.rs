//! Cohorts that never were: other values, more units, more nights. For asking what would have been decided on them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::assess::Comparison;
use super::cohort::{Cohort, CohortHealth};
use crate::domain::{Companion, VariantId};

/// The latest days that further nights are made after.
const DAYS: usize = 7;

/// The cohorts if every unit of a variant had `factor` times its value of a metric.
pub fn scaled(cohorts: &[Cohort], variant: VariantId, metric: &str, factor: f64) -> Vec<Cohort> {
    let mut altered = cohorts.to_vec();
    for cohort in altered.iter_mut().filter(|cohort| cohort.variant == variant) {
        for name in std::iter::once(metric.to_owned()).chain(Companion::with_numerator(metric)) {
            if let Some(moments) = cohort.moments.get_mut(&name) {
                *moments = moments.scaled(factor);
            }
        }
    }
    altered
}

/// The cohorts if `times` as many units had come in, and been like those that did.
pub fn enlarged(cohorts: &[Cohort], times: f64) -> Vec<Cohort> {
    cohorts.iter().map(|cohort| resized(cohort, (times * cohort.health.units as f64).round() as u64)).collect()
}

/// The cohorts of one candidate and control after so many more nights that are like the latest days, at the present
/// shares.
pub fn continued(comparison: &Comparison<'_>, nights: u32) -> Vec<Cohort> {
    let mut cohorts = comparison.cohorts.to_vec();
    let Some(epoch) = comparison.epochs.last() else { return cohorts };
    let through = comparison.as_of.saturating_add(i64::from(nights).days());
    // Metrics with different windows bring a cohort each of the same units.
    let mut sets: BTreeMap<Vec<&str>, Vec<&Cohort>> = BTreeMap::new();
    for cohort in comparison.cohorts {
        sets.entry(cohort.moments.keys().map(String::as_str).collect()).or_default().push(cohort);
    }
    for (names, set) in sets {
        let windows = names.iter().filter_map(|name| comparison.metrics.get(*name)).map(|metric| metric.window_days);
        let closes_after = i64::from(windows.max().unwrap_or(1)).days();
        let dates: BTreeSet<Date> = set.iter().map(|cohort| cohort.date).collect();
        let Some(&last) = dates.last() else { continue };
        let recent: BTreeSet<Date> = dates.into_iter().rev().take(DAYS).collect();
        let latest: Vec<&Cohort> = set.into_iter().filter(|cohort| recent.contains(&cohort.date)).collect();
        let units: u64 = latest.iter().map(|cohort| cohort.health.units).sum();
        let per_day = units as f64 / recent.len() as f64;
        for arm in [comparison.control, comparison.candidate] {
            let share = epoch.allocations.iter().find(|(id, _)| *id == arm).map_or(0.0, |(_, share)| share.as_f64());
            let Some(usual) = sum(latest.iter().filter(|cohort| cohort.variant == arm).copied()) else { continue };
            let usual = Cohort { epoch: epoch.number, ..resized(&usual, (per_day * share).round() as u64) };
            let days = last.series(1.days()).skip(1);
            let closed = days.take_while(|date| date.saturating_add(closes_after) <= through);
            cohorts.extend(closed.map(|date| Cohort { date, ..usual.clone() }));
        }
    }
    cohorts
}

/// Cohorts of one variant as one.
fn sum<'a>(mut cohorts: impl Iterator<Item = &'a Cohort>) -> Option<Cohort> {
    let mut sum = cohorts.next()?.clone();
    for cohort in cohorts {
        for (name, moments) in cohort.moments.iter() {
            match sum.moments.get_mut(name) {
                Some(known) => *known = known.merge(moments),
                None => drop(sum.moments.insert(name.clone(), *moments)),
            }
        }
        let (a, b) = (sum.health, cohort.health);
        sum.health = CohortHealth {
            units: a.units + b.units,
            events: a.events + b.events,
            missing: a.missing + b.missing,
            not_numbers: a.not_numbers + b.not_numbers,
            multiple_exposed: a.multiple_exposed + b.multiple_exposed,
        };
    }
    Some(sum)
}

/// A cohort of another number of units that are like these on average.
fn resized(cohort: &Cohort, units: u64) -> Cohort {
    let before = cohort.health;
    let times = if before.units == 0 { 0.0 } else { units as f64 / before.units as f64 };
    let scaled = |count: u64| (times * count as f64).round() as u64;
    Cohort {
        moments: cohort.moments.iter().map(|(name, m)| (name.clone(), m.resized(scaled(m.n)))).collect(),
        health: CohortHealth {
            units: scaled(before.units),
            events: scaled(before.events),
            missing: scaled(before.missing),
            not_numbers: scaled(before.not_numbers),
            multiple_exposed: scaled(before.multiple_exposed),
        },
        ..cohort.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::stats::Moments;
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Epoch, Measure, Metric, Policy, Share, Value};

    const CONTROL: VariantId = VariantId(Uuid::from_u128(1));
    const CANDIDATE: VariantId = VariantId(Uuid::from_u128(2));

    fn cohort(day: i8, variant: VariantId, units: u64) -> Cohort {
        Cohort {
            date: date(2026, 3, day),
            epoch: 0,
            variant,
            moments: [("m".to_owned(), Moments::of_units(units, 2.0, units as f64))].into(),
            health: CohortHealth { units, events: 3 * units, ..CohortHealth::default() },
        }
    }

    #[test]
    fn another_value_is_that_of_every_unit_of_one_arm() {
        let cohorts = [cohort(2, CONTROL, 90), cohort(2, CANDIDATE, 10)];
        let altered = scaled(&cohorts, CANDIDATE, "m", 1.5);
        assert_eq!(altered[0], cohorts[0]);
        assert_eq!(altered[1].moments["m"], Moments::of_units(10, 3.0, 22.5));
        assert_eq!(scaled(&cohorts, CANDIDATE, "another", 1.5), cohorts);
    }

    #[test]
    fn more_units_are_like_those_that_came() {
        let [enlarged] = &enlarged(&[cohort(2, CONTROL, 90)], 3.0)[..] else { panic!("one cohort") };
        assert_eq!(enlarged.moments["m"], Moments::of_units(270, 2.0, 270.0));
        assert_eq!((enlarged.health.units, enlarged.health.events), (270, 810));
    }

    #[test]
    fn nights_go_on_at_the_present_shares_as_their_windows_end() {
        let metric = Metric::of_units("m", Measure::of_event("e", Value::Count));
        let metrics = [("m".to_owned(), metric)].into();
        let policy = Policy::standard();
        let half = Share::from_ten_thousandths(5_000).unwrap();
        let epoch = |number, allocations| Epoch {
            number,
            started_at: "2026-03-02T00:00:00Z".parse().unwrap(),
            ended_at: None,
            allocations,
            moved_units: false,
            redrawn_at: None,
            outside: false,
        };
        let epochs = [epoch(0, vec![]), epoch(1, vec![(CONTROL, half), (CANDIDATE, half)])];
        let cohorts =
            [cohort(2, CONTROL, 90), cohort(2, CANDIDATE, 10), cohort(3, CONTROL, 90), cohort(3, CANDIDATE, 10)];
        let comparison = Comparison {
            control: CONTROL,
            candidate: CANDIDATE,
            candidates: 1,
            policy: &policy,
            metrics: &metrics,
            cohorts: &cohorts,
            epochs: &epochs,
            as_of: date(2026, 3, 4),
            since: None,
        };
        assert_eq!(continued(&comparison, 0), cohorts);
        let later = continued(&comparison, 2);
        let new: Vec<_> = later[4..].iter().map(|c| (c.date.day(), c.epoch, c.variant, c.health.units)).collect();
        assert_eq!(new, [(4, 1, CONTROL, 50), (5, 1, CONTROL, 50), (4, 1, CANDIDATE, 50), (5, 1, CANDIDATE, 50)]);
        assert_eq!(later[6].moments["m"].mean_y, 2.0);
    }
}
