//! The store on SQLite; the same statements run on PostgreSQL in the integration tests.

mod cohorts;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::date;
use serde_json::json;
use sqlx::Row;
use uuid::Uuid;

use super::*;
use crate::decide::{Basis, Decision, Facts, Outcome, Reason};
use crate::domain::{ExperimentId, Policy, RolloutState, RolloutStatus, Rules, Share, VariantId};
use crate::evidence::{Assessment, PromotionLook};
use crate::plan::{Plan, Reallocation};

struct Store {
    control: ControlStore,
    _dir: tempfile::TempDir,
}

const EXPERIMENT: u128 = 1;
const CONTROL: u128 = 10;
const CANDIDATE: u128 = 11;

fn variant(id: u128) -> VariantId {
    VariantId(Uuid::from_u128(id))
}

fn experiment() -> ExperimentId {
    ExperimentId(Uuid::from_u128(EXPERIMENT))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-05T02:00:00Z")
}

impl Store {
    async fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.unwrap();
        control.migrate().await.unwrap();
        control.migrate().await.unwrap();
        let store = Store { control, _dir: dir };
        let (e, c, t) = (experiment(), variant(CONTROL), variant(CANDIDATE));
        store
            .execute(&format!(
                "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at)
                 VALUES ('{e}', 'e', 'active', 'user', '2026-03-02T00:00:00Z', '2026-03-01T00:00:00Z', '2026-03-01');
                 INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at) VALUES
                 ('{c}', '{e}', 'control', '0.9', '{{\"feature_enabled\": false}}', '1'),
                 ('{t}', '{e}', 't', '0.1000', '{{\"feature_enabled\": true}}', '2');"
            ))
            .await;
        store
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(self.control.pool()).await.unwrap();
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(self.control.pool()).await.unwrap().get("n")
    }

    async fn only(&self) -> ExperimentRecord {
        self.control.load_experiments().await.unwrap().remove(0)
    }
}

fn state(version: i64) -> RolloutState {
    RolloutState {
        experiment: experiment(),
        candidate: variant(CANDIDATE),
        status: RolloutStatus::Ramping,
        stage: 1,
        entered_on: date(2026, 3, 4),
        version,
    }
}

fn assessment() -> Assessment {
    Assessment {
        evidence_through: Some(date(2026, 3, 3)),
        control_units: 1,
        candidate_units: 1,
        guardrails: vec![],
        success: vec![],
        log_e_rollback: 0.0,
        promotion_look: PromotionLook::EveryNight,
        split: None,
        multiple_exposure: 0.0,
        events: 1000,
        not_numbers: 0,
        from_events: None,
    }
}

fn ramp() -> Plan {
    let share = |parts| Share::from_ten_thousandths(parts).unwrap();
    let change = |id, name: &str, from, to| Reallocation {
        variant: variant(id),
        name: name.into(),
        from: share(from),
        to: share(to),
    };
    Plan {
        allocations: vec![change(CONTROL, "control", 9000, 7500), change(CANDIDATE, "t", 1000, 2500)],
        rollouts: vec![state(0)],
        ..Plan::default()
    }
}

/// Records one decision of that revision under a run of its own.
async fn record(store: &Store, plan: &Plan, revision: i64) -> Result<Vec<RecordedDecision>, ControlError> {
    let run = Uuid::from_u128(100 + u128::try_from(revision).unwrap());
    store.control.start_run(Run::night(run), date(2026, 3, 4), "digest", now()).await.unwrap();
    let record = store.only().await;
    let to = Share::try_from(0.25).unwrap();
    let decision = Decision { outcome: Outcome::Ramp { stage: 1, to }, reasons: vec![Reason::HarmDespiteMismatch] };
    let assessment = assessment();
    let rules = Rules::new(&Policy::standard(), &BTreeMap::new());
    let action = NewAction {
        idempotency_key: format!("key {revision}"),
        decision: None,
        kind: "log_event".into(),
        payload: json!({}),
        not_before: None,
    };
    let night = NightRecord {
        run,
        experiment: &record.experiment,
        as_of: date(2026, 3, 4),
        decisions: vec![NewDecision {
            id: Uuid::from_u128(200 + u128::try_from(revision).unwrap()),
            candidate: variant(CANDIDATE),
            revision,
            decision: &decision,
            assessment: &assessment,
            basis: Basis {
                name: "t".into(),
                rules: rules.digest(),
                control: variant(CONTROL),
                since: None,
                facts: Facts::plain(state(0), to, Share::ALL, date(2026, 3, 4)),
            },
            inputs_digest: "inputs".into(),
        }],
        plan,
        rollouts: plan.rollouts.clone(),
        epochs: vec![],
        actions: vec![action],
        report: json!({}),
        told_notes: vec![],
        rules: &rules,
        last_rules: record.rules.as_ref().map(|stored| stored.number),
        amendment: None,
        evidence_from: None,
        now: now(),
    };
    store.control.record(&night).await
}

