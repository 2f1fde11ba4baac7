//! Custom facts from the file to the decision: nights over them, what a changed file does, and what engines say of wrong ones.

use std::time::Duration;

use jiff::civil::date;
use rampkeeper::domain::{
    CohortRequest, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Fact, Field, Measure, Metric,
    Rows, Value,
};
use rampkeeper::warehouse::{
    ClickhouseSettings, ClickhouseWarehouse, Examine, FactLook, MysqlSettings, MysqlWarehouse, PostgresSettings,
    PostgresWarehouse, SqliteSettings, SqliteWarehouse, Tables, WarehouseError,
};
use serde_json::json;
use sqlx::PgPool;

use crate::embedded::{PROMOTION, World, better, day, harmful, outcome, reasons, told};
use crate::support::clickhouse::Clickhouse;
use crate::support::mariadb::Mariadb;
use crate::support::postgres::Postgres;

pub const METRICS: &str = "\
metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    numerator: { fact: costs, sum: cost }
    denominator: { event: plan_generated }
";

pub const COSTS: &str = "\
-- What a plan cost, by the invoices.
SELECT customer AS unit_id,
       billed_at AS \"timestamp\",
       amount AS cost
FROM invoices
";

/// A world whose events and invoices lie in SQLite, beside the experiment tables.
pub async fn with_invoices(scenario: rampkeeper::demo::Scenario) -> World {
    let mut world = World::new(vec![scenario]).await;
    world.settings["warehouse"] = json!({ "sqlite": { "path": "control.db" } });
    world.configure();
    world.write("metrics.yml", METRICS);
    world.write("promotion.yml", PROMOTION);
    std::fs::create_dir_all(world.path("queries/facts")).unwrap();
    world.write("queries/facts/costs.sql", COSTS);
    world.sql("CREATE TABLE invoices (customer TEXT, billed_at TEXT, amount REAL); CREATE INDEX bills ON invoices (billed_at)").await;
    world
}

/// A day of traffic written into the tables: and its costs as invoices where these are wanted.
pub async fn live(world: &mut World, n: i64, with_invoices: bool) {
    let traffic = world.happen(day(n)).await;
    let assignments: Vec<_> =
        traffic.assignments.iter().map(|a| json!([a.experiment, a.unit, a.variant, a.at.to_string()])).collect();
    let events: Vec<_> = traffic
        .events
        .iter()
        .enumerate()
        .map(|(nth, e)| {
            json!([format!("{n}-{nth}"), e.event, e.unit, e.at.to_string(), json!({ "cost": e.cost }).to_string()])
        })
        .collect();
    let invoices: Vec<_> = traffic
        .events
        .iter()
        .filter(|e| with_invoices && e.event == "plan_generated" && e.cost.is_some())
        .map(|e| json!([e.unit, e.at.to_string(), e.cost]))
        .collect();
    let quoted = |rows: Vec<serde_json::Value>| json!(rows).to_string().replace('\'', "''");
    world
        .sql(&format!(
            "INSERT OR IGNORE INTO exp_assignments SELECT value ->> 0, 'user', value ->> 1, value ->> 2, value ->> 3 FROM json_each('{}');
             INSERT INTO exp_events (id, event_type, unit_type, unit_id, timestamp, metrics, created_at)
             SELECT value ->> 0, value ->> 1, 'user', value ->> 2, value ->> 3, value ->> 4, value ->> 3 FROM json_each('{}');
             INSERT INTO invoices SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each('{}');",
            quoted(assignments),
            quoted(events),
            quoted(invoices),
        ))
        .await;
}

