//! Chats and the heartbeat: the program against a real web server that keeps what it is told.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::embedded::{Told, World, better, closed_port, day, harmful, told};
use crate::support::hooks::{Hooks, Manners, Request};
use crate::support::tls::Door;

/// A part of every address, which may be seen nowhere.
const TOKEN: &str = "T0ken-hunter2-not-to-be-seen";

/// The mails of its night: the digest, and one about the rollback.
const MAILS: usize = 2;

/// A world with two days of traffic, in which tonight one candidate is ramped and one rolled back; it tells a chat of each
/// kind.
async fn on_the_eve() -> World {
    let mut world = World::new(vec![harmful("costly"), better("steady")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world.settings["chat"] = json!([
        { "kind": "slack", "url": { "env": "TEST_SLACK" } },
        { "kind": "json", "url": { "file": "hook.secret" } },
    ]);
    world.settings["heartbeat"] = json!({ "url": { "env": "TEST_HEARTBEAT" } });
    world.configure();
    world
}

/// The addresses of a server's chats and of another's heartbeat.
fn addressed(mut command: Command, world: &World, chats: &str, heartbeat: &str) -> Command {
    world.write("hook.secret", &format!("{chats}/json/{TOKEN}\n"));
    command.env("TEST_SLACK", format!("{chats}/slack/{TOKEN}"));
    command.env("TEST_HEARTBEAT", format!("{heartbeat}/ping/{TOKEN}"));
    command
}

/// A night whose chats and heartbeat are these.
fn night(world: &World, chats: &Hooks, heartbeat: &Hooks) -> Command {
    let mut command = world.nightly("run", day(1));
    command.args(["--output", "json"]);
    addressed(command, world, &chats.url(""), &heartbeat.url(""))
}

fn paths(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method, request.path.replace(TOKEN, "…"))).collect()
}

/// The journal's posts: each with its place and what became of it.
async fn posts(world: &World) -> String {
    let sql = "SELECT coalesce(group_concat(place || ': ' || status || ' ' || attempts, '; '), '') FROM
               (SELECT json_extract(payload, '$.place') AS place, status, attempts FROM rampkeeper_actions
                WHERE kind = 'chat' ORDER BY place)";
    world.text(sql).await
}

fn unfinished(told: &Told) -> Vec<String> {
    let lines = told.json()["unfinished"].as_array().expect("a list").clone();
    lines.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_night_is_told_to_every_chat_once_and_pings_its_heartbeat() {
    let world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let first = told(night(&world, &chats, &heartbeat)).await.expect(0);
    let posted = chats.requests();
    assert_eq!(paths(&posted), ["POST /slack/…", "POST /json/…"]);
    let text = posted[0].json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("2026-03-03: Acted: 1 rolled back, 1 ramped\n*costly*\n*ROLLED BACK* candidate: "),
        "{text}"
    );
    assert_eq!(posted[1].json()["experiments"], first.json()["experiments"]);
    assert_eq!(posted[1].json()["schema_version"], 1);
    assert!(posted.iter().all(|request| request.headers["content-type"].starts_with("application/json")));
    let pinged = heartbeat.requests();
    assert_eq!(paths(&pinged), ["GET /ping/…/start", "POST /ping/…"]);
    assert_eq!(pinged[0].query["rid"], pinged[1].query["rid"]);
    assert_eq!(pinged[1].body, "2026-03-03: 1 rolled back, 1 ramped\nexit code 0\n");

    // The same night again tells nobody anything new, and lives.
    told(night(&world, &chats, &heartbeat)).await.expect(0);
    assert_eq!(chats.requests().len(), 2);
    let pinged = heartbeat.requests();
    assert_eq!(pinged.len(), 4);
    assert_ne!(pinged[0].query["rid"], pinged[2].query["rid"], "another run");
    assert_eq!(pinged[3].body, "2026-03-03: nothing new\nexit code 0\n");
    assert_eq!(posts(&world).await, "env TEST_SLACK: done 1; file hook.secret: done 1");
}

