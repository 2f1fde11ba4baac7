//! Sample ratio mismatch: did the units split as planned? Two methods that allow the plan to change between strata.
//!
//! What is tested: per stratum (epoch, or date × epoch) the first-exposure counts against that stratum's planned shares.
//!
//! * [`chi_square`]: X² = Σ_e Σ_a (n_ea − N_e θ_ea)²/(N_e θ_ea) with Σ_e (A_e − 1) degrees of freedom; valid at one look.
//! * [`log_e`]: one mixture over a common shift of the log-odds; S = Σ(n_te − N_e θ_e), I = Σ N_e θ_e(1 − θ_e), then the
//!   two-sided normal mixture in u = τ²I, z = S/√I; valid at all looks together.
//!
//! Assumes: independent assignment, first exposure only, N_e θ_e ≥ 5. Shares are divided by their sum, so a comparison of
//! two arms out of several takes the two shares as they are.
//!
//! Fails: cumulative counts against today's share (the classic ramp bug) alarm on the first night after every ramp; give
//! each epoch its own row.
//!
//! Reference: statistics.md section 5; Pearson 1900; Robbins 1970 for the mixture; Lindon & Malek 2022 for the setting.

use serde::{Deserialize, Serialize};

use super::insufficient::Insufficient;
use super::tails;

/// One stratum: what was observed and what was planned, arm by arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// First exposures per arm.
    pub observed: Vec<u64>,
    /// Planned shares per arm, in the same order; only their proportions matter.
    pub planned: Vec<f64>,
}

/// One stratum of a comparison of two arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSplit {
    /// First exposures to control.
    pub control: u64,
    /// First exposures to the candidate.
    pub candidate: u64,
    /// Planned candidate share of the two, candidate/(candidate + control), in 0..=1.
    pub candidate_share: f64,
}

/// The result of [`chi_square`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// X².
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: u64,
    /// P(χ²_df ≥ X²).
    pub p: f64,
    /// log10 of `p`, also where `p` underflows to 0.
    pub log10_p: f64,
}

/// Share distortion that the mixture expects on the log-odds scale: about 2 % (statistics.md section 5).
pub const DEFAULT_TAU: f64 = 0.02;

/// The stratified chi-square. An arm planned at 0 takes no part, unless it has units: that is impossible under the plan
/// and gives p = 0.
///
/// # Errors
/// [`Insufficient`] if there are no units or no stratum with two planned arms, if the lists differ in length, or if a
/// share is negative or not finite.
pub fn chi_square(strata: &[Split]) -> Result<ChiSquare, Insufficient> {
    let (mut statistic, mut df, mut units) = (0.0, 0, 0u64);
    for Split { observed, planned } in strata {
        check_shares(observed, planned)?;
        let share_sum: f64 = planned.iter().sum();
        let total = observed.iter().copied().fold(0, u64::saturating_add);
        if total == 0 {
            continue;
        }
        units = units.saturating_add(total);
        for (&count, &share) in observed.iter().zip(planned) {
            let expected = total as f64 * (share / share_sum);
            let gap = count as f64 - expected;
            if expected > 0.0 {
                statistic += gap * gap / expected;
            } else if count > 0 {
                statistic = f64::INFINITY;
            }
        }
        df += (planned.iter().filter(|&&share| share > 0.0).count() as u64).saturating_sub(1);
    }
    if units == 0 {
        return Err(Insufficient::NoUnits);
    }
    if statistic.is_infinite() {
        return Ok(ChiSquare { statistic: f64::MAX, df, p: 0.0, log10_p: -f64::MAX });
    }
    if df == 0 {
        return Err(Insufficient::out_of_range("the number of planned arms", 1.0, "at least two in some stratum"));
    }
    let ln_p = tails::ln_chi_square_sf(statistic, df as f64);
    Ok(ChiSquare { statistic, df, p: ln_p.exp(), log10_p: ln_p / std::f64::consts::LN_10 })
}

pub(crate) fn check_shares(observed: &[u64], planned: &[f64]) -> Result<(), Insufficient> {
    if observed.len() != planned.len() {
        let arms = observed.len() as f64;
        return Err(Insufficient::out_of_range("the number of observed arms", arms, "the number of planned shares"));
    }
    for &share in planned {
        if !(share >= 0.0 && share.is_finite()) {
            return Err(Insufficient::out_of_range("a planned share", share, "at least zero"));
        }
    }
    let sum: f64 = planned.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(Insufficient::out_of_range("the sum of the planned shares", sum, "above zero"));
    }
    Ok(())
}

/// Running totals of a two-arm split: the score and its information.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Σ(n_t − N θ): candidate units beyond the plan.
    pub excess: f64,
    /// Σ N θ(1 − θ): the variance of `excess` under the plan.
    pub information: f64,
}