#[tokio::test]
async fn a_night_decides_on_a_fact_as_on_the_same_events() {
    let mut by_fact = with_invoices(harmful("costly")).await;
    let mut by_events = with_invoices(harmful("costly")).await;
    by_events.write("metrics.yml", &METRICS.replace("fact: costs", "event: plan_generated"));
    for n in 0..2 {
        live(&mut by_fact, n, true).await;
        live(&mut by_events, n, true).await;
    }
    let (told, expected) = (by_fact.night(day(1), 0).await, by_events.night(day(1), 0).await);
    assert_eq!(outcome(&told, "costly"), "rollback", "{told:#}");
    assert_eq!(outcome(&expected, "costly"), "rollback");
    assert_eq!(reasons(&told, "costly"), reasons(&expected, "costly"));
    let sums = "SELECT group_concat(m, ' ') FROM (SELECT moments AS m FROM rampkeeper_cohorts ORDER BY cohort_date, variant_id)";
    assert_eq!(by_fact.text(sums).await, by_events.text(sums).await, "the evidence is the same");
    assert_eq!(by_fact.allocations("costly").await, "control 1.0000, candidate 0.0000");
}

#[tokio::test]
async fn a_changed_sql_is_another_definition_and_is_read_anew() {
    let mut world = with_invoices(better("steady")).await;
    for n in 0..3 {
        live(&mut world, n, true).await;
    }
    world.night(day(1), 0).await;
    let definitions = "SELECT count(DISTINCT definition) FROM rampkeeper_cohorts";
    let configurations = "SELECT count(DISTINCT config_digest) FROM rampkeeper_runs";
    assert_eq!((world.count(definitions).await, world.count(configurations).await), (1, 1));
    world.write("queries/facts/costs.sql", &COSTS.replace("amount AS cost", "amount * 2 AS cost"));
    world.night(day(2), 0).await;
    assert_eq!((world.count(definitions).await, world.count(configurations).await), (2, 2));
    // From the first day on, and not from where the old text ended.
    let first = "SELECT count(DISTINCT definition) FROM rampkeeper_cohorts WHERE cohort_date = (SELECT min(cohort_date) FROM rampkeeper_cohorts)";
    assert_eq!(world.count(first).await, 2);
}

/// Facts are often loaded after events. The days that are counted again find their rows.
#[tokio::test]
async fn rows_of_a_fact_that_come_late_are_read_again() {
    for late in [false, true] {
        let mut world = with_invoices(better("steady")).await;
        live(&mut world, 0, true).await;
        live(&mut world, 1, true).await;
        if late {
            world.sql("CREATE TABLE kept AS SELECT * FROM invoices WHERE rowid % 3 = 0; DELETE FROM invoices WHERE rowid % 3 = 0").await;
        }
        world.night(day(1), 0).await;
        let revisions = "SELECT count(*) FROM rampkeeper_cohorts WHERE revision > 0";
        assert_eq!(world.count(revisions).await, 0);
        if late {
            world.sql("INSERT INTO invoices SELECT * FROM kept").await;
        }
        live(&mut world, 2, true).await;
        world.night(day(2), 0).await;
        assert_eq!(world.count(revisions).await, if late { 2 } else { 0 }, "both arms of the closed day");
    }
}

#[tokio::test]
async fn a_fact_that_breaks_holds_those_who_read_it_and_says_why() {
    let mut world = with_invoices(better("steady")).await;
    for n in 0..2 {
        live(&mut world, n, true).await;
    }
    world.sql("ALTER TABLE invoices RENAME amount TO sum").await;
    let night = world.night(day(1), 3).await;
    assert_eq!(outcome(&night, "steady"), "hold");
    assert!(reasons(&night, "steady").contains(&"query_failed".to_owned()), "{night:#}");
    assert!(night.to_string().contains("the SQL of fact costs cannot be run"), "{night:#}");
    world.sql("ALTER TABLE invoices RENAME sum TO amount").await;
    live(&mut world, 2, true).await;
    assert_eq!(outcome(&world.night(day(2), 0).await, "steady"), "ramp", "the next night goes on");
}

