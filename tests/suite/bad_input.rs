//! What goes wrong in the world around the program: each fault is told in words, touches nothing that it need not, and
//! spoils nothing for the other experiments.

use jiff::civil::Date;
use rampkeeper::demo::{DayOfTraffic, Event, Scenario, Shares, Traffic};
use serde_json::{Value, json};
use sqlx::PgPool;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::embedded::{
    PROMOTION, Told, World, better, closed_port, day, events_frame, events_frame_with_text, harmful, key, of, outcome,
    reasons, save, told,
};
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};

/// Cost is guarded everywhere but in `without_cost`.
const PROMOTION_WITHOUT_COST: &str = "
experiments:
  without_cost:
    guardrails:
      - { metric: acceptance_rate, margin: 0.05 }
";

const AS_IT_WAS: &str = "control 0.9000, candidate 0.1000";
const RAMPED: &str = "control 0.7500, candidate 0.2500";

// ---------------------------------------------------------------------------------------------------------------------
// Configuration

#[tokio::test]
async fn every_fault_of_a_configuration_is_told_with_its_place_and_nothing_is_touched() {
    let world = World::bare(vec![]);
    world.write(
        "rampkeeper.yml",
        "control:\n  url: sqlite:control.db\n  pool_size: 4\nwarehouse: { lake: { path: lake } }\n\
         registry: { local: {} }\nreprots: reports\n",
    );
    world.write(
        "promotion.yml",
        "defaults:
  stages:
    - { allocation: 0.25, min_days: 1 }
    - { allocation: 0.10, min_days: 1 }
  guardrails:
    - { metric: acceptance_rate }
    - { metric: cost_per_plam, margin: 0.10 }
",
    );
    let before = world.files();
    for command in ["run", "plan", "migrate", "check", "serve"] {
        let told = world.run(&[command]).await.expect(78);
        assert_eq!(told.out, "", "{command}");
        for (place, words) in [
            ("rampkeeper.yml:3:", "unknown key `pool_size`"),
            ("rampkeeper.yml:6:", "did you mean `reports`?"),
            ("promotion.yml:4:", "allocations must rise from stage to stage, but 10 % follows 25 %"),
            ("promotion.yml:6:", "give `margin`, `ceiling` or `floor`"),
            ("promotion.yml:7:", "did you mean `cost_per_plan`?"),
        ] {
            let line = told.err.lines().find(|line| line.contains(place));
            let line = line.unwrap_or_else(|| panic!("{command}: no fault at {place} in {}", told.err));
            assert!(line.contains(words), "{command}: {line}");
        }
        assert_eq!(world.files(), before, "{command}");
    }
}

#[tokio::test]
async fn a_fault_in_one_file_hides_none_in_another() {
    let world = World::bare(vec![]);
    world.write("rampkeeper.yml", "control: { url: sqlite:control.db }\nwarehouse: {}\nregistry: { local: {} }\n");
    world.write("metrics.yml", "metrics:\n  acceptance_rate:\n    direction: upwards\n    value: { event: a }\n");
    world.write(
        "promotion.yml",
        "defaults:\n  stages: [{ allocation: 0.2, min_days: 1 }, { allocation: 0.1, min_days: 1 }]\n  \
         guardrails: [{ metric: acceptance_rate, margin: 0.05 }]\n",
    );
    let told = world.run(&["run"]).await.expect(78);
    told.complains("rampkeeper.yml:2:").complains("metrics.yml:3:").complains("promotion.yml:2:");
}

// ---------------------------------------------------------------------------------------------------------------------
// Stores that are not there

#[tokio::test]
async fn missing_tables_in_sqlite_name_the_migration() {
    let world = World::bare(vec![]);
    for command in ["plan", "run"] {
        let told = world.run(&[command]).await.expect(1);
        told.complains("run `rampkeeper migrate` first");
    }
    let told = world.run(&["check"]).await.expect(1);
    assert!(told.out.contains("run `rampkeeper migrate` first"), "{}", told.out);
    world.run(&["migrate"]).await.expect(0);
    world.run(&["check"]).await.expect(0);
}

#[tokio::test]
async fn what_changes_nothing_makes_no_control_store() {
    let world = World::bare(vec![]);
    let before = world.files();
    for command in ["plan", "check"] {
        world.run(&[command]).await.expect(1);
        assert_eq!(world.files(), before, "{command}");
    }
}

#[tokio::test]
async fn missing_tables_in_postgresql_name_the_migration() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("missing_tables").await;
    let world = on_postgres(&url, vec![]);
    let refuses = async || {
        for command in ["plan", "run"] {
            let told = world.run(&[command]).await.expect(1);
            told.complains("run `rampkeeper migrate` first");
        }
    };
    refuses().await;
    // The experiment tables of somebody else, and none of ours.
    world.run(&["migrate"]).await.expect(0);
    postgres.sql(&url, "drop schema rampkeeper cascade").await;
    refuses().await;
}

