//! Units that arrive, get an arm from the allocation table of the moment, and do things.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Unit};
use md5::{Digest, Md5};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Exp, LogNormal, Poisson};
use rand_pcg::Pcg64;
use uuid::Uuid;

use super::FIRST_DAY;
use super::world::{Effects, Scenario, Truth};

/// A unit's first exposure.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The experiment.
    pub experiment: Uuid,
    /// The unit.
    pub unit: String,
    /// Its arm.
    pub variant: Uuid,
    /// When.
    pub at: Timestamp,
}

/// Something that a unit did.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The event type.
    pub event: &'static str,
    /// The unit.
    pub unit: String,
    /// When.
    pub at: Timestamp,
    /// The time that a plan took.
    pub latency_ms: Option<f64>,
    /// What a plan cost.
    pub cost: Option<f64>,
}

/// What happened on one day.
#[derive(Clone, Debug, Default)]
pub struct DayOfTraffic {
    /// First exposures.
    pub assignments: Vec<Assignment>,
    /// Events, in no order.
    pub events: Vec<Event>,
}

/// One experiment's allocation table as the assignment service reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// The experiment's name.
    pub name: String,
    /// Its key.
    pub experiment: Uuid,
    /// Whether units are assigned.
    pub active: bool,
    /// Variant, name and share in ten-thousandths, in the order in which the service walks them.
    pub variants: Vec<(Uuid, String, u16)>,
}

/// The source of traffic.
pub struct Traffic {
    scenarios: Vec<Scenario>,
    seed: u64,
    /// Events of units that arrived a day ago.
    spilled: Vec<Event>,
    /// The allocation tables of the day before, in force until the night's job has run.
    before: Vec<Shares>,
}

/// When the night's job changes allocations.
const JOB_RUNS_AT: SignedDuration = SignedDuration::from_hours(2);
const DAY_SECONDS: f64 = 86_400.0;

impl Traffic {
    /// The same seed gives the same world as long as the same decisions are made.
    pub fn new(scenarios: Vec<Scenario>, seed: u64) -> Self {
        Self { scenarios, seed, spilled: Vec::new(), before: Vec::new() }
    }

    /// One day, under the allocation tables that the night before it has left.
    pub fn day(&mut self, date: Date, shares: &[Shares]) -> DayOfTraffic {
        let midnight = date.to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp());
        let end = midnight + 24.hours();
        let mut traffic = DayOfTraffic { assignments: Vec::new(), events: std::mem::take(&mut self.spilled) };
        let nth = FIRST_DAY.until((Unit::Day, date)).map_or(0, |span| i64::from(span.get_days()));
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(u64::try_from(nth).unwrap_or(0));
            let mut rng = Pcg64::seed_from_u64(seed.wrapping_mul(64).wrapping_add(index as u64));
            let find = |tables: &[Shares]| tables.iter().find(|s| s.name == scenario.experiment).cloned();
            let now = find(shares);
            let early = find(&self.before).or_else(|| now.clone());
            for unit in 0..scenario.units_per_day {
                let at = midnight + seconds(rng.random::<f64>() * DAY_SECONDS);
                let unit = format!("u{index}-{nth}-{unit}");
                let table = if at < midnight + JOB_RUNS_AT { &early } else { &now };
                let arm = table.as_ref().filter(|t| t.active).and_then(|t| assign(t, &unit));
                let is_candidate = arm.as_ref().is_some_and(|(_, name)| *name == scenario.candidate);
                let lost = is_candidate && rng.random::<f64>() < scenario.candidate_loss;
                if let (Some(table), Some((variant, _)), false) = (table, &arm, lost) {
                    let (experiment, unit) = (table.experiment, unit.clone());
                    traffic.assignments.push(Assignment { experiment, unit, variant: *variant, at });
                }
                let effects = if is_candidate { scenario.effects } else { Effects::NONE };
                let order_rate = (scenario.order_rate)(nth);
                let mut events = Vec::new();
                live(&unit, at, effects, order_rate, scenario.truth == Truth::DriftingBase, &mut rng, &mut events);
                for event in events {
                    if event.at < end { traffic.events.push(event) } else { self.spilled.push(event) }
                }
            }
        }
        self.before = shares.to_vec();
        traffic
    }
}

/// The assignment service's rule: `md5("<experiment>:<unit>") mod 10000`, and the first variant whose cumulative share
/// exceeds it (domain.md, services around it).
fn assign<'a>(table: &'a Shares, unit: &str) -> Option<(Uuid, &'a str)> {
    let digest: [u8; 16] = Md5::digest(format!("{}:{unit}", table.experiment)).into();
    let bucket = u16::try_from(u128::from_be_bytes(digest) % 10_000).unwrap_or(0);
    let mut sum = 0;
    table.variants.iter().find_map(|(id, name, share)| {
        sum += share;
        (sum > bucket).then_some((*id, name.as_str()))
    })
}

/// One unit's first day: some plans, what becomes of them, and perhaps an order.
fn live(
    unit: &str,
    exposed_at: Timestamp,
    effects: Effects,
    order_rate: f64,
    orders_only: bool,
    rng: &mut impl Rng,
    events: &mut Vec<Event>,
) {
    // Most of what a unit does follows its first exposure closely, all of it within a day.
    let two_hours = |rng: &mut _| Exp::new(1.0 / 7_200.0).map_or(7_200.0f64, |delay| delay.sample(rng));
    let mut push = |event, at, latency_ms, cost| {
        events.push(Event { event, unit: unit.to_owned(), at, latency_ms, cost });
    };
    if rng.random::<f64>() < order_rate {
        push("order_placed", exposed_at + seconds(two_hours(rng).min(DAY_SECONDS - 60.0)), None, None);
    }
    let plans = if orders_only { u32::from(rng.random::<f64>() < 0.3) } else { poisson(2.5, rng) };
    // Units differ in taste, so a unit's plans are alike.
    let taste = 0.85 + 0.3 * rng.random::<f64>();
    for _ in 0..plans {
        let at = exposed_at + seconds(two_hours(rng).min(DAY_SECONDS - 60.0));
        let latency = lognormal(550.0 * effects.latency, 0.45, rng);
        let cost = lognormal(0.02 * effects.cost, 0.4, rng);
        push("plan_generated", at, Some(latency), Some(cost));
        if rng.random::<f64>() < 0.60 * taste * effects.acceptance {
            push("plan_accepted", at, None, None);
            for _ in 0..poisson(0.8 * effects.edits, rng) {
                push("edit_applied", at, None, None);
            }
        }
        if rng.random::<f64>() < 0.25 * taste * effects.validator {
            push("validator_intervention", at, None, None);
        }
    }
}

fn seconds(seconds: f64) -> SignedDuration {
    // Microseconds, as databases keep them.
    SignedDuration::from_micros((seconds * 1e6) as i64)
}

fn poisson(mean: f64, rng: &mut impl Rng) -> u32 {
    Poisson::new(mean).map_or(0, |poisson| poisson.sample(rng) as u32)
}

fn lognormal(median: f64, sigma: f64, rng: &mut impl Rng) -> f64 {
    LogNormal::new(median.ln(), sigma).map_or(median, |lognormal| lognormal.sample(rng))
}
