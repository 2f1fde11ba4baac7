//! The PostgreSQL warehouse over databases that are not as they should be, and over numbers that are hard to add up.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use rampkeeper::domain::{
    CohortRequest, Direction, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, FieldRoot, Measure,
    Metric, MetricForm, Value,
};
use rampkeeper::warehouse::{Collected, PostgresSettings, PostgresWarehouse, Tables, Warehouse, WarehouseError};
use sqlx::types::Uuid;

use crate::support::postgres::Postgres;

const TABLES: &str = "
    CREATE SCHEMA exp;
    CREATE TABLE exp.assignments (experiment_id uuid, unit_type text, unit_id text, variant_id uuid,
        assigned_at timestamptz, UNIQUE (experiment_id, unit_id));
    CREATE TABLE exp.events (event_type text, unit_type text, unit_id text, context jsonb, metrics jsonb, payload jsonb,
        timestamp timestamptz);
    CREATE INDEX ON exp.events (unit_type, unit_id);";

fn settings(url: &str) -> PostgresSettings {
    PostgresSettings {
        url: url.to_owned(),
        statement_timeout: Duration::from_secs(30),
        max_connections: 2,
        tables: Tables::of_schema("exp"),
    }
}

/// The latency of plans on 2026-01-05.
async fn collect(warehouse: &PostgresWarehouse) -> Result<Collected, WarehouseError> {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let experiment = Experiment {
        id: ExperimentId(Uuid::from_u128(0xe1)),
        name: "planner_v2".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: None,
        end_at: None,
        variants: Vec::new(),
    };
    let value = Measure { event: "plan".to_owned(), value: Value::Sum("latency_ms".parse().unwrap()) };
    let metric = Metric {
        name: "latency".to_owned(),
        description: None,
        form: MetricForm::Mean { value },
        direction: Direction::Decrease,
        window_days: 1,
        covariate_days: None,
    };
    let request = CohortRequest {
        experiment: &experiment,
        metrics: vec![&metric],
        window_days: 1,
        from: date(2026, 1, 5),
        to: date(2026, 1, 5),
        exposed_by: ExposedBy::Assignment,
        spans: vec![EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-02-01T00:00:00Z") }],
    };
    warehouse.collect(&request).await
}

/// The error and all its causes, as an operator reads them.
fn chain(error: &WarehouseError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

#[tokio::test]
async fn a_large_mean_does_not_swallow_the_variance() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("large_mean").await;
    postgres.sql(&url, TABLES).await;
    // 1e9 - 1 and 1e9 + 1 by turns: the variance is exactly 1.
    let rows = "
        INSERT INTO exp.assignments
        SELECT '00000000-0000-0000-0000-0000000000e1', 'user', n::text, '00000000-0000-0000-0000-00000000000c',
               '2026-01-05T01:00:00Z' FROM generate_series(1, 10000) n;
        INSERT INTO exp.events
        SELECT 'plan', 'user', n::text, NULL, jsonb_build_object('latency_ms', 1e9 + 2 * (n % 2) - 1), NULL,
               '2026-01-05T02:00:00Z' FROM generate_series(1, 10000) n;";
    postgres.sql(&url, rows).await;
    let moments = collect(&PostgresWarehouse::connect(settings(&url)).await.unwrap()).await.unwrap().moments;
    let float = |column: &str| moments.column(column).unwrap().f64().unwrap().get(0).unwrap();
    assert_eq!(float("mean_y"), 1e9);
    assert!((float("m2_y") / 10_000.0 - 1.0).abs() < 1e-6, "{}", float("m2_y"));
    assert_eq!((float("mean_d"), float("m2_d"), float("c_yd")), (1.0, 0.0, 0.0));
}

#[tokio::test]
async fn a_value_that_is_changed_in_place_changes_the_days_checksum() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("content").await;
    postgres.sql(&url, TABLES).await;
    let insert =
        "INSERT INTO exp.events SELECT 'plan', 'user', n::text, '{\"a\": 1}', jsonb_build_object('cost', n), NULL,
                  '2026-01-05T02:00:00Z' FROM generate_series(1, 500) n";
    postgres.sql(&url, insert).await;
    let warehouse = PostgresWarehouse::connect(settings(&url)).await.unwrap();
    let of = async |roots: &[FieldRoot]| warehouse.content(date(2026, 1, 5), roots).await.unwrap();
    let (metrics, both) = ([FieldRoot::Metrics], [FieldRoot::Metrics, FieldRoot::Context]);
    let before = (of(&metrics).await, of(&both).await);
    // Another order of the same rows is the same day.
    postgres
        .sql(
            &url,
            "CREATE TABLE moved AS TABLE exp.events; TRUNCATE exp.events;
                        INSERT INTO exp.events SELECT * FROM moved ORDER BY random()",
        )
        .await;
    assert_eq!((of(&metrics).await, of(&both).await), before);
    // What no metric reads is no matter.
    postgres.sql(&url, "UPDATE exp.events SET context = '{\"a\": 2}' WHERE unit_id = '77'").await;
    assert_eq!(of(&metrics).await, before.0);
    assert_ne!(of(&both).await, before.1);
    postgres.sql(&url, "UPDATE exp.events SET metrics = '{\"cost\": 77.5}' WHERE unit_id = '77'").await;
    assert_ne!(of(&metrics).await, before.0);
}

