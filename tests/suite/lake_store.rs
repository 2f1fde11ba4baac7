//! A lake in an object store: what goes wrong on the way there, and a night over it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::{Date, date};
use polars::prelude::{DataFrame, DataType, ParquetWriter, TimeUnit, TimeZone, df};
use rampkeeper::warehouse::{Collected, LakeWarehouse, Warehouse, WarehouseError};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::embedded::{World, better, closed_port, day, outcome, told};
use crate::support::s3::{Road, S3};
use crate::warehouse_engines::collect;

/// The variants and the experiment of [`collect`].
const EXPERIMENT: &str = "00000000-0000-0000-0000-0000000000e1";
const CONTROL: &str = "00000000-0000-0000-0000-0000000000c0";

const DAY: Date = date(2026, 1, 5);

/// How many units there are; their events are as many, with a text of that many bytes each that nobody reads.
const UNITS: usize = 4_000;
const IDLE_BYTES: usize = 1_000;

/// Two days, as [`collect`] reads them.
fn lake() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let units: Vec<String> = (0..UNITS).map(|unit| format!("unit {unit}")).collect();
    let assigned = df!(
        "experiment_id" => vec![EXPERIMENT; UNITS],
        "unit_id" => &units,
        "variant_id" => vec![CONTROL; UNITS],
        "assigned_at" => instants(DAY),
    );
    write(dir.path(), "assignments", DAY, assigned.unwrap());
    for date in [DAY, DAY.tomorrow().unwrap()] {
        // Random letters, so that no compression makes them less.
        let idle: Vec<String> = (0..UNITS).map(letters).collect();
        let events = df!(
            "event_type" => vec!["plan"; UNITS],
            "unit_id" => &units,
            "timestamp" => instants(date),
            "idle" => idle,
            "latency_ms" => (0..UNITS).map(|unit| unit as f64).collect::<Vec<_>>(),
        );
        write(dir.path(), "events", date, events.unwrap());
    }
    dir
}

fn letters(seed: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..IDLE_BYTES).map(|_| letter()).collect()
}

/// Noon of a day and later.
fn instants(date: Date) -> Vec<i64> {
    let noon = date.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond();
    (0..UNITS as i64).map(|unit| noon + unit).collect()
}

fn write(root: &Path, table: &str, date: Date, mut frame: DataFrame) {
    let column = if table == "events" { "timestamp" } else { "assigned_at" };
    let utc = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let instants = frame.column(column).unwrap().cast(&utc).unwrap();
    frame.with_column(instants).unwrap();
    let folder = root.join(table).join(format!("date={date}"));
    fs::create_dir_all(&folder).unwrap();
    ParquetWriter::new(File::create(folder.join("part-0.parquet")).unwrap()).finish(&mut frame).unwrap();
}

/// That lake in a bucket of its own.
async fn bucket(name: &str) -> (&'static S3, String) {
    let s3 = S3::shared().await;
    let bucket = s3.bucket(name).await;
    s3.put(&bucket, lake().path(), "lake").await;
    (s3, bucket)
}

fn units(collected: &Collected) -> i64 {
    collected.health.column("units").unwrap().i64().unwrap().iter().flatten().sum()
}

/// The error with all of its causes, as a night tells it.
fn words(error: &WarehouseError) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        told = format!("{told}: {cause}");
        next = cause.source();
    }
    told
}

fn assert_no_secret(s3: &S3, told: &str) {
    assert!(!told.contains(&s3.secret) && !told.contains(&s3.key), "{told}");
}

