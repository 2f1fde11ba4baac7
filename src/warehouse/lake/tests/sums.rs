//! What events add up to: windows, zeros, numbers that are none, duplicates, shapes of files.

use super::*;
use crate::warehouse::Exceeding;
use crate::warehouse::fixture::{above, count, day, experiment, mean, ratio, request, sum};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

#[tokio::test]
async fn moments_of_a_ratio_by_hand() {
    let lake = two_days();
    lake.log(
        "2026-01-05",
        &[
            ("plan_generated", "ann", "2026-01-05T10:00:00Z", Some(100.0)),
            ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(300.0)),
            ("plan_accepted", "ann", "2026-01-05T11:01:00Z", None),
            ("plan_generated", "bob", "2026-01-05T13:00:00Z", Some(50.0)),
            ("plan_generated", "dee", "2026-01-05T13:00:00Z", Some(7.0)),
            ("plan_generated", "eve", "2026-01-05T13:00:00Z", Some(1e6)),
        ],
    );
    lake.log(
        "2026-01-06",
        &[
            ("plan_generated", "ann", "2026-01-06T09:00:00Z", Some(250.0)),
            ("plan_accepted", "ann", "2026-01-06T09:30:00Z", None),
            ("edit_applied", "ann", "2026-01-06T09:31:00Z", None),
        ],
    );
    let metrics = [
        ratio("acceptance", count("plan_accepted"), count("plan_generated")),
        mean("latency", sum("plan_generated", "latency_ms")),
        ratio("slow", above("plan_generated", "latency_ms", 100.0), count("plan_generated")),
    ];
    let experiment = experiment();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    // Control has three units: accepted (2, 0, 0), generated (3, 1, 0).
    let moments = &collected.moments;
    assert_eq!(moments.height(), 6);
    assert_eq!(float(moments, "mean_y", 0), 2.0 / 3.0);
    assert!(close(float(moments, "m2_y", 0), 8.0 / 3.0));
    assert_eq!(float(moments, "mean_d", 0), 4.0 / 3.0);
    assert!(close(float(moments, "m2_d", 0), 14.0 / 3.0));
    assert!(close(float(moments, "c_yd", 0), 10.0 / 3.0));
    // Latency sums (650, 50, 0) over the constant 1.
    assert!(close(float(moments, "mean_y", 1), 700.0 / 3.0));
    assert!(close(float(moments, "m2_y", 1), 425_000.0 - 490_000.0 / 3.0));
    assert_eq!(float(moments, "mean_d", 1), 1.0);
    assert_eq!((float(moments, "m2_d", 1), float(moments, "c_yd", 1)), (0.0, 0.0));
    // Above 100 ms, not at it: (2, 0, 0).
    assert_eq!(float(moments, "mean_y", 2), 2.0 / 3.0);
    assert_eq!(
        lines(&moments.select(["variant_id", "metric", "n"]).unwrap()),
        ["c acceptance 3", "c latency 3", "c slow 3", "t acceptance 1", "t latency 1", "t slow 1",]
    );
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 3 6 0 0 0", "2026-01-05 0 t 1 1 0 0 0"]);
}

#[tokio::test]
async fn a_window_holds_its_first_instant_and_not_its_last() {
    let lake = two_days();
    lake.log(
        "2026-01-05",
        &[
            ("plan_generated", "ann", "2026-01-05T09:59:59.999999Z", Some(1.0)),
            ("plan_generated", "ann", "2026-01-05T10:00:00Z", Some(10.0)),
            ("plan_generated", "cyd", "2026-01-05T23:59:59.999998Z", Some(1.0)),
            ("plan_generated", "cyd", "2026-01-05T23:59:59.999999Z", Some(20.0)),
            ("plan_generated", "dee", "2026-01-05T00:00:00Z", Some(30.0)),
        ],
    );
    lake.log(
        "2026-01-06",
        &[
            ("plan_generated", "ann", "2026-01-06T09:59:59.999999Z", Some(100.0)),
            ("plan_generated", "ann", "2026-01-06T10:00:00Z", Some(1.0)),
            ("plan_generated", "cyd", "2026-01-06T23:59:59.999998Z", Some(200.0)),
            ("plan_generated", "dee", "2026-01-06T00:00:00Z", Some(1.0)),
        ],
    );
    let metrics = [mean("latency", sum("plan_generated", "latency_ms"))];
    let experiment = experiment();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert_eq!(float(&collected.moments, "mean_y", 0), 330.0 / 3.0);
    assert_eq!(float(&collected.moments, "mean_y", 1), 30.0);
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 3 4 0 0 0", "2026-01-05 0 t 1 1 0 0 0"]);
}

