//! The smallest changes that would have changed a decision.
//!
//! Each is found by deciding again: on the stored cohorts with one metric of the candidate scaled, with more units, with
//! more nights like the latest, or with one fact taken away that is no matter of data. Nothing is approximated, so what is
//! told here is what would have been decided.

mod facts;
mod search;
mod words;

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Decision, Facts, Look, Outcome, Reason};
use crate::domain::Bound;
use crate::evidence::{
    Assessment, Cohort, Comparison, Reading, Scale, Standards, assess, assess_by, continued, enlarged, scaled,
    standards,
};
use search::smallest;

/// How far a metric is lowered at most, as a part of its value.
const LOWEST: f64 = 0.95;
/// How far it is raised at most.
const HIGHEST: f64 = 8.0;
/// By how many times the units are multiplied at most.
const MOST_UNITS: f64 = 1000.0;
/// How many nights are tried.
const MOST_NIGHTS: u32 = 90;

/// What is different in a world that is asked about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "setting", rename_all = "snake_case")]
pub enum Setting {
    /// Every unit of the candidate has another value of a metric.
    Metric {
        /// The metric.
        metric: String,
        /// By how much, relative to the value: −0.018 is 1.8 % lower.
        change: f64,
        /// Whether the effects are lifts or values.
        scale: Scale,
        /// What it must stay clear of.
        bound: Bound,
        /// The effect that was measured.
        measured: Option<f64>,
        /// The effect that it would have been.
        instead: Option<f64>,
    },
    /// Every metric of the candidate is nearer to control's; looked for where no single metric gives another outcome.
    Nearer {
        /// The part of the way from the candidate's value to control's: 1 is all of it.
        part: f64,
    },
    /// More units came in, like those that did.
    Units {
        /// How many times as many.
        times: f64,
        /// The candidate's units then.
        candidate: u64,
        /// The candidate's units as they were.
        measured: u64,
    },
    /// More nights, like the latest.
    Nights {
        /// How many.
        nights: u32,
        /// The night then.
        as_of: Date,
    },
    /// Without what stood in the way and is no matter of the metrics.
    Without {
        /// What stood in the way; several where only all of them together make a difference.
        reasons: Vec<Reason>,
    },
}

/// A change of the world that gives another outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// What is different.
    #[serde(flatten)]
    pub setting: Setting,
    /// The decision then.
    pub then: Decision,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flips {
    /// The outcome that is asked about.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The metrics that were tried, each raised and lowered.
    pub tried: Vec<String>,
    /// The changes that give another outcome: of metrics first, then units, nights and facts.
    pub flips: Vec<Flip>,
}

impl Flips {
    /// Whether a change of a single metric gives another outcome.
    pub fn any_metric(&self) -> bool {
        self.flips.iter().any(|flip| matches!(flip.setting, Setting::Metric { .. }))
    }
}

/// What a decision was made from, and how it is made again: on another assessment and other facts.
pub struct World<'a> {
    /// What was compared.
    pub comparison: Comparison<'a>,
    /// The facts.
    pub facts: &'a Facts,
    /// Makes the decision; siblings are its own matter.
    pub decide: &'a dyn Fn(&Assessment, &Facts) -> Decision,
}

/// Finds the smallest changes that would have changed the decision's kind. Pure.
pub fn flips(world: &World<'_>) -> Flips {
    let standards = standards(&world.comparison);
    let assessment = assess_by(&world.comparison, &standards);
    let decision = (world.decide)(&assessment, world.facts);
    let readings = assessment.guardrails.iter().chain(&assessment.success);
    let mut seen = BTreeSet::new();
    let readings: Vec<&Reading> = readings.filter(|reading| seen.insert(reading.metric.as_str())).collect();
    let mut flips = Vec::new();
    for reading in &readings {
        for (sign, limit) in [(-1.0, LOWEST), (1.0, HIGHEST)] {
            flips.extend(world.metric(&standards, reading, &decision.outcome, sign, limit));
        }
    }
    // The smallest change first.
    let size = |flip: &Flip| match &flip.setting {
        Setting::Metric { change, .. } => change.abs(),
        _ => f64::INFINITY,
    };
    flips.sort_by(|a, b| size(a).total_cmp(&size(b)));
    if flips.is_empty() {
        flips.extend(world.nearer(&standards, &readings, &decision.outcome));
    }
    if decision.outcome == Outcome::Hold {
        flips.extend(world.units(&assessment, &decision.outcome));
        flips.extend(world.nights(&decision));
    }
    flips.extend(facts::without(world, &assessment, &decision));
    let tried = readings.iter().map(|reading| reading.metric.clone()).collect();
    Flips { outcome: decision.outcome, tried, flips }
}

