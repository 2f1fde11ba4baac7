//! `qualify`, `enroll` and the night's own hand, over SQLite.

use jiff::civil::Date;

use crate::embedded::{PROMOTION, Told, World, better, closed_port, day, key, of, two_in_the_night_after};

pub const AUTO: &str = "\
experiments:
  steady:
    auto_enroll: true
    enrolment: { policy: steady policy }
";

/// An experiment whose control has all units, and a version that nobody serves yet.
pub async fn world(promotion: &str) -> World {
    let world = World::new(vec![better("steady")]).await;
    world
        .sql(
            "DELETE FROM exp_variants WHERE name = 'candidate';
             UPDATE exp_variants SET allocation = '1.0000';
             DELETE FROM rampkeeper_registry_tags WHERE version = '2';
             DELETE FROM rampkeeper_registry_aliases WHERE alias = 'challenger';",
        )
        .await;
    world.write("promotion.yml", promotion);
    world
}

/// An offline result of a version; the baseline's names none.
pub async fn result(world: &World, version: u8, alignment: &str, more: (&str, &str)) {
    let (baseline, (status, dataset)) = match version {
        1 => ("NULL".to_owned(), more),
        _ => (format!("'{}'", key("steady version 1")), more),
    };
    let count = world.count("SELECT count(*) FROM exp_offline_replay_results").await;
    world
        .sql(&format!(
            "INSERT INTO exp_offline_replay_results (id, policy_version_id, dataset_version, plan_alignment_score,
                 constraint_respect_score, edit_distance_score, diversity_score, leftovers_score, baseline_version_id,
                 status, created_at)
             VALUES ('{}', '{}', '{dataset}', '{alignment}', '1', '0.7', '0.6', '0.5', {baseline}, '{status}',
                     '2026-02-{:02}T00:00:00.000000Z')",
            key(&format!("result {count}")),
            key(&format!("steady version {version}")),
            count + 1
        ))
        .await;
}

pub const DONE: (&str, &str) = ("completed", "2026-02");

fn at(day: Date) -> String {
    two_in_the_night_after(day)
}

