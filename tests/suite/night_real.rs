//! The whole night on real servers: PostgreSQL, MLflow and a mail server, through ramp, promotion and rollback, with the
//! program as it is installed. Each night is planned, run, and run again: the second run changes nothing anywhere. The
//! experiment tables belong to somebody else, and the program's users may do no more than config/grants/postgres.sql grants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use jiff::ToSpan;
use jiff::civil::Date;
use rampkeeper::demo::{Assignment, Effects, Event, FIRST_DAY, Scenario, Shares, Traffic, Truth};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::process::Command;
use uuid::Uuid;

use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};
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
  success:
    metrics:
      - { metric: acceptance_rate, test: non_inferior, margin: 0.05 }
";

/// The three servers, the program's folder, and two experiments under way.
struct World {
    postgres: &'static Postgres,
    mlflow: &'static Mlflow,
    smtp: Smtp,
    url: String,
    pool: PgPool,
    dir: tempfile::TempDir,
    traffic: Traffic,
}

fn scenarios() -> Vec<Scenario> {
    let plain = Scenario {
        experiment: "planner_policy_exp",
        candidate: "planner_v3",
        truth: Truth::Better,
        units_per_day: 3_500,
        effects: Effects { acceptance: 1.08, cost: 0.92, ..Effects::NONE },
        candidate_loss: 0.0,
        order_rate: |_| 0.0,
    };
    let harmful = Scenario {
        experiment: "leftovers_exp",
        candidate: "leftovers_v2",
        truth: Truth::Harmful,
        effects: Effects { acceptance: 0.90, cost: 1.25, ..Effects::NONE },
        ..plain.clone()
    };
    vec![plain, harmful]
}

fn model_of(scenario: &Scenario) -> String {
    format!("{}_model", scenario.experiment.trim_end_matches("_exp"))
}

impl World {
    async fn new() -> World {
        let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
        let smtp =
            Smtp::start(Rules { starttls: true, login: Some(("rampkeeper", "s3cret-smtp")), ..Rules::default() }).await;
        let url = postgres.database("night").await;
        let pool = PgPool::connect(&url).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let world = World { postgres, mlflow, smtp, url, pool, dir, traffic: Traffic::new(scenarios(), 7) };
        world.configure();
        world
    }

    /// The experiment tables as another service has made them, the users, and what they may do.
    async fn grant_and_migrate(&self) {
        self.postgres.file(&self.url, "queries/migrations/postgres/0001_experiment_tables.sql", &[]).await;
        users::make(self.postgres).await;
        self.postgres.file(&self.url, GRANTS, &[]).await;
        let migrated = self.rampkeeper(&["migrate"]).await;
        assert_eq!(migrated.status.code(), Some(0), "{}", String::from_utf8_lossy(&migrated.stderr));
        self.postgres.file(&self.url, GRANTS, &[]).await;
        let owners = "SELECT string_agg(DISTINCT tableowner || ' ' || schemaname, ', ') FROM pg_tables
                      WHERE schemaname IN ('exp', 'rampkeeper')";
        assert_eq!(self.text(owners).await, "postgres exp, rampkeeper_migrate rampkeeper");
        let checked = self.rampkeeper(&["check", "--only", "control,grants,warehouse"]).await;
        let told = String::from_utf8_lossy(&checked.stdout);
        assert_eq!(checked.status.code(), Some(0), "{told}");
        assert!(told.contains(" 0 warn, 0 fail"), "{told}");
    }

