//! What people did to an experiment's arms that closed decisions speak about. It is told every night until it is mended;
//! nothing here is judged, and nothing is set back.

use crate::control::ExperimentRecord;
use crate::domain::{RolloutStatus, Share};

/// What was done by hand.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ByHand {
    /// A line each, with what to do about it.
    pub(super) lines: Vec<String>,
    /// Whether units are served what was decided against.
    pub(super) needs_someone: bool,
}

/// Arms that were closed and have a share again, and arms that were deleted.
pub(super) fn by_hand(record: &ExperimentRecord) -> ByHand {
    let mut found = ByHand::default();
    for state in &record.rollouts {
        let (id, since) = (state.candidate, state.entered_on);
        let was = match state.status {
            RolloutStatus::Ramping => "on its ramp",
            RolloutStatus::Promoted => "promoted",
            RolloutStatus::RolledBack => "rolled back",
            RolloutStatus::Superseded => "superseded by a sibling",
        };
        let closed = matches!(state.status, RolloutStatus::RolledBack | RolloutStatus::Superseded);
        match record.experiment.variant_by_id(id) {
            Some(variant) if closed && variant.allocation > Share::NONE => {
                found.needs_someone = true;
                found.lines.push(format!(
                    "{} was {was} on {since} and has a share of {} again; the arm stays closed and is not judged: set \
                     its share back to 0, or begin a new experiment",
                    variant.name, variant.allocation
                ));
            }
            Some(_) => {}
            // A row that cannot be read is there, and told as a fault.
            None if record.faults.iter().any(|fault| fault.contains(&id.to_string())) => {}
            None => found.lines.push(format!(
                "variant {id}, which was {was} since {since}, was deleted; nothing is left of it to judge, and steps \
                 about it that need it are given up"
            )),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Experiment, ExperimentId, ExperimentStatus, RolloutState, Variant, VariantConfig, VariantId};

    fn record(status: RolloutStatus, share: Option<f64>) -> ExperimentRecord {
        let candidate = VariantId(Uuid::from_u128(2));
        let variant = share.map(|share| Variant {
            id: candidate,
            name: "t".into(),
            allocation: Share::try_from(share).unwrap(),
            config: Ok(VariantConfig::Flag),
        });
        ExperimentRecord {
            experiment: Experiment {
                id: ExperimentId(Uuid::from_u128(1)),
                name: "e".into(),
                status: ExperimentStatus::Active,
                unit_type: "user".into(),
                start_at: None,
                end_at: None,
                variants: variant.into_iter().collect(),
            },
            created_at: "2026-03-01T00:00:00Z".parse().unwrap(),
            epochs: vec![],
            rollouts: vec![RolloutState {
                experiment: ExperimentId(Uuid::from_u128(1)),
                candidate,
                status,
                stage: 0,
                entered_on: date(2026, 3, 4),
                version: 1,
            }],
            last_decisions: BTreeMap::new(),
            rules: None,
            acts: vec![],
            thresholds: vec![],
            faults: vec![],
        }
    }

    #[test]
    fn a_closed_arm_with_a_share_needs_someone() {
        for status in [RolloutStatus::RolledBack, RolloutStatus::Superseded] {
            let found = by_hand(&record(status, Some(0.1)));
            assert!(found.needs_someone);
            assert!(found.lines[0].contains("has a share of 10 % again; the arm stays closed"), "{found:?}");
            assert_eq!(by_hand(&record(status, Some(0.0))), ByHand::default());
        }
        for status in [RolloutStatus::Ramping, RolloutStatus::Promoted] {
            assert_eq!(by_hand(&record(status, Some(0.1))), ByHand::default());
        }
    }

    #[test]
    fn a_deleted_arm_is_told_and_an_unreadable_one_is_not_called_deleted() {
        let mut record = record(RolloutStatus::Ramping, None);
        let found = by_hand(&record);
        assert!(!found.needs_someone);
        assert!(found.lines[0].contains("which was on its ramp since 2026-03-04, was deleted"), "{found:?}");
        record.faults.push(format!("table exp.variants, row {}: column `allocation` is odd", Uuid::from_u128(2)));
        assert_eq!(by_hand(&record), ByHand::default());
    }
}
