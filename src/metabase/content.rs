//! What is pushed: the files of `queries/metabase`, embedded in the program and read into what matters here. They are in
//! Metabase's own format of representations, so Metabase's serialization takes them as well.

use serde::Deserialize;
use serde_json::Value;

/// The embedded files, each with its path below `queries/metabase`.
macro_rules! embedded {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../../queries/metabase/", $path))),)*]
    };
}

/// Every file with its path.
pub const FILES: &[(&str, &str)] = embedded![
    "collections/main/rampkeeper.yaml",
    "collections/main/rampkeeper/alignment_and_lift.yaml",
    "collections/main/rampkeeper/candidates.yaml",
    "collections/main/rampkeeper/decisions.yaml",
    "collections/main/rampkeeper/decisions_of_an_experiment.yaml",
    "collections/main/rampkeeper/effect_by_night.yaml",
    "collections/main/rampkeeper/evidence_of_harm.yaml",
    "collections/main/rampkeeper/last_look.yaml",
    "collections/main/rampkeeper/last_night.yaml",
    "collections/main/rampkeeper/looks.yaml",
    "collections/main/rampkeeper/nights.yaml",
    "collections/main/rampkeeper/offline_against_online.yaml",
    "collections/main/rampkeeper/offline_and_online.yaml",
    "collections/main/rampkeeper/one_experiment.yaml",
    "collections/main/rampkeeper/open_incidents.yaml",
    "collections/main/rampkeeper/outcomes_by_week.yaml",
    "collections/main/rampkeeper/overview.yaml",
    "collections/main/rampkeeper/shares.yaml",
    "collections/main/rampkeeper/split.yaml",
    "collections/main/rampkeeper/units.yaml",
    "collections/main/rampkeeper/what_candidates_wait_for.yaml",
    "collections/main/rampkeeper/what_was_done.yaml",
    "collections/main/rampkeeper/where_candidates_stand.yaml",
];

/// Everything that is pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The collection that all the rest is in.
    pub collection: Collection,
    /// Models first, then questions.
    pub cards: Vec<Card>,
    /// The dashboards.
    pub dashboards: Vec<Dashboard>,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Collection {
    /// Its key in the files.
    #[serde(rename = "entity_id")]
    pub entity: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
}

/// A model or a question: one native query and how it is shown.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Card {
    /// Its key in the files.
    #[serde(rename = "entity_id")]
    pub entity: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// `model` or `question`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it is drawn.
    pub display: String,
    /// What the drawing needs to know.
    #[serde(rename = "visualization_settings")]
    pub settings: Value,
    /// The query; its first stage is the whole of it.
    #[serde(rename = "dataset_query")]
    query: Query,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Query {
    stages: Vec<Stage>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Stage {
    native: String,
    #[serde(rename = "template-tags", default)]
    tags: Vec<Value>,
}

impl Card {
    /// The SQL, with `{{name}}` for what a reader may choose and `[[…]]` around what is left out without a choice.
    pub fn sql(&self) -> &str {
        self.query.stages.first().map_or("", |stage| &stage.native)
    }

    /// What a reader may choose.
    pub fn tags(&self) -> &[Value] {
        self.query.stages.first().map_or(&[], |stage| &stage.tags)
    }
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Dashboard {
    /// Its key in the files.
    #[serde(rename = "entity_id")]
    pub entity: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// `fixed` or `full`.
    pub width: String,
    /// What a reader may choose.
    #[serde(default)]
    pub parameters: Vec<Value>,
    /// Its cards on a grid of 24 columns.
    #[serde(rename = "dashcards")]
    pub places: Vec<Place>,
}

/// A card's place on a dashboard.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Place {
    /// The card's key in the files.
    #[serde(rename = "card_id")]
    pub card: String,
    /// From the top.
    pub row: i64,
    /// From the left.
    pub col: i64,
    /// Columns.
    pub size_x: i64,
    /// Rows.
    pub size_y: i64,
    /// Which choice goes into which tag.
    #[serde(rename = "parameter_mappings", default)]
    pub mappings: Vec<Mapping>,
}

/// A choice of the dashboard that goes into a card.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Mapping {
    /// The dashboard's parameter.
    #[serde(rename = "parameter_id")]
    pub parameter: String,
    /// The card's tag, as Metabase names it.
    pub target: Value,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "serdes/meta")]
    meta: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    model: String,
}

