//! Several candidates of one experiment: each is judged on its own, and at most one is promoted.

use super::{Decision, Outcome, Reason};
use crate::evidence::{Assessment, Reading};

/// One candidate's name, assessment and decision.
pub type Judgement<'a> = (&'a str, &'a Assessment, &'a mut Decision);

/// Lets only the best of several candidates that may be promoted be promoted tonight; the others are held.
///
/// The best has the largest effect on the first success metric or, without one, the least estimated harm on its worst
/// guardrail. Ties go to the first by name, so that the choice does not depend on the order of rows.
pub fn promote_at_most_one(judgements: &mut [Judgement<'_>]) {
    let winner = judgements
        .iter()
        .filter(|(_, _, decision)| decision.outcome == Outcome::Promote)
        .map(|(name, assessment, _)| (merit(assessment), *name))
        .max_by(|(a, a_name), (b, b_name)| a.total_cmp(b).then_with(|| b_name.cmp(a_name)))
        .map(|(_, name)| name.to_owned());
    let Some(winner) = winner else { return };
    for (name, _, decision) in judgements.iter_mut() {
        // The promotion takes every unit, so whoever is not rolled back is closed by it.
        if *name != winner && decision.outcome != Outcome::Rollback {
            decision.outcome = Outcome::Hold;
            decision.reasons.insert(0, Reason::SiblingPromoted { sibling: winner.clone() });
        }
    }
}

/// How good a candidate looks: larger is better.
fn merit(assessment: &Assessment) -> f64 {
    let harm = |readings: &[Reading]| {
        readings.iter().filter_map(|reading| reading.estimated_harm()).fold(f64::NEG_INFINITY, f64::max)
    };
    match assessment.success.first().and_then(|reading| reading.estimated_harm()) {
        Some(harm_of_success) => -harm_of_success,
        None => -harm(&assessment.guardrails),
    }
}
