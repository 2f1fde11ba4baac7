//! Decisions → the exact steps. A plan is data: execution makes no choices, and nothing to change gives an empty plan.
//!
//! The allocation change is applied in the same transaction that records the decisions; the steps follow from the
//! journal, each with an idempotency key. A step that overwrites a value says what it expects to stand there: what else
//! is found, somebody else has set. Nothing there, and what Rampkeeper itself wrote last, is expected always.

mod redraw;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decide::{Decision, Outcome};
use crate::domain::{
    ExistingUnits, Experiment, ModelVersion, Policy, RolloutState, RolloutStatus, Share, Variant, VariantId,
};
pub use redraw::{Drawn, Redraw};

/// One follow-up of a decision, in the order of execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Take every unit of one variant to another, each move recorded.
    MoveAssignments {
        /// The arm that they leave.
        from: VariantId,
        /// Its name.
        from_name: String,
        /// The arm that they join.
        to: VariantId,
        /// Its name.
        to_name: String,
    },
    /// Draw control's units anew, so that a ramp reaches units that have an arm.
    RedrawControl(Redraw),
    /// Write an event of our own.
    LogEvent {
        /// Such as `model_promoted`.
        event_type: String,
        /// The variant that it is about.
        variant: VariantId,
        /// Its payload.
        payload: Value,
    },
    /// Set a tag of a model version.
    SetTag {
        /// The version.
        version: ModelVersion,
        /// The tag's key.
        key: String,
        /// Its value.
        value: String,
        /// The values that it may replace.
        #[serde(default)]
        expect: Vec<String>,
        /// Whether it replaces any other value, too, and tells of it. What takes a version out of use insists.
        #[serde(default)]
        insist: bool,
    },
    /// Set `stage=archived` on every version of the model that is tagged `stage=production`, but for one. A version that
    /// is not expected to be in production is told of.
    ArchiveOtherProduction {
        /// The version that stays.
        keep: ModelVersion,
        /// The versions that are known to be in production.
        #[serde(default)]
        expect: Vec<ModelVersion>,
    },
    /// Point an alias at a version.
    SetAlias {
        /// The alias.
        alias: String,
        /// The version.
        version: ModelVersion,
        /// The versions that it may be taken from.
        #[serde(default)]
        expect: Vec<ModelVersion>,
        /// Whether it may be taken from a version that is tagged `stage=production`, too: where control serves no
        /// version of the model, none is known by name.
        #[serde(default)]
        or_production: bool,
    },
    /// Remove an alias, if it points at that version.
    ReleaseAlias {
        /// The alias.
        alias: String,
        /// The version.
        version: ModelVersion,
    },
    /// Set the status of a policy version.
    SetPolicyVersionStatus {
        /// The policy version.
        id: Uuid,
        /// `active`, `deprecated` or `archived`.
        status: String,
        /// The statuses that it may replace.
        #[serde(default)]
        expect: Vec<String>,
    },
    /// Set the status of a prompt version.
    SetPromptVersionStatus {
        /// The prompt version.
        id: Uuid,
        /// `active`, `deprecated` or `archived`.
        status: String,
        /// The statuses that it may replace.
        #[serde(default)]
        expect: Vec<String>,
    },
    /// Retire a variant by renaming it.
    RetireVariant {
        /// The variant.
        variant: VariantId,
        /// Its name until now.
        #[serde(default)]
        from: String,
        /// Its new name.
        name: String,
    },
    /// Set the active experiment's status to `completed`.
    CompleteExperiment,
}

/// A step and the candidate whose decision it follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The candidate.
    pub candidate: VariantId,
    /// What is to be done.
    pub step: Step,
}

/// A variant's share before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reallocation {
    /// The variant.
    pub variant: VariantId,
    /// Its name.
    pub name: String,
    /// Its share that the plan was computed from.
    pub from: Share,
    /// Its share afterwards.
    pub to: Share,
}

/// Everything that one experiment's decisions change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// All variants, if any share changes; empty otherwise.
    pub allocations: Vec<Reallocation>,
    /// Whether units that have an arm are moved to another.
    pub moves_units: bool,
    /// The rollout states after the change, each with the version that it was computed from.
    pub rollouts: Vec<RolloutState>,
    /// The follow-ups.
    pub steps: Vec<PlannedStep>,
}

/// When a plan is made, and what it begins.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The night.
    pub as_of: Date,
    /// When its allocations are set.
    pub now: Timestamp,
    /// When the split has settled.
    pub settled: Timestamp,
    /// The number of the epoch that a changed split opens.
    pub epoch: i64,
}

