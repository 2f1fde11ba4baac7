//! Changes of the rules while an experiment runs, and which of them make the evidence begin anew.
//!
//! A margin, an error rate or a metric that is chosen after data were seen no longer has the error rate that it promises,
//! so the evidence then starts from nothing, with the units that come after the change. Who is told, when a stage may be
//! left, or what a rollback moves is no part of the statistics and restarts nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::metric::Metric;
use super::policy::Policy;

/// Everything that an experiment is judged by, beside its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The policy.
    pub policy: Policy,
    /// The metrics that the policy names.
    pub metrics: BTreeMap<String, Metric>,
}

/// A change of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// What is different, as sentences.
    pub changes: Vec<String>,
    /// Whether the evidence begins anew.
    pub restarts: bool,
}

impl Rules {
    /// The rules for an experiment under that policy.
    pub fn new(policy: &Policy, metrics: &BTreeMap<String, Metric>) -> Rules {
        let metrics = policy.judged_by().filter_map(|name| Some((name.clone(), metrics.get(name)?.clone()))).collect();
        Rules { policy: policy.clone(), metrics }
    }

    /// SHA-256 of the rules, in hexadecimal.
    pub fn digest(&self) -> String {
        format!("{:x}", Sha256::digest(json!(self).to_string()))
    }

    /// What the error rates depend on: the tests, their levels, and the nights on which promotion is planned.
    fn statistics(&self) -> Value {
        let policy = &self.policy;
        let planned = policy.max_nights.map(|last| (policy.first_promotion_night(), last));
        let alphas = policy.alphas;
        let metrics: BTreeMap<_, _> = self
            .metrics
            .iter()
            .map(|(name, m)| (name, (&m.form, m.direction, m.window_days, m.covariate_days)))
            .collect();
        json!({
            "control": policy.control,
            "guardrails": policy.guardrails,
            "success": policy.success,
            "alphas": [alphas.rollback, alphas.promotion],
            "planned looks": planned,
            "metrics": metrics,
        })
    }

    /// How these rules differ from earlier ones; `None` if they do not.
    pub fn amend(&self, before: &Rules) -> Option<Amendment> {
        // Nearly always, and much cheaper to see than to spell out.
        if self == before {
            return None;
        }
        let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &json!(before), &mut old);
        flatten("", &json!(self), &mut new);
        let both = old.iter().filter_map(|(path, was)| Some((path, was, new.get(path)?)));
        let altered = both.filter(|(_, was, is)| was != is);
        let mut changes: Vec<String> = altered.map(|(path, was, is)| format!("{path}: {was} → {is}")).collect();
        changes.extend(only_in(&old, &new, "is gone"));
        changes.extend(only_in(&new, &old, "is new"));
        let restarts = self.statistics() != before.statistics();
        (!changes.is_empty()).then_some(Amendment { changes, restarts })
    }
}

/// What one side alone has, an entry with several leaves in one sentence.
fn only_in(here: &BTreeMap<String, String>, there: &BTreeMap<String, String>, word: &str) -> Vec<String> {
    let known = |part: &str| there.range(part.to_owned()..).next().is_some_and(|(path, _)| path.starts_with(part));
    let mut entries: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, value) in here.iter().filter(|(path, _)| !there.contains_key(*path)) {
        let mut parts = path.match_indices('.').map(|(at, _)| &path[..at]);
        let entry = parts.find(|part| !known(part)).unwrap_or(path.as_str());
        entries.entry(entry).or_default().push((&path[entry.len()..], value));
    }
    let sentence = |(entry, leaves): (&str, Vec<(&str, &str)>)| match leaves[..] {
        [("", value)] => format!("{entry}: {value} {word}"),
        _ => {
            // The name is in the path already.
            let told = leaves.iter().filter(|(leaf, _)| ![".metric", ".name", ".description"].contains(leaf));
            let told: Vec<String> = told.map(|(leaf, value)| format!("{} {value}", &leaf[1..])).collect();
            format!("{entry} {word} ({})", told.join(", "))
        }
    };
    entries.into_iter().map(sentence).collect()
}

/// Every leaf by its path; the entries of a list that bear a metric are known by it, and not by their place.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let under = |key: &str| match path {
        "" | "policy" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| flatten(&under(key), value, leaves))
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, item) in list.iter().enumerate() {
                let key = ["metric", "name"].iter().find_map(|key| item.get(key)?.as_str()).map(str::to_owned);
                flatten(&format!("{path}[{}]", key.unwrap_or_else(|| (index + 1).to_string())), item, leaves);
            }
        }
        Value::String(text) => {
            leaves.insert(path.to_owned(), text.clone());
        }
        Value::Null => {
            leaves.insert(path.to_owned(), "none".to_owned());
        }
        // What has nothing in it is told by what comes into it.
        Value::Object(_) | Value::Array(_) => {}
        other => {
            leaves.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Bound, Guardrail, Margin};

    fn rules(margin: f64) -> Rules {
        let bound = Bound::Margin(Margin::try_from(margin).unwrap());
        let guardrails = vec![Guardrail::new("cost", bound), Guardrail::new("speed", bound)];
        Rules { policy: Policy { guardrails, ..Policy::standard() }, metrics: BTreeMap::new() }
    }

    #[test]
    fn a_margin_restarts_the_evidence_and_an_owner_does_not() {
        let before = rules(0.1);
        assert_eq!(before.amend(&before), None);
        let amended = rules(0.2).amend(&before).unwrap();
        assert!(amended.restarts);
        assert_eq!(amended.changes[0], "guardrails[cost].bound.margin: 0.1 → 0.2");
        let mut owned = before.clone();
        owned.policy.owners = vec!["ana@example.com".into()];
        owned.policy.stages[0].min_days = 4;
        let amended = owned.amend(&before).unwrap();
        assert!(!amended.restarts);
        assert_eq!(amended.changes, ["stages[1].min_days: 3 → 4", "owners[1]: ana@example.com is new"]);
    }

    #[test]
    fn an_entry_that_comes_or_goes_is_one_sentence() {
        let (all, mut fewer) = (rules(0.1), rules(0.1));
        fewer.policy.guardrails.pop();
        fewer.policy.stages.pop();
        let gone = fewer.amend(&all).unwrap().changes;
        assert_eq!(gone[0], "guardrails[speed] is gone (bound.margin 0.1, on_harm rollback)");
        assert!(gone.len() == 2 && gone[1].starts_with("stages[3] is gone (allocation 0.5,"), "{gone:?}");
        let back = all.amend(&fewer).unwrap().changes;
        assert_eq!(back[0], "guardrails[speed] is new (bound.margin 0.1, on_harm rollback)");
    }

    #[test]
    fn planned_looks_restart_the_evidence_where_they_move() {
        let mut before = rules(0.1);
        before.policy.max_nights = Some(30);
        let mut longer = before.clone();
        longer.policy.stages[0].min_days = 5;
        assert!(longer.amend(&before).unwrap().restarts, "the first look is later");
        let mut dropped = before.clone();
        dropped.policy.guardrails.pop();
        assert!(dropped.amend(&before).unwrap().restarts);
        let mut owned = before.clone();
        owned.policy.alphas.warn = crate::domain::Alpha::try_from(0.3).unwrap();
        assert!(!owned.amend(&before).unwrap().restarts);
    }
}
