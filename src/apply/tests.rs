//! Passes over a journal in SQLite, with a registry and a mailer that fail as they are told.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::control::{NewAction, Run};
use crate::domain::{ModelVersion, Share, VariantId};
use crate::notify::{MailError, Sent};
use crate::plan::{Reallocation, Step};
use crate::registry::{Refusal, RegisteredVersion, RegistryError, VersionInfo, VersionStatus};
use crate::report::Incident;

fn now() -> Timestamp {
    "2026-03-05T02:00:00Z".parse().unwrap()
}

fn version(model: &str) -> ModelVersion {
    ModelVersion { model: model.into(), version: "2".into() }
}

fn refusal(status: u16) -> RegistryError {
    let (call, message) = ("POST".to_owned(), String::new());
    let refusal = Refusal { call, status, code: None, message, hint: None, attempts: 1, retry_after: None };
    RegistryError::Refused(Box::new(refusal))
}

/// A registry that remembers its calls, and fails as the model's name says.
#[derive(Default)]
struct Scripted {
    calls: Mutex<Vec<String>>,
    /// Values by model and item: `version 2, tag stage`, `alias champion`.
    values: Mutex<BTreeMap<(String, String), String>>,
    /// What somebody else makes of every write, if somebody does.
    meddler: Mutex<Option<String>>,
}

impl Scripted {
    fn call(&self, what: &str, model: &str) -> Result<(), RegistryError> {
        let mut calls = self.calls.lock().unwrap();
        calls.push(format!("{what} {model}"));
        let error = match model {
            "away" => refusal(503),
            "stumbles" => refusal(500),
            "forbidden" => refusal(403),
            "locked" if calls.len() < 3 => {
                RegistryError::Store { doing: "answer".into(), source: sqlx::Error::PoolTimedOut }
            }
            _ => return Ok(()),
        };
        Err(error)
    }

    /// The calls since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The writes among them.
    fn writes(&self) -> Vec<String> {
        self.calls().into_iter().filter(|call| !call.starts_with("read")).collect()
    }

    /// Sets a value as somebody else would.
    fn put(&self, model: &str, item: &str, value: &str) {
        self.values.lock().unwrap().insert((model.into(), item.into()), value.into());
    }

    fn get(&self, model: &str, item: &str) -> Option<String> {
        self.values.lock().unwrap().get(&(model.to_owned(), item.to_owned())).cloned()
    }

    fn write(&self, model: &str, item: &str, value: &str) {
        let meddled = self.meddler.lock().unwrap().clone();
        self.put(model, item, meddled.as_deref().unwrap_or(value));
    }
}

#[async_trait]
impl Registry for Scripted {
    async fn version(&self, version: &ModelVersion) -> Result<Option<VersionInfo>, RegistryError> {
        self.call("read", &version.model)?;
        let found = self.get(&version.model, &format!("version {}, tag stage", version.version));
        let tags = found.map(|value| ("stage".to_owned(), value)).into_iter().collect();
        Ok(Some(VersionInfo { tags, aliases: Vec::new(), status: VersionStatus::Ready }))
    }

    async fn versions_tagged(&self, model: &str, _: &str, value: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        self.call("read", model)?;
        let values = self.values.lock().unwrap();
        let tagged = values.iter().filter(|((of, _), found)| of == model && *found == value);
        let version = |item: &str| Some(item.strip_prefix("version ")?.strip_suffix(", tag stage")?.to_owned());
        let versions = tagged.filter_map(|((_, item), _)| version(item));
        Ok(versions.map(|version| ModelVersion { model: model.into(), version }).collect())
    }

    async fn versions(&self, _: &str) -> Result<Option<Vec<RegisteredVersion>>, RegistryError> {
        unreachable!("the journal lists no versions")
    }

    async fn set_tag(&self, version: &ModelVersion, _: &str, value: &str) -> Result<(), RegistryError> {
        self.call("tag", &version.model)?;
        self.write(&version.model, &format!("version {}, tag stage", version.version), value);
        Ok(())
    }

