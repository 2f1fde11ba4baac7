//! What must hold for every evidence, whatever people said of it: doubt and harm never raise a candidate, shares always sum
//! to one, the same cohorts give the same bytes, and whoever relaxes the rules holds up no promotion by it.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rampkeeper::decide::{AdviceOnly, Basis, Decision, Facts, Look, Outcome, Situation, decide, promote_at_most_one};
use rampkeeper::domain::{
    Aggregate, AggregateOf, Alpha, Approval, Bound, Confirmation, DesignEffect, Direction, Epoch, Experiment,
    ExperimentId, ExperimentStatus, FromAggregates, Frozen, Guardrail, ManualHold, Margin, Measure, Metric, MetricForm,
    OnHarm, Policy, RolloutState, RolloutStatus, Rules, Said, Share, Value, Variant, VariantConfig, VariantId, Wish,
};
use rampkeeper::evidence::{
    Assessment, Cohort, CohortHealth, Comparison, DayState, EventLevel, FromEvents, Vanished, Verdict, assess,
};
use rampkeeper::plan::{Moment, plan};
use rampkeeper::stats::Moments;
use uuid::Uuid;

const START: Date = date(2026, 3, 2);
const AS_OF: Date = date(2026, 3, 24);

fn moment() -> Moment {
    let now: jiff::Timestamp = "2026-03-25T02:00:00Z".parse().unwrap();
    Moment { as_of: AS_OF, now, settled: now + jiff::SignedDuration::from_mins(15), epoch: 1 }
}
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
        (
            name.to_owned(),
            Metric { name: name.into(), description: None, form, direction, window_days: 1, covariate_days: None },
        )
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
        redrawn_at: None,
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

/// Everything that one candidate is decided from.
#[derive(Clone, Debug)]
struct Case {
    policy: Policy,
    experiment: Experiment,
    cohorts: Vec<Cohort>,
    assessment: Assessment,
    /// Of a quiet night; what people want is among them.
    facts: Facts,
}

impl Case {
    fn new(policy: Policy, (stage, share): (usize, u16), cohorts: Vec<Cohort>, wish: Wish) -> Case {
        let experiment = experiment(&[10_000 - share, share]);
        let assessment = assessed(&policy, &experiment, &cohorts, 1);
        let share = |n| experiment.variant_by_id(id(n)).unwrap().allocation;
        let facts = Facts { wish, ..Facts::plain(state(1, stage), share(1), share(0), AS_OF) };
        Case { policy, experiment, cohorts, assessment, facts }
    }

    fn decide(&self) -> Decision {
        self.decide_on(&self.facts)
    }

    fn decide_on(&self, facts: &Facts) -> Decision {
        decide(&Situation { policy: &self.policy, assessment: &self.assessment, facts })
    }
}

fn said(by: &str) -> Said {
    Said { by: by.into(), reason: "because".into() }
}

/// What people may want of a candidate, but for taking it off.
fn wish() -> impl Strategy<Value = Wish> {
    let hold = prop::option::weighted(0.2, any::<bool>()).prop_map(|harmful| {
        harmful.map(|even_if_harmful| ManualHold { said: said("ana"), until: None, even_if_harmful })
    });
    (hold, any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(hold, yes, no)| Wish {
        hold,
        approved: (yes && !no).then(|| said("ben")),
        rejected: no.then(|| said("ben")),
        rollback: None,
    })
}

/// A policy that asks for more than time, units and evidence.
fn wanting(max_nights: Option<u32>) -> impl Strategy<Value = Policy> {
    let rest = (any::<bool>(), prop::option::of(0.001f64..0.2), 0u32..3, 0usize..3);
    rest.prop_map(move |(approval, risk_budget, cooldown_days, on_harm)| {
        let mut policy = Policy { risk_budget, cooldown_days, ..policy(max_nights) };
        if approval {
            policy.stages.iter_mut().for_each(|stage| stage.approval = Approval::Required);
        }
        policy.guardrails[1].on_harm = [OnHarm::Rollback, OnHarm::Hold, OnHarm::Warn][on_harm];
        policy
    })
}

