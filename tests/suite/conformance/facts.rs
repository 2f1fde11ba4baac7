//! The same rows as events and as facts: the moments are the same, in every engine that runs SQL.

use polars::prelude::Column;
use rampkeeper::domain::{Fact, Field, Rows};

use super::*;

/// The rows of all events as a table of numbers, and what a fact selects from it. MySQL's numbers are all numbers, so there what
/// is none is missing.
const POSTGRES: &str = "
    CREATE TABLE exp.readings AS
    SELECT event_type AS kind, unit_type AS of_type, unit_id AS who, timestamp AS at, experiments AS carried,
           CASE WHEN jsonb_typeof(metrics -> 'latency_ms') = 'number' THEN (metrics ->> 'latency_ms')::float8
                WHEN jsonb_typeof(metrics -> 'latency_ms') = 'boolean' THEN 'Infinity'
                WHEN jsonb_typeof(metrics -> 'latency_ms') <> 'null' THEN 'NaN' END AS latency,
           (payload ->> 'cost')::numeric(20, 6) AS cost, (metrics ->> 'reading')::numeric AS reading
    FROM exp.events;
    CREATE INDEX ON exp.readings (at);
    ANALYZE exp.readings";

const SQLITE: &str = "
    CREATE TABLE readings AS
    SELECT event_type AS kind, unit_type AS of_type, unit_id AS who, timestamp AS at, experiments AS carried,
           CASE json_type(metrics, '$.latency_ms') WHEN 'true' THEN 9e999 ELSE metrics ->> 'latency_ms' END AS latency,
           payload ->> 'cost' AS cost, metrics ->> 'reading' AS reading
    FROM exp_events;
    CREATE INDEX readings_by_time ON readings (at);
    ANALYZE";

const MARIADB: &str = "
    CREATE TABLE readings AS
    SELECT event_type AS kind, unit_type AS of_type, unit_id AS who, `timestamp` AS at, experiments AS carried,
           CASE WHEN json_type(json_extract(metrics, '$.latency_ms')) IN ('INTEGER', 'DOUBLE')
                THEN CAST(json_value(metrics, '$.latency_ms') AS double) END AS latency,
           CAST(json_value(payload, '$.cost') AS decimal(20, 6)) AS cost,
           CAST(json_value(metrics, '$.reading') AS double) AS reading
    FROM events;
    ALTER TABLE readings ADD KEY (at);
    ANALYZE TABLE readings";

static TABLES: OnceCell<()> = OnceCell::const_new();

async fn tables(loaded: &Loaded) {
    TABLES
        .get_or_init(async || {
            let pool = PgPool::connect(&loaded.postgres).await.unwrap();
            sqlx::raw_sql(POSTGRES).execute(&pool).await.unwrap();
            pool.close().await;
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(loaded.dir.path().join("warehouse.db"));
            let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
            sqlx::raw_sql(SQLITE).execute(&mut connection).await.unwrap();
            sqlx::Connection::close(connection).await.unwrap();
            Mariadb::shared().await.sql(&loaded.mariadb, MARIADB).await;
        })
        .await;
}

/// The fact of one kind of events in an engine, with what they carry or without it.
fn fact(engine: &str, kind: &str, carrying: bool) -> Fact {
    let values = "latency AS latency_ms, cost, reading";
    let (context, join) = match (engine, carrying) {
        (_, false) => ("", ""),
        ("PostgreSQL", true) => (
            ", (c ->> 'experiment_id')::uuid AS experiment_id, c ->> 'variant_id' AS variant_id",
            ", jsonb_array_elements(carried) AS c",
        ),
        ("SQLite", true) => (
            ", c.value ->> 'experiment_id' AS experiment_id, c.value ->> 'variant_id' AS variant_id",
            ", json_each(carried) AS c",
        ),
        ("MariaDB", true) => (
            ", c.experiment_id, c.variant_id",
            ", json_table(carried, '$[*]' COLUMNS (experiment_id varchar(64) PATH '$.experiment_id', variant_id varchar(64) \
             PATH '$.variant_id')) AS c",
        ),
        (_, true) => (
            ", c_experiment AS experiment_id, upper(c_variant) AS variant_id",
            " ARRAY JOIN `experiments.experiment_id` AS c_experiment, `experiments.variant_id` AS c_variant",
        ),
    };
    let sql = match engine {
        "PostgreSQL" => format!(
            "SELECT who AS unit_id, of_type AS unit_type, at AS \"timestamp\", {values}{context}\nFROM exp.readings{join}\n\
             WHERE kind = '{kind}' -- those"
        ),
        "SQLite" | "MariaDB" => format!(
            "SELECT who AS unit_id, of_type AS unit_type, at AS `timestamp`, {values}{context}\nFROM readings{join}\n\
             WHERE kind = '{kind}' -- those"
        ),
        _ => format!(
            "SELECT unit_id, unit_type, timestamp, latency_ms, `payload.cost` AS cost, reading{context}\nFROM events{join}\n\
             WHERE event_type = '{kind}'"
        ),
    };
    Fact { name: kind.replace('.', "_"), sql }
}

