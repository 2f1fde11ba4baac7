//! A model registry that is slow, silent, failing, refusing, or dies half-way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use crate::bad_input::on_the_eve_of_a_rollback;
use crate::embedded::{World, day, outcome};

#[path = "../../../src/registry/fake_mlflow.rs"]
mod fake_mlflow;

const MODEL: &str = "steady_model";

/// Whom a faulty answer is for: everybody, from the first call on or after so many that change something, until mended.
#[derive(Clone)]
struct Faulty {
    lasts: Arc<AtomicBool>,
    after: Arc<AtomicUsize>,
}

impl Match for Faulty {
    fn matches(&self, request: &Request) -> bool {
        if !self.lasts.load(Ordering::SeqCst) {
            return false;
        }
        let left = self.after.load(Ordering::SeqCst);
        if left > 0 && request.method.as_str() != "GET" {
            self.after.store(left - 1, Ordering::SeqCst);
        }
        left == 0
    }
}

impl Faulty {
    fn mend(&self) {
        self.lasts.store(false, Ordering::SeqCst);
    }
}

/// A harmful candidate on the eve of its rollback, its model in MLflow with the alias of a candidate.
struct Eve {
    world: World,
    mlflow: MockServer,
}

impl Eve {
    async fn new(timeout_seconds: u64) -> Eve {
        let mut world = on_the_eve_of_a_rollback().await;
        let mlflow = fake_mlflow::FakeMlflow::start(MODEL, &["1", "2"], 10).await;
        let mlflow_entry = json!({ "url": mlflow.uri(), "timeout_seconds": timeout_seconds });
        world.settings["registry"] = json!({ "mlflow": mlflow_entry });
        world.configure();
        let eve = Eve { world, mlflow };
        let alias = json!({ "name": MODEL, "alias": "challenger", "version": "2" });
        let url = format!("{}/api/2.0/mlflow/registered-models/alias", eve.mlflow.uri());
        assert!(client().post(url).json(&alias).send().await.unwrap().status().is_success());
        eve
    }

    /// Lets everybody be answered so, once `after` calls have changed something.
    async fn answers(&self, answer: ResponseTemplate, after: usize) -> Faulty {
        let (lasts, after) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(after)));
        let faulty = Faulty { lasts, after };
        Mock::given(faulty.clone()).respond_with(answer).with_priority(1).mount(&self.mlflow).await;
        faulty
    }

    /// What the registry says of the candidate's version: its stage, and whether it bears the alias.
    async fn version(&self) -> (Option<String>, bool) {
        let url = format!("{}/api/2.0/mlflow/model-versions/get", self.mlflow.uri());
        let answer = client().get(url).query(&[("name", MODEL), ("version", "2")]).send().await.unwrap();
        let found: Value = answer.json().await.unwrap();
        let version = &found["model_version"];
        let tags = version["tags"].as_array().cloned().unwrap_or_default();
        let stage = tags.iter().find(|tag| tag["key"] == "stage").and_then(|tag| tag["value"].as_str());
        (stage.map(str::to_owned), version["aliases"].as_array().is_some_and(|aliases| !aliases.is_empty()))
    }

    /// The requests that change something, as method and path.
    async fn writes(&self) -> Vec<String> {
        let all = self.mlflow.received_requests().await.unwrap();
        let writes = all.iter().filter(|request| request.method.as_str() != "GET").skip(1);
        writes.map(|request| format!("{} {}", request.method, request.url.path())).collect()
    }

    /// The night, which must end so; what is unfinished.
    async fn night(&self, code: i32) -> Vec<String> {
        let report = self.world.night(day(1), code).await;
        assert!(["rollback", "none"].contains(&outcome(&report, "steady")), "{report:#}");
        let unfinished = report["unfinished"].as_array().unwrap();
        unfinished.iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// The decision stands, whatever the registry does; and once it does what it should, nothing is left.
    async fn is_mended(&self) {
        assert_eq!(self.world.allocations("steady").await, "control 1.0000, candidate 0.0000");
        assert!(self.night(0).await.is_empty());
        assert_eq!(self.version().await, (Some("archived".to_owned()), false));
        assert_eq!(self.world.count("SELECT count(*) FROM rampkeeper_decisions").await, 1);
        assert_eq!(self.world.mails().len(), 1);
        let open = "SELECT count(*) FROM rampkeeper_actions WHERE status <> 'done' AND not_before IS NULL";
        assert_eq!(self.world.count(open).await, 0);
    }
}

