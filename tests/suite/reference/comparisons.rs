//! Families that compare a control with a treatment at one look.

use rampkeeper::stats::cuped::{self, RatioWithCovariate, WithCovariate};
use rampkeeper::stats::fixed_look::{self, FixedLook, Reference};
use rampkeeper::stats::novelty::heterogeneity;
use rampkeeper::stats::ratio::unstratified;
use rampkeeper::stats::{self, Arm, Arms, Better, Contrast, Interval, Moments, Stratum};
use rampkeeper::stats::{non_inferiority, normal, proportion as rates};
use serde_json::Value;

use super::vector::{Got, Vector, count, from_names, from_sums, got, number_of};

type Answer = Vec<(String, Got)>;

pub fn welch(v: &Vector) -> Answer {
    let (control, treatment) = v.arms();
    compared(v, &unstratified(&control, &treatment).expect("both arms vary"))
}

/// Everything that any tool reports about a difference and its relative form.
fn compared(v: &Vector, arms: &Arms) -> Answer {
    let look = v.look();
    let test = fixed_look::difference(arms, &look).expect("a difference");
    let mut answer = vec![
        got("control", arms.control.mean),
        got("treatment", arms.candidate.mean),
        got("effect_size", test.estimate),
        got("effect_size_ci_lower", test.interval.low),
        got("effect_size_ci_upper", test.interval.high),
        got("diff", test.estimate),
        got("ci", pair(test.interval)),
        got("ci_lower", test.interval.low),
        got("ci_upper", test.interval.high),
        got("statistic", test.statistic),
        got("df", test.df),
        got("pvalue", test.p),
        got("log10_pvalue", test.log10_p),
    ];
    if let (Ok(lift), Some(interval)) = (stats::lift(arms), relative_interval(v, arms, &look)) {
        answer.push(got("rel_effect_size", lift));
        answer.push(got("rel_effect_size_ci_lower", interval.low));
        answer.push(got("rel_effect_size_ci_upper", interval.high));
    }
    answer
}

fn relative_interval(v: &Vector, arms: &Arms, look: &FixedLook) -> Option<Interval> {
    match v.text("rel_ci_method") {
        Some("delta") => fixed_look::relative_delta(arms, look).ok().map(|test| test.interval),
        Some("fieller") => stats::fieller(arms, stats::quantile::multiplier(look.confidence)).ok(),
        _ => fixed_look::relative_log_ratio(arms, look).ok(),
    }
}

pub fn ratio(v: &Vector) -> Answer {
    let moments = |arm: &Value| match (v.text("numer"), v.text("denom")) {
        (Some(numerator), Some(denominator)) => from_names(arm, numerator, denominator),
        _ => {
            let number = |key| number_of(arm, key);
            let (y, d) = ([number("sum_y"), number("sumsq_y")], [number("sum_n"), number("sumsq_n")]);
            from_sums(count(arm, "n"), y, d, number("sum_yn"))
        }
    };
    let arms = unstratified(&moments(&v.inputs["control"]), &moments(&v.inputs["treatment"])).expect("both arms vary");
    let look = v.look();
    let difference = fixed_look::difference(&arms, &look).expect("a difference");
    let relative = fixed_look::relative_delta(&arms, &look).expect("a lift");
    let mut answer = compared(v, &arms);
    answer.extend([
        got("ratio_control", arms.control.mean),
        got("ratio_treatment", arms.candidate.mean),
        got("var_control", arms.control.variance),
        got("var_treatment", arms.candidate.variance),
        got("diff_ci", pair(difference.interval)),
        got("pvalue_diff", difference.p),
        got("lift", relative.estimate),
        got("lift_ci", pair(relative.interval)),
        got("pvalue_lift", relative.p),
    ]);
    answer
}