/// The same metrics over facts in place of events; where `some`, only of plans that were generated, so that statements read both.
fn over_facts(engine: &str, metrics: &[Metric], some: bool, carrying: bool) -> Vec<Metric> {
    let of = |measure: &Measure| {
        if some && measure.of.name() != "plan_generated" {
            return measure.clone();
        }
        let column = |field: &Field| Field::of_fact(&field.key).unwrap();
        let value = match &measure.value {
            Value::Sum(field) => Value::Sum(column(field)),
            Value::CountAbove(field, threshold) => Value::CountAbove(column(field), *threshold),
            value => value.clone(),
        };
        Measure { of: Rows::Fact(fact(engine, measure.of.name(), carrying)), value }
    };
    let form = |metric: &Metric| match &metric.form {
        MetricForm::Mean { value } => MetricForm::Mean { value: of(value) },
        MetricForm::Ratio { numerator, denominator } => {
            MetricForm::Ratio { numerator: of(numerator), denominator: of(denominator) }
        }
        MetricForm::Pair { numerator, denominator, days, both_before } => MetricForm::Pair {
            numerator: of(numerator),
            denominator: of(denominator),
            days: *days,
            both_before: *both_before,
        },
        form @ MetricForm::Aggregate(_) => form.clone(),
    };
    metrics.iter().map(|metric| Metric { form: form(metric), ..metric.clone() }).collect()
}

/// MySQL tells what is no number as missing.
fn as_mysql_tells(mut collected: Collected) -> Collected {
    let health = &mut collected.health;
    let missing = health.column("missing").unwrap() + health.column("not_numbers").unwrap();
    let nothing = Column::new("not_numbers".into(), vec![0_i64; health.height()]);
    health.with_column(missing.unwrap().with_name("missing".into())).unwrap();
    health.with_column(nothing).unwrap();
    collected
}