#[tokio::test]
async fn where_there_is_no_sql_a_fact_is_refused_and_so_is_what_is_no_select() {
    let mut world = with_invoices(better("steady")).await;
    world.settings["warehouse"] = json!({ "lake": { "path": "lake" } });
    world.configure();
    world
        .run(&["check"])
        .await
        .expect(78)
        .complains("metrics.yml:6:3: metrics.cost_per_plan: a lake runs no SQL")
        .complains("as events");
    world.settings["warehouse"] = json!({ "sqlite": { "path": "control.db" }, "aggregates": {} });
    world.configure();
    world.run(&["check"]).await.expect(78).complains("the warehouse has aggregates alone");

    world.settings["warehouse"] = json!({ "sqlite": { "path": "control.db" } });
    world.configure();
    world.write("queries/facts/costs.sql", "SELECT 1 AS cost;\nDELETE FROM invoices;\n");
    world.run(&["check"]).await.expect(78).complains("queries/facts/costs.sql:1:17: a fact is one SELECT");
    world.write("queries/facts/costs.sql", "\nDELETE FROM invoices");
    told(world.nightly("run", day(1)))
        .await
        .expect(78)
        .complains("costs.sql:2:1: a fact is one SELECT: the text begins");
    // All faults at once, a file that is not there among them.
    let more = "  orders: { direction: increase, value: { fact: orders } }\n  both: { direction: increase, value: { fact: costs, event: a } }\n  none: { direction: increase, value: { sum: a } }\n";
    world.write("metrics.yml", &format!("{METRICS}{more}"));
    world
        .run(&["check"])
        .await
        .expect(78)
        .complains("costs.sql:2:1: ")
        .complains("metrics.yml:10:")
        .complains("orders.sql of this fact: No such file")
        .complains("`event` and `fact` exclude each other")
        .complains("key `event` is missing here, or `fact`");
}

// ---------------------------------------------------------------------------------------------------------------------
// What servers say of wrong SQL

fn fact(sql: &str) -> Fact {
    Fact { name: "orders".to_owned(), sql: sql.to_owned() }
}

async fn look(warehouse: &dyn Examine, sql: &str) -> Result<FactLook, WarehouseError> {
    warehouse.look_at_fact(&fact(sql), &["amount".to_owned(), "items".to_owned()], date(2026, 1, 5)).await
}

