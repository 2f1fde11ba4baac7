//! What must hold for every evidence: doubt and harm never raise a candidate, shares always sum to one, and the same
//! cohorts give the same bytes.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rampkeeper::decide::{Decision, Facts, Look, Outcome, Situation, decide, promote_at_most_one};
use rampkeeper::domain::{
    Bound, Direction, Epoch, Experiment, ExperimentId, ExperimentStatus, Guardrail, Margin, Measure, Metric,
    MetricForm, Policy, RolloutState, RolloutStatus, Share, Value, Variant, VariantConfig, VariantId,
};
use rampkeeper::evidence::{Assessment, Cohort, CohortHealth, Comparison, DayState, assess};
use rampkeeper::plan::plan;
use rampkeeper::stats::Moments;
use uuid::Uuid;

const START: Date = date(2026, 3, 2);
const AS_OF: Date = date(2026, 3, 24);
const METRICS: [&str; 2] = ["acceptance", "cost"];

fn id(n: u128) -> VariantId {
    VariantId(Uuid::from_u128(n))
}

fn policy(max_nights: Option<u32>) -> Policy {
    let guardrail = |name: &str| Guardrail::new(name, Bound::Margin(Margin::try_from(0.05).unwrap()));
    let mut policy = Policy { guardrails: METRICS.map(guardrail).into(), max_nights, ..Policy::standard() };
    policy.stages.iter_mut().for_each(|stage| stage.min_units = 500);
    policy
}

fn metrics() -> BTreeMap<String, Metric> {
    let metric = |(name, direction): (&str, Direction)| {
        let value = Measure { event: "e".into(), value: Value::Count };
        let form = MetricForm::Mean { value };
        (name.to_owned(), Metric { name: name.into(), description: None, form, direction, window_days: 1 })
    };
    METRICS.into_iter().zip([Direction::Increase, Direction::Decrease]).map(metric).collect()
}

