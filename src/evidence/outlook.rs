//! When the evidence for a promotion would suffice, if everything went on as it is: the same units a day, the same
//! estimates, the same noise. An outlook is for people and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::assess::{Assessment, Comparison};
use super::look::{PromotionLook, promotion_bounds, seen_by_looks};
use super::reading::{LIMIT_TAU, Reading};
use crate::domain::{Bound, OnHarm, Require, Share, SuccessTest, VariantId};
use crate::stats::one_sided_multiplier;

/// How far an outlook reaches, in nights.
const HORIZON: u32 = 730;

/// The latest days that the present rate is read from.
const DAYS: usize = 7;

/// What comes, at the present rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Units a day in control, at its present share.
    pub control_per_day: f64,
    /// Units a day in the candidate, at its present share.
    pub candidate_per_day: f64,
    /// The nights from tonight until promotion is shown, or why it never is.
    pub shown_in: Result<u32, String>,
}

impl Outlook {
    /// The outlook of one candidate at its present share.
    pub fn of(comparison: &Comparison<'_>, assessment: &Assessment) -> Outlook {
        let per_day = units_per_day(comparison);
        let control_per_day = per_day * share(comparison, comparison.control);
        let candidate_per_day = per_day * share(comparison, comparison.candidate);
        let sum = control_per_day + candidate_per_day;
        let gain = if sum > 0.0 { control_per_day * candidate_per_day / sum } else { 0.0 };
        let shown_in = shown_in(comparison, assessment, gain);
        Outlook { control_per_day, candidate_per_day, shown_in }
    }
}

/// Units a day of all arms together, over the latest closed days.
fn units_per_day(comparison: &Comparison<'_>) -> f64 {
    let mut by_day: BTreeMap<Date, BTreeMap<(i64, VariantId), u64>> = BTreeMap::new();
    for cohort in comparison.cohorts {
        // Metrics with different windows bring a cohort each of the same units.
        by_day.entry(cohort.date).or_default().insert((cohort.epoch, cohort.variant), cohort.health.units);
    }
    let latest: Vec<u64> = by_day.values().rev().take(DAYS).map(|day| day.values().sum()).collect();
    if latest.is_empty() { 0.0 } else { latest.iter().sum::<u64>() as f64 / latest.len() as f64 }
}

fn share(comparison: &Comparison<'_>, variant: VariantId) -> f64 {
    let shares = comparison.epochs.last().map(|epoch| epoch.allocations.as_slice()).unwrap_or_default();
    shares.iter().find(|(id, _)| *id == variant).map_or(0.0, |(_, share)| Share::as_f64(*share))
}

/// A reading that must still be shown, with the distance from the estimate to what it must stay clear of.
struct Wanted<'a> {
    reading: &'a Reading,
    gap: f64,
    tau: f64,
}

fn shown_in(comparison: &Comparison<'_>, assessment: &Assessment, gain: f64) -> Result<u32, String> {
    let wanted = wanted(comparison, assessment)?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let seen = harmonic_units(comparison);
    if gain <= 0.0 || seen <= 0.0 {
        return Err("no units come in to show anything with".to_owned());
    }
    let alpha = comparison.policy.alphas.promotion.get() / comparison.candidates.max(1) as f64;
    let se_in = |wanted: &Wanted<'_>, nights: u32| {
        wanted.reading.standard_error.unwrap_or(f64::INFINITY) * (seen / (seen + gain * f64::from(nights))).sqrt()
    };
    let late = |wanted: &Wanted<'_>, by: &str| {
        let metric = &wanted.reading.metric;
        Err(format!("at the present rate {metric} would not be shown within its margin {by}"))
    };
    match assessment.promotion_look {
        PromotionLook::EveryNight => {
            let shown = |wanted: &Wanted<'_>, nights: u32| {
                let se = se_in(wanted, nights);
                one_sided_multiplier((wanted.tau / se).powi(2), alpha) * se < wanted.gap
            };
            if let Some(slow) = wanted.iter().find(|wanted| !shown(wanted, HORIZON)) {
                return late(slow, "in two years");
            }
            // Once shown, always shown: the interval only narrows while the estimate stays.
            let (mut no, mut yes) = (0, HORIZON);
            while yes - no > 1 {
                let middle = (no + yes) / 2;
                if wanted.iter().all(|wanted| shown(wanted, middle)) { yes = middle } else { no = middle }
            }
            Ok(yes)
        }
        PromotionLook::Over { .. } => Err("the planned nights are over".to_owned()),
        PromotionLook::Planned { look, of } => planned(&wanted, comparison, (look, of), 0, &se_in, gain, alpha),
        PromotionLook::NotYet { night, first } => {
            let of = comparison.policy.max_nights.unwrap_or(first).saturating_sub(first) + 1;
            planned(&wanted, comparison, (1, of), first - night, &se_in, gain, alpha)
        }
    }
}

