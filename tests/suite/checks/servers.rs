//! The servers that a night talks to: who they are, whether they let us in, and whether the way to them can be trusted.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rampkeeper::control::ControlStore;
use serde_json::{Value, json};
use tokio::process::Command;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Answers, sound};
use crate::embedded::{World, better, closed_port, day};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};
use crate::support::tls::Door;

/// `check` by the clock: certificates are of today.
fn at_the_clock(world: &World, arguments: &[&str]) -> Command {
    world.command(&[&["check"], arguments].concat())
}

/// The same about one area.
fn about(world: &World, area: &str) -> Command {
    at_the_clock(world, &["--only", area])
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

// ---------------------------------------------------------------------------------------------------------------------
// Servers that are away

/// Somebody sits in front of it: a server that takes the call and then says nothing must not be waited for without end.
#[tokio::test]
async fn servers_that_say_nothing_are_told_in_time_and_together() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut world = World::bare(vec![]);
    let database = json!({ "url": format!("postgres://guard@127.0.0.1:{port}/app") });
    world.settings["control"] = database.clone();
    world.settings["warehouse"] = json!({ "postgres": database });
    world.settings["registry"] =
        json!({ "mlflow": { "url": format!("http://127.0.0.1:{port}"), "timeout_seconds": 600 } });
    world.settings["mail"] = json!({
        "from": "rampkeeper@example.com", "to": ["team@example.com"], "smtp": { "host": "127.0.0.1", "port": port },
    });
    world.configure();
    let began = Instant::now();
    let answers = Answers::of(world.nightly("check", day(1)), 1).await;
    assert!(began.elapsed() < Duration::from_secs(25), "took {:?}", began.elapsed());
    for area in ["control", "warehouse", "registry", "mail"] {
        assert!(answers.states(area).contains(&"fail"), "{area}: {:#?}", answers.0);
    }
    answers.say("configuration", "files", "ok", "metrics");
}

// ---------------------------------------------------------------------------------------------------------------------
// MLflow

/// A world whose two versions are in the server's registry, or not.
async fn on_mlflow(experiment: &'static str, url: &str, registered: bool) -> World {
    let mut world = World::new(vec![better(experiment)]).await;
    if registered {
        let mlflow = Mlflow::shared().await;
        let model = format!("{experiment}_model");
        mlflow.create_model(&model).await;
        for number in ["1", "2"] {
            assert_eq!(mlflow.create_version(&model).await, number);
        }
    }
    world.settings["registry"] = json!({ "mlflow": { "url": url } });
    world.configure();
    world
}

#[tokio::test]
async fn mlflow_tells_its_version_and_which_versions_it_lacks() {
    let mlflow = Mlflow::shared().await;
    let known = on_mlflow("checked_known", mlflow.url(), true).await;
    let answers = Answers::of(about(&known, "registry"), 0).await;
    answers.say("registry", "server", "ok", ", version 3.").say("registry", "versions", "ok", "all 2 that are served");
    let unknown = on_mlflow("checked_unknown", mlflow.url(), false).await;
    let answers = Answers::of(about(&unknown, "registry"), 1).await;
    answers
        .say("registry", "server", "ok", "version 3.")
        .say("registry", "checked_unknown_model version 1", "fail", "is served by checked_unknown, control")
        .say("registry", "checked_unknown_model version 2", "fail", "register it");
}

#[tokio::test]
async fn a_host_name_that_mlflow_does_not_take_is_explained() {
    let mlflow = Mlflow::shared().await;
    let door = Door::plain(port_of(mlflow.url()), "127.0.0.2").await;
    let world = on_mlflow("checked_host", &format!("http://127.0.0.2:{}", door.port()), false).await;
    let answers = Answers::of(about(&world, "registry"), 1).await;
    answers.say("registry", "server", "fail", "Invalid Host header").say(
        "registry",
        "server",
        "fail",
        "start MLflow with `--allowed-hosts`",
    );
}

#[tokio::test]
async fn a_login_that_mlflow_refuses_is_explained_and_not_repeated() {
    let tracker = MockServer::start().await;
    let echo = json!({ "error_code": "UNAUTHENTICATED", "message": "the token tok3n-secret is not known" });
    Mock::given(any()).respond_with(ResponseTemplate::new(401).set_body_json(echo)).mount(&tracker).await;
    let mut world = sound().await;
    world.settings["registry"] =
        json!({ "mlflow": { "url": tracker.uri(), "token": { "env": "RAMPKEEPER_TEST_TOKEN" } } });
    world.configure();
    let mut command = about(&world, "registry");
    command.env("RAMPKEEPER_TEST_TOKEN", "tok3n-secret");
    let answers = Answers::of(command, 1).await;
    answers.say("registry", "server", "fail", "401").say("registry", "server", "fail", "correct the user and password");
    assert!(!format!("{:?}", answers.0).contains("tok3n-secret"));
}

