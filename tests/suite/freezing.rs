//! Thresholds that are taken from what was, and then stay: `freeze-thresholds` with the real program.

use std::fs::File;

use polars::prelude::{ParquetReader, SerReader};
use serde_json::Value;

use crate::embedded::{PROMOTION, World, better, day, of, outcome, reasons, two_in_the_night_after};

const METRICS: &str = "\
metrics:
  acceptance_rate: # accepted plans per generated plan
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    numerator: { event: plan_generated, sum: cost }
    denominator: { event: plan_generated }
  # by what is usual
  slow_plans:
    direction: decrease
    numerator: { event: plan_generated, count_above: { field: latency_ms, freeze: { percentile: 0.95, times: 1.2 } } } # frozen once
    denominator: { event: plan_generated }
";

/// Every latency of those days, in order.
fn latencies(world: &World, days: i64) -> Vec<f64> {
    let mut found = Vec::new();
    for n in 0..days {
        let folder = world.path(&format!("lake/events/date={}", day(n)));
        for file in std::fs::read_dir(folder).unwrap() {
            let frame = ParquetReader::new(File::open(file.unwrap().path()).unwrap()).finish().unwrap();
            let types = frame.column("event_type").unwrap().str().unwrap().clone();
            let values = frame.column("latency_ms").unwrap().f64().unwrap().clone();
            let plans = types.iter().zip(values.iter()).filter(|(event, _)| *event == Some("plan_generated"));
            found.extend(plans.filter_map(|(_, value)| value));
        }
    }
    found.sort_by(f64::total_cmp);
    found
}

#[tokio::test]
async fn a_threshold_is_frozen_once_and_does_not_move_under_a_running_experiment() {
    let mut world = World::new(vec![better("steady")]).await;
    world.write("metrics.yml", METRICS);
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let (as_of, now) = (day(1).to_string(), two_in_the_night_after(day(1)));
    let at = |arguments: &[&'static str]| -> Vec<String> {
        let more = ["--as-of", &as_of, "--now", &now];
        arguments.iter().copied().chain(more).map(str::to_owned).collect()
    };
    let run = async |arguments: &[&'static str], code: i32| {
        let arguments = at(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        world.run(&arguments).await.expect(code)
    };
    let checked = run(&["check", "--only", "metrics"], 1).await;
    assert!(
        checked.out.contains("no threshold is frozen") && checked.out.contains("freeze-thresholds"),
        "{}",
        checked.out
    );

    // Who is judged by it is held, and harm of the other metrics is looked for all the same.
    let judged_by = format!("{PROMOTION}    - {{ metric: slow_plans, margin: 0.20 }}\n");
    world.write("promotion.yml", &judged_by);
    let night = world.night(day(0), 3).await;
    assert_eq!(outcome(&night, "steady"), "hold");
    assert!(reasons(&night, "steady").contains(&"misconfigured".to_owned()), "{night:#}");

    // There is nothing from before the experiment.
    run(&["freeze-thresholds"], 1).await.complains("there are 0 events");
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), METRICS);

    world.write("promotion.yml", PROMOTION);
    let shown = run(&["freeze-thresholds", "--dry-run", "--output", "json"], 0).await.json();
    assert_eq!(shown["written"], false);
    let threshold = shown["thresholds"][0]["threshold"].as_f64().unwrap();
    let all = latencies(&world, 2);
    assert_eq!(shown["thresholds"][0]["events"], all.len());
    let exact = all[(0.95 * all.len() as f64).ceil() as usize - 1];
    assert!(threshold >= 1.2 * exact && threshold <= 1.2 * exact * 1.002, "{threshold} for {exact}");
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), METRICS);

    let told = run(&["freeze-thresholds"], 0).await;
    assert!(told.out.contains("slow_plans: metrics.latency_ms of plan_generated above"), "{}", told.out);
    let frozen = METRICS.replace("latency_ms, freeze", &format!("latency_ms, threshold: {threshold}, freeze"));
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), frozen);
    run(&["check", "--only", "metrics"], 0).await;

    // It stays, and under a running experiment it must.
    let again: Value = run(&["freeze-thresholds", "--output", "json"], 0).await.json();
    assert_eq!(
        (again["written"].as_bool(), again["thresholds"][0]["threshold"].as_f64()),
        (Some(false), Some(threshold))
    );
    world.write("promotion.yml", &judged_by);
    run(&["freeze-thresholds", "slow_plans", "--again"], 1)
        .await
        .complains("must not change while the experiment runs");
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), frozen);
    // Of a metric that nobody is judged by it may be taken anew.
    world.write("promotion.yml", PROMOTION);
    run(&["freeze-thresholds", "slow_plans", "--again"], 0).await;
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), frozen);
    run(&["freeze-thresholds", "cost_per_plan"], 1).await.complains("has no `freeze`");

    world.write("promotion.yml", &judged_by);
    let night = world.night(day(1), 0).await;
    let told = of(&night, "steady")["amendment"]["changes"].to_string();
    assert!(told.contains("count_above"), "{told}");
}
