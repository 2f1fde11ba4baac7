//! The gates in their order, each with the reason it gives.

use jiff::civil::date;

use super::*;
use crate::domain::{Bound, Direction, ExperimentId, Guardrail, Margin, RolloutStatus, VariantId};
use crate::evidence::{Interval, PromotionLook, Reading, Scale, SplitReading, Verdict};

fn policy() -> Policy {
    Policy {
        guardrails: vec![Guardrail::new("cost", Bound::Margin(Margin::try_from(0.1).unwrap()))],
        ..Policy::standard()
    }
}

fn reading(verdict: Verdict, effect: f64, log_e: f64) -> Reading {
    Reading {
        metric: "cost".into(),
        bound: Bound::Margin(Margin::try_from(0.1).unwrap()),
        direction: Direction::Decrease,
        verdict,
        control: Some(1.0),
        candidate: Some(1.0 + effect),
        scale: Scale::Lift,
        effect: Some(effect),
        standard_error: Some(0.01),
        interval: Some(Interval { low: effect - 0.03, high: effect + 0.03 }),
        log_e_harm: log_e,
        log_e_adjusted: log_e,
        control_breaks_limit: false,
        control_units: 5000,
        candidate_units: 5000,
        covariate: None,
    }
}

fn assessment(reading: Reading) -> Assessment {
    Assessment {
        evidence_through: Some(date(2026, 3, 9)),
        control_units: 5000,
        candidate_units: 5000,
        log_e_rollback: reading.log_e_harm,
        guardrails: vec![reading],
        success: vec![],
        promotion_look: PromotionLook::EveryNight,
        split: None,
        multiple_exposure: 0.0,
        events: 1000,
        not_numbers: 0,
        from_events: None,
    }
}

/// A candidate that has been at a stage for 30 days, and nothing against it.
struct World {
    policy: Policy,
    assessment: Assessment,
    facts: Facts,
}

impl World {
    fn quiet(stage: usize) -> World {
        let policy = policy();
        let state = RolloutState {
            experiment: ExperimentId(uuid::Uuid::nil()),
            candidate: VariantId(uuid::Uuid::max()),
            status: RolloutStatus::Ramping,
            stage,
            entered_on: date(2026, 2, 8),
            version: 0,
        };
        let share = policy.stages[stage].allocation;
        let facts = Facts::plain(state, share, Share::ALL.saturating_sub(share), date(2026, 3, 10));
        World { policy, assessment: assessment(reading(Verdict::Safe, 0.0, -1.0)), facts }
    }

    fn decide(&self) -> Decision {
        self.decide_on(&self.facts)
    }

    fn decide_on(&self, facts: &Facts) -> Decision {
        decide(&Situation { policy: &self.policy, assessment: &self.assessment, facts })
    }

    fn first_reason(&self) -> String {
        self.decide().reasons[0].to_string()
    }
}

#[test]
fn a_quiet_candidate_ramps_and_at_the_last_stage_is_promoted() {
    let to = Share::try_from(0.25).unwrap();
    assert_eq!(World::quiet(0).decide().outcome, Outcome::Ramp { stage: 1, to });
    let promoted = World::quiet(2).decide();
    assert_eq!(promoted.outcome, Outcome::Promote);
    assert_eq!(
        promoted.reasons[0].to_string(),
        "shown safe after 30 full days at the last stage: cost: 0.0 % [−3.0 %, +3.0 %], margin +10 %"
    );
}

#[test]
fn proven_material_harm_is_rolled_back_whatever_else_is_wrong() {
    let mut world = World::quiet(0);
    world.assessment = assessment(reading(Verdict::Breach, 0.124, 5.0));
    world.facts.look = Look::QueryFailed { why: "gone".into() };
    world.facts.faults = vec!["config".into()];
    world.facts.state.entered_on = date(2026, 3, 10);
    world.assessment.split = Some(mismatch());
    let decision = world.decide();
    assert_eq!(decision.outcome, Outcome::Rollback);
    assert_eq!(
        decision.reasons[0].to_string(),
        "harm shown: cost: +12.4 % [+9.4 %, +15.4 %], margin +10 % (average e-value 148.4, needed 20)"
    );
    assert_eq!(decision.reasons[1], Reason::HarmDespiteMismatch);
    world.policy.srm_blocks_rollback = true;
    assert_eq!(world.decide().outcome, Outcome::Hold);
}

fn mismatch() -> SplitReading {
    SplitReading {
        control_units: 9000,
        candidate_units: 800,
        planned_candidate_units: 980.0,
        log_e: 20.0,
        chi_square_p: Some(1e-9),
        mismatch: true,
    }
}

#[test]
fn proven_but_immaterial_harm_is_held() {
    let mut world = World::quiet(2);
    world.assessment = assessment(reading(Verdict::Harm, 0.03, 5.0));
    assert!(matches!(world.decide().reasons[0], Reason::HarmInsideMargin { .. }));
}

