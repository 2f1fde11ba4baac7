//! ClickHouse as a warehouse: one server and two shards of a cluster, with a shard that dies, limits of time and of rights,
//! and tables that are not as they should be.

use std::time::{Duration, Instant};

use jiff::civil::date;
use rampkeeper::domain::{FieldRoot, Share, Variant, VariantConfig, VariantId};
use rampkeeper::warehouse::{
    ClickhouseSettings, ClickhouseWarehouse, Collected, Examine, Tables, Warehouse, WarehouseError,
};
use serde_json::json;
use sqlx::types::Uuid;

use crate::embedded::{World, better, day, outcome};
use crate::support::clickhouse::Clickhouse;
use crate::warehouse_engines::{self, assert_variance_of_one, collect_from, float, latency};

fn settings(servers: &Clickhouse, database: &str) -> ClickhouseSettings {
    rustls::crypto::ring::default_provider().install_default().ok();
    ClickhouseSettings {
        url: servers.url(0).parse().unwrap(),
        username: Some("reader".to_owned()),
        password: Some("pss-reader".to_owned().into()),
        database: Some(database.to_owned()),
        ca_file: None,
        statement_timeout: Duration::from_secs(30),
        tables: Tables::plain(),
    }
}

fn control() -> Variant {
    Variant {
        id: VariantId(Uuid::from_u128(0xc)),
        name: "control".to_owned(),
        allocation: Share::NONE,
        config: Ok(VariantConfig::Flag),
    }
}

/// As a night asks, which knows the experiment's variants: by the statement that serves many.
async fn collect(warehouse: &ClickhouseWarehouse) -> Result<Collected, WarehouseError> {
    collect_from(warehouse, vec![control()]).await
}

async fn connect(servers: &Clickhouse, database: &str) -> ClickhouseWarehouse {
    ClickhouseWarehouse::connect(settings(servers, database)).await.unwrap()
}

/// Tables whose instants are whole seconds.
fn tables(database: &str, suffix: &str) -> [String; 2] {
    [
        format!(
            "CREATE TABLE {database}.assignments{suffix} (experiment_id UUID, unit_type String, unit_id String, variant_id UUID,
                 assigned_at DateTime) ENGINE = MergeTree PARTITION BY toDate(assigned_at) ORDER BY (experiment_id, assigned_at)"
        ),
        format!(
            "CREATE TABLE {database}.events{suffix} (event_type String, unit_type String, unit_id String, timestamp DateTime,
                 latency_ms Float64, cost Nullable(Float64)) ENGINE = MergeTree PARTITION BY toDate(timestamp)
                 ORDER BY (event_type, timestamp)"
        ),
    ]
}

async fn plain(servers: &Clickhouse, database: &str) {
    servers.sql(0, &format!("CREATE DATABASE {database}")).await;
    for table in tables(database, "") {
        servers.sql(0, &table).await;
    }
}

async fn sharded(servers: &Clickhouse, database: &str) {
    servers.everywhere(&format!("CREATE DATABASE {database}")).await;
    for table in tables(database, "_local") {
        servers.everywhere(&table).await;
    }
    for table in ["assignments", "events"] {
        let engine = format!("Distributed(shards, {database}, {table}_local, cityHash64(unit_id))");
        servers.sql(0, &format!("CREATE TABLE {database}.{table} AS {database}.{table}_local ENGINE = {engine}")).await;
    }
}

