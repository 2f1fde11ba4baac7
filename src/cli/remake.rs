//! Stored decisions made again, and how what comes out differs from what is stored.

use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::control::{ControlError, ControlStore, StoredDecision};
use crate::night::{NightError, Repeated, recall, repeat};

/// How many differences of one decision are told.
const TOLD: usize = 5;

/// A stored decision by what names it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stub {
    pub(super) id: Uuid,
    pub(super) position: i64,
    pub(super) experiment: String,
    pub(super) candidate: String,
    pub(super) as_of: Date,
    pub(super) revision: i64,
    pub(super) outcome: String,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "again", rename_all = "snake_case")]
pub(super) enum Again {
    /// The same, byte for byte.
    Same,
    /// Something else.
    Different { outcome: String, differences: Vec<Difference> },
    /// What it was made from is not there any more, or cannot be read.
    Lost { why: String },
    /// An older version made it, which kept no facts.
    NotKept,
}

impl Again {
    /// Whether something is wrong.
    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Again::Different { .. } | Again::Lost { .. })
    }
}

/// A value that is stored and does not come out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Where it stands, such as `assessment.guardrails.0.effect`.
    pub(super) at: String,
    pub(super) stored: String,
    pub(super) again: String,
}

impl From<&StoredDecision> for Stub {
    fn from(stored: &StoredDecision) -> Stub {
        Stub {
            id: stored.id,
            position: stored.position,
            experiment: stored.experiment_name.clone(),
            candidate: stored.name().to_owned(),
            as_of: stored.as_of,
            revision: stored.revision,
            outcome: stored.decision.outcome.word().to_owned(),
        }
    }
}

/// Makes the decisions again that one run made of one experiment, all of them together since siblings depend on each
/// other. What is lost or altered is an answer; an error is only a store that cannot be read at all.
pub(super) async fn remake(
    control: &ControlStore,
    together: Vec<StoredDecision>,
) -> Result<(Vec<(Stub, Again)>, Vec<Repeated>), NightError> {
    let mut answers = Vec::new();
    let mut recalled = Vec::new();
    for stored in together {
        let stub = Stub::from(&stored);
        match recall(control, stored).await {
            Ok(Some(one)) => recalled.push(one),
            Ok(None) => answers.push((stub, Again::NotKept)),
            Err(lost @ (NightError::RulesLost { .. } | NightError::Control(ControlError::Row { .. }))) => {
                answers.push((stub, Again::Lost { why: lost.to_string() }));
            }
            Err(error) => return Err(error),
        }
    }
    let repeated = repeat(recalled);
    answers.extend(repeated.iter().map(|one| (Stub::from(&one.recalled.stored), compare(one))));
    answers.sort_by_key(|(stub, _)| stub.position);
    Ok((answers, repeated))
}

fn compare(one: &Repeated) -> Again {
    let stored = &one.recalled.stored;
    let mut differences = Vec::new();
    let digest = one.recalled.rules.digest();
    if digest != one.recalled.basis.rules {
        differences.push(Difference { at: "rules".into(), stored: one.recalled.basis.rules.clone(), again: digest });
    }
    if one.agrees() && differences.is_empty() {
        return Again::Same;
    }
    let [decision, assessment, _] = &stored.texts;
    for (at, text, again) in
        [("decision", decision, json!(one.decision)), ("assessment", assessment, json!(one.assessment))]
    {
        match serde_json::from_str::<Value>(text) {
            Ok(before) => compare_values(at, &before, &again, &mut differences),
            Err(_) => differences.push(Difference { at: at.into(), stored: text.clone(), again: again.to_string() }),
        }
    }
    if differences.is_empty() {
        // The same values in another form of writing.
        let [stored, again] = ["as it is stored", "as it is written"].map(str::to_owned);
        differences.push(Difference { at: "the text".to_owned(), stored, again });
    }
    Again::Different { outcome: one.decision.outcome.word().to_owned(), differences }
}

fn compare_values(at: &str, stored: &Value, again: &Value, found: &mut Vec<Difference>) {
    if found.len() >= TOLD || stored == again {
        return;
    }
    match (stored, again) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let [a, b] = [a, b].map(|map| map.get(key).unwrap_or(&Value::Null));
                compare_values(&format!("{at}.{key}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let [a, b] = [a, b].map(|list| list.get(index).unwrap_or(&Value::Null));
                compare_values(&format!("{at}.{index}"), a, b, found);
            }
        }
        (a, b) => found.push(Difference { at: at.to_owned(), stored: a.to_string(), again: b.to_string() }),
    }
}

/// Splits decisions in the order of the chain into those that one run made of one experiment.
pub(super) fn together(decisions: Vec<StoredDecision>) -> Vec<Vec<StoredDecision>> {
    let mut groups: Vec<Vec<StoredDecision>> = Vec::new();
    for decision in decisions {
        match groups.last_mut().filter(|group| group.first().is_some_and(|first| is_with(first, &decision))) {
            Some(group) => group.push(decision),
            None => groups.push(vec![decision]),
        }
    }
    groups
}

/// Whether two decisions were made by one run of one experiment.
pub(super) fn is_with(a: &StoredDecision, b: &StoredDecision) -> bool {
    (a.run, a.experiment) == (b.run, b.experiment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_with_their_place() {
        let stored = json!({ "outcome": "hold", "reasons": [{ "days": 3 }, { "days": 4 }] });
        let again = json!({ "outcome": "ramp", "reasons": [{ "days": 3 }], "to": 0.25 });
        let mut found = Vec::new();
        compare_values("decision", &stored, &again, &mut found);
        let told: Vec<String> = found.iter().map(|d| format!("{}: {} {}", d.at, d.stored, d.again)).collect();
        assert_eq!(
            told,
            ["decision.outcome: \"hold\" \"ramp\"", "decision.reasons.1: {\"days\":4} null", "decision.to: null 0.25"]
        );
    }
}
