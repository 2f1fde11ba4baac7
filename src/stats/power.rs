//! How many units a question needs, and how many days are left.
//!
//! What is computed: for a difference δ at variance σ² per unit and r = n_t/n_c,
//! n_c = (z_a + z_b)²(1 + 1/r)σ²/δ², a = α or α/2 per side, b = 1 − power. Non-inferiority at no effect is δ = margin·|μ_c|.
//! [`control_units_student`] refines it by the noncentral t.
//!
//! Sequential tests need more at the same power; the factors of [`Inflation`] were simulated (one-sided 0.05, power 0.8, 30
//! equal looks).
//!
//! Assumes: a guessed variance; equal in both arms. Fails: post-hoc power from the observed effect says nothing new.
//!
//! Reference: Chow, Shao & Wang 2008, section 3.2 (~); Johnson, Kotz & Balakrishnan 1995, chapter 31 (noncentral t); statistics.md
//! section 10.

use serde::{Deserialize, Serialize};

use super::insufficient::{Insufficient, finite, open_unit, positive};
use super::{normal, quadrature, student};

/// A question to be sized.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// Error of the first kind.
    pub alpha: f64,
    /// Whether `alpha` is split over two sides.
    pub two_sided: bool,
    /// Probability of finding the effect if it is there.
    pub power: f64,
    /// n_t/n_c.
    pub ratio: f64,
}

impl Design {
    fn check(&self) -> Result<(), Insufficient> {
        open_unit("alpha", self.alpha)?;
        open_unit("the power", self.power)?;
        positive("the ratio of candidate to control units", self.ratio)?;
        Ok(())
    }

    fn tail(&self) -> f64 {
        if self.two_sided { 0.5 * self.alpha } else { self.alpha }
    }

    /// z_a + z_b.
    fn standard_errors(&self) -> f64 {
        normal::upper_quantile(self.tail()) + normal::quantile(self.power)
    }
}

/// Factors by which a sequential test's sample exceeds the fixed one's (statistics.md section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inflation {
    /// One look.
    Fixed,
    /// Lan–DeMets, O'Brien–Fleming type.
    OBrienFleming,
    /// Lan–DeMets, Pocock type.
    Pocock,
    /// The normal-mixture confidence sequence.
    ConfidenceSequence,
}

impl Inflation {
    /// The factor.
    pub fn factor(self) -> f64 {
        match self {
            Inflation::Fixed => 1.0,
            Inflation::OBrienFleming => 1.06,
            Inflation::Pocock => 1.28,
            Inflation::ConfidenceSequence => 1.88,
        }
    }
}

/// Control units for a difference `delta` at `variance` per unit, with the normal approximation.
///
/// # Errors
/// [`Insufficient`] if a parameter is out of range or `delta` is 0.
pub fn control_units(design: &Design, variance: f64, delta: f64) -> Result<f64, Insufficient> {
    design.check()?;
    positive("the variance per unit", variance)?;
    positive("the size of the effect", delta.abs())?;
    let root = design.standard_errors().max(0.0) / delta.abs();
    finite("the number of units", root * root * (1.0 + 1.0 / design.ratio) * variance)
}

/// Units of both arms together, rounded up.
///
/// # Errors
/// As [`control_units`].
pub fn total_units(design: &Design, variance: f64, delta: f64) -> Result<f64, Insufficient> {
    control_units(design, variance, delta).map(|n| (n * (1.0 + design.ratio)).ceil())
}

