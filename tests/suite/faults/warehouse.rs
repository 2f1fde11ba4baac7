//! Events and assignments that are slow, gone, of the wrong type, absent, not finite, of the future, copied, or double.

use polars::prelude::{DataFrame, IntoColumn, NamedFrom, Series};
use rampkeeper::demo::{Assignment, Event};
use serde_json::json;
use sqlx::Connection;

use super::store::Eve;
use crate::bad_input::reason;
use crate::embedded::{World, assignments_frame, better, day, events_frame, key, of, outcome, reasons, save};
use crate::support::postgres::Postgres;

const AS_IT_WAS: &str = "control 0.9000, candidate 0.1000";
const RAMPED: &str = "control 0.7500, candidate 0.2500";

// ---------------------------------------------------------------------------------------------------------------------
// Slow, gone, of the wrong type

#[tokio::test]
async fn a_query_that_takes_too_long_holds_its_experiment_alone() {
    let mut eve = Eve::of(Postgres::shared().await, "slow_query", vec![better("quick"), better("slow")]).await;
    eve.world.settings["warehouse"] = json!({ "postgres": { "statement_timeout_seconds": 1 } });
    eve.world.configure();
    eve.sql(&format!(
        "create function exp.wait() returns boolean language plpgsql volatile cost 100000 as $$ begin
             perform pg_sleep(60);
             return true;
         end $$;
         alter table exp.assignments rename to assigned;
         create view exp.assignments as select * from exp.assigned where experiment_id <> '{}' or exp.wait();",
        key("slow")
    ))
    .await;
    let report = eve.world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "quick"), "ramp");
    assert_eq!(outcome(&report, "slow"), "hold");
    let why = reason(&report, "slow", "query_failed", "why");
    assert!(why.contains("took longer than 1 s and was cancelled; raise the statement timeout"), "{why}");

    eve.sql("drop view exp.assignments; alter table exp.assigned rename to assignments").await;
    let report = eve.world.night(day(1), 0).await;
    assert_eq!((outcome(&report, "slow"), outcome(&report, "quick")), ("ramp", "none"));
    assert_eq!(of(&report, "slow")["candidates"][0]["revision"], 1);
}

/// Whoever is killed can cancel nothing; the server looks whether anybody still waits.
#[tokio::test]
async fn a_night_that_is_killed_leaves_no_query_behind() {
    let eve = Eve::of(Postgres::shared().await, "killed_query", vec![better("steady")]).await;
    eve.sql(
        "create function exp.wait() returns boolean language plpgsql volatile cost 100000 as $$ begin
             perform pg_sleep(300);
             return true;
         end $$;
         alter table exp.assignments rename to assigned;
         create view exp.assignments as select * from exp.assigned where exp.wait();",
    )
    .await;
    let mut night = eve.night_that_waits("PgSleep").await;
    night.kill().await.unwrap();
    let running = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    let began = std::time::Instant::now();
    while eve.sql(running).await != "0" {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "the query runs on");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_warehouse_that_goes_away_in_a_query_ends_the_night() {
    let eve = Eve::of(Postgres::shared().await, "gone", vec![better("steady")]).await;
    let mut other = sqlx::PgConnection::connect(&eve.url).await.unwrap();
    sqlx::raw_sql("begin; lock table exp.assignments in access exclusive mode").execute(&mut other).await.unwrap();
    let night = eve.night_that_waits("relation").await;
    eve.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'relation'
             and datname = current_database()",
    )
    .await;
    let told: crate::embedded::Told = night.wait_with_output().await.unwrap().into();
    let told = told.expect(1);
    told.complains("is out of reach").complains("terminating connection");
    other.close().await.unwrap();
    assert_eq!(eve.sql("select count(*) from rampkeeper.decisions").await, "0");
    assert_eq!(outcome(&eve.world.night(day(1), 0).await, "steady"), "ramp");
}

#[tokio::test]
async fn a_column_of_another_type_holds_and_is_named() {
    let eve = Eve::of(Postgres::shared().await, "json", vec![better("steady")]).await;
    eve.sql("drop view if exists exp.v_active_experiments; alter table exp.events alter metrics drop default, alter metrics type json")
        .await;
    let report = eve.world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "steady"), "hold");
    let why = reason(&report, "steady", "query_failed", "why");
    assert!(why.contains(r#"exp.events: column "metrics" should hold jsonb, but it holds json"#), "{why}");
    eve.sql("alter table exp.events alter metrics type jsonb").await;
    assert_eq!(outcome(&eve.world.night(day(1), 0).await, "steady"), "ramp");
}

// ---------------------------------------------------------------------------------------------------------------------
// Values that are none

/// The costs of so many events of the first day, of one arm.
fn some_costs(count: usize) -> String {
    format!(
        "(select id from (
             select e.id from exp.events e join exp.assignments a using (unit_id)
             where e.event_type = 'plan_generated' and a.assigned_at < '2026-03-03'
               and e.timestamp < a.assigned_at + interval '1 day'
             order by e.unit_id, e.id limit {count}) as first)"
    )
}