/// MLflow has no encryption of its own; a door before it has.
#[tokio::test]
async fn mlflow_behind_tls_is_trusted_by_its_authority_and_name_alone() {
    let mlflow = Mlflow::shared().await;
    let upstream = port_of(mlflow.url());
    let (door, other) = tokio::join!(
        Door::with_tls(upstream, &["localhost"], 90),
        Door::with_tls(upstream, &["mlflow.example.com"], 3)
    );
    let mut world = sound().await;
    let mut at = |host: &str, door: &Door, ca: bool| {
        let mut entry = json!({ "url": format!("https://{host}:{}", door.port()) });
        if ca {
            entry["ca_file"] = json!(door.ca());
        }
        world.settings["registry"] = json!({ "mlflow": entry });
        world.configure();
        about(&world, "registry")
    };
    let trusted = Answers::of(at("localhost", &door, true), 1).await;
    trusted.say("registry", "server", "ok", ", version 3.").say("registry", "certificate", "ok", "for 90 more days");
    let words = "the certificate of https://localhost";
    let stranger = Answers::of(at("localhost", &door, false), 1).await;
    stranger.say("registry", "server", "fail", words).say("registry", "server", "fail", "UnknownIssuer");
    let elsewhere = Answers::of(at("localhost", &other, true), 1).await;
    elsewhere.say("registry", "server", "fail", words).say("registry", "server", "fail", "not valid for name");
    let another = Answers::of(at("127.0.0.1", &door, true), 1).await;
    another.say("registry", "server", "fail", "not valid for name");
    // A file that is no certificate is told as such.
    world.write("empty.pem", "no certificate\n");
    world.settings["registry"]["mlflow"]["ca_file"] = json!("empty.pem");
    world.configure();
    let answers = Answers::of(about(&world, "registry"), 1).await;
    answers.say("registry", "settings", "fail", "no `-----BEGIN CERTIFICATE-----` in it");
}

// ---------------------------------------------------------------------------------------------------------------------
// Mail

fn mail(server: &Smtp, ca: bool) -> Value {
    let mut smtp = json!({
        "host": "localhost", "port": server.port(), "username": "rampkeeper", "password": { "env": "RAMPKEEPER_TEST_SMTP" },
    });
    if ca {
        smtp["ca_file"] = json!(server.ca());
    }
    json!({ "from": "Rampkeeper <rampkeeper@example.com>", "to": ["team@example.com"], "smtp": smtp })
}

#[tokio::test]
async fn a_mail_server_is_asked_up_to_the_mail_itself() {
    let login = Some(("rampkeeper", "ma1l-secret"));
    let server = Smtp::start(Rules { starttls: true, login, ..Rules::default() }).await;
    let mut world = sound().await;
    let mut asked = async |password: &str, ca: bool, code: i32| {
        world.settings["mail"] = mail(&server, ca);
        world.configure();
        let mut command = about(&world, "mail");
        command.env("RAMPKEEPER_TEST_SMTP", password);
        let answers = Answers::of(command, code).await;
        assert!(!format!("{:?}", answers.0).contains(password));
        answers
    };
    let answers = asked("ma1l-secret", true, 0).await;
    answers
        .say("mail", "server", "ok", "(STARTTLS, authenticated): lets us in")
        .say("mail", "certificate", "warn", "for 7 more days")
        .say("mail", "owners of steady", "ok", "dana@example.com");
    asked("an0ther-secret", true, 1).await.say("mail", "server", "fail", "check the mail user name and password");
    asked("ma1l-secret", false, 1).await.say("mail", "server", "fail", "as the CA file");
    assert!(server.mails().is_empty(), "nothing is sent");
}

// ---------------------------------------------------------------------------------------------------------------------
// PostgreSQL

const TEXTS: &str = "
    INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, payload, timestamp)
    SELECT 'plan_generated', 'user', n::text,
           CASE WHEN n % 10 = 0 THEN '{\"cost\": \"0.02 EUR\"}' ELSE '{\"cost\": 0.02}' END::jsonb, '{\"price\": 3}',
           '2026-03-03T23:30:00Z'
    FROM generate_series(1, 100) AS n;";

