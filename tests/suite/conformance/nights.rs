//! The same nights over every engine: each has a control store of its own, and all come to the same decisions, from the
//! first look to rollback and promotion, with events that come days late.

use rampkeeper::demo::{DayOfTraffic, Scenario};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::load;
use super::world::{Assignment, Event};
use crate::embedded::{World, better, day, harmful, told};
use crate::support::clickhouse::Clickhouse;
use crate::support::mariadb::Mariadb;
use crate::support::postgres::Postgres;

const METRICS: &str = "
metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    numerator: { event: plan_generated, sum: payload.cost }
    denominator: { event: plan_generated }
  slow_plans:
    direction: decrease
    numerator: { event: plan_generated, count_above: { field: latency_ms, threshold: 900 } }
    denominator: { event: plan_generated }
";

const PROMOTION: &str = "
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 80 }
    - { allocation: 0.25, min_days: 1, min_units: 80 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.10 }
    - { metric: cost_per_plan, margin: 0.10 }
    - { metric: slow_plans, margin: 0.50 }
";

/// How many nights are lived through.
const NIGHTS: i64 = 6;

fn scenarios() -> Vec<Scenario> {
    let smaller = |scenario: Scenario| Scenario { units_per_day: 900, ..scenario };
    vec![smaller(better("steady")), smaller(harmful("costly")), smaller(better("quick"))]
}

/// One engine with the tables that a night reads.
enum Store {
    Lake,
    Postgres(PgPool),
    Sqlite,
    Mariadb(&'static Mariadb, String),
    Clickhouse(&'static Clickhouse, &'static str),
}

impl Store {
    /// Adds a day's rows. `late` names the files of a lake.
    async fn add(&self, world: &World, assignments: &[Assignment], events: &[Event], name: &str) {
        let (lake, file) = (world.path("lake"), world.path("warehouse.db"));
        match self {
            Store::Lake => {
                load::assign_lake(&lake, assignments, name);
                load::happen_lake(&lake, events, name);
            }
            Store::Postgres(pool) => {
                load::assign_postgres(pool, "first_assignments", assignments).await;
                load::happen_postgres(pool, events).await;
            }
            Store::Sqlite => {
                load::assign_sqlite(&file, "first_assignments", assignments).await;
                load::happen_sqlite(&file, events).await;
            }
            Store::Mariadb(server, url) => {
                if !assignments.is_empty() {
                    load::assign_mariadb(server, url, "first_assignments", assignments).await;
                }
                load::happen_mariadb(server, url, events).await;
            }
            Store::Clickhouse(servers, database) => {
                if !assignments.is_empty() {
                    load::assign_clickhouse(servers, database, assignments).await;
                }
                load::happen_clickhouse(servers, database, events).await;
            }
        }
    }
}

/// The rows of a day of traffic; those that come late lie apart.
fn rows(traffic: &DayOfTraffic) -> (Vec<Assignment>, Vec<Event>, Vec<Event>) {
    let assignment = |a: &rampkeeper::demo::Assignment| Assignment {
        experiment: a.experiment,
        unit: a.unit.clone(),
        variant: a.variant,
        at: a.at,
    };
    let event = |e: &rampkeeper::demo::Event| Event {
        kind: e.event,
        unit_type: "user",
        unit: e.unit.clone(),
        at: e.at,
        latency: (e.latency_ms.map(|latency| format!("{latency:?}")), e.latency_ms),
        cost: e.cost,
        reading: None,
        experiments: Vec::new(),
    };
    let (late, in_time): (Vec<_>, Vec<_>) =
        traffic.events.iter().map(event).enumerate().partition(|(number, _)| number % 200 == 77);
    let plain = |numbered: Vec<(usize, Event)>| numbered.into_iter().map(|(_, event)| event).collect();
    (traffic.assignments.iter().map(assignment).collect(), plain(in_time), plain(late))
}

/// What the nights over one engine decided and told.
async fn live(name: &str, store: Store, warehouse: Value) -> Vec<String> {
    let mut world = World::new(scenarios()).await;
    world.settings["warehouse"] = warehouse;
    world.write("metrics.yml", METRICS);
    world.write("promotion.yml", PROMOTION);
    world.configure();
    if let Store::Sqlite = store {
        load::create_sqlite(&world.path("warehouse.db")).await;
    }
    let mut lived = Vec::new();
    let mut late_before = Vec::new();
    for n in 0..NIGHTS {
        let (assignments, in_time, late) = rows(&world.happen(day(n)).await);
        store.add(&world, &assignments, &in_time, &format!("in-time-{n}")).await;
        store.add(&world, &[], &std::mem::replace(&mut late_before, late), &format!("late-{n}")).await;
        let mut night = world.nightly("run", day(n));
        night.args(["--output", "json"]);
        let night = told(night).await;
        assert!(matches!(night.code, Some(0 | 3)), "{name}, night {n}: {}", night.err);
        let decided = world
            .text(
                "SELECT group_concat(line, x'0a') FROM (SELECT as_of || ' ' || candidate_id || ' ' || revision || ' ' || decision
                 AS line FROM rampkeeper_decisions ORDER BY position)",
            )
            .await;
        // A night without an experiment that runs leaves no page.
        let page = world.path(&format!("reports/nights/{}.html", day(n)));
        let page = std::fs::read_to_string(page).unwrap_or_default();
        lived.push(format!("code {:?}\n{}\n{}", night.code, to_nine_digits(&decided), plain_page(&page)));
    }
    lived
}

