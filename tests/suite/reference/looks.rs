//! Families about repeated looks, and about how many units a look needs.

use rampkeeper::stats::fixed_look::{difference, relative_delta};
use rampkeeper::stats::group_sequential::bounds;
use rampkeeper::stats::power::{
    Design, control_units, control_units_student, total_units as total, units_for_rate_non_inferiority,
};
use rampkeeper::stats::ratio::unstratified;
use rampkeeper::stats::spending::Spending;
use rampkeeper::stats::{
    Contrast, always_valid_p, log_e_one_sided, log_e_two_sided, one_sided_multiplier, one_sided_multiplier_closed,
    optimal_information as optimum, optimal_information_approximate, two_sided_multiplier,
};

use super::vector::{Got, Vector, got};

type Answer = Vec<(String, Got)>;

pub fn multiplier(v: &Vector) -> Answer {
    let (u, alpha) = (v.number("u"), v.number("alpha"));
    vec![
        got("two_sided", two_sided_multiplier(u, alpha)),
        got("one_sided_closed_form", one_sided_multiplier_closed(u, alpha)),
        got("one_sided_exact", one_sided_multiplier(u, alpha)),
    ]
}

pub fn optimal_information(v: &Vector) -> Answer {
    let alpha = v.number("alpha");
    vec![got("u_star_exact", optimum(alpha)), got("u_star_approx", optimal_information_approximate(alpha))]
}

/// The sequence of a tool that speaks of ρ² and sample sizes: u = N·ρ².
pub fn confidence_sequence(v: &Vector) -> Answer {
    let (control, treatment) = v.arms();
    let arms = unstratified(&control, &treatment).expect("both arms vary");
    let alpha = v.number("alpha");
    let rho2 = optimal_information_approximate(alpha) / v.number("tuning_n");
    let u = (control.n + treatment.n) as f64 * rho2;
    let test = match v.text("difference_type") {
        Some("relative") => relative_delta(&arms, &v.look()),
        _ => difference(&arms, &v.look()),
    }
    .expect("a comparison");
    let half = two_sided_multiplier(u, alpha) * test.standard_error;
    let contrast = Contrast { estimate: test.estimate, variance: test.standard_error * test.standard_error };
    let log_e = log_e_two_sided(&contrast, u.sqrt() * test.standard_error);
    vec![
        got("estimate", test.estimate),
        got("ci_lower", test.estimate - half),
        got("ci_upper", test.estimate + half),
        got("pvalue", always_valid_p(&[log_e])),
        got("log10_pvalue", -log_e.max(0.0) / std::f64::consts::LN_10),
        got("u", u),
        got("rho2", rho2),
    ]
}

pub fn mixture(v: &Vector) -> Answer {
    let contrast = Contrast { estimate: v.number("estimate"), variance: v.number("variance") };
    let tau = v.number("tau");
    let (one, two) = (log_e_one_sided(&contrast, tau), log_e_two_sided(&contrast, tau));
    vec![
        got("log_e_two_sided", two),
        got("log_e_one_sided", one),
        got("pvalue_two_sided", always_valid_p(&[two])),
        got("pvalue_one_sided", always_valid_p(&[one])),
        got("u", tau * tau / contrast.variance),
    ]
}

/// Intrinsic time v over the mixture's precision, tuned at `v_opt` and a two-sided level.
fn tuned(v: &Vector, two_sided_level: f64) -> f64 {
    v.number("v") * optimal_information_approximate(two_sided_level) / v.number("v_opt")
}

pub fn mixture_of_a_sum(v: &Vector) -> Answer {
    let (sum, time, level) = (v.number("s"), v.number("v"), v.number("alpha_opt"));
    let contrast = Contrast { estimate: sum / time, variance: 1.0 / time };
    let tau = |level| (tuned(v, level) / time).sqrt();
    vec![
        got("log_one_sided", log_e_one_sided(&contrast, tau(2.0 * level))),
        got("log_two_sided", log_e_two_sided(&contrast, tau(level))),
    ]
}

pub fn mixture_bound(v: &Vector) -> Answer {
    let (alpha, level, root) = (v.number("alpha"), v.number("alpha_opt"), v.number("v").sqrt());
    let two = two_sided_multiplier(tuned(v, level), alpha);
    let one = one_sided_multiplier(tuned(v, 2.0 * level), alpha);
    vec![got("two_sided", two * root), got("one_sided", one * root), got("two_sided_z", two), got("one_sided_z", one)]
}

pub fn group_sequential(v: &Vector) -> Answer {
    let t = v.numbers("spend_fraction").or_else(|| v.numbers("t")).expect("fractions of the plan");
    let information = v.numbers("information").unwrap_or_else(|| t.clone());
    let alpha = v
        .optional("alpha_one_sided")
        .or_else(|| v.optional("alpha_two_sided").map(|alpha| 0.5 * alpha))
        .unwrap_or_else(|| v.number("alpha") / v.optional("sides").unwrap_or(1.0));
    let words = format!("{} {} {}", v.text("spending").unwrap_or_default(), v.id, v.method).to_lowercase();
    let spending = match v.optional("rho") {
        Some(rho) => Spending::Power(rho),
        None if words.contains("pocock") => Spending::Pocock,
        None => Spending::OBrienFleming,
    };
    vec![got("bounds", bounds(spending, alpha, &information, &t).expect("bounds"))]
}

fn design(v: &Vector, ratio: f64) -> Design {
    Design {
        alpha: v.number("alpha"),
        two_sided: !matches!(v.text("alternative"), Some("larger" | "smaller" | "greater" | "less")),
        power: v.number("power"),
        ratio,
    }
}

pub fn units(v: &Vector) -> Answer {
    let (design, effect) = (design(v, v.optional("ratio").unwrap_or(1.0)), v.number("effect_sd"));
    vec![
        got("n_control_normal", control_units(&design, 1.0, effect).expect("a size")),
        got("n_control_t", control_units_student(&design, 1.0, effect).expect("a size")),
    ]
}

pub fn total_units(v: &Vector) -> Answer {
    let design = design(v, v.optional("ratio_treatment_to_control").unwrap_or(1.0));
    let effect = v.optional("effect_size").unwrap_or_else(|| v.number("mean") * v.number("rel_effect_size"));
    vec![got("n_total", total(&design, v.number("var"), effect).expect("a size"))]
}

pub fn units_for_a_rate(v: &Vector) -> Answer {
    let (rate, margin) = (v.number("p_control"), v.number("margin_abs"));
    let (alpha, power) = (v.number("alpha_one_sided"), v.number("power"));
    vec![got("n_per_arm", units_for_rate_non_inferiority(rate, margin, alpha, power).expect("a size"))]
}
