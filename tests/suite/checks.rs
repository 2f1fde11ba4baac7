//! `check`, against a sound world and against the faults that it should find. What needs servers is in files beneath.

mod facts;
mod grants;
mod servers;

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::embedded::{PROMOTION, World, better, day, events_frame_with_text, key, save, told, two_in_the_night_after};

/// Two metrics, each of which somebody judges by. The lines are counted below.
const METRICS: &str = "\
metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    numerator: { event: plan_generated, sum: cost }
    denominator: { event: plan_generated }
";

const OWNERS: &str = "  owners: [dana@example.com]\n";

const AREAS: [&str; 14] = [
    "configuration",
    "control",
    "grants",
    "experiments",
    "warehouse",
    "metrics",
    "freshness",
    "registry",
    "mail",
    "chat",
    "heartbeat",
    "schedule",
    "lease",
    "journal",
];

/// The answers of a `check`, by JSON.
struct Answers(Vec<Value>);

impl Answers {
    /// Runs the command, which must end with that code, and reads its answers. Whatever is not ok must say how to mend it.
    async fn of(mut command: Command, code: i32) -> Answers {
        command.args(["--output", "json"]);
        let told = told(command).await.expect(code);
        let document = told.json();
        assert_eq!(document["schema_version"], 1);
        let lines = document["lines"].as_array().expect("lines").clone();
        for line in &lines {
            let state = line["state"].as_str().unwrap_or_default();
            assert!(["ok", "warn", "fail"].contains(&state), "{line}");
            assert_eq!(line["mend"].is_string(), state != "ok", "{line}");
            assert!(AREAS.contains(&line["area"].as_str().unwrap_or_default()), "{line}");
            assert!(line["what"].is_string() && line["detail"].is_string(), "{line}");
        }
        Answers(lines)
    }

    /// Panics unless an answer about that has this state and says that.
    fn say(&self, area: &str, what: &str, state: &str, words: &str) -> &Answers {
        let says = |line: &Value, field: &str, words: &str| line[field].as_str().unwrap_or_default().contains(words);
        let found = self.0.iter().any(|line| {
            let detail = says(line, "detail", words) || says(line, "mend", words);
            line["area"] == area && says(line, "what", what) && line["state"] == state && detail
        });
        assert!(found, "no {state} for {area}, {what}: {words:?} in {:#?}", self.0);
        self
    }

    /// The states of an area.
    fn states(&self, area: &str) -> Vec<&str> {
        self.0.iter().filter(|line| line["area"] == area).filter_map(|line| line["state"].as_str()).collect()
    }
}

/// A world with two days of traffic in which nothing is amiss.
async fn sound() -> World {
    let mut world = World::new(vec![better("steady")]).await;
    world.write("metrics.yml", METRICS);
    world.write("promotion.yml", &format!("{PROMOTION}{OWNERS}"));
    world.settings["schedule"] = json!({ "cron": "0 30 2 * * *", "timezone": "Europe/Berlin" });
    world.configure();
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

/// `check` as of the second day, about these areas.
fn check(world: &World, areas: &str) -> Command {
    let mut command = world.nightly("check", day(1));
    command.args(["--only", areas]);
    command
}

#[tokio::test]
async fn a_sound_world_is_all_ok_and_stays_as_it_is() {
    let world = sound().await;
    let before = world.state().await;
    let mut strict = world.nightly("check", day(1));
    strict.arg("--strict");
    let answers = Answers::of(strict, 0).await;
    for area in AREAS {
        let states = answers.states(area);
        assert!(!states.is_empty() && states.iter().all(|state| *state == "ok"), "{area}: {:#?}", answers.0);
    }
    answers
        .say("metrics", "cost_per_plan", "ok", "2026-03-03")
        .say("freshness", "events", "ok", "the last complete day is 2026-03-03")
        .say("experiments", "steady", "ok", "candidate 10 %")
        .say("schedule", "next runs", "ok", "Thu 2026-03-05 02:30 CET (Thu 2026-03-05 01:30 UTC)");
    assert_eq!(world.state().await, before, "a check changes nothing");
    // A night does what was promised, and leaves a world that is as sound.
    world.night(day(1), 0).await;
    Answers::of(world.nightly("check", day(1)), 0).await.say("journal", "journal", "ok", "nothing is left");

    let text = told(world.nightly("check", day(1))).await.expect(0).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last().unwrap(), &format!("{} ok, 0 warn, 0 fail", lines.len() - 1));
    assert!(lines[..lines.len() - 1].iter().all(|line| line.starts_with("ok    ")), "{text}");
}

