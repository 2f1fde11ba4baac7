//! The night over PostgreSQL, MLflow and a mail server. The eve is a database that is copied, and what the registry held.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use rampkeeper::demo::{FIRST_DAY, Shares, Traffic};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, Row};
use tempfile::TempDir;
use tokio::process::Command;

use super::embedded_site::pages;
use super::eve;
use super::state::{Rows, State};
use super::trial::Site;
use crate::bad_input::store;
use crate::embedded::{PROMOTION, day, key, program, told};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Mail, Rules, Smtp};

/// A database of its own, models of its own, and a mail server of its own.
pub struct ServerSite {
    postgres: &'static Postgres,
    mlflow: &'static Mlflow,
    smtp: Smtp,
    folder: TempDir,
    /// Where statements go that concern whole databases.
    admin: PgPool,
    /// The database of the night, and the one that it is copied from.
    url: String,
    eve: String,
    /// What keeps this site's models apart from another's.
    name: &'static str,
}

impl ServerSite {
    /// Makes the eve: the tables, the models, two days of traffic and the night between them.
    pub async fn new(name: &'static str) -> ServerSite {
        ServerSite::with(name, Rules::default()).await
    }

    /// A site whose mail server behaves like that.
    pub async fn with(name: &'static str, rules: Rules<'_>) -> ServerSite {
        let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
        let url = postgres.database(&format!("crash_{name}")).await;
        let eve = postgres.database(&format!("crash_{name}_eve")).await;
        let (base, _) = url.rsplit_once('/').expect("an address");
        let site = ServerSite {
            admin: PgPool::connect(&format!("{base}/postgres")).await.expect("a connection"),
            smtp: Smtp::start(rules).await,
            folder: tempfile::tempdir().expect("a folder"),
            postgres,
            mlflow,
            url,
            eve,
            name,
        };
        site.configure(&site.eve);
        told(site.command(&["migrate"])).await.expect(0);
        site.fill().await;
        site.configure(&site.url);
        site
    }

    fn configure(&self, url: &str) {
        let settings = json!({
            "control": { "url": url },
            "warehouse": { "postgres": {} },
            "registry": { "mlflow": { "url": self.mlflow.url() } },
            "mail": {
                "from": "Rampkeeper <rampkeeper@example.com>",
                "to": ["team@example.com", "Dana <dana@example.com>"],
                "smtp": { "host": "127.0.0.1", "port": self.smtp.port(), "encryption": "none" },
            },
            "reports": "reports",
        });
        let write = |name, text: &str| fs::write(self.folder.path().join(name), text).expect("a file");
        write("rampkeeper.yml", &settings.to_string());
        write("metrics.yml", include_str!("../../../config/metrics.example.yml"));
        write("promotion.yml", PROMOTION);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.arg("--config").arg(self.folder.path().join("rampkeeper.yml"));
        command
    }

    fn model(&self, experiment: &str) -> String {
        format!("crash_{}_{experiment}", self.name)
    }

    /// PostgreSQL, as marks name it.
    pub fn store(&self) -> String {
        let port = self.url.rsplit(':').next().and_then(|rest| rest.split('/').next());
        format!("port:{}", port.expect("an address with a port"))
    }

    async fn fill(&self) {
        for experiment in eve::EXPERIMENTS {
            self.postgres.sql(&self.eve, &self.creation(experiment)).await;
            let model = self.model(experiment);
            self.mlflow.create_model(&model).await;
            for _ in ["control", "candidate"] {
                self.mlflow.create_version(&model).await;
            }
        }
        let pool = PgPool::connect(&self.eve).await.expect("a connection");
        let mut traffic = Traffic::new(eve::scenarios(), 7);
        let shares: Vec<Shares> = eve::EXPERIMENTS.into_iter().map(shares_of).collect();
        store(&pool, &traffic.day(day(0), &shares)).await;
        self.restore_registry().await;
        let as_of = day(0).to_string();
        // One experiment is new tonight, so that its first epoch is opened under the kills.
        self.postgres.sql(&self.eve, "update exp.experiments set status = 'draft' where name = 'steady'").await;
        told(self.command(&["run", "--as-of", &as_of, "--now", "2026-03-03T02:00:00Z"])).await.expect(0);
        self.postgres.sql(&self.eve, "update exp.experiments set status = 'active' where name = 'steady'").await;
        store(&pool, &traffic.day(day(1), &shares)).await;
        pool.close().await;
        let (winner, control, units) = (key("winner"), key("winner control"), eve::OLD_UNITS);
        let old = format!(
            "insert into exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
             select '{winner}', 'user', 'old-' || n, '{control}', '2026-02-01' from generate_series(1, {units}) n;
             vacuum analyze;"
        );
        self.postgres.sql(&self.eve, &old).await;
    }

    fn creation(&self, experiment: &str) -> String {
        let (id, policy, model) = (key(experiment), key(&format!("{experiment} policy")), self.model(experiment));
        let mut sql = format!(
            "insert into exp.policies (id, name) values ('{policy}', '{model}');
             insert into exp.experiments (id, name, status, unit_type, start_at, created_at) values
             ('{id}', '{experiment}', 'active', 'user', '{FIRST_DAY}T00:00:00Z', '{FIRST_DAY}T00:00:00Z');"
        );
        for (number, (arm, share)) in (1..).zip(["control", "candidate"].into_iter().zip(eve::shares(experiment))) {
            let (version, variant) =
                (key(&format!("{experiment} version {number}")), key(&format!("{experiment} {arm}")));
            let (share, config) = (f64::from(share) / 10_000.0, eve::config(experiment, number));
            sql.push_str(&format!(
                "insert into exp.policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
                 values ('{version}', '{policy}', {number}, '{model}', '{number}');
                 insert into exp.variants (id, experiment_id, name, allocation, config, created_at)
                 values ('{variant}', '{id}', '{arm}', {share}, '{config}', '2026-03-01T00:00:0{number}Z');"
            ));
        }
        sql
    }

