//! Data that are restated after a night decided from them: found, read again, kept beside what was decided from, and told
//! with what they would have meant.

use std::collections::BTreeSet;

use rampkeeper::demo::{DayOfTraffic, Event};
use serde_json::Value;

use crate::embedded::{World, better, day, events_frame, harmful, key, of, outcome, save};

/// The day's events with the candidate's costs as if they did no harm, and a few events short.
fn as_first_told(traffic: &DayOfTraffic) -> Vec<Event> {
    let candidate = key("costly candidate");
    let units: BTreeSet<&str> =
        traffic.assignments.iter().filter(|a| a.variant == candidate).map(|a| a.unit.as_str()).collect();
    let mut events = traffic.events.clone();
    for event in events.iter_mut().filter(|event| units.contains(event.unit.as_str())) {
        event.cost = event.cost.map(|cost| cost / 1.5);
    }
    events.truncate(events.len() - 5);
    events
}

#[tokio::test]
async fn restated_data_are_read_again_and_told_with_what_they_would_have_meant() {
    let mut world = World::new(vec![harmful("costly")]).await;
    let first = world.live(day(0)).await;
    save(&world.events(day(0)), &mut events_frame(&as_first_told(&first)));
    let second = world.live(day(1)).await;
    save(&world.events(day(1)), &mut events_frame(&as_first_told(&second)));
    let night = world.night(day(1), 0).await;
    assert_eq!(outcome(&night, "costly"), "ramp");
    assert_eq!(of(&night, "costly")["restatement"], Value::Null);

    // The same night over the same data is known; the true data come after it.
    assert_eq!(of(&world.night(day(1), 0).await, "costly")["standing"], "already_decided");
    save(&world.events(day(0)), &mut events_frame(&first.events));
    save(&world.events(day(1)), &mut events_frame(&second.events));
    world.live(day(2)).await;
    let plan = world.nightly("plan", day(2)).arg("--output").arg("json").output().await.unwrap();
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let night = world.night(day(2), 0).await;
    assert_eq!(of(&plan, "costly")["restatement"], of(&night, "costly")["restatement"], "a plan says the same");
    assert_eq!(outcome(&night, "costly"), "rollback");
    let restatement = &of(&night, "costly")["restatement"];
    assert_eq!(restatement["days"].as_array().unwrap().len(), 2, "{restatement}");
    assert_eq!(restatement["cohorts"], 1, "control's did not change");
    assert_eq!(restatement["would_have_been"][0]["was"]["outcome"], "ramp");
    assert_eq!(restatement["would_have_been"][0]["would_be"]["outcome"], "rollback");
    let page = world.page(day(2));
    assert!(page.contains("the last decision was ramp and would have been rollback"), "{page}");
    // What was decided from is still there, and the next night finds nothing new.
    let revisions = "SELECT count(*) FROM rampkeeper_cohorts WHERE revision = 1";
    assert_eq!(world.count(revisions).await, 1);
    world.live(day(3)).await;
    world.night(day(3), 0).await;
    assert_eq!(world.count(revisions).await, 1);
}

/// The same number of events with other costs is found by their checksum, where one is taken, and by nothing else.
#[tokio::test]
async fn events_that_were_changed_in_place_are_found_by_checksums() {
    for checksums in [false, true] {
        let mut world = World::new(vec![better("steady")]).await;
        if checksums {
            world.settings["evidence"] = serde_json::json!({ "restatement": "checksums" });
            world.configure();
        }
        let first = world.live(day(0)).await;
        world.live(day(1)).await;
        let mut dearer = first.events.clone();
        dearer.iter_mut().for_each(|event| event.cost = event.cost.map(|cost| cost * 1.01));
        save(&world.events(day(0)), &mut events_frame(&dearer));
        world.night(day(1), 0).await;
        let before = world.count("SELECT count(content) FROM rampkeeper_partitions").await;
        assert_eq!(before > 0, checksums);
        save(&world.events(day(0)), &mut events_frame(&first.events));
        world.live(day(2)).await;
        let night = world.night(day(2), 0).await;
        let restated = world.count("SELECT count(*) FROM rampkeeper_cohorts WHERE revision > 0").await;
        assert_eq!(restated, if checksums { 2 } else { 0 }, "{night:#}");
        // What was found is found once.
        world.live(day(3)).await;
        world.night(day(3), 0).await;
        let again = world.count("SELECT count(*) FROM rampkeeper_cohorts WHERE revision > 0").await;
        assert_eq!(again, restated);
    }
}

#[tokio::test]
async fn a_day_that_is_half_gone_is_no_restatement() {
    let mut world = World::new(vec![harmful("costly")]).await;
    let first = world.live(day(0)).await;
    world.live(day(1)).await;
    world.night(day(1), 0).await;
    save(&world.events(day(0)), &mut events_frame(&first.events[..first.events.len() / 3]));
    world.live(day(2)).await;
    world.night(day(2), 0).await;
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_cohorts WHERE revision > 0").await, 0);
}
