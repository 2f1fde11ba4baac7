//! Thresholds that are frozen when a version comes in, by a hand and by the night; on SQLite and on PostgreSQL.

use jiff::civil::date;
use rampkeeper::control::{ControlError, ControlStore, Kind, NewEnrolment, RouteNote, Run};
use rampkeeper::domain::{
    Experiment, ExperimentId, ExperimentStatus, Share, Threshold, Variant, VariantConfig, VariantId,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::gate::{AUTO, DONE, enroll, result, world};
use crate::embedded::{PROMOTION, World, day, key, of, reasons, two_in_the_night_after};
use crate::support::postgres::Postgres;

const METRICS: &str = "\
metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    numerator: { event: plan_generated, sum: cost }
    denominator: { event: plan_generated }
  slow_plans:
    direction: decrease
    numerator: { event: plan_generated, count_above: { field: latency_ms, freeze: { percentile: 0.95, times: 1.2, days: 2 } } }
    denominator: { event: plan_generated }
";

fn judged_by_it() -> String {
    format!("{PROMOTION}    - {{ metric: slow_plans, margin: 0.20 }}\n")
}

/// What `freeze-thresholds` would take from the days up to that one.
async fn expected(world: &World, until: jiff::civil::Date) -> f64 {
    let promotion = std::fs::read_to_string(world.path("promotion.yml")).unwrap();
    // Judged by nobody, it is taken from the days up to the as-of day.
    world.write("promotion.yml", PROMOTION);
    let (as_of, now) = (until.to_string(), two_in_the_night_after(until));
    let arguments = ["freeze-thresholds", "--dry-run", "--output", "json", "--as-of", &as_of, "--now", &now];
    let shown = world.run(&arguments).await.expect(0).json();
    world.write("promotion.yml", &promotion);
    shown["thresholds"][0]["threshold"].as_f64().unwrap()
}

async fn stored(world: &World) -> f64 {
    world.text("SELECT CAST(threshold AS TEXT) FROM rampkeeper_thresholds").await.parse().unwrap()
}

/// The metric in the rules that the last night judged by.
async fn decided_by(world: &World) -> String {
    world
        .text(
            "SELECT json_extract(r.rules, '$.metrics.slow_plans') FROM rampkeeper_amendments a
             JOIN rampkeeper_rules r ON r.digest = a.rules_digest ORDER BY a.number DESC LIMIT 1",
        )
        .await
}

#[tokio::test]
async fn a_hand_that_lets_a_version_in_freezes_what_its_experiment_needs() {
    let mut world = world(&judged_by_it()).await;
    world.write("metrics.yml", METRICS);
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    world.sql("INSERT INTO rampkeeper_registry_tags VALUES ('steady_model', '2', 'trained', 'yes')").await;
    // Before there is anything to take it from, nobody comes in.
    let before = world.state().await;
    enroll(&world, &[], 1)
        .await
        .complains("the threshold of slow_plans could not be taken")
        .complains("there are 0 events");
    assert_eq!(world.state().await, before);
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let expected = expected(&world, day(1)).await;
    let now = two_in_the_night_after(day(1));
    let hand = ["enroll", "steady", "steady policy/2", "--name", "candidate", "--by", "ana", "--now", &now];
    let before = world.state().await;
    let dry = world.run(&[&hand[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(dry.out.contains(&format!("frozen: slow_plans counts what is above {expected}")), "{}", dry.out);
    assert_eq!(world.state().await, before);
    let told: Value = world.run(&[&hand[..], &["--output", "json"]].concat()).await.expect(0).json();
    assert_eq!(told["thresholds"][0]["threshold"].as_f64(), Some(expected), "{told:#}");
    assert_eq!(stored(&world).await, expected);

    // The nights judge by it, the file without a number notwithstanding; nothing is held as misconfigured.
    world.live(day(2)).await;
    world.live(day(3)).await;
    for n in 2..4 {
        let night = world.night(day(n), 0).await;
        assert!(!reasons(&night, "steady").contains(&"misconfigured".to_owned()), "{night:#}");
        assert_eq!(of(&night, "steady")["amendment"], Value::Null);
    }
    assert!(decided_by(&world).await.contains(&expected.to_string()), "{}", decided_by(&world).await);
    let again = world.night(day(3), 0).await;
    assert_eq!(of(&again, "steady")["standing"], "already_decided");
    world.run(&["replay", "--as-of", &day(3).to_string()]).await.expect(0);
    world.run(&["verify"]).await.expect(0);
    let explained = world.run(&["explain", "steady", "--as-of", &day(3).to_string()]).await.expect(0);
    assert!(explained.out.contains("slow_plans"), "{}", explained.out);
    // `freeze-thresholds` leaves what the experiment is judged by.
    let (as_of, now) = (day(3).to_string(), two_in_the_night_after(day(3)));
    let kept = world.run(&["freeze-thresholds", "--as-of", &as_of, "--now", &now]).await.expect(0);
    assert!(
        kept.out.contains("frozen as a version came into steady") && kept.out.contains("Nothing was written"),
        "{}",
        kept.out
    );
    assert_eq!(std::fs::read_to_string(world.path("metrics.yml")).unwrap(), METRICS);
    let checked = world.run(&["check", "--only", "metrics", "--as-of", &as_of, "--now", &now]).await;
    assert!(checked.out.contains("its threshold is frozen for steady"), "{}", checked.out);

    // A number in the file goes before, as another definition: the evidence begins anew.
    world.write("metrics.yml", &METRICS.replace("latency_ms, freeze", "latency_ms, threshold: 1234.5, freeze"));
    world.live(day(4)).await;
    let night = world.night(day(4), 0).await;
    assert!(of(&night, "steady")["amendment"]["changes"].to_string().contains("1234.5"), "{night:#}");
    assert!(decided_by(&world).await.contains("1234.5"));
}

#[tokio::test]
async fn the_night_that_lets_a_version_in_freezes_first() {
    let mut world = world(&format!("{}{AUTO}", judged_by_it())).await;
    world.write("metrics.yml", METRICS);
    result(&world, 1, "0.8", DONE).await;
    // Of a day with a handful of events no percentile can be told.
    world.live(day(0)).await;
    world.live(day(1)).await;
    world.night(day(1), 0).await;
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_thresholds").await, 0);
    let expected = expected(&world, day(2).yesterday().unwrap()).await;
    result(&world, 2, "0.9", DONE).await;
    let night = world.night(day(1), 0).await;
    let route = of(&night, "steady")["route"].to_string();
    assert!(route.contains("enrolled by the night"), "{route}");
    assert!(route.contains(&format!("slow_plans counts what is above {expected}")), "{route}");
    assert_eq!(stored(&world).await, expected);
    assert!(!reasons(&night, "steady").contains(&"misconfigured".to_owned()), "{night:#}");
    let after = world.state().await;
    assert_eq!(of(&world.night(day(1), 0).await, "steady")["standing"], "already_decided");
    assert_eq!(world.state().await, after, "a second run changes nothing");
    // Days with other latencies change nothing of it.
    world.live(day(2)).await;
    let night = world.night(day(2), 0).await;
    assert_eq!(of(&night, "steady")["amendment"], Value::Null, "{night:#}");
    assert_eq!(stored(&world).await, expected);
    assert!(decided_by(&world).await.contains(&expected.to_string()));
    world.run(&["replay", "--as-of", &day(2).to_string()]).await.expect(0);
}

#[tokio::test]
async fn without_a_threshold_the_night_lets_nobody_in_and_tells_that_once() {
    let mut world = world(&format!("{}{AUTO}", judged_by_it())).await;
    // So far out that there are too few events.
    world.write("metrics.yml", &METRICS.replace("percentile: 0.95", "percentile: 0.999999"));
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.9", DONE).await;
    world.live(day(0)).await;
    let night = world.night(day(0), 0).await;
    let route = of(&night, "steady")["route"].to_string();
    assert!(
        route.contains("not enrolled") && route.contains("the threshold of slow_plans could not be taken"),
        "{route}"
    );
    assert_eq!(world.allocations("steady").await, "control 1.0000");
    world.live(day(1)).await;
    assert_eq!(of(&world.night(day(1), 0).await, "steady")["route"], json!([]), "told once");
}

/// A candidate at work would be judged by another measure from one night to the next.
#[tokio::test]
async fn under_a_candidate_at_work_nothing_is_frozen() {
    let mut world = World::new(vec![crate::embedded::better("steady")]).await;
    world.write("metrics.yml", METRICS);
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.night(day(1), 0).await;
    let version = key("steady version 3");
    world
        .sql(&format!(
            "INSERT INTO exp_policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
             VALUES ('{version}', '{}', 3, 'steady_model', '3');
             INSERT INTO rampkeeper_registry_tags VALUES ('steady_model', '3', 'trained', 'yes')",
            key("steady policy")
        ))
        .await;
    let more = "experiments:\n  steady:\n    enrolment: { most_candidates: 2 }\n";
    world.write("promotion.yml", &format!("{}{more}", judged_by_it()));
    let now = two_in_the_night_after(day(1));
    let hand = ["enroll", "steady", "steady policy/3", "--force", "--reason", "tests", "--now", &now];
    world.run(&hand).await.expect(1).complains("slow_plans has no threshold yet, and a candidate is at work already");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_thresholds").await, 0);
}

/// The same tables in both stores: what is frozen comes back to the bit, once, and nobody changes it.
async fn is_kept(store: &ControlStore, sql: impl AsyncFn(String) -> Result<(), String>, prefix: [&str; 2]) {
    let [exp, own] = prefix;
    let id = |of: &str| key(&format!("kept {of}"));
    for statement in [
        format!(
            "INSERT INTO {exp}experiments (id, name, status, unit_type, created_at, updated_at) VALUES
             ('{}', 'kept', 'active', 'user', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00Z')",
            id("experiment")
        ),
        format!(
            "INSERT INTO {exp}variants (id, experiment_id, name, allocation, config, created_at) VALUES
             ('{}', '{}', 'control', '1.0000', '{{\"feature_enabled\": false}}', '2026-03-01T00:00:00Z')",
            id("control"),
            id("experiment")
        ),
        format!("INSERT INTO {exp}policies (id, name) VALUES ('{}', 'kept policy')", id("policy")),
        format!(
            "INSERT INTO {exp}policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version) VALUES
             ('{}', '{}', 1, 'm', '1')",
            id("version"),
            id("policy")
        ),
    ] {
        sql(statement).await.unwrap();
    }
    let now = "2026-03-05T02:00:00Z".parse().unwrap();
    let run = Run::by_hand(Uuid::new_v4());
    store.start_run(run, date(2026, 3, 4), "digest", now).await.unwrap();
    let share = |share: f64| Share::try_from(share).unwrap();
    let experiment = Experiment {
        id: ExperimentId(id("experiment")),
        name: "kept".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: None,
        end_at: None,
        variants: vec![Variant {
            id: VariantId(id("control")),
            name: "control".to_owned(),
            allocation: share(1.0),
            config: Ok(VariantConfig::Flag),
        }],
    };
    let frozen = [Threshold {
        metric: "slow_plans".to_owned(),
        definition: "above the line: p0.95".to_owned(),
        threshold: 0.1 + 0.2,
        value: 1.0 / 3.0,
        from: date(2026, 2, 19),
        to: date(2026, 3, 4),
        events: 123_456,
    }];
    let new = NewEnrolment {
        id: id("enrolment"),
        run: run.id,
        experiment: &experiment,
        variant: VariantId(id("candidate")),
        name: "candidate".to_owned(),
        description: String::new(),
        kind: Kind::Policy,
        version: id("version"),
        config: json!({ "policy_version_id": id("version") }),
        share: share(0.1),
        shrunk: vec![(VariantId(id("control")), share(1.0), share(0.9))],
        epochs: Vec::new(),
        thresholds: &frozen,
        detail: json!({}),
        by: "ana".to_owned(),
        reason: "tests".to_owned(),
        act: None,
        actions: Vec::new(),
        note: RouteNote { experiment: experiment.id, about: "enrolled".to_owned(), line: "enrolled".to_owned() },
        now,
    };
    store.enrol(&new).await.unwrap();
    let records = store.load_experiments().await.unwrap();
    assert_eq!(records[0].thresholds, frozen);
    for change in ["UPDATE {}thresholds SET threshold = 1", "DELETE FROM {}thresholds"] {
        let refused = sql(change.replace("{}", own)).await.unwrap_err();
        assert!(refused.contains("append-only"), "{refused}");
    }
    let again: Result<(), ControlError> = store.enrol(&new).await;
    assert!(again.is_err());
    assert_eq!(store.load_experiments().await.unwrap()[0].thresholds, frozen);
}

#[tokio::test]
async fn postgresql_keeps_what_was_frozen() {
    let url = Postgres::shared().await.database("thresholds").await;
    let store = ControlStore::connect(&url.clone().into()).await.unwrap();
    store.migrate().await.unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let sql = async |statement: String| {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await;
        done.map(drop).map_err(|error| error.to_string())
    };
    is_kept(&store, sql, ["exp.", "rampkeeper."]).await;
}

#[tokio::test]
async fn sqlite_keeps_what_was_frozen() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
    let store = ControlStore::connect(&url.clone().into()).await.unwrap();
    store.migrate().await.unwrap();
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let sql = async |statement: String| {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await;
        done.map(drop).map_err(|error| error.to_string())
    };
    is_kept(&store, sql, ["exp_", "rampkeeper_"]).await;
}