#[tokio::test]
async fn a_chat_that_is_away_keeps_neither_the_mail_nor_another_chat_and_is_told_by_the_next_run() {
    let world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let gone = format!("http://127.0.0.1:{}/slack/{TOKEN}", closed_port());
    let mut run = night(&world, &chats, &heartbeat);
    run.env("TEST_SLACK", &gone);
    let first = told(run).await.expect(4);
    assert_eq!(world.mails().len() + world.thread_mails().len(), MAILS);
    assert_eq!(paths(&chats.requests()), ["POST /json/…"]);
    let left = unfinished(&first);
    assert_eq!(left.len(), 1, "{left:?}");
    let words = r#"post "2026-03-03: 1 rolled back, 1 ramped" to the chat of env TEST_SLACK: http://127.0.0.1:"#;
    assert!(left[0].starts_with(words) && left[0].contains("could not be reached in each of 4 attempts"), "{left:?}");
    // What is still to be done is a failure to the heartbeat, unless somebody says otherwise.
    assert_eq!(paths(&heartbeat.requests()), ["GET /ping/…/start", "POST /ping/…/fail"]);
    assert!(heartbeat.requests()[1].body.contains("\nexit code 4: "), "{}", heartbeat.requests()[1].body);

    told(night(&world, &chats, &heartbeat)).await.expect(0);
    assert_eq!(paths(&chats.requests()), ["POST /json/…", "POST /slack/…"]);
    assert_eq!(world.mails().len() + world.thread_mails().len(), MAILS);
}

#[tokio::test]
async fn a_mail_server_that_is_away_keeps_no_chat_waiting() {
    let mut world = on_the_eve().await;
    world.settings["mail"] = json!({
        "from": "rampkeeper@example.com", "to": ["team@example.com"],
        "smtp": { "host": "127.0.0.1", "port": closed_port(), "encryption": "none" },
    });
    world.settings["heartbeat"]["fail_on"] = json!([]);
    world.configure();
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let first = told(night(&world, &chats, &heartbeat)).await.expect(4);
    assert_eq!(paths(&chats.requests()), ["POST /slack/…", "POST /json/…"]);
    let left = unfinished(&first);
    assert!(left.len() == MAILS && left.iter().all(|line| line.starts_with("send the mail ")), "{left:?}");
    assert_eq!(paths(&heartbeat.requests()), ["GET /ping/…/start", "POST /ping/…"]);
}

#[tokio::test]
async fn a_busy_chat_is_asked_again_and_one_that_says_no_is_given_up_and_told() {
    let world = on_the_eve().await;
    let heartbeat = Hooks::start(Manners::default()).await;
    let busy = Hooks::start(Manners { answers: &["429:1", "503"], ..Manners::default() }).await;
    told(night(&world, &busy, &heartbeat)).await.expect(0);
    assert_eq!(paths(&busy.requests()), ["POST /slack/…", "POST /slack/…", "POST /slack/…", "POST /json/…"]);
    let slack: Vec<_> = busy.requests().into_iter().take(3).collect();
    assert!(slack.iter().all(|again| again.body == slack[0].body), "the same each time");
    assert!(slack.iter().all(|again| again.headers["idempotency-key"] == slack[0].headers["idempotency-key"]));

    let world = on_the_eve().await;
    let unwilling = Hooks::start(Manners { always: Some(404), ..Manners::default() }).await;
    let refused = told(night(&world, &unwilling, &heartbeat)).await.expect(4);
    assert_eq!(unwilling.requests().len(), 2, "not repeated");
    let left = unfinished(&refused);
    let words = format!("given up: {} answered 404 (not now); is the address still the one", unwilling.url(""));
    assert!(left.len() == 2 && left.iter().all(|line| line.contains(&words)), "{left:?}");
    assert_eq!(posts(&world).await, "env TEST_SLACK: failed 1; file hook.secret: failed 1");
    told(night(&world, &unwilling, &heartbeat)).await.expect(0);
    assert_eq!(unwilling.requests().len(), 2, "never again");
}

