//! Faults of servers, and what may be told of a secret address.

use serde_json::json;
use uuid::Uuid;
use wiremock::matchers::{any, body_string, header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::{Beat, Chat, Heartbeat, Post, Webhook, Webhooks};
use super::*;
use crate::registry::install_crypto_provider;

const TOKEN: &str = "T0ken-hunter2-not-to-be-seen";
const NIGHT: Uuid = Uuid::from_u128(0x42);

fn settings(server: &str) -> WebSettings {
    install_crypto_provider();
    WebSettings {
        url: format!("{server}/services/{TOKEN}").into(),
        ca_file: None,
        timeout: Duration::from_millis(400),
        retries: 2,
        retry_delay: Duration::from_millis(1),
    }
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn post() -> Post {
    Post { place: "env CHAT".into(), id: "night-2026-03-30.0123".into(), body: json!({ "text": "1 rolled back" }) }
}

async fn posted_to(server: &str) -> Result<(), CallError> {
    let webhook = Webhook::new(settings(server)).map_err(|error| error.to_string());
    Webhooks::new([("env CHAT".to_owned(), webhook)]).post(&post()).await
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// The error with its causes, in every form that it can be told in.
fn told(error: &CallError) -> String {
    let mut told = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    told
}

#[tokio::test]
async fn a_post_carries_its_body_and_what_it_is_known_by() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("/services/{TOKEN}")))
        .and(header("content-type", "application/json; charset=utf-8"))
        .and(header("idempotency-key", "night-2026-03-30.0123"))
        .and(header_exists("user-agent"))
        .and(body_string(r#"{"text":"1 rolled back"}"#))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .expect(1)
        .mount(&server)
        .await;
    posted_to(&server.uri()).await.unwrap();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_wants() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
    Mock::given(any()).respond_with(busy).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let started = tokio::time::Instant::now();
    posted_to(&server.uri()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_within_bounds() {
    for status in [408, 429, 500, 502, 503] {
        let server = answering(ResponseTemplate::new(status).set_body_string("out\r\nof order")).await;
        let error = posted_to(&server.uri()).await.unwrap_err();
        assert_eq!(calls(&server).await, 3, "{status}");
        assert!(error.is_transient() && error.is_outage() && !error.is_for_good(), "{error}");
        assert!(
            error.to_string().ends_with(&format!("answered {status} (out of order) in each of 3 attempts")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_not_repeated() {
    for (status, words) in [
        (302, "redirects are not followed"),
        (400, "(invalid_blocks)"),
        (403, "the one that the service gave out"),
        (404, "the one that the service gave out"),
        (410, "the one that the service gave out"),
    ] {
        let answer = ResponseTemplate::new(status)
            .insert_header("location", "http://127.0.0.1:1/")
            .set_body_string("invalid_blocks");
        let server = answering(answer).await;
        let error = posted_to(&server.uri()).await.unwrap_err();
        assert_eq!(calls(&server).await, 1, "{status}");
        assert!(error.is_for_good() && !error.is_transient() && !error.is_outage(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_is_gone_is_an_outage() {
    let slow = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(5))).await;
    let gone = "http://127.0.0.1:1";
    for server in [slow.uri(), gone.to_owned()] {
        let error = posted_to(&server).await.unwrap_err();
        assert!(error.is_transient() && error.is_outage() && !error.is_for_good(), "{error}");
        assert!(error.to_string().ends_with("could not be reached in each of 3 attempts"), "{error}");
        assert!(!told(&error).contains(TOKEN), "{error:?}");
    }
    assert_eq!(calls(&slow).await, 3);
}

#[tokio::test]
async fn no_error_holds_the_address_even_if_the_server_repeats_it() {
    let server = MockServer::start().await;
    let echo = format!("no such hook: {}/services/{TOKEN} ({TOKEN})", server.uri());
    Mock::given(any()).respond_with(ResponseTemplate::new(404).set_body_string(echo)).mount(&server).await;
    let error = posted_to(&server.uri()).await.unwrap_err();
    assert!(!told(&error).contains(TOKEN), "{error:?}");
    assert!(error.to_string().contains("no such hook: ***"), "{error}");
    let webhook = Webhook::new(settings(&server.uri())).unwrap();
    assert_eq!(webhook.server(), server.uri());
    assert!(!format!("{webhook:?} {:?}", settings(&server.uri())).contains(TOKEN));
}

#[test]
fn a_secret_that_is_no_address_is_refused_without_being_repeated() {
    for secret in [
        TOKEN.to_owned(),
        format!("ftp://example.com/{TOKEN}"),
        format!("mailto:{TOKEN}"),
        format!("https://{TOKEN} x/"),
    ] {
        let error = Webhook::new(WebSettings { url: secret.into(), ..settings("http://127.0.0.1:1") }).unwrap_err();
        assert!(!told(&error).contains(TOKEN), "{error:?}");
        assert!(error.to_string().contains("begins with https://"), "{error}");
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    let with_file = || WebSettings { ca_file: Some(file.clone()), ..settings("https://127.0.0.1:1") };
    assert!(Webhook::new(with_file()).unwrap_err().to_string().contains("could not be read"));
    std::fs::write(&file, "a key\n").unwrap();
    assert!(Webhook::new(with_file()).unwrap_err().to_string().contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn a_place_that_is_not_configured_any_more_is_given_up_and_a_broken_one_waits() {
    let none = Webhooks::new([]).post(&post()).await.unwrap_err();
    assert!(none.is_for_good(), "{none}");
    assert_eq!(none.to_string(), "no chat is configured for env CHAT any more");
    let broken = Webhooks::new([("env CHAT".to_owned(), Err("environment variable CHAT is not set".to_owned()))]);
    let broken = broken.post(&post()).await.unwrap_err();
    assert!(!broken.is_for_good() && broken.is_outage(), "{broken}");
}

#[tokio::test]
async fn a_night_s_pings_go_to_their_ends_and_bear_its_key() {
    let server = answering(ResponseTemplate::new(200)).await;
    let heartbeat = Heartbeat::new(settings(&server.uri()), NIGHT).unwrap();
    for beat in [Beat::Start, Beat::Success("all well\n".into()), Beat::Failure("exit code 1\n".into())] {
        heartbeat.ping(&beat).await.unwrap();
    }
    let requests = server.received_requests().await.unwrap();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| {
            format!(
                "{} {}?{} {}",
                r.method,
                r.url.path(),
                r.url.query().unwrap_or_default(),
                String::from_utf8_lossy(&r.body)
            )
        })
        .collect();
    let address = format!("/services/{TOKEN}");
    assert_eq!(
        seen,
        [
            format!("GET {address}/start?rid={NIGHT} "),
            format!("POST {address}?rid={NIGHT} all well\n"),
            format!("POST {address}/fail?rid={NIGHT} exit code 1\n"),
        ]
    );
}

#[tokio::test]
async fn what_stands_behind_a_heartbeat_s_address_stays() {
    let server = MockServer::start().await;
    Mock::given(path("/key/night/start"))
        .and(query_param("create", "1"))
        .and(query_param("rid", NIGHT.to_string()))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!("{}/key/night/?create=1", server.uri()).into();
    let heartbeat = Heartbeat::new(WebSettings { url, ..settings("http://127.0.0.1:1") }, NIGHT).unwrap();
    heartbeat.ping(&Beat::Start).await.unwrap();
}

#[tokio::test]
async fn a_check_asks_for_the_front_page_alone() {
    let server = answering(ResponseTemplate::new(404)).await;
    assert_eq!(Webhook::new(settings(&server.uri())).unwrap().check().await.unwrap(), None);
    Heartbeat::new(settings(&server.uri()), NIGHT).unwrap().check().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert!(
        requests.iter().all(|r| r.method == "HEAD" && r.url.path() == "/" && r.url.query().is_none()),
        "{requests:?}"
    );
    let gone = Webhook::new(settings("http://127.0.0.1:1")).unwrap().check().await.unwrap_err();
    assert!(gone.is_outage());
}

#[test]
fn what_is_sent_over_http_beyond_this_machine_is_open() {
    let is_open = |server: &str| Webhook::new(settings(server)).unwrap().is_open();
    assert!(is_open("http://chat.example.com"));
    for safe in ["https://chat.example.com", "http://localhost:8065", "http://127.0.0.1:8065", "http://[::1]:8065"] {
        assert!(!is_open(safe), "{safe}");
    }
}
