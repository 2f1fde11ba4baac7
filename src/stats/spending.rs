//! How much of α a group-sequential test may have used by a given fraction of its plan.
//!
//! Lan–DeMets spending functions at a ONE-SIDED level α, for t in 0..=1:
//!
//! * O'Brien–Fleming: 2 − 2Φ(z_{α/2}/√t): almost nothing early, nearly all of α at the end;
//! * Pocock: α ln(1 + (e − 1)t): evenly;
//! * power: α t^ρ.
//!
//! A trap: published "two-sided .05" tables spend α/2 = .025 per side, so they are α = 0.025 here.
//!
//! Reference: Lan & DeMets 1983, Biometrika 70, p. 661; Kim & DeMets 1987 (power family); statistics.md 3.5.

use serde::{Deserialize, Serialize};

use super::normal;

/// A spending function.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Lan–DeMets, O'Brien–Fleming type.
    OBrienFleming,
    /// Lan–DeMets, Pocock type.
    Pocock,
    /// α t^ρ with this ρ > 0.
    Power(f64),
}

impl Spending {
    /// Cumulative α spent at fraction `t` of the plan; nothing before the start, all of it after the end.
    pub fn spent(&self, alpha: f64, t: f64) -> f64 {
        if t.is_nan() || t <= 0.0 {
            return 0.0;
        }
        let t = t.min(1.0);
        let spent = match self {
            Spending::OBrienFleming => 2.0 * normal::sf(normal::upper_quantile(0.5 * alpha) / t.sqrt()),
            Spending::Pocock => alpha * (std::f64::consts::E * t - t).ln_1p(),
            Spending::Power(rho) => alpha * t.powf(*rho),
        };
        // A power below or at zero, or no number, spends nothing rather than everything.
        if spent.is_nan() || matches!(self, Spending::Power(rho) if *rho <= 0.0) { 0.0 } else { spent.min(alpha) }
    }
}