/// Ten thousand units with a plan each, its latency by turns 1e9 - 1 and 1e9 + 1.
async fn fill(servers: &Clickhouse, database: &str) {
    let statements = [
        format!(
            "INSERT INTO {database}.assignments SELECT toUUID('00000000-0000-0000-0000-0000000000e1'), 'user',
                 toString(number), toUUID('00000000-0000-0000-0000-00000000000c'), toDateTime('2026-01-05 01:00:00', 'UTC')
             FROM numbers(10000)"
        ),
        format!(
            "INSERT INTO {database}.events SELECT 'plan', 'user', toString(number), toDateTime('2026-01-05 02:00:00', 'UTC'),
                 1e9 + 2 * (number % 2) - 1, NULL FROM numbers(10000)"
        ),
    ];
    for statement in statements {
        servers.sql(0, &statement).await;
    }
    for table in ["assignments", "events"] {
        handed_on(servers, &format!("{database}.{table}"), 10_000).await;
    }
}

/// Waits until a table of the cluster has handed all its rows on to the shards, which it does after the insert.
async fn handed_on(servers: &Clickhouse, table: &str, rows: usize) {
    let began = Instant::now();
    while servers.sql(0, &format!("SELECT count() FROM {table}")).await != rows.to_string() {
        assert!(began.elapsed() < Duration::from_secs(20), "{table} is not handed on to the shards");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn numbers_far_from_zero_add_up_on_one_server_and_on_two() {
    let servers = Clickhouse::shared().await;
    plain(servers, "far_plain").await;
    sharded(servers, "far_sharded").await;
    for database in ["far_plain", "far_sharded"] {
        fill(servers, database).await;
        let warehouse = connect(servers, database).await;
        assert_variance_of_one(&collect(&warehouse).await.unwrap());
        assert_variance_of_one(&warehouse_engines::collect(&warehouse).await.unwrap());
        let day = warehouse.partition(date(2026, 1, 5)).await.unwrap().unwrap();
        assert_eq!((day.rows, day.latest_event_at), (10_000, Some("2026-01-05T02:00:00Z".parse().unwrap())));
        assert_eq!(warehouse.partition(date(2026, 1, 4)).await.unwrap(), None);
        assert_eq!(warehouse.newest(date(2026, 1, 9)).await.unwrap(), Some(date(2026, 1, 5)));
        let samples = warehouse.rehearse(&latency(), date(2026, 1, 5)).await.unwrap();
        assert_eq!((samples[0].events, samples[0].missing, samples[0].not_numbers), (1_000, 0, 0));
    }
}

/// A value that differs in one event of ten thousand is another day, on one server and on two; the same again is the same.
#[tokio::test]
async fn a_value_that_is_changed_changes_the_days_checksum_in_clickhouse() {
    let servers = Clickhouse::shared().await;
    plain(servers, "content_plain").await;
    sharded(servers, "content_sharded").await;
    let mut told = Vec::new();
    for database in ["content_plain", "content_sharded"] {
        fill(servers, database).await;
        let warehouse = connect(servers, database).await;
        let of = async || warehouse.content(date(2026, 1, 5), &[FieldRoot::Metrics]).await.unwrap();
        let before = of().await;
        assert!(before.is_some());
        let mut changed = Vec::new();
        for latency in ["1e9 + 2 * (number % 2) - 1 + (number = 77)", "1e9 + 2 * (number % 2) - 1"] {
            // This release changes no row in place: the day is written again.
            match database {
                "content_plain" => servers.sql(0, "TRUNCATE TABLE content_plain.events").await,
                _ => {
                    servers.everywhere("TRUNCATE TABLE content_sharded.events_local").await;
                    String::new()
                }
            };
            let again = format!(
                "INSERT INTO {database}.events SELECT 'plan', 'user', toString(number),
                     toDateTime('2026-01-05 02:00:00', 'UTC'), {latency}, NULL FROM numbers(10000)"
            );
            servers.sql(0, &again).await;
            handed_on(servers, &format!("{database}.events"), 10_000).await;
            changed.push(of().await);
        }
        assert!(changed[0].is_some() && changed[0] != before, "{database}: {changed:?} after {before:?}");
        assert_eq!(changed[1], before, "{database}");
        told.push((before, changed));
    }
    assert_eq!(told[0], told[1], "a cluster tells what one server does");
}

/// The other shard reads its half of the rows and sends a handful.
#[tokio::test]
async fn each_shard_sums_its_own_units_and_sends_moments_alone() {
    let servers = Clickhouse::start(2).await;
    sharded(&servers, "pushed").await;
    fill(&servers, "pushed").await;
    let warehouse = connect(&servers, "pushed").await;
    let before = "SELECT toUnixTimestamp(now())";
    let since = servers.sql(1, before).await;
    assert_variance_of_one(&collect(&warehouse).await.unwrap());
    let asked = format!("NOT is_initial_query AND query LIKE '%arm_met%' AND toUnixTimestamp(event_time) >= {since}");
    let log = servers.logged(1, "read_rows, result_rows", &asked).await;
    let told: Vec<u64> = log.split('\t').map(|number| number.parse().unwrap()).collect();
    let own = servers.sql(1, "SELECT count() FROM pushed.events_local").await.parse::<u64>().unwrap();
    assert!((4_000..6_000).contains(&own), "{own} of 10000 rows lie there");
    assert!(told[0] >= own && told[1] == 1, "{log}");
}

#[tokio::test]
async fn a_shard_that_is_dead_is_an_error_and_never_a_gap() {
    let servers = Clickhouse::start(2).await;
    sharded(&servers, "gap").await;
    fill(&servers, "gap").await;
    let warehouse = connect(&servers, "gap").await;
    assert_variance_of_one(&collect(&warehouse).await.unwrap());
    servers.tell("kill 1").await;
    let error = collect(&warehouse).await.unwrap_err();
    assert!(error.to_string().contains("a shard does not answer"), "{error:?}");
    let error = warehouse_engines::collect(&warehouse).await.unwrap_err();
    assert!(error.to_string().contains("a shard does not answer"), "{error:?}");
    assert!(warehouse.partition(date(2026, 1, 5)).await.is_err());
    // That is what would have been told without a word.
    let partial = servers.sql(0, "SELECT count() FROM gap.events SETTINGS skip_unavailable_shards = 1").await;
    assert_ne!(partial, "10000");
    servers.tell("start 1").await;
    assert_variance_of_one(&collect(&warehouse).await.unwrap());
}

/// What cannot be reached for one experiment is sought for no other: theirs is the same outage, told of the first.
#[tokio::test]
async fn a_server_that_is_away_is_asked_once_for_all_experiments() {
    let servers = Clickhouse::start(1).await;
    plain(&servers, "away").await;
    fill(&servers, "away").await;
    let warehouse = connect(&servers, "away").await;
    assert_variance_of_one(&collect(&warehouse).await.unwrap());
    servers.tell("kill 0").await;
    for variants in [vec![control()], Vec::new()] {
        let answers =
            warehouse_engines::asking(variants, async |request| warehouse.collect_many(&vec![request; 3]).await).await;
        let causes: Vec<String> = answers
            .iter()
            .map(|answer| {
                let error = answer.as_ref().unwrap_err();
                assert!(error.is_outage(), "{error:?}");
                std::error::Error::source(error).unwrap().to_string()
            })
            .collect();
        let first = answers[0].as_ref().unwrap_err().to_string();
        assert!(causes[0] != first && causes[1..] == [first.clone(), first], "{causes:?}");
    }
}

#[tokio::test]
async fn a_night_without_a_shard_holds() {
    let servers = Clickhouse::start(2).await;
    sharded(&servers, "night").await;
    let mut world = World::new(vec![better("steady")]).await;
    world.settings["warehouse"] = json!({
        "clickhouse": {
            "url": servers.url(0), "database": "night", "username": "reader", "password": { "env": "RAMPKEEPER_TEST_CLICKHOUSE" },
        },
    });
    world.configure();
    let run = async |world: &World, n: i64| {
        let mut night = world.nightly("run", day(n));
        night.args(["--output", "json"]).env("RAMPKEEPER_TEST_CLICKHOUSE", "pss-reader");
        crate::embedded::told(night).await
    };
    let (mut assigned, mut happened) = (0, 0);
    for n in 0..2 {
        let traffic = world.happen(day(n)).await;
        assigned += traffic.assignments.len();
        happened += traffic.events.len();
        let mut rows = String::new();
        for a in &traffic.assignments {
            rows += &format!("{}\tuser\t{}\t{}\t{}\n", a.experiment, a.unit, a.variant, a.at.as_second());
        }
        servers.sql(0, &format!("INSERT INTO night.assignments FORMAT TabSeparated\n{rows}")).await;
        let mut rows = String::new();
        for e in &traffic.events {
            let number = |number: Option<f64>| number.map_or("\\N".to_owned(), |number| number.to_string());
            let latency = e.latency_ms.unwrap_or(f64::NAN);
            rows += &format!("{}\tuser\t{}\t{}\t{latency}\t{}\n", e.event, e.unit, e.at.as_second(), number(e.cost));
        }
        servers.sql(0, &format!("INSERT INTO night.events FORMAT TabSeparated\n{rows}")).await;
    }
    handed_on(&servers, "night.assignments", assigned).await;
    handed_on(&servers, "night.events", happened).await;
    // The day is looked at before the shard dies, so that the question about the cohorts is what fails.
    servers.tell("kill 1").await;
    let dark = run(&world, 1).await;
    assert!(dark.code != Some(0), "{}", dark.err);
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_cohorts").await, 0);
    assert_eq!(world.allocations("steady").await, "control 0.9000, candidate 0.1000");
    assert!(format!("{}{}", dark.out, dark.err).contains("a shard does not answer"), "{}{}", dark.out, dark.err);
    servers.tell("start 1").await;
    let night = run(&world, 1).await.expect(0).json();
    assert_eq!(outcome(&night, "steady"), "ramp");
}

#[tokio::test]
async fn a_server_that_would_leave_out_shards_is_refused() {
    let servers = Clickhouse::shared().await;
    for (user, words) in [("hasty", "skip_unavailable_shards = 1"), ("strict", "readonly = 1")] {
        let settings = ClickhouseSettings {
            username: Some(user.to_owned()),
            password: Some(format!("pss-{user}").into()),
            ..settings(servers, "default")
        };
        let error = ClickhouseWarehouse::connect(settings).await.unwrap_err();
        assert!(format!("{error:?}").contains(words), "{error:?}");
        assert!(error.is_outage());
    }
    let wrong = ClickhouseSettings { password: Some("pss-wrong".to_owned().into()), ..settings(servers, "default") };
    let said = format!("{wrong:?}");
    let error = ClickhouseWarehouse::connect(wrong).await.unwrap_err();
    assert!(matches!(error, WarehouseError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{said}{error:?}{error}").contains("pss-"), "{said}{error:?}");
    let nowhere = ClickhouseSettings { url: "http://127.0.0.1:1".parse().unwrap(), ..settings(servers, "default") };
    assert!(ClickhouseWarehouse::connect(nowhere).await.unwrap_err().is_outage());
}

#[tokio::test]
async fn tables_that_lie_apart_are_refused() {
    let servers = Clickhouse::shared().await;
    sharded(servers, "apart").await;
    servers.sql(0, "DROP TABLE apart.events").await;
    servers
        .sql(
            0,
            "CREATE TABLE apart.events AS apart.events_local ENGINE = Distributed(shards, apart, events_local, rand())",
        )
        .await;
    let error = collect(&connect(servers, "apart").await).await.unwrap_err();
    assert!(format!("{error:?}").contains("must lie on the same one by the same expression of unit_id"), "{error:?}");
    servers.sql(0, "DROP TABLE apart.events").await;
    servers.sql(0, &tables("apart", "")[1]).await;
    let error = collect(&connect(servers, "apart").await).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("the table of assignments lies on shards and that of events does not"),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_the_tables_of_clickhouse_lack_is_said_in_words() {
    let servers = Clickhouse::shared().await;
    servers.sql(0, "CREATE DATABASE lacking").await;
    let error = collect(&connect(servers, "lacking").await).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingTable { table, .. } if table.contains("assignments")), "{error:?}");
    assert!(error.is_outage());
    for table in tables("lacking", "") {
        servers.sql(0, &table).await;
    }
    let warehouse = connect(servers, "lacking").await;
    assert_eq!(collect(&warehouse).await.unwrap().health.height(), 0);
    servers.sql(0, "ALTER TABLE lacking.events DROP COLUMN latency_ms").await;
    let error = collect(&connect(servers, "lacking").await).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingColumn { column, .. } if column == "latency_ms"), "{error:?}");
    servers.sql(0, "ALTER TABLE lacking.events ADD COLUMN latency_ms String").await;
    let error = collect(&connect(servers, "lacking").await).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::NotANumber { found, .. } if found == "String"), "{error:?}");
    servers.sql(0, "ALTER TABLE lacking.assignments MODIFY COLUMN unit_type FixedString(9)").await;
}

