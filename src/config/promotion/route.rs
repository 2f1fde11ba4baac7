//! What `promotion.yml` says about the way into an experiment: the offline gate, and who may come through it by night.
//!
//! None of this is among the rules that candidates are judged by: a change restarts no evidence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::entries::PolicyEntry;
use crate::config::document::Document;
use crate::config::fault::Fault;
use crate::domain::{Criteria, Criterion, Policy, Score, ScoreName, Share};

/// The most that a new variant may begin with, unless somebody forces it.
pub const MOST_AT_FIRST: f64 = 0.10;

/// What an offline result has to reach, score by score; a score that is left out keeps the route's own criterion.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QualificationEntry {
    /// 1, unless told.
    pub(super) constraint_respect: Option<CriterionEntry>,
    /// The baseline's, unless told.
    pub(super) plan_alignment: Option<CriterionEntry>,
    /// The baseline's, unless told.
    pub(super) edit_distance: Option<CriterionEntry>,
    /// 95 % of the baseline's, unless told.
    pub(super) diversity: Option<CriterionEntry>,
    /// 95 % of the baseline's, unless told.
    pub(super) leftovers: Option<CriterionEntry>,
}

/// What one score has to reach: a value, a part of the baseline's score, or both.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionEntry {
    /// At least this.
    pub(super) at_least: Option<f64>,
    /// At least this part of the baseline's score, such as 0.95.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub(super) of_baseline: Option<f64>,
}

/// How candidates come into an experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnrolmentEntry {
    /// The policy whose qualified versions become candidates by themselves, where `auto_enroll` says so.
    pub(super) policy: Option<String>,
    /// The share that a new variant begins with, at most 0.10; the first stage's, or 0.10, unless told.
    pub(super) share: Option<f64>,
    /// How many candidates may be at work at once; 1 unless told.
    #[schemars(range(min = 1, max = 10))]
    pub(super) most_candidates: Option<u32>,
}

/// How candidates come into an experiment, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    /// Whether the night lets them in by itself.
    pub auto: bool,
    /// The policy whose versions those are.
    pub policy: Option<String>,
    /// The share that a new variant begins with.
    pub share: Share,
    /// How many candidates may be at work at once.
    pub most_candidates: usize,
}

/// The criteria of a decoded file.
pub(super) fn criteria(document: &Document, entry: &QualificationEntry, faults: &mut Vec<Fault>) -> Criteria {
    let mut criteria = Criteria::default();
    let given = [
        (ScoreName::ConstraintRespect, entry.constraint_respect),
        (ScoreName::PlanAlignment, entry.plan_alignment),
        (ScoreName::EditDistance, entry.edit_distance),
        (ScoreName::Diversity, entry.diversity),
        (ScoreName::Leftovers, entry.leftovers),
    ];
    for (name, entry) in given {
        let Some(CriterionEntry { at_least, of_baseline }) = entry else { continue };
        let mut score = |key: &str, value: Option<f64>| {
            value.and_then(|value| {
                let at = format!("/qualification/{name}/{key}");
                Score::try_from(value).map_err(|why| faults.push(document.fault(&at, why))).ok()
            })
        };
        let criterion =
            Criterion { at_least: score("at_least", at_least), of_baseline: score("of_baseline", of_baseline) };
        if at_least.is_none() && of_baseline.is_none() {
            let message = "give `at_least`, `of_baseline` or both; a score without a criterion could not be missed";
            faults.push(document.fault(&format!("/qualification/{name}"), message));
        }
        criteria.0.insert(name, criterion);
    }
    criteria
}

/// How candidates come into one experiment; what its entry leaves out is taken from `base`.
pub(super) fn enrolment(
    (document, at): (&Document, &str),
    entry: &PolicyEntry,
    policy: &Policy,
    base: Option<&Enrolment>,
    faults: &mut Vec<Fault>,
) -> Enrolment {
    let given = entry.enrolment.clone().unwrap_or_default();
    let most = Share::try_from(MOST_AT_FIRST).unwrap_or_default();
    let first = policy.stages.first().map_or(most, |stage| stage.allocation.min(most));
    let share = match given.share.map(Share::try_from) {
        None => base.map_or(first, |base| base.share).min(first),
        Some(Ok(share)) if share > Share::NONE && share <= most => share,
        Some(told) => {
            let why = told.err().map_or_else(
                || format!("a new variant begins with more than 0 and at most {most}"),
                |error| error.to_string(),
            );
            faults.push(document.fault(&format!("{at}/enrolment/share"), why));
            first
        }
    };
    let policy = given.policy.or_else(|| base.and_then(|base| base.policy.clone()));
    let auto = entry.auto_enroll.unwrap_or(base.is_some_and(|base| base.auto));
    if auto && policy.is_none() && entry.auto_enroll == Some(true) {
        let message = "name the policy whose versions are let in: `enrolment: { policy: NAME }`";
        faults.push(document.fault(&format!("{at}/auto_enroll"), message));
    }
    let most_candidates = given.most_candidates.map(|most| most as usize);
    let most_candidates = most_candidates.or(base.map(|base| base.most_candidates)).unwrap_or(1);
    Enrolment { auto, policy, share, most_candidates }
}

/// How candidates come into each experiment that says something of its own about it.
pub(super) type Enrolments = BTreeMap<String, Enrolment>;
