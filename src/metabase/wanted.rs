//! What the server should have, as its API takes it, and how what it has differs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Card, Dashboard, Place};

/// What stands before the key at the end of a description.
const MARK: &str = "Kept by `rampkeeper metabase push`: ";

/// A description with our mark.
pub(super) fn marked(description: &str, entity: &str) -> String {
    format!("{description}\n\n{MARK}{entity}")
}

/// The key in a description, if it bears our mark.
pub(super) fn mark_of(description: &Value) -> Option<&str> {
    let (_, entity) = description.as_str()?.rsplit_once(MARK)?;
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    Some(entity.trim_end()).filter(|entity| entity.len() == 21 && entity.chars().all(known))
}

/// A card.
pub(super) fn card(card: &Card, database: i64, collection: i64) -> Value {
    let tags: Map<String, Value> =
        card.tags().iter().filter_map(|tag| Some((tag["name"].as_str()?.to_owned(), tag.clone()))).collect();
    json!({
        "name": card.name,
        "description": marked(&card.description, &card.entity),
        "type": card.kind,
        "display": card.display,
        // The older form, which every version takes.
        "dataset_query": { "type": "native", "database": database, "native": { "query": card.sql(), "template-tags": tags } },
        "visualization_settings": card.settings,
        "collection_id": collection,
        "archived": false,
    })
}

/// What of a card is otherwise than wanted.
pub(super) fn card_differences(found: &Value, wanted: &Value) -> Vec<&'static str> {
    let mut differ =
        differences(found, wanted, &["name", "description", "type", "display", "collection_id", "archived"]);
    if !holds(&found["visualization_settings"], &wanted["visualization_settings"]) {
        differ.push("settings");
    }
    if query(&found["dataset_query"]) != query(&wanted["dataset_query"]) {
        differ.push("query");
    }
    differ
}

/// The SQL, the database and the tags' names of a query in either of Metabase's forms.
fn query(query: &Value) -> (Option<&str>, Option<i64>, BTreeSet<&str>) {
    let stage = &query["stages"][0];
    let (sql, tags) = match query.get("native") {
        Some(native) => (&native["query"], &native["template-tags"]),
        None => (&stage["native"], &stage["template-tags"]),
    };
    let names = match tags {
        Value::Object(tags) => tags.keys().map(String::as_str).collect(),
        Value::Array(tags) => tags.iter().filter_map(|tag| tag["name"].as_str()).collect(),
        _ => BTreeSet::new(),
    };
    (sql.as_str(), query["database"].as_i64(), names)
}

/// A dashboard without its cards.
pub(super) fn dashboard(dashboard: &Dashboard, collection: i64) -> Value {
    json!({
        "name": dashboard.name,
        "description": marked(&dashboard.description, &dashboard.entity),
        "parameters": dashboard.parameters,
        "width": dashboard.width,
        "collection_id": collection,
        "archived": false,
    })
}

/// What of a dashboard is otherwise than wanted. `ours` are all cards that bear our mark.
pub(super) fn dashboard_differences(
    found: &Value,
    wanted: &Value,
    places: &[Value],
    ours: &BTreeSet<i64>,
) -> Vec<&'static str> {
    let mut differ = differences(found, wanted, &["name", "description", "width", "collection_id", "archived"]);
    if !holds(&found["parameters"], &wanted["parameters"]) {
        differ.push("parameters");
    }
    let there: Vec<&Value> = dashcards(found).filter(|dashcard| is_ours(dashcard, ours)).collect();
    let is_there = |place: &Value| there.iter().any(|dashcard| same_place(dashcard, place));
    if there.len() != places.len() || !places.iter().all(is_there) {
        differ.push("cards");
    }
    differ
}

/// The cards of a dashboard as its file places them.
pub(super) fn places(dashboard: &Dashboard, ids: &BTreeMap<String, i64>) -> Vec<Value> {
    let place = |place: &Place| {
        let card = ids.get(&place.card).copied();
        let mappings = place
            .mappings
            .iter()
            .map(|mapping| json!({ "parameter_id": mapping.parameter, "card_id": card, "target": mapping.target }));
        json!({
            "card_id": card,
            "row": place.row,
            "col": place.col,
            "size_x": place.size_x,
            "size_y": place.size_y,
            "parameter_mappings": mappings.collect::<Vec<_>>(),
        })
    };
    dashboard.places.iter().map(place).collect()
}

/// The whole array that a dashboard is to have: ours as wanted, each in the place of the one that it was, and what somebody
/// else has added as it is.
pub(super) fn whole_array(found: &Value, places: &[Value], ours: &BTreeSet<i64>) -> Vec<Value> {
    let (mut there, foreign): (Vec<&Value>, Vec<&Value>) = dashcards(found).partition(|card| is_ours(card, ours));
    let tab = found["tabs"][0]["id"].clone();
    let mut array = Vec::new();
    for (number, place) in (1..).zip(places) {
        let before = there.iter().position(|dashcard| dashcard["card_id"] == place["card_id"]);
        let before = before.map(|at| there.swap_remove(at));
        let mut place = place.clone();
        place["id"] = before.map_or(json!(-number), |before| before["id"].clone());
        place["dashboard_tab_id"] = before.map_or(tab.clone(), |before| before["dashboard_tab_id"].clone());
        place["visualization_settings"] = before.map_or(json!({}), |before| before["visualization_settings"].clone());
        array.push(place);
    }
    array.extend(foreign.into_iter().map(kept));
    array
}

