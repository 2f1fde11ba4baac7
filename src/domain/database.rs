//! What a database server says of a connection: who it is, what it may do, and how it is protected.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

/// A connection as the server sees it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Session {
    /// The user.
    pub user: String,
    /// The server's version, such as `15.18`.
    pub version: String,
    /// The same as a number, such as 150018.
    pub version_number: u32,
    /// The server's time.
    pub now: Timestamp,
    /// Whether the connection is encrypted; none if the server does not tell.
    pub encrypted: Option<bool>,
    /// Whether no grant binds the user.
    pub superuser: bool,
    /// Whether the server only repeats another one, so that nothing can be written.
    pub replica: bool,
    /// Whether the user's transactions are read-only unless they say otherwise.
    pub read_only: bool,
    /// Those of the schemas `exp` and `rampkeeper` that the user may look into.
    pub schemas: BTreeSet<String>,
    /// What there is in these two schemas.
    pub relations: Vec<Relation>,
}

/// A table or view with what the user may do to it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Relation {
    /// Schema and name: `exp.variants`.
    pub name: String,
    /// Whether it belongs to the user, who may then do anything to it.
    pub owned: bool,
    /// Privileges on the whole of it.
    pub whole: BTreeSet<String>,
    /// Privileges by column, those on the whole of it included.
    pub columns: BTreeMap<String, BTreeSet<String>>,
}

impl Relation {
    /// Whether the user has that privilege on the whole of it or, where columns are named, on each of these.
    pub fn allows(&self, privilege: &str, columns: &[String]) -> bool {
        let on_column = |column: &String| self.columns.get(column).is_some_and(|held| held.contains(privilege));
        self.whole.contains(privilege) || (!columns.is_empty() && columns.iter().all(on_column))
    }
}

/// What to do about a TLS handshake with a database that failed, by what the client said of it.
pub fn tls_advice(told: &str) -> &'static str {
    if told.contains("UnknownIssuer") {
        "nobody who is trusted signed the server's certificate; give the authority that did as `ca_file`"
    } else if told.contains("not valid for name") || told.contains("NotValidForName") {
        "the server's certificate bears another name than the address; use the name that it bears"
    } else if told.contains("expired") || told.contains("Expired") {
        "the server's certificate has expired; have it renewed"
    } else if told.contains("does not support TLS") {
        "the server offers no encryption: switch it on there (`ssl = on`) or, on a network that is yours alone, put \
         `?sslmode=disable` at the end of the address"
    } else {
        "check the server's certificate and `ca_file`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_on_the_whole_holds_for_each_column() {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let relation = Relation {
            name: "exp.variants".into(),
            owned: false,
            whole: set(&["SELECT"]),
            columns: [("id".into(), set(&["SELECT"])), ("name".into(), set(&["SELECT", "UPDATE"]))].into(),
        };
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(relation.allows("SELECT", &[]) && relation.allows("SELECT", &columns(&["id", "name"])));
        assert!(relation.allows("UPDATE", &columns(&["name"])));
        assert!(!relation.allows("UPDATE", &columns(&["id", "name"])) && !relation.allows("UPDATE", &[]));
        assert!(!relation.allows("UPDATE", &columns(&["allocation"])));
    }
}
