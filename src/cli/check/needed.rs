//! What the users of a database need, read from the file that grants it: what is asked for and what is told are one text.

use std::collections::BTreeMap;
use std::fmt;

/// The grants, as they are given out.
const FILE: &str = include_str!("../../../config/grants/postgres.sql");

/// The user of the control store, as the file calls it.
pub(super) const CONTROL: &str = "rampkeeper_control";

/// The user of the warehouse, as the file calls it.
pub(super) const WAREHOUSE: &str = "rampkeeper_warehouse";

/// A privilege on a relation; on the whole of it unless columns are named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Privilege {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

/// What a user needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needed {
    /// The schemas that it must see into.
    pub(super) schemas: Vec<String>,
    /// Privileges by relation.
    pub(super) relations: BTreeMap<String, Vec<Privilege>>,
}

impl Needed {
    /// What two need together.
    pub(super) fn with(mut self, other: Needed) -> Needed {
        let new: Vec<String> = other.schemas.into_iter().filter(|schema| !self.schemas.contains(schema)).collect();
        self.schemas.extend(new);
        for (relation, privileges) in other.relations {
            self.relations.entry(relation).or_default().extend(privileges);
        }
        self
    }
}

impl fmt::Display for Privilege {
    /// As GRANT takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.columns.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{} ({})", self.name, self.columns.join(", ")),
        }
    }
}

/// What the file grants to a user under those conditions, such as `local_registry`.
pub(super) fn needed(role: &str, conditions: &[&str]) -> Needed {
    let mut needed = Needed::default();
    for (condition, statement) in statements(FILE) {
        if condition.is_some_and(|condition| !conditions.contains(&condition)) {
            continue;
        }
        let Some((granted, object, to)) = parts(&statement) else { continue };
        if to != role {
            continue;
        }
        match object.strip_prefix("SCHEMA ") {
            Some(schema) => needed.schemas.push(schema.to_owned()),
            None => needed.relations.entry(object.to_owned()).or_default().extend(privileges(granted)),
        }
    }
    needed
}

/// The GRANT statements at the beginning of a line, each in one line and with its condition `\if :{?NAME}`, if it has one.
fn statements(file: &str) -> Vec<(Option<&str>, String)> {
    let mut found = Vec::new();
    let mut conditions: Vec<Option<&str>> = Vec::new();
    let mut open: Option<String> = None;
    for line in file.lines() {
        if let Some(test) = line.strip_prefix("\\if ") {
            conditions.push(test.strip_prefix(":{?").and_then(|name| name.strip_suffix('}')));
        } else if line.starts_with("\\endif") {
            conditions.pop();
        } else if open.is_some() || line.starts_with("GRANT ") {
            let mut statement = open.take().unwrap_or_default();
            statement.push_str(line.trim());
            match statement.strip_suffix(';') {
                Some(whole) => found.push((conditions.iter().rev().find_map(|condition| *condition), whole.to_owned())),
                None => open = Some(statement + " "),
            }
        }
    }
    found
}

/// `GRANT privileges ON object TO role`.
fn parts(statement: &str) -> Option<(&str, &str, &str)> {
    let (granted, rest) = statement.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (object, to) = rest.split_once(" TO ")?;
    Some((granted, object, to))
}

/// `SELECT (a, b), INSERT` as privileges.
fn privileges(mut granted: &str) -> Vec<Privilege> {
    let mut found = Vec::new();
    while !granted.is_empty() {
        let end = granted.find([',', '(']).unwrap_or(granted.len());
        let name = granted[..end].trim().to_owned();
        let mut columns = Vec::new();
        granted = &granted[end..];
        if let Some(list) = granted.strip_prefix('(') {
            let (list, rest) = list.split_once(')').unwrap_or((list, ""));
            columns = list.split(',').map(|column| column.trim().to_owned()).collect();
            granted = rest;
        }
        found.push(Privilege { name, columns });
        granted = granted.trim_start_matches([',', ' ']);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_of_the_file_is_understood() {
        let grants = FILE.lines().filter(|line| line.starts_with("GRANT ")).count();
        let statements = statements(FILE);
        assert_eq!(statements.len(), grants);
        for (_, statement) in &statements {
            let (granted, object, to) = parts(statement).unwrap_or_else(|| panic!("{statement}"));
            let known = [CONTROL, WAREHOUSE, "rampkeeper_migrate", "rampkeeper_dashboards"];
            assert!(known.contains(&to), "{statement}");
            let known = |privilege: &Privilege| {
                ["SELECT", "INSERT", "UPDATE", "DELETE", "USAGE"].contains(&privilege.name.as_str())
                    && privilege.columns.iter().all(|c| c.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            };
            assert!(privileges(granted).iter().all(known), "{statement}");
            assert!(object.starts_with("SCHEMA ") || object.starts_with("exp.") || object.starts_with("rampkeeper."));
        }
    }

    #[test]
    fn what_is_granted_on_demand_is_needed_on_demand() {
        let columns = |needed: &Needed| -> Vec<String> {
            needed.relations["exp.events"].iter().flat_map(|privilege| privilege.columns.clone()).collect()
        };
        let plain = needed(WAREHOUSE, &[]);
        assert_eq!(plain.schemas, ["exp"]);
        assert_eq!(columns(&plain), ["event_type", "unit_type", "unit_id", "timestamp", "metrics"]);
        assert_eq!(columns(&needed(WAREHOUSE, &["payload"])).last().unwrap(), "payload");
        assert!(!needed(CONTROL, &[]).relations.contains_key("rampkeeper.registry_tags"));
        assert!(needed(CONTROL, &["local_registry"]).relations.contains_key("rampkeeper.registry_tags"));
    }

    #[test]
    fn no_record_is_changed_or_removed() {
        let control = needed(CONTROL, &["local_registry"]);
        let with = |name: &str| -> Vec<&str> {
            let held = control.relations.iter().filter(|(_, privileges)| privileges.iter().any(|p| p.name == name));
            held.map(|(relation, _)| relation.as_str()).collect()
        };
        assert_eq!(with("DELETE"), ["rampkeeper.leases", "rampkeeper.registry_aliases"]);
        assert!(with("TRUNCATE").is_empty());
        for record in ["decisions", "looks", "cohorts", "rules", "amendments", "acts"] {
            assert!(!with("UPDATE").contains(&format!("rampkeeper.{record}").as_str()), "{record}");
        }
        let warehouse = needed(WAREHOUSE, &["context", "payload"]);
        assert!(warehouse.relations.values().flatten().all(|privilege| privilege.name == "SELECT"));
        assert!(control.relations.values().flatten().filter(|p| p.name == "UPDATE").all(|p| !p.columns.is_empty()));
    }
}
