//! A world for one test that needs no server: SQLite, a lake, the embedded registry and a folder of mails beneath one
//! temporary folder, and the program run over it as its users run it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use polars::prelude::{
    DataFrame, DataType, IntoColumn, NamedFrom, ParquetWriter, Series, TimeUnit, TimeZone as LakeZone,
};
use rampkeeper::demo::{Assignment, DayOfTraffic, Effects, Event, FIRST_DAY, Scenario, Shares, Traffic, Truth};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

/// One night is enough to ramp, and to roll back what is clearly worse.
pub const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 80 }
    - { allocation: 0.25, min_days: 1, min_units: 80 }
    - { allocation: 0.50, min_days: 1, min_units: 80 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.05 }
    - { metric: cost_per_plan, margin: 0.10 }
";

/// A candidate that is better, with as much traffic as a test needs.
pub fn better(experiment: &'static str) -> Scenario {
    Scenario {
        experiment,
        candidate: "candidate",
        truth: Truth::Better,
        units_per_day: 1_200,
        effects: Effects { acceptance: 1.10, cost: 0.90, ..Effects::NONE },
        candidate_loss: 0.0,
        order_rate: |_| 0.0,
    }
}

/// A candidate that costs half as much again.
pub fn harmful(experiment: &'static str) -> Scenario {
    let effects = Effects { cost: 1.5, ..Effects::NONE };
    Scenario { truth: Truth::Harmful, effects, ..better(experiment) }
}

/// The `n`th day of the world, from 0.
pub fn day(n: i64) -> Date {
    FIRST_DAY.checked_add(n.days()).unwrap()
}

/// When the job runs that judges a day.
pub fn two_in_the_night_after(day: Date) -> String {
    format!("{}T02:00:00Z", day.tomorrow().unwrap())
}

/// A key that is the same in every world.
pub fn key(of: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, of.as_bytes())
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Told {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Told { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Told {
    /// Panics with everything that was said unless the exit code is this one.
    pub fn expect(self, code: i32) -> Told {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Panics unless standard error says that.
    pub fn complains(&self, of: &str) -> &Told {
        assert!(self.err.contains(of), "{of:?} is not in stderr:\n{}\nstdout:\n{}", self.err, self.out);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}\n{}", self.out, self.err))
    }
}

/// The program with these arguments, cut off from the settings of whoever runs the tests.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rampkeeper"));
    for variable in ["RAMPKEEPER_CONFIG", "RAMPKEEPER_LOG", "NO_COLOR", "CLICOLOR_FORCE", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    for (variable, _) in std::env::vars()
        .filter(|(name, _)| ["MLFLOW_", "DATABRICKS_", "METABASE_"].iter().any(|of| name.starts_with(of)))
    {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn told(mut command: Command) -> Told {
    command.output().await.expect("the program starts").into()
}

/// What an experiment's part of a night's JSON says.
pub fn of<'a>(report: &'a Value, experiment: &str) -> &'a Value {
    let experiments = report["experiments"].as_array().expect("experiments");
    experiments.iter().find(|e| e["name"] == experiment).unwrap_or_else(|| panic!("{experiment} is not in {report:#}"))
}

/// The outcome for an experiment's candidate.
pub fn outcome<'a>(report: &'a Value, experiment: &str) -> &'a str {
    let candidates = of(report, experiment)["candidates"].as_array().expect("candidates");
    let found = candidates.iter().find(|c| c["name"] == "candidate");
    found.and_then(|c| c["decision"]["outcome"].as_str()).unwrap_or("none")
}

