//! `promotion.yml`: how candidates are judged, with defaults for all experiments and overrides for some.

mod entries;
mod freezes;
mod resolver;

use std::collections::BTreeMap;

pub use entries::PromotionFile;
use resolver::Resolver;

use super::document::Document;
use super::fault::Fault;
use crate::domain::{Metric, Policy};

/// The policies of all experiments.
#[derive(Clone, Debug)]
pub struct Policies {
    default: Policy,
    by_experiment: BTreeMap<String, Policy>,
    /// Whether nothing at all is changed, whatever a policy says.
    pub kill_switch: bool,
}

impl Policies {
    /// The policy for the experiment of that name.
    pub fn of(&self, experiment: &str) -> &Policy {
        self.by_experiment.get(experiment).unwrap_or(&self.default)
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
    for (name, entry) in &file.experiments {
        let at = format!("/experiments/{}", name.replace('~', "~0").replace('/', "~1"));
        let mut resolver = Resolver { document, metrics, at, faults: &mut faults };
        by_experiment.insert(name.clone(), resolver.policy(entry, Some(&default)));
    }
    let kill_switch = file.kill_switch;
    if faults.is_empty() { Ok(Policies { default, by_experiment, kill_switch }) } else { Err(faults) }
}

#[cfg(test)]
mod tests;
