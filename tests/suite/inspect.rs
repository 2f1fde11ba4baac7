//! The commands that look: on a store that real nights filled, through the program as its users see it. None of them
//! changes anything.

mod ledger;
mod postgres;
mod schema;

use rampkeeper::demo::Scenario;
use serde_json::{Value, json};

use crate::embedded::{PROMOTION, Told, World, better, day, harmful, key, program, told, two_in_the_night_after};

/// The commands over a world's store, with what each needs.
const LOOKS: [&[&str]; 8] = [
    &["status"],
    &["history", "costly"],
    &["explain", "costly/candidate"],
    &["explain", "steady", "--flip"],
    &["replay", "--as-of", "2026-03-03"],
    &["report"],
    &["verify"],
    &["verify", "--quick"],
];

/// A world after three nights: one candidate rolled back, one on its way.
async fn after_three_nights() -> World {
    let mut world = World::new(vec![harmful("costly"), better("steady")]).await;
    for n in 0..3 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    world
}

/// A command as it runs some hours after the last night.
async fn look(world: &World, arguments: &[&str]) -> Told {
    told(world.command(&[arguments, &["--now", "2026-03-05T09:00:00Z"]].concat())).await
}

async fn look_json(world: &World, arguments: &[&str]) -> Value {
    look(world, &[arguments, &["--output", "json"]].concat()).await.expect(0).json()
}

