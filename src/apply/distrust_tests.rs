//! What others have set is seen, left alone or told; what was written is read again.

use super::*;
use crate::report::{ExperimentReport, NightReport, Standing};

const STAGE: &str = "version 2, tag stage";
const CHAMPION: &str = "alias champion";

/// What was found at each place.
fn found(incidents: &[Incident]) -> Vec<(&str, &str)> {
    incidents.iter().map(|incident| (incident.what.as_str(), incident.found.as_str())).collect()
}

#[tokio::test]
async fn a_value_as_expected_is_set_and_a_step_that_finds_its_own_result_is_done() {
    let world = World::new().await;
    world.registry.put("planner", CHAMPION, "1");
    world.registry.put("planner", STAGE, "candidate");
    world.journal(vec![action("a", 1, champion("planner", &["1"])), action("b", 1, tag("planner"))]).await;
    assert!(world.incidents_at(0).await.is_empty());
    assert_eq!(world.registry.writes(), ["point planner", "tag planner"]);
    // The same steps once more, as after a run that died before it could note them.
    world.journal(vec![action("c", 1, champion("planner", &["1"])), action("d", 1, tag("planner"))]).await;
    assert!(world.incidents_at(0).await.is_empty());
    assert_eq!(world.registry.writes(), [""; 0]);
    assert_eq!(world.pending().await, owned(&[]));
}

#[tokio::test]
async fn an_alias_that_somebody_else_has_pointed_elsewhere_is_left_and_told_and_holds_nobody_up() {
    let world = World::new().await;
    world.registry.put("planner", CHAMPION, "5");
    world.journal(vec![action("a", 1, champion("planner", &["1"])), action("b", 1, tag("planner"))]).await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.writes(), ["tag planner"], "what follows is done all the same");
    assert_eq!(applier.unfinished(), [""; 0], "an incident is no unfinished step");
    let incidents = applier.incidents().await.unwrap();
    assert_eq!(found(&incidents), [("alias champion of planner", "version 5")]);
    assert_eq!(
        incidents[0].to_string(),
        "alias champion of planner: found version 5, expected version 1 or none, before it is pointed at version 2; \
         somebody else has pointed it there, so it was left alone; point it at version 2 yourself, or leave it if \
         version 5 is meant to have it"
    );
    assert_eq!(incidents[0].action.as_deref(), Some("a"));
    assert_eq!(world.text("SELECT status FROM rampkeeper_actions WHERE idempotency_key = 'a'").await, "failed");
}

#[tokio::test]
async fn what_rampkeeper_itself_wrote_last_may_be_replaced() {
    let world = World::new().await;
    let third = ModelVersion { model: "planner".into(), version: "3".into() };
    let point = |version, key| {
        let (alias, expect) = ("champion".to_owned(), Vec::new());
        action(key, 1, Step::SetAlias { alias, version, expect, or_production: false })
    };
    world.journal(vec![point(third.clone(), "a"), point(version("planner"), "b")]).await;
    assert!(world.incidents_at(0).await.is_empty());
    assert_eq!(world.registry.get("planner", CHAMPION).as_deref(), Some("2"));
    // Back by somebody else's hand, it is not ours any more.
    world.registry.put("planner", CHAMPION, "3");
    world.journal(vec![point(version("planner"), "c")]).await;
    assert_eq!(found(&world.incidents_at(0).await), [("alias champion of planner", "version 3")]);
}

#[tokio::test]
async fn where_no_version_is_known_the_one_in_production_is_expected() {
    let world = World::new().await;
    world.registry.put("planner", CHAMPION, "7");
    world.registry.put("planner", "version 7, tag stage", "production");
    let Step::SetAlias { alias, version, expect, .. } = point("planner") else { unreachable!() };
    world.journal(vec![action("a", 1, Step::SetAlias { alias, version, expect, or_production: true })]).await;
    assert!(world.incidents_at(0).await.is_empty());
    assert_eq!(world.registry.get("planner", CHAMPION).as_deref(), Some("2"));
}

#[tokio::test]
async fn a_rollback_archives_whatever_was_set_and_tells_what_that_was() {
    let world = World::new().await;
    world.registry.put("planner", STAGE, "production");
    world.journal(vec![action("a", 1, tag("planner"))]).await;
    let incidents = world.incidents_at(0).await;
    assert_eq!(found(&incidents), [("tag stage of planner version 2", "production")]);
    assert!(incidents[0].advice.contains("it was replaced by archived all the same"), "{incidents:?}");
    assert_eq!(world.registry.get("planner", STAGE).as_deref(), Some("archived"));
    // It is as decided now, so it is told once.
    world.tell_at(0).await;
    assert!(world.incidents_at(1).await.is_empty());
}

#[tokio::test]
async fn a_promotion_does_not_overrule_a_version_that_somebody_archived() {
    let world = World::new().await;
    world.registry.put("planner", STAGE, "archived");
    world.journal(vec![action("a", 1, stage("planner", "production", false))]).await;
    assert_eq!(found(&world.incidents_at(0).await), [("tag stage of planner version 2", "archived")]);
    assert_eq!(world.registry.writes(), [""; 0]);
}

