//! When the evidence for a promotion would suffice, if everything went on as it is: the same units a day, the same
//! estimates, the same noise. An outlook is for people and decides nothing.

mod course;

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::assess::{Assessment, Comparison};
use super::cohort::Cohort;
use crate::domain::{Share, VariantId};
use course::Course;

/// The latest days that the present rate is read from.
const DAYS: usize = 7;

/// What comes, at the present rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Units a day in control and in the candidate, at their present shares; none before the first day is known.
    pub units_per_day: Option<(f64, f64)>,
    /// The nights from tonight until promotion is shown, or why it never is; none where nobody can tell yet.
    pub shown_in: Option<Result<u32, String>>,
}

impl Outlook {
    /// The outlook of one candidate at its present share.
    pub fn of(comparison: &Comparison<'_>, assessment: &Assessment) -> Outlook {
        let shown_in = Course::of(comparison, assessment).shown_in(assessment);
        Outlook { units_per_day: units_per_arm_and_day(comparison), shown_in }
    }

    /// The nights from tonight until the share `to` of the largest loss that is not ruled out is at most `budget`, or why it
    /// never is; none where nobody can tell yet.
    pub fn risk_borne_in(
        comparison: &Comparison<'_>,
        assessment: &Assessment,
        to: Share,
        budget: f64,
    ) -> Option<Result<u32, String>> {
        Course::of(comparison, assessment).risk_borne_in(assessment, to, budget)
    }
}

/// Units a day in control and in the candidate, at their present shares.
fn units_per_arm_and_day(comparison: &Comparison<'_>) -> Option<(f64, f64)> {
    let units = units_per_day(comparison)?;
    Some((units * share(comparison, comparison.control), units * share(comparison, comparison.candidate)))
}

/// Units a day of all arms together, over the latest closed days; none before the first.
fn units_per_day(comparison: &Comparison<'_>) -> Option<f64> {
    let mut by_day: BTreeMap<Date, BTreeMap<(i64, VariantId), u64>> = BTreeMap::new();
    // Units that were drawn anew came once, and do not come every day.
    let redrawn = |number| comparison.epochs.iter().any(|epoch| epoch.number == number && epoch.redrawn_at.is_some());
    let usual = || comparison.cohorts.iter().filter(|cohort| !redrawn(cohort.epoch));
    let mut dates: Vec<Date> = usual().map(|cohort| cohort.date).collect();
    dates.sort_unstable();
    dates.dedup();
    let first = dates.iter().rev().take(DAYS).next_back().copied().unwrap_or(Date::MIN);
    for cohort in usual().filter(|cohort| cohort.date >= first) {
        // Metrics with different windows bring a cohort each of the same units.
        by_day.entry(cohort.date).or_default().insert((cohort.epoch, cohort.variant), cohort.health.units);
    }
    let latest: Vec<u64> = by_day.values().map(|day| day.values().sum()).collect();
    (!latest.is_empty()).then(|| latest.iter().sum::<u64>() as f64 / latest.len() as f64)
}

fn share(comparison: &Comparison<'_>, variant: VariantId) -> f64 {
    let shares = comparison.epochs.last().map(|epoch| epoch.allocations.as_slice()).unwrap_or_default();
    shares.iter().find(|(id, _)| *id == variant).map_or(0.0, |(_, share)| Share::as_f64(*share))
}

/// Σ n_c·n_t/(n_c + n_t) over the cohorts, to which the information is proportional.
fn harmonic_units(comparison: &Comparison<'_>) -> f64 {
    let since = comparison.since.unwrap_or(Date::MIN);
    let arms = [comparison.control, comparison.candidate];
    let counting = comparison.cohorts.iter().filter(|cohort| cohort.date >= since && arms.contains(&cohort.variant));
    let mut cohorts: Vec<&Cohort> = counting.collect();
    let key = |cohort: &Cohort| (cohort.date, cohort.epoch);
    cohorts.sort_by_key(|cohort| key(cohort));
    // Metrics with different windows bring a cohort each of the same units, of which one is counted.
    let of_both = |stratum: &[&Cohort]| {
        let of = |arm| stratum.iter().rfind(|cohort| cohort.variant == arm).map_or(0, |cohort| cohort.health.units);
        (of(comparison.control), of(comparison.candidate))
    };
    let weight = |(control, candidate): (u64, u64)| {
        let (c, t) = (control as f64, candidate as f64);
        if c + t > 0.0 { c * (t / (c + t)) } else { 0.0 }
    };
    cohorts.chunk_by(|a, b| key(a) == key(b)).map(|stratum| weight(of_both(stratum))).sum()
}

/// The night that lies so many nights after another.
pub fn nights_after(as_of: Date, nights: u32) -> Date {
    as_of.saturating_add(i64::from(nights).days())
}
