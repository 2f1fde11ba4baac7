//! The breaker: an exact sequential test for rare binary harms (crashes, refusals), allowed from the first unit on.
//!
//! What is tested: H0 "the candidate's rate of affected units is not higher". Given that a unit is affected, under equal rates
//! it is in the candidate with probability q_s, the candidate's realised share of the stratum's units, whatever the base rate
//! or the ramp. If the candidate's rate is λ times the control's it is q_sλ/(q_sλ + 1 − q_s). The e-value averages the
//! likelihood ratio over λ > 1,
//!
//! ```text
//! E = ∫ Π_s λ^{t_s}/(q_sλ + 1 − q_s)^{t_s + c_s} dπ(λ),   λ/(1 + λ) ~ Beta(1, 1) on (½, 1)
//! ```
//!
//! and the integral is a fixed finite mixture, so E is an e-value exactly, not up to quadrature error. Reject at
//! E ≥ 1/α; default α = 0.001.
//!
//! Assumes: first event per unit; each unit in one stratum; strata enter once closed. Drawing without replacement only makes
//! E smaller on average. Non-asymptotic. Fails: several events per unit counted as several.
//!
//! Reference: Lindon & Malek 2022 (inhomogeneous Bernoulli and Poisson processes); Hoeffding 1963, theorem 4 (without
//! replacement); statistics.md 3.4.

use serde::{Deserialize, Serialize};

use super::contrast::Better;
use super::insufficient::{Arm, Insufficient};
use super::proportion::Successes;
use super::quadrature;

/// The default level: a false alarm of the breaker over a whole experiment is a one-in-a-thousand event.
pub const DEFAULT_ALPHA: f64 = 0.001;
/// Panels of ten nodes: the resolution of the mixture in λ/(1 + λ).
const PANELS: usize = 12;

/// Affected units of one stratum in both arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Affected {
    /// Control's units and how many had the event.
    pub control: Successes,
    /// Candidate's units and how many had the event.
    pub candidate: Successes,
}

/// ln of the e-value of harm; `better` says whether the event is welcome (`Higher`: harm is fewer events) or not (`Lower`).
/// No affected unit gives 0: no evidence.
///
/// # Errors
/// [`Insufficient`] if there are no units, or more affected units than units.
pub fn log_e(strata: &[Affected], better: Better) -> Result<f64, Insufficient> {
    let mut units = 0u64;
    let mut tables: Vec<(f64, f64, f64)> = Vec::with_capacity(strata.len());
    for stratum in strata {
        let (control, candidate) = (&stratum.control, &stratum.candidate);
        if control.n == 0 || candidate.n == 0 {
            // One arm alone says nothing about the other.
            continue;
        }
        control.check(Arm::Control)?;
        candidate.check(Arm::Candidate)?;
        units = units.saturating_add(control.n).saturating_add(candidate.n);
        // A welcome event with its arms exchanged is an unwelcome one.
        let (harmed, spared) = match better {
            Better::Lower => (candidate, control),
            Better::Higher => (control, candidate),
        };
        let share = harmed.n as f64 / (harmed.n as f64 + spared.n as f64);
        tables.push((harmed.x as f64, (harmed.x as f64) + (spared.x as f64), share));
    }
    if units == 0 {
        return Err(Insufficient::NoUnits);
    }
    let mut log_terms = Vec::with_capacity(PANELS * 10);
    quadrature::nodes(0.5, 1.0, PANELS, |p, weight| {
        let excess = (2.0 * p - 1.0) / (1.0 - p);
        let log_ratio = excess.ln_1p();
        let log_likelihood: f64 =
            tables.iter().map(|(harmed, all, share)| harmed * log_ratio - all * (share * excess).ln_1p()).sum();
        log_terms.push((log_likelihood, 2.0 * weight));
    });
    let largest = log_terms.iter().map(|(l, _)| *l).fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut mass) = (0.0, 0.0);
    for (log_likelihood, weight) in &log_terms {
        sum += weight * (log_likelihood - largest).exp();
        mass += weight;
    }
    // Divided by the weights' own sum: the mixture is a probability to the last digit.
    Ok(largest + (sum / mass).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(control: (u64, u64), candidate: (u64, u64)) -> Affected {
        let of = |(n, x): (u64, u64)| Successes { n, x };
        Affected { control: of(control), candidate: of(candidate) }
    }

    /// Under H0 each of x affected units falls to the candidate with its share: the mean of E over that law is exactly 1.
    #[test]
    fn its_mean_under_equal_rates_is_one() {
        for (share, x) in [(0.1f64, 12u64), (0.5, 9), (0.25, 30)] {
            let candidate = (1e6 * share) as u64;
            let mut mean = 0.0;
            let mut probability = (1.0 - share).powi(x as i32);
            for k in 0..=x {
                let table = affected((1_000_000 - candidate, x - k), (candidate, k));
                mean += probability * log_e(&[table], Better::Lower).unwrap().exp();
                probability *= (x - k) as f64 / (k + 1) as f64 * (share / (1.0 - share));
            }
            assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        }
    }

    #[test]
    fn fourteen_crashes_to_none_break_at_equal_shares() {
        let night = |t| log_e(&[affected((500, 0), (500, t))], Better::Lower).unwrap();
        assert!(night(12) < -DEFAULT_ALPHA.ln() && night(14) > -DEFAULT_ALPHA.ln());
        assert!(log_e(&[affected((500, 14), (500, 0))], Better::Lower).unwrap() < 0.0);
        assert!(log_e(&[affected((500, 14), (500, 0))], Better::Higher).unwrap() > 6.9);
    }

    #[test]
    fn no_events_are_no_evidence_and_no_units_are_none_either() {
        assert!(log_e(&[affected((500, 0), (500, 0))], Better::Lower).unwrap().abs() < 1e-12);
        assert_eq!(log_e(&[affected((500, 3), (0, 0))], Better::Lower), Err(Insufficient::NoUnits));
        assert!(log_e(&[affected((5, 9), (5, 0))], Better::Lower).is_err());
    }
}