/// Whoever answers late or not at all has it all the same; so what comes again can be told by its key.
#[tokio::test]
async fn a_post_whose_answer_is_lost_comes_again_as_it_was() {
    let world = on_the_eve().await;
    let heartbeat = Hooks::start(Manners::default()).await;
    let chats = Hooks::start(Manners { vanish: 1, ..Manners::default() }).await;
    told(night(&world, &chats, &heartbeat)).await.expect(0);
    let posted = chats.requests();
    assert_eq!(paths(&posted), ["POST /slack/…", "POST /slack/…", "POST /json/…"]);
    assert_eq!(posted[0].body, posted[1].body);
    assert_eq!(posted[0].headers["idempotency-key"], posted[1].headers["idempotency-key"]);
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it is at work").to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn a_run_that_is_killed_while_it_posts_is_told_again_under_the_same_key() {
    let world = on_the_eve().await;
    let heartbeat = Hooks::start(Manners::default()).await;
    let slow = Hooks::start(Manners { slow: 5.0, ..Manners::default() }).await;
    let mut run = spawn(night(&world, &slow, &heartbeat));
    slow.heard(1).await;
    signal(&run, "-KILL").await;
    run.wait().await.unwrap();
    assert_eq!(posts(&world).await, "env TEST_SLACK: pending 0; file hook.secret: pending 0");
    assert_eq!(world.mails().len() + world.thread_mails().len(), MAILS);

    let quick = Hooks::start(Manners::default()).await;
    // The lease of the killed run is over by then.
    let again = world.command(&["run", "--as-of", "2026-03-03", "--now", "2026-03-04T03:00:00Z"]);
    told(addressed(again, &world, &quick.url(""), &heartbeat.url(""))).await.expect(0);
    let (before, after) = (slow.requests(), quick.requests());
    assert_eq!(paths(&after), ["POST /slack/…", "POST /json/…"]);
    assert_eq!(before[0].headers["idempotency-key"], after[0].headers["idempotency-key"]);
    assert_eq!(before[0].body, after[0].body);
    assert_eq!(world.mails().len() + world.thread_mails().len(), MAILS);
    assert_eq!(posts(&world).await, "env TEST_SLACK: done 1; file hook.secret: done 1");
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_waits_for_a_post_that_is_on_its_way() {
    let world = on_the_eve().await;
    let heartbeat = Hooks::start(Manners::default()).await;
    let slow = Hooks::start(Manners { slow: 2.0, ..Manners::default() }).await;
    let run = spawn(night(&world, &slow, &heartbeat));
    slow.heard(1).await;
    signal(&run, "-TERM").await;
    let ended: Told = run.wait_with_output().await.unwrap().into();
    ended.expect(1).complains("stopped before it was over");
    assert_eq!(posts(&world).await, "env TEST_SLACK: done 1; file hook.secret: pending 0");
    assert_eq!(paths(&heartbeat.requests()), ["GET /ping/…/start", "POST /ping/…/fail"]);
    assert!(heartbeat.requests()[1].body.starts_with("exit code 1: stopped"), "{}", heartbeat.requests()[1].body);
    let quick = Hooks::start(Manners::default()).await;
    told(night(&world, &quick, &heartbeat)).await.expect(0);
    assert_eq!(paths(&quick.requests()), ["POST /json/…"]);
}

#[tokio::test]
async fn a_chat_hears_only_of_its_experiments_and_its_nights() {
    let mut world = on_the_eve().await;
    world.settings["chat"] = json!([
        { "kind": "slack", "url": { "env": "TEST_SLACK" }, "when": ["quiet", "broken"] },
        { "kind": "json", "url": { "file": "hook.secret" }, "experiments": ["steady"] },
    ]);
    world.configure();
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    told(night(&world, &chats, &heartbeat)).await.expect(0);
    let posted = chats.requests();
    assert_eq!(paths(&posted), ["POST /json/…"].map(str::to_owned), "the night was not quiet");
    let experiments = posted[0].json()["experiments"].as_array().unwrap().clone();
    assert_eq!(experiments.iter().map(|e| e["name"].clone()).collect::<Vec<Value>>(), ["steady"]);
}

#[tokio::test]
async fn a_secret_that_is_missing_keeps_no_night_from_its_work() {
    let world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let mut run = night(&world, &chats, &heartbeat);
    run.env_remove("TEST_SLACK").env_remove("TEST_HEARTBEAT");
    let first = told(run).await.expect(4);
    assert_eq!(paths(&chats.requests()), ["POST /json/…"]);
    assert!(
        unfinished(&first)[0].ends_with("chat.url: environment variable TEST_SLACK is not set"),
        "{:?}",
        unfinished(&first)
    );
    first.complains("there is no heartbeat tonight: heartbeat.url: environment variable TEST_HEARTBEAT is not set");
    assert_eq!(world.allocations("steady").await, "control 0.7500, candidate 0.2500");
    told(night(&world, &chats, &heartbeat)).await.expect(0);
    assert_eq!(chats.requests().len(), 2);
}

#[tokio::test]
async fn a_night_that_fails_at_once_is_a_failure_to_the_heartbeat() {
    let world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    std::fs::rename(world.path("control.db"), world.path("away.db")).unwrap();
    told(night(&world, &chats, &heartbeat)).await.expect(1);
    let pinged = heartbeat.requests();
    assert_eq!(paths(&pinged), ["GET /ping/…/start", "POST /ping/…/fail"]);
    assert!(pinged[1].body.starts_with("exit code 1: the control store "), "{}", pinged[1].body);

    std::fs::rename(world.path("away.db"), world.path("control.db")).unwrap();
    let lease = "INSERT INTO rampkeeper_leases (name, holder, expires_at) VALUES
                 ('night', 'another-host/17', '2026-03-04T02:00:00.000001Z')";
    world.sql(lease).await;
    told(night(&world, &chats, &heartbeat)).await.expect(75);
    let pinged = heartbeat.requests();
    assert_eq!(paths(&pinged[2..]), ["GET /ping/…/start", "POST /ping/…/fail"]);
    assert!(pinged[3].body.starts_with("exit code 75: another run holds the lease"), "{}", pinged[3].body);
}

#[tokio::test]
async fn a_heartbeat_that_is_away_fails_no_night_and_is_logged_once() {
    let world = on_the_eve().await;
    let chats = Hooks::start(Manners::default()).await;
    let refusing = Hooks::start(Manners { always: Some(404), ..Manners::default() }).await;
    let run = told(night(&world, &chats, &refusing)).await.expect(0);
    let lines: Vec<&str> = run.err.lines().filter(|line| line.contains("heartbeat")).collect();
    assert!(lines.len() == 1 && lines[0].contains("could not be pinged") && lines[0].contains("404"), "{lines:?}");

    let mut again = night(&world, &chats, &refusing);
    again.env("TEST_HEARTBEAT", format!("http://127.0.0.1:{}/{TOKEN}", closed_port()));
    let again = told(again).await.expect(0);
    let lines: Vec<&str> = again.err.lines().filter(|line| line.contains("heartbeat")).collect();
    assert!(lines.len() == 1 && lines[0].contains("in each of 3 attempts"), "{lines:?}");
}

#[tokio::test]
async fn serve_pings_for_every_night() {
    let mut world = on_the_eve().await;
    world.settings["schedule"] = json!({ "cron": "* * * * * *" });
    world.configure();
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    std::fs::rename(world.path("control.db"), world.path("away.db")).unwrap();
    let serve = addressed(world.nightly("serve", day(1)), &world, &chats.url(""), &heartbeat.url(""));
    let serve = spawn(serve);
    heartbeat.heard(2).await;
    std::fs::rename(world.path("away.db"), world.path("control.db")).unwrap();
    chats.heard(2).await;
    let so_far = heartbeat.requests().len();
    heartbeat.heard(so_far + 2).await;
    signal(&serve, "-TERM").await;
    Told::from(serve.wait_with_output().await.unwrap()).expect(0);
    let pinged = paths(&heartbeat.requests());
    assert_eq!(pinged[..2], ["GET /ping/…/start", "POST /ping/…/fail"]);
    assert!(pinged.contains(&"POST /ping/…".to_owned()), "{pinged:?}");
    assert_eq!(paths(&chats.requests()), ["POST /slack/…", "POST /json/…"]);
}

/// All that the program writes or says, with every log record that there is.
#[tokio::test]
async fn an_address_is_seen_nowhere() {
    let world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let unwilling =
        Hooks::start(Manners { answers: &["503", "302", "404"], always: Some(410), ..Manners::default() }).await;
    let closed = format!("http://127.0.0.1:{}", closed_port());
    for (format, chats, heartbeat) in [
        ("text", closed.clone(), closed.clone()),
        ("json", "not an address".to_owned(), "ftp://example.com".to_owned()),
        ("json", unwilling.url(""), unwilling.url("")),
        ("text", chats.url(""), heartbeat.url("")),
    ] {
        for what in ["check", "run"] {
            let mut command = addressed(world.nightly(what, day(1)), &world, &chats, &heartbeat);
            command.env("RAMPKEEPER_LOG", "trace").args(["--log-format", format, "--output", format]);
            let said = told(command).await;
            assert!(said.err.len() > 100, "nothing was logged: {}", said.err);
            for text in [&said.out, &said.err] {
                let line = text.lines().find(|line| line.contains(TOKEN)).unwrap_or_default();
                assert_eq!(line, "", "{what}, {chats}");
            }
        }
    }
    let mut folders = vec![world.path("")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != "hook.secret" {
                files += 1;
                let bytes = std::fs::read(entry.path()).unwrap();
                let found = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
                assert!(!found, "{} holds the address", entry.path().display());
            }
        }
    }
    assert!(files > 5, "{files}");
}

