//! What a night reads follows the new day, not the age of the experiment: over sixty days of events, a request for one day
//! touches that day's rows and the next's, in every engine.

use jiff::civil::date;
use rampkeeper::domain::{
    CohortRequest, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Fact, Field, Measure, Metric,
    Rows, Share, Value, Variant, VariantConfig, VariantId,
};
use rampkeeper::warehouse::{
    ClickhouseSettings, ClickhouseWarehouse, Collected, Examine, LakeWarehouse, MysqlSettings, MysqlWarehouse,
    PostgresSettings, PostgresWarehouse, SqliteSettings, SqliteWarehouse, Tables, Warehouse,
};
use sqlx::PgPool;
use sqlx::types::Uuid;

use super::load;
use super::world::{Assignment, Event, FIRST, midnight};
use super::{LIMIT, assert_agree, keys, metrics};
use crate::support::clickhouse::Clickhouse;
use crate::support::mariadb::Mariadb;
use crate::support::postgres::Postgres;

/// Days, units that come each day, and events of each unit.
const DAYS: i64 = 60;
const UNITS: i64 = 100;
const EVENTS: i64 = 20;

fn experiment() -> Experiment {
    Experiment {
        id: ExperimentId(Uuid::from_u128(0xe1)),
        name: "old".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: Some(midnight(FIRST)),
        end_at: None,
        variants: Vec::new(),
    }
}

/// The thirtieth day.
fn request<'a>(experiment: &'a Experiment, metrics: &'a [Metric], exposed_by: ExposedBy) -> CohortRequest<'a> {
    let to = midnight(date(2026, 6, 1));
    CohortRequest {
        experiment,
        metrics: metrics.iter().collect(),
        window_days: 1,
        from: date(2026, 2, 3),
        to: date(2026, 2, 3),
        exposed_by,
        spans: vec![EpochSpan { epoch: 0, from: midnight(FIRST), to }],
    }
}

/// Units that come day by day, and do things in the day after.
fn rows() -> (Vec<Assignment>, Vec<Event>) {
    let (mut assignments, mut events) = (Vec::new(), Vec::new());
    let second = jiff::SignedDuration::from_secs;
    for n in 0..DAYS * UNITS {
        let at = midnight(FIRST) + second(n * 86_400 / UNITS);
        let unit = format!("unit {n}");
        let variant = Uuid::from_u128(0xc0 + (n % 2) as u128);
        let experiment = Uuid::from_u128(0xe1);
        assignments.push(Assignment { experiment, unit: unit.clone(), variant, at });
        for k in 0..EVENTS {
            events.push(Event {
                kind: ["plan_generated", "plan_accepted"][(k % 2) as usize],
                unit_type: "user",
                unit: unit.clone(),
                at: at + second(k * 3_600),
                latency: (Some("811.25".to_owned()), Some(811.25)),
                cost: Some(0.25),
                reading: None,
                experiments: vec![(experiment, variant)],
            });
        }
    }
    events.sort_by_key(|event| event.at);
    (assignments, events)
}

fn ours() -> Vec<Metric> {
    metrics(1)
        .into_iter()
        .filter(|metric| ["acceptance", "latency", "cost", "plans"].contains(&metric.name.as_str()))
        .collect()
}

#[tokio::test]
async fn postgres_reads_the_day_by_its_indexes() {
    let server = Postgres::shared().await;
    let url = server.database("plans").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let (assignments, events) = rows();
    load::create_postgres(&pool).await;
    load::assign_postgres(&pool, "assignments", &assignments).await;
    load::assign_postgres(&pool, "first_assignments", &assignments).await;
    load::happen_postgres(&pool, &events).await;
    pool.close().await;
    let (experiment, metrics) = (experiment(), ours());
    for (table, exposed_by) in [
        ("exp.first_assignments", ExposedBy::Assignment),
        ("exp.assignments", ExposedBy::Assignment),
        ("exp.assignments", ExposedBy::Event),
    ] {
        let tables = Tables { assignments: table.parse().unwrap(), ..Tables::of_schema("exp") };
        let settings = PostgresSettings { url: url.clone(), statement_timeout: LIMIT, max_connections: 1, tables };
        let warehouse = PostgresWarehouse::connect(settings).await.unwrap();
        let plan = warehouse.explain(&request(&experiment, &metrics, exposed_by)).await.unwrap().unwrap();
        assert!(plan.contains("Index"), "{table}, {exposed_by:?}:\n{plan}");
        // Exposures by events must look back at whoever comes that day; on all else no table is read as a whole.
        assert!(
            !plan.contains("Seq Scan on events") || exposed_by == ExposedBy::Event,
            "{table}, {exposed_by:?}:\n{plan}"
        );
        assert!(table == "exp.assignments" || !plan.contains("Seq Scan on"), "{plan}");
    }
}