#[tokio::test]
async fn rows_become_experiments() {
    let store = Store::new().await;
    let record = store.only().await;
    let shares: Vec<_> =
        record.experiment.variants.iter().map(|v| (v.name.as_str(), v.allocation.ten_thousandths())).collect();
    assert_eq!(shares, [("control", 9000), ("t", 1000)]);
    store.execute("UPDATE exp_variants SET allocation = '0.12345' WHERE name = 't'").await;
    let faulty = store.only().await;
    assert_eq!(faulty.experiment.variants.len(), 1);
    let id = variant(CANDIDATE);
    assert_eq!(
        faulty.faults,
        [format!(
            "table exp.variants, row {id}: column `allocation` is \"0.12345\", expected a share has at most four decimals (decimal(5,4)), but this is 0.12345"
        )]
    );
}

#[tokio::test]
async fn decisions_allocations_and_state_are_committed_together() {
    let store = Store::new().await;
    record(&store, &ramp(), 0).await.unwrap();
    let after = store.only().await;
    assert_eq!(after.experiment.variants[1].allocation.ten_thousandths(), 2500);
    assert_eq!(after.rollouts, [state(1)]);
    assert_eq!(after.last_decisions[&variant(CANDIDATE)].inputs_digest, "inputs");
    assert_eq!(store.control.pending_actions(now()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_by_somebody_else_leaves_everything_as_it_was() {
    let store = Store::new().await;
    // Planned from 10 %, while the table says something else by now.
    let mut stale = ramp();
    stale.allocations[1].from = Share::try_from(0.2).unwrap();
    let told = record(&store, &stale, 0).await.unwrap_err().to_string();
    assert!(told.starts_with("the allocation of e/t changed since this night read it"), "{told}");
    // Computed from a state that has moved on.
    let mut late = ramp();
    record(&store, &ramp(), 1).await.unwrap();
    late.allocations.clear();
    assert!(matches!(record(&store, &late, 2).await, Err(ControlError::Conflict { .. })));
    assert_eq!(store.count("rampkeeper_decisions").await, 1);
    assert_eq!(store.count("rampkeeper_looks").await, 1);
    assert_eq!(store.control.pending_actions(now()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_ledger_is_append_only_and_chained() {
    let store = Store::new().await;
    let first = record(&store, &ramp(), 0).await.unwrap().remove(0);
    let second = record(&store, &Plan::default(), 1).await.unwrap().remove(0);
    let row = sqlx::query("SELECT previous_hash FROM rampkeeper_decisions WHERE position = 2")
        .fetch_one(store.control.pool())
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>("previous_hash"), first.hash);
    assert_ne!(first.hash, second.hash);
    for sql in ["UPDATE rampkeeper_decisions SET outcome = 'hold'", "DELETE FROM rampkeeper_decisions"] {
        let refused = sqlx::query(sql).execute(store.control.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn units_are_moved_batch_by_batch_and_each_move_is_on_record() {
    let store = Store::new().await;
    let (e, c, t) = (experiment(), variant(CONTROL), variant(CANDIDATE));
    store
        .execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
             INSERT INTO exp_assignments SELECT '{e}', 'user', 'u' || i, CASE WHEN i % 5 = 0 THEN '{c}' ELSE '{t}' END, 'x' FROM n"
        ))
        .await;
    let moved = store.control.move_assignments("key", e, t, c, now()).await.unwrap();
    assert_eq!(moved, 20_000);
    assert_eq!(store.control.move_assignments("key", e, t, c, now()).await.unwrap(), 0);
    assert_eq!(store.count("rampkeeper_assignment_moves").await, 20_000);
    let left: i64 = sqlx::query("SELECT count(*) AS n FROM exp_assignments WHERE variant_id = $1")
        .bind(t.to_string())
        .fetch_one(store.control.pool())
        .await
        .unwrap()
        .get("n");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn one_holder_at_a_time_and_a_dead_one_makes_room() {
    let store = Store::new().await;
    let lease = store.control.acquire_lease("a", now()).await.unwrap();
    let refused = store.control.acquire_lease("b", now()).await.unwrap_err();
    assert!(matches!(&refused, ControlError::LeaseHeld { holder, .. } if holder == "a"), "{refused}");
    store.control.renew_lease(&lease, at("2026-03-05T02:04:00Z")).await.unwrap();
    assert!(store.control.acquire_lease("b", at("2026-03-05T02:08:00Z")).await.is_err());
    store.control.acquire_lease("b", at("2026-03-05T02:09:00Z")).await.unwrap();
    assert!(store.control.renew_lease(&lease, at("2026-03-05T02:09:01Z")).await.is_err());
}

#[tokio::test]
async fn a_row_that_was_deleted_leaves_nothing_to_do() {
    let store = Store::new().await;
    let (control, nobody) = (&store.control, Uuid::from_u128(99));
    let active = ["active".to_owned()];
    let told = control.set_policy_version_status(nobody, "archived", &active).await.unwrap_err();
    assert!(matches!(told, ControlError::Gone { .. }));
    assert_eq!(told.to_string(), format!("policy version {nobody} is not there any more; nothing is left to do"));
    let told = control.set_prompt_version_status(nobody, "archived", &active).await.unwrap_err();
    assert!(matches!(told, ControlError::Gone { .. }));
    let told = control.retire_variant(VariantId(nobody), "t", "x").await.unwrap_err();
    assert!(matches!(told, ControlError::Gone { .. }));
    let told = control.complete_experiment(ExperimentId(nobody), now()).await.unwrap_err();
    assert!(matches!(told, ControlError::Gone { .. }));
    // Units have nowhere to go, so they stay.
    let told = control.move_assignments("key", experiment(), variant(CONTROL), VariantId(nobody), now()).await;
    assert!(matches!(told, Err(ControlError::Gone { .. })));
}

#[tokio::test]
async fn a_value_that_somebody_else_has_set_is_left_alone() {
    let store = Store::new().await;
    let (control, id) = (&store.control, Uuid::from_u128(50));
    store
        .execute(&format!(
            "INSERT INTO exp_policies (id, name) VALUES ('p', 'p');
             INSERT INTO exp_policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
             VALUES ('{id}', 'p', 1, 'm', '1');"
        ))
        .await;
    let active = ["active".to_owned()];
    assert_eq!(control.set_policy_version_status(id, "deprecated", &active).await.unwrap(), Change::Made);
    assert_eq!(control.set_policy_version_status(id, "deprecated", &active).await.unwrap(), Change::AlreadyThere);
    store.execute("UPDATE exp_policy_versions SET status = 'archived'").await;
    let left = control.set_policy_version_status(id, "deprecated", &active).await.unwrap();
    assert_eq!(left, Change::Other("archived".into()));
    assert_eq!(control.retire_variant(variant(CANDIDATE), "t", "t_retired").await.unwrap(), Change::Made);
    assert_eq!(control.retire_variant(variant(CANDIDATE), "t", "t_retired").await.unwrap(), Change::AlreadyThere);
    let left = control.retire_variant(variant(CONTROL), "baseline", "t_retired_too").await.unwrap();
    assert_eq!(left, Change::Other("control".into()));
    store.execute("UPDATE exp_experiments SET status = 'paused'").await;
    assert_eq!(control.complete_experiment(experiment(), now()).await.unwrap(), Change::Other("paused".into()));
    store.execute("UPDATE exp_experiments SET status = 'active'").await;
    assert_eq!(control.complete_experiment(experiment(), now()).await.unwrap(), Change::Made);
    assert_eq!(control.complete_experiment(experiment(), now()).await.unwrap(), Change::AlreadyThere);
}

#[tokio::test]
async fn an_action_is_dealt_with_once() {
    let store = Store::new().await;
    record(&store, &ramp(), 0).await.unwrap();
    store.control.action_failed("key 0", "no", false, 4, now()).await.unwrap();
    let pending = store.control.pending_actions(now()).await.unwrap();
    assert_eq!(pending[0].attempts, 4);
    store.control.action_done("key 0", 1, now()).await.unwrap();
    let told = store.control.action_done("key 0", 1, now()).await.unwrap_err();
    assert!(matches!(&told, ControlError::Overtaken { key } if key == "key 0"), "{told}");
    let told = store.control.action_failed("key 0", "no", true, 1, now()).await.unwrap_err();
    assert!(matches!(told, ControlError::Overtaken { .. }));
}

#[tokio::test]
async fn a_change_of_the_split_from_outside_opens_an_epoch_that_begins_when_it_is_seen() {
    let store = Store::new().await;
    let first = observe_epochs(&store.only().await, now()).unwrap();
    assert_eq!((first.epoch.number, first.epoch.started_at), (0, at("2026-03-02T00:00:00Z")));
    store.control.open_epoch(experiment(), &first, "start").await.unwrap();
    assert_eq!(observe_epochs(&store.only().await, now()), None);
    record(&store, &Plan::default(), 0).await.unwrap();
    store.execute("UPDATE exp_variants SET allocation = CASE name WHEN 't' THEN '0.3' ELSE '0.7' END").await;
    let seen = at("2026-03-06T02:00:00Z");
    let outside = observe_epochs(&store.only().await, seen).unwrap();
    assert_eq!((outside.epoch.number, outside.epoch.started_at), (1, seen));
    // The last time that the old split was seen is the last decision.
    assert_eq!(outside.ends, Some((0, now())));
    store.control.open_epoch(experiment(), &outside, "outside").await.unwrap();
    assert_eq!(store.only().await.epochs[0].ended_at, Some(now()));
}

#[tokio::test]
async fn a_missing_table_names_the_migration() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", dir.path().join("empty.db").display());
    let control = ControlStore::connect(&url.into()).await.unwrap();
    let told = control.load_experiments().await.unwrap_err().to_string();
    assert_eq!(told, "could not load the experiments: a table is missing; run `rampkeeper migrate` first");
}
