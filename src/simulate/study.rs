//! The built-in study: the operating characteristics of the recommended policy, beside those that an independent
//! simulation of the score process found.
//!
//! Sections 1 to 4 have eight guardrails with correlation 0.3 and margin 5 %, thirty nights, and a ramp by the calendar: 10 %
//! for three nights, 25 % for five, 50 % from then on. A cohort closes on its own night, and there is no least number of
//! units, since the independent simulation knows neither. Section 7 then shows what the product's own rules make of it.

use std::collections::BTreeMap;

use super::tally::{Rate, Tally};
use super::trial::Trial;
use super::world::{Base, Counts, DEFAULT, Effects, MetricTruth, Ramp, Scenario, Shape, World};
use crate::domain::{Alpha, Bound, Guardrail, Margin, OutOfRange, Policy, Stage};

/// Some cells with one question.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its number, from 1.
    pub number: u32,
    /// The question.
    pub title: &'static str,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// What to know when reading its figures.
    pub remark: &'static str,
}

/// One trial and what is to be seen in it.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is different about it.
    pub label: String,
    /// The figures.
    pub figures: Vec<Figure>,
    policy: Policy,
    world: World,
    scenario: Scenario,
    units_per_day: u64,
    pooling: bool,
}

/// One figure, with what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What is measured.
    pub measure: Measure,
    /// What the independent simulation found, or a bound; none where it has no such figure.
    pub expected: Option<Expected>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// This, printed with that much rounding.
    Near(f64, f64),
    /// This at most.
    AtMost(f64),
    /// This night, or never for half of the runs.
    Night(Option<u32>),
}

/// What a trial is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// P(rollback).
    Rollback,
    /// P(promotion).
    Promotion,
    /// P(neither).
    Hold,
    /// P(every guardrail shown safe on one night of promotion's looks), whatever else is decided.
    ShownSafe,
    /// P(the split called mismatched).
    Mismatch,
    /// P(the first guardrail shown harmful when days are pooled).
    PooledHarm,
    /// Mean lift of the first guardrail at the end.
    Lift,
    /// The same when days are pooled.
    PooledLift,
    /// The night by which half are rolled back.
    RollbackNight,
    /// The night by which half are promoted.
    PromotionNight,
    /// The night by which half were shown safe.
    SafeNight,
    /// The night by which half were called mismatched.
    MismatchNight,
}

/// A figure as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A share of runs.
    Share(Rate),
    /// A mean and its standard error.
    Mean(f64, f64),
    /// A night, or never for half of the runs.
    Night(Option<u32>),
}

/// Runs behind the independent simulation's figures: at least so many.
const REFERENCE_RUNS: f64 = 6000.0;
/// Standard errors that two figures of the same truth may lie apart. There are about 150 of them.
const SIGMAS: f64 = 4.0;

impl Measure {
    /// The words in a table.
    pub fn told(self) -> &'static str {
        match self {
            Measure::Rollback => "rolled back",
            Measure::Promotion => "promoted",
            Measure::Hold => "held",
            Measure::ShownSafe => "shown safe",
            Measure::Mismatch => "mismatch called",
            Measure::PooledHarm => "harm called, pooled",
            Measure::Lift => "mean lift, stratified",
            Measure::PooledLift => "mean lift, pooled",
            Measure::RollbackNight => "median night of rollback",
            Measure::PromotionNight => "median night of promotion",
            Measure::SafeNight => "median night shown safe",
            Measure::MismatchNight => "median night of mismatch",
        }
    }

    /// Its value in a tally.
    pub fn of(self, tally: &Tally) -> Measured {
        let mean = |spread: &super::tally::Spread| {
            let (mean, error) = spread.mean().unwrap_or((f64::NAN, f64::NAN));
            Measured::Mean(mean, error)
        };
        match self {
            Measure::Rollback => Measured::Share(tally.rate(&tally.rollbacks)),
            Measure::Promotion => Measured::Share(tally.rate(&tally.promotions)),
            Measure::Hold => Measured::Share(tally.held()),
            Measure::ShownSafe => Measured::Share(tally.rate(&tally.shown_safe)),
            Measure::Mismatch => Measured::Share(tally.rate(&tally.mismatches)),
            Measure::PooledHarm => Measured::Share(tally.rate(&tally.pooled_harms)),
            Measure::Lift => mean(&tally.effect),
            Measure::PooledLift => mean(&tally.pooled_effect),
            Measure::RollbackNight => Measured::Night(tally.median(&tally.rollbacks)),
            Measure::PromotionNight => Measured::Night(tally.median(&tally.promotions)),
            Measure::SafeNight => Measured::Night(tally.median(&tally.shown_safe)),
            Measure::MismatchNight => Measured::Night(tally.median(&tally.mismatches)),
        }
    }
}