/// What is wrong with the columns, a line for each.
async fn wrong(warehouse: &dyn Examine, sql: &str) -> String {
    let found = look(warehouse, sql).await.unwrap_or_else(|error| panic!("{error:?}"));
    found.faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn says(told: &str, words: &[&str]) {
    assert_eq!(told.lines().count(), words.len(), "{told}");
    for (line, words) in told.lines().zip(words) {
        assert!(line.contains(words), "{words:?} is not in {line:?} of\n{told}");
    }
}

/// The line that a refused SQL fails in, and what was said.
async fn refused(warehouse: &dyn Examine, sql: &str) -> (Option<usize>, String) {
    match look(warehouse, sql).await {
        Err(WarehouseError::FactRefused { line, source, .. }) => (line, source.to_string()),
        other => panic!("{other:?}"),
    }
}

/// What three units spent on their first day: the mean, and how many rows there were, lacked an amount, or had none that is a
/// number.
async fn spent(warehouse: &dyn Examine, sql: &str) -> (f64, [i64; 3]) {
    let at = |text: &str| text.parse().unwrap();
    let experiment = Experiment {
        id: ExperimentId(uuid::Uuid::from_u128(0xe1)),
        name: "shop".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: None,
        end_at: None,
        variants: Vec::new(),
    };
    let value = Measure { of: Rows::Fact(fact(sql)), value: Value::Sum(Field::of_fact("amount").unwrap()) };
    let metric = Metric::of_units("spent", value);
    let request = CohortRequest {
        experiment: &experiment,
        metrics: vec![&metric],
        window_days: 1,
        from: date(2026, 1, 5),
        to: date(2026, 1, 5),
        exposed_by: ExposedBy::Assignment,
        spans: vec![EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-02-01T00:00:00Z") }],
    };
    let told = warehouse.collect(&request).await.unwrap_or_else(|error| panic!("{error:?}"));
    let mean = told.moments.column("mean_y").unwrap().f64().unwrap().get(0).unwrap();
    let count = |column: &str| told.health.column(column).unwrap().i64().unwrap().get(0).unwrap();
    assert_eq!(count("units"), 3);
    (mean, ["events", "missing", "not_numbers"].map(count))
}

/// Sound rows, of which some lack an amount, one has none that is a number, and one has no unit.
async fn sampled(name: &str, warehouse: &dyn Examine, sql: &str, not_numbers: u64) {
    let found = look(warehouse, sql).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert!(found.faults.is_empty(), "{name}: {:?}", found.faults);
    let sample = found.sample.unwrap();
    assert_eq!((sample.rows, sample.without_unit), (4, 1), "{name}");
    assert_eq!(sample.values[0], (1, not_numbers), "{name}: {sample:?}");
    assert_eq!(sample.values[1], (0, 0), "{name}");
}

#[tokio::test]
async fn postgres_says_which_column_of_a_fact_is_wrong() {
    let server = Postgres::shared().await;
    let url = server.database("facts").await;
    let pool = PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "CREATE SCHEMA exp; CREATE SCHEMA shop;
         CREATE TABLE exp.assignments (experiment_id uuid, unit_type text, unit_id text, variant_id uuid, assigned_at timestamptz);
         CREATE TABLE exp.events (event_type text, unit_type text, unit_id text, experiments jsonb, context jsonb, metrics jsonb,
             payload jsonb, timestamp timestamptz);
         CREATE TABLE shop.orders (customer bigint, placed_at timestamptz, said_at text, amount numeric, items int, note jsonb);
         INSERT INTO shop.orders VALUES (1, '2026-01-05 01:00Z', '', 9.5, 2, '{}'), (2, '2026-01-05 02:00Z', '', NULL, 2, '{}'),
             (3, '2026-01-05 03:00Z', '', 'NaN', 2, '{}'), (NULL, '2026-01-05 23:59:59Z', '', 1e200, 2, '{}'),
             (5, '2026-01-06 00:00Z', '', 1, 2, '{}');
         INSERT INTO exp.assignments SELECT '00000000-0000-0000-0000-0000000000e1', 'user', n::text,
             '00000000-0000-0000-0000-00000000000c', '2026-01-05 00:30Z' FROM generate_series(1, 3) AS n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let settings = |url: String| PostgresSettings {
        url,
        statement_timeout: Duration::from_secs(30),
        max_connections: 2,
        tables: Tables::of_schema("exp"),
    };
    let warehouse = PostgresWarehouse::connect(settings(url.clone())).await.unwrap();
    let sound = "SELECT customer AS unit_id, placed_at AS \"timestamp\", amount, items FROM shop.orders";
    sampled("PostgreSQL", &warehouse, sound, 1).await;
    let (mean, counts) = spent(&warehouse, sound).await;
    assert!((mean - 9.5 / 3.0).abs() < 1e-12 && counts == [3, 1, 1], "{mean} {counts:?}");
    let told = wrong(
        &warehouse,
        "SELECT said_at AS \"timestamp\", note AS amount, customer AS user_id, true AS items FROM shop.orders",
    )
    .await;
    says(
        &told,
        &[
            "there is no column `unit_id`, but timestamp, amount, user_id, items; write whose row it is as `… AS unit_id`",
            "`timestamp` is text, where an instant belongs; write `CAST(… AS timestamptz) AS \"timestamp\"`",
            "`amount` is jsonb, where a number belongs; write `CAST(… AS double precision) AS amount`",
            "`items` is bool, where a number belongs",
        ],
    );
    let told = wrong(
        &warehouse,
        "SELECT customer AS unit_id, placed_at::timestamp AS \"timestamp\", amount, items AS item, note AS experiment_id FROM shop.orders",
    )
    .await;
    says(
        &told,
        &[
            "write `… AT TIME ZONE 'UTC' AS \"timestamp\"`",
            "`experiment_id` is jsonb, where a key (UUID), or its text belongs",
            "there is no column `items`, but unit_id, timestamp, amount, item, experiment_id; did you mean `item`?",
        ],
    );
    let (line, why) =
        refused(&warehouse, "SELECT customer AS unit_id,\n  placed_on AS \"timestamp\"\nFROM shop.orders").await;
    assert!(line == Some(2) && why.contains("placed_on"), "{line:?} {why}");
    let (line, why) = refused(&warehouse, "SELECT 1\nFORM shop.orders").await;
    assert!(line == Some(2) && why.contains("shop"), "{line:?} {why}");
    let (_, why) = refused(&warehouse, "DELETE FROM shop.orders RETURNING 1").await;
    assert!(why.contains("syntax error"), "{why}");

    // Who may not read what a fact reads is told so, and no night of others ends for it.
    let reader = format!("reader_{}", url.rsplit('/').next().unwrap());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "CREATE ROLE {reader} LOGIN PASSWORD 'pss'; GRANT USAGE ON SCHEMA exp, shop TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA exp TO {reader}"
    )))
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let mut address: url::Url = url.parse().unwrap();
    address.set_username(&reader).unwrap();
    address.set_password(Some("pss")).unwrap();
    let warehouse = PostgresWarehouse::connect(settings(address.to_string())).await.unwrap();
    let (_, why) = refused(&warehouse, sound).await;
    assert!(why.contains("permission denied"), "{why}");
}