#[test]
fn every_gate_holds_with_its_own_reason() {
    let held = |change: fn(&mut World), expected: &str| {
        let mut world = World::quiet(2);
        change(&mut world);
        let decision = world.decide();
        assert_eq!(decision.outcome, Outcome::Hold, "{expected}");
        assert!(world.first_reason().starts_with(expected), "{}", world.first_reason());
    };
    held(|w| w.facts.status = ExperimentStatus::Paused, "the experiment is paused");
    held(|w| w.facts.faults.push("no".into()), "misconfigured: no");
    held(
        |w| w.assessment.split = Some(mismatch()),
        "sample ratio mismatch: 800 candidate units where the plan gives 980",
    );
    held(|w| w.assessment.multiple_exposure = 0.02, "2 % of the units were seen in two arms");
    held(|w| w.assessment.not_numbers = 7, "7 values in 1000 events are not numbers");
    held(
        |w| w.facts.look = Look::Stale { date: date(2026, 3, 10), state: DayState::Missing },
        "stale: the events of 2026-03-10",
    );
    held(|w| w.facts.look = Look::QueryFailed { why: "timeout".into() }, "the warehouse could not answer: timeout");
    held(|w| w.assessment.guardrails[0].verdict = Verdict::NoData, "no data: cost");
    held(|w| w.facts.state.entered_on = date(2026, 3, 6), "too soon: 4 of 7 full days at 50 %");
    held(|w| w.assessment.candidate_units = 999, "too few units: control 5000, candidate 999, needed 1000 each");
    held(|w| w.assessment.guardrails[0].verdict = Verdict::Inconclusive, "not yet shown safe: cost");
    held(|w| w.assessment.log_e_rollback = 2.0, "harm is suspected");
    held(|w| w.assessment.log_e_rollback = f64::NAN, "harm is suspected");
}

#[test]
fn an_estimate_outside_the_margin_stops_the_ramp() {
    let mut world = World::quiet(0);
    world.assessment = assessment(reading(Verdict::Inconclusive, 0.11, 0.5));
    assert!(world.first_reason().starts_with("estimated outside the margin: cost: +11.0 %"));
    world.assessment.guardrails[0].standard_error = Some(0.2);
    assert!(matches!(world.decide().outcome, Outcome::Ramp { .. }));
}

#[test]
fn a_guardrail_without_an_estimate_stops_the_ramp() {
    let mut world = World::quiet(0);
    world.assessment.guardrails[0].effect = None;
    world.assessment.guardrails[0].verdict = Verdict::Inconclusive;
    assert!(matches!(world.decide().reasons[0], Reason::NotShownSafe { .. }));
}

#[test]
fn a_share_lowered_by_hand_comes_back_stage_by_stage() {
    let world = World::quiet(2);
    let at = |share: f64| {
        let share = Share::try_from(share).unwrap();
        let control_share = Share::ALL.saturating_sub(share);
        world.decide_on(&Facts { share, control_share, ..world.facts.clone() }).outcome
    };
    assert_eq!(at(0.5), Outcome::Promote);
    assert_eq!(at(0.05), Outcome::Ramp { stage: 2, to: Share::try_from(0.5).unwrap() });
    assert_eq!(at(0.0), Outcome::Hold);
    assert_eq!(at(0.8), Outcome::Promote);
}

#[test]
fn a_stage_that_the_policy_has_lost_keeps_the_last_ones_gates() {
    let mut world = World::quiet(2);
    world.policy.stages.truncate(2);
    world.facts.state.entered_on = date(2026, 3, 8);
    let share = Share::try_from(0.5).unwrap();
    let decision = world.decide_on(&Facts { share, control_share: share, ..world.facts.clone() });
    assert!(matches!(decision.reasons[0], Reason::TooSoon { days: 2, needed: 5, .. }), "{decision:?}");
}

#[test]
fn control_keeps_the_first_stages_share() {
    let world = World::quiet(1);
    let situation_share = |control_share: f64| {
        let control_share = Share::try_from(control_share).unwrap();
        world.decide_on(&Facts { candidates: 2, control_share, ..world.facts.clone() })
    };
    assert!(matches!(situation_share(0.25).reasons[0], Reason::NoRoom { .. }));
    assert!(matches!(situation_share(0.35).outcome, Outcome::Ramp { .. }));
}

#[test]
fn at_most_one_sibling_is_promoted() {
    let (good, better) =
        (assessment(reading(Verdict::Safe, 0.01, -1.0)), assessment(reading(Verdict::Better, -0.1, -9.0)));
    let promote = || Decision { outcome: Outcome::Promote, reasons: vec![] };
    let (mut a, mut b) = (promote(), promote());
    promote_at_most_one(&mut [("a", &good, &mut a), ("b", &better, &mut b)]);
    assert_eq!((a.outcome, b.outcome), (Outcome::Hold, Outcome::Promote));
    assert_eq!(a.reasons[0].to_string(), "b is promoted tonight, and only one can be");
}
