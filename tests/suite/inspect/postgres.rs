//! The same commands on PostgreSQL: the statements are written once, and must hold there as well.

use serde_json::{Value, json};

use super::{LOOKS, look, look_json, scenarios};
use crate::embedded::{World, day, key};
use crate::support::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn every_look_answers_on_postgres() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("inspect").await;
    // Two days of traffic, judged on the other store.
    let mut world = World::new(scenarios()).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.settings["control"] = json!({ "url": url });
    world.configure();
    world.run(&["migrate"]).await.expect(0);
    for scenario in scenarios() {
        let name = scenario.experiment;
        let (experiment, control, candidate) =
            (key(name), key(&format!("{name} control")), key(&format!("{name} candidate")));
        let statements = format!(
            "INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
             VALUES ('{experiment}', '{name}', 'active', 'user', '2026-03-02');
             INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at) VALUES
             ('{control}', '{experiment}', 'control', 0.9, '{{\"feature_enabled\": false}}', '2026-03-02 00:00:01'),
             ('{candidate}', '{experiment}', 'candidate', 0.1, '{{\"feature_enabled\": true}}', '2026-03-02 00:00:02');"
        );
        postgres.sql(&url, &statements).await;
    }
    for n in 0..2 {
        world.night(day(n), 0).await;
    }
    let hold = json!({ "act": "hold", "until": "2026-03-20", "even_if_harmful": false });
    let steady = key("steady");
    let act = format!(
        "INSERT INTO rampkeeper.acts (id, position, experiment_id, candidate_id, act, said_by, reason, said_at)
         VALUES ('{}', 1, '{steady}', NULL, '{hold}', 'ana', 'a launch', '2026-03-04 08:00:00+00');
         INSERT INTO rampkeeper.leases (name, holder, expires_at) VALUES ('night', 'me', '2030-01-01');
         INSERT INTO rampkeeper.actions
             (idempotency_key, run_id, position, kind, payload, status, attempts, last_error, created_at, updated_at)
         SELECT 'x', id, 999, 'mail', '{{}}', 'failed', 1, 'refused', now(), now() FROM rampkeeper.runs LIMIT 1;",
        key("hold")
    );
    postgres.sql(&url, &act).await;
    for arguments in LOOKS {
        look(&world, arguments).await.expect(0);
    }
    let status = look_json(&world, &["status"]).await;
    assert_eq!(status["candidates"].as_array().map(Vec::len), Some(2));
    assert_eq!(status["in_force"][0]["what"], "hold");
    assert_eq!(status["actions"][0]["given_up"], true);
    assert_eq!(status["lease"]["holder"], "me");
    let verified = look_json(&world, &["verify"]).await;
    assert_eq!((&verified["decisions"], &verified["made_again"]["same"]), (&json!(4), &json!(4)));
    let id = look_json(&world, &["explain", "costly"]).await["id"].clone();
    let beginning = &id.as_str().unwrap()[..8];
    assert_eq!(look_json(&world, &["explain", beginning]).await["id"], id);
    // One that the owner of the tables altered.
    postgres
        .sql(
            &url,
            "ALTER TABLE rampkeeper.decisions DISABLE TRIGGER ALL;
             UPDATE rampkeeper.decisions SET revision = 5 WHERE position = 3;",
        )
        .await;
    let broken: Value = look(&world, &["verify", "--quick", "--output", "json"]).await.expect(3).json();
    assert_eq!(broken["faults"][0]["position"], 3, "{broken:#}");
}
