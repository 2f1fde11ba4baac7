//! Does the effect hold? Heterogeneity of an effect over parts of an experiment, and the novelty check of early against late.
//!
//! What is tested: H0 "the same effect in every part", by Cochran's Q = Σ (d_i − d̄)²/V_i with d̄ the inverse-variance
//! mean, chi-square with k − 1 degrees of freedom.
//!
//! Assumes: independent parts (halves by the units' tenure, disjoint cohorts), near-normal estimates. A flag, never an
//! estimate: inverse-variance weights are fine for asking whether parts agree and wrong for combining strata.
//!
//! Fails: low power with few days; one look at the moment of promotion, not a nightly hunt.
//!
//! Reference: Cochran 1954; statistics.md section 6, gate 5.

use serde::{Deserialize, Serialize};

use super::contrast::Contrast;
use super::insufficient::{Insufficient, finite, positive};
use super::tails;

/// p below this flags the effect as unsteady.
pub const FLAG_BELOW: f64 = 0.01;

/// Cochran's Q.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heterogeneity {
    /// The inverse-variance mean that the parts are measured against; not an estimate to report.
    pub mean: Contrast,
    /// The statistic.
    pub q: f64,
    /// Parts minus one.
    pub df: u64,
    /// p-value.
    pub p: f64,
    /// log10 of `p`.
    pub log10_p: f64,
}

/// Whether `parts` share one effect.
///
/// # Errors
/// [`Insufficient`] with fewer than two parts, or if an effect or variance is not finite and above zero.
pub fn heterogeneity(parts: &[Contrast]) -> Result<Heterogeneity, Insufficient> {
    if parts.len() < 2 {
        return Err(Insufficient::out_of_range("the number of parts", parts.len() as f64, "at least two"));
    }
    let (mut weight, mut weighted) = (0.0, 0.0);
    for part in parts {
        let information = 1.0 / positive("the variance of a part", part.variance)?;
        weight += information;
        weighted += information * finite("the effect of a part", part.estimate)?;
    }
    let mean = weighted / weight;
    let q = parts.iter().map(|p| (p.estimate - mean) * (p.estimate - mean) / p.variance).sum();
    let q = finite("Cochran's Q", q)?;
    let df = parts.len() as u64 - 1;
    let ln_p = tails::ln_chi_square_sf(q, df as f64);
    Ok(Heterogeneity {
        mean: Contrast { estimate: mean, variance: 1.0 / weight },
        q,
        df,
        p: ln_p.exp(),
        log10_p: ln_p / std::f64::consts::LN_10,
    })
}

/// Early against late.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    /// The test.
    pub heterogeneity: Heterogeneity,
    /// The effects differ at [`FLAG_BELOW`].
    pub flagged: bool,
    /// They differ and the candidate is losing ground: a reason to hold a promotion.
    pub fading: bool,
}

/// Compares the effect in the early and in the late half of the units' tenure; both with positive = candidate better.
///
/// # Errors
/// As [`heterogeneity`].
pub fn novelty(early: &Contrast, late: &Contrast) -> Result<Novelty, Insufficient> {
    let heterogeneity = heterogeneity(&[*early, *late])?;
    let flagged = heterogeneity.p < FLAG_BELOW;
    Ok(Novelty { heterogeneity, flagged, fading: flagged && late.estimate < early.estimate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fading_effects_are_told_from_noise() {
        let part = |estimate, variance| Contrast { estimate, variance };
        let steady = novelty(&part(0.05, 1e-4), &part(0.01, 2e-4)).unwrap();
        // By scipy.
        assert!((steady.heterogeneity.q - 5.333_333_333_333_333).abs() < 1e-12);
        assert!((steady.heterogeneity.p - 0.020_921_335_337_794_035).abs() < 1e-12);
        assert!(!steady.flagged && !steady.fading);
        let fading = novelty(&part(0.08, 1e-4), &part(-0.01, 1e-4)).unwrap();
        assert!(fading.flagged && fading.fading);
        let growing = novelty(&part(-0.01, 1e-4), &part(0.08, 1e-4)).unwrap();
        assert!(growing.flagged && !growing.fading);
        assert!(novelty(&part(0.1, 0.0), &part(0.1, 1.0)).is_err());
        assert!(heterogeneity(&[part(0.1, 1.0)]).is_err());
    }
}
