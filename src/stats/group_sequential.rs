//! Group-sequential bounds for planned looks: one-sided, upper, with α spent on the calendar and correlations from the
//! information that was observed.
//!
//! What is computed: bounds b_k with P(Z_1 < b_1, …, Z_{k−1} < b_{k−1}, Z_k ≥ b_k) = α*(t_k) − α*(t_{k−1}) where
//! Cov(Z_j, Z_k) = √(I_j/I_k), by the recursion of Armitage, McPherson & Rowe over the density of Z_k among the paths that
//! have not crossed. Two time scales: t_k is the planned fraction of looks, which is known; I_k need not be guessed.
//!
//! Assumes: looks planned before the data, independent increments. Non-binding: stopping for other reasons keeps α.
//! A look whose information has not grown is no look: it gets +∞, spends nothing, and its α carries to the next. Looks
//! beyond the plan have no α left: +∞.
//!
//! Fails: planned looks changed after seeing data; information revised downwards.
//!
//! Numerics: Gauss–Legendre panels of 2.5 kernel standard deviations; agrees with finer grids to about 1e-9. An
//! increment of α below 1e-300 gives +∞.
//!
//! Reference: Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000, chapter 19; Lan & DeMets 1983; Reboussin, DeMets,
//! Kim & Lan 2000 (two time scales); statistics.md 3.5 and 9.

use super::insufficient::{Insufficient, open_unit};
use super::normal;
use super::quadrature;
use super::spending::Spending;

/// Below this the lower tail carries no mass that matters.
const LOWEST: f64 = -8.5;
/// Above this no path that matters remains, even where the first bounds are infinite.
const HIGHEST: f64 = 22.0;
/// Panel width in kernel standard deviations.
const PANEL_SDS: f64 = 2.5;
/// Relative growth of the information below which a night is not a look.
const MIN_GROWTH: f64 = 1e-4;
/// Increments of α below this have a bound beyond any statistic.
const NO_ALPHA: f64 = 1e-300;

/// A test in progress: feed it the planned looks in order.
#[derive(Clone, Debug)]
pub struct GroupSequential {
    spending: Spending,
    alpha: f64,
    spent: f64,
    paths: Paths,
}

impl GroupSequential {
    /// A test at the one-sided level `alpha`.
    ///
    /// # Errors
    /// [`Insufficient`] if `alpha` is outside (0, 1).
    pub fn new(spending: Spending, alpha: f64) -> Result<Self, Insufficient> {
        open_unit("the one-sided level", alpha)?;
        Ok(GroupSequential { spending, alpha, spent: 0.0, paths: Paths::new(0.0) })
    }

    /// The bound for the next look at `information` (1/variance, any unit) and planned fraction `t` of the looks; reject when
    /// z ≥ bound. +∞ if this is no look.
    pub fn look(&mut self, information: f64, t: f64) -> f64 {
        if !self.paths.is_growth(information) {
            return f64::INFINITY;
        }
        let available = self.spending.spent(self.alpha, t);
        let increment = available - self.spent;
        self.paths.advance(information);
        let bound = if increment > NO_ALPHA { self.paths.bound(increment) } else { f64::INFINITY };
        self.spent = self.spent.max(available);
        self.paths.stop_at(bound);
        bound
    }
}

/// The bounds of all looks at once, see [`GroupSequential::look`]. `information[k]` belongs to fraction `t[k]`.
///
/// # Errors
/// [`Insufficient`] if `alpha` is outside (0, 1) or the lists differ in length.
pub fn bounds(spending: Spending, alpha: f64, information: &[f64], t: &[f64]) -> Result<Vec<f64>, Insufficient> {
    same_length(information, t)?;
    let mut test = GroupSequential::new(spending, alpha)?;
    Ok(information.iter().zip(t).map(|(&i, &t)| test.look(i, t)).collect())
}

