//! Metrics with a covariate, night by night: what units did before they were exposed takes its part of the variance away, so
//! that they are judged sooner, and what is stored comes to the same again.

use jiff::ToSpan;
use rampkeeper::demo::{DayOfTraffic, Effects, Event, FIRST_DAY, Scenario};
use serde_json::Value;

use crate::embedded::{World, better, day, events_frame, of, outcome, reasons, save};

const UNITS: u32 = 1_500;
/// How many days there are in the lake before the first exposure.
const PAST: i64 = 20;
const NIGHTS: i64 = 5;

const METRICS: &str = "\
metrics:
  cost_per_user:
    direction: decrease
    value: { event: plan_generated, sum: cost }COVARIATE
  cost_per_plan:
    direction: decrease
    numerator: { event: plan_generated, sum: cost }
    denominator: { event: plan_generated }COVARIATE
  accepted:
    direction: increase
    value: { event: plan_accepted }
";

const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 80 }
    - { allocation: 0.25, min_days: 1, min_units: 80 }
    - { allocation: 0.50, min_days: 3, min_units: 80 }
  guardrails:
    - { metric: cost_per_user, margin: 0.20 }
    - { metric: cost_per_plan, margin: 0.20 }
    - { metric: accepted, margin: 0.40 }
";

/// How dear a unit's plans are, now and ever: 0.2 to 5.
fn zeal(unit: &str) -> f64 {
    let hash = unit
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let share = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1u32 << 24);
    0.2 * 25f64.powf(share)
}

fn with_zeal(traffic: &mut DayOfTraffic) {
    for event in &mut traffic.events {
        event.cost = event.cost.map(|cost| cost * zeal(&event.unit));
    }
}

/// Four plans of each unit that is to come, on days before anybody was exposed.
fn write_past(world: &World) {
    for n in 1..=PAST {
        let date = FIRST_DAY.checked_sub(n.days()).unwrap();
        let units = (0..NIGHTS).flat_map(|nth| (0..UNITS).map(move |unit| (unit, format!("u0-{nth}-{unit}"))));
        let events: Vec<Event> = units
            .filter(|(unit, _)| i64::from(unit % 5) == n % 5)
            .map(|(unit, name)| Event {
                event: "plan_generated",
                at: format!("{date}T{:02}:00:00Z", unit % 24).parse().unwrap(),
                latency_ms: None,
                cost: Some(0.02 * zeal(&name) * (0.8 + 0.4 * f64::from((unit + n as u32) % 7) / 7.0)),
                unit: name,
            })
            .collect();
        save(&world.events(date), &mut events_frame(&events));
    }
}

struct Lived {
    world: World,
    /// What each night told.
    nights: Vec<Value>,
}

async fn live(covariate: &str) -> Lived {
    let scenario = Scenario { units_per_day: UNITS, effects: Effects::NONE, ..better("steady") };
    let mut world = World::new(vec![scenario]).await;
    world.write("metrics.yml", &METRICS.replace("COVARIATE", covariate));
    world.write("promotion.yml", PROMOTION);
    write_past(&world);
    let mut nights = Vec::new();
    for n in 0..NIGHTS {
        let mut traffic = world.happen(day(n)).await;
        with_zeal(&mut traffic);
        save(&world.events(day(n)), &mut events_frame(&traffic.events));
        save(&world.assignments(day(n)), &mut crate::embedded::assignments_frame(&traffic.assignments));
        if n > 0 {
            nights.push(world.night(day(n), 0).await);
        }
    }
    Lived { world, nights }
}

