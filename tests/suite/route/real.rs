//! The whole route on PostgreSQL and MLflow, with the program as it is installed and users that may do no more than is
//! granted: files → versions → offline results → gate → 10 % → nights → production; a second model that the night lets in
//! by itself and rolls back; and a prompt.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use jiff::ToSpan;
use jiff::civil::Date;
use rampkeeper::demo::{Effects, FIRST_DAY, Scenario, Shares, Traffic, Truth};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::process::Command;
use uuid::Uuid;

use crate::night_real::{store_assignments, store_events};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::users::{self, GRANTS, as_user};

const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 300 }
    - { allocation: 0.25, min_days: 1, min_units: 300 }
    - { allocation: 0.50, min_days: 2, min_units: 300 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.05 }
    - { metric: cost_per_plan, margin: 0.10 }
experiments:
  leftovers_exp:
    auto_enroll: true
    enrolment: { policy: leftovers_policy }
";

const POLICIES: &str = "\
policies:
  - name: planner_policy
    description: Plans a week
    versions:
      - { version: 1, mlflow_model_name: route_planner, mlflow_model_version: \"1\" }
      - version: 2
        mlflow_model_name: route_planner
        mlflow_model_version: \"2\"
  - name: leftovers_policy
    versions:
      - { version: 1, mlflow_model_name: route_leftovers, mlflow_model_version: \"1\" }
      - { version: 2, mlflow_model_name: route_leftovers, mlflow_model_version: \"2\" }
";

const PROMPTS: &str = "\
prompts:
  - name: chat
    versions:
      - { version: 1, file_path: v1.md, model_provider: openai, model_name: gpt-4o }
      - { version: 2, file_path: v2.md, model_provider: openai, model_name: gpt-4o }
";

fn experiments() -> String {
    let experiment = |name: &str, config: &str| {
        format!(
            "  - name: {name}\n    unit_type: user\n    status: active\n    start_at: {FIRST_DAY}\n    end_at: 2027-01-01\n    \
             variants:\n      - {{ name: control, allocation: 1.0, config: {config} }}\n"
        )
    };
    let model = |policy: &str| {
        format!(
            "{{ execution_strategy: mlflow_model, mlflow_model: {{ policy: {policy}, version: 1 }}, params: {{ k: 1 }} }}"
        )
    };
    [
        "experiments:\n".to_owned(),
        experiment("planner_exp", &model("planner_policy")),
        experiment("leftovers_exp", &model("leftovers_policy")),
        experiment("chat_exp", "{ execution_strategy: prompt_template, prompt_config: { prompt: chat, version: 1 } }"),
    ]
    .concat()
}

fn scenarios() -> Vec<Scenario> {
    let better = Scenario {
        experiment: "planner_exp",
        candidate: "planner_policy_v2",
        truth: Truth::Better,
        units_per_day: 3_500,
        effects: Effects { acceptance: 1.08, cost: 0.92, ..Effects::NONE },
        candidate_loss: 0.0,
        order_rate: |_| 0.0,
    };
    let harmful = Scenario {
        experiment: "leftovers_exp",
        candidate: "leftovers_policy_v2",
        truth: Truth::Harmful,
        effects: Effects { acceptance: 0.90, cost: 1.25, ..Effects::NONE },
        ..better.clone()
    };
    let prompt = Scenario { experiment: "chat_exp", candidate: "chat_v2", ..better.clone() };
    vec![better, harmful, prompt]
}

struct World {
    postgres: &'static Postgres,
    mlflow: &'static Mlflow,
    url: String,
    pool: PgPool,
    dir: tempfile::TempDir,
    traffic: Traffic,
}

impl World {
    async fn new() -> World {
        let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
        let url = postgres.database("route").await;
        let pool = PgPool::connect(&url).await.unwrap();
        let world = World {
            postgres,
            mlflow,
            url,
            pool,
            dir: tempfile::tempdir().unwrap(),
            traffic: Traffic::new(scenarios(), 7),
        };
        let settings = json!({
            "control": { "url_from": { "env": "RAMPKEEPER_TEST_URL" } },
            "warehouse": { "postgres": { "url_from": { "env": "RAMPKEEPER_TEST_WAREHOUSE" } } },
            "registry": { "mlflow": { "url": mlflow.url() } },
            "mail": { "from": "rampkeeper@example.com", "to": ["team@example.com"], "directory": "mails" },
        });
        world.write("rampkeeper.yml", &settings.to_string());
        world.write("metrics.yml", include_str!("../../../config/metrics.example.yml"));
        world.write("promotion.yml", PROMOTION);
        world.write("policies.yml", POLICIES);
        world.write("prompts.yml", PROMPTS);
        world.write("experiments.yml", &experiments());
        world.postgres.file(&world.url, "queries/migrations/postgres/0001_experiment_tables.sql", &[]).await;
        users::make(world.postgres).await;
        world.postgres.file(&world.url, GRANTS, &[]).await;
        world.done(&["migrate"], 0).await;
        world.postgres.file(&world.url, GRANTS, &[]).await;
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    async fn rampkeeper(&self, arguments: &[&str]) -> Output {
        let user = if arguments == ["migrate"] { "migrate" } else { "control" };
        Command::new(env!("CARGO_BIN_EXE_rampkeeper"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("rampkeeper.yml"))
            .env("RAMPKEEPER_TEST_URL", as_user(&self.url, user))
            .env("RAMPKEEPER_TEST_WAREHOUSE", as_user(&self.url, "warehouse"))
            .env_remove("RAMPKEEPER_CONFIG")
            .output()
            .await
            .unwrap()
    }

    /// Runs a command that must end with that code, and gives all that it said.
    async fn done(&self, arguments: &[&str], code: i32) -> String {
        let output = self.rampkeeper(arguments).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        told
    }

    async fn night(&self, command: &str, day: Date) -> Value {
        let (as_of, now) = (day.to_string(), format!("{}T02:00:00Z", day.tomorrow().unwrap()));
        let output = self.rampkeeper(&[command, "--as-of", &as_of, "--now", &now, "--output", "json"]).await;
        assert_eq!(output.status.code(), Some(0), "{day}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn live(&mut self, day: Date) {
        let rows = sqlx::query(
            "SELECT e.id AS experiment, e.name AS name, e.status = 'active' AS active, v.id AS variant,
                    v.name AS variant_name, (v.allocation * 10000)::int4 AS share
             FROM exp.experiments e JOIN exp.variants v ON v.experiment_id = e.id ORDER BY e.name, v.created_at",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut tables: BTreeMap<String, Shares> = BTreeMap::new();
        for row in rows {
            let name: String = row.get("name");
            let table = tables.entry(name.clone()).or_insert_with(|| Shares {
                name,
                experiment: row.get("experiment"),
                active: row.get("active"),
                variants: Vec::new(),
            });
            let share: i32 = row.get("share");
            table.variants.push((row.get("variant"), row.get("variant_name"), u16::try_from(share).unwrap()));
        }
        let traffic = self.traffic.day(day, &tables.into_values().collect::<Vec<_>>());
        store_assignments(&self.pool, &traffic.assignments).await;
        store_events(&self.pool, &traffic.events).await;
    }

    /// What the offline evaluation writes, as its own service does: a version and its baseline on one dataset.
    async fn evaluate(&self, policy: &str, alignment: f64) {
        let version = |number: i32| async move {
            let id: Uuid = sqlx::query_scalar(
                "SELECT v.id FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id
                 WHERE p.name = $1 AND v.version = $2",
            )
            .bind(policy)
            .bind(number)
            .fetch_one(&self.pool)
            .await
            .unwrap();
            id
        };
        let (one, two) = (version(1).await, version(2).await);
        for (id, score, baseline) in [(one, 0.8, None), (two, alignment, Some(one))] {
            sqlx::query(
                "INSERT INTO exp.offline_replay_results (policy_version_id, dataset_version, plan_alignment_score,
                     constraint_respect_score, edit_distance_score, diversity_score, leftovers_score, baseline_version_id,
                     status)
                 VALUES ($1, '2026-02', $2::float8::numeric, 1, 0.7, 0.6, 0.5, $3, 'completed')",
            )
            .bind(id)
            .bind(score)
            .bind(baseline)
            .execute(&self.pool)
            .await
            .unwrap();
        }
    }

    async fn text(&self, sql: &str) -> String {
        sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    async fn split(&self, experiment: &str) -> String {
        self.text(&format!(
            "SELECT string_agg(v.name || ' ' || v.allocation, ', ' ORDER BY v.created_at)
             FROM exp.variants v JOIN exp.experiments e ON e.id = v.experiment_id WHERE e.name = '{experiment}'"
        ))
        .await
    }

    async fn statuses(&self, table: &str, of: &str) -> String {
        self.text(&format!("SELECT string_agg(status, ',' ORDER BY version) FROM exp.{table} WHERE {of}")).await
    }
}

fn of<'a>(report: &'a Value, experiment: &str) -> &'a Value {
    report["experiments"].as_array().unwrap().iter().find(|e| e["name"] == experiment).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_trained_model_to_production_and_back_and_the_same_for_a_prompt() {
    rampkeeper::registry::install_crypto_provider();
    let mut world = World::new().await;

    // A version that the registry does not have, and files that are not there, are told at once; nothing is touched.
    let told = world.done(&["policy", "sync"], 78).await;
    assert!(told.contains("4 faults; nothing was touched"), "{told}");
    assert!(told.contains("has no route_planner version 2; register it there first"), "{told}");
    for model in ["route_planner", "route_leftovers"] {
        world.mlflow.create_model(model).await;
        for _ in 0..2 {
            world.mlflow.create_version(model).await;
        }
        world.mlflow.set_version_tag(model, "1", "stage", "production").await;
        world.mlflow.set_alias(model, "champion", "1").await;
    }
    assert!(world.done(&["policy", "sync"], 0).await.contains("6 changes made, in one transaction."));
    assert!(world.done(&["policy", "sync"], 0).await.starts_with("Nothing to do"));
    assert!(world.done(&["prompts", "sync"], 78).await.contains("there is no file"));
    world.write("v1.md", "one");
    world.write("v2.md", "two");
    world.done(&["prompts", "sync"], 0).await;
    world.done(&["experiments", "sync"], 0).await;
    assert!(world.done(&["experiments", "sync"], 0).await.starts_with("Nothing to do"));

    // Offline results come in; the planner's candidate is let in by hand, and so is the prompt.
    assert!(world.done(&["enroll", "planner_exp", "planner_policy/2"], 1).await.contains("it has no offline result"));
    world.evaluate("planner_policy", 0.7).await;
    let told = world.done(&["qualify", "planner_policy/2"], 1).await;
    assert!(told.contains("plan_alignment 0.7 misses the baseline's 0.8 by 0.1"), "{told}");
    world.evaluate("planner_policy", 0.85).await;
    world.done(&["qualify", "planner_policy/2"], 0).await;
    assert_eq!(world.mlflow.version_tags("route_planner", "2").await["stage"], "candidate");
    assert_eq!(
        world.text("SELECT bool_or(is_better_than_baseline)::text FROM exp.offline_replay_results").await,
        "true"
    );
    let begin = format!("{FIRST_DAY}T00:00:00Z");
    let enroll = |experiment: &'static str, version: &'static str| {
        vec!["enroll", experiment, version, "--by", "ana", "--reason", "ready", "--now"]
    };
    let planner: Vec<&str> = [&enroll("planner_exp", "planner_policy/2")[..], &[&begin]].concat();
    world.done(&planner, 0).await;
    let chat: Vec<&str> = [&enroll("chat_exp", "chat/2")[..], &[&begin, "--prompt"]].concat();
    world.done(&chat, 0).await;
    assert_eq!(world.split("planner_exp").await, "control 0.9000, planner_policy_v2 0.1000");
    assert_eq!(world.split("chat_exp").await, "control 0.9000, chat_v2 0.1000");
    assert_eq!(world.mlflow.aliases("route_planner").await["challenger"], "2");
    let refused = world.done(&planner, 1).await;
    assert!(refused.contains("is in planner_exp already, as variant planner_policy_v2"), "{refused}");

    let mut story: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for night in 0..16i64 {
        let day = FIRST_DAY.checked_add(night.days()).unwrap();
        world.live(day).await;
        if night == 1 {
            // The night lets the second model in by itself.
            world.evaluate("leftovers_policy", 0.9).await;
        }
        let plan = world.night("plan", day).await;
        let report = world.night("run", day).await;
        assert_eq!(report["unfinished"], json!([]), "{day}");
        for scenario in scenarios() {
            let (planned, done) = (of(&plan, scenario.experiment), of(&report, scenario.experiment));
            assert_eq!((&planned["route"], &planned["steps"]), (&done["route"], &done["steps"]), "{day}");
            let told = done["candidates"][0]["decision"]["outcome"].as_str().unwrap_or("–").to_owned();
            story.entry(scenario.experiment.to_owned()).or_default().push(told);
        }
        if night == 1 {
            let line = of(&report, "leftovers_exp")["route"][0].as_str().unwrap().to_owned();
            assert!(
                line.starts_with("enrolled by the night: leftovers_policy/2 as leftovers_policy_v2 with 10 %"),
                "{line}"
            );
        }
        assert_eq!(world.night("run", day).await["run"], Value::Null, "a second run does nothing");
        let over: i64 = sqlx::query_scalar("SELECT count(*) FROM rampkeeper.rollouts WHERE status <> 'ramping'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        if over == 3 {
            break;
        }
    }
    let acted = |experiment: &str| {
        let outcomes = story[experiment].iter().filter(|told| *told != "hold" && *told != "–");
        outcomes.map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(acted("planner_exp"), ["ramp", "ramp", "promote"], "{story:?}");
    assert_eq!(acted("chat_exp"), ["ramp", "ramp", "promote"], "{story:?}");
    assert_eq!(acted("leftovers_exp").last(), Some(&"rollback"), "{story:?}");

    // Production.
    assert!(world.split("planner_exp").await.ends_with("0.0000, planner_policy_v2 1.0000"));
    assert_eq!(world.mlflow.version_tags("route_planner", "1").await["stage"], "archived");
    assert_eq!(world.mlflow.version_tags("route_planner", "2").await["stage"], "production");
    let champion = BTreeMap::from([("champion".to_owned(), "2".to_owned())]);
    assert_eq!(world.mlflow.aliases("route_planner").await, champion);
    assert_eq!(world.statuses("policy_versions", "mlflow_model_name = 'route_planner'").await, "deprecated,active");
    // Back.
    assert_eq!(world.split("leftovers_exp").await, "control 1.0000, leftovers_policy_v2 0.0000");
    assert_eq!(world.mlflow.version_tags("route_leftovers", "2").await["stage"], "archived");
    assert_eq!(world.statuses("policy_versions", "mlflow_model_name = 'route_leftovers'").await, "active,archived");
    // The prompt.
    assert!(world.split("chat_exp").await.ends_with("0.0000, chat_v2 1.0000"));
    assert_eq!(world.statuses("prompt_versions", "true").await, "deprecated,active");
    let events = "SELECT string_agg(event_type, ',' ORDER BY event_type) FROM exp.events
                  WHERE unit_id = 'rampkeeper'";
    assert_eq!(world.text(events).await, "model_promoted,model_rollback,prompt_promoted");
    // What the nights have set is not taken back by the files, and is told.
    let told = world.done(&["policy", "sync"], 0).await;
    assert!(told.starts_with("Nothing to do"), "{told}");
    assert!(
        told.contains("drift: planner_policy/1: a night has set its status to deprecated, and the file says active"),
        "{told}"
    );
    let told = world.done(&["experiments", "sync"], 0).await;
    assert!(
        told.starts_with("Nothing to do") && told.contains("drift: planner_exp: a night has completed it"),
        "{told}"
    );
    let told = world.done(&["enroll", "leftovers_exp", "leftovers_policy/2", "--force", "--reason", "again"], 1).await;
    assert!(told.contains("leftovers_policy/2 is archived and not available"), "{told}");
    world.done(&["verify"], 0).await;
}
