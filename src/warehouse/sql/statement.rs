//! A statement with its values. Templates are filled with marks in place of values, so that each engine may write them in
//! its own way when the text is complete.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::types::Uuid;

use super::dialect::{Dialect, Parameters};
use crate::warehouse::instants::Micros;

/// A statement and the values of its parameters, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub sql: String,
    pub binds: Vec<Bind>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bind {
    Key(Uuid),
    Text(String),
    Integer(i64),
    Float(f64),
    /// An instant.
    Instant(Micros),
    /// A length of time.
    Length(Micros),
    /// No value.
    Null,
}

/// Around the place of a value. A control character: no name or text of ours holds it.
const MARK: char = '\u{2}';

/// Values on their way to becoming parameters.
#[derive(Default)]
pub(crate) struct Binder {
    binds: Vec<Bind>,
}

impl Binder {
    /// Keeps a value and gives the mark that stands for it; the mark may be used more than once.
    pub(crate) fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("{MARK}{}{MARK}", self.binds.len() - 1)
    }

    /// The text with parameters in place of marks.
    pub(crate) fn finish(self, text: &str, dialect: &dyn Dialect) -> Statement {
        let mut sql = String::with_capacity(text.len());
        let mut binds = Vec::new();
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        for (nth, part) in text.split(MARK).enumerate() {
            // Every second part is the place of a value.
            let value = part.parse::<usize>().ok().filter(|_| nth % 2 == 1);
            let Some((place, value)) = value.and_then(|place| Some((place, self.binds.get(place)?))) else {
                sql.push_str(part);
                continue;
            };
            match dialect.parameters() {
                Parameters::Numbered(mark) => {
                    let number = *numbers.entry(place).or_insert_with(|| {
                        binds.push(value.clone());
                        binds.len()
                    });
                    let _ = write!(sql, "{mark}{number}");
                }
                Parameters::InOrder => {
                    binds.push(value.clone());
                    sql.push('?');
                }
                Parameters::InText => sql.push_str(&value.literal()),
            }
        }
        Statement { sql, binds }
    }
}

impl Bind {
    /// The value as ClickHouse reads it.
    pub(crate) fn literal(&self) -> String {
        match self {
            Bind::Key(key) => literal(&key.to_string()),
            Bind::Text(text) => literal(text),
            Bind::Integer(number) | Bind::Instant(number) | Bind::Length(number) => number.to_string(),
            Bind::Float(number) => format!("{number:?}"),
            Bind::Null => "NULL".to_owned(),
        }
    }
}

/// A text in quotes, with everything escaped that could end it.
pub(crate) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\0' => quoted.push_str("\\0"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}
