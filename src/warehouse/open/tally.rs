//! From sums per unit to centred moments per stratum.
//!
//! Two passes: means first, then squares about them. Raw sums of squares lose every digit of the variance where the
//! mean is 10⁶ standard deviations from zero (statistics.md section 9); the term that corrects the rounding of the mean
//! is Chan, Golub & LeVeque, "Algorithms for computing the sample variance", Am. Stat. 37 (1983), eq. 1.7.

use crate::warehouse::cohort_rows::Moments;
use crate::warehouse::needs::MetricNeed;

/// The moments of a metric over the units of a stratum, whose sums begin at these places. A stratum without units keeps
/// zero moments; it makes no row of moments.
pub(crate) fn moments(metric: &MetricNeed, sums: &[f64], units: &[u32]) -> Moments {
    let n = units.len().max(1) as f64;
    let y = || units.iter().map(|begin| sums[*begin as usize + metric.numerator]);
    let mean_y = y().sum::<f64>() / n;
    let Some(denominator) = metric.denominator else {
        let (mut left_y, mut yy) = (0.0, 0.0);
        for y in y() {
            let y = y - mean_y;
            left_y += y;
            yy += y * y;
        }
        return Moments { mean_y, m2_y: yy - left_y * left_y / n, mean_d: 1.0, m2_d: 0.0, c_yd: 0.0 };
    };
    let mean_d = units.iter().map(|begin| sums[*begin as usize + denominator]).sum::<f64>() / n;
    let (mut left_y, mut left_d, mut yy, mut dd, mut yd) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for begin in units {
        let begin = *begin as usize;
        let (y, d) = (sums[begin + metric.numerator] - mean_y, sums[begin + denominator] - mean_d);
        left_y += y;
        left_d += d;
        yy += y * y;
        dd += d * d;
        yd += y * d;
    }
    // What rounding of the means leaves over.
    Moments {
        mean_y,
        m2_y: yy - left_y * left_y / n,
        mean_d,
        m2_d: dd - left_d * left_d / n,
        c_yd: yd - left_y * left_d / n,
    }
}
