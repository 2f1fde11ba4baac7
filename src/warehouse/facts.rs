//! What a fact's SQL gives, and which of its columns are not as they should be.

use std::fmt;

use super::needs::FactNeed;

/// What a column holds, as far as facts care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A key of a type of its own.
    Key,
    /// A whole number.
    Whole,
    /// A number with a fraction.
    Number,
    /// An instant, as the engine's events have it.
    Instant,
    /// Something else.
    Other,
    /// The engine does not tell before it reads.
    Untold,
}

/// The columns that a fact's SQL gives, with the engine's names of their types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<(String, String)>,
}

impl Shape {
    /// The engine's name of a column's type, if there is such a column.
    pub(crate) fn held(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, held)| held.as_str())
    }
}

/// A column of a fact that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactFault {
    /// The column.
    pub column: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write.
    pub mend: String,
}

impl fmt::Display for FactFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.wrong, self.mend)
    }
}

/// What a column is for, which decides what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Unit,
    Instant,
    Key,
    UnitType,
    Value,
}

/// The columns that every fact has, or may have.
const COLUMNS: [(&str, Use, bool); 5] = [
    ("unit_id", Use::Unit, true),
    ("timestamp", Use::Instant, true),
    ("experiment_id", Use::Key, false),
    ("variant_id", Use::Key, false),
    ("unit_type", Use::UnitType, false),
];

/// How an engine tells and writes types.
pub(crate) trait Types {
    /// What a column holds, by the engine's name of its type.
    fn kind(&self, held: &str) -> Kind;

    /// Whether a column of that type holds instants.
    fn is_instant(&self, held: &str) -> bool {
        self.kind(held) == Kind::Instant
    }

    /// How something of that type is made an instant.
    fn as_instant(&self, column: &str, held: &str) -> String;

    /// How something is made a number.
    fn as_number(&self, column: &str) -> String;
}

/// Everything that is wrong with the columns of a fact.
pub(crate) fn faults(need: &FactNeed, shape: &Shape, types: &dyn Types) -> Vec<FactFault> {
    let mut faults = Vec::new();
    for (column, of, needed) in COLUMNS {
        match shape.held(column) {
            Some(held) => faults.extend(misheld(column, of, held, types)),
            None if needed => faults.push(lacking(column, of, shape)),
            None => {}
        }
    }
    if shape.held("variant_id").is_some() && shape.held("experiment_id").is_none() {
        faults.push(FactFault {
            column: "experiment_id".to_owned(),
            wrong: "`variant_id` stands without `experiment_id`".to_owned(),
            mend: "give both, or neither: a row with them counts only for the units of that variant".to_owned(),
        });
    }
    for column in &need.columns {
        match shape.held(column) {
            Some(held) => faults.extend(misheld(column, Use::Value, held, types)),
            None => faults.push(lacking(column, Use::Value, shape)),
        }
    }
    let names = shape.columns.iter().map(|(name, _)| name);
    for (nth, name) in names.enumerate() {
        if shape.columns[..nth].iter().any(|(earlier, _)| earlier == name) {
            let (wrong, mend) = (format!("there are two columns `{name}`"), "leave one of them out".to_owned());
            faults.push(FactFault { column: name.clone(), wrong, mend });
        }
    }
    faults
}

fn lacking(column: &str, of: Use, shape: &Shape) -> FactFault {
    let names: Vec<&str> = shape.columns.iter().map(|(name, _)| name.as_str()).collect();
    let near = names.iter().find(|name| name.eq_ignore_ascii_case(column)).copied().or_else(|| nearest(column, &names));
    let mend = match (of, near) {
        (Use::Value, Some(near)) => format!("did you mean `{near}`? Correct the metric, or write `… AS {column}`"),
        (Use::Value, None) => format!("correct the metric, or write `… AS {column}`"),
        (Use::Instant, _) => "write when it happened as `… AS \"timestamp\"`".to_owned(),
        (_, Some(near)) => format!("write `{near} AS {column}`"),
        (_, None) => format!("write whose row it is as `… AS {column}`"),
    };
    let wrong = format!("there is no column `{column}`, but {}", names.join(", "));
    FactFault { column: column.to_owned(), wrong, mend }
}