#[tokio::test]
async fn a_control_store_out_of_reach_is_told_without_its_password() {
    let mut world = World::bare(vec![]);
    let port = closed_port();
    let by_key = json!({
        "url": format!("postgres://guard@127.0.0.1:{port}/app"), "password": { "env": "RAMPKEEPER_TEST_SECRET" },
    });
    let by_url = json!({ "url_from": { "env": "RAMPKEEPER_TEST_URL" } });
    for control in [by_key, by_url] {
        world.settings["control"] = control;
        world.configure();
        let before = world.files();
        let mut command = world.command(&["run"]);
        command.env("RAMPKEEPER_TEST_SECRET", "s3cret-word");
        command.env("RAMPKEEPER_TEST_URL", format!("postgres://guard:s3cret-word@127.0.0.1:{port}/app"));
        let told = told(command).await.expect(1);
        told.complains(&format!("could not connect to the control store postgres://guard:***@127.0.0.1:{port}/app"));
        told.complains("because: ").complains("refused");
        assert!(!told.err.contains("s3cret"), "{}", told.err);
        assert_eq!(world.files(), before);
    }
}

#[tokio::test]
async fn a_warehouse_out_of_reach_ends_the_night_before_it_changes_anything() {
    let mut world = World::new(vec![better("steady")]).await;
    let port = closed_port();
    world.settings["warehouse"] = json!({ "postgres": {
        "url": format!("postgres://guard@127.0.0.1:{port}/app"), "password": { "env": "RAMPKEEPER_TEST_SECRET" },
    } });
    world.configure();
    let before = world.state().await;
    for what in ["plan", "run"] {
        let mut command = world.nightly(what, day(1));
        command.env("RAMPKEEPER_TEST_SECRET", "s3cret-word");
        let told = told(command).await.expect(1);
        told.complains(&format!("the warehouse PostgreSQL 127.0.0.1:{port}/app cannot be reached"));
        told.complains("because: ").complains("refused");
        assert!(!told.err.contains("s3cret"), "{}", told.err);
        assert_eq!(world.state().await, before, "{what}");
    }
}

#[tokio::test]
async fn a_lake_that_is_not_mounted_ends_the_night() {
    let world = World::new(vec![better("steady")]).await;
    std::fs::rename(world.path("lake/events"), world.path("lake/elsewhere")).unwrap();
    let before = world.state().await;
    let told = told(world.nightly("run", day(1))).await.expect(1);
    told.complains("lake/events is not there").complains("that it is mounted");
    assert_eq!(world.state().await, before);
}

// ---------------------------------------------------------------------------------------------------------------------
// Experiments that are at fault themselves

