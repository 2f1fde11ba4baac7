//! SQLite and MariaDB as warehouses, over tables that are not as they should be, with limits of time and of rights, and with
//! numbers that are hard to add up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::date;
use rampkeeper::domain::{
    CohortRequest, Direction, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, FieldRoot, Measure,
    Metric, MetricForm, Value, Variant,
};
use rampkeeper::warehouse::{
    Collected, Examine, MysqlSettings, MysqlWarehouse, SqliteSettings, SqliteWarehouse, Tables, Warehouse,
    WarehouseError,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Connection};

use crate::support::mariadb::Mariadb;

/// The latency of plans on 2026-01-05.
pub async fn collect(warehouse: &dyn Warehouse) -> Result<Collected, WarehouseError> {
    collect_from(warehouse, Vec::new()).await
}

/// The same of an experiment whose variants are known.
pub async fn collect_from(warehouse: &dyn Warehouse, variants: Vec<Variant>) -> Result<Collected, WarehouseError> {
    asking(variants, async |request| warehouse.collect(&request).await).await
}

/// What is answered to that request.
pub async fn asking<T>(variants: Vec<Variant>, ask: impl AsyncFnOnce(CohortRequest<'_>) -> T) -> T {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let experiment = Experiment {
        id: ExperimentId(Uuid::from_u128(0xe1)),
        name: "planner_v2".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: None,
        end_at: None,
        variants,
    };
    let metric = latency();
    let request = CohortRequest {
        experiment: &experiment,
        metrics: vec![&metric],
        window_days: 1,
        from: date(2026, 1, 5),
        to: date(2026, 1, 5),
        exposed_by: ExposedBy::Assignment,
        spans: vec![EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-02-01T00:00:00Z") }],
    };
    ask(request).await
}

pub fn latency() -> Metric {
    Metric {
        name: "latency".to_owned(),
        description: None,
        form: MetricForm::Mean { value: Measure::of_event("plan", Value::Sum("latency_ms".parse().unwrap())) },
        direction: Direction::Decrease,
        window_days: 1,
        covariate_days: None,
    }
}

pub fn float(collected: &Collected, column: &str) -> f64 {
    collected.moments.column(column).unwrap().f64().unwrap().get(0).unwrap()
}

/// 1e9 - 1 and 1e9 + 1 by turns, over ten thousand units: the variance is exactly 1.
pub fn assert_variance_of_one(collected: &Collected) {
    assert_eq!(float(collected, "mean_y"), 1e9);
    assert!((float(collected, "m2_y") / 10_000.0 - 1.0).abs() < 1e-9, "{}", float(collected, "m2_y"));
    let others = ["mean_d", "m2_d", "c_yd"].map(|column| float(collected, column));
    assert_eq!(others, [1.0, 0.0, 0.0]);
}

const EXPERIMENT: &str = "00000000-0000-0000-0000-0000000000e1";
const VARIANT: &str = "00000000-0000-0000-0000-00000000000c";

// ---------------------------------------------------------------------------------------------------------------------
// SQLite

const SQLITE_TABLES: &str = "
    CREATE TABLE exp_assignments (experiment_id TEXT, unit_type TEXT, unit_id TEXT, variant_id TEXT, assigned_at TEXT,
        PRIMARY KEY (experiment_id, unit_id));
    CREATE TABLE exp_events (event_type TEXT, unit_type TEXT, unit_id TEXT, context TEXT, metrics TEXT, payload TEXT,
        timestamp TEXT);
    CREATE INDEX by_time ON exp_events (timestamp);";

struct File {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    async fn with(statements: &str) -> File {
        let dir = tempfile::tempdir().unwrap();
        let file = File { path: dir.path().join("warehouse.db"), _dir: dir };
        file.sql(statements).await;
        file
    }

    async fn sql(&self, statements: &str) {
        let options = SqliteConnectOptions::new().filename(&self.path).create_if_missing(true);
        let options = options.busy_timeout(Duration::from_secs(5));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn settings(&self, seconds: f64) -> SqliteSettings {
        SqliteSettings {
            path: self.path.clone(),
            statement_timeout: Duration::from_secs_f64(seconds),
            tables: Tables::embedded(),
        }
    }

    async fn open(&self) -> SqliteWarehouse {
        SqliteWarehouse::open(self.settings(30.0)).await.unwrap()
    }
}

#[tokio::test]
async fn sqlite_adds_up_numbers_far_from_zero() {
    let file = File::with(SQLITE_TABLES).await;
    file.sql(&format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
         INSERT INTO exp_assignments SELECT '{EXPERIMENT}', 'user', n, '{VARIANT}', '2026-01-05T01:00:00Z' FROM n;
         INSERT INTO exp_events SELECT 'plan', 'user', unit_id, NULL,
             json_object('latency_ms', 1e9 + 2 * (CAST(unit_id AS INTEGER) % 2) - 1), NULL, '2026-01-05 02:00:00'
         FROM exp_assignments;"
    ))
    .await;
    assert_variance_of_one(&collect(&file.open().await).await.unwrap());
}

#[tokio::test]
async fn what_a_sqlite_file_lacks_is_said_in_words() {
    let nowhere = File::with("").await;
    let absent = SqliteSettings { path: nowhere.path.with_file_name("absent.db"), ..nowhere.settings(1.0) };
    let error = SqliteWarehouse::open(absent).await.unwrap_err();
    assert!(
        matches!(&error, WarehouseError::Unreachable { warehouse, .. } if warehouse.contains("absent.db")),
        "{error}"
    );
    std::fs::write(
        nowhere.path.with_file_name("text.db"),
        "no database at all, but long enough to be taken for one".repeat(99),
    )
    .unwrap();
    let text = SqliteSettings { path: nowhere.path.with_file_name("text.db"), ..nowhere.settings(1.0) };
    assert!(SqliteWarehouse::open(text).await.unwrap_err().is_outage());

    let warehouse = nowhere.open().await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingTable { table, .. } if table.contains("exp_")), "{error}");
    assert!(error.is_outage());
    assert_eq!(warehouse.faults(date(2026, 1, 5)).await.unwrap().len(), 2);

    nowhere.sql(SQLITE_TABLES).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    assert_eq!(warehouse.partition(date(2026, 1, 5)).await.unwrap(), None);
    assert!(warehouse.faults(date(2026, 1, 5)).await.unwrap().is_empty());
    nowhere.sql("ALTER TABLE exp_events RENAME metrics TO numbers").await;
    let faults = warehouse.faults(date(2026, 1, 5)).await.unwrap();
    assert!(matches!(&faults[..], [WarehouseError::MissingColumn { column, .. }] if column == "metrics"), "{faults:?}");
}

