//! What a night's statistics cost: `cargo bench`.

use std::collections::BTreeMap;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rampkeeper::domain::{Bound, Direction, Guardrail, Margin, Policy};
use rampkeeper::evidence::{Assessment, PromotionLook, Reading, Seen, Standards};
use rampkeeper::simulate::{Base, Counts, MetricTruth, Ramp, Scenario, Shape, Trial, World, simulate};
use rampkeeper::stats::{Moments, Stratum};

fn main() {
    divan::main();
}

const METRICS: usize = 8;
const COHORTS: usize = 30;

/// Thirty days of a metric in two arms, no two alike.
fn strata(metric: usize) -> Vec<Stratum> {
    let arm = |day: usize, shift: f64| {
        let n = 1_000 + 37 * day as u64 + metric as u64;
        let mean = 0.4 + 0.01 * metric as f64 + shift + 0.001 * (day as f64).sin();
        Moments::of_units(n, mean, mean * (1.0 - mean) * n as f64)
    };
    (0..COHORTS).map(|day| Stratum { control: arm(day, 0.0), candidate: arm(day, 0.001) }).collect()
}

fn policy(max_nights: Option<u32>) -> Policy {
    let bound = Bound::Margin(Margin::try_from(0.05).expect("a constant"));
    Policy {
        guardrails: (0..METRICS).map(|n| Guardrail::new(format!("g{n}"), bound)).collect(),
        max_nights,
        ..Policy::standard()
    }
}

fn assessment(policy: &Policy, guardrails: Vec<Reading>) -> Assessment {
    let mut assessment = Assessment {
        evidence_through: None,
        control_units: 0,
        candidate_units: 0,
        guardrails,
        success: Vec::new(),
        log_e_rollback: 0.0,
        promotion_look: PromotionLook::EveryNight,
        split: None,
        multiple_exposure: 0.0,
        events: 0,
        not_numbers: 0,
        from_events: None,
    };
    assessment.weigh(policy);
    assessment
}

/// One experiment's full verdict from its closed cohorts: strata summed with overlap weights, e-values, intervals on both
/// sides, verdicts, and the average and adjusted e-values, of eight metrics over thirty cohorts in two arms.
#[divan::bench]
fn verdict_of_an_experiment(bencher: Bencher<'_, '_>) {
    let metrics: Vec<(String, Vec<Stratum>)> = (0..METRICS).map(|n| (format!("g{n}"), strata(n))).collect();
    let policy = policy(None);
    let standards = Standards::of(&policy, 1, None);
    let how = standards.guardrail(policy.guardrails[0].bound, Direction::Increase);
    bencher.bench(|| {
        let readings = metrics.iter().map(|(name, strata)| Reading::judge(name, black_box(strata), &how));
        assessment(&policy, readings.collect())
    });
}

/// The same from sums that were carried along, as the simulation does: one night more.
#[divan::bench]
fn verdict_of_one_more_night(bencher: Bencher<'_, '_>) {
    let metrics: Vec<(String, Seen, Stratum)> = (0..METRICS)
        .map(|n| {
            let mut seen = Seen::default();
            let strata = strata(n);
            strata.iter().for_each(|stratum| seen.add(stratum, 1000).expect("good moments"));
            (format!("g{n}"), seen, strata[0])
        })
        .collect();
    let policy = policy(None);
    let standards = Standards::of(&policy, 1, None);
    let how = standards.guardrail(policy.guardrails[0].bound, Direction::Increase);
    bencher.bench(|| {
        let readings = metrics.iter().map(|(name, seen, stratum)| {
            let mut seen = *seen;
            seen.add(black_box(stratum), 1000).expect("good moments");
            Reading::judge_seen(name, &seen, &how)
        });
        assessment(&policy, readings.collect())
    });
}

/// 20,000 experiments over 30 nights with 8 guardrails, on two cores. `followed` experiments are promoted by nobody, so
/// every one lasts all its nights; `decided` ones end as the policy says.
#[divan::bench(args = ["followed", "decided"], sample_count = 5, sample_size = 1)]
fn twenty_thousand_experiments(bencher: Bencher<'_, '_>, ends: &str) {
    let world = World {
        units_per_day: vec![5_000],
        nights: 30,
        metrics: BTreeMap::from([("default".to_owned(), MetricTruth { mean: 1.0, shape: Shape::Normal, cv: 1.0 })]),
        correlation: 0.3,
        base: Base::default(),
        missing_nights: 0.0,
        late_data: 0.0,
        counts: Counts::Planned,
        ramp: Ramp::Decided,
        closes_after_days: None,
        scenarios: Vec::new(),
    };
    let mut policy = policy(Some(30));
    if ends == "followed" {
        policy.stages[2].min_days = 1000;
    }
    let trial = Trial::new(&policy, &BTreeMap::new(), &world, &Scenario::default(), 5_000);
    bencher.counter(ItemsCount::new(20_000u64)).bench(|| simulate(black_box(&trial), 20_000, 1, 2, &|_| {}));
}
