//! Moments as they are kept: numbers alone, in the order of the set's metrics, which the definition fixes.
//!
//! A thousand experiments of four variants keep 360,000 cohorts in 90 days. As JSON those of twenty metrics would take
//! more than a gigabyte, and most of a night would go into reading decimals.
//!
//! A byte says the version (1), four how many metrics there are. Then each metric has a byte: bit 0 for a denominator,
//! bit 1 for a number of units that differs from the metric's before it, which then follows in eight bytes. The numbers
//! follow as doubles: `mean_y`, `m2_y`, and with a denominator `mean_d`, `m2_d`, `c_yd`. All bytes are little-endian.

use crate::evidence::{ByMetric, MetricNames, MetricSet, Moments};

const VERSION: u8 = 1;
const HAS_DENOMINATOR: u8 = 1;
const HAS_UNITS: u8 = 2;

/// The moments in bytes; nothing if they are not those of exactly the set's metrics.
pub(super) fn packed(moments: &ByMetric, set: &MetricSet) -> Option<Vec<u8>> {
    if !moments.keys().eq(set.metrics.iter().map(|metric| &metric.name)) {
        return None;
    }
    let mut bytes = vec![VERSION];
    bytes.extend(u32::try_from(moments.len()).ok()?.to_le_bytes());
    let mut units = 0;
    for m in moments.values() {
        let constant =
            (m.mean_d, m.m2_d, m.c_yd) == (1.0, 0.0, 0.0) && !is_negative_zero(m.m2_d) && !is_negative_zero(m.c_yd);
        let form = if constant { 0 } else { HAS_DENOMINATOR };
        bytes.push(form | if m.n == units { 0 } else { HAS_UNITS });
        if m.n != units {
            bytes.extend(m.n.to_le_bytes());
            units = m.n;
        }
        let numbers = [m.mean_y, m.m2_y, m.mean_d, m.m2_d, m.c_yd];
        let kept = if constant { &numbers[..2] } else { &numbers[..] };
        kept.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
    Some(bytes)
}

fn is_negative_zero(x: f64) -> bool {
    x == 0.0 && x.is_sign_negative()
}

/// The moments of bytes, or what is wrong with them.
pub(super) fn unpacked(bytes: &[u8], names: &MetricNames) -> Result<ByMetric, String> {
    let mut left = bytes;
    let mut take = |length: usize| -> Result<&[u8], String> {
        let (taken, rest) = left.split_at_checked(length).ok_or("it ends too early")?;
        left = rest;
        Ok(taken)
    };
    let version = take(1)?[0];
    if version != VERSION {
        return Err(format!("it is of version {version}, and this program knows {VERSION}"));
    }
    let count = take(4)?.try_into().map(u32::from_le_bytes).unwrap_or(0);
    let wanted = names.iter().len();
    if count as usize != wanted {
        return Err(format!("it has {count} metrics, and the set has {wanted}"));
    }
    let mut units = 0;
    let mut moments = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let form = take(1)?[0];
        if form & HAS_UNITS != 0 {
            units = take(8)?.try_into().map(u64::from_le_bytes).unwrap_or(0);
        }
        let mut number = || Ok::<f64, String>(take(8)?.try_into().map(f64::from_le_bytes).unwrap_or(f64::NAN));
        let (mean_y, m2_y) = (number()?, number()?);
        let (mean_d, m2_d, c_yd) =
            if form & HAS_DENOMINATOR != 0 { (number()?, number()?, number()?) } else { (1.0, 0.0, 0.0) };
        moments.push(Moments { n: units, mean_y, m2_y, mean_d, m2_d, c_yd });
    }
    match ByMetric::new(names, moments) {
        Some(moments) if left.is_empty() => Ok(moments),
        _ => Err(format!("it goes on for {} bytes", left.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Measure, Metric, MetricForm, Value};

    fn set(names: &[&str]) -> MetricSet {
        let metric = |name: &&str| Metric {
            name: (*name).to_owned(),
            description: None,
            form: MetricForm::Mean { value: Measure { event: "e".to_owned(), value: Value::Count } },
            direction: Direction::Increase,
            window_days: 1,
            covariate_days: None,
        };
        MetricSet::group(&names.iter().map(metric).collect::<Vec<_>>()).remove(0)
    }

    #[test]
    fn every_bit_of_the_moments_comes_back() {
        let set = set(&["a", "b", "c", "d"]);
        let ratio = Moments { n: 7, mean_y: 1.0 / 3.0, m2_y: 1e-300, mean_d: 1.0, m2_d: -0.0, c_yd: -5.5 };
        let moments = ByMetric::from([
            ("a".to_owned(), Moments::of_units(1_000, 0.1 + 0.2, f64::MIN_POSITIVE)),
            ("b".to_owned(), Moments { n: 1_000, c_yd: -0.0, m2_d: 0.0, ..ratio }),
            ("c".to_owned(), ratio),
            ("d".to_owned(), Moments::EMPTY),
        ]);
        let bytes = packed(&moments, &set).unwrap();
        let back = unpacked(&bytes, &MetricNames::of(&set)).unwrap();
        assert_eq!(format!("{moments:?}"), format!("{back:?}"));
        // One byte of head, four of count, four forms, three changes of units, and the numbers.
        assert_eq!(bytes.len(), 1 + 4 + 4 + 3 * 8 + (2 + 5 + 5 + 5) * 8);
        for length in 0..bytes.len() {
            assert!(unpacked(&bytes[..length], &MetricNames::of(&set)).is_err(), "{length}");
        }
        assert!(unpacked(&[bytes.as_slice(), &[0]].concat(), &MetricNames::of(&set)).is_err());
    }

    #[test]
    fn moments_of_other_metrics_are_not_packed() {
        let moments = ByMetric::from([("a".to_owned(), Moments::EMPTY)]);
        assert_eq!(packed(&moments, &set(&["b"])), None);
        let bytes = packed(&moments, &set(&["a"])).unwrap();
        assert!(
            unpacked(&bytes, &MetricNames::of(&set(&["a", "b"]))).unwrap_err().contains("1 metrics, and the set has 2")
        );
    }
}