#[tokio::test]
async fn an_instant_that_sqlite_cannot_read_holds_and_is_named() {
    let file = File::with(SQLITE_TABLES).await;
    let warehouse = file.open().await;
    file.sql("INSERT INTO exp_events VALUES ('plan', 'user', '1', NULL, '{}', NULL, '2026-01-05T25:00:00Z')").await;
    let error = warehouse.partition(date(2026, 1, 5)).await.unwrap_err();
    assert!(error.to_string().contains("something else in 1 rows"), "{error}");
    file.sql(&format!(
        "INSERT INTO exp_assignments VALUES ('{EXPERIMENT}', 'user', '1', '{VARIANT}', '2026-01-05 about noon')"
    ))
    .await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::WrongColumn { column, .. } if column == "assigned_at"), "{error}");
}

/// A view that takes for ever.
const SQLITE_SLOW: &str = "
    DROP TABLE exp_assignments;
    CREATE TABLE something (x);
    CREATE VIEW exp_assignments AS
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000000000)
        SELECT '00000000-0000-0000-0000-0000000000e1' AS experiment_id, 'user' AS unit_type, n AS unit_id,
            '00000000-0000-0000-0000-00000000000c' AS variant_id, '2026-01-05T01:00:00Z' AS assigned_at
        FROM n WHERE n < 0 UNION ALL SELECT x, x, x, x, x FROM something;";

