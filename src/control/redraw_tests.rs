//! Redraws on SQLite; the same on PostgreSQL, with the evidence that they bring, in the integration tests.

use std::cell::Cell;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::super::NewEpoch;
use super::*;
use crate::domain::{Epoch, Share};
use crate::plan::Drawn;

struct Store {
    control: ControlStore,
    _dir: tempfile::TempDir,
}

const KEY: &str = "d/0/redraw_control";
const UNITS: u64 = 25_000;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-05T02:00:00Z")
}

fn experiment() -> ExperimentId {
    ExperimentId(Uuid::from_u128(1))
}

fn arm(n: u128) -> VariantId {
    VariantId(Uuid::from_u128(n))
}

/// From 10 to 25 %: a sixth of control.
fn redraw() -> Redraw {
    let share = |parts| Share::from_ten_thousandths(parts).unwrap();
    Redraw {
        from: arm(10),
        from_name: "control".into(),
        pool: share(9_000),
        to: vec![Drawn { variant: arm(11), name: "t".into(), share: share(1_500) }],
        epoch: 1,
        assigned_before: now(),
        exposed_at: at("2026-03-05T02:15:00Z"),
    }
}

impl Store {
    /// 25,000 units on control and one that came with the new split; the epochs of the redraw have begun.
    async fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.unwrap();
        control.migrate().await.unwrap();
        let store = Store { control, _dir: dir };
        let (e, c, t) = (experiment(), arm(10), arm(11));
        store
            .sql(&format!(
                "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at)
                 VALUES ('{e}', 'e', 'active', 'user', '2026-03-02T00:00:00Z', '2026-03-01T00:00:00Z', '2026-03-01');
                 INSERT INTO exp_variants (id, experiment_id, name, allocation, created_at) VALUES
                 ('{c}', '{e}', 'control', '0.7500', '1'), ('{t}', '{e}', 't', '0.2500', '2');
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {UNITS})
                 INSERT INTO exp_assignments
                 SELECT '{e}', 'user', 'u\"' || i, '{c}', '2026-03-02T10:00:00.000000Z' FROM n;
                 INSERT INTO exp_assignments VALUES ('{e}', 'user', 'new', '{c}', '2026-03-05T02:00:01.000000Z');"
            ))
            .await;
        for number in 0..=2 {
            store.open(number).await;
        }
        store
    }

    async fn open(&self, number: i64) {
        let (allocations, started_at) = (vec![(arm(10), Share::ALL)], now());
        let (moved_units, redrawn_at) = (number == 1, (number == 1).then(|| redraw().exposed_at));
        let epoch = Epoch { number, started_at, ended_at: None, allocations, moved_units, outside: false, redrawn_at };
        let new = NewEpoch { epoch, ends: (number > 0).then(|| (number - 1, started_at)) };
        self.control.open_epoch(experiment(), &new, "decision").await.unwrap();
    }

    async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.control.pool()).await.unwrap();
    }

    async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.control.pool()).await.unwrap()
    }

    async fn redraw(&self, clock: impl Fn() -> Timestamp) -> Redrawing {
        self.control.redraw(KEY, experiment(), &redraw(), clock).await.unwrap()
    }

    /// Every assignment and every record, in one text.
    async fn state(&self) -> String {
        self.text(
            "SELECT group_concat(row, x'0a') FROM (
                 SELECT unit_id || variant_id || assigned_at AS row FROM exp_assignments
                 UNION ALL SELECT unit_id || from_variant || to_variant || assigned_at || was_assigned_at
                 FROM rampkeeper_assignment_moves ORDER BY 1)",
        )
        .await
    }

    async fn assigned(&self) -> String {
        self.text(
            "SELECT group_concat(told, ', ') FROM (SELECT assigned_at || ' ' || count(*) AS told FROM exp_assignments
             WHERE unit_id <> 'new' GROUP BY assigned_at ORDER BY 1)",
        )
        .await
    }
}

#[tokio::test]
async fn the_whole_pool_is_exposed_anew_and_a_sixth_of_it_moves() {
    let store = Store::new().await;
    assert_eq!(store.redraw(now).await, Redrawing::Whole);
    let drawn = store.control.redrawn_units(KEY).await.unwrap();
    assert_eq!(drawn.values().sum::<u64>(), UNITS);
    // One standard deviation is 59.
    assert!(drawn[&arm(11)].abs_diff(UNITS / 6) < 300, "{drawn:?}");
    let arms = store.control.units_by_variant(experiment()).await.unwrap();
    assert_eq!((arms[&arm(11)], arms[&arm(10)]), (drawn[&arm(11)], drawn[&arm(10)] + 1), "who came later stays");
    assert_eq!(store.assigned().await, format!("2026-03-05T02:15:00.000000Z {UNITS}"));
    assert_eq!(store.control.units_on(experiment(), arm(10), now()).await.unwrap(), 0);
    let before = store.state().await;
    assert_eq!(store.redraw(now).await, Redrawing::Whole);
    assert_eq!(store.state().await, before, "repeated, it changes nothing");
}

#[tokio::test]
async fn one_that_is_stopped_after_a_batch_ends_as_if_it_had_not_been() {
    let (whole, halved) = (Store::new().await, Store::new().await);
    whole.redraw(now).await;
    // The second batch waits for a clock that never answers, as if the run had been killed in it.
    let asked = Cell::new(0);
    let stopped = std::panic::AssertUnwindSafe(halved.redraw(|| {
        asked.set(asked.get() + 1);
        assert!(asked.get() < 2, "killed");
        now()
    }));
    let stopped = futures_catch(stopped).await;
    assert!(stopped, "it was to stop in its second batch");
    assert_eq!(halved.control.redrawn_units(KEY).await.unwrap().values().sum::<u64>(), 10_000);
    assert_eq!(halved.redraw(now).await, Redrawing::Whole);
    assert_eq!(halved.state().await, whole.state().await);
}

/// Whether a future panics.
async fn futures_catch(future: std::panic::AssertUnwindSafe<impl Future<Output = Redrawing>>) -> bool {
    let mut future = Box::pin(future.0);
    std::future::poll_fn(move |context| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(_)) => std::task::Poll::Ready(false),
            Err(_) => std::task::Poll::Ready(true),
        }
    })
    .await
}

#[tokio::test]
async fn who_is_drawn_too_late_moves_all_the_same_and_is_left_out_of_the_cohort() {
    let store = Store::new().await;
    let asked = Cell::new(0);
    let slow = || {
        asked.set(asked.get() + 1);
        if asked.get() == 1 { now() } else { redraw().exposed_at }
    };
    assert_eq!(store.redraw(slow).await, Redrawing::Whole);
    assert_eq!(store.assigned().await, "2026-03-05T02:14:59.999999Z 15000, 2026-03-05T02:15:00.000000Z 10000");
    assert!(store.control.redrawn_units(KEY).await.unwrap()[&arm(11)].abs_diff(UNITS / 6) < 300);
}

#[tokio::test]
async fn a_later_epoch_leaves_the_rest_where_it_is() {
    let store = Store::new().await;
    store.open(3).await;
    let before = store.state().await;
    assert_eq!(store.redraw(now).await, Redrawing::Overtaken);
    assert_eq!(store.state().await, before);
}

#[tokio::test]
async fn an_arm_that_is_gone_is_said() {
    let store = Store::new().await;
    let mut redraw = redraw();
    redraw.to[0].variant = arm(12);
    let told = store.control.redraw(KEY, experiment(), &redraw, now).await.unwrap_err();
    assert!(matches!(told, ControlError::Gone { .. }), "{told}");
}