fn reading<'a>(night: &'a Value, metric: &str) -> &'a Value {
    let guardrails = &of(night, "steady")["candidates"][0]["assessment"]["guardrails"];
    let found = guardrails.as_array().unwrap().iter().find(|reading| reading["metric"] == metric);
    found.unwrap_or_else(|| panic!("{metric} is not in {guardrails:#}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[tokio::test]
async fn what_units_did_before_decides_sooner_and_comes_to_the_same_again() {
    let (with, without) = tokio::join!(live("\n    covariate: { days: 25 }"), live(""));
    let mut sooner = 0;
    for metric in ["cost_per_user", "cost_per_plan"] {
        let mut thetas = Vec::new();
        for (with, without) in with.nights.iter().zip(&without.nights) {
            let (adjusted, plain) = (reading(with, metric), reading(without, metric));
            let covariate = &adjusted["covariate"];
            assert_eq!((&covariate["adjustment"], &covariate["days"]), (&"made".into(), &25.into()), "{adjusted:#}");
            assert_eq!(plain["covariate"], Value::Null);
            thetas.push(covariate["theta"].clone());
            let unadjusted = &covariate["unadjusted"];
            let (saved, se) = (number(&covariate["saved"]), number(&unadjusted["standard_error"]));
            assert!(saved > 0.3, "{metric}: {saved}");
            assert!((number(&adjusted["effect"]) - number(&unadjusted["effect"])).abs() < 3.0 * se);
        }
        // The first night looks at both alike.
        let (adjusted, plain) = (reading(&with.nights[0], metric), reading(&without.nights[0], metric));
        assert_eq!(adjusted["covariate"]["unadjusted"]["interval"], plain["interval"]);
        assert!(thetas.iter().all(|theta| *theta == thetas[0]), "{thetas:?}");
        let safe = |lived: &Lived| lived.nights.iter().position(|night| reading(night, metric)["verdict"] == "safe");
        let (adjusted, plain) = (safe(&with).unwrap_or(99), safe(&without).unwrap_or(99));
        assert!(adjusted <= plain && adjusted < 99, "{metric}: {adjusted} and {plain}");
        sooner += usize::from(adjusted < plain);
    }
    assert!(sooner > 0, "{:#?}", with.nights.iter().map(|night| reasons(night, "steady")).collect::<Vec<_>>());
    // One that has no covariate is as it would be without.
    for part in ["effect", "standard_error", "interval", "log_e_harm", "covariate"] {
        assert_eq!(reading(&with.nights[0], "accepted")[part], reading(&without.nights[0], "accepted")[part], "{part}");
    }

    let world = &with.world;
    let last = day(NIGHTS - 1);
    assert_eq!(of(&world.night(last, 0).await, "steady")["standing"], "already_decided");
    world.run(&["replay", "--as-of", &last.to_string()]).await.expect(0);
    world.run(&["verify"]).await.expect(0);
    let explained = world.run(&["explain", "steady/candidate"]).await.expect(0).out;
    let words: String = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("25 days") && words.contains("less variance"), "{explained}");
    assert_eq!(outcome(&with.nights[0], "steady"), "ramp");
    let page = world.page(day(1));
    assert!(page.contains("adjusted by the 25 days before exposure: "), "{page}");
    assert!(!page.contains('¦'), "what is read beside a metric is nobody's metric");
}

/// The days before exposure are no window of anybody's: without the folders of the past there is nothing to tell from them.
#[tokio::test]
async fn a_warehouse_that_begins_with_the_experiment_leaves_metrics_as_they_are() {
    let scenario = Scenario { units_per_day: 900, effects: Effects::NONE, ..better("steady") };
    let mut world = World::new(vec![scenario]).await;
    world.write("metrics.yml", &METRICS.replace("COVARIATE", "\n    covariate: { days: 14 }"));
    world.write("promotion.yml", PROMOTION);
    world.live(day(0)).await;
    world.live(day(1)).await;
    let night = world.night(day(1), 0).await;
    for metric in ["cost_per_user", "cost_per_plan"] {
        let covariate = &reading(&night, metric)["covariate"];
        assert_eq!(covariate["adjustment"], "not_made", "{covariate}");
        assert_eq!(covariate["why"]["reason"], "constant", "{covariate}");
    }
    assert_eq!(outcome(&night, "steady"), "ramp");
    let page = world.page(day(1));
    assert!(page.contains("not adjusted: the units of the first look do not differ in what they did before"), "{page}");
}

/// An event that comes late into the days before is found as any other, and whoever has it among them is read again.
#[tokio::test]
async fn a_restated_day_before_exposure_is_read_again() {
    let scenario = Scenario { units_per_day: 900, effects: Effects::NONE, ..better("steady") };
    let mut world = World::new(vec![scenario]).await;
    world.write("metrics.yml", &METRICS.replace("COVARIATE", "\n    covariate: { days: 14 }"));
    world.write("promotion.yml", PROMOTION);
    let first = world.live(day(0)).await;
    let past = |n: i64| -> Vec<Event> {
        let mut events = first.events.clone();
        // Units of later days were here already on the first.
        events.extend((0..300).map(|unit| Event {
            event: "plan_generated",
            unit: format!("u0-{n}-{unit}"),
            at: format!("{}T12:00:00Z", day(0)).parse().unwrap(),
            latency_ms: None,
            cost: Some(0.02),
        }));
        events
    };
    world.live(day(1)).await;
    world.live(day(2)).await;
    world.night(day(2), 0).await;
    // The cohorts of the first and the second day are closed; a unit of the second day had a past that nobody knew.
    save(&world.events(day(0)), &mut events_frame(&past(1)));
    world.live(day(3)).await;
    world.night(day(3), 0).await;
    let restated = "SELECT count(DISTINCT cohort_date) FROM rampkeeper_cohorts WHERE revision > 0";
    assert_eq!(world.count(restated).await, 1);
    let which = "SELECT max(cohort_date) FROM rampkeeper_cohorts WHERE revision > 0";
    assert_eq!(world.text(which).await, day(1).to_string());
}