/// The cumulative probability of having crossed by each look if the true effect is `drift`, on the scale whose Fisher
/// information is `information`: the level for 0, the power otherwise.
///
/// # Errors
/// [`Insufficient`] if the lists differ in length or `drift` is not finite.
pub fn crossing(bounds: &[f64], information: &[f64], drift: f64) -> Result<Vec<f64>, Insufficient> {
    same_length(bounds, information)?;
    super::insufficient::finite("the drift", drift)?;
    let mut paths = Paths::new(drift);
    let mut crossed = 0.0;
    Ok(bounds
        .iter()
        .zip(information)
        .map(|(&bound, &i)| {
            if paths.is_growth(i) {
                paths.advance(i);
                crossed += paths.beyond(bound).0;
                paths.stop_at(bound);
            }
            crossed
        })
        .collect())
}

fn same_length(a: &[f64], b: &[f64]) -> Result<(), Insufficient> {
    if a.len() == b.len() {
        Ok(())
    } else {
        Err(Insufficient::out_of_range("the number of looks", a.len() as f64, "the same in both lists"))
    }
}

/// The density of Z among the paths that have not crossed, as weighted nodes of the look before the current one.
#[derive(Clone, Debug)]
struct Paths {
    drift: f64,
    /// (z, density × quadrature weight) of the last look but one that was advanced from.
    nodes: Vec<(f64, f64)>,
    /// Information of `nodes`; 0 before the first look.
    before: f64,
    /// Information of the current look; its density is written down only when the next one sets the resolution.
    now: f64,
    /// Where the current look stops.
    bound: f64,
}

impl Paths {
    fn new(drift: f64) -> Self {
        Paths { drift, nodes: vec![(0.0, 1.0)], before: 0.0, now: 0.0, bound: f64::INFINITY }
    }

    fn is_growth(&self, information: f64) -> bool {
        information.is_finite() && information > self.now * (1.0 + MIN_GROWTH) && information > 0.0
    }

    /// Moves on to a look with more information.
    fn advance(&mut self, information: f64) {
        if self.now > 0.0 {
            self.nodes = self.density(information);
            self.before = self.now;
        }
        self.now = information;
        self.bound = f64::INFINITY;
    }

    fn stop_at(&mut self, bound: f64) {
        self.bound = bound;
    }

    /// The density at the current look below its bound, on nodes fine enough for the step to `next`.
    fn density(&self, next: f64) -> Vec<(f64, f64)> {
        let mean = self.drift * self.now.sqrt();
        let (low, high) = (LOWEST + mean.min(0.0), self.bound.min(HIGHEST + mean.max(0.0)));
        if high <= low {
            return Vec::new();
        }
        let into = ((self.now - self.before) / self.now).sqrt();
        let onward = ((next - self.now) / self.now).sqrt();
        let panels = ((high - low) / (PANEL_SDS * into.min(onward).min(1.0))).ceil().max(1.0) as usize;
        let mut nodes = Vec::with_capacity(panels * 10);
        let step = self.step();
        quadrature::nodes(low, high, panels, |z, weight| {
            let density: f64 = self.nodes.iter().map(|&(x, mass)| mass * step.density(z, x)).sum();
            nodes.push((z, weight * density));
        });
        nodes
    }

    /// P(not crossed before, Z ≥ bound now) and its derivative in the bound.
    fn beyond(&self, bound: f64) -> (f64, f64) {
        if bound == f64::INFINITY {
            return (0.0, 0.0);
        }
        let step = self.step();
        self.nodes.iter().fold((0.0, 0.0), |(tail, slope), &(x, mass)| {
            (tail + mass * normal::sf(step.deviate(bound, x)), slope - mass * step.density(bound, x))
        })
    }

    /// The bound beyond which `alpha` lies: Newton on the logarithm of the tail inside a bracket.
    fn bound(&self, alpha: f64) -> f64 {
        let (mut low, mut high) = (LOWEST, 40.0);
        let mut bound = normal::upper_quantile(alpha).clamp(low, high);
        for _ in 0..200 {
            let (tail, slope) = self.beyond(bound);
            if tail > alpha {
                low = bound;
            } else {
                high = bound;
            }
            let step = if tail > 0.0 { (tail / alpha).ln() * tail / slope } else { f64::NAN };
            let next = bound - step;
            let next = if next > low && next < high { next } else { 0.5 * (low + high) };
            if (next - bound).abs() <= 1e-13 * (1.0 + bound.abs()) {
                return next;
            }
            bound = next;
        }
        bound
    }