impl Figure {
    /// Whether a tally agrees with what is expected, within the Monte-Carlo error of both.
    pub fn agrees(&self, tally: &Tally) -> bool {
        match (self.expected, self.measure.of(tally)) {
            (None, _) => true,
            (Some(Expected::Near(value, rounding)), Measured::Share(rate)) => {
                let smoothed = (REFERENCE_RUNS * value + 1.0) / (REFERENCE_RUNS + 2.0);
                let theirs = smoothed * (1.0 - smoothed) / REFERENCE_RUNS;
                (rate.share - value).abs() <= rounding + SIGMAS * (rate.error * rate.error + theirs).sqrt()
            }
            (Some(Expected::Near(value, rounding)), Measured::Mean(mean, error)) => {
                (mean - value).abs() <= rounding + SIGMAS * error
            }
            (Some(Expected::AtMost(bound)), Measured::Share(rate)) => rate.share <= bound + SIGMAS * rate.error,
            (Some(Expected::AtMost(bound)), Measured::Mean(mean, error)) => mean.abs() <= bound + SIGMAS * error,
            // A median between two nights falls on either.
            (Some(Expected::Night(Some(expected))), Measured::Night(Some(night))) => expected.abs_diff(night) <= 1,
            (Some(Expected::Night(expected)), Measured::Night(night)) => expected == night,
            (Some(Expected::Night(_)), _) | (Some(_), Measured::Night(_)) => false,
        }
    }
}

impl Cell {
    /// Its trial.
    pub fn trial(&self) -> Trial {
        let trial = Trial::new(&self.policy, &BTreeMap::new(), &self.world, &self.scenario, self.units_per_day);
        if self.pooling { trial.pooling() } else { trial }
    }

    fn see(mut self, measure: Measure, expected: impl Into<Option<Expected>>) -> Cell {
        self.figures.push(Figure { measure, expected: expected.into() });
        self
    }
}

fn percent(value: f64) -> Expected {
    Expected::Near(value / 100.0, 0.0005)
}

fn share(value: f64) -> Expected {
    Expected::Near(value, 0.005)
}

fn night(night: u32) -> Expected {
    Expected::Night((night > 0).then_some(night))
}

/// The parts that the cells are made of.
struct Parts {
    policy: Policy,
    world: World,
}

impl Parts {
    fn new() -> Result<Parts, OutOfRange> {
        let stages = Policy::standard().stages.into_iter().map(|stage| Stage { min_units: 2, ..stage }).collect();
        let margin = Bound::Margin(Margin::try_from(0.05)?);
        let policy = Policy {
            stages,
            guardrails: (1..=8).map(|n| Guardrail::new(format!("g{n}"), margin)).collect(),
            max_nights: Some(30),
            ..Policy::standard()
        };
        let world = World {
            units_per_day: Vec::new(),
            nights: 30,
            metrics: [(DEFAULT.to_owned(), MetricTruth { mean: 1.0, shape: Shape::Normal, cv: 1.0 })].into(),
            correlation: 0.3,
            base: Base::default(),
            missing_nights: 0.0,
            late_data: 0.0,
            counts: Counts::Planned,
            ramp: Ramp::Calendar,
            closes_after_days: Some(0),
            scenarios: Vec::new(),
        };
        Ok(Parts { policy, world })
    }

