//! E-values of the normal mixture: evidence that stays valid however often one looks.
//!
//! What is computed: the Bayes factor of a contrast against ψ = 0 with ψ ~ N(0, τ²) (two-sided) or |N(0, τ²)| (one-sided,
//! mass on ψ > 0 only), in logarithms. With u = τ²/V and z = ψ/√V,
//!
//! ```text
//! ln E₂ = u z²/(2(1+u)) − ½ ln(1+u)
//! ln E₁ = ln 2 + ln E₂ + ln Φ(z √(u/(1+u)))
//! ```
//!
//! Under the null E is a non-negative supermartingale starting at 1 (for the one-sided form under every ψ ≤ 0), so
//! P(ever E ≥ 1/α) ≤ α at any number of looks (Ville).
//!
//! Assumes: closed disjoint cohorts (independent increments), many units before the first look (asymptotic). τ is frozen
//! before the first look; the margin times the control's mean is a good choice.
//!
//! Fails: growing per-unit totals (dependent increments); a maximum over nights is not an e-value, though one over it is
//! a valid p-value; products over metrics are not e-values, averages are.
//!
//! Reference: statistics.md 3.1; Robbins 1970; Johari et al. 2022 (mSPRT); Howard et al. 2021 eq. 14; Waudby-Smith et al.
//! 2024 Theorem 2.2; Vovk & Wang 2021 (averages).

use std::f64::consts::{LN_2, LN_10};

use super::contrast::Contrast;
use super::normal;

/// ln of the one-sided e-value for ψ > 0. `tau` is on the contrast's scale. A contrast or τ without information gives 0,
/// that is E = 1: no evidence either way.
pub fn log_e_one_sided(contrast: &Contrast, tau: f64) -> f64 {
    match mixture(contrast, tau) {
        Some((u, z)) => {
            let shrunk = shrinkage(u).sqrt();
            bounded(LN_2 + two_sided(u, z) + normal::ln_cdf(z * shrunk))
        }
        None => 0.0,
    }
}

/// ln of the two-sided e-value for ψ ≠ 0; conventions as for [`log_e_one_sided`].
pub fn log_e_two_sided(contrast: &Contrast, tau: f64) -> f64 {
    mixture(contrast, tau).map_or(0.0, |(u, z)| bounded(two_sided(u, z)))
}

/// u = τ²/V and z, if both are numbers that carry information.
fn mixture(contrast: &Contrast, tau: f64) -> Option<(f64, f64)> {
    let z = contrast.z();
    // (τ/√V)² instead of τ²/V: tiny scales must not underflow.
    let root = tau / contrast.variance.sqrt();
    let u = root * root;
    (tau > 0.0 && contrast.variance > 0.0 && u > 0.0 && u.is_finite() && z.is_finite()).then_some((u, z))
}

fn two_sided(u: f64, z: f64) -> f64 {
    0.5 * (shrinkage(u) * z * z - u.ln_1p())
}

/// u/(1 + u) without overflow.
fn shrinkage(u: f64) -> f64 {
    1.0 / (1.0 + 1.0 / u)
}

/// Finite, so that it can be stored and averaged.
fn bounded(log_e: f64) -> f64 {
    log_e.clamp(-f64::MAX, f64::MAX)
}

/// ln of the mean of e-values given as logarithms, without overflow (log-sum-exp). The mean of e-values is an e-value
/// under any dependence. Not-a-number counts as E = 1; no values at all give 0, E = 1.
pub fn average_e(log_es: &[f64]) -> f64 {
    if log_es.is_empty() {
        return 0.0;
    }
    let clean = |log_e: &f64| if log_e.is_nan() { 0.0 } else { *log_e };
    let largest = log_es.iter().map(clean).fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    let sum: f64 = log_es.iter().map(|log_e| (clean(log_e) - largest).exp()).sum();
    largest + (sum / log_es.len() as f64).ln()
}

/// The always-valid p-value after the looks so far: min over looks of 1/E, at most 1 (Johari et al. 2022).
pub fn always_valid_p(log_es: &[f64]) -> f64 {
    (-largest_evidence(log_es)).exp()
}

/// log10 of [`always_valid_p`]; keeps its meaning below 1e-300.
pub fn log10_always_valid_p(log_es: &[f64]) -> f64 {
    -largest_evidence(log_es) / LN_10
}

/// max(0, ln E over the looks).
fn largest_evidence(log_es: &[f64]) -> f64 {
    log_es.iter().copied().filter(|e| !e.is_nan()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::quadrature;

    /// Under ψ = 0 the mean of E over its own law is 1, at every amount of information.
    #[test]
    fn the_mean_under_the_null_is_one() {
        for tau in [0.1, 1.0, 3.0] {
            let mean = |log_e: fn(&Contrast, f64) -> f64| {
                quadrature::integrate(-35.0, 35.0, 140, |z| {
                    normal::pdf(z) * log_e(&Contrast { estimate: z, variance: 1.0 }, tau).exp()
                })
            };
            assert!((mean(log_e_two_sided) - 1.0).abs() < 1e-10);
            assert!((mean(log_e_one_sided) - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn what_carries_no_information_is_no_evidence() {
        let contrast = |estimate, variance| Contrast { estimate, variance };
        for bad in [contrast(1.0, 0.0), contrast(1.0, f64::NAN), contrast(f64::NAN, 1.0), contrast(1.0, -1.0)] {
            assert_eq!(log_e_one_sided(&bad, 0.1), 0.0);
            assert_eq!(log_e_two_sided(&bad, 0.1), 0.0);
        }
        assert_eq!(log_e_one_sided(&contrast(1.0, 1.0), f64::NAN), 0.0);
        assert_eq!(log_e_one_sided(&contrast(1.0, 1.0), -1.0), 0.0);
        assert!(log_e_one_sided(&contrast(1e200, 1.0), 1.0).is_finite());
    }

    #[test]
    fn averages_and_p_values_survive_extremes() {
        assert!((average_e(&[1000.0, 0.0]) - (1000.0 - LN_2)).abs() < 1e-12);
        assert_eq!(average_e(&[]), 0.0);
        assert!((average_e(&[f64::NAN, 0.0])).abs() < 1e-15);
        assert_eq!(always_valid_p(&[-3.0, f64::NAN]), 1.0);
        assert!((log10_always_valid_p(&[2000.0, 5.0]) + 2000.0 / LN_10).abs() < 1e-9);
    }
}
