//! What a promotion and a rollback change for each form of a variant's config: only what stands behind that form, and
//! nothing that control serves just as well.

use serde_json::Value;

use super::*;

/// Two arms with these configs, as the column has them.
fn arms(control: &Value, candidate: &Value) -> Experiment {
    let mut experiment = experiment(&[("control", 9000), ("t", 1000)]);
    for (variant, config) in experiment.variants.iter_mut().zip([control, candidate]) {
        variant.config = VariantConfig::parse(config);
        assert!(variant.config.is_ok(), "{config}");
    }
    experiment
}

fn policy_version(n: u128) -> Uuid {
    Uuid::from_u128(100 + n)
}

fn prompt_version(n: u128) -> Uuid {
    Uuid::from_u128(200 + n)
}

fn model(n: u128) -> Value {
    json!({ "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": policy_version(n) } })
}

fn legacy(n: u128) -> Value {
    json!({ "policy_version_id": policy_version(n), "params": { "exploration_rate": 0.1 } })
}

fn prompt(n: u128) -> Value {
    json!({ "execution_strategy": "prompt_template", "prompt_config": { "prompt_version_id": prompt_version(n) } })
}

fn hybrid(model: u128, prompt: u128) -> Value {
    json!({
        "execution_strategy": "hybrid",
        "mlflow_model": { "policy_version_id": policy_version(model) },
        "prompt_config": { "prompt_version_id": prompt_version(prompt) },
    })
}

fn flag(on: bool) -> Value {
    json!({ "feature_enabled": on })
}

fn decided(control: &Value, candidate: &Value, outcome: Outcome) -> Plan {
    let (state, decision) = (state(1, 2), decision(outcome));
    plan(&arms(control, candidate), &policy(), &versions(), &[(&state, &decision)], moment())
}

/// The steps of a promotion, without those that every form has.
fn promoted(control: &Value, candidate: &Value) -> Vec<String> {
    let plan = decided(control, candidate, Outcome::Promote);
    assert_eq!(parts(&plan), [0, 10_000]);
    let told = told(&plan);
    assert_eq!(told[0], "move the units of control to t");
    assert_eq!(told[told.len() - 2..], ["retire a variant as control_retired_2026-03-09", "complete the experiment"]);
    told[1..told.len() - 2].to_vec()
}

/// The same of a rollback.
fn rolled_back(control: &Value, candidate: &Value) -> Vec<String> {
    let plan = decided(control, candidate, Outcome::Rollback);
    assert_eq!(parts(&plan), [10_000, 0]);
    let told = told(&plan);
    assert_eq!(told[0], "move the units of t to control");
    told[1..].to_vec()
}

const REGISTRY_PROMOTES: [&str; 5] = [
    "point alias champion at planner version 1",
    "tag every other production version of planner stage=archived",
    "tag planner version 0 stage=archived",
    "tag planner version 1 stage=production",
    "remove alias challenger if it points at planner version 1",
];

const REGISTRY_ROLLS_BACK: [&str; 2] =
    ["tag planner version 1 stage=archived", "remove alias challenger if it points at planner version 1"];

fn set(what: &str, id: Uuid, status: &str) -> String {
    format!("set {what} version {id} to {status}")
}

fn steps(first: &[&str], more: &[String], events: &[&str]) -> Vec<String> {
    let events = events.iter().map(|event| format!("log the event {event}"));
    first.iter().map(|step| (*step).to_owned()).chain(more.iter().cloned()).chain(events).collect()
}

#[test]
fn a_model_in_the_unified_and_in_the_legacy_form() {
    for (control, candidate) in
        [(model(0), model(1)), (legacy(0), legacy(1)), (legacy(0), model(1)), (model(0), legacy(1))]
    {
        let deprecated = [set("policy", policy_version(0), "deprecated")];
        assert_eq!(promoted(&control, &candidate), steps(&REGISTRY_PROMOTES, &deprecated, &["model_promoted"]));
        let archived = [set("policy", policy_version(1), "archived")];
        assert_eq!(rolled_back(&control, &candidate), steps(&REGISTRY_ROLLS_BACK, &archived, &["model_rollback"]));
    }
}

#[test]
fn a_prompt_touches_no_registry() {
    let deprecated = [set("prompt", prompt_version(0), "deprecated")];
    assert_eq!(promoted(&prompt(0), &prompt(1)), steps(&[], &deprecated, &["prompt_promoted"]));
    let archived = [set("prompt", prompt_version(1), "archived")];
    assert_eq!(rolled_back(&prompt(0), &prompt(1)), steps(&[], &archived, &["prompt_rollback"]));
}

#[test]
fn a_hybrid_that_changes_both_changes_both() {
    let deprecated = [set("policy", policy_version(0), "deprecated"), set("prompt", prompt_version(0), "deprecated")];
    let events = ["model_promoted", "prompt_promoted"];
    assert_eq!(promoted(&hybrid(0, 0), &hybrid(1, 1)), steps(&REGISTRY_PROMOTES, &deprecated, &events));
    let archived = [set("policy", policy_version(1), "archived"), set("prompt", prompt_version(1), "archived")];
    let events = ["model_rollback", "prompt_rollback"];
    assert_eq!(rolled_back(&hybrid(0, 0), &hybrid(1, 1)), steps(&REGISTRY_ROLLS_BACK, &archived, &events));
}

