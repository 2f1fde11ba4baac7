//! A made-up world with the edges on purpose: exposures and events at the first and last instant of days, epochs and
//! windows, units of two experiments and of two arms, fields that are absent, null or no numbers, units of other types,
//! strange ids, ids that only capitals or a space at the end tell apart.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rampkeeper::domain::{
    CohortRequest, Epoch, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Metric, Share, Variant, VariantConfig,
    VariantId, exposure_spans,
};
use sqlx::types::Uuid;

const EVENT_TYPES: [&str; 4] = ["plan_generated", "plan_accepted", "edit_applied", "custom.noise"];
/// The first day of exposures.
pub(super) const FIRST: Date = date(2026, 1, 5);
/// How many experiments there are.
pub(super) const EXPERIMENTS: usize = 3;
const UNITS: u64 = 16_800;

#[derive(Clone)]
pub(super) struct Assignment {
    pub(super) experiment: Uuid,
    pub(super) unit: String,
    pub(super) variant: Uuid,
    pub(super) at: Timestamp,
}

pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) unit_type: &'static str,
    pub(super) unit: String,
    pub(super) at: Timestamp,
    /// As JSON has it, and as a column of numbers has it.
    pub(super) latency: (Option<String>, Option<f64>),
    pub(super) cost: Option<f64>,
    /// One per unit, far from zero.
    pub(super) reading: Option<f64>,
    /// The experiments that it carries, with the unit's variants.
    pub(super) experiments: Vec<(Uuid, Uuid)>,
}

/// Experiments with their ramps, and all that happened to their units.
pub(super) struct World {
    experiments: Vec<(Experiment, Vec<Epoch>)>,
    /// In no order; some units come twice.
    pub(super) assignments: Vec<Assignment>,
    pub(super) events: Vec<Event>,
}

/// SplitMix64: small, and the same world on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..1.
    fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn micros(&mut self, within: SignedDuration) -> SignedDuration {
        SignedDuration::from_micros(self.below(within.as_micros() as u64) as i64)
    }
}

pub(super) fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).unwrap().timestamp()
}

/// When the shares of an experiment were raised: at two in the night, of another day each.
fn ramp_at(experiment: usize) -> Timestamp {
    midnight(FIRST) + SignedDuration::from_hours(24 * (experiment as i64 + 1) + 2)
}

fn experiment(number: usize) -> (Experiment, Vec<Epoch>) {
    let variant = |arm: u128, name: &str| Variant {
        id: VariantId(Uuid::from_u128(0xc0_0000 + 16 * number as u128 + arm)),
        name: name.to_owned(),
        allocation: Share::NONE,
        config: Ok(VariantConfig::Flag),
    };
    let epoch = |number, started_at| Epoch {
        number,
        started_at,
        ended_at: None,
        allocations: Vec::new(),
        moved_units: false,
        outside: false,
        redrawn_at: None,
    };
    let experiment = Experiment {
        id: ExperimentId(Uuid::from_u128(0xe1 + number as u128)),
        name: format!("planner_v{number}"),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: Some(midnight(FIRST)),
        end_at: None,
        variants: vec![variant(0, "control"), variant(1, "candidate")],
    };
    (experiment, vec![epoch(0, midnight(FIRST)), epoch(1, ramp_at(number))])
}

impl World {
    /// Five days of exposures over ramps 10 % → 25 %, and the events of eight days.
    pub(super) fn new() -> Self {
        let mut dice = Dice(20_260_105);
        let experiments = (0..EXPERIMENTS).map(experiment).collect();
        let mut world = Self { experiments, assignments: Vec::new(), events: Vec::new() };
        for number in 0..UNITS {
            world.add_unit(number, &mut dice);
        }
        world
    }

    fn add_unit(&mut self, number: u64, dice: &mut Dice) {
        let unit = match number % 7 {
            0 => format!("用户 {number} “é”"),
            1 => format!("o'brien\\{number}\t%"),
            2 => format!("unit-{}", number - 2 + 7 * (number % 2)),
            3 => format!("UNIT-{}", number - 3 + 7 * ((number + 1) % 2)),
            4 => format!("unit-{} ", number - 4),
            _ => Uuid::from_u128(u128::from(dice.roll()) << 64 | u128::from(number)).to_string(),
        };
        let first = (number % EXPERIMENTS as u64) as usize;
        let ramp = ramp_at(first);
        let at = match number / EXPERIMENTS as u64 {
            // The edges of days and epochs.
            0 => midnight(FIRST),
            1 => midnight(FIRST) + SignedDuration::from_hours(24) - SignedDuration::from_micros(1),
            2 => ramp - SignedDuration::from_micros(1),
            3 => ramp,
            4 => ramp + SignedDuration::from_mins(15),
            5 => midnight(FIRST) + SignedDuration::from_hours(72),
            _ => midnight(FIRST) + dice.micros(SignedDuration::from_hours(120)),
        };
        self.assign(first, &unit, at, dice);
        // Some are in a second experiment, since later or since before.
        if number % 9 == 4 {
            let second = (first + 1) % EXPERIMENTS;
            self.assign(second, &unit, at + dice.micros(SignedDuration::from_hours(20)), dice);
        }
        if number % 11 == 7 {
            return; // A unit without events.
        }
        let carried: Vec<Assignment> =
            self.assignments.iter().rev().take(6).filter(|row| row.unit == unit).cloned().collect();
        let day = SignedDuration::from_hours(24);
        let micro = SignedDuration::from_micros(1);
        for offset in [-micro, SignedDuration::ZERO, day - micro, day, day * 2 - micro, day * 2] {
            if dice.share() < 0.3 {
                self.add_event(&unit, "user", at + offset, &carried, dice);
            }
        }
        for _ in 0..dice.below(20) {
            self.add_event(&unit, "user", at + dice.micros(SignedDuration::from_hours(60)), &carried, dice);
        }
        self.add_event(&unit, "session", at + dice.micros(day), &carried, dice);
        self.add_past(&unit, at, number);
        let reading_at = at + dice.micros(day);
        self.events.push(Event {
            kind: "custom.reading",
            unit_type: "user",
            unit,
            at: reading_at,
            latency: (None, None),
            cost: None,
            reading: Some(1e9 + (dice.share() * 1e4).round() / 1e3),
            experiments: experiments_at(&carried, reading_at),
        });
    }

