//! One policy, one world, one scenario: everything that a run needs, worked out once.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::bounds::Bounds;
use super::world::{Counts, DEFAULT, MetricTruth, Ramp, Scenario, World};
use crate::domain::{
    Bound, Direction, Epoch, Experiment, ExperimentId, ExperimentStatus, Metric, Policy, Require, Share, SuccessTest,
    VariantId,
};

/// The first day of every simulated experiment.
const FIRST_DAY: Date = date(2026, 1, 1);
pub(super) const CONTROL: VariantId = VariantId(Uuid::from_u128(1));
pub(super) const CANDIDATE: VariantId = VariantId(Uuid::from_u128(2));

/// A simulated experiment, ready to be run many times.
#[derive(Debug)]
pub struct Trial {
    pub(super) policy: Policy,
    pub(super) experiment: Experiment,
    pub(super) models: Vec<Model>,
    /// The guardrails' places in `models`.
    pub(super) guardrails: Vec<usize>,
    /// The success metrics' places in `models`.
    pub(super) success: Vec<usize>,
    pub(super) nights: u32,
    pub(super) units_per_day: u64,
    pub(super) correlation: f64,
    pub(super) missing_nights: f64,
    pub(super) late_data: f64,
    pub(super) candidate_loss: f64,
    pub(super) counts: Counts,
    pub(super) ramp: Ramp,
    pub(super) raw: bool,
    /// Whether the first guardrail is also compared without strata, as a naive report would.
    pub(super) pooling: bool,
    /// The levels of the days, from day 1.
    pub(super) levels: Vec<f64>,
    /// The dates of the days 0 (the eve) to `nights`.
    pub(super) dates: Vec<Date>,
    /// The epochs of the stages, one each.
    pub(super) epochs: Vec<Epoch>,
    pub(super) bounds: Bounds,
}

/// One metric: what is true of it, and when its cohorts close.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) direction: Direction,
    pub(super) truth: MetricTruth,
    /// The candidate's mean over control's.
    pub(super) ratio: f64,
    /// Days until a cohort closes.
    pub(super) closes_after: u32,
    /// The effect in the good direction.
    effect: f64,
}

impl Trial {
    /// A candidate of `scenario` in `world`, judged by `policy`. A metric that the world does not describe is bell-shaped
    /// with mean 1 and coefficient of variation 1.
    pub fn new(
        policy: &Policy,
        metrics: &BTreeMap<String, Metric>,
        world: &World,
        scenario: &Scenario,
        units_per_day: u64,
    ) -> Trial {
        let mut models: Vec<Model> = Vec::new();
        let mut place = |name: &str| {
            if let Some(found) = models.iter().position(|model| model.name == name) {
                return found;
            }
            let metric = metrics.get(name);
            let direction = metric.map_or(Direction::Increase, |metric| metric.direction);
            let window = metric.map_or(1, |metric| u32::from(metric.window_days));
            let truth = world.metrics.get(name).or_else(|| world.metrics.get(DEFAULT));
            let truth = *truth.unwrap_or(&MetricTruth { mean: 1.0, shape: Default::default(), cv: 1.0 });
            let effect = scenario.effect(name);
            // Better is more, or less; and more of a negative number is nearer to zero.
            let sign = match direction {
                Direction::Increase => truth.mean.signum(),
                Direction::Decrease => -truth.mean.signum(),
            };
            let closes_after = world.closes_after_days.unwrap_or(window);
            models.push(Model {
                name: name.to_owned(),
                direction,
                truth,
                ratio: 1.0 + sign * effect,
                closes_after,
                effect,
            });
            models.len() - 1
        };
        let guardrails = policy.guardrails.iter().map(|g| place(&g.metric)).collect();
        let success = policy.success.metrics.iter().map(|s| place(&s.metric)).collect();
        let nights = world.nights;
        let dates: Vec<Date> = (0..=nights).map(|day| FIRST_DAY.saturating_add((i64::from(day) - 1).days())).collect();
        let epochs = policy.stages.iter().enumerate().map(|(number, stage)| Epoch {
            number: number as i64,
            started_at: FIRST_DAY
                .to_zoned(TimeZone::UTC)
                .map_or(jiff::Timestamp::UNIX_EPOCH, |start| start.timestamp()),
            ended_at: None,
            allocations: vec![(CONTROL, Share::ALL.saturating_sub(stage.allocation)), (CANDIDATE, stage.allocation)],
            moved_units: false,
            outside: false,
            redrawn_at: None,
        });
        let experiment = Experiment {
            id: ExperimentId(Uuid::from_u128(3)),
            name: "simulated".into(),
            status: ExperimentStatus::Active,
            unit_type: "user".into(),
            start_at: None,
            end_at: None,
            variants: Vec::new(),
        };
        Trial {
            experiment,
            guardrails,
            success,
            nights,
            units_per_day,
            correlation: world.correlation,
            missing_nights: world.missing_nights,
            late_data: world.late_data,
            candidate_loss: scenario.candidate_loss,
            counts: world.counts,
            ramp: world.ramp,
            raw: false,
            pooling: false,
            levels: (1..=nights).map(|day| world.level(day)).collect(),
            dates,
            epochs: epochs.collect(),
            bounds: Bounds::new(policy),
            policy: policy.clone(),
            models,
        }
    }

