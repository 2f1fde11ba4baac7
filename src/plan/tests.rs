//! Shares always sum to one, and every outcome has exactly its steps.

mod forms;

use jiff::civil::date;
use serde_json::json;

use super::*;
use crate::decide::Reason;
use crate::domain::{ExistingUnits, ExperimentId, ExperimentStatus, RolloutStatus, VariantConfig};

fn id(n: u128) -> VariantId {
    VariantId(Uuid::from_u128(n))
}

fn experiment(shares: &[(&str, u16)]) -> Experiment {
    let variant = |(index, (name, parts)): (usize, &(&str, u16))| Variant {
        id: id(index as u128),
        name: (*name).into(),
        allocation: Share::from_ten_thousandths(*parts).unwrap(),
        config: Ok(VariantConfig::Model { policy_version_id: Uuid::from_u128(100 + index as u128) }),
    };
    Experiment {
        id: ExperimentId(Uuid::nil()),
        name: "e".into(),
        status: ExperimentStatus::Active,
        unit_type: "user".into(),
        start_at: None,
        end_at: None,
        variants: shares.iter().enumerate().map(variant).collect(),
    }
}

fn policy() -> Policy {
    Policy::standard()
}

fn versions() -> Versions {
    let version = |n: u128| ModelVersion { model: "planner".into(), version: n.to_string() };
    (0..4).map(|n| (Uuid::from_u128(100 + n), version(n))).collect()
}

fn state(candidate: u128, stage: usize) -> RolloutState {
    RolloutState {
        experiment: ExperimentId(Uuid::nil()),
        candidate: id(candidate),
        status: RolloutStatus::Ramping,
        stage,
        entered_on: date(2026, 3, 1),
        version: 7,
    }
}

fn decision(outcome: Outcome) -> Decision {
    Decision { outcome, reasons: vec![Reason::HarmDespiteMismatch] }
}

fn ramp(stage: usize, to: f64) -> Decision {
    decision(Outcome::Ramp { stage, to: Share::try_from(to).unwrap() })
}

fn planned(shares: &[(&str, u16)], judged: &[(RolloutState, Decision)]) -> Plan {
    let judged: Vec<_> = judged.iter().map(|(s, d)| (s, d)).collect();
    plan(&experiment(shares), &policy(), &versions(), &judged, moment())
}

fn moment() -> Moment {
    let at = |text: &str| text.parse().unwrap();
    let (now, settled) = (at("2026-03-10T02:00:00Z"), at("2026-03-10T02:15:00Z"));
    Moment { as_of: date(2026, 3, 9), now, settled, epoch: 4 }
}

fn parts(plan: &Plan) -> Vec<u16> {
    let parts: Vec<u16> = plan.allocations.iter().map(|a| a.to.ten_thousandths()).collect();
    assert_eq!(parts.iter().sum::<u16>(), 10_000);
    parts
}

fn told(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.step.to_string()).collect()
}

#[test]
fn a_hold_changes_nothing() {
    assert!(planned(&[("control", 9000), ("t", 1000)], &[(state(1, 0), decision(Outcome::Hold))]).is_empty());
}

#[test]
fn a_ramp_takes_its_share_from_control_and_names_the_challenger() {
    let plan = planned(&[("control", 9000), ("t", 1000)], &[(state(1, 0), ramp(1, 0.25))]);
    assert_eq!(parts(&plan), [7500, 2500]);
    assert_eq!((plan.rollouts[0].stage, plan.rollouts[0].version), (1, 7));
    assert_eq!(told(&plan), ["point alias challenger at planner version 1"]);
    assert!(!plan.moves_units);
}

#[test]
fn a_rollback_gives_its_share_back_and_its_units_too() {
    let plan = planned(&[("control", 7500), ("t", 2500)], &[(state(1, 1), decision(Outcome::Rollback))]);
    assert_eq!(parts(&plan), [10_000, 0]);
    assert_eq!(plan.rollouts[0].status, RolloutStatus::RolledBack);
    assert_eq!(
        told(&plan),
        [
            "move the units of t to control".into(),
            "tag planner version 1 stage=archived".into(),
            "remove alias challenger if it points at planner version 1".into(),
            format!("set policy version {} to archived", Uuid::from_u128(101)),
            "log the event model_rollback".into(),
        ]
    );
    assert!(plan.moves_units);
}