    async fn alias(&self, model: &str, alias: &str) -> Result<Option<ModelVersion>, RegistryError> {
        self.call("read", model)?;
        let found = self.get(model, &format!("alias {alias}"));
        Ok(found.map(|version| ModelVersion { model: model.into(), version }))
    }

    async fn set_alias(&self, version: &ModelVersion, alias: &str) -> Result<(), RegistryError> {
        self.call("point", &version.model)?;
        self.write(&version.model, &format!("alias {alias}"), &version.version);
        Ok(())
    }

    async fn delete_alias(&self, model: &str, alias: &str) -> Result<(), RegistryError> {
        self.call("remove", model)?;
        self.values.lock().unwrap().remove(&(model.to_owned(), format!("alias {alias}")));
        Ok(())
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
    sending: tokio::sync::Mutex<()>,
    run: Uuid,
    _dir: tempfile::TempDir,
}

const EXPERIMENT: u128 = 1;
const CONTROL: u128 = 10;
const CANDIDATE: u128 = 11;

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.unwrap();
        control.migrate().await.unwrap();
        let run = Uuid::from_u128(100);
        control.start_run(Run::night(run), jiff::civil::date(2026, 3, 4), "digest", now()).await.unwrap();
        let sending = tokio::sync::Mutex::new(());
        World { control, registry: Scripted::default(), sending, run, _dir: dir }
    }

    fn applier(&self) -> Applier<'_> {
        self.applier_at(0)
    }

    /// The applier of the run so many days later.
    fn applier_at(&self, day: i64) -> Applier<'_> {
        let run = Uuid::from_u128(100 + u128::try_from(day).unwrap());
        let at = now() + SignedDuration::from_hours(24 * day);
        Applier::new(&self.control, &self.registry, None, (run, at), &self.sending)
    }

    async fn journal(&self, actions: Vec<NewAction>) {
        self.control.tell(self.run, jiff::civil::date(2026, 3, 4), &actions, &[], now()).await.unwrap();
    }

    /// The keys of what is pending, with how often each was tried.
    async fn pending(&self) -> Vec<(String, i64)> {
        let pending = self.control.pending_actions(now()).await.unwrap();
        pending.into_iter().map(|action| (action.idempotency_key, action.attempts)).collect()
    }

    /// What is not as decided, after one more pass of that day's run.
    async fn incidents_at(&self, day: i64) -> Vec<Incident> {
        let mut applier = self.applier_at(day);
        applier.apply_pending().await.unwrap();
        applier.incidents().await.unwrap()
    }

    /// Tells all that is open.
    async fn tell_at(&self, day: i64) {
        let open = self.control.open_incidents().await.unwrap();
        let ids: Vec<Uuid> = open.into_iter().map(|open| open.id).collect();
        let at = now() + SignedDuration::from_hours(24 * day);
        self.control.tell(self.run, jiff::civil::date(2026, 3, 4), &[], &ids, at).await.unwrap();
    }

    async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(self.control.pool()).await.unwrap();
    }

    async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.control.pool()).await.unwrap()
    }

    /// An experiment whose candidate has a thousand units.
    async fn with_units(self) -> World {
        let [e, c, t] = [EXPERIMENT, CONTROL, CANDIDATE].map(Uuid::from_u128);
        self.sql(&format!(
            "INSERT INTO exp_experiments (id, name, status, unit_type, created_at, updated_at)
             VALUES ('{e}', 'e', 'active', 'user', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00Z');
             INSERT INTO exp_variants (id, experiment_id, name, allocation, created_at) VALUES
             ('{c}', '{e}', 'control', '1.0000', '1'), ('{t}', '{e}', 't', '0.0000', '2');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO exp_assignments SELECT '{e}', 'user', 'u' || i, '{t}', '2026-03-02T00:00:00.000000Z' FROM n;"
        ))
        .await;
        self
    }
}