/// Text with its table lines taken off and its folded lines made whole.
fn flat(text: &str) -> String {
    text.replace(['│', '\u{a0}'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn looking_changes_nothing_and_every_answer_has_its_schema_version() {
    let world = after_three_nights().await;
    let before = world.state().await;
    for arguments in LOOKS {
        let text = look(&world, arguments).await.expect(0);
        assert!(!text.out.contains('\x1b') && text.err.is_empty(), "{arguments:?}: {}{}", text.out, text.err);
        let document = look_json(&world, arguments).await;
        assert_eq!(document["schema_version"], 1, "{arguments:?}");
    }
    // Only the job writes there: a look makes no table, takes no lease and opens no epoch.
    let strip = |state: std::collections::BTreeMap<String, String>| {
        state.into_iter().filter(|(name, _)| name.starts_with("rampkeeper_") || name.starts_with("exp_")).collect()
    };
    let (before, after): (Vec<_>, Vec<_>) = (strip(before), strip(world.state().await));
    assert_eq!(before, after);
}

#[tokio::test]
async fn status_tells_where_everything_stands_and_what_it_waits_for() {
    let world = after_three_nights().await;
    world
        .sql(&format!(
            "INSERT INTO rampkeeper_acts (id, position, experiment_id, candidate_id, act, said_by, reason, said_at) VALUES
             ('{}', 1, '{}', NULL, '{{\"act\":\"hold\",\"until\":\"2026-03-20\",\"even_if_harmful\":false}}', 'ana',
              'a launch', '2026-03-05T08:00:00.000000Z');
             INSERT INTO rampkeeper_leases (name, holder, expires_at)
             VALUES ('night', 'another-host/17', '2026-03-05T09:01:00.000000Z');
             UPDATE rampkeeper_actions SET status = 'pending', attempts = 2, last_error = 'the registry is away'
             WHERE position = (SELECT min(position) FROM rampkeeper_actions WHERE kind = 'set_tag')",
            key("hold"),
            key("steady")
        ))
        .await;
    let status = look_json(&world, &["status"]).await;
    let candidates = status["candidates"].as_array().unwrap();
    let of = |experiment: &str| candidates.iter().find(|c| c["experiment"] == experiment).unwrap();
    assert_eq!(of("costly")["status"], "rolled_back");
    let steady = of("steady");
    assert_eq!((&steady["status"], &steady["stages"]), (&json!("ramping"), &json!(3)));
    assert_eq!(steady["guardrails"].as_array().unwrap().len(), 2);
    assert_eq!(steady["decision"]["as_of"], "2026-03-04");
    assert_eq!(status["last_run"]["as_of"], "2026-03-04");
    let text = look(&world, &["status"]).await.expect(0).out;
    let told = flat(&text);
    for words in [
        "Last night: 2026-03-04, run at 2026-03-05 02:00 UTC",
        "↑ acceptance_rate",
        "Closed · costly/candidate: rolled back with the night of 2026-03-03, harm shown: cost_per_plan",
        "In force · steady/candidate: held by ana until 2026-03-20: a launch",
        "tried 2 times: the registry is away",
        "At work now another-host/17, until 2026-03-05 09:01 UTC",
    ] {
        assert!(told.contains(words), "{words:?} is not in {text}");
    }
    let id = steady["decision"]["id"].as_str().unwrap();
    assert!(told.contains(&id[..8]), "{text}");
    assert!(!told.contains("No night has run"), "{text}");
    let late = told_at(&world, "2026-03-09T09:00:00Z").await;
    assert!(late.contains("No night has run for the 4 days since"), "{late}");
    let one = flat(&look(&world, &["status", "costly"]).await.expect(0).out);
    assert!(one.contains("costly/candidate") && !one.contains("steady"), "{one}");
}

async fn told_at(world: &World, now: &str) -> String {
    flat(&told(world.command(&["status", "--now", now])).await.expect(0).out)
}

#[tokio::test]
async fn an_empty_store_is_told_in_a_sentence_with_what_to_do() {
    let world = World::new(vec![]).await;
    for (arguments, words) in
        [(vec!["status"], "There is no experiment at all."), (vec!["verify"], "The ledger is empty")]
    {
        let text = look(&world, &arguments).await.expect(0).out;
        assert!(text.contains(words), "{text}");
    }
    look(&world, &["replay"]).await.expect(1).complains("there is no decision at all yet");
    look(&world, &["history", "x"]).await.expect(1).complains("there is no experiment `x`; there is none at all");
    world.create(&better("steady")).await;
    let text = look(&world, &["status"]).await.expect(0).out;
    assert!(text.contains("No night has run yet") && text.contains("not judged yet"), "{text}");
    let text = look(&world, &["history", "steady"]).await.expect(0).out;
    assert!(text.contains("nothing was decided of it yet"), "{text}");
    world.sql("UPDATE exp_experiments SET status = 'draft'").await;
    let text = flat(&look(&world, &["status"]).await.expect(0).out);
    assert!(text.contains("No experiment is running or paused; one is a draft or completed."), "{text}");
}

#[tokio::test]
async fn history_has_nights_epochs_amendments_and_acts_in_their_order() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    let hold = json!({ "act": "hold", "until": null, "even_if_harmful": false });
    let at = "2026-03-04T11:00:00.000000Z";
    world
        .sql(&format!(
            "INSERT INTO rampkeeper_acts (id, position, experiment_id, candidate_id, act, said_by, reason, said_at)
             VALUES ('{}', 1, '{}', '{}', '{hold}', 'ana', 'wait for me', '{at}')",
            key("hold"),
            key("steady"),
            key("steady candidate")
        ))
        .await;
    world.write("promotion.yml", &PROMOTION.replace("margin: 0.10", "margin: 0.08"));
    world.live(day(2)).await;
    world.night(day(2), 0).await;
    let history = look_json(&world, &["history", "steady"]).await;
    let events: Vec<String> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{}{}", entry["event"].as_str().unwrap(), entry["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        events,
        ["epoch", "amendment", "nighthold", "nightramp", "epoch", "act", "amendment", "nighthold"],
        "{history:#}"
    );
    let text = look(&world, &["history", "steady"]).await.expect(0).out;
    let told = flat(&text);
    for words in
        ["10 % → 25 %", "candidate 25 %, control 75 %", "hold by ana", "wait for me", "0.1 → 0.08", "held by ana"]
    {
        assert!(told.contains(words), "{words:?} is not in {text}");
    }
    let latest = look_json(&world, &["history", "steady", "--limit", "1"]).await;
    assert_eq!(latest["earlier_nights"], 2);
    let nights = latest["entries"].as_array().unwrap().iter().filter(|entry| entry["event"] == "night").count();
    assert_eq!(nights, 1, "{latest:#}");
    look(&world, &["history", "staedy"]).await.expect(1).complains("did you mean `steady`?");
    look(&world, &["history", "steady", "--candidate", "candidat"])
        .await
        .expect(1)
        .complains("did you mean `candidate`?");
    // What is over has its history, too.
    world.sql("UPDATE exp_experiments SET status = 'completed'").await;
    let text = look(&world, &["history", "steady"]).await.expect(0).out;
    assert!(text.starts_with("steady, completed; candidate candidate"), "{text}");
    let text = look(&world, &["status", "steady"]).await.expect(0).out;
    assert!(text.contains("`rampkeeper history steady` shows what became of it"), "{text}");
}

#[tokio::test]
async fn a_decision_is_explained_by_its_id_or_by_its_candidate() {
    let world = after_three_nights().await;
    let last = look_json(&world, &["explain", "costly/candidate"]).await;
    assert_eq!(last["outcome"], "rollback");
    assert_eq!(last["again"], Value::Null, "it stands in the record");
    assert_eq!((&last["record"]["again"], &last["record"]["hash_is_right"]), (&json!("same"), &json!(true)));
    let id = last["id"].as_str().unwrap().to_owned();
    for name in [&id[..], &id[..8], &id.to_uppercase()[..13], "costly"] {
        assert_eq!(look_json(&world, &["explain", name]).await["id"], json!(id), "{name}");
    }
    let text = look(&world, &["explain", &id[..8], "--flip"]).await.expect(0).out;
    let told = flat(&text);
    for words in [
        "ROLLED BACK costly/candidate, night of 2026-03-03",
        "candidate was taken off: its 10 % of the units went back to control.",
        "cost_per_plan is",
        "at most 10 % higher is accepted",
        "Had cost_per_plan been",
        "lower in the candidate",
        "✗ no harm is shown: harm shown: cost_per_plan",
        "rollback takes 20 (1 candidate / alpha 0.05)",
        "acceptance_rate margin 5 %, cost_per_plan margin 10 %",
        "✓ it follows from the contents",
        "✓ the same, byte for byte",
    ] {
        assert!(told.contains(words), "{words:?} is not in {text}");
    }
    look(&world, &["explain", "costly/nobody"]).await.expect(1).complains("there is no candidate of costly");
    look(&world, &["explain", "nothing"]).await.expect(1).complains("there is no experiment `nothing`");
    // Wild cards of SQL are no beginning of a key.
    look(&world, &["explain", "%"]).await.expect(1);
    look(&world, &["explain", "_"]).await.expect(1);
    let all: Vec<String> = (0..16).map(|digit| format!("{digit:x}")).collect();
    let mut ambiguous = 0;
    for beginning in all {
        let told = look(&world, &["explain", &beginning]).await;
        if told.code == Some(1) && told.err.contains("several decisions begin with") {
            assert!(told.err.contains("night of 2026-03-0"), "{}", told.err);
            ambiguous += 1;
        }
    }
    // Five decisions over sixteen beginnings: whether two share one depends on the keys, which are always the same.
    let ids = world.text("SELECT group_concat(substr(id, 1, 1), '') FROM rampkeeper_decisions").await;
    let shared = ids.chars().filter(|digit| ids.matches(*digit).count() > 1).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ambiguous, shared.len(), "{ids}");
}

