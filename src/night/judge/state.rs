//! Where a candidate stands when the night begins: as stored, or anew after a first sight or somebody else's change.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::control::ExperimentRecord;
use crate::domain::{Epoch, Policy, RolloutState, RolloutStatus, Variant, in_force_since};

/// The stored state, or a new one: a candidate seen for the first time entered its stage with the present epoch, and one
/// whose share somebody changed by hand begins again at the stage of that share. Says whether it is new.
pub(super) fn state_of(
    record: &ExperimentRecord,
    policy: &Policy,
    candidate: &Variant,
    as_of: Date,
) -> (RolloutState, bool) {
    let Some(stored) = record.rollouts.iter().find(|r| r.candidate == candidate.id) else {
        let state = RolloutState {
            experiment: record.experiment.id,
            candidate: candidate.id,
            status: RolloutStatus::Ramping,
            stage: policy.stage_of(candidate.allocation),
            entered_on: first_full_day(record).saturating_sub(1.days()),
            version: 0,
        };
        return (state, true);
    };
    let share_in =
        |epoch: &Epoch| epoch.allocations.iter().find(|(id, _)| *id == candidate.id).map(|(_, share)| *share);
    let before = outside_epoch(record).and_then(|index| record.epochs.get(index.checked_sub(1)?)).and_then(share_in);
    match before {
        Some(before) if before != candidate.allocation => {
            let stage = policy.stage_of(candidate.allocation);
            (RolloutState { stage, entered_on: as_of, ..stored.clone() }, true)
        }
        _ => (stored.clone(), false),
    }
}

/// The first day that the present epoch fills from its beginning.
fn first_full_day(record: &ExperimentRecord) -> Date {
    let began = in_force_since(&record.epochs).unwrap_or(record.created_at).to_zoned(TimeZone::UTC);
    let at_midnight = began.time() == jiff::civil::Time::midnight();
    if at_midnight { began.date() } else { began.date().saturating_add(1.days()) }
}

/// The first epoch that somebody else began after the last decision, by its place in the list.
pub(super) fn outside_epoch(record: &ExperimentRecord) -> Option<usize> {
    let decided = record.last_decisions.values().map(|last| last.decided_at).max();
    record.epochs.iter().position(|epoch| epoch.outside && decided.is_none_or(|at| epoch.started_at > at))
}
