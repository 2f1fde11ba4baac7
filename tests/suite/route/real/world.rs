//! The servers, the files and the services around: what the offline evaluation and the assignment service do each day.

use std::path::PathBuf;
use std::process::Output;

use jiff::civil::Date;
use rampkeeper::demo::Traffic;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;
use uuid::Uuid;

use super::{PROMOTION, scenarios};
use crate::night_real::{shares, store_assignments, store_events};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};
use crate::support::users::{self, GRANTS, as_user};

/// A place where nothing is yet: tables of another service, an empty registry, and the program's users.
pub struct World {
    postgres: &'static Postgres,
    pub mlflow: &'static Mlflow,
    smtp: Smtp,
    url: String,
    pub pool: PgPool,
    dir: tempfile::TempDir,
    traffic: Traffic,
}

impl World {
    pub async fn new() -> World {
        let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
        let url = postgres.database("route").await;
        let pool = PgPool::connect(&url).await.unwrap();
        let world = World {
            postgres,
            mlflow,
            smtp: Smtp::start(Rules::default()).await,
            url,
            pool,
            dir: tempfile::tempdir().unwrap(),
            traffic: Traffic::new(scenarios(), 7),
        };
        let settings = json!({
            "control": { "url_from": { "env": "RAMPKEEPER_TEST_URL" } },
            "warehouse": { "postgres": { "url_from": { "env": "RAMPKEEPER_TEST_WAREHOUSE" } } },
            "registry": { "mlflow": { "url": mlflow.url() } },
            "mail": {
                "from": "rampkeeper@example.com",
                "to": ["team@example.com"],
                "smtp": { "host": "127.0.0.1", "port": world.smtp.port(), "encryption": "none" },
            },
        });
        world.write("rampkeeper.yml", &settings.to_string());
        world.write("metrics.yml", include_str!("../../../../config/metrics.example.yml"));
        world.write("promotion.yml", PROMOTION);
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

    pub fn write(&self, name: &str, text: &str) {
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
    pub async fn done(&self, arguments: &[&str], code: i32) -> String {
        let output = self.rampkeeper(arguments).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        told
    }

    pub async fn night(&self, command: &str, day: Date) -> Value {
        let (as_of, now) = (day.to_string(), format!("{}T02:00:00Z", day.tomorrow().unwrap()));
        let output = self.rampkeeper(&[command, "--as-of", &as_of, "--now", &now, "--output", "json"]).await;
        assert_eq!(output.status.code(), Some(0), "{day}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub async fn live(&mut self, day: Date) {
        let traffic = self.traffic.day(day, &shares(&self.pool).await);
        store_assignments(&self.pool, &traffic.assignments).await;
        store_events(&self.pool, &traffic.events).await;
    }

    /// What the offline evaluation writes, as its own service does: a version and its baseline on one dataset.
    pub async fn evaluate(&self, policy: &str, alignment: f64) {
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

    /// What SQL gives, one text.
    pub async fn text(&self, sql: &str) -> String {
        sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    /// The shares of an experiment, control's first.
    pub async fn split(&self, experiment: &str) -> String {
        self.text(&format!(
            "SELECT string_agg(v.name || ' ' || v.allocation, ', ' ORDER BY v.name LIKE 'control%' DESC, v.name)
             FROM exp.variants v JOIN exp.experiments e ON e.id = v.experiment_id WHERE e.name = '{experiment}'"
        ))
        .await
    }

    pub async fn statuses(&self, table: &str, of: &str) -> String {
        self.text(&format!("SELECT string_agg(status, ',' ORDER BY version) FROM exp.{table} WHERE {of}")).await
    }

    /// The subjects of all mails, in their order, and the text of each.
    pub fn mails(&self) -> Vec<(String, String)> {
        let mails = self.smtp.mails().into_iter();
        let text = |mail: &crate::support::smtp::Mail| {
            mail.part("text/plain").and_then(|part| part.text.clone()).unwrap_or_default().replace("\r\n", "\n")
        };
        mails.map(|mail| (mail.header("Subject").unwrap_or_default().to_owned(), text(&mail))).collect()
    }
}