    /// The same with rows drawn one by one instead of their moments: slow, and true to the metrics' shapes.
    pub fn raw(mut self, raw: bool) -> Trial {
        self.raw = raw;
        self
    }

    /// The same with the first guardrail compared without strata beside.
    pub fn pooling(mut self) -> Trial {
        self.pooling = true;
        self
    }

    /// How many nights it is followed.
    pub fn nights(&self) -> u32 {
        self.nights
    }

    /// Whether the candidate is worse than control, or than a limit that control keeps, on some guardrail.
    pub fn is_harmful(&self) -> bool {
        self.judged().any(|(bound, model)| match bound {
            Bound::Margin(_) => model.effect < 0.0,
            Bound::Ceiling(_) | Bound::Floor(_) => model.breaks(bound),
        })
    }

    /// Whether a promotion would be false: a guardrail is worse than its bound, or what promotion wants shown is not so.
    pub fn is_unworthy(&self) -> bool {
        let outside = self.judged().any(|(bound, model)| match bound {
            Bound::Margin(margin) => model.effect <= -margin.get() + 1e-12,
            Bound::Ceiling(_) | Bound::Floor(_) => model.breaks(bound),
        });
        let success = &self.policy.success;
        let mut missed = success.metrics.iter().zip(&self.success).map(|(wanted, &place)| {
            let effect = self.models[place].effect;
            match wanted.test {
                SuccessTest::Superior => effect <= 0.0,
                SuccessTest::NonInferior => effect <= -wanted.margin.get() + 1e-12,
            }
        });
        let unsuccessful = match success.require {
            Require::All => missed.any(|yes| yes),
            Require::Any => !success.metrics.is_empty() && missed.all(|yes| yes),
        };
        outside || unsuccessful
    }

    fn judged(&self) -> impl Iterator<Item = (Bound, &Model)> {
        self.policy
            .guardrails
            .iter()
            .zip(&self.guardrails)
            .map(|(guardrail, &place)| (guardrail.bound, &self.models[place]))
    }
}

impl Model {
    /// Whether the candidate breaks a limit that control keeps, on a day on which everybody's level is 1.
    fn breaks(&self, bound: Bound) -> bool {
        let outside = |value: f64| match bound {
            Bound::Ceiling(limit) => value > limit,
            Bound::Floor(limit) => value < limit,
            Bound::Margin(_) => false,
        };
        outside(self.truth.mean * self.ratio) && !outside(self.truth.mean)
    }
}
