//! Lakes that are broken, and partitions.

use super::*;
use crate::domain::Metric;
use crate::warehouse::Partition;
use crate::warehouse::fixture::{count, day, experiment, mean, request, sum};

fn metrics() -> [Metric; 1] {
    [mean("latency", sum("plan_generated", "latency_ms"))]
}

const EVENT: Event<'static> = ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(1.0));

async fn refusal(lake: &Lake) -> WarehouseError {
    let (metrics, experiment) = (metrics(), experiment());
    lake.refusal(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await
}

fn truncate(path: &PathBuf) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[tokio::test]
async fn a_half_written_file_is_named() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]).log("2026-01-06", &[EVENT]);
    let path = lake.write("events", "2026-01-06", "part-1.parquet", &mut events(&[EVENT]));
    truncate(&path);
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::BrokenPartition { path: broken, .. } if *broken == path), "{error}");
    assert!(!error.is_outage());
    let error = lake.open().partition(day("2026-01-06")).await.unwrap_err();
    assert!(error.to_string().contains("part-1.parquet"), "{error}");
}

#[tokio::test]
async fn a_file_with_a_footer_over_garbage_is_named() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]);
    let path = lake.write("events", "2026-01-06", "part-1.parquet", &mut events(&[EVENT; 500]));
    let mut bytes = fs::read(&path).unwrap();
    bytes[4..40].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::BrokenPartition { path: broken, .. } if *broken == path), "{error}");
}

#[tokio::test]
async fn a_cohort_date_without_assignments_is_not_a_day_without_units() {
    let lake = Lake::new();
    lake.log("2026-01-05", &[EVENT]).log("2026-01-06", &[EVENT]);
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::BrokenPartition { .. }), "{error}");
    assert!(error.to_string().contains("assignments/date=2026-01-05 is broken"), "{error}");
}

#[tokio::test]
async fn a_day_without_events_is_not_a_day_of_zeros() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]);
    let error = refusal(&lake).await;
    assert!(error.to_string().contains("events/date=2026-01-06 is broken"), "{error}");
}

#[tokio::test]
async fn a_column_that_a_whole_day_lacks_is_an_error_with_the_columns_there_are() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]);
    lake.write("events", "2026-01-06", "part-0.parquet", &mut events(&[EVENT]).drop("latency_ms").unwrap());
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::MissingColumn { column, .. } if column == "latency_ms"), "{error}");
    assert!(error.to_string().contains("there are: event_type, unit_id, timestamp"), "{error}");
    assert!(error.to_string().contains("events of 2026-01-06"), "{error}");
}

#[tokio::test]
async fn a_column_that_one_file_lacks_is_counted_as_missing() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]).log("2026-01-06", &[EVENT]);
    lake.write("events", "2026-01-05", "part-1.parquet", &mut events(&[EVENT; 2]).drop("latency_ms").unwrap());
    let (metrics, experiment) = (metrics(), experiment());
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert_eq!(lines(&collected.health)[0], "2026-01-05 0 c 3 4 2 0 0");
}

#[tokio::test]
async fn a_text_where_a_number_should_be_is_an_error() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]);
    let mut frame = events(&[EVENT]);
    frame.with_column(Column::new("latency_ms".into(), ["12"])).unwrap();
    lake.write("events", "2026-01-06", "part-0.parquet", &mut frame);
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::NotANumber { field, .. } if field == "metrics.latency_ms"), "{error}");
}

#[tokio::test]
async fn a_column_of_another_type_and_a_null_key_are_errors() {
    let lake = two_days();
    let mut frame = events(&[EVENT]);
    frame.with_column(Column::new("timestamp".into(), ["2026-01-05"])).unwrap();
    lake.write("events", "2026-01-05", "part-0.parquet", &mut frame);
    lake.log("2026-01-06", &[EVENT]);
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::WrongColumn { column, .. } if column == "timestamp"), "{error}");

    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]).log("2026-01-06", &[EVENT]);
    let mut frame = df!(
        "experiment_id" => [EXPERIMENT],
        "unit_id" => [None::<&str>],
        "variant_id" => [CONTROL],
        "assigned_at" => [at("2026-01-05T09:00:00Z").as_microsecond()],
    )
    .unwrap();
    lake.write("assignments", "2026-01-05", "part-1.parquet", utc(&mut frame, "assigned_at"));
    let error = refusal(&lake).await;
    assert!(matches!(&error, WarehouseError::WrongColumn { column, .. } if column == "unit_id"), "{error}");
}

