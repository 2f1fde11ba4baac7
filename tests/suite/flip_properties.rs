//! What is said to change a decision changes it, and half of it does not.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use proptest::prelude::*;
use rampkeeper::decide::{Decision, Facts, Setting, Situation, World, decide, flips};
use rampkeeper::domain::{
    Bound, Direction, Epoch, ExperimentId, Guardrail, Margin, Measure, Metric, MetricForm, Policy, Require,
    RolloutState, RolloutStatus, Share, Success, SuccessMetric, SuccessTest, Value, VariantId,
};
use rampkeeper::evidence::{Assessment, Cohort, CohortHealth, Comparison, assess, enlarged, scaled};
use rampkeeper::stats::Moments;
use uuid::Uuid;

const START: Date = date(2026, 3, 2);
const CONTROL: VariantId = VariantId(Uuid::from_u128(1));
const CANDIDATE: VariantId = VariantId(Uuid::from_u128(2));
const METRICS: [&str; 3] = ["acceptance", "cost", "slow"];

#[derive(Debug)]
struct Case {
    policy: Policy,
    metrics: BTreeMap<String, Metric>,
    cohorts: Vec<Cohort>,
    epochs: Vec<Epoch>,
    facts: Facts,
}

impl Case {
    fn comparison(&self) -> Comparison<'_> {
        Comparison {
            control: CONTROL,
            candidate: CANDIDATE,
            candidates: 1,
            policy: &self.policy,
            metrics: &self.metrics,
            cohorts: &self.cohorts,
            epochs: &self.epochs,
            as_of: self.facts.as_of,
            since: None,
        }
    }

    fn decide(&self, assessment: &Assessment, facts: &Facts) -> Decision {
        decide(&Situation { policy: &self.policy, assessment, facts })
    }

    fn outcome_on(&self, cohorts: &[Cohort]) -> &'static str {
        let assessment = assess(&Comparison { cohorts, ..self.comparison() });
        self.decide(&assessment, &self.facts).outcome.word()
    }
}

fn policy(max_nights: Option<u32>, superior: bool) -> Policy {
    let margin = Margin::try_from(0.05).unwrap();
    let guardrails = vec![
        Guardrail::new("acceptance", Bound::Margin(margin)),
        Guardrail::new("cost", Bound::Margin(margin)),
        Guardrail::new("slow", Bound::Ceiling(0.05)),
    ];
    let test = if superior { SuccessTest::Superior } else { SuccessTest::NonInferior };
    let metrics = vec![SuccessMetric { metric: "acceptance".into(), test, margin }];
    let success = Success { require: Require::All, metrics };
    let mut policy = Policy { guardrails, success, max_nights, ..Policy::standard() };
    policy.stages.iter_mut().for_each(|stage| stage.min_units = 500);
    policy
}

fn metrics() -> BTreeMap<String, Metric> {
    let metric = |(name, direction): (&str, Direction)| {
        let form = MetricForm::Mean { value: Measure { event: "e".into(), value: Value::Count } };
        (
            name.to_owned(),
            Metric { name: name.into(), description: None, form, direction, window_days: 1, covariate_days: None },
        )
    };
    METRICS.into_iter().zip([Direction::Increase, Direction::Decrease, Direction::Decrease]).map(metric).collect()
}

/// An arm's day: the level of each metric, with a spread that a unit's value has.
fn cohort(day: i64, variant: VariantId, units: u64, levels: [f64; 3]) -> Cohort {
    let moments = METRICS.into_iter().zip(levels).zip([0.5, 0.02, 0.2]).map(|((name, mean), spread)| {
        (name.to_owned(), Moments::of_units(units, mean, spread * spread * units as f64))
    });
    Cohort {
        date: START.checked_add(jiff::Span::new().days(day)).unwrap(),
        epoch: 0,
        variant,
        moments: moments.collect(),
        health: CohortHealth { units, events: units, ..CohortHealth::default() },
    }
}