#[tokio::test]
async fn what_is_no_number_is_counted_and_left_out() {
    let lake = two_days();
    lake.log(
        "2026-01-05",
        &[
            ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(f64::NAN)),
            ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(f64::INFINITY)),
            ("plan_generated", "ann", "2026-01-05T11:00:00Z", None),
            ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(5.0)),
            // Needs no field, so nothing is missing.
            ("plan_accepted", "ann", "2026-01-05T11:00:00Z", None),
        ],
    );
    lake.log("2026-01-06", &[("other", "ann", "2026-01-06T00:00:00Z", None)]);
    let metrics = [
        mean("latency", sum("plan_generated", "latency_ms")),
        mean("slow", above("plan_generated", "latency_ms", 1.0)),
        mean("accepted", count("plan_accepted")),
    ];
    let experiment = experiment();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert_eq!(float(&collected.moments, "mean_y", 0), 5.0 / 3.0);
    assert_eq!(float(&collected.moments, "mean_y", 1), 1.0 / 3.0);
    assert_eq!(lines(&collected.health), ["2026-01-05 0 c 3 5 1 2 0", "2026-01-05 0 t 1 0 0 0 0"]);
}

#[tokio::test]
async fn an_event_id_counts_once_and_a_missing_id_is_no_duplicate() {
    let lake = two_days();
    let rows = [("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(1.0)); 5];
    let mut first = events(&rows);
    first.with_column(Column::new("event_id".into(), [Some("e1"), Some("e1"), Some("e2"), None, None])).unwrap();
    lake.write("events", "2026-01-05", "part-0.parquet", &mut first);
    let mut second = events(&rows[..1]);
    second.with_column(Column::new("event_id".into(), ["e2"])).unwrap();
    lake.write("events", "2026-01-06", "part-0.parquet", &mut second);
    let metrics = [mean("latency", sum("plan_generated", "latency_ms"))];
    let experiment = experiment();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    // e1, e2 and the two without id.
    assert_eq!(lines(&collected.health)[0], "2026-01-05 0 c 3 4 0 0 0");
    assert_eq!(float(&collected.moments, "mean_y", 0), 4.0 / 3.0);
}

#[tokio::test]
async fn a_large_mean_does_not_swallow_the_variance() {
    let lake = Lake::new();
    let units: Vec<String> = (0..1_000).map(|unit| format!("unit {unit}")).collect();
    let assigned: Vec<_> = units.iter().map(|unit| (unit.as_str(), CONTROL, "2026-01-05T01:00:00Z")).collect();
    lake.assign("2026-01-05", &assigned);
    // 1e9 - 1 and 1e9 + 1 by turns: the variance is exactly 1.
    let value = |place: usize| Some(1e9 + if place.is_multiple_of(2) { 1.0 } else { -1.0 });
    let logged: Vec<_> = units
        .iter()
        .enumerate()
        .map(|(place, unit)| ("plan_generated", unit.as_str(), "2026-01-05T02:00:00Z", value(place)))
        .collect();
    lake.log("2026-01-05", &logged).log("2026-01-06", &[]);
    let metrics = [
        ratio("latency", sum("plan_generated", "latency_ms"), sum("plan_generated", "latency_ms")),
        mean("mean", sum("plan_generated", "latency_ms")),
    ];
    let experiment = experiment();
    let collected = lake.collect(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    for column in ["m2_y", "m2_d", "c_yd"] {
        assert_eq!(float(&collected.moments, column, 0), 1_000.0, "{column}");
    }
    assert_eq!(float(&collected.moments, "mean_y", 1), 1e9);
    assert_eq!(float(&collected.moments, "m2_y", 1), 1_000.0);
}

#[tokio::test]
async fn sums_beyond_a_double_are_an_error_that_names_the_metric() {
    let lake = two_days();
    let row = ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(1e200));
    lake.log("2026-01-05", &[row]).log("2026-01-06", &[]);
    let metrics = [mean("latency", sum("plan_generated", "latency_ms"))];
    let experiment = experiment();
    let error = lake.refusal(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).await;
    assert!(matches!(&error, WarehouseError::NotFinite { metric, .. } if metric == "latency"), "{error}");
}

#[tokio::test]
async fn exports_of_other_shapes_give_the_same_sums() {
    let rows = [
        ("plan_generated", "ann", "2026-01-05T11:00:00Z", Some(3.0)),
        ("plan_generated", "bob", "2026-01-05T13:00:00Z", Some(4.0)),
        ("plan_generated", "ann", "2026-01-06T10:00:00Z", Some(9.0)),
    ];
    let metrics = [
        ratio("latency", sum("plan_generated", "latency_ms"), count("plan_generated")),
        mean("price", sum("plan_accepted", "payload.price")),
    ];
    let experiment = experiment();
    let request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");

    let lake = two_days();
    // Integers and naive milliseconds in one file, decimals and nanoseconds in the next; the price only in the second,
    // since only its events have one; other units' types, and files that are not data.
    let milliseconds = DataType::Datetime(TimeUnit::Milliseconds, None);
    let mut first = events(&rows[..1]);
    first.with_column(first.column("timestamp").unwrap().cast(&milliseconds).unwrap()).unwrap();
    first.with_column(first.column("latency_ms").unwrap().cast(&DataType::Int32).unwrap()).unwrap();
    lake.write("events", "2026-01-05", "a.parquet", &mut first);
    let nanoseconds = DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC));
    let mut second = events(&[rows[1], ("plan_accepted", "bob", "2026-01-05T13:00:00Z", None), rows[1]]);
    second.with_column(second.column("timestamp").unwrap().cast(&nanoseconds).unwrap()).unwrap();
    second.with_column(second.column("latency_ms").unwrap().cast(&DataType::Decimal(20, 3)).unwrap()).unwrap();
    second.with_column(Column::new("payload.price".into(), [None, Some(2.5), None])).unwrap();
    second.with_column(Column::new("unit_type".into(), ["user", "user", "household"])).unwrap();
    lake.write("events", "2026-01-05", "b.parquet", &mut second);
    for other in ["_SUCCESS", ".b.parquet.crc", ".c.parquet", "c.parquet.tmp"] {
        fs::write(lake.path("events", "2026-01-05", other), "no data").unwrap();
    }
    let mut third = events(&rows[2..]);
    third.with_column(Column::new("payload.price".into(), [None::<f64>])).unwrap();
    lake.write("events", "2026-01-06", "a.parquet", &mut third);

    let collected = lake.collect(&request).await;
    assert_eq!(float(&collected.moments, "mean_y", 0), 7.0 / 3.0);
    assert_eq!(float(&collected.moments, "mean_d", 0), 2.0 / 3.0);
    assert_eq!(float(&collected.moments, "mean_y", 1), 2.5 / 3.0);
    assert_eq!(lines(&collected.health)[0], "2026-01-05 0 c 3 3 0 0 0");
}

