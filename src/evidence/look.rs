//! The planned looks of promotion: a group-sequential test where a maximum number of nights is declared.
//!
//! α is spent on the calendar: look k of K spends up to the fraction k/K, O'Brien–Fleming type. The correlations between looks
//! come from the harmonic number of units seen, Σ w with w = n_t·n_c/(n_t + n_c), to which the information of every metric is
//! proportional while its variance per unit stays the same (statistics.md 3.5). Counts alone make the bound, so it is one and
//! the same for all metrics of a candidate.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};
use serde::{Deserialize, Serialize};

use super::assess::Comparison;
use crate::domain::Policy;
use crate::stats::group_sequential::GroupSequential;
use crate::stats::spending::Spending;

/// Whether tonight is a look at promotion, and how high the bar is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "snake_case")]
pub enum PromotionLook {
    /// No maximum is declared: every night is a look, by the confidence sequence.
    EveryNight,
    /// The planned looks have not begun.
    NotYet {
        /// Tonight, counted from the experiment's first day.
        night: u32,
        /// The night of the first look.
        first: u32,
    },
    /// A planned look.
    Planned {
        /// Its number, from 1.
        look: u32,
        /// How many are planned.
        of: u32,
    },
    /// The planned looks are over, and no error rate is left.
    Over {
        /// The last night that was planned.
        max_nights: u32,
    },
}

impl PromotionLook {
    /// The place of that night, 1 for the experiment's first day, in the policy's plan.
    pub fn on(policy: &Policy, night: u32) -> PromotionLook {
        let Some(max_nights) = policy.max_nights else { return PromotionLook::EveryNight };
        match policy.first_promotion_night() {
            first if night < first => PromotionLook::NotYet { night, first },
            _ if night > max_nights => PromotionLook::Over { max_nights },
            first => PromotionLook::Planned { look: night - first + 1, of: max_nights.saturating_sub(first) + 1 },
        }
    }
}

/// Tonight's place in the plan.
pub(super) fn promotion_look(comparison: &Comparison<'_>) -> PromotionLook {
    match first_day(comparison) {
        Some(first_day) => PromotionLook::on(comparison.policy, night_of(first_day, comparison.as_of)),
        None => PromotionLook::EveryNight,
    }
}

/// The bounds of the planned looks up to `look`, given the harmonic number of units seen by each. The last one is
/// tonight's; it is infinite where nothing new was seen, and its α then waits for the next look.
pub fn promotion_bounds(alpha: f64, seen: &[f64], of: u32) -> Vec<f64> {
    let Ok(mut test) = GroupSequential::new(Spending::OBrienFleming, alpha) else {
        return vec![f64::INFINITY; seen.len()];
    };
    let fractions = (1..).map(|look| f64::from(look) / f64::from(of.max(1)));
    seen.iter().zip(fractions).map(|(&seen, t)| test.look(seen, t)).collect()
}

/// The harmonic number of units that each planned look up to `look` has seen: those whose window had ended by then.
pub(super) fn seen_by_looks(comparison: &Comparison<'_>, look: u32) -> Vec<f64> {
    let Some(first_day) = first_day(comparison) else { return Vec::new() };
    let first = comparison.policy.first_promotion_night();
    let mut counts: BTreeMap<(Date, i64), (u64, u64)> = BTreeMap::new();
    for cohort in comparison.cohorts {
        // Metrics with different windows bring a cohort each; the later one to close counts.
        let (control, candidate) = counts.entry((cohort.date, cohort.epoch)).or_default();
        if cohort.variant == comparison.control {
            *control = cohort.health.units;
        } else if cohort.variant == comparison.candidate {
            *candidate = cohort.health.units;
        }
    }
    // Of the metrics that are judged: another one's longer window would hide units that the looks have seen.
    let judged = comparison.policy.judged_by();
    let windows = judged.filter_map(|name| comparison.metrics.get(name)).map(|metric| metric.window_days);
    let window = windows.max().unwrap_or(1);
    let looks = (0..look).map(|index| {
        let as_of = first_day.saturating_add((i64::from(first) - 1 + i64::from(index)).days());
        let through = as_of.saturating_sub(i64::from(window).days());
        let closed = counts.range(..=(through, i64::MAX)).map(|(_, &(control, candidate))| {
            let (c, t) = (control as f64, candidate as f64);
            if c + t > 0.0 { c * (t / (c + t)) } else { 0.0 }
        });
        closed.sum()
    });
    looks.collect()
}

/// The experiment's first day, or the day on which its evidence began anew.
fn first_day(comparison: &Comparison<'_>) -> Option<Date> {
    let began = comparison.epochs.first().map(|epoch| epoch.started_at.to_zoned(TimeZone::UTC).date());
    began.max(comparison.since)
}

/// The night of that date, 1 for the experiment's first day.
fn night_of(first_day: Date, as_of: Date) -> u32 {
    let days = first_day.until((Unit::Day, as_of)).map_or(-1, |span| i64::from(span.get_days()));
    u32::try_from(days + 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_falls_from_look_to_look_and_a_look_without_news_is_none() {
        let seen: Vec<f64> = (1..=16).map(|look| 1000.0 * f64::from(look)).collect();
        let bounds = promotion_bounds(0.05, &seen, 16);
        assert!(bounds.windows(2).all(|pair| pair[1] < pair[0]), "{bounds:?}");
        assert!((bounds[15] - 1.826).abs() < 0.001, "{bounds:?}");
        let mut stalled = seen.clone();
        stalled[5] = stalled[4];
        let stalled = promotion_bounds(0.05, &stalled, 16);
        assert_eq!(stalled[5], f64::INFINITY);
        assert!(stalled[6] < bounds[6]);
    }
}