    fn configure(&self) {
        let settings = json!({
            "control": { "url_from": { "env": "RAMPKEEPER_TEST_URL" } },
            "warehouse": { "postgres": { "url_from": { "env": "RAMPKEEPER_TEST_WAREHOUSE" } } },
            "registry": { "mlflow": { "url": self.mlflow.url() } },
            "mail": {
                "from": "Rampkeeper <rampkeeper@example.com>",
                "to": ["team@example.com", "Dana <dana@example.com>"],
                "smtp": {
                    "host": "localhost",
                    "port": self.smtp.port(),
                    "username": "rampkeeper",
                    "password": { "env": "RAMPKEEPER_TEST_SMTP" },
                    "ca_file": self.smtp.ca(),
                },
            },
            "reports": "reports",
        });
        // JSON is YAML, too.
        std::fs::write(self.path("rampkeeper.yml"), settings.to_string()).unwrap();
        std::fs::write(self.path("metrics.yml"), include_str!("../../config/metrics.example.yml")).unwrap();
        std::fs::write(self.path("promotion.yml"), PROMOTION).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn rampkeeper(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rampkeeper"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("rampkeeper.yml"))
            .env(
                "RAMPKEEPER_TEST_URL",
                as_user(&self.url, if arguments == ["migrate"] { "migrate" } else { "control" }),
            )
            .env("RAMPKEEPER_TEST_WAREHOUSE", as_user(&self.url, "warehouse"))
            .env("RAMPKEEPER_TEST_SMTP", "s3cret-smtp")
            .env_remove("RAMPKEEPER_CONFIG")
            .output()
            .await
            .unwrap()
    }

    /// A command for the night after `day`, with its JSON answer.
    async fn night(&self, command: &str, day: Date, code: i32) -> Value {
        let (as_of, now) = (day.to_string(), format!("{}T02:00:00Z", day.tomorrow().unwrap()));
        let output = self.rampkeeper(&[command, "--as-of", &as_of, "--now", &now, "--output", "json"]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{command} for {day}: {told}");
        assert!(!told.contains("s3cret"), "a secret in the log: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn create_experiments(&self) {
        for scenario in scenarios() {
            let model = model_of(&scenario);
            self.mlflow.create_model(&model).await;
            let (experiment, policy) = (Uuid::new_v4(), Uuid::new_v4());
            self.execute(&format!(
                "INSERT INTO exp.policies (id, name) VALUES ('{policy}', '{model}');
                 INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
                 VALUES ('{experiment}', '{}', 'active', 'user', '{FIRST_DAY}T00:00:00Z');",
                scenario.experiment
            ))
            .await;
            for (number, name, share, stage, alias) in
                [(1, "control", 0.9, "production", "champion"), (2, scenario.candidate, 0.1, "candidate", "challenger")]
            {
                let version = self.mlflow.create_version(&model).await;
                self.mlflow.set_version_tag(&model, &version, "stage", stage).await;
                self.mlflow.set_alias(&model, alias, &version).await;
                let id = Uuid::new_v4();
                let config = json!({
                    "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": id },
                });
                self.execute(&format!(
                    "INSERT INTO exp.policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
                     VALUES ('{id}', '{policy}', {number}, '{model}', '{version}');
                     INSERT INTO exp.variants (experiment_id, name, allocation, config, created_at)
                     VALUES ('{experiment}', '{name}', {share}, '{config}', '2026-01-0{number}');",
                ))
                .await;
            }
        }
    }

    async fn execute(&self, statements: &str) {
        self.postgres.sql(&self.url, statements).await;
    }

    /// A day of traffic, written as the services around the job write it.
    async fn live(&mut self, day: Date) {
        let shares = shares(&self.pool).await;
        let traffic = self.traffic.day(day, &shares);
        store_assignments(&self.pool, &traffic.assignments).await;
        store_events(&self.pool, &traffic.events).await;
    }

    /// Everything that a night may change: each table by its contents, the registry, the mailbox.
    async fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT schemaname || '.' || tablename FROM pg_tables
             WHERE schemaname IN ('exp', 'rampkeeper') ORDER BY 1",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert!(tables.len() > 15, "{tables:?}");
        for table in tables {
            let sql = format!("SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM {table} t");
            let digest: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap();
            state.insert(table, digest);
        }
        for scenario in scenarios() {
            let model = model_of(&scenario);
            state.insert(format!("{model} aliases"), format!("{:?}", self.mlflow.aliases(&model).await));
            for version in ["1", "2"] {
                let tags = self.mlflow.version_tags(&model, version).await;
                state.insert(format!("{model} {version}"), format!("{tags:?}"));
            }
        }
        state.insert("mails".into(), self.smtp.mails().len().to_string());
        state
    }

    async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar::<_, String>(sql).fetch_one(&self.pool).await.unwrap()
    }
}