/// The days stand outside of a fact's SQL, and the planner takes them inside, to an index on what gives the time.
#[tokio::test]
async fn postgres_reads_the_day_of_a_fact_by_its_index() {
    let server = Postgres::shared().await;
    let url = server.database("fact_plans").await;
    let pool = PgPool::connect(&url).await.unwrap();
    let (assignments, events) = rows();
    load::create_postgres(&pool).await;
    load::assign_postgres(&pool, "first_assignments", &assignments).await;
    load::happen_postgres(&pool, &events).await;
    sqlx::raw_sql(
        "CREATE TABLE exp.orders AS SELECT unit_id AS customer, timestamp AS placed_at, (payload ->> 'cost')::numeric AS amount
         FROM exp.events; CREATE INDEX orders_by_time ON exp.orders (placed_at); ANALYZE exp.orders",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let sql = "SELECT customer AS unit_id, placed_at AS \"timestamp\", amount FROM exp.orders WHERE amount > 0";
    let of = Rows::Fact(Fact { name: "orders".to_owned(), sql: sql.to_owned() });
    let value = Measure { of, value: Value::Sum(Field::of_fact("amount").unwrap()) };
    let metrics = [Metric::of_units("spent", value)];
    let experiment = experiment();
    let tables = Tables { assignments: "exp.first_assignments".parse().unwrap(), ..Tables::of_schema("exp") };
    let settings = PostgresSettings { url, statement_timeout: LIMIT, max_connections: 1, tables };
    let warehouse = PostgresWarehouse::connect(settings).await.unwrap();
    let asked = request(&experiment, &metrics, ExposedBy::Assignment);
    let plan = warehouse.explain(&asked).await.unwrap().unwrap();
    assert!(plan.contains("orders_by_time") && !plan.contains("Seq Scan on"), "{plan}");
    let told = warehouse.collect(&asked).await.unwrap();
    let means: Vec<f64> = told.moments.column("mean_y").unwrap().f64().unwrap().iter().flatten().collect();
    assert_eq!(means, vec![0.25 * EVENTS as f64; 2]);
}

#[tokio::test]
async fn sqlite_reads_the_day_by_its_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("warehouse.db");
    let (assignments, events) = rows();
    load::create_sqlite(&file).await;
    load::assign_sqlite(&file, "exp_assignments", &assignments).await;
    load::happen_sqlite(&file, &events).await;
    let (experiment, metrics) = (experiment(), ours());
    let settings = SqliteSettings { path: file, statement_timeout: LIMIT, tables: Tables::embedded() };
    let warehouse = SqliteWarehouse::open(settings).await.unwrap();
    let plan = warehouse.explain(&request(&experiment, &metrics, ExposedBy::Assignment)).await.unwrap().unwrap();
    let of_tables = plan
        .lines()
        .filter(|line| line.contains(" a ") || line.contains(" e ") || line.ends_with(" a") || line.ends_with(" e"));
    let of_tables: Vec<&str> = of_tables.collect();
    assert!(of_tables.len() >= 2 && of_tables.iter().all(|line| line.contains("USING")), "{plan}");
}

