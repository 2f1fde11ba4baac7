use std::path::Path;

use super::*;
use crate::domain::VersionStatus;

fn load<T: Checked>(text: &str) -> Result<Filed<T>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.yml");
    std::fs::write(&path, text).unwrap();
    Filed::load(&path).map_err(|error| error.to_string().replace(&format!("{}", dir.path().display()), ""))
}

fn faults<T: Checked + std::fmt::Debug>(text: &str) -> String {
    load::<T>(text).unwrap_err()
}

const POLICIES: &str = "\
# What serves plans.
policies:
  - name: planner_policy   # the one
    description: \"Plans\"
    versions:
      - version: 1
        mlflow_model_name: planner_model
        mlflow_model_version: \"1\"   # text
        config_defaults: { temperature: 0.7, max_tokens: 2048 }
      # the newest comes last
      - version: 2
        mlflow_model_name: planner_model
        mlflow_model_version: \"4\"
        status: deprecated
        # so it says

  # another
  - name: other
    versions: []
";

fn version(number: u32) -> PolicyVersionEntry {
    PolicyVersionEntry {
        version: number,
        description: Some("with \"quotes\": and # more".into()),
        mlflow_model_name: "planner_model".into(),
        mlflow_model_version: "5".into(),
        status: VersionStatus::Active,
        config_defaults: Default::default(),
    }
}

#[test]
fn a_version_is_added_and_everything_else_stays() {
    let filed = load::<PoliciesFile>(POLICIES).unwrap();
    let appended = append_version(&filed, "planner_policy", &version(3)).unwrap();
    let expected = "      - version: 3\n        description: \"with \\\"quotes\\\": and # more\"\n        \
                    mlflow_model_name: \"planner_model\"\n        mlflow_model_version: \"5\"\n        status: active\n";
    assert_eq!(appended.lines, expected);
    assert_eq!(appended.text, POLICIES.replace("        # so it says\n", &format!("        # so it says\n{expected}")));
    let file = load::<PoliciesFile>(&appended.text).unwrap().file;
    assert_eq!(file.policies[0].versions.iter().map(|v| v.version).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_new_policy_comes_behind_the_last() {
    let filed = load::<PoliciesFile>(POLICIES.trim_end()).unwrap();
    let appended = append_version(&filed, "third", &version(1)).unwrap();
    assert!(appended.text.starts_with(POLICIES.trim_end()), "{}", appended.text);
    assert!(
        appended.lines.starts_with("  - name: \"third\"\n    versions:\n      - version: 1\n"),
        "{}",
        appended.lines
    );
}

#[test]
fn where_no_line_can_be_added_the_lines_are_shown() {
    // No version to come behind, and a list in one line.
    for policy in ["other", "flow"] {
        let flow =
            "  - { name: flow, versions: [{ version: 1, mlflow_model_name: m, mlflow_model_version: \"1\" }] }\n";
        let filed = load::<PoliciesFile>(&format!("{POLICIES}{flow}")).unwrap();
        let refused = append_version(&filed, policy, &version(3)).unwrap_err();
        assert!(refused.contains("add these by hand:\n- version: 3\n"), "{refused}");
    }
}

#[test]
fn what_comes_twice_and_what_is_none_is_told_with_its_line_all_at_once() {
    let told = faults::<PoliciesFile>(
        "policies:\n  - name: a\n    versions:\n      - { version: 1, mlflow_model_name: m, mlflow_model_version: \"1\" }\n      \
         - { version: 1, mlflow_model_name: m, mlflow_model_version: \" \" }\n  - name: a\n",
    );
    assert!(told.contains("3 faults; nothing was touched"), "{told}");
    assert!(told.contains("/file.yml:5:") && told.contains("version 1 of a stands there twice"), "{told}");
    assert!(told.contains("this names nothing") && told.contains("/file.yml:6:"), "{told}");
    let told = faults::<PoliciesFile>(
        "policies:\n  - name: a\n    versions: [{ version: 1, mlflow_model_name: m, mlflow_model_version: 5 }]\n",
    );
    assert!(told.contains("this must be text, but it is a whole number"), "{told}");
    let told = faults::<PromptsFile>("prompts: [{ name: p, versions: [{ version: 0, file_path: x }] }]\n");
    assert!(told.contains("versions count from 1"), "{told}");
}

#[test]
fn an_experiment_must_sum_to_one_and_end_after_it_begins() {
    let experiment = |allocation: &str, end: &str| {
        format!(
            "experiments:\n  - name: e\n    unit_type: user\n    start_at: 2026-03-01\n    end_at: {end}\n    variants:\n      \
             - {{ name: control, allocation: 0.9, config: {{ feature_enabled: false }} }}\n      \
             - {{ name: b, allocation: {allocation}, config: {{ feature_enabled: true }} }}\n"
        )
    };
    let fine = load::<ExperimentsFile>(&experiment("0.1", "2026-05-01T12:00:00Z")).unwrap().file;
    assert_eq!(fine.experiments[0].ends().unwrap().to_string(), "2026-05-01T12:00:00Z");
    assert_eq!(fine.experiments[0].starts().unwrap().to_string(), "2026-03-01T00:00:00Z");
    let told = faults::<ExperimentsFile>(&experiment("0.0999", "2026-02-01"));
    assert!(told.contains("the allocations sum to 0.9999, and must sum to exactly 1"), "{told}");
    assert!(told.contains("it ends before it begins"), "{told}");
    let told = faults::<ExperimentsFile>(&experiment("0.10001", "soon"));
    assert!(told.contains("at most four decimals") && told.contains("\"soon\" is no time"), "{told}");
}

#[test]
fn the_examples_load_unchanged() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let policies = Filed::<PoliciesFile>::load(&config.join("policies.example.yml")).unwrap();
    assert!(policies.file.policies.iter().any(|policy| policy.name == "planner_policy"));
    Filed::<ExperimentsFile>::load(&config.join("experiments.example.yml")).unwrap();
    let prompts = Filed::<PromptsFile>::load(&config.join("prompts.example.yml")).unwrap();
    for version in prompts.file.prompts.iter().flat_map(|prompt| &prompt.versions) {
        assert!(config.join(&version.file_path).is_file(), "{}", version.file_path);
    }
}