#[test]
fn a_hybrid_that_tries_a_prompt_on_controls_model_leaves_the_model_in_charge() {
    let kept = [
        "point alias champion at planner version 0",
        "tag every other production version of planner stage=archived",
        "tag planner version 0 stage=production",
        "remove alias challenger if it points at planner version 0",
    ];
    let deprecated = [set("prompt", prompt_version(0), "deprecated")];
    assert_eq!(promoted(&hybrid(0, 0), &hybrid(0, 1)), steps(&kept, &deprecated, &["prompt_promoted"]));
    let archived = [set("prompt", prompt_version(1), "archived")];
    assert_eq!(rolled_back(&hybrid(0, 0), &hybrid(0, 1)), steps(&[], &archived, &["prompt_rollback"]));
    // A prompt that is put before the model that control serves alone.
    assert_eq!(rolled_back(&model(0), &hybrid(0, 1)), steps(&[], &archived, &["prompt_rollback"]));
}

#[test]
fn a_hybrid_that_tries_a_model_under_controls_prompt_keeps_the_prompt() {
    let deprecated = [set("policy", policy_version(0), "deprecated")];
    assert_eq!(promoted(&hybrid(0, 0), &hybrid(1, 0)), steps(&REGISTRY_PROMOTES, &deprecated, &["model_promoted"]));
    let archived = [set("policy", policy_version(1), "archived")];
    assert_eq!(rolled_back(&hybrid(0, 0), &hybrid(1, 0)), steps(&REGISTRY_ROLLS_BACK, &archived, &["model_rollback"]));
}

#[test]
fn a_flag_moves_allocations_and_says_so() {
    assert_eq!(promoted(&flag(false), &flag(true)), steps(&[], &[], &["custom.flag_promoted"]));
    assert_eq!(rolled_back(&flag(false), &flag(true)), steps(&[], &[], &["custom.flag_rollback"]));
}

#[test]
fn arms_that_differ_in_their_parameters_alone_archive_nothing() {
    assert_eq!(rolled_back(&legacy(0), &legacy(0)), steps(&[], &[], &["model_rollback"]));
    let told = promoted(&legacy(0), &legacy(0));
    assert!(told.iter().all(|step| !step.contains("stage=archived") || step.contains("other production")), "{told:?}");
    assert_eq!(told.last().unwrap(), "log the event model_promoted");
}

#[test]
fn a_prompt_that_replaces_a_model_takes_it_out_of_use_and_gives_nobody_its_alias() {
    let deprecated = [set("policy", policy_version(0), "deprecated")];
    assert_eq!(
        promoted(&model(0), &prompt(1)),
        steps(&["tag planner version 0 stage=archived"], &deprecated, &["prompt_promoted"])
    );
}

#[test]
fn events_say_what_was_tried_and_why_it_failed() {
    let payload = |plan: &Plan, event: &str| {
        let found = plan.steps.iter().find_map(|planned| match &planned.step {
            Step::LogEvent { event_type, payload, .. } if event_type == event => Some(payload.clone()),
            _ => None,
        });
        found.expect(event)
    };
    let plan = decided(&hybrid(0, 0), &hybrid(1, 1), Outcome::Promote);
    assert_eq!(
        payload(&plan, "model_promoted"),
        json!({ "policy_version_id": policy_version(1), "mlflow_model_version": "1" })
    );
    assert_eq!(payload(&plan, "prompt_promoted"), json!({ "prompt_version_id": prompt_version(1) }));
    for (control, candidate, event) in [
        (model(0), model(1), "model_rollback"),
        (prompt(0), prompt(1), "prompt_rollback"),
        (flag(false), flag(true), "custom.flag_rollback"),
    ] {
        let payload = payload(&decided(&control, &candidate, Outcome::Rollback), event);
        assert_eq!(payload["failed_variant_id"], json!(id(1)), "{event}");
        assert!(!payload["reason"].as_str().unwrap().is_empty(), "{event}");
    }
}

#[test]
fn a_superseded_sibling_challenges_nobody_any_more() {
    let judged = [(state(1, 2), decision(Outcome::Promote)), (state(2, 0), decision(Outcome::Hold))];
    let told = told(&planned(&[("control", 4000), ("t", 5000), ("u", 1000)], &judged));
    assert!(told.contains(&"remove alias challenger if it points at planner version 2".into()), "{told:?}");
    // It was not rolled back: its version stays a candidate.
    assert!(!told.contains(&"tag planner version 2 stage=archived".into()), "{told:?}");
}

#[test]
fn variants_whose_names_are_cut_to_the_same_retire_under_two_names() {
    let long = "x".repeat(254);
    let (a, b) = (format!("{long}a"), format!("{long}b"));
    let judged = [(state(1, 2), decision(Outcome::Promote))];
    let plan = planned(&[("control", 2000), ("t", 5000), (&a, 2000), (&b, 1000)], &judged);
    let names: Vec<&String> = plan
        .steps
        .iter()
        .filter_map(|planned| match &planned.step {
            Step::RetireVariant { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.chars().count() <= 255));
    assert!(names[1].ends_with("_retired_2026-03-09") && names[2].ends_with("_retired_2026-03-09_2"), "{names:?}");
}
