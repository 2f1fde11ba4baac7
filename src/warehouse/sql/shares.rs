//! The shares of one cohort that several shards tell of, joined without losing digits.

use crate::warehouse::cohort_rows::{CohortRow, Moments};

/// What one shard says of a variant's cohort.
pub(crate) struct Share {
    pub(crate) row: CohortRow,
    /// Per metric, what rounding took from the two means. Where a mean is a billion times its spread, the last digit of a mean
    /// is no longer small beside the distance of two shards' means, and their sums of squares would be joined wrongly.
    pub(crate) rests: Vec<Rest>,
}

/// The exact mean is the rounded one and this.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rest {
    pub(crate) y: f64,
    pub(crate) d: f64,
}

impl Share {
    /// Adds other units of the same variant and cohort.
    pub(crate) fn join(&mut self, other: &Share) {
        let (known, new) = (&mut self.row, &other.row);
        let (here, there) = (known.units as f64, new.units as f64);
        let metrics = known.moments.iter_mut().zip(&mut self.rests).zip(new.moments.iter().zip(&other.rests));
        for ((moments, rest), (moments_there, rest_there)) in metrics {
            if here == 0.0 {
                (*moments, *rest) = (*moments_there, *rest_there);
            } else if there > 0.0 {
                (*moments, *rest) = join((*moments, *rest, here), (*moments_there, *rest_there, there));
            }
        }
        known.units += new.units;
        known.events += new.events;
        known.missing += new.missing;
        known.not_numbers += new.not_numbers;
        known.multiple_exposed += new.multiple_exposed;
    }
}

/// The moments of both sets of units together (Chan, Golub & LeVeque 1983; statistics.md section 9).
fn join((a, rest_a, here): (Moments, Rest, f64), (b, rest_b, there): (Moments, Rest, f64)) -> (Moments, Rest) {
    let share = there / (here + there);
    // Near each other, two doubles have an exact difference.
    let dy = (b.mean_y - a.mean_y) + (rest_b.y - rest_a.y);
    let dd = (b.mean_d - a.mean_d) + (rest_b.d - rest_a.d);
    let (mean_y, y) = round(a.mean_y, dy * share + rest_a.y);
    let (mean_d, d) = round(a.mean_d, dd * share + rest_a.d);
    let moments = Moments {
        mean_y,
        m2_y: a.m2_y + b.m2_y + dy * dy * here * share,
        mean_d,
        m2_d: a.m2_d + b.m2_d + dd * dd * here * share,
        c_yd: a.c_yd + b.c_yd + dy * dd * here * share,
    };
    (moments, Rest { y, d })
}

/// The sum of both, and what its rounding took from the second.
fn round(mean: f64, more: f64) -> (f64, f64) {
    let sum = mean + more;
    (sum, more - (sum - mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// What a shard says of these values, as the engine reckons it: the mean, what is left over, the centred squares.
    fn share(values: &[f64]) -> Share {
        let n = values.len() as f64;
        let window = values.iter().sum::<f64>() / n;
        let left: f64 = values.iter().map(|x| x - window).sum::<f64>();
        let (mean, rest) = round(window, left / n);
        let squares: f64 = values.iter().map(|x| (x - window) * (x - window)).sum::<f64>() - left * left / n;
        let row = CohortRow {
            cohort_date: date(2026, 3, 1),
            epoch: 0,
            variant_id: "a".into(),
            units: values.len() as i64,
            events: 0,
            missing: 0,
            not_numbers: 0,
            multiple_exposed: 0,
            moments: vec![Moments { mean_y: mean, m2_y: squares, mean_d: 1.0, m2_d: 0.0, c_yd: 0.0 }],
        };
        Share { row, rests: vec![Rest { y: rest, d: 0.0 }] }
    }

    /// 10⁹ and thirds: the means of the shards are no doubles, and lie nearer to each other than their last digits are small.
    #[test]
    fn a_mean_of_a_billion_costs_the_squares_no_digit() {
        let value = |place: usize| f64::from(u32::try_from(place * 7919 % 1000).unwrap()) / 3000.0;
        let near: Vec<f64> = (0..900).map(|place| 1e9 + value(place)).collect();
        // About 10⁹ nothing is rounded: every value less 10⁹ is a double.
        let about: Vec<f64> = near.iter().map(|x| x - 1e9).collect();
        let mean = about.iter().sum::<f64>() / 900.0;
        let wanted: f64 = about.iter().map(|x| (x - mean) * (x - mean)).sum();
        for parts in [vec![450, 450], vec![1, 899], vec![300, 299, 301]] {
            let mut from = 0;
            let shares: Vec<Share> = parts
                .iter()
                .map(|length| {
                    from += length;
                    share(&near[from - length..from])
                })
                .collect();
            let mut joined = share(&[]);
            joined.rests[0] = Rest::default();
            shares.iter().for_each(|one| joined.join(one));
            let found = joined.row.moments[0].m2_y;
            assert!((found - wanted).abs() <= 1e-11 * wanted, "{parts:?}: {found} and {wanted}");
            assert_eq!(joined.row.units, 900);
        }
    }
}
