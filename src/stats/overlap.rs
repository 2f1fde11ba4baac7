//! Strata combined by overlap (Mantel–Haenszel) weights: the comparison stays fair while the candidate's share moves.
//!
//! What is estimated: per arm the mean (or the ratio of means) over the strata with the same weights
//! w_s = n_t·n_c/(n_t + n_c) in both arms, so a base rate that drifts while the ramp moves cancels out. The weighted
//! difference is the treatment coefficient of least squares with stratum fixed effects.
//!
//! Assumes: within a stratum (date × allocation epoch) units are randomised with one share; each unit is in one stratum;
//! the weights depend on counts alone. A ratio is linearised against the arm's one ratio over all strata, and its
//! variance is taken within strata.
//!
//! Fails: never weight by estimated inverse variances (a low rate by chance gets a low variance and so a high weight);
//! never pool raw sums over epochs (a falling base rate alone then reads as harm).
//!
//! Reference: statistics.md section 4; Mantel & Haenszel 1959; Deng, Knoblich & Lu 2018, section 2 (delta method).

use serde::{Deserialize, Serialize};

use super::insufficient::{Arm, Insufficient};
use super::moments::Moments;

/// One stratum of a comparison: the units first exposed on one date in one allocation epoch.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Stratum {
    /// The baseline's units.
    pub control: Moments,
    /// The candidate's units.
    pub candidate: Moments,
}

impl Stratum {
    /// Both strata as one. Right only within one epoch, where the shares are equal.
    pub fn merge(&self, other: &Self) -> Self {
        Stratum { control: self.control.merge(&other.control), candidate: self.candidate.merge(&other.candidate) }
    }

    /// Whether both arms have the two units that a variance needs.
    fn is_usable(&self) -> bool {
        self.control.n >= MIN_UNITS && self.candidate.n >= MIN_UNITS
    }

    /// w = n_t·n_c/(n_t + n_c), the harmonic size of the stratum.
    fn weight(&self) -> f64 {
        let (c, t) = (self.control.n as f64, self.candidate.n as f64);
        c * (t / (c + t))
    }
}

/// A variance needs two units.
const MIN_UNITS: u64 = 2;
/// Standard errors by which a ratio's denominator must be away from zero for the delta method to hold.
const MIN_DENOMINATOR_Z: f64 = 3.0;

/// An arm's stratified mean or ratio, and the variance of that estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean per unit, or the ratio of sums.
    pub mean: f64,
    /// The variance of `mean` as an estimate (the squared standard error).
    pub variance: f64,
    /// Units that entered.
    pub n: u64,
}

impl Estimate {
    /// The square root of the variance of the estimate.
    pub fn standard_error(&self) -> f64 {
        self.variance.sqrt()
    }

    pub(crate) fn check(&self, arm: Arm) -> Result<(), Insufficient> {
        if !self.mean.is_finite() || !self.variance.is_finite() {
            return Err(Insufficient::non_finite(match arm {
                Arm::Control => "the estimate of control",
                Arm::Candidate => "the estimate of candidate",
            }));
        }
        if self.variance < 0.0 {
            return Err(Insufficient::NegativeVariance { arm });
        }
        if self.variance == 0.0 {
            return Err(Insufficient::ZeroVariance { arm });
        }
        Ok(())
    }
}

/// Both arms, estimated with the same weights, so that their ratio is a consistent lift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arms {
    /// The baseline.
    pub control: Estimate,
    /// The variant under judgement.
    pub candidate: Estimate,
}

/// Both arms over all strata with overlap weights (statistics.md section 4). Strata with fewer than two units in an arm
/// have no variance and are left out; join them to their neighbours first, see [`merge_small`].
///
/// A variance of zero is returned as such: [`super::harm`] and the other contrasts refuse it.
///
/// # Errors
/// [`Insufficient`] if no stratum has two units in both arms, if a moment is not finite or has a negative variance, or if
/// a ratio's denominator is not separated from zero.
pub fn overlap(strata: &[Stratum]) -> Result<Arms, Insufficient> {
    let mut sums = OverlapSums::default();
    for stratum in strata {
        sums.add(stratum)?;
    }
    sums.arms()
}

/// Neighbouring strata of one epoch, joined until each has `min_candidate` candidate units and two units in both arms; what
/// is left over waits for more. A whole stratum never changes when days are added. Counts alone decide, so the joining
/// cannot depend on the outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    min_candidate: u64,
    /// Strata that are large enough, in date order.
    pub whole: Vec<Stratum>,
    /// The last days, as long as they are not enough.
    pub waiting: Option<Stratum>,
}

impl Joined {
    /// Of no day yet.
    pub fn new(min_candidate: u64) -> Self {
        Joined { min_candidate, whole: Vec::new(), waiting: None }
    }

    /// Adds the next day.
    pub fn add(&mut self, stratum: &Stratum) {
        let joined = self.waiting.map_or(*stratum, |waiting| waiting.merge(stratum));
        if joined.candidate.n >= self.min_candidate && joined.is_usable() {
            self.whole.push(joined);
            self.waiting = None;
        } else {
            self.waiting = Some(joined);
        }
    }
}

