//! The night over SQLite, a lake and the embedded registry, with a mail server. The eve is a file that is copied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use tokio::process::Command;

use super::eve;
use super::state::{self, Rows, State};
use super::trial::Site;
use crate::embedded::{PROMOTION, World, better, day, key, program};
use crate::support::smtp::{Mail, Rules, Smtp};

/// The eve: a world after its first night.
pub struct Eve {
    world: World,
}

impl Eve {
    pub async fn new() -> Eve {
        let mut world = World::new(eve::scenarios()).await;
        for experiment in eve::EXPERIMENTS {
            let id = key(experiment);
            for (arm, share) in ["control", "candidate"].into_iter().zip(eve::shares(experiment)) {
                let share = f64::from(share) / 10_000.0;
                world
                    .sql(&format!(
                        "UPDATE exp_variants SET allocation = '{share:.4}' WHERE experiment_id = '{id}' AND name = '{arm}'"
                    ))
                    .await;
            }
        }
        let first = world.live(day(0)).await;
        // One experiment is new tonight, so that its first epoch is opened under the kills.
        world.sql("UPDATE exp_experiments SET status = 'draft' WHERE name = 'steady'").await;
        world.night(day(0), 0).await;
        world.sql("UPDATE exp_experiments SET status = 'active' WHERE name = 'steady'").await;
        let second = world.live(day(1)).await;
        for assignments in [first.assignments, second.assignments] {
            let row = |a: &rampkeeper::demo::Assignment| {
                format!("('{}', 'user', '{}', '{}', '{}')", a.experiment, a.unit, a.variant, a.at)
            };
            let rows: Vec<String> = assignments.iter().map(row).collect();
            world.sql(&format!("INSERT INTO exp_assignments VALUES {}", rows.join(", "))).await;
        }
        let (experiment, control, units) = (key("winner"), key("winner control"), eve::OLD_UNITS);
        world
            .sql(&format!(
                "INSERT INTO exp_assignments
                 WITH RECURSIVE old (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < {units})
                 SELECT '{experiment}', 'user', 'old-' || n, '{control}', '2026-02-01T00:00:00Z' FROM old;
                 PRAGMA wal_checkpoint(TRUNCATE);"
            ))
            .await;
        Eve { world }
    }
}

impl Eve {
    /// The eve of a night that lets a version in by itself, which passed offline evaluation. All else rests.
    pub async fn enrolling() -> Eve {
        let mut scenarios = eve::scenarios();
        scenarios.push(better(eve::ARRIVING));
        let mut world = World::new(scenarios).await;
        let name = eve::ARRIVING;
        let (id, control, candidate) =
            (key(name), key(&format!("{name} version 1")), key(&format!("{name} version 2")));
        let result = |id: &str, of, alignment: &str, baseline: &str| {
            format!(
                "INSERT INTO exp_offline_replay_results (id, policy_version_id, dataset_version, plan_alignment_score,
                     constraint_respect_score, edit_distance_score, diversity_score, leftovers_score,
                     baseline_version_id, status, created_at)
                 VALUES ('{}', '{of}', '2026-02', '{alignment}', '1', '0.7', '0.6', '0.5', {baseline}, 'completed',
                         '2026-02-01T00:00:00.000000Z');",
                key(id)
            )
        };
        world
            .sql(&format!(
                "DELETE FROM exp_variants WHERE experiment_id = '{id}' AND name = 'candidate';
                 UPDATE exp_variants SET allocation = '1.0000' WHERE experiment_id = '{id}';
                 DELETE FROM rampkeeper_registry_tags WHERE model = '{name}_model' AND version = '2';
                 DELETE FROM rampkeeper_registry_aliases WHERE model = '{name}_model' AND alias = 'challenger';
                 UPDATE exp_experiments SET status = 'draft' WHERE id <> '{id}'; {} {}",
                result("one", control, "0.8", "NULL"),
                result("two", candidate, "0.9", &format!("'{control}'"))
            ))
            .await;
        world.live(day(0)).await;
        world.night(day(0), 0).await;
        world.live(day(1)).await;
        let auto = "    auto_enroll: true\n    enrolment: { policy: arriving policy }\n";
        world.write("promotion.yml", &format!("{PROMOTION}experiments:\n  {name}:\n{auto}"));
        world.sql("PRAGMA wal_checkpoint(TRUNCATE);").await;
        Eve { world }
    }
}

/// A folder with a store of its own, over the lake of the eve.
pub struct EmbeddedSite<'a> {
    eve: &'a Eve,
    folder: TempDir,
    smtp: Smtp,
}

impl<'a> EmbeddedSite<'a> {
    pub async fn new(eve: &'a Eve) -> EmbeddedSite<'a> {
        EmbeddedSite::with(eve, Rules::default()).await
    }

    /// A site whose mail server behaves like that.
    pub async fn with(eve: &'a Eve, rules: Rules<'_>) -> EmbeddedSite<'a> {
        let folder = tempfile::tempdir().expect("a folder");
        let site = EmbeddedSite { eve, folder, smtp: Smtp::start(rules).await };
        let mut settings = eve.world.settings.clone();
        settings["warehouse"] = json!({ "lake": { "path": eve.world.path("lake") } });
        settings["mail"] = json!({
            "from": "Rampkeeper <rampkeeper@example.com>",
            "to": ["team@example.com", "Dana <dana@example.com>"],
            "smtp": { "host": "127.0.0.1", "port": site.smtp.port(), "encryption": "none" },
        });
        fs::write(site.path("rampkeeper.yml"), settings.to_string()).expect("the settings");
        for file in ["metrics.yml", "promotion.yml"] {
            fs::copy(eve.world.path(file), site.path(file)).expect("a file of the configuration");
        }
        site
    }