#[tokio::test]
async fn mariadb_reads_the_day_by_its_indexes() {
    let server = Mariadb::shared().await;
    let url = server.database("plans").await;
    let (assignments, events) = rows();
    load::create_mariadb(server, &url).await;
    load::assign_mariadb(server, &url, "first_assignments", &assignments).await;
    load::happen_mariadb(server, &url, &events).await;
    let (experiment, metrics) = (experiment(), ours());
    let tables = Tables { assignments: "first_assignments".parse().unwrap(), ..Tables::plain() };
    let settings = MysqlSettings { url: url.into(), statement_timeout: LIMIT, max_connections: 1, tables };
    let warehouse = MysqlWarehouse::connect(settings).await.unwrap();
    let plan = warehouse.explain(&request(&experiment, &metrics, ExposedBy::Assignment)).await.unwrap().unwrap();
    // id, select_type, table, type, …
    let lines: Vec<Vec<&str>> = plan.lines().map(|line| line.split('\t').collect()).collect();
    let events: Vec<_> = lines.iter().filter(|line| line[2] == "e").collect();
    assert!(
        !events.is_empty()
            && events.iter().all(|line| ["ref", "range", "eq_ref"].iter().any(|by| line[3].starts_with(by))),
        "{plan}"
    );
}

#[tokio::test]
async fn clickhouse_reads_the_parts_of_the_day() {
    let servers = Clickhouse::start(1).await;
    let (assignments, events) = rows();
    load::create_clickhouse(&servers, "plans", false).await;
    load::assign_clickhouse(&servers, "plans", &assignments).await;
    load::happen_clickhouse(&servers, "plans", &events).await;
    let (experiment, metrics) = (experiment(), ours());
    rustls::crypto::ring::default_provider().install_default().ok();
    let settings = ClickhouseSettings {
        url: servers.url(0).parse().unwrap(),
        username: None,
        password: None,
        database: Some("plans".to_owned()),
        ca_file: None,
        statement_timeout: LIMIT,
        tables: Tables::plain(),
    };
    let warehouse = ClickhouseWarehouse::connect(settings).await.unwrap();
    warehouse.collect(&request(&experiment, &metrics, ExposedBy::Assignment)).await.unwrap();
    let read: i64 = servers.logged(0, "max(read_rows)", "query LIKE '%cohort_day%'").await.parse().unwrap();
    // Two days of events, and exposures back to the experiment's start, since the tables have no unique key.
    let day = UNITS * EVENTS..3 * UNITS * EVENTS + 5 * DAYS * UNITS;
    assert!(day.contains(&read), "{read} rows were read");
    assert!(read < DAYS * UNITS * EVENTS / 3, "{read} rows were read");

    // Two experiments whose variants are known share one statement, and it reads as much as that of one: the day's events
    // once, and of assignments the units of the day and once more the history.
    let known = |key: u128, name: &str| Experiment {
        id: ExperimentId(Uuid::from_u128(key)),
        name: name.to_owned(),
        variants: [0xc0, 0xc1].map(variant).into(),
        ..experiment.clone()
    };
    let both = [known(0xe1, "old"), known(0xe2, "without units")];
    let requests: Vec<_> = both.iter().map(|of| request(of, &metrics, ExposedBy::Assignment)).collect();
    let alone = warehouse.collect(&request(&experiment, &metrics, ExposedBy::Assignment)).await.unwrap();
    let answers = warehouse.collect_many(&requests).await;
    assert_eq!(keys(&answers[0].as_ref().unwrap().health), keys(&alone.health));
    assert_agree("the same statement", answers[0].as_ref().unwrap(), &alone);
    assert_eq!(answers[1].as_ref().unwrap().health.height(), 0);
    let shared = servers.logged(0, "count(), max(read_rows)", "query LIKE '%ALL RIGHT JOIN%'").await;
    let (statements, read) = shared.split_once('\t').unwrap();
    let read: i64 = read.trim().parse().unwrap();
    assert_eq!(statements, "1", "{shared}");
    let day = UNITS * EVENTS..3 * UNITS * EVENTS + 2 * DAYS * UNITS;
    assert!(day.contains(&read), "{read} rows were read");
}

fn variant(key: u128) -> Variant {
    Variant {
        id: VariantId(Uuid::from_u128(key)),
        name: format!("{key}"),
        allocation: Share::NONE,
        config: Ok(VariantConfig::Flag),
    }
}

