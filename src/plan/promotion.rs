//! What a promotion changes: the winner gets every unit and takes control's place in registry and tables.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::json;

use super::planner::Planner;
use super::step::Step;
use super::versions::{ARCHIVED, CANDIDATE, CHALLENGER, CHAMPION, PRODUCTION};
use crate::domain::{ExistingUnits, ModelVersion, RolloutState, RolloutStatus, Share, Variant};

/// What stands in the name of a variant that was retired.
pub(super) const RETIRED: &str = "_retired_";

impl Planner<'_> {
    pub(super) fn promote(&mut self, state: &RolloutState, siblings: &[&RolloutState]) {
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
        self.take_over_registry(candidate, siblings);
        self.set_version_statuses(candidate, self.control, "deprecated", &["active"]);
        self.log(candidate, "promoted", json!({}));
        self.retire(candidate, &others);
        if self.policy.complete_on_promote {
            self.step(candidate, Step::CompleteExperiment);
        }
    }

    /// Champion and production go to the winner's version, and whatever had them is archived. Where the winner serves no
    /// model at all, control's version is served no more, but nobody takes its alias.
    fn take_over_registry(&mut self, candidate: &Variant, siblings: &[&RolloutState]) {
        let winner = self.model(candidate);
        let before = self.model(self.control).filter(|before| winner.as_ref() != Some(before));
        if let Some(version) = winner.clone() {
            let expect: Vec<_> = before.iter().filter(|before| before.model == version.model).cloned().collect();
            // The alias first, while the tags still tell which version was in production.
            let (alias, or_production) = (CHAMPION.to_owned(), expect.is_empty());
            let (keep, known) = (version.clone(), expect.clone());
            self.step(candidate, Step::SetAlias { alias, version, expect, or_production });
            self.step(candidate, Step::ArchiveOtherProduction { keep, expect: known });
        }
        if let Some(before) = before {
            self.tag_stage(candidate, before, ARCHIVED, &[CANDIDATE, PRODUCTION], false);
        }
        let mut challengers: Vec<ModelVersion> = Vec::new();
        if let Some(version) = winner {
            self.tag_stage(candidate, version.clone(), PRODUCTION, &[CANDIDATE], false);
            challengers.push(version);
        }
        // A sibling that was ramped last bears the alias, and challenges nobody any more.
        for sibling in siblings {
            let version = self.experiment.variant_by_id(sibling.candidate).and_then(|variant| self.model(variant));
            challengers.extend(version.filter(|version| !challengers.contains(version)));
        }
        for version in challengers {
            self.step(candidate, Step::ReleaseAlias { alias: CHALLENGER.into(), version });
        }
    }

    /// Renames the variants that lost, each to a name that no other has.
    fn retire(&mut self, candidate: &Variant, losers: &[&Variant]) {
        let mut taken: BTreeSet<String> = self.experiment.variants.iter().map(|v| v.name.clone()).collect();
        for loser in losers.iter().filter(|loser| !loser.name.contains(RETIRED)) {
            let mut names = (1..).map(|copy| retired_name(&loser.name, self.as_of, copy));
            let Some(name) = names.find(|name| !taken.contains(name)) else { continue };
            taken.insert(name.clone());
            self.step(candidate, Step::RetireVariant { variant: loser.id, from: loser.name.clone(), name });
        }
    }
}

/// A name that says when the variant was retired and still fits its column. Of names that are cut to the same, each but
/// the first gets a number.
fn retired_name(name: &str, as_of: Date, copy: usize) -> String {
    let number = if copy > 1 { format!("_{copy}") } else { String::new() };
    let suffix = format!("{RETIRED}{as_of}{number}");
    let kept: String = name.chars().take(255 - suffix.len()).collect();
    format!("{kept}{suffix}")
}
