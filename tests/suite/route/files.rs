//! `policy sync`, `policy add`, `prompts sync` and `experiments sync` over SQLite.

use crate::embedded::{Told, World, day, two_in_the_night_after};

pub const POLICIES: &str = "\
# What serves plans.
policies:
  - name: planner_policy
    description: Plans
    versions:
      - version: 1
        mlflow_model_name: planner_model
        mlflow_model_version: \"1\"   # text
      # the newest
      - version: 2
        mlflow_model_name: planner_model
        mlflow_model_version: \"2\"
        config_defaults: { temperature: 0.7 }
";

pub const EXPERIMENTS: &str = "\
experiments:
  - name: planner_exp
    unit_type: user
    status: active
    start_at: 2026-03-01
    end_at: 2026-09-01
    variants:
      - name: control
        allocation: 1.0
        config: { execution_strategy: mlflow_model, mlflow_model: { policy: planner_policy, version: 1 } }
";

/// The tables, and the policies of [`POLICIES`] in a file.
pub async fn world() -> World {
    let world = World::bare(vec![]);
    world.run(&["migrate"]).await.expect(0);
    world.write("policies.yml", POLICIES);
    world
}

/// `WHAT sync`, which must end with that code.
pub async fn sync(world: &World, what: &str, more: &[&str], code: i32) -> Told {
    world.run(&[&[what, "sync"], more].concat()).await.expect(code)
}

#[tokio::test]
async fn policies_are_planned_written_once_and_then_as_the_file_says() {
    let world = world().await;
    let empty = world.state().await;
    let told = sync(&world, "policy", &["--dry-run", "--detailed-exitcode"], 2).await;
    assert!(told.out.contains("3 changes would be made; nothing was changed."), "{}", told.out);
    assert_eq!(world.state().await, empty);
    let told = sync(&world, "policy", &[], 0).await;
    assert!(
        told.out.contains("planner_policy/2") && told.out.contains("planner_model version 2, active"),
        "{}",
        told.out
    );
    assert!(told.out.contains("3 changes made, in one transaction."), "{}", told.out);
    let after = world.state().await;
    let told = sync(&world, "policy", &["--detailed-exitcode", "--dry-run"], 0).await;
    assert_eq!(told.out, "Nothing to do: the tables are as the file says.\n");
    sync(&world, "policy", &[], 0).await;
    assert_eq!(world.state().await, after);
    let json = sync(&world, "policy", &["--output", "json"], 0).await.json();
    assert_eq!((json["schema_version"].as_i64(), json["changes"].as_array().map(Vec::len)), (Some(1), Some(0)));
    let rows =
        "SELECT group_concat(version || ' ' || mlflow_model_version || ' ' || config_defaults || ' ' || status, ', ')
                FROM exp_policy_versions ORDER BY version";
    assert_eq!(world.text(rows).await, "1 1 {} active, 2 2 {\"temperature\":0.7} active");
}

#[tokio::test]
async fn all_faults_of_a_file_are_told_at_once_and_nothing_is_touched() {
    let world = world().await;
    sync(&world, "policy", &[], 0).await;
    world.write("experiments.yml", EXPERIMENTS);
    sync(&world, "experiments", &[], 0).await;
    world.sql("UPDATE exp_policy_versions SET status = 'archived' WHERE version = 2").await;
    world.write("policies.yml", &POLICIES.replace("mlflow_model_version: \"1\"", "mlflow_model_version: \"8\""));
    let before = world.state().await;
    let told = sync(&world, "policy", &[], 78).await;
    told.complains("2 faults; nothing was touched")
        .complains("policies.yml:8:9: policies.0.versions.0.mlflow_model_version: planner_policy/1 is planner_model version 1")
        .complains("variant control of planner_exp serves it; what a version is never changes once it was used")
        .complains("policies.yml:10:9: policies.0.versions.1.status: planner_policy/2 is archived in the tables; a status moves");
    assert_eq!(world.state().await, before);
    world.write("policies.yml", "policies:\n  - nmae: x\n");
    sync(&world, "policy", &[], 78).await.complains("policies.yml:2:").complains("did you mean `name`?");
    std::fs::remove_file(world.path("policies.yml")).unwrap();
    sync(&world, "policy", &[], 78).await.complains("could not read the file");
}

