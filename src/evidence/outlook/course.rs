//! How a candidate's evidence grows: from the readings of tonight to the night on which they would be shown.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{harmonic_units, units_per_arm_and_day};
use crate::domain::{AfterDeadline, Bound, Direction, OnHarm, Require, Share, SuccessTest};
use crate::evidence::assess::{Assessment, Comparison};
use crate::evidence::cohort::Cohort;
use crate::evidence::look::{PromotionLook, promotion_bounds, seen_by_looks};
use crate::evidence::reading::{LIMIT_TAU, Reading, Verdict};
use crate::stats::one_sided_multiplier;

/// How far an outlook reaches, in nights.
const HORIZON: u32 = 730;

/// Why something is not foreseen.
#[derive(Clone, Debug)]
enum Unforeseen {
    /// Nobody can tell yet.
    Unknown,
    /// It never comes.
    Never(String),
}

/// A reading that must still be shown, with the distance from the estimate to what it must stay clear of.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    reading: &'a Reading,
    /// That distance, on the scale of the reading's standard error.
    gap: f64,
    /// τ on that scale.
    tau: f64,
    /// The standard error of the contrast that shows it, and of the one of harm, per standard error of the effect.
    se_of: (f64, f64),
    alpha: f64,
}

/// How the evidence of one candidate grows.
pub(super) struct Course<'a> {
    comparison: &'a Comparison<'a>,
    look: PromotionLook,
    /// The harmonic number of units so far, and what each night adds.
    seen: f64,
    gain: f64,
}

