//! Random lakes, read in every way and worked out once more from their rows by the definition of a cohort alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::domain::{EpochSpan, Experiment, ExperimentId, ExposedBy, Metric};
use crate::warehouse::fixture::{above, count, day, experiment, mean, ratio, sum};
use crate::warehouse::instants::{DAY, midnight};

const FIRST: &str = "2026-01-05";
const DAYS: i64 = 8;
const VARIANTS: [&str; 3] = [CONTROL, CANDIDATE, "00000000-0000-4000-9000-00000000000e"];

#[derive(Clone, Debug)]
struct Assigned {
    folder: i64,
    experiment: usize,
    unit: String,
    variant: usize,
    at: i64,
}

#[derive(Clone, Debug)]
struct Logged {
    folder: i64,
    kind: &'static str,
    unit_type: &'static str,
    unit: String,
    at: i64,
    latency: Option<f64>,
    id: Option<i64>,
}

struct World {
    window_days: u16,
    /// How many days before exposure events count beside.
    before: i64,
    exposed_by: ExposedBy,
    experiments: Vec<Experiment>,
    assigned: Vec<Assigned>,
    logged: Vec<Logged>,
    spans: Vec<EpochSpan>,
}

fn date_of(folder: i64) -> Date {
    day(FIRST).saturating_add(folder.days())
}

fn begin() -> i64 {
    midnight(day(FIRST))
}

fn span(epoch: i64, from: i64, to: i64) -> EpochSpan {
    let at = |micros| jiff::Timestamp::from_microsecond(micros).unwrap();
    EpochSpan { epoch, from: at(from), to: at(to) }
}

