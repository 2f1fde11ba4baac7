//! A registry that others write to, on a real MLflow server; and servers that hang.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rampkeeper::apply::action_of_mail;
use rampkeeper::config;
use rampkeeper::control::{ControlStore, NewAction, Run};
use rampkeeper::night::Night;
use rampkeeper::notify::{SmtpMailer, SmtpSettings, Tls};
use rampkeeper::registry::{Auth, MlflowRegistry, MlflowSettings, Service, install_crypto_provider};
use rampkeeper::report::MailDraft;
use rampkeeper::warehouse::LakeWarehouse;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{assign, incidents, night, on_the_eve_of_a_rollback, units_on};
use crate::embedded::{World, better, day, key, outcome, told, two_in_the_night_after};
use crate::support::mlflow::Mlflow;

/// The world's model on the real server: version 1 in production, version 2 the candidate, version 3 a stranger.
async fn on_mlflow(world: &mut World, model: &str) -> &'static Mlflow {
    let mlflow = Mlflow::shared().await;
    mlflow.create_model(model).await;
    for (stage, alias) in [(Some("production"), "champion"), (Some("candidate"), "challenger"), (None, "spare")] {
        let version = mlflow.create_version(model).await;
        if let Some(stage) = stage {
            mlflow.set_version_tag(model, &version, "stage", stage).await;
        }
        mlflow.set_alias(model, alias, &version).await;
    }
    world.settings["registry"] = json!({ "mlflow": { "url": mlflow.url() } });
    world.configure();
    mlflow
}

