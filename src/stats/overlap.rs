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
    let mut total = Totals::default();
    for stratum in strata {
        stratum.control.check(Arm::Control)?;
        stratum.candidate.check(Arm::Candidate)?;
        if stratum.is_usable() {
            if total.weight == 0.0 {
                total.anchor = stratum.control.level();
            }
            total.add(stratum);
        }
    }
    if total.weight == 0.0 {
        return Err(nothing_usable(strata));
    }
    total.control.settle(total.anchor, Arm::Control)?;
    total.candidate.settle(total.anchor, Arm::Candidate)?;
    for stratum in strata.iter().filter(|s| s.is_usable()) {
        let share = stratum.weight() / total.weight;
        total.control.add_spread(&stratum.control, share * share, Arm::Control)?;
        total.candidate.add_spread(&stratum.candidate, share * share, Arm::Candidate)?;
    }
    Ok(Arms {
        control: total.control.estimate(total.weight, Arm::Control)?,
        candidate: total.candidate.estimate(total.weight, Arm::Candidate)?,
    })
}

/// Neighbouring strata of one epoch, joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// Strata that are large enough, in date order.
    pub whole: Vec<Stratum>,
    /// The last days, as long as they are not enough.
    pub waiting: Option<Stratum>,
}

/// Joins neighbouring strata of ONE epoch, in date order, until each has `min_candidate` candidate units and two units in
/// both arms; what is left over waits for more. A whole stratum never changes when days are added. Counts alone decide, so
/// the joining cannot depend on the outcome.
pub fn merge_small(strata: &[Stratum], min_candidate: u64) -> Joined {
    let mut merged: Vec<Stratum> = Vec::with_capacity(strata.len());
    let mut open: Option<Stratum> = None;
    for stratum in strata {
        let joined = open.map_or(*stratum, |o| o.merge(stratum));
        if joined.candidate.n >= min_candidate && joined.is_usable() {
            merged.push(joined);
            open = None;
        } else {
            open = Some(joined);
        }
    }
    Joined { whole: merged, waiting: open }
}

/// Weighted sums over the usable strata.
#[derive(Default)]
struct Totals {
    /// A level near both arms'. Sums are taken of the distance from it, so that arms at 1e9 that differ by 1 keep the
    /// digits of their difference.
    anchor: f64,
    weight: f64,
    control: ArmTotals,
    candidate: ArmTotals,
}

impl Totals {
    fn add(&mut self, stratum: &Stratum) {
        let weight = stratum.weight();
        self.weight += weight;
        self.control.add(&stratum.control, weight, self.anchor);
        self.candidate.add(&stratum.candidate, weight, self.anchor);
    }
}

#[derive(Default)]
struct ArmTotals {
    n: u64,
    /// Σ w(ȳ − anchor·d̄).
    y: f64,
    /// Σ w·d̄.
    d: f64,
    /// The mean or ratio, once all strata are summed.
    mean: f64,
    /// Σ (w/W)² · variance of the residual y − mean·d / n.
    residual: f64,
    /// Σ (w/W)² · variance of d / n.
    denominator: f64,
}

impl ArmTotals {
    fn add(&mut self, moments: &Moments, weight: f64, anchor: f64) {
        self.n = self.n.saturating_add(moments.n);
        self.y += weight * (moments.mean_y - anchor * moments.mean_d);
        self.d += weight * moments.mean_d;
    }

    /// Σ w·ȳ / Σ w·d̄: the weights' sum cancels, and d̄ = 1 makes it a weighted mean.
    fn settle(&mut self, anchor: f64, arm: Arm) -> Result<(), Insufficient> {
        if self.d == 0.0 {
            return Err(Insufficient::DenominatorNearZero { arm });
        }
        self.mean = anchor + self.y / self.d;
        Ok(())
    }

    fn add_spread(&mut self, moments: &Moments, share_squared: f64, arm: Arm) -> Result<(), Insufficient> {
        let per_unit = share_squared / moments.n as f64;
        self.residual += per_unit * moments.residual_variance(self.mean, arm)?;
        self.denominator += per_unit * moments.variance_d();
        Ok(())
    }

    fn estimate(&self, weight: f64, arm: Arm) -> Result<Estimate, Insufficient> {
        let mean_d = self.d / weight;
        if mean_d * mean_d <= MIN_DENOMINATOR_Z * MIN_DENOMINATOR_Z * self.denominator {
            return Err(Insufficient::DenominatorNearZero { arm });
        }
        let variance = self.residual / (mean_d * mean_d);
        if !self.mean.is_finite() || !variance.is_finite() {
            return Err(Insufficient::non_finite("a stratified estimate"));
        }
        Ok(Estimate { mean: self.mean, variance, n: self.n })
    }
}

/// Names the arm that keeps the strata from being used.
fn nothing_usable(strata: &[Stratum]) -> Insufficient {
    let control = strata.iter().map(|s| s.control.n).fold(0, u64::saturating_add);
    let candidate = strata.iter().map(|s| s.candidate.n).fold(0, u64::saturating_add);
    if control == 0 || candidate == 0 {
        return Insufficient::NoUnits;
    }
    let (arm, units) = if control < candidate { (Arm::Control, control) } else { (Arm::Candidate, candidate) };
    Insufficient::TooFewUnits { arm, units, needed: MIN_UNITS }
}