impl<'c> Course<'c> {
    pub(super) fn of(comparison: &'c Comparison<'c>, assessment: &Assessment) -> Course<'c> {
        let (control, candidate) = units_per_arm_and_day(comparison).unwrap_or_default();
        let gain = if control + candidate > 0.0 { control * candidate / (control + candidate) } else { 0.0 };
        Course { comparison, look: assessment.promotion_look, seen: harmonic_units(comparison), gain }
    }

    /// The nights from tonight until promotion is shown; see [`super::Outlook::shown_in`].
    pub(super) fn shown_in(&self, assessment: &Assessment) -> Option<Result<u32, String>> {
        let soonest = |lenient: bool| -> Result<u32, Unforeseen> {
            let mut never = None;
            let mut found: Option<u32> = None;
            for way in self.ways(assessment, lenient)? {
                match self.nights_until(&way, lenient) {
                    Ok(nights) => found = Some(found.map_or(nights, |before| before.min(nights))),
                    Err(why) => never = never.or(Some(why)),
                }
            }
            found.ok_or_else(|| Unforeseen::Never(never.unwrap_or_default()))
        };
        let mut result = soonest(false);
        // On the last planned night the policy may take less for an answer.
        if matches!(result, Err(Unforeseen::Never(_)))
            && self.comparison.policy.after_max_nights == AfterDeadline::PromoteIfNonInferior
        {
            result = soonest(true).or(result);
        }
        match result {
            Ok(nights) => Some(Ok(nights)),
            // What rests on too few units may bring a wrong date, but never a last word.
            Err(Unforeseen::Never(why)) => self.all_measured(assessment).then_some(Err(why)),
            Err(Unforeseen::Unknown) => None,
        }
    }

    /// The nights from tonight until the share `to` of the largest loss that is not ruled out is within the budget; see
    /// [`super::Outlook::risk_borne_in`].
    pub(super) fn risk_borne_in(&self, assessment: &Assessment, to: Share, budget: f64) -> Option<Result<u32, String>> {
        let comparison = self.comparison;
        let alpha = comparison.policy.alphas.promotion.get() / comparison.candidates.max(1) as f64;
        let mut bounded = Vec::new();
        for reading in binding(comparison, assessment) {
            let Bound::Margin(margin) = reading.bound else { continue };
            let gap = budget / to.as_f64().max(f64::MIN_POSITIVE) - reading.estimated_harm()?;
            if gap <= 0.0 {
                let metric = &reading.metric;
                return measured(reading)
                    .then(|| Err(format!("with its present estimate {metric} would lose more than the risk budget")));
            }
            let se_of = contrasts(reading, budget / to.as_f64().max(f64::MIN_POSITIVE));
            bounded.push(Wanted { reading, gap, tau: margin.get(), se_of, alpha });
        }
        let late = |metric| format!("at the present rate the loss of {metric} would not be bounded in two years");
        (self.seen > 0.0 && self.gain > 0.0).then(|| self.by_sequence(&bounded).map_err(late))
    }

    fn all_measured(&self, assessment: &Assessment) -> bool {
        binding(self.comparison, assessment).chain(&assessment.success).all(measured)
    }

    /// The sets of readings of which one must be shown as a whole; or why there is none to get there.
    fn ways<'a>(&self, assessment: &'a Assessment, lenient: bool) -> Result<Vec<Vec<Wanted<'a>>>, Unforeseen> {
        let policy = self.comparison.policy;
        let alpha = policy.alphas.promotion.get() / self.comparison.candidates.max(1) as f64;
        // Before the first planned look, what is shown is shown by another bar than that of the looks.
        let again = matches!(self.look, PromotionLook::NotYet { .. });
        let binding = binding(self.comparison, assessment);
        let guardrails = binding.filter(|reading| again || !reading.verdict.is_safe());
        let guardrails = guardrails.map(|reading| wanted(reading, false, alpha)).collect::<Result<Vec<_>, _>>()?;
        let any = policy.success.require == Require::Any;
        let alpha = if any { alpha / policy.success.metrics.len().max(1) as f64 } else { alpha };
        let success = policy.success.metrics.iter().zip(&assessment.success).map(|(success, reading)| {
            let superior = success.test == SuccessTest::Superior && !lenient;
            let shown = if superior { reading.verdict == Verdict::Better } else { reading.verdict.is_safe() };
            if shown && !again { Ok(None) } else { wanted(reading, superior, alpha).map(Some) }
        });
        let success: Vec<Result<Option<Wanted<'_>>, Unforeseen>> = success.collect();
        if !any || success.is_empty() || success.iter().any(|one| matches!(one, Ok(None))) {
            let mut all = guardrails;
            // Where one of several is enough and is shown, the others are not wanted any more.
            if !any {
                for one in success {
                    all.extend(one?);
                }
            }
            return Ok(vec![all]);
        }
        let (reachable, never): (Vec<_>, Vec<_>) = success.into_iter().partition(Result::is_ok);
        if reachable.is_empty() {
            return Err(never.into_iter().find_map(Result::err).unwrap_or(Unforeseen::Unknown));
        }
        let way = |one: Option<Wanted<'a>>| -> Vec<Wanted<'a>> { guardrails.iter().copied().chain(one).collect() };
        Ok(reachable.into_iter().flatten().map(way).collect())
    }

    fn nights_until(&self, wanted: &[Wanted<'_>], last_look_only: bool) -> Result<u32, String> {
        if wanted.is_empty() && !last_look_only {
            return Ok(0);
        }
        if self.gain <= 0.0 || self.seen <= 0.0 {
            return Err("no units come in to show anything with".to_owned());
        }
        match self.look {
            PromotionLook::EveryNight => self.by_sequence(wanted).map_err(|metric| {
                format!("at the present rate {metric} would not be shown within its margin in two years")
            }),
            PromotionLook::Over { .. } => Err("the planned nights are over".to_owned()),
            PromotionLook::Planned { look, of } => self.by_looks(wanted, (look, of), 0, last_look_only),
            PromotionLook::NotYet { night, first } => {
                let of = self.comparison.policy.max_nights.unwrap_or(first).saturating_sub(first) + 1;
                self.by_looks(wanted, (1, of), first - night, last_look_only)
            }
        }
    }

    /// A reading's standard error after so many nights.
    fn se(&self, wanted: &Wanted<'_>, nights: u32) -> f64 {
        let se = wanted.reading.standard_error.unwrap_or(f64::INFINITY);
        se * (self.seen / (self.seen + self.gain * f64::from(nights))).sqrt()
    }

    /// The first night on which the confidence sequence shows everything; or the metric that it does not show.
    fn by_sequence(&self, wanted: &[Wanted<'_>]) -> Result<u32, String> {
        let shown = |wanted: &Wanted<'_>, nights: u32| {
            let se = self.se(wanted, nights);
            let multiplier = one_sided_multiplier((wanted.tau / (wanted.se_of.1 * se)).powi(2), wanted.alpha);
            multiplier * wanted.se_of.0 * se < wanted.gap
        };
        if let Some(slow) = wanted.iter().find(|wanted| !shown(wanted, HORIZON)) {
            return Err(slow.reading.metric.clone());
        }
        // Once shown, always shown: the interval only narrows while the estimate stays.
        let (mut no, mut yes) = (0, HORIZON);
        while yes - no > 1 {
            let middle = (no + yes) / 2;
            if wanted.iter().all(|wanted| shown(wanted, middle)) { yes = middle } else { no = middle }
        }
        Ok(yes)
    }

    /// The first planned look, `look` being tonight's or coming after `wait` nights, at which everything would be shown.
    fn by_looks(
        &self,
        wanted: &[Wanted<'_>],
        (look, of): (u32, u32),
        wait: u32,
        last_look_only: bool,
    ) -> Result<u32, String> {
        let cohorts = self.comparison.cohorts;
        let counting: Cow<'_, [Cohort]> = match self.comparison.since {
            Some(since) => cohorts.iter().filter(|cohort| cohort.date >= since).cloned().collect(),
            None => Cow::Borrowed(cohorts),
        };
        let mut seen = seen_by_looks(&Comparison { cohorts: &counting, ..*self.comparison }, look);
        let now = seen.last().copied().unwrap_or(0.0);
        // A look that is still to come sees what will have come by then.
        if wait > 0
            && let Some(last) = seen.last_mut()
        {
            *last += self.gain * f64::from(wait);
        }
        seen.extend((1..=of.saturating_sub(look)).map(|later| now + self.gain * f64::from(wait + later)));
        let mut bounds: Vec<(f64, Vec<f64>)> = Vec::new();
        for alpha in wanted.iter().map(|wanted| wanted.alpha) {
            if bounds.iter().all(|(known, _)| *known != alpha) {
                bounds.push((alpha, promotion_bounds(alpha, &seen, of)));
            }
        }
        let bound = |wanted: &Wanted<'_>, index: usize| {
            let ours = bounds.iter().find(|(alpha, _)| *alpha == wanted.alpha);
            ours.and_then(|(_, bounds)| bounds.get(index)).copied().unwrap_or(f64::INFINITY)
        };
        let first = if last_look_only { of } else { look };
        for at in first..=of {
            let (index, nights) = (at.saturating_sub(1) as usize, wait + at - look);
            let shown =
                |wanted: &Wanted<'_>| bound(wanted, index) * wanted.se_of.0 * self.se(wanted, nights) < wanted.gap;
            if nights > 0 && wanted.iter().all(shown) {
                return Ok(nights);
            }
        }
        let names: BTreeSet<&str> = wanted.iter().map(|wanted| wanted.reading.metric.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        Err(format!("at the present rate {names} would not be shown within the margins by the last planned night"))
    }
}

