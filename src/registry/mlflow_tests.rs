use secrecy::SecretString;
use wiremock::matchers::{any, body_json, header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::fake_mlflow::FakeMlflow;
use super::super::{contract, install_crypto_provider};
use super::*;

const SECRET: &str = "hunter2-not-to-be-seen";

fn settings(url: &str, auth: Auth) -> MlflowSettings {
    install_crypto_provider();
    MlflowSettings {
        url: url.parse().unwrap(),
        auth,
        service: Service::Mlflow,
        workspace: None,
        ca_file: None,
        timeout: Duration::from_secs(5),
        retries: 2,
        retry_delay: Duration::from_millis(1),
    }
}

fn registry(server: &MockServer) -> MlflowRegistry {
    MlflowRegistry::new(settings(&server.uri(), Auth::None)).unwrap()
}

fn planner(version: &str) -> ModelVersion {
    ModelVersion { model: "planner".into(), version: version.into() }
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn keeps_the_contract() {
    let model = "plánner & Co. 50% 'a'";
    let server = FakeMlflow::start(model, &["9", "10", "11"], 200).await;
    let versions = ["9", "10", "11"].map(|v| ModelVersion { model: model.into(), version: v.into() });
    contract::holds(&registry(&server), &versions).await;
}

#[tokio::test]
async fn reads_every_page() {
    let numbers: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let server = FakeMlflow::start("planner", &numbers, 3).await;
    let found = registry(&server).versions_tagged("planner", "made", "by hand").await.unwrap();
    assert_eq!(found, numbers.iter().map(|n| planner(n)).collect::<Vec<_>>());
    assert_eq!(calls(&server).await, 3);
}

#[tokio::test]
async fn a_listing_that_repeats_its_token_ends() {
    let page = serde_json::json!({"next_page_token": "again"});
    let server = answering(ResponseTemplate::new(200).set_body_json(page)).await;
    assert!(registry(&server).versions_tagged("planner", "made", "x").await.unwrap().is_empty());
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn tries_again_after_429_and_waits_as_told() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1").set_body_string("slow down");
    Mock::given(any()).respond_with(busy).up_to_n_times(1).mount(&server).await;
    Mock::given(method("POST"))
        .and(path("/api/2.0/mlflow/model-versions/set-tag"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .mount(&server)
        .await;
    let started = tokio::time::Instant::now();
    registry(&server).set_tag(&planner("5"), "stage", "production").await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn gives_up_after_bounded_attempts() {
    let server = answering(ResponseTemplate::new(503).set_body_string("out\r\nof order")).await;
    let error = registry(&server).set_tag(&planner("5"), "stage", "production").await.unwrap_err();
    assert_eq!(calls(&server).await, 3);
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "POST api/2.0/mlflow/model-versions/set-tag for planner version 5, tag stage was answered 503 in each of 3 \
         attempts: out of order"
    );
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let body = serde_json::json!({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid value"});
    let server = answering(ResponseTemplate::new(400).set_body_json(body)).await;
    let error = registry(&server).version(&planner("x")).await.unwrap_err();
    assert_eq!(calls(&server).await, 1);
    assert!(!error.is_transient());
    assert!(error.to_string().ends_with("was answered 400 INVALID_PARAMETER_VALUE: Invalid value"), "{error}");
    // The same status is no missing alias either.
    assert!(registry(&server).alias("planner", "champion").await.is_err());
}

#[tokio::test]
async fn a_bare_404_is_a_wrong_address_and_not_a_missing_version() {
    let server = answering(ResponseTemplate::new(404).set_body_string("<h1>Not Found</h1>")).await;
    let error = registry(&server).version(&planner("5")).await.unwrap_err();
    assert!(error.to_string().contains("the address of an MLflow server"), "{error}");
}

#[tokio::test]
async fn explains_the_host_check() {
    let words = "Invalid Host header - possible DNS rebinding attack detected";
    let server = answering(ResponseTemplate::new(403).set_body_string(words)).await;
    let error = registry(&server).alias("planner", "champion").await.unwrap_err().to_string();
    assert!(error.contains("--allowed-hosts 127.0.0.1"), "{error}");
    assert!(error.contains("MLFLOW_SERVER_ALLOWED_HOSTS=127.0.0.1"), "{error}");
}

#[tokio::test]
async fn names_the_variables_when_not_let_in() {
    for (status, why) in [(401, "Nobody is let in"), (403, "give it EDIT on the model")] {
        let server = answering(ResponseTemplate::new(status)).await;
        let error = registry(&server).alias("planner", "champion").await.unwrap_err().to_string();
        assert!(error.contains("MLFLOW_TRACKING_USERNAME") && error.contains("MLFLOW_TRACKING_TOKEN"), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = answering(ResponseTemplate::new(302).insert_header("location", "https://login.example/")).await;
    let error = registry(&server).alias("planner", "champion").await.unwrap_err().to_string();
    assert!(error.contains("redirects, perhaps to a login page"), "{error}");
    assert_eq!(calls(&server).await, 1);
}

#[tokio::test]
async fn a_login_page_is_not_an_answer() {
    let server = answering(ResponseTemplate::new(200).set_body_string("<html>\n<title>Log in</title>")).await;
    let error = registry(&server).delete_alias("planner", "champion").await.unwrap_err().to_string();
    assert!(error.contains("(a web page, \u{201c}Log in\u{201d}); is http://127.0.0.1"), "{error}");
}

#[tokio::test]
async fn no_server_is_said_with_its_address() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/mlflow/");
    let registry = MlflowRegistry::new(settings(&url, Auth::None)).unwrap();
    let error = registry.version(&planner("5")).await.unwrap_err();
    assert!(error.is_transient());
    let words = error.to_string();
    assert!(words.contains(&format!("http://127.0.0.1:{port}/mlflow in 3 attempt(s)")), "{words}");
    assert_eq!(registry.describe(), format!("MLflow at http://127.0.0.1:{port}/mlflow"));
}

#[tokio::test]
async fn keeps_the_path_prefix_and_encodes_names() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/ml/flow/api/2.0/mlflow/model-versions/get"))
        .and(query_param("name", "a&b=c ü#+%2f"))
        .and(query_param("version", "5"))
        .respond_with(ResponseTemplate::new(200).set_body_json(
            serde_json::json!({"model_version": {"name": "a&b=c ü#+%2f", "version": "5", "status": "FAILED_REGISTRATION",
                "status_message": "copy failed"}}),
        ))
        .mount(&server)
        .await;
    let url = format!("{}/ml/flow?x=y#z", server.uri());
    let registry = MlflowRegistry::new(settings(&url, Auth::None)).unwrap();
    let version = ModelVersion { model: "a&b=c ü#+%2f".into(), version: "5".into() };
    let info = registry.version(&version).await.unwrap().unwrap();
    assert_eq!(info.status, VersionStatus::Failed("copy failed".into()));
    assert!(info.tags.is_empty() && info.aliases.is_empty());
}

#[tokio::test]
async fn sends_credentials_and_never_shows_them() {
    let server = MockServer::start().await;
    // base64 of "ops:hunter2-not-to-be-seen"
    let basic = "Basic b3BzOmh1bnRlcjItbm90LXRvLWJlLXNlZW4=";
    let echo = format!("you sent {SECRET}, which is wrong");
    Mock::given(header("authorization", basic))
        .respond_with(ResponseTemplate::new(401).set_body_string(echo.clone()))
        .mount(&server)
        .await;
    Mock::given(header("authorization", format!("Bearer {SECRET}").as_str()))
        .respond_with(ResponseTemplate::new(401).set_body_string(echo))
        .mount(&server)
        .await;
    let secret = || SecretString::from(SECRET);
    for auth in [Auth::Basic { user: "ops".into(), password: secret() }, Auth::Bearer(secret())] {
        let settings = settings(&server.uri(), auth);
        let shown = format!("{settings:?}");
        let registry = MlflowRegistry::new(settings).unwrap();
        let error = registry.alias("planner", "champion").await.unwrap_err();
        assert!(error.to_string().contains("401: you sent ***, which is wrong"), "{error}");
        for text in [shown, format!("{registry:?}"), registry.describe(), error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(SECRET) && !text.contains("b3BzOmh1bn"), "{text}");
        }
    }
}

#[test]
fn refuses_settings_that_could_not_work() {
    let refuse = |url: &str, auth: Auth| MlflowRegistry::new(settings(url, auth)).unwrap_err().to_string();
    assert!(refuse("ftp://mlflow", Auth::None).contains("`ftp`"));
    let inside = refuse(&format!("https://ops:{SECRET}@mlflow"), Auth::None);
    assert!(inside.contains("MLFLOW_TRACKING_USERNAME") && !inside.contains(SECRET), "{inside}");
    let line = refuse("https://mlflow", Auth::Bearer(SecretString::from(format!("{SECRET}\n"))));
    assert!(line.contains("line end") && !line.contains(SECRET), "{line}");
}

#[tokio::test]
async fn lists_more_versions_than_a_page_with_their_aliases() {
    let numbers: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let server = FakeMlflow::start("planner", &numbers, 3).await;
    let registry = registry(&server);
    registry.set_alias(&planner("5"), "champion").await.unwrap();
    let found = registry.versions("planner").await.unwrap().unwrap();
    assert_eq!(found.iter().map(|f| f.version.version.as_str()).collect::<Vec<_>>(), numbers);
    assert_eq!(found[4].info.aliases, ["champion"]);
    assert!(found.iter().all(|found| found.info.tags["made"] == "by hand"));
    assert_eq!(calls(&server).await, 1 + 1 + 3);
}

#[tokio::test]
async fn a_proxys_page_is_told_by_its_title_and_the_call_repeated() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>";
    let server = answering(ResponseTemplate::new(502).set_body_raw(page, "text/html")).await;
    let error = registry(&server).versions("planner").await.unwrap_err();
    assert_eq!(calls(&server).await, 3);
    assert!(error.is_transient());
    let told = error.to_string();
    assert!(
        told.contains("502 in each of 3 attempts: a web page, \u{201c}502 Bad Gateway\u{201d}. A proxy answered"),
        "{told}"
    );
}

#[tokio::test]
async fn is_told_what_the_apis_own_path_does_in_the_address() {
    let error = MlflowRegistry::new(settings("http://mlflow/api/2.0/mlflow", Auth::None)).unwrap_err().to_string();
    assert!(error.contains("leave `/api/2.0/mlflow` out"), "{error}");
}

#[tokio::test]
async fn names_the_workspace() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(serde_json::json!({}));
    Mock::given(header("x-mlflow-workspace", "planning")).respond_with(answer).mount(&server).await;
    let settings = MlflowSettings { workspace: Some("planning".into()), ..settings(&server.uri(), Auth::None) };
    MlflowRegistry::new(settings).unwrap().delete_alias("planner", "champion").await.unwrap();
}

/// A registry of Databricks, as its documents describe it: none can be had here.
fn databricks(server: &MockServer, service: Service) -> MlflowRegistry {
    let auth = Auth::Bearer(SecretString::from(SECRET));
    MlflowRegistry::new(MlflowSettings { service, ..settings(&server.uri(), auth) }).unwrap()
}

#[tokio::test]
async fn a_databricks_workspace_is_searched_by_name_alone() {
    let server = MockServer::start().await;
    let version = |n: &str, stage: &str| serde_json::json!({"name": "planner", "version": n, "tags": [{"key": "stage", "value": stage}]});
    let page = serde_json::json!({"model_versions": [version("2", "production"), version("1", "archived")]});
    Mock::given(method("GET"))
        .and(path("/api/2.0/mlflow/model-versions/search"))
        .and(query_param("filter", "name = 'planner'"))
        .and(header("authorization", format!("Bearer {SECRET}").as_str()))
        .respond_with(ResponseTemplate::new(200).set_body_json(page))
        .mount(&server)
        .await;
    let registry = databricks(&server, Service::Databricks);
    assert_eq!(registry.versions_tagged("planner", "stage", "production").await.unwrap(), [planner("2")]);
    assert!(registry.describe().starts_with("the workspace registry at http://127.0.0.1"));
}

#[tokio::test]
async fn unity_catalog_has_its_own_paths_and_tells_tags_of_single_versions_only() {
    let server = MockServer::start().await;
    let model = "prod.planning.planner";
    let at = |name: &'static str| path(format!("/api/2.0/mlflow/unity-catalog/{name}"));
    let ok = |body: serde_json::Value| ResponseTemplate::new(200).set_body_json(body);
    let versions =
        serde_json::json!({"model_versions": [{"name": model, "version": "1"}, {"name": model, "version": "2"}]});
    let search = Mock::given(method("GET"))
        .and(at("model-versions/search"))
        .and(query_param("filter", format!("name = '{model}'")));
    search.and(query_param_is_missing("page_token")).respond_with(ok(versions)).mount(&server).await;
    for (number, stage) in [("1", "archived"), ("2", "production")] {
        let version = serde_json::json!({"model_version": {"name": model, "version": number, "status": "READY",
            "tags": [{"key": "stage", "value": stage}], "aliases": [{"alias": "champion", "version": number}]}});
        let get = Mock::given(method("GET")).and(at("model-versions/get")).and(query_param("version", number));
        get.respond_with(ok(version)).mount(&server).await;
    }
    let body = serde_json::json!({"name": model, "alias": "champion", "version": "2"});
    let owner = serde_json::json!({"error_code": "PERMISSION_DENIED", "message": "not the owner"});
    let set = Mock::given(method("POST")).and(at("registered-models/alias")).and(body_json(body));
    set.respond_with(ResponseTemplate::new(403).set_body_json(owner)).mount(&server).await;

    let registry = databricks(&server, Service::UnityCatalog);
    let second = ModelVersion { model: model.into(), version: "2".into() };
    assert_eq!(registry.versions_tagged(model, "stage", "production").await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(registry.version(&second).await.unwrap().unwrap().aliases, ["champion"]);
    let error = registry.set_alias(&second, "champion").await.unwrap_err().to_string();
    assert!(error.contains("not the owner. The token's user must own the model"), "{error}");
}