#[tokio::test]
async fn an_event_that_comes_twice_exceeds_an_edge_once() {
    let lake = two_days();
    let event = |at: &'static str, latency| ("plan_generated", "ann", at, Some(latency));
    let rows =
        [event("2026-01-05T11:00:00Z", 10.0), event("2026-01-05T11:00:01Z", 20.0), event("2026-01-05T11:00:02Z", 30.0)];
    let mut first = events(&rows);
    first.with_column(Column::new("event_id".into(), [Some("a"), Some("b"), None])).unwrap();
    lake.write("events", "2026-01-05", "part-0.parquet", &mut first);
    // Written again by a writer that was restarted, in another file and the next day's folder; what has no id is another event.
    let mut again = events(&rows);
    again.with_column(Column::new("event_id".into(), [Some("b"), Some("a"), None])).unwrap();
    lake.write("events", "2026-01-05", "part-1.parquet", &mut again.clone());
    lake.write("events", "2026-01-06", "part-0.parquet", &mut again);
    let field = "latency_ms".parse().unwrap();
    let (from, to) = (day("2026-01-05"), day("2026-01-06"));
    let asked = Exceeding { event: "plan_generated", field: &field, from, to, edges: &[5.0, 15.0, 25.0] };
    let told = lake.open().exceed(&asked).await.unwrap();
    assert_eq!((told.numbers, told.beyond), (5, vec![5, 4, 3]));
}