/// Control units with Student's t instead of the normal, for a standardised effect `delta`/σ: solves the noncentral t.
///
/// # Errors
/// As [`control_units`].
pub fn control_units_student(design: &Design, variance: f64, delta: f64) -> Result<f64, Insufficient> {
    let normal_units = control_units(design, variance, delta)?;
    let effect = delta.abs() / variance.sqrt();
    let missing = |n: f64| power_student(design, n, effect) - design.power;
    // Guenther's correction is within a fraction of a unit; a bracket around it and bisection do the rest.
    let z = normal::upper_quantile(design.tail());
    let start = normal_units + z * z / (2.0 * (1.0 + design.ratio));
    let floor = 2.0 / (1.0 + design.ratio) + 1e-6;
    let (mut low, mut high) = ((start - 5.0).max(floor), start + 5.0);
    while missing(high) < 0.0 && high < 1e18 {
        high *= 2.0;
    }
    while missing(low) > 0.0 && low > floor * 1.001 {
        low = (0.5 * low).max(floor);
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if missing(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
        if high - low <= 1e-12 * high {
            break;
        }
    }
    Ok(0.5 * (low + high))
}

/// The power of the normal test with `control_units`.
///
/// # Errors
/// As [`control_units`].
pub fn power_of(design: &Design, control_units: f64, variance: f64, delta: f64) -> Result<f64, Insufficient> {
    design.check()?;
    positive("the variance per unit", variance)?;
    positive("the number of units", control_units)?;
    let shift = delta.abs() / (variance * (1.0 + 1.0 / design.ratio) / control_units).sqrt();
    let z = normal::upper_quantile(design.tail());
    let other_side = if design.two_sided { normal::cdf(-z - shift) } else { 0.0 };
    finite("the power", normal::cdf(shift - z) + other_side)
}

/// The smallest difference that `control_units` find with the design's power.
///
/// # Errors
/// As [`control_units`].
pub fn detectable(design: &Design, control_units: f64, variance: f64) -> Result<f64, Insufficient> {
    design.check()?;
    positive("the variance per unit", variance)?;
    positive("the number of units", control_units)?;
    finite(
        "the detectable effect",
        design.standard_errors().max(0.0) * (variance * (1.0 + 1.0 / design.ratio) / control_units).sqrt(),
    )
}

/// Units per arm to show a rate `p` non-inferior within an absolute margin when the true rates are equal, equal arms.
///
/// # Errors
/// As [`control_units`].
pub fn units_for_rate_non_inferiority(p: f64, margin: f64, alpha: f64, power: f64) -> Result<f64, Insufficient> {
    open_unit("the control's rate", p)?;
    control_units(&Design { alpha, two_sided: false, power, ratio: 1.0 }, p * (1.0 - p), margin)
}

/// Further days until a contrast has the information to show an effect `delta` away from its null, at `information` now and
/// `per_day` more each day. 0 if it has it already.
///
/// # Errors
/// [`Insufficient`] if a parameter is out of range or no information comes in.
pub fn days_left(
    design: &Design,
    inflation: Inflation,
    delta: f64,
    information: f64,
    per_day: f64,
) -> Result<f64, Insufficient> {
    design.check()?;
    positive("the size of the effect", delta.abs())?;
    positive("the information per day", per_day)?;
    finite("the information so far", information)?;
    let root = design.standard_errors().max(0.0) / delta.abs();
    let needed = root * root * inflation.factor();
    finite("the number of days", ((needed - information) / per_day).ceil().max(0.0))
}

/// The power of a t test with `n` control units at a standardised `effect`: the noncentral t beyond its critical value.
fn power_student(design: &Design, n: f64, effect: f64) -> f64 {
    let df = n * (1.0 + design.ratio) - 2.0;
    let critical = student::upper_quantile(design.tail(), df);
    let shift = effect * (n / (1.0 + 1.0 / design.ratio)).sqrt();
    // T = (Z + shift)/S with S = √(χ²_ν/ν): average P(Z > critical·s − shift) over the density of S around its mode.
    let spread = 1.0 / (2.0 * df).sqrt();
    let (low, high) = ((1.0 - 14.0 * spread).max(0.0), 1.0 + 14.0 * spread);
    let density = |s: f64| if s > 0.0 { ((df - 1.0) * s.ln() - 0.5 * df * (s * s - 1.0)).exp() } else { 0.0 };
    let beyond = |s: f64| {
        let other_side = if design.two_sided { normal::cdf(-critical * s - shift) } else { 0.0 };
        normal::sf(critical * s - shift) + other_side
    };
    let mass = quadrature::integrate(low, high, 24, density);
    quadrature::integrate(low, high, 24, |s| density(s) * beyond(s)) / mass
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: Design = Design { alpha: 0.05, two_sided: false, power: 0.8, ratio: 1.0 };

    #[test]
    fn size_power_and_effect_are_one_relation() {
        let n = control_units(&DESIGN, 9.0, 0.05).unwrap();
        assert!((power_of(&DESIGN, n, 9.0, 0.05).unwrap() - 0.8).abs() < 1e-12);
        assert!((detectable(&DESIGN, n, 9.0).unwrap() - 0.05).abs() < 1e-14);
    }

    #[test]
    fn days_left_count_information() {
        // Both arms' means with variance 9 per unit: 1/V = n/18 for n units per arm.
        let n = control_units(&DESIGN, 9.0, 0.05).unwrap();
        let days = |now| days_left(&DESIGN, Inflation::Fixed, 0.05, now / 18.0, 1000.0 / 18.0).unwrap();
        assert_eq!(days(0.0), (n / 1000.0).ceil());
        assert_eq!(days(n + 1.0), 0.0);
        assert!(days_left(&DESIGN, Inflation::Fixed, 0.05, 0.0, 0.0).is_err());
        assert!(control_units(&DESIGN, 1.0, 0.0).is_err());
    }
}