#[tokio::test]
async fn only_what_is_asked_about_is_answered() {
    let world = sound().await;
    for area in AREAS {
        let answers = Answers::of(check(&world, area), 0).await;
        assert!(!answers.0.is_empty() && answers.0.iter().all(|line| line["area"] == area), "{area}: {:#?}", answers.0);
    }
    let answers = Answers::of(check(&world, "lease,journal"), 0).await;
    assert_eq!(answers.0.len(), 2);
    let unknown = world.run(&["check", "--only", "everything"]).await.expect(64);
    unknown.complains("[possible values: configuration, control, grants");
}

/// Aggregates hold sums, and a night would only complain of it in its log.
#[tokio::test]
async fn percentiles_beside_aggregates_are_a_warning_with_their_line() {
    let mut world = sound().await;
    world.settings["warehouse"] = json!({ "sqlite": { "path": "warehouse.db" }, "aggregates": {} });
    world.configure();
    let metrics = "\
metrics:
  acceptance_rate:
    direction: increase
    aggregate: { rate: accepted, of: generated, design_effect: 2 }
  cost_per_plan:
    direction: decrease
    aggregate: { mean: cost, design_effect: 2 }
percentiles:
  latency:
    event: plan_generated
    field: latency_ms
    from: 10
    to: 60000
";
    world.write("metrics.yml", metrics);
    let answers = Answers::of(check(&world, "configuration"), 0).await;
    answers.say("configuration", "percentiles", "warn", "none of these is shown: latency (").say(
        "configuration",
        "percentiles",
        "warn",
        "metrics.yml:9",
    );
}

#[tokio::test]
async fn what_the_files_say_in_vain_is_a_warning_with_its_line() {
    let world = sound().await;
    world.write(
        "metrics.yml",
        &format!("{METRICS}  orders:\n    direction: increase\n    value: {{ event: order_placed }}\n"),
    );
    world.write(
        "promotion.yml",
        &format!(
            "{PROMOTION}{OWNERS}  freezes: [{{ name: last spring, from: 2025-04-01, to: 2025-04-20 }}]
  mode: advise
experiments:
  stedy: {{ materiality: 0.4 }}
  another: {{ mode: act }}
kill_switch: true
"
        ),
    );
    let answers = Answers::of(check(&world, "configuration"), 0).await;
    let lines = format!("{PROMOTION}{OWNERS}").lines().count();
    answers
        .say("configuration", "unused metrics", "warn", "metrics.yml:10")
        .say("configuration", "policy of stedy", "warn", "did you mean `steady`?")
        .say("configuration", "policy of stedy", "warn", &format!("promotion.yml:{}:", lines + 4))
        .say("configuration", "policy of another", "warn", "no experiment bears this name")
        .say("configuration", "mode of defaults", "warn", &format!("promotion.yml:{}:", lines + 2))
        .say("configuration", "freezes of defaults", "warn", "last spring")
        .say("configuration", "kill switch", "warn", "changes nothing");
    assert_eq!(answers.states("configuration").iter().filter(|state| **state == "warn").count(), 6, "{:#?}", answers.0);
    let mut strict = check(&world, "configuration");
    strict.arg("--strict");
    Answers::of(strict, 1).await;
}