    /// What happened to it in the days before, of which it carries no experiment.
    fn add_past(&mut self, unit: &str, at: Timestamp, number: u64) {
        let mut dice = Dice(number);
        for _ in 0..dice.below(6) {
            let before = dice.micros(SignedDuration::from_hours(72));
            self.add_event(unit, "user", at - before, &[], &mut dice);
        }
        if dice.below(2) == 0 {
            self.events.push(Event {
                kind: "custom.reading",
                unit_type: "user",
                unit: unit.to_owned(),
                at: at - dice.micros(SignedDuration::from_hours(40)) - SignedDuration::from_micros(1),
                latency: (None, None),
                cost: None,
                reading: Some(1e9 + (dice.share() * 1e4).round() / 1e3),
                experiments: Vec::new(),
            });
        }
    }

    fn assign(&mut self, number: usize, unit: &str, at: Timestamp, dice: &mut Dice) {
        let share = if at < ramp_at(number) { 0.10 } else { 0.25 };
        let (experiment, _) = &self.experiments[number];
        let arm = usize::from(dice.share() < share);
        let row = |arm: usize, at| Assignment {
            experiment: experiment.id.0,
            unit: unit.to_owned(),
            variant: experiment.variants[arm].id.0,
            at,
        };
        let mut rows = vec![row(arm, at)];
        match dice.below(60) {
            // The same row again, later: changes nothing.
            0 => rows.push(row(arm, at + dice.micros(SignedDuration::from_hours(30)))),
            // The other arm, mostly before the cohort closes, sometimes long after, once at the same instant.
            1 => rows.insert(0, row(1 - arm, at + dice.micros(SignedDuration::from_hours(20)))),
            2 => rows
                .push(row(1 - arm, at + SignedDuration::from_hours(50) + dice.micros(SignedDuration::from_hours(40)))),
            3 => rows.push(row(1 - arm, at)),
            _ => {}
        }
        self.assignments.extend(rows);
    }

    fn add_event(
        &mut self,
        unit: &str,
        unit_type: &'static str,
        at: Timestamp,
        carried: &[Assignment],
        dice: &mut Dice,
    ) {
        let kind = EVENT_TYPES[dice.below(EVENT_TYPES.len() as u64) as usize];
        let (json, column) = match dice.below(40) {
            0 => (None, None),
            1 => (Some("null"), None),
            // JSON has no NaN: what is no number there is NaN in a column.
            2 => (Some("\"12\""), Some(f64::NAN)),
            3 => (Some("[1]"), Some(f64::NAN)),
            4 => (Some("true"), Some(f64::INFINITY)),
            5 => (Some("{\"latency_ms\": 5}"), Some(f64::NAN)),
            6 => (Some("2000"), Some(2000.0)),
            7 => (Some("2000.0000001"), Some(2000.0000001)),
            8 => (Some("-3.5e2"), Some(-350.0)),
            9 => (Some("0"), Some(0.0)),
            n => [
                (Some("811.25"), Some(811.25)),
                (Some("1e3"), Some(1e3)),
                (Some("3141.592653589793"), Some(3141.592653589793)),
            ][n as usize % 3],
        };
        let latency = (json.map(str::to_owned), column);
        let cost = (dice.share() < 0.9).then(|| (dice.share() * 1e6).round() / 1e6);
        let experiments = if dice.below(8) == 0 { Vec::new() } else { experiments_at(carried, at) };
        self.events.push(Event {
            kind,
            unit_type,
            unit: unit.to_owned(),
            at,
            latency,
            cost,
            reading: None,
            experiments,
        });
    }

    /// The first assignment of each unit in each experiment, as a table with a unique key has it.
    pub(super) fn first_assignments(&self) -> Vec<Assignment> {
        let mut rows = self.assignments.clone();
        rows.sort_by(|a, b| (a.experiment, &a.unit, a.at, a.variant).cmp(&(b.experiment, &b.unit, b.at, b.variant)));
        rows.dedup_by(|later, first| (later.experiment, &later.unit) == (first.experiment, &first.unit));
        rows
    }

    pub(super) fn request<'a>(
        &'a self,
        experiment: usize,
        metrics: &'a [Metric],
        exposed_by: ExposedBy,
    ) -> CohortRequest<'a> {
        let until = midnight(FIRST) + SignedDuration::from_hours(24 * 10);
        let (experiment, epochs) = &self.experiments[experiment];
        CohortRequest {
            experiment,
            metrics: metrics.iter().collect(),
            window_days: metrics[0].window_days,
            from: FIRST + 1.days(),
            to: FIRST + 3.days(),
            exposed_by,
            spans: exposure_spans(epochs, SignedDuration::from_mins(15), until),
        }
    }
}

/// What an event of that instant carries of its unit's experiments.
fn experiments_at(assignments: &[Assignment], at: Timestamp) -> Vec<(Uuid, Uuid)> {
    let mut carried: Vec<(Uuid, Uuid)> =
        assignments.iter().filter(|row| row.at <= at).map(|row| (row.experiment, row.variant)).collect();
    carried.sort();
    carried.dedup();
    carried
}
