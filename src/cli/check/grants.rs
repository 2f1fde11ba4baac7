//! What the users of the databases may do, beside what they need: too little makes a night fail, too much makes a mistake
//! or a thief worse.

use std::collections::BTreeSet;

use super::Asked;
use super::finding::{Area, Finding, in_time, some_of};
use super::needed::{self, Needed, Privilege};
use crate::config::Config;
use crate::control::ControlStore;
use crate::domain::{FieldRoot, Relation, Session};
use crate::warehouse::Examine;

const AREA: Area = Area::Grants;

/// What changes a table or takes from it.
const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];

/// Where the grants are written down.
const ROLES: &str = "connect as the users of config/grants/postgres.sql (docs/grants.md)";

/// What is to be said of the users' rights.
pub(super) async fn findings(
    asked: &Asked<'_>,
    store: Option<&ControlStore>,
    warehouse: Option<&dyn Examine>,
) -> Vec<Finding> {
    let config = asked.config;
    let (control, events) = tokio::join!(
        async {
            match store {
                Some(store) => in_time(store.session()).await,
                None => Ok(None),
            }
        },
        async {
            match warehouse {
                Some(warehouse) => in_time(warehouse.session()).await,
                None => Ok(None),
            }
        },
    );
    let mend = "let the user read the catalogue of its database, as every user may unless it was taken away";
    let mut findings = Vec::new();
    let shared = shares_the_user(config);
    match control {
        Ok(Some(session)) => {
            let local = config.settings.registry.local.is_some();
            let mut needed = needed::needed(needed::CONTROL, if local { &["local_registry"] } else { &[] });
            if shared {
                needed = needed.with(needed_by_events(config));
            }
            findings.extend(compare("control", &session, &needed));
        }
        Ok(None) if store.is_some() => {
            let detail = "SQLite knows no users: whoever may write the file may do anything";
            findings.push(Finding::ok(AREA, "control", detail));
        }
        Ok(None) => {}
        Err(error) => findings.push(Finding::fail(AREA, "control", error, mend)),
    }
    match events {
        Ok(Some(session)) if !shared => findings.extend(compare("warehouse", &session, &needed_by_events(config))),
        Ok(_) => {}
        Err(error) => findings.push(Finding::fail(AREA, "warehouse", error, mend)),
    }
    findings
}

/// Whether the warehouse is reached by the control store's user.
fn shares_the_user(config: &Config) -> bool {
    let entry = config.settings.warehouse.postgres.as_ref();
    entry.is_some_and(|entry| entry.url.is_none() && entry.url_from.is_none())
}

/// What reading events needs, which depends on what the metrics read of them.
fn needed_by_events(config: &Config) -> Needed {
    if config.settings.warehouse.aggregates.is_some() {
        let mut needed = needed::needed(needed::WAREHOUSE, &["aggregates"]);
        needed.relations.retain(|relation, _| relation == "exp.metric_aggregates");
        return needed;
    }
    let roots: BTreeSet<FieldRoot> = config
        .metrics
        .values()
        .flat_map(|metric| metric.measures())
        .filter_map(|measure| Some(measure.value.field()?.root))
        .collect();
    let conditions: Vec<&str> = roots.iter().map(|root| root.as_str()).collect();
    needed::needed(needed::WAREHOUSE, &conditions)
}

/// What a user lacks, and what it has too much of.
fn compare(of: &str, session: &Session, needed: &Needed) -> Vec<Finding> {
    let user = identifier(&session.user);
    if session.superuser {
        let detail =
            format!("{user} is a superuser: no grant binds it, and the record of decisions is not safe from it");
        return vec![Finding::warn(AREA, of, detail, ROLES)];
    }
    let mut findings = lacking(of, session, needed, &user);
    let lacks = !findings.is_empty();
    findings.extend(beyond(of, session, needed, &user));
    if !lacks {
        let detail = format!("{user} has what it needs");
        findings.insert(0, Finding::ok(AREA, of, detail));
    }
    findings
}

fn lacking(of: &str, session: &Session, needed: &Needed, user: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for schema in needed.schemas.iter().filter(|schema| !session.schemas.contains(*schema)) {
        // A schema that is not there is told with the migrations.
        if session.relations.iter().any(|relation| relation.name.starts_with(&format!("{schema}."))) {
            let detail = format!("{user} may not look into the schema {schema}");
            findings.push(Finding::fail(AREA, of, detail, format!("GRANT USAGE ON SCHEMA {schema} TO {user};")));
        }
    }
    for (name, privileges) in &needed.relations {
        let Some(relation) = session.relations.iter().find(|relation| relation.name == *name) else { continue };
        let missing = missing(relation, privileges);
        if !missing.is_empty() {
            let missing = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let detail = format!("{user} may not {missing} on {name}");
            findings.push(Finding::fail(AREA, of, detail, format!("GRANT {missing} ON {name} TO {user};")));
        }
    }
    findings
}

/// The privileges that are needed and not held, each with the columns on which it is not.
fn missing(relation: &Relation, privileges: &[Privilege]) -> Vec<Privilege> {
    let lacked = privileges.iter().filter(|privilege| !relation.allows(&privilege.name, &privilege.columns));
    let lacked = lacked.map(|Privilege { name, columns }| {
        let on = |column: &&String| !relation.allows(name, std::slice::from_ref(*column));
        Privilege { name: name.clone(), columns: columns.iter().filter(on).cloned().collect() }
    });
    lacked.collect()
}

