//! What a table is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A table's name: `events`, or `database.events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    /// A table of a schema, or of a database.
    pub fn of(schema: &str, table: &str) -> Self {
        Self { schema: Some(schema.to_owned()), table: table.to_owned() }
    }

    /// A table of the connection's own database.
    pub fn plain(table: &str) -> Self {
        Self { schema: None, table: table.to_owned() }
    }

    /// The schema, if one is named.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table alone.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Schema, if there is one, and table.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.schema.as_deref().into_iter().chain([self.table.as_str()])
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let sound = |part: &&str| !part.is_empty() && !part.chars().any(|c| c.is_control() || "`'\"\\".contains(c));
        match parts.as_slice() {
            [table] if sound(table) => Ok(TableName::plain(table)),
            [schema, table] if sound(schema) && sound(table) => Ok(TableName::of(schema, table)),
            _ => Err(format!("{text:?} is no table's name; write `events` or `database.events`, without quotes")),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts().collect::<Vec<_>>().join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_part_or_two() {
        assert_eq!("events".parse::<TableName>().unwrap(), TableName::plain("events"));
        assert_eq!("shop.events".parse::<TableName>().unwrap(), TableName::of("shop", "events"));
        for bad in ["", "a.", ".b", "a.b.c", "a`b", "a\"b", "a'b", "a\\b", "a\nb"] {
            assert!(bad.parse::<TableName>().unwrap_err().contains("is no table's name"), "{bad}");
        }
    }
}
