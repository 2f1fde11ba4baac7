//! Chance: the units of a day and the moments of their metrics.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::trial::{Model, Trial};
use super::world::{Counts, Shape};
use crate::stats::{Moments, Stratum};

/// σ of the log-normal shape.
const LOG_SD: f64 = 1.5;
/// The tail index of the Pareto shape: its variance exists, and barely.
const TAIL: f64 = 2.2;
/// The share of units that have anything at all in the Pareto shape.
const HAVES: f64 = 0.1;
/// Mean number of further events of a unit in the ratio shape; every unit has one.
const FURTHER_EVENTS: f64 = 2.0;

/// The chance of one run: the same for the same seed and number, whatever ran before it and on which thread.
pub(super) fn chance(seed: u64, run: u64) -> Pcg64Mcg {
    // Two neighbouring numbers must not give neighbouring states.
    Pcg64Mcg::seed_from_u64(scramble(seed ^ scramble(run)))
}

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014).
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Units of a day by arm: control, candidate.
pub(super) fn units(trial: &Trial, share: f64, rng: &mut Pcg64Mcg) -> (u64, u64) {
    match trial.counts {
        Counts::Planned => planned_units(trial, share),
        Counts::Drawn => {
            let assigned = binomial(trial.units_per_day, share, rng);
            (trial.units_per_day - assigned, binomial(assigned, 1.0 - trial.candidate_loss, rng))
        }
    }
}

/// Units of a day by arm as planned, less what is lost.
pub(super) fn planned_units(trial: &Trial, share: f64) -> (u64, u64) {
    let candidate = (trial.units_per_day as f64 * share).round() as u64;
    let counted = (candidate as f64 * (1.0 - trial.candidate_loss)).round() as u64;
    (trial.units_per_day.saturating_sub(candidate), counted)
}

fn binomial(n: u64, p: f64, rng: &mut Pcg64Mcg) -> u64 {
    // Only a p outside 0..=1 is refused, and that was checked.
    Binomial::new(n, p.clamp(0.0, 1.0)).map_or(0, |law| law.sample(rng).min(n))
}

/// The moments of every metric on one day. `place` is where they go, a stratum a metric.
pub(super) fn day(trial: &Trial, level: f64, units: (u64, u64), place: &mut [Stratum], rng: &mut Pcg64Mcg) {
    if trial.raw {
        for (model, stratum) in trial.models.iter().zip(place) {
            let control = model.truth.mean * level;
            stratum.control = rows(model, control, 1.0, units.0, rng);
            stratum.candidate = rows(model, control, model.ratio, units.1, rng);
        }
        return;
    }
    let (common, own) = (trial.correlation.sqrt(), (1.0 - trial.correlation).sqrt());
    let roots = ((units.0.max(1) as f64).sqrt(), (units.1.max(1) as f64).sqrt());
    // What moves all metrics of an arm together.
    let shared = (common * normal(rng), common * normal(rng));
    for (model, stratum) in trial.models.iter().zip(place) {
        let control = model.truth.mean * level;
        let (z_control, z_candidate) = (shared.0 + own * normal(rng), shared.1 + own * normal(rng));
        stratum.control = moments(model, control, 1.0, units.0, z_control / roots.0);
        stratum.candidate = moments(model, control, model.ratio, units.1, z_candidate / roots.1);
    }
}

fn normal(rng: &mut Pcg64Mcg) -> f64 {
    StandardNormal.sample(rng)
}

/// Moments of `n` units of an arm with `ratio` times control's mean, theirs lying `z` standard deviations of a unit from it.
fn moments(model: &Model, control: f64, ratio: f64, n: u64, z: f64) -> Moments {
    if n == 0 {
        return Moments::EMPTY;
    }
    let (units, mean) = (n as f64, control * ratio);
    if model.truth.shape == Shape::Rate {
        let p = mean.clamp(0.0, 1.0);
        let successes = (units * (p + (p * (1.0 - p)).sqrt() * z)).round().clamp(0.0, units);
        return Moments::of_successes(n, successes as u64);
    }
    let sd = sd(model, control, ratio);
    Moments::of_units(n, mean + sd * z, sd * sd * (units - 1.0))
}