/// The versions behind the variants, as the experiment tables name them.
pub type Versions = BTreeMap<Uuid, ModelVersion>;

/// Plans one experiment. `judged` has each candidate's state and decision; at most one of them is promoted.
pub fn plan(
    experiment: &Experiment,
    policy: &Policy,
    versions: &Versions,
    judged: &[(&RolloutState, &Decision)],
    moment: Moment,
) -> Plan {
    let Some(control) = experiment.variant(&policy.control) else { return Plan::default() };
    let mut planner = Planner {
        experiment,
        policy,
        versions,
        control,
        as_of: moment.as_of,
        pool: control.allocation,
        drawn: Vec::new(),
        shares: experiment.variants.iter().map(|v| (v.id, v.allocation)).collect(),
        plan: Plan::default(),
    };
    // What lowers goes first, so that what it frees is there for what rises.
    for (state, decision) in judged {
        if decision.outcome == Outcome::Rollback {
            planner.roll_back(state, decision);
        }
    }
    for (state, decision) in judged {
        if let Outcome::Ramp { stage, to } = decision.outcome {
            planner.ramp(state, stage, to);
        }
    }
    planner.redraw(moment);
    for (state, decision) in judged {
        if decision.outcome == Outcome::Promote {
            let siblings: Vec<&RolloutState> = judged
                .iter()
                .filter(|(s, d)| s.candidate != state.candidate && d.outcome != Outcome::Rollback)
                .map(|(s, _)| *s)
                .collect();
            planner.promote(state, &siblings);
        }
    }
    planner.finish()
}

struct Planner<'a> {
    experiment: &'a Experiment,
    policy: &'a Policy,
    versions: &'a Versions,
    control: &'a Variant,
    as_of: Date,
    shares: BTreeMap<VariantId, Share>,
    /// The share that the units on control stand for.
    pool: Share,
    /// What the candidates that rise get of them.
    drawn: Vec<Drawn>,
    plan: Plan,
}

