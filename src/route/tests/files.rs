use std::collections::BTreeMap;

use jiff::civil::date;
use serde_json::json;
use uuid::Uuid;

use crate::config::{Checked, ExperimentsFile, PoliciesFile};
use crate::control::{Catalogue, ExperimentRecord, Kind, TableChange};
use crate::domain::{ExperimentStatus, ModelVersion, RolloutState, RolloutStatus, VariantId, VersionStatus};
use crate::registry::{VersionInfo, VersionStatus as Readiness};
use crate::route::sample::{EXPERIMENT, catalogue, fault, now, policies, record, serving, share, variant, version};
use crate::route::{Around, Comparison, Registered, compare_experiments, compare_versions, drift, policies_of};

/// The versions of the sample, as a file, each with what comes behind it.
fn policies_file(more: [&str; 3]) -> PoliciesFile {
    let versions: Vec<serde_json::Value> = (1..=3)
        .zip(more)
        .map(|(n, more)| {
            let mut version = json!({
                "version": n, "mlflow_model_name": "planner_model", "mlflow_model_version": n.to_string(),
            });
            for pair in more.split(' ').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap();
                version[key] = json!(value);
            }
            version
        })
        .collect();
    serde_json::from_value(json!({ "policies": [{ "name": "planner", "versions": versions }] })).unwrap()
}

fn compared(file: &PoliciesFile, catalogue: &Catalogue) -> Comparison {
    compare_versions(Kind::Policy, &policies_of(file), catalogue, &fault)
}

fn only_fault(comparison: &Comparison) -> (String, String) {
    assert_eq!(comparison.faults.len(), 1, "{:?}", comparison.faults);
    (comparison.faults[0].key.clone(), comparison.faults[0].message.clone())
}

#[test]
fn the_same_file_again_changes_nothing() {
    let comparison = compared(&policies_file([""; 3]), &catalogue());
    assert!(comparison.changes.is_empty() && comparison.faults.is_empty() && comparison.drift.is_empty());
    let empty = compared(&policies_file([""; 3]), &Catalogue::default());
    assert_eq!(empty.changes.iter().map(|c| c.action).collect::<Vec<_>>(), ["add"; 4]);
    let TableChange::NewVersion { family, .. } = &empty.changes[1].changes[0] else { panic!() };
    let TableChange::NewFamily { id, .. } = &empty.changes[0].changes[0] else { panic!() };
    assert_eq!(family, id);
}

#[test]
fn a_used_version_never_points_elsewhere() {
    let mut catalogue = catalogue();
    let moved = policies_file(["", "", "mlflow_model_version=9"]);
    // Version 3 has an offline result, which makes it used.
    let (key, message) = only_fault(&compared(&moved, &catalogue));
    assert_eq!(key, "/policies/0/versions/2/mlflow_model_version");
    assert!(
        message.contains("planner/3 is planner_model version 3 in the tables and planner_model version 9 here"),
        "{message}"
    );
    assert!(
        message.contains("the offline result on dataset 2026-03 is about it")
            && message.contains("write a new version")
    );
    catalogue.results.clear();
    let comparison = compared(&moved, &catalogue);
    assert!(matches!(comparison.changes[0].changes[0], TableChange::ChangeVersion { .. }));
    catalogue.enrolled.insert((EXPERIMENT, version(Kind::Policy, 3)));
    assert!(only_fault(&compared(&moved, &catalogue)).1.contains("it was in an experiment"));
    let (_, served) = only_fault(&compared(&policies_file(["mlflow_model_name=other", "", ""]), &catalogue));
    assert!(served.contains("variant control of exp serves it"), "{served}");
}

#[test]
fn statuses_go_one_way_and_a_night_may_be_ahead_of_the_file() {
    let mut catalogue = catalogue();
    let comparison = compared(&policies_file(["", "status=deprecated", "status=archived"]), &catalogue);
    assert_eq!(
        comparison.changes.iter().map(|c| c.detail.as_str()).collect::<Vec<_>>(),
        ["active → deprecated", "active → archived"]
    );
    catalogue.policy_versions[1].status = VersionStatus::Archived;
    let (key, message) = only_fault(&compared(&policies_file(["", "status=active", ""]), &catalogue));
    assert_eq!(key, "/policies/0/versions/1/status");
    assert!(message.contains(
        "planner/2 is archived in the tables; a status moves from active to deprecated to archived and never"
    ));
    catalogue.settled.insert(version(Kind::Policy, 2));
    let comparison = compared(&policies_file([""; 3]), &catalogue);
    assert!(comparison.faults.is_empty() && comparison.changes.is_empty());
    assert!(comparison.drift[0].detail.contains("a night has set its status to archived, and the file says active"));
}

