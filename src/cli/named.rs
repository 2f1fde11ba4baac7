//! What people name on the command line, looked up: experiments, candidates and decisions.

use anyhow::anyhow;
use uuid::Uuid;

use super::shown::plain;
use crate::control::{ControlStore, StoredDecision, Wanted};
use crate::domain::ExperimentId;

/// How many decisions are read at once.
pub(super) const BATCH: i64 = 500;

/// How many choices an error names.
const CHOICES: usize = 10;

/// An experiment that was named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) id: ExperimentId,
    pub(super) name: String,
}

/// The experiment of that name or key, whatever its status.
pub(super) async fn experiment(control: &ControlStore, name: &str) -> anyhow::Result<Named> {
    match control.find_experiment(name).await? {
        Some((id, name)) => Ok(Named { id, name }),
        None => Err(anyhow!(unknown("experiment", name, &control.experiment_names().await?))),
    }
}

/// Says what is not there, and what may have been meant.
pub(super) fn unknown(what: &str, name: &str, known: &[String]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 4)
        .min();
    let hint = match near {
        Some((_, near)) => format!("did you mean `{}`?", plain(near)),
        None if known.is_empty() => "there is none at all".to_owned(),
        None => {
            let shown: Vec<String> = known.iter().take(CHOICES).map(|name| plain(name)).collect();
            let more = known.len().saturating_sub(CHOICES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("there are: {}{more}", shown.join(", "))
        }
    };
    format!("there is no {what} `{}`; {hint}", plain(name))
}

/// All decisions that are wanted, in the order of the chain.
pub(super) async fn all(control: &ControlStore, wanted: Wanted<'_>) -> anyhow::Result<Vec<StoredDecision>> {
    let mut found: Vec<StoredDecision> = Vec::new();
    loop {
        let after = found.last().map_or(wanted.after, |last| last.position);
        let batch = control.decisions(Wanted { after, ..wanted }, BATCH).await?;
        let last = (batch.len() as i64) < BATCH;
        found.extend(batch);
        if last {
            return Ok(found);
        }
    }
}

/// The decision of that key, of a unique beginning of it, or the last one of `EXPERIMENT/CANDIDATE`. An experiment with a
/// single candidate needs no `/CANDIDATE`.
pub(super) async fn decision(control: &ControlStore, name: &str) -> anyhow::Result<StoredDecision> {
    if let Some(key) = key(name) {
        let wanted = Wanted { id: &key, ..Wanted::default() };
        let mut found = control.decisions(wanted, CHOICES as i64 + 1).await?;
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0)),
            _ => return Err(ambiguous(name, &found)),
        }
    }
    let (experiment_name, candidate) = match name.split_once('/') {
        Some((experiment, candidate)) => (experiment, Some(candidate)),
        None => (name, None),
    };
    let found = control.find_experiment(experiment_name).await?;
    let Some((id, _)) = found else {
        let hint = unknown("experiment", experiment_name, &control.experiment_names().await?);
        let told = if candidate.is_some() { hint } else { format!("no decision begins with it, and {hint}") };
        return Err(anyhow!(told));
    };
    let decisions = all(control, Wanted { experiment: Some(id), ..Wanted::default() }).await?;
    let mut names: Vec<String> =
        decisions.iter().flat_map(|d| [d.name().to_owned(), d.candidate_name.clone()]).collect();
    names.sort();
    names.dedup();
    if decisions.is_empty() {
        return Err(anyhow!(
            "nothing was decided of {} yet; `rampkeeper plan` shows what would be",
            plain(experiment_name)
        ));
    }
    let mut ours = decisions;
    match candidate {
        Some(wanted) => {
            ours.retain(|decision| is_called(decision, wanted));
            if ours.is_empty() {
                let what = format!("candidate of {} with a decision called", plain(experiment_name));
                return Err(anyhow!(unknown(&what, wanted, &names)));
            }
        }
        None => {
            let first = ours.first().map(|decision| decision.candidate);
            if ours.iter().any(|decision| Some(decision.candidate) != first) {
                let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
                let example = names.first().cloned().unwrap_or_default();
                let (experiment, names) = (plain(experiment_name), names.join(", "));
                return Err(anyhow!("{experiment} has several candidates ({names}); write {experiment}/{example}"));
            }
        }
    }
    ours.pop().ok_or_else(|| anyhow!("nothing was decided of {} yet", plain(name)))
}

/// Whether a decision's candidate bears that name or key, now or then.
pub(super) fn is_called(decision: &StoredDecision, name: &str) -> bool {
    decision.name() == name || decision.candidate_name == name || decision.candidate.to_string() == name
}

/// The text as a key or the beginning of one, as keys are stored; none if it cannot be one.
fn key(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Ok(whole) = Uuid::parse_str(&lower) {
        return Some(whole.to_string());
    }
    let is_key = !lower.is_empty() && lower.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    if !is_key || lower.contains('-') {
        return is_key.then_some(lower);
    }
    // As it is stored: 8-4-4-4-12.
    let dashed = lower.chars().enumerate().map(|(place, letter)| match place {
        8 | 12 | 16 | 20 => format!("-{letter}"),
        _ => letter.to_string(),
    });
    Some(dashed.collect())
}

fn ambiguous(name: &str, found: &[StoredDecision]) -> anyhow::Error {
    let told: Vec<String> = found
        .iter()
        .take(CHOICES)
        .map(|d| {
            let of = plain(&format!("{}/{}", d.experiment_name, d.name()));
            format!("\n  {} {of}, night of {}, {}", d.id, d.as_of, d.decision.outcome.word())
        })
        .collect();
    let more = if found.len() > CHOICES { "\n  …" } else { "" };
    anyhow!("several decisions begin with {}; give more of it:{}{more}", plain(name), told.concat())
}

/// The beginning of a key that people read and write.
pub(super) fn short(id: Uuid) -> String {
    let mut text = id.to_string();
    text.truncate(8);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_guessed_and_what_is_unknown_is_answered_with_what_there_is() {
        let known = ["leftovers_exp".to_owned(), "planner_exp".to_owned()];
        assert!(unknown("experiment", "leftover_exp", &known).ends_with("did you mean `leftovers_exp`?"));
        assert!(unknown("experiment", "x", &known).ends_with("there are: leftovers_exp, planner_exp"));
        assert!(unknown("experiment", "x", &[]).ends_with("there is none at all"));
        assert!(!unknown("experiment", "\x1b[2J", &["\x1b[2Ja".to_owned()]).contains('\x1b'));
    }

    #[test]
    fn a_key_has_nothing_in_it_that_a_search_would_take_for_more() {
        assert_eq!(key("3FA2b1").as_deref(), Some("3fa2b1"));
        assert_eq!(key("6f2f9a4e2c354f5e9a550d1f6f3f9a01").as_deref(), Some("6f2f9a4e-2c35-4f5e-9a55-0d1f6f3f9a01"));
        assert_eq!(key("6f2f9a4e2c35").as_deref(), Some("6f2f9a4e-2c35"));
        for no_key in ["%", "3f_", "", "leftovers_exp"] {
            assert_eq!(key(no_key), None);
        }
    }
}
