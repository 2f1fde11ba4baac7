//! MLflow's registry endpoints as MLflow 3.17 was seen to answer them, for tests without a server.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// One version's tags and aliases, by model and version.
type Versions = BTreeMap<(String, String), (BTreeMap<String, String>, Vec<String>)>;

/// The server's memory.
pub(super) struct FakeMlflow {
    versions: Mutex<Versions>,
    page_size: usize,
}

impl FakeMlflow {
    /// Starts a server that knows these versions and lists `page_size` of them at a time.
    pub(super) async fn start(model: &str, versions: &[&str], page_size: usize) -> MockServer {
        let made = BTreeMap::from([("made".to_owned(), "by hand".to_owned())]);
        let versions = versions.iter().map(|v| ((model.to_owned(), (*v).to_owned()), (made.clone(), vec![]))).collect();
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(Self { versions: Mutex::new(versions), page_size }).mount(&server).await;
        server
    }
}

impl Respond for FakeMlflow {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given: Map<String, Value> = serde_json::from_slice(&request.body).unwrap_or_default();
        given.extend(
            request.url.query_pairs().map(|(key, value)| (key.into_owned(), Value::String(value.into_owned()))),
        );
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("name"), text("version"));
        let model_exists = versions.keys().any(|(name, _)| *name == key.0);
        let Some(path) = request.url.path().strip_prefix("/api/2.0/mlflow/") else {
            return ResponseTemplate::new(404).set_body_string("<html>Not Found</html>");
        };
        match (request.method.as_str(), path) {
            ("GET", "model-versions/get") => match versions.get(&key) {
                Some(found) => ok(json!({"model_version": wire(&key, found, true)})),
                None => missing(&format!("Model Version (name={}, version={}) not found", key.0, key.1)),
            },
            ("GET", "registered-models/get") if model_exists => {
                let of = versions.iter().filter(|(k, _)| k.0 == key.0);
                let aliases = of.flat_map(|(k, (_, aliases))| {
                    aliases.iter().map(|alias| json!({"alias": alias, "version": k.1})).collect::<Vec<_>>()
                });
                let mut model = json!({"name": key.0});
                let aliases: Vec<Value> = aliases.collect();
                if !aliases.is_empty() {
                    model["aliases"] = Value::Array(aliases);
                }
                ok(json!({"registered_model": model}))
            }
            ("GET", "registered-models/get") => missing("Registered Model not found"),
            ("GET", "model-versions/search") => search(&versions, &text("filter"), &text("page_token"), self.page_size),
            ("POST", "model-versions/set-tag") => match versions.get_mut(&key) {
                Some((tags, _)) => {
                    tags.insert(text("key"), text("value"));
                    ok(json!({}))
                }
                None => missing("Model Version not found"),
            },
            ("GET", "registered-models/alias") => {
                let alias = text("alias");
                match versions.iter().find(|(k, (_, aliases))| k.0 == key.0 && aliases.contains(&alias)) {
                    Some((key, found)) => ok(json!({"model_version": wire(key, found, true)})),
                    None if model_exists => {
                        refused(400, "INVALID_PARAMETER_VALUE", &format!("Registered model alias {alias} not found."))
                    }
                    None => missing("Registered Model not found"),
                }
            }
            (method @ ("POST" | "DELETE"), "registered-models/alias") => {
                if !model_exists || (method == "POST" && !versions.contains_key(&key)) {
                    return missing("Model Version not found");
                }
                let alias = text("alias");
                for (_, (_, aliases)) in versions.iter_mut().filter(|(k, _)| k.0 == key.0) {
                    aliases.retain(|a| *a != alias);
                }
                if let (Some((_, aliases)), "POST") = (versions.get_mut(&key), method) {
                    aliases.push(alias);
                }
                ok(json!({}))
            }
            _ => ResponseTemplate::new(404).set_body_string("<html>Not Found</html>"),
        }
    }
}

/// Newest first, a page at a time, without aliases; the token is the offset.
fn search(versions: &Versions, filter: &str, token: &str, page_size: usize) -> ResponseTemplate {
    let (name, tag) = filter.split_once(" AND tags.").map_or((filter, None), |(name, tag)| (name, Some(tag)));
    let unquoted = |text: &str| text[1..text.len() - 1].to_owned();
    let name = unquoted(name.strip_prefix("name = ").unwrap());
    let tag = tag.map(|tag| tag.split_once(" = ").map(|(key, value)| (unquoted(key), unquoted(value))).unwrap());
    // Some of MLflow's databases compare without regard to case.
    let matches = |tags: &BTreeMap<String, String>| match &tag {
        Some((key, value)) => tags.get(key).is_some_and(|found| found.eq_ignore_ascii_case(value)),
        None => true,
    };
    let mut found: Vec<_> = versions.iter().filter(|(key, (tags, _))| key.0 == name && matches(tags)).collect();
    found.reverse();
    let start: usize = token.parse().unwrap_or(0);
    let page: Vec<Value> =
        found.iter().skip(start).take(page_size).map(|(key, version)| wire(key, version, false)).collect();
    let mut answer = Map::new();
    if !page.is_empty() {
        answer.insert("model_versions".into(), Value::Array(page));
    }
    if start + page_size < found.len() {
        answer.insert("next_page_token".into(), json!((start + page_size).to_string()));
    }
    ok(Value::Object(answer))
}

/// A version as JSON: empty lists are left out.
fn wire(key: &(String, String), found: &(BTreeMap<String, String>, Vec<String>), aliases: bool) -> Value {
    let mut version = json!({"name": key.0, "version": key.1, "status": "READY", "current_stage": "None"});
    if !found.0.is_empty() {
        version["tags"] = found.0.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    }
    if aliases && !found.1.is_empty() {
        version["aliases"] = json!(found.1);
    }
    version
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn missing(message: &str) -> ResponseTemplate {
    refused(404, "RESOURCE_DOES_NOT_EXIST", message)
}

fn refused(status: u16, code: &str, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error_code": code, "message": message}))
}