fn aliases(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(alias, version)| ((*alias).to_owned(), (*version).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_that_somebody_else_has_named_survives_a_promotion_and_is_told() {
    let mut world = World::new(vec![better("distrusted")]).await;
    let (model, mlflow) = ("distrusted_model", on_mlflow(&mut world, "distrusted_model").await);
    // A hotfix by hand, while the candidate is on its ramp.
    mlflow.set_alias(model, "champion", "3").await;
    let mut promoted = None;
    for n in 0..14 {
        world.live(day(n)).await;
        let (report, code) = night(&world, day(n)).await;
        if outcome(&report, "distrusted") == "promote" {
            assert_eq!(code, Some(3), "{report:#}");
            promoted = Some((day(n), report));
            break;
        }
        assert_eq!((code, incidents(&report)), (Some(0), vec![]), "{report:#}");
    }
    let (last, report) = promoted.expect("a promotion");
    assert_eq!(incidents(&report), [("alias champion of distrusted_model", "version 3")]);
    let incident = &report["incidents"][0];
    assert_eq!(incident["expected"], "version 1 or none, before it is pointed at version 2");
    assert_eq!(incident["decision"], report["experiments"][0]["candidates"][0]["decision_id"]);
    assert_eq!(report["unfinished"], json!([]));
    // All that is not the alias is as decided.
    assert_eq!(mlflow.aliases(model).await, aliases(&[("champion", "3"), ("spare", "3")]));
    assert_eq!(mlflow.version_tags(model, "1").await["stage"], "archived");
    assert_eq!(mlflow.version_tags(model, "2").await["stage"], "production");
    let mails = world.mails();
    let told_of = |mails: &[String]| mails.iter().filter(|mail| mail.contains("Not as decided")).count();
    assert_eq!(told_of(&mails), 1);
    // The promotion's own mail says it as well, so no answer follows in its thread.
    let own = world.thread_mails();
    assert!(own.len() == 1 && told_of(&own) == 1 && own[0].contains("PROMOTED  candidate"), "{own:?}");
    let page = world.page(last);
    assert!(page.contains("alias champion of distrusted_model: found version 3, expected version 1 or none"), "{page}");

    // It stays as it is: told by the exit code and in one line, and by no second mail.
    let again = told(world.nightly("run", last)).await.expect(3);
    assert!(again.out.contains("alias champion of distrusted_model: still not as decided, since"), "{}", again.out);
    assert_eq!(world.mails().len(), mails.len());
    mlflow.set_alias(model, "champion", "2").await;
    let (mended, code) = night(&world, last).await;
    assert_eq!((code, incidents(&mended)), (Some(0), vec![]));
    assert_eq!(world.mails().len(), mails.len(), "the mending needs no mail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_archives_a_version_that_somebody_put_into_production_and_leaves_a_moved_challenger() {
    let mut world = on_the_eve_of_a_rollback().await;
    let (model, mlflow) = ("costly_model", on_mlflow(&mut world, "costly_model").await);
    mlflow.set_version_tag(model, "2", "stage", "production").await;
    mlflow.set_alias(model, "challenger", "3").await;
    let (report, code) = night(&world, day(1)).await;
    assert_eq!((outcome(&report, "costly"), code), ("rollback", Some(3)));
    assert_eq!(incidents(&report), [("tag stage of costly_model version 2", "production")]);
    assert_eq!(mlflow.version_tags(model, "2").await["stage"], "archived");
    let all = aliases(&[("champion", "1"), ("challenger", "3"), ("spare", "3")]);
    assert_eq!(mlflow.aliases(model).await, all);
    // It was told, and is as decided: nothing is left to say.
    let (again, code) = night(&world, day(1)).await;
    assert_eq!((code, incidents(&again)), (Some(0), vec![]));
    assert_eq!(world.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_a_night_that_broke_off_is_told_by_the_next() {
    let mut world = on_the_eve_of_a_rollback().await;
    // Set by hand after the last night that saw it.
    world.sql("UPDATE rampkeeper_registry_tags SET value = 'production' WHERE version = '2'").await;
    // The disk is full when the mail is to be journalled.
    world
        .sql(
            "CREATE TRIGGER full BEFORE INSERT ON rampkeeper_actions WHEN NEW.kind = 'mail'
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .await;
    told(world.nightly("run", day(1))).await.expect(1).complains("the disk is full");
    assert!(world.mails().is_empty());
    world.sql("DROP TRIGGER full").await;
    world.live(day(2)).await;
    let (report, code) = night(&world, day(2)).await;
    assert_eq!(code, Some(3));
    assert_eq!(incidents(&report), [("tag stage of costly_model version 2", "production")]);
    assert!(world.mails().iter().any(|mail| mail.contains("found production, expected candidate or none")));
    // The mail of the decision that it contradicts says it, too, so nothing follows in its thread.
    let own = world.thread_mails();
    assert!(own.len() == 1 && own[0].contains("Not as decided"), "{own:?}");
    assert_eq!(night(&world, day(2)).await.1, Some(0));
    assert_eq!(world.thread_mails().len(), 1);
}

/// A server that never answers, and notes what the allocations were whenever somebody comes.
async fn witness(world: &Arc<World>, seen: &Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (world, seen) = (Arc::clone(world), Arc::clone(seen));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
            let allocations = world.allocations("costly").await;
            seen.lock().unwrap().push(allocations);
        }
    });
    port
}

/// What an earlier night might have left: a step for the registry and a mail.
fn left_over() -> Vec<NewAction> {
    let step = json!({
        "step": "set_tag", "version": { "model": "older_model", "version": "2" }, "key": "stage", "value": "archived",
    });
    let mail = MailDraft {
        from: "rampkeeper@example.com".into(),
        to: vec!["team@example.com".into()],
        reply_to: None,
        subject: "an older night".into(),
        text: "told late".into(),
        html: "told late".into(),
        message_id: "older@example.com".into(),
        date: two_in_the_night_after(day(0)).parse().unwrap(),
        list_id: "rampkeeper.example.com".into(),
        headers: Vec::new(),
        in_reply_to: None,
        pictures: Vec::new(),
        attachments: Vec::new(),
    };
    vec![
        NewAction {
            idempotency_key: "older/0/set_tag".into(),
            decision: None,
            kind: "set_tag".into(),
            payload: json!({ "experiment": key("older"), "unit_type": "user", "step": step }),
            not_before: None,
        },
        action_of_mail(&mail),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollbacks_allocation_waits_for_no_server_that_hangs() {
    install_crypto_provider();
    let world = Arc::new(on_the_eve_of_a_rollback().await);
    assign(&world, "candidate", "u", 100).await;
    let (registry_saw, mailer_saw) = (Arc::default(), Arc::default());
    let registry_port = witness(&world, &registry_saw).await;
    let mail_port = witness(&world, &mailer_saw).await;
    let quick = Duration::from_millis(600);
    let registry = MlflowRegistry::new(MlflowSettings {
        url: format!("http://127.0.0.1:{registry_port}").parse().unwrap(),
        auth: Auth::None,
        service: Service::Mlflow,
        workspace: None,
        timeout: quick,
        ca_file: None,
        retries: 2,
        retry_delay: Duration::from_millis(50),
    });
    let mailer = SmtpMailer::new(SmtpSettings {
        host: "127.0.0.1".into(),
        port: mail_port,
        tls: Tls::None,
        username: None,
        password: None,
        timeout: quick,
        ca_file: None,
        retries: 2,
        retry_delay: Duration::from_millis(50),
    });
    let config = config::load(&world.path("rampkeeper.yml")).unwrap();
    let url = format!("sqlite:{}?mode=rw", world.path("control.db").display());
    let control = ControlStore::connect(&url.into()).await.unwrap();
    let now = two_in_the_night_after(day(1)).parse().unwrap();
    let run = Uuid::from_u128(1);
    control.start_run(Run::night(run), day(0), "digest", now).await.unwrap();
    control.tell(run, day(0), &left_over(), &[], now).await.unwrap();
    let warehouse = LakeWarehouse::open(world.path("lake")).unwrap();
    let (registry, mailer) = (registry.unwrap(), mailer.unwrap());
    let night = Night {
        config: &config,
        control: &control,
        warehouse: &warehouse,
        registry: &registry,
        mailer: Some(&mailer),
        chat: None,
        as_of: day(1),
        now,
        holder: "test".into(),
    };
    let began = Instant::now();
    let report = night.run().await.unwrap();
    let took = began.elapsed();
    // Two servers, each asked for at most two things, three times: 3.6 s each, and a little between.
    assert!(took < Duration::from_secs(15), "{took:?}");
    let report: Value = json!(report);
    assert_eq!(outcome(&report, "costly"), "rollback");
    assert_eq!(world.allocations("costly").await, "control 1.0000, candidate 0.0000");
    assert_eq!((units_on(&world, "candidate").await, units_on(&world, "control").await), (0, 100));
    for (saw, who) in [(&registry_saw, "registry"), (&mailer_saw, "mail server")] {
        let saw = saw.lock().unwrap();
        assert!(!saw.is_empty(), "the {who} was never asked");
        for allocations in saw.iter() {
            assert_eq!(allocations, "control 1.0000, candidate 0.0000", "the {who} was asked before that");
        }
    }
    let unfinished = report["unfinished"].as_array().unwrap();
    assert_eq!(unfinished.len(), 6, "{unfinished:#?}");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_leases").await, 0);
}
