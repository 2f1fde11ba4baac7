//! Student's t with any degrees of freedom from 1 to infinity, in both tails, as logarithms.
//!
//! With w² = ν ln(1 + t²/ν) the tail is an integral that is nearly normal for every ν and never underflows:
//!
//! ```text
//! P(T > t) = C_ν ∫_w^∞ exp(−v²/2) g(v²/ν) dv,   g(x) = √(x/(1 − e^{−x})),   C_ν = Γ((ν+1)/2)/(√(νπ) Γ(ν/2))
//! ```
//!
//! It follows from the density by substitution (the same w as in Wallace 1959 and Hill 1970, algorithm 395), and is
//! integrated numerically. A library's inverse hangs or drifts at large ν, where this one is at its best.

use std::f64::consts::{LN_2, LN_10};

use super::{normal, quadrature};

/// ln √(2π).
const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;
/// Beyond this the difference from the normal is below 1e-12 in every tail that can be written down.
const NORMAL_DF: f64 = 1e16;
/// exp of minus this is negligible beside 1.
const NEGLIGIBLE: f64 = 45.0;

/// ln P(T > t). NaN if t is no number or `df` is not above 0.
pub fn ln_sf(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if df >= NORMAL_DF {
        return normal::ln_sf(t);
    }
    let upper = ln_tail(deviate(t.abs(), df), df);
    if t >= 0.0 { upper } else { (-upper.exp()).ln_1p() }
}

/// P(T > t).
pub fn sf(t: f64, df: f64) -> f64 {
    ln_sf(t, df).exp()
}

/// Two-sided p-value; 1 if the statistic is no number.
pub fn two_sided_p(t: f64, df: f64) -> f64 {
    let ln_p = LN_2 + ln_sf(t.abs(), df);
    if ln_p.is_nan() { 1.0 } else { ln_p.min(0.0).exp() }
}

/// log10 of the two-sided p-value.
pub fn log10_two_sided_p(t: f64, df: f64) -> f64 {
    let ln_p = LN_2 + ln_sf(t.abs(), df);
    if ln_p.is_nan() { 0.0 } else { ln_p.min(0.0) / LN_10 }
}

/// The t with P(T > t) = p; NaN outside 0..=1 or if `df` is not above 0.
pub fn upper_quantile(p: f64, df: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if df >= NORMAL_DF || p == 0.0 || p == 1.0 {
        return normal::upper_quantile(p);
    }
    if p > 0.5 {
        // 1 − p is exact here (Sterbenz), so that the two halves mirror each other.
        return -upper_quantile(1.0 - p, df);
    }
    // ln of the tail is concave in w and close to the normal's, so Newton's steps settle quickly from there.
    let target = p.ln();
    let mut w = normal::upper_quantile(p).max(0.0);
    for _ in 0..60 {
        let ln_tail = ln_tail(w, df);
        let hazard = (ln_constant(df) - 0.5 * w * w - ln_tail).exp() * stretch(w * w / df);
        let step = (ln_tail - target) / hazard;
        w = (w + step).max(0.0);
        // Quadratic convergence: the error after this step is of the order of its square.
        if step.abs() <= 1e-9 * (1.0 + w) {
            break;
        }
    }
    // √(ν(eˣ − 1)) with x = w²/ν; the quotient of exponentials keeps eˣ from overflowing.
    let x = w * w / df;
    df.sqrt() * (0.5 * x).exp() * (-(-x).exp_m1()).sqrt()
}

/// w = √(ν ln(1 + t²/ν)) for t ≥ 0.
fn deviate(t: f64, df: f64) -> f64 {
    let square = t * t / df;
    let log = if square.is_finite() { square.ln_1p() } else { 2.0 * t.ln() - df.ln() };
    (df * log).sqrt()
}

/// ln of the tail beyond the deviate w ≥ 0.
fn ln_tail(w: f64, df: f64) -> f64 {
    if w.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let reach = 2.0 * NEGLIGIBLE / ((w * w + 2.0 * NEGLIGIBLE).sqrt() + w);
    let integral = quadrature::integrate(0.0, reach, 16, |v| {
        let x = w + v;
        (-v * (w + 0.5 * v)).exp() * stretch(x * x / df)
    });
    ln_constant(df) - 0.5 * w * w + integral.ln()
}

/// g(x) = √(x/(1 − e^{−x})), 1 at 0.
fn stretch(x: f64) -> f64 {
    if x < 1e-300 { 1.0 } else { (x / -(-x).exp_m1()).sqrt() }
}

/// ln C_ν = ln Γ(a + ½) − ln Γ(a) − ½ ln a − ln √(2π) with a = ν/2, by its expansion where that is exact.
fn ln_constant(df: f64) -> f64 {
    let a = 0.5 * df;
    let correction = if a < 16.0 {
        libm::lgamma(a + 0.5) - libm::lgamma(a) - 0.5 * a.ln()
    } else {
        let b = 1.0 / (a * a);
        (-1.0 / 8.0 + b * (1.0 / 192.0 + b * (-1.0 / 640.0 + b * (17.0 / 14_336.0 - b * 31.0 / 18_432.0)))) / a
    };
    correction - LN_SQRT_2PI
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "got {got}, want {want}");
    }

    #[test]
    fn one_and_two_degrees_have_closed_forms() {
        for t in [0.0, 1e-9, 0.3, 1.0, 7.0, 1e4] {
            close(sf(t, 1.0), 0.5 - f64::atan(t) / std::f64::consts::PI, 1e-11 + 1e-15 * t);
            close(sf(t, 2.0), 1.0 / ((2.0 + t * t) * (1.0 + t / (2.0 + t * t).sqrt())), 1e-12);
        }
    }

    /// By mpmath's incomplete beta function.
    #[test]
    fn tails_match_the_incomplete_beta() {
        for (t, df, want) in [
            (3.3, 7.25, -5.076_886_747_088_968),
            (40.0, 50.0, -90.277_853_011_201_14),
            (2.0, 31.5, -3.608_489_791_378_368),
            (12.0, 1e4, -74.890_071_536_961_12),
            (1e-3, 3.0, -0.693_882_555_912_672_3),
        ] {
            close(ln_sf(t, df), want, 1e-13);
        }
    }

    #[test]
    fn huge_degrees_reach_the_normal_and_do_not_hang() {
        for df in [1e5, 1e8, 1e10, 1e12, 1e15, 1e18, f64::INFINITY] {
            close(upper_quantile(0.025, df), normal::upper_quantile(0.025), 8.0 / df + 1e-14);
            close(sf(1.96, df), normal::sf(1.96), 8.0 / df + 1e-13);
        }
        assert!(ln_sf(40.0, 5e4) < -780.0);
    }

    #[test]
    fn quantile_and_tail_invert_each_other() {
        for df in [1.0, 1.7, 4.0, 31.9, 32.1, 300.0, 1e6, 1e12] {
            for p in [0.499_999_999, 0.4, 0.05, 1e-6, 1e-30, 1e-280] {
                close(sf(upper_quantile(p, df), df), p, 1e-10);
                close(-upper_quantile(1.0 - 0.25, df), upper_quantile(0.25, df), 1e-14);
            }
        }
    }
}