impl World<'_> {
    /// The decision on other values, whose counts and so whose bounds are as they were.
    fn decide_on(&self, standards: &Standards, cohorts: &[Cohort]) -> (Assessment, Decision) {
        let assessment = assess_by(&Comparison { cohorts, ..self.comparison }, standards);
        let decision = (self.decide)(&assessment, self.facts);
        (assessment, decision)
    }

    /// The smallest change of a metric in one direction.
    fn metric(
        &self,
        standards: &Standards,
        reading: &Reading,
        outcome: &Outcome,
        sign: f64,
        limit: f64,
    ) -> Option<Flip> {
        let Comparison { cohorts, candidate, .. } = self.comparison;
        let changed =
            |change: f64| self.decide_on(standards, &scaled(cohorts, candidate, &reading.metric, 1.0 + sign * change));
        let change = smallest(|change| differs(&changed(change).1.outcome, outcome), limit)?;
        let (assessment, then) = changed(change);
        let mut readings = assessment.guardrails.iter().chain(&assessment.success);
        let instead = readings.find(|other| other.metric == reading.metric).and_then(|other| other.effect);
        let setting = Setting::Metric {
            metric: reading.metric.clone(),
            change: sign * change,
            scale: reading.scale,
            bound: reading.bound,
            measured: reading.effect,
            instead,
        };
        Some(Flip { setting, then })
    }

    /// The smallest part of the way to control for all metrics together.
    fn nearer(&self, standards: &Standards, readings: &[&Reading], outcome: &Outcome) -> Option<Flip> {
        let changed = |part: f64| {
            let mut altered = self.comparison.cohorts.to_vec();
            for reading in readings {
                let (Some(control), Some(candidate)) = (reading.control, reading.candidate) else { continue };
                let factor = 1.0 + part * (control / candidate - 1.0);
                if factor.is_finite() {
                    altered = scaled(&altered, self.comparison.candidate, &reading.metric, factor);
                }
            }
            self.decide_on(standards, &altered).1
        };
        let part = smallest(|part| differs(&changed(part).outcome, outcome), 1.0)?;
        Some(Flip { setting: Setting::Nearer { part }, then: changed(part) })
    }

    /// The smallest number of units.
    fn units(&self, assessment: &Assessment, outcome: &Outcome) -> Option<Flip> {
        let with = |more: f64| {
            let cohorts = enlarged(self.comparison.cohorts, 1.0 + more);
            let assessment = assess(&Comparison { cohorts: &cohorts, ..self.comparison });
            let decision = (self.decide)(&assessment, self.facts);
            (assessment, decision)
        };
        let more = smallest(|more| differs(&with(more).1.outcome, outcome), MOST_UNITS)?;
        let (enlarged, then) = with(more);
        let (candidate, measured) = (enlarged.candidate_units, assessment.candidate_units);
        Some(Flip { setting: Setting::Units { times: 1.0 + more, candidate, measured }, then })
    }

    /// The smallest number of further nights. Time passes on them, too: stages get older, freezes and holds with an end
    /// come to it, and the data that tonight lacks are there.
    fn nights(&self, decision: &Decision) -> Option<Flip> {
        let promotable = |decision: &Decision| {
            decision.reasons.iter().any(|reason| matches!(reason, Reason::NotConfirmed { .. }))
                || decision.outcome == Outcome::Promote
        };
        let mut shown = self.facts.shown_before + u32::from(promotable(decision));
        for nights in 1..=MOST_NIGHTS {
            let facts = Facts { shown_before: shown, ..later(self.facts, nights) };
            let cohorts = continued(&self.comparison, nights);
            let comparison = Comparison { cohorts: &cohorts, as_of: facts.as_of, ..self.comparison };
            let then = (self.decide)(&assess(&comparison), &facts);
            if differs(&then.outcome, &decision.outcome) {
                return Some(Flip { setting: Setting::Nights { nights, as_of: facts.as_of }, then });
            }
            shown = if promotable(&then) { shown + 1 } else { 0 };
        }
        None
    }
}

/// The facts of a later night.
fn later(facts: &Facts, nights: u32) -> Facts {
    let as_of = facts.as_of.saturating_add(i64::from(nights).days());
    let mut later = Facts { as_of, look: Look::Fresh, ..facts.clone() };
    // The night after a day runs on the next one.
    let runs_on = as_of.saturating_add(1.days());
    later.wish.hold = later.wish.hold.filter(|hold| hold.until.is_none_or(|until| runs_on <= until));
    later.frozen =
        later.frozen.filter(|frozen| frozen.until.is_none_or(|until| runs_on < until.to_zoned(TimeZone::UTC).date()));
    later
}

fn differs(a: &Outcome, b: &Outcome) -> bool {
    a.word() != b.word()
}