#[tokio::test]
async fn strangers_in_production_are_archived_and_told_but_for_the_champion() {
    let world = World::new().await;
    for version in ["1", "4", "5"] {
        world.registry.put("planner", &format!("version {version}, tag stage"), "production");
    }
    world.registry.put("planner", CHAMPION, "5");
    let first = ModelVersion { model: "planner".into(), version: "1".into() };
    let others = Step::ArchiveOtherProduction { keep: version("planner"), expect: vec![first] };
    world.journal(vec![action("a", 1, champion("planner", &["1"])), action("b", 1, others)]).await;
    let incidents = world.incidents_at(0).await;
    let told = [("alias champion of planner", "version 5"), ("tag stage of planner version 4", "production")];
    assert_eq!(found(&incidents), told);
    let stage = |version: &str| world.registry.get("planner", &format!("version {version}, tag stage")).unwrap();
    assert_eq!(["1", "4", "5"].map(stage), ["archived", "archived", "production"]);
}

#[tokio::test]
async fn what_reads_otherwise_right_after_it_was_set_is_told_and_tried_again() {
    let world = World::new().await;
    *world.registry.meddler.lock().unwrap() = Some("9".into());
    world.journal(vec![action("a", 1, champion("planner", &["9"]))]).await;
    assert_eq!(found(&world.incidents_at(0).await), [("alias champion of planner", "version 9")]);
    assert_eq!(world.pending().await, owned(&[("a", 1)]));
    world.tell_at(0).await;
    // The meddler has gone home.
    *world.registry.meddler.lock().unwrap() = None;
    assert!(world.incidents_at(1).await.is_empty());
    assert_eq!(world.pending().await, owned(&[]));
}

#[tokio::test]
async fn an_incident_is_told_once_then_in_one_line_while_it_lasts_and_no_longer_than_a_week() {
    let world = World::new().await;
    world.registry.put("planner", CHAMPION, "5");
    world.registry.put("leftovers", CHAMPION, "5");
    let steps = [champion("planner", &[]), champion("leftovers", &[])];
    let [a, b] = steps;
    world.journal(vec![action("a", 1, a), action("b", 2, b)]).await;
    let first = world.incidents_at(0).await;
    assert!(first.len() == 2 && first.iter().all(|incident| incident.new));
    // Found and not told, since the run broke off: the next run tells it as new.
    assert!(world.incidents_at(1).await.iter().all(|incident| incident.new));
    world.tell_at(1).await;
    let second = world.incidents_at(2).await;
    assert_eq!(
        second[0].to_string(),
        "alias champion of leftovers: still not as decided, since 2026-03-05 (found version 5, expected none known or \
         none, before it is pointed at version 2)"
    );
    // Somebody mends one of them, and leaves the other.
    world.registry.put("leftovers", CHAMPION, "2");
    assert_eq!(found(&world.incidents_at(3).await), [("alias champion of planner", "version 5")]);
    assert_eq!(world.incidents_at(7).await.len(), 1);
    assert!(world.incidents_at(8).await.is_empty());
    let because = "SELECT group_concat(closed_because, '; ') FROM (SELECT * FROM rampkeeper_incidents ORDER BY what)";
    assert_eq!(world.text(because).await, "it is as decided now; left as it is for a week");
}

#[tokio::test]
async fn a_registry_that_is_away_leaves_its_incidents_open() {
    let world = World::new().await;
    world.registry.put("planner", CHAMPION, "5");
    world.journal(vec![action("a", 1, champion("planner", &[]))]).await;
    world.incidents_at(0).await;
    world.tell_at(0).await;
    world.journal(vec![action("b", 2, tag("away"))]).await;
    world.registry.calls();
    assert_eq!(world.incidents_at(1).await.len(), 1);
    assert_eq!(world.registry.calls(), ["read away"], "it is not asked about the incident");
}

#[tokio::test]
async fn a_store_that_is_locked_is_asked_again_within_the_run() {
    let world = World::new().await;
    world.journal(vec![action("a", 1, tag("locked"))]).await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    assert_eq!(applier.unfinished(), [""; 0]);
    assert_eq!(world.registry.calls(), ["read locked", "read locked", "read locked", "tag locked", "read locked"]);
    let attempts = "SELECT CAST(attempts AS TEXT) FROM rampkeeper_actions";
    assert_eq!(world.text(attempts).await, "3");
}