    fn cell(&self, label: impl Into<String>, units_per_day: u64) -> Cell {
        Cell {
            label: label.into(),
            figures: Vec::new(),
            policy: self.policy.clone(),
            world: self.world.clone(),
            scenario: Scenario::default(),
            units_per_day,
            pooling: false,
        }
    }

    fn with_cv(mut self, cv: f64) -> Parts {
        self.world.metrics.values_mut().for_each(|metric| metric.cv = cv);
        self
    }

    /// Harm is tested on every night and nothing is promoted: the error and power of the rollback alone.
    fn rollback_only(mut self) -> Parts {
        self.policy.materiality = 0.0;
        self.policy.max_nights = Some(1);
        self
    }

    /// Nothing is rolled back: the error and power of the test for promotion alone.
    fn promotion_only(mut self) -> Result<Parts, OutOfRange> {
        self.policy.alphas.rollback = Alpha::try_from(1e-300)?;
        Ok(self)
    }
}

fn one_guardrail(effect: f64) -> Effects {
    [("g1".to_owned(), effect)].into()
}

/// The study, section by section.
///
/// # Errors
/// [`OutOfRange`] if a constant of the study is no error rate or margin, which a test excludes.
pub fn operating_characteristics() -> Result<Vec<Section>, OutOfRange> {
    let section = |number, title, remark, cells| Section { number, title, cells, remark };
    Ok(vec![
        section(
            1,
            "False rollback, candidate identical to control",
            "Materiality 0 and no promotion: the error of the average e-value alone.",
            false_rollback()?,
        ),
        section(2, "Detecting harm in one of eight guardrails", "Materiality 0 and no promotion.", power()?),
        section(
            3,
            "The test for promotion alone, looks on nights 15 to 30",
            "The margin is relative, so the variance of the contrast is V_t + 0.95² V_c. With V_t + V_c, as if the margin were a \
             known number, true promotion by the sequence would be 62 and 14 % where it is 67 and 17 % here.",
            promotion()?,
        ),
        section(
            4,
            "The whole policy on a ramp by the calendar",
            "Harm that is proven but too small for a rollback holds the candidate. A policy that promoted it all the same would \
             roll back 55, 76 and 82 % and promote 45, 24 and 18 % of the candidates that are 2.5 % worse at 5000, 20000 and \
             50000 units a day.",
            whole_policy()?,
        ),
        section(
            5,
            "No effect, a base rate that moves, 15 nights, one guardrail",
            "Pooled figures are what a report without strata would show.",
            moving_base()?,
        ),
        section(6, "The split of units", "Each unit is assigned by chance.", split()?),
        section(
            7,
            "The whole policy with the product's own ramp",
            "1000 units an arm before the first look and each step, cohorts that close a day later, and a ramp that waits while \
             harm is suspected.",
            own_ramp()?,
        ),
    ])
}

fn false_rollback() -> Result<Vec<Cell>, OutOfRange> {
    let ramp = Parts::new()?.rollback_only();
    let mut fixed = Parts::new()?.rollback_only();
    fixed.policy.stages.drain(..2);
    let expected = [(1_000, 1.3, 1.4), (10_000, 1.6, 1.3), (50_000, 1.0, 0.7)];
    let on_ramp = expected.map(|(n, on_ramp, _)| {
        let cell = ramp.cell(format!("ramp, {n}/day"), n);
        cell.see(Measure::Rollback, percent(on_ramp)).see(Measure::Rollback, Expected::AtMost(0.02))
    });
    let at_half = expected
        .map(|(n, _, at_half)| fixed.cell(format!("fixed 50 %, {n}/day"), n).see(Measure::Rollback, percent(at_half)));
    Ok(on_ramp.into_iter().chain(at_half).collect())
}