fn client() -> reqwest::Client {
    rampkeeper::registry::install_crypto_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A failure that may be tried again at once.
fn failure(status: u16, code: &str) -> ResponseTemplate {
    let body = json!({ "error_code": code, "message": "the disk of the tracking store is full" });
    ResponseTemplate::new(status).set_body_json(body).insert_header("Retry-After", "0")
}

#[tokio::test]
async fn a_slow_registry_is_waited_for() {
    let eve = Eve::new(30).await;
    // Each call takes a second, and is then passed on to nobody: what it answers is what MLflow would, once asked.
    let slow = |answer: ResponseTemplate| answer.set_delay(Duration::from_secs(1));
    let tagged = json!({ "model_version": {
        "name": MODEL, "version": "2", "tags": [{ "key": "stage", "value": "archived" }],
    } });
    let no_alias = json!({
        "error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias challenger not found.",
    });
    for (method, path, answer) in [
        ("GET", "model-versions/get", ResponseTemplate::new(200).set_body_json(tagged)),
        ("GET", "registered-models/alias", ResponseTemplate::new(400).set_body_json(no_alias)),
        ("POST", "model-versions/set-tag", ResponseTemplate::new(200).set_body_json(json!({}))),
    ] {
        let asked = wiremock::matchers::path(format!("/api/2.0/mlflow/{path}"));
        let mock = Mock::given(wiremock::matchers::method(method)).and(asked).respond_with(slow(answer));
        mock.with_priority(1).mount(&eve.mlflow).await;
    }
    let began = Instant::now();
    assert!(eve.night(0).await.is_empty());
    assert!(began.elapsed() >= Duration::from_secs(2), "nobody was waited for");
    assert!(eve.writes().await.is_empty(), "what is there already is not written again");
}

#[tokio::test]
async fn a_registry_that_never_answers_is_left_for_the_next_run() {
    let eve = Eve::new(1).await;
    let silence = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    let silent = eve.answers(silence, 0).await;
    let began = Instant::now();
    let unfinished = eve.night(4).await;
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    assert!(unfinished[0].contains("got no answer") && unfinished[0].contains("5 attempt"), "{unfinished:?}");
    assert!(unfinished[1].contains("skipped: the registry did not answer"), "{unfinished:?}");
    silent.mend();
    eve.is_mended().await;
}

#[tokio::test]
async fn a_registry_that_fails_is_asked_again_and_then_left() {
    let eve = Eve::new(30).await;
    let failing = eve.answers(failure(500, "INTERNAL_ERROR"), 0).await;
    let unfinished = eve.night(4).await;
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    let words = "was answered 500 INTERNAL_ERROR in each of 5 attempts: the disk of the tracking store is full";
    assert!(unfinished[0].contains(words), "{unfinished:?}");
    assert!(unfinished[1].contains("an earlier step of the same experiment is still to be done"), "{unfinished:?}");
    failing.mend();
    eve.is_mended().await;
}

#[tokio::test]
async fn a_registry_that_refuses_is_not_asked_again() {
    let eve = Eve::new(30).await;
    let refusing = eve.answers(failure(403, "PERMISSION_DENIED"), 0).await;
    let unfinished = eve.night(4).await;
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    for words in ["was answered 403 PERMISSION_DENIED", "That user may not do it"] {
        assert!(unfinished[0].contains(words), "{unfinished:?}");
    }
    assert!(eve.writes().await.is_empty(), "a no to the question keeps the step from being tried");
    refusing.mend();
    eve.is_mended().await;
}

#[tokio::test]
async fn a_registry_that_dies_half_way_is_taken_up_where_it_died() {
    let eve = Eve::new(30).await;
    let dead = eve.answers(failure(503, "TEMPORARILY_UNAVAILABLE"), 1).await;
    let unfinished = eve.night(4).await;
    assert!(unfinished.iter().any(|line| line.contains("503")), "{unfinished:?}");
    dead.mend();
    assert_eq!(eve.version().await, (Some("archived".to_owned()), true), "the first call was kept");
    eve.is_mended().await;
}
