//! Several p-values at once: which survive, and what each is worth after adjustment.
//!
//! Holm (Holm 1979) controls the chance of any false rejection under every dependence; Bonferroni likewise, with less power.
//! Benjamini–Hochberg (1995) controls the false discovery rate under positive dependence, Benjamini–Yekutieli (2001) under any.
//! The Šidák forms need independence: metrics of the same units are correlated, so they are here only to reproduce other
//! tools' numbers.
//!
//! Assumes: valid p-values; under nightly looks that means always-valid ones. A p-value that is no number counts as 1.
//! Fails: an empty family gives an empty answer, not a pass.

use serde::{Deserialize, Serialize};

/// Adjusted p-values and verdicts, in the order of the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjusted {
    /// Adjusted p-values.
    pub adjusted: Vec<f64>,
    /// Whether each is rejected at the level asked for.
    pub reject: Vec<bool>,
}

/// A procedure for a family of p-values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Procedure {
    /// p·m.
    Bonferroni,
    /// Step-down Bonferroni.
    Holm,
    /// 1 − (1 − p)^m; independent tests only.
    Sidak,
    /// Step-down Šidák; independent tests only.
    HolmSidak,
    /// Step-up Bonferroni; positive dependence.
    Hochberg,
    /// False discovery rate under positive dependence.
    BenjaminiHochberg,
    /// False discovery rate under any dependence.
    BenjaminiYekutieli,
}

/// Adjusts a family of p-values and rejects those at or below `alpha`.
pub fn adjust(procedure: Procedure, p_values: &[f64], alpha: f64) -> Adjusted {
    let m = p_values.len();
    let clean: Vec<f64> = p_values.iter().map(|p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }).collect();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by(|&a, &b| clean[a].total_cmp(&clean[b]));
    let harmonic: f64 = (1..=m).map(|k| 1.0 / k as f64).sum();
    // `left` hypotheses are not smaller than the one at hand; `rank` counts from 1.
    let single = |p: f64, rank: usize| {
        let left = (m + 1 - rank) as f64;
        match procedure {
            Procedure::Bonferroni => p * m as f64,
            Procedure::Sidak => -(m as f64 * (-p).ln_1p()).exp_m1(),
            Procedure::Holm | Procedure::Hochberg => p * left,
            Procedure::HolmSidak => -(left * (-p).ln_1p()).exp_m1(),
            Procedure::BenjaminiHochberg => p * m as f64 / rank as f64,
            Procedure::BenjaminiYekutieli => p * harmonic * m as f64 / rank as f64,
        }
    };
    let mut adjusted = vec![1.0; m];
    let mut bound = |index: usize, rank: usize, so_far: f64, down: bool| {
        let value = single(clean[index], rank);
        let value = if down { value.max(so_far) } else { value.min(so_far) };
        adjusted[index] = value.min(1.0);
        value
    };
    match procedure {
        Procedure::Hochberg | Procedure::BenjaminiHochberg | Procedure::BenjaminiYekutieli => {
            let mut least = 1.0;
            for (position, &index) in order.iter().enumerate().rev() {
                least = bound(index, position + 1, least, false);
            }
        }
        Procedure::Bonferroni | Procedure::Sidak | Procedure::Holm | Procedure::HolmSidak => {
            let mut largest = 0.0;
            for (position, &index) in order.iter().enumerate() {
                largest = bound(index, position + 1, largest, true);
            }
        }
    }
    let reject = adjusted.iter().map(|&p| p <= alpha).collect();
    Adjusted { adjusted, reject }
}

/// Holm's step-down procedure.
pub fn holm(p_values: &[f64], alpha: f64) -> Adjusted {
    adjust(Procedure::Holm, p_values, alpha)
}

/// Benjamini and Hochberg's step-up procedure.
pub fn benjamini_hochberg(p_values: &[f64], alpha: f64) -> Adjusted {
    adjust(Procedure::BenjaminiHochberg, p_values, alpha)
}
