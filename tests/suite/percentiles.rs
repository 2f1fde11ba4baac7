//! Percentiles in reports, with the real program: they stand in mail and page, and decide nothing.

use serde_json::Value;

use crate::embedded::{World, better, day, of, told};

const SHOWN: &str = "
percentiles:
  latency: { event: plan_generated, field: latency_ms, from: 10, to: 60000, levels: [0.5, 0.9] }
";

/// The last of two nights, with that at the end of metrics.yml.
async fn night(more: &str) -> (World, Value, String) {
    let mut world = World::new(vec![better("steady")]).await;
    let metrics = include_str!("../../config/metrics.example.yml");
    world.write("metrics.yml", &format!("{metrics}{more}"));
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let mut run = world.nightly("run", day(1));
    run.args(["--output", "json"]);
    let told = told(run).await.expect(0);
    let report = told.json();
    (world, report, told.err)
}

#[tokio::test]
async fn percentiles_are_shown_and_decide_nothing() {
    let (world, with, _) = night(SHOWN).await;
    let (_, without, _) = night("").await;
    let candidate = |report: &Value, key: &str| of(report, "steady")["candidates"][0][key].clone();
    for key in ["decision", "assessment", "forecast"] {
        assert_eq!(candidate(&with, key), candidate(&without, key), "{key}");
    }
    assert_eq!(candidate(&without, "percentiles"), Value::Null);
    let shown = candidate(&with, "percentiles");
    let levels: Vec<f64> = shown.as_array().unwrap().iter().map(|one| one["level"].as_f64().unwrap()).collect();
    assert_eq!(levels, [0.5, 0.9]);
    for reading in shown.as_array().unwrap() {
        for arm in ["control", "candidate"] {
            let number = |key: &str| reading[arm][key].as_f64().unwrap_or_else(|| panic!("{arm} {key}: {reading}"));
            let (value, low, high) = (number("value"), number("low"), number("high"));
            assert!(low < value && value < high && high < 1.5 * low, "{reading}");
        }
    }
    assert!(shown[0]["control"]["value"].as_f64() < shown[1]["control"]["value"].as_f64(), "{shown}");
    let mail = &world.mails()[0];
    assert!(mail.contains("decides nothing): latency p50: "), "{mail}");
    assert!(world.page(day(1)).contains("deciding nothing: latency p50: "), "{}", world.page(day(1)));
    // Read once: the same night again finds it decided, and adds no cohort.
    let cohorts = "SELECT count(*) FROM rampkeeper_cohorts";
    let before = world.count(cohorts).await;
    world.night(day(1), 0).await;
    assert_eq!(world.count(cohorts).await, before);
    world.run(&["verify"]).await.expect(0);
}

#[tokio::test]
async fn what_cannot_be_shown_holds_nobody_up() {
    let (_, report, log) = night(&SHOWN.replace("latency_ms", "no_such_field")).await;
    let (_, without, _) = night("").await;
    let decision = |report: &Value| of(report, "steady")["candidates"][0]["decision"].clone();
    assert_eq!(decision(&report), decision(&without));
    assert!(log.contains("no_such_field"), "{log}");
}