#[tokio::test]
async fn a_version_is_added_to_the_file_and_the_tables_and_its_comments_stay() {
    let world = world().await;
    sync(&world, "policy", &[], 0).await;
    let add =
        ["policy", "add", "planner_policy", "--model", "planner_model", "--version", "5", "--description", "spring"];
    let before = world.state().await;
    let told = world.run(&add).await.expect(0);
    assert!(
        told.out.contains("planner_policy/3 would be planner_model version 5. Nothing was changed"),
        "{}",
        told.out
    );
    assert!(told.out.contains("      - version: 3\n        description: \"spring\"\n"), "{}", told.out);
    assert_eq!(world.state().await, before);
    world.run(&[&add[..], &["--write"]].concat()).await.expect(0);
    let text = std::fs::read_to_string(world.path("policies.yml")).unwrap();
    assert!(text.starts_with(POLICIES) && text.ends_with("        mlflow_model_version: \"5\"\n        status: active\n        config_defaults: {\"temperature\":0.7}\n"), "{text}");
    assert_eq!(world.count("SELECT count(*) FROM exp_policy_versions WHERE version = 3").await, 1);
    let told = sync(&world, "policy", &[], 0).await;
    assert!(told.out.starts_with("Nothing to do"), "{}", told.out);
    let again = world.run(&[&add[..], &["--write"]].concat()).await.expect(1);
    again.complains("planner_model version 5 is version 3 of planner_policy already");
}

#[tokio::test]
async fn prompts_are_written_and_their_files_must_be_there() {
    let world = world().await;
    let prompts =
        "prompts:\n  - name: chat\n    versions:\n      - { version: 1, file_path: prompts/v1.md, model_name: gpt }\n";
    world.write("prompts.yml", prompts);
    let told = sync(&world, "prompts", &[], 78).await;
    told.complains("prompts.yml:4:")
        .complains("prompts.0.versions.0.file_path: there is no file")
        .complains("prompts/v1.md");
    std::fs::create_dir(world.path("prompts")).unwrap();
    world.write("prompts/v1.md", "Plan.");
    let told = sync(&world, "prompts", &[], 0).await;
    assert!(told.out.contains("prompts/v1.md by gpt, active"), "{}", told.out);
    let told = sync(&world, "prompts", &[], 0).await;
    assert!(told.out.starts_with("Nothing to do"), "{}", told.out);
}

#[tokio::test]
async fn experiments_are_written_and_a_change_of_the_split_begins_an_epoch() {
    let world = world().await;
    let begin = two_in_the_night_after(day(0));
    world.write("experiments.yml", EXPERIMENTS);
    sync(&world, "experiments", &[], 78)
        .await
        .complains("planner_policy/1 is not in the tables; run `rampkeeper policy sync`");
    sync(&world, "policy", &[], 0).await;
    let told = sync(&world, "experiments", &["--now", &begin], 0).await;
    assert!(told.out.contains("planner_exp/control") && told.out.contains("100 %, planner_policy/1"), "{}", told.out);
    assert!(sync(&world, "experiments", &[], 0).await.out.starts_with("Nothing to do"));
    // A night notes the split; a flag then comes in beside it.
    let now = two_in_the_night_after(day(1));
    world.run(&["run", "--as-of", &day(1).to_string(), "--now", &now]).await;
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_allocation_epochs").await, 1);
    let flag = "      - { name: flag, allocation: 0.1, config: { feature_enabled: true } }\n";
    let text = EXPERIMENTS.replace("allocation: 1.0", "allocation: 0.9");
    world.write("experiments.yml", &format!("{text}{flag}"));
    let now = two_in_the_night_after(day(2));
    sync(&world, "experiments", &["--now", &now], 0).await;
    let epochs = "SELECT group_concat(number || ' ' || opened_by, ', ') FROM rampkeeper_allocation_epochs";
    assert_eq!(world.text(epochs).await, "0 start, 1 outside");
    let split =
        "SELECT group_concat(name || ' ' || allocation, ', ') FROM (SELECT * FROM exp_variants ORDER BY created_at)";
    assert_eq!(world.text(split).await, "control 0.9000, flag 0.1000");
    world.write("experiments.yml", &text.replace("0.9", "0.95"));
    sync(&world, "experiments", &[], 78).await.complains("the allocations sum to 0.95, and must sum to exactly 1");
}