impl Content {
    /// Reads files of Metabase's format.
    ///
    /// # Errors
    /// A file that cannot be read, with its path; no collection.
    pub fn read(files: &[(&str, &str)]) -> Result<Content, String> {
        let (mut collection, mut cards, mut dashboards) = (None, Vec::new(), Vec::new());
        for (path, text) in files {
            let kind: Kind = parse(path, text)?;
            match kind.meta.last().map(|last| last.model.as_str()) {
                Some("Collection") => collection = Some(parse(path, text)?),
                Some("Card") => cards.push(parse::<Card>(path, text)?),
                Some("Dashboard") => dashboards.push(parse(path, text)?),
                other => return Err(format!("{path}: {other:?} is nothing that is pushed")),
            }
        }
        cards.sort_by(|a, b| (a.kind != "model", &a.name).cmp(&(b.kind != "model", &b.name)));
        let collection = collection.ok_or("none of the files is a collection")?;
        Ok(Content { collection, cards, dashboards })
    }

    /// What the program was built with.
    ///
    /// # Errors
    /// As [`Content::read`]; a test keeps that from happening.
    pub fn embedded() -> Result<Content, String> {
        Content::read(FILES)
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn paths(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in folder.read_dir().unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => paths(&path, root, found),
                path => drop(found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/metabase");
        let mut found = BTreeSet::new();
        paths(&root, &root, &mut found);
        assert_eq!(found, FILES.iter().map(|(path, _)| (*path).to_owned()).collect());
    }

    #[test]
    fn the_content_holds_together() {
        let content = Content::embedded().unwrap();
        let cards: BTreeSet<&str> = content.cards.iter().map(|card| card.entity.as_str()).collect();
        let dashboards = content.dashboards.iter().map(|dashboard| dashboard.entity.as_str());
        let keys: BTreeSet<&str> = cards.iter().copied().chain(dashboards).collect();
        assert_eq!(keys.len(), content.cards.len() + content.dashboards.len(), "every key is given once");
        let mut shown = BTreeSet::new();
        for dashboard in &content.dashboards {
            for place in &dashboard.places {
                assert!(cards.contains(place.card.as_str()), "{}: {}", dashboard.name, place.card);
                assert!(place.col + place.size_x <= 24, "{}: beyond the grid", dashboard.name);
                shown.insert(place.card.as_str());
                for mapping in &place.mappings {
                    assert!(dashboard.parameters.iter().any(|p| p["id"] == mapping.parameter.as_str()));
                    let card = content.cards.iter().find(|card| card.entity == place.card).unwrap();
                    assert!(card.tags().iter().any(|tag| tag["name"] == mapping.target[1][1]), "{}", card.name);
                }
            }
            for (i, a) in dashboard.places.iter().enumerate() {
                for b in &dashboard.places[i + 1..] {
                    let beside = a.col + a.size_x <= b.col || b.col + b.size_x <= a.col;
                    let below = a.row + a.size_y <= b.row || b.row + b.size_y <= a.row;
                    assert!(beside || below, "{}: {a:?} overlaps {b:?}", dashboard.name);
                }
            }
        }
        for card in &content.cards {
            assert_eq!(card.kind == "model", !shown.contains(card.entity.as_str()), "{}", card.name);
            for tag in card.tags() {
                let name = tag["name"].as_str().unwrap();
                assert!(card.sql().contains(&format!("{{{{{name}}}}}")), "{}: {name}", card.name);
            }
        }
    }

    #[test]
    fn a_file_that_is_nothing_of_ours_is_named() {
        let told = Content::read(&[("a.yaml", "serdes/meta: [{ id: x, model: Segment }]")]).unwrap_err();
        assert_eq!(told, "a.yaml: Some(\"Segment\") is nothing that is pushed");
        assert!(Content::read(&[("b.yaml", "x: [")]).unwrap_err().starts_with("b.yaml: "));
    }
}