impl Planner<'_> {
    fn roll_back(&mut self, state: &RolloutState, decision: &Decision) {
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

    fn ramp(&mut self, state: &RolloutState, stage: usize, to: Share) {
        let Some(candidate) = self.experiment.variant_by_id(state.candidate) else { return };
        let share = to.saturating_sub(self.share(candidate.id));
        self.drawn.push(Drawn { variant: candidate.id, name: candidate.name.clone(), share });
        self.shift(candidate.id, to);
        self.advance(state, RolloutStatus::Ramping, stage);
        if let Some(version) = self.model(candidate) {
            // Any of the experiment's candidates may have been the challenger.
            let others = self.experiment.variants.iter().filter(|v| v.id != candidate.id && v.id != self.control.id);
            let expect = others.filter_map(|v| self.model(v)).filter(|v| v.model == version.model).collect();
            let alias = CHALLENGER.to_owned();
            self.step(candidate, Step::SetAlias { alias, version, expect, or_production: false });
        }
    }

    /// Draws the units on control for all candidates that rise, at once: those of one night share one pool.
    fn redraw(&mut self, moment: Moment) {
        let to: Vec<Drawn> = self.drawn.drain(..).filter(|drawn| drawn.share > Share::NONE).collect();
        let taken: Share = to.iter().map(|drawn| drawn.share).sum();
        let (Some(first), true) = (to.first(), self.policy.on_ramp == ExistingUnits::Move) else { return };
        if taken >= self.pool {
            return;
        }
        self.plan.moves_units = true;
        let candidate = first.variant;
        let redraw = Redraw {
            from: self.control.id,
            from_name: self.control.name.clone(),
            pool: self.pool,
            to,
            epoch: moment.epoch,
            assigned_before: moment.now,
            exposed_at: moment.settled,
        };
        self.plan.steps.push(PlannedStep { candidate, step: Step::RedrawControl(redraw) });
    }

    fn promote(&mut self, state: &RolloutState, siblings: &[&RolloutState]) {
        let Some(candidate) = self.experiment.variant_by_id(state.candidate) else { return };
        for share in self.shares.values_mut() {
            *share = Share::NONE;
        }
        self.shares.insert(candidate.id, Share::ALL);
        self.advance(state, RolloutStatus::Promoted, state.stage);
        for sibling in siblings {
            self.advance(sibling, RolloutStatus::Superseded, sibling.stage);
        }
        let others: Vec<&Variant> = self.experiment.variants.iter().filter(|v| v.id != candidate.id).collect();
        if self.policy.on_promote == ExistingUnits::Move {
            self.plan.moves_units = true;
            for other in &others {
                self.move_units(candidate, other, candidate);
            }
        }
        if let Some(version) = self.model(candidate) {
            let before = self.model(self.control).filter(|before| *before != version);
            let expect: Vec<_> = before.iter().filter(|before| before.model == version.model).cloned().collect();
            // The alias first, while the tags still tell which version was in production.
            let (alias, or_production) = (CHAMPION.to_owned(), expect.is_empty());
            let (keep, known) = (version.clone(), expect.clone());
            self.step(candidate, Step::SetAlias { alias, version: version.clone(), expect, or_production });
            self.step(candidate, Step::ArchiveOtherProduction { keep, expect: known });
            if let Some(before) = before {
                self.tag_stage(candidate, before, ARCHIVED, &[CANDIDATE, PRODUCTION], false);
            }
            self.tag_stage(candidate, version.clone(), PRODUCTION, &[CANDIDATE], false);
            self.step(candidate, Step::ReleaseAlias { alias: CHALLENGER.into(), version });
        }
        self.set_version_statuses(candidate, self.control, "deprecated", &["active"]);
        self.log(candidate, "promoted", json!({}));
        for other in others {
            if !other.name.contains(RETIRED) {
                let (from, name) = (other.name.clone(), retired_name(&other.name, self.as_of));
                self.step(candidate, Step::RetireVariant { variant: other.id, from, name });
            }
        }
        if self.policy.complete_on_promote {
            self.step(candidate, Step::CompleteExperiment);
        }
    }

    /// Gives a candidate its share and takes the difference from, or gives it to, control.
    fn shift(&mut self, candidate: VariantId, to: Share) {
        let from = self.share(candidate);
        let control = self.share(self.control.id);
        let control = control.saturating_add(from.saturating_sub(to)).saturating_sub(to.saturating_sub(from));
        self.shares.insert(candidate, to);
        self.shares.insert(self.control.id, control);
    }

    fn share(&self, variant: VariantId) -> Share {
        self.shares.get(&variant).copied().unwrap_or_default()
    }

    fn advance(&mut self, state: &RolloutState, status: RolloutStatus, stage: usize) {
        self.plan.rollouts.push(RolloutState { status, stage, entered_on: self.as_of, ..state.clone() });
    }

    fn step(&mut self, candidate: &Variant, step: Step) {
        self.plan.steps.push(PlannedStep { candidate: candidate.id, step });
    }

    fn move_units(&mut self, candidate: &Variant, from: &Variant, to: &Variant) {
        let (from_name, to_name) = (from.name.clone(), to.name.clone());
        self.step(candidate, Step::MoveAssignments { from: from.id, from_name, to: to.id, to_name });
    }

    fn tag_stage(&mut self, candidate: &Variant, version: ModelVersion, value: &str, expect: &[&str], insist: bool) {
        let (key, value) = ("stage".to_owned(), value.to_owned());
        let expect = expect.iter().map(|&value| value.to_owned()).collect();
        self.step(candidate, Step::SetTag { version, key, value, expect, insist });
    }

    fn model(&self, variant: &Variant) -> Option<ModelVersion> {
        let id = variant.config.as_ref().ok()?.policy_version_id()?;
        self.versions.get(&id).cloned()
    }

    /// Whether another arm that has units serves that version, too.
    fn serves_elsewhere(&self, candidate: &Variant, version: &ModelVersion) -> bool {
        let others = self.others(candidate);
        others.into_iter().any(|other| self.model(other).as_ref() == Some(version))
    }

    /// The arms that keep units after the plan, but for that one.
    fn others(&self, candidate: &Variant) -> Vec<&Variant> {
        let variants = self.experiment.variants.iter();
        variants.filter(|v| v.id != candidate.id && self.share(v.id) > Share::NONE).collect()
    }

    /// Sets the statuses of the versions behind `of`, but for those that an arm with units goes on serving.
    fn set_version_statuses(&mut self, candidate: &Variant, of: &Variant, status: &str, expect: &[&str]) {
        let Ok(config) = &of.config else { return };
        let kept: Vec<_> = self.others(of).into_iter().filter_map(|v| v.config.as_ref().ok()).collect();
        let policy = config.policy_version_id().filter(|id| kept.iter().all(|k| k.policy_version_id() != Some(*id)));
        let prompt = config.prompt_version_id().filter(|id| kept.iter().all(|k| k.prompt_version_id() != Some(*id)));
        let expect: Vec<String> = expect.iter().map(|&status| status.to_owned()).collect();
        let status = status.to_owned();
        if let Some(id) = policy {
            let (status, expect) = (status.clone(), expect.clone());
            self.step(candidate, Step::SetPolicyVersionStatus { id, status, expect });
        }
        if let Some(id) = prompt {
            self.step(candidate, Step::SetPromptVersionStatus { id, status, expect });
        }
    }

    /// Writes `model_…` for what serves a model and `prompt_…` for what serves a prompt; a flag has neither.
    fn log(&mut self, candidate: &Variant, what: &str, extra: Value) {
        let Ok(config) = &candidate.config else { return };
        let mut log = |event_type: String, own: Value| {
            let mut payload = own;
            if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
                payload.extend(extra.clone());
            }
            let step = Step::LogEvent { event_type, variant: candidate.id, payload };
            self.plan.steps.push(PlannedStep { candidate: candidate.id, step });
        };
        if let Some(id) = config.policy_version_id() {
            let version = self.versions.get(&id).map(|v| v.version.clone());
            log(format!("model_{what}"), json!({ "policy_version_id": id, "mlflow_model_version": version }));
        }
        if let Some(id) = config.prompt_version_id() {
            log(format!("prompt_{what}"), json!({ "prompt_version_id": id }));
        }
    }

    fn finish(mut self) -> Plan {
        let changed = self.experiment.variants.iter().any(|v| self.share(v.id) != v.allocation);
        if changed {
            let variants = self.experiment.variants.iter();
            self.plan.allocations = variants
                .map(|v| Reallocation { variant: v.id, name: v.name.clone(), from: v.allocation, to: self.share(v.id) })
                .collect();
        }
        self.plan
    }
}

