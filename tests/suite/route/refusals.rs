//! What the files of the route may not say, each refused in its own words by the program; and after each refusal the
//! tables are as they were. What only a real registry refuses stands in `real`, what is refused in the course of another
//! story in `files` and `gate`.

use super::files::{EXPERIMENTS, POLICIES, sync, world};
use crate::embedded::World;

/// Everything synced once: a policy with two versions, a prompt with two, and an experiment for the first of each.
async fn synced() -> World {
    let world = world().await;
    world.write("prompts.yml", PROMPTS);
    world.write("v1.md", "Plan.");
    world.write("v2.md", "Plan well.");
    world.write("experiments.yml", &format!("{EXPERIMENTS}{CHAT}"));
    for what in ["policy", "prompts", "experiments"] {
        sync(&world, what, &[], 0).await;
    }
    world
}

const PROMPTS: &str = "\
prompts:
  - name: chat
    versions:
      - { version: 1, file_path: v1.md, model_name: gpt }
      - { version: 2, file_path: v2.md, model_name: gpt }
";

const CHAT: &str = "  - name: chat_exp
    unit_type: user
    status: active
    end_at: 2026-09-01
    variants:
      - name: control
        allocation: 1.0
        config: { execution_strategy: prompt_template, prompt_config: { prompt: chat, version: 1 } }
";

/// Each text is a file with which the command must end with 78, saying that, and change nothing.
async fn refuses(world: &World, what: &str, file: &str, texts: &[(String, &[&str])]) {
    let kept = std::fs::read_to_string(world.path(file)).unwrap();
    for (text, expected) in texts {
        assert_ne!(*text, kept, "{expected:?}");
        world.write(file, text);
        let before = world.state().await;
        let told = sync(world, what, &[], 78).await;
        for expected in *expected {
            told.complains(expected);
        }
        assert_eq!(world.state().await, before, "{expected:?}");
    }
    world.write(file, &kept);
    assert!(sync(world, what, &[], 0).await.out.starts_with("Nothing to do"));
}

#[tokio::test]
async fn policies_are_refused_with_their_line() {
    let world = synced().await;
    let with = |from: &str, to: &str| POLICIES.replacen(from, to, 1);
    refuses(
        &world,
        "policy",
        "policies.yml",
        &[
            (
                with("version: 2\n", "version: 1\n"),
                &[
                    "policies.yml:10:",
                    "version 1 of planner_policy stands there twice; give each version a number of its own",
                ],
            ),
            (
                format!("{POLICIES}  - name: planner_policy\n"),
                &["policies.yml:14:", "there is another policy \"planner_policy\" above; give each a name of its own"],
            ),
            (with("\"1\"   #", "1   #"), &["policies.yml:8:", "this must be text, but it is a whole number"]),
            (
                with("\"1\"   #", "\"7\"   #"),
                &[
                    "policies.yml:8:",
                    "planner_policy/1 is planner_model version 1 in the tables and planner_model version 7 here, but \
                     variant control of planner_exp serves it; what a version is never changes once it was used",
                ],
            ),
            (
                with("\"1\"   # text\n", "\"1\"\n        status: archived\n"),
                &[
                    "policies.yml:9:",
                    "variant control of planner_exp serves it to 100 % of the units, so planner_policy/1 cannot be \
                     archived; take it off first (`rampkeeper rollback`)",
                ],
            ),
        ],
    )
    .await;
    world.sql("UPDATE exp_policy_versions SET status = 'deprecated' WHERE version = 2").await;
    let told = sync(&world, "policy", &[], 78).await;
    told.complains("policies.yml:10:").complains(
        "planner_policy/2 is deprecated in the tables; a status moves from active to deprecated to archived and never \
         back to active",
    );
}

#[tokio::test]
async fn what_file_tables_and_registry_say_differently_is_listed() {
    let world = synced().await;
    world
        .sql(
            "INSERT INTO rampkeeper_registry_tags VALUES ('planner_model', '2', 'stage', 'archived');
             INSERT INTO rampkeeper_registry_aliases (model, alias, version) VALUES ('planner_model', 'champion', '9')",
        )
        .await;
    let told = sync(&world, "policy", &[], 0).await;
    assert!(told.out.starts_with("Nothing to do"), "{}", told.out);
    for drift in [
        "drift: planner_model version 2: its stage in the registry is archived, but planner_policy/2 is active; archive it \
         in the file, too, or look why it is",
        "drift: planner_model version 9: it bears the alias champion, and no policy has it; add a version to the file, or \
         move the alias",
    ] {
        assert!(told.out.contains(drift), "{drift} is not in {}", told.out);
    }
    let at = POLICIES.find("      # the newest").unwrap();
    world.write("policies.yml", &POLICIES[..at]);
    let told = sync(&world, "policy", &[], 0).await;
    let drift = "drift: planner_policy/2: it is in the tables (planner_model version 2, active) and not in the file; \
                 nothing is deleted: add it to the file, or archive it there";
    assert!(told.out.contains(drift), "{}", told.out);
    let json = sync(&world, "policy", &["--output", "json"], 0).await.json();
    assert_eq!(json["drift"].as_array().map(Vec::len), Some(3), "{json:#}");
}

