//! Several e-values at once, given as logarithms, under any dependence between them.
//!
//! * [`e_bh`]: e-BH rejects the k̂ largest, k̂ = max{k : k·e_(k)/m ≥ 1/α}; false discovery rate ≤ α. Exploration only.
//! * [`closure_adjusted`]: e*_g = min over j of (E_g + the j smallest others)/(j + 1); rejecting at 1/α controls the chance of
//!   any false rejection. It is the closed test of the average e-value, and dominates Bonferroni.
//!
//! Assumes: e-values at one and the same night; a maximum over nights is not one. Not-a-number counts as E = 1.
//!
//! Reference: Wang & Ramdas 2022, section 4 (~); Vovk & Wang 2021, section 4 (~); statistics.md section 7.

use std::f64::consts::LN_10;

/// Comparisons at a threshold allow for the rounding of a logarithm.
const SLACK: f64 = 1e-12;

/// For each e-value whether e-BH rejects it at false discovery rate `alpha`.
pub fn e_bh(log_es: &[f64], alpha: f64) -> Vec<bool> {
    let order = descending(log_es);
    let m = log_es.len() as f64;
    let passes = |position: usize| {
        let k = (position + 1) as f64;
        reaches(clean(log_es[order[position]]) + (k / m).ln(), alpha)
    };
    let count = (0..order.len()).rev().find(|&position| passes(position)).map_or(0, |position| position + 1);
    let mut rejected = vec![false; log_es.len()];
    for &index in order.iter().take(count) {
        rejected[index] = true;
    }
    rejected
}

/// ln of the e-values adjusted by closure of the mean, in the order of the input.
pub fn closure_adjusted(log_es: &[f64]) -> Vec<f64> {
    let mut ascending: Vec<(f64, usize)> =
        log_es.iter().enumerate().map(|(index, log_e)| (clean(*log_e), index)).collect();
    ascending.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut adjusted = vec![0.0; log_es.len()];
    for (own, &(log_own, index)) in ascending.iter().enumerate() {
        // In units of the own e-value: what joins is smaller than the mean so far, so nothing overflows, and what underflows
        // adds nothing to it.
        let (mut sum, mut count) = (1.0, 1.0);
        for &(log_other, _) in ascending[..own].iter() {
            let other = (log_other - log_own).exp();
            // From here on every further one is larger than the mean and raises it.
            if other * count >= sum {
                break;
            }
            sum += other;
            count += 1.0;
        }
        adjusted[index] = if log_own.is_infinite() { log_own } else { log_own + f64::ln(sum / count) };
    }
    adjusted
}

/// Whether ln E reaches ln(1/α), up to the rounding of the logarithm.
pub fn reaches(log_e: f64, alpha: f64) -> bool {
    let needed = -alpha.ln();
    log_e >= needed - SLACK * needed.abs().max(1.0)
}

/// log10 of an e-value given as ln, as the report shows it.
pub fn log10_e(log_e: f64) -> f64 {
    log_e / LN_10
}

fn clean(log_e: f64) -> f64 {
    if log_e.is_nan() { 0.0 } else { log_e }
}

fn descending(log_es: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..log_es.len()).collect();
    order.sort_by(|&a, &b| clean(log_es[b]).total_cmp(&clean(log_es[a])));
    order
}