    fn step(&self) -> Step {
        let gain = self.now - self.before;
        Step {
            now: self.now.sqrt() / gain.sqrt(),
            before: self.before.sqrt() / gain.sqrt(),
            drift: self.drift * gain.sqrt(),
        }
    }
}

/// The transition from the look before: (z√I_k − x√I_{k−1} − θΔI)/√ΔI is standard normal.
struct Step {
    now: f64,
    before: f64,
    drift: f64,
}

impl Step {
    fn deviate(&self, z: f64, x: f64) -> f64 {
        z * self.now - x * self.before - self.drift
    }

    fn density(&self, z: f64, x: f64) -> f64 {
        const ONE_OVER_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
        let e = self.deviate(z, x);
        // Most pairs of nodes are far apart; skipping their exponentials is most of the speed.
        if e.abs() > 39.0 { 0.0 } else { self.now * ONE_OVER_SQRT_2PI * (-0.5 * e * e).exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: [f64; 8] = [0.1, 0.3, 0.5, 1.0, 1.6, 2.0, 2.7, 3.0];

    fn eighths() -> Vec<f64> {
        (1..=8).map(|k| f64::from(k) / 8.0).collect()
    }

    #[test]
    fn the_bounds_spend_exactly_their_level() {
        for spending in [Spending::OBrienFleming, Spending::Pocock, Spending::Power(2.0)] {
            let bounds = bounds(spending, 0.05, &INFORMATION, &eighths()).unwrap();
            let crossed = crossing(&bounds, &INFORMATION, 0.0).unwrap();
            for (crossed, t) in crossed.iter().zip(eighths()) {
                assert!((crossed - spending.spent(0.05, t)).abs() < 1e-11, "{crossed} at {t}");
            }
        }
    }

    /// With one look it is the z test; its power is known.
    #[test]
    fn power_is_that_of_the_z_test_for_a_single_look() {
        let bound = bounds(Spending::Pocock, 0.025, &[4.0], &[1.0]).unwrap();
        assert!((bound[0] - 1.959_963_984_540_054).abs() < 1e-9);
        let power = crossing(&bound, &[4.0], 1.5).unwrap()[0];
        assert!((power - normal::sf(bound[0] - 3.0)).abs() < 1e-12);
        let strong = crossing(&bounds(Spending::Pocock, 0.05, &INFORMATION, &eighths()).unwrap(), &INFORMATION, 30.0);
        assert!((strong.unwrap()[7] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_night_without_new_information_is_no_look_and_its_alpha_carries() {
        let mut test = GroupSequential::new(Spending::Pocock, 0.05).unwrap();
        let first = test.look(1.0, 0.25);
        assert_eq!(test.look(1.0, 0.5), f64::INFINITY);
        assert_eq!(test.look(0.9, 0.5), f64::INFINITY);
        assert_eq!(test.look(f64::NAN, 0.5), f64::INFINITY);
        let second = test.look(2.0, 0.75);
        let direct = bounds(Spending::Pocock, 0.05, &[1.0, 2.0], &[0.25, 0.75]).unwrap();
        assert_eq!(vec![first, second], direct);
    }

    #[test]
    fn beyond_the_plan_there_is_no_alpha() {
        let looks = bounds(Spending::OBrienFleming, 0.05, &[1.0, 2.0, 3.0], &[0.5, 1.0, 1.5]).unwrap();
        assert!(looks[1].is_finite() && looks[2] == f64::INFINITY);
        let early = bounds(Spending::OBrienFleming, 0.001, &[1.0, 1000.0], &[0.001, 1.0]).unwrap();
        assert_eq!(early[0], f64::INFINITY);
        assert!((early[1] - normal::upper_quantile(0.001)).abs() < 1e-9);
    }
}