#[tokio::test]
async fn what_the_tables_lack_is_said_in_words() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("lacking").await;
    let warehouse = PostgresWarehouse::connect(settings(&url)).await.unwrap();

    let error = collect(&warehouse).await.unwrap_err();
    assert!(
        matches!(&error, WarehouseError::MissingTable { table, .. } if table.contains("exp.assignments")),
        "{error}"
    );
    assert!(error.is_outage());
    let error = warehouse.partition(date(2026, 1, 5)).await.unwrap_err();
    assert!(error.is_outage(), "{error}");

    postgres.sql(&url, TABLES).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    assert_eq!(warehouse.partition(date(2026, 1, 5)).await.unwrap(), None);

    postgres.sql(&url, "ALTER TABLE exp.events ALTER metrics TYPE json").await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::WrongColumn { found, .. } if found == "json"), "{error}");
    assert!(!error.is_outage());

    postgres.sql(&url, "ALTER TABLE exp.events RENAME metrics TO numbers").await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingColumn { column, .. } if column == "metrics"), "{error}");
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough_and_one_that_may_not_is_told_so() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("roles").await;
    postgres.sql(&url, TABLES).await;
    postgres.sql(&url, "CREATE ROLE warehouse_reader LOGIN PASSWORD 'pss-reader'").await;
    let reader = url.replace("postgres@", "warehouse_reader:pss-reader@");
    let warehouse = PostgresWarehouse::connect(settings(&reader)).await.unwrap();
    let error = collect(&warehouse).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Forbidden { .. }), "{error}");
    assert!(error.is_outage());

    let grants =
        "GRANT USAGE ON SCHEMA exp TO warehouse_reader; GRANT SELECT ON ALL TABLES IN SCHEMA exp TO warehouse_reader";
    postgres.sql(&url, grants).await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
}

#[tokio::test]
async fn no_secret_appears_in_a_description_or_an_error() {
    let url = Postgres::shared().await.database("secrets").await;
    let wrong = url.replace("postgres@", "nobody:pss-secret@");
    let error = PostgresWarehouse::connect(settings(&wrong)).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Unreachable { .. }), "{error}");
    assert!(error.is_outage());
    let unparsable =
        PostgresWarehouse::connect(settings("postgres://me:pss-secret@host:notaport/x")).await.unwrap_err();
    let nowhere = PostgresWarehouse::connect(settings("postgres://me:pss-secret@127.0.0.1:1/x")).await.unwrap_err();
    assert!(chain(&nowhere).contains("127.0.0.1:1"), "{}", chain(&nowhere));
    let warehouse = PostgresWarehouse::connect(settings(&url)).await.unwrap();
    let said =
        [chain(&error), chain(&unparsable), chain(&nowhere), warehouse.describe(), format!("{:?}", settings(&wrong))];
    assert!(!said.iter().any(|said| said.contains("pss-secret")), "{said:?}");
    assert!(!format!("{error:?}{unparsable:?}{nowhere:?}{warehouse:?}").contains("pss-secret"));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_cancelled() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("slow").await;
    postgres.sql(&url, TABLES).await;
    let slow = "
        CREATE FUNCTION exp.wait() RETURNS timestamptz LANGUAGE sql VOLATILE AS
            $$ SELECT '2026-01-05T00:00:00Z'::timestamptz FROM pg_sleep(30) $$;
        DROP TABLE exp.assignments;
        CREATE VIEW exp.assignments AS SELECT '00000000-0000-0000-0000-0000000000e1'::uuid AS experiment_id,
            'user' AS unit_type, '1' AS unit_id, '00000000-0000-0000-0000-00000000000c'::uuid AS variant_id,
            exp.wait() AS assigned_at;";
    postgres.sql(&url, slow).await;
    let settings = PostgresSettings { statement_timeout: Duration::from_millis(200), ..settings(&url) };
    let error = collect(&PostgresWarehouse::connect(settings).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, WarehouseError::TimedOut { .. }), "{error}");
    assert!(!error.is_outage());
}
