//! What people tell the job, with the real program: approvals, holds, a rollback at once, advice and the kill switch.

use serde_json::{Value, json};

use crate::embedded::{PROMOTION, World, better, day, harmful, outcome, reasons, told, two_in_the_night_after};

/// A world with two days of traffic, and nights on which it may be ramped.
async fn world(promotion: &str) -> World {
    let mut world = World::new(vec![better("steady")]).await;
    world.write("promotion.yml", promotion);
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

fn with_approval() -> String {
    PROMOTION.replacen("min_units: 80 }", "min_units: 80, approval: required }", 1)
}

fn decision_id(report: &Value) -> String {
    let found = report["experiments"][0]["candidates"][0]["decision_id"].as_str();
    found.unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

/// The arguments of an act, by Ana and for a reason.
fn by_ana<'a>(act: &'a [&'a str], now: &'a str) -> Vec<&'a str> {
    [act, &["--by", "ana", "--reason", "looked at it", "--now", now]].concat()
}

#[tokio::test]
async fn a_stage_that_wants_approval_waits_for_it_and_then_goes_on_at_once() {
    let world = world(&with_approval()).await;
    let now = two_in_the_night_after(day(1));
    let waiting = world.night(day(1), 0).await;
    assert_eq!(reasons(&waiting, "steady"), ["awaiting_approval"]);
    let id = decision_id(&waiting);
    let told = world.run(&by_ana(&["approve", &id[..8]], &now)).await.expect(0);
    assert!(told.out.contains("steady/candidate may ramp to 25 %"), "{}", told.out);
    // The same night again, now with the word: a new revision that acts.
    let approved = world.night(day(1), 0).await;
    assert_eq!(outcome(&approved, "steady"), "ramp");
    assert_eq!(reasons(&approved, "steady"), ["stage_passed", "approved"]);
    assert_eq!(world.allocations("steady").await, "control 0.7500, candidate 0.2500");
    // The word was for that stage alone, and cannot be given twice.
    world.run(&by_ana(&["approve", &id], &now)).await.expect(1).complains("has left that stage since");
    let again = world.night(day(1), 0).await;
    assert_eq!(again["experiments"][0]["standing"], "already_decided");
}

#[tokio::test]
async fn a_rejected_candidate_stays_until_somebody_changes_their_mind() {
    let mut world = world(&with_approval()).await;
    let now = two_in_the_night_after(day(1));
    let id = decision_id(&world.night(day(1), 0).await);
    world.run(&by_ana(&["reject", &id], &now)).await.expect(0);
    assert_eq!(reasons(&world.night(day(1), 0).await, "steady"), ["rejected"]);
    world.live(day(2)).await;
    let rejected = world.night(day(2), 0).await;
    assert_eq!(reasons(&rejected, "steady"), ["rejected"]);
    let now = two_in_the_night_after(day(2));
    world.run(&by_ana(&["approve", &decision_id(&rejected)], &now)).await.expect(0);
    assert_eq!(outcome(&world.night(day(2), 0).await, "steady"), "ramp");
}

#[tokio::test]
async fn an_answer_to_what_waits_for_none_is_refused() {
    let world = world(PROMOTION).await;
    let now = two_in_the_night_after(day(1));
    let id = decision_id(&world.night(day(1), 0).await);
    world.run(&by_ana(&["approve", &id], &now)).await.expect(1).complains("does not wait for an approval");
    world.run(&by_ana(&["approve", "0000beef"], &now)).await.expect(1).complains("there is no decision");
    world.run(&by_ana(&["approve", "steady"], &now)).await.expect(1).complains("is no decision id");
    world.run(&["approve", &id, "--by", "ana"]).await.expect(64).complains("--reason");
}

#[tokio::test]
async fn a_hold_stops_the_way_up_until_it_ends_or_is_lifted() {
    let mut world = world(PROMOTION).await;
    let now = two_in_the_night_after(day(1));
    let until = day(2).to_string();
    world.run(&by_ana(&["hold", "steady/candidate", "--until", &until], &now)).await.expect(0);
    let held = world.night(day(1), 0).await;
    assert_eq!(reasons(&held, "steady"), ["held_by_hand"]);
    assert_eq!(held["experiments"][0]["candidates"][0]["forecast"]["forecast"], "expected");
    // The hold is for the day on which the job runs, which is one later than the day that it judges.
    world.live(day(2)).await;
    assert_eq!(outcome(&world.night(day(2), 0).await, "steady"), "ramp");
    let now = two_in_the_night_after(day(2));
    world.run(&by_ana(&["resume", "steady"], &now)).await.expect(1).complains("nothing holds steady");
    world.run(&by_ana(&["hold", "--all"], &now)).await.expect(0);
    world.live(day(3)).await;
    assert_eq!(reasons(&world.night(day(3), 0).await, "steady")[0], "held_by_hand");
    let now = two_in_the_night_after(day(3));
    world.run(&by_ana(&["resume", "--all"], &now)).await.expect(0);
    assert_eq!(outcome(&world.night(day(3), 0).await, "steady"), "ramp");
    world.run(&by_ana(&["hold", "steady", "--until", "2020-01-01"], &now)).await.expect(1).complains("over already");
    world.run(&by_ana(&["hold", "stead"], &now)).await.expect(1).complains("there are: steady");
    world.run(&by_ana(&["hold", "steady/nobody"], &now)).await.expect(1).complains("there are: control, candidate");
}

#[tokio::test]
async fn a_hold_keeps_harm_only_if_told_to() {
    for (even_if_harmful, expected) in [(false, "rollback"), (true, "hold")] {
        let mut world = World::new(vec![harmful("costly")]).await;
        for n in 0..2 {
            world.live(day(n)).await;
        }
        let now = two_in_the_night_after(day(1));
        let mut act = vec!["hold", "costly"];
        act.extend(even_if_harmful.then_some("--even-if-harmful"));
        world.run(&by_ana(&act, &now)).await.expect(0);
        let night = world.night(day(1), 0).await;
        assert_eq!(outcome(&night, "costly"), expected);
        if even_if_harmful {
            assert_eq!(reasons(&night, "costly")[..2], ["held_by_hand", "harm_shown"]);
        }
    }
}

#[tokio::test]
async fn a_rollback_by_hand_happens_at_once_and_without_the_warehouse() {
    let world = world(PROMOTION).await;
    let ramped = world.night(day(1), 0).await;
    assert_eq!(outcome(&ramped, "steady"), "ramp");
    std::fs::remove_dir_all(world.path("lake")).unwrap();
    let now = &two_in_the_night_after(day(1)).replace("T02", "T14");
    let act = by_ana(&["rollback", "steady/candidate", "--output", "json"], now);
    let report = world.run(&act).await.expect(0).json();
    assert_eq!(outcome(&report, "steady"), "rollback");
    assert_eq!(reasons(&report, "steady"), ["rolled_back_by_hand"]);
    assert_eq!(world.allocations("steady").await, "control 1.0000, candidate 0.0000");
    let stage = "SELECT value FROM rampkeeper_registry_tags WHERE model = 'steady_model' AND version = '2'";
    assert_eq!(world.text(stage).await, "archived");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_acts").await, 1);
    let mails = std::fs::read_dir(world.path("mails")).unwrap().count();
    assert_eq!(mails, 3, "the night's mail, and for the rollback a digest and a mail of its own");
    // Once is enough, and control cannot be taken off.
    world.run(&by_ana(&["rollback", "steady/candidate"], now)).await.expect(1).complains("rolled_back already");
    world.run(&by_ana(&["rollback", "steady/control"], now)).await.expect(1).complains("nothing to roll it back to");
    world.run(&by_ana(&["rollback", "steady"], now)).await.expect(1).complains("control, candidate");
}

#[tokio::test]
async fn advice_and_the_kill_switch_change_nothing() {
    let advise = PROMOTION.replacen("defaults:", "defaults:\n  mode: advise", 1);
    let stopped = format!("kill_switch: true\n{PROMOTION}");
    for promotion in [advise, stopped] {
        let world = world(&promotion).await;
        let night = world.night(day(1), 0).await;
        assert_eq!(reasons(&night, "steady")[..2], ["advice_only", "stage_passed"]);
        let first = &night["experiments"][0]["candidates"][0]["decision"]["reasons"][0];
        assert_eq!(first["would"], json!({ "step": "ramp", "to": 0.25 }));
        assert_eq!(world.allocations("steady").await, "control 0.9000, candidate 0.1000");
        assert_eq!(world.count("SELECT count(*) FROM rampkeeper_actions WHERE kind <> 'mail'").await, 0);
        // A person's own rollback is done all the same.
        let now = two_in_the_night_after(day(1));
        world.run(&by_ana(&["rollback", "steady/candidate"], &now)).await.expect(0);
        assert_eq!(world.allocations("steady").await, "control 1.0000, candidate 0.0000");
    }
}

#[tokio::test]
async fn changed_rules_are_an_amendment_and_restart_the_evidence_where_they_must() {
    let mut world = world(PROMOTION).await;
    world.night(day(1), 0).await;
    world.write("promotion.yml", &format!("{PROMOTION}  owners: [ana@example.com]\n"));
    world.live(day(2)).await;
    let owned = world.night(day(2), 0).await;
    let amendment = &owned["experiments"][0]["amendment"];
    assert_eq!(amendment, &json!({ "changes": ["owners[1]: ana@example.com is new"], "restarts": false }));
    assert_eq!(outcome(&owned, "steady"), "ramp");
    world.write("promotion.yml", &PROMOTION.replace("margin: 0.10", "margin: 0.15"));
    world.live(day(3)).await;
    let amended = world.night(day(3), 0).await;
    assert_eq!(amended["experiments"][0]["amendment"]["restarts"], true);
    assert_eq!(amended["experiments"][0]["evidence_from"], day(4).to_string());
    let candidate = &amended["experiments"][0]["candidates"][0];
    assert_eq!(candidate["assessment"]["candidate_units"], 0, "nothing that was seen before counts");
    // The same night again is the same night; the next ones begin to count.
    assert_eq!(world.night(day(3), 0).await["experiments"][0]["standing"], "already_decided");
    for n in 4..6 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    let json = "SELECT assessment FROM rampkeeper_looks l JOIN rampkeeper_decisions d ON d.id = l.decision_id
                ORDER BY d.position DESC LIMIT 1";
    let assessment: Value = serde_json::from_str(&world.text(json).await).unwrap();
    assert!(assessment["candidate_units"].as_u64().unwrap() > 0, "{assessment:#}");
}

#[tokio::test]
async fn a_reason_with_control_characters_is_cleaned() {
    let world = world(PROMOTION).await;
    let act = ["hold", "steady", "--by", "ana", "--reason", "a\u{1b}[31m\nb"];
    told(world.command(&act)).await.expect(0);
    assert_eq!(world.text("SELECT reason FROM rampkeeper_acts").await, "a [31m b");
}
