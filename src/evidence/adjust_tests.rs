use jiff::civil::date;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use uuid::Uuid;

use super::*;
use crate::domain::{Direction, Margin, Measure, Policy, Value, VariantId};
use crate::evidence::assess::Comparison;
use crate::evidence::{Cohort, CohortHealth, Verdict};
use crate::stats::overlap;

const CONTROL: VariantId = VariantId(Uuid::from_u128(1));
const CANDIDATE: VariantId = VariantId(Uuid::from_u128(2));
const FIRST_LOOK: u64 = 1_000;

/// y, d, x and m of one unit.
type Unit = [f64; 4];

/// The units of one day in both arms, control first.
type Days = Vec<[Vec<Unit>; 2]>;

fn metric(ratio: bool) -> Metric {
    let count = |event: &str| Measure::of_event(event, Value::Count);
    let form = match ratio {
        true => MetricForm::Ratio { numerator: count("a"), denominator: count("b") },
        false => MetricForm::Mean { value: count("a") },
    };
    let (direction, covariate_days) = (Direction::Increase, Some(14));
    Metric { name: "m".to_owned(), description: None, form, direction, window_days: 1, covariate_days }
}

fn how(margin: f64) -> Judged {
    Judged {
        bound: Bound::Margin(Margin::try_from(margin).unwrap()),
        direction: Direction::Increase,
        alpha_harm: 0.05,
        alpha_safe: 0.05,
        planned_bound: None,
        first_look_units: FIRST_LOOK,
    }
}

/// The five moments of two values, by the definition.
fn moments(units: &[Unit], y: impl Fn(&Unit) -> f64, d: impl Fn(&Unit) -> f64) -> Moments {
    let n = units.len() as f64;
    let sum = |of: &dyn Fn(&Unit) -> f64| units.iter().map(of).sum::<f64>();
    let (mean_y, mean_d) = (sum(&y) / n, sum(&d) / n);
    Moments {
        n: units.len() as u64,
        mean_y,
        m2_y: sum(&|unit| (y(unit) - mean_y).powi(2)),
        mean_d,
        m2_d: sum(&|unit| (d(unit) - mean_d).powi(2)),
        c_yd: sum(&|unit| (y(unit) - mean_y) * (d(unit) - mean_d)),
    }
}

fn cohorts(days: &Days, ratio: bool) -> Vec<Cohort> {
    let cohort = |(day, variant, units): (usize, VariantId, &Vec<Unit>)| {
        let pair = |companion: Companion, y: usize, d: usize| {
            (companion.of("m"), moments(units, |unit| unit[y], |unit| unit[d]))
        };
        let mut all = vec![
            ("m".to_owned(), moments(units, |unit| unit[0], |unit| if ratio { unit[1] } else { 1.0 })),
            pair(Companion::YX, 0, 2),
        ];
        if ratio {
            all.push(pair(Companion::YM, 0, 3));
            all.push(pair(Companion::DX, 1, 2));
            all.push(pair(Companion::DM, 1, 3));
            all.push(pair(Companion::XM, 2, 3));
        }
        Cohort {
            date: date(2026, 3, 1 + day as i8),
            epoch: 0,
            variant,
            moments: all.into_iter().collect(),
            health: CohortHealth { units: units.len() as u64, ..CohortHealth::default() },
        }
    };
    let arms = days.iter().enumerate().flat_map(|(day, [c, t])| [(day, CONTROL, c), (day, CANDIDATE, t)]);
    arms.map(cohort).collect()
}

fn read_by(days: &Days, ratio: bool, how: &Judged) -> Reading {
    read_as(days, ratio, &metric(ratio), how)
}

/// The cohorts of a metric with a covariate, read as that metric, which may have none.
fn read_as(days: &Days, ratio: bool, metric: &Metric, how: &Judged) -> Reading {
    let cohorts = cohorts(days, ratio);
    let (policy, metrics) = (Policy::standard(), [("m".to_owned(), metric.clone())].into());
    let comparison = Comparison {
        control: CONTROL,
        candidate: CANDIDATE,
        candidates: 1,
        policy: &policy,
        metrics: &metrics,
        cohorts: &cohorts,
        epochs: &[],
        as_of: date(2026, 3, 30),
        since: None,
    };
    read(&Arms::of(&comparison), metric, how)
}

/// What units do after they were exposed is like what they did before, times `like`, beside noise.
fn days(seed: u64, count: usize, sizes: [usize; 2], like: f64, lift: f64) -> Days {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut noise = move || (0..4).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
    let mut unit = |past: f64, lift: f64| {
        let zeal = past * (1.0 + noise());
        let (m, d) = (6.0 + zeal + noise(), 3.0 + 0.5 * zeal + noise());
        [lift * (2.0 + like * zeal + noise()), d, 1.5 * zeal + 0.2 * m + noise(), m]
    };
    // Those who come later were less active before.
    let past = |day: usize| 5.0 / (1.0 + day as f64);
    (0..count)
        .map(|day| {
            [0, 1].map(|arm| (0..sizes[arm]).map(|_| unit(past(day), if arm == 0 { 1.0 } else { lift })).collect())
        })
        .collect()
}