async fn counted(eve: &Eve<'_>, what: &str) -> String {
    eve.sql(&format!("select sum((health ->> '{what}')::int) from rampkeeper.cohorts")).await
}

/// An event without the field counts as an event; what it lacks adds nothing, and the cohort says how many there were.
#[tokio::test]
async fn a_field_that_is_absent_adds_nothing_and_is_counted() {
    let eve = Eve::of(Postgres::shared().await, "absent", vec![better("steady")]).await;
    let costs = some_costs(18);
    eve.sql(&format!("update exp.events set metrics = metrics - 'cost' where id in {costs}")).await;
    eve.sql(&format!("update exp.events set metrics = '{{\"cost\": null}}' where id in {}", some_costs(9))).await;
    let report = eve.world.night(day(1), 0).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!((counted(&eve, "missing").await, counted(&eve, "not_numbers").await), ("18".into(), "0".into()));
}

/// A few are borne; more, and nothing rises.
#[tokio::test]
async fn numbers_that_are_none_hold_and_are_counted() {
    let postgres = Postgres::shared().await;
    for (name, value) in
        [("huge", "1e400"), ("nan", "\"NaN\""), ("infinity", "\"-Infinity\""), ("truth", "true"), ("list", "[1]")]
    {
        for (count, code, wanted) in [(2, 0, "ramp"), (20, 3, "hold")] {
            let eve = Eve::of(postgres, name, vec![better("steady")]).await;
            let costs = some_costs(count);
            eve.sql(&format!("update exp.events set metrics = '{{\"cost\": {value}}}' where id in {costs}")).await;
            let report = eve.world.night(day(1), code).await;
            assert_eq!(outcome(&report, "steady"), wanted, "{count} of {value}");
            assert_eq!(counted(&eve, "not_numbers").await, count.to_string(), "{value}");
            if wanted == "hold" {
                assert_eq!(reasons(&report, "steady")[0], "not_numbers", "{value}");
            }
        }
    }
}

#[tokio::test]
async fn numbers_of_a_lake_that_are_none_hold_and_are_counted() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut world = World::new(vec![better("steady")]).await;
        let mut events = world.live(day(0)).await.events;
        world.live(day(1)).await;
        let costs = events.iter_mut().filter(|event| event.cost.is_some()).take(20);
        costs.for_each(|event| event.cost = Some(value));
        save(&world.events(day(0)), &mut events_frame(&events));
        let report = world.night(day(1), 3).await;
        assert_eq!(reasons(&report, "steady")[0], "not_numbers", "{value}");
        assert_eq!(world.allocations("steady").await, AS_IT_WAS);
    }
}

