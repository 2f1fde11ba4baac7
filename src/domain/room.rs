//! Room for a new variant: the others shrink in proportion, in exact ten-thousandths, and all still sum to 1.

use super::share::Share;

/// The shares that `present` shrinks to when a newcomer gets `share`, in the same order.
///
/// Each gets its part of the rest, rounded down; what rounding leaves over goes to the largest remainders, and among equal
/// ones to the first. A share of 0 stays 0.
///
/// # Errors
/// If `present` does not sum to exactly 1, if nothing is left to split, or if an arm that has a share would lose all of it.
pub fn make_room(present: &[Share], share: Share) -> Result<Vec<Share>, String> {
    let sum: u32 = present.iter().map(|s| u32::from(s.ten_thousandths())).sum();
    if sum != 10_000 {
        return Err(format!("the allocations sum to {}, not to 1; mend exp.variants.allocation", f64::from(sum) / 1e4));
    }
    if share == Share::NONE || share == Share::ALL {
        return Err(format!("a share of {share} leaves nothing to compare; give one between 0.0001 and 0.9999"));
    }
    let rest = u32::from(Share::ALL.saturating_sub(share).ten_thousandths());
    // Of each share its whole part and its remainder, in ten-thousandths of a ten-thousandth.
    let parts: Vec<(u32, u32)> = present
        .iter()
        .map(|s| u32::from(s.ten_thousandths()) * rest)
        .map(|product| (product / 10_000, product % 10_000))
        .collect();
    let mut left = rest - parts.iter().map(|(whole, _)| whole).sum::<u32>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(parts[index].1));
    let mut shrunk: Vec<u32> = parts.iter().map(|(whole, _)| *whole).collect();
    for index in order {
        if left == 0 {
            break;
        }
        shrunk[index] += 1;
        left -= 1;
    }
    let lost = present.iter().zip(&shrunk).any(|(before, after)| *before > Share::NONE && *after == 0);
    if lost {
        return Err(format!("with {share} for the new one, an arm with a share would be left with none; give less"));
    }
    shrunk
        .into_iter()
        .map(|parts| u16::try_from(parts).map_err(|_| "a share is out of range".to_owned()))
        .map(|parts| parts.and_then(|parts| Share::from_ten_thousandths(parts).map_err(|error| error.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(parts: u16) -> Share {
        Share::from_ten_thousandths(parts).unwrap()
    }

    fn room(present: &[u16], newcomer: u16) -> Result<Vec<u16>, String> {
        let present: Vec<Share> = present.iter().map(|&parts| share(parts)).collect();
        Ok(make_room(&present, share(newcomer))?.into_iter().map(Share::ten_thousandths).collect())
    }

    #[test]
    fn the_others_shrink_in_proportion() {
        assert_eq!(room(&[10_000], 1_000), Ok(vec![9_000]));
        assert_eq!(room(&[9_000, 1_000, 0], 1_000), Ok(vec![8_100, 900, 0]));
        // A third each: the one that is rounded most gets what is left over.
        assert_eq!(room(&[3_334, 3_333, 3_333], 1_000), Ok(vec![3_000, 3_000, 3_000]));
        assert_eq!(room(&[3_334, 3_333, 3_333], 1_001), Ok(vec![3_000, 3_000, 2_999]));
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        assert!(room(&[9_000, 900], 1_000).unwrap_err().contains("sum to 0.99, not to 1"));
        assert!(room(&[], 1_000).unwrap_err().contains("sum to 0,"));
        assert!(room(&[10_000], 0).unwrap_err().contains("leaves nothing to compare"));
        assert!(room(&[10_000], 10_000).unwrap_err().contains("leaves nothing to compare"));
        assert!(room(&[9_999, 1], 9_000).unwrap_err().contains("left with none"));
    }

    /// Shares that sum to exactly 1.
    fn whole() -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec(0u32..1_000, 1..9).prop_map(|weights| {
            let total: u32 = weights.iter().sum::<u32>().max(1);
            let mut shares: Vec<u32> = weights.iter().map(|weight| weight * 10_000 / total).collect();
            shares[0] += 10_000 - shares.iter().sum::<u32>();
            shares.into_iter().map(|parts| u16::try_from(parts).unwrap()).collect()
        })
    }

    proptest! {
        #[test]
        fn the_sum_is_exactly_one_and_each_is_as_near_as_can_be(present in whole(), newcomer in 1u16..10_000) {
            let Ok(shrunk) = room(&present, newcomer) else {
                // Only an arm too small to be halved any further is a reason.
                let rest = u32::from(10_000 - newcomer);
                prop_assert!(present.iter().any(|&p| p > 0 && u32::from(p) * rest < 10_000));
                return Ok(());
            };
            prop_assert_eq!(shrunk.iter().map(|&p| u32::from(p)).sum::<u32>() + u32::from(newcomer), 10_000);
            for (before, after) in present.iter().zip(&shrunk) {
                let exact = f64::from(*before) * f64::from(10_000 - newcomer) / 10_000.0;
                prop_assert!((f64::from(*after) - exact).abs() < 1.0, "{before} became {after}, not {exact}");
                prop_assert!(after <= before && (*before > 0) == (*after > 0));
            }
            for (a, b) in present.iter().zip(&shrunk) {
                for (c, d) in present.iter().zip(&shrunk) {
                    prop_assert!(a <= c || b >= d, "{a} > {c}, but {b} < {d}");
                }
            }
        }
    }
}