#[tokio::test]
async fn faulty_experiments_are_held_with_the_reason_and_the_others_go_on() {
    let names = ["bad_sum", "control_no_form", "good", "no_control", "no_form", "no_version"];
    let mut world = World::new(names.map(better).to_vec()).await;
    let missing = key("a version that nobody made");
    for (name, change) in [
        ("bad_sum", "allocation = '0.8000' WHERE name = 'control'".to_owned()),
        ("control_no_form", r#"config = '{"weights": [1, 2]}' WHERE name = 'control'"#.to_owned()),
        ("no_control", "name = 'baseline' WHERE name = 'control'".to_owned()),
        ("no_form", r#"config = '{"execution_strategy": "magic"}' WHERE name = 'candidate'"#.to_owned()),
        ("no_version", format!(r#"config = '{{"policy_version_id": "{missing}"}}' WHERE name = 'candidate'"#)),
    ] {
        world.sql(&format!("UPDATE exp_variants SET {change} AND experiment_id = '{}'", key(name))).await;
    }
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let report = world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "good"), "ramp");
    assert_eq!(world.allocations("good").await, RAMPED);
    for (name, words) in [
        ("bad_sum", "the allocations sum to 0.9, not to 1"),
        ("control_no_form", r#"variant control: config is none of the three forms"#),
        ("no_control", r#"no variant named "control" to compare with (there are: baseline, candidate)"#),
        ("no_form", r#"variant candidate: execution_strategy "magic" is not one of"#),
        ("no_version", &format!("variant candidate: policy version {missing} is not in exp.policy_versions")),
    ] {
        assert_eq!(outcome(&report, name), "hold", "{name}");
        assert_eq!(reasons(&report, name)[0], "misconfigured", "{name}");
        let what = reason(&report, name, "misconfigured", "what");
        assert!(what.contains(words), "{name}: {what}");
        assert!(world.page(day(1)).contains(name), "{name} is not on the page");
        assert!(world.allocations(name).await.contains("candidate 0.1000"), "{name}");
    }
    assert_eq!(world.mails().len(), 1);
}

/// SQLite has no type for JSON, so anything may stand in a config.
#[tokio::test]
async fn a_config_that_is_no_json_concerns_its_experiment_alone() {
    let mut world = World::new(vec![better("good"), better("no_json")]).await;
    let id = key("no_json");
    world
        .sql(&format!("UPDATE exp_variants SET config = 'k=1' WHERE name = 'candidate' AND experiment_id = '{id}'"))
        .await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let report = world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "good"), "ramp");
    assert_eq!(world.allocations("no_json").await, AS_IT_WAS);
}

#[tokio::test]
async fn an_allocation_that_is_no_number_concerns_its_experiment_alone() {
    let mut world = World::new(vec![better("good"), better("no_number")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let id = key("no_number");
    let change =
        format!("UPDATE exp_variants SET allocation = '0,1' WHERE name = 'candidate' AND experiment_id = '{id}'");
    world.sql(&change).await;
    let report = world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "good"), "ramp");
}

// ---------------------------------------------------------------------------------------------------------------------
// Text where a number belongs

#[tokio::test]
async fn text_in_a_column_of_the_lake_holds_only_who_reads_it() {
    let mut world = World::new(vec![better("with_cost"), better("without_cost")]).await;
    world.write("promotion.yml", &format!("{PROMOTION}{PROMOTION_WITHOUT_COST}"));
    world.live(day(0)).await;
    let traffic = world.live(day(1)).await;
    save(&world.events(day(1)), &mut events_frame_with_text(&traffic.events));
    let report = world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "without_cost"), "ramp");
    assert_eq!(outcome(&report, "with_cost"), "hold");
    assert_eq!(world.allocations("with_cost").await, AS_IT_WAS);
    let why = reason(&report, "with_cost", "query_failed", "why");
    assert!(why.contains("field metrics.cost of event \"plan_generated\" should be a number"), "{why}");
}

#[tokio::test]
async fn text_in_the_events_of_postgresql_holds_only_who_reads_it() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("text").await;
    let scenarios = vec![better("with_cost"), better("without_cost")];
    let world = on_postgres(&url, scenarios.clone());
    world.write("promotion.yml", &format!("{PROMOTION}{PROMOTION_WITHOUT_COST}"));
    world.run(&["migrate"]).await.expect(0);
    let mut traffic = Traffic::new(scenarios.clone(), 7);
    let shares: Vec<Shares> = scenarios.iter().map(shares_of).collect();
    for scenario in &scenarios {
        postgres.sql(&url, &creation(scenario)).await;
    }
    let pool = PgPool::connect(&url).await.unwrap();
    for n in 0..2 {
        store(&pool, &traffic.day(day(n), &shares)).await;
    }
    // Nine costs of each experiment's first day that somebody wrote as text.
    postgres
        .sql(
            &url,
            "update exp.events e set metrics = jsonb_set(metrics, '{cost}', '\"0.02 EUR\"') where id in (
                 select id from (
                     select e.id, row_number() over (partition by a.experiment_id order by e.unit_id, e.id) as nth
                     from exp.events e join exp.assignments a using (unit_id)
                     where e.event_type = 'plan_generated' and a.assigned_at < '2026-03-03'
                 ) as first where nth <= 9)",
        )
        .await;
    let report = world.night(day(1), 3).await;
    assert_eq!(outcome(&report, "without_cost"), "ramp");
    assert_eq!(outcome(&report, "with_cost"), "hold");
    assert_eq!(reasons(&report, "with_cost")[0], "not_numbers");
    let found = of(&report, "with_cost")["candidates"][0]["decision"]["reasons"][0]["count"].clone();
    assert_eq!(found, json!(9));
    let held = "select string_agg(allocation::text, ' ' order by v.created_at) from exp.variants v
                join exp.experiments e on e.id = v.experiment_id where e.name = 'with_cost'";
    assert_eq!(postgres.sql(&url, held).await, "0.9000 0.1000");
}

// ---------------------------------------------------------------------------------------------------------------------
// Days that are not complete

/// A world whose second day is there but for its events.
async fn one_day_and_a_half() -> (World, DayOfTraffic) {
    let mut world = World::new(vec![better("steady")]).await;
    world.live(day(0)).await;
    let traffic = world.live(day(1)).await;
    std::fs::remove_file(world.events(day(1))).unwrap();
    (world, traffic)
}

