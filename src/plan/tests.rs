//! Shares always sum to one, and every outcome has exactly its steps.

use jiff::civil::date;

use super::*;
use crate::decide::Reason;
use crate::domain::{ExperimentId, ExperimentStatus, VariantConfig};

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
    plan(&experiment(shares), &policy(), &versions(), &judged, date(2026, 3, 9))
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
    let plan = plan(&experiment, &policy(), &versions(), &[(&state, &decision)], date(2026, 3, 9));
    assert_eq!(told(&plan), ["move the units of t to control", "log the event model_rollback"]);
}
