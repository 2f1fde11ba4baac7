//! What is wrong with an experiment's own configuration.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::ExperimentRecord;
use crate::domain::{Metric, Policy, Variant};
use crate::plan::Versions;

/// Faults of the experiment that concern every candidate.
pub fn shared_faults(record: &ExperimentRecord, policy: &Policy) -> Vec<String> {
    let experiment = &record.experiment;
    let mut faults = record.faults.clone();
    match experiment.variant(&policy.control) {
        None => {
            let names: Vec<&str> = experiment.variants.iter().map(|v| v.name.as_str()).collect();
            let control = &policy.control;
            faults.push(format!(
                "there is no variant named {control:?} to compare with (there are: {}); name the control in the promotion file",
                names.join(", ")
            ));
        }
        Some(control) => {
            if let Err(error) = &control.config {
                faults.push(format!("variant {}: {error}", control.name));
            }
        }
    }
    let sum = experiment.allocated_ten_thousandths();
    if sum != 10_000 {
        let sum = f64::from(sum) / 10_000.0;
        faults.push(format!("the allocations sum to {sum}, not to 1; mend exp.variants.allocation"));
    }
    faults
}

/// Metrics that the experiment is to be judged by and that cannot be measured yet.
pub fn unfrozen(metrics: &BTreeMap<String, Metric>, policy: &Policy) -> Vec<String> {
    let named: BTreeSet<&String> = policy.judged_by().collect();
    let unfrozen = named.into_iter().filter(|name| metrics.get(*name).is_some_and(|metric| !metric.is_frozen()));
    let told = unfrozen.map(|name| {
        format!("metric {name} has no threshold yet; `rampkeeper freeze-thresholds` takes it from the days before")
    });
    told.collect()
}

/// Faults of one candidate.
pub fn own_faults(candidate: &Variant, versions: &Versions) -> Vec<String> {
    match &candidate.config {
        Err(error) => vec![format!("variant {}: {error}", candidate.name)],
        Ok(config) => {
            let missing = config.policy_version_id().filter(|id| !versions.contains_key(id));
            let told = missing
                .map(|id| format!("variant {}: policy version {id} is not in exp.policy_versions", candidate.name));
            told.into_iter().collect()
        }
    }
}