impl World {
    /// Units in several experiments, met twice, by another variant or in the wrong folder; events that come twice, late,
    /// and with what is no number.
    fn new(seed: u64) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let window_days = rng.random_range(1..=2);
        let mut experiments = Vec::new();
        for (number, unit_type) in ["user", "user", "household"].into_iter().enumerate() {
            let mut one = experiment();
            one.id = ExperimentId(uuid::Uuid::from_u128(0xe0 + number as u128));
            one.name = format!("experiment {number}");
            one.unit_type = unit_type.to_owned();
            one.start_at = Some(at("2026-01-05T00:00:00Z"));
            experiments.push(one);
        }
        let mut assigned = Vec::new();
        let mut logged = Vec::new();
        for folder in 0..DAYS {
            let moment = |rng: &mut Pcg64Mcg, stray: f64| {
                let days = if rng.random::<f64>() < stray { rng.random_range(-1..=1) } else { 0 };
                // Whole hours, so that equal instants and the edges of windows and days are met.
                begin() + ((folder + days) * DAY + rng.random_range(0..24) * DAY / 24).max(0)
            };
            for _ in 0..rng.random_range(5..40) {
                assigned.push(Assigned {
                    folder,
                    experiment: rng.random_range(0..3),
                    unit: format!("unit {}", rng.random_range(0..60)),
                    variant: rng.random_range(0..3),
                    at: moment(&mut rng, 0.1),
                });
            }
            for _ in 0..rng.random_range(50..300) {
                let one = Logged {
                    folder,
                    kind: ["plan_generated", "plan_accepted", "other"][rng.random_range(0..3)],
                    unit_type: ["user", "household"][rng.random_range(0..2)],
                    unit: format!("unit {}", rng.random_range(0..60)),
                    at: moment(&mut rng, 0.1),
                    latency: match rng.random_range(0..10) {
                        0 => None,
                        1 => Some(f64::NAN),
                        2 => Some(f64::NEG_INFINITY),
                        _ => Some(rng.random_range(0..4_000) as f64 / 7.0),
                    },
                    id: (rng.random::<f64>() < 0.9).then_some(logged.len() as i64),
                };
                if rng.random::<f64>() < 0.1 {
                    let later = (folder + rng.random_range(0..2)).min(DAYS - 1);
                    logged.push(Logged { folder: later, ..one.clone() });
                }
                logged.push(one);
            }
        }
        let change = begin() + 3 * DAY + 2 * DAY / 24;
        let spans = vec![span(0, begin(), change), span(1, change + DAY / 24, begin() + 30 * DAY)];
        Self { window_days, before: 0, exposed_by: ExposedBy::Assignment, experiments, assigned, logged, spans }
    }

    fn write(&self) -> Lake {
        let lake = Lake::new();
        for folder in 0..DAYS {
            let date = date_of(folder).to_string();
            let rows: Vec<&Assigned> = self.assigned.iter().filter(|row| row.folder == folder).collect();
            let mut frame = df!(
                "experiment_id" => rows.iter().map(|row| self.experiments[row.experiment].id.to_string()).collect::<Vec<_>>(),
                "unit_id" => rows.iter().map(|row| row.unit.as_str()).collect::<Vec<_>>(),
                "variant_id" => rows.iter().map(|row| VARIANTS[row.variant]).collect::<Vec<_>>(),
                "assigned_at" => rows.iter().map(|row| row.at).collect::<Vec<_>>(),
            )
            .unwrap();
            lake.write("assignments", &date, "part-0.parquet", utc(&mut frame, "assigned_at"));
            let rows: Vec<&Logged> = self.logged.iter().filter(|row| row.folder == folder).collect();
            let mut frame = df!(
                "event_id" => rows.iter().map(|row| row.id).collect::<Vec<_>>(),
                "event_type" => rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
                "unit_type" => rows.iter().map(|row| row.unit_type).collect::<Vec<_>>(),
                "unit_id" => rows.iter().map(|row| row.unit.as_str()).collect::<Vec<_>>(),
                "timestamp" => rows.iter().map(|row| row.at).collect::<Vec<_>>(),
                "latency_ms" => rows.iter().map(|row| row.latency).collect::<Vec<_>>(),
            )
            .unwrap();
            lake.write("events", &date, "part-0.parquet", utc(&mut frame, "timestamp"));
        }
        lake
    }

    /// The rows of one cohort by its definition: date, epoch, variant, then counts and per-unit sums.
    fn cohort(&self, experiment: usize, day: i64) -> BTreeMap<(i64, usize), Expected> {
        let window = i64::from(self.window_days);
        let mut arms: BTreeMap<&str, BTreeMap<usize, i64>> = BTreeMap::new();
        for row in self.assigned.iter().filter(|row| row.experiment == experiment && row.folder <= day + window) {
            let first = arms.entry(&row.unit).or_default().entry(row.variant).or_insert(row.at);
            *first = row.at.min(*first);
        }
        let mut rows: BTreeMap<(i64, usize), Expected> = BTreeMap::new();
        for (unit, arms) in arms {
            let mut arms: Vec<(i64, usize)> = arms.into_iter().map(|(variant, at)| (at, variant)).collect();
            arms.sort_by_key(|(at, variant)| (*at, VARIANTS[*variant]));
            let (first, second) = (arms[0], arms.get(1));
            let closes = (first.0.div_euclid(DAY) + 1 + window) * DAY;
            let spoiled = second.is_some_and(|(at, _)| *at < closes);
            let stratum = |(at, variant): (i64, usize)| {
                let here = at.div_euclid(DAY) == begin().div_euclid(DAY) + day;
                let inside = |span: &&EpochSpan| span.from.as_microsecond() <= at && at < span.to.as_microsecond();
                self.spans.iter().find(inside).filter(|_| here).map(|span| (span.epoch, variant))
            };
            if !spoiled && let Some(stratum) = stratum(first) {
                let unit = self.unit(experiment, unit, first.0, day);
                rows.entry(stratum).or_default().units.push(unit);
            }
            let counted = if spoiled { Some(first) } else { second.copied() };
            if let Some(stratum) = counted.and_then(stratum) {
                rows.entry(stratum).or_default().multiple_exposed += 1;
            }
        }
        rows
    }

    fn unit(&self, experiment: usize, unit: &str, since: i64, day: i64) -> Unit {
        let mut found = Unit::default();
        let mut seen = BTreeSet::new();
        let window = i64::from(self.window_days);
        let theirs = self.logged.iter().filter(|row| {
            row.unit == unit
                && row.unit_type == self.experiments[experiment].unit_type
                && (day - self.before..=day + window).contains(&row.folder)
                && (since - self.before * DAY..since + window * DAY).contains(&row.at)
                && row.kind != "other"
        });
        for row in theirs {
            if row.id.is_some_and(|id| !seen.insert(id)) {
                continue;
            }
            let inside = row.at >= since;
            let sums = if inside { &mut found.inside } else { &mut found.before };
            found.events += i64::from(inside);
            if row.kind == "plan_accepted" {
                sums.accepted += 1.0;
                continue;
            }
            sums.generated += 1.0;
            match row.latency {
                None => found.missing += i64::from(inside),
                Some(latency) if latency.is_finite() => {
                    sums.latency += latency;
                    sums.slow += f64::from(u8::from(latency > 300.0));
                }
                Some(_) => found.not_numbers += i64::from(inside),
            }
        }
        found
    }

    fn request<'a>(&'a self, experiment: usize, metrics: &'a [Metric], from: i64, to: i64) -> CohortRequest<'a> {
        CohortRequest {
            experiment: &self.experiments[experiment],
            metrics: metrics.iter().collect(),
            window_days: self.window_days,
            from: date_of(from),
            to: date_of(to),
            exposed_by: self.exposed_by,
            spans: self.spans.clone(),
        }
    }

    /// Holds an answer against what the definition gives for those days.
    fn hold(&self, experiment: usize, from: i64, to: i64, found: &Collected) {
        let mut health = Vec::new();
        let mut moments = Vec::new();
        for day in from..=to {
            for ((epoch, variant), row) in self.cohort(experiment, day) {
                let name = match VARIANTS[variant] {
                    CONTROL => "c",
                    CANDIDATE => "t",
                    other => other,
                };
                let total = |of: fn(&Unit) -> i64| row.units.iter().map(of).sum::<i64>();
                health.push(format!(
                    "{} {epoch} {name} {} {} {} {} {}",
                    date_of(day),
                    row.units.len(),
                    total(|unit| unit.events),
                    total(|unit| unit.missing),
                    total(|unit| unit.not_numbers),
                    row.multiple_exposed
                ));
                if !row.units.is_empty() {
                    moments.push(row.moments(self.before > 0));
                }
            }
        }
        assert_eq!(lines(&found.health), health);
        let moments: Vec<[f64; 5]> = moments.into_iter().flatten().collect();
        assert_eq!(found.moments.height(), moments.len());
        for (row, expected) in moments.iter().enumerate() {
            for (name, expected) in ["mean_y", "m2_y", "mean_d", "m2_d", "c_yd"].into_iter().zip(expected) {
                let found = float(&found.moments, name, row);
                assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{name}: {found} and {expected}");
            }
        }
    }
}

