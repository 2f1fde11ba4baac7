//! CUPED: the part of a metric that a unit's past explains is taken out, which shrinks the variance and not the effect.
//!
//! What is estimated: for a mean m_a − θ(x̄_a − x̄) with variance (s_y² + θ²s_x² − 2θs_xy)/n; for a ratio the same with
//! linearised values Z = (Y − RN)/N̄ and W = (X − R_x M)/M̄, giving R_a − θ(R_xa − R_x).
//!
//! Assumes: the covariate is measured strictly before first exposure; θ is estimated once (pre-period or first closed
//! cohort) and frozen, because a θ that is re-estimated nightly changes past increments. A missing covariate is 0 with a
//! stratum of its own, never a dropped unit.
//!
//! Fails: covariates that the candidate can touch (bias); a correlation ρ saves 1 − ρ² of the variance, so a weak one is not worth
//! its trouble.
//!
//! Reference: Deng, Xu, Kohavi & Walker 2013, eqs. 3–5 (~) and section 3.3 (~); statistics.md 1.7.

use serde::{Deserialize, Serialize};

use super::insufficient::{Arm, Insufficient, finite};
use super::moments::Moments;

/// A metric y and its covariate x in one arm: the same five numbers as y and d, so they merge the same way.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct WithCovariate(pub Moments);

/// θ = Cov(y, x)/Var(x) over all units of both arms as one set.
///
/// # Errors
/// [`Insufficient`] if the covariate does not vary or a moment is not finite.
pub fn theta(control: &WithCovariate, candidate: &WithCovariate) -> Result<f64, Insufficient> {
    let pooled = control.0.merge(&candidate.0);
    slope(pooled.c_yd, pooled.m2_d)
}

/// θ from the variation within each arm: safer when the candidate has a real effect.
///
/// # Errors
/// As [`theta`].
pub fn theta_within(control: &WithCovariate, candidate: &WithCovariate) -> Result<f64, Insufficient> {
    slope(control.0.c_yd + candidate.0.c_yd, control.0.m2_d + candidate.0.m2_d)
}

/// The adjusted metric as a mean per unit: m − θ(x̄ − `centre`), ready for [`super::overlap`]. `centre` is the frozen mean of
/// the covariate over both arms; it moves both arms alike and so never the difference.
pub fn adjust(arm: &WithCovariate, theta: f64, centre: f64) -> Moments {
    let m = &arm.0;
    let m2 = m.m2_y - 2.0 * theta * m.c_yd + theta * theta * m.m2_d;
    // Rounding may leave a hair below zero; anything more stays negative and is refused by what follows.
    let m2 = if m2 < 0.0 && -m2 <= 1e-12 * m.m2_y { 0.0 } else { m2 };
    Moments::of_units(m.n, m.mean_y - theta * (m.mean_d - centre), m2)
}

fn slope(covariance: f64, variance: f64) -> Result<f64, Insufficient> {
    finite("the covariance with the covariate", covariance)?;
    finite("the variance of the covariate", variance)?;
    if variance <= 0.0 {
        return Err(Insufficient::ZeroVariance { arm: Arm::Control });
    }
    finite("theta", covariance / variance)
}

/// A ratio metric with a ratio covariate: (y, n, x, m) per unit.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RatioWithCovariate {
    /// Units.
    pub n: u64,
    /// Means of y, n, x and m.
    pub mean: [f64; 4],
    /// Centred second moments and cross moments, symmetric: `m2[i][j]` = Σ(vᵢ − v̄ᵢ)(vⱼ − v̄ⱼ).
    pub m2: [[f64; 4]; 4],
}

impl RatioWithCovariate {
    /// Both sets of units together (Chan's update, all pairs).
    pub fn merge(&self, other: &Self) -> Self {
        if other.n == 0 {
            return *self;
        }
        if self.n == 0 {
            return *other;
        }
        let (na, nb) = (self.n as f64, other.n as f64);
        let share = nb / (na + nb);
        let mut merged = *self;
        merged.n = self.n.saturating_add(other.n);
        for i in 0..4 {
            let di = other.mean[i] - self.mean[i];
            merged.mean[i] += di * share;
            for j in 0..4 {
                merged.m2[i][j] += other.m2[i][j] + di * (other.mean[j] - self.mean[j]) * na * share;
            }
        }
        merged
    }