#[test]
fn what_is_served_is_not_archived() {
    let (_, message) = only_fault(&compared(&policies_file(["status=archived", "", ""]), &catalogue()));
    assert!(
        message.contains("variant control of exp serves it to 100 % of the units, so planner/1 cannot be archived"),
        "{message}"
    );
}

#[test]
fn what_is_not_in_the_file_is_drift_and_is_not_deleted() {
    let mut file = policies_file([""; 3]);
    file.policies[0].versions.pop();
    let comparison = compared(&file, &catalogue());
    assert!(comparison.changes.is_empty() && comparison.faults.is_empty());
    assert_eq!(comparison.drift[0].what, "planner/3");
    assert!(comparison.drift[0].detail.contains("not in the file; nothing is deleted"));
    file.policies.clear();
    assert_eq!(compared(&file, &catalogue()).drift[0].what, "policy planner");
}

#[test]
fn the_registry_is_asked_and_its_contradictions_are_told() {
    let model = |n: u32| ModelVersion { model: "planner_model".into(), version: n.to_string() };
    let info = |stage: &str| VersionInfo {
        tags: BTreeMap::from([("stage".to_owned(), stage.to_owned())]),
        aliases: vec![],
        status: Readiness::Ready,
    };
    let mut registered = Registered {
        registry: "MLflow at x".into(),
        versions: BTreeMap::from([
            (model(1), Some(info("production"))),
            (model(2), Some(info("candidate"))),
            (model(3), None),
        ]),
        aliases: BTreeMap::from([(("planner_model".to_owned(), "champion".to_owned()), model(7))]),
    };
    let told = |registered: &Registered, file: &PoliciesFile, catalogue: &Catalogue| {
        let mut comparison = compared(file, catalogue);
        drift(&mut comparison, &policies_of(file), catalogue, registered, &fault);
        comparison
    };
    let comparison = told(&registered, &policies_file([""; 3]), &catalogue());
    let (key, message) = only_fault(&comparison);
    assert_eq!(key, "/policies/0/versions/2/mlflow_model_version");
    assert_eq!(
        message,
        "MLflow at x has no planner_model version 3; register it there first, or correct the name or the version"
    );
    assert_eq!(comparison.drift[0].what, "planner_model version 7");
    assert!(comparison.drift[0].detail.contains("it bears the alias champion, and no policy has it"));

    let mut tables = catalogue();
    for row in &mut tables.policy_versions {
        row.status = VersionStatus::Archived;
    }
    let all = ["status=archived"; 3];
    registered.aliases.insert(("planner_model".into(), "champion".into()), model(1));
    let comparison = told(&registered, &policies_file(all), &tables);
    assert!(comparison.faults.is_empty(), "{:?}", comparison.faults);
    let details: Vec<&str> = comparison.drift.iter().map(|drift| drift.detail.as_str()).collect();
    assert!(details[0].contains("does not have planner_model version 3 any more"), "{details:?}");
    assert!(details[1].contains("its stage in the registry is production, but planner/1 is archived"), "{details:?}");
    assert!(details[2].contains("it bears the alias champion, but planner/1 is archived"), "{details:?}");
    assert!(details[3].contains("its stage in the registry is candidate, but planner/2 is archived"), "{details:?}");

    registered.versions.insert(model(2), Some(info("archived")));
    registered
        .versions
        .insert(model(3), Some(VersionInfo { status: Readiness::Failed("no space".into()), ..info("x") }));
    let comparison = told(&registered, &policies_file([""; 3]), &catalogue());
    assert!(only_fault(&comparison).1.contains("the registration of planner_model version 3 failed (no space)"));
    assert!(comparison.drift[0].detail.contains("its stage in the registry is archived, but planner/2 is active"));
}

/// The sample's experiment as a file.
fn experiments(change: impl FnOnce(&mut serde_json::Value)) -> ExperimentsFile {
    let mut file = json!({ "experiments": [{
        "name": "exp", "unit_type": "user", "status": "active", "end_at": "2026-09-01",
        "variants": [{ "name": "control", "allocation": 1.0, "config": {
            "execution_strategy": "mlflow_model", "mlflow_model": { "policy": "planner", "version": 1 } } }],
    }] });
    change(&mut file["experiments"][0]);
    let file: ExperimentsFile = serde_json::from_value(file).unwrap();
    let mut faults = Vec::new();
    file.check(&mut |at, message| faults.push((at.to_owned(), message)));
    assert!(faults.is_empty(), "{faults:?}");
    file
}

/// The sample with the end that the file gives.
fn tables() -> Catalogue {
    let mut catalogue = catalogue();
    catalogue.experiments[0].end_at = Some("2026-09-01T00:00:00Z".parse().unwrap());
    catalogue
}

