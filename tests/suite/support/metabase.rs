//! Metabase's REST API as its own command line client takes it to be, for want of a server that can be had here: the same
//! paths, answers with the keys that the client insists on, and refusals of what Metabase refuses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// The key that lets in.
pub const KEY: &str = "mb_s3cret-key";

/// A server and what it holds.
pub struct Metabase {
    server: MockServer,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// Whether queries are told in the newer form, whichever they came in.
    stages: bool,
    last_id: i64,
    collections: BTreeMap<i64, Value>,
    cards: BTreeMap<i64, Value>,
    dashboards: BTreeMap<i64, Value>,
    databases: Vec<Value>,
    /// Every call that changes something.
    changes: Vec<String>,
    /// Whether writes are taken and not kept.
    forgetful: bool,
}

struct Responder(Arc<Mutex<Memory>>);

impl Metabase {
    /// A server with one PostgreSQL database and its sample, that tells queries in the form of version 58 or an older one.
    pub async fn start(stages: bool) -> Metabase {
        let databases = vec![
            json!({ "id": 1, "name": "Sample Database", "engine": "h2" }),
            json!({ "id": 7, "name": "app", "engine": "postgres" }),
        ];
        let memory = Arc::new(Mutex::new(Memory { stages, last_id: 100, databases, ..Memory::default() }));
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(Responder(Arc::clone(&memory))).mount(&server).await;
        Metabase { server, memory }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.uri()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that changed something since the last time.
    pub fn changes(&self) -> Vec<String> {
        std::mem::take(&mut self.memory().changes)
    }

    /// Takes writes from now on and keeps none.
    pub fn forget(&self) {
        self.memory().forgetful = true;
    }

    /// Adds a database.
    pub fn add_database(&self, name: &str) {
        let id = self.memory().databases.len() + 10;
        self.memory().databases.push(json!({ "id": id, "name": name, "engine": "postgres" }));
    }

    /// All cards.
    pub fn cards(&self) -> Vec<Value> {
        self.memory().cards.values().cloned().collect()
    }

    /// All dashboards.
    pub fn dashboards(&self) -> Vec<Value> {
        self.memory().dashboards.values().cloned().collect()
    }

    /// The collections' names.
    pub fn collections(&self) -> Vec<String> {
        self.memory().collections.values().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The card of that name, for somebody else to change.
    pub fn with_card(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut memory = self.memory();
        change(memory.cards.values_mut().find(|card| card["name"] == name).expect(name));
    }

    /// The dashboard of that name, likewise.
    pub fn with_dashboard(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut memory = self.memory();
        change(memory.dashboards.values_mut().find(|dashboard| dashboard["name"] == name).expect(name));
    }

    /// Makes a card as somebody else would, a copy of another if named.
    pub fn make_card(&self, name: &str, copy_of: Option<&str>) -> i64 {
        let mut memory = self.memory();
        let id = memory.next();
        let other = copy_of.and_then(|of| memory.cards.values().find(|card| card["name"] == of).cloned());
        let collection = memory.collections.keys().next().copied();
        let mut card = other.unwrap_or_else(|| whole_card(&json!({ "display": "table", "collection_id": collection })));
        card["id"] = json!(id);
        card["name"] = json!(name);
        memory.cards.insert(id, card);
        id
    }
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if request.headers.get("x-api-key").is_none_or(|key| key.as_bytes() != KEY.as_bytes()) {
            return ResponseTemplate::new(401).set_body_string("Unauthenticated");
        }
        let Some(path) = request.url.path().strip_prefix("/api/") else {
            // The web application answers everything else.
            return ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html><title>Metabase</title>", "text/html");
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let of = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        let parts: Vec<&str> = path.split('/').collect();
        let method = request.method.as_str();
        if method != "GET" {
            memory.changes.push(format!("{method} {path}"));
        }
        let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
        match (method, parts.as_slice()) {
            ("GET", ["database"]) => ok(json!({ "data": memory.databases, "total": memory.databases.len() })),
            ("GET", ["session", "properties"]) => ok(json!({ "version": { "tag": "v1.58.0" } })),
            ("GET", ["collection"]) => {
                let root = json!({ "id": "root", "name": "Our analytics" });
                ok(Value::Array(std::iter::once(root).chain(memory.collections.values().cloned()).collect()))
            }
            ("POST", ["collection"]) => memory.new_collection(&body),
            ("GET", ["collection", id, "items"]) => {
                let page = |key: &str, otherwise: usize| of(key).and_then(|n| n.parse().ok()).unwrap_or(otherwise);
                memory.items(number(id), page("offset", 0), page("limit", 50))
            }
            ("GET", ["card"]) => ok(memory.archived_only(&memory.cards, of("f"))),
            ("POST", ["card"]) => memory.new_card(&body),
            ("GET", ["card", id]) => memory.cards.get(&number(id)).map_or_else(missing, |card| ok(memory.told(card))),
            ("PUT", ["card", id]) => memory.change_card(number(id), &body),
            ("GET", ["dashboard"]) => ok(memory.archived_only(&memory.dashboards, of("f"))),
            ("POST", ["dashboard"]) => memory.new_dashboard(&body),
            ("GET", ["dashboard", id]) => memory.dashboards.get(&number(id)).map_or_else(missing, |d| ok(d.clone())),
            ("PUT", ["dashboard", id]) => memory.change_dashboard(number(id), &body),
            _ => ResponseTemplate::new(404).set_body_string("\"API endpoint does not exist.\""),
        }
    }
}

impl Memory {
    fn next(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn new_collection(&mut self, body: &Value) -> ResponseTemplate {
        if !body["name"].is_string() {
            return refused("name", "value must be a non-blank string.");
        }
        let id = self.next();
        let collection = json!({ "id": id, "name": body["name"], "description": body["description"], "archived": false,
            "location": "/", "parent_id": null, "personal_owner_id": null, "type": null, "namespace": null,
            "authority_level": null, "entity_id": entity(id), "slug": "s" });
        self.collections.insert(id, collection.clone());
        ok(collection)
    }

    /// Cards and dashboards of a collection, without the archived ones, models as `dataset`.
    fn items(&self, collection: i64, offset: usize, limit: usize) -> ResponseTemplate {
        if !self.collections.contains_key(&collection) {
            return missing();
        }
        let item = |value: &Value, model: &str| {
            json!({ "id": value["id"], "name": value["name"], "description": value["description"], "model": model,
                "archived": false, "entity_id": value["entity_id"], "collection_id": collection })
        };
        let inside = |value: &&Value| value["collection_id"] == collection && value["archived"] == false;
        let cards = self
            .cards
            .values()
            .filter(inside)
            .map(|card| item(card, if card["type"] == "model" { "dataset" } else { "card" }));
        let dashboards = self.dashboards.values().filter(inside).map(|dashboard| item(dashboard, "dashboard"));
        let all: Vec<Value> = cards.chain(dashboards).collect();
        let data: Vec<&Value> = all.iter().skip(offset).take(limit).collect();
        ok(json!({ "data": data, "total": all.len(), "limit": limit, "offset": offset }))
    }

    fn archived_only(&self, of: &BTreeMap<i64, Value>, filter: Option<String>) -> Value {
        let wanted = |value: &&Value| match filter.as_deref() {
            Some("archived") => value["archived"] == true,
            _ => value["archived"] == false,
        };
        Value::Array(of.values().filter(wanted).cloned().collect())
    }

    fn new_card(&mut self, body: &Value) -> ResponseTemplate {
        for key in ["name", "display"] {
            if body[key].as_str().is_none_or(str::is_empty) {
                return refused(key, "value must be a non-blank string.");
            }
        }
        for key in ["dataset_query", "visualization_settings"] {
            if !body[key].is_object() {
                return refused(key, "Value must be a map.");
            }
        }
        if !self.databases.iter().any(|database| database["id"] == body["dataset_query"]["database"]) {
            return refused("dataset_query", "no such database");
        }
        let mut card = whole_card(body);
        card["id"] = json!(self.next());
        card["entity_id"] = json!(entity(self.last_id));
        self.cards.insert(self.last_id, card.clone());
        ok(self.told(&card))
    }

    fn change_card(&mut self, id: i64, body: &Value) -> ResponseTemplate {
        let forgetful = self.forgetful;
        let Some(card) = self.cards.get_mut(&id) else { return missing() };
        if !forgetful {
            merge(card, body);
        }
        let card = card.clone();
        ok(self.told(&card))
    }

    /// A card with its query in the form of this version.
    fn told(&self, card: &Value) -> Value {
        let mut card = card.clone();
        let query = &card["dataset_query"];
        if self.stages && query["type"] == "native" {
            card["dataset_query"] = json!({ "lib/type": "mbql/query", "database": query["database"], "stages": [{
                "lib/type": "mbql.stage/native", "native": query["native"]["query"],
                "template-tags": query["native"]["template-tags"] }] });
        }
        card
    }

    fn new_dashboard(&mut self, body: &Value) -> ResponseTemplate {
        if body["name"].as_str().is_none_or(str::is_empty) {
            return refused("name", "value must be a non-blank string.");
        }
        let id = self.next();
        let mut dashboard = json!({ "id": id, "name": "", "description": null, "archived": false, "collection_id": null,
            "creator_id": 1, "entity_id": entity(id), "width": "fixed", "auto_apply_filters": true,
            "enable_embedding": false, "public_uuid": null, "cache_ttl": null, "parameters": [], "dashcards": [], "tabs": [] });
        merge(&mut dashboard, body);
        self.dashboards.insert(id, dashboard.clone());
        ok(dashboard)
    }

    /// The array of cards is taken as the whole: what is not in it is gone, a negative number is a new one.
    fn change_dashboard(&mut self, id: i64, body: &Value) -> ResponseTemplate {
        let Some(before) = self.dashboards.get(&id).cloned() else { return missing() };
        let mut body = body.clone();
        if let Some(dashcards) = body["dashcards"].as_array().cloned() {
            let mut whole = Vec::new();
            for mut dashcard in dashcards {
                for key in ["id", "size_x", "size_y", "row", "col"] {
                    if !dashcard[key].is_i64() {
                        return refused(key, "value must be an integer");
                    }
                }
                if dashcard["card_id"].as_i64().is_some_and(|card| !self.cards.contains_key(&card)) {
                    return refused("card_id", "no such card");
                }
                let known = before["dashcards"].as_array().into_iter().flatten().any(|d| d["id"] == dashcard["id"]);
                let number = dashcard["id"].as_i64().unwrap_or_default();
                if number >= 0 && !known {
                    return refused("id", "no such dashcard");
                }
                if number < 0 {
                    dashcard["id"] = json!(self.next());
                }
                for key in ["parameter_mappings", "inline_parameters", "series"] {
                    if dashcard[key].is_null() {
                        dashcard[key] = json!([]);
                    }
                }
                if dashcard["visualization_settings"].is_null() {
                    dashcard["visualization_settings"] = json!({});
                }
                if dashcard.get("dashboard_tab_id").is_none() {
                    dashcard["dashboard_tab_id"] = Value::Null;
                }
                dashcard["dashboard_id"] = json!(id);
                dashcard["entity_id"] = json!(entity(dashcard["id"].as_i64().unwrap_or_default()));
                whole.push(dashcard);
            }
            body["dashcards"] = Value::Array(whole);
            // Tabs that are not named with the cards are gone.
            if body.get("tabs").is_none() {
                body["tabs"] = json!([]);
            }
        }
        let forgetful = self.forgetful;
        let dashboard = self.dashboards.get_mut(&id).expect("found above");
        if !forgetful {
            merge(dashboard, &body);
        }
        ok(dashboard.clone())
    }
}

/// A card with every key that the client insists on.
fn whole_card(body: &Value) -> Value {
    let mut card = json!({ "id": 0, "name": "", "type": "question", "display": "table", "description": null,
        "archived": false, "query_type": "native", "database_id": body["dataset_query"]["database"], "table_id": null,
        "collection_id": null, "dashboard_id": null, "entity_id": null, "creator_id": 1, "dataset_query": {},
        "visualization_settings": {}, "parameters": [], "result_metadata": null, "cache_ttl": null });
    merge(&mut card, body);
    card
}

fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    let from: Map<String, Value> = from.clone();
    into.extend(from);
}

fn entity(id: i64) -> String {
    format!("server-given-id-{id:05}")
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn missing() -> ResponseTemplate {
    ResponseTemplate::new(404).set_body_string("Not found.")
}

fn refused(key: &str, why: &str) -> ResponseTemplate {
    ResponseTemplate::new(400).set_body_json(json!({ "errors": { key: why } }))
}