pub fn cuped(v: &Vector) -> Answer {
    let data = |arm: &Value| {
        WithCovariate(match (v.text("value"), v.text("covariate")) {
            (Some(value), Some(covariate)) => from_names(arm, value, covariate),
            _ => {
                let number = |key| number_of(arm, key);
                let (y, x) = ([number("sum_y"), number("sumsq_y")], [number("sum_x"), number("sumsq_x")]);
                from_sums(count(arm, "n"), y, x, number("sum_xy"))
            }
        })
    };
    let (control, treatment) = (data(&v.inputs["control"]), data(&v.inputs["treatment"]));
    let theta = cuped::theta(&control, &treatment).expect("the covariate varies");
    let centre = control.0.merge(&treatment.0).mean_d;
    adjusted(v, theta, &cuped::adjust(&control, theta, centre), &cuped::adjust(&treatment, theta, centre))
}

pub fn cuped_ratio(v: &Vector) -> Answer {
    let name = |key| v.text(key).unwrap_or_else(|| panic!("{}: no name for {key}", v.id));
    let names = ["numer", "denom", "numer_covariate", "denom_covariate"].map(name);
    let data = |arm: &Value| {
        let n = count(arm, "n");
        let pair = |i: usize, j: usize| match i {
            _ if i == j => number_of(arm, &format!("var_{}", names[i])),
            _ => from_names(arm, names[i.min(j)], names[i.max(j)]).covariance(),
        };
        RatioWithCovariate {
            n,
            mean: names.map(|name| number_of(arm, &format!("mean_{name}"))),
            m2: std::array::from_fn(|i| std::array::from_fn(|j| pair(i, j) * (n as f64 - 1.0))),
        }
    };
    let (control, treatment) = (data(&v.inputs["control"]), data(&v.inputs["treatment"]));
    let theta = cuped::theta_ratio(&control, &treatment).expect("the covariate varies");
    let centre = cuped::covariate_ratio(&control, &treatment).expect("a covariate ratio");
    let adjust = |data, arm| cuped::adjust_ratio(data, theta, centre, arm).expect("an adjusted ratio");
    adjusted(v, theta, &adjust(&control, Arm::Control), &adjust(&treatment, Arm::Candidate))
}

fn adjusted(v: &Vector, theta: f64, control: &Moments, treatment: &Moments) -> Answer {
    let mut answer = compared(v, &unstratified(control, treatment).expect("both arms vary"));
    answer.push(got("theta", theta));
    answer
}

pub fn proportion(v: &Vector) -> Answer {
    let (control, treatment) = v.rates();
    let confidence = v.number("confidence_level");
    let pooled = rates::pooled_z(&control, &treatment).expect("both outcomes occur");
    let newcombe = rates::newcombe(&control, &treatment, confidence).expect("an interval");
    let mut answer = vec![
        got("z_pooled", pooled.z),
        got("pvalue_pooled", pooled.p),
        got("log10_pvalue", pooled.log10_p),
        got("newcombe_lower", newcombe.low),
        got("newcombe_upper", newcombe.high),
    ];
    if let Ok(wald) = rates::wald(&control, &treatment, confidence) {
        answer.extend([got("wald_lower", wald.low), got("wald_upper", wald.high)]);
    }
    if let Ok(ratio) = rates::risk_ratio(&control, &treatment, confidence) {
        answer.extend([got("risk_ratio_log_lower", ratio.low), got("risk_ratio_log_upper", ratio.high)]);
    }
    answer
}

pub fn lift_by_delta(v: &Vector) -> Answer {
    let (control, treatment) = v.arms();
    let arms = unstratified(&control, &treatment).expect("both arms vary");
    let test = fixed_look::relative_delta(&arms, &v.look()).expect("a lift");
    vec![
        got("lift", test.estimate),
        got("se", test.standard_error),
        got("df", test.df),
        got("ci_lower", test.interval.low),
        got("ci_upper", test.interval.high),
        got("pvalue", test.p),
        got("log10_pvalue", test.log10_p),
    ]
}