/// The allocation tables, as the assignment service reads them.
pub async fn shares(pool: &PgPool) -> Vec<Shares> {
    let rows = sqlx::query(
        "SELECT e.id AS experiment, e.name AS name, e.status = 'active' AS active, v.id AS variant,
                v.name AS variant_name, (v.allocation * 10000)::int4 AS share
         FROM exp.experiments e JOIN exp.variants v ON v.experiment_id = e.id ORDER BY e.name, v.created_at",
    )
    .fetch_all(pool)
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
    tables.into_values().collect()
}

pub async fn store_assignments(pool: &PgPool, assignments: &[Assignment]) {
    let at: Vec<String> = assignments.iter().map(|a| a.at.to_string()).collect();
    sqlx::query(
        "INSERT INTO exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
         SELECT e, 'user', u, v, t::timestamptz FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) AS x (e, u, v, t)",
    )
    .bind(assignments.iter().map(|a| a.experiment).collect::<Vec<_>>())
    .bind(assignments.iter().map(|a| a.unit.clone()).collect::<Vec<_>>())
    .bind(assignments.iter().map(|a| a.variant).collect::<Vec<_>>())
    .bind(at)
    .execute(pool)
    .await
    .unwrap();
}

pub async fn store_events(pool: &PgPool, events: &[Event]) {
    let metrics = |event: &Event| match (event.latency_ms, event.cost) {
        (Some(latency_ms), Some(cost)) => json!({ "latency_ms": latency_ms, "cost": cost }),
        _ => json!({}),
    };
    sqlx::query(
        "INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, timestamp)
         SELECT e, 'user', u, m, t::timestamptz FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[]) AS x (e, u, m, t)",
    )
    .bind(events.iter().map(|e| e.event.to_owned()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.unit.clone()).collect::<Vec<_>>())
    .bind(events.iter().map(metrics).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.at.to_string()).collect::<Vec<_>>())
    .execute(pool)
    .await
    .unwrap();
}