impl Score {
    /// The directed statistic with one degree of freedom; 0 without information.
    pub fn z(&self) -> f64 {
        if self.information > 0.0 { self.excess / self.information.sqrt() } else { 0.0 }
    }
}

/// Score and information over the strata.
///
/// # Errors
/// [`Insufficient`] without units, or if a share is outside 0..=1.
pub fn score(strata: &[PairSplit]) -> Result<Score, Insufficient> {
    let (mut score, mut units) = (Score::default(), 0u64);
    for stratum in strata {
        let share = stratum.candidate_share;
        if !(0.0..=1.0).contains(&share) {
            return Err(Insufficient::out_of_range("the planned candidate share", share, "between 0 and 1"));
        }
        let (control, candidate) = (stratum.control as f64, stratum.candidate as f64);
        units = units.saturating_add(stratum.control).saturating_add(stratum.candidate);
        // (1 − θ)·n_t − θ·n_c is n_t − Nθ without the cancellation.
        score.excess += (1.0 - share) * candidate - share * control;
        score.information += (control + candidate) * share * (1.0 - share);
    }
    if units == 0 { Err(Insufficient::NoUnits) } else { Ok(score) }
}

/// ln of the two-sided e-value against the planned split, valid at all looks together: reject at ≥ ln(1/α). `tau` is the
/// shift of the log-odds that it looks for, see [`DEFAULT_TAU`]. Units in an arm planned at 0 give f64::MAX.
///
/// # Errors
/// [`Insufficient`] without units, if a share is outside 0..=1, or if `tau` is not above zero.
pub fn log_e(strata: &[PairSplit], tau: f64) -> Result<f64, Insufficient> {
    super::insufficient::positive("the expected shift of the log-odds", tau)?;
    let score = score(strata)?;
    let impossible =
        |s: &PairSplit| (s.candidate_share == 0.0 && s.candidate > 0) || (s.candidate_share == 1.0 && s.control > 0);
    if strata.iter().any(impossible) {
        return Ok(f64::MAX);
    }
    let (u, shifted) = (tau * tau * score.information, tau * score.excess);
    Ok(0.5 * (shifted * shifted / (1.0 + u) - u.ln_1p()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(days: &[(u64, u64, f64)]) -> Vec<PairSplit> {
        days.iter()
            .map(|&(control, candidate, candidate_share)| PairSplit { control, candidate, candidate_share })
            .collect()
    }

    #[test]
    fn a_ramp_that_keeps_its_plan_is_no_mismatch() {
        let days = ramp(&[(9000, 1000, 0.1), (7500, 2500, 0.25), (5000, 5000, 0.5)]);
        assert!(score(&days).unwrap().z().abs() < 1e-9);
        assert!(log_e(&days, DEFAULT_TAU).unwrap() < 0.0);
    }

    #[test]
    fn the_directed_statistic_squared_is_the_chi_square_of_one_stratum() {
        let z = score(&ramp(&[(7400, 2600, 0.25)])).unwrap().z();
        let test = chi_square(&[Split { observed: vec![7400, 2600], planned: vec![0.75, 0.25] }]).unwrap();
        assert!((z * z - test.statistic).abs() < 1e-9);
    }

    #[test]
    fn two_percent_lost_units_are_found_within_a_fortnight() {
        let lossy = ramp(&[(10_000, 9_800, 0.5); 14]);
        assert!(log_e(&lossy, DEFAULT_TAU).unwrap() > 1000f64.ln());
    }

    #[test]
    fn what_the_plan_forbids_is_certain() {
        assert_eq!(log_e(&ramp(&[(100, 1, 0.0)]), DEFAULT_TAU), Ok(f64::MAX));
        let test = chi_square(&[Split { observed: vec![100, 1], planned: vec![1.0, 0.0] }]).unwrap();
        assert_eq!(test.p, 0.0);
    }

    #[test]
    fn bad_plans_are_refused() {
        assert_eq!(score(&[]), Err(Insufficient::NoUnits));
        assert!(score(&ramp(&[(1, 1, f64::NAN)])).is_err());
        let split = |observed: Vec<u64>, planned: Vec<f64>| chi_square(&[Split { observed, planned }]);
        assert!(split(vec![1, 2], vec![1.0]).is_err());
        assert!(split(vec![1, 2], vec![0.5, -0.5]).is_err());
        assert!(split(vec![1, 2], vec![0.5, f64::NAN]).is_err());
        assert_eq!(split(vec![0, 0], vec![0.5, 0.5]), Err(Insufficient::NoUnits));
        assert!(split(vec![7], vec![1.0]).is_err());
    }
}
