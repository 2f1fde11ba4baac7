//! Where the night lets versions in by itself: whether it could, by which gate, and who would come in next.

use super::Asked;
use super::experiments::Known;
use super::finding::{Area, Finding, in_time, nearest, some_of};
use crate::cli::connect::{self, Patience};
use crate::config::Enrolment;
use crate::control::{Catalogue, ControlStore, ExperimentRecord};
use crate::domain::{Criteria, Mode, Score};
use crate::registry::Registry;
use crate::route::{Prospect, Waiting, waiting};

const AREA: Area = Area::Experiments;

/// What is to be said of `auto_enroll`; nothing where no running experiment has it.
pub(super) async fn findings(asked: &Asked<'_>, store: Option<&ControlStore>, known: Option<&Known>) -> Vec<Finding> {
    let (Some(store), Some(known)) = (store, known) else { return Vec::new() };
    let policies = &asked.config.policies;
    let auto = |record: &&ExperimentRecord| policies.enrolment_of(&record.experiment.name).auto;
    let records: Vec<&ExperimentRecord> = known.active().filter(auto).collect();
    if records.is_empty() {
        return Vec::new();
    }
    let mut findings = vec![gate(&policies.criteria)];
    let catalogue = match in_time(store.load_catalogue()).await {
        Ok(catalogue) => catalogue,
        Err(error) => {
            let mend = "see what the lines about the store and the grants say; until then nobody is let in";
            findings.push(Finding::fail(AREA, "auto_enroll", error, mend));
            return findings;
        }
    };
    // The embedded registry knows a version once something is said of it. Where the connection cannot be made, the
    // registry's own line says so.
    let tracked = asked.config.settings.registry.mlflow.is_some();
    let registry = tracked.then(|| connect::registry(asked.config, store, Patience::SHORT).ok()).flatten();
    for record in records {
        let enrolment = policies.enrolment_of(&record.experiment.name);
        findings.extend(of_experiment(asked, &catalogue, record, enrolment, registry.as_deref()).await);
    }
    findings
}

/// What an offline result has to reach, and whether that is less than the route itself asks for.
fn gate(criteria: &Criteria) -> Finding {
    let route = Criteria::default();
    let mut told = Vec::new();
    let mut looser = Vec::new();
    for (name, criterion) in &criteria.0 {
        let mut limits = Vec::new();
        limits.extend(criterion.at_least.map(|least| format!("at least {least}")));
        limits.extend(criterion.of_baseline.map(|part| format!("{} of the baseline's", percent(part))));
        told.push(format!("{name} {}", limits.join(" and ")));
        let own = route.0.get(name).copied();
        let less = |given: Option<Score>, own: Option<Score>| own.is_some_and(|own| given.is_none_or(|g| g < own));
        if own.is_some_and(|own| less(criterion.at_least, own.at_least) || less(criterion.of_baseline, own.of_baseline))
        {
            looser.push(name.to_string());
        }
    }
    let detail = told.join(", ");
    if looser.is_empty() {
        return Finding::ok(AREA, "offline gate", detail);
    }
    let detail = format!("{detail}; {} may be worse than the route itself allows", some_of(&looser));
    Finding::warn(AREA, "offline gate", detail, "take the entries out of `qualification` unless that is meant")
}

fn percent(part: Score) -> String {
    format!("{} %", part.as_f64() * 100.0)
}

async fn of_experiment(
    asked: &Asked<'_>,
    catalogue: &Catalogue,
    record: &ExperimentRecord,
    enrolment: &Enrolment,
    registry: Option<&dyn Registry>,
) -> Vec<Finding> {
    let name = &record.experiment.name;
    let what = format!("auto_enroll of {name}");
    let policies = &asked.config.policies;
    let Some(wanted) = &enrolment.policy else {
        let mend = "name the policy whose versions are let in: `enrolment: { policy: NAME }`";
        return vec![Finding::warn(AREA, what, "on, and no policy is named, so nobody is let in", mend)];
    };
    if policies.kill_switch || policies.of(name).mode == Mode::Advise {
        let why = if policies.kill_switch { "the kill switch is on" } else { "the mode is advise" };
        let detail = format!("on, but {why}, so nobody is let in");
        return vec![Finding::warn(AREA, what, detail, "turn it off, or let the night act")];
    }
    let Some(family) = catalogue.policies.iter().find(|family| family.name == *wanted) else {
        let near = nearest(wanted, catalogue.policies.iter().map(|family| family.name.as_str()));
        let mend = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write it into policies.yml and run `rampkeeper policy sync`, or correct the name".to_owned(),
        };
        return vec![Finding::fail(AREA, what, format!("there is no policy {wanted:?} in exp.policies"), mend)];
    };
    let control = &policies.of(name).control;
    let served = record.experiment.variant(control).and_then(|control| control.config.as_ref().ok());
    let served = served.and_then(|config| config.policy_version_id());
    let same = served.is_some_and(|id| catalogue.policy_versions.iter().any(|v| v.id == id && v.family == family.id));
    if !same {
        let detail = format!("{control} serves no version of {wanted}, so nothing says which versions are newer");
        let mend = format!("name the policy that {control} serves, or let versions in by `rampkeeper enroll`");
        return vec![Finding::warn(AREA, what, detail, mend)];
    }
    let waiting = waiting(catalogue, record, policies, asked.now);
    if waiting.is_empty() {
        let detail = format!("no version of {wanted} that is newer than {control}'s waits");
        return vec![Finding::ok(AREA, what, detail)];
    }
    let mut findings = Vec::new();
    for version in &waiting {
        findings.push(of_version(&what, version, registry).await);
    }
    findings
}

/// What becomes of a version; for one that would come in, whether the registry has it.
async fn of_version(what: &str, waiting: &Waiting, registry: Option<&dyn Registry>) -> Finding {
    let told = waiting.to_string();
    match (&waiting.prospect, registry, &waiting.model) {
        (Prospect::Refused { .. }, ..) => {
            Finding::warn(AREA, what, told, "mend what speaks against it; the night tells it once and waits")
        }
        (Prospect::NextNight { .. }, Some(registry), Some(model)) => match in_time(registry.version(model)).await {
            Ok(Some(_)) => Finding::ok(AREA, what, told),
            Ok(None) => {
                let detail = format!("{told}; but {} has no {model}", registry.describe());
                Finding::fail(AREA, what, detail, "register it there, or correct its row by `rampkeeper policy sync`")
            }
            Err(error) => {
                let detail = format!("{told}; but the registry could not be asked about {model}: {error}");
                Finding::fail(AREA, what, detail, "see what the line about the registry's server says")
            }
        },
        _ => Finding::ok(AREA, what, told),
    }
}