#[derive(Debug, Default)]
struct Expected {
    units: Vec<Unit>,
    multiple_exposed: i64,
}

#[derive(Debug, Default)]
struct Unit {
    events: i64,
    missing: i64,
    not_numbers: i64,
    inside: Sums,
    before: Sums,
}

#[derive(Debug, Default)]
struct Sums {
    accepted: f64,
    generated: f64,
    latency: f64,
    slow: f64,
}

/// One sum of a unit, inside its window or before.
type Of = fn(&Sums) -> f64;

impl Expected {
    /// In the order of [`metrics`].
    fn moments(&self, covariates: bool) -> Vec<[f64; 5]> {
        let of = |y: (Of, bool), d: (Of, bool)| {
            let n = self.units.len() as f64;
            let value = |unit: &Unit, (of, before): (Of, bool)| of(if before { &unit.before } else { &unit.inside });
            let (y, d) = (|unit: &Unit| value(unit, y), |unit: &Unit| value(unit, d));
            let about = |of: &dyn Fn(&Unit) -> f64| self.units.iter().map(of).sum::<f64>();
            let (mean_y, mean_d) = (about(&y) / n, about(&d) / n);
            [
                mean_y,
                about(&|unit| (y(unit) - mean_y).powi(2)),
                mean_d,
                about(&|unit| (d(unit) - mean_d).powi(2)),
                about(&|unit| (y(unit) - mean_y) * (d(unit) - mean_d)),
            ]
        };
        let ratio = |y: Of, d: Of| {
            let companions = [
                ((y, false), (y, true)),
                ((y, false), (d, true)),
                ((d, false), (y, true)),
                ((d, false), (d, true)),
                ((y, true), (d, true)),
            ];
            std::iter::once(((y, false), (d, false))).chain(companions.into_iter().filter(move |_| covariates))
        };
        let (latency, one): (Of, Of) = (|unit| unit.latency, |_| 1.0);
        let mean = [((latency, false), (one, false)), ((latency, false), (latency, true))];
        let generated: Of = |unit| unit.generated;
        ratio(|unit| unit.accepted, generated)
            .chain(mean.into_iter().take(1 + usize::from(covariates)))
            .chain(ratio(|unit| unit.slow, generated))
            .map(|(y, d)| of(y, d))
            .collect()
    }
}