fn action(key: &str, experiment: u128, step: Step) -> NewAction {
    let experiment = ExperimentId(Uuid::from_u128(experiment));
    let kind = step.kind().to_owned();
    let payload = json!(StepPayload { experiment, name: "e".into(), unit_type: "user".into(), step });
    NewAction { idempotency_key: key.into(), decision: None, kind, payload, not_before: None }
}

fn point(model: &str) -> Step {
    champion(model, &[])
}

/// Alias `champion` at version 2, which may be taken from these.
fn champion(model: &str, from: &[&str]) -> Step {
    let expect = from.iter().map(|v| ModelVersion { model: model.into(), version: (*v).into() }).collect();
    Step::SetAlias { alias: "champion".into(), version: version(model), expect, or_production: false }
}

/// What a rollback does to a failed version.
fn tag(model: &str) -> Step {
    stage(model, "archived", true)
}

fn stage(model: &str, value: &str, insist: bool) -> Step {
    let (key, value, expect) = ("stage".into(), value.into(), vec!["candidate".to_owned()]);
    Step::SetTag { version: version(model), key, value, expect, insist }
}

fn sweep() -> Step {
    let [from, to] = [CANDIDATE, CONTROL].map(|id| VariantId(Uuid::from_u128(id)));
    Step::MoveAssignments { from, from_name: "t".into(), to, to_name: "control".into() }
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
        in_reply_to: None,
        pictures: Vec::new(),
        attachments: Vec::new(),
    })
}

fn owned(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(key, attempts)| ((*key).to_owned(), *attempts)).collect()
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_once_a_pass_and_nothing_twice_a_run() {
    let world = World::new().await.with_units().await;
    world
        .journal(vec![
            action("a", 1, tag("away")),
            action("b", 2, tag("away")),
            action("c", 3, tag("sound")),
            action("d", 1, Step::CompleteExperiment),
        ])
        .await;
    let mut applier = world.applier();
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["read away"]);
    assert_eq!(world.pending().await, owned(&[("a", 1), ("b", 0), ("c", 0)]));
    let unfinished = applier.unfinished();
    assert_eq!(unfinished.len(), 3);
    assert!(unfinished[0].starts_with("tag away version 2 stage=archived: "), "{unfinished:?}");
    assert_eq!(unfinished[2], "tag sound version 2 stage=archived: skipped: the registry did not answer");
    // The second pass of the run asks again, but for something else.
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.calls(), ["read away"]);
    assert_eq!(world.pending().await, owned(&[("a", 1), ("b", 1), ("c", 0)]));
    assert_eq!(applier.unfinished().len(), 3);
    // A third finds it back; what was only skipped is done and no longer told.
    applier.apply_pending().await.unwrap();
    assert_eq!(world.registry.writes(), ["tag sound"]);
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
    let world = World::new().await.with_units().await;
    world.registry.put("sound", "alias challenger", "2");
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
    assert_eq!(world.registry.calls(), ["read forbidden", "read sound", "tag sound", "read sound"]);
    assert_eq!(world.pending().await, owned(&[("ramp", 1), ("release", 0)]));
    let unfinished = applier.unfinished();
    assert!(unfinished[1].ends_with("skipped: an earlier step of the same experiment is still to be done"));
}

#[tokio::test]
async fn a_step_whose_row_is_gone_is_given_up_and_holds_nobody_up() {
    let world = World::new().await;
    let variant = VariantId(Uuid::from_u128(9));
    let gone = Step::RetireVariant { variant, from: "t".into(), name: "t_retired".into() };
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
    let with = |postman: &'static Postman| {
        Applier::new(&world.control, &world.registry, Some(postman), (world.run, now()), &world.sending)
    };
    let mut applier = with(&Postman::Misconfigured);
    applier.apply_mail().await.unwrap();
    assert_eq!(world.pending().await, owned(&[("mail/1@x", 1), ("mail/2@x", 0), ("tag", 0)]));
    assert!(applier.unfinished()[1].ends_with("skipped: no mail could be sent just before"));
    with(&Postman::Refusing).apply_pending().await.unwrap();
    assert_eq!(world.pending().await, owned(&[]));
}

#[path = "distrust_tests.rs"]
mod distrust;
