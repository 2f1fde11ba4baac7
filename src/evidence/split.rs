//! Whether units split as planned: sample ratio mismatch, epoch by epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cohort::Cohort;
use crate::domain::{Epoch, VariantId};
use crate::stats::srm;

/// The split of one candidate against control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitReading {
    /// First exposures in control.
    pub control_units: u64,
    /// First exposures in the candidate.
    pub candidate_units: u64,
    /// The candidate's units that the plan would have given, of the two arms' sum.
    pub planned_candidate_units: f64,
    /// ln of the e-value against the planned split, valid at all nights together.
    pub log_e: f64,
    /// The p-value of the stratified chi-square, valid at one look only; shown beside.
    pub chi_square_p: Option<f64>,
    /// Whether the split is mismatched at the policy's error rate.
    pub mismatch: bool,
}

impl SplitReading {
    /// Compares first exposures with each epoch's planned shares. `None` before the first unit.
    pub fn judge<'a>(
        cohorts: impl IntoIterator<Item = &'a Cohort>,
        epochs: &[Epoch],
        control: VariantId,
        candidate: VariantId,
        alpha: f64,
    ) -> Option<SplitReading> {
        let mut counts: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for cohort in cohorts {
            let (of_control, of_candidate) = counts.entry(cohort.epoch).or_default();
            if cohort.variant == control {
                *of_control += cohort.health.units;
            } else if cohort.variant == candidate {
                *of_candidate += cohort.health.units;
            }
        }
        let mut pairs = Vec::new();
        let mut splits = Vec::new();
        for epoch in epochs {
            let Some(&(of_control, of_candidate)) = counts.get(&epoch.number) else { continue };
            let share = |id| epoch.allocations.iter().find(|(v, _)| *v == id).map_or(0.0, |(_, share)| share.as_f64());
            let (planned_control, planned_candidate) = (share(control), share(candidate));
            let sum = planned_control + planned_candidate;
            if sum <= 0.0 {
                continue;
            }
            let candidate_share = planned_candidate / sum;
            pairs.push(srm::PairSplit { control: of_control, candidate: of_candidate, candidate_share });
            splits.push(srm::Split {
                observed: vec![of_control, of_candidate],
                planned: vec![planned_control, planned_candidate],
            });
        }
        let log_e = srm::log_e(&pairs, srm::DEFAULT_TAU).ok()?;
        Some(SplitReading {
            control_units: pairs.iter().map(|p| p.control).sum(),
            candidate_units: pairs.iter().map(|p| p.candidate).sum(),
            planned_candidate_units: pairs.iter().map(|p| p.candidate_share * (p.control + p.candidate) as f64).sum(),
            log_e,
            chi_square_p: srm::chi_square(&splits).ok().map(|chi| chi.p),
            mismatch: log_e >= (1.0 / alpha).ln(),
        })
    }
}