async fn compare_facts(once: bool, exposed_by: ExposedBy, some: bool) {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    tables(loaded).await;
    let lake = match once {
        false => LakeWarehouse::open(loaded.dir.path().to_owned()).unwrap(),
        true => LakeWarehouse::open(loaded.dir.path().join("once")).unwrap(),
    };
    let engines = engines(loaded, once).await;
    for window_days in [1, 2] {
        let metrics = metrics(window_days);
        for experiment in 0..EXPERIMENTS {
            let expected = lake.collect(&loaded.world.request(experiment, &metrics, exposed_by)).await.unwrap();
            for (name, engine) in &engines {
                let what =
                    format!("{name}, experiment {experiment}, window {window_days}, {exposed_by:?}, once {once}");
                let facts = over_facts(name, &metrics, some, false);
                let request = loaded.world.request(experiment, &facts, exposed_by);
                let told = engine.collect(&request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                match (*name, some) {
                    ("MariaDB", false) => assert_agree(&what, &told, &as_mysql_tells(expected.clone())),
                    // Of both kinds there are some: the sums are what counts.
                    ("MariaDB", true) => {
                        assert_agree(&what, &as_mysql_tells(told), &as_mysql_tells(expected.clone()));
                    }
                    _ => assert_agree(&what, &told, &expected),
                }
            }
        }
    }
}

#[tokio::test]
async fn facts_have_the_moments_of_the_same_events() {
    compare_facts(true, ExposedBy::Assignment, false).await;
}

#[tokio::test]
async fn facts_of_units_in_two_arms_have_the_moments_of_the_same_events() {
    compare_facts(false, ExposedBy::Assignment, false).await;
}

#[tokio::test]
async fn facts_and_events_are_read_in_one_statement() {
    compare_facts(true, ExposedBy::Assignment, true).await;
    compare_facts(false, ExposedBy::Event, true).await;
}

/// A row of a fact that names a variant counts for the units of that variant alone: it is as if only the events that carry the
/// unit's own variant were there.
#[tokio::test]
async fn rows_with_a_variant_count_for_its_units_alone() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    tables(loaded).await;
    let metrics = metrics(1);
    for experiment in 0..EXPERIMENTS {
        let request = loaded.world.request(experiment, &metrics, ExposedBy::Assignment);
        let key = request.experiment.id.0;
        let mut of_units = std::collections::BTreeMap::new();
        for row in loaded.world.first_assignments().into_iter().filter(|row| row.experiment == key) {
            of_units.insert(row.unit, row.variant);
        }
        let mut own = World::new();
        let all = own.events.len();
        own.events.retain(|event| {
            of_units.get(&event.unit).is_some_and(|variant| event.experiments.contains(&(key, *variant)))
        });
        assert!(own.events.len() > 10_000 && own.events.len() < all, "{} of {all}", own.events.len());
        let dir = tempfile::tempdir().unwrap();
        load::happen_lake(dir.path(), &own.events, "part");
        load::assign_lake(dir.path(), &loaded.world.first_assignments(), "part");
        let lake = LakeWarehouse::open(dir.path().to_owned()).unwrap();
        let expected = lake.collect(&request).await.unwrap();
        for (name, engine) in &engines(loaded, true).await {
            let facts = over_facts(name, &metrics, false, true);
            let told = engine.collect(&loaded.world.request(experiment, &facts, ExposedBy::Assignment)).await;
            let told = told.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            match *name {
                "MariaDB" => assert_agree(name, &told, &as_mysql_tells(expected.clone())),
                _ => assert_agree(name, &told, &expected),
            }
        }
    }
}

/// ClickHouse's tables hold units twice, so there the engines are compared with each other.
#[tokio::test]
async fn rows_with_a_variant_count_alike_on_shards() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    tables(loaded).await;
    let metrics = metrics(1);
    let mut expected: Option<Collected> = None;
    for (name, engine) in &engines(loaded, false).await {
        if *name == "MariaDB" {
            continue;
        }
        let facts = over_facts(name, &metrics, false, true);
        let told = engine.collect(&loaded.world.request(0, &facts, ExposedBy::Assignment)).await;
        let told = told.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        match &expected {
            Some(expected) => assert_agree(name, &told, expected),
            None => expected = Some(told),
        }
    }
}

/// What was before exposure is told apart from what is inside the window in rows of facts, too.
#[tokio::test]
async fn covariates_over_facts_have_the_moments_of_the_same_events() {
    let loaded = loaded().await;
    CLICKHOUSE.get_or_init(async || Clickhouse::shared().await.url(0)).await;
    tables(loaded).await;
    for (once, some, days) in [(true, false, 2), (false, true, 1)] {
        let lake = loaded.dir.path().join(if once { "once" } else { "" });
        let lake = LakeWarehouse::open(lake).unwrap();
        let metrics = with_covariates(metrics(1), days);
        let expected = lake.collect(&loaded.world.request(1, &metrics, ExposedBy::Assignment)).await.unwrap();
        for (name, engine) in &engines(loaded, once).await {
            let facts = over_facts(name, &metrics, some, false);
            let told = engine.collect(&loaded.world.request(1, &facts, ExposedBy::Assignment)).await;
            let told = told.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            match *name {
                "MariaDB" => assert_agree(name, &as_mysql_tells(told), &as_mysql_tells(expected.clone())),
                _ => assert_agree(name, &told, &expected),
            }
        }
    }
}