#[tokio::test]
async fn a_flip_in_json_is_a_world_in_which_it_is_decided_otherwise() {
    let world = after_three_nights().await;
    let flip = &look_json(&world, &["explain", "costly", "--flip"]).await["flip"];
    assert_eq!(flip["outcome"], "rollback");
    assert_eq!(flip["tried"], json!(["acceptance_rate", "cost_per_plan"]));
    let flips = flip["flips"].as_array().unwrap();
    let cost = flips.iter().find(|flip| flip["metric"] == "cost_per_plan").unwrap();
    assert!(cost["change"].as_f64().unwrap() < -0.1, "{cost}");
    assert!(cost["instead"].as_f64() < cost["measured"].as_f64(), "{cost}");
    assert_ne!(cost["then"]["outcome"], "rollback");
    assert_eq!(flip["sentences"].as_array().unwrap().len(), flips.len());
}

#[tokio::test]
async fn a_terminal_at_any_width_gets_whole_words() {
    let world = after_three_nights().await;
    for columns in [80, 120] {
        for arguments in LOOKS {
            let command = world.command(arguments);
            let command = command.as_std();
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let line = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
            // The bar of what takes long goes to standard error, and is gone when it is done.
            let line = format!("stty cols {columns} rows 50; {line} 2>/dev/null");
            let mut script = tokio::process::Command::new("script");
            script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(std::process::Stdio::null());
            script.env("TERM", "xterm").env("NO_COLOR", "1").env_remove("RAMPKEEPER_LOG").kill_on_drop(true);
            let out = told(script).await.expect(0).out;
            let widest = out.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0);
            assert!(widest <= columns, "{arguments:?} is {widest} wide at {columns}: {out}");
            assert!(!out.contains('\x1b'), "{arguments:?}: {out:?}");
        }
    }
}

