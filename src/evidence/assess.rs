//! All stored cohorts of one candidate → what they show: a reading per metric, the harm evidence, the split.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::adjust;
use super::arms::Arms;
use super::cohort::Cohort;
use super::independence::FromEvents;
use super::look::{PromotionLook, promotion_bounds, promotion_look, seen_by_looks};
use super::reading::{Judged, Reading};
use super::split::SplitReading;
use crate::domain::{Bound, Direction, Epoch, Metric, OnHarm, Policy, Require, SuccessTest, VariantId};
use crate::stats::{Stratum, average_e, closure};

/// Candidate units that a stratum should have; days of an epoch are joined until they do (statistics.md section 4).
pub const MIN_STRATUM_UNITS: u64 = 50;

/// One candidate against control, with everything that judging it reads.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The baseline.
    pub control: VariantId,
    /// The variant under judgement.
    pub candidate: VariantId,
    /// How many candidates share the experiment's error rates.
    pub candidates: usize,
    /// How it is judged.
    pub policy: &'a Policy,
    /// The metrics by name; every one that the policy names is there.
    pub metrics: &'a BTreeMap<String, Metric>,
    /// The closed cohorts of the experiment.
    pub cohorts: &'a [Cohort],
    /// Its allocation epochs.
    pub epochs: &'a [Epoch],
    /// The night.
    pub as_of: Date,
    /// The first day whose units count, where the rules were changed on the way and the evidence begins anew.
    pub since: Option<Date>,
}

/// What the evidence shows of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The date of the last closed cohort; none if there is no cohort yet.
    pub evidence_through: Option<Date>,
    /// The least units that any metric has in control.
    pub control_units: u64,
    /// The least units that any metric has in the candidate.
    pub candidate_units: u64,
    /// The guardrails, in the policy's order.
    pub guardrails: Vec<Reading>,
    /// The success metrics, in the policy's order.
    pub success: Vec<Reading>,
    /// ln of the mean of the guardrails' e-values of harm (statistics.md 3.6a).
    pub log_e_rollback: f64,
    /// Whether tonight is a look at promotion.
    pub promotion_look: PromotionLook,
    /// The split of first exposures.
    pub split: Option<SplitReading>,
    /// The share of units seen in more than one arm.
    pub multiple_exposure: f64,
    /// Events of both arms that entered.
    pub events: u64,
    /// Values that should be numbers and are not, in both arms.
    pub not_numbers: u64,
    /// What was judged from aggregates over events, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_events: Option<FromEvents>,
}

/// The error rates and bounds that one candidate's metrics are judged by tonight.
#[derive(Clone, Copy, Debug)]
pub struct Standards {
    alpha_harm: f64,
    alpha_safe: f64,
    alpha_success: f64,
    bound_safe: Option<f64>,
    bound_success: Option<f64>,
    first_look_units: u64,
}

impl Standards {
    /// For a policy whose error rates `candidates` share. `planned` has the harmonic numbers of units seen by the planned
    /// looks up to tonight's, and how many are planned; without it safety is judged by the confidence sequence.
    pub fn of(policy: &Policy, candidates: usize, planned: Option<(&[f64], u32)>) -> Self {
        let arms = candidates.max(1) as f64;
        let alpha_safe = policy.alphas.promotion.get() / arms;
        // At least one of several success metrics is a union of tests, so they share the error rate.
        let alpha_success = match policy.success.require {
            Require::Any => alpha_safe / policy.success.metrics.len().max(1) as f64,
            Require::All => alpha_safe,
        };
        let bound = |alpha| planned.map(|(seen, of)| promotion_bounds(alpha, seen, of).pop().unwrap_or(f64::INFINITY));
        let bound_safe = bound(alpha_safe);
        Standards {
            alpha_harm: policy.alphas.rollback.get() / arms,
            alpha_safe,
            alpha_success,
            bound_safe,
            bound_success: if alpha_success == alpha_safe { bound_safe } else { bound(alpha_success) },
            first_look_units: policy.stages.first().map_or(2, |stage| stage.min_units),
        }
    }

    /// The bound of tonight's planned look at promotion in standard errors, where tonight is one.
    pub fn promotion_bound(&self) -> Option<f64> {
        self.bound_safe
    }