#[tokio::test]
async fn a_fault_of_one_experiment_hides_none_of_another() {
    let names =
        ["bad_sum", "good", "no_candidate", "no_control", "no_form", "no_prompt", "no_version", "over", "unknown"];
    let mut world = World::new(names.map(better).to_vec()).await;
    let missing = key("a version that nobody made");
    let prompt = json!({ "execution_strategy": "prompt_template", "prompt_config": { "prompt_version_id": missing } });
    for (name, change) in [
        ("bad_sum", "allocation = '0.8000' WHERE name = 'control'".to_owned()),
        ("no_candidate", "allocation = '0.0000' WHERE name = 'candidate'".to_owned()),
        ("no_candidate", "allocation = '1.0000' WHERE name = 'control'".to_owned()),
        ("no_control", "name = 'baseline' WHERE name = 'control'".to_owned()),
        ("no_form", r#"config = '{"execution_strategy": "magic"}' WHERE name = 'candidate'"#.to_owned()),
        ("no_prompt", format!("config = '{prompt}' WHERE name = 'candidate'")),
        ("no_version", format!(r#"config = '{{"policy_version_id": "{missing}"}}' WHERE name = 'candidate'"#)),
    ] {
        world.sql(&format!("UPDATE exp_variants SET {change} AND experiment_id = '{}'", key(name))).await;
    }
    world
        .sql(&format!(
            "UPDATE exp_experiments SET end_at = '2026-03-03T00:00:00.000000Z' WHERE id = '{}';
             DELETE FROM rampkeeper_registry_tags WHERE model = 'unknown_model' AND version = '2';",
            key("over")
        ))
        .await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let answers = Answers::of(check(&world, "experiments,registry,mail"), 1).await;
    answers
        .say("experiments", "bad_sum", "fail", "the allocations sum to 0.9, not to 1")
        .say("experiments", "good", "ok", "candidate 10 %")
        .say("experiments", "no_candidate", "warn", "nothing is judged")
        .say("experiments", "no_control", "fail", r#"no variant named "control""#)
        .say("experiments", "no_form", "fail", r#"execution_strategy "magic""#)
        .say("experiments", "no_prompt", "fail", &format!("prompt version {missing} is not in exp.prompt_versions"))
        .say("experiments", "no_version", "fail", &format!("policy version {missing} is not in exp.policy_versions"))
        .say("experiments", "over", "warn", "still active, though its end was 2026-03-03")
        .say("registry", "unknown_model version 2", "fail", "is served by unknown, candidate")
        .say("mail", "owners", "warn", "nobody answers for bad_sum, good");
    assert_eq!(answers.states("experiments").len(), names.len(), "a line for each: {:#?}", answers.0);
}

#[tokio::test]
async fn a_ramp_without_units_is_a_warning() {
    let mut world = sound().await;
    world.night(day(1), 0).await;
    for n in 2..4 {
        world.live(day(n)).await;
    }
    world.night(day(3), 0).await;
    world.write("promotion.yml", &PROMOTION.replace("min_units: 80", "min_units: 90000"));
    let answers = Answers::of(world.nightly("check", day(3)), 0).await;
    answers.say("experiments", "steady, candidate", "warn", "the 90000 units per arm of its stage take");
}

#[tokio::test]
async fn what_nights_left_behind_is_told() {
    let world = sound().await;
    let run = key("a run");
    let action = |key: &str, status: &str, when: &str, error: &str| {
        format!(
            "INSERT INTO rampkeeper_actions (idempotency_key, run_id, position, kind, payload, status, attempts, last_error,
                                             not_before, created_at, updated_at)
             VALUES ('{key}', '{run}', 1, 'mail', '{{}}', '{status}', 3, '{error}', {when},
                     '2026-03-03T02:00:00.000000Z', '2026-03-03T02:00:00.000000Z');"
        )
    };
    world
        .sql(&format!(
            "INSERT INTO rampkeeper_leases (name, holder, expires_at)
             VALUES ('night', 'host-a/7', '2026-03-03T02:05:00.000000Z');
             INSERT INTO rampkeeper_runs (id, as_of, started_at, config_digest)
             VALUES ('{run}', '2026-03-02', '2026-03-03T02:00:00.000000Z', '');
             {}{}{}",
            action("a", "pending", "NULL", "smtp is away"),
            action("b", "failed", "NULL", "no such mailbox"),
            action("c", "pending", "'2026-03-09T00:00:00.000000Z'", "not due"),
        ))
        .await;
    let answers = Answers::of(check(&world, "lease,journal"), 0).await;
    answers
        .say("lease", "lease", "warn", "host-a/7 left it behind when it died; it ran out at 2026-03-03T02:05:00Z")
        .say(
            "journal",
            "mail",
            "warn",
            "1 to be done, the oldest since 2026-03-03T02:00:00Z, tried 3 times: smtp is away",
        )
        .say("journal", "mail", "warn", "1 given up")
        .say("journal", "mail", "warn", "no such mailbox");
    assert_eq!(answers.states("journal").len(), 2, "what is not due yet is not told");
    world.sql("UPDATE rampkeeper_leases SET expires_at = '2026-03-04T02:05:00.000000Z'").await;
    let answers = Answers::of(check(&world, "lease"), 0).await;
    answers.say("lease", "lease", "ok", "a run is at work: host-a/7");
}

#[tokio::test]
async fn a_store_of_another_version_is_not_trusted() {
    let world = sound().await;
    world
        .sql(
            "UPDATE rampkeeper_migrations SET checksum = x'00' WHERE version = 1;
             DELETE FROM rampkeeper_migrations WHERE version = 2;
             INSERT INTO rampkeeper_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'tables of the future', 1, x'00', 1);",
        )
        .await;
    let answers = Answers::of(check(&world, "control"), 1).await;
    answers
        .say("control", "migrations", "fail", "not those of this program: 1 (experiment tables)")
        .say("control", "migrations", "fail", "not applied yet: 2")
        .say("control", "migrations", "fail", "upgrade this program");
}

#[tokio::test]
async fn without_the_store_all_else_is_looked_at() {
    let world = World::bare(vec![]);
    let answers = Answers::of(world.nightly("check", day(1)), 1).await;
    answers
        .say("control", "connection", "fail", "run `rampkeeper migrate` first")
        .say("configuration", "files", "ok", "7 metrics")
        .say("warehouse", "lake", "ok", "Parquet lake")
        .say("freshness", "events", "warn", "there are none up to 2026-03-03")
        .say("mail", "readers", "ok", "team@example.com");
    // Nor does a lake that is away hide the store.
    let world = sound().await;
    std::fs::rename(world.path("lake"), world.path("elsewhere")).unwrap();
    let answers = Answers::of(world.nightly("check", day(1)), 1).await;
    answers.say("warehouse", "connection", "fail", "that it is mounted").say("experiments", "steady", "ok", "10 %");
}

#[tokio::test]
async fn a_metric_that_cannot_be_read_is_named_with_its_line() {
    let mut world = sound().await;
    let traffic = world.happen(day(2)).await;
    save(&world.events(day(2)), &mut events_frame_with_text(&traffic.events));
    let of = |n: i64| {
        let mut command = world.nightly("check", day(n));
        command.args(["--only", "metrics"]);
        command
    };
    let answers = Answers::of(of(2), 1).await;
    answers
        .say("metrics", "acceptance_rate", "ok", "2026-03-04")
        .say("metrics", "cost_per_plan", "fail", "metrics.yml:8: ")
        .say("metrics", "cost_per_plan", "fail", "field metrics.cost of event \"plan_generated\" should be a number");
    let misspelt = METRICS.replace("sum: cost", "sum: costs").replace("plan_accepted", "plan_acepted");
    world.write("metrics.yml", &misspelt);
    let answers = Answers::of(of(1), 1).await;
    answers
        .say(
            "metrics",
            "acceptance_rate",
            "warn",
            "metrics.yml:4: there is no event of type \"plan_acepted\" on 2026-03-03",
        )
        .say("metrics", "cost_per_plan", "fail", "metrics.yml:8: ")
        .say("metrics", "cost_per_plan", "fail", "has no column \"costs\"");
}

#[tokio::test]
async fn events_that_are_late_are_a_warning_until_somebody_would_be_called() {
    let mut world = sound().await;
    let of = |n: i64| {
        let mut command = world.nightly("check", day(n));
        command.args(["--only", "freshness"]);
        command
    };
    let words = "the last complete day is 2026-03-03, with";
    Answers::of(of(2), 0).await.say("freshness", "events", "warn", words);
    let answers = Answers::of(of(3), 1).await;
    answers.say("freshness", "events", "fail", "the events of 2026-03-05 are missing");
    // A day that ends early is none, unless somebody has looked at it.
    let mut traffic = world.live(day(2)).await;
    let noon = "2026-03-04T12:00:00Z".parse().unwrap();
    traffic.events.retain(|event| event.at < noon);
    save(&world.events(day(2)), &mut crate::embedded::events_frame(&traffic.events));
    let of = |world: &World, n: i64| {
        let mut command = world.nightly("check", day(n));
        command.args(["--only", "freshness"]);
        command
    };
    Answers::of(of(&world, 2), 0).await.say(
        "freshness",
        "events",
        "warn",
        "incomplete: its last event is of 2026-03-04T11",
    );
    world.settings["evidence"] = json!({ "accept_days": ["2026-03-04"] });
    world.configure();
    Answers::of(of(&world, 2), 0).await.say("freshness", "events", "ok", "the last complete day is 2026-03-04");
}

#[tokio::test]
async fn colour_is_for_terminals() {
    let world = sound().await;
    let piped = told(world.nightly("check", day(1))).await.expect(0);
    assert!(!piped.out.contains('\x1b'), "{:?}", piped.out);
    let inner = world.nightly("check", day(1));
    let inner = inner.as_std();
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let line = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null()).kill_on_drop(true);
    script.env_remove("NO_COLOR").env("TERM", "xterm");
    assert!(told(script).await.expect(0).out.contains("\x1b[32mok\x1b[0m    control"));
}

/// A process that holds passwords must not leave its memory behind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_command_leaves_a_core() {
    let mut world = sound().await;
    world.settings["schedule"] = json!({ "cron": "0 0 0 1 1 *" });
    world.configure();
    let mut serve = world.command(&["serve", "--now", &two_in_the_night_after(day(1))]);
    let log = std::fs::File::create(world.path("serve.log")).unwrap();
    let mut serve = serve.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let pid = serve.id().expect("serve is at work");
    for _ in 0..200 {
        if std::fs::read_to_string(world.path("serve.log")).unwrap().contains("waiting for the next night") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    serve.kill().await.unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