/// The fault of a column that holds what it should not.
fn misheld(column: &str, of: Use, held: &str, types: &dyn Types) -> Option<FactFault> {
    let kind = types.kind(held);
    let (fits, wanted, mend) = match of {
        Use::Unit => (
            matches!(kind, Kind::Text | Kind::Key | Kind::Whole),
            "a text, a key or a whole number",
            "give the id that the assignments have".to_owned(),
        ),
        Use::Instant => {
            let made = types.as_instant("…", held);
            (types.is_instant(held), "an instant", format!("write `{made} AS \"timestamp\"`"))
        }
        Use::Key => (
            matches!(kind, Kind::Text | Kind::Key),
            "a key (UUID), or its text",
            "give the key that the experiment tables have, or leave the column out".to_owned(),
        ),
        Use::UnitType => (
            kind == Kind::Text,
            "a text such as user",
            "leave the column out where all rows are of the experiments' own type of units".to_owned(),
        ),
        Use::Value => (
            matches!(kind, Kind::Whole | Kind::Number),
            "a number",
            format!("write `{} AS {column}`", types.as_number("…")),
        ),
    };
    let wrong = format!("`{column}` is {held}, where {wanted} belongs");
    (!fits && kind != Kind::Untold).then(|| FactFault { column: column.to_owned(), wrong, mend })
}

fn nearest<'a>(column: &str, names: &[&'a str]) -> Option<&'a str> {
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(column, name), *name));
    near.filter(|(distance, name)| *distance <= 1 + name.len() / 4).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Fact;

    struct Plain;

    impl Types for Plain {
        fn kind(&self, held: &str) -> Kind {
            match held {
                "text" => Kind::Text,
                "float" => Kind::Number,
                "instant" => Kind::Instant,
                _ => Kind::Other,
            }
        }

        fn as_instant(&self, column: &str, _: &str) -> String {
            format!("CAST({column} AS instant)")
        }

        fn as_number(&self, column: &str) -> String {
            format!("CAST({column} AS float)")
        }
    }

    fn told(columns: &[(&str, &str)]) -> Vec<String> {
        let fact = Fact { name: "orders".into(), sql: String::new() };
        let need = FactNeed { fact, columns: vec!["amount".into()] };
        let columns = columns.iter().map(|(name, held)| ((*name).to_owned(), (*held).to_owned())).collect();
        faults(&need, &Shape { columns }, &Plain).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_wrong_column_is_named_with_what_to_write() {
        assert!(told(&[("unit_id", "text"), ("timestamp", "instant"), ("amount", "float")]).is_empty());
        let all = told(&[("unit", "text"), ("timestamp", "text"), ("amuont", "float"), ("variant_id", "json")]);
        assert_eq!(
            all,
            [
                "there is no column `unit_id`, but unit, timestamp, amuont, variant_id; write whose row it is as `… AS unit_id`",
                "`timestamp` is text, where an instant belongs; write `CAST(… AS instant) AS \"timestamp\"`",
                "`variant_id` is json, where a key (UUID), or its text belongs; give the key that the experiment tables have, \
                 or leave the column out",
                "`variant_id` stands without `experiment_id`; give both, or neither: a row with them counts only for the units \
                 of that variant",
                "there is no column `amount`, but unit, timestamp, amuont, variant_id; did you mean `amuont`? Correct the \
                 metric, or write `… AS amount`",
            ]
        );
        let twice = told(&[("unit_id", "text"), ("timestamp", "instant"), ("amount", "text"), ("unit_id", "text")]);
        assert_eq!(
            twice,
            [
                "`amount` is text, where a number belongs; write `CAST(… AS float) AS amount`",
                "there are two columns `unit_id`; leave one of them out",
            ]
        );
    }
}