#[tokio::test]
async fn a_query_of_clickhouse_ends_when_its_time_is_up_or_nobody_waits() {
    let servers = Clickhouse::start(1).await;
    servers.sql(0, "CREATE DATABASE slow").await;
    let [assignments, _] = tables("slow", "");
    servers.sql(0, &assignments).await;
    let now = "toDateTime('2026-01-05 01:00:00', 'UTC')";
    servers
        .sql(
            0,
            &format!(
                "INSERT INTO slow.assignments SELECT toUUID('00000000-0000-0000-0000-0000000000e1'), 'user', '1',
                     toUUID('00000000-0000-0000-0000-00000000000c'), {now}"
            ),
        )
        .await;
    // Each insert is a block of its own, and each block takes a second.
    servers
        .sql(
            0,
            "CREATE TABLE slow.events (event_type String, unit_type String, unit_id String, timestamp DateTime,
                 latency_ms Float64 ALIAS toFloat64(sleep(1))) ENGINE = Memory",
        )
        .await;
    for _ in 0..60 {
        servers.sql(0, &format!("INSERT INTO slow.events SELECT 'plan', 'user', '1', {now}")).await;
    }
    let hasty = ClickhouseSettings { statement_timeout: Duration::from_secs(1), ..settings(&servers, "slow") };
    let error = collect(&ClickhouseWarehouse::connect(hasty).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, WarehouseError::TimedOut { .. }), "{error:?}");
    assert!(!error.is_outage());

    let patient = connect(&servers, "slow").await;
    assert!(
        tokio::time::timeout(Duration::from_secs(1), collect(&patient)).await.is_err(),
        "it should still be running"
    );
    let began = Instant::now();
    while servers.sql(0, "SELECT count() FROM system.processes WHERE user = 'reader'").await != "0" {
        assert!(began.elapsed() < Duration::from_secs(10), "the query runs on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_user_of_clickhouse_who_may_write_is_told_of() {
    let servers = Clickhouse::shared().await;
    plain(servers, "rights").await;
    let rights = |remarks: Vec<rampkeeper::warehouse::Remark>| {
        remarks.into_iter().find(|remark| remark.what == "rights").unwrap().mend.is_some()
    };
    assert!(!rights(connect(servers, "rights").await.remarks().await.unwrap()));
    let writer = ClickhouseSettings { username: None, password: None, ..settings(servers, "rights") };
    assert!(rights(ClickhouseWarehouse::connect(writer).await.unwrap().remarks().await.unwrap()));
    fill(servers, "rights").await;
    assert_eq!(float(&collect(&connect(servers, "rights").await).await.unwrap(), "mean_y"), 1e9);
}
