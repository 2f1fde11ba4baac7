//! Which units a cohort holds: dates, epochs, second rows and second variants.

use super::*;
use crate::domain::{EpochSpan, Metric};
use crate::warehouse::fixture::{count, experiment, mean, request};

fn metrics() -> [Metric; 1] {
    [mean("generated", count("plan_generated"))]
}

/// Days of events without any event of interest.
fn quiet(lake: &Lake, dates: &[&str]) {
    for date in dates {
        lake.log(date, &[("other", "ann", &format!("{date}T00:00:00Z"), None)]);
    }
}

#[tokio::test]
async fn an_exposure_belongs_to_the_epoch_that_holds_its_instant() {
    let lake = Lake::new();
    lake.assign(
        "2026-01-05",
        &[
            ("before", CONTROL, "2026-01-05T01:59:59.999999Z"),
            ("settling", CONTROL, "2026-01-05T02:00:00Z"),
            ("settled", CONTROL, "2026-01-05T02:15:00Z"),
            ("next day", CANDIDATE, "2026-01-06T00:00:00Z"),
        ],
    );
    // An assignment may land in the partition of the next day; its instant decides.
    lake.assign(
        "2026-01-06",
        &[("late", CANDIDATE, "2026-01-05T20:00:00Z"), ("after", CONTROL, "2026-01-06T05:00:00Z")],
    );
    quiet(&lake, &["2026-01-05", "2026-01-06", "2026-01-07"]);
    let (metrics, experiment) = (metrics(), experiment());
    let mut request = request(&experiment, &metrics, "2026-01-05", "2026-01-06");
    request.spans = vec![
        EpochSpan { epoch: 3, from: at("2026-01-01T00:00:00Z"), to: at("2026-01-05T02:00:00Z") },
        EpochSpan { epoch: 4, from: at("2026-01-05T02:15:00Z"), to: at("2026-01-06T05:00:00Z") },
    ];
    let collected = lake.collect(&request).await;
    assert_eq!(
        lines(&collected.health),
        [
            "2026-01-05 3 c 1 0 0 0 0",
            "2026-01-05 4 c 1 0 0 0 0",
            "2026-01-05 4 t 1 0 0 0 0",
            "2026-01-06 4 t 1 0 0 0 0",
        ]
    );
    assert_eq!(lines(&collected.moments)[0], "2026-01-05 3 c generated 1 0.0 0.0 1.0 0.0 0.0");
    request.spans.clear();
    assert_eq!(lake.collect(&request).await.health.height(), 0);
}

#[tokio::test]
async fn the_first_of_equal_assignments_wins() {
    let lake = Lake::new();
    lake.assign("2026-01-04", &[("old", CONTROL, "2026-01-04T09:00:00Z")]);
    lake.assign(
        "2026-01-05",
        &[
            ("ann", CONTROL, "2026-01-05T12:00:00Z"),
            ("ann", CONTROL, "2026-01-05T09:00:00Z"),
            ("old", CONTROL, "2026-01-05T09:00:00Z"),
        ],
    );
    lake.log(
        "2026-01-05",
        &[
            ("plan_generated", "ann", "2026-01-05T10:00:00Z", None),
            ("plan_generated", "old", "2026-01-05T10:00:00Z", None),
        ],
    );
    quiet(&lake, &["2026-01-06"]);
    let (metrics, experiment) = (metrics(), experiment());
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    // `old` was exposed the day before, so this cohort holds it not.
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 1 1 0 0 0"]);
}

#[tokio::test]
async fn a_second_variant_takes_the_unit_out_of_both() {
    let lake = Lake::new();
    lake.assign(
        "2026-01-05",
        &[
            ("ann", CANDIDATE, "2026-01-05T12:00:00Z"),
            ("ann", CONTROL, "2026-01-05T09:00:00Z"),
            ("bob", CONTROL, "2026-01-05T09:00:00Z"),
            ("cyd", CANDIDATE, "2026-01-05T09:00:00Z"),
        ],
    );
    lake.assign("2026-01-06", &[("cyd", CONTROL, "2026-01-06T23:00:00Z")]);
    lake.log("2026-01-05", &[("plan_generated", "ann", "2026-01-05T13:00:00Z", None)]);
    quiet(&lake, &["2026-01-06", "2026-01-07"]);
    let (metrics, experiment) = (metrics(), experiment());
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-06")).await;
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 1 0 0 0 1", "2026-01-05 0 t 0 0 0 0 1"]);
    assert_eq!(lines(&collected.moments), ["2026-01-05 0 c generated 1 0.0 0.0 1.0 0.0 0.0"]);
}