/// The standard deviation of a unit. A bell is shifted by an effect, the other shapes are stretched.
fn sd(model: &Model, control: f64, ratio: f64) -> f64 {
    match model.truth.shape {
        Shape::Normal => model.truth.cv * control.abs(),
        Shape::Ratio | Shape::Rate => model.truth.cv * control * ratio,
        Shape::Lognormal => (LOG_SD * LOG_SD).exp_m1().sqrt() * control * ratio,
        Shape::Pareto => {
            let (mean, square) = (pareto_mean(), HAVES * TAIL / (TAIL - 2.0));
            (square / (mean * mean) - 1.0).sqrt() * control * ratio
        }
    }
}

/// The mean of the Pareto shape with scale 1.
fn pareto_mean() -> f64 {
    HAVES * TAIL / (TAIL - 1.0)
}

/// The moments of `n` rows of an arm with `ratio` times control's mean, each row drawn.
fn rows(model: &Model, control: f64, ratio: f64, n: u64, rng: &mut Pcg64Mcg) -> Moments {
    if n == 0 {
        return Moments::EMPTY;
    }
    let (mean, spread) = (control * ratio, sd(model, control, ratio));
    match model.truth.shape {
        Shape::Normal => summed(n, mean, || mean + spread * normal(rng)),
        Shape::Rate => {
            let p = mean.clamp(0.0, 1.0);
            let successes = (0..n).filter(|_| rng.random::<f64>() < p).count();
            Moments::of_successes(n, successes as u64)
        }
        Shape::Lognormal => summed(n, mean, || mean * (LOG_SD * normal(rng) - 0.5 * LOG_SD * LOG_SD).exp()),
        Shape::Pareto => {
            let scale = mean / pareto_mean();
            summed(n, mean, || {
                let lucky = rng.random::<f64>() < HAVES;
                // 1 − U, since U may be 0 and is never 1.
                if lucky { scale * (1.0 - rng.random::<f64>()).powf(-1.0 / TAIL) } else { 0.0 }
            })
        }
        Shape::Ratio => ratio_rows(model, mean, n, rng),
    }
}

/// Moments of a mean per unit, summed around the true mean so that nothing cancels.
fn summed(n: u64, mean: f64, mut row: impl FnMut() -> f64) -> Moments {
    let (mut first, mut second) = (0.0, 0.0);
    for _ in 0..n {
        let distance = row() - mean;
        first += distance;
        second += distance * distance;
    }
    let units = n as f64;
    Moments::of_units(n, mean + first / units, second - first * first / units)
}

/// A unit has 1 + Poisson events, all of them at its own log-normal level.
fn ratio_rows(model: &Model, mean: f64, n: u64, rng: &mut impl Rng) -> Moments {
    let variance = (model.truth.cv * model.truth.cv).ln_1p();
    let further = Poisson::new(FURTHER_EVENTS).ok();
    let around = (mean * (1.0 + FURTHER_EVENTS), 1.0 + FURTHER_EVENTS);
    let (mut y, mut d, mut yy, mut dd, mut yd) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for _ in 0..n {
        let events = 1.0 + further.map_or(0.0, |law| law.sample(rng));
        let z: f64 = StandardNormal.sample(rng);
        let sum = events * mean * (variance.sqrt() * z - 0.5 * variance).exp();
        let (from_y, from_d) = (sum - around.0, events - around.1);
        y += from_y;
        d += from_d;
        yy += from_y * from_y;
        dd += from_d * from_d;
        yd += from_y * from_d;
    }
    let units = n as f64;
    Moments {
        n,
        mean_y: around.0 + y / units,
        m2_y: yy - y * y / units,
        mean_d: around.1 + d / units,
        m2_d: dd - d * d / units,
        c_yd: yd - y * d / units,
    }
}
