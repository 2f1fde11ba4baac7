//! What must hold for every input: the algebra of moments, tests and intervals that agree, scale, direction, and the
//! refusal of data that carry no answer.

use proptest::prelude::*;
use rampkeeper::stats::breaker::{self, Affected};
use rampkeeper::stats::proportion::Successes;
use rampkeeper::stats::{
    Arms, Better, Contrast, Estimate, Insufficient, Interval, Moments, Stratum, against_limit, average_e,
    better_than_control, exact, fieller, harm, harm_by_score, inside_margin, lift, log_e_one_sided, log_e_two_sided,
    merge_small, one_sided_multiplier, one_sided_multiplier_closed, overlap, two_sided_multiplier,
};

/// The moments of values, one by one: the merge under test, from single units.
fn moments_of(values: &[(f64, f64)]) -> Moments {
    values
        .iter()
        .fold(Moments::EMPTY, |all, &(y, d)| all.merge(&Moments { n: 1, mean_y: y, mean_d: d, ..Moments::EMPTY }))
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-12)
}

fn same(a: &Moments, b: &Moments, relative: f64) -> bool {
    let spread = |m: &Moments| (m.m2_y * m.m2_d).sqrt();
    a.n == b.n
        && close(a.mean_y, b.mean_y, relative)
        && close(a.m2_y, b.m2_y, relative)
        && close(a.mean_d, b.mean_d, relative)
        && close(a.m2_d, b.m2_d, relative)
        && (a.c_yd - b.c_yd).abs() <= relative * (spread(a) + a.c_yd.abs()).max(1e-9)
}

fn values() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-1e3..1e3f64, 0.0..50f64), 1..40)
}

fn mean_moments() -> impl Strategy<Value = Moments> {
    (2u64..1_000_000, 0.5..20f64, 0.05..400f64)
        .prop_map(|(n, mean, variance)| Moments::of_units(n, mean, variance * (n - 1) as f64))
}

fn strata() -> impl Strategy<Value = Vec<Stratum>> {
    prop::collection::vec((mean_moments(), mean_moments()), 1..30)
        .prop_map(|pairs| pairs.into_iter().map(|(control, candidate)| Stratum { control, candidate }).collect())
}

/// Arms as many units would give them: positive, separated from zero.
fn arms() -> impl Strategy<Value = Arms> {
    (0.1..100f64, -0.5..0.5f64, 0.001..0.2f64, 0.001..0.2f64).prop_map(|(mean, lift, cv_c, cv_t)| {
        let estimate = |mean: f64, cv: f64| Estimate { mean, variance: (cv * mean).powi(2), n: 5_000 };
        Arms { control: estimate(mean, cv_c), candidate: estimate(mean * (1.0 + lift), cv_t) }
    })
}

fn better() -> impl Strategy<Value = Better> {
    prop_oneof![Just(Better::Higher), Just(Better::Lower)]
}

