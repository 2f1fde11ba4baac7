//! Moves at size, and taken back: `undo-moves`.

use std::time::{Duration, Instant};

use rampkeeper::control::ControlStore;
use rampkeeper::domain::{ExperimentId, VariantId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{assign, night, on_the_eve_of_a_rollback, units_on};
use crate::embedded::{Told, World, day, outcome, told, two_in_the_night_after};
use crate::support::postgres::Postgres;

/// The experiment in a database of its own, with a rollback on record whose units are still to be moved.
async fn on_postgres(postgres: &Postgres, units: u64) -> (World, String) {
    let url = postgres.database("moves").await;
    let mut world = World::bare(vec![]);
    world.settings["control"] = json!({ "url": url });
    world.configure();
    world.run(&["migrate"]).await.expect(0);
    let (e, c, t) = ids();
    let step = json!({ "step": "move_assignments", "from": t, "from_name": "t", "to": c, "to_name": "control" });
    let payload = json!({ "experiment": e, "unit_type": "user", "step": step });
    let statements = format!(
        "INSERT INTO exp.experiments (id, name, status, unit_type, start_at) VALUES ('{e}', 'e', 'active', 'user', '2026-03-02');
         INSERT INTO exp.variants (id, experiment_id, name, allocation) VALUES
         ('{c}', '{e}', 'control', 1), ('{t}', '{e}', 't', 0);
         INSERT INTO exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
         SELECT '{e}', 'user', md5(i::text), CASE WHEN i <= {units} THEN '{t}' ELSE '{c}' END::uuid,
                timestamptz '2026-03-02' + i * interval '1 microsecond' FROM generate_series(1, {units} + 1000) i;
         INSERT INTO rampkeeper.allocation_epochs (experiment_id, number, started_at, allocations, opened_by, moved_units)
         VALUES ('{e}', 0, '2026-03-02', '[[\"{c}\", 1.0], [\"{t}\", 0.0]]', 'start', 0);
         INSERT INTO rampkeeper.runs (id, as_of, started_at, config_digest) VALUES ('{e}', '2026-03-03', '2026-03-04', 'd');
         INSERT INTO rampkeeper.decisions (id, position, run_id, experiment_id, candidate_id, as_of, revision, outcome,
             decision, inputs_digest, decided_at, previous_hash, hash)
         VALUES ('{DECISION}', 1, '{e}', '{e}', '{t}', '2026-03-03', 0, 'rollback', '{{}}', 'i', '2026-03-04', '', 'h');
         INSERT INTO rampkeeper.actions (idempotency_key, decision_id, run_id, position, kind, payload, status,
             created_at, updated_at)
         VALUES ('{KEY}', '{DECISION}', '{e}', 1, 'move_assignments', '{payload}', 'done', '2026-03-04', '2026-03-04');
         ANALYZE exp.assignments;"
    );
    postgres.sql(&url, &statements).await;
    (world, url)
}

const DECISION: &str = "d0c1510e-0000-4000-8000-000000000001";
const KEY: &str = "d0c1510e-0000-4000-8000-000000000001/0/move_assignments";

fn ids() -> (Uuid, Uuid, Uuid) {
    (Uuid::from_u128(1), Uuid::from_u128(10), Uuid::from_u128(11))
}

/// The number of units of the large test: a million where `RAMPKEEPER_TEST_UNITS` says so.
fn many() -> u64 {
    std::env::var("RAMPKEEPER_TEST_UNITS").ok().and_then(|units| units.parse().ok()).unwrap_or(200_000)
}

async fn undo(world: &World, arguments: &[&str]) -> Told {
    let now = two_in_the_night_after(day(3));
    let mut all = vec!["undo-moves", "--now", &now, "--output", "json"];
    all.extend(arguments);
    world.run(&all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_units_are_moved_and_taken_back_within_a_minute_a_million() {
    let (postgres, units) = (Postgres::shared().await, many());
    let (world, url) = on_postgres(postgres, units).await;
    let before =
        postgres.sql(&url, "SELECT md5(string_agg(a::text, '' ORDER BY unit_id)) FROM exp.assignments a").await;
    let control = ControlStore::connect(&url.clone().into()).await.unwrap();
    let ((e, c, t), now) = (ids(), two_in_the_night_after(day(2)).parse().unwrap());
    let within = Duration::from_secs(60).mul_f64((units as f64 / 1e6).max(0.5));

    let began = Instant::now();
    let moved = control.move_assignments(KEY, ExperimentId(e), VariantId(t), VariantId(c), now).await.unwrap();
    let (moving, left) = (began.elapsed(), control.units_on(ExperimentId(e), VariantId(t), now).await.unwrap());
    assert_eq!((moved, left), (units, 0));
    assert!(moving < within, "{units} units took {moving:?}");
    let recorded =
        "SELECT count(*) FROM rampkeeper.assignment_moves m JOIN exp.assignments a USING (experiment_id, unit_id)
                    WHERE m.assigned_at = a.assigned_at AND m.to_variant = a.variant_id";
    assert_eq!(postgres.sql(&url, recorded).await, units.to_string());

    let counted = undo(&world, &["d0c1510e", "--dry-run"]).await.expect(0).json();
    assert_eq!((counted["dry_run"].as_bool(), counted["moved_back"].as_u64()), (Some(true), Some(units)));
    let began = Instant::now();
    let undone = undo(&world, &["d0c1510e"]).await.expect(0).json();
    let undoing = began.elapsed();
    assert_eq!((undone["moved_back"].as_u64(), undone["stuck"].as_u64()), (Some(units), Some(0)));
    assert!(undoing < within, "{units} units took {undoing:?} to go back");
    eprintln!("{units} units: moved in {moving:?}, taken back in {undoing:?}");
    let after = postgres.sql(&url, "SELECT md5(string_agg(a::text, '' ORDER BY unit_id)) FROM exp.assignments a").await;
    assert_eq!(after, before, "every unit is where it was");
    let again = undo(&world, &[DECISION]).await.expect(0).json();
    assert_eq!((again["moved_back"].as_u64(), again["undone_before"].as_u64()), (Some(0), Some(units)));
    let epochs =
        "SELECT string_agg(number || ' ' || moved_units, ', ' ORDER BY number) FROM rampkeeper.allocation_epochs";
    assert_eq!(postgres.sql(&url, epochs).await, "0 0, 1 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undoing_that_is_stopped_gives_the_lease_back_and_is_ended_by_the_next() {
    let postgres = Postgres::shared().await;
    let units = 60_000;
    let (world, url) = on_postgres(postgres, units).await;
    let control = ControlStore::connect(&url.clone().into()).await.unwrap();
    let ((e, c, t), now) = (ids(), two_in_the_night_after(day(2)).parse().unwrap());
    control.move_assignments(KEY, ExperimentId(e), VariantId(t), VariantId(c), now).await.unwrap();
    // Half a second a batch, so that it can be met at work.
    postgres
        .sql(
            &url,
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END';
             CREATE TRIGGER slow AFTER UPDATE ON exp.assignments FOR EACH STATEMENT EXECUTE FUNCTION slow();",
        )
        .await;
    let mut command = world.command(&["undo-moves", "d0c1", "--now", &two_in_the_night_after(day(3))]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    let back = "SELECT count(*) FROM rampkeeper.assignment_moves WHERE move_key LIKE 'undo/%'";
    while postgres.sql(&url, back).await == "0" {
        assert!(began.elapsed() < Duration::from_secs(30), "no batch went back");
    }
    super::stopping::send(&child, "-TERM").await;
    let asked = Instant::now();
    let ended = Told::from(child.wait_with_output().await.unwrap()).expect(1);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    ended.complains("SIGTERM").complains("the next run goes on from there");
    assert_eq!(postgres.sql(&url, "SELECT count(*) FROM rampkeeper.leases").await, "0");
    let half: u64 = postgres.sql(&url, back).await.parse().unwrap();
    assert!(half > 0 && half < units, "{half}");

    postgres.sql(&url, "DROP TRIGGER slow ON exp.assignments").await;
    // The next night goes on with it, as with any other step.
    let now = two_in_the_night_after(day(4));
    let night = world.run(&["run", "--as-of", "2026-03-06", "--now", &now, "--output", "json"]).await.expect(0).json();
    assert_eq!(night["resumed"], json!([format!("take the units that decision {DECISION} moved back")]));
    let ended = undo(&world, &["d0c1510e"]).await.expect(0).json();
    assert_eq!((ended["moved_back"].as_u64(), ended["undone_before"].as_u64()), (Some(0), Some(units)));
    let there = format!("SELECT count(*) FROM exp.assignments WHERE variant_id = '{t}'");
    assert_eq!(postgres.sql(&url, &there).await, units.to_string());
    assert_eq!(postgres.sql(&url, "SELECT count(*) FROM rampkeeper.actions WHERE status = 'pending'").await, "0");
}

/// The decision of a night's only candidate.
fn decision(report: &Value) -> String {
    report["experiments"][0]["candidates"][0]["decision_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rollbacks_units_go_back_and_stay_back() {
    let mut world = on_the_eve_of_a_rollback().await;
    assign(&world, "candidate", "u", 120).await;
    assign(&world, "control", "c", 50).await;
    let (report, code) = night(&world, day(1)).await;
    assert_eq!((outcome(&report, "costly"), code), ("rollback", Some(0)));
    assert_eq!((units_on(&world, "candidate").await, units_on(&world, "control").await), (0, 170));
    // One is moved elsewhere and one assigned anew by the services around the job.
    world.sql("DELETE FROM exp_assignments WHERE unit_id = 'u1'").await;
    world.sql("UPDATE exp_assignments SET assigned_at = '2026-03-05T10:00:00.000000Z' WHERE unit_id = 'u2'").await;

    let decision = decision(&report);
    let now = two_in_the_night_after(day(1)).replace("02:00", "09:00");
    let arguments = ["undo-moves", &decision[..8], "--now", &now];
    let state = world.state().await;
    let counted = world.run(&[&arguments[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(
        counted.out.contains("118 units would go back, 2 would stay where they are. Nothing was changed."),
        "{counted:?}"
    );
    assert_eq!(world.state().await, state, "a dry run changes nothing");
    let undone = world.run(&arguments).await.expect(0);
    assert!(undone.out.contains(&format!("Decision {decision}: rollback of costly/candidate, as of 2026-03-03")));
    assert!(undone.out.contains("118 units went back, 2 stay where they are."), "{}", undone.out);
    assert!(undone.out.contains("left alone: u1, u2\n"), "{}", undone.out);
    assert_eq!((units_on(&world, "candidate").await, units_on(&world, "control").await), (118, 51));
    let state = world.state().await;
    let again = world.run(&arguments).await.expect(0);
    assert!(again.out.contains("0 units went back, 2 stay"), "{}", again.out);
    assert_eq!(world.state().await, state, "undone once more, nothing changes");

    // The second sweep, which was still to come, was given up; the next night leaves the units alone.
    world.live(day(2)).await;
    let (report, code) = night(&world, day(2)).await;
    assert_eq!((code, &report["resumed"]), (Some(0), &json!([])), "{report:#}");
    assert_eq!(units_on(&world, "candidate").await, 118);
    let epochs = "SELECT group_concat(number || ' ' || opened_by || ' ' || moved_units, ', ') FROM
                  (SELECT * FROM rampkeeper_allocation_epochs ORDER BY number)";
    assert_eq!(world.text(epochs).await, "0 start 0, 1 decision 1, 2 decision 1");
}

#[tokio::test]
async fn what_cannot_be_undone_is_said() {
    let world = on_the_eve_of_a_rollback().await;
    let (report, _) = night(&world, day(0)).await;
    let (held, now) = (decision(&report), two_in_the_night_after(day(1)));
    let none = world.run(&["undo-moves", &held[..8], "--now", &now]).await.expect(0);
    assert!(none.out.contains("It moved no units, so nothing is to be undone."), "{}", none.out);
    for unknown in ["ffff0000", "%", "decision"] {
        let told = world.run(&["undo-moves", unknown, "--now", &now]).await.expect(1);
        told.complains(&format!("no decision's key begins with {unknown:?}"));
    }
    night(&world, day(1)).await;
    let mut keys: Vec<String> = Vec::new();
    for n in 0..2 {
        keys.push(world.text(&format!("SELECT id FROM rampkeeper_decisions WHERE position = {}", n + 1)).await);
    }
    let shared = keys[0].chars().zip(keys[1].chars()).take_while(|(a, b)| a == b).count();
    if shared > 0 {
        let told = world.run(&["undo-moves", &keys[0][..shared], "--now", &now]).await.expect(1);
        told.complains("give more of the key").complains(&keys[1]);
    }
    world
        .sql("INSERT INTO rampkeeper_leases (name, holder, expires_at) VALUES ('night', 'another', '2027-01-01')")
        .await;
    let refused = world.run(&["undo-moves", &keys[1], "--now", &now]).await.expect(75);
    refused.complains("another run holds the lease: another");
    told(world.command(&["undo-moves", &keys[1], "--now", &now, "--dry-run"])).await.expect(0);
}
