//! Quantiles of events (latency p50, p99) with intervals that respect units. For display: decisions use
//! [`super::exceedance`], which is additive over strata.
//!
//! What is estimated: the type-7 quantile of sorted values (linear between order statistics), or the quantile of a histogram
//! on a fixed grid (linear within a bucket). F̂ at the quantile is a ratio metric, I_i events at or below it over N_i
//! events, so its standard error σ_F comes from [`super::ratio`]. The outer interval is [q̂(p − zσ_F), q̂(p + zσ_F)].
//!
//! Assumes: σ_F from units, not events; at least a hundred events beyond the quantile and a thousand units.
//!
//! Fails: quantiles do not add over strata, and a sequential test on nightly re-estimated ones is not valid.
//!
//! Reference: Liu, Sun, Varshney & Xu 2019; Deng, Knoblich & Lu 2018 section 4; Hyndman & Fan 1996 (type 7); David & Nagaraja
//! 2003 section 7.1 (order statistics); statistics.md 1.5.

use serde::{Deserialize, Serialize};

use super::fieller::Interval;
use super::insufficient::{Insufficient, finite, open_unit, positive};
use super::normal;

/// The type-7 quantile of ascending `sorted` values at `p` in 0..=1.
///
/// # Errors
/// [`Insufficient`] without values, if `p` is outside 0..=1, or if a value around it is not finite.
pub fn of_sorted(sorted: &[f64], p: f64) -> Result<f64, Insufficient> {
    let last = sorted.len().checked_sub(1).ok_or(Insufficient::NoUnits)?;
    if !(0.0..=1.0).contains(&p) {
        return Err(Insufficient::out_of_range("the quantile's level", p, "between 0 and 1"));
    }
    let position = p * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high) = (sorted[below], sorted[above]);
    finite("a quantile", low + (high - low) * (position - below as f64))
}

/// The quantile of a histogram at `p`: bucket j holds the events in (`edges[j]`, `edges[j + 1]`], linear within. All arms
/// must share the edges.
///
/// # Errors
/// [`Insufficient`] without events, if edges are not ascending or not one more than the counts, or `p` is outside 0..=1.
pub fn of_histogram(edges: &[f64], counts: &[u64], p: f64) -> Result<f64, Insufficient> {
    if edges.len() != counts.len() + 1 {
        return Err(Insufficient::out_of_range(
            "the number of bucket edges",
            edges.len() as f64,
            "one more than the counts",
        ));
    }
    if !(0.0..=1.0).contains(&p) {
        return Err(Insufficient::out_of_range("the quantile's level", p, "between 0 and 1"));
    }
    if let Some(pair) = edges.windows(2).find(|pair| pair[0].partial_cmp(&pair[1]).is_none_or(|order| order.is_ge())) {
        return Err(Insufficient::out_of_range("a bucket edge", pair[1], "above the edge before it"));
    }
    let total = counts.iter().map(|&count| count as f64).sum::<f64>();
    let (mut below, target) = (0.0, p * total);
    for (bucket, &count) in counts.iter().enumerate() {
        let count = count as f64;
        if count > 0.0 && below + count >= target {
            let (low, high) = (edges[bucket], edges[bucket + 1]);
            return finite("a quantile", low + (high - low) * ((target - below) / count));
        }
        below += count;
    }
    Err(Insufficient::NoUnits)
}

/// σ_F of independent events: √(p(1 − p)/n). Too small by the design effect when units have several events.
pub fn sigma_of_independent(p: f64, events: u64) -> f64 {
    (p * (1.0 - p) / events as f64).sqrt()
}

/// An outer interval and the standard error that its width implies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outer {
    /// [q̂(p − zσ), q̂(p + zσ)]; a side whose level leaves 0..=1 is unbounded.
    pub interval: Interval,
    /// Width/(2z); infinite if a side is unbounded.
    pub standard_error: f64,
}

/// The outer interval at level `p`, `sigma` standard error of F̂ and multiplier `z`; `quantile` gives q̂ at a level.
///
/// # Errors
/// [`Insufficient`] if a parameter is out of range, or as `quantile`.
pub fn outer(
    quantile: impl Fn(f64) -> Result<f64, Insufficient>,
    p: f64,
    sigma: f64,
    z: f64,
) -> Result<Outer, Insufficient> {
    open_unit("the quantile's level", p)?;
    positive("the standard error of the distribution function", sigma)?;
    positive("the multiplier of the standard error", z)?;
    let (low, high) = (p - z * sigma, p + z * sigma);
    let low = if low < 0.0 { f64::NEG_INFINITY } else { quantile(low)? };
    let high = if high > 1.0 { f64::INFINITY } else { quantile(high)? };
    Ok(Outer { interval: Interval { low, high }, standard_error: (high - low) / (2.0 * z) })
}

