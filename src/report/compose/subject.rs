//! What a mail is about, in the one line that a list of mails shows.

use crate::domain::{Bound, Direction};
use crate::report::night::NightReport;
use crate::report::view::{self, Class};
use crate::report::words::Words;

pub(super) fn digest_subject(night: &NightReport, words: &Words) -> String {
    let classes: Vec<Class> = night.experiments.iter().map(Class::of).collect();
    let count = |class: fn(&Class) -> bool| classes.iter().filter(|c| class(c)).count();
    let outcomes = view::outcomes(night);
    let broken = count(|c| c.broken) + night.incidents.len() + usize::from(!night.unfinished.is_empty());
    let acted = [("rolled_back", outcomes[0]), ("promoted", outcomes[1]), ("ramped", outcomes[2])];
    let rest = [("subject_needs_you", count(|c| c.needs_you)), ("subject_broken", broken), ("held", outcomes[3])];
    let mut what = view::counted(words, &[&acted[..], &rest[..]].concat());
    if what.is_empty() {
        what.push(words.say(if night.experiments.is_empty() { "no_experiment" } else { "nothing" }));
    }
    words.fill("subject_digest", &[("as_of", &night.as_of), ("what", &what.join(", "))])
}

/// `[rampkeeper] ROLLED BACK planner_policy_exp/leftovers_v2: cost per plan +12.4 % (margin +10 %)`, with names cut where
/// it would be long.
pub(super) fn action_subject(night: &NightReport, words: &Words) -> String {
    const LONG: usize = 96;
    let Some((experiment, candidate)) = night.experiments.first().and_then(|e| Some((e, e.candidates.first()?))) else {
        return words.fill("subject_digest", &[("as_of", &night.as_of), ("what", &night.summary())]);
    };
    let word = view::word_of(&candidate.decision.outcome, words);
    let told = |(names, metrics): (usize, usize)| {
        let shown = crate::report::pictures::named_by_reasons(candidate);
        let what = match shown.and_then(|reading| Some((reading, reading.effect?))) {
            Some((reading, effect)) => {
                let bound = view::bound_of(reading.bound, reading.direction);
                let bound = match (reading.bound, reading.direction) {
                    (Bound::Margin(_), Direction::Increase | Direction::Decrease) => {
                        words.fill("margin", &[("bound", &bound)])
                    }
                    (Bound::Ceiling(_) | Bound::Floor(_), _) => words.fill("limit", &[("bound", &bound)]),
                };
                let metric = view::shortened(&view::plain(&reading.metric).replace('_', " "), metrics);
                let effect = view::effect_of(reading.scale, effect);
                words.fill("subject_breach", &[("metric", &metric), ("effect", &effect), ("bound", &bound)])
            }
            None => {
                let brief = candidate.decision.in_short().into_iter().next().unwrap_or_default();
                view::shortened(&view::plain(&brief), 2 * metrics)
            }
        };
        let experiment = view::shortened(&view::plain(&experiment.name), names);
        let of = view::shortened(&view::plain(&candidate.name), names);
        words.fill(
            "subject_action",
            &[("word", &word), ("experiment", &experiment), ("candidate", &of), ("what", &what)],
        )
    };
    let subjects = [(60, 40), (28, 28), (24, 24), (20, 20), (16, 20), (12, 16)].map(told);
    let fits = |subject: &&String| subject.chars().count() <= LONG;
    subjects.iter().find(fits).unwrap_or(&subjects[subjects.len() - 1]).clone()
}