const CHAMPION: &str = "champion";
const CHALLENGER: &str = "challenger";
const CANDIDATE: &str = "candidate";
const PRODUCTION: &str = "production";
const ARCHIVED: &str = "archived";
const RETIRED: &str = "_retired_";

/// A name that says when the variant was retired and still fits its column.
fn retired_name(name: &str, as_of: Date) -> String {
    let suffix = format!("{RETIRED}{as_of}");
    let kept: String = name.chars().take(255 - suffix.len()).collect();
    format!("{kept}{suffix}")
}

/// Whether a variant was retired by an earlier promotion.
pub fn is_retired(variant: &Variant) -> bool {
    variant.name.contains(RETIRED)
}

impl Plan {
    /// How control's units are drawn anew, if they are.
    pub fn redraw(&self) -> Option<&Redraw> {
        self.steps.iter().find_map(|planned| match &planned.step {
            Step::RedrawControl(redraw) => Some(redraw),
            _ => None,
        })
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty() && self.rollouts.is_empty() && self.steps.is_empty()
    }
}

impl Step {
    /// The word in the journal.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::MoveAssignments { .. } => "move_assignments",
            Step::RedrawControl(_) => "redraw_control",
            Step::LogEvent { .. } => "log_event",
            Step::SetTag { .. } => "set_tag",
            Step::ArchiveOtherProduction { .. } => "archive_other_production",
            Step::SetAlias { .. } => "set_alias",
            Step::ReleaseAlias { .. } => "release_alias",
            Step::SetPolicyVersionStatus { .. } => "set_policy_version_status",
            Step::SetPromptVersionStatus { .. } => "set_prompt_version_status",
            Step::RetireVariant { .. } => "retire_variant",
            Step::CompleteExperiment => "complete_experiment",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::MoveAssignments { from_name, to_name, .. } => write!(f, "move the units of {from_name} to {to_name}"),
            Step::RedrawControl(redraw) => redraw.fmt(f),
            Step::LogEvent { event_type, .. } => write!(f, "log the event {event_type}"),
            Step::SetTag { version, key, value, .. } => write!(f, "tag {version} {key}={value}"),
            Step::ArchiveOtherProduction { keep, .. } => {
                write!(f, "tag every other production version of {} stage=archived", keep.model)
            }
            Step::SetAlias { alias, version, .. } => write!(f, "point alias {alias} at {version}"),
            Step::ReleaseAlias { alias, version } => write!(f, "remove alias {alias} if it points at {version}"),
            Step::SetPolicyVersionStatus { id, status, .. } => write!(f, "set policy version {id} to {status}"),
            Step::SetPromptVersionStatus { id, status, .. } => write!(f, "set prompt version {id} to {status}"),
            Step::RetireVariant { name, .. } => write!(f, "retire a variant as {name}"),
            Step::CompleteExperiment => f.write_str("complete the experiment"),
        }
    }
}

#[cfg(test)]
mod tests;