/// Hashed here, one row at a time, whatever order they come in.
#[tokio::test]
async fn a_value_that_is_changed_in_place_changes_the_days_checksum_in_sqlite() {
    let file = File::with(SQLITE_TABLES).await;
    file.sql(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500)
         INSERT INTO exp_events SELECT 'plan', 'user', n, json_object('a', 1), json_object('cost', n), NULL,
             '2026-01-05T02:00:00Z' FROM n",
    )
    .await;
    let warehouse = file.open().await;
    let of = async |roots: &[FieldRoot]| warehouse.content(date(2026, 1, 5), roots).await.unwrap();
    let (metrics, both) = ([FieldRoot::Metrics], [FieldRoot::Metrics, FieldRoot::Context]);
    let before = (of(&metrics).await, of(&both).await);
    assert!(before.0.is_some_and(|sum| sum != 0) && before.1.is_some() && before.0 != before.1);
    file.sql(
        "CREATE TABLE moved AS SELECT * FROM exp_events; DELETE FROM exp_events;
         INSERT INTO exp_events SELECT * FROM moved ORDER BY random()",
    )
    .await;
    assert_eq!((of(&metrics).await, of(&both).await), before);
    file.sql("UPDATE exp_events SET context = '{\"a\": 2}' WHERE unit_id = '77'").await;
    assert_eq!(of(&metrics).await, before.0);
    assert_ne!(of(&both).await, before.1);
    file.sql("UPDATE exp_events SET metrics = '{\"cost\": 77.5}' WHERE unit_id = '77'").await;
    assert_ne!(of(&metrics).await, before.0);
    // Neither a byte that is no letter nor a null is an error.
    file.sql("UPDATE exp_events SET metrics = CAST(x'7bff7d' AS TEXT), unit_id = NULL WHERE unit_id = '78'").await;
    assert_ne!(of(&metrics).await, before.0);
}

