//! The same world in PostgreSQL and in a Parquet lake gives the same moments.
//!
//! The two warehouses share nothing but the request: one sums in SQL over JSON, the other adds columns up itself. What
//! they agree on to nine digits is hardly a mistake of either.

mod world;

use std::time::Duration;

use jiff::ToSpan;
use polars::prelude::{AnyValue, DataFrame, DataType};
use rampkeeper::domain::{CohortRequest, Direction, Measure, Metric, MetricForm, Value};
use rampkeeper::warehouse::{Collected, LakeWarehouse, PostgresSettings, PostgresWarehouse, Warehouse};
use sqlx::PgPool;

use crate::support::postgres::Postgres;

use self::world::{FIRST, World};

/// Relative to the scale of the number.
const TOLERANCE: f64 = 1e-9;

fn metrics(window_days: u16) -> Vec<Metric> {
    let count = |event: &str| Measure { event: event.to_owned(), value: Value::Count };
    let sum = |event: &str, field: &str| Measure { event: event.to_owned(), value: Value::Sum(field.parse().unwrap()) };
    let above = |event: &str, field: &str, threshold| Measure {
        event: event.to_owned(),
        value: Value::CountAbove(field.parse().unwrap(), threshold),
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

fn assert_agree(postgres: &Collected, lake: &Collected) {
    assert_eq!(keys(&postgres.health), keys(&lake.health));
    assert_eq!(keys(&postgres.moments), keys(&lake.moments));
    let float = |collected: &Collected, column: &str, row| {
        collected.moments.column(column).unwrap().f64().unwrap().get(row).unwrap()
    };
    for (row, key) in keys(&lake.moments).iter().enumerate() {
        let (m2_y, m2_d) = (float(lake, "m2_y", row), float(lake, "m2_d", row));
        // A cross product is small beside the two sums of squares that bound it, so they are its scale.
        for (column, scale) in
            [("mean_y", 0.0), ("mean_d", 0.0), ("m2_y", m2_y), ("m2_d", m2_d), ("c_yd", (m2_y * m2_d).sqrt())]
        {
            let (a, b) = (float(postgres, column, row), float(lake, column, row));
            let scale = f64::max(scale, b.abs());
            assert!((a - b).abs() <= TOLERANCE * scale, "{key}: {column} is {a} in PostgreSQL and {b} in the lake");
        }
    }
}

#[tokio::test]
async fn postgres_and_lake_give_the_same_moments() {
    let world = World::new();
    assert!(world.events.len() >= 50_000, "{} events", world.events.len());
    let url = Postgres::shared().await.database("warehouses_agree").await;
    let lake_root = tempfile::tempdir().unwrap();
    world.fill_lake(lake_root.path());
    let lake = LakeWarehouse::open(lake_root.path().to_owned()).unwrap();
    let settings = PostgresSettings { url, statement_timeout: Duration::from_secs(60), max_connections: 2 };
    let postgres = PostgresWarehouse::connect(settings.clone()).await.unwrap();
    world.fill_postgres(&PgPool::connect(&settings.url).await.unwrap()).await;

    for window_days in [1, 2] {
        let metrics = metrics(window_days);
        let request = world.request(&metrics, window_days);
        let (a, b) = (postgres.collect(&request).await.unwrap(), lake.collect(&request).await.unwrap());
        // Three dates, the first of them in one epoch, the second in two; two variants.
        assert_eq!(a.health.height(), 8);
        assert_eq!(a.moments.height(), 8 * metrics.len());
        assert!(keys(&a.health).iter().all(|row| !row.ends_with(" 0 0 0")), "{:?}", keys(&a.health));
        assert_agree(&a, &b);
    }
    // Asked for together, PostgreSQL hands out rows instead of sums.
    sqlx::raw_sql("ANALYZE").execute(&PgPool::connect(&settings.url).await.unwrap()).await.unwrap();
    let (short, long) = (metrics(1), metrics(2));
    let all = world.request(&short, 1);
    let first = CohortRequest { to: all.from, metrics: short[2..5].iter().collect(), ..all.clone() };
    let none = CohortRequest { spans: Vec::new(), ..all.clone() };
    let requests = [all, world.request(&long, 2), first, none];
    let together = postgres.collect_many(&requests).await;
    let from_lake = lake.collect_many(&requests).await;
    for ((request, a), b) in requests.iter().zip(together).zip(from_lake) {
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_agree(&a, &b);
        assert_agree(&a, &postgres.collect(request).await.unwrap());
    }
    for days in 0..9 {
        let date = FIRST + days.days();
        let (a, b) = (postgres.partition(date).await.unwrap(), lake.partition(date).await.unwrap());
        assert_eq!(a, b, "{date}");
    }
}