/// Two or three arms, whose shares sum to one.
fn experiment(shares: &[u16]) -> Experiment {
    let variant = |(index, parts): (usize, &u16)| Variant {
        id: id(index as u128),
        name: if index == 0 { "control".into() } else { format!("t{index}") },
        allocation: Share::from_ten_thousandths(*parts).unwrap(),
        config: Ok(VariantConfig::Flag),
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

fn epochs(experiment: &Experiment) -> Vec<Epoch> {
    vec![Epoch {
        number: 0,
        started_at: "2026-03-02T00:00:00Z".parse().unwrap(),
        ended_at: None,
        allocations: experiment.variants.iter().map(|v| (v.id, v.allocation)).collect(),
        moved_units: false,
        outside: false,
    }]
}

/// One arm's day: units, means and spreads of both metrics.
fn day() -> impl Strategy<Value = (u64, [f64; 2], [f64; 2])> {
    (0u64..2_000, [0.3..0.9f64, 0.01..0.05f64], [0.05..0.6f64, 0.001..0.03f64])
}

/// Twenty days of cohorts for every arm, with a stretch on the candidates' means.
fn cohorts(arms: usize) -> impl Strategy<Value = Vec<Cohort>> {
    let stretch = prop::sample::select(vec![0.7, 0.9, 0.95, 0.99, 1.0, 1.02, 1.2]);
    (prop::collection::vec(prop::collection::vec(day(), arms), 20), stretch).prop_map(|(days, stretch)| {
        let mut cohorts = Vec::new();
        for (index, arms) in days.iter().enumerate() {
            for (arm, (n, means, spreads)) in arms.iter().enumerate() {
                let factor = if arm == 0 { 1.0 } else { stretch };
                let moments = METRICS.into_iter().zip(means).zip(spreads).map(|((name, mean), spread)| {
                    (name.to_owned(), Moments::of_units(*n, mean * factor, spread * spread * (*n as f64)))
                });
                cohorts.push(Cohort {
                    date: START.checked_add(jiff::Span::new().days(index as i64)).unwrap(),
                    epoch: 0,
                    variant: id(arm as u128),
                    moments: moments.collect(),
                    health: CohortHealth { units: *n, events: *n, ..CohortHealth::default() },
                });
            }
        }
        cohorts
    })
}

fn assessed(policy: &Policy, experiment: &Experiment, cohorts: &[Cohort], candidate: u128) -> Assessment {
    assess(&Comparison {
        since: None,
        control: id(0),
        candidate: id(candidate),
        candidates: experiment.variants.len() - 1,
        policy,
        metrics: &metrics(),
        cohorts,
        epochs: &epochs(experiment),
        as_of: AS_OF,
    })
}

fn state(candidate: u128, stage: usize) -> RolloutState {
    RolloutState {
        experiment: ExperimentId(Uuid::nil()),
        candidate: id(candidate),
        status: RolloutStatus::Ramping,
        stage,
        entered_on: START,
        version: 1,
    }
}

#[derive(Debug)]
struct Case {
    policy: Policy,
    experiment: Experiment,
    state: RolloutState,
    assessment: Assessment,
}

impl Case {
    fn decide(&self, look: &Look, faults: &[String]) -> Decision {
        let share = |n| self.experiment.variant_by_id(id(n)).unwrap().allocation;
        let facts = Facts {
            look: look.clone(),
            faults: faults.to_vec(),
            ..Facts::plain(self.state.clone(), share(1), share(0), AS_OF)
        };
        decide(&Situation { policy: &self.policy, assessment: &self.assessment, facts: &facts })
    }
}

fn case() -> impl Strategy<Value = Case> {
    let shares = prop::sample::select(vec![(0usize, 1000u16), (1, 2500), (2, 5000), (2, 100), (0, 0)]);
    (cohorts(2), shares, prop::option::of(15u32..60)).prop_map(|(cohorts, (stage, share), max_nights)| {
        let policy = policy(max_nights);
        let experiment = experiment(&[10_000 - share, share]);
        let assessment = assessed(&policy, &experiment, &cohorts, 1);
        Case { policy, experiment, state: state(1, stage), assessment }
    })
}

fn goes_up(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Ramp { .. } | Outcome::Promote)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn harm_never_goes_up(case in case()) {
        let decision = case.decide(&Look::Fresh, &[]);
        let harmed = case.assessment.guardrails.iter().any(|r| r.verdict.is_harm());
        let proven = case.assessment.log_e_rollback >= 20f64.ln();
        prop_assert!(!(goes_up(&decision) && (harmed || proven)), "{decision:?}");
        prop_assert!(!decision.reasons.is_empty());
    }

    #[test]
    fn doubt_never_goes_up_and_never_hides_a_rollback(case in case()) {
        let clear = case.decide(&Look::Fresh, &[]);
        let stale = Look::Stale { date: AS_OF, state: DayState::Missing };
        let failed = Look::QueryFailed { why: "gone".into() };
        for doubtful in [case.decide(&stale, &[]), case.decide(&failed, &[]), case.decide(&Look::Fresh, &["x".into()])] {
            prop_assert!(!goes_up(&doubtful), "{doubtful:?}");
            prop_assert_eq!(doubtful.outcome == Outcome::Rollback, clear.outcome == Outcome::Rollback);
        }
    }

    #[test]
    fn the_same_situation_gives_the_same_decision(case in case()) {
        prop_assert_eq!(case.decide(&Look::Fresh, &[]), case.decide(&Look::Fresh, &[]));
    }

    #[test]
    fn a_ramp_always_raises_and_a_share_of_nothing_is_never_raised(case in case()) {
        let share = case.experiment.variant_by_id(id(1)).unwrap().allocation;
        match case.decide(&Look::Fresh, &[]).outcome {
            Outcome::Ramp { to, .. } => prop_assert!(to > share && share > Share::NONE),
            Outcome::Promote => prop_assert!(share > Share::NONE),
            Outcome::Rollback | Outcome::Hold => {}
        }
    }

    #[test]
    fn shares_always_sum_to_one(
        cohorts in cohorts(3),
        stages in [0usize..3, 0usize..3],
        parts in prop::sample::select(vec![[8000u16, 1000, 1000], [5000, 2500, 2500], [2500, 2500, 5000], [6500, 1000, 2500]]),
    ) {
        let policy = policy(None);
        let experiment = experiment(&parts);
        let states = [state(1, stages[0]), state(2, stages[1])];
        let assessments = [1, 2].map(|n| assessed(&policy, &experiment, &cohorts, n));
        let mut control_share = experiment.variants[0].allocation;
        let mut decisions: Vec<Decision> = Vec::new();
        for (n, (state, assessment)) in states.iter().zip(&assessments).enumerate() {
            let share = experiment.variants[n + 1].allocation;
            let facts = Facts { candidates: 2, ..Facts::plain(state.clone(), share, control_share, AS_OF) };
            let decision = decide(&Situation { policy: &policy, assessment, facts: &facts });
            if let Outcome::Ramp { to, .. } = decision.outcome {
                control_share = control_share.saturating_sub(to.saturating_sub(share));
            }
            decisions.push(decision);
        }
        let [first, second] = &mut decisions[..] else { unreachable!("two candidates were decided") };
        promote_at_most_one(&mut [("t1", &assessments[0], first), ("t2", &assessments[1], second)]);
        let promoted = decisions.iter().filter(|d| d.outcome == Outcome::Promote).count();
        prop_assert!(promoted <= 1);
        let judged: Vec<_> = states.iter().zip(&decisions).collect();
        let plan = plan(&experiment, &policy, &BTreeMap::new(), &judged, AS_OF);
        if !plan.allocations.is_empty() {
            let sum: u32 = plan.allocations.iter().map(|a| u32::from(a.to.ten_thousandths())).sum();
            prop_assert_eq!(sum, 10_000, "{:?}", plan.allocations);
        }
        for (decision, change) in decisions.iter().zip(plan.allocations.iter().skip(1)) {
            if decision.outcome == Outcome::Rollback {
                prop_assert_eq!(change.to, Share::NONE);
            }
        }
    }

    #[test]
    fn a_replayed_night_gives_equal_bytes(cohorts in cohorts(2), max_nights in prop::option::of(15u32..60)) {
        let policy = policy(max_nights);
        let experiment = experiment(&[5000, 5000]);
        let fresh = serde_json::to_string(&assessed(&policy, &experiment, &cohorts, 1)).unwrap();
        // As the control store keeps and returns them.
        let stored: Vec<Cohort> = cohorts.iter().map(|cohort| {
            let text = serde_json::to_string(&cohort.moments).unwrap();
            Cohort { moments: serde_json::from_str(&text).unwrap(), ..cohort.clone() }
        }).collect();
        prop_assert_eq!(&stored, &cohorts);
        prop_assert_eq!(serde_json::to_string(&assessed(&policy, &experiment, &stored, 1)).unwrap(), fresh.clone());
        let read: Assessment = serde_json::from_str(&fresh).unwrap();
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), fresh);
    }
}
