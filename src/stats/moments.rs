//! The sufficient statistics of a metric in one arm of one stratum: counts, means and centred second moments.
//!
//! What is estimated: the mean vector and covariance matrix of a unit's numerator y and denominator d.
//! A mean per unit is the special case d = 1. Centred sums, not raw ones: a sum of squares minus a squared sum loses
//! every digit once mean²/variance passes 1e12, while these keep them.
//!
//! Reference: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1 (~) (pairwise update).

use serde::{Deserialize, Serialize};

use super::insufficient::{Arm, Insufficient};

/// n, means and centred second moments of (y, d) over units. Merge them; never add their fields by hand.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Units.
    pub n: u64,
    /// Mean of the numerator per unit.
    pub mean_y: f64,
    /// Σ(y − ȳ)².
    pub m2_y: f64,
    /// Mean of the denominator per unit; 1 for a mean per unit.
    pub mean_d: f64,
    /// Σ(d − d̄)²; 0 for a mean per unit.
    pub m2_d: f64,
    /// Σ(y − ȳ)(d − d̄); 0 for a mean per unit.
    pub c_yd: f64,
}

impl Moments {
    /// No units: the neutral element of [`Moments::merge`].
    pub const EMPTY: Moments = Moments { n: 0, mean_y: 0.0, m2_y: 0.0, mean_d: 0.0, m2_d: 0.0, c_yd: 0.0 };

    /// A mean per unit: `mean` of y and `m2` = Σ(y − ȳ)².
    pub fn of_units(n: u64, mean: f64, m2: f64) -> Self {
        Moments { n, mean_y: mean, m2_y: m2, mean_d: 1.0, m2_d: 0.0, c_yd: 0.0 }
    }

    /// A proportion of units: `successes` of `n` units have y = 1, the rest 0. More successes than units gives a
    /// negative second moment, which every method refuses.
    pub fn of_successes(n: u64, successes: u64) -> Self {
        if n == 0 {
            return Moments::EMPTY;
        }
        let (x, units) = (successes as f64, n as f64);
        Moments::of_units(n, x / units, x * (units - x) / units)
    }

    /// The moments of both sets of units together (Chan, Golub & LeVeque 1983). Commutative and, up to rounding,
    /// associative.
    pub fn merge(&self, other: &Self) -> Self {
        if other.n == 0 {
            return *self;
        }
        if self.n == 0 {
            return *other;
        }
        // The larger set leads: the same bytes whichever side is called first, and the smaller rounding error.
        let (a, b) = if self.leads(other) { (self, other) } else { (other, self) };
        let n = a.n.saturating_add(b.n);
        let (na, nb, total) = (a.n as f64, b.n as f64, a.n as f64 + b.n as f64);
        let (dy, dd) = (b.mean_y - a.mean_y, b.mean_d - a.mean_d);
        let (share, between) = (nb / total, na * (nb / total));
        Moments {
            n,
            mean_y: a.mean_y + dy * share,
            m2_y: a.m2_y + b.m2_y + dy * dy * between,
            mean_d: a.mean_d + dd * share,
            m2_d: a.m2_d + b.m2_d + dd * dd * between,
            c_yd: a.c_yd + b.c_yd + dy * dd * between,
        }
    }

    /// The moments if every unit's numerator were `factor` times what it is.
    pub fn scaled(&self, factor: f64) -> Self {
        let (mean_y, m2_y, c_yd) = (factor * self.mean_y, factor * factor * self.m2_y, factor * self.c_yd);
        Moments { mean_y, m2_y, c_yd, ..*self }
    }

    /// The moments of `n` units that are like these on average.
    pub fn resized(&self, n: u64) -> Self {
        let times = if self.n == 0 { 0.0 } else { n as f64 / self.n as f64 };
        Moments {
            n: if self.n == 0 { 0 } else { n },
            m2_y: times * self.m2_y,
            m2_d: times * self.m2_d,
            c_yd: times * self.c_yd,
            ..*self
        }
    }

    fn leads(&self, other: &Self) -> bool {
        let key = |m: &Moments| [m.mean_y, m.mean_d, m.m2_y, m.m2_d, m.c_yd];
        let order = key(self).iter().zip(&key(other)).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne());
        self.n.cmp(&other.n).then(order.unwrap_or(std::cmp::Ordering::Equal)).is_ge()
    }

    /// Whether all five moments are numbers.
    pub fn is_finite(&self) -> bool {
        self.mean_y.is_finite()
            && self.m2_y.is_finite()
            && self.mean_d.is_finite()
            && self.m2_d.is_finite()
            && self.c_yd.is_finite()
    }

    /// Sample variance of y; 0 below two units.
    pub fn variance_y(&self) -> f64 {
        self.per_degree(self.m2_y)
    }

    /// Sample variance of d; 0 below two units.
    pub fn variance_d(&self) -> f64 {
        self.per_degree(self.m2_d)
    }

    /// Sample covariance of y and d; 0 below two units.
    pub fn covariance(&self) -> f64 {
        self.per_degree(self.c_yd)
    }

    fn per_degree(&self, sum: f64) -> f64 {
        if self.n < 2 { 0.0 } else { sum / (self.n - 1) as f64 }
    }

    /// ȳ/d̄, or 0 where that is no number: a point of reference, not an estimate.
    pub(crate) fn level(&self) -> f64 {
        let level = self.mean_y / self.mean_d;
        if level.is_finite() { level } else { 0.0 }
    }

    /// Refuses moments that no set of units can have.
    pub(crate) fn check(&self, arm: Arm) -> Result<(), Insufficient> {
        if !self.is_finite() {
            return Err(Insufficient::non_finite(match arm {
                Arm::Control => "a moment of control",
                Arm::Candidate => "a moment of candidate",
            }));
        }
        if self.m2_y < 0.0 || self.m2_d < 0.0 {
            return Err(Insufficient::NegativeVariance { arm });
        }
        Ok(())
    }

    /// Sample variance over units of the residual y − `ratio`·d, the linearised value before division by the mean
    /// denominator. What rounding alone can produce counts as zero, so that it can never look like certainty.
    pub(crate) fn residual_variance(&self, ratio: f64, arm: Arm) -> Result<f64, Insufficient> {
        let variance_y = self.variance_y();
        let noise_of_level = LEVEL_ROUNDING * self.mean_y * self.mean_y;
        if self.m2_d == 0.0 && self.c_yd == 0.0 {
            // A mean per unit subtracts nothing, so only the rounding of its level matters.
            return Ok(if variance_y <= noise_of_level { 0.0 } else { variance_y });
        }
        let residual = variance_y - 2.0 * ratio * self.covariance() + ratio * ratio * self.variance_d();
        if residual < -RESIDUAL_ROUNDING * variance_y {
            return Err(Insufficient::NegativeVariance { arm });
        }
        let noise = (RESIDUAL_ROUNDING * variance_y).max(noise_of_level);
        Ok(if residual <= noise { 0.0 } else { residual })
    }
}

/// Relative to the variance of y: below this the three terms of a residual variance have cancelled.
const RESIDUAL_ROUNDING: f64 = 1e-12;
/// Relative to the squared level: the variance that rounding gives to equal values, a few ε².
const LEVEL_ROUNDING: f64 = 1e-30;
