//! A statement with its values. Templates are filled with marks in place of values, so that each engine may write them in
//! its own way when the text is complete.

use sqlx::types::Uuid;

use super::dialect::Dialect;
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
    /// A value that the text does not use.
    Unset,
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
        for (number, part) in text.split(MARK).enumerate() {
            match part
                .parse::<usize>()
                .ok()
                .filter(|_| number % 2 == 1)
                .and_then(|place| Some((place, self.binds.get(place)?)))
            {
                Some((place, value)) => dialect.write_parameter(&mut sql, place, value, &mut binds),
                None => sql.push_str(part),
            }
        }
        Statement { sql, binds }
    }
}
