//! Sums whose last digit hangs on no order: a server hands rows out as its workers and its caches please.

/// Adds a number and keeps what rounding took (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
/// Summen", ZAMM 54 (1974), algorithm IV).
#[inline]
pub(super) fn add(sum: &mut f64, rest: &mut f64, number: f64) {
    let more = *sum + number;
    *rest += if sum.abs() >= number.abs() { (*sum - more) + number } else { (number - more) + *sum };
    *sum = more;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_gives_the_same_sum_to_the_last_digit() {
        let mut numbers: Vec<f64> =
            (0..400).map(|n| f64::from(n * 7919 % 1000) * 1e-3 + f64::from(n % 3) * 1e9).collect();
        numbers.extend([0.1, 0.2, 0.3, -1e15, 1e15, 1e-9]);
        let sum = |numbers: &[f64]| {
            let (mut sum, mut rest) = (0.0, 0.0);
            numbers.iter().for_each(|number| add(&mut sum, &mut rest, *number));
            (sum + rest).to_bits()
        };
        let plain = |numbers: &[f64]| numbers.iter().sum::<f64>().to_bits();
        let (first, mut differs) = (sum(&numbers), false);
        for round in 1..200 {
            let length = numbers.len();
            for place in 0..length {
                numbers.swap(place, (place * 31 + round * 17) % length);
            }
            assert_eq!(sum(&numbers), first, "round {round}");
            differs |= plain(&numbers) != first;
        }
        assert!(differs, "these numbers' plain sum hangs on their order");
    }
}