fn metrics(window_days: u16) -> Vec<Metric> {
    let metrics = vec![
        ratio("acceptance", count("plan_accepted"), count("plan_generated")),
        mean("latency", sum("plan_generated", "latency_ms")),
        ratio("slow", above("plan_generated", "latency_ms", 300.0), count("plan_generated")),
    ];
    metrics.into_iter().map(|metric| Metric { window_days, ..metric }).collect()
}

#[tokio::test]
async fn all_ways_of_reading_give_what_the_definition_says() {
    for seed in 0..25 {
        let world = World::new(seed);
        let lake = world.write();
        let warehouse = lake.open();
        let metrics = metrics(world.window_days);
        let last = DAYS - 1 - i64::from(world.window_days);
        // All days of all experiments; each day alone; and ranges that begin and end elsewhere.
        let mut wanted: Vec<Vec<(usize, i64, i64)>> = vec![(0..3).map(|experiment| (experiment, 0, last)).collect()];
        wanted.extend((0..=last).map(|day| vec![(day as usize % 3, day, day)]));
        wanted.push(vec![(0, last, last), (1, 0, 2), (0, 1, 3), (2, 2, last)]);
        for asked in wanted {
            let requests: Vec<CohortRequest<'_>> =
                asked.iter().map(|(experiment, from, to)| world.request(*experiment, &metrics, *from, *to)).collect();
            let answers = warehouse.collect_many(&requests).await;
            for ((experiment, from, to), answer) in asked.into_iter().zip(answers) {
                world.hold(experiment, from, to, &answer.unwrap_or_else(|error| panic!("{seed}: {error}")));
            }
        }
    }
}