/// The night that judges `last` is held as stale; when `complete` has mended the day, it is decided again.
async fn held_then_decided_again(world: &World, last: Date, words: &str, complete: impl FnOnce()) {
    let report = world.night(last, 0).await;
    assert_eq!(outcome(&report, "steady"), "hold");
    assert!(reasons(&report, "steady").contains(&"stale".to_owned()), "{report:#}");
    let sentence = format!("stale: the events of {last} are {words}");
    assert!(world.page(last).contains(&sentence), "{sentence:?} is not on the page: {}", world.page(last));
    assert_eq!(world.allocations("steady").await, AS_IT_WAS);
    let closed =
        format!("SELECT count(*) FROM rampkeeper_cohorts WHERE cohort_date >= '{}'", last.yesterday().unwrap());
    assert_eq!(world.count(&closed).await, 0, "a cohort was closed over the incomplete day");
    assert_eq!(of(&report, "steady")["candidates"][0]["revision"], 0);

    complete();
    let report = world.night(last, 0).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!(of(&report, "steady")["candidates"][0]["revision"], 1);
    assert_eq!(world.allocations("steady").await, RAMPED);
    assert_eq!(world.mails().len(), 2, "each revision is told");
    let kept = "SELECT group_concat(outcome) FROM (SELECT * FROM rampkeeper_decisions ORDER BY position)";
    assert_eq!(world.text(kept).await, "hold,ramp");

    let after = world.state().await;
    world.night(last, 0).await;
    assert_eq!(world.state().await, after, "a third run has nothing left to do");
}

#[tokio::test]
async fn a_missing_partition_is_not_a_day_of_zeros() {
    let (world, traffic) = one_day_and_a_half().await;
    let complete = || save(&world.events(day(1)), &mut events_frame(&traffic.events));
    held_then_decided_again(&world, day(1), "missing", complete).await;
}

#[tokio::test]
async fn a_half_written_file_is_not_read() {
    let (world, traffic) = one_day_and_a_half().await;
    let file = world.events(day(1));
    save(&file, &mut events_frame(&traffic.events));
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let complete = || std::fs::write(&file, &whole).unwrap();
    held_then_decided_again(&world, day(1), "not readable", complete).await;
}

#[tokio::test]
async fn a_day_that_ends_early_is_not_complete() {
    let (world, traffic) = one_day_and_a_half().await;
    let eleven = "2026-03-03T23:00:00Z".parse().unwrap();
    let early: Vec<Event> = traffic.events.iter().filter(|event| event.at < eleven).cloned().collect();
    assert!(early.len() > 3_000);
    save(&world.events(day(1)), &mut events_frame(&early));
    let complete = || save(&world.events(day(1)), &mut events_frame(&traffic.events));
    held_then_decided_again(&world, day(1), "incomplete: its last event is of 2026-03-03T22:", complete).await;
}

#[tokio::test]
async fn a_day_of_less_than_half_its_usual_size_is_not_complete() {
    // Few units, so that the first week brings no look yet.
    let few = Scenario { units_per_day: 120, ..better("steady") };
    let mut world = World::new(vec![few]).await;
    for n in 0..7 {
        world.live(day(n)).await;
    }
    let whole = world.live(day(7)).await.events;
    let part: Vec<Event> = whole.iter().enumerate().filter(|(n, _)| n % 3 == 0).map(|(_, e)| e.clone()).collect();
    save(&world.events(day(7)), &mut events_frame(&part));
    let report = world.night(day(6), 0).await;
    assert_eq!(outcome(&report, "steady"), "hold");
    assert_eq!(reasons(&report, "steady"), ["too_few_units"], "the days before are complete");

    let report = world.night(day(7), 0).await;
    assert_eq!(reasons(&report, "steady")[0], "stale", "{report:#}");
    let told = world.page(day(7));
    assert!(told.contains("stale: the events of 2026-03-09 are of unusual size:"), "{told}");
    assert!(told.contains("where this weekday usually has"), "{told}");
    assert_eq!(world.allocations("steady").await, AS_IT_WAS);

    save(&world.events(day(7)), &mut events_frame(&whole));
    let report = world.night(day(7), 0).await;
    assert!(!reasons(&report, "steady").contains(&"stale".to_owned()));
    assert_eq!(of(&report, "steady")["candidates"][0]["revision"], 1);
}

// ---------------------------------------------------------------------------------------------------------------------
// Dates that cannot be judged