/// The reasons' tags for an experiment's candidate, in their order.
pub fn reasons(report: &Value, experiment: &str) -> Vec<String> {
    let candidates = of(report, experiment)["candidates"].as_array().expect("candidates");
    let reasons = candidates.iter().filter(|c| c["name"] == "candidate");
    let reasons = reasons.flat_map(|c| c["decision"]["reasons"].as_array().into_iter().flatten());
    reasons.map(|reason| reason["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A port of the loopback interface on which nobody listens.
pub fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Everything beneath one temporary folder, and the traffic of its experiments.
pub struct World {
    dir: TempDir,
    /// `rampkeeper.yml`; [`World::configure`] writes it.
    pub settings: Value,
    traffic: Traffic,
}

impl World {
    /// The tables and these experiments, none with traffic yet.
    pub async fn new(scenarios: Vec<Scenario>) -> World {
        let world = World::bare(scenarios.clone());
        world.run(&["migrate"]).await.expect(0);
        for scenario in &scenarios {
            world.create(scenario).await;
        }
        world
    }

    /// The configuration and an empty lake, and no tables.
    pub fn bare(scenarios: Vec<Scenario>) -> World {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = json!({
            "control": { "url": "sqlite:control.db" },
            "warehouse": { "lake": { "path": "lake" } },
            "registry": { "local": {} },
            "mail": {
                "from": "Rampkeeper <rampkeeper@example.com>",
                "to": ["team@example.com"],
                "directory": "mails",
            },
            "reports": "reports",
        });
        let world = World { dir, settings, traffic: Traffic::new(scenarios, 7) };
        for folder in ["lake/events", "lake/assignments"] {
            fs::create_dir_all(world.path(folder)).expect("a folder of the lake");
        }
        world.configure();
        world.write("metrics.yml", include_str!("../../config/metrics.example.yml"));
        world.write("promotion.yml", PROMOTION);
        world
    }

    /// A file of the world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the world.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Writes the settings as they are now.
    pub fn configure(&self) {
        // JSON is YAML, too.
        self.write("rampkeeper.yml", &self.settings.to_string());
    }

    /// A command over this world's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.arg("--config").arg(self.path("rampkeeper.yml"));
        command
    }

    /// Runs a command over this world's configuration.
    pub async fn run(&self, arguments: &[&str]) -> Told {
        told(self.command(arguments)).await
    }

    /// `plan` or `run` for the night after a day.
    pub fn nightly(&self, what: &str, day: Date) -> Command {
        self.command(&[what, "--as-of", &day.to_string(), "--now", &two_in_the_night_after(day)])
    }

    /// Runs the night after a day, which must end with that code, and reads its JSON.
    pub async fn night(&self, day: Date, code: i32) -> Value {
        let mut command = self.nightly("run", day);
        command.args(["--output", "json"]);
        told(command).await.expect(code).json()
    }

    /// Puts an experiment at 90/10 into the tables, each arm with a model version of its own.
    pub async fn create(&self, scenario: &Scenario) {
        let name = scenario.experiment;
        let (experiment, policy) = (key(name), key(&format!("{name} policy")));
        self.sql(&format!(
            "INSERT INTO exp_policies (id, name) VALUES ('{policy}', '{name} policy');
             INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at) VALUES
             ('{experiment}', '{name}', 'active', 'user', '{FIRST_DAY}T00:00:00.000000Z',
              '{FIRST_DAY}T00:00:00.000000Z', '{FIRST_DAY}T00:00:00.000000Z');"
        ))
        .await;
        let arms =
            [("control", "0.9000", "production", "champion"), ("candidate", "0.1000", "candidate", "challenger")];
        for (number, (arm, share, stage, alias)) in (1..).zip(arms) {
            let (variant, version) = (key(&format!("{name} {arm}")), key(&format!("{name} version {number}")));
            let config = json!({
                "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": version },
            });
            self.sql(&format!(
                "INSERT INTO exp_policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
                 VALUES ('{version}', '{policy}', {number}, '{name}_model', '{number}');
                 INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at)
                 VALUES ('{variant}', '{experiment}', '{arm}', '{share}', '{config}', '{FIRST_DAY}T00:00:0{number}Z');
                 INSERT INTO rampkeeper_registry_tags (model, version, key, value)
                 VALUES ('{name}_model', '{number}', 'stage', '{stage}');
                 INSERT INTO rampkeeper_registry_aliases (model, alias, version)
                 VALUES ('{name}_model', '{alias}', '{number}');"
            ))
            .await;
        }
    }

    /// A day of traffic under the allocations of the moment, written into the lake.
    pub async fn live(&mut self, day: Date) -> DayOfTraffic {
        let traffic = self.happen(day).await;
        save(&self.events(day), &mut events_frame(&traffic.events));
        save(&self.assignments(day), &mut assignments_frame(&traffic.assignments));
        traffic
    }

    /// A day of traffic under the allocations of the moment that nobody has written down.
    pub async fn happen(&mut self, day: Date) -> DayOfTraffic {
        let shares = self.shares().await;
        self.traffic.day(day, &shares)
    }

    /// The file with a day's events.
    pub fn events(&self, day: Date) -> PathBuf {
        self.path(&format!("lake/events/date={day}/part-0.parquet"))
    }

    /// The file with a day's first exposures.
    pub fn assignments(&self, day: Date) -> PathBuf {
        self.path(&format!("lake/assignments/date={day}/part-0.parquet"))
    }

    /// The allocation tables, as the assignment service reads them.
    async fn shares(&self) -> Vec<Shares> {
        let rows = self
            .rows(
                "SELECT e.name AS experiment, e.status = 'active' AS active, v.id, v.name,
                        CAST(round(CAST(v.allocation AS REAL) * 10000) AS INTEGER) AS share
                 FROM exp_experiments e JOIN exp_variants v ON v.experiment_id = e.id ORDER BY e.name, v.created_at",
            )
            .await;
        let mut tables: BTreeMap<String, Shares> = BTreeMap::new();
        for row in rows {
            let name: String = row.get("experiment");
            let table = tables.entry(name.clone()).or_insert_with(|| Shares {
                experiment: key(&name),
                name,
                active: row.get("active"),
                variants: Vec::new(),
            });
            let share = u16::try_from(row.get::<i64, _>("share")).expect("a share");
            table.variants.push((row.get::<String, _>("id").parse().expect("a key"), row.get("name"), share));
        }
        tables.into_values().collect()
    }

    /// The allocations of an experiment: `control 0.9000, candidate 0.1000`.
    pub async fn allocations(&self, experiment: &str) -> String {
        self.text(&format!(
            "SELECT group_concat(name || ' ' || allocation, ', ') FROM
             (SELECT * FROM exp_variants WHERE experiment_id = '{}' ORDER BY created_at)",
            key(experiment)
        ))
        .await
    }

    /// A number out of the control store.
    pub async fn count(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].get(0)
    }

    /// A text out of the control store.
    pub async fn text(&self, sql: &str) -> String {
        self.rows(sql).await[0].get(0)
    }

    async fn rows(&self, sql: &str) -> Vec<SqliteRow> {
        let mut connection = self.connect().await;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
        connection.close().await.expect("a connection that closes");
        rows.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// Changes the control store by hand.
    pub async fn sql(&self, statements: &str) {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
        connection.close().await.expect("a connection that closes");
        done.unwrap_or_else(|error| panic!("{error} in {statements}"));
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("control.db"));
        SqliteConnection::connect_with(&options).await.expect("the control store opens")
    }

    /// Every table of the control store by its contents, and every other file by its length.
    pub async fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        for row in self.rows(tables).await {
            let table: String = row.get(0);
            let columns = format!(
                "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info('{table}')"
            );
            let columns = self.text(&columns).await;
            let rows = format!(
                "SELECT coalesce(group_concat(row, x'0a'), '') FROM (SELECT {columns} AS row FROM {table} ORDER BY 1)"
            );
            state.insert(table, self.text(&rows).await);
        }
        state.extend(self.files().into_iter().filter(|(name, _)| !name.starts_with("control.db")));
        state
    }

    /// Every file by its length.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")) {
                let (path, length) = (entry.path(), entry.metadata().expect("a length").len());
                let name = path.strip_prefix(self.dir.path()).expect("below the folder").display().to_string();
                if path.is_dir() { folders.push(path) } else { drop(files.insert(name, length.to_string())) }
            }
        }
        files
    }

    /// The page of a night.
    pub fn page(&self, day: Date) -> String {
        fs::read_to_string(self.path(&format!("reports/nights/{day}.html"))).expect("a page")
    }

    /// The nights' digests in the folder of mails, their folded lines made whole.
    pub fn mails(&self) -> Vec<String> {
        self.all_mails().into_iter().filter(|mail| !mail.contains("\r\nX-Rampkeeper-Decision: ")).collect()
    }

    /// The mails about single decisions, and the answers in their threads.
    pub fn thread_mails(&self) -> Vec<String> {
        self.all_mails().into_iter().filter(|mail| mail.contains("\r\nX-Rampkeeper-Decision: ")).collect()
    }

    fn all_mails(&self) -> Vec<String> {
        let folder = self.path("mails").read_dir().into_iter().flatten().flatten();
        let read = |path: PathBuf| fs::read_to_string(path).expect("a mail").replace("=\r\n", "");
        folder.map(|entry| read(entry.path())).collect()
    }
}