#[test]
fn a_promotion_gives_everything_and_retires_the_rest() {
    let judged = [(state(1, 2), decision(Outcome::Promote)), (state(2, 0), decision(Outcome::Hold))];
    let plan = planned(&[("control", 4000), ("t", 5000), ("u", 1000)], &judged);
    assert_eq!(parts(&plan), [0, 10_000, 0]);
    let statuses: Vec<_> = plan.rollouts.iter().map(|r| r.status).collect();
    assert_eq!(statuses, [RolloutStatus::Promoted, RolloutStatus::Superseded]);
    let told = told(&plan);
    assert!(told.contains(&"tag every other production version of planner stage=archived".into()), "{told:?}");
    assert!(told.contains(&"tag planner version 1 stage=production".into()));
    assert!(told.contains(&"point alias champion at planner version 1".into()));
    assert!(told.contains(&"retire a variant as control_retired_2026-03-09".into()));
    assert_eq!(told.last().unwrap(), "complete the experiment");
}

#[test]
fn a_rollback_frees_room_for_its_sibling() {
    let judged = [(state(1, 1), ramp(2, 0.5)), (state(2, 1), decision(Outcome::Rollback))];
    let plan = planned(&[("control", 5000), ("t", 2500), ("u", 2500)], &judged);
    assert_eq!(parts(&plan), [5000, 5000, 0]);
}

#[test]
fn a_rollback_leaves_alone_what_control_serves_too() {
    let mut experiment = experiment(&[("control", 7500), ("t", 2500)]);
    experiment.variants[1].config = experiment.variants[0].config.clone();
    let (state, decision) = (state(1, 1), decision(Outcome::Rollback));
    let plan = plan(&experiment, &policy(), &versions(), &[(&state, &decision)], moment());
    assert_eq!(told(&plan), ["move the units of t to control", "log the event model_rollback"]);
}

/// The redraw of a plan where control's units follow a ramp.
fn redrawn(shares: &[(&str, u16)], judged: &[(RolloutState, Decision)], on_rollback: ExistingUnits) -> Redraw {
    let judged: Vec<_> = judged.iter().map(|(s, d)| (s, d)).collect();
    let policy = Policy { on_ramp: ExistingUnits::Move, on_rollback, ..policy() };
    let plan = plan(&experiment(shares), &policy, &versions(), &judged, moment());
    assert!(plan.moves_units);
    plan.redraw().unwrap().clone()
}

#[test]
fn a_ramp_may_draw_the_units_of_control_anew() {
    let redraw = redrawn(&[("control", 9000), ("t", 1000)], &[(state(1, 0), ramp(1, 0.25))], ExistingUnits::Move);
    assert_eq!((redraw.pool.ten_thousandths(), redraw.to[0].share.ten_thousandths()), (9000, 1500));
    assert_eq!((redraw.epoch, redraw.assigned_before, redraw.exposed_at), (4, moment().now, moment().settled));
    // The journal keeps it as it is.
    let step = Step::RedrawControl(redraw);
    assert_eq!(serde_json::from_value::<Step>(json!(step)).unwrap(), step);
}

#[test]
fn siblings_that_rise_in_one_night_share_one_pool() {
    let judged = [(state(1, 0), ramp(1, 0.25)), (state(2, 0), ramp(1, 0.25))];
    let redraw = redrawn(&[("control", 8000), ("t", 1000), ("u", 1000)], &judged, ExistingUnits::Move);
    let split: Vec<u16> = redraw.split().iter().map(|(_, share)| share.ten_thousandths()).collect();
    assert_eq!(split, [5000, 1500, 1500]);
}

#[test]
fn units_that_come_back_tonight_are_drawn_with_the_others() {
    let judged = [(state(1, 1), ramp(2, 0.5)), (state(2, 1), decision(Outcome::Rollback))];
    let shares = [("control", 5000), ("t", 2500), ("u", 2500)];
    assert_eq!(redrawn(&shares, &judged, ExistingUnits::Move).pool.ten_thousandths(), 7500);
    assert_eq!(redrawn(&shares, &judged, ExistingUnits::Keep).pool.ten_thousandths(), 5000);
}