    /// For a guardrail.
    pub fn guardrail(&self, bound: Bound, direction: Direction) -> Judged {
        self.judged(bound, direction, self.alpha_safe, self.bound_safe)
    }

    /// For a success metric.
    pub fn success(&self, bound: Bound, direction: Direction) -> Judged {
        self.judged(bound, direction, self.alpha_success, self.bound_success)
    }

    fn judged(&self, bound: Bound, direction: Direction, alpha_safe: f64, planned_bound: Option<f64>) -> Judged {
        let Standards { alpha_harm, first_look_units, .. } = *self;
        Judged { bound, direction, alpha_harm, alpha_safe, planned_bound, first_look_units }
    }
}

/// Judges a candidate on the closed cohorts. Pure: the same cohorts give the same bytes.
pub fn assess(comparison: &Comparison<'_>) -> Assessment {
    assess_by(comparison, &standards(comparison))
}

/// The error rates and bounds of tonight. They follow from counts of units alone, so other values of a metric keep them.
pub fn standards(comparison: &Comparison<'_>) -> Standards {
    let counting = counting(comparison);
    let comparison = &Comparison { cohorts: &counting, ..*comparison };
    let seen = match promotion_look(comparison) {
        PromotionLook::Planned { look, of } => Some((seen_by_looks(comparison, look), of)),
        PromotionLook::EveryNight | PromotionLook::NotYet { .. } | PromotionLook::Over { .. } => None,
    };
    let planned = seen.as_ref().map(|(seen, of)| (seen.as_slice(), *of));
    Standards::of(comparison.policy, comparison.candidates, planned)
}

/// The cohorts that count.
pub(super) fn counting<'a>(comparison: &Comparison<'a>) -> Cow<'a, [Cohort]> {
    match comparison.since {
        Some(since) => comparison.cohorts.iter().filter(|cohort| cohort.date >= since).cloned().collect(),
        None => Cow::Borrowed(comparison.cohorts),
    }
}

/// The same by error rates and bounds that are known already.
pub fn assess_by(comparison: &Comparison<'_>, standards: &Standards) -> Assessment {
    // The split of units has nothing to do with the rules that were changed, so all cohorts tell of it.
    let everything = comparison.cohorts;
    let counting = counting(comparison);
    let comparison = &Comparison { cohorts: &counting, ..*comparison };
    let policy = comparison.policy;
    let promotion_look = promotion_look(comparison);
    let arms = Arms::of(comparison);
    let read = |name: &str, how: &dyn Fn(Direction) -> Judged| {
        let metric = comparison.metrics.get(name)?;
        Some(adjust::read(&arms, metric, &how(metric.direction)))
    };
    let guardrails: Vec<Reading> = policy
        .guardrails
        .iter()
        .filter_map(|g| read(&g.metric, &|direction| standards.guardrail(g.bound, direction)))
        .collect();
    let success: Vec<Reading> = policy
        .success
        .metrics
        .iter()
        .filter_map(|s| read(&s.metric, &|direction| standards.success(Bound::Margin(s.margin), direction)))
        .collect();
    let names = || guardrails.iter().chain(&success).map(|r| r.metric.as_str());
    let pair = [comparison.control, comparison.candidate];
    let ours = || comparison.cohorts.iter().filter(|cohort| pair.contains(&cohort.variant));
    let units: u64 = ours().map(|cohort| cohort.health.units).sum();
    let multiple: u64 = ours().map(|cohort| cohort.health.multiple_exposed).sum();
    let (control_units, candidate_units) = arms.least_units(names());
    let from_events = FromEvents::of(comparison);
    let split = || {
        SplitReading::judge(
            one_per_cohort(everything),
            comparison.epochs,
            comparison.control,
            comparison.candidate,
            policy.alphas.srm.get() / comparison.candidates.max(1) as f64,
        )
    };
    let mut assessment = Assessment {
        evidence_through: everything.iter().map(|cohort| cohort.date).max(),
        control_units,
        candidate_units,
        log_e_rollback: 0.0,
        promotion_look,
        // How many events there are is no matter of how units were split.
        split: if from_events.is_some() { None } else { split() },
        multiple_exposure: if units + multiple == 0 { 0.0 } else { multiple as f64 / (units + multiple) as f64 },
        events: ours().map(|cohort| cohort.health.events).sum(),
        not_numbers: ours().map(|cohort| cohort.health.not_numbers).sum(),
        from_events,
        guardrails,
        success,
    };
    assessment.weigh(policy);
    assessment
}