/// What a plan or a night did, without what only a night has.
fn deeds(report: &Value) -> Value {
    let experiments = report["experiments"].as_array().unwrap().iter().map(|experiment| {
        let candidates = experiment["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|candidate| json!([candidate["name"], candidate["decision"], candidate["assessment"]]));
        json!([experiment["name"], experiment["allocations"], experiment["steps"], candidates.collect::<Vec<_>>(),])
    });
    Value::Array(experiments.collect())
}

fn outcome<'a>(report: &'a Value, experiment: &str) -> Option<&'a str> {
    let found = report["experiments"].as_array()?.iter().find(|e| e["name"] == experiment)?;
    found["candidates"][0]["decision"]["outcome"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn ramp_promotion_and_rollback_on_real_servers_each_night_repeated() {
    rampkeeper::registry::install_crypto_provider();
    let mut world = World::new().await;
    world.grant_and_migrate().await;
    world.create_experiments().await;

    let mut story: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut mails = 0;
    for night in 0..14i64 {
        let day = FIRST_DAY.checked_add(night.days()).unwrap();
        world.live(day).await;

        let before = world.state().await;
        let plan = world.night("plan", day, 0).await;
        assert_eq!(world.state().await, before, "a plan must change nothing");
        let report = world.night("run", day, 0).await;
        assert_eq!(deeds(&plan), deeds(&report), "a plan must show exactly what the run does");
        assert_eq!(report["unfinished"], json!([]));

        let after = world.state().await;
        let again = world.night("run", day, 0).await;
        assert_eq!(world.state().await, after, "the second run must change nothing");
        assert_eq!(again["run"], Value::Null);

        mails += 1;
        let digests = world.smtp.mails().iter().filter(|mail| mail.header("X-Rampkeeper-Decision").is_none()).count();
        assert_eq!(digests, mails, "one digest a night");
        for scenario in scenarios() {
            let told = outcome(&report, scenario.experiment).unwrap_or("–").to_owned();
            story.entry(scenario.experiment).or_default().push(told);
        }
        let over: i64 = sqlx::query_scalar("SELECT count(*) FROM rampkeeper.rollouts WHERE status <> 'ramping'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        if over == 2 {
            break;
        }
    }

    let planner: Vec<_> = story["planner_policy_exp"].iter().filter(|o| *o != "hold" && *o != "–").collect();
    assert_eq!(planner, ["ramp", "ramp", "promote"], "{story:?}");
    let leftovers: Vec<_> = story["leftovers_exp"].iter().filter(|o| *o != "hold" && *o != "–").collect();
    assert_eq!(leftovers.last().unwrap().as_str(), "rollback", "{story:?}");

    world.check_promotion().await;
    world.check_rollback().await;
    world.check_mails();
    world.check_ledger().await;
}

impl World {
    async fn check_promotion(&self) {
        let allocations = "SELECT string_agg(v.name || ' ' || v.allocation, ', ' ORDER BY v.created_at)
             FROM exp.variants v JOIN exp.experiments e ON e.id = v.experiment_id WHERE e.name = 'planner_policy_exp'";
        let told = self.text(allocations).await;
        assert!(told.starts_with("control_retired_2026-03-"), "{told}");
        assert!(told.contains(" 0.0000, planner_v3 1.0000"), "{told}");
        assert_eq!(
            self.text("SELECT status FROM exp.experiments WHERE name = 'planner_policy_exp'").await,
            "completed"
        );
        let model = "planner_policy_model";
        assert_eq!(self.mlflow.version_tags(model, "1").await["stage"], "archived");
        assert_eq!(self.mlflow.version_tags(model, "2").await["stage"], "production");
        assert_eq!(self.mlflow.aliases(model).await, BTreeMap::from([("champion".to_owned(), "2".to_owned())]));
        let statuses = "SELECT string_agg(status, ',' ORDER BY v.version) FROM exp.policy_versions v
             WHERE mlflow_model_name = 'planner_policy_model'";
        assert_eq!(self.text(statuses).await, "deprecated,active");
        let event = "SELECT payload ->> 'mlflow_model_version' FROM exp.events WHERE event_type = 'model_promoted'";
        assert_eq!(self.text(event).await, "2");
        self.check_moved("planner_policy_exp", "planner_v3").await;
    }

    async fn check_rollback(&self) {
        let allocations = "SELECT string_agg(v.name || ' ' || v.allocation, ', ' ORDER BY v.created_at)
             FROM exp.variants v JOIN exp.experiments e ON e.id = v.experiment_id WHERE e.name = 'leftovers_exp'";
        assert_eq!(self.text(allocations).await, "control 1.0000, leftovers_v2 0.0000");
        assert_eq!(self.text("SELECT status FROM exp.experiments WHERE name = 'leftovers_exp'").await, "active");
        let model = "leftovers_model";
        assert_eq!(self.mlflow.version_tags(model, "1").await["stage"], "production");
        assert_eq!(self.mlflow.version_tags(model, "2").await["stage"], "archived");
        assert_eq!(self.mlflow.aliases(model).await, BTreeMap::from([("champion".to_owned(), "1".to_owned())]));
        let event = "SELECT payload ->> 'reason' FROM exp.events WHERE event_type = 'model_rollback'";
        assert!(self.text(event).await.starts_with("harm shown: cost_per_plan: +"));
        self.check_moved("leftovers_exp", "control").await;
    }

    /// Every unit is on that variant now, and each move is on record.
    async fn check_moved(&self, experiment: &str, variant: &str) {
        let counts = |sql: &'static str| async move {
            let count: i64 =
                sqlx::query_scalar(sql).bind(experiment).bind(variant).fetch_one(&self.pool).await.unwrap();
            count
        };
        let elsewhere = counts(
            "SELECT count(*) FROM exp.assignments a JOIN exp.experiments e ON e.id = a.experiment_id
             JOIN exp.variants v ON v.id = a.variant_id WHERE e.name = $1 AND v.name <> $2 AND a.assigned_at < (
                 -- The world's clock is ahead of its tables: it writes a whole day at once, after the night.
                 SELECT max(d.as_of) + 1 FROM rampkeeper.decisions d
                 WHERE d.experiment_id = e.id AND d.outcome IN ('rollback', 'promote'))",
        )
        .await;
        assert_eq!(elsewhere, 0);
        let moved = counts(
            "SELECT count(*) FROM rampkeeper.assignment_moves m JOIN exp.experiments e ON e.id = m.experiment_id
             JOIN exp.variants v ON v.id = m.to_variant WHERE e.name = $1 AND v.name = $2",
        )
        .await;
        assert!(moved > 500, "{moved} moves");
    }

    fn check_mails(&self) {
        let mails = self.smtp.mails();
        for mail in &mails {
            assert!(mail.tls, "mail in the clear");
            assert_eq!(mail.user.as_deref(), Some("rampkeeper"));
            assert_eq!(mail.to, ["team@example.com", "dana@example.com"]);
            assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
            for part in ["text/plain", "text/html"] {
                let text = mail.part(part).and_then(|part| part.text.clone()).unwrap();
                assert!(text.contains("acceptance_rate") || text.contains("hold") || text.contains("HELD"), "{text}");
            }
        }
        let subjects: Vec<&str> = mails
            .iter()
            .filter(|mail| mail.header("X-Rampkeeper-Decision").is_some())
            .filter_map(|mail| mail.header("Subject"))
            .collect();
        assert_eq!(subjects.len(), 2, "one mail for the promotion and one for the rollback: {subjects:?}");
        let begins = |words: &str| subjects.iter().any(|subject| subject.starts_with(words));
        assert!(begins("[rampkeeper] PROMOTED planner_policy_exp/"), "{subjects:?}");
        assert!(begins("[rampkeeper] ROLLED BACK leftovers_exp/leftovers_v2: cost per plan +"), "{subjects:?}");
        let ids: std::collections::BTreeSet<_> = mails.iter().filter_map(|m| m.header("Message-ID")).collect();
        assert_eq!(ids.len(), mails.len(), "every night has its own Message-ID");
        let rolled_back = mails.iter().find(|m| m.header("Subject").is_some_and(|s| s.contains("1 rolled back")));
        let text =
            rolled_back.expect("a mail that tells the rollback").part("text/plain").unwrap().text.clone().unwrap();
        assert!(text.contains("ROLLED BACK  leftovers_v2"), "{text}");
        assert!(text.contains("cost_per_plan: breach"), "{text}");
        assert!(mails.iter().any(|m| m.header("Subject").is_some_and(|s| s.contains("1 promoted"))));
    }

    async fn check_ledger(&self) {
        let refused = sqlx::query("UPDATE rampkeeper.decisions SET outcome = 'hold'").execute(&self.pool).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"));
        let broken: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM rampkeeper.decisions d
             LEFT JOIN rampkeeper.decisions p ON p.position = d.position - 1
             WHERE d.previous_hash <> coalesce(p.hash, '')",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap();
        assert_eq!(broken, 0, "every decision holds the hash of the one before");
        let pending: i64 =
            sqlx::query_scalar("SELECT count(*) FROM rampkeeper.actions WHERE status <> 'done' AND not_before IS NULL")
                .fetch_one(&self.pool)
                .await
                .unwrap();
        assert_eq!(pending, 0);
        assert!(Path::new(&self.path("reports/nights")).read_dir().unwrap().count() > 3);
    }
}