    /// The registry as it is on the eve.
    async fn restore_registry(&self) {
        for experiment in eve::EXPERIMENTS {
            let model = self.model(experiment);
            let wanted = [("1", "production", "champion"), ("2", "candidate", "challenger")];
            let aliases = self.mlflow.aliases(&model).await;
            for (version, stage, alias) in wanted {
                if self.mlflow.version_tags(&model, version).await.get("stage").is_none_or(|found| found != stage) {
                    self.mlflow.set_version_tag(&model, version, "stage", stage).await;
                }
                if aliases.get(alias).is_none_or(|found| found != version) {
                    self.mlflow.set_alias(&model, alias, version).await;
                }
            }
        }
    }

    async fn pool(&self) -> PgPool {
        PgPool::connect(&self.url).await.expect("a connection")
    }
}

/// The allocation table of an experiment, as the assignment service reads it.
fn shares_of(experiment: &str) -> Shares {
    let arms = ["control", "candidate"].into_iter().zip(eve::shares(experiment));
    Shares {
        name: experiment.to_owned(),
        experiment: key(experiment),
        active: true,
        variants: arms.map(|(arm, share)| (key(&format!("{experiment} {arm}")), arm.to_owned(), share)).collect(),
    }
}

/// The rows of a table as a JSON list.
fn listed(table: &str, row: &str) -> String {
    format!("SELECT coalesce(jsonb_agg({row}), '[]')::text FROM {table} t")
}

/// The number and digest of a long table's rows as a JSON list.
fn long(table: &str, columns: &str) -> String {
    format!(
        "SELECT jsonb_build_array(jsonb_build_object('rows', count(*), 'digest', md5(string_agg(row, ',' ORDER BY row))))::text
         FROM (SELECT concat_ws(' ', {columns}) COLLATE \"C\" AS row FROM {table}) r"
    )
}

fn database(url: &str) -> &str {
    url.rsplit('/').next().expect("a database")
}

impl Site for ServerSite {
    async fn restore(&self) {
        let (night, eve) = (database(&self.url), database(&self.eve));
        for sql in [
            format!("drop database if exists \"{night}\" with (force)"),
            format!("create database \"{night}\" template \"{eve}\""),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.admin).await.expect("the database of the night");
        }
        self.restore_registry().await;
        self.smtp.empty();
        let reports = self.folder.path().join("reports");
        if reports.exists() {
            fs::remove_dir_all(reports).expect("pages that can be removed");
        }
    }

    fn night(&self, now: Timestamp) -> Command {
        self.command(&["run", "--as-of", &eve::judged().to_string(), "--now", &now.to_string()])
    }

    async fn calm(&self) {
        let mine = format!("select count(*) from pg_stat_activity where datname = '{}'", database(&self.url));
        loop {
            let found = sqlx::query(AssertSqlSafe(mine.clone())).fetch_one(&self.admin).await.expect("a count");
            if found.get::<i64, _>(0) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.smtp.calm().await;
    }

    async fn late_units(&self) {
        let pool = self.pool().await;
        let sql = format!(
            "insert into exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at) values {}",
            eve::late_units()
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.expect("late units");
        pool.close().await;
    }

    async fn tables(&self) -> BTreeMap<String, Rows> {
        let pool = self.pool().await;
        let names = "SELECT schemaname || '.' || tablename FROM pg_tables
                     WHERE schemaname IN ('exp', 'rampkeeper') AND tablename <> 'migrations'";
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&pool).await.expect("tables");
        let mut tables = BTreeMap::new();
        for table in names {
            let sql = match table.as_str() {
                "exp.assignments" => long(&table, "experiment_id, unit_id, variant_id"),
                "rampkeeper.assignment_moves" => long(&table, "move_key, unit_id, from_variant, to_variant"),
                // Those of the world; its own follow below.
                "exp.events" => long(&table, "id"),
                // Its `updated_at` is written by the server's clock.
                "exp.experiments" => listed(&table, "to_jsonb(t) - 'updated_at'"),
                _ => listed(&table, "to_jsonb(t)"),
            };
            let rows: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&pool).await.expect("rows");
            tables.insert(table, serde_json::from_str(&rows).expect("JSON"));
        }
        let own = listed("exp.events", "to_jsonb(t)") + " WHERE unit_id = 'rampkeeper'";
        let own: String = sqlx::query_scalar(AssertSqlSafe(own)).fetch_one(&pool).await.expect("rows");
        tables.insert("events of its own".to_owned(), serde_json::from_str(&own).expect("JSON"));
        pool.close().await;
        tables
    }

    async fn beside(&self, runs: &[&str]) -> State {
        let mut state = pages(&self.folder.path().join("reports"), runs);
        for experiment in eve::EXPERIMENTS {
            let model = self.model(experiment);
            let mut told = format!("{:?}", self.mlflow.aliases(&model).await);
            for version in ["1", "2"] {
                told.push_str(&format!("\n{version} {:?}", self.mlflow.version_tags(&model, version).await));
            }
            state.insert(model, told);
        }
        state
    }

    fn mails(&self) -> Vec<Mail> {
        self.smtp.mails()
    }

    async fn pending_mails(&self) -> Vec<String> {
        let pool = self.pool().await;
        let sql = "SELECT idempotency_key FROM rampkeeper.actions WHERE kind = 'mail' AND status = 'pending'";
        let pending = sqlx::query_scalar(sql).fetch_all(&pool).await.expect("keys");
        pool.close().await;
        pending
    }
}