#[tokio::test]
async fn sqlite_says_which_column_of_a_fact_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warehouse.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE orders (customer INTEGER, placed_at TEXT, epoch INTEGER, amount REAL, items INTEGER);
         INSERT INTO orders VALUES (1, '2026-01-05T01:00:00Z', 1, 9.5, 2), (2, '2026-01-05 02:00:00', 2, NULL, 2),
             (3, '2026-01-05T03:00:00Z', 3, 'dear', 2), (NULL, '2026-01-05T23:59:59.999Z', 4, 1, 2), (5, '2026-01-06T00:00:00Z', 5, 1, 2)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let settings =
        SqliteSettings { path: path.clone(), statement_timeout: Duration::from_secs(30), tables: Tables::embedded() };
    let warehouse = SqliteWarehouse::open(settings).await.unwrap();
    let sound = "SELECT customer AS unit_id, placed_at AS timestamp, amount, items FROM orders -- all";
    sampled("SQLite", &warehouse, sound, 1).await;
    says(
        &wrong(&warehouse, "SELECT customer, epoch AS timestamp, amount, x'00' AS items FROM orders").await,
        &[
            "there is no column `unit_id`",
            "`timestamp` is INTEGER, where an instant belongs; write `datetime(…, 'unixepoch') AS \"timestamp\"`",
        ],
    );
    let (_, why) = refused(&warehouse, "SELECT customer FORM orders WHERE").await;
    assert!(why.contains("syntax error"), "{why}");
    // Instants are read as texts, so those that are none are only found in rows.
    sqlx::raw_sql("INSERT INTO orders VALUES (6, 'about noon', 6, 1, 2)").execute(&mut connection).await.unwrap();
    let found = look(&warehouse, sound).await.unwrap().sample.unwrap();
    assert_eq!((found.rows, found.undated), (4, 1));
}

#[tokio::test]
async fn mariadb_says_which_column_of_a_fact_is_wrong() {
    let server = Mariadb::shared().await;
    let url = server.database("facts").await;
    server
        .sql(
            &url,
            "CREATE TABLE orders (customer bigint, placed_at datetime(6), said_at varchar(40), amount decimal(20, 6), items int,
                 note json);
             INSERT INTO orders VALUES (1, '2026-01-05 01:00:00', '', 9.5, 2, '{}'), (2, '2026-01-05 02:00:00', '', NULL, 2, '{}'),
                 (3, '2026-01-05 03:00:00', '', 4, 2, '{}'), (NULL, '2026-01-05 23:59:59.999999', '', 1, 2, '{}'),
                 (5, '2026-01-06 00:00:00', '', 1, 2, '{}')",
        )
        .await;
    let settings = MysqlSettings {
        url: url.into(),
        statement_timeout: Duration::from_secs(30),
        max_connections: 2,
        tables: Tables::plain(),
    };
    let warehouse = MysqlWarehouse::connect(settings).await.unwrap();
    sampled(
        "MariaDB",
        &warehouse,
        "SELECT customer AS unit_id, placed_at AS `timestamp`, amount, items FROM orders # all",
        0,
    )
    .await;
    says(
        &wrong(&warehouse, "SELECT said_at AS `timestamp`, note AS amount, items, customer FROM orders").await,
        &[
            "there is no column `unit_id`, but timestamp, amount, items, customer",
            "`timestamp` is VARCHAR, where an instant belongs; write `CAST(… AS DATETIME(6)) AS \"timestamp\"`",
            "where a number belongs; write `CAST(… AS DOUBLE) AS amount`",
        ],
    );
    let (line, why) = refused(&warehouse, "SELECT customer AS unit_id,\n  placed_at\nFORM orders WHERE").await;
    assert!(line == Some(3) && why.contains("near 'orders WHERE"), "{line:?} {why}");
    let (_, why) = refused(&warehouse, "SELECT customers AS unit_id FROM orders").await;
    assert!(why.contains("Unknown column 'customers'"), "{why}");
}