pub fn lift_by_fieller(v: &Vector) -> Answer {
    let (control, treatment) = v.arms();
    let arms = unstratified(&control, &treatment).expect("both arms vary");
    let look = FixedLook { reference: Reference::Normal, ..v.look() };
    let fieller = stats::fieller(&arms, stats::quantile::multiplier(look.confidence)).expect("an interval");
    let mut answer = vec![got("fieller_lower", fieller.low), got("fieller_upper", fieller.high)];
    if let Ok(interval) = fixed_look::relative_log_ratio(&arms, &look) {
        answer.extend([got("log_ratio_lower", interval.low), got("log_ratio_upper", interval.high)]);
    }
    answer
}

pub fn non_inferiority_of_means(v: &Vector) -> Answer {
    let (control, treatment) = v.arms();
    let arms = unstratified(&control, &treatment).expect("both arms vary");
    let (better, margin) = (better(v), v.number("margin_rel"));
    let inside = stats::inside_margin(&arms, better, margin).expect("a contrast");
    let fixed = non_inferiority::fixed_margin(&arms, better, margin).expect("a contrast");
    vec![
        got("psi", inside.estimate),
        got("se", inside.variance.sqrt()),
        got("z", inside.z()),
        got("pvalue", normal::sf(inside.z())),
        got("log10_pvalue", normal::ln_sf(inside.z()) / std::f64::consts::LN_10),
        got("z_if_control_mean_treated_as_fixed", fixed.z()),
    ]
}

pub fn non_inferiority_of_rates(v: &Vector) -> Answer {
    let (control, treatment) = v.rates();
    let (better, margin) = (better(v), v.number("margin_abs"));
    let score = non_inferiority::score(&control, &treatment, better, margin).expect("a score test");
    let mut answer = vec![
        got("z_score_fm", score.z),
        got("pvalue_score_fm", score.p),
        got("p_treatment_null", score.candidate_rate),
        got("p_control_null", score.control_rate),
    ];
    if let Ok(wald) = non_inferiority::wald(&control, &treatment, better, margin) {
        answer.extend([got("z_wald", wald.z), got("pvalue_wald", wald.p)]);
    }
    answer
}

pub fn stratified(v: &Vector) -> Answer {
    let moments = |arm: &Value| {
        let n = count(arm, "n");
        Moments::of_units(n, number_of(arm, "mean"), number_of(arm, "var") * (n as f64 - 1.0))
    };
    let strata: Vec<Stratum> = v.inputs["strata"]
        .as_array()
        .expect("strata")
        .iter()
        .map(|s| Stratum { control: moments(&s["control"]), candidate: moments(&s["treatment"]) })
        .collect();
    let arms = stats::overlap(&strata).expect("usable strata");
    let difference = stats::better_than_control(&arms, Better::Higher).expect("a difference");
    let relative = fixed_look::relative_delta(&arms, &v.look()).expect("a lift");
    let parts: Vec<Contrast> = strata
        .iter()
        .map(|s| stats::overlap(&[*s]).and_then(|arms| stats::better_than_control(&arms, Better::Higher)))
        .collect::<Result<_, _>>()
        .expect("every stratum varies");
    let mut answer = vec![
        got("diff_overlap", difference.estimate),
        got("var_overlap", difference.variance),
        got("mean_control_overlap", arms.control.mean),
        got("mean_treatment_overlap", arms.candidate.mean),
        got("lift_overlap", relative.estimate),
        got("var_lift_overlap", relative.standard_error * relative.standard_error),
    ];
    let pooled = strata.iter().fold(Stratum::default(), |all, s| all.merge(s));
    answer.push(got("diff_naive_pooled", pooled.candidate.mean_y - pooled.control.mean_y));
    if let Ok(inverse_variance) = heterogeneity(&parts) {
        answer.push(got("diff_ivw", inverse_variance.mean.estimate));
        answer.push(got("var_ivw", inverse_variance.mean.variance));
    }
    answer
}

fn better(v: &Vector) -> Better {
    match v.text("better") {
        Some("lower") => Better::Lower,
        _ => Better::Higher,
    }
}

fn pair(interval: Interval) -> Vec<f64> {
    vec![interval.low, interval.high]
}
