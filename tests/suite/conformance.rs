//! The same world in every engine gives the same moments, and the same nights the same decisions.
//!
//! The lake shares nothing with the SQL engines but the request: it sums in polars over columns, they over JSON or columns in
//! their own ways. What all agree on to nine digits is hardly a mistake of any.

mod bucket;
mod facts;
mod load;
mod nights;
mod plans;
mod world;

use std::time::Duration;

use jiff::ToSpan;
use polars::prelude::{AnyValue, DataFrame, DataType};
use rampkeeper::domain::{
    CohortRequest, Direction, Experiment, ExposedBy, FieldRoot, Measure, Metric, MetricForm, Percentiles, TableName,
    Value,
};
use rampkeeper::warehouse::{
    ClickhouseSettings, ClickhouseWarehouse, Collected, Examine, Exceeding, LakeWarehouse, MysqlSettings,
    MysqlWarehouse, PostgresSettings, PostgresWarehouse, SqliteSettings, SqliteWarehouse, Tables, Warehouse,
};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use self::world::{EXPERIMENTS, FIRST, World};
use crate::support::clickhouse::Clickhouse;
use crate::support::mariadb::Mariadb;
use crate::support::postgres::Postgres;

/// Relative to the scale of the number.
const TOLERANCE: f64 = 1e-9;

const LIMIT: Duration = Duration::from_secs(120);

/// The world in all engines.
struct Loaded {
    world: World,
    dir: TempDir,
    postgres: String,
    mariadb: String,
}

static LOADED: OnceCell<Loaded> = OnceCell::const_new();

async fn loaded() -> &'static Loaded {
    LOADED
        .get_or_init(async || {
            let world = World::new();
            assert!(world.events.len() >= 200_000, "{} events", world.events.len());
            let dir = tempfile::tempdir().unwrap();
            let (server, mariadb, clickhouse) =
                tokio::join!(Postgres::shared(), Mariadb::shared(), Clickhouse::shared());
            let postgres = server.database("conformance").await;
            let database = mariadb.database("conformance").await;
            let pool = PgPool::connect(&postgres).await.unwrap();
            let file = dir.path().join("warehouse.db");
            let first = world.first_assignments();
            tokio::join!(
                async {
                    load::create_postgres(&pool).await;
                    load::assign_postgres(&pool, "assignments", &world.assignments).await;
                    load::assign_postgres(&pool, "first_assignments", &first).await;
                    load::happen_postgres(&pool, &world.events).await;
                },
                async {
                    load::create_sqlite(&file).await;
                    load::assign_sqlite(&file, "exp_assignments", &world.assignments).await;
                    load::assign_sqlite(&file, "first_assignments", &first).await;
                    load::happen_sqlite(&file, &world.events).await;
                },
                async {
                    load::create_mariadb(mariadb, &database).await;
                    load::assign_mariadb(mariadb, &database, "assignments", &world.assignments).await;
                    load::assign_mariadb(mariadb, &database, "first_assignments", &first).await;
                    load::happen_mariadb(mariadb, &database, &world.events).await;
                },
                async {
                    for (name, sharded) in [("conformance", false), ("conformance_sharded", true)] {
                        load::create_clickhouse(clickhouse, name, sharded).await;
                        load::assign_clickhouse(clickhouse, name, &world.assignments).await;
                        load::happen_clickhouse(clickhouse, name, &world.events).await;
                    }
                },
            );
            pool.close().await;
            load::happen_lake(dir.path(), &world.events, "part");
            load::assign_lake(dir.path(), &world.assignments, "part");
            // Another lake with the same events, in which each unit has one assignment.
            let once = dir.path().join("once");
            std::fs::create_dir_all(&once).unwrap();
            std::os::unix::fs::symlink(dir.path().join("events"), once.join("events")).unwrap();
            load::assign_lake(&once, &first, "part");
            Loaded { world, dir, postgres, mariadb: database }
        })
        .await
}

