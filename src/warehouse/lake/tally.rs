//! From sums per unit to centred moments per stratum.
//!
//! Two passes: means first, then squares about them. Raw sums of squares lose every digit of the variance where the
//! mean is 10⁶ standard deviations from zero (statistics.md section 9); the term that corrects the rounding of the mean
//! is Chan, Golub & LeVeque, "Algorithms for computing the sample variance", Am. Stat. 37 (1983), eq. 1.7.

use crate::warehouse::cohort_rows::{CohortRow, Moments};
use crate::warehouse::needs::Needs;

use super::events::UnitSums;
use super::exposures::{Exposures, Stratum};

/// One row per stratum.
pub(super) fn rows(needs: &Needs, exposures: &Exposures, sums: &UnitSums) -> Vec<CohortRow> {
    let strata = exposures.strata.len();
    let add_up = |counts: &[i64]| {
        let mut totals = vec![0; strata];
        for (stratum, count) in exposures.stratum_of.iter().zip(counts) {
            totals[*stratum] += count;
        }
        totals
    };
    let units = add_up(&vec![1; exposures.len()]);
    let (events, missing, not_numbers) = (add_up(&sums.events), add_up(&sums.missing), add_up(&sums.not_numbers));
    let moments: Vec<Vec<Moments>> = needs
        .metrics
        .iter()
        .map(|metric| {
            let d = metric.denominator.map(|place| sums.sums[place].as_slice());
            by_stratum(&sums.sums[metric.numerator], d, &exposures.stratum_of, &units)
        })
        .collect();
    let row = |(place, stratum): (usize, &Stratum)| CohortRow {
        cohort_date: stratum.cohort_date,
        epoch: stratum.epoch,
        variant_id: stratum.variant_id.clone(),
        units: units[place],
        events: events[place],
        missing: missing[place],
        not_numbers: not_numbers[place],
        multiple_exposed: exposures.multiple_exposed[place],
        moments: moments.iter().map(|of_metric| of_metric[place]).collect(),
    };
    exposures.strata.iter().enumerate().map(row).collect()
}

/// The moments of `y`, and of `d` if there is one, in each stratum.
fn by_stratum(y: &[f64], d: Option<&[f64]>, stratum_of: &[usize], units: &[i64]) -> Vec<Moments> {
    let y = Centred::new(y, stratum_of, units);
    let d = d.map(|d| Centred::new(d, stratum_of, units));
    let m2_y = y.products(&y, stratum_of, units);
    let Some(d) = d else {
        let moments =
            |(mean_y, m2_y): (&f64, f64)| Moments { mean_y: *mean_y, m2_y, mean_d: 1.0, m2_d: 0.0, c_yd: 0.0 };
        return y.means.iter().zip(m2_y).map(moments).collect();
    };
    let m2_d = d.products(&d, stratum_of, units);
    let c_yd = y.products(&d, stratum_of, units);
    let moments = |place| Moments {
        mean_y: y.means[place],
        m2_y: m2_y[place],
        mean_d: d.means[place],
        m2_d: m2_d[place],
        c_yd: c_yd[place],
    };
    (0..units.len()).map(moments).collect()
}

/// Values with the mean of each stratum, which rounding keeps from being exact, and what that leaves over.
struct Centred<'a> {
    values: &'a [f64],
    means: Vec<f64>,
    /// Per stratum, the sum of the deviations; zero but for rounding.
    left_over: Vec<f64>,
}

impl<'a> Centred<'a> {
    fn new(values: &'a [f64], stratum_of: &[usize], units: &[i64]) -> Self {
        let mut means = vec![0.0; units.len()];
        for (stratum, value) in stratum_of.iter().zip(values) {
            means[*stratum] += value;
        }
        for (mean, units) in means.iter_mut().zip(units) {
            // A stratum without units keeps zero moments; it makes no row of moments.
            *mean /= (*units).max(1) as f64;
        }
        let mut left_over = vec![0.0; units.len()];
        for (stratum, value) in stratum_of.iter().zip(values) {
            left_over[*stratum] += value - means[*stratum];
        }
        Self { values, means, left_over }
    }

    /// Per stratum, Σ(a-ā)(b-b̄).
    fn products(&self, other: &Centred<'_>, stratum_of: &[usize], units: &[i64]) -> Vec<f64> {
        let mut products = vec![0.0; units.len()];
        for ((stratum, a), b) in stratum_of.iter().zip(self.values).zip(other.values) {
            products[*stratum] += (a - self.means[*stratum]) * (b - other.means[*stratum]);
        }
        for (place, product) in products.iter_mut().enumerate() {
            *product -= self.left_over[place] * other.left_over[place] / units[place].max(1) as f64;
        }
        products
    }
}
