//! The program as its users meet it: help, exit codes, output, the lease, and the schedule.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::embedded::{Told, World, better, day, harmful, outcome, program, told, two_in_the_night_after};

const COMMANDS: [&str; 19] = [
    "approve",
    "check",
    "completions",
    "demo",
    "explain",
    "history",
    "hold",
    "migrate",
    "plan",
    "reject",
    "replay",
    "resume",
    "rollback",
    "run",
    "schema",
    "serve",
    "status",
    "undo-moves",
    "verify",
];

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A world with two days of traffic, in which tonight one candidate is ramped and one rolled back.
async fn on_the_eve() -> World {
    let mut world = World::new(vec![harmful("costly"), better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

async fn decisions(world: &World) -> i64 {
    world.count("SELECT count(*) FROM rampkeeper_decisions").await
}

// ---------------------------------------------------------------------------------------------------------------------
// Arguments

/// The example in a command's help, whose lines are folded.
fn example(help: &str) -> Option<String> {
    let (_, after) = help.split_once("Example:")?;
    let paragraph = after.split("\n\n").next()?;
    Some(paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let main = told(program(&["--help"])).await.expect(0);
    for command in COMMANDS {
        assert!(main.out.contains(&format!("  {command} ")), "{command} is not in the main help: {}", main.out);
        let help = told(program(&[command, "--help"])).await.expect(0);
        let example = example(&help.out).unwrap_or_else(|| panic!("{command}: no example in {}", help.out));
        assert!(example.starts_with(&format!("rampkeeper {command}")), "{command}: {example}");
        assert!(help.out.contains("--config <FILE>"), "{command}: {}", help.out);
        assert_eq!(help.err, "", "{command}");
    }
    for code in ["0", "1", "2", "3", "4", "64", "75", "78"] {
        let told = main.out.lines().any(|line| line.starts_with(&format!("  {code} ")));
        assert!(told, "exit code {code} is not in the main help: {}", main.out);
    }
}

/// The examples are for copying: where there is no configuration they get as far as missing it.
#[tokio::test]
async fn the_examples_are_commands_that_the_program_takes() {
    let empty = tempfile::tempdir().unwrap();
    for command in COMMANDS.into_iter().filter(|command| !["demo", "schema", "completions"].contains(command)) {
        let help = told(program(&[command, "--help"])).await.expect(0);
        let example = example(&help.out).unwrap();
        let mut run = program(&example.split_whitespace().skip(1).collect::<Vec<_>>());
        run.current_dir(&empty);
        told(run).await.expect(78);
    }
}

#[tokio::test]
async fn a_fault_of_usage_ends_with_64_and_says_what_there_is() {
    for (arguments, words) in [
        (vec!["rum"], "run"),
        (vec!["run", "--as-off", "2026-03-03"], "--as-of"),
        (vec!["run", "--as-of", "yesterday"], "--as-of"),
        (vec!["run", "--output", "xml"], "json"),
        (vec!["run", "--now", "noon"], "--now"),
        (vec!["demo", "--nights", "0"], "1..=365"),
        (vec!["completions", "tcl"], "bash"),
        (vec!["completions"], "<SHELL>"),
        (vec![], "Usage"),
    ] {
        let told = told(program(&arguments)).await.expect(64);
        assert!(told.err.contains(words), "{arguments:?}: {}", told.err);
        assert_eq!(told.out, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = told(program(&["completions", shell])).await.expect(0).out;
        for command in COMMANDS {
            assert!(script.contains(command), "{command} is not completed in {shell}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Output

#[tokio::test]
async fn plan_and_run_answer_in_json_and_plan_names_changes_by_its_exit_code() {
    let world = on_the_eve().await;
    let mut plan = world.nightly("plan", day(1));
    plan.args(["--output", "json", "--detailed-exitcode"]);
    let before = world.state().await;
    let plan = told(plan).await.expect(2).json();
    assert_eq!(world.state().await, before, "a plan changes nothing");
    let run = world.night(day(1), 0).await;
    for (report, what) in [(&plan, "plan"), (&run, "run")] {
        assert_eq!(report["schema_version"], 1, "{what}");
        assert_eq!(report["as_of"], "2026-03-03", "{what}");
        assert_eq!(outcome(report, "steady"), "ramp", "{what}");
        assert_eq!(outcome(report, "costly"), "rollback", "{what}");
    }
    assert_eq!(plan["run"], Value::Null);
    let again = told(world.nightly("plan", day(1))).await.expect(0);
    assert!(again.out.contains("nothing new"), "{}", again.out);
    let mut again = world.nightly("plan", day(1));
    again.arg("--detailed-exitcode");
    told(again).await.expect(0);
}

#[tokio::test]
async fn a_plan_in_words_shows_what_the_run_then_does() {
    let world = on_the_eve().await;
    let plan = told(world.nightly("plan", day(1))).await.expect(0);
    for words in ["costly: allocate candidate 10 % → 0 %", "steady: allocate candidate 10 % → 25 %", "harm shown"] {
        assert!(plan.out.contains(words), "{words:?} is not in the plan: {}", plan.out);
    }
    let run = told(world.nightly("run", day(1))).await.expect(0);
    assert_eq!(plan.out, run.out);
}

#[tokio::test]
async fn a_pipe_gets_no_escape_codes() {
    let world = on_the_eve().await;
    for what in ["plan", "run", "check"] {
        let told = told(world.nightly(what, day(1))).await.expect(0);
        assert!(!told.out.contains('\x1b') && !told.err.contains('\x1b'), "{what}: {}{}", told.out, told.err);
    }
}

/// On a terminal, which `script` (util-linux) lends.
#[tokio::test]
async fn a_terminal_gets_colour_unless_it_wants_none() {
    let world = on_the_eve().await;
    let on_terminal = async |settings: &[(&str, &str)]| {
        let inner = world.nightly("plan", day(1));
        let inner = inner.as_std();
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let line = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null()).kill_on_drop(true);
        script.env_remove("NO_COLOR").env_remove("RAMPKEEPER_LOG").env("TERM", "xterm").envs(settings.iter().copied());
        told(script).await.expect(0).out
    };
    assert!(on_terminal(&[]).await.contains("\x1b["), "no colour on a terminal");
    let plain = on_terminal(&[("NO_COLOR", "1")]).await;
    assert!(plain.contains("steady") && !plain.contains('\x1b'), "{plain:?}");
}

#[tokio::test]
async fn logs_are_one_json_object_a_line_when_asked_for() {
    let world = on_the_eve().await;
    std::fs::remove_file(world.events(day(1))).unwrap();
    let mut run = world.nightly("run", day(1));
    run.args(["--log-format", "json"]);
    let told = told(run).await.expect(0);
    let lines: Vec<Value> =
        told.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    assert!(lines.iter().any(|line| line["level"] == "WARN" && line["fields"]["date"] == "2026-03-03"), "{lines:?}");
    assert!(lines.iter().any(|line| line["level"] == "INFO"), "{lines:?}");
}

/// What reads the log of a night must be able to read why it ended.
#[tokio::test]
async fn the_error_that_ends_a_run_is_json_too_when_asked_for() {
    let world = World::bare(vec![]);
    let told = world.run(&["run", "--log-format", "json"]).await.expect(1);
    for line in told.err.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "not JSON: {line}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The lease

async fn lease(world: &World, expires_at: &str) {
    let row = format!("('night', 'another-host/17', '{expires_at}')");
    world.sql(&format!("INSERT INTO rampkeeper_leases (name, holder, expires_at) VALUES {row}")).await;
}

#[tokio::test]
async fn a_lease_that_another_run_holds_ends_this_one_with_75() {
    let world = on_the_eve().await;
    lease(&world, "2026-03-04T02:00:00.000001Z").await;
    let before = world.state().await;
    let refused = told(world.nightly("run", day(1))).await.expect(75);
    refused.complains("another run holds the lease: another-host/17, until 2026-03-04T02:00:00.000001Z");
    assert_eq!(world.state().await, before);
    // A plan acts on nothing, so it needs no lease.
    told(world.nightly("plan", day(1))).await.expect(0);
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_lease_that_has_expired_is_taken_and_given_back() {
    let world = on_the_eve().await;
    lease(&world, "2026-03-04T02:00:00.000000Z").await;
    let report = world.night(day(1), 0).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0);
}

#[tokio::test]
async fn a_run_that_fails_gives_its_lease_back() {
    let world = on_the_eve().await;
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON rampkeeper_decisions
                   BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    world.sql(trigger).await;
    told(world.nightly("run", day(1))).await.expect(1);
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0);
}

#[tokio::test]
async fn of_runs_started_at_once_exactly_one_decides() {
    let world = on_the_eve().await;
    let mut runs: Vec<Child> = Vec::new();
    for _ in 0..3 {
        let mut run = world.nightly("run", day(1));
        run.args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        runs.push(run.spawn().unwrap());
    }
    let mut decided = 0;
    for run in runs {
        let told = Told::from(run.wait_with_output().await.unwrap());
        match told.code {
            Some(75) => drop(told.complains("another run holds the lease")),
            Some(0) if told.json()["run"] == Value::Null => {}
            _ => {
                told.expect(0);
                decided += 1;
            }
        }
    }
    assert_eq!(decided, 1);
    assert_eq!(decisions(&world).await, 2, "a decision for each candidate");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_runs").await, 1);
    assert_eq!(world.mails().len(), 1);
    assert_eq!(world.allocations("steady").await, "control 0.7500, candidate 0.2500");
    assert_eq!(world.allocations("costly").await, "control 1.0000, candidate 0.0000");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0);
}

// ---------------------------------------------------------------------------------------------------------------------
// The schedule

#[tokio::test]
async fn serve_without_a_schedule_says_what_to_write() {
    let world = World::new(vec![]).await;
    let told = world.run(&["serve"]).await.expect(1);
    told.complains("`schedule` is missing; write schedule: { cron: \"0 30 2 * * *\", timezone: UTC }");
}

/// Asks every tenth of a second until the answer is yes.
async fn until(what: &str, serve: &mut Child, mut answer: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !answer().await {
        let ended = serve.try_wait().unwrap();
        assert!(ended.is_none(), "serve ended by itself with {ended:?} before {what}");
        assert!(began.elapsed() < PATIENCE, "waited for {what} in vain");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn stop(serve: &Child, signal: &str) {
    let pid = serve.id().expect("serve is at work").to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
}

async fn serves_until(signal: &str) {
    let mut world = on_the_eve().await;
    world.settings["schedule"] = json!({ "cron": "* * * * * *" });
    world.configure();
    let mut serve = world.nightly("serve", day(1));
    serve.args(["--log-format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut serve = serve.spawn().unwrap();
    let world = &world;
    until("the mail of the night", &mut serve, async || !world.mails().is_empty()).await;
    stop(&serve, signal).await;
    let began = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, serve.wait_with_output()).await.expect("serve ends").unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?} to end", began.elapsed());
    let told = Told::from(ended).expect(0);
    told.complains("stopping after the night at hand");
    for line in told.err.lines() {
        let _: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(decisions(world).await, 2);
    assert_eq!(world.allocations("steady").await, "control 0.7500, candidate 0.2500");
    assert_eq!(world.mails().len(), 1);
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0, "the night at hand was finished");
}

#[tokio::test]
async fn serve_runs_the_night_and_ends_well_on_sigterm() {
    serves_until("-TERM").await;
}

#[tokio::test]
async fn serve_runs_the_night_and_ends_well_on_sigint() {
    serves_until("-INT").await;
}

/// The night is mended while `serve` goes on: no restart is needed.
#[tokio::test]
async fn serve_outlives_a_night_that_fails() {
    let mut world = on_the_eve().await;
    world.settings["schedule"] = json!({ "cron": "* * * * * *" });
    world.configure();
    std::fs::rename(world.path("lake/events"), world.path("lake/away")).unwrap();
    let mut serve = world.nightly("serve", day(1));
    let log = std::fs::File::create(world.path("serve.log")).unwrap();
    serve.stdout(Stdio::null()).stderr(log);
    let mut serve = serve.spawn().unwrap();
    let world = &world;
    let failed = async || std::fs::read_to_string(world.path("serve.log")).unwrap().contains("the night failed");
    until("a night that fails", &mut serve, failed).await;
    std::fs::rename(world.path("lake/away"), world.path("lake/events")).unwrap();
    until("a night that succeeds", &mut serve, async || !world.mails().is_empty()).await;
    stop(&serve, "-TERM").await;
    let ended = tokio::time::timeout(PATIENCE, serve.wait()).await.expect("serve ends").unwrap();
    assert_eq!(ended.code(), Some(0));
}

// ---------------------------------------------------------------------------------------------------------------------
// The clock, and the demo

#[tokio::test]
async fn without_a_date_a_night_speaks_about_yesterday() {
    let world = on_the_eve().await;
    let told = world.run(&["run", "--now", &two_in_the_night_after(day(1)), "--output", "json"]).await.expect(0);
    assert_eq!(told.json()["as_of"], "2026-03-03");
    assert!(world.path("reports/nights/2026-03-03.html").is_file());
}

#[tokio::test]
async fn the_configuration_may_be_named_by_the_environment() {
    let world = on_the_eve().await;
    let mut plan = program(&["plan", "--now", &two_in_the_night_after(day(1))]);
    plan.env("RAMPKEEPER_CONFIG", world.path("rampkeeper.yml"));
    assert!(told(plan).await.expect(0).out.contains("1 rolled back, 1 ramped"));
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    entries.collect()
}

#[tokio::test]
async fn the_demo_fills_a_fresh_folder_and_refuses_a_used_one() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("world");
    let arguments = ["demo", "--nights", "3", "--output", "json", "--dir", dir.to_str().unwrap()];
    let lived = told(program(&arguments)).await;
    let document = lived.json();
    assert_eq!((&document["schema_version"], &document["nights"]), (&json!(1), &json!(3)));
    let fates = document["fates"].as_array().unwrap();
    assert_eq!(fates.len(), 6);
    // Three nights are too few for most endings, and the exit code says so.
    let all_right = fates.iter().all(|fate| fate["right"] == true);
    assert!(!all_right);
    lived.expect(1);
    // Each night the team's digest, and that of the owners of the one experiment that has its own.
    assert_eq!(names(&dir.join("mails")).len(), 6);
    let pages = ["2026-03-02.html", "2026-03-03.html", "2026-03-04.html"];
    assert_eq!(names(&dir.join("reports/nights")), pages.map(str::to_owned).into());

    let before = names(&dir);
    let refused = told(program(&arguments)).await.expect(1);
    refused.complains("holds a world already; give another --dir or remove it");
    assert_eq!(names(&dir), before);

    // The folder is an ordinary installation: the last night is decided, and the next has no events yet.
    let config = dir.join("rampkeeper.yml");
    let config = config.to_str().unwrap();
    let again = ["plan", "--config", config, "--as-of", "2026-03-04", "--now", "2026-03-05T02:00:00Z"];
    assert!(told(program(&again)).await.expect(0).out.contains("nothing new"));
}