#[tokio::test]
async fn clickhouse_says_which_column_of_a_fact_is_wrong() {
    let servers = Clickhouse::shared().await;
    servers.sql(0, "CREATE DATABASE facts").await;
    for table in [
        "CREATE TABLE facts.assignments (experiment_id UUID, unit_id String, variant_id UUID, assigned_at DateTime)
         ENGINE = MergeTree PARTITION BY toDate(assigned_at) ORDER BY assigned_at",
        "CREATE TABLE facts.events (event_type String, unit_type String, unit_id String, timestamp DateTime) ENGINE = MergeTree
         PARTITION BY toDate(timestamp) ORDER BY timestamp",
        "CREATE TABLE facts.orders (customer Nullable(UInt64), placed_at DateTime, placed_on Date, amount Nullable(Float64),
             items UInt8, note String) ENGINE = MergeTree PARTITION BY toDate(placed_at) ORDER BY placed_at",
        "INSERT INTO facts.orders VALUES (1, '2026-01-05 01:00:00', '2026-01-05', 9.5, 2, ''),
            (2, '2026-01-05 02:00:00', '2026-01-05', NULL, 2, ''), (3, '2026-01-05 03:00:00', '2026-01-05', nan, 2, ''),
            (NULL, '2026-01-05 23:59:59', '2026-01-05', 1, 2, ''), (5, '2026-01-06 00:00:00', '2026-01-06', 1, 2, '')",
        "INSERT INTO facts.assignments SELECT '00000000-0000-0000-0000-0000000000e1', toString(number + 1),
            '00000000-0000-0000-0000-00000000000c', toDateTime('2026-01-05 00:30:00') FROM system.numbers LIMIT 3",
    ] {
        servers.sql(0, table).await;
    }
    let settings = ClickhouseSettings {
        url: servers.url(0).parse().unwrap(),
        username: Some("reader".to_owned()),
        password: Some("pss-reader".to_owned().into()),
        database: Some("facts".to_owned()),
        ca_file: None,
        statement_timeout: Duration::from_secs(30),
        tables: Tables::plain(),
    };
    let warehouse = ClickhouseWarehouse::connect(settings).await.unwrap();
    let sound = "SELECT customer AS unit_id, placed_at AS timestamp, amount, items FROM orders -- all";
    sampled("ClickHouse", &warehouse, sound, 1).await;
    let (mean, counts) = spent(&warehouse, sound).await;
    assert!((mean - 9.5 / 3.0).abs() < 1e-12 && counts == [3, 1, 1], "{mean} {counts:?}");
    says(
        &wrong(
            &warehouse,
            "SELECT customer AS unit_id, placed_on AS timestamp, note AS amount, items, 'a' AS variant_id FROM orders",
        )
        .await,
        &[
            "`timestamp` is Date, where an instant belongs; write `toDateTime(…) AS \"timestamp\"`",
            "`variant_id` stands without `experiment_id`",
            "`amount` is String, where a number belongs; write `toFloat64(…) AS amount`",
        ],
    );
    let (line, why) =
        refused(&warehouse, "SELECT customer AS unit_id,\n  placed_at AS timestamp\nFORM orders WHERE").await;
    assert!(line == Some(3) && why.contains("Syntax error"), "{line:?} {why}");
    let (_, why) = refused(&warehouse, "SELECT customers AS unit_id FROM orders").await;
    assert!(why.contains("customers"), "{why}");
}
