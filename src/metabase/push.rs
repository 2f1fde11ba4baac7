//! Makes a Metabase have what the files say: looks first, changes only what differs, and reads again what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::wanted::{card, card_differences, dashboard, dashboard_differences, mark_of, marked, places, whole_array};
use super::{Api, Content, MetabaseError};

/// How many items one page of a collection's listing holds.
const PAGE: usize = 200;

/// Where things go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The collection's name; that of the files unless told.
    pub collection: Option<&'a str>,
    /// The name of the database in Metabase; may be left out where there is one PostgreSQL only.
    pub database: Option<&'a str>,
    /// Whether to look only.
    pub dry_run: bool,
}

/// What was done to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It was not there.
    Create,
    /// It was otherwise.
    Change,
    /// It is ours, and not wanted any more.
    Archive,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What was done, or would be.
    pub deed: Deed,
    /// `collection`, `model`, `question` or `dashboard`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What was otherwise.
    pub what: Vec<String>,
}

/// What a push found and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The collection's name.
    pub collection: String,
    /// The database's name.
    pub database: String,
    /// What was changed, or would be.
    pub changes: Vec<Change>,
    /// How many things are as they should be.
    pub unchanged: usize,
    /// What bears our mark and was left alone, with the reason.
    pub left_alone: Vec<String>,
}

/// Something of ours that Metabase has.
#[derive(Clone, Debug)]
struct Kept {
    id: i64,
    is_dashboard: bool,
    name: String,
    archived: bool,
}

/// Pushes everything.
///
/// # Errors
/// Metabase does not answer, refuses, or does not keep what was written; no collection or database can be told from
/// several. What was changed before stays, and a further push goes on from there.
pub async fn push(api: &Api, content: &Content, target: Target<'_>) -> Result<Outcome, MetabaseError> {
    let (database, database_name) = find_database(api, target.database).await?;
    let name = target.collection.unwrap_or(&content.collection.name).to_owned();
    let mut run = Run {
        api,
        dry_run: target.dry_run,
        outcome: Outcome {
            collection: name.clone(),
            database: database_name,
            changes: Vec::new(),
            unchanged: 0,
            left_alone: Vec::new(),
        },
    };
    let collection = run.collection(content, &name).await?;
    let kept = run.kept(collection, content).await?;
    let ids = run.cards(content, database, collection, &kept).await?;
    run.dashboards(content, collection, &kept, &ids).await?;
    run.archive(content, &kept).await?;
    Ok(run.outcome)
}

struct Run<'a> {
    api: &'a Api,
    dry_run: bool,
    outcome: Outcome,
}