fn made(reading: &Reading) -> (f64, f64, Unadjusted) {
    match &reading.covariate.as_ref().unwrap().adjustment {
        Adjustment::Made { theta, saved, unadjusted } => (*theta, *saved, *unadjusted),
        other => panic!("{other:?}"),
    }
}

fn close(a: f64, b: f64, scale: f64) {
    assert!((a - b).abs() <= 1e-9 * scale.abs().max(1e-300), "{a} and {b}");
}

#[test]
fn it_is_what_adjusting_each_unit_would_be() {
    for ratio in [false, true] {
        let days = days(7, 6, [400, 300], 1.0, 0.98);
        let how = how(0.05);
        let reading = read_by(&days, ratio, &how);
        let (theta, saved, unadjusted) = made(&reading);
        // θ from the units of the first look: least squares within day and arm, of y − R_y·d on x − R·m.
        let of = |unit: &Unit| if ratio { *unit } else { [unit[0], 1.0, unit[2], 1.0] };
        let first = &days[..4];
        let sum = |place: usize| first.iter().flatten().flatten().map(|unit| of(unit)[place]).sum::<f64>();
        let (level, past) = (sum(0) / sum(1), sum(2) / sum(3));
        let v = |unit: &Unit| of(unit)[2] - past * of(unit)[3];
        let groups = first.iter().flatten().map(|units| moments(units, |unit| of(unit)[0] - level * of(unit)[1], v));
        let (cross, squares) = groups.fold((0.0, 0.0), |(c, s), m| (c + m.c_yd, s + m.m2_d));
        close(theta, cross / squares, theta);
        // Every unit of every day by that θ, about what both arms of its day were before.
        let strata: Vec<Stratum> = days
            .iter()
            .map(|[c, t]| {
                let units: Vec<&Unit> = c.iter().chain(t).collect();
                let centre = units.iter().map(|unit| v(unit)).sum::<f64>() / units.len() as f64;
                let y = |unit: &Unit| unit[0] - theta * (v(unit) - centre);
                let arm = |units: &[Unit]| moments(units, y, |unit| of(unit)[1]);
                let (control, mut candidate) = (arm(c), arm(t));
                let residuals = |of_y: &dyn Fn(&Unit) -> f64| {
                    let m = moments(t, of_y, |unit| of(unit)[1]);
                    let r = m.mean_y / m.mean_d;
                    moments(t, |unit| of_y(unit) - r * of(unit)[1], |_| 1.0).m2_y
                };
                let saved = residuals(&|unit| unit[0]) - residuals(&y);
                candidate.m2_y += 0.05 * 0.05 * saved * 300.0 / 700.0;
                Stratum { control, candidate }
            })
            .collect();
        let expected = Reading::judge("m", &strata, &how);
        for (a, b) in [
            (reading.control, expected.control),
            (reading.candidate, expected.candidate),
            (reading.effect, expected.effect),
            (reading.standard_error, expected.standard_error),
            (Some(reading.log_e_harm), Some(expected.log_e_harm)),
        ] {
            close(a.unwrap(), b.unwrap(), b.unwrap().max(0.01));
        }
        assert_eq!(reading.verdict, expected.verdict);
        assert!(saved > 0.3, "{saved}");
        let se = unadjusted.standard_error.unwrap();
        close(saved, 1.0 - (reading.standard_error.unwrap() / se).powi(2), 1.0);
        assert!((reading.effect.unwrap() - unadjusted.effect.unwrap()).abs() < 3.0 * se);
    }
}

#[test]
fn nothing_that_was_frozen_changes_as_nights_go_by() {
    for ratio in [false, true] {
        let days = days(3, 12, [300, 260], 1.0, 1.0);
        let none = read_by(&days[..3].to_vec(), ratio, &how(0.05));
        assert_eq!(none.covariate, Some(Covariate { days: 14, adjustment: Adjustment::Waiting }));
        let first = made(&read_by(&days[..4].to_vec(), ratio, &how(0.05))).0;
        for nights in 5..=12 {
            let theta = made(&read_by(&days[..nights].to_vec(), ratio, &how(0.05))).0;
            assert_eq!(theta.to_bits(), first.to_bits());
        }
    }
}