#[tokio::test]
async fn a_day_that_is_not_over_is_refused() {
    let mut world = World::new(vec![better("steady")]).await;
    world.live(day(0)).await;
    let before = world.state().await;
    for what in ["plan", "run"] {
        let told = world.run(&[what, "--as-of", "2026-03-02", "--now", "2026-03-02T23:59:59Z"]).await.expect(1);
        told.complains("as-of date 2026-03-02 is not over (today is 2026-03-02 in UTC)");
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_day_before_the_last_decided_one_is_refused() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.night(day(1), 0).await;
    let before = world.state().await;
    for what in ["plan", "run"] {
        let told = told(world.nightly(what, day(0))).await.expect(1);
        told.complains("as-of date 2026-03-02 lies before 2026-03-03, the last night that was decided");
    }
    assert_eq!(world.state().await, before);
}

// ---------------------------------------------------------------------------------------------------------------------
// Follow-ups that fail

/// A harmful candidate after two days, on the eve of its rollback.
pub async fn on_the_eve_of_a_rollback() -> World {
    let mut world = World::new(vec![harmful("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

/// As slow as the program is patient: each of two calls is tried five times.
#[tokio::test]
async fn a_registry_that_is_down_delays_its_own_steps_and_nothing_else() {
    let mut world = on_the_eve_of_a_rollback().await;
    let local = world.settings["registry"].take();
    world.settings["registry"] = json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", closed_port()) } });
    world.configure();
    let report = world.night(day(1), 4).await;
    assert_eq!(outcome(&report, "steady"), "rollback");
    assert_eq!(world.allocations("steady").await, "control 1.0000, candidate 0.0000");
    assert_eq!(world.text("SELECT outcome FROM rampkeeper_decisions").await, "rollback");
    let open =
        "SELECT group_concat(kind) FROM (SELECT * FROM rampkeeper_actions WHERE status = 'pending' ORDER BY position)";
    // The last is the second sweep of the units, which is not due yet.
    assert_eq!(world.text(open).await, "set_tag,release_alias,move_assignments");
    let unfinished = report["unfinished"].as_array().unwrap();
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    for line in unfinished.iter().map(|line| line.as_str().unwrap()) {
        assert!(line.contains("steady_model version 2"), "{line}");
        assert!(line.contains("refused") || line.contains("skipped: the registry did not answer"), "{line}");
    }
    let mails = world.mails();
    assert!(mails.len() == 1 && mails[0].contains("Still to be done"), "{mails:?}");
    let versions = format!("SELECT status FROM exp_policy_versions WHERE id = '{}'", key("steady version 2"));
    assert_eq!(world.text(&versions).await, "archived", "what needs no registry is done");

    world.settings["registry"] = local;
    world.configure();
    let told = told(world.nightly("run", day(1))).await.expect(0);
    let resumed = told.out.lines().filter(|line| line.starts_with("done now, left over from an earlier night: "));
    assert_eq!(resumed.count(), 2, "{}", told.out);
    assert_eq!(
        world.count("SELECT count(*) FROM rampkeeper_actions WHERE status <> 'done' AND not_before IS NULL").await,
        0
    );
    let tag = "SELECT value FROM rampkeeper_registry_tags WHERE version = '2' AND key = 'stage'";
    assert_eq!(world.text(tag).await, "archived");
    let aliases = "SELECT group_concat(alias || ' ' || version) FROM rampkeeper_registry_aliases";
    assert_eq!(world.text(aliases).await, "champion 1");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_decisions").await, 1);
    let done = world.state().await;
    world.night(day(1), 0).await;
    assert_eq!(world.state().await, done);
}

/// As slow as the program is patient: the mail is tried four times.
#[tokio::test]
async fn a_mail_that_could_not_go_out_goes_out_once() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let smtp = |port: u16| {
        json!({
            "from": "Rampkeeper <rampkeeper@example.com>", "to": ["team@example.com"],
            "smtp": { "host": "127.0.0.1", "port": port, "encryption": "none" },
        })
    };
    world.settings["mail"] = smtp(closed_port());
    world.configure();
    let report = world.night(day(1), 4).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!(world.allocations("steady").await, RAMPED);
    let unfinished = report["unfinished"].as_array().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert!(unfinished[0].as_str().unwrap().contains("connecting failed"), "{unfinished:?}");

    let server = Smtp::start(Rules::default()).await;
    world.settings["mail"] = smtp(server.port());
    world.configure();
    let report = world.night(day(1), 0).await;
    assert_eq!(report["resumed"].as_array().unwrap().len(), 1, "{report:#}");
    world.night(day(1), 0).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Subject"), Some("[rampkeeper] 2026-03-03: 1 ramped"));
}

// ---------------------------------------------------------------------------------------------------------------------
// Nights that break off

/// What was committed stands; whoever reads the mails must hear of it all the same.
#[tokio::test]
async fn what_was_decided_before_a_night_broke_off_is_told() {
    let mut world = World::new(vec![harmful("costly"), better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
        .sql(&format!(
            "CREATE TRIGGER full BEFORE INSERT ON rampkeeper_decisions WHEN NEW.experiment_id = '{}'
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
            key("steady")
        ))
        .await;
    let broken = told(world.nightly("run", day(1))).await.expect(1);
    broken.complains("could not record the decisions about steady").complains("the disk is full");
    assert_eq!(world.allocations("costly").await, "control 1.0000, candidate 0.0000");
    assert_eq!(world.allocations("steady").await, AS_IT_WAS);
    world.sql("DROP TRIGGER full").await;
    let report = world.night(day(1), 0).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_decisions").await, 2);
    let due = "SELECT count(*) FROM rampkeeper_actions WHERE status <> 'done' AND not_before IS NULL";
    assert_eq!(world.count(due).await, 0);
    let mails = world.mails();
    assert!(mails.iter().any(|mail| mail.contains("RAMPED  candidate")), "{mails:?}");
    assert!(mails.iter().any(|mail| mail.contains("ROLLED BACK  candidate")), "no mail tells the rollback");
}

#[tokio::test]
async fn a_night_whose_page_could_not_be_written_is_told_all_the_same() {
    let world = on_the_eve_of_a_rollback().await;
    world.write("reports", "a file where the folder belongs");
    told(world.nightly("run", day(1))).await.expect(4).complains("could not write ");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_decisions").await, 1);
    let mails = world.mails();
    assert_eq!(mails.len(), 1, "no mail tells the rollback");
    assert!(mails[0].contains("ROLLED BACK  candidate"), "{mails:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Allocations that change

/// Units of the closed evidence, by epoch.
async fn units(world: &World, on: Date, epoch: i64) -> i64 {
    let rows = "SELECT coalesce(sum(json_extract(health, '$.units')), 0) FROM rampkeeper_cohorts";
    world.count(&format!("{rows} WHERE cohort_date = '{on}' AND epoch = {epoch}")).await
}

/// Assignments from one instant to the next.
fn assigned(traffic: &DayOfTraffic, from: &str, to: &str) -> i64 {
    let span = from.parse().unwrap()..to.parse().unwrap();
    let count = traffic.assignments.iter().filter(|a| span.contains(&a.at)).count();
    i64::try_from(count).unwrap()
}

#[tokio::test]
async fn first_exposures_right_after_a_change_are_left_out() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    let report = world.night(day(1), 0).await;
    assert_eq!(outcome(&report, "steady"), "ramp");
    let third = world.live(day(2)).await;
    world.live(day(3)).await;
    world.night(day(3), 0).await;
    let before = assigned(&third, "2026-03-04T00:00:00Z", "2026-03-04T02:00:00Z");
    let settling = assigned(&third, "2026-03-04T02:00:00Z", "2026-03-04T02:15:00Z");
    let after = assigned(&third, "2026-03-04T02:15:00Z", "2026-03-05T00:00:00Z");
    assert!(before > 0 && settling > 0 && after > 0);
    assert_eq!((units(&world, day(2), 0).await, units(&world, day(2), 1).await), (before, after));
}

#[tokio::test]
async fn an_allocation_changed_by_hand_begins_an_epoch_and_is_told() {
    let mut world = World::new(vec![better("steady")]).await;
    // Ramped once, and then left where it is.
    world.write("promotion.yml", &PROMOTION.replace("0.25, min_days: 1", "0.25, min_days: 9"));
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.night(day(1), 0).await;
    let third = world.live(day(2)).await;
    let id = key("steady");
    world
        .sql(&format!(
            "UPDATE exp_variants SET allocation = '0.6000' WHERE experiment_id = '{id}' AND name = 'control';
             UPDATE exp_variants SET allocation = '0.4000' WHERE experiment_id = '{id}' AND name = 'candidate';"
        ))
        .await;
    let report = world.night(day(2), 0).await;
    assert_eq!(of(&report, "steady")["outside_change"], true);
    let sentence = "somebody else changed the split";
    assert!(world.page(day(2)).contains(sentence));
    assert!(world.mails().iter().any(|mail| mail.contains(sentence)));
    let epochs = "SELECT group_concat(number || ' ' || opened_by, ', ') FROM
                  (SELECT * FROM rampkeeper_allocation_epochs ORDER BY number)";
    let epochs = world.text(epochs).await;
    assert_eq!(epochs, "0 start, 1 decision, 2 outside");
    // The epoch before is trusted until it was last seen, which was when the night before decided: it feeds nothing.
    let fourth = world.live(day(3)).await;
    world.night(day(3), 0).await;
    world.live(day(4)).await;
    world.night(day(4), 0).await;
    let before = assigned(&third, "2026-03-04T00:00:00Z", "2026-03-04T02:00:00Z");
    assert_eq!((units(&world, day(2), 0).await, units(&world, day(2), 1).await), (before, 0));
    let after = assigned(&fourth, "2026-03-05T02:15:00Z", "2026-03-06T00:00:00Z");
    assert_eq!((units(&world, day(3), 1).await, units(&world, day(3), 2).await), (0, after));
}

#[tokio::test]
async fn a_change_by_hand_is_told_even_if_the_night_is_run_again_first() {
    let mut world = World::new(vec![better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.night(day(1), 0).await;
    let id = key("steady");
    world
        .sql(&format!(
            "UPDATE exp_variants SET allocation = '0.6000' WHERE experiment_id = '{id}' AND name = 'control';
             UPDATE exp_variants SET allocation = '0.4000' WHERE experiment_id = '{id}' AND name = 'candidate';"
        ))
        .await;
    // The same night once more, by hand or by a retry of the scheduler.
    world.night(day(1), 0).await;
    world.live(day(2)).await;
    world.night(day(2), 0).await;
    let sentence = "somebody else changed the split";
    assert!(world.mails().iter().any(|mail| mail.contains(sentence)), "no mail tells the change");
}

// ---------------------------------------------------------------------------------------------------------------------
// Secrets

const SECRETS: [&str; 5] = [
    "tok3n-secret",
    "ma1l-secret",
    "d8-secret",
    // The mail password as AUTH PLAIN and AUTH LOGIN send it.
    "AHJhbXBrZWVwZXIAbWExbC1zZWNyZXQ=",
    "bWExbC1zZWNyZXQ=",
];

fn keeps_its_secrets(told: &Told) {
    for secret in SECRETS {
        assert!(!told.out.contains(secret), "{secret} in stdout: {}", told.out);
        assert!(!told.err.contains(secret), "{secret} in stderr: {}", told.err);
    }
}

#[tokio::test]
async fn secrets_show_in_no_log_report_or_record_when_everything_fails() {
    let mut world = on_the_eve_of_a_rollback().await;
    let tracker = MockServer::start().await;
    let echo = json!({ "error_code": "PERMISSION_DENIED", "message": "the token tok3n-secret is not known" });
    Mock::given(any()).respond_with(ResponseTemplate::new(401).set_body_json(echo)).mount(&tracker).await;
    let login = Some(("rampkeeper", "another-password"));
    let server = Smtp::start(Rules { starttls: true, login, ..Rules::default() }).await;
    world.settings["registry"] =
        json!({ "mlflow": { "url": tracker.uri(), "token": { "env": "RAMPKEEPER_TEST_TOKEN" } } });
    world.settings["mail"] = json!({
        "from": "Rampkeeper <rampkeeper@example.com>", "to": ["team@example.com"],
        "smtp": {
            "host": "localhost", "port": server.port(), "ca_file": server.ca(),
            "username": "rampkeeper", "password": { "env": "RAMPKEEPER_TEST_SMTP" },
        },
    });
    world.configure();
    for (log, format) in [("trace", "json"), ("trace", "text")] {
        let mut command = world.nightly("run", day(1));
        command.args(["--log-format", format]).env("RAMPKEEPER_LOG", log);
        command.env("RAMPKEEPER_TEST_TOKEN", "tok3n-secret").env("RAMPKEEPER_TEST_SMTP", "ma1l-secret");
        let told = told(command).await.expect(4);
        told.complains("401");
        keeps_its_secrets(&told);
    }
    // Whoever asks what is wrong is told so, and no more.
    let mut command = world.nightly("check", day(1));
    command.env("RAMPKEEPER_LOG", "trace").args(["--output", "json"]);
    command.env("RAMPKEEPER_TEST_TOKEN", "tok3n-secret").env("RAMPKEEPER_TEST_SMTP", "ma1l-secret");
    let checked = told(command).await.expect(1);
    assert!(
        checked.out.contains("401") && checked.out.contains("check the mail user name and password"),
        "{}",
        checked.out
    );
    keeps_its_secrets(&checked);
    let asked = tracker.received_requests().await.unwrap();
    assert!(asked.iter().any(|request| format!("{:?}", request.headers).contains("tok3n-secret")), "no token was sent");
    assert!(server.mails().is_empty());
    for (name, _) in world.files() {
        let bytes = std::fs::read(world.path(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
}

#[tokio::test]
async fn a_refused_database_password_is_not_repeated() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("secrets").await;
    postgres.sql(&url, "create role secrets_guard login password 'another'").await;
    let user = url.replace("postgres@", "secrets_guard@");
    let with_password = url.replace("postgres@", "secrets_guard:d8-secret@");
    let mut world = World::new(vec![]).await;
    let wrong = json!({ "url": user, "password": { "env": "RAMPKEEPER_TEST_DB" } });
    let whole = json!({ "url_from": { "env": "RAMPKEEPER_TEST_URL" } });
    let local = world.settings.clone();
    for store in ["control", "warehouse"] {
        for entry in [&wrong, &whole] {
            world.settings = local.clone();
            match store {
                "control" => world.settings["control"] = entry.clone(),
                _ => world.settings["warehouse"] = json!({ "postgres": entry }),
            }
            world.configure();
            for (what, level) in [("run", "trace"), ("check", "trace")] {
                let mut command = world.nightly(what, day(1));
                command.env("RAMPKEEPER_TEST_DB", "d8-secret").env("RAMPKEEPER_TEST_URL", &with_password);
                command.env("RAMPKEEPER_LOG", level);
                let told = told(command).await.expect(1);
                let said = format!("{}{}", told.out, told.err);
                assert!(said.contains("password authentication failed"), "{store}, {what}: {said}");
                keeps_its_secrets(&told);
            }
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_not_repeated() {
    let mut world = World::new(vec![]).await;
    let local = world.settings.clone();
    for address in
        ["postgres://guard:d8-secret@127.0.0.1:port/app", "psql://guard:d8-secret@host/app", "guard:d8-secret@host"]
    {
        for store in ["control", "warehouse"] {
            world.settings = local.clone();
            let entry = json!({ "url_from": { "env": "RAMPKEEPER_TEST_URL" } });
            match store {
                "control" => world.settings["control"] = entry,
                _ => world.settings["warehouse"] = json!({ "postgres": entry }),
            }
            world.configure();
            for what in ["run", "check"] {
                let mut command = world.nightly(what, day(1));
                command.env("RAMPKEEPER_TEST_URL", address);
                let told = told(command).await.expect(1);
                keeps_its_secrets(&told);
                assert!(told.err.contains("error: ") || told.out.contains("fail  "), "{}{}", told.out, told.err);
            }
        }
    }
}

#[tokio::test]
async fn a_password_in_the_file_is_refused_and_not_repeated() {
    let mut world = World::bare(vec![]);
    world.settings["control"] = json!({ "url": "postgres://guard:d8-secret@127.0.0.1:5432/app" });
    world.configure();
    let told = world.run(&["check"]).await.expect(78);
    told.complains("a password must not stand in the file");
    keeps_its_secrets(&told);
}

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL

/// The same world with its tables and events in a database.
pub fn on_postgres(url: &str, scenarios: Vec<Scenario>) -> World {
    let mut world = World::bare(scenarios);
    world.settings["control"] = json!({ "url": url });
    world.settings["warehouse"] = json!({ "postgres": {} });
    world.configure();
    world
}

/// An experiment of flags at 90/10.
pub fn creation(scenario: &Scenario) -> String {
    let name = scenario.experiment;
    let [control, candidate] = ["control", "candidate"].map(|arm| key(&format!("{name} {arm}")));
    format!(
        r#"INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
           VALUES ('{id}', '{name}', 'active', 'user', '2026-03-02T00:00:00Z');
           INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at) VALUES
           ('{control}', '{id}', 'control', 0.9, '{{"feature_enabled": false}}', '2026-03-01'),
           ('{candidate}', '{id}', 'candidate', 0.1, '{{"feature_enabled": true}}', '2026-03-02');"#,
        id = key(name)
    )
}

pub fn shares_of(scenario: &Scenario) -> Shares {
    let name = scenario.experiment;
    let arm = |arm: &str, share| (key(&format!("{name} {arm}")), arm.to_owned(), share);
    let variants = vec![arm("control", 9_000), arm("candidate", 1_000)];
    Shares { name: name.to_owned(), experiment: key(name), active: true, variants }
}

/// Keeps a day of traffic, as the services around the job do.
pub async fn store(pool: &PgPool, traffic: &DayOfTraffic) {
    let metrics = |event: &Event| -> Value {
        let pairs = [("latency_ms", event.latency_ms), ("cost", event.cost)];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
    };
    let events = &traffic.events;
    sqlx::query(
        "INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, timestamp)
         SELECT e, 'user', u, m, t::timestamptz FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[]) AS x (e, u, m, t)",
    )
    .bind(events.iter().map(|e| e.event.to_owned()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.unit.clone()).collect::<Vec<_>>())
    .bind(events.iter().map(metrics).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.at.to_string()).collect::<Vec<_>>())
    .execute(pool)
    .await
    .unwrap();
    let assignments = &traffic.assignments;
    sqlx::query(
        "INSERT INTO exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
         SELECT e, 'user', u, v, t::timestamptz FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[]) AS x (e, u, v, t)",
    )
    .bind(assignments.iter().map(|a| a.experiment).collect::<Vec<_>>())
    .bind(assignments.iter().map(|a| a.unit.clone()).collect::<Vec<_>>())
    .bind(assignments.iter().map(|a| a.variant).collect::<Vec<_>>())
    .bind(assignments.iter().map(|a| a.at.to_string()).collect::<Vec<_>>())
    .execute(pool)
    .await
    .unwrap();
}

/// A text in the first reason of that kind for the candidate.
pub fn reason<'a>(report: &'a Value, experiment: &str, kind: &str, field: &str) -> &'a str {
    let candidates = of(report, experiment)["candidates"].as_array().unwrap();
    let candidate = candidates.iter().find(|c| c["name"] == "candidate").unwrap();
    let found = candidate["decision"]["reasons"].as_array().unwrap().iter().find(|r| r["reason"] == kind);
    found.and_then(|r| r[field].as_str()).unwrap_or_else(|| panic!("no {kind}.{field} in {candidate:#}"))
}