fn held(file: &ExperimentsFile, catalogue: &Catalogue, records: &[ExperimentRecord]) -> Comparison {
    let policies = policies("");
    let around = Around { catalogue, records, policies: &policies, now: now() };
    compare_experiments(&file.experiments, around, &fault)
}

fn candidate(number: u32, share: f64) -> serde_json::Value {
    json!({ "name": "b", "allocation": share, "config": {
        "execution_strategy": "mlflow_model", "mlflow_model": { "policy": "planner", "version": number } } })
}

fn with_candidate(number: u32, share: f64) -> ExperimentsFile {
    experiments(|e| {
        e["variants"][0]["allocation"] = json!(1.0 - share);
        e["variants"].as_array_mut().unwrap().push(candidate(number, share));
    })
}

#[test]
fn an_experiment_that_is_as_the_file_says_is_left_alone() {
    let tables = tables();
    let comparison = held(&experiments(|_| ()), &tables, &[record(&tables)]);
    assert!(comparison.changes.is_empty() && comparison.faults.is_empty(), "{comparison:?}");
    assert!(comparison.warnings.is_empty() && comparison.drift.is_empty(), "{comparison:?}");
}

#[test]
fn a_new_experiment_is_added_with_its_variants_in_their_order() {
    let mut tables = tables();
    tables.experiments.clear();
    let comparison = held(&with_candidate(2, 0.1), &tables, &[]);
    assert!(comparison.faults.is_empty(), "{:?}", comparison.faults);
    let actions: Vec<_> = comparison.changes.iter().map(|c| (c.action, c.what.as_str())).collect();
    assert_eq!(
        actions,
        [("add", "experiment exp"), ("add", "exp/control"), ("add", "exp/b"), ("check", "experiment exp")]
    );
    let TableChange::NewVariant { config, place: 1, .. } = &comparison.changes[2].changes[0] else { panic!() };
    assert_eq!(*config, serving(2));
    let no_end = held(&experiments(|e| drop(e.as_object_mut().unwrap().remove("end_at"))), &tables, &[]);
    assert!(no_end.warnings[0].contains("exp has no end_at"), "{:?}", no_end.warnings);
}

#[test]
fn a_new_variant_is_small_usable_and_has_passed() {
    let mut tables = tables();
    tables.experiments.clear();
    let refused = |file: &ExperimentsFile, tables: &Catalogue| only_fault(&held(file, tables, &[])).1;
    let told = refused(&with_candidate(2, 0.25), &tables);
    assert!(told.contains("b is new and would begin with 25 %; a new variant begins with 10 % at most"), "{told}");
    let told = refused(&with_candidate(7, 0.1), &tables);
    assert!(told.contains("planner/7 is not in the tables; run `rampkeeper policy sync` first"), "{told}");
    tables.policy_versions[1].status = VersionStatus::Archived;
    let told = refused(&with_candidate(2, 0.1), &tables);
    assert!(told.contains("planner/2 is archived and not available"), "{told}");
    tables.policy_versions[1].status = VersionStatus::Deprecated;
    let comparison = held(&with_candidate(2, 0.1), &tables, &[]);
    assert!(
        comparison.warnings[0].contains("exp/b serves planner/2, which is deprecated"),
        "{:?}",
        comparison.warnings
    );
    tables.results.truncate(1);
    let told = refused(&with_candidate(2, 0.1), &tables);
    assert!(told.contains("planner/2 has not passed offline evaluation (no pass: it has no offline result"), "{told}");
    // A draft gets no units yet, so it may wait for the pass.
    let mut draft = with_candidate(3, 0.1);
    draft.experiments[0].status = Default::default();
    let comparison = held(&draft, &tables, &[]);
    assert!(comparison.faults.is_empty());
    assert!(comparison.warnings[0].contains("it must have passed before exp is active"), "{:?}", comparison.warnings);
    let legacy = experiments(|e| e["variants"][0]["config"] = json!({ "policy_version_id": version(Kind::Policy, 1) }));
    let told = refused(&legacy, &tables);
    assert!(told.contains("write it in the unified form"), "{told}");
    let unknown = experiments(|e| {
        e["variants"][0]["config"]["mlflow_model"] = json!({ "policy_version_id": Uuid::from_u128(99) })
    });
    assert!(refused(&unknown, &tables).contains("is not in the tables"));
}

