//! The examples of the files are the formats that people have already, and every one of them is carried out as it stands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::world;

/// `policies.yml` as it is written where the route comes from, with all keys that there are.
const FORMAT: &str = r#"
policies:
  - name: planner_policy
    description: "…"
    versions:
      - version: 3                       # unique per policy
        description: "…"
        mlflow_model_name: planner_model
        mlflow_model_version: "5"        # text, as MLflow has it
        status: active                   # active: usable in experiments; deprecated: works, migrate; archived: not available
        config_defaults: { temperature: 0.7, max_tokens: 2048 }
"#;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{name}.example.yml"))
}

fn read(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every path of keys in a value; those of a list's entries are one.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(format!("{at}{key}"));
                keys(value, &format!("{at}{key}."), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, at, found)),
        _ => {}
    }
}

fn keys_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(value, "", &mut found);
    found
}

/// The blocks of docs/domain.md that say how a file is written, by the file's first key.
fn documented(first: &str) -> Value {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/domain.md")).unwrap();
    let begin = page.find(&format!("    {first}:\n")).unwrap();
    let block: Vec<&str> = page[begin..].lines().take_while(|line| line.starts_with("    ")).collect();
    serde_saphyr::from_str(&block.join("\n")).unwrap()
}

#[test]
fn the_examples_have_the_keys_of_the_format_and_no_others() {
    let format: Value = serde_saphyr::from_str(FORMAT).unwrap();
    let policies = keys_of(&read(&example("policies")));
    assert_eq!(policies, keys_of(&format));
    assert_eq!(policies, keys_of(&documented("policies")));
    // Every column of the tables that a file fills, under the table's own name.
    let columns = |at: &str, of: &[&str]| of.iter().map(|key| format!("{at}{key}")).collect::<BTreeSet<_>>();
    let has = |name: &str, at: &str, of: &[&str]| {
        let found = keys_of(&read(&example(name)));
        let missing: Vec<String> = columns(at, of).difference(&found).cloned().collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        let documented = keys_of(&documented(name));
        let unknown: Vec<&String> = documented.difference(&found).collect();
        assert!(unknown.is_empty(), "docs/domain.md has {unknown:?}, and the example of {name} does not");
    };
    has(
        "experiments",
        "experiments.",
        &["name", "description", "unit_type", "status", "start_at", "end_at", "variants"],
    );
    has("experiments", "experiments.variants.", &["name", "description", "allocation", "config"]);
    has(
        "experiments",
        "experiments.variants.config.",
        &["execution_strategy", "mlflow_model", "prompt_config", "flow_config", "params"],
    );
    has("prompts", "prompts.", &["name", "description", "versions"]);
    let of_version = ["version", "file_path", "model_provider", "model_name", "config_defaults", "status"];
    has("prompts", "prompts.versions.", &of_version);
}

#[tokio::test]
async fn each_example_is_carried_out_unchanged_and_then_nothing_is_left_to_do() {
    let world = world().await;
    for (command, name, made) in
        [("policy", "policies", 3), ("prompts", "prompts", 3), ("experiments", "experiments", 6)]
    {
        let file = example(name);
        let arguments = [command, "sync", "--file", file.to_str().unwrap()];
        let told = world.run(&arguments).await.expect(0);
        assert!(told.out.contains(&format!("{made} changes made, in one transaction.")), "{}", told.out);
        assert!(!told.out.contains("drift: ") && !told.out.contains("warning: "), "{}", told.out);
        assert_eq!(world.run(&arguments).await.expect(0).out, "Nothing to do: the tables are as the file says.\n");
    }
    let rows = "SELECT group_concat(name || ' ' || status || ' ' || unit_type, ', ') FROM exp_experiments";
    assert_eq!(world.text(rows).await, "planner_policy_exp draft household, planner_chat_exp draft user");
}

#[tokio::test]
async fn the_format_loads_as_people_have_it() {
    let world = world().await;
    world.write("theirs.yml", FORMAT);
    let theirs = world.path("theirs.yml");
    let told = world.run(&["policy", "sync", "--file", theirs.to_str().unwrap()]).await.expect(0);
    assert!(told.out.contains("2 changes made"), "{}", told.out);
    let row = "SELECT version || ' ' || mlflow_model_name || ' ' || mlflow_model_version || ' ' || status || ' ' ||
               config_defaults FROM exp_policy_versions";
    assert_eq!(world.text(row).await, "3 planner_model 5 active {\"max_tokens\":2048,\"temperature\":0.7}");
}