impl Run<'_> {
    fn note(&mut self, deed: Deed, kind: &str, name: &str, what: &[&str]) {
        let what = what.iter().map(|what| (*what).to_owned()).collect();
        self.outcome.changes.push(Change { deed, kind: kind.to_owned(), name: name.to_owned(), what });
    }

    /// The collection of that name at the top, made if there is none. A dry run that finds none goes on with a number
    /// that no collection has.
    async fn collection(&mut self, content: &Content, name: &str) -> Result<i64, MetabaseError> {
        let all = self.api.get("collection", &[]).await?;
        let at_top = |c: &&Value| c["location"].as_str().is_none_or(|location| location == "/");
        let usable = |c: &&Value| c["personal_owner_id"].is_null() && c["archived"] != true && c["namespace"].is_null();
        let found: Vec<i64> = list(&all)
            .filter(|c| c["name"] == name)
            .filter(at_top)
            .filter(usable)
            .filter_map(|c| c["id"].as_i64())
            .collect();
        match found[..] {
            [id] => {
                self.outcome.unchanged += 1;
                Ok(id)
            }
            [] => {
                self.note(Deed::Create, "collection", name, &[]);
                if self.dry_run {
                    return Ok(-1);
                }
                let description = marked(&content.collection.description, &content.collection.entity);
                let body = json!({ "name": name, "description": description, "parent_id": null });
                id_of(&self.api.post("collection", &body).await?, "the new collection")
            }
            _ => Err(MetabaseError::Asked(format!(
                "Metabase has {} collections called {name:?} at the top; rename all but one, or name another by --collection",
                found.len()
            ))),
        }
    }

    /// What of ours is there, by its key in the files: in the collection and, archived by somebody, in the bin.
    async fn kept(&mut self, collection: i64, content: &Content) -> Result<BTreeMap<String, Kept>, MetabaseError> {
        let mut found: Vec<(String, Kept)> = Vec::new();
        let path = format!("collection/{collection}/items");
        for page in (0..).take_while(|_| collection >= 0) {
            let offset = (page * PAGE).to_string();
            let limit = PAGE.to_string();
            let mut query = vec![("models", "card"), ("models", "dataset"), ("models", "dashboard")];
            query.extend([("limit", limit.as_str()), ("offset", offset.as_str())]);
            let answer = self.api.get(&path, &query).await?;
            found.extend(list(&answer).filter_map(|item| kept(item, item["model"] == "dashboard")));
            if list(&answer).count() < PAGE {
                break;
            }
        }
        for (path, is_dashboard) in [("card", false), ("dashboard", true)] {
            let archived = self.api.get(path, &[("f", "archived")]).await?;
            let archived = list(&archived).filter_map(|item| kept(item, is_dashboard));
            found.extend(archived.map(|(entity, kept)| (entity, Kept { archived: true, ..kept })));
        }
        // Whoever copies a card of ours copies its mark. The first is ours, and one that is in use goes before the bin.
        found.sort_by_key(|(_, kept)| (kept.archived, kept.id));
        let wanted: BTreeSet<&str> = keys(content).collect();
        let mut by_key: BTreeMap<String, Kept> = BTreeMap::new();
        for (entity, kept) in found {
            match by_key.get(&entity) {
                Some(first) if !kept.archived => {
                    let told = format!("{} ({}) bears the mark of {} ({})", kept.name, kept.id, first.name, first.id);
                    self.outcome.left_alone.push(format!("{told}: a copy, which stays as it is"));
                }
                Some(_) => {}
                // In the bin and not wanted is as it should be.
                None if kept.archived && !wanted.contains(entity.as_str()) => {}
                None => drop(by_key.insert(entity, kept)),
            }
        }
        Ok(by_key)
    }

    /// Brings every card to what it should be, and answers their numbers by their keys.
    async fn cards(
        &mut self,
        content: &Content,
        database: i64,
        collection: i64,
        kept: &BTreeMap<String, Kept>,
    ) -> Result<BTreeMap<String, i64>, MetabaseError> {
        let mut ids = BTreeMap::new();
        for (number, wanted) in (1..).zip(&content.cards) {
            let body = card(wanted, database, collection);
            let id = match kept.get(&wanted.entity).filter(|kept| !kept.is_dashboard) {
                Some(kept) => {
                    let found = self.api.get(&format!("card/{}", kept.id), &[]).await?;
                    let differ = card_differences(&found, &body);
                    if differ.is_empty() {
                        self.outcome.unchanged += 1;
                    } else {
                        self.note(Deed::Change, &wanted.kind, &wanted.name, &differ);
                        self.write_card(Some(kept.id), &body, &wanted.name).await?;
                    }
                    kept.id
                }
                None => {
                    self.note(Deed::Create, &wanted.kind, &wanted.name, &[]);
                    // A dry run goes on with a number that no card has.
                    self.write_card(None, &body, &wanted.name).await?.unwrap_or(-number)
                }
            };
            ids.insert(wanted.entity.clone(), id);
        }
        Ok(ids)
    }

    async fn write_card(&self, id: Option<i64>, body: &Value, name: &str) -> Result<Option<i64>, MetabaseError> {
        if self.dry_run {
            return Ok(id);
        }
        let id = match id {
            Some(id) => id_of(&self.api.put(&format!("card/{id}"), body).await?, name)?,
            None => id_of(&self.api.post("card", body).await?, name)?,
        };
        let again = self.api.get(&format!("card/{id}"), &[]).await?;
        as_written(name, &card_differences(&again, body))?;
        Ok(Some(id))
    }

    async fn dashboards(
        &mut self,
        content: &Content,
        collection: i64,
        kept: &BTreeMap<String, Kept>,
        ids: &BTreeMap<String, i64>,
    ) -> Result<(), MetabaseError> {
        let ours = kept.values().filter(|kept| !kept.is_dashboard).map(|kept| kept.id);
        let ours: BTreeSet<i64> = ours.chain(ids.values().copied()).collect();
        for wanted in &content.dashboards {
            let (mut body, places) = (dashboard(wanted, collection), places(wanted, ids));
            let id = match kept.get(&wanted.entity).filter(|kept| kept.is_dashboard) {
                Some(kept) => {
                    let found = self.api.get(&format!("dashboard/{}", kept.id), &[]).await?;
                    let differ = dashboard_differences(&found, &body, &places, &ours);
                    if differ.is_empty() {
                        self.outcome.unchanged += 1;
                        continue;
                    }
                    self.note(Deed::Change, "dashboard", &wanted.name, &differ);
                    kept.id
                }
                None => {
                    self.note(Deed::Create, "dashboard", &wanted.name, &[]);
                    if self.dry_run {
                        continue;
                    }
                    let new = json!({ "name": wanted.name, "description": body["description"],
                        "collection_id": collection, "parameters": wanted.parameters });
                    id_of(&self.api.post("dashboard", &new).await?, &wanted.name)?
                }
            };
            if self.dry_run {
                continue;
            }
            let path = format!("dashboard/{id}");
            let found = self.api.get(&path, &[]).await?;
            body["dashcards"] = json!(whole_array(&found, &places, &ours));
            // Without its tabs the server would take them for removed.
            if list(&found["tabs"]).next().is_some() {
                body["tabs"] = found["tabs"].clone();
            }
            self.api.put(&path, &body).await?;
            let again = self.api.get(&path, &[]).await?;
            as_written(&wanted.name, &dashboard_differences(&again, &body, &places, &ours))?;
        }
        Ok(())
    }

    /// Takes away what is ours and in the files no more. Nothing is deleted.
    async fn archive(&mut self, content: &Content, kept: &BTreeMap<String, Kept>) -> Result<(), MetabaseError> {
        let wanted: BTreeSet<&str> = keys(content).collect();
        for (_, gone) in kept.iter().filter(|(entity, _)| !wanted.contains(entity.as_str())) {
            let (path, kind) = if gone.is_dashboard { ("dashboard", "dashboard") } else { ("card", "question") };
            self.note(Deed::Archive, kind, &gone.name, &[]);
            if self.dry_run {
                continue;
            }
            let path = format!("{path}/{}", gone.id);
            self.api.put(&path, &json!({ "archived": true })).await?;
            if self.api.get(&path, &[]).await?["archived"] != true {
                as_written(&gone.name, &["archived"])?;
            }
        }
        Ok(())
    }
}

