//! The error rates of the policy, measured through the code that decides, against an independent simulation's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rampkeeper::domain::{Bound, Guardrail, Margin, Policy};
use rampkeeper::simulate::{
    Base, Counts, MetricTruth, Ramp, Scenario, Shape, Tally, Trial, World, operating_characteristics, simulate,
};
use serde_json::Value;

/// Runs per trial of the study: enough for four standard errors to tell a wrong rule from a right one, and quick.
const RUNS: u64 = 2_500;

fn quiet(_: u64) {}

fn disagreeing(section: u32) -> Vec<String> {
    let sections = operating_characteristics().expect("the study's constants are in range");
    let section = sections.iter().find(|s| s.number == section).expect("a section of that number");
    let mut found = Vec::new();
    for cell in &section.cells {
        let tally = simulate(&cell.trial(), RUNS, 1, 2, &quiet);
        for figure in cell.figures.iter().filter(|figure| !figure.agrees(&tally)) {
            let measured = figure.measure.of(&tally);
            found.push(format!("{}: {measured:?} instead of {figure:?}", cell.label));
        }
    }
    found
}

#[test]
fn a_candidate_that_is_no_worse_is_rarely_rolled_back() {
    assert_eq!(disagreeing(1), Vec::<String>::new());
}

#[test]
fn harm_is_found_as_fast_as_it_should_be() {
    assert_eq!(disagreeing(2), Vec::<String>::new());
}

#[test]
fn promotion_errs_as_rarely_as_its_level_says_and_succeeds_as_often_as_it_should() {
    assert_eq!(disagreeing(3), Vec::<String>::new());
}

#[test]
fn the_whole_policy_has_its_operating_characteristics() {
    assert_eq!(disagreeing(4), Vec::<String>::new());
}

#[test]
fn a_base_rate_that_moves_during_the_ramp_does_no_harm() {
    assert_eq!(disagreeing(5), Vec::<String>::new());
}

#[test]
fn a_broken_split_is_found_and_a_sound_one_left_alone() {
    assert_eq!(disagreeing(6), Vec::<String>::new());
}

fn policy(guardrails: usize) -> Policy {
    let bound = Bound::Margin(Margin::try_from(0.05).unwrap());
    Policy {
        guardrails: (1..=guardrails).map(|n| Guardrail::new(format!("g{n}"), bound)).collect(),
        max_nights: Some(30),
        ..Policy::standard()
    }
}

fn world(truth: MetricTruth) -> World {
    World {
        units_per_day: Vec::new(),
        nights: 30,
        metrics: [("default".to_owned(), truth)].into(),
        correlation: 0.3,
        base: Base::default(),
        missing_nights: 0.0,
        late_data: 0.0,
        counts: Counts::Planned,
        ramp: Ramp::Decided,
        closes_after_days: None,
        scenarios: Vec::new(),
    }
}

const BELL: MetricTruth = MetricTruth { mean: 1.0, shape: Shape::Normal, cv: 1.0 };

fn run(policy: &Policy, world: &World, scenario: &Scenario, units_per_day: u64, runs: u64, threads: usize) -> Tally {
    let trial = Trial::new(policy, &BTreeMap::new(), world, scenario, units_per_day);
    simulate(&trial, runs, 7, threads, &quiet)
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut world = world(BELL);
    (world.missing_nights, world.late_data, world.counts) = (0.1, 0.1, Counts::Drawn);
    let on = |threads| run(&policy(3), &world, &Scenario::default(), 2_000, 900, threads);
    assert_eq!(on(1), on(3));
}

/// Nights without a run and days that come late cost time and no error.
#[test]
fn missing_nights_and_late_days_raise_no_error_rate() {
    let mut hampered = world(BELL);
    (hampered.missing_nights, hampered.late_data) = (0.15, 0.15);
    let same = run(&policy(8), &hampered, &Scenario::default(), 5_000, 3_000, 2);
    assert!(same.rate(&same.rollbacks).share < 0.025, "{same:?}");
    let at_margin = Scenario { effects: [("g1".to_owned(), -0.05)].into(), ..Scenario::default() };
    let worse = run(&policy(8), &hampered, &at_margin, 1_000, 3_000, 2);
    let promoted = worse.rate(&worse.promotions);
    assert!(promoted.share - 4.0 * promoted.error <= 0.05, "{promoted:?}");
    let smooth = run(&policy(8), &world(BELL), &Scenario::default(), 5_000, 3_000, 2);
    let mean_night = |tally: &Tally| {
        let nights = tally.promotions.iter().zip(0u64..).map(|(count, night)| count * night);
        nights.sum::<u64>() as f64 / tally.promotions.iter().sum::<u64>() as f64
    };
    assert!(mean_night(&smooth) < mean_night(&same), "{} {}", mean_night(&smooth), mean_night(&same));
}