#[tokio::test]
async fn a_lake_that_is_not_there_is_an_outage() {
    let lake = Lake::new();
    let warehouse = lake.open();
    fs::remove_dir(lake.root.path().join("events")).unwrap();
    let error = warehouse.partition(day("2026-01-05")).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert!(LakeWarehouse::open(lake.root.path().to_owned()).unwrap_err().is_outage());
}

#[tokio::test]
async fn requests_that_contradict_themselves_are_refused() {
    let lake = two_days();
    let experiment = experiment();
    let mut metrics = metrics();
    let error = lake.refusal(&request(&experiment, &metrics, "2026-01-06", "2026-01-05")).await;
    assert!(matches!(error, WarehouseError::BadRequest { .. }), "{error}");
    let error = lake.refusal(&request(&experiment, &[], "2026-01-05", "2026-01-05")).await;
    assert!(matches!(error, WarehouseError::BadRequest { .. }), "{error}");
    metrics[0].window_days = 7;
    let error = lake.refusal(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert!(error.to_string().contains("window of 7 days"), "{error}");
}

#[tokio::test]
async fn a_partition_knows_its_rows_and_its_latest_event() {
    let lake = Lake::new();
    let warehouse = lake.open();
    assert_eq!(warehouse.partition(day("2026-01-05")).await.unwrap(), None);
    fs::create_dir(lake.root.path().join("events/date=2026-01-05")).unwrap();
    assert_eq!(warehouse.partition(day("2026-01-05")).await.unwrap(), None);
    lake.log("2026-01-05", &[]);
    let empty = Partition { date: day("2026-01-05"), rows: 0, latest_event_at: None };
    assert_eq!(warehouse.partition(day("2026-01-05")).await.unwrap(), Some(empty));
    lake.log("2026-01-05", &[EVENT, ("other", "bob", "2026-01-05T23:59:59.999Z", None)]);
    lake.write("events", "2026-01-05", "part-1.parquet", &mut events(&[EVENT]));
    let full = Partition { date: day("2026-01-05"), rows: 3, latest_event_at: Some(at("2026-01-05T23:59:59.999Z")) };
    assert_eq!(warehouse.partition(day("2026-01-05")).await.unwrap(), Some(full));
}

#[tokio::test]
async fn a_metric_of_counts_needs_no_number_column() {
    let lake = two_days();
    for date in ["2026-01-05", "2026-01-06"] {
        lake.write("events", date, "part-0.parquet", &mut events(&[EVENT]).drop("latency_ms").unwrap());
    }
    let (metrics, experiment) = ([mean("generated", count("plan_generated"))], experiment());
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    // Both events lie at 11:00 on the 5th.
    assert_eq!(lines(&collected.health)[0], "2026-01-05 0 c 3 2 0 0 0");
}

#[tokio::test]
async fn another_word_may_stand_before_the_date() {
    let lake = two_days();
    lake.log("2026-01-05", &[EVENT]).log("2026-01-06", &[EVENT]);
    for table in ["events", "assignments"] {
        for date in ["2026-01-05", "2026-01-06"] {
            let folder = lake.root.path().join(table);
            if folder.join(format!("date={date}")).exists() {
                fs::rename(folder.join(format!("date={date}")), folder.join(format!("dt={date}"))).unwrap();
            }
        }
    }
    let (metrics, experiment) = (metrics(), experiment());
    let request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    let renamed = LakeWarehouse::open_by(lake.root.path().to_owned(), "dt").unwrap();
    assert_eq!(lines(&renamed.collect(&request).await.unwrap().health)[0], "2026-01-05 0 c 3 2 0 0 0");
    let error = lake.refusal(&request).await;
    assert!(error.to_string().contains("events/date=2026-01-05 is broken"), "{error}");
}
