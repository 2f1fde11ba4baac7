//! The whole route on PostgreSQL and MLflow, with the program as it is installed and users that may do no more than is
//! granted: files → versions → offline results → gate → 10 % → nights → production; a second model that the night lets in
//! by itself and rolls back; and the same for two prompts.

mod world;

use std::collections::BTreeMap;

use jiff::ToSpan;
use rampkeeper::demo::{Effects, FIRST_DAY, Scenario, Truth};
use serde_json::{Value, json};

use self::world::World;

const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 300 }
    - { allocation: 0.25, min_days: 1, min_units: 300 }
    - { allocation: 0.50, min_days: 2, min_units: 300 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.05 }
    - { metric: cost_per_plan, margin: 0.10 }
experiments:
  leftovers_exp:
    auto_enroll: true
    enrolment: { policy: leftovers_policy }
";

const POLICIES: &str = "\
policies:
  - name: planner_policy
    description: Plans a week
    versions:
      - { version: 1, mlflow_model_name: route_planner, mlflow_model_version: \"1\" }
      - version: 2
        mlflow_model_name: route_planner
        mlflow_model_version: \"2\"
  - name: leftovers_policy
    versions:
      - { version: 1, mlflow_model_name: route_leftovers, mlflow_model_version: \"1\" }
      - { version: 2, mlflow_model_name: route_leftovers, mlflow_model_version: \"2\" }
";

const PROMPTS: &str = "\
prompts:
  - name: chat
    versions:
      - { version: 1, file_path: v1.md, model_provider: openai, model_name: gpt-4o }
      - { version: 2, file_path: v2.md, model_provider: openai, model_name: gpt-4o }
  - name: greeting
    versions:
      - { version: 1, file_path: v1.md, model_name: gpt-4o }
      - { version: 2, file_path: v2.md, model_name: gpt-4o }
";

fn experiments() -> String {
    let experiment = |name: &str, config: String| {
        format!(
            "  - name: {name}\n    unit_type: user\n    status: active\n    start_at: {FIRST_DAY}\n    end_at: 2027-01-01\n    \
             variants:\n      - {{ name: control, allocation: 1.0, config: {config} }}\n"
        )
    };
    let model = |policy: &str| {
        format!(
            "{{ execution_strategy: mlflow_model, mlflow_model: {{ policy: {policy}, version: 1 }}, params: {{ k: 1 }} }}"
        )
    };
    let prompt = |prompt: &str| {
        format!("{{ execution_strategy: prompt_template, prompt_config: {{ prompt: {prompt}, version: 1 }} }}")
    };
    [
        "experiments:\n".to_owned(),
        experiment("planner_exp", model("planner_policy")),
        experiment("leftovers_exp", model("leftovers_policy")),
        experiment("chat_exp", prompt("chat")),
        experiment("greeting_exp", prompt("greeting")),
    ]
    .concat()
}

fn scenarios() -> Vec<Scenario> {
    let better = Scenario {
        experiment: "planner_exp",
        candidate: "planner_policy_v2",
        truth: Truth::Better,
        units_per_day: 3_500,
        effects: Effects { acceptance: 1.08, cost: 0.92, ..Effects::NONE },
        candidate_loss: 0.0,
        order_rate: |_| 0.0,
    };
    let harmful = Scenario {
        experiment: "leftovers_exp",
        candidate: "leftovers_policy_v2",
        truth: Truth::Harmful,
        effects: Effects { acceptance: 0.90, cost: 1.25, ..Effects::NONE },
        ..better.clone()
    };
    let chat = Scenario { experiment: "chat_exp", candidate: "chat_v2", ..better.clone() };
    let greeting = Scenario { experiment: "greeting_exp", candidate: "greeting_v2", ..harmful.clone() };
    vec![better, harmful, chat, greeting]
}

fn of<'a>(report: &'a Value, experiment: &str) -> &'a Value {
    report["experiments"].as_array().unwrap().iter().find(|e| e["name"] == experiment).unwrap_or(&Value::Null)
}

/// From the files to the tables: what is missing is told at once, and a second time there is nothing to do.
async fn from_files_to_tables(world: &World) {
    world.write("policies.yml", POLICIES);
    world.write("prompts.yml", PROMPTS);
    world.write("experiments.yml", &experiments());
    let told = world.done(&["policy", "sync"], 78).await;
    assert!(told.contains("4 faults; nothing was touched"), "{told}");
    assert!(told.contains("has no route_planner version 2; register it there first"), "{told}");
    for model in ["route_planner", "route_leftovers"] {
        world.mlflow.create_model(model).await;
        for _ in 0..2 {
            world.mlflow.create_version(model).await;
        }
        world.mlflow.set_version_tag(model, "1", "stage", "production").await;
        world.mlflow.set_alias(model, "champion", "1").await;
    }
    assert!(world.done(&["policy", "sync"], 0).await.contains("6 changes made, in one transaction."));
    assert!(world.done(&["policy", "sync"], 0).await.starts_with("Nothing to do"));
    assert!(world.done(&["prompts", "sync"], 78).await.contains("there is no file"));
    world.write("v1.md", "one");
    world.write("v2.md", "two");
    world.done(&["prompts", "sync"], 0).await;
    world.done(&["experiments", "sync"], 0).await;
    assert!(world.done(&["experiments", "sync"], 0).await.starts_with("Nothing to do"));
}

/// Through the gate and in at 10 %, by a person's hand.
async fn enrol_by_hand(world: &World) {
    assert!(world.done(&["enroll", "planner_exp", "planner_policy/2"], 1).await.contains("it has no offline result"));
    world.evaluate("planner_policy", 0.7).await;
    let told = world.done(&["qualify", "planner_policy/2"], 1).await;
    assert!(told.contains("plan_alignment 0.7 misses the baseline's 0.8 by 0.1"), "{told}");
    world.evaluate("planner_policy", 0.85).await;
    world.done(&["qualify", "planner_policy/2"], 0).await;
    assert_eq!(world.mlflow.version_tags("route_planner", "2").await["stage"], "candidate");
    let marks = "SELECT string_agg(coalesce(is_better_than_baseline::text, '–'), ',' ORDER BY created_at)
                 FROM exp.offline_replay_results WHERE baseline_version_id IS NOT NULL";
    assert_eq!(world.text(marks).await, "false,true");
    let begin = format!("{FIRST_DAY}T00:00:00Z");
    let enroll = async |experiment, version, more: &[&str], code| {
        let arguments = ["enroll", experiment, version, "--by", "ana", "--reason", "ready", "--now", begin.as_str()];
        world.done(&[&arguments, more].concat(), code).await
    };
    enroll("planner_exp", "planner_policy/2", &[], 0).await;
    enroll("chat_exp", "chat/2", &["--prompt"], 0).await;
    enroll("greeting_exp", "greeting/2", &["--prompt"], 0).await;
    assert_eq!(world.split("planner_exp").await, "control 0.9000, planner_policy_v2 0.1000");
    assert_eq!(world.split("chat_exp").await, "control 0.9000, chat_v2 0.1000");
    let challenger = [("champion".to_owned(), "1".to_owned()), ("challenger".to_owned(), "2".to_owned())];
    assert_eq!(world.mlflow.aliases("route_planner").await, BTreeMap::from(challenger));
    let refused = enroll("planner_exp", "planner_policy/2", &[], 1).await;
    assert!(refused.contains("is in planner_exp already, as variant planner_policy_v2"), "{refused}");
    let config = "SELECT config::text FROM exp.variants WHERE name = 'planner_policy_v2'";
    let config: Value = serde_json::from_str(&world.text(config).await).unwrap();
    assert_eq!(
        (&config["execution_strategy"], &config["params"]),
        (&json!("mlflow_model"), &json!({ "k": 1 })),
        "the same as control's but for the model"
    );
}

/// What each night decided of each experiment, until all four candidates are through or back.
async fn live_and_judge(world: &mut World) -> BTreeMap<String, Vec<String>> {
    let mut story: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for night in 0..16i64 {
        let day = FIRST_DAY.checked_add(night.days()).unwrap();
        world.live(day).await;
        if night == 1 {
            // The night lets the second model in by itself.
            world.evaluate("leftovers_policy", 0.9).await;
        }
        let plan = world.night("plan", day).await;
        let report = world.night("run", day).await;
        assert_eq!(report["unfinished"], json!([]), "{day}");
        for scenario in scenarios() {
            let (planned, done) = (of(&plan, scenario.experiment), of(&report, scenario.experiment));
            assert_eq!((&planned["route"], &planned["steps"]), (&done["route"], &done["steps"]), "{day}");
            let told = done["candidates"][0]["decision"]["outcome"].as_str().unwrap_or("–").to_owned();
            story.entry(scenario.experiment.to_owned()).or_default().push(told);
        }
        if night == 1 {
            let line = of(&report, "leftovers_exp")["route"][0].as_str().unwrap().to_owned();
            assert!(
                line.starts_with("enrolled by the night: leftovers_policy/2 as leftovers_policy_v2 with 10 %"),
                "{line}"
            );
            assert_eq!(world.split("leftovers_exp").await, "control 0.9000, leftovers_policy_v2 0.1000");
            assert_eq!(world.mlflow.aliases("route_leftovers").await["challenger"], "2");
            assert_eq!(world.mlflow.version_tags("route_leftovers", "2").await["stage"], "candidate");
        }
        let mails = world.mails().len();
        let again = world.night("run", day).await;
        assert_eq!(again["run"], Value::Null, "a second run does nothing: {day} {again:#}");
        assert_eq!(world.mails().len(), mails, "and sends nothing");
        let over = "SELECT count(*)::text FROM rampkeeper.rollouts WHERE status <> 'ramping'";
        if world.text(over).await == "4" {
            break;
        }
    }
    story
}

/// Who came to production and who came back, in the tables and in the registry.
async fn stand_where_they_belong(world: &World) {
    assert_eq!(world.split("planner_exp").await, "control_retired_2026-03-06 0.0000, planner_policy_v2 1.0000");
    assert_eq!(world.mlflow.version_tags("route_planner", "1").await["stage"], "archived");
    assert_eq!(world.mlflow.version_tags("route_planner", "2").await["stage"], "production");
    let champion = |version: &str| BTreeMap::from([("champion".to_owned(), version.to_owned())]);
    assert_eq!(world.mlflow.aliases("route_planner").await, champion("2"));
    assert_eq!(world.statuses("policy_versions", "mlflow_model_name = 'route_planner'").await, "deprecated,active");

    assert_eq!(world.split("leftovers_exp").await, "control 1.0000, leftovers_policy_v2 0.0000");
    assert_eq!(world.mlflow.version_tags("route_leftovers", "1").await["stage"], "production");
    assert_eq!(world.mlflow.version_tags("route_leftovers", "2").await["stage"], "archived");
    assert_eq!(world.mlflow.aliases("route_leftovers").await, champion("1"));
    assert_eq!(world.statuses("policy_versions", "mlflow_model_name = 'route_leftovers'").await, "active,archived");

    assert_eq!(world.split("chat_exp").await, "control_retired_2026-03-06 0.0000, chat_v2 1.0000");
    assert_eq!(world.split("greeting_exp").await, "control 1.0000, greeting_v2 0.0000");
    let prompts = async |name: &str| {
        let of = format!("prompt_id = (SELECT id FROM exp.prompts WHERE name = '{name}')");
        world.statuses("prompt_versions", &of).await
    };
    assert_eq!(
        (prompts("chat").await, prompts("greeting").await),
        ("deprecated,active".into(), "active,archived".into())
    );

    let experiments = "SELECT string_agg(name || ' ' || status, ', ' ORDER BY name) FROM exp.experiments";
    let expected = "chat_exp completed, greeting_exp active, leftovers_exp active, planner_exp completed";
    assert_eq!(world.text(experiments).await, expected);
    let events = "SELECT string_agg(event_type, ',' ORDER BY event_type) FROM exp.events WHERE unit_id = 'rampkeeper'";
    assert_eq!(world.text(events).await, "model_promoted,model_rollback,prompt_promoted,prompt_rollback");
    // Nobody stays on what failed, nor on what was replaced.
    let stranded = "SELECT count(*)::text FROM exp.assignments a JOIN exp.variants v ON v.id = a.variant_id
                    WHERE v.allocation = 0 AND a.assigned_at < '2026-03-06'";
    assert_eq!(world.text(stranded).await, "0");
}

/// The same story from what is kept: the gate, who came in, the decisions, and the mails.
async fn is_told(world: &World, story: &BTreeMap<String, Vec<String>>) {
    let gate = "SELECT string_agg(verdict, ',' ORDER BY position) FROM rampkeeper.qualifications";
    assert_eq!(world.text(gate).await, "failed,passed,passed");
    let came_in = "SELECT string_agg(concat_ws(' ', version_kind, share, enrolled_by, reason), ', ' ORDER BY position)
                   FROM rampkeeper.enrolments";
    let expected = "policy 0.1000 ana ready, prompt 0.1000 ana ready, prompt 0.1000 ana ready, \
                    policy 0.1000 night it passed offline evaluation";
    assert_eq!(world.text(came_in).await, expected);
    for (experiment, told) in story {
        let kept = format!(
            "SELECT string_agg(d.outcome, ' ' ORDER BY d.as_of) FROM rampkeeper.decisions d
             JOIN exp.experiments e ON e.id = d.experiment_id WHERE e.name = '{experiment}'"
        );
        let decided: Vec<&str> = told.iter().map(String::as_str).filter(|outcome| *outcome != "–").collect();
        assert_eq!(world.text(&kept).await, decided.join(" "), "{experiment}");
    }
    let mails = world.mails();
    let (nights, actions): (Vec<_>, Vec<_>) =
        mails.iter().partition(|(subject, _)| subject.starts_with("[rampkeeper] 2026-"));
    assert_eq!(nights.len(), story["planner_exp"].len(), "one for each night: {nights:#?}");
    let mut begun: Vec<&str> = actions.iter().filter_map(|(subject, _)| Some(subject.split_once(':')?.0)).collect();
    begun.sort_unstable();
    let expected = [
        "[rampkeeper] PROMOTED chat_exp/chat_v2",
        "[rampkeeper] PROMOTED planner_exp/planner_policy_v2",
        "[rampkeeper] ROLLED BACK greeting_exp/greeting_v2",
        "[rampkeeper] ROLLED BACK leftovers_exp/leftovers_policy_v2",
    ];
    assert_eq!(begun, expected);
    for (night, line) in [
        (0, "enrolled by ana (ready): planner_policy/2 as planner_policy_v2 with 10 %; control 100 % → 90 %; offline"),
        (
            0,
            "UNCHANGED  leftovers_exp: not enrolled: leftovers_policy/2: offline evaluation no pass: it has no offline",
        ),
        (0, "enrolled by ana (ready): chat/2 as chat_v2 with 10 %; control 100 % → 90 %"),
        (
            1,
            "enrolled by the night: leftovers_policy/2 as leftovers_policy_v2 with 10 %; control 100 % → 90 %; offline",
        ),
    ] {
        let told: Vec<usize> = (0..nights.len()).filter(|n| nights[*n].1.contains(line)).collect();
        assert_eq!(told, [night], "told once, in its night: {line}");
    }
}

/// The README shows these nights.
fn is_what_the_readme_shows(world: &World) {
    let mails = world.mails();
    let mut of_night: &str = "";
    for line in crate::readme::mails_of_the_route() {
        match mails.iter().find(|(subject, _)| *subject == line) {
            Some((_, text)) => of_night = text,
            None => assert!(of_night.contains(&line), "{line} is not in {of_night}"),
        }
    }
}

/// What the nights have set is not taken back by the files, and nothing comes in again.
async fn is_not_taken_back(world: &World) {
    let told = world.done(&["policy", "sync"], 0).await;
    assert!(told.starts_with("Nothing to do"), "{told}");
    assert!(
        told.contains("drift: planner_policy/1: a night has set its status to deprecated, and the file says active"),
        "{told}"
    );
    let told = world.done(&["experiments", "sync"], 0).await;
    assert!(
        told.starts_with("Nothing to do") && told.contains("drift: planner_exp: a night has completed it"),
        "{told}"
    );
    let told = world.done(&["enroll", "leftovers_exp", "leftovers_policy/2", "--force", "--reason", "again"], 1).await;
    assert!(told.contains("leftovers_policy/2 is archived and not available"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_trained_model_to_production_and_back_and_the_same_for_a_prompt() {
    rampkeeper::registry::install_crypto_provider();
    let mut world = World::new().await;
    from_files_to_tables(&world).await;
    enrol_by_hand(&world).await;
    let story = live_and_judge(&mut world).await;
    let acted = |experiment: &str| {
        let outcomes = story[experiment].iter().filter(|told| *told != "hold" && *told != "–");
        outcomes.map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(acted("planner_exp"), ["ramp", "ramp", "promote"], "{story:?}");
    assert_eq!(acted("chat_exp"), ["ramp", "ramp", "promote"], "{story:?}");
    assert_eq!(acted("leftovers_exp"), ["rollback"], "{story:?}");
    assert_eq!(acted("greeting_exp"), ["rollback"], "{story:?}");
    stand_where_they_belong(&world).await;
    is_told(&world, &story).await;
    is_what_the_readme_shows(&world);
    is_not_taken_back(&world).await;
    let last = FIRST_DAY.checked_add((story["planner_exp"].len() as i64 - 1).days()).unwrap();
    world.done(&["replay", "--as-of", &last.to_string()], 0).await;
    world.done(&["verify"], 0).await;
}
