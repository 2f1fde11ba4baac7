//! The standard normal distribution with full relative precision in both tails, also where probabilities underflow.
//!
//! Φ comes from libm's erfc (an ulp or two). Below −5 its logarithm comes from Laplace's continued fraction for the
//! Mills ratio, which neither underflows nor loses the digits that exp(−x²/2) loses to the rounding of x².
//!
//! Reference: Abramowitz & Stegun 7.1.2 (erfc) and 26.2.14 (continued fraction of the tail).

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, LN_10};

use statrs::distribution::{ContinuousCDF, Normal};

/// ln √(2π).
const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;
/// Beyond this many standard deviations the continued fraction is both faster than needed and exact.
const FAR: f64 = 5.0;

/// Density φ(x).
pub fn pdf(x: f64) -> f64 {
    (-0.5 * x * x - LN_SQRT_2PI).exp()
}

/// Φ(x) = P(Z ≤ x).
pub fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// P(Z > x), precise in the upper tail until it underflows at about 38.
pub fn sf(x: f64) -> f64 {
    cdf(-x)
}

/// ln Φ(x), precise where Φ itself underflows: ln Φ(−40) = −804.608.
pub fn ln_cdf(x: f64) -> f64 {
    if x > FAR {
        (-sf(x)).ln_1p()
    } else if x < -FAR {
        -0.5 * x * x - LN_SQRT_2PI + mills_ratio(-x).ln()
    } else {
        cdf(x).ln()
    }
}

/// ln P(Z > x).
pub fn ln_sf(x: f64) -> f64 {
    ln_cdf(-x)
}

/// (1 − Φ(x))/φ(x) for x ≥ 5.
fn mills_ratio(x: f64) -> f64 {
    1.0 / (x + mills_fraction(x))
}

/// 1/(x + 2/(x + 3/(x + …))) for x ≥ 5, from the tail inwards: what Laplace's continued fraction of the Mills ratio adds to x.
fn mills_fraction(x: f64) -> f64 {
    const TERMS: u32 = 60;
    let mut tail = x;
    for k in (2..=TERMS).rev() {
        tail = x + f64::from(k) / tail;
    }
    1.0 / tail
}

/// The unit normal loss φ(a) − aΦ(−a) = E[max(0, Z − a)], without the cancellation of its two terms at large a.
pub fn unit_loss(a: f64) -> f64 {
    if a > FAR {
        let fraction = mills_fraction(a);
        pdf(a) * (fraction / (a + fraction))
    } else {
        pdf(a) - a * cdf(-a)
    }
}

/// Φ⁻¹(p); −∞ at 0, +∞ at 1, NaN outside.
pub fn quantile(p: f64) -> f64 {
    if (0.0..=1.0).contains(&p) { Normal::standard().inverse_cdf(p) } else { f64::NAN }
}

/// The z with P(Z > z) = p, precise for small p where 1 − p would round.
pub fn upper_quantile(p: f64) -> f64 {
    -quantile(p)
}

/// Two-sided p-value of a z statistic; 1 if z is not a number, since nothing has been shown.
pub fn two_sided_p(z: f64) -> f64 {
    if z.is_nan() { 1.0 } else { (2.0 * sf(z.abs())).min(1.0) }
}

/// log10 of the two-sided p-value; keeps its meaning below 1e-300.
pub fn log10_two_sided_p(z: f64) -> f64 {
    if z.is_nan() { 0.0 } else { ((LN_2 + ln_sf(z.abs())) / LN_10).min(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "got {got}, want {want}");
    }

    #[test]
    fn tails_keep_their_digits() {
        close(ln_cdf(-40.0), -804.608_442_013_754, 1e-15);
        close(ln_cdf(-5.0), -15.064_998_393_988_726, 1e-14);
        close(ln_cdf(-5.000_000_1), cdf(-5.000_000_1).ln(), 1e-14);
        close(sf(1.959_963_984_540_054), 0.025, 1e-14);
        close(cdf(0.0), 0.5, 0.0);
    }

    #[test]
    fn quantile_and_tail_invert_each_other() {
        for exponent in 1..300 {
            let p = 10f64.powi(-exponent);
            close(sf(upper_quantile(p)), p, 1e-11);
        }
    }

    #[test]
    fn limits_are_limits_and_not_panics() {
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
        assert!(quantile(1.5).is_nan() && quantile(f64::NAN).is_nan());
        assert_eq!(two_sided_p(f64::INFINITY), 0.0);
        assert_eq!(ln_cdf(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
