//! One metric over the batches of a file: counts, means and centred products per cell.
//!
//! Each batch takes two passes, means first and products about them, and joins what came before by Chan's update, so that a
//! mean of 1e9 with a standard deviation of 1 keeps its variance (statistics.md section 9).

use super::tally::NOWHERE;
use crate::stats::cuped::RatioWithCovariate;

/// One metric's values of a batch.
pub(super) struct Values<'a> {
    pub(super) y: &'a [f64],
    pub(super) d: Option<&'a [f64]>,
    pub(super) x: Option<&'a [f64]>,
}

impl Values<'_> {
    /// (y, d, x) of a row, or `None` where the metric has no value there.
    fn of(&self, row: usize) -> Option<[f64; 3]> {
        let y = self.y[row];
        let d = self.d.map_or(1.0, |d| d[row]);
        let x = self.x.map_or(0.0, |x| if x[row].is_nan() { 0.0 } else { x[row] });
        (!y.is_nan() && !d.is_nan()).then_some([y, d, x])
    }
}

/// What the batches so far add up to.
#[derive(Debug, Default)]
pub(super) struct MetricTally {
    /// Per cell.
    pub(super) sums: Vec<RatioWithCovariate>,
    /// Per variant, units without a value.
    pub(super) missing: Vec<u64>,
    /// Empty fields of units that have a value in another row.
    pub(super) empty_fields: u64,
}

impl MetricTally {
    /// Adds a batch: means first, then squares about them, corrected for what rounding leaves of the sum of deviations
    /// (Chan, Golub & LeVeque 1983, eq. 1.7).
    pub(super) fn add(&mut self, values: &Values<'_>, cells: &[usize], known: &[(usize, usize, bool)]) {
        let mut counts = vec![0u64; known.len()];
        let mut means = vec![[0.0f64; 3]; known.len()];
        for (row, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != NOWHERE) {
            let Some(value) = values.of(row) else {
                let variant = known[*cell].0;
                if self.missing.len() <= variant {
                    self.missing.resize(variant + 1, 0);
                }
                self.missing[variant] += 1;
                continue;
            };
            counts[*cell] += 1;
            means[*cell].iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
        }
        for (mean, count) in means.iter_mut().zip(&counts) {
            mean.iter_mut().for_each(|sum| *sum /= (*count).max(1) as f64);
        }
        // yy, yd, yx, dd, dx, xx and what is left of y, d, x.
        let mut spread = vec![[0.0f64; 9]; known.len()];
        for (row, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != NOWHERE) {
            let Some(value) = values.of(row) else { continue };
            let mean = &means[*cell];
            let [y, d, x] = [value[0] - mean[0], value[1] - mean[1], value[2] - mean[2]];
            let products = [y * y, y * d, y * x, d * d, d * x, x * x, y, d, x];
            spread[*cell].iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        }
        self.sums.resize(known.len(), RatioWithCovariate::default());
        for (place, sums) in self.sums.iter_mut().enumerate().filter(|(place, _)| counts[*place] > 0) {
            *sums = sums.merge(&of_batch(counts[place], &means[place], &spread[place]));
        }
    }
}

fn of_batch(n: u64, mean: &[f64; 3], spread: &[f64; 9]) -> RatioWithCovariate {
    let [yy, yd, yx, dd, dx, xx, y, d, x] = *spread;
    let units = n as f64;
    let [yy, yd, yx] = [yy - y * y / units, yd - y * d / units, yx - y * x / units];
    let [dd, dx, xx] = [dd - d * d / units, dx - d * x / units, xx - x * x / units];
    // What rounding leaves below zero is zero; what is no number stays none.
    let [yy, dd, xx] = [yy, dd, xx].map(|square| if square < 0.0 { 0.0 } else { square });
    RatioWithCovariate {
        n,
        mean: [mean[0], mean[1], mean[2], 1.0],
        m2: [[yy, yd, yx, 0.0], [yd, dd, dx, 0.0], [yx, dx, xx, 0.0], [0.0; 4]],
    }
}