#[tokio::test]
async fn check_looks_whether_they_are_there_and_tells_nobody() {
    let mut world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let check = |world: &World, chats: &str, heartbeat: &str| {
        let command = world.command(&["check", "--only", "chat,heartbeat", "--output", "json"]);
        told(addressed(command, world, chats, heartbeat))
    };
    let lines = |told: &Told| {
        let found = told.json()["lines"].as_array().expect("lines").clone();
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        found
            .iter()
            .map(|f| format!("{} {} {}: {}", text(&f["state"]), text(&f["area"]), text(&f["what"]), text(&f["detail"])))
            .collect::<Vec<_>>()
    };
    let well = check(&world, &chats.url(""), &heartbeat.url("")).await.expect(0);
    let (at, beat) = (chats.url(""), heartbeat.url(""));
    assert_eq!(
        lines(&well),
        [
            format!("ok chat env TEST_SLACK: {at} is there; Slack, all experiments; nothing was posted"),
            format!("ok chat file hook.secret: {at} is there; JSON, all experiments; nothing was posted"),
            format!("ok heartbeat env TEST_HEARTBEAT: {beat} is there; nothing was pinged"),
        ]
    );
    assert!(chats.requests().is_empty() && heartbeat.requests().is_empty());

    // A name that nobody has is told where the store is asked as well.
    world.settings["chat"][0]["experiments"] = json!(["steady", "cosstly"]);
    world.configure();
    let whole = world.command(&["check", "--output", "json", "--now", "2026-03-04T02:00:00Z"]);
    let whole = told(addressed(whole, &world, &chats.url(""), &heartbeat.url(""))).await;
    let words = "warn chat env TEST_SLACK: is to be told of cosstly, and there is no such experiment";
    assert!(lines(&whole).iter().any(|line| line == words), "{:?}", lines(&whole));

    let gone = format!("http://127.0.0.1:{}", closed_port());
    let ill = check(&world, &gone, "no address").await.expect(1);
    let ill = lines(&ill);
    assert!(ill[0].starts_with("fail chat env TEST_SLACK: ") && ill[0].contains("could not be reached"), "{ill:?}");
    assert!(ill[2].starts_with("fail heartbeat env TEST_HEARTBEAT: ") && ill[2].contains("no address"), "{ill:?}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_given() {
    let mut world = on_the_eve().await;
    let (chats, heartbeat) = (Hooks::start(Manners::default()).await, Hooks::start(Manners::default()).await);
    let door = Door::with_tls(chats.port(), &["localhost"], 30).await;
    let encrypted = format!("https://localhost:{}", door.port());
    let run = |world: &World| {
        let command = world.nightly("run", day(1));
        let mut command = addressed(command, world, &encrypted, &heartbeat.url(""));
        command.args(["--output", "json"]);
        command
    };
    let stranger = told(run(&world)).await.expect(4);
    let left = unfinished(&stranger);
    assert!(left.len() == 2 && left.iter().all(|line| line.contains("certificate")), "{left:?}");
    assert!(left.iter().all(|line| !line.contains("attempts")), "not repeated: {left:?}");
    assert!(chats.requests().is_empty());
    for entry in [0, 1] {
        world.settings["chat"][entry]["ca_file"] = json!(door.ca());
    }
    world.configure();
    told(run(&world)).await.expect(0);
    assert_eq!(chats.requests().len(), 2);
}