/// Rights to write that nothing here needs.
fn beyond(of: &str, session: &Session, needed: &Needed, user: &str) -> Vec<Finding> {
    let owned: Vec<&str> = session.relations.iter().filter(|r| r.owned).map(|r| r.name.as_str()).collect();
    let mut findings = Vec::new();
    if !owned.is_empty() {
        let detail = format!("{user} owns {}, and may change and remove all that is in there", some_of(&owned));
        findings.push(Finding::warn(AREA, of, detail, ROLES));
    }
    for relation in session.relations.iter().filter(|relation| !relation.owned) {
        let needed = needed.relations.get(&relation.name).map(Vec::as_slice).unwrap_or_default();
        let more: Vec<Privilege> = WRITES.iter().filter_map(|write| more_than(relation, needed, write)).collect();
        if !more.is_empty() {
            let more = more.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let detail = format!("{user} may {more} on {}, and need not", relation.name);
            let mend = format!("REVOKE {more} ON {} FROM {user};", relation.name);
            findings.push(Finding::warn(AREA, of, detail, mend));
        }
    }
    findings
}

/// What is held of one privilege and not needed: on the whole relation, or on some columns.
fn more_than(relation: &Relation, needed: &[Privilege], name: &str) -> Option<Privilege> {
    let of_name: Vec<&Privilege> = needed.iter().filter(|privilege| privilege.name == name).collect();
    if of_name.iter().any(|privilege| privilege.columns.is_empty()) {
        return None;
    }
    if relation.whole.contains(name) {
        return Some(Privilege { name: name.to_owned(), columns: Vec::new() });
    }
    let is_needed = |column: &String| of_name.iter().any(|privilege| privilege.columns.contains(column));
    let held = relation.columns.iter().filter(|(_, held)| held.contains(name)).map(|(column, _)| column);
    let columns: Vec<String> = held.filter(|column| !is_needed(column)).cloned().collect();
    (!columns.is_empty()).then(|| Privilege { name: name.to_owned(), columns })
}

/// A name as SQL wants it.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use std::collections::BTreeMap;

    /// A user with exactly what is needed.
    fn session(needed: &Needed) -> Session {
        let relations = needed.relations.iter().map(|(name, privileges)| {
            let mut whole = BTreeSet::new();
            let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for privilege in privileges {
                if privilege.columns.is_empty() {
                    whole.insert(privilege.name.clone());
                }
                for column in &privilege.columns {
                    columns.entry(column.clone()).or_default().insert(privilege.name.clone());
                }
            }
            Relation { name: name.clone(), owned: false, whole, columns }
        });
        Session {
            user: "Guard".into(),
            version: "17.2".into(),
            version_number: 170_002,
            now: jiff::Timestamp::UNIX_EPOCH,
            encrypted: Some(true),
            superuser: false,
            replica: false,
            read_only: false,
            schemas: needed.schemas.iter().cloned().collect(),
            relations: relations.collect(),
        }
    }

    fn control() -> Needed {
        needed::needed(needed::CONTROL, &[])
    }

    #[test]
    fn exactly_enough_is_right() {
        let told = compare("control", &session(&control()), &control());
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].state, told[0].detail.as_str()), (State::Ok, "\"Guard\" has what it needs"));
    }

    #[test]
    fn each_missing_privilege_is_named_with_the_statement_that_mends() {
        let mut session = session(&control());
        let relation = |session: &mut Session, name: &str| -> usize {
            session.relations.iter().position(|relation| relation.name == name).unwrap()
        };
        let variants = relation(&mut session, "exp.variants");
        session.relations[variants].columns.get_mut("name").unwrap().remove("UPDATE");
        let decisions = relation(&mut session, "rampkeeper.decisions");
        session.relations[decisions].whole.remove("INSERT");
        session.schemas.remove("rampkeeper");
        let told = compare("control", &session, &control());
        let mends: Vec<&str> = told.iter().map(|finding| finding.mend.as_deref().unwrap_or_default()).collect();
        assert_eq!(
            mends,
            [
                "GRANT USAGE ON SCHEMA rampkeeper TO \"Guard\";",
                "GRANT UPDATE (name) ON exp.variants TO \"Guard\";",
                "GRANT INSERT ON rampkeeper.decisions TO \"Guard\";",
            ]
        );
        assert!(told.iter().all(|finding| finding.state == State::Fail));
    }

    #[test]
    fn a_right_to_write_that_is_not_needed_is_a_warning() {
        let mut session = session(&control());
        for relation in &mut session.relations {
            match relation.name.as_str() {
                "rampkeeper.decisions" => relation.whole.extend(["DELETE".to_owned(), "TRUNCATE".to_owned()]),
                "exp.variants" => drop(relation.columns.get_mut("created_at").unwrap().insert("UPDATE".into())),
                _ => {}
            }
        }
        let told = compare("control", &session, &control());
        let warned: Vec<&str> =
            told.iter().filter(|f| f.state == State::Warn).map(|f| f.mend.as_deref().unwrap_or_default()).collect();
        assert_eq!(
            warned,
            [
                "REVOKE UPDATE (created_at) ON exp.variants FROM \"Guard\";",
                "REVOKE DELETE, TRUNCATE ON rampkeeper.decisions FROM \"Guard\";",
            ]
        );
        let owner = Session { superuser: true, ..session };
        let told = compare("control", &owner, &control());
        assert!(told.len() == 1 && told[0].state == State::Warn && told[0].detail.contains("superuser"), "{told:?}");
    }
}
