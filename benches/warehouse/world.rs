//! A made-up world of experiments, the same for the same arguments on every machine.
//!
//! A unit is in one experiment. It makes plans, in the 24 hours after its exposure and in the two weeks after that, and a
//! plan may be accepted, edited and intervened in by a validator. Candidates start at 10 %, have 25 % after three days
//! and 50 % after another five, at two in the night. How much a unit does is heavy-tailed, and units differ in what they
//! accept and how long they wait, so that events of one unit are alike.

use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Distribution, Exp1, Poisson, StandardNormal};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const DAY: i64 = 86_400_000_000;
/// 2026-06-01, in microseconds since 1970.
pub const BEGIN: i64 = 1_780_272_000_000_000;
pub const TYPES: [&str; 4] = ["plan_generated", "plan_accepted", "edit_applied", "validator_intervention"];
const SHARES: [f64; 3] = [0.10, 0.25, 0.50];
const STAGE_DAYS: [i64; 2] = [3, 5];
const TWO_IN_THE_NIGHT: i64 = 2 * 3_600_000_000;
const PLANS_PER_UNIT: f64 = 4.9;
/// A plan, with what follows it, of which an eighth lies behind the last day.
const EVENTS_PER_UNIT: f64 = PLANS_PER_UNIT * 2.8 * 0.87;

/// What is made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Size {
    /// About how many events.
    pub events: u64,
    pub experiments: usize,
    pub days: i64,
    pub seed: u64,
}

/// An experiment, as the peers read it from `world.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    pub id: Uuid,
    pub name: String,
    pub control: Uuid,
    pub candidate: Uuid,
    /// Its first day, from 0.
    pub first_day: i64,
    /// Latency in milliseconds above which a plan counts as slow in this experiment.
    pub threshold: f64,
    /// Epochs: number, first instant, first instant that belongs to the next.
    pub epochs: Vec<(i64, i64, i64)>,
    median_latency: f64,
    effects: Effects,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Effects {
    accepted: f64,
    edits: f64,
    interventions: f64,
    cost: f64,
    latency: f64,
}

const NONE: Effects = Effects { accepted: 1.0, edits: 1.0, interventions: 1.0, cost: 1.0, latency: 1.0 };
const HARMFUL: Effects = Effects { accepted: 0.94, edits: 1.12, interventions: 1.10, cost: 1.0, latency: 1.15 };
const BETTER: Effects = Effects { accepted: 1.03, edits: 0.95, interventions: 0.97, cost: 0.94, latency: 0.97 };

/// A unit and its exposure.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    pub trial: u16,
    pub epoch: i8,
    pub candidate: bool,
    pub assigned_at: i64,
    accepts: f32,
    waits: f32,
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub at: i64,
    pub unit: u32,
    pub kind: u8,
    pub latency_ms: f64,
    pub cost: f64,
    pub tokens: i32,
}

pub struct World {
    pub size: Size,
    pub trials: Vec<Trial>,
    pub units: Vec<Unit>,
    /// Units by the day of their exposure.
    pub exposed_on: Vec<Vec<u32>>,
    /// Plans by day: unit and instant.
    plans: Vec<Vec<(u32, i64)>>,
}

fn chance(seed: u64, of: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ of.wrapping_mul(0xd6e8_feb8_6659_fd93))
}

fn normal(rng: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(rng)
}

fn poisson(mean: f64, rng: &mut Pcg64Mcg) -> u64 {
    Poisson::new(mean.max(1e-12)).map_or(0, |law| law.sample(rng) as u64)
}

fn rounded(x: f64, unit: f64) -> f64 {
    (x * unit).round() / unit
}

/// The id of something of that kind and number.
pub fn id(seed: u64, kind: &str, number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{seed} {kind} {number}").as_bytes())
}

impl World {
    pub fn new(size: Size) -> Self {
        let mut rng = chance(size.seed, u64::MAX);
        let trials: Vec<Trial> = (0..size.experiments).map(|number| trial(size, number, &mut rng)).collect();
        let mut world = World {
            size,
            trials,
            units: Vec::new(),
            exposed_on: vec![Vec::new(); size.days as usize],
            plans: vec![Vec::new(); size.days as usize],
        };
        world.draw_units();
        world
    }

    fn draw_units(&mut self) {
        let Size { events, days, seed, .. } = self.size;
        let weights: Vec<f64> = (1..=self.trials.len()).map(|n| 1.0 / (n as f64).sqrt()).collect();
        let total: f64 = weights.iter().sum();
        let units = events as f64 / EVENTS_PER_UNIT;
        let arrival = Beta::new(3.0, 2.0).expect("constants");
        for (number, weight) in weights.iter().enumerate() {
            let first = self.trials[number].first_day;
            // Fewer come at weekends, and fewer as time goes by.
            let by_day: Vec<f64> = (first..days)
                .map(|day| if day % 7 >= 5 { 0.7 } else { 1.0 } * (-0.03 * (day - first) as f64).exp())
                .collect();
            let of_days: f64 = by_day.iter().sum();
            for (day, share) in (first..days).zip(by_day) {
                let mut rng = chance(seed, (number as u64) << 32 | day as u64);
                let count = (units * weight / total * share / of_days).round() as u64;
                for _ in 0..count {
                    let time: f64 = arrival.sample(&mut rng);
                    self.draw_unit(number, day * DAY + ((time * DAY as f64) as i64).min(DAY - 1), &mut rng);
                }
            }
        }
    }