/// The cohorts that had closed by the night `as_of`: their window had ended.
pub fn closed_by(cohorts: &[Cohort], metrics: &BTreeMap<String, Metric>, as_of: Date) -> Vec<Cohort> {
    let window = |cohort: &Cohort| {
        cohort.moments.keys().filter_map(|name| metrics.get(name)).map(|metric| metric.window_days).max().unwrap_or(1)
    };
    let closed = |cohort: &&Cohort| cohort.date.saturating_add(i64::from(window(cohort)).days()) <= as_of;
    cohorts.iter().filter(closed).cloned().collect()
}

impl Assessment {
    /// What was read, each once: a success metric that is also a guardrail, within the same margin and with the same verdict,
    /// says nothing of its own.
    pub fn readings(&self) -> impl Iterator<Item = &Reading> {
        let told = |one: &&Reading| {
            let same = |other: &Reading| {
                other.metric == one.metric && other.bound == one.bound && other.verdict.word() == one.verdict.word()
            };
            self.guardrails.iter().any(same)
        };
        self.guardrails.iter().chain(self.success.iter().filter(move |one| !told(one)))
    }

    /// Averages the e-values of harm of the guardrails that a rollback answers to, and adjusts each for their number.
    /// The others are adjusted for the number of all guardrails, for readers alone.
    pub fn weigh(&mut self, policy: &Policy) {
        let log_es: Vec<f64> = self.guardrails.iter().map(|reading| reading.log_e_harm).collect();
        for (reading, log_e) in self.guardrails.iter_mut().zip(closure::closure_adjusted(&log_es)) {
            reading.log_e_adjusted = log_e;
        }
        if policy.guardrails.iter().all(|guardrail| guardrail.on_harm == OnHarm::Rollback) {
            self.log_e_rollback = average_e(&log_es);
            return;
        }
        let (places, log_es): (Vec<usize>, Vec<f64>) = self
            .guardrails
            .iter()
            .enumerate()
            .filter(|(_, reading)| policy.on_harm(&reading.metric) == OnHarm::Rollback)
            .map(|(place, reading)| (place, reading.log_e_harm))
            .unzip();
        for (place, log_e) in places.into_iter().zip(closure::closure_adjusted(&log_es)) {
            self.guardrails[place].log_e_adjusted = log_e;
        }
        self.log_e_rollback = average_e(&log_es);
    }

    /// What promotion wants shown of the success metrics, paired with their readings. `lenient` takes "no worse by the
    /// margin" for an answer where "better" was wanted.
    pub fn success_shown(&self, policy: &Policy, lenient: bool) -> bool {
        let mut shown = policy.success.metrics.iter().zip(&self.success).map(|(wanted, reading)| match wanted.test {
            SuccessTest::Superior if !lenient => reading.verdict == super::Verdict::Better,
            SuccessTest::Superior | SuccessTest::NonInferior => reading.verdict.is_safe(),
        });
        match policy.success.require {
            Require::All => shown.all(|yes| yes),
            Require::Any => policy.success.metrics.is_empty() || shown.any(|yes| yes),
        }
    }
}

/// The strata of one metric: date by date within its epoch, small days joined to their neighbours.
pub(super) fn strata(arms: &Arms<'_>, metric: &str) -> Vec<Stratum> {
    let joined = arms.strata_of(metric, MIN_STRATUM_UNITS);
    // A stratum that is still growing would change what was looked at before. It only stands in while there is no other.
    if joined.iter().all(|epoch| epoch.whole.is_empty()) {
        return joined.iter().filter_map(|epoch| epoch.waiting).collect();
    }
    joined
        .into_iter()
        .map(|epoch| epoch.whole)
        .reduce(|mut all, epoch| {
            all.extend(epoch);
            all
        })
        .unwrap_or_default()
}

/// Metric sets with different windows each bring their own cohort of the same units; the split counts units once.
fn one_per_cohort(cohorts: &[Cohort]) -> Vec<&Cohort> {
    let key = |cohort: &&Cohort| (cohort.date, cohort.epoch, cohort.variant);
    let mut once: Vec<&Cohort> = cohorts.iter().collect();
    once.sort_by_key(key);
    once.dedup_by_key(|cohort| key(cohort));
    once
}