/// A world of which nothing but the lake and the mails is its own.
async fn on_postgres(postgres: &Postgres, name: &str) -> (World, String) {
    let url = postgres.database(name).await;
    let mut world = World::bare(vec![]);
    world.settings["control"] = json!({ "url": url });
    world.settings["warehouse"] = json!({ "postgres": {} });
    world.settings["registry"] = json!({ "local": {} });
    world.configure();
    (world, url)
}

#[tokio::test]
async fn a_database_without_tables_names_the_migration_and_then_is_well() {
    let postgres = Postgres::shared().await;
    let (world, url) = on_postgres(postgres, "checked").await;
    let answers = Answers::of(at_the_clock(&world, &[]), 1).await;
    answers
        .say("control", "server", "ok", "PostgreSQL 1")
        .say("control", "migrations", "fail", "run `rampkeeper migrate`")
        .say("control", "clock", "ok", "the server's clock")
        .say("warehouse", "tables", "fail", "the table exp.events is not there")
        .say("experiments", "tables", "fail", "run `rampkeeper migrate`")
        .say("lease", "lease", "fail", "run `rampkeeper migrate`");
    world.run(&["migrate"]).await.expect(0);
    let answers = Answers::of(at_the_clock(&world, &[]), 0).await;
    answers
        .say("control", "migrations", "ok", "applied")
        .say("warehouse", "tables", "ok", "the columns that are read")
        .say("warehouse", "time limit", "ok", "600 s")
        .say("metrics", "cost_per_plan", "ok", "its query is sound")
        .say("grants", "control", "warn", "postgres is a superuser");
    postgres.sql(&url, "ALTER TABLE exp.assignments ALTER COLUMN assigned_at TYPE timestamp").await;
    let answers = Answers::of(at_the_clock(&world, &["--only", "warehouse"]), 1).await;
    answers.say(
        "warehouse",
        "tables",
        "fail",
        "column \"assigned_at\" should hold timestamptz, but it holds timestamp",
    );
}

#[tokio::test]
async fn a_metric_is_rehearsed_on_the_newest_events() {
    let postgres = Postgres::shared().await;
    let (world, url) = on_postgres(postgres, "rehearsed").await;
    world.run(&["migrate"]).await.expect(0);
    postgres.sql(&url, TEXTS).await;
    world.write(
        "metrics.yml",
        "metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
  cost_per_plan:
    direction: decrease
    value: { event: plan_generated, sum: cost }
  price:
    direction: decrease
    value: { event: plan_generated, sum: payload.price }
  slow:
    direction: decrease
    value: { event: plan_generated, count_above: { field: latency, threshold: 2000 } }
",
    );
    let mut command = world.nightly("check", day(2));
    command.args(["--only", "metrics,freshness"]);
    let answers = Answers::of(command, 1).await;
    answers
        .say(
            "metrics",
            "acceptance_rate",
            "warn",
            "metrics.yml:4: there is no event of type \"plan_accepted\" on 2026-03-03",
        )
        .say("metrics", "cost_per_plan", "fail", "metrics.yml:8: metrics.cost is no number in 10 of 100 events")
        .say("metrics", "price", "ok", "looked at 100 plan_generated of 2026-03-03")
        .say("metrics", "slow", "fail", "metrics.yml:14: metrics.latency is in none of 100 events")
        .say("freshness", "events", "warn", "the last complete day is 2026-03-03, with 100 events");
    postgres.sql(&url, "ALTER TABLE exp.events DROP COLUMN payload").await;
    let mut command = world.nightly("check", day(2));
    command.args(["--only", "metrics,warehouse"]);
    let answers = Answers::of(command, 1).await;
    answers.say("metrics", "price", "fail", "payload").say("warehouse", "tables", "ok", "the columns that are read");
}