#[test]
fn variants_of_a_running_experiment_do_not_change() {
    let tables = tables();
    let other = experiments(|e| e["variants"][0]["config"]["mlflow_model"]["version"] = json!(2));
    let told = only_fault(&held(&other, &tables, &[record(&tables)]));
    assert_eq!(told.0, "/experiments/0/variants/0/config");
    assert!(told.1.contains("variants of a running experiment do not change but for their allocation"), "{}", told.1);
    let unit = experiments(|e| e["unit_type"] = json!("session"));
    let told = only_fault(&held(&unit, &tables, &[record(&tables)])).1;
    assert!(told.contains("exp is active; its unit_type was fixed when it began"), "{told}");
    let mut draft = tables.clone();
    draft.experiments[0].status = ExperimentStatus::Draft;
    let comparison = held(&other, &draft, &[]);
    assert!(comparison.faults.is_empty(), "{:?}", comparison.faults);
    assert_eq!(comparison.changes.iter().map(|c| c.action).collect::<Vec<_>>(), ["change", "status"]);
}

#[test]
fn a_status_goes_its_way_only() {
    let mut tables = tables();
    let to = |status: &str| experiments(|e| e["status"] = json!(status));
    let told = only_fault(&held(&to("draft"), &tables, &[record(&tables)])).1;
    assert!(
        told.contains(
            "exp is active in the tables and cannot become draft; it goes draft → active ⇄ paused → completed"
        )
    );
    assert_eq!(held(&to("paused"), &tables, &[record(&tables)]).changes[0].detail, "active → paused");
    tables.experiments[0].status = ExperimentStatus::Paused;
    assert_eq!(held(&to("active"), &tables, &[record(&tables)]).changes[0].detail, "paused → active");
    tables.experiments[0].status = ExperimentStatus::Completed;
    assert!(
        only_fault(&held(&to("active"), &tables, &[]))
            .1
            .contains("is completed in the tables and cannot become active")
    );
    tables.settled.insert(EXPERIMENT.0);
    let comparison = held(&to("active"), &tables, &[]);
    assert!(comparison.faults.is_empty() && comparison.changes.is_empty());
    assert!(comparison.drift[0].detail.contains("a night has completed it"));
}

#[test]
fn an_allocation_of_the_file_is_the_one_that_an_experiment_begins_with() {
    let mut tables = tables();
    let file = with_candidate(2, 0.1);
    // No night knows a candidate of it yet: the split changes, and an epoch begins as by hand.
    let comparison = held(&file, &tables, &[record(&tables)]);
    assert!(comparison.faults.is_empty(), "{:?}", comparison.faults);
    let actions: Vec<_> = comparison.changes.iter().map(|c| c.action).collect();
    assert_eq!(actions, ["allocate", "add", "check", "begin"]);
    let TableChange::OpenEpoch { epoch, opened_by: "outside", .. } = &comparison.changes[3].changes[0] else {
        panic!()
    };
    assert_eq!((epoch.epoch.number, epoch.epoch.allocations.len()), (1, 2));
    // A ramp is on its way.
    tables.experiments[0].variants[0].allocation = share(0.75);
    tables.experiments[0].variants.push(variant(11, "b", 0.25, serving(2)));
    let mut ramped = record(&tables);
    ramped.rollouts = vec![RolloutState {
        experiment: EXPERIMENT,
        candidate: VariantId(Uuid::from_u128(11)),
        status: RolloutStatus::Ramping,
        stage: 1,
        entered_on: date(2026, 3, 20),
        version: 2,
    }];
    let comparison = held(&file, &tables, &[ramped.clone()]);
    assert!(comparison.changes.is_empty() && comparison.faults.is_empty(), "{comparison:?}");
    assert!(
        comparison.drift[1].detail.contains("the table has 25 % and the file 10 %; a ramp is on its way"),
        "{comparison:?}"
    );
    let mut third = with_candidate(2, 0.1);
    let mut c = third.experiments[0].variants[1].clone();
    (c.name, c.allocation) = ("c".into(), 0.0);
    third.experiments[0].variants.push(c);
    let told = only_fault(&held(&third, &tables, &[ramped])).1;
    assert!(
        told.contains("exp is on a ramp")
            && told.contains("let c in by `rampkeeper enroll exp POLICY/VERSION --name c`"),
        "{told}"
    );
}

#[test]
fn a_variant_that_is_not_in_the_file_keeps_its_share_and_that_is_a_fault() {
    let mut tables = tables();
    tables.experiments[0].variants[0].allocation = share(0.9);
    tables.experiments[0].variants.push(variant(11, "b", 0.1, serving(2)));
    let told = only_fault(&held(&experiments(|_| ()), &tables, &[record(&tables)])).1;
    assert!(told.contains("variant b is in the tables with 10 % and not in the file"), "{told}");
    tables.experiments[0].variants[0].allocation = share(1.0);
    tables.experiments[0].variants[1].allocation = share(0.0);
    let comparison = held(&experiments(|_| ()), &tables, &[record(&tables)]);
    assert!(comparison.faults.is_empty() && comparison.drift[0].what == "exp/b");
}
