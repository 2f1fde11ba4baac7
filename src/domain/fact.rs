//! Facts: rows that a SQL file of the user's own gives, beside the events.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A SQL file that gives rows of units: whose, when, and numbers by column.
///
/// The text is part of what a metric means: a changed text is another definition, whose cohorts are read anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// What metrics call it; the file's name without `.sql`.
    pub name: String,
    /// One SELECT.
    pub sql: String,
}

/// The rows that a measure adds up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// The events of one type.
    Event(String),
    /// The rows of a fact.
    Fact(Fact),
}

impl Rows {
    /// The event type, or the fact's name.
    pub fn name(&self) -> &str {
        match self {
            Rows::Event(event) => event,
            Rows::Fact(fact) => &fact.name,
        }
    }

    /// The fact, if it is one.
    pub fn fact(&self) -> Option<&Fact> {
        match self {
            Rows::Event(_) => None,
            Rows::Fact(fact) => Some(fact),
        }
    }

    /// `event of type "plan_accepted"`, or `row of fact orders`.
    pub fn one(&self) -> String {
        match self {
            Rows::Event(event) => format!("event of type {event:?}"),
            Rows::Fact(fact) => format!("row of fact {}", fact.name),
        }
    }
}

impl fmt::Display for Rows {
    /// `events of type "plan_accepted"`, or `rows of fact orders`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rows::Event(event) => write!(f, "events of type {event:?}"),
            Rows::Fact(fact) => write!(f, "rows of fact {}", fact.name),
        }
    }
}
