//! The units on control, drawn anew: which of them a ramp takes to the candidates where assignments are sticky and no new
//! units come (statistics.md, section 0).
//!
//! Every unit's place is a hash of experiment, epoch and unit. So the draw is random, the same whoever repeats it and in
//! whatever order, and independent of the draws of other epochs and of the assignment service's own.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{ExperimentId, Share, VariantId};

/// What a ramp draws from control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redraw {
    /// Control.
    pub from: VariantId,
    /// Its name.
    pub from_name: String,
    /// The share of all units that the pool stands for: control's before the ramp.
    pub pool: Share,
    /// What each candidate gets of it. Together they get less than the pool.
    pub to: Vec<Drawn>,
    /// The epoch whose cohort the pool is.
    pub epoch: i64,
    /// The pool: units of control that were assigned before this instant.
    pub assigned_before: Timestamp,
    /// When the pool counts as exposed, wherever its units were put.
    pub exposed_at: Timestamp,
}

/// A candidate's part of a redraw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// The candidate.
    pub variant: VariantId,
    /// Its name.
    pub name: String,
    /// What it gains, as a share of all units. Of the pool it is that share divided by the pool's.
    pub share: Share,
}

impl Redraw {
    /// The arm that a unit of the pool is drawn for: control, or one of the candidates.
    pub fn arm_of(&self, experiment: ExperimentId, unit: &str) -> VariantId {
        let digest = Sha256::digest(format!("{experiment} {} {unit}", self.epoch));
        let drawn = digest.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        // Uniform over the pool's ten-thousandths, to within one part in 2^50.
        let place = (u128::from(drawn) * u128::from(self.pool.ten_thousandths())) >> 64;
        let mut end = 0;
        let found = self.to.iter().find(|drawn| {
            end += u128::from(drawn.share.ten_thousandths());
            place < end
        });
        found.map_or(self.from, |drawn| drawn.variant)
    }

    /// The planned split of the pool. Only the proportions matter: the shares sum to the pool's own.
    pub fn split(&self) -> Vec<(VariantId, Share)> {
        let taken: Share = self.to.iter().map(|drawn| drawn.share).sum();
        let stay = (self.from, self.pool.saturating_sub(taken));
        std::iter::once(stay).chain(self.to.iter().map(|drawn| (drawn.variant, drawn.share))).collect()
    }

    /// The part of the pool that a candidate is to get, in 0..1.
    pub fn part(&self, drawn: &Drawn) -> f64 {
        drawn.share.as_f64() / self.pool.as_f64()
    }
}

impl fmt::Display for Redraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |drawn: &Drawn| format!("{:.2} % of them go to {}", 100.0 * self.part(drawn), drawn.name);
        let parts: Vec<String> = self.to.iter().map(part).collect();
        write!(f, "draw the units of {} anew: {}", self.from_name, parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> VariantId {
        VariantId(Uuid::from_u128(n))
    }

    fn share(parts: u16) -> Share {
        Share::from_ten_thousandths(parts).unwrap()
    }

    fn redraw(epoch: i64, to: &[u16]) -> Redraw {
        let drawn = |(n, parts): (u128, &u16)| Drawn { variant: id(n), name: format!("t{n}"), share: share(*parts) };
        Redraw {
            from: id(0),
            from_name: "control".into(),
            pool: share(9_000),
            to: (1u128..).zip(to).map(drawn).collect(),
            epoch,
            assigned_before: Timestamp::UNIX_EPOCH,
            exposed_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn count(redraw: &Redraw, arm: VariantId) -> f64 {
        let experiment = ExperimentId(Uuid::from_u128(7));
        (0..60_000).filter(|n| redraw.arm_of(experiment, &format!("u{n}")) == arm).count() as f64
    }

    #[test]
    fn each_arm_gets_its_part_of_the_pool() {
        let redraw = redraw(1, &[1_500, 3_000]);
        // 60,000 units; one standard deviation is at most 116.
        for (arm, expected) in [(0, 30_000.0), (1, 10_000.0), (2, 20_000.0)] {
            let found = count(&redraw, id(arm));
            assert!((found - expected).abs() < 500.0, "{found} units on arm {arm}, expected {expected}");
        }
        assert_eq!(redraw.split(), [(id(0), share(4_500)), (id(1), share(1_500)), (id(2), share(3_000))]);
    }

    #[test]
    fn another_epoch_is_another_draw() {
        let experiment = ExperimentId(Uuid::from_u128(7));
        let (first, second) = (redraw(1, &[4_500]), redraw(3, &[4_500]));
        let both = |n: &u32| {
            let unit = format!("u{n}");
            first.arm_of(experiment, &unit) == id(1) && second.arm_of(experiment, &unit) == id(1)
        };
        let both = (0..40_000).filter(both).count() as f64;
        // Half of each, so a quarter of both if they are independent; one standard deviation is 87.
        assert!((both - 10_000.0).abs() < 400.0, "{both}");
    }

    #[test]
    fn it_says_which_part_of_them_goes_where() {
        let told = redraw(1, &[1_500, 3_000]).to_string();
        assert_eq!(told, "draw the units of control anew: 16.67 % of them go to t1, 33.33 % of them go to t2");
    }
}