/// The guardrails that bind: all but those that are only to be told of.
fn binding<'a>(comparison: &Comparison<'_>, assessment: &'a Assessment) -> impl Iterator<Item = &'a Reading> {
    let policy = comparison.policy;
    assessment.guardrails.iter().filter(|reading| policy.on_harm(&reading.metric) != OnHarm::Warn)
}

/// Whether there is enough of it for its estimate to say what will come.
fn measured(reading: &Reading) -> bool {
    !matches!(reading.verdict, Verdict::Insufficient { .. } | Verdict::NoData)
}

/// What is to be shown of a reading, or why its present estimate does not get there.
fn wanted(reading: &Reading, superior: bool, alpha: f64) -> Result<Wanted<'_>, Unforeseen> {
    let metric = &reading.metric;
    let Some(harm) = reading.estimated_harm() else { return Err(Unforeseen::Unknown) };
    let (gap, tau, line) = match reading.bound {
        Bound::Margin(margin) if superior => (-harm, margin.get(), "better than control"),
        Bound::Margin(margin) => (margin.get() - harm, margin.get(), "within its margin"),
        Bound::Ceiling(limit) | Bound::Floor(limit) => {
            (-harm * limit.abs(), LIMIT_TAU * limit.abs(), "within its limit")
        }
    };
    if gap <= 0.0 {
        return Err(Unforeseen::Never(format!("with its present estimate {metric} is not {line}")));
    }
    let worst = match reading.bound {
        Bound::Margin(margin) if !superior => margin.get(),
        _ => 0.0,
    };
    Ok(Wanted { reading, gap, tau, se_of: contrasts(reading, worst), alpha })
}

/// The standard errors of the contrasts "no worse than by `worst`" and "worse at all", relative to that of the lift:
/// V_t + r²·V_c with r = 1 ∓ `worst` and r = 1 against r = 1 + lift. The arms' variances are taken as one over their units.
fn contrasts(reading: &Reading, worst: f64) -> (f64, f64) {
    let (Bound::Margin(_), Some(effect)) = (reading.bound, reading.effect) else { return (1.0, 1.0) };
    let (control, candidate) = (reading.control_units as f64, reading.candidate_units as f64);
    let worst = match reading.direction {
        Direction::Increase => 1.0 - worst,
        Direction::Decrease => 1.0 + worst,
    };
    let variance = |ratio: f64| control + ratio * ratio * candidate;
    let of_lift = variance(1.0 + effect);
    if of_lift > 0.0 { ((variance(worst) / of_lift).sqrt(), (variance(1.0) / of_lift).sqrt()) } else { (1.0, 1.0) }
}