#[tokio::test]
async fn only_the_columns_in_use_are_fetched() {
    let (s3, bucket) = bucket("columns").await;
    let road = Road::to(s3.port).await;
    let lake = LakeWarehouse::in_bucket(s3.settings(&bucket, road.port), "date").await.unwrap();
    let collected = collect(&lake).await.unwrap();
    assert_eq!(units(&collected), UNITS as i64);
    let whole = 2 * UNITS * IDLE_BYTES;
    // The ends of the files are fetched with their footers.
    assert!(road.bytes() > 10_000 && road.bytes() < whole as u64 / 4, "{} of more than {whole} bytes", road.bytes());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_empty_lake() {
    let s3 = S3::shared().await;
    let error = LakeWarehouse::in_bucket(s3.settings("nowhere", s3.port), "date").await.unwrap_err();
    assert!(matches!(&error, WarehouseError::MissingTable { .. }), "{error:?}");
    assert!(error.to_string().contains("s3://nowhere is not there"), "{error}");
    assert!(error.is_outage());
    // A bucket without a lake is another thing.
    let empty = s3.bucket("empty").await;
    let error = LakeWarehouse::in_bucket(s3.settings(&empty, s3.port), "date").await.unwrap_err();
    assert!(error.to_string().contains(&format!("the folder s3://{empty}/lake/events is not there")), "{error}");
    assert!(error.is_outage());
}

#[tokio::test]
async fn a_wrong_key_is_told_without_it() {
    let s3 = S3::closed().await;
    let bucket = s3.bucket("locked").await;
    let wrong = |name: &'static str, value: &str| {
        let mut settings = s3.settings(&bucket, s3.port);
        settings.secrets.iter_mut().filter(|(key, _)| *key == name).for_each(|(_, secret)| *secret = value.into());
        settings
    };
    for (name, value, why) in [
        ("aws_access_key_id", "AKIAPSSWRONG", "InvalidAccessKeyId"),
        ("aws_secret_access_key", "pss-wrong/key", "SignatureDoesNotMatch"),
    ] {
        let error = LakeWarehouse::in_bucket(wrong(name, value), "date").await.unwrap_err();
        assert!(matches!(&error, WarehouseError::KeyRefused { .. }), "{name}: {}", words(&error));
        assert!(error.is_outage());
        let told = format!("{} {error:?}", words(&error));
        assert!(told.contains(&format!("s3://{bucket} refuses")) && told.contains(why), "{told}");
        assert!(!told.contains(value), "{told}");
        assert_no_secret(&s3, &told);
    }
}

