//! `promotion.yml`: how candidates are judged, with defaults for all experiments and overrides for some.

mod entries;
mod freezes;
mod resolver;
mod route;

use std::collections::BTreeMap;

pub use entries::PromotionFile;
use resolver::Resolver;
use route::Enrolments;
pub use route::{Enrolment, MOST_AT_FIRST};

use super::document::Document;
use super::fault::Fault;
use crate::domain::{Criteria, Metric, Policy};

/// The policies of all experiments.
#[derive(Clone, Debug)]
pub struct Policies {
    default: Policy,
    by_experiment: BTreeMap<String, Policy>,
    enrolment: Enrolment,
    enrolments: Enrolments,
    /// Whether nothing at all is changed, whatever a policy says.
    pub kill_switch: bool,
    /// What an offline result has to reach.
    pub criteria: Criteria,
}

impl Policies {
    /// The policy for the experiment of that name.
    pub fn of(&self, experiment: &str) -> &Policy {
        self.by_experiment.get(experiment).unwrap_or(&self.default)
    }

    /// How candidates come into the experiment of that name.
    pub fn enrolment_of(&self, experiment: &str) -> &Enrolment {
        self.enrolments.get(experiment).unwrap_or(&self.enrolment)
    }

    /// The policy for experiments without one of their own.
    pub fn default(&self) -> &Policy {
        &self.default
    }

    /// The names of the experiments with a policy of their own.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.by_experiment.keys().map(String::as_str)
    }
}

/// The policies of a decoded file, or every fault in them. Without `metrics`, whose file has faults of its own, the
/// names of metrics are not checked.
pub(super) fn resolve(
    document: &Document,
    file: &PromotionFile,
    metrics: Option<&BTreeMap<String, Metric>>,
) -> Result<Policies, Vec<Fault>> {
    let mut faults = Vec::new();
    let default =
        Resolver { document, metrics, at: "/defaults".into(), faults: &mut faults }.policy(&file.defaults, None);
    let mut by_experiment = BTreeMap::new();
    let criteria = route::criteria(document, &file.qualification, &mut faults);
    let enrolment = route::enrolment((document, "/defaults"), &file.defaults, &default, None, &mut faults);
    let mut enrolments = Enrolments::new();
    for (name, entry) in &file.experiments {
        let at = format!("/experiments/{}", name.replace('~', "~0").replace('/', "~1"));
        let mut resolver = Resolver { document, metrics, at: at.clone(), faults: &mut faults };
        let policy = resolver.policy(entry, Some(&default));
        let own = route::enrolment((document, &at), entry, &policy, Some(&enrolment), &mut faults);
        enrolments.insert(name.clone(), own);
        by_experiment.insert(name.clone(), policy);
    }
    let kill_switch = file.kill_switch;
    match faults.is_empty() {
        true => Ok(Policies { default, by_experiment, enrolment, enrolments, kill_switch, criteria }),
        false => Err(faults),
    }
}

#[cfg(test)]
mod tests;
