//! What would have changed a stored decision.

use super::replay::{Recalled, Repeated};
use crate::decide::{Decision, Facts, Flips, Situation, World, decide, flips, promote_at_most_one};
use crate::evidence::Assessment;

/// The smallest changes that would have changed one of the decisions that one run made of an experiment, made again.
/// What its siblings were judged as stays. `None` if that place is none of theirs.
pub fn flips_of(together: &[Repeated], place: usize) -> Option<Flips> {
    let one = together.get(place)?;
    let siblings = together.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, sibling)| sibling);
    // Each judged by itself: who may be promoted is settled anew in every world.
    let siblings: Vec<(&Repeated, Decision)> =
        siblings.map(|sibling| (sibling, sibling.recalled.decide_on(&sibling.assessment))).collect();
    let decide_on = |assessment: &Assessment, facts: &Facts| decide_beside(&one.recalled, &siblings, assessment, facts);
    let world = World { comparison: one.recalled.comparison(), facts: &one.recalled.basis.facts, decide: &decide_on };
    Some(flips(&world))
}

fn decide_beside(
    recalled: &Recalled,
    siblings: &[(&Repeated, Decision)],
    assessment: &Assessment,
    facts: &Facts,
) -> Decision {
    let mut decision = decide(&Situation { policy: &recalled.rules.policy, assessment, facts });
    let mut beside: Vec<Decision> = siblings.iter().map(|(_, decision)| decision.clone()).collect();
    let mut judgements = vec![(recalled.basis.name.as_str(), assessment, &mut decision)];
    judgements.extend(
        siblings
            .iter()
            .zip(&mut beside)
            .map(|((sibling, _), decision)| (sibling.recalled.basis.name.as_str(), &sibling.assessment, decision)),
    );
    promote_at_most_one(&mut judgements);
    decision
}