/// Names, reasons and errors come out of tables that anybody may have filled.
#[tokio::test]
async fn nothing_in_the_store_reaches_a_terminal_as_a_command() {
    const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}\r\nforged";
    let world = after_three_nights().await;
    let quoted = HOSTILE.replace('\'', "''");
    world
        .sql(&format!(
            "UPDATE exp_experiments SET name = name || '{quoted}';
             UPDATE exp_variants SET name = name || '{quoted}' WHERE name = 'candidate';
             INSERT INTO rampkeeper_acts (id, position, experiment_id, candidate_id, act, said_by, reason, said_at) VALUES
             ('{}', 1, NULL, NULL, '{{\"act\":\"hold\",\"until\":null,\"even_if_harmful\":true}}', '{quoted}', '{quoted}',
              '2026-03-04T08:00:00.000000Z');
             INSERT INTO rampkeeper_leases (name, holder, expires_at)
             VALUES ('night', '{quoted}', '2026-03-05T09:01:00.000000Z');
             UPDATE rampkeeper_actions SET status = 'failed', last_error = '{quoted}', kind = '{quoted}';
             UPDATE rampkeeper_amendments SET number = 1, changes = '[\"\\u001b[2J\\u202e\"]'",
            key("hold"),
        ))
        .await;
    let costly = format!("costly{HOSTILE}");
    let decision = world.text("SELECT id FROM rampkeeper_decisions WHERE outcome = 'rollback'").await;
    let looks: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["history", &costly],
        vec!["explain", &decision, "--flip"],
        vec!["explain", &costly],
        vec!["replay", "--as-of", "2026-03-03"],
        vec!["verify"],
        vec!["history", "costyl"],
        vec!["explain", "costyl"],
        vec!["plan"],
    ];
    for arguments in looks {
        for output in ["text", "json"] {
            let told = look(&world, &[&arguments[..], &["--output", output]].concat()).await;
            for text in [&told.out, &told.err] {
                let harmful = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
                assert!(!text.contains(harmful), "{arguments:?} {output}: {text:?}");
                assert!(!text.lines().any(|line| line.starts_with("forged")), "{arguments:?} {output}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_candidate_among_siblings_needs_its_name() {
    let mut world = World::new(vec![better("steady")]).await;
    let (experiment, sibling) = (key("steady"), key("steady sibling"));
    world
        .sql(&format!(
            "UPDATE exp_variants SET allocation = '0.8000' WHERE name = 'control';
             INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at)
             VALUES ('{sibling}', '{experiment}', 'sibling', '0.1000', '{{\"feature_enabled\": true}}', '9')"
        ))
        .await;
    for n in 0..2 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    look(&world, &["explain", "steady"]).await.expect(1).complains("write steady/candidate");
    assert_eq!(look_json(&world, &["explain", "steady/sibling"]).await["candidate"], "sibling");
    let text = flat(&look(&world, &["history", "steady", "--candidate", "sibling"]).await.expect(0).out);
    assert!(text.contains("candidate sibling"), "{text}");
    look(&world, &["replay", "--as-of", "2026-03-03"]).await.expect(0);
    look(&world, &["verify"]).await.expect(0);
}

/// A new user's first look: the demo's folder, from another folder.
#[tokio::test]
async fn the_demos_folder_is_there_to_be_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("world");
    drop(told(program(&["demo", "--nights", "4", "--dir", dir.to_str().unwrap()])).await.expect(1));
    let config = dir.join("rampkeeper.yml");
    let with = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.arg("--config").arg(&config).args(["--now", &two_in_the_night_after(day(3))]).current_dir(&place);
        command
    };
    let status = told(with(&["status"])).await.expect(0).out;
    assert!(status.contains("leftovers_v2") && status.contains("niche_v1"), "{status}");
    told(with(&["verify"])).await.expect(0);
    told(with(&["replay"])).await.expect(0);
    let replayed = told(with(&["replay", "leftovers_exp", "--output", "json"])).await.expect(0).json();
    assert_eq!((&replayed["same"], &replayed["wrong"]), (&json!(1), &json!(0)));
    assert!(dir.join("schema/promotion.schema.json").is_file());
}

/// The scenarios of one world, for the store of another database.
fn scenarios() -> Vec<Scenario> {
    vec![harmful("costly"), better("steady")]
}