#[tokio::test]
async fn experiments_are_refused_with_their_line() {
    let world = synced().await;
    let file = format!("{EXPERIMENTS}{CHAT}");
    let with = |from: &str, to: &str| file.replacen(from, to, 1);
    let candidate = |share: &str, rest: &str, config: &str| {
        let control = format!("allocation: {rest}\n");
        let new = format!("      - {{ name: b, allocation: {share}, config: {config} }}\n  - name: chat_exp\n");
        with("allocation: 1.0\n", &control).replacen("  - name: chat_exp\n", &new, 1)
    };
    let (flag, second) = (
        "{ feature_enabled: true }",
        "{ execution_strategy: mlflow_model, mlflow_model: { policy: planner_policy, version: 2 } }",
    );
    refuses(
        &world,
        "experiments",
        "experiments.yml",
        &[
            (
                candidate("0.1", "0.95", flag),
                &["experiments.yml:7:", "the allocations sum to 1.05, and must sum to exactly 1"],
            ),
            (
                candidate("0.25", "0.75", flag),
                &[
                    "experiments.yml:11:",
                    "b is new and would begin with 25 %; a new variant begins with 10 % at most, and is ramped from there",
                ],
            ),
            (
                candidate("0.1", "0.9", second),
                &[
                    "experiments.yml:11:",
                    "planner_policy/2 has not passed offline evaluation (no pass: it has no offline result",
                    "only what passed offline evaluation gets units (`rampkeeper qualify`)",
                ],
            ),
            (
                with("policy: planner_policy, version: 1", "policy: planner_policy, version: 2"),
                &[
                    "experiments.yml:10:",
                    "variants of a running experiment do not change but for their allocation, and planner_exp/control serves",
                    "try something else as a new variant",
                ],
            ),
            (
                with("unit_type: user", "unit_type: session"),
                &["experiments.yml:3:", "planner_exp is active; its unit_type was fixed when it began"],
            ),
            (with("2026-09-01", "2026-02-01"), &["experiments.yml:6:", "it ends before it begins"]),
            (
                with("status: active", "status: draft"),
                &[
                    "experiments.yml:4:",
                    "planner_exp is active in the tables and cannot become draft; it goes draft → active ⇄ paused → completed",
                ],
            ),
            (
                with("prompt: chat, version: 1", "prompt: chat, version: 8"),
                &["chat/8 is not in the tables; run `rampkeeper prompts sync` first"],
            ),
        ],
    )
    .await;
    // An end is wanted, and its want stops nothing.
    world.write("experiments.yml", &file.replace("    end_at: 2026-09-01\n", ""));
    let told = sync(&world, "experiments", &[], 0).await;
    assert!(
        told.out.contains("planner_exp has no end_at; an experiment without an end is never looked at again"),
        "{}",
        told.out
    );
}

#[tokio::test]
async fn prompts_are_refused_with_their_line() {
    let world = synced().await;
    world.write("v3.md", "Else.");
    let with = |from: &str, to: &str| PROMPTS.replacen(from, to, 1);
    refuses(
        &world,
        "prompts",
        "prompts.yml",
        &[
            (with("version: 2", "version: 1"), &["prompts.yml:5:", "version 1 of chat stands there twice"]),
            (with("v2.md", "gone.md"), &["prompts.yml:5:", "there is no file", "gone.md"]),
            (
                with("v1.md", "v3.md"),
                &[
                    "prompts.yml:4:",
                    "chat/1 is v1.md by gpt in the tables and v3.md by gpt here, but variant control of chat_exp serves it",
                ],
            ),
            (
                with("v1.md, model_name: gpt", "v1.md, model_name: gpt, status: archived"),
                &["variant control of chat_exp serves it to 100 % of the units, so chat/1 cannot be archived"],
            ),
        ],
    )
    .await;
    world.sql("UPDATE exp_prompt_versions SET status = 'archived' WHERE version = 2").await;
    sync(&world, "prompts", &[], 78).await.complains("chat/2 is archived in the tables; a status moves from active");
}