/// The strata of ONE epoch, in date order, [`Joined`].
pub fn merge_small(strata: &[Stratum], min_candidate: u64) -> Joined {
    let mut joined = Joined::new(min_candidate);
    strata.iter().for_each(|stratum| joined.add(stratum));
    joined
}

/// The weighted sums of [`overlap`], to which strata can be added one by one: a night costs one addition.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverlapSums {
    /// A level near both arms'. Sums are taken of the distance from it, so that arms at 1e9 that differ by 1 keep the
    /// digits of their difference.
    anchor: f64,
    weight: f64,
    seen: (u64, u64),
    control: ArmSums,
    candidate: ArmSums,
}

impl OverlapSums {
    /// Adds one stratum.
    ///
    /// # Errors
    /// [`Insufficient`] if one of its moments is not finite or has a negative variance.
    pub fn add(&mut self, stratum: &Stratum) -> Result<(), Insufficient> {
        stratum.control.check(Arm::Control)?;
        stratum.candidate.check(Arm::Candidate)?;
        self.seen.0 = self.seen.0.saturating_add(stratum.control.n);
        self.seen.1 = self.seen.1.saturating_add(stratum.candidate.n);
        if stratum.is_usable() {
            if self.weight == 0.0 {
                self.anchor = stratum.control.level();
            }
            let weight = stratum.weight();
            self.weight += weight;
            self.control.add(&stratum.control, weight, self.anchor, Arm::Control)?;
            self.candidate.add(&stratum.candidate, weight, self.anchor, Arm::Candidate)?;
        }
        Ok(())
    }

    /// Σ w, the harmonic size of all strata: information grows in proportion to it.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Units of both arms in usable strata, control first.
    pub fn units(&self) -> (u64, u64) {
        (self.control.n, self.candidate.n)
    }

    /// Both arms over the strata so far.
    ///
    /// # Errors
    /// As [`overlap`].
    pub fn arms(&self) -> Result<Arms, Insufficient> {
        if self.weight == 0.0 {
            return Err(nothing_usable(self.seen.0, self.seen.1));
        }
        Ok(Arms {
            control: self.control.estimate(self.anchor, self.weight, Arm::Control)?,
            candidate: self.candidate.estimate(self.anchor, self.weight, Arm::Candidate)?,
        })
    }
}

/// One arm's sums; y' = y − anchor·d.
#[derive(Clone, Copy, Debug, Default)]
struct ArmSums {
    n: u64,
    /// Σ w·ȳ'.
    y: f64,
    /// Σ w·d̄.
    d: f64,
    /// Σ w²/n · variance of y'.
    spread_y: f64,
    /// Σ w²/n · covariance of y' and d.
    cross: f64,
    /// Σ w²/n · variance of d.
    spread_d: f64,
}

impl ArmSums {
    fn add(&mut self, moments: &Moments, weight: f64, anchor: f64, arm: Arm) -> Result<(), Insufficient> {
        let per_unit = weight * weight / moments.n as f64;
        self.n = self.n.saturating_add(moments.n);
        self.y += weight * (moments.mean_y - anchor * moments.mean_d);
        self.d += weight * moments.mean_d;
        self.spread_y += per_unit * moments.residual_variance(anchor, arm)?;
        self.cross += per_unit * (moments.covariance() - anchor * moments.variance_d());
        self.spread_d += per_unit * moments.variance_d();
        Ok(())
    }

    /// Σ w·ȳ / Σ w·d̄ (the weights' sum cancels, and d̄ = 1 makes it a weighted mean) and the variance of the residual
    /// y − mean·d, which lies `shift` = mean − anchor from y'.
    fn estimate(&self, anchor: f64, weight: f64, arm: Arm) -> Result<Estimate, Insufficient> {
        if self.d == 0.0 {
            return Err(Insufficient::DenominatorNearZero { arm });
        }
        let shift = self.y / self.d;
        let mean = anchor + shift;
        let (mean_d, spread_d) = (self.d / weight, self.spread_d / (weight * weight));
        if mean_d * mean_d <= MIN_DENOMINATOR_Z * MIN_DENOMINATOR_Z * spread_d {
            return Err(Insufficient::DenominatorNearZero { arm });
        }
        let residual = self.spread_y - 2.0 * shift * self.cross + shift * shift * self.spread_d;
        let noise = CANCELLED * (self.spread_y + shift * shift * self.spread_d);
        if residual < -noise {
            return Err(Insufficient::NegativeVariance { arm });
        }
        // What only rounding has left of terms that cancel is no variance.
        let residual = if residual <= noise { 0.0 } else { residual };
        let variance = residual / (self.d * self.d);
        if !mean.is_finite() || !variance.is_finite() {
            return Err(Insufficient::non_finite("a stratified estimate"));
        }
        Ok(Estimate { mean, variance, n: self.n })
    }
}

/// Relative to its terms: below this a residual variance has cancelled.
const CANCELLED: f64 = 1e-12;

/// Names the arm that keeps the strata from being used.
fn nothing_usable(control: u64, candidate: u64) -> Insufficient {
    if control == 0 || candidate == 0 {
        return Insufficient::NoUnits;
    }
    let (arm, units) = if control < candidate { (Arm::Control, control) } else { (Arm::Candidate, candidate) };
    Insufficient::TooFewUnits { arm, units, needed: MIN_UNITS }
}