/// Finite, but not its square: no moment of it can be told.
#[tokio::test]
async fn numbers_too_large_to_be_squared_hold_and_name_the_metric() {
    let eve = Eve::of(Postgres::shared().await, "large", vec![better("steady")]).await;
    eve.sql(&format!("update exp.events set metrics = '{{\"cost\": 1e200}}' where id in {}", some_costs(1))).await;
    let report = eve.world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "steady"), "hold");
    let why = reason(&report, "steady", "query_failed", "why").to_owned();

    let mut world = World::new(vec![better("steady")]).await;
    let mut events = world.live(day(0)).await.events;
    world.live(day(1)).await;
    events.iter_mut().find(|event| event.cost.is_some()).unwrap().cost = Some(1e200);
    save(&world.events(day(0)), &mut events_frame(&events));
    let report = world.night(day(1), 3).await;
    let in_lake = reason(&report, "steady", "query_failed", "why");
    assert!(in_lake.contains("cost_per_plan"), "{in_lake}");
    for why in [&why, in_lake] {
        assert!(why.contains("too large to be squared and summed") && why.contains("not finite"), "{why}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows that should not be there

/// What was read of each cohort.
async fn checksums(world: &World) -> String {
    let rows = "SELECT cohort_date || ' ' || variant_id || ' ' || checksum AS row FROM rampkeeper_cohorts ORDER BY 1";
    world.text(&format!("SELECT group_concat(row, x'0a') FROM ({rows})")).await
}

#[tokio::test]
async fn an_event_of_the_future_completes_no_day_and_counts_nowhere() {
    let mut world = World::new(vec![better("steady")]).await;
    world.live(day(0)).await;
    let whole = world.live(day(1)).await.events;
    world.night(day(1), 0).await;
    let undisturbed = checksums(&world).await;

    // The same world, in which a client's clock is a year ahead.
    let mut world = World::new(vec![better("steady")]).await;
    let mut first = world.live(day(0)).await.events;
    world.live(day(1)).await;
    let ahead = |event: &Event| Event { at: event.at + jiff::SignedDuration::from_hours(24 * 365), ..event.clone() };
    let stray: Vec<Event> = first.iter().take(50).map(ahead).collect();
    first.extend(stray.clone());
    save(&world.events(day(0)), &mut events_frame(&first));
    let noon = "2026-03-03T12:00:00Z".parse().unwrap();
    let half: Vec<Event> = whole.iter().filter(|event| event.at < noon).cloned().chain(stray.clone()).collect();
    save(&world.events(day(1)), &mut events_frame(&half));
    let report = world.night(day(1), 0).await;
    assert_eq!(reasons(&report, "steady")[0], "stale", "half a day was taken for a whole one: {report:#}");
    let told = world.page(day(1));
    assert!(told.contains("the events of 2026-03-03 are incomplete: its last event is of 2026-03-03T11:"), "{told}");

    let complete: Vec<Event> = whole.iter().cloned().chain(stray).collect();
    save(&world.events(day(1)), &mut events_frame(&complete));
    assert_eq!(outcome(&world.night(day(1), 0).await, "steady"), "ramp");
    assert_eq!(checksums(&world).await, undisturbed);
}

/// An `event_id` for each row of a day.
fn with_ids(mut frame: DataFrame, day: i64) -> DataFrame {
    let ids: Vec<String> = (0..frame.height()).map(|row| format!("e-{day}-{row}")).collect();
    frame.with_column(Series::new("event_id".into(), ids).into_column()).unwrap();
    frame
}

/// In a lake by `event_id`; in PostgreSQL the table's key lets no copy in. Without an id nothing tells a copy from a second
/// event that is alike, so both count.
#[tokio::test]
async fn copies_of_an_event_count_once_by_their_id() {
    let mut read = Vec::new();
    for (ids, copied) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut world = World::new(vec![better("steady")]).await;
        for n in 0..2 {
            let events = world.live(day(n)).await.events;
            let mut frame = events_frame(&events);
            if ids {
                frame = with_ids(frame, n);
            }
            save(&world.events(day(n)), &mut frame);
            if copied {
                save(&world.events(day(n)).with_file_name("part-1.parquet"), &mut frame);
            }
        }
        world.night(day(1), 0).await;
        read.push(checksums(&world).await);
    }
    assert_eq!(read[0], read[1], "with an id, an export that ran twice changes nothing");
    assert_eq!(read[0], read[2], "the id alone changes nothing");
    assert_ne!(read[2], read[3], "without an id, copies are events");

    let eve = Eve::of(Postgres::shared().await, "copies", vec![better("steady")]).await;
    let mut connection = sqlx::PgConnection::connect(&eve.url).await.unwrap();
    let again = sqlx::raw_sql("insert into exp.events select * from exp.events limit 1").execute(&mut connection).await;
    let refused = again.unwrap_err().into_database_error().unwrap();
    assert_eq!(refused.code().as_deref(), Some("23505"), "{refused}");
}

#[tokio::test]
async fn units_in_two_arms_are_left_out_and_hold_when_many() {
    for (count, wanted) in [(1, "ramp"), (30, "hold")] {
        let mut world = World::new(vec![better("steady")]).await;
        let assignments = world.live(day(0)).await.assignments;
        world.live(day(1)).await;
        let [control, candidate] = ["control", "candidate"].map(|arm| key(&format!("steady {arm}")));
        let other = |a: &Assignment| Assignment {
            variant: if a.variant == control { candidate } else { control },
            at: a.at + jiff::SignedDuration::from_secs(60),
            ..a.clone()
        };
        let second: Vec<Assignment> = assignments.iter().take(count).map(other).collect();
        let file = world.assignments(day(0)).with_file_name("part-1.parquet");
        save(&file, &mut assignments_frame(&second));
        let report = world.night(day(1), 0).await;
        assert_eq!(outcome(&report, "steady"), wanted, "{count} units in two arms");
        let units = "SELECT sum(json_extract(health, '$.units')) FROM rampkeeper_cohorts";
        let left_out = "SELECT sum(json_extract(health, '$.multiple_exposed')) FROM rampkeeper_cohorts";
        let (units, left_out) = (world.count(units).await, world.count(left_out).await);
        let count = i64::try_from(count).unwrap();
        assert_eq!(units, 1_200 - count);
        assert!(left_out >= count, "{left_out}");
        match wanted {
            "hold" => assert_eq!(reasons(&report, "steady")[0], "multiple_exposure"),
            _ => assert_eq!(world.allocations("steady").await, RAMPED),
        }
    }
}