    fn draw_unit(&mut self, number: usize, assigned_at: i64, rng: &mut Pcg64Mcg) {
        let trial = &self.trials[number];
        let epoch = trial.epochs.iter().rposition(|(_, from, _)| *from - BEGIN <= assigned_at).unwrap_or(0);
        let unit = Unit {
            trial: number as u16,
            epoch: epoch as i8,
            candidate: rng.random::<f64>() < SHARES[epoch],
            assigned_at: BEGIN + assigned_at,
            accepts: (1.0 + 0.25 * normal(rng)).clamp(0.2, 1.5) as f32,
            waits: (0.35 * normal(rng)) as f32,
        };
        let place = self.units.len() as u32;
        self.units.push(unit);
        self.exposed_on[(assigned_at / DAY) as usize].push(place);
        let activity = (PLANS_PER_UNIT * (1.1 * normal(rng) - 0.5 * 1.1 * 1.1).exp()).min(2_000.0);
        for plan in 0..poisson(activity, rng) {
            let after: f64 = match plan {
                // The exposure is the first plan.
                0 => 0.0,
                _ if rng.random::<f64>() < 0.45 => {
                    let waited: f64 = Exp1.sample(rng);
                    (waited * 0.25).fract()
                }
                _ => 1.0 + 14.0 * rng.random::<f64>(),
            };
            let at = assigned_at + (after * DAY as f64) as i64;
            if let Some(plans) = self.plans.get_mut((at / DAY) as usize) {
                plans.push((place, BEGIN + at));
            }
        }
    }

    /// The events of a day, in the order of time.
    pub fn events_of(&self, day: i64) -> Vec<Event> {
        let mut rng = chance(self.size.seed ^ 0x5eed, day as u64);
        let drift = 1.0 + 0.12 * (std::f64::consts::TAU * day as f64 / 45.0 + 0.5).sin();
        let drift = drift * if day % 7 >= 5 { 0.93 } else { 1.0 };
        let last = BEGIN + (day + 1) * DAY - 1;
        let mut events = Vec::new();
        for (place, at) in &self.plans[day as usize] {
            let unit = &self.units[*place as usize];
            let trial = &self.trials[usize::from(unit.trial)];
            let effects = if unit.candidate { trial.effects } else { NONE };
            let mut add = |kind: u8, delay: f64, latency_ms: f64, cost: f64, tokens: i32, rng: &mut Pcg64Mcg| {
                let waited: f64 = Exp1.sample(rng);
                let at = (at + (waited * delay) as i64).min(last);
                let latency_ms = rounded(latency_ms, 1e3);
                events.push(Event { at, unit: *place, kind, latency_ms, cost: rounded(cost, 1e6), tokens });
            };
            let wait =
                trial.median_latency.ln() + effects.latency.ln() + f64::from(unit.waits) + 0.55 * normal(&mut rng);
            let slow = rng.random::<f64>() < 0.004 * effects.latency.powi(3);
            let wait = wait.exp() * if slow { 6.0 } else { 1.0 };
            let cost = 0.004 * effects.cost * (0.7 * normal(&mut rng)).exp();
            let tokens = (900.0 + 30.0 * normal(&mut rng)).round() as i32;
            add(0, 0.0, wait, cost, tokens, &mut rng);
            let own = |rng: &mut Pcg64Mcg| 20.0 * (0.5 * normal(rng)).exp();
            let accepted = (0.60 * drift * f64::from(unit.accepts) * effects.accepted).clamp(0.0, 0.98);
            if rng.random::<f64>() < accepted {
                let wait = own(&mut rng);
                add(1, 60e6, wait, 0.0, 0, &mut rng);
            }
            for _ in 0..poisson(1.1 * effects.edits, &mut rng) {
                let wait = own(&mut rng);
                add(2, 120e6, wait, 0.0005, 0, &mut rng);
            }
            if rng.random::<f64>() < 0.08 * effects.interventions * (2.0 - drift) {
                let wait = own(&mut rng);
                add(3, 1e6, wait, 0.0, 0, &mut rng);
            }
        }
        events.sort_by_key(|event| event.at);
        events
    }
}

fn trial(size: Size, number: usize, rng: &mut Pcg64Mcg) -> Trial {
    let id_of = |kind: &str| id(size.seed, kind, number as u64);
    // All have some days behind their last stage; the first one has them all.
    let latest = (size.days - 15).max(1);
    let first_day = if number == 0 { 0 } else { rng.random_range(0..latest) };
    let begin = BEGIN + first_day * DAY;
    let second = begin + STAGE_DAYS[0] * DAY + TWO_IN_THE_NIGHT;
    let third = second + STAGE_DAYS[1] * DAY;
    let median_latency = (350f64.ln() + 0.25 * normal(rng)).exp();
    Trial {
        id: id_of("experiment"),
        name: format!("experiment_{number:03}"),
        control: id_of("control"),
        candidate: id_of("candidate"),
        first_day,
        threshold: rounded(median_latency * 1.2, 1e3),
        epochs: vec![(0, begin, second), (1, second, third), (2, third, BEGIN + 3_650 * DAY)],
        median_latency,
        effects: match number {
            0 => HARMFUL,
            1 => BETTER,
            _ => NONE,
        },
    }
}