/// The days before the first reach behind the lake's first folder: nothing happened there.
#[tokio::test]
async fn what_was_before_exposure_is_what_the_definition_says() {
    for seed in 30..50 {
        let mut world = World::new(seed);
        world.before = 1 + seed as i64 % 4;
        let lake = world.write();
        let warehouse = lake.open();
        let plain = metrics(world.window_days);
        let covariate_days = Some(world.before as u16);
        let with = |metric: &Metric| Metric { covariate_days, ..metric.clone() };
        let far: Vec<Metric> = plain
            .iter()
            .map(with)
            .flat_map(|metric| std::iter::once(metric.clone()).chain(metric.companions()))
            .collect();
        let last = DAYS - 1 - i64::from(world.window_days);
        let mut wanted: Vec<Vec<(usize, i64, i64)>> = vec![(0..3).map(|experiment| (experiment, 0, last)).collect()];
        wanted.extend((0..=last).map(|day| vec![(day as usize % 3, day, day)]));
        wanted.push(vec![(0, last, last), (1, 0, 2), (0, 1, 3), (2, 2, last)]);
        for asked in wanted {
            // With each the same without covariates, which is not to see any of it.
            let requests: Vec<CohortRequest<'_>> = asked
                .iter()
                .flat_map(|(experiment, from, to)| [&far, &plain].map(|of| world.request(*experiment, of, *from, *to)))
                .collect();
            let answers = warehouse.collect_many(&requests).await;
            let near = World { before: 0, ..World::new(seed) };
            for ((experiment, from, to), answer) in asked.into_iter().zip(answers.chunks(2)) {
                let [far, plain] = answer else { panic!("two answers") };
                world.hold(experiment, from, to, far.as_ref().unwrap_or_else(|error| panic!("{seed}: {error}")));
                near.hold(experiment, from, to, plain.as_ref().unwrap_or_else(|error| panic!("{seed}: {error}")));
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_request_leaves_the_others() {
    let mut world = World::new(7);
    world.window_days = 1;
    let lake = world.write();
    let good = metrics(1);
    let bad = [mean("price", sum("plan_generated", "price"))];
    // The third experiment has a unit without a name.
    let mut frame = df!(
        "experiment_id" => [world.experiments[2].id.to_string()],
        "unit_id" => [None::<&str>],
        "variant_id" => [CONTROL],
        "assigned_at" => [begin()],
    )
    .unwrap();
    lake.write("assignments", FIRST, "part-1.parquet", utc(&mut frame, "assigned_at"));
    let requests = [
        world.request(0, &good, 0, 4),
        world.request(1, &bad, 0, 4),
        world.request(2, &good, 0, 4),
        world.request(1, &good, 3, 2),
        world.request(1, &good, 2, 3),
    ];
    let answers = lake.open().collect_many(&requests).await;
    world.hold(0, 0, 4, answers[0].as_ref().unwrap());
    assert!(matches!(&answers[1], Err(WarehouseError::MissingColumn { column, .. }) if column == "price"));
    assert!(matches!(&answers[2], Err(WarehouseError::WrongColumn { column, .. }) if column == "unit_id"));
    assert!(matches!(&answers[3], Err(WarehouseError::BadRequest { .. })));
    world.hold(1, 2, 3, answers[4].as_ref().unwrap());
}

#[tokio::test]
async fn a_file_that_breaks_off_hurts_only_whoever_reads_it() {
    let mut world = World::new(3);
    world.window_days = 1;
    let lake = world.write();
    let good = metrics(1);
    let path = lake.path("events", &date_of(1).to_string(), "part-0.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4..60].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let requests = [world.request(0, &good, 0, 3), world.request(1, &good, 2, 4)];
    let answers = lake.open().collect_many(&requests).await;
    assert!(matches!(&answers[0], Err(WarehouseError::BrokenPartition { path: broken, .. }) if *broken == path));
    world.hold(1, 2, 4, answers[1].as_ref().unwrap());
}

#[tokio::test]
async fn a_night_opens_the_events_of_the_new_days_only() {
    let mut world = World::new(11);
    world.window_days = 1;
    let lake = world.write();
    for folder in (0..DAYS).filter(|folder| ![5, 6].contains(folder)) {
        fs::write(lake.path("events", &date_of(folder).to_string(), "part-0.parquet"), "not to be opened").unwrap();
    }
    let metrics = metrics(1);
    let requests = [world.request(0, &metrics, 5, 5), world.request(2, &metrics, 5, 5)];
    let answers = lake.open().collect_many(&requests).await;
    world.hold(0, 5, 5, answers[0].as_ref().unwrap());
    world.hold(2, 5, 5, answers[1].as_ref().unwrap());
}