#[tokio::test]
async fn units_that_do_not_leave_are_told_and_swept_again() {
    let world = World::new().await.with_units().await;
    // A trigger that quietly keeps ten of them.
    let keeps = "CREATE TRIGGER keeps BEFORE UPDATE ON exp_assignments WHEN OLD.unit_id LIKE 'u99_'
                 BEGIN SELECT RAISE(IGNORE); END";
    world.sql(keeps).await;
    world
        .journal(vec![action("d/0/move_assignments", EXPERIMENT, sweep()), action("tag", EXPERIMENT, tag("sound"))])
        .await;
    let incidents = world.incidents_at(0).await;
    assert_eq!(found(&incidents), [("the units on e/t", "10")]);
    assert_eq!(world.pending().await, owned(&[("d/0/move_assignments", 1)]), "the version is archived all the same");
    world.tell_at(0).await;
    world.sql("DROP TRIGGER keeps").await;
    assert!(world.incidents_at(1).await.is_empty());
    assert_eq!(world.pending().await, owned(&[]));
}

#[tokio::test]
async fn units_that_come_while_the_split_settles_are_the_second_sweeps() {
    let world = World::new().await.with_units().await;
    let come = |at: &str| {
        let [e, t] = [EXPERIMENT, CANDIDATE].map(Uuid::from_u128);
        format!("INSERT INTO exp_assignments VALUES ('{e}', 'user', 'late {at}', '{t}', '{at}')")
    };
    let arrive = format!(
        "CREATE TRIGGER late AFTER UPDATE ON exp_assignments WHEN OLD.unit_id = 'u1' BEGIN {}; END",
        come("2026-03-05T02:00:05.000000Z")
    );
    world.sql(&arrive).await;
    world.journal(vec![action("d/0/move_assignments", EXPERIMENT, sweep())]).await;
    assert!(world.incidents_at(0).await.is_empty());
    // After the settling time, the assignment service still gives out the arm while it is swept.
    let insist =
        "DROP TRIGGER late; CREATE TRIGGER insists AFTER UPDATE ON exp_assignments WHEN OLD.unit_id LIKE 'late%'
         BEGIN UPDATE exp_assignments SET variant_id = OLD.variant_id WHERE unit_id = OLD.unit_id; END";
    world.sql(insist).await;
    world.sql(&come("2026-03-05T03:00:00.000000Z")).await;
    world.journal(vec![action("d/0/move_assignments/again", EXPERIMENT, sweep())]).await;
    let incidents = world.incidents_at(1).await;
    assert_eq!(found(&incidents), [("the units on e/t", "2")]);
    assert!(incidents[0].advice.contains("let the assignment service read exp.variants.allocation"), "{incidents:?}");
    assert_eq!(world.pending().await, owned(&[("d/0/move_assignments/again", 1)]));
}

#[tokio::test]
async fn allocations_are_read_again() {
    let world = World::new().await.with_units().await;
    let share = |value| Share::try_from(value).unwrap();
    let change = |id, name: &str, to| Reallocation {
        variant: VariantId(Uuid::from_u128(id)),
        name: name.into(),
        from: share(0.5),
        to: share(to),
    };
    let night = NightReport {
        schema_version: 1,
        as_of: jiff::civil::date(2026, 3, 4),
        run: None,
        at: now(),
        experiments: vec![ExperimentReport {
            name: "e".into(),
            standing: Standing::Decided,
            faulty: false,
            candidates: vec![],
            allocations: vec![change(CONTROL, "control", 1.0), change(CANDIDATE, "t", 0.0)],
            steps: vec![],
            outside_change: false,
            amendment: None,
            restatement: None,
            evidence_from: None,
            owners: vec![],
            by_hand: vec![],
            route: vec![],
        }],
        resumed: vec![],
        moved: vec![],
        unfinished: vec![],
        incidents: vec![],
    };
    let applier = world.applier();
    applier.read_back(&night).await.unwrap();
    assert!(applier.incidents().await.unwrap().is_empty());
    world.sql("UPDATE exp_variants SET allocation = '0.2500' WHERE name = 't'").await;
    world.sql("DELETE FROM exp_variants WHERE name = 'control'").await;
    applier.read_back(&night).await.unwrap();
    let incidents = applier.incidents().await.unwrap();
    let told = [("the allocation of e/control", "gone, with its variant"), ("the allocation of e/t", "25 %")];
    assert_eq!(found(&incidents), told);
    assert_eq!(incidents[1].expected, "0 %");
}

#[tokio::test]
async fn what_an_earlier_run_left_for_the_registry_waits_until_the_night_is_decided() {
    let world = World::new().await.with_units().await;
    world
        .journal(vec![
            action("tag", EXPERIMENT, tag("sound")),
            mail("1@x"),
            action("complete", EXPERIMENT, Step::CompleteExperiment),
        ])
        .await;
    let mut applier = world.applier();
    applier.resume().await.unwrap();
    assert_eq!(world.registry.calls(), [""; 0]);
    assert_eq!(world.pending().await, owned(&[("tag", 0), ("mail/1@x", 0)]));
    // What the night adds is not called left over.
    world.journal(vec![action("new", EXPERIMENT, champion("sound", &[]))]).await;
    applier.apply_pending().await.unwrap();
    assert_eq!(applier.resumed(), ["complete the experiment", "tag sound version 2 stage=archived"]);
    assert_eq!(applier.unfinished().len(), 1, "no mail is configured");
}