fn case() -> impl Strategy<Value = Case> {
    let factor = || prop::sample::select(vec![0.85, 0.95, 0.98, 1.0, 1.01, 1.03, 1.06, 1.2]);
    let share = prop::sample::select(vec![(0usize, 1000u16), (1, 2500), (2, 5000)]);
    let max_nights = prop::option::of(15u32..40);
    (share, 3i64..30, 60u64..4_000, [factor(), factor(), factor()], max_nights, any::<bool>(), 0i64..20).prop_map(
        |((stage, share), days, units, factors, max_nights, superior, in_stage)| {
            let share = Share::from_ten_thousandths(share).unwrap();
            let of = |part: f64| (units as f64 * part).round() as u64;
            let base = [0.6, 0.02, 0.04];
            let mut cohorts = Vec::new();
            for day in 0..days {
                let wave = 1.0 + 0.02 * (day as f64).sin();
                let levels = base.map(|level| level * wave);
                cohorts.push(cohort(day, CONTROL, of(1.0 - share.as_f64()), levels));
                let [a, b, c] = factors;
                cohorts.push(cohort(day, CANDIDATE, of(share.as_f64()), [levels[0] * a, levels[1] * b, levels[2] * c]));
            }
            let as_of = START.checked_add(jiff::Span::new().days(days)).unwrap();
            let state = RolloutState {
                experiment: ExperimentId(Uuid::nil()),
                candidate: CANDIDATE,
                status: RolloutStatus::Ramping,
                stage,
                entered_on: as_of.checked_sub(jiff::Span::new().days(in_stage)).unwrap(),
                version: 1,
            };
            let control_share = Share::ALL.saturating_sub(share);
            let epochs = vec![Epoch {
                number: 0,
                started_at: "2026-03-02T00:00:00Z".parse().unwrap(),
                ended_at: None,
                allocations: vec![(CONTROL, control_share), (CANDIDATE, share)],
                moved_units: false,
                outside: false,
                redrawn_at: None,
            }];
            Case {
                policy: policy(max_nights, superior),
                metrics: metrics(),
                cohorts,
                epochs,
                facts: Facts::plain(state, share, control_share, as_of),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_reported_change_flips_and_half_of_it_does_not(case in case()) {
        let decide_on = |assessment: &Assessment, facts: &Facts| case.decide(assessment, facts);
        let found = flips(&World { comparison: case.comparison(), facts: &case.facts, decide: &decide_on });
        let before = case.outcome_on(&case.cohorts);
        prop_assert_eq!(found.outcome.word(), before);
        for flip in &found.flips {
            prop_assert_ne!(flip.then.outcome.word(), before);
            match &flip.setting {
                Setting::Metric { metric, change, .. } => {
                    let with = |change: f64| scaled(&case.cohorts, CANDIDATE, metric, 1.0 + change);
                    prop_assert_eq!(case.outcome_on(&with(*change)), flip.then.outcome.word());
                    prop_assert_eq!(case.outcome_on(&with(0.5 * change)), before, "{}", flip);
                }
                Setting::Units { times, .. } => {
                    let with = |more: f64| enlarged(&case.cohorts, 1.0 + more);
                    prop_assert_eq!(case.outcome_on(&with(times - 1.0)), flip.then.outcome.word());
                    prop_assert_eq!(case.outcome_on(&with(0.5 * (times - 1.0))), before, "{}", flip);
                }
                Setting::Nights { nights, as_of } => {
                    prop_assert!(*nights >= 1 && *as_of > case.facts.as_of);
                }
                Setting::Nearer { part } => prop_assert!(*part > 0.0 && *part <= 1.0),
                Setting::Without { reasons } => prop_assert!(!reasons.is_empty()),
            }
            // As a sentence it names what is different and what then would have been.
            let sentence = flip.to_string();
            prop_assert!(sentence.contains("it would have been") && sentence.ends_with('.'), "{}", sentence);
        }
    }
}