#[tokio::test]
async fn a_cohort_is_the_same_whatever_range_of_dates_it_is_read_in() {
    let lake = Lake::new();
    lake.assign("2026-01-05", &[("ann", CONTROL, "2026-01-05T09:00:00Z"), ("bob", CANDIDATE, "2026-01-05T09:00:00Z")]);
    lake.assign("2026-01-06", &[("cyd", CONTROL, "2026-01-06T09:00:00Z")]);
    // The second variant of ann comes after the cohort of the 5th has closed, at the end of the 6th.
    lake.assign("2026-01-07", &[("ann", CANDIDATE, "2026-01-07T00:00:00Z"), ("dee", CONTROL, "2026-01-07T09:00:00Z")]);
    let dates = ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09", "2026-01-10"];
    lake.assign("2026-01-08", &[("eve", CONTROL, "2026-01-08T09:00:00Z")]);
    lake.assign("2026-01-09", &[("fay", CONTROL, "2026-01-09T09:00:00Z"), ("eve", CANDIDATE, "2026-01-09T09:00:00Z")]);
    lake.assign("2026-01-10", &[("cyd", CANDIDATE, "2026-01-10T09:00:00Z")]);
    quiet(&lake, &dates);
    quiet(&lake, &["2026-01-11"]);
    let (metrics, experiment) = (metrics(), experiment());
    let mut one_by_one = Vec::new();
    for date in dates {
        one_by_one.extend(lines(&lake.collect(&request(&experiment, &metrics, date, date)).await.health));
    }
    let together = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-10")).await;
    assert_eq!(lines(&together.health), one_by_one);
    assert_eq!(
        one_by_one,
        [
            "2026-01-05 0 c 1 0 0 0 0",
            "2026-01-05 0 t 1 0 0 0 0",
            "2026-01-06 0 c 1 0 0 0 0",
            "2026-01-07 0 c 1 0 0 0 0",
            "2026-01-07 0 t 0 0 0 0 1",
            "2026-01-08 0 c 0 0 0 0 1",
            "2026-01-09 0 c 1 0 0 0 0",
            "2026-01-10 0 t 0 0 0 0 1",
        ]
    );
}

#[tokio::test]
async fn capitals_in_keys_and_strange_unit_ids_make_no_difference() {
    let lake = Lake::new();
    let mut frame = df!(
        "experiment_id" => [EXPERIMENT.to_uppercase(), EXPERIMENT.to_owned(), "another".to_owned()],
        "unit_id" => ["Ω 'α'", "日本\n", "ann"],
        "variant_id" => [CONTROL.to_owned(), CONTROL.to_uppercase(), CONTROL.to_owned()],
        "assigned_at" => [at("2026-01-05T09:00:00Z").as_microsecond(); 3],
    )
    .unwrap();
    lake.write("assignments", "2026-01-05", "part-0.parquet", utc(&mut frame, "assigned_at"));
    lake.log("2026-01-05", &[("plan_generated", "日本\n", "2026-01-05T10:00:00Z", None)]);
    quiet(&lake, &["2026-01-06"]);
    let (metrics, experiment) = (metrics(), experiment());
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 2 1 0 0 0"]);
}

#[tokio::test]
async fn an_experiment_without_units_gives_empty_frames_with_their_columns() {
    let lake = two_days();
    quiet(&lake, &["2026-01-05", "2026-01-06"]);
    let (metrics, mut experiment) = (metrics(), experiment());
    experiment.id = CONTROL.parse().unwrap();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert_eq!((collected.moments.height(), collected.moments.width()), (0, 10));
    assert_eq!((collected.health.height(), collected.health.width()), (0, 8));
    assert_eq!(collected.moments.column("cohort_date").unwrap().dtype(), &DataType::Date);
}