fn case() -> impl Strategy<Value = Case> {
    let shares = prop::sample::select(vec![(0usize, 1000u16), (1, 2500), (2, 5000), (2, 100), (0, 0)]);
    let policy = prop::option::of(15u32..60).prop_flat_map(wanting);
    (policy, shares, cohorts(2), wish())
        .prop_map(|(policy, share, cohorts, wish)| Case::new(policy, share, cohorts, wish))
}

/// A candidate at its last stage with little against it, so that many are promoted.
fn promising() -> impl Strategy<Value = Case> {
    let day = (500u64..2_000, 500u64..2_000);
    let cohorts = (prop::collection::vec(day, 20), [0.985..1.02f64, 0.97..1.03f64]).prop_map(|(days, factors)| {
        let mut cohorts = Vec::new();
        for (index, (control, candidate)) in days.into_iter().enumerate() {
            for (arm, n) in [(0, control), (1, candidate)] {
                let moments = METRICS.into_iter().zip([0.6, 0.02]).zip([0.4, 0.01]).zip(factors);
                let moments = moments.map(|(((name, mean), spread), factor)| {
                    let mean = if arm == 0 { mean } else { mean * factor };
                    (name.to_owned(), Moments::of_units(n, mean, spread * spread * n as f64))
                });
                cohorts.push(Cohort {
                    date: START.checked_add(jiff::Span::new().days(index as i64)).unwrap(),
                    epoch: 0,
                    variant: id(arm),
                    moments: moments.collect(),
                    health: CohortHealth { units: n, events: n, ..CohortHealth::default() },
                });
            }
        }
        cohorts
    });
    (prop::option::weighted(0.3, 23u32..40).prop_flat_map(wanting), cohorts, wish())
        .prop_map(|(policy, cohorts, wish)| Case::new(policy, (2, 5000), cohorts, wish))
}

/// The rules made easier in every way, each by a part of what is possible. The first stage's units stay, since the first
/// look hangs on them and with it the tests themselves; so do the error rates that call harm, which are no gate on the way
/// up but what stops there.
fn relaxed(policy: &Policy, by: [f64; 3]) -> Policy {
    let mut policy = policy.clone();
    for (index, stage) in policy.stages.iter_mut().enumerate() {
        stage.min_days = (f64::from(stage.min_days) * (1.0 - by[0])) as u32;
        if index > 0 {
            stage.min_units = (stage.min_units as f64 * (1.0 - by[0])) as u64;
        }
        (stage.whole_weeks, stage.approval) = (false, Approval::Auto);
    }
    let wider = |margin: Margin| Margin::try_from(margin.get() * (1.0 + by[1])).unwrap();
    for guardrail in &mut policy.guardrails {
        if let Bound::Margin(margin) = guardrail.bound {
            guardrail.bound = Bound::Margin(wider(margin));
        }
    }
    let promotion = policy.alphas.promotion.get();
    policy.alphas.promotion = Alpha::try_from(promotion + by[2] * (0.49 - promotion)).unwrap();
    (policy.cooldown_days, policy.confirmation, policy.risk_budget) = (0, None, None);
    policy
}

fn doubts() -> [fn(&mut Facts, &mut Assessment); 6] {
    [
        |facts, _| facts.look = Look::Stale { date: AS_OF, state: DayState::Missing },
        |facts, _| facts.look = Look::QueryFailed { why: "gone".into() },
        |facts, _| facts.faults = vec!["x".into()],
        |facts, _| facts.vanished = vec![Vanished { metric: METRICS[0].into(), last: None, nights: 2 }],
        |_, assessment| assessment.guardrails[0].verdict = Verdict::NoData,
        |_, assessment| assessment.multiple_exposure = 0.5,
    ]
}

/// The text of everything that a record keeps of a decision, read and written again.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// The same numbers, known of aggregates over events alone.
fn of_aggregates(case: &Case, allowed: FromAggregates) -> Case {
    let mut blind = case.clone();
    blind.policy.from_aggregates = allowed;
    let design_effect = DesignEffect::try_from(2.0).unwrap();
    let metrics = metrics().into_iter().map(|(name, metric)| {
        let form = MetricForm::Aggregate(Aggregate { of: AggregateOf::Mean(name.clone()), design_effect });
        (name, Metric { form, ..metric })
    });
    let comparison = Comparison {
        since: None,
        control: id(0),
        candidate: id(1),
        candidates: 1,
        policy: &blind.policy,
        metrics: &metrics.collect(),
        cohorts: &case.cohorts,
        epochs: &epochs(&case.experiment),
        as_of: AS_OF,
    };
    let told = assess(&comparison).from_events;
    let level = |metric: &str| EventLevel { metric: metric.into(), design_effect: 2.0 };
    assert_eq!(told, Some(FromEvents { metrics: METRICS.map(level).into(), allowed }));
    blind.assessment.from_events = told;
    blind
}