/// Later units are five times less active before, and so after. Their control's mean is still what it is.
#[test]
fn a_lift_stays_relative_to_what_control_is() {
    for ratio in [false, true] {
        let days = days(11, 12, [2_000, 2_000], 1.0, 1.0);
        let reading = read_by(&days, ratio, &how(0.05));
        let unadjusted = made(&reading).2;
        let (with, without) = (reading.control.unwrap(), unadjusted.control.unwrap());
        assert!((with / without - 1.0).abs() < 0.01, "{with} and {without}");
    }
}

#[test]
fn an_adjusted_metric_decides_sooner() {
    let days = days(5, 4, [1_500, 1_500], 1.0, 1.0);
    let reading = read_by(&days, false, &how(0.02));
    let plain = Reading::judge("m", &strata_of(&days), &how(0.02));
    assert_eq!((&plain.verdict, &reading.verdict), (&Verdict::Inconclusive, &Verdict::Safe), "{reading:?}");
    let gone = self::days(5, 4, [1_500, 1_500], 1.0, 0.0);
    assert_eq!(read_by(&gone, false, &how(0.05)).verdict, Verdict::Breach);
}

fn strata_of(days: &Days) -> Vec<Stratum> {
    let arm = |units: &[Unit]| moments(units, |unit| unit[0], |_| 1.0);
    days.iter().map(|[c, t]| Stratum { control: arm(c), candidate: arm(t) }).collect()
}

#[test]
fn what_is_of_no_use_leaves_the_metric_as_it_is_and_says_why() {
    let mut blank = days(2, 5, [400, 400], 1.0, 1.0);
    blank.iter_mut().flatten().flatten().for_each(|unit| unit[2..].fill(0.0));
    let unlike = days(2, 5, [400, 400], 0.0, 1.0);
    for ratio in [false, true] {
        let reading = read_by(&blank, ratio, &how(0.05));
        assert_eq!(reading.covariate.as_ref().unwrap().adjustment, Adjustment::NotMade { why: Useless::Constant });
        let plain = Metric { covariate_days: None, ..metric(ratio) };
        assert_eq!(Reading { covariate: None, ..reading.clone() }, read_as(&blank, ratio, &plain, &how(0.05)));
    }
    let reading = read_by(&unlike, false, &how(0.05));
    let Adjustment::NotMade { why: Useless::Weak { explained } } = reading.covariate.as_ref().unwrap().adjustment
    else {
        panic!("{reading:?}")
    };
    assert!(explained < 0.01);
    let text = serde_json::to_string(&reading).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&text).unwrap(), reading);
}

/// The contrast μ_t − k·μ_c of each bound has the variance that it claims, however far k is from 1.
#[test]
fn no_contrast_varies_more_than_it_says() {
    for (given_back, k) in [(0.0, 1.0), (0.25, 0.5), (1.0, 0.0)] {
        let (mut estimates, mut claimed) = (Vec::new(), 0.0);
        for seed in 0..600 {
            let days = days(1_000 + seed, 1, [60, 60], 3.0, 1.0);
            let [c, t] = &days[0];
            let yx = |units: &[Unit]| of_mean(&moments(units, |unit| unit[0], |unit| unit[2]));
            // What all days have in common.
            let frozen = Frozen { theta: 1.9, ratio: 8.7 };
            let arms = overlap(&[frozen.adjust(&[yx(c), yx(t)], given_back)]).unwrap();
            estimates.push(arms.candidate.mean - k * arms.control.mean);
            claimed += (arms.candidate.variance + k * k * arms.control.variance) / 600.0;
        }
        let mean = estimates.iter().sum::<f64>() / 600.0;
        let seen = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 599.0;
        // The variance of 600 draws is known to about 6 %.
        assert!((seen / claimed - 1.0).abs() < 0.2, "{k}: {seen} is seen, {claimed} is claimed");
    }
}

/// shared vectors cuped_tt_01: tea-tasting 1.14.0, θ over both arms as one set.
#[test]
fn two_arms_are_adjusted_as_others_do() {
    let control = Moments {
        n: 1008,
        mean_y: 5.296974206349207,
        m2_y: 1007.0 * 93.14847931611655,
        mean_d: 5.295793650793651,
        m2_d: 1007.0 * 182.2037983764443,
        c_yd: 1007.0 * 68.40519619725418,
    };
    let candidate = Moments {
        n: 992,
        mean_y: 5.570887096774193,
        m2_y: 991.0 * 117.18856611438432,
        mean_d: 5.014949596774193,
        m2_d: 991.0 * 145.90437174316833,
        c_yd: 991.0 * 77.56486583688678,
    };
    let theta = cuped::theta(&cuped::WithCovariate(control), &cuped::WithCovariate(candidate)).unwrap();
    let frozen = Frozen { theta, ratio: 0.0 };
    let stratum = frozen.adjust(&[of_mean(&control), of_mean(&candidate)], 0.0);
    close(stratum.control.mean_y, 5.235112205859007, 1e3);
    close(stratum.candidate.mean_y, 5.6337468714658465, 1e3);
}
