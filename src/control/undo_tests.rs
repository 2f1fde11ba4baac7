//! Moves and their undoing on SQLite; the same on PostgreSQL, with many units, in the integration tests.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::json;
use sqlx::Row;

use super::super::{ControlStore, FoundDecision, NewAction, NewDecision, NightRecord, Run, SweepStanding};
use super::*;
use crate::decide::{Basis, Decision, Facts, Outcome, Reason};
use crate::domain::{Policy, RolloutState, RolloutStatus, Rules, Share};
use crate::evidence::{Assessment, PromotionLook};
use crate::plan::Plan;

struct Store {
    control: ControlStore,
    _dir: tempfile::TempDir,
}

const DECISION: u128 = 0xabc;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn now() -> Timestamp {
    "2026-03-05T02:00:00Z".parse().unwrap()
}

fn later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn sweep() -> Value {
    let step = Step::MoveAssignments {
        from: VariantId(id(11)),
        from_name: "t".into(),
        to: VariantId(id(10)),
        to_name: "control".into(),
    };
    json!({ "experiment": id(1), "unit_type": "user", "step": step })
}

impl Store {
    /// A rollback on record, whose six units `u1` to `u6` are moved from t to control.
    async fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.unwrap();
        control.migrate().await.unwrap();
        let store = Store { control, _dir: dir };
        store
            .sql(&format!(
                "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at) VALUES
                 ('{e}', 'e', 'active', 'user', '2026-03-02T00:00:00Z', '2026-03-01T00:00:00Z', '2026-03-01');
                 INSERT INTO exp_variants (id, experiment_id, name, allocation, created_at) VALUES
                 ('{c}', '{e}', 'control', '1.0000', '1'), ('{t}', '{e}', 't', '0.0000', '2'),
                 ('{u}', '{e}', 'u', '0.0000', '3');
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6)
                 INSERT INTO exp_assignments SELECT '{e}', 'user', 'u' || i, '{t}', '2026-03-02T00:00:00Z' FROM n;
                 INSERT INTO exp_assignments VALUES ('{e}', 'user', 'c1', '{c}', '2026-03-02T00:00:00Z');",
                e = id(1),
                c = id(10),
                t = id(11),
                u = id(12)
            ))
            .await;
        store.record().await;
        assert_eq!(store.moved(&format!("{}/0/move_assignments", id(DECISION))).await, 6);
        store
    }

    async fn moved(&self, key: &str) -> u64 {
        let (from, to) = (VariantId(id(11)), VariantId(id(10)));
        self.control.move_assignments(key, ExperimentId(id(1)), from, to, now()).await.unwrap()
    }

    async fn record(&self) {
        let record = self.control.load_experiments().await.unwrap().remove(0);
        let first = super::super::observe_epochs(&record, now()).unwrap();
        self.control.open_epoch(record.experiment.id, &first, "start").await.unwrap();
        let run = id(100);
        self.control.start_run(Run::night(run), jiff::civil::date(2026, 3, 4), "digest", now()).await.unwrap();
        let decision = Decision { outcome: Outcome::Rollback, reasons: vec![Reason::HarmDespiteMismatch] };
        let assessment = Assessment {
            evidence_through: None,
            control_units: 1,
            candidate_units: 1,
            guardrails: vec![],
            success: vec![],
            log_e_rollback: 0.0,
            promotion_look: PromotionLook::EveryNight,
            split: None,
            multiple_exposure: 0.0,
            events: 0,
            not_numbers: 0,
            from_events: None,
        };
        let key = format!("{}/0/move_assignments", id(DECISION));
        let action = |key: String, not_before| NewAction {
            idempotency_key: key,
            decision: Some(id(DECISION)),
            kind: "move_assignments".into(),
            payload: sweep(),
            not_before,
        };
        let rules = Rules::new(&Policy::standard(), &BTreeMap::new());
        let state = RolloutState {
            experiment: record.experiment.id,
            candidate: VariantId(id(11)),
            status: RolloutStatus::Ramping,
            stage: 0,
            entered_on: jiff::civil::date(2026, 3, 1),
            version: 0,
        };
        let night = NightRecord {
            run,
            experiment: &record.experiment,
            as_of: jiff::civil::date(2026, 3, 4),
            decisions: vec![NewDecision {
                id: id(DECISION),
                candidate: VariantId(id(11)),
                revision: 0,
                decision: &decision,
                assessment: &assessment,
                basis: Basis {
                    name: "t".into(),
                    rules: rules.digest(),
                    control: VariantId(id(10)),
                    since: None,
                    facts: Facts::plain(state, Share::NONE, Share::ALL, jiff::civil::date(2026, 3, 4)),
                },
                inputs_digest: "inputs".into(),
            }],
            plan: &Plan::default(),
            rollouts: vec![],
            epochs: vec![],
            actions: vec![action(key.clone(), None), action(again(&key), Some(later(1)))],
            report: json!({}),
            told_notes: vec![],
            rules: &rules,
            last_rules: None,
            amendment: None,
            evidence_from: None,
            now: now(),
        };
        self.control.record(&night).await.unwrap();
        self.control.action_done(&key, 1, now()).await.unwrap();
    }

    async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(self.control.pool()).await.unwrap();
    }

    async fn decision(&self) -> FoundDecision {
        let mut found = self.control.find_decisions("00000000-0000-0000-0000-000000000ABC").await.unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    async fn sweeps(&self) -> Vec<SweepStanding> {
        self.control.sweeps_of(&self.decision().await).await.unwrap()
    }

    async fn take_back(&self, hours: i64) -> Result<u64, ControlError> {
        self.control.undo_moves(&self.decision().await, &self.sweeps().await, later(hours)).await
    }

    async fn undo(&self, hours: i64) -> u64 {
        let (decision, run) = (self.decision().await, id(200 + u128::try_from(hours).unwrap()));
        let there: u64 = self.sweeps().await.iter().map(|sweep| sweep.there).sum();
        self.control.start_run(Run::night(run), jiff::civil::date(2026, 3, 4), "digest", later(hours)).await.unwrap();
        self.control.begin_undo(run, &decision, there > 0, later(hours)).await.unwrap();
        let moved = self.take_back(hours).await.unwrap();
        self.control.finish_undo(decision.id, later(hours)).await.unwrap();
        moved
    }

    /// The units on an arm.
    async fn units(&self, arm: u128) -> String {
        let sql = "SELECT coalesce(group_concat(unit_id, ' '), '') AS units FROM
                   (SELECT unit_id FROM exp_assignments WHERE variant_id = $1 ORDER BY unit_id)";
        sqlx::query(sql).bind(id(arm).to_string()).fetch_one(self.control.pool()).await.unwrap().get("units")
    }
}