#[tokio::test]
async fn a_query_of_sqlite_ends_when_its_time_is_up_or_nobody_waits() {
    let file = File::with(SQLITE_TABLES).await;
    file.sql(SQLITE_SLOW).await;
    let warehouse = SqliteWarehouse::open(file.settings(0.5)).await.unwrap();
    let began = Instant::now();
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(error, WarehouseError::TimedOut { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    // Who reads keeps writers out; a query that ran on would keep this one out for its five seconds and more.
    file.sql("BEGIN EXCLUSIVE; INSERT INTO something VALUES (1); COMMIT").await;

    let patient = file.open().await;
    let dropped = tokio::time::timeout(Duration::from_millis(500), collect(&patient)).await;
    assert!(dropped.is_err(), "it should still be running");
    file.sql("BEGIN EXCLUSIVE; INSERT INTO something VALUES (2); COMMIT").await;
}

// ---------------------------------------------------------------------------------------------------------------------
// MariaDB

const MARIADB_TABLES: &str = "
    CREATE TABLE assignments (experiment_id char(36), unit_type varchar(20), unit_id varchar(255), variant_id char(36),
        assigned_at datetime(6), UNIQUE (experiment_id, unit_id));
    CREATE TABLE events (event_type varchar(100), unit_type varchar(20), unit_id varchar(255), context json, metrics json,
        payload json, `timestamp` datetime(6), KEY (unit_type, unit_id));";

fn mysql(url: &str, seconds: f64) -> MysqlSettings {
    MysqlSettings {
        url: url.to_owned().into(),
        statement_timeout: Duration::from_secs_f64(seconds),
        max_connections: 2,
        tables: Tables::plain(),
    }
}

async fn connect(url: &str) -> MysqlWarehouse {
    MysqlWarehouse::connect(mysql(url, 30.0)).await.unwrap()
}

#[tokio::test]
async fn mariadb_adds_up_numbers_far_from_zero() {
    let server = Mariadb::shared().await;
    let url = server.database("large_mean").await;
    server.sql(&url, MARIADB_TABLES).await;
    server
        .sql(
            &url,
            &format!(
                "INSERT INTO assignments SELECT '{EXPERIMENT}', 'user', seq, '{VARIANT}', '2026-01-05 01:00:00' FROM seq_1_to_10000;
                 INSERT INTO events SELECT 'plan', 'user', seq, NULL, json_object('latency_ms', 1e9 + 2 * (seq % 2) - 1), NULL,
                     '2026-01-05 02:00:00' FROM seq_1_to_10000;"
            ),
        )
        .await;
    assert_variance_of_one(&collect(&connect(&url).await).await.unwrap());
    server.sql(&url, "UPDATE events SET metrics = '{\"latency_ms\": 1e200}' WHERE unit_id = '7'").await;
    let error = collect(&connect(&url).await).await.unwrap_err().to_string();
    assert!(error.contains("too large to be squared and summed"), "{error}");
}

#[tokio::test]
async fn a_value_that_is_changed_in_place_changes_the_days_checksum_in_mariadb() {
    let server = Mariadb::shared().await;
    let url = server.database("content").await;
    server.sql(&url, MARIADB_TABLES).await;
    let insert = "INSERT INTO events SELECT 'plan', 'user', seq, json_object('a', 1), json_object('cost', seq), NULL,
                      '2026-01-05 02:00:00' FROM seq_1_to_500";
    server.sql(&url, insert).await;
    let warehouse = connect(&url).await;
    let of = async |roots: &[FieldRoot]| warehouse.content(date(2026, 1, 5), roots).await.unwrap();
    let (metrics, both) = ([FieldRoot::Metrics], [FieldRoot::Metrics, FieldRoot::Context]);
    let before = (of(&metrics).await, of(&both).await);
    assert!(before.0.is_some() && before.1.is_some() && before.0 != before.1);
    // Another order of the same rows is the same day.
    let moved = "CREATE TABLE moved AS SELECT * FROM events; TRUNCATE events;
                 INSERT INTO events SELECT * FROM moved ORDER BY rand()";
    server.sql(&url, moved).await;
    assert_eq!((of(&metrics).await, of(&both).await), before);
    // What no metric reads is no matter.
    server.sql(&url, "UPDATE events SET context = '{\"a\": 2}' WHERE unit_id = '77'").await;
    assert_eq!(of(&metrics).await, before.0);
    assert_ne!(of(&both).await, before.1);
    server.sql(&url, "UPDATE events SET metrics = '{\"cost\": 77.5}' WHERE unit_id = '77'").await;
    assert_ne!(of(&metrics).await, before.0);
}

#[tokio::test]
async fn what_the_tables_of_mariadb_lack_is_said_in_words() {
    let server = Mariadb::shared().await;
    let url = server.database("lacking").await;
    let warehouse = connect(&url).await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingTable { table, .. } if table.contains("assignments")), "{error}");
    assert!(error.is_outage());

    server.sql(&url, MARIADB_TABLES).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    assert_eq!(warehouse.partition(date(2026, 1, 5)).await.unwrap(), None);
    assert_eq!(warehouse.newest(date(2026, 1, 5)).await.unwrap(), None);

    server.sql(&url, "ALTER TABLE events CHANGE metrics numbers json").await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingColumn { column, .. } if column == "metrics"), "{error}");
    assert!(!error.is_outage());
    server.sql(&url, "ALTER TABLE events CHANGE numbers metrics json, MODIFY `timestamp` varchar(40)").await;
    let faults = warehouse.faults(date(2026, 1, 5)).await.unwrap();
    assert!(
        matches!(&faults[..], [WarehouseError::WrongColumn { column, found, .. }] if column == "timestamp" && found == "varchar"),
        "{faults:?}"
    );
}

