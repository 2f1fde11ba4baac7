//! A night's mail once more, over a real mail server.

use serde_json::json;

use crate::embedded::{World, better, closed_port, day};
use crate::support::smtp::{Rules, Smtp};

async fn world(port: u16) -> World {
    let mut world = World::new(vec![better("steady")]).await;
    world.settings["mail"] = json!({
        "from": "Rampkeeper <rampkeeper@example.com>",
        "to": ["team@example.com", "Dana <dana@example.com>"],
        "smtp": { "host": "localhost", "port": port, "encryption": "none" },
    });
    world.configure();
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_goes_out_again_and_another_reader_gets_one_of_his_own() {
    let smtp = Smtp::start(Rules { refuse: &["gone@example.com"], ..Rules::default() }).await;
    let world = world(smtp.port()).await;
    for n in 0..2 {
        world.night(day(n), 0).await;
    }
    let first = smtp.mails();
    assert_eq!(first.len(), 2);
    let again = world.run(&["report", "--resend", "--as-of", "2026-03-02"]).await.expect(0);
    assert!(again.out.starts_with("sent  [rampkeeper] 2026-03-02: "), "{}", again.out);
    world.run(&["report", "--resend"]).await.expect(0);
    let mails = smtp.mails();
    assert_eq!(mails.len(), 4);
    for (before, after) in first.iter().zip(&mails[2..]) {
        assert_eq!(before.raw, after.raw, "the same bytes, and so the same Message-ID");
        assert_eq!(before.to, after.to);
    }
    let other = ["report", "--resend", "--to", "ana@example.com", "--to", "gone@example.com", "--output", "json"];
    let told = world.run(&other).await.expect(0).json();
    assert_eq!(told["mails"][0]["sent"], true);
    assert!(told["mails"][0]["refused"][0].as_str().unwrap().contains("gone@example.com"), "{told:#}");
    let mails = smtp.mails();
    let (last, told_id) = (mails.last().unwrap(), told["mails"][0]["message_id"].as_str().unwrap());
    assert_eq!((mails.len(), last.to.as_slice()), (5, ["ana@example.com".to_owned()].as_slice()));
    assert_eq!(last.header("Message-ID"), Some(format!("<{told_id}>").as_str()));
    assert_ne!(last.header("Message-ID"), first[1].header("Message-ID"));
    assert_eq!(last.part("text/plain").unwrap().text, first[1].part("text/plain").unwrap().text);
    // The journal knows nothing of it.
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_actions WHERE kind = 'mail'").await, 2);
}

#[tokio::test]
async fn what_cannot_be_sent_is_said() {
    let mut world = world(closed_port()).await;
    world.night(day(0), 4).await;
    let waiting = world.run(&["report", "--resend"]).await.expect(4);
    assert!(waiting.out.contains("NOT SENT") && waiting.out.contains("the next run sends it"), "{}", waiting.out);
    let away = world.run(&["report", "--resend", "--to", "ana@example.com"]).await.expect(4);
    assert!(away.out.contains("NOT SENT"), "{}", away.out);
    let none = world.run(&["report", "--resend", "--as-of", "2026-02-01"]).await.expect(1);
    none.complains("no night of 2026-02-01 is on record");
    world.settings.as_object_mut().unwrap().remove("mail");
    world.configure();
    world.run(&["report", "--resend"]).await.expect(1).complains("no mail is configured");
    // The mail of the night before still waits for a way to its readers.
    world.night(day(1), 4).await;
    world.settings["mail"] =
        json!({ "from": "rampkeeper@example.com", "to": ["team@example.com"], "directory": "mails" });
    world.configure();
    world.run(&["report", "--resend"]).await.expect(1).complains("has no mail about the night of 2026-03-03");
}