/// The first planned look, `look` being tonight's or coming after `wait` nights, at which everything would be shown.
fn planned(
    wanted: &[Wanted<'_>],
    comparison: &Comparison<'_>,
    (look, of): (u32, u32),
    wait: u32,
    se_in: &dyn Fn(&Wanted<'_>, u32) -> f64,
    gain: f64,
    alpha: f64,
) -> Result<u32, String> {
    let mut seen = seen_by_looks(comparison, look);
    let now = seen.last().copied().unwrap_or(0.0);
    // A look that is still to come sees what will have come by then.
    if wait > 0
        && let Some(last) = seen.last_mut()
    {
        *last += gain * f64::from(wait);
    }
    seen.extend((1..=of.saturating_sub(look)).map(|later| now + gain * f64::from(wait + later)));
    let bounds = promotion_bounds(alpha, &seen, of);
    let looks = bounds.iter().enumerate().skip(look.saturating_sub(1) as usize);
    for (index, bound) in looks {
        let nights = wait + (index as u32 + 1 - look);
        if nights > 0 && wanted.iter().all(|wanted| bound * se_in(wanted, nights) < wanted.gap) {
            return Ok(nights);
        }
    }
    let names: BTreeSet<&str> = wanted.iter().map(|wanted| wanted.reading.metric.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!("at the present rate {names} would not be shown within the margins by the last planned night"))
}

/// What promotion wants of the readings, as distances; or which reading cannot get there with its present estimate.
fn wanted<'a>(comparison: &Comparison<'_>, assessment: &'a Assessment) -> Result<Vec<Wanted<'a>>, String> {
    let policy = comparison.policy;
    let mut wanted = Vec::new();
    let binding = assessment.guardrails.iter().filter(|reading| policy.on_harm(&reading.metric) != OnHarm::Warn);
    for reading in binding.filter(|reading| !reading.verdict.is_safe()) {
        wanted.push(distance(reading, false)?);
    }
    // With any of several success metrics, the one that comes first would do; which one that is cannot be told simply.
    if policy.success.require == Require::All {
        for (success, reading) in policy.success.metrics.iter().zip(&assessment.success) {
            let superior = success.test == SuccessTest::Superior;
            let shown = if superior { reading.verdict == super::Verdict::Better } else { reading.verdict.is_safe() };
            if !shown {
                wanted.push(distance(reading, superior)?);
            }
        }
    }
    Ok(wanted)
}

fn distance(reading: &Reading, superior: bool) -> Result<Wanted<'_>, String> {
    let metric = &reading.metric;
    let Some(harm) = reading.estimated_harm() else { return Err(format!("{metric} has no estimate yet")) };
    let (gap, tau, line) = match reading.bound {
        Bound::Margin(margin) if superior => (-harm, margin.get(), "better than control"),
        Bound::Margin(margin) => (margin.get() - harm, margin.get(), "within its margin"),
        Bound::Ceiling(limit) | Bound::Floor(limit) => (-harm, LIMIT_TAU * limit.abs(), "within its limit"),
    };
    if gap <= 0.0 {
        return Err(format!("with its present estimate {metric} is not {line}"));
    }
    Ok(Wanted { reading, gap, tau })
}

/// Σ n_c·n_t/(n_c + n_t) over the cohorts, to which the information is proportional.
fn harmonic_units(comparison: &Comparison<'_>) -> f64 {
    let mut counts: BTreeMap<(Date, i64), (u64, u64)> = BTreeMap::new();
    let since = comparison.since.unwrap_or(Date::MIN);
    for cohort in comparison.cohorts.iter().filter(|cohort| cohort.date >= since) {
        let (control, candidate) = counts.entry((cohort.date, cohort.epoch)).or_default();
        if cohort.variant == comparison.control {
            *control = cohort.health.units;
        } else if cohort.variant == comparison.candidate {
            *candidate = cohort.health.units;
        }
    }
    let weight = |(control, candidate): (u64, u64)| {
        let (c, t) = (control as f64, candidate as f64);
        if c + t > 0.0 { c * (t / (c + t)) } else { 0.0 }
    };
    counts.into_values().map(weight).sum()
}

/// The night that lies so many nights after another.
pub fn nights_after(as_of: Date, nights: u32) -> Date {
    as_of.saturating_add(i64::from(nights).days())
}