type Engines = Vec<(&'static str, Box<dyn Examine>)>;

/// The engines whose table of assignments may hold a unit twice, or whose table holds each once.
async fn engines(loaded: &Loaded, once: bool) -> Engines {
    let tables = |tables: Tables, first: &str| {
        if once { Tables { assignments: first.parse().unwrap(), ..tables } } else { tables }
    };
    let postgres = PostgresSettings {
        url: loaded.postgres.clone(),
        statement_timeout: LIMIT,
        max_connections: 2,
        tables: tables(Tables::of_schema("exp"), "exp.first_assignments"),
    };
    let sqlite = SqliteSettings {
        path: loaded.dir.path().join("warehouse.db"),
        statement_timeout: LIMIT,
        tables: tables(Tables::embedded(), "first_assignments"),
    };
    let mysql = MysqlSettings {
        url: loaded.mariadb.clone().into(),
        statement_timeout: LIMIT,
        max_connections: 2,
        tables: tables(Tables::plain(), "first_assignments"),
    };
    let mut engines: Engines = vec![
        ("PostgreSQL", Box::new(PostgresWarehouse::connect(postgres).await.unwrap())),
        ("SQLite", Box::new(SqliteWarehouse::open(sqlite).await.unwrap())),
        ("MariaDB", Box::new(MysqlWarehouse::connect(mysql).await.unwrap())),
    ];
    if !once {
        for (name, database) in [("ClickHouse", "conformance"), ("ClickHouse on two shards", "conformance_sharded")] {
            let clickhouse = ClickhouseWarehouse::connect(clickhouse_settings(database)).await.unwrap();
            engines.push((name, Box::new(clickhouse)));
        }
    }
    engines
}

/// What a table of ClickHouse's may read, by a user who may only read.
fn clickhouse_settings(database: &str) -> ClickhouseSettings {
    rustls::crypto::ring::default_provider().install_default().ok();
    let servers = CLICKHOUSE.get().expect("the servers run");
    ClickhouseSettings {
        url: servers.parse().unwrap(),
        username: Some("reader".to_owned()),
        password: Some("pss-reader".to_owned().into()),
        database: Some(database.to_owned()),
        ca_file: None,
        statement_timeout: LIMIT,
        tables: Tables { assignments: TableName::of(database, "assignments"), ..Tables::plain() },
    }
}

static CLICKHOUSE: OnceCell<String> = OnceCell::const_new();

fn metrics(window_days: u16) -> Vec<Metric> {
    let count = |event: &str| Measure::of_event(event, Value::Count);
    let sum = |event: &str, field: &str| Measure::of_event(event, Value::Sum(field.parse().unwrap()));
    let above = |event: &str, field: &str, threshold| {
        Measure::of_event(event, Value::CountAbove(field.parse().unwrap(), threshold))
    };
    let ratio = |numerator, denominator| MetricForm::Ratio { numerator, denominator };
    let mean = |value| MetricForm::Mean { value };
    [
        ("acceptance", ratio(count("plan_accepted"), count("plan_generated"))),
        ("edits", ratio(count("edit_applied"), count("plan_accepted"))),
        ("latency", ratio(sum("plan_generated", "latency_ms"), count("plan_generated"))),
        ("slow", ratio(above("plan_generated", "latency_ms", 2000.0), count("plan_generated"))),
        ("cost", ratio(sum("plan_generated", "payload.cost"), sum("plan_generated", "latency_ms"))),
        ("accepted latency", mean(sum("plan_accepted", "latency_ms"))),
        ("plans", mean(count("plan_generated"))),
        ("reading", ratio(sum("custom.reading", "reading"), count("custom.reading"))),
    ]
    .into_iter()
    .map(|(name, form)| Metric {
        name: name.to_owned(),
        description: None,
        form,
        direction: Direction::Increase,
        window_days,
        covariate_days: None,
    })
    .collect()
}

/// Each of these with a covariate, and what is read beside it.
fn with_covariates(metrics: Vec<Metric>, days: u16) -> Vec<Metric> {
    let with = |metric| Metric { covariate_days: Some(days), ..metric };
    metrics
        .into_iter()
        .map(with)
        .flat_map(|metric| {
            let companions = metric.companions();
            std::iter::once(metric).chain(companions)
        })
        .collect()
}

/// Every column but the floats, as text.
fn keys(frame: &DataFrame) -> Vec<String> {
    let cell = |value: AnyValue<'_>| value.get_str().map_or_else(|| value.to_string(), str::to_owned);
    let columns: Vec<_> = frame.columns().iter().filter(|column| column.dtype() != &DataType::Float64).collect();
    let row = |row| columns.iter().map(|column| cell(column.get(row).unwrap())).collect::<Vec<_>>().join(" ");
    (0..frame.height()).map(row).collect()
}

fn assert_agree(what: &str, told: &Collected, lake: &Collected) {
    assert_eq!(keys(&told.health), keys(&lake.health), "{what}");
    assert_eq!(keys(&told.moments), keys(&lake.moments), "{what}");
    let float = |collected: &Collected, column: &str, row| {
        collected.moments.column(column).unwrap().f64().unwrap().get(row).unwrap()
    };
    for (row, key) in keys(&lake.moments).iter().enumerate() {
        let (m2_y, m2_d) = (float(lake, "m2_y", row), float(lake, "m2_d", row));
        // A cross product is small beside the two sums of squares that bound it, so they are its scale.
        for (column, scale) in
            [("mean_y", 0.0), ("mean_d", 0.0), ("m2_y", m2_y), ("m2_d", m2_d), ("c_yd", (m2_y * m2_d).sqrt())]
        {
            let (a, b) = (float(told, column, row), float(lake, column, row));
            let scale = f64::max(scale, b.abs());
            assert!((a - b).abs() <= TOLERANCE * scale, "{what}: {key}: {column} is {a}, and {b} in the lake");
        }
    }
}

/// Every experiment, with windows of one and two days, in every engine as in the lake.
async fn compare(once: bool, exposed_by: ExposedBy) {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    let lake = match once {
        false => LakeWarehouse::open(loaded.dir.path().to_owned()).unwrap(),
        true => LakeWarehouse::open(loaded.dir.path().join("once")).unwrap(),
    };
    let engines = engines(loaded, once).await;
    let (one_day, two_days) = (metrics(1), metrics(2));
    // Asked for together, each has the answer that it has alone.
    let requests: Vec<_> = [&one_day, &two_days]
        .into_iter()
        .flat_map(|metrics| (0..EXPERIMENTS).map(|experiment| loaded.world.request(experiment, metrics, exposed_by)))
        .collect();
    for (name, engine) in &engines {
        let answers = engine.collect_many(&requests).await;
        assert_eq!(answers.len(), requests.len());
        for (request, told) in requests.iter().zip(answers) {
            let what = format!("{name}, {} among all, {exposed_by:?}, once {once}", request.experiment.name);
            let expected = lake.collect(request).await.unwrap();
            assert_agree(&what, &told.unwrap_or_else(|error| panic!("{what}: {error:?}")), &expected);
        }
    }
    // Where variants are not known beforehand, ClickHouse is asked by each experiment's own query.
    for (name, engine) in engines.iter().filter(|(name, _)| name.starts_with("ClickHouse")) {
        for request in &requests {
            let bare = Experiment { variants: Vec::new(), ..request.experiment.clone() };
            let what = format!("{name}, {} without variants, {exposed_by:?}", bare.name);
            let told = engine.collect(&CohortRequest { experiment: &bare, ..request.clone() }).await;
            let told = told.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_agree(&what, &told, &lake.collect(request).await.unwrap());
        }
    }
    for window_days in [1, 2] {
        let metrics = metrics(window_days);
        for experiment in 0..EXPERIMENTS {
            let request = loaded.world.request(experiment, &metrics, exposed_by);
            let expected = lake.collect(&request).await.unwrap();
            // Three dates, on one of which the ramp falls; two variants.
            let strata = 8;
            assert_eq!(expected.health.height(), strata, "{:?}", keys(&expected.health));
            assert_eq!(expected.moments.height(), strata * metrics.len());
            let multiple = expected.health.column("multiple_exposed").unwrap().i64().unwrap();
            let multiple: i64 = multiple.iter().flatten().sum();
            assert_eq!(multiple > 0, !once, "{:?}", keys(&expected.health));
            for (name, engine) in &engines {
                let what =
                    format!("{name}, experiment {experiment}, window {window_days}, {exposed_by:?}, once {once}");
                let told = engine.collect(&request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_agree(&what, &told, &expected);
            }
        }
    }
}

/// Sums before exposure, whose days end within the world's and behind its first day, in every form and over both shards.
#[tokio::test]
async fn covariates_have_the_same_moments_everywhere() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    for (once, exposed_by, experiment, window_days, days) in [
        (true, ExposedBy::Assignment, 0, 1, 2),
        (false, ExposedBy::Assignment, 1, 2, 14),
        (false, ExposedBy::Event, 2, 1, 1),
    ] {
        let lake = loaded.dir.path().join(if once { "once" } else { "" });
        let lake = LakeWarehouse::open(lake).unwrap();
        let plain = metrics(window_days);
        let metrics = with_covariates(metrics(window_days), days);
        let request = loaded.world.request(experiment, &metrics, exposed_by);
        let expected = lake.collect(&request).await.unwrap();
        assert_eq!(expected.moments.height(), 8 * (6 * 6 + 2 * 2));
        let without = lake.collect(&loaded.world.request(experiment, &plain, exposed_by)).await.unwrap();
        assert_eq!(keys(&expected.health), keys(&without.health), "what was before is no event of the window");
        let moments = &expected.moments;
        let at = (0..moments.height()).filter(|row| {
            let metric = moments.column("metric").unwrap().get(*row).unwrap();
            metric.get_str() == Some("plans¦yx")
        });
        let c_yx = moments.column("c_yd").unwrap().f64().unwrap();
        assert!(at.filter(|row| c_yx.get(*row) != Some(0.0)).count() >= 6, "the past of many units is known");
        for (name, engine) in engines(loaded, once).await {
            let what = format!("{name}, experiment {experiment}, {days} days before, {exposed_by:?}, once {once}");
            // Alone, and beside a request that reads nothing of before.
            let told = engine.collect(&request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_agree(&what, &told, &expected);
            let other = loaded.world.request(experiment, &plain, exposed_by);
            let both = engine.collect_many(&[request.clone(), other.clone(), request.clone(), other]).await;
            for (place, told) in both.iter().enumerate() {
                let told = told.as_ref().unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_agree(&format!("{what}, together"), told, if place % 2 == 0 { &expected } else { &without });
            }
        }
    }
}

#[tokio::test]
async fn units_that_come_once_have_the_same_moments_everywhere() {
    compare(true, ExposedBy::Assignment).await;
}

#[tokio::test]
async fn units_in_two_arms_have_the_same_moments_everywhere() {
    compare(false, ExposedBy::Assignment).await;
}

#[tokio::test]
async fn exposures_by_events_have_the_same_moments_everywhere() {
    compare(false, ExposedBy::Event).await;
}

/// What percentiles are read off is the same to nine digits, so the percentiles are.
#[tokio::test]
async fn the_edges_of_percentiles_have_the_same_moments_everywhere() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    let of = Percentiles {
        name: "latency".to_owned(),
        event: "plan_generated".to_owned(),
        field: "latency_ms".parse().unwrap(),
        levels: vec![0.5, 0.99],
        edges: Percentiles::edges(10.0, 60_000.0),
        window_days: 1,
    };
    let metrics = of.metrics();
    let request = loaded.world.request(0, &metrics, ExposedBy::Assignment);
    let expected = LakeWarehouse::open(loaded.dir.path().to_owned()).unwrap().collect(&request).await.unwrap();
    assert_eq!(expected.moments.height(), 8 * 49);
    for (name, engine) in engines(loaded, false).await {
        let told = engine.collect(&request).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_agree(name, &told, &expected);
    }
}

/// Counts of numbers beyond edges are whole, so they are equal to the last one; thresholds are made of nothing else.
#[tokio::test]
async fn as_many_numbers_exceed_an_edge_everywhere() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    let lake = LakeWarehouse::open(loaded.dir.path().to_owned()).unwrap();
    let engines = engines(loaded, false).await;
    let edges: Vec<f64> = (-4..12).map(|power| 4f64.powi(power)).chain([1999.5, 2000.0, 2000.5]).collect();
    for (event, field) in
        [("plan_generated", "latency_ms"), ("plan_generated", "payload.cost"), ("plan_accepted", "latency_ms")]
    {
        let field = field.parse().unwrap();
        let to = FIRST.checked_add(2.days()).unwrap();
        let asked = Exceeding { event, field: &field, from: FIRST, to, edges: &edges };
        let expected = lake.exceed(&asked).await.unwrap();
        assert!(expected.numbers > 1_000, "{field}: {expected:?}");
        for (name, engine) in &engines {
            let told = engine.exceed(&asked).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(told, expected, "{name}: {field} of {event}");
        }
    }
}