fn power() -> Result<Vec<Cell>, OutOfRange> {
    let rows = [
        (1.0, -0.05, 1_000, 0.77, 22),
        (1.0, -0.05, 2_000, 0.99, 13),
        (1.0, -0.05, 5_000, 1.0, 7),
        (1.0, -0.05, 10_000, 1.0, 5),
        (1.0, -0.05, 20_000, 1.0, 3),
        (1.0, -0.05, 50_000, 1.0, 2),
        (3.0, -0.05, 1_000, 0.01, 0),
        (3.0, -0.05, 2_000, 0.07, 0),
        (3.0, -0.05, 5_000, 0.40, 0),
        (3.0, -0.05, 10_000, 0.83, 20),
        (3.0, -0.05, 20_000, 1.0, 12),
        (3.0, -0.05, 50_000, 1.0, 7),
        (1.0, -0.10, 1_000, 1.0, 9),
        (1.0, -0.10, 10_000, 1.0, 2),
    ];
    let cells = rows.map(|(cv, effect, n, power, median)| {
        let parts = Parts::new()?.rollback_only().with_cv(cv);
        let mut cell = parts.cell(format!("{} %, CV {cv}, {n}/day", 100.0 * effect), n);
        cell.scenario.effects = one_guardrail(effect);
        Ok(cell.see(Measure::Rollback, share(power)).see(Measure::RollbackNight, night(median)))
    });
    cells.into_iter().collect()
}

fn promotion() -> Result<Vec<Cell>, OutOfRange> {
    // Effect on one guardrail, CV, units; shown safe and its median night by the confidence sequence, then by planned looks.
    let rows = [
        (-0.05, 1.0, 1_000, (percent(0.8), 0), (percent(4.8), 0)),
        (-0.05, 1.0, 20_000, (percent(0.3), 0), (percent(5.0), 0)),
        (0.0, 1.0, 1_000, (percent(66.9), 26), (percent(95.6), 24)),
        (0.0, 1.0, 5_000, (percent(100.0), 15), (percent(100.0), 17)),
        (0.0, 3.0, 5_000, (percent(16.7), 0), (percent(62.7), 29)),
        (0.0, 3.0, 20_000, (percent(99.7), 15), (percent(100.0), 19)),
    ];
    let mut cells = Vec::new();
    for (effect, cv, n, sequence, looks) in rows {
        for (how, max_nights, expected) in [("sequence", None, sequence), ("planned looks", Some(30), looks)] {
            let mut parts = Parts::new()?.promotion_only()?.with_cv(cv);
            parts.policy.max_nights = max_nights;
            let mut cell = parts.cell(format!("{} %, CV {cv}, {n}/day, {how}", 100.0 * effect), n);
            cell.scenario.effects = one_guardrail(effect);
            cells.push(cell.see(Measure::ShownSafe, expected.0).see(Measure::SafeNight, night(expected.1)));
        }
    }
    Ok(cells)
}

