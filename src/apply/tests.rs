//! Passes over a journal in SQLite, with a registry and a mailer that fail as they are told.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::control::NewAction;
use crate::domain::{ModelVersion, VariantId};
use crate::notify::{MailError, Sent};
use crate::registry::{Refusal, RegistryError, VersionInfo};

fn now() -> Timestamp {
    "2026-03-05T02:00:00Z".parse().unwrap()
}

fn version(model: &str) -> ModelVersion {
    ModelVersion { model: model.into(), version: "2".into() }
}

/// How the registry fails for a model of that name.
fn failure(model: &str) -> Option<RegistryError> {
    let status = match model {
        "hangs" => {
            let source = sqlx::Error::PoolTimedOut;
            return Some(RegistryError::Store { doing: "answer".into(), source });
        }
        "stumbles" => 500,
        "forbidden" => 403,
        _ => return None,
    };
    let (call, message) = ("POST".to_owned(), String::new());
    let refusal = Refusal { call, status, code: None, message, hint: None, attempts: 1, retry_after: None };
    Some(RegistryError::Refused(Box::new(refusal)))
}

/// Remembers its calls.
#[derive(Default)]
struct Scripted(Mutex<Vec<String>>);

impl Scripted {
    fn call(&self, what: &str, model: &str) -> Result<(), RegistryError> {
        self.0.lock().unwrap().push(format!("{what} {model}"));
        failure(model).map_or(Ok(()), Err)
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl Registry for Scripted {
    async fn version(&self, _: &ModelVersion) -> Result<Option<VersionInfo>, RegistryError> {
        Ok(None)
    }

    async fn versions_tagged(&self, _: &str, _: &str, _: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        Ok(Vec::new())
    }

    async fn set_tag(&self, version: &ModelVersion, _: &str, _: &str) -> Result<(), RegistryError> {
        self.call("tag", &version.model)
    }

    async fn alias(&self, model: &str, _: &str) -> Result<Option<ModelVersion>, RegistryError> {
        self.call("read", model).map(|()| None)
    }

    async fn set_alias(&self, version: &ModelVersion, _: &str) -> Result<(), RegistryError> {
        self.call("point", &version.model)
    }

    async fn delete_alias(&self, model: &str, _: &str) -> Result<(), RegistryError> {
        self.call("remove", model)
    }

    fn describe(&self) -> String {
        "scripted".into()
    }
}

/// A mailer whose settings are wrong, or one that refuses every mail for what stands in it.
#[derive(Clone, Copy)]
enum Postman {
    Misconfigured,
    Refusing,
}

#[async_trait]
impl Mailer for Postman {
    async fn send(&self, mail: &Mail) -> Result<Sent, MailError> {
        Err(match self {
            Postman::Misconfigured => MailError::Settings("the certificate is not trusted".into()),
            Postman::Refusing => MailError::NoReceiver { subject: mail.subject.clone() },
        })
    }

    fn describe(&self) -> String {
        "postman".into()
    }
}

struct World {
    control: ControlStore,
    registry: Scripted,
    run: Uuid,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.unwrap();
        control.migrate().await.unwrap();
        let run = Uuid::from_u128(100);
        control.start_run(run, jiff::civil::date(2026, 3, 4), "digest", now()).await.unwrap();
        World { control, registry: Scripted::default(), run, _dir: dir }
    }

    fn applier(&self) -> Applier<'_> {
        Applier::new(&self.control, &self.registry, None, now())
    }

    async fn journal(&self, actions: Vec<NewAction>) {
        self.control.tell(self.run, jiff::civil::date(2026, 3, 4), &actions, now()).await.unwrap();
    }

    /// The keys of what is pending, with how often each was tried.
    async fn pending(&self) -> Vec<(String, i64)> {
        let pending = self.control.pending_actions(now()).await.unwrap();
        pending.into_iter().map(|action| (action.idempotency_key, action.attempts)).collect()
    }
}

fn action(key: &str, experiment: u128, step: Step) -> NewAction {
    let experiment = ExperimentId(Uuid::from_u128(experiment));
    let kind = step.kind().to_owned();
    let payload = json!(StepPayload { experiment, unit_type: "user".into(), step });
    NewAction { idempotency_key: key.into(), decision: None, kind, payload, not_before: None }
}

fn point(model: &str) -> Step {
    Step::SetAlias { alias: "challenger".into(), version: version(model) }
}

fn tag(model: &str) -> Step {
    Step::SetTag { version: version(model), key: "stage".into(), value: "archived".into() }
}