/// The quantile's standard error σ_F/f̂ with the density f̂ read from the outer interval of `events` independent events at
/// multiplier `z`: the same order as [`outer`] with σ_F, and steadier when σ_F is large.
///
/// # Errors
/// As [`outer`].
pub fn standard_error_by_density(
    quantile: impl Fn(f64) -> Result<f64, Insufficient>,
    p: f64,
    sigma: f64,
    events: u64,
    z: f64,
) -> Result<f64, Insufficient> {
    let independent = sigma_of_independent(p, events);
    outer(quantile, p, independent, z).map(|o| o.standard_error * sigma / independent)
}

/// The exact interval for independent values: order statistics whose ranks are binomial quantiles. A rank beyond the data
/// leaves that side unbounded.
///
/// # Errors
/// [`Insufficient`] without values or if a level is outside (0, 1).
pub fn exact_interval(sorted: &[f64], p: f64, confidence: f64) -> Result<Interval, Insufficient> {
    open_unit("the quantile's level", p)?;
    let tail = 0.5 * (1.0 - open_unit("the confidence level", confidence)?);
    if sorted.is_empty() {
        return Err(Insufficient::NoUnits);
    }
    let (lower, upper) = binomial_ranks(sorted.len(), p, tail);
    let low = lower.checked_sub(1).and_then(|rank| sorted.get(rank)).copied().unwrap_or(f64::NEG_INFINITY);
    let high = sorted.get(upper).copied().unwrap_or(f64::INFINITY);
    Ok(Interval { low, high })
}

/// The smallest k with P(X ≤ k) ≥ tail, and the smallest k with P(X > k) ≤ tail, for X ~ Binomial(n, p).
fn binomial_ranks(n: usize, p: f64, tail: f64) -> (usize, usize) {
    // Probabilities relative to the mode's, outwards until they vanish: no logarithm of a factorial, no underflow.
    let mode = (((n + 1) as f64 * p) as usize).min(n);
    let odds = p / (1.0 - p);
    let up = |k: usize| (n - k) as f64 / (k + 1) as f64 * odds;
    let relative = |from: f64| from > 1e-40;
    let mut below = vec![1.0];
    for k in (0..mode).rev() {
        let next = below[below.len() - 1] / up(k);
        if !relative(next) {
            break;
        }
        below.push(next);
    }
    let mut above = Vec::new();
    let mut current = 1.0;
    for k in mode..n {
        current *= up(k);
        if !relative(current) {
            break;
        }
        above.push(current);
    }
    let first = mode + 1 - below.len();
    below.reverse();
    below.extend(above);
    let total: f64 = below.iter().sum();
    let target = tail * total;
    // A hair of slack, so that a rank whose probability equals the tail is not lost to rounding.
    let enough = target * (1.0 - 1e-12);
    let mut cumulative = 0.0;
    let lower = below.iter().position(|&mass| {
        cumulative += mass;
        cumulative >= enough
    });
    let mut beyond = 0.0;
    let from_top = below.iter().rev().position(|&mass| {
        beyond += mass;
        beyond > target * (1.0 + 1e-12)
    });
    let last = below.len() - 1;
    (first + lower.unwrap_or(last), first + last - from_top.unwrap_or(last))
}

/// Half the width of a two-sided interval with this confidence, in standard errors.
pub fn multiplier(confidence: f64) -> f64 {
    normal::upper_quantile(0.5 * (1.0 - confidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_gives_the_quantile_of_its_events() {
        let (edges, counts) = ([0.0, 10.0, 20.0, 40.0], [50, 30, 20]);
        assert_eq!(of_histogram(&edges, &counts, 0.5), Ok(10.0));
        assert_eq!(of_histogram(&edges, &counts, 0.9), Ok(30.0));
        assert_eq!(of_histogram(&edges, &[0, 0, 0], 0.5), Err(Insufficient::NoUnits));
        assert!(of_histogram(&edges, &[1, 2], 0.5).is_err());
        assert!(of_histogram(&[0.0, f64::NAN, 1.0], &[1, 2], 0.5).is_err());
    }

    #[test]
    fn levels_beyond_the_data_leave_an_interval_open() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let at = |p| of_sorted(&values, p);
        let top = outer(at, 0.99, 0.05, 1.96).unwrap();
        assert_eq!(top.interval.high, f64::INFINITY);
        assert!(top.standard_error.is_infinite());
        assert_eq!(exact_interval(&values, 0.99, 0.95).unwrap().high, f64::INFINITY);
        assert_eq!(of_sorted(&[], 0.5), Err(Insufficient::NoUnits));
        assert!(of_sorted(&values, 1.5).is_err() && of_sorted(&values, f64::NAN).is_err());
    }
}
