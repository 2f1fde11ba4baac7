//! Capped means and outliers: is the effect the work of a few units?
//!
//! What is estimated: a capped mean is the mean of min(y, cap), from moments like any other. The cap is frozen before the
//! first look (e.g. the control's p99.9 of the weeks before) and the same for both arms and all strata and nights; one
//! that is recomputed hides effects in the tail and breaks the sequential guarantee.
//!
//! Two checks stand beside it: capped and uncapped effect must agree in sign, and no single unit may carry the effect.
//!
//! Reference: statistics.md 1.6 and section 6, gate 8. Removing a unit is Chan's update run backwards.

use super::moments::Moments;

/// Whether capping turns the sign of the effect: the tail, not the body, decides. Not-a-number counts as disagreement.
pub fn sign_disagrees(capped_effect: f64, uncapped_effect: f64) -> bool {
    let product = capped_effect * uncapped_effect;
    product < 0.0 || product.is_nan()
}

/// The moments without one unit of value (`y`, `d`). One unit or none leaves [`Moments::EMPTY`].
pub fn without_unit(moments: &Moments, y: f64, d: f64) -> Moments {
    if moments.n <= 1 {
        return Moments::EMPTY;
    }
    let (n, rest) = (moments.n as f64, (moments.n - 1) as f64);
    let (dy, dd) = (y - moments.mean_y, d - moments.mean_d);
    let between = n / rest;
    Moments {
        n: moments.n - 1,
        mean_y: moments.mean_y - dy / rest,
        m2_y: (moments.m2_y - dy * dy * between).max(0.0),
        mean_d: moments.mean_d - dd / rest,
        m2_d: (moments.m2_d - dd * dd * between).max(0.0),
        c_yd: moments.c_yd - dy * dd * between,
    }
}

/// Whether leaving the largest unit out turns the lift's sign or takes away more than half of it. Not-a-number counts as
/// carried.
pub fn carried_by_one_unit(lift: f64, lift_without: f64) -> bool {
    let kept = lift_without / lift;
    lift != 0.0 && (kept < 0.5 || kept.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_a_unit_out_undoes_adding_it() {
        let others = Moments { n: 50, mean_y: 3.0, m2_y: 80.0, mean_d: 2.0, m2_d: 10.0, c_yd: 5.0 };
        let unit = Moments { n: 1, mean_y: 900.0, mean_d: 4.0, ..Moments::EMPTY };
        let back = without_unit(&others.merge(&unit), 900.0, 4.0);
        assert!((back.mean_y - 3.0).abs() < 1e-12 && (back.m2_y - 80.0).abs() < 1e-6 && (back.c_yd - 5.0).abs() < 1e-9);
        assert_eq!(without_unit(&unit, 900.0, 4.0), Moments::EMPTY);
    }

    #[test]
    fn outliers_are_told_by_sign_and_share() {
        assert!(sign_disagrees(0.1, -0.1) && !sign_disagrees(0.1, 0.3) && sign_disagrees(f64::NAN, 0.3));
        assert!(carried_by_one_unit(0.10, 0.04) && carried_by_one_unit(0.10, -0.02));
        assert!(!carried_by_one_unit(0.10, 0.08) && carried_by_one_unit(0.1, f64::NAN));
    }
}