#[tokio::test]
async fn units_go_back_to_where_they_came_from_and_no_other_unit_moves() {
    let store = Store::new().await;
    assert_eq!(store.units(10).await, "c1 u1 u2 u3 u4 u5 u6");
    assert_eq!(store.undo(2).await, 6);
    assert_eq!((store.units(10).await, store.units(11).await), ("c1".into(), "u1 u2 u3 u4 u5 u6".into()));
    // The sweep that was still to come would have taken them away again.
    assert_eq!(store.control.pending_actions(later(24)).await.unwrap(), []);
    let record = store.control.load_experiments().await.unwrap().remove(0);
    let epoch = record.epochs.last().unwrap();
    assert!(epoch.moved_units && !epoch.outside && epoch.number == 1 && epoch.started_at == later(2));
    assert_eq!(epoch.allocations.iter().map(|(_, share)| *share).max(), Some(Share::ALL));
    let standing = store.sweeps().await.remove(1);
    assert_eq!((standing.there, standing.undone, standing.left_alone()), (0, 6, 0));
    assert!(!standing.pending);
}

#[tokio::test]
async fn units_that_were_moved_assigned_or_removed_since_stay() {
    let store = Store::new().await;
    let (c, u) = (id(10), id(12));
    store
        .sql(&format!(
            "UPDATE exp_assignments SET variant_id = '{u}' WHERE unit_id = 'u1';
             UPDATE exp_assignments SET variant_id = '{c}', assigned_at = '2026-03-06T00:00:00Z' WHERE unit_id = 'u2';
             DELETE FROM exp_assignments WHERE unit_id = 'u3';"
        ))
        .await;
    let sweep = store.sweeps().await.remove(1);
    assert_eq!((sweep.there, sweep.elsewhere, sweep.reassigned, sweep.gone), (3, 1, 1, 1));
    assert_eq!(store.control.left_alone(id(DECISION), &sweep, 2).await.unwrap(), ["u1", "u2"]);
    assert_eq!(store.undo(2).await, 3);
    assert_eq!((store.units(10).await, store.units(11).await), ("c1 u2".into(), "u4 u5 u6".into()));
}

