//! A mail server that is busy, refuses, or hangs up.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bad_input::on_the_eve_of_a_rollback;
use crate::crash::shim;
use crate::embedded::{World, day, outcome, told};
use crate::support::smtp::{Rules, Smtp};

const SUBJECT: &str = "[rampkeeper] 2026-03-03: 1 rolled back";

async fn eve(server: &Smtp) -> World {
    let mut world = on_the_eve_of_a_rollback().await;
    deliver_to(&mut world, server);
    world
}

fn deliver_to(world: &mut World, server: &Smtp) {
    world.settings["mail"] = json!({
        "from": "Rampkeeper <rampkeeper@example.com>", "to": ["team@example.com", "dana@example.com"],
        // One mail a night, so that its fate is seen.
        "actions": [],
        "smtp": { "host": "127.0.0.1", "port": server.port(), "encryption": "none" },
    });
    world.configure();
}

fn unfinished(report: &Value) -> &str {
    let lines = report["unfinished"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].as_str().unwrap()
}

async fn status(world: &World) -> String {
    world.text("SELECT status FROM rampkeeper_actions WHERE kind = 'mail'").await
}

/// The decision stands whatever becomes of its mail.
async fn is_rolled_back(world: &World) {
    assert_eq!(world.allocations("steady").await, "control 1.0000, candidate 0.0000");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_decisions").await, 1);
    assert!(world.page(day(1)).contains("harm shown"));
}

/// As slow as the program is patient: the mail is tried four times.
#[tokio::test]
async fn a_busy_server_gets_the_mail_by_the_next_run() {
    let server = Smtp::start(Rules { busy: 4, ..Rules::default() }).await;
    let world = eve(&server).await;
    let report = world.night(day(1), 4).await;
    let why = unfinished(&report);
    assert!(why.contains("in each of 4 attempts") && why.contains("451"), "{why}");
    is_rolled_back(&world).await;
    assert_eq!(status(&world).await, "pending");
    world.night(day(1), 0).await;
    world.night(day(1), 0).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Subject"), Some(SUBJECT));
}

#[tokio::test]
async fn a_mail_that_is_refused_for_what_it_says_is_given_up_and_told() {
    let server = Smtp::start(Rules { answer: Some("552 5.3.4 Message too big"), ..Rules::default() }).await;
    let world = eve(&server).await;
    let report = world.night(day(1), 4).await;
    let why = unfinished(&report);
    assert!(why.contains("given up") && why.contains("552") && why.contains("too big"), "{why}");
    is_rolled_back(&world).await;
    assert_eq!(status(&world).await, "failed");
    // Nothing can mend it, so no later run is held up by it, nor says so again.
    let again = world.night(day(1), 0).await;
    assert_eq!(again["unfinished"], json!([]));
}

#[tokio::test]
async fn a_mail_that_is_refused_for_its_sender_waits() {
    let server = Smtp::start(Rules { answer: Some("554 5.7.1 Relay access denied"), ..Rules::default() }).await;
    let mut world = eve(&server).await;
    let report = world.night(day(1), 4).await;
    let why = unfinished(&report);
    assert!(why.contains("554") && why.contains("Relay access denied") && !why.contains("given up"), "{why}");
    is_rolled_back(&world).await;
    assert_eq!(status(&world).await, "pending");
    let mended = Smtp::start(Rules::default()).await;
    deliver_to(&mut world, &mended);
    world.night(day(1), 0).await;
    assert_eq!(mended.mails().len(), 1);
    assert_eq!(status(&world).await, "done");
}

/// The one way for a mail to come twice; whoever reads it can tell by its Message-ID.
#[tokio::test]
async fn a_server_that_hangs_up_after_the_mail_gets_it_again_under_the_same_id() {
    let server = Smtp::start(Rules { vanish: 1, ..Rules::default() }).await;
    let world = eve(&server).await;
    world.night(day(1), 0).await;
    world.night(day(1), 0).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 2, "kept and not answered, then kept and answered");
    let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(mails[0].raw, mails[1].raw);
    is_rolled_back(&world).await;
}

#[tokio::test]
async fn a_refused_receiver_keeps_the_report_from_nobody_else() {
    let server = Smtp::start(Rules { refuse: &["dana@example.com"], ..Rules::default() }).await;
    let world = eve(&server).await;
    let mut night = world.nightly("run", day(1));
    night.args(["--output", "json"]);
    let told = told(night).await.expect(0);
    told.complains("did not go to dana@example.com: 550 5.1.1 No such mailbox here");
    assert_eq!(outcome(&told.json(), "steady"), "rollback");
    // Sending it again would reach the others twice.
    world.night(day(1), 0).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["team@example.com"]);
}

#[tokio::test]
async fn a_mail_whose_file_finds_no_room_is_written_by_the_next_run() {
    let mut world = on_the_eve_of_a_rollback().await;
    world.settings["mail"]["actions"] = json!([]);
    world.configure();
    let mut night = world.nightly("run", day(1));
    shim::fill_up(&mut night, 1, "/mails/");
    night.args(["--output", "json"]);
    let told = told(night).await.expect(4);
    let why = told.json();
    assert!(unfinished(&why).contains("No space left on device"), "{}", unfinished(&why));
    is_rolled_back(&world).await;
    assert!(world.mails().is_empty(), "half a mail was left");
    world.night(day(1), 0).await;
    assert_eq!(world.mails().len(), 1);
}