proptest! {
    #[test]
    fn merging_commutes_and_associates(a in values(), b in values(), c in values()) {
        let (a, b, c) = (moments_of(&a), moments_of(&b), moments_of(&c));
        prop_assert_eq!(a.merge(&b), b.merge(&a));
        prop_assert!(same(&a.merge(&b).merge(&c), &a.merge(&b.merge(&c)), 1e-9));
        prop_assert_eq!(a.merge(&Moments::EMPTY), a);
    }

    #[test]
    fn merging_parts_is_computing_the_whole(a in values(), b in values()) {
        let whole: Vec<_> = a.iter().chain(&b).copied().collect();
        prop_assert!(same(&moments_of(&a).merge(&moments_of(&b)), &moments_of(&whole), 1e-9));
    }

    #[test]
    fn small_strata_are_joined_and_no_unit_is_lost(strata in strata(), least in 0u64..2_000_000) {
        let joined = merge_small(&strata, least);
        let units = |s: &[Stratum]| s.iter().map(|s| (s.control.n, s.candidate.n)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let all: Vec<Stratum> = joined.whole.iter().copied().chain(joined.waiting).collect();
        prop_assert_eq!(units(&all), units(&strata));
        prop_assert!(joined.whole.iter().all(|s| s.candidate.n >= least));
        // What is whole stays as it is when days are added.
        let shorter = merge_small(&strata[..strata.len() - 1], least);
        prop_assert_eq!(&shorter.whole[..], &joined.whole[..shorter.whole.len()]);
    }

    #[test]
    fn the_order_of_the_strata_does_not_matter(strata in strata()) {
        let forward = overlap(&strata).unwrap();
        let backward = overlap(&strata.iter().rev().copied().collect::<Vec<_>>()).unwrap();
        prop_assert!(close(forward.candidate.mean, backward.candidate.mean, 1e-12));
        prop_assert!(close(forward.control.variance, backward.control.variance, 1e-12));
    }

    #[test]
    fn identical_arms_show_no_lift_however_base_rate_and_share_move(
        days in prop::collection::vec((mean_moments(), 0.01..1f64), 1..30)
    ) {
        let strata: Vec<Stratum> = days.iter().map(|(m, share)| {
            let n = ((m.n as f64 * share) as u64).max(2);
            Stratum { control: *m, candidate: Moments::of_units(n, m.mean_y, m.variance_y() * (n - 1) as f64) }
        }).collect();
        prop_assert!(lift(&overlap(&strata).unwrap()).unwrap().abs() < 1e-12);
    }

    #[test]
    fn fiellers_interval_inverts_the_test_of_a_margin(arms in arms(), better in better(), margin in 0.0..0.3f64, q in 0.5..4f64) {
        let (Ok(test), Ok(interval)) = (inside_margin(&arms, better, margin), fieller(&arms, q)) else { return Ok(()) };
        let outside = match better {
            Better::Higher => interval.low > -margin,
            Better::Lower => interval.high < margin,
        };
        prop_assume!(interval.is_bounded() && (test.z() - q).abs() > 1e-9);
        prop_assert_eq!(outside, test.z() > q, "{:?} {}", interval, test.z());
    }

    #[test]
    fn the_sequence_inverts_the_e_values(z in -8.0..8f64, log_u in -6.0..12f64, alpha in 1e-6..0.5f64) {
        let u = log_u.exp();
        let contrast = Contrast { estimate: z, variance: 1.0 };
        let (one, two) = (one_sided_multiplier(u, alpha), two_sided_multiplier(u, alpha));
        prop_assume!((z - one).abs() > 1e-9 && (z.abs() - two).abs() > 1e-9);
        prop_assert_eq!(z > one, log_e_one_sided(&contrast, u.sqrt()) > -alpha.ln());
        prop_assert_eq!(z.abs() > two, log_e_two_sided(&contrast, u.sqrt()) > -alpha.ln());
        prop_assert!(one <= one_sided_multiplier_closed(u, alpha) * (1.0 + 1e-12) && one <= two);
    }

    #[test]
    fn the_unit_of_the_metric_does_not_matter(strata in strata(), scale in prop_oneof![Just(1e-6), Just(1e6), Just(-1.0f64)], better in better()) {
        let scaled = |m: &Moments| Moments { mean_y: m.mean_y * scale, m2_y: m.m2_y * scale * scale, c_yd: m.c_yd * scale, ..*m };
        let other: Vec<Stratum> =
            strata.iter().map(|s| Stratum { control: scaled(&s.control), candidate: scaled(&s.candidate) }).collect();
        let turned = match (better, scale < 0.0) {
            (Better::Higher, true) => Better::Lower,
            (Better::Lower, true) => Better::Higher,
            (same, false) => same,
        };
        let (a, b) = (overlap(&strata).unwrap(), overlap(&other).unwrap());
        let tau = 0.05 * a.control.mean;
        let e = log_e_one_sided(&harm(&a, better).unwrap(), tau);
        let e_scaled = log_e_one_sided(&harm(&b, turned).unwrap(), tau * scale.abs());
        prop_assert!(close(e, e_scaled, 1e-8) || (e - e_scaled).abs() < 1e-9, "{} {}", e, e_scaled);
        let inside = |arms, better| inside_margin(arms, better, 0.05).map(|c| c.z());
        match (inside(&a, better), inside(&b, turned)) {
            (Ok(x), Ok(y)) => prop_assert!((x - y).abs() <= 1e-8 * (1.0 + x.abs()), "{} {}", x, y),
            (x, y) => prop_assert_eq!(x.is_err(), y.is_err()),
        }
    }

    #[test]
    fn a_wider_margin_never_turns_safe_into_breach(arms in arms(), better in better(), narrow in 0.0..0.4f64, more in 0.0..0.4f64) {
        let (Ok(narrow), Ok(wide)) =
            (inside_margin(&arms, better, narrow), inside_margin(&arms, better, narrow + more)) else { return Ok(()) };
        prop_assert!(wide.estimate >= narrow.estimate);
        prop_assert!(wide.z() >= narrow.z() - 1e-9 * (1.0 + narrow.z().abs()));
    }

    #[test]
    fn evidence_grows_with_harm(arms in arms(), better in better(), worse in 0.0..0.5f64, tau in 0.001..10f64) {
        let mut worse_arms = arms;
        worse_arms.candidate.mean -= better.sign() * worse * arms.control.mean;
        let (less, more) = (harm(&arms, better).unwrap(), harm(&worse_arms, better).unwrap());
        prop_assert!(log_e_one_sided(&more, tau) >= log_e_one_sided(&less, tau) - 1e-9);
        prop_assert_eq!(less.estimate, -better_than_control(&arms, better).unwrap().estimate);
    }

    #[test]
    fn an_average_lies_between_its_largest_and_a_share_of_it(log_es in prop::collection::vec(-700.0..700f64, 1..12)) {
        let largest = log_es.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let average = average_e(&log_es);
        prop_assert!(average <= largest + 1e-12 && average >= largest - (log_es.len() as f64).ln() - 1e-12);
    }

    #[test]
    fn no_input_panics_or_passes_for_an_answer(
        numbers in prop::collection::vec(prop::num::f64::ANY, 20), counts in prop::collection::vec(any::<u64>(), 4),
        better in better()
    ) {
        let m = |i: usize| Moments {
            n: counts[i], mean_y: numbers[5 * i], m2_y: numbers[5 * i + 1], mean_d: numbers[5 * i + 2],
            m2_d: numbers[5 * i + 3], c_yd: numbers[5 * i + 4],
        };
        let strata = [Stratum { control: m(0), candidate: m(1) }, Stratum { control: m(2), candidate: m(3) }];
        let _ = merge_small(&strata, 50);
        let _ = harm_by_score(&strata, better);
        if let Ok(arms) = overlap(&strata) {
            for contrast in [harm(&arms, better), inside_margin(&arms, better, 0.05), against_limit(&arms.candidate, better, 1.0)].into_iter().flatten() {
                prop_assert!(contrast.estimate.is_finite() && contrast.variance.is_finite() && contrast.variance > 0.0);
                prop_assert!(log_e_one_sided(&contrast, numbers[0]).is_finite());
            }
            if let Ok(interval) = fieller(&arms, 3.0) {
                prop_assert!(interval.low <= interval.high, "{:?}", interval);
            }
        }
    }
}

#[test]
fn a_large_mean_keeps_its_small_variance() {
    let unit = |offset: f64| Moments::of_units(1, 1e9 + offset, 0.0);
    let day = (0..1000).fold(Moments::EMPTY, |all, i| all.merge(&unit(if i % 2 == 0 { -1.0 } else { 1.0 })));
    let month = (0..30).fold(Moments::EMPTY, |all, _| all.merge(&day));
    assert!((month.variance_y() - 1.0).abs() < 1e-4, "{}", month.variance_y());
    let arms = overlap(&[Stratum { control: month, candidate: month }]).unwrap();
    assert!((arms.control.variance * 30_000.0 - 1.0).abs() < 1e-4);
}

#[test]
fn arms_that_carry_no_answer_say_why() {
    let fine = Moments::of_units(1000, 5.0, 999.0);
    let with = |candidate| overlap(&[Stratum { control: fine, candidate }]);
    assert_eq!(overlap(&[]), Err(Insufficient::NoUnits));
    assert_eq!(with(Moments::EMPTY), Err(Insufficient::NoUnits));
    assert!(matches!(with(Moments::of_units(1, 5.0, 0.0)), Err(Insufficient::TooFewUnits { units: 1, needed: 2, .. })));
    assert!(matches!(with(Moments::of_units(9, f64::NAN, 1.0)), Err(Insufficient::NonFinite { .. })));
    assert!(matches!(with(Moments::of_units(9, 1.0, -1.0)), Err(Insufficient::NegativeVariance { .. })));
    let all_succeed = with(Moments::of_successes(1000, 1000)).unwrap();
    for question in [
        harm(&all_succeed, Better::Higher),
        inside_margin(&all_succeed, Better::Higher, 0.05),
        against_limit(&all_succeed.candidate, Better::Higher, 0.5),
    ] {
        assert!(matches!(question, Err(Insufficient::ZeroVariance { .. })), "{question:?}");
    }
}

#[test]
fn equal_values_have_no_variance_however_they_round() {
    let constant = (0..977).fold(Moments::EMPTY, |all, _| all.merge(&Moments::of_units(1, 0.1, 0.0)));
    let arms = overlap(&[Stratum { control: constant, candidate: constant }]).unwrap();
    assert_eq!(arms.candidate.variance, 0.0);
    // A ratio of which every unit has the same: 3 orders in every session.
    let ratio = moments_of(&(1..200).map(|i| (0.3 * f64::from(i), 0.1 * f64::from(i))).collect::<Vec<_>>());
    let arms = overlap(&[Stratum { control: ratio, candidate: ratio }]).unwrap();
    assert_eq!(arms.candidate.variance, 0.0);
    assert!(matches!(harm(&arms, Better::Higher), Err(Insufficient::ZeroVariance { .. })));
}

#[test]
fn conversion_falling_to_exactly_zero_is_harm() {
    let stratum =
        Stratum { control: Moments::of_successes(100_000, 10_000), candidate: Moments::of_successes(100_000, 0) };
    let arms = overlap(&[stratum]).unwrap();
    assert!(matches!(harm(&arms, Better::Higher), Err(Insufficient::ZeroVariance { .. })));
    let contrast = harm_by_score(&[stratum], Better::Higher).unwrap();
    assert!(contrast.z() > 100.0 && log_e_one_sided(&contrast, 0.005) > 1000.0, "{contrast:?}");
    assert!(harm_by_score(&[stratum], Better::Lower).unwrap().z() < -100.0);
    let counts = |m: &Moments| Successes::from_moments(m).unwrap();
    let (control, candidate) = (counts(&stratum.control), counts(&stratum.candidate));
    assert!(exact::harm_ln_p(&[(control, candidate)], Better::Higher).unwrap() < -5000.0);
    assert!(exact::harm_ln_p(&[(control, candidate)], Better::Lower).unwrap() > -1e-9);
    assert!(breaker::log_e(&[Affected { control, candidate }], Better::Higher).unwrap() > 1000.0);
}

#[test]
fn two_arms_of_zeros_are_no_evidence() {
    let stratum = Stratum { control: Moments::of_successes(5000, 0), candidate: Moments::of_successes(5000, 0) };
    assert!(matches!(harm_by_score(&[stratum], Better::Higher), Err(Insufficient::ZeroVariance { .. })));
    let rare = Stratum { control: Moments::of_successes(5000, 6), candidate: Moments::of_successes(5000, 0) };
    assert!(matches!(harm_by_score(&[rare], Better::Higher), Err(Insufficient::TooFewEvents { .. })));
}

#[test]
fn what_is_stored_is_what_is_read() {
    let round_trip =
        |interval: Interval| -> Interval { serde_json::from_str(&serde_json::to_string(&interval).unwrap()).unwrap() };
    for interval in [Interval::UNBOUNDED, Interval { low: -0.0123456789012345, high: f64::INFINITY }] {
        assert_eq!(round_trip(interval), interval);
    }
    let bad = Moments::of_units(9, f64::NAN, 1.0);
    let reasons = [
        overlap(&[]).unwrap_err(),
        overlap(&[Stratum { control: bad, candidate: bad }]).unwrap_err(),
        exact::harm_ln_p(&[(Successes { n: 5, x: 9 }, Successes { n: 5, x: 1 })], Better::Higher).unwrap_err(),
    ];
    for reason in reasons {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Insufficient>(&text).unwrap(), reason, "{text}");
    }
}
