//! What a rollback changes: the arm is closed, its units come back, and what stands behind it is taken out of use.

use serde_json::json;

use super::planner::Planner;
use super::step::Step;
use super::versions::{ARCHIVED, CANDIDATE, CHALLENGER};
use crate::decide::Decision;
use crate::domain::{ExistingUnits, RolloutState, RolloutStatus, Share};

impl Planner<'_> {
    pub(super) fn roll_back(&mut self, state: &RolloutState, decision: &Decision) {
        let Some(candidate) = self.experiment.variant_by_id(state.candidate) else { return };
        self.shift(candidate.id, Share::NONE);
        self.advance(state, RolloutStatus::RolledBack, state.stage);
        if self.policy.on_rollback == ExistingUnits::Move {
            self.plan.moves_units = true;
            // Its units come back before control's are drawn.
            self.pool = self.pool.saturating_add(candidate.allocation);
            self.move_units(candidate, candidate, self.control);
        }
        // A version that another arm goes on serving is not archived: the arms may differ in their parameters alone.
        if let Some(version) = self.model(candidate).filter(|version| !self.serves_elsewhere(candidate, version)) {
            self.tag_stage(candidate, version.clone(), ARCHIVED, &[CANDIDATE], true);
            self.step(candidate, Step::ReleaseAlias { alias: CHALLENGER.into(), version });
        }
        self.set_version_statuses(candidate, candidate, ARCHIVED, &["active", "deprecated"]);
        let reason = decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let payload = json!({ "failed_variant_id": candidate.id, "reason": reason });
        self.log(candidate, "rollback", payload);
    }
}