/// Row by row, with all the skewness of the metric, the level of one guardrail alone is kept.
#[test]
fn raw_rows_of_every_shape_keep_the_level() {
    let mut alone = policy(1);
    alone.materiality = 0.0;
    let truths = [
        BELL,
        MetricTruth { mean: 0.02, shape: Shape::Rate, cv: 1.0 },
        MetricTruth { mean: 1.0, shape: Shape::Lognormal, cv: 1.0 },
        MetricTruth { mean: 1.0, shape: Shape::Pareto, cv: 1.0 },
        MetricTruth { mean: 0.4, shape: Shape::Ratio, cv: 1.0 },
    ];
    for truth in truths {
        let trial = Trial::new(&alone, &BTreeMap::new(), &world(truth), &Scenario::default(), 1_000).raw(true);
        let tally = simulate(&trial, 400, 3, 2, &quiet);
        let false_harm = tally.rate(&tally.rollbacks);
        assert!(false_harm.share - 3.0 * false_harm.error <= 0.05, "{truth:?}: {false_harm:?}");
        let (lift, error) = tally.effect.mean().unwrap();
        assert!(lift.abs() <= 0.01 + 5.0 * error, "{truth:?}: {lift} ± {error}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The command

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rampkeeper(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rampkeeper"));
    command.args(arguments).env_remove("RAMPKEEPER_CONFIG").current_dir(root());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const EXAMPLE: [&str; 5] =
    ["simulate", "--config", "config/rampkeeper.example.yml", "--world", "config/simulation.example.yml"];

#[test]
fn the_example_world_is_simulated_alike_for_a_seed() {
    let with = |more: &[&str]| rampkeeper(&[&EXAMPLE, more].concat());
    let first = with(&["--runs", "200", "--output", "json"]);
    assert_eq!(first.status.code(), Some(0), "{}", told(&first));
    assert_eq!(first.stdout, with(&["--runs", "200", "--output", "json"]).stdout);
    assert_ne!(first.stdout, with(&["--runs", "200", "--output", "json", "--seed", "2"]).stdout);
    let document: Value = serde_json::from_slice(&first.stdout).unwrap();
    for result in document["results"].as_array().unwrap() {
        let share = |what: &str| result[what]["share"].as_f64().unwrap();
        assert!((share("rollback") + share("promote") + share("hold") - 1.0).abs() < 1e-9, "{result}");
    }
    let table = told(&with(&["--runs", "200"]));
    for word in ["no effect", "rolled back", "units harmed", "200 experiments a row"] {
        assert!(table.contains(word), "{word} is not in {table}");
    }
}

#[test]
fn a_budget_that_is_exceeded_ends_with_1() {
    let with = |bound: &str| rampkeeper(&[&EXAMPLE[..], &["--runs", "2000", "--fail-above", bound]].concat());
    let kept = with("0.05");
    assert_eq!(kept.status.code(), Some(0), "{}", told(&kept));
    let exceeded = with("0.0001");
    assert_eq!(exceeded.status.code(), Some(1), "{}", told(&exceeded));
    assert!(told(&exceeded).contains("exceeded: false rollback in \"no effect\""), "{}", told(&exceeded));
}

fn refused(world: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("world.yml");
    std::fs::write(path, world).unwrap();
    let output = rampkeeper(&[&EXAMPLE[..4], &[path.to_str().unwrap(), "--runs", "10"]].concat());
    assert_eq!(output.status.code(), Some(78), "{}", told(&output));
    told(&output)
}

#[test]
fn a_world_that_cannot_be_is_refused_with_all_its_faults() {
    let told = refused(
        "units_per_day: [0]\ncorrelation: 2\nmetrics:\n  acceptance: { mean: 1 }\n  default: { mean: 2, shape: rate }\n\
         scenarios:\n  - name: harmful\n    effects: { default: -1.5 }\n",
    );
    for fault in ["world.yml:1:1: units_per_day", "world.yml:2:1: correlation", "no metric of the policy is named"] {
        assert!(told.contains(fault), "{fault} is not in {told}");
    }
    for fault in ["metrics.default.mean: a rate lies between 0 and 1", "scenarios[0].effects.default"] {
        assert!(told.contains(fault), "{fault} is not in {told}");
    }
    let told =
        refused("units_per_day: [1000]\nmetrics: { default: { mean: 1, colour: red } }\nscenarios: [{ name: a }]\n");
    assert!(told.contains("world.yml:2:") && told.contains("colour"), "{told}");
}