#[tokio::test]
async fn a_database_is_trusted_by_its_authority_and_name_alone() {
    let (secure, plain) = tokio::join!(Postgres::start_with_tls(&["localhost"]), Postgres::start(&[]));
    let url = secure.database("trusted").await;
    let database = url.rsplit('/').next().unwrap().to_owned();
    secure.sql(&url, "CREATE ROLE guard LOGIN SUPERUSER PASSWORD 'd8-secret'").await;
    let mut world = World::bare(vec![]);
    world.settings["registry"] = json!({ "local": {} });
    let mut at = |host: &str, parameters: &str, ca: bool, store: &str| {
        let address = format!("postgres://guard@{host}:{}/{database}{parameters}", secure.port());
        let mut entry = json!({ "url": address, "password": { "env": "RAMPKEEPER_TEST_DB" } });
        if ca {
            entry["ca_file"] = json!(secure.ca());
        }
        match store {
            "control" => {
                world.settings["control"] = entry;
                world.settings["warehouse"] = json!({ "postgres": {} });
            }
            _ => {
                world.settings["control"] = json!({ "url": "sqlite:control.db" });
                world.settings["warehouse"] = json!({ "postgres": entry });
            }
        }
        world.configure();
        let mut command = at_the_clock(&world, &["--only", store]);
        command.env("RAMPKEEPER_TEST_DB", "d8-secret").env_remove("PGSSLMODE");
        command
    };
    for store in ["control", "warehouse"] {
        let trusted = Answers::of(at("localhost", "", true, store), 1).await;
        trusted.say(store, "encryption", "ok", "TLS, certificate checked");
        let stranger = Answers::of(at("localhost", "?sslmode=verify-full", false, store), 1).await;
        stranger.say(
            store,
            "connection",
            "fail",
            "nobody who is trusted signed the server's certificate; give the authority",
        );
        let elsewhere = Answers::of(at("127.0.0.1", "", true, store), 1).await;
        elsewhere.say(store, "connection", "fail", "the server's certificate bears another name than the address");
        let nobody_checks = Answers::of(at("127.0.0.1", "?sslmode=require", false, store), 1).await;
        nobody_checks.say(store, "encryption", "ok", "on this machine");
    }
    let told = crate::embedded::told(at("localhost", "?sslmode=disable", true, "control")).await.expect(78);
    told.complains("this `sslmode` checks no certificate");

    let url = plain.database("plain").await;
    world.settings["control"] = json!({ "url": format!("{url}?sslmode=verify-full") });
    world.settings["warehouse"] = json!({ "lake": { "path": "lake" } });
    world.configure();
    let answers = Answers::of(at_the_clock(&world, &["--only", "control"]), 1).await;
    answers.say("control", "connection", "fail", "the server offers no encryption").say(
        "control",
        "connection",
        "fail",
        "?sslmode=disable",
    );
    // A night says the same.
    world.run(&["run"]).await.expect(1).complains("the server offers no encryption");
}

#[tokio::test]
async fn a_store_shows_its_password_to_nobody() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("shown").await;
    postgres.sql(&url, "CREATE ROLE shown_guard LOGIN PASSWORD 'd8-secret'").await;
    let with_password = url.replace("postgres@", "shown_guard:d8-secret@");
    let store = ControlStore::connect(&with_password.clone().into()).await.unwrap();
    let shown = format!("{store:?} {}", store.describe());
    assert!(!shown.contains("d8-secret"), "{shown}");

    // The driver would log a parameter that it does not know, value and all.
    let mut world = World::bare(vec![]);
    world.settings["control"] = json!({ "url_from": { "env": "RAMPKEEPER_TEST_URL" } });
    world.configure();
    let mut command = at_the_clock(&world, &["--only", "control"]);
    command
        .env("RAMPKEEPER_TEST_URL", format!("{with_password}?sslpassword=k3y-secret"))
        .env("RAMPKEEPER_LOG", "trace");
    let told = crate::embedded::told(command).await;
    assert!(told.err.contains("sslpassword"), "{}", told.err);
    for secret in ["d8-secret", "k3y-secret"] {
        assert!(!told.out.contains(secret) && !told.err.contains(secret), "{secret}: {}{}", told.out, told.err);
    }
}

#[tokio::test]
async fn a_registry_and_a_warehouse_out_of_reach_are_told_and_end_nothing() {
    let mut world = World::new(vec![better("steady")]).await;
    let port = closed_port();
    world.settings["warehouse"] = json!({ "postgres": { "url": format!("postgres://guard@127.0.0.1:{port}/app") } });
    world.settings["registry"] = json!({ "mlflow": { "url": format!("http://127.0.0.1:{port}") } });
    world.configure();
    let answers = Answers::of(world.nightly("check", day(1)), 1).await;
    answers
        .say("warehouse", "connection", "fail", "refused")
        .say("registry", "server", "fail", "is the server up and the URL right?")
        .say("experiments", "steady", "ok", "candidate 10 %");
}