#[tokio::test]
async fn a_day_that_is_missing_is_no_day_of_zeros() {
    let (s3, bucket) = bucket("gap").await;
    let lake = LakeWarehouse::in_bucket(s3.settings(&bucket, s3.port), "date").await.unwrap();
    assert_eq!(lake.partition(DAY.yesterday().unwrap()).await.unwrap(), None);
    let next = DAY.tomorrow().unwrap();
    s3.remove(&bucket, &format!("lake/events/date={next}/part-0.parquet")).await;
    assert_eq!(lake.partition(next).await.unwrap(), None);
    let error = collect(&lake).await.unwrap_err();
    assert!(matches!(&error, WarehouseError::BrokenPartition { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("s3://{bucket}/lake/events/date={next} is broken")), "{error}");
    assert!(!error.is_outage());
}

#[tokio::test]
async fn a_file_that_is_half_written_is_named() {
    let (s3, bucket) = bucket("half").await;
    let dir = lake();
    let file = dir.path().join(format!("events/date={DAY}/part-0.parquet"));
    let bytes = fs::read(&file).unwrap();
    for half in [&bytes[..bytes.len() / 2], &[]] {
        fs::write(&file, half).unwrap();
        s3.put(&bucket, dir.path(), "lake").await;
        let lake = LakeWarehouse::in_bucket(s3.settings(&bucket, s3.port), "date").await.unwrap();
        let error = collect(&lake).await.unwrap_err();
        assert!(error.to_string().contains("part-0.parquet is broken: it is no whole Parquet file"), "{error}");
        assert!(matches!(lake.partition(DAY).await, Err(WarehouseError::BrokenPartition { .. })));
    }
}

#[tokio::test]
async fn a_store_that_goes_away_in_the_middle_is_an_outage_and_no_empty_day() {
    let (s3, bucket) = bucket("gone").await;
    let road = Road::to(s3.port).await;
    let lake = LakeWarehouse::in_bucket(s3.settings(&bucket, road.port), "date").await.unwrap();
    collect(&lake).await.unwrap();
    let whole = road.bytes();
    // In the middle of a listing, of a footer, of a column.
    for bytes in [100, whole / 4, whole / 2, whole * 7 / 8] {
        let road = Road::to(s3.port).await;
        let lake = LakeWarehouse::in_bucket(s3.settings(&bucket, road.port), "date").await.unwrap();
        let opening = road.bytes() as i64;
        road.break_after((bytes as i64 - opening).max(100));
        let error = collect(&lake).await.unwrap_err();
        assert!(matches!(&error, WarehouseError::Unreachable { .. }), "{bytes} of {whole}: {error:?}");
        assert!(error.is_outage());
        assert_no_secret(s3, &format!("{} {error:?}", words(&error)));
        assert!(lake.partition(DAY).await.is_err_and(|error| error.is_outage()));
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_waited_for_without_end() {
    let s3 = S3::shared().await;
    // Connections are taken, and never served.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = s3.settings("silent", silent.local_addr().unwrap().port());
    settings.timeout = Duration::from_secs(2);
    let begun = Instant::now();
    let error = LakeWarehouse::in_bucket(settings, "date").await.unwrap_err();
    assert!(words(&error).contains("no answer within 2 s"), "{}", words(&error));
    assert!(error.is_outage() && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let error = LakeWarehouse::in_bucket(s3.settings("nobody", closed_port()), "date").await.unwrap_err();
    assert!(matches!(&error, WarehouseError::Unreachable { .. }) && error.is_outage(), "{error:?}");
}

#[tokio::test]
async fn an_encrypted_address_is_tried_and_its_certificate_checked() {
    let s3 = S3::shared().await;
    let mut settings = s3.settings("plain", s3.port);
    settings.settings[0].1 = format!("https://127.0.0.1:{}", s3.port);
    let error = LakeWarehouse::in_bucket(settings, "date").await.unwrap_err();
    assert!(matches!(&error, WarehouseError::Unreachable { .. }), "{error:?}");
}

/// The lake of a world, moved into a bucket, and the settings that name it.
async fn moved(world: &mut World, s3: &S3, port: u16) -> String {
    let bucket = s3.bucket("nights").await;
    world.settings["warehouse"] = json!({ "lake": {
        "path": format!("s3://{bucket}/team/lake"),
        "store": {
            "endpoint": format!("http://127.0.0.1:{port}"),
            "region": "us-east-1",
            "access_key_id": { "file": "key_id" },
            "secret_access_key": { "file": "key" },
            "timeout_seconds": 20,
        },
    } });
    world.write("key_id", &s3.key);
    world.write("key", &s3.secret);
    world.configure();
    s3.put(&bucket, &world.path("lake"), "team/lake").await;
    bucket
}

#[tokio::test]
async fn a_night_over_a_bucket_decides_as_one_over_a_folder() {
    let mut here = World::new(vec![better("steady"), better("other")]).await;
    let mut there = World::new(vec![better("steady"), better("other")]).await;
    for n in 0..2 {
        here.live(day(n)).await;
        there.live(day(n)).await;
    }
    let s3 = S3::shared().await;
    moved(&mut there, s3, s3.port).await;
    let checked = there.run(&["check", "--as-of", &day(1).to_string(), "--output", "json"]).await;
    assert!(checked.out.contains("Parquet lake s3://nights"), "{}\n{}", checked.out, checked.err);
    let (expected, report) = (here.night(day(1), 0).await, there.night(day(1), 0).await);
    for experiment in ["steady", "other"] {
        assert_eq!(outcome(&report, experiment), "ramp");
        assert_eq!(outcome(&expected, experiment), "ramp");
        assert_eq!(there.allocations(experiment).await, here.allocations(experiment).await);
    }
    // Moments to the bit: what was stored is the same.
    let stored = "SELECT group_concat(checksum, ' ') FROM (SELECT checksum FROM rampkeeper_cohorts ORDER BY checksum)";
    assert_eq!(there.text(stored).await, here.text(stored).await);
    // The same night again finds nothing to do.
    let again = there.night(day(1), 0).await;
    assert_eq!(again["experiments"][0]["standing"], "already_decided", "{again:#}");
}

#[tokio::test]
async fn a_bucket_that_is_away_ends_the_night_and_changes_nothing() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let s3 = S3::shared().await;
    let port = closed_port();
    let bucket = moved(&mut world, s3, port).await;
    let before = world.state().await;
    let ended = told(world.nightly("run", day(1))).await.expect(1);
    ended.complains(&format!("the warehouse s3://{bucket} cannot be reached"));
    assert_no_secret(s3, &format!("{}{}", ended.out, ended.err));
    assert_eq!(world.state().await, before);
    // Nor does one whose key is not the right one.
    let closed = S3::closed().await;
    world.settings["warehouse"]["lake"]["store"]["endpoint"] = json!(format!("http://127.0.0.1:{}", closed.port));
    world.configure();
    world.write("key", "pss-wrong");
    let before = world.state().await;
    let ended = told(world.nightly("run", day(1))).await.expect(1);
    ended.complains("refuses to let").complains("403");
    assert!(!ended.err.contains("pss-wrong"), "{}", ended.err);
    assert_no_secret(s3, &ended.err);
    assert_eq!(world.state().await, before);
}

/// What the environment tells every client of S3's tells this one as well.
#[tokio::test]
async fn keys_come_from_the_environment_by_their_usual_names() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let s3 = S3::shared().await;
    let bucket = moved(&mut world, s3, s3.port).await;
    world.settings["warehouse"] = json!({ "lake": { "path": format!("s3://{bucket}/team/lake") } });
    world.configure();
    let mut command = world.nightly("run", day(1));
    command.args(["--output", "json"]);
    for (name, value) in [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", s3.port)),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", s3.key.clone()),
        ("AWS_SECRET_ACCESS_KEY", s3.secret.clone()),
    ] {
        command.env(name, value);
    }
    let report = told(command).await.expect(0).json();
    assert_eq!(outcome(&report, "steady"), "ramp");
}
