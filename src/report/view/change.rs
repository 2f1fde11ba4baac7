//! What changed since the night before.

use super::card::word_of;
use super::metric::effect_of;
use super::plain;
use crate::evidence::Reading;
use crate::report::night::{Before, CandidateReport};
use crate::report::words::{Count, Words};

/// The day of the night before, and what is otherwise since. Metrics whose verdict stands are told only by their number.
pub(super) fn since(candidate: &CandidateReport, words: &Words) -> Option<(String, Vec<String>)> {
    let before = candidate.before.as_ref()?;
    let mut told = vec![outcome(candidate, before, words)];
    if before.share != candidate.share {
        told.push(words.fill("since_share", &[("from", &before.share), ("to", &candidate.share)]));
    }
    let mut steady: Option<String> = None;
    let assessment = &candidate.assessment;
    for reading in assessment.readings() {
        let Some(then) = before.metrics.iter().find(|then| then.metric == reading.metric) else { continue };
        let (name, verdict) = (plain(&reading.metric), reading.verdict.word());
        if then.verdict != verdict {
            told.push(
                words.fill("since_verdict", &[("metric", &name), ("before", &plain(&then.verdict)), ("now", &verdict)]),
            );
        } else if steady.is_none()
            && let (Some(was), Some(now)) = (then.effect, reading.effect)
            && shown(reading, was) != shown(reading, now)
        {
            let (was, now) = (shown(reading, was), shown(reading, now));
            steady = Some(
                words
                    .fill("since_effect", &[("metric", &name), ("before", &was), ("now", &now), ("verdict", &verdict)]),
            );
        }
    }
    told.extend(steady.filter(|_| told.len() < 3));
    let more = |now: u64, then: u64| now.saturating_sub(then);
    let (control, of_candidate) = (
        more(assessment.control_units, before.control_units),
        more(assessment.candidate_units, before.candidate_units),
    );
    if control + of_candidate > 0 {
        told.push(words.fill("since_units", &[("control", &Count(control)), ("candidate", &Count(of_candidate))]));
    }
    Some((before.as_of.to_string(), told))
}

fn outcome(candidate: &CandidateReport, before: &Before, words: &Words) -> String {
    let word = word_of(&before.outcome, words);
    let same = before.outcome.word() == candidate.decision.outcome.word();
    let key = if same { "since_outcome_same" } else { "since_outcome" };
    words.fill(key, &[("word", &word)])
}

fn shown(reading: &Reading, effect: f64) -> String {
    effect_of(reading.scale, effect)
}
