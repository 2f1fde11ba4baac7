//! The loss that promoting now would be expected to cost: a number for people to sort by, not a rule.
//!
//! What is computed: E[max(0, −g)] under g ~ N(m, s²), the posterior of the candidate's effect g (positive = better) under a N(0, τ²)
//! prior: m = ĝτ²/(τ² + V), s² = Vτ²/(τ² + V), loss = s[φ(a) − aΦ(−a)] with a = m/s. In the unit of ĝ.
//!
//! Assumes: the prior. Fails: as a decision rule; it is not calibrated under nightly stopping over many metrics.
//!
//! Reference: Deng, Lu & Chen 2016; Raiffa & Schlaifer 1961 (the unit normal loss integral); statistics.md section 8.

use super::contrast::Contrast;
use super::insufficient::{Insufficient, finite, positive};
use super::normal;

/// The expected loss of promoting the candidate whose effect is `better` (positive = candidate better), prior scale `tau`.
///
/// # Errors
/// [`Insufficient`] if the contrast is not finite, has no variance, or `tau` is not above zero.
pub fn expected_loss(better: &Contrast, tau: f64) -> Result<f64, Insufficient> {
    finite("the effect", better.estimate)?;
    positive("the variance of the effect", better.variance)?;
    positive("the prior's scale", tau)?;
    // V/(τ² + V) without squaring τ alone: tiny scales must not underflow.
    let root = better.variance.sqrt() / tau;
    let kept = 1.0 / (1.0 + root * root);
    let (mean, sd) = (better.estimate * kept, (better.variance * kept).sqrt());
    let a = mean / sd;
    let unit_loss = if a > 5.0 { far_loss(a) } else { normal::pdf(a) - a * normal::cdf(-a) };
    finite("the expected loss", sd * unit_loss)
}

/// φ(a) − aΦ(−a) for large a, where the two terms cancel: φ(a)·(1/a² − 3/a⁴ + 15/a⁶ − …), the tail's own expansion.
fn far_loss(a: f64) -> f64 {
    let b = 1.0 / (a * a);
    let (mut term, mut sum) = (b, 0.0f64);
    for k in 1..40 {
        let next = -term * f64::from(2 * k + 1) * b;
        sum += term;
        // The expansion diverges in the end: stop at its smallest term.
        if next.abs() >= term.abs() || term.abs() < 1e-17 * sum.abs() {
            break;
        }
        term = next;
    }
    normal::pdf(a) * sum
}