/// A checksum is that of the events and not of their order or place: the same when taken again, and over shards.
#[tokio::test]
async fn the_checksum_of_a_day_stays_while_the_day_does() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    let roots = [FieldRoot::Metrics, FieldRoot::Payload];
    let mut of_clickhouse = Vec::new();
    for (name, engine) in engines(loaded, false).await {
        let days = [FIRST, FIRST.tomorrow().unwrap()];
        let content =
            async |date| engine.content(date, &roots).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let told = [content(days[0]).await, content(days[1]).await];
        assert_eq!(told, [content(days[0]).await, content(days[1]).await], "{name}");
        assert!(told[0].is_some() && told[0] != told[1], "{name}: {told:?}");
        if name.starts_with("ClickHouse") {
            of_clickhouse.push(told);
        }
    }
    assert_eq!(of_clickhouse[0], of_clickhouse[1]);
}

#[tokio::test]
async fn days_have_the_same_size_everywhere() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    let lake = LakeWarehouse::open(loaded.dir.path().to_owned()).unwrap();
    for (name, engine) in engines(loaded, false).await {
        for days in 0..10 {
            let date = FIRST + days.days();
            let (told, expected) = (engine.partition(date).await.unwrap(), lake.partition(date).await.unwrap());
            assert_eq!(told, expected, "{name}, {date}");
        }
    }
}
