//! What is recorded of one experiment and night, as one transaction.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::judge::{self, Judged};
use super::{Night, NightError};
use crate::apply::{actions_of, patiently};
use crate::control::{ExperimentRecord, NewDecision, NewEpoch, NightRecord};
use crate::decide::Basis;
use crate::domain::{Epoch, RolloutState, Share, VariantId, after_redraw};
use crate::plan::Plan;
use crate::report::ExperimentReport;

impl Night<'_> {
    /// Decisions, allocation change, epoch, states, journal and report: one transaction.
    pub(super) async fn record(
        &self,
        run: Uuid,
        record: &ExperimentRecord,
        judged: &Judged,
        (report, told_notes): (&ExperimentReport, &[Uuid]),
        now: Timestamp,
    ) -> Result<(), NightError> {
        let experiment = &record.experiment;
        let plan = &judged.plan;
        let id_of = |candidate| {
            let found = judged.candidates.iter().find(|c| c.state.candidate == candidate);
            found.map(|c| c.decision_id(self.as_of, experiment.id))
        };
        let decisions = judged.candidates.iter().map(|c| NewDecision {
            id: c.decision_id(self.as_of, experiment.id),
            candidate: c.state.candidate,
            revision: c.revision,
            decision: &c.decision,
            assessment: &c.assessment,
            basis: Basis {
                name: c.name.clone(),
                rules: judged.rules_digest.clone(),
                control: judged.control,
                since: judged.since,
                facts: c.facts.clone(),
            },
            inputs_digest: judged.inputs_digest.clone(),
        });
        let untouched = |state: &&RolloutState| !plan.rollouts.iter().any(|r| r.candidate == state.candidate);
        let changed = judged.candidates.iter().filter(|c| c.state_is_new).map(|c| &c.state).filter(untouched);
        let rollouts = plan.rollouts.iter().chain(changed).cloned().collect();
        let moment = judge::moment(record, self.as_of, now, self.settling_time());
        let night = NightRecord {
            run,
            experiment,
            as_of: self.as_of,
            decisions: decisions.collect(),
            plan,
            rollouts,
            epochs: epochs_of(record, plan, moment.now),
            actions: actions_of(experiment, plan, id_of, moment.settled),
            report: json!(report),
            told_notes: told_notes.to_vec(),
            rules: &judged.rules,
            last_rules: record.rules.as_ref().map(|stored| stored.number),
            amendment: judged.amendment.as_ref(),
            evidence_from: judged.since,
            now,
        };
        patiently(|| self.control.record(&night)).await?;
        Ok(())
    }
}

/// The epochs that a plan opens at `now`: none if it changes no split and moves no units. Control's units that are drawn
/// anew are split otherwise than the units that come, so they have an epoch of their own before that of the new split.
fn epochs_of(record: &ExperimentRecord, plan: &Plan, now: Timestamp) -> Vec<NewEpoch> {
    let Some(last) = record.epochs.last() else { return Vec::new() };
    let allocations: Vec<(VariantId, Share)> = match plan.allocations.is_empty() {
        true if !plan.moves_units => return Vec::new(),
        true => record.experiment.variants.iter().map(|v| (v.id, v.allocation)).collect(),
        false => plan.allocations.iter().map(|a| (a.variant, a.to)).collect(),
    };
    let epoch = |number, started_at, allocations, moved_units, redrawn_at| NewEpoch {
        epoch: Epoch { number, started_at, ended_at: None, allocations, moved_units, outside: false, redrawn_at },
        ends: Some((number - 1, started_at)),
    };
    let Some(redraw) = plan.redraw() else {
        return vec![epoch(last.number + 1, now, allocations, plan.moves_units, None)];
    };
    let after = after_redraw(redraw.exposed_at);
    vec![
        epoch(redraw.epoch, now, redraw.split(), true, Some(redraw.exposed_at)),
        epoch(redraw.epoch + 1, after, allocations, false, None),
    ]
}