#[tokio::test]
async fn a_unit_that_was_swept_twice_goes_back_once() {
    let store = Store::new().await;
    let key = again(&format!("{}/0/move_assignments", id(DECISION)));
    let at = "2026-03-05T02:10:00Z";
    store
        .sql(&format!(
            "UPDATE exp_assignments SET variant_id = '{}', assigned_at = '{at}' WHERE unit_id = 'u5'",
            id(11)
        ))
        .await;
    assert_eq!(store.moved(&key).await, 1);
    let counts: Vec<_> = store.sweeps().await.iter().map(|sweep| (sweep.there, sweep.left_alone())).collect();
    assert_eq!(counts, [(1, 0), (5, 0)]);
    assert_eq!(store.undo(2).await, 6);
    assert_eq!(store.units(11).await, "u1 u2 u3 u4 u5 u6");
}

#[tokio::test]
async fn stopped_half_way_it_goes_on_and_what_went_back_is_left_to_others() {
    let store = Store::new().await;
    let decision = store.decision().await;
    let refuse = "CREATE TRIGGER stop BEFORE UPDATE ON exp_assignments WHEN OLD.unit_id = 'u4'
                  BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    store.sql(refuse).await;
    store.control.start_run(Run::night(id(200)), jiff::civil::date(2026, 3, 4), "digest", later(1)).await.unwrap();
    store.control.begin_undo(id(200), &decision, true, later(1)).await.unwrap();
    assert!(store.take_back(1).await.is_err());
    assert!(store.control.is_undo_pending(decision.id, later(2)).await.unwrap());
    store.sql("DROP TRIGGER stop").await;
    assert_eq!(store.take_back(2).await.unwrap(), 6);
    store.control.finish_undo(decision.id, later(2)).await.unwrap();
    assert!(!store.control.is_undo_pending(decision.id, later(3)).await.unwrap());
    // Moved to control once more by somebody's hand, with the same assignment: undone is undone.
    store.sql(&format!("UPDATE exp_assignments SET variant_id = '{}' WHERE unit_id = 'u6'", id(10))).await;
    assert_eq!(store.take_back(4).await.unwrap(), 0);
    assert_eq!(store.units(10).await, "c1 u6");
}

#[tokio::test]
async fn units_whose_old_arm_was_deleted_stay() {
    let store = Store::new().await;
    store.sql(&format!("DELETE FROM exp_variants WHERE id = '{}'", id(11))).await;
    let sweep = store.sweeps().await.remove(1);
    assert_eq!((sweep.there, sweep.arm_gone), (0, 6));
    assert_eq!(store.undo(2).await, 0);
    let record = store.control.load_experiments().await.unwrap().remove(0);
    assert_eq!(record.epochs.len(), 1, "no unit moved, so no epoch begins");
}

#[tokio::test]
async fn a_decision_is_found_by_the_beginning_of_its_key() {
    let store = Store::new().await;
    for (asked, found) in [("0000", 1), ("00000000-0000", 1), ("1", 0), ("", 0), ("%", 0), ("0000_000", 0)] {
        assert_eq!(store.control.find_decisions(asked).await.unwrap().len(), found, "{asked}");
    }
    let decision = store.decision().await;
    assert_eq!((decision.outcome.as_str(), decision.names), ("rollback", (Some("e".into()), Some("t".into()))));
}
