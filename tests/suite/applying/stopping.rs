//! SIGTERM and SIGINT: what is committed stays, the lease is given back, and the process ends while its manager waits.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::{Child, Command};

use super::{Hanging, night, on_the_eve_of_a_rollback};
use crate::embedded::{Told, World, day};

/// Sends a signal to a program at work.
pub(super) async fn send(child: &Child, signal: &str) {
    let pid = child.id().expect("it is at work").to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
}

async fn until(what: &str, mut answer: impl FnMut() -> bool) {
    let began = Instant::now();
    while !answer() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what} in vain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends with that code within so many seconds of the signal.
async fn stops(child: Child, signal: &str, code: i32, within: u64) -> Told {
    send(&child, signal).await;
    let asked = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("it ends");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(within), "took {took:?}");
    Told::from(ended.unwrap()).expect(code)
}

async fn is_as_a_stopped_night_leaves_it(world: &World) {
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0, "the lease is given back");
    assert_eq!(world.allocations("costly").await, "control 1.0000, candidate 0.0000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_to_stop_gives_the_lease_back_and_the_next_goes_on() {
    for signal in ["-TERM", "-INT"] {
        let mut world = on_the_eve_of_a_rollback().await;
        let registry = Hanging::start().await;
        let local = world.settings["registry"].take();
        world.settings["registry"] = json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", registry.port) } });
        world.configure();
        let run = start(world.nightly("run", day(1)));
        until("the registry to be asked", || registry.visits() > 0).await;
        let told = stops(run, signal, 1, 5).await;
        told.complains(&format!("SIG{}: stopping", &signal[1..])).complains("the next run goes on from there");
        is_as_a_stopped_night_leaves_it(&world).await;
        assert!(world.mails().is_empty());

        world.settings["registry"] = local;
        world.configure();
        let (report, code) = night(&world, day(1)).await;
        assert_eq!((code, report["resumed"].as_array().unwrap().len()), (Some(0), 2), "{report:#}");
        let mails = world.mails();
        assert!(mails.len() == 1 && mails[0].contains("ROLLED BACK  candidate"), "{mails:?}");
        let own = world.thread_mails();
        assert!(own.len() == 1 && own[0].contains("ROLLED BACK  candidate"), "{own:?}");
    }
}

/// A mail that is on its way is waited for, lest it go out twice; but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_hangs_does_not_keep_a_run_from_stopping() {
    let mut world = on_the_eve_of_a_rollback().await;
    let server = Hanging::start().await;
    world.settings["mail"] = json!({
        "from": "rampkeeper@example.com", "to": ["team@example.com"],
        "smtp": { "host": "127.0.0.1", "port": server.port, "encryption": "none" },
    });
    world.configure();
    let run = start(world.nightly("run", day(1)));
    until("the mail server to be asked", || server.visits() > 0).await;
    stops(run, "-TERM", 1, 15).await;
    is_as_a_stopped_night_leaves_it(&world).await;
    assert_eq!(
        world.count("SELECT count(*) FROM rampkeeper_actions WHERE kind = 'mail' AND status = 'pending'").await,
        2,
        "the digest and the rollback's own"
    );
}

/// A service manager kills what has not ended within half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn serve_breaks_a_night_off_that_takes_too_long() {
    let mut world = on_the_eve_of_a_rollback().await;
    let registry = Hanging::start().await;
    world.settings["registry"] = json!({ "mlflow": { "url": format!("http://127.0.0.1:{}", registry.port) } });
    world.settings["schedule"] = json!({ "cron": "* * * * * *" });
    world.configure();
    let serve = start(world.nightly("serve", day(1)));
    until("the registry to be asked", || registry.visits() > 0).await;
    let told = stops(serve, "-TERM", 0, 20).await;
    told.complains("it is broken off, the next one goes on");
    is_as_a_stopped_night_leaves_it(&world).await;
}