#[tokio::test]
async fn a_user_of_mariadb_who_may_only_read_is_enough_and_one_who_may_not_is_told_so() {
    let server = Mariadb::shared().await;
    let url = server.database("rights").await;
    server.sql(&url, MARIADB_TABLES).await;
    let database = url.rsplit('/').next().unwrap();
    let user = format!("reader_{database}");
    server
        .sql(
            &url,
            &format!(
                "CREATE USER '{user}'@'%' IDENTIFIED BY 'pss-reader'; GRANT SELECT ON {database}.events TO '{user}'@'%'"
            ),
        )
        .await;
    let reader = url.replace("root@", &format!("{user}:pss-reader@"));
    let warehouse = connect(&reader).await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Forbidden { .. } | WarehouseError::MissingTable { .. }), "{error:?}");
    assert!(error.is_outage());
    server.sql(&url, &format!("GRANT SELECT ON {database}.assignments TO '{user}'@'%'")).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    let remarks = warehouse.remarks().await.unwrap();
    assert!(remarks.iter().any(|remark| remark.what == "rights" && remark.mend.is_none()), "{remarks:?}");
    let remarks = connect(&url).await.remarks().await.unwrap();
    assert!(remarks.iter().any(|remark| remark.what == "rights" && remark.mend.is_some()), "{remarks:?}");

    let wrong = MysqlWarehouse::connect(mysql(&url.replace("root@", "nobody:pss-secret@"), 5.0)).await.unwrap_err();
    assert!(matches!(wrong, WarehouseError::Unreachable { .. }), "{wrong}");
    let unparsable = MysqlWarehouse::connect(mysql("mysql://me:pss-secret@host:notaport/x", 5.0)).await.unwrap_err();
    let said = format!("{wrong:?}{wrong}{unparsable:?}{unparsable}{warehouse:?}{:?}", mysql(&reader, 5.0));
    assert!(!said.contains("pss-"), "{said}");
}

/// A view of which each row takes long.
const MARIADB_SLOW: &str = "
    DROP TABLE assignments;
    CREATE FUNCTION slowly() RETURNS varchar(10) NOT DETERMINISTIC NO SQL RETURN concat(sleep(60), '');
    CREATE VIEW assignments AS SELECT '00000000-0000-0000-0000-0000000000e1' AS experiment_id, 'user' AS unit_type,
        slowly() AS unit_id, '00000000-0000-0000-0000-00000000000c' AS variant_id,
        CAST('2026-01-05 01:00:00' AS datetime(6)) AS assigned_at";

#[tokio::test]
async fn a_query_of_mariadb_ends_when_its_time_is_up_or_nobody_waits() {
    let server = Mariadb::shared().await;
    let url = server.database("slow").await;
    server.sql(&url, MARIADB_TABLES).await;
    server.sql(&url, MARIADB_SLOW).await;
    let hasty = MysqlWarehouse::connect(mysql(&url, 0.5)).await.unwrap();
    let error = collect(&hasty).await.unwrap_err();
    assert!(matches!(error, WarehouseError::TimedOut { .. }), "{error:?}");
    assert!(!error.is_outage());

    let database = url.rsplit('/').next().unwrap();
    let running = format!(
        "SELECT count(*) FROM information_schema.processlist WHERE db = '{database}' AND info LIKE '%cohort_day%' AND command <> 'Sleep' AND id <> connection_id()"
    );
    let patient = connect(&url).await;
    assert!(
        tokio::time::timeout(Duration::from_secs(1), collect(&patient)).await.is_err(),
        "it should still be running"
    );
    let began = Instant::now();
    while server.ask(&url, &running).await[0][0] != "0" {
        assert!(began.elapsed() < Duration::from_secs(10), "the query runs on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn mariadb_is_reached_by_tls_and_its_certificate_is_checked() {
    let server = Mariadb::start_with_tls(&["localhost", "127.0.0.1"]).await;
    let url = server.database("tls").await;
    server.sql(&url, MARIADB_TABLES).await;
    let with = |ca: &std::path::Path| format!("{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", ca.display());
    let warehouse = connect(&with(server.ca())).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    let remarks = warehouse.remarks().await.unwrap();
    assert!(remarks.iter().any(|remark| remark.detail.contains("the connection is encrypted (TLS_")), "{remarks:?}");

    let other = Mariadb::start_with_tls(&["localhost", "127.0.0.1"]).await;
    let error = MysqlWarehouse::connect(mysql(&with(other.ca()), 5.0)).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::Tls { advice, .. } if advice.contains("ca_file")), "{error:?}");
}