/// The truths of a whole-policy table.
fn truths() -> [(&'static str, Effects); 5] {
    [
        ("no effect", Effects::new()),
        ("-5 % on one", one_guardrail(-0.05)),
        ("-10 % on one", one_guardrail(-0.10)),
        ("-2.5 % on one", one_guardrail(-0.025)),
        ("+2 % on all", [(DEFAULT.to_owned(), 0.02)].into()),
    ]
}

fn whole_policy() -> Result<Vec<Cell>, OutOfRange> {
    let units = [1_000, 5_000, 20_000, 50_000];
    let expected = [
        [(1.4, 93.7), (1.4, 98.6), (0.9, 99.1), (0.6, 99.4)],
        [(78.0, 4.2), (100.0, 0.0), (100.0, 0.0), (100.0, 0.0)],
        [(100.0, 0.0); 4],
        [(12.2, 65.3), (59.7, 39.7), (84.3, 0.4), (87.6, 0.0)],
        [(0.0, 100.0); 4],
    ];
    let parts = Parts::new()?;
    let mut cells = Vec::new();
    for ((truth, effects), row) in truths().into_iter().zip(expected) {
        for (n, (rollback, promote)) in units.into_iter().zip(row) {
            let mut cell = parts.cell(format!("{truth}, {n}/day"), n);
            cell.scenario.effects = effects.clone();
            cells.push(cell.see(Measure::Rollback, percent(rollback)).see(Measure::Promotion, percent(promote)));
        }
    }
    Ok(cells)
}

fn moving_base() -> Result<Vec<Cell>, OutOfRange> {
    let by_stage = |levels: [f64; 3]| [vec![levels[0]; 3], vec![levels[1]; 5], vec![levels[2]; 7]].concat();
    let falling = Base { daily: by_stage([1.2, 1.0, 0.9]), ..Base::default() };
    let rising = Base { daily: by_stage([0.9, 1.0, 1.2]), ..Base::default() };
    let weekend = Base { weekly: vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.85, 0.85], ..Base::default() };
    let rows = [
        ("12 -> 10 -> 9 %", falling.clone(), 2_000, -7.6, 27.9, 0.4),
        ("12 -> 10 -> 9 %", falling, 20_000, -7.5, 100.0, 2.0),
        ("9 -> 10 -> 12 %", rising, 20_000, 8.6, 0.4, 2.1),
        ("weekend -15 %", weekend, 20_000, -0.7, 6.2, 1.9),
        ("flat 10 %", Base::default(), 20_000, 0.0, 2.0, 1.8),
    ];
    let mut cells = Vec::new();
    for (label, base, n, pooled, pooled_harm, harm) in rows {
        let of_a_rate = |mut parts: Parts| {
            parts.policy.guardrails.truncate(1);
            parts.policy.stages.iter_mut().for_each(|stage| stage.min_units = 1000);
            parts.world.nights = 15;
            parts.world.base = base.clone();
            parts.world.metrics = [(DEFAULT.to_owned(), MetricTruth { mean: 0.1, shape: Shape::Rate, cv: 1.0 })].into();
            let mut cell = parts.cell(format!("{label}, {n}/day"), n);
            cell.pooling = true;
            cell
        };
        // An experiment that is stopped for a bad estimate keeps it, so the estimator is looked at where nothing stops.
        let watched = of_a_rate(Parts::new()?.rollback_only().promotion_only()?);
        cells.push(
            watched
                .see(Measure::PooledLift, Expected::Near(pooled / 100.0, 0.001))
                .see(Measure::Lift, Expected::AtMost(0.002)),
        );
        let judged = of_a_rate(Parts::new()?.rollback_only());
        cells.push(judged.see(Measure::PooledHarm, percent(pooled_harm)).see(Measure::Rollback, percent(harm)));
    }
    Ok(cells)
}

fn split() -> Result<Vec<Cell>, OutOfRange> {
    let rows = [
        (0.0, 2_000, Expected::AtMost(0.0006), None),
        (0.0, 20_000, Expected::AtMost(0.0006), None),
        (0.0, 50_000, Expected::AtMost(0.0006), None),
        (0.05, 2_000, share(0.94), Some(19)),
        (0.02, 20_000, share(1.0), Some(12)),
        (0.01, 50_000, share(0.94), Some(18)),
        (0.02, 50_000, share(1.0), Some(7)),
    ];
    let cells = rows.map(|(loss, n, expected, median)| {
        let mut parts = Parts::new()?.promotion_only()?;
        parts.policy.max_nights = Some(1);
        parts.policy.guardrails.truncate(1);
        parts.world.counts = Counts::Drawn;
        let mut cell = parts.cell(format!("candidate loses {} %, {n}/day", 100.0 * loss), n);
        cell.scenario.candidate_loss = loss;
        let cell = cell.see(Measure::Mismatch, expected);
        Ok(match median {
            Some(median) => cell.see(Measure::MismatchNight, night(median)),
            None => cell,
        })
    });
    cells.into_iter().collect()
}

fn own_ramp() -> Result<Vec<Cell>, OutOfRange> {
    let mut parts = Parts::new()?;
    parts.world.ramp = Ramp::Decided;
    parts.world.closes_after_days = Some(1);
    parts.policy.stages.iter_mut().for_each(|stage| stage.min_units = 1000);
    let mut cells = Vec::new();
    for (truth, effects) in truths() {
        for n in [1_000, 5_000, 20_000, 50_000] {
            let mut cell = parts.cell(format!("{truth}, {n}/day"), n);
            cell.scenario.effects = effects.clone();
            cells.push(
                cell.see(Measure::Rollback, None)
                    .see(Measure::Promotion, None)
                    .see(Measure::RollbackNight, None)
                    .see(Measure::PromotionNight, None),
            );
        }
    }
    Ok(cells)
}
