//! Making a stored decision again: from the stored moments, rules and facts, without the warehouse.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::error::NightError;
use crate::control::{ControlStore, StoredDecision};
use crate::decide::{Basis, Decision, Situation, decide, promote_at_most_one};
use crate::domain::{Epoch, Rules};
use crate::evidence::{Assessment, Cohort, Comparison, MetricSet, assess, closed_by};

/// Everything that one stored decision was made from.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// The decision as it is stored.
    pub stored: StoredDecision,
    /// Its facts.
    pub basis: Basis,
    /// Its rules.
    pub rules: Rules,
    /// The epochs that had begun.
    pub epochs: Vec<Epoch>,
    /// The cohorts that were known.
    pub cohorts: Vec<Cohort>,
}

/// A decision that was made again.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// What it was made from.
    pub recalled: Recalled,
    /// The assessment, made again.
    pub assessment: Assessment,
    /// The decision, made again.
    pub decision: Decision,
}

/// Loads what a stored decision was made from. `None` if an older version made it, which kept no basis.
///
/// # Errors
/// [`NightError::Control`] if the store cannot be read; [`NightError::RulesLost`] if the rules are not in it.
pub async fn recall(control: &ControlStore, stored: StoredDecision) -> Result<Option<Recalled>, NightError> {
    let Some(basis) = stored.basis.clone() else { return Ok(None) };
    let rules = control.rules(&basis.rules).await?;
    let rules = rules.ok_or_else(|| NightError::RulesLost { decision: stored.id, digest: basis.rules.clone() })?;
    let mut epochs = control.epochs_of(stored.experiment).await?;
    epochs.retain(|epoch| epoch.started_at <= stored.decided_at);
    let mut cohorts = Vec::new();
    for set in MetricSet::group(rules.metrics.values()) {
        cohorts.extend(control.cohorts_read_by(stored.experiment, &set, stored.decided_at).await?);
    }
    let cohorts = closed_by(&cohorts, &rules.metrics, stored.as_of);
    Ok(Some(Recalled { stored, basis, rules, epochs, cohorts }))
}

impl Recalled {
    /// What was compared.
    pub fn comparison(&self) -> Comparison<'_> {
        Comparison {
            control: self.basis.control,
            candidate: self.stored.candidate,
            candidates: self.basis.facts.candidates,
            policy: &self.rules.policy,
            metrics: &self.rules.metrics,
            cohorts: &self.cohorts,
            epochs: &self.epochs,
            as_of: self.stored.as_of,
            since: self.basis.since,
        }
    }

    /// The decision on another assessment, its siblings aside.
    pub fn decide_on(&self, assessment: &Assessment) -> Decision {
        decide(&Situation { policy: &self.rules.policy, assessment, facts: &self.basis.facts })
    }
}

/// Makes the decisions of one night again, those of one run and experiment together, since siblings depend on each other.
pub fn repeat(recalled: Vec<Recalled>) -> Vec<Repeated> {
    let mut groups: BTreeMap<(Uuid, Uuid), Vec<Recalled>> = BTreeMap::new();
    for one in recalled {
        groups.entry((one.stored.run, one.stored.experiment.0)).or_default().push(one);
    }
    let mut repeated = Vec::new();
    for group in groups.into_values() {
        let assessed = group.into_iter().map(|recalled| {
            let assessment = assess(&recalled.comparison());
            let decision = recalled.decide_on(&assessment);
            Repeated { recalled, assessment, decision }
        });
        let mut together: Vec<Repeated> = assessed.collect();
        let mut judgements: Vec<_> = together
            .iter_mut()
            .map(|one| (one.recalled.basis.name.as_str(), &one.assessment, &mut one.decision))
            .collect();
        promote_at_most_one(&mut judgements);
        repeated.extend(together);
    }
    repeated.sort_by_key(|one| one.recalled.stored.position);
    repeated
}

impl Repeated {
    /// Whether the same assessment and the same decision came out, byte for byte as they are stored.
    pub fn agrees(&self) -> bool {
        let text = |value: serde_json::Value| value.to_string();
        let [decision, assessment, _] = &self.recalled.stored.texts;
        text(serde_json::json!(self.decision)) == *decision && text(serde_json::json!(self.assessment)) == *assessment
    }
}