/// Events as the lake keeps them.
pub fn events_frame(events: &[Event]) -> DataFrame {
    frame(vec![
        text("event_type", events.iter().map(|e| e.event)),
        text("unit_id", events.iter().map(|e| e.unit.as_str())),
        times("timestamp", events.iter().map(|e| e.at)),
        Series::new("latency_ms".into(), events.iter().map(|e| e.latency_ms).collect::<Vec<_>>()),
        Series::new("cost".into(), events.iter().map(|e| e.cost).collect::<Vec<_>>()),
    ])
}

/// The same, but the costs are text.
pub fn events_frame_with_text(events: &[Event]) -> DataFrame {
    let mut frame = events_frame(events);
    let costs = events.iter().map(|e| e.cost.map(|cost| format!("{cost} EUR"))).collect::<Vec<_>>();
    frame.with_column(Series::new("cost".into(), costs).into_column()).expect("a column of the same length");
    frame
}

/// First exposures as the lake keeps them.
pub fn assignments_frame(assignments: &[Assignment]) -> DataFrame {
    let keys = |name: &str, keys: Vec<String>| Series::new(name.into(), keys);
    frame(vec![
        keys("experiment_id", assignments.iter().map(|a| a.experiment.to_string()).collect()),
        text("unit_id", assignments.iter().map(|a| a.unit.as_str())),
        keys("variant_id", assignments.iter().map(|a| a.variant.to_string()).collect()),
        times("assigned_at", assignments.iter().map(|a| a.at)),
    ])
}

fn text<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Series {
    Series::new(name.into(), values.collect::<Vec<_>>())
}

fn times(name: &str, values: impl Iterator<Item = Timestamp>) -> Series {
    let micros = Series::new(name.into(), values.map(Timestamp::as_microsecond).collect::<Vec<i64>>());
    micros.cast(&DataType::Datetime(TimeUnit::Microseconds, Some(LakeZone::UTC))).expect("microseconds are times")
}

fn frame(columns: Vec<Series>) -> DataFrame {
    let height = columns[0].len();
    DataFrame::new(height, columns.into_iter().map(IntoColumn::into_column).collect()).expect("columns of one length")
}

/// Writes a Parquet file and the folders above it.
pub fn save(path: &Path, frame: &mut DataFrame) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of a day");
    ParquetWriter::new(File::create(path).expect("a file")).finish(frame).expect("a Parquet file");
}