fn goes_up(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Ramp { .. } | Outcome::Promote)
}

fn advice() -> impl Strategy<Value = Option<AdviceOnly>> {
    prop::sample::select(vec![None, None, Some(AdviceOnly::Mode), Some(AdviceOnly::KillSwitch)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn harm_never_goes_up(case in case(), advice in advice()) {
        let decision = case.decide_on(&Facts { advice_only: advice, ..case.facts.clone() });
        let binding = |metric: &str| case.policy.on_harm(metric) != OnHarm::Warn;
        let harmed = case.assessment.guardrails.iter().any(|r| binding(&r.metric) && r.verdict.is_harm());
        let proven = case.assessment.log_e_rollback >= 20f64.ln();
        prop_assert!(!(goes_up(&decision) && (harmed || proven)), "{decision:?}");
        prop_assert!(!decision.reasons.is_empty());
    }

    #[test]
    fn doubt_never_goes_up_and_never_hides_a_rollback_for_harm(case in case()) {
        let clear = case.decide();
        for doubt in doubts() {
            let mut doubtful = case.clone();
            doubt(&mut doubtful.facts, &mut doubtful.assessment);
            let decision = doubtful.decide();
            prop_assert!(!goes_up(&decision), "{decision:?}");
            prop_assert_eq!(decision.outcome == Outcome::Rollback, clear.outcome == Outcome::Rollback);
            let judged = [(&doubtful.facts.state, &decision)];
            let plan = plan(&case.experiment, &case.policy, &BTreeMap::new(), &judged, moment());
            let rising = plan.allocations.iter().find(|change| change.variant == id(1) && change.to > change.from);
            prop_assert!(rising.is_none(), "{:?}", rising);
        }
    }

    #[test]
    fn a_decision_hangs_on_its_stored_inputs_alone(case in case(), advice in advice()) {
        let facts = Facts { advice_only: advice, ..case.facts.clone() };
        let decision = case.decide_on(&facts);
        let bytes = serde_json::to_string(&decision).unwrap();
        prop_assert_eq!(serde_json::to_string(&case.decide_on(&facts)).unwrap(), bytes.clone());
        let rules = stored(&Rules::new(&case.policy, &metrics()));
        let basis = stored(&Basis { name: "t1".into(), rules: rules.digest(), control: id(0), since: None, facts });
        prop_assert_eq!(&rules, &Rules::new(&case.policy, &metrics()));
        let again = Case {
            assessment: assessed(&rules.policy, &case.experiment, &case.cohorts, 1),
            policy: rules.policy,
            ..case.clone()
        };
        prop_assert_eq!(serde_json::to_string(&again.decide_on(&basis.facts)).unwrap(), bytes);
        prop_assert_eq!(stored(&decision), decision);
    }

    #[test]
    fn aggregates_raise_no_further_than_they_may_and_hide_no_rollback(case in case()) {
        let known = case.decide();
        for allowed in [FromAggregates::Lower, FromAggregates::Ramp, FromAggregates::Promote] {
            let decision = of_aggregates(&case, allowed).decide();
            let may = match decision.outcome {
                Outcome::Promote => FromAggregates::Promote,
                Outcome::Ramp { .. } => FromAggregates::Ramp,
                Outcome::Rollback | Outcome::Hold => FromAggregates::Lower,
            };
            prop_assert!(may <= allowed, "{allowed:?}: {decision:?}");
            prop_assert_eq!(decision.outcome == Outcome::Rollback, known.outcome == Outcome::Rollback);
            prop_assert_eq!(allowed == FromAggregates::Promote && decision != known, false, "{:?}", decision);
        }
    }

    #[test]
    fn whoever_only_advises_changes_nothing(case in case()) {
        let facts = Facts { advice_only: Some(AdviceOnly::Mode), ..case.facts.clone() };
        let advised = case.decide_on(&facts);
        prop_assert_eq!(&advised.outcome, &Outcome::Hold);
        let by_hand = Facts { wish: Wish { rollback: Some(said("ana")), ..facts.wish.clone() }, ..facts };
        prop_assert_eq!(case.decide_on(&by_hand).outcome, Outcome::Rollback);
    }

    #[test]
    fn a_person_can_hold_up_every_rise_and_raise_nothing(case in case()) {
        let without = Facts { wish: Wish::default(), ..case.facts.clone() };
        let with = case.decide();
        let hold = ManualHold { said: said("ana"), until: None, even_if_harmful: false };
        let held = case.decide_on(&Facts { wish: Wish { hold: Some(hold), ..Wish::default() }, ..without.clone() });
        prop_assert!(!goes_up(&held), "{held:?}");
        let frozen = Some(Frozen { name: "sale".into(), until: None });
        let frozen = case.decide_on(&Facts { frozen, ..case.facts.clone() });
        prop_assert!(!goes_up(&frozen), "{frozen:?}");
        // An approval gives no more than a policy that wants none.
        let mut auto = case.clone();
        auto.policy.stages.iter_mut().for_each(|stage| stage.approval = Approval::Auto);
        prop_assert!(!goes_up(&with) || goes_up(&auto.decide_on(&without)), "{with:?}");
    }

    #[test]
    fn a_ramp_always_raises_and_a_share_of_nothing_is_never_raised(case in case()) {
        let share = case.experiment.variant_by_id(id(1)).unwrap().allocation;
        match case.decide().outcome {
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
        let plan = plan(&experiment, &policy, &BTreeMap::new(), &judged, moment());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_global_rejects: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn easier_rules_hold_up_no_promotion(case in promising(), by in [0.0..1.0f64, 0.0..3.0f64, 0.0..1.0f64]) {
        // Those that are promoted, and enough of them: a test that is given none fails.
        prop_assume!(case.decide().outcome == Outcome::Promote);
        let policy = relaxed(&case.policy, by);
        let wish = Wish { approved: None, ..case.facts.wish.clone() };
        let easier = Case::new(policy, (2, 5000), case.cohorts.clone(), wish);
        prop_assert_eq!(easier.decide().outcome, Outcome::Promote, "{:?}", easier.decide());
    }

    #[test]
    fn what_would_be_promoted_is_not_from_aggregates_unless_allowed(case in promising()) {
        prop_assume!(case.decide().outcome == Outcome::Promote);
        for allowed in [FromAggregates::Lower, FromAggregates::Ramp] {
            let decision = of_aggregates(&case, allowed).decide();
            prop_assert_eq!(&decision.outcome, &Outcome::Hold);
            prop_assert_eq!(decision.reasons[0].kind(), "from_aggregates");
            prop_assert!(decision.needs_somebody());
        }
        prop_assert_eq!(of_aggregates(&case, FromAggregates::Promote).decide().outcome, Outcome::Promote);
    }

    #[test]
    fn weaker_guardrails_hold_up_no_promotion(case in promising(), weaker in prop::sample::select(vec![OnHarm::Hold, OnHarm::Warn])) {
        prop_assume!(case.decide().outcome == Outcome::Promote);
        // All of them at once: the evidence of harm is an average, and one guardrail less may leave the worse ones to it.
        let mut policy = case.policy.clone();
        for guardrail in policy.guardrails.iter_mut().filter(|guardrail| guardrail.on_harm != OnHarm::Warn) {
            guardrail.on_harm = weaker;
        }
        let easier = Case::new(policy, (2, 5000), case.cohorts.clone(), case.facts.wish.clone());
        prop_assert_eq!(easier.decide().outcome, Outcome::Promote, "{:?}", easier.decide());
    }

    #[test]
    fn a_confirmation_only_delays(case in promising(), shown_before in 0u32..5, nights in 1u32..5) {
        prop_assume!(case.decide().outcome == Outcome::Promote);
        let mut confirmed = case.clone();
        confirmed.policy.confirmation = Some(Confirmation { nights, of: 5 });
        let decision = confirmed.decide_on(&Facts { shown_before, ..case.facts.clone() });
        prop_assert_eq!(decision.outcome == Outcome::Promote, shown_before + 1 >= nights, "{:?}", decision);
    }
}