/// Two hundred experiments over the same units, each of which is in all of them: no statement holds more than it may, and all
/// have the answers that they have alone.
#[tokio::test]
async fn clickhouse_holds_little_of_two_hundred_experiments() {
    const EXPERIMENTS: u128 = 200;
    let servers = Clickhouse::start(1).await;
    let (first, events) = rows();
    let mut assignments = Vec::new();
    for n in 0..EXPERIMENTS {
        // A fortieth of the units each, so that all are in five experiments.
        assignments.extend(first.iter().enumerate().filter(|(unit, _)| (*unit as u128 + n).is_multiple_of(40)).map(
            |(_, row)| Assignment {
                experiment: Uuid::from_u128(0xe00 + n),
                variant: Uuid::from_u128(0xc000 + 2 * n + row.variant.as_u128() % 2),
                unit: row.unit.clone(),
                at: row.at,
            },
        ));
    }
    load::create_clickhouse(&servers, "many", false).await;
    load::assign_clickhouse(&servers, "many", &assignments).await;
    load::happen_clickhouse(&servers, "many", &events).await;
    let metrics = ours();
    let experiments: Vec<Experiment> = (0..EXPERIMENTS)
        .map(|n| Experiment {
            id: ExperimentId(Uuid::from_u128(0xe00 + n)),
            name: format!("experiment {n}"),
            variants: [0xc000 + 2 * n, 0xc001 + 2 * n].map(variant).into(),
            ..experiment()
        })
        .collect();
    // All days.
    let last = date(2026, 3, 5);
    let whole = |of| CohortRequest { from: FIRST, to: last, ..request(of, &metrics, ExposedBy::Assignment) };
    let requests: Vec<_> = experiments.iter().map(whole).collect();
    rustls::crypto::ring::default_provider().install_default().ok();
    let settings = ClickhouseSettings {
        url: servers.url(0).parse().unwrap(),
        username: None,
        password: None,
        database: Some("many".to_owned()),
        ca_file: None,
        statement_timeout: LIMIT,
        tables: Tables::plain(),
    };
    let warehouse = ClickhouseWarehouse::connect(settings).await.unwrap();
    let answers = warehouse.collect_many(&requests).await;
    for place in [0, 57, 199] {
        let alone = warehouse.collect(&requests[place]).await.unwrap();
        assert_agree("among two hundred", answers[place].as_ref().unwrap(), &alone);
        assert!(alone.moments.height() > 0);
    }
    let units =
        |answer: &Collected| answer.health.column("units").unwrap().i64().unwrap().iter().flatten().sum::<i64>();
    let all: i64 = answers.iter().map(|answer| units(answer.as_ref().unwrap())).sum();
    assert_eq!(all as usize, assignments.len());
    let told = "count(), intDiv(max(memory_usage), 1048576)";
    let told = servers.logged(0, told, "query LIKE '%ALL RIGHT JOIN%'").await;
    let (statements, mebibytes) = told.split_once('\t').unwrap();
    let (statements, mebibytes): (i64, i64) = (statements.parse().unwrap(), mebibytes.trim().parse().unwrap());
    assert!(statements <= 10, "{statements} statements");
    assert!(mebibytes <= 300, "{mebibytes} MiB");
}

#[tokio::test]
async fn the_lake_opens_the_folders_of_the_day() {
    let dir = tempfile::tempdir().unwrap();
    let (assignments, events) = rows();
    load::assign_lake(dir.path(), &assignments, "part");
    load::happen_lake(dir.path(), &events, "part");
    let lake = LakeWarehouse::open(dir.path().to_owned()).unwrap();
    let (experiment, metrics) = (experiment(), ours());
    let request = request(&experiment, &metrics, ExposedBy::Assignment);
    let before = lake.collect(&request).await.unwrap();
    for folder in std::fs::read_dir(dir.path().join("events")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if name != "date=2026-02-03" && name != "date=2026-02-04" {
            for file in std::fs::read_dir(folder).unwrap() {
                std::fs::write(file.unwrap().path(), "no Parquet").unwrap();
            }
        }
    }
    let after = lake.collect(&request).await.unwrap();
    assert!(before.moments.equals(&after.moments) && before.moments.height() == 2 * metrics.len());
}