fn mail(id: &str) -> NewAction {
    action_of_mail(&MailDraft {
        from: "rampkeeper@example.com".into(),
        to: vec!["team@example.com".into()],
        reply_to: None,
        subject: format!("night {id}"),
        text: String::new(),
        html: String::new(),
        message_id: id.into(),
        date: now(),
        list_id: "rampkeeper.example.com".into(),
        headers: Vec::new(),
    })
}

fn owned(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(key, attempts)| ((*key).to_owned(), *attempts)).collect()
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_once_a_pass_and_nothing_twice_a_run() {
    let world = World::new().await;
    world
        .journal(vec![
            action("a", 1, tag("hangs")),
            action("b", 2, tag("hangs")),
            action("c", 3, tag("sound")),
            action("d", 3, Step::CompleteExperiment),
        ])
        .await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["tag hangs"]);
    assert_eq!(world.pending().await, owned(&[("a", 1), ("b", 0), ("c", 0)]));
    let unfinished = applier.unfinished();
    assert_eq!(unfinished.len(), 3);
    assert!(unfinished[0].starts_with("tag hangs version 2 stage=archived: "), "{unfinished:?}");
    assert_eq!(unfinished[2], "tag sound version 2 stage=archived: skipped: the registry did not answer");
    // The second pass of the run asks again, but for something else.
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["tag hangs"]);
    assert_eq!(world.pending().await, owned(&[("a", 1), ("b", 1), ("c", 0)]));
    assert_eq!(applier.unfinished().len(), 3);
    // A third finds it back; what was only skipped is done and no longer told.
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["tag sound"]);
    assert_eq!(applier.unfinished().len(), 2);
    // The next run tries everything.
    world.applier().apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[("a", 2), ("b", 1)]));
}

#[tokio::test]
async fn a_server_that_stumbles_over_one_call_is_not_away() {
    let world = World::new().await;
    world.journal(vec![action("a", 1, tag("stumbles")), action("b", 2, tag("sound"))]).await;
    world.applier().apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[("a", 1)]));
}

#[tokio::test]
async fn a_later_registry_step_does_not_overtake_one_that_failed() {
    let world = World::new().await;
    world.journal(vec![action("ramp", 1, point("forbidden"))]).await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    // The rollback of the same night: its alias must not be released before the older step has set it.
    world
        .journal(vec![
            action("release", 1, Step::ReleaseAlias { alias: "challenger".into(), version: version("sound") }),
            action("complete", 1, Step::CompleteExperiment),
            action("other", 2, tag("sound")),
        ])
        .await;
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["point forbidden", "tag sound"]);
    assert_eq!(world.pending().await, owned(&[("ramp", 1), ("release", 0)]));
    let unfinished = applier.unfinished();
    assert!(unfinished[1].ends_with("skipped: an earlier step of the same experiment is still to be done"));
}

#[tokio::test]
async fn a_step_whose_row_is_gone_is_given_up_and_holds_nobody_up() {
    let world = World::new().await;
    let gone = Step::RetireVariant { variant: VariantId(Uuid::from_u128(9)), name: "t_retired".into() };
    world.journal(vec![action("gone", 1, gone), action("tag", 1, tag("sound"))]).await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[]));
    let told = format!("given up: variant {} is not there any more; nothing is left to do", Uuid::from_u128(9));
    assert!(applier.unfinished()[0].ends_with(&told), "{:?}", applier.unfinished());
}

#[tokio::test]
async fn a_step_of_a_later_version_stays_and_holds_its_experiment_up() {
    let world = World::new().await;
    let unknown = NewAction { payload: json!({ "experiment": Uuid::from_u128(1) }), ..action("new", 1, tag("sound")) };
    world.journal(vec![unknown, action("tag", 1, tag("sound"))]).await;
    world.applier().apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[("new", 1), ("tag", 0)]));
}

#[tokio::test]
async fn a_mail_is_given_up_for_what_it_is_and_never_for_the_settings() {
    let world = World::new().await;
    world.journal(vec![mail("1@x"), mail("2@x"), action("tag", 1, tag("sound"))]).await;
    let with = |postman: &'static Postman| Applier::new(&world.control, &world.registry, Some(postman), now());
    let mut applier = with(&Postman::Misconfigured);
    applier.apply_mail().await.unwrap();
    assert_eq!(world.pending().await, owned(&[("mail/1@x", 1), ("mail/2@x", 0), ("tag", 0)]));
    assert!(applier.unfinished()[1].ends_with("skipped: no mail could be sent just before"));
    with(&Postman::Refusing).apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[]));
}
