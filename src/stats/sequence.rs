//! Confidence sequences: the bound multipliers that invert the e-values of [`super::evidence`].
//!
//! What is computed: c(u, α) such that ψ̂ ± c₂√V (two-sided) or ψ̂ − c₁√V (one-sided) covers ψ at all looks together with
//! probability 1 − α, at information u = τ²/V:
//!
//! ```text
//! c₂² = ((1+u)/u)(2 ln(1/α) + ln(1+u))
//! c₁  = the root in z of ln E₁(z) = ln(1/α);   closed form: c₁² = 2((1+u)/u) ln(1 + √(1+u)/(2α)) ≥ root²
//! ```
//!
//! Assumptions and failures are those of the e-values. No information (u ≤ 0) or a level outside (0, 1) gives ∞: an
//! unbounded interval, which can never decide anything.
//!
//! Reference: Waudby-Smith et al. 2024 eq. 9, and Proposition B.1 for the closed form; Howard et al. 2021 eq. 14;
//! statistics.md 3.1 and 3.2.

use std::f64::consts::LN_2;

use super::normal;

/// c₂(u, α): the half width of the two-sided confidence sequence in standard errors.
pub fn two_sided_multiplier(u: f64, alpha: f64) -> f64 {
    if !is_defined(u, alpha) {
        return f64::INFINITY;
    }
    ((1.0 + 1.0 / u) * (-2.0 * alpha.ln() + u.ln_1p())).sqrt()
}

/// c₁(u, α), exact: the z at which the one-sided e-value reaches 1/α.
pub fn one_sided_multiplier(u: f64, alpha: f64) -> f64 {
    if !is_defined(u, alpha) {
        return f64::INFINITY;
    }
    // In y = z√(u/(1+u)) the equation is ln 2 + y²/2 + ln Φ(y) = ln(1/α) + ½ ln(1+u), increasing and convex in y. From
    // the closed form, a few percent above the root, Halley's steps with f' = y + h, f'' = 1 − h(y + h), h = φ/Φ.
    let target = -alpha.ln() + 0.5 * u.ln_1p() - LN_2;
    let mut y = closed_form_y(u, alpha);
    for _ in 0..60 {
        let beyond = normal::sf(y);
        let hazard = normal::pdf(y) / (1.0 - beyond);
        let slope = y + hazard;
        let newton = (0.5 * y * y + (-beyond).ln_1p() - target) / slope;
        let step = newton / (1.0 - 0.5 * newton * (1.0 - hazard * slope) / slope);
        y -= step;
        // Cubic convergence: the error after this step is of the order of its cube.
        if step.abs() <= 1e-5 * y.abs() {
            break;
        }
    }
    y * (1.0 + 1.0 / u).sqrt()
}

/// The closed form that is never below [`one_sided_multiplier`]; for u ≥ 1 within about 2 % of it.
pub fn one_sided_multiplier_closed(u: f64, alpha: f64) -> f64 {
    if !is_defined(u, alpha) {
        return f64::INFINITY;
    }
    closed_form_y(u, alpha) * (1.0 + 1.0 / u).sqrt()
}

/// The information u* at which the two-sided sequence at `alpha` is narrowest, −W₋₁(−α²/e) − 1: the root of
/// u = 2 ln(1/α) + ln(1 + u). For a one-sided level give 2α. τ = √(u*·V) tunes the sequence to the look with variance V.
pub fn optimal_information(alpha: f64) -> f64 {
    if !(alpha > 0.0 && alpha < 1.0) {
        return f64::NAN;
    }
    let target = -2.0 * alpha.ln();
    let mut u = optimal_information_approximate(alpha);
    for _ in 0..60 {
        // Newton on the convex u − ln(1 + u), from any u > 0.
        let step = (u - u.ln_1p() - target) * (1.0 + u) / u;
        u = (u - step).max(0.5 * u);
        if step.abs() <= 1e-9 * u {
            break;
        }
    }
    u
}

/// The usual approximation of [`optimal_information`]: 2 ln(1/α) + ln(1 + 2 ln(1/α)).
pub fn optimal_information_approximate(alpha: f64) -> f64 {
    let target = -2.0 * alpha.ln();
    target + target.ln_1p()
}

fn closed_form_y(u: f64, alpha: f64) -> f64 {
    (2.0 * ((1.0 + u).sqrt() / (2.0 * alpha)).ln_1p()).sqrt()
}

fn is_defined(u: f64, alpha: f64) -> bool {
    u > 0.0 && u.is_finite() && alpha > 0.0 && alpha < 1.0
}