    /// The numerator's and the covariate's ratio, and the weights that linearise each.
    fn linearise(&self, arm: Arm) -> Result<Linear, Insufficient> {
        let [y, n, x, m] = self.mean;
        if n == 0.0 || m == 0.0 {
            return Err(Insufficient::DenominatorNearZero { arm });
        }
        let (ratio, covariate) = (finite("the ratio", y / n)?, finite("the covariate's ratio", x / m)?);
        Ok(Linear { ratio, covariate, z: [1.0 / n, -ratio / n, 0.0, 0.0], w: [0.0, 0.0, 1.0 / m, -covariate / m] })
    }

    fn product(&self, left: &[f64; 4], right: &[f64; 4]) -> f64 {
        (0..4).map(|i| left[i] * (0..4).map(|j| self.m2[i][j] * right[j]).sum::<f64>()).sum()
    }
}

struct Linear {
    ratio: f64,
    covariate: f64,
    z: [f64; 4],
    w: [f64; 4],
}

/// θ of the linearised ratio on the linearised covariate over both arms as one set.
///
/// # Errors
/// As [`theta`], and `DenominatorNearZero`.
pub fn theta_ratio(control: &RatioWithCovariate, candidate: &RatioWithCovariate) -> Result<f64, Insufficient> {
    let pooled = control.merge(candidate);
    let linear = pooled.linearise(Arm::Control)?;
    slope(pooled.product(&linear.z, &linear.w), pooled.product(&linear.w, &linear.w))
}

/// The adjusted ratio R − θ(R_x − `centre`) as a mean per unit whose spread is that of Z − θW, ready for
/// [`super::overlap`]. `centre` is the frozen covariate ratio over both arms.
///
/// # Errors
/// `DenominatorNearZero` or `NonFinite`.
pub fn adjust_ratio(data: &RatioWithCovariate, theta: f64, centre: f64, arm: Arm) -> Result<Moments, Insufficient> {
    let Linear { ratio, covariate, z, w } = data.linearise(arm)?;
    let residual: [f64; 4] = std::array::from_fn(|i| z[i] - theta * w[i]);
    let m2 = finite("the variance of an adjusted ratio", data.product(&residual, &residual))?;
    let scale = data.product(&z, &z);
    let m2 = if m2 < 0.0 && -m2 <= 1e-12 * scale { 0.0 } else { m2 };
    Ok(Moments::of_units(data.n, ratio - theta * (covariate - centre), m2))
}

/// The covariate's ratio over both arms as one set, the centre for [`adjust_ratio`].
///
/// # Errors
/// `DenominatorNearZero` or `NonFinite`.
pub fn covariate_ratio(control: &RatioWithCovariate, candidate: &RatioWithCovariate) -> Result<f64, Insufficient> {
    control.merge(candidate).linearise(Arm::Control).map(|linear| linear.covariate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_theta_shrinks_the_variance_and_not_the_effect() {
        // y = x + noise, correlation √½; the candidate adds 1 to every y.
        let arm = |shift: f64| {
            WithCovariate(Moments { n: 101, mean_y: 5.0 + shift, m2_y: 200.0, mean_d: 5.0, m2_d: 100.0, c_yd: 100.0 })
        };
        let theta = theta_within(&arm(0.0), &arm(1.0)).unwrap();
        assert_eq!(theta, 1.0);
        let (control, candidate) = (adjust(&arm(0.0), theta, 5.0), adjust(&arm(1.0), theta, 5.0));
        assert_eq!(candidate.mean_y - control.mean_y, 1.0);
        assert_eq!(control.m2_y, 100.0);
        let constant = WithCovariate(Moments { m2_d: 0.0, c_yd: 0.0, ..arm(0.0).0 });
        assert!(super::theta(&constant, &constant).is_err());
    }
}