    /// The same with mails as files.
    pub async fn with_mail_files(eve: &'a Eve) -> EmbeddedSite<'a> {
        let site = EmbeddedSite::new(eve).await;
        let mut settings: Value =
            serde_json::from_str(&fs::read_to_string(site.path("rampkeeper.yml")).expect("the settings"))
                .expect("JSON");
        settings["mail"] = json!({ "from": "r@example.com", "to": ["team@example.com"], "directory": "mails" });
        fs::write(site.path("rampkeeper.yml"), settings.to_string()).expect("the settings");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn connect(&self) -> SqliteConnection {
        let options =
            SqliteConnectOptions::new().filename(self.path("control.db")).busy_timeout(Duration::from_secs(10));
        SqliteConnection::connect_with(&options).await.expect("the control store opens")
    }

    async fn texts(&self, connection: &mut SqliteConnection, sql: String) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

impl Site for EmbeddedSite<'_> {
    async fn restore(&self) {
        for file in ["control.db", "control.db-wal", "control.db-shm"] {
            let path = self.path(file);
            if path.exists() {
                fs::remove_file(path).expect("a file that can be removed");
            }
        }
        fs::copy(self.eve.world.path("control.db"), self.path("control.db")).expect("the eve's store");
        for folder in ["reports", "mails"].map(|folder| self.path(folder)).into_iter().filter(|folder| folder.exists())
        {
            fs::remove_dir_all(folder).expect("a folder that can be removed");
        }
        self.smtp.empty();
    }

    fn night(&self, now: Timestamp) -> Command {
        let mut command = program(&["run", "--as-of", &eve::judged().to_string(), "--now", &now.to_string()]);
        command.arg("--config").arg(self.path("rampkeeper.yml"));
        command
    }

    async fn calm(&self) {
        self.smtp.calm().await;
    }

    async fn late_units(&self) {
        let mut connection = self.connect().await;
        let sql = format!("INSERT INTO exp_assignments VALUES {}", eve::late_units());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("late units");
        connection.close().await.expect("a connection that closes");
    }

    async fn tables(&self) -> BTreeMap<String, Rows> {
        let mut connection = self.connect().await;
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                     AND name <> 'rampkeeper_migrations'";
        let mut tables = BTreeMap::new();
        for table in self.texts(&mut connection, names.to_owned()).await {
            // JSON holds no bytes.
            let columns = format!(
                "SELECT group_concat('''' || name || ''', iif(typeof(' || name || ') = ''blob'', hex(' || name || '), ' || name || ')', ', ') FROM pragma_table_info('{table}')
                 WHERE NOT ('{table}' = 'rampkeeper_assignment_moves' AND name = 'moved_at')"
            );
            let columns = self.texts(&mut connection, columns).await.remove(0);
            let rows = format!("SELECT json_object({columns}) FROM {table} ORDER BY 1");
            let rows = self.texts(&mut connection, rows).await;
            tables.insert(table, short(rows));
        }
        connection.close().await.expect("a connection that closes");
        tables
    }

    async fn beside(&self, runs: &[&str]) -> State {
        let mut state = pages(&self.path("reports"), runs);
        let mails = self.path("mails").read_dir().into_iter().flatten().flatten();
        for entry in mails.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml")) {
            let whole = fs::read(entry.path()).expect("a mail").ends_with(b"--\r\n");
            state.insert(entry.file_name().to_string_lossy().into_owned(), format!("whole: {whole}"));
        }
        state
    }

    fn mails(&self) -> Vec<Mail> {
        self.smtp.mails()
    }

    async fn pending_mails(&self) -> Vec<String> {
        let mut connection = self.connect().await;
        let sql = "SELECT idempotency_key FROM rampkeeper_actions WHERE kind = 'mail' AND status = 'pending'";
        let pending = self.texts(&mut connection, sql.to_owned()).await;
        connection.close().await.expect("a connection that closes");
        pending
    }
}

/// The rows of a table; of a long one, their number and digest.
fn short(rows: Vec<String>) -> Rows {
    if rows.len() < 1_000 {
        return rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    }
    let mut digest = Sha256::new();
    rows.iter().for_each(|row| digest.update(row));
    let digest: Value = format!("{:x}", digest.finalize()).into();
    vec![json!({ "rows": rows.len(), "digest": digest })]
}

/// The pages in a folder of reports, and the digests of their pictures.
pub fn pages(root: &Path, runs: &[&str]) -> State {
    let mut found = State::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".html") {
                found.insert(name, state::page(&fs::read_to_string(path).expect("a page"), runs));
            } else if name.ends_with(".png") {
                found.insert(name, format!("{:x}", Sha256::digest(fs::read(path).expect("a picture"))));
            } else {
                // What is kept for the next run names runs by digests; nothing half-written may be left.
                assert!(name == "style.css" || name.starts_with(".rampkeeper-site."), "{name}");
            }
        }
    }
    found
}
