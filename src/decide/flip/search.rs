//! The smallest number that makes a difference.

/// Where the search begins: a tenth of a percent.
const FIRST: f64 = 0.001;
/// What is smaller than this is no change.
const LEAST: f64 = 1e-7;

/// The smallest number in `(0, limit]` for which `flips` holds, rounded up to three digits; half of it does not flip.
///
/// `flips` need not be monotone. The numbers are doubled until one flips, and that step is bisected; if half of what comes
/// out flips as well, the search goes on below it.
pub(super) fn smallest(flips: impl Fn(f64) -> bool, limit: f64) -> Option<f64> {
    let doubled = std::iter::successors(Some(FIRST), |step| Some(2.0 * step)).take_while(|step| *step < limit);
    let mut low = 0.0;
    let mut high = None;
    for step in doubled.chain([limit]) {
        if flips(step) {
            high = Some(step);
            break;
        }
        low = step;
    }
    let mut high = high?;
    loop {
        while high - low > 1e-3 * high && high > LEAST {
            let middle = 0.5 * (low + high);
            if flips(middle) { high = middle } else { low = middle }
        }
        if high > LEAST && flips(0.5 * high) {
            (low, high) = (0.0, 0.5 * high);
        } else {
            break;
        }
    }
    let rounded = rounded_up(high).min(limit);
    Some(if flips(rounded) && !flips(0.5 * rounded) { rounded } else { high })
}

/// The next number of three digits.
fn rounded_up(value: f64) -> f64 {
    let unit = 10f64.powi(value.log10().floor() as i32 - 2);
    // What has three digits already must not be pushed on by its last bit.
    let steps = (value / unit - 1e-9).ceil();
    if unit < 1.0 { steps / (1.0 / unit).round() } else { steps * unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_flips_is_found_in_three_digits() {
        assert_eq!(smallest(|x| x >= 0.01832, 0.95), Some(0.0184));
        assert_eq!(smallest(|x| x > 0.25, 0.95), Some(0.251));
        assert_eq!(smallest(|x| x >= 0.95, 0.95), Some(0.95));
        assert_eq!(smallest(|x| x >= 123.4, 1000.0), Some(124.0));
        assert_eq!(smallest(|_| false, 0.95), None);
    }

    #[test]
    fn half_of_it_does_not_flip_even_where_there_is_a_gap() {
        // A window far below the edge, which the doubling steps over.
        let flips = |x: f64| x >= 0.5 || (0.0013..0.0017).contains(&x) || (0.26..0.27).contains(&x);
        let found = smallest(flips, 0.95).unwrap();
        assert!(flips(found) && !flips(0.5 * found), "{found}");
    }
}
