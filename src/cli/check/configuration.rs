//! The three files: what they say that nobody needs, and what holds everything back.

use std::collections::BTreeSet;

use super::Asked;
use super::experiments::Known;
use super::facts;
use super::finding::{Area, Finding, nearest, some_of};
use crate::config::Config;
use crate::domain::{Mode, Policy};

const AREA: Area = Area::Configuration;

/// What is to be said of the files. The names in them are compared with the experiments where these are known.
pub(super) async fn findings(asked: &Asked<'_>, known: Option<&Known>) -> Vec<Finding> {
    let config = asked.config;
    let own = config.policies.experiments().count();
    let policies = match own {
        0 => "one policy for all".to_owned(),
        1 => "1 experiment with a policy of its own".to_owned(),
        _ => format!("{own} experiments with a policy of their own"),
    };
    let detail = format!("{}: {} metrics, {policies}", asked.global.config.display(), config.metrics.len());
    let mut findings = vec![Finding::ok(AREA, "files", detail)];
    findings.extend(unused_metrics(config));
    findings.extend(facts::unused(config));
    findings.extend(percentiles_of_aggregates(config));
    findings.extend(known.into_iter().flat_map(|known| strangers(config, known)));
    findings.extend(held_back(config));
    findings.extend(past_freezes(asked));
    findings.extend(folder_of_pages(config));
    findings
}

/// All policies, each with the keys that lead to it in the promotion file.
fn policies(config: &Config) -> impl Iterator<Item = (Vec<&str>, &Policy)> {
    let own = config.policies.experiments().map(|name| (vec!["experiments", name], config.policies.of(name)));
    std::iter::once((vec!["defaults"], config.policies.default())).chain(own)
}

/// The names of the metrics that some policy judges by.
pub(super) fn judged(config: &Config) -> BTreeSet<&str> {
    let of = |policy: &'_ Policy| policy.judged_by().cloned().collect::<Vec<_>>();
    let named: BTreeSet<String> = policies(config).flat_map(|(_, policy)| of(policy)).collect();
    config.metrics.keys().map(String::as_str).filter(|name| named.contains(*name)).collect()
}

fn unused_metrics(config: &Config) -> Option<Finding> {
    let judged = judged(config);
    let unused = config.metrics.keys().filter(|name| !judged.contains(name.as_str()));
    let unused: Vec<String> =
        unused.map(|name| format!("{name} ({})", config.place_in_metrics(&["metrics", name]))).collect();
    if unused.is_empty() {
        return None;
    }
    let detail = format!("declared, and neither a guardrail nor a success metric of any policy: {}", some_of(&unused));
    Some(Finding::warn(AREA, "unused metrics", detail, "name them in promotion.yml, or take them out of metrics.yml"))
}

/// Aggregates hold sums, and no percentile can be told from those.
fn percentiles_of_aggregates(config: &Config) -> Option<Finding> {
    config.settings.warehouse.aggregates.as_ref()?;
    let places = config.percentiles.iter().map(|of| {
        let place = config.place_in_metrics(&["percentiles", of.name.as_str()]);
        format!("{} ({place})", of.name)
    });
    let places: Vec<String> = places.collect();
    let detail = format!("the warehouse has aggregates alone, so none of these is shown: {}", some_of(&places));
    (!places.is_empty()).then(|| Finding::warn(AREA, "percentiles", detail, "take them out of metrics.yml"))
}

/// Policies for experiments that nobody has.
fn strangers(config: &Config, known: &Known) -> Vec<Finding> {
    let strange = config.policies.experiments().filter(|name| !known.names.iter().any(|known| known == name));
    let told = strange.map(|name| {
        let place = config.place_in_promotion(&["experiments", name]);
        let mend = match nearest(name, known.names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? Correct the name, or take the entry out"),
            None => "correct the name, or take the entry out".to_owned(),
        };
        let detail = format!("{place}: no experiment bears this name, so this policy judges nothing");
        Finding::warn(AREA, format!("policy of {name}"), detail, mend)
    });
    told.collect()
}

/// The kill switch and advice: wanted sometimes, and forgotten as often.
fn held_back(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.policies.kill_switch {
        let place = config.place_in_promotion(&["kill_switch"]);
        let detail = format!("{place}: on; every night decides and tells, and changes nothing");
        findings.push(Finding::warn(AREA, "kill switch", detail, "write `kill_switch: false` once all is well again"));
    }
    let default = config.policies.default();
    for (keys, policy) in policies(config) {
        let inherited = keys.len() == 2 && policy.mode == default.mode;
        if policy.mode == Mode::Advise && !inherited {
            let what = format!("mode of {}", keys.last().unwrap_or(&"defaults"));
            let place = config.place_in_promotion(&[keys, vec!["mode"]].concat());
            let detail = format!("{place}: advise; what would be done is told, and not done");
            findings.push(Finding::warn(AREA, what, detail, "write `mode: act` when the trial is over"));
        }
    }
    findings
}

/// Freezes that will never come again protect nothing, while somebody may believe that they do.
fn past_freezes(asked: &Asked<'_>) -> Vec<Finding> {
    let default = asked.config.policies.default();
    let over = policies(asked.config).filter(|(keys, policy)| {
        let inherited = keys.len() == 2 && policy.freezes == default.freezes;
        !inherited && !policy.freezes.is_empty() && policy.freezes.iter().all(|freeze| freeze.is_over(asked.now))
    });
    let told = over.map(|(keys, policy)| {
        let names: Vec<&str> = policy.freezes.iter().map(|freeze| freeze.name.as_str()).collect();
        let what = format!("freezes of {}", keys.last().unwrap_or(&"defaults"));
        let place = asked.config.place_in_promotion(&[keys, vec!["freezes"]].concat());
        let detail = format!("{place}: all of them are over ({})", some_of(&names));
        Finding::warn(AREA, what, detail, "write the windows to come, or take the old ones out")
    });
    told.collect()
}

fn folder_of_pages(config: &Config) -> Option<Finding> {
    let folder = config.base.join(config.settings.reports.as_ref()?);
    let told = folder.display();
    Some(match std::fs::metadata(&folder) {
        Ok(found) if found.is_dir() && found.permissions().readonly() => Finding::fail(
            AREA,
            "pages",
            format!("{told} cannot be written to"),
            "give the job's user the right to write there",
        ),
        Ok(found) if found.is_dir() => Finding::ok(AREA, "pages", format!("the site in {told}")),
        Ok(_) => Finding::fail(
            AREA,
            "pages",
            format!("{told} is no folder"),
            "move the file away, or name another folder under `reports`",
        ),
        Err(_) => Finding::ok(AREA, "pages", format!("the site in {told}, which the first night makes")),
    })
}
