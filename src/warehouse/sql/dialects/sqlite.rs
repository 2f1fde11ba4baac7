//! SQLite 3.38 and later, JSON and instants kept as text.

use crate::domain::Field;
use crate::warehouse::facts::{Kind, Types};
use crate::warehouse::instants::{Micros, date_of};
use crate::warehouse::sql::dialect::{Contexts, Dialect, Parameters, quoted};
use crate::warehouse::sql::statement::{Bind, Binder};

/// The largest double; what is larger reads as infinite.
const LARGEST: &str = "1.7976931348623157e308";

const DAY: Micros = 86_400_000_000;

/// The dialect of SQLite.
pub(crate) struct Sqlite;

impl Types for Sqlite {
    /// What is declared; whatever is no column of a table is not told.
    fn kind(&self, held: &str) -> Kind {
        match held {
            "TEXT" => Kind::Text,
            "INTEGER" | "BOOLEAN" => Kind::Whole,
            "REAL" | "NUMERIC" => Kind::Number,
            "DATETIME" => Kind::Instant,
            "BLOB" | "TIME" | "DATE" => Kind::Other,
            _ => Kind::Untold,
        }
    }

    /// Instants are kept as texts.
    fn is_instant(&self, held: &str) -> bool {
        matches!(self.kind(held), Kind::Instant | Kind::Text)
    }

    fn as_instant(&self, column: &str, held: &str) -> String {
        match held {
            "INTEGER" | "REAL" => format!("datetime({column}, 'unixepoch')"),
            _ => format!("datetime({column})"),
        }
    }

    fn as_number(&self, column: &str) -> String {
        format!("CAST({column} AS REAL)")
    }
}

impl Dialect for Sqlite {
    fn quote(&self, identifier: &str) -> String {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }

    fn parameters(&self) -> Parameters {
        Parameters::Numbered('?')
    }

    /// It takes the units for few, and so makes no index for them.
    fn joins_facts_by_window(&self) -> bool {
        true
    }

    fn explain(&self) -> Option<&'static str> {
        Some("EXPLAIN QUERY PLAN ")
    }

    fn key_text(&self, key: &str) -> String {
        format!("lower({key})")
    }

    /// Text as `2026-01-05T12:00:00.25Z` or `2026-01-05 12:00:00`, in UTC unless an offset follows.
    fn instant(&self, column: &str) -> String {
        let seconds = format!("CAST(strftime('%s', {column}) AS INTEGER) * 1000000");
        // A text is read as a number up to where it stops being one.
        let fraction = format!("CAST('0' || substr({column}, 20) AS REAL)");
        format!(
            "({seconds} + CASE WHEN substr({column}, 20, 1) = '.' THEN CAST(round({fraction} * 1000000) AS INTEGER) ELSE 0 END)"
        )
    }

    /// Dates sort as texts. A day more on either side, since an offset may shift an instant by most of one.
    fn reach(&self, column: &str, from: Micros, to: Micros, binder: &mut Binder) -> Option<String> {
        let mut side = |sign: &str, instant: Micros| {
            let date = date_of(instant)?;
            // Texts of other lengths than four digits of year would sort elsewhere.
            (0..=9999)
                .contains(&date.year())
                .then(|| format!("{column} {sign} {}", binder.bind(Bind::Text(date.to_string()))))
        };
        let sides = [side(">=", from.saturating_sub(DAY)), side("<", to.saturating_add(2 * DAY))];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        (!sides.is_empty()).then(|| sides.join(" AND "))
    }

    fn may_misread(&self) -> bool {
        true
    }

    fn day(&self, instant: &str) -> String {
        // Division in SQLite rounds toward zero.
        format!("(({instant} - (({instant} % {DAY}) + {DAY}) % {DAY}) / {DAY})")
    }

    fn micros(&self, instant: &str) -> String {
        instant.to_owned()
    }

    fn later(&self, instant: &str, length: &str) -> String {
        format!("{instant} + {length}")
    }

    fn next_midnight(&self, instant: &str) -> String {
        format!("({} + 1) * {DAY}", self.day(instant))
    }

    /// It has no hash; the file is read by this very process, which has one.
    fn sum_of_hashes(&self, texts: &[String]) -> String {
        format!("concat_ws(char(31), {})", texts.join(", "))
    }

    fn field(&self, field: &Field) -> String {
        let column = format!("e.{}", self.quote(field.root.as_str()));
        let path = quoted(&format!("$.\"{}\"", field.key));
        // What is no JSON at all holds something else than a number.
        format!("CASE WHEN json_valid({column}) THEN {column} -> {path} WHEN {column} IS NOT NULL THEN '\"\"' END")
    }

    fn is_missing(&self, json: &str) -> String {
        format!("coalesce({json} = 'null', 1)")
    }

    fn number(&self, json: &str) -> String {
        let number = format!("CAST({json} AS REAL)");
        format!("CASE WHEN json_type({json}) IN ('integer', 'real') AND abs({number}) <= {LARGEST} THEN {number} END")
    }

    fn double(&self, number: &str) -> String {
        format!("CAST({number} AS REAL)")
    }

    fn integer(&self, number: &str) -> String {
        format!("CAST({number} AS INTEGER)")
    }

    fn value(&self, value: &str, _: &str) -> String {
        let number = format!("CAST({value} AS REAL)");
        format!("CASE WHEN typeof({value}) IN ('integer', 'real') AND abs({number}) <= {LARGEST} THEN {number} END")
    }

    fn contexts(&self) -> Contexts {
        let is_array = "json_valid(e.experiments) AND json_type(e.experiments) = 'array'";
        let member = |key: &str| format!("CASE WHEN c.type = 'object' THEN json_extract(c.value, '$.{key}') END");
        Contexts {
            join: format!("JOIN json_each(CASE WHEN {is_array} THEN e.experiments ELSE '[]' END) AS c"),
            experiment: member("experiment_id"),
            variant: format!("lower({})", member("variant_id")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_by_their_dates() {
        let mut binder = Binder::default();
        let reach = Sqlite.reach("t", 0, DAY, &mut binder).unwrap();
        let statement = binder.finish(&reach, &Sqlite);
        assert_eq!(statement.sql, "t >= ?1 AND t < ?2");
        assert_eq!(statement.binds, [Bind::Text("1969-12-31".into()), Bind::Text("1970-01-04".into())]);
    }
}
