//! What people do by hand, outside of the job.

use serde_json::json;

use super::{night, on_the_eve_of_a_rollback};
use crate::embedded::{World, better, closed_port, day, key, of, outcome, reasons};

/// Nothing about an experiment that somebody has stopped is touched.
#[tokio::test]
async fn an_experiment_that_is_paused_or_completed_by_hand_is_left_alone() {
    let mut world = World::new(vec![better("paused_one"), better("completed_one"), better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    for (name, status) in [("paused_one", "paused"), ("completed_one", "completed")] {
        world.sql(&format!("UPDATE exp_experiments SET status = '{status}' WHERE name = '{name}'")).await;
    }
    let (report, code) = night(&world, day(1)).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(outcome(&report, "steady"), "ramp");
    assert_eq!(outcome(&report, "paused_one"), "hold");
    assert_eq!(reasons(&report, "paused_one"), ["not_active"]);
    assert!(report["experiments"].as_array().unwrap().iter().all(|e| e["name"] != "completed_one"));
    for name in ["paused_one", "completed_one"] {
        assert_eq!(world.allocations(name).await, "control 0.9000, candidate 0.1000", "{name}");
        let decided = format!(
            "SELECT count(*) FROM rampkeeper_decisions WHERE outcome <> 'hold' AND experiment_id = '{}'",
            key(name)
        );
        assert_eq!(world.count(&decided).await, 0, "{name}");
        let steps = format!("SELECT count(*) FROM rampkeeper_actions WHERE payload LIKE '%{}%'", key(name));
        assert_eq!(world.count(&steps).await, 0, "{name}");
    }
    let statuses = "SELECT group_concat(name || ' ' || status, ', ') FROM
                    (SELECT * FROM exp_experiments WHERE name <> 'steady' ORDER BY name)";
    assert_eq!(world.text(statuses).await, "completed_one completed, paused_one paused");
}

#[tokio::test]
async fn a_variant_deleted_on_its_ramp_is_told_in_one_line_and_ends_nothing() {
    let mut world = World::new(vec![better("shrunk"), better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    night(&world, day(1)).await;
    world.sql(&format!("DELETE FROM exp_variants WHERE id = '{}'", key("shrunk candidate"))).await;
    for n in 2..4 {
        world.live(day(n)).await;
        let (report, code) = night(&world, day(n)).await;
        assert_eq!(code, Some(0), "{report:#}");
        let lines = of(&report, "shrunk")["by_hand"].as_array().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let told = format!("variant {}, which was on its ramp since 2026-03-03, was deleted", key("shrunk candidate"));
        assert!(lines[0].as_str().unwrap().starts_with(&told), "{lines:?}");
        assert!(world.page(day(n)).contains(&told));
        assert_ne!(outcome(&report, "steady"), "none", "the other experiment goes on");
        let state = world.state().await;
        night(&world, day(n)).await;
        assert_eq!(world.state().await, state, "the second run changes nothing");
    }
    assert_eq!(world.mails().len(), 3);
}

#[tokio::test]
async fn a_variant_deleted_while_steps_about_it_are_pending_is_told_and_ends_nothing() {
    let mut world = on_the_eve_of_a_rollback().await;
    let local = world.settings["registry"].take();
    world.settings["registry"] =
        json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", closed_port()), "timeout_seconds": 1 } });
    world.configure();
    let (report, code) = night(&world, day(1)).await;
    assert_eq!((outcome(&report, "costly"), code), ("rollback", Some(4)));
    world.sql(&format!("DELETE FROM exp_variants WHERE id = '{}'", key("costly candidate"))).await;
    world.settings["registry"] = local;
    world.configure();
    world.live(day(2)).await;
    let (report, code) = night(&world, day(2)).await;
    assert_eq!(code, Some(0), "{report:#}");
    let told = format!("variant {}, which was rolled back since 2026-03-03, was deleted", key("costly candidate"));
    assert!(of(&report, "costly")["by_hand"][0].as_str().unwrap().starts_with(&told), "{report:#}");
    assert_eq!(report["resumed"].as_array().unwrap().len(), 3, "two steps in the registry and the second sweep");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_actions WHERE status <> 'done'").await, 0);
    // What was done late is one answer in the rollback's thread, however often the night is run.
    for _ in 0..2 {
        let thread = world.thread_mails();
        let answers: Vec<&String> = thread.iter().filter(|mail| mail.contains("\r\nIn-Reply-To: <action-")).collect();
        assert!(thread.len() == 2 && answers.len() == 1 && answers[0].contains("Done now"), "{thread:?}");
        night(&world, day(2)).await;
    }
}

#[tokio::test]
async fn a_closed_arm_with_a_share_again_is_told_every_night_and_not_judged() {
    let world = on_the_eve_of_a_rollback().await;
    let (report, _) = night(&world, day(1)).await;
    assert_eq!(outcome(&report, "costly"), "rollback");
    let share = async |control: &str, candidate: &str| {
        let id = key("costly");
        world
            .sql(&format!(
                "UPDATE exp_variants SET allocation = '{control}' WHERE experiment_id = '{id}' AND name = 'control';
                 UPDATE exp_variants SET allocation = '{candidate}' WHERE experiment_id = '{id}' AND name = 'candidate';"
            ))
            .await;
    };
    share("0.9000", "0.1000").await;
    let sentence = "candidate was rolled back on 2026-03-03 and has a share of 10 % again; the arm stays closed";
    for n in 2..4 {
        let (report, code) = night(&world, day(n)).await;
        assert_eq!(code, Some(3), "{report:#}");
        let experiment = of(&report, "costly");
        assert!(experiment["by_hand"][0].as_str().unwrap().starts_with(sentence), "{experiment:#}");
        assert_eq!(experiment["candidates"], json!([]), "it is not judged");
        assert_eq!(world.allocations("costly").await, "control 0.9000, candidate 0.1000", "nor set back");
        let mails = world.mails();
        assert_eq!(mails.len(), usize::try_from(n).unwrap(), "one mail a night");
        assert_eq!(world.thread_mails().len(), 1, "that of the rollback");
        assert!(mails.iter().filter(|mail| mail.contains("Broken: 1 experiment")).count() >= 1);
        // The same night again: told by the exit code, changing nothing.
        let state = world.state().await;
        assert_eq!(night(&world, day(n)).await.1, Some(3));
        assert_eq!(world.state().await, state);
    }
    share("1.0000", "0.0000").await;
    let (report, code) = night(&world, day(4)).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(of(&report, "costly")["by_hand"], json!([]));
}
