//! A plan in the making: shares, states and steps, and what a ramp changes.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::step::Step;
use super::versions::CHALLENGER;
use super::{Drawn, Moment, Plan, PlannedStep, Reallocation, Redraw, Versions};
use crate::domain::{ExistingUnits, Experiment, Policy, RolloutState, RolloutStatus, Share, Variant, VariantId};

pub(super) struct Planner<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) policy: &'a Policy,
    pub(super) versions: &'a Versions,
    pub(super) control: &'a Variant,
    pub(super) as_of: Date,
    pub(super) shares: BTreeMap<VariantId, Share>,
    /// The share that the units on control stand for.
    pub(super) pool: Share,
    /// What the candidates that rise get of them.
    drawn: Vec<Drawn>,
    pub(super) plan: Plan,
}

impl<'a> Planner<'a> {
    /// Nothing is changed yet.
    pub(super) fn new(
        experiment: &'a Experiment,
        policy: &'a Policy,
        versions: &'a Versions,
        control: &'a Variant,
        as_of: Date,
    ) -> Self {
        Self {
            experiment,
            policy,
            versions,
            control,
            as_of,
            shares: experiment.variants.iter().map(|v| (v.id, v.allocation)).collect(),
            pool: control.allocation,
            drawn: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub(super) fn ramp(&mut self, state: &RolloutState, stage: usize, to: Share) {
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
    pub(super) fn redraw(&mut self, moment: Moment) {
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

    /// Gives a candidate its share and takes the difference from, or gives it to, control.
    pub(super) fn shift(&mut self, candidate: VariantId, to: Share) {
        let from = self.share(candidate);
        let control = self.share(self.control.id);
        let control = control.saturating_add(from.saturating_sub(to)).saturating_sub(to.saturating_sub(from));
        self.shares.insert(candidate, to);
        self.shares.insert(self.control.id, control);
    }

    pub(super) fn share(&self, variant: VariantId) -> Share {
        self.shares.get(&variant).copied().unwrap_or_default()
    }

    pub(super) fn advance(&mut self, state: &RolloutState, status: RolloutStatus, stage: usize) {
        self.plan.rollouts.push(RolloutState { status, stage, entered_on: self.as_of, ..state.clone() });
    }

    pub(super) fn step(&mut self, candidate: &Variant, step: Step) {
        self.plan.steps.push(PlannedStep { candidate: candidate.id, step });
    }

    pub(super) fn move_units(&mut self, candidate: &Variant, from: &Variant, to: &Variant) {
        let (from_name, to_name) = (from.name.clone(), to.name.clone());
        self.step(candidate, Step::MoveAssignments { from: from.id, from_name, to: to.id, to_name });
    }

    pub(super) fn finish(mut self) -> Plan {
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