async fn find_database(api: &Api, name: Option<&str>) -> Result<(i64, String), MetabaseError> {
    let answer = api.get("database", &[]).await?;
    let all: Vec<(i64, &str, &str)> = list(&answer)
        .filter_map(|one| {
            Some((one["id"].as_i64()?, one["name"].as_str()?, one["engine"].as_str().unwrap_or_default()))
        })
        .collect();
    let fit: Vec<_> = match name {
        Some(name) => all.iter().filter(|(_, found, _)| *found == name).collect(),
        None => all.iter().filter(|(_, _, engine)| *engine == "postgres").collect(),
    };
    if let [(id, name, _)] = fit[..] {
        return Ok((*id, (*name).to_owned()));
    }
    let names = all.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ");
    Err(MetabaseError::Asked(match (name, fit.len()) {
        (Some(name), 0) => format!("Metabase has no database called {name:?}; it has: {names}"),
        (Some(name), many) => format!("Metabase has {many} databases called {name:?}; give them different names"),
        (None, 0) => {
            format!("Metabase has no PostgreSQL database yet; add the one with the schema rampkeeper (it has: {names})")
        }
        (None, _) => format!("which database has the schema rampkeeper? Name it by --database, one of: {names}"),
    }))
}

fn kept(item: &Value, is_dashboard: bool) -> Option<(String, Kept)> {
    let entity = mark_of(&item["description"])?.to_owned();
    let name = item["name"].as_str().unwrap_or_default().to_owned();
    Some((entity, Kept { id: item["id"].as_i64()?, is_dashboard, name, archived: false }))
}

fn keys(content: &Content) -> impl Iterator<Item = &str> {
    let cards = content.cards.iter().map(|card| card.entity.as_str());
    cards.chain(content.dashboards.iter().map(|dashboard| dashboard.entity.as_str()))
}

/// The items of an answer, which are `data` or the answer itself.
fn list(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.as_array().or_else(|| answer["data"].as_array()).into_iter().flatten()
}

fn id_of(answer: &Value, what: &str) -> Result<i64, MetabaseError> {
    let none = || MetabaseError::Asked(format!("Metabase answered with no id for {what}"));
    answer["id"].as_i64().ok_or_else(none)
}

fn as_written(what: &str, differ: &[&str]) -> Result<(), MetabaseError> {
    match differ {
        [] => Ok(()),
        keys => Err(MetabaseError::NotKept { what: what.to_owned(), keys: keys.join(", ") }),
    }
}