/// What the API wants to be told again of a dashcard that stays.
const KEPT: [&str; 11] = [
    "id",
    "card_id",
    "row",
    "col",
    "size_x",
    "size_y",
    "dashboard_tab_id",
    "parameter_mappings",
    "visualization_settings",
    "series",
    "inline_parameters",
];

fn kept(dashcard: &Value) -> Value {
    let keys = KEPT.iter().filter_map(|key| Some(((*key).to_owned(), dashcard.get(*key)?.clone())));
    Value::Object(keys.collect())
}

fn dashcards(found: &Value) -> impl Iterator<Item = &Value> {
    found["dashcards"].as_array().into_iter().flatten()
}

fn is_ours(dashcard: &Value, ours: &BTreeSet<i64>) -> bool {
    dashcard["card_id"].as_i64().is_some_and(|card| ours.contains(&card))
}

fn same_place(found: &Value, wanted: &Value) -> bool {
    let mappings = |of: &Value| -> BTreeSet<String> {
        let mappings = of["parameter_mappings"].as_array().into_iter().flatten();
        mappings.map(|m| json!([m["parameter_id"], m["card_id"], m["target"]]).to_string()).collect()
    };
    differences(found, wanted, &["card_id", "row", "col", "size_x", "size_y"]).is_empty()
        && mappings(found) == mappings(wanted)
}

fn differences(found: &Value, wanted: &Value, keys: &[&'static str]) -> Vec<&'static str> {
    let differs = |key: &&&str| !holds(&found[**key], &wanted[**key]);
    keys.iter().filter(differs).copied().collect()
}

/// Whether everything that is wanted is there; a server adds keys of its own.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| holds(found.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        // 1.3 and 1.30, 12 and 12.0.
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        // A key that is not there is false, empty, or none.
        (Value::Null, Value::Object(wanted)) => wanted.is_empty(),
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        (Value::Null, Value::Bool(wanted)) => !wanted,
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_again_and_nothing_else_is_one() {
        let entity = "QqESOP3P8XXgxT7zvJZJs";
        assert_eq!(mark_of(&json!(marked("One sentence.", entity))), Some(entity));
        for other in
            [json!(null), json!(""), json!("Kept by `rampkeeper metabase push`: x"), json!(format!("{MARK}{entity}!"))]
        {
            assert_eq!(mark_of(&other), None, "{other}");
        }
    }

    #[test]
    fn both_forms_of_a_query_are_the_same_query() {
        let old = json!({ "type": "native", "database": 3,
            "native": { "query": "SELECT {{a}}", "template-tags": { "a": { "name": "a" } } } });
        let new = json!({ "lib/type": "mbql/query", "database": 3,
            "stages": [{ "lib/type": "mbql.stage/native", "native": "SELECT {{a}}", "template-tags": [{ "name": "a" }] }] });
        assert_eq!(query(&old), query(&new));
        assert_ne!(query(&old), query(&json!({ "type": "query", "database": 3 })));
    }

    #[test]
    fn what_somebody_added_to_a_dashboard_stays_on_it() {
        let found = json!({
            "tabs": [{ "id": 9 }],
            "dashcards": [
                { "id": 1, "card_id": 11, "row": 5, "col": 0, "size_x": 4, "size_y": 4, "dashboard_tab_id": 9 },
                { "id": 2, "card_id": null, "row": 0, "col": 0, "size_x": 24, "size_y": 1, "made": "by hand",
                  "visualization_settings": { "text": "hello" } },
                { "id": 3, "card_id": 12, "row": 9, "col": 0, "size_x": 4, "size_y": 4 },
                { "id": 4, "card_id": 99, "row": 20, "col": 0, "size_x": 4, "size_y": 4 },
            ],
        });
        let place = |card: i64| json!({ "card_id": card, "row": 0, "col": 0, "size_x": 4, "size_y": 4, "parameter_mappings": [] });
        // 12 is ours and not wanted here any more; 99 is somebody else's.
        let array = whole_array(&found, &[place(11), place(13)], &BTreeSet::from([11, 12, 13]));
        let told: Vec<_> = array.iter().map(|d| (d["id"].clone(), d["card_id"].clone(), d["row"].clone())).collect();
        assert_eq!(json!(told), json!([[1, 11, 0], [-2, 13, 0], [2, null, 0], [4, 99, 20]]));
        assert_eq!(array[1]["dashboard_tab_id"], 9);
        assert_eq!(array[2]["visualization_settings"]["text"], "hello");
        assert!(array[2].get("made").is_none());
    }

    #[test]
    fn what_a_server_adds_is_no_difference() {
        let wanted = json!({ "a": { "b": 1.0 }, "c": [], "archived": false });
        assert!(holds(&json!({ "a": { "b": 1, "x": 2 }, "more": true }), &wanted));
        assert!(!holds(&json!({ "a": { "b": 2 } }), &wanted));
    }
}