/// A page without its pictures, whose bytes say what the text says.
fn plain_page(page: &str) -> String {
    let mut plain = String::new();
    let mut rest = page;
    while let Some(at) = rest.find("data:image/png;base64,") {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[rest.find(['"', '\'', ')']).unwrap_or(rest.len())..];
    }
    plain + rest
}

/// Engines add in different orders, so their last digits differ; whatever has more than nine is cut to that many.
fn to_nine_digits(text: &str) -> String {
    let mut cut = String::with_capacity(text.len());
    let mut number = String::new();
    for c in text.chars().chain(['\n']) {
        let goes_on = c.is_ascii_digit() || c == '.' || (!number.is_empty() && matches!(c, 'e' | '-' | '+'));
        if goes_on && (c.is_ascii_digit() || !number.is_empty()) {
            number.push(c);
            continue;
        }
        let digits = number.chars().filter(char::is_ascii_digit).count();
        match number.parse::<f64>() {
            Ok(value) if digits > 12 => cut.push_str(&format!("{value:.8e}")),
            _ => cut.push_str(&number),
        }
        number.clear();
        cut.push(c);
    }
    cut
}

#[tokio::test]
async fn the_same_nights_bring_the_same_decisions_everywhere() {
    let (postgres, mariadb, clickhouse) = tokio::join!(Postgres::shared(), Mariadb::shared(), Clickhouse::shared());
    let url = postgres.database("nights").await;
    let pool = PgPool::connect(&url).await.unwrap();
    load::create_postgres(&pool).await;
    let database = mariadb.database("nights").await;
    load::create_mariadb(mariadb, &database).await;
    load::create_clickhouse(clickhouse, "nights", false).await;
    load::create_clickhouse(clickhouse, "nights_sharded", true).await;
    let of_clickhouse = |database: &str| json!({ "clickhouse": { "url": clickhouse.url(0), "database": database } });
    let (lake, in_postgres, in_sqlite, in_mariadb, in_clickhouse, sharded) = tokio::join!(
        live("lake", Store::Lake, json!({ "lake": { "path": "lake" } })),
        live(
            "PostgreSQL",
            Store::Postgres(pool),
            json!({ "postgres": { "url": url, "assignments": "exp.first_assignments" } }),
        ),
        live(
            "SQLite",
            Store::Sqlite,
            json!({ "sqlite": { "path": "warehouse.db", "assignments": "first_assignments" } }),
        ),
        live(
            "MariaDB",
            Store::Mariadb(mariadb, database.clone()),
            json!({ "mysql": { "url": database, "assignments": "first_assignments" } }),
        ),
        live("ClickHouse", Store::Clickhouse(clickhouse, "nights"), of_clickhouse("nights")),
        live(
            "ClickHouse on two shards",
            Store::Clickhouse(clickhouse, "nights_sharded"),
            of_clickhouse("nights_sharded")
        ),
    );
    let all = lake.join("\n");
    for outcome in ["\"ramp\"", "\"rollback\"", "\"promote\""] {
        assert!(all.contains(outcome), "no {outcome} in\n{all}");
    }
    let others = [
        ("PostgreSQL", in_postgres),
        ("SQLite", in_sqlite),
        ("MariaDB", in_mariadb),
        ("ClickHouse", in_clickhouse),
        ("ClickHouse on two shards", sharded),
    ];
    for (name, lived) in others {
        for (n, (told, expected)) in lived.iter().zip(&lake).enumerate() {
            let differs = told.lines().zip(expected.lines()).find(|(a, b)| a != b);
            assert!(told == expected, "{name}, night {n}: {differs:#?}");
        }
    }
}