/// What was said, without the frames and folds of its tables.
fn flat(told: &Told) -> String {
    told.out.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn stage(world: &World) -> String {
    world.text("SELECT coalesce(max(value), 'none') FROM rampkeeper_registry_tags WHERE version = '2'").await
}

pub async fn enroll(world: &World, more: &[&str], code: i32) -> Told {
    let now = at(day(0));
    let arguments = [&["enroll", "steady", "steady policy/2", "--by", "ana", "--now", &now], more].concat();
    world.run(&arguments).await.expect(code)
}

#[tokio::test]
async fn only_a_pass_is_marked_and_each_verdict_has_its_words() {
    let world = world(PROMOTION).await;
    let qualify = ["qualify", "steady policy/2"];
    let told = world.run(&qualify).await.expect(1);
    assert!(flat(&told).contains("no pass") && flat(&told).contains("it has no offline result"), "{}", told.out);
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.79", DONE).await;
    let told = world.run(&qualify).await.expect(1);
    assert!(
        flat(&told).contains("failed") && flat(&told).contains("plan_alignment 0.79 misses the baseline's 0.8 by 0.01"),
        "{}",
        told.out
    );
    assert_eq!(stage(&world).await, "none");
    let better = "SELECT group_concat(coalesce(is_better_than_baseline, 'NULL'), ',') FROM
                  (SELECT * FROM exp_offline_replay_results ORDER BY created_at)";
    assert_eq!(world.text(better).await, "NULL,0");
    // A later evaluation that is still at work is no pass either, nor is one on other data.
    result(&world, 2, "0.9", ("running", "2026-02")).await;
    assert!(flat(&world.run(&qualify).await.expect(1)).contains("is still running"));
    result(&world, 2, "0.9", ("completed", "2026-03")).await;
    let told = flat(&world.run(&qualify).await.expect(1));
    assert!(told.contains("evaluated on dataset 2026-03, and its baseline on 2026-02"), "{told}");
    result(&world, 2, "0.9", ("failed", "2026-02")).await;
    assert!(flat(&world.run(&qualify).await.expect(1)).contains("failed (without a message)"));
    result(&world, 2, "0.9", DONE).await;
    let before = world.state().await;
    let dry = world.run(&["qualify", "steady policy/2", "--dry-run"]).await.expect(0);
    assert!(flat(&dry).contains("passed") && flat(&dry).contains("Nothing was changed."), "{}", dry.out);
    assert_eq!(world.state().await, before);
    world.run(&qualify).await.expect(0);
    assert_eq!(stage(&world).await, "candidate");
    assert_eq!(world.text(better).await, "NULL,0,NULL,NULL,NULL,1");
    let kept = "SELECT group_concat(verdict, ',') FROM rampkeeper_qualifications";
    assert_eq!(world.text(kept).await, "failed,unjudged,unjudged,passed");
    // Again: the same verdict, and nothing more on record but the run.
    let json = world.run(&["qualify", "--output", "json"]).await.expect(0).json();
    assert_eq!(json["versions"].as_array().map(Vec::len), Some(1), "the baseline itself is not at the gate: {json:#}");
    assert_eq!((&json["versions"][0]["verdict"], &json["versions"][0]["new"]), (&"passed".into(), &false.into()));
    assert_eq!(world.text(kept).await, "failed,unjudged,unjudged,passed");
    world
        .run(&["qualify", "nobody"])
        .await
        .expect(1)
        .complains("there is no policy \"nobody\"; there are: steady policy");
    world.run(&["qualify", "steady policy/9"]).await.expect(1).complains("steady policy/9 is not in the tables");
    world.sql("UPDATE exp_policy_versions SET status = 'archived' WHERE version = 2").await;
    world.run(&qualify).await.expect(1).complains("steady policy/2 is archived and not available");
}

/// What the offline evaluation measured of a version, set anew.
async fn measured(world: &World, column: &str, value: &str) {
    world
        .sql(&format!(
            "UPDATE exp_offline_replay_results SET {column} = '{value}' WHERE policy_version_id = '{}'",
            key("steady version 2")
        ))
        .await;
}

#[tokio::test]
async fn each_criterion_says_by_how_much_it_is_missed() {
    let world = world(PROMOTION).await;
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    for (column, least, missed, told) in [
        ("constraint_respect_score", "1", "0.999999", "constraint_respect 0.999999 misses 1 by 0.000001"),
        ("plan_alignment_score", "0.8", "0.75", "plan_alignment 0.75 misses the baseline's 0.8 by 0.05"),
        ("edit_distance_score", "0.7", "0.699", "edit_distance 0.699 misses the baseline's 0.7 by 0.001"),
        ("diversity_score", "0.57", "0.56", "diversity 0.56 misses 0.57, which is 95 % of the baseline's 0.6 by 0.01"),
        ("leftovers_score", "0.475", "0.4", "leftovers 0.4 misses 0.475, which is 95 % of the baseline's 0.5 by 0.075"),
    ] {
        measured(&world, column, missed).await;
        let said = world.run(&["qualify", "steady policy/2"]).await.expect(1);
        assert!(flat(&said).contains(told), "{told} is not in {}", said.out);
        assert_eq!(flat(&said).matches(" misses ").count(), 1, "{}", said.out);
        assert_eq!(stage(&world).await, "none");
        enroll(&world, &[], 1).await.complains(told);
        measured(&world, column, least).await;
    }
    assert_eq!(
        world.text("SELECT group_concat(verdict, ',') FROM rampkeeper_qualifications").await,
        ["failed"; 5].join(",")
    );
    // A criterion of one's own.
    world.write("promotion.yml", &format!("{PROMOTION}qualification: {{ diversity: {{ at_least: 0.58 }} }}\n"));
    let said = world.run(&["qualify", "steady policy/2"]).await.expect(1);
    assert!(flat(&said).contains("diversity 0.57 misses 0.58 by 0.01"), "{}", said.out);
    world.write("promotion.yml", PROMOTION);
    world.run(&["qualify", "steady policy/2"]).await.expect(0);
    assert_eq!(stage(&world).await, "candidate");
}

#[tokio::test]
async fn a_stage_that_stands_is_never_replaced_by_candidate() {
    let world = world(PROMOTION).await;
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    let tag = |stage: &str| {
        format!("INSERT OR REPLACE INTO rampkeeper_registry_tags VALUES ('steady_model', '2', 'stage', '{stage}')")
    };
    world.sql(&tag("production")).await;
    world.run(&["qualify", "steady policy/2"]).await.expect(0);
    assert_eq!(stage(&world).await, "production");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_incidents").await, 0);
    let told = enroll(&world, &[], 1).await;
    told.complains("the stage of steady_model version 2 in the registry is production, so it is no candidate");
    // A stranger's word is left, and told.
    world.sql(&tag("frozen")).await;
    world
        .sql(
            "UPDATE exp_offline_replay_results SET plan_alignment_score = '0.81' WHERE baseline_version_id IS NOT NULL",
        )
        .await;
    world.run(&["qualify", "steady policy/2"]).await.expect(0);
    assert_eq!(stage(&world).await, "frozen");
    assert_eq!(world.text("SELECT found FROM rampkeeper_incidents").await, "frozen");
}

#[tokio::test]
async fn a_registry_that_is_away_gets_the_mark_later() {
    let mut world = world(PROMOTION).await;
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    let local = world.settings["registry"].clone();
    world.settings["registry"] =
        serde_json::json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", closed_port()), "timeout_seconds": 1 } });
    world.configure();
    let told = world.run(&["qualify", "steady policy/2"]).await.expect(4);
    assert!(told.out.contains("still to be done: tag steady_model version 2 stage=candidate"), "{}", told.out);
    world.settings["registry"] = local;
    world.configure();
    world.live(day(0)).await;
    let report = world.night(day(0), 0).await;
    assert_eq!(report["resumed"][0], "tag steady_model version 2 stage=candidate", "{report:#}");
    assert_eq!(stage(&world).await, "candidate");
}

#[tokio::test]
async fn a_qualified_version_comes_in_at_ten_percent_and_the_next_night_tells_it() {
    let mut world = world(PROMOTION).await;
    world.live(day(0)).await;
    world.night(day(0), 0).await;
    enroll(&world, &[], 1)
        .await
        .complains("steady policy/2 has not passed offline evaluation (no pass: it has no offline");
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    world.run(&["qualify"]).await.expect(0);
    let before = world.state().await;
    let dry = enroll(&world, &["--name", "candidate", "--dry-run"], 0).await;
    assert!(dry.out.contains("steady policy/2 would begin as candidate in steady with 10 %"), "{}", dry.out);
    assert_eq!(world.state().await, before);
    let told = enroll(&world, &["--name", "candidate"], 0).await;
    assert!(told.out.contains("registry: point alias challenger at steady_model version 2"), "{}", told.out);
    assert_eq!(world.allocations("steady").await, "control 0.9000, candidate 0.1000");
    assert_eq!(world.text("SELECT version FROM rampkeeper_registry_aliases WHERE alias = 'challenger'").await, "2");
    let config = "SELECT json_extract(config, '$.execution_strategy') || ' ' ||
                         json_extract(config, '$.mlflow_model.policy_version_id') FROM exp_variants WHERE name = 'candidate'";
    assert_eq!(world.text(config).await, format!("mlflow_model {}", key("steady version 2")));
    let epochs = "SELECT group_concat(opened_by, ',') FROM rampkeeper_allocation_epochs";
    assert_eq!(world.text(epochs).await, "start,decision");
    enroll(&world, &["--name", "again"], 1)
        .await
        .complains("steady policy/2 is in steady already, as variant candidate");
    world.live(day(1)).await;
    let report = world.night(day(1), 0).await;
    let steady = of(&report, "steady");
    assert!(
        steady["route"][0].as_str().unwrap().starts_with(
            "enrolled by ana: steady policy/2 as candidate with 10 %; control 100 % → 90 %; offline evaluation passed: "
        ),
        "{steady:#}"
    );
    assert_eq!(steady["outside_change"], false);
    assert!(world.mails().iter().any(|mail| mail.contains("enrolled by ana")), "{:?}", world.mails());
    let after = world.state().await;
    assert_eq!(of(&world.night(day(1), 0).await, "steady")["standing"], "already_decided");
    assert_eq!(world.state().await, after);
    world.live(day(2)).await;
    assert_eq!(of(&world.night(day(2), 0).await, "steady")["route"], serde_json::json!([]), "told once");
    let history = world.run(&["history", "steady"]).await.expect(0);
    assert!(history.out.contains("enroll by ana (steady policy/2 with 10 %)"), "{}", history.out);
}

#[tokio::test]
async fn force_wants_a_reason_and_is_on_record() {
    let world = world(PROMOTION).await;
    enroll(&world, &["--force"], 64).await.complains("--reason");
    enroll(&world, &["--force", "--reason", " "], 1).await.complains("--force wants a --reason");
    enroll(&world, &["--share", "0.2"], 1)
        .await
        .complains("refused; nothing was changed")
        .complains("has not passed offline evaluation")
        .complains(
            "a new variant begins with 10 % at most, and 20 % is more (--force with a --reason sets this aside)",
        );
    enroll(&world, &["--share", "x"], 64).await;
    enroll(&world, &["--share", "1.5"], 1).await.complains("a share must lie in 0..=1");
    // The embedded registry knows a version once something is said of it.
    world.sql("INSERT INTO rampkeeper_registry_tags VALUES ('steady_model', '2', 'trained', 'yes')").await;
    let told = enroll(&world, &["--share", "0.2", "--force", "--reason", "shadow tests"], 0).await;
    assert!(
        told.out.contains("set aside: steady policy/2 has not passed")
            && told.out.contains("set aside: a new variant begins"),
        "{}",
        told.out
    );
    assert_eq!(world.allocations("steady").await, "control 0.8000, steady policy_v2 0.2000");
    let act = "SELECT said_by || ' ' || reason || ' ' || json_extract(act, '$.forced') FROM rampkeeper_acts";
    assert_eq!(world.text(act).await, "ana shadow tests 1");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_enrolments WHERE reason = 'shadow tests'").await, 1);
    for status in ["draft", "paused", "completed"] {
        world.sql(&format!("UPDATE exp_experiments SET status = '{status}'")).await;
        enroll(&world, &["--force", "--reason", "again"], 1)
            .await
            .complains(&format!("steady is {status}; candidates come into an active"));
    }
}

#[tokio::test]
async fn the_night_lets_in_what_passed_and_tells_it() {
    let mut world = world(&format!("{PROMOTION}{AUTO}")).await;
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.9", DONE).await;
    world.live(day(0)).await;
    let mut plan = world.nightly("plan", day(0));
    plan.args(["--output", "json"]);
    let before = world.state().await;
    let plan = crate::embedded::told(plan).await.expect(0).json();
    assert_eq!(world.state().await, before, "a plan changes nothing");
    let report = world.night(day(0), 0).await;
    let steady = of(&report, "steady");
    for key in ["route", "steps"] {
        assert_eq!(of(&plan, "steady")[key], steady[key], "{key}");
    }
    assert_eq!(of(&plan, "steady")["candidates"][0]["decision"], steady["candidates"][0]["decision"]);
    assert!(
        steady["route"][0]
            .as_str()
            .unwrap()
            .starts_with("enrolled by the night: steady policy/2 as steady policy_v2 with 10 %"),
        "{steady:#}"
    );
    assert_eq!(steady["steps"][0], "point alias challenger at steady_model version 2");
    assert_eq!(steady["candidates"][0]["decision"]["outcome"], "hold");
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert_eq!(world.allocations("steady").await, "control 0.9000, steady policy_v2 0.1000");
    assert_eq!(stage(&world).await, "candidate");
    let after = world.state().await;
    assert_eq!(of(&world.night(day(0), 0).await, "steady")["standing"], "already_decided");
    assert_eq!(world.state().await, after, "a second run changes nothing");
    world.live(day(1)).await;
    assert_eq!(of(&world.night(day(1), 0).await, "steady")["route"], serde_json::json!([]));
    world.run(&["replay", "--as-of", &day(0).to_string()]).await.expect(0);
    world.run(&["verify"]).await.expect(0);
}

#[tokio::test]
async fn the_night_keeps_out_what_is_unsure_and_tells_that_once() {
    let mut world = world(&format!("{PROMOTION}{AUTO}")).await;
    let route = |report: &serde_json::Value| of(report, "steady")["route"].to_string();
    world.live(day(0)).await;
    let missing = world.night(day(0), 0).await;
    assert!(
        route(&missing).contains("not enrolled: steady policy/2: offline evaluation no pass: it has no offline"),
        "{missing:#}"
    );
    world.live(day(1)).await;
    assert_eq!(route(&world.night(day(1), 0).await), "[]");
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.7", DONE).await;
    // The same night again tells what is new.
    let failed = world.night(day(1), 0).await;
    assert!(route(&failed).contains("failed: plan_alignment 0.7 misses the baseline's 0.8 by 0.1"), "{failed:#}");
    assert_eq!(world.text("SELECT verdict FROM rampkeeper_qualifications").await, "failed");
    assert_eq!(stage(&world).await, "none");
    result(&world, 2, "0.8", DONE).await;
    world
        .sql("INSERT OR REPLACE INTO rampkeeper_registry_tags VALUES ('steady_model', '2', 'stage', 'archived')")
        .await;
    world.live(day(2)).await;
    let archived = world.night(day(2), 3).await;
    assert!(route(&archived).contains("not enrolled: steady policy/2, which passed offline evaluation: the stage of steady_model version 2 in the registry is archived"), "{archived:#}");
    assert_eq!(world.allocations("steady").await, "control 1.0000");
    world.live(day(3)).await;
    assert_eq!(route(&world.night(day(3), 0).await), "[]", "told once");
}

/// A command's lines without folds, those that hold a word.
fn lines(told: &Told, word: &str) -> String {
    let flat = flat(told);
    assert!(flat.contains(word), "{word} is not in {}", told.out);
    flat
}

#[tokio::test]
async fn status_and_check_say_who_waits_and_for_what() {
    let mut world = world(PROMOTION).await;
    world.live(day(0)).await;
    let now = at(day(0));
    let status = ["status", "--now", &now];
    let check = ["check", "--only", "experiments", "--now", &now];
    // Without auto_enroll, only what was evaluated is told, and check has nothing to say.
    assert!(!world.run(&status).await.expect(0).out.contains("Waiting to come in"));
    assert!(!world.run(&check).await.expect(0).out.contains("auto_enroll"));
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.7", DONE).await;
    lines(
        &world.run(&status).await.expect(0),
        "steady: steady policy/2: offline evaluation failed: plan_alignment 0.7 misses the baseline's 0.8 by 0.1",
    );
    measured(&world, "plan_alignment_score", "0.8").await;
    lines(&world.run(&status).await.expect(0), "`rampkeeper enroll steady steady policy/2` lets it in");
    // With it, the next night does.
    world.write("promotion.yml", &format!("{PROMOTION}{AUTO}"));
    let json = world.run(&["status", "--now", &now, "--output", "json"]).await.expect(0).json();
    let waiting = &json["waiting"][0];
    assert_eq!(
        (&waiting["version"], &waiting["verdict"], &waiting["prospect"], &waiting["share"]),
        (&"steady policy/2".into(), &"passed".into(), &"next_night".into(), &serde_json::json!(0.1)),
        "{waiting:#}"
    );
    let told = world.run(&check).await.expect(0);
    lines(
        &told,
        "ok experiments auto_enroll of steady steady policy/2 passed offline evaluation and comes in with the next",
    );
    lines(&told, "offline gate constraint_respect at least 1, plan_alignment 100 % of the baseline's");
    let loose = "qualification: { diversity: { of_baseline: 0.9 } }\n";
    world.write("promotion.yml", &format!("{PROMOTION}{AUTO}{loose}"));
    lines(&world.run(&check).await.expect(0), "diversity may be worse than the route itself allows");
    // What would let nobody in is said, and how to mend it.
    for (promotion, code, expected) in [
        (
            AUTO.replace("policy: steady policy", "policy: stedy policy"),
            1,
            "there is no policy \"stedy policy\" in exp.policies → did you mean `steady policy`?",
        ),
        (format!("{AUTO}    mode: advise\n"), 0, "on, but the mode is advise, so nobody is let in"),
        (format!("{AUTO}kill_switch: true\n"), 0, "on, but the kill switch is on, so nobody is let in"),
        (format!("{AUTO}    control: candidate\n"), 1, "candidate serves no version of steady policy"),
    ] {
        world.write("promotion.yml", &format!("{PROMOTION}{promotion}"));
        lines(&world.run(&check).await.expect(code), expected);
    }
    world.write("promotion.yml", &format!("{PROMOTION}{AUTO}"));
    world.run(&["hold", "steady", "--by", "ana", "--reason", "audit", "--now", &now]).await.expect(0);
    let held = "steady policy/2 passed offline evaluation and stays out: steady is held by ana (audit)";
    lines(&world.run(&status).await.expect(0), held);
    lines(&world.run(&check).await.expect(0), &format!("warn experiments auto_enroll of steady {held}"));
    world.run(&["resume", "steady", "--by", "ana", "--reason", "done", "--now", &now]).await.expect(0);
    // A registry that does not have it, or is away.
    world.settings["registry"] =
        serde_json::json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", closed_port()), "timeout_seconds": 1 } });
    world.configure();
    lines(&world.run(&check).await.expect(1), "the registry could not be asked about steady_model version 2");
    world.settings["registry"] = serde_json::json!({ "local": {} });
    world.configure();
    world.night(day(0), 0).await;
    assert!(!world.run(&status).await.expect(0).out.contains("Waiting to come in"));
    lines(&world.run(&check).await.expect(0), "no version of steady policy that is newer than control's waits");
}

#[tokio::test]
async fn what_is_done_by_hand_is_no_night() {
    let mut world = world(PROMOTION).await;
    result(&world, 1, "0.8", DONE).await;
    result(&world, 2, "0.8", DONE).await;
    let (first, last) = (day(0), day(3));
    let (noon, before_noon) = (format!("{first}T12:00:00Z"), format!("{first}T11:00:00Z"));
    world.run(&["qualify", "steady policy/2", "--now", &before_noon]).await.expect(0);
    world.run(&["enroll", "steady", "steady policy/2", "--by", "ana", "--now", &noon]).await.expect(0);
    lines(&world.run(&["status", "--now", &noon]).await.expect(0), "No night has run yet");
    world.run(&["report"]).await.expect(1).complains("no night is on record yet");
    world.live(first).await;
    world.night(first, 0).await;
    let later = at(last);
    world.run(&["qualify", "steady policy/2", "--now", &later]).await.expect(0);
    let kinds =
        "SELECT group_concat(kind || ' ' || as_of, ', ') FROM (SELECT * FROM rampkeeper_runs ORDER BY started_at)";
    let before = first.yesterday().unwrap();
    assert_eq!(world.text(kinds).await, format!("by_hand {before}, by_hand {before}, night {first}, by_hand {last}"));
    let status = world.run(&["status", "--now", &later]).await.expect(0);
    lines(&status, &format!("Last night: {first}, run at"));
    lines(&status, "No night has run for the 3 days since. Is the job still started?");
    let report = world.run(&["report", "--output", "json"]).await.expect(0).json();
    assert_eq!(report["as_of"], first.to_string());
    world.run(&["report", "--as-of", &last.to_string()]).await.expect(1);
    let site = world.run(&["report", "--html", world.path("site").to_str().unwrap()]).await.expect(0);
    assert!(site.out.contains("nights: 1, "), "{}", site.out);
    let page = |night| world.path(&format!("site/nights/{night}.html")).exists();
    assert!(page(first) && !page(last) && !page(before));
    // A rollback by hand is told like a night, so its page is there; a night it is none.
    world
        .run(&["rollback", "steady/steady policy_v2", "--by", "ana", "--reason", "x", "--now", &later])
        .await
        .expect(0);
    assert!(world.text(kinds).await.ends_with(&format!(", by_hand {last}, by_hand {last}")));
    lines(&world.run(&["status", "--now", &later]).await.expect(0), &format!("Last night: {first}, run at"));
    world.run(&["report", "--as-of", &last.to_string()]).await.expect(0);
    world.run(&["verify"]).await.expect(0);
}
