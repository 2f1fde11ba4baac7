//! MySQL 8 and MariaDB 10.6 and later, JSON kept as JSON, instants as DATETIME(6) in UTC or as TIMESTAMP(6).

use crate::domain::Field;
use crate::warehouse::facts::{Kind, Types};
use crate::warehouse::sql::dialect::{Contexts, Dialect, Parameters, quoted};

/// What a number too large for a double reads as.
const LARGEST: &str = "1.7976931348623157e308";

/// The dialect of MySQL and MariaDB.
pub(crate) struct Mysql;

impl Types for Mysql {
    /// What has a binary collation is told as if it were bytes.
    fn kind(&self, held: &str) -> Kind {
        match held {
            "DOUBLE" | "FLOAT" | "DECIMAL" => Kind::Number,
            "DATETIME" | "TIMESTAMP" => Kind::Instant,
            "BOOLEAN" => Kind::Whole,
            held if held.contains("INT") => Kind::Whole,
            held if ["CHAR", "TEXT", "ENUM", "BINARY", "BLOB"].iter().any(|text| held.contains(text)) => Kind::Text,
            _ => Kind::Other,
        }
    }

    fn as_instant(&self, column: &str, _: &str) -> String {
        format!("CAST({column} AS DATETIME(6))")
    }

    fn as_number(&self, column: &str) -> String {
        format!("CAST({column} AS DOUBLE)")
    }
}

impl Dialect for Mysql {
    fn quote(&self, identifier: &str) -> String {
        format!("`{}`", identifier.replace('`', "``"))
    }

    fn parameters(&self) -> Parameters {
        Parameters::InOrder
    }

    /// MariaDB has no other join of texts without an index than to compare each with each.
    fn joins_facts_by_window(&self) -> bool {
        true
    }

    fn explain(&self) -> Option<&'static str> {
        Some("EXPLAIN ")
    }

    fn key_text(&self, key: &str) -> String {
        format!("lower({key})")
    }

    /// Collations hold `a` and `A`, and `a` and `a ` for equal; a unit's id is not to be taken for another's.
    fn exact(&self, text: &str) -> String {
        format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)")
    }

    /// Short, and without a collation: what is as long as an id may be gets no index in a temporary table.
    fn unit_key(&self, id: &str) -> String {
        format!("MD5(CONVERT({id} USING utf8mb4))")
    }

    fn compares_loosely(&self) -> bool {
        true
    }

    fn day(&self, instant: &str) -> String {
        format!("CAST(DATEDIFF({instant}, '1970-01-01') AS SIGNED)")
    }

    fn micros(&self, instant: &str) -> String {
        format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {instant})")
    }

    fn later(&self, instant: &str, length: &str) -> String {
        format!("DATE_ADD({instant}, INTERVAL {length} MICROSECOND)")
    }

    fn next_midnight(&self, instant: &str) -> String {
        format!("DATE_ADD(CAST(DATE({instant}) AS DATETIME(6)), INTERVAL 1 DAY)")
    }

    fn field(&self, field: &Field) -> String {
        let column = format!("e.{}", self.quote(field.root.as_str()));
        format!("JSON_EXTRACT({column}, {})", quoted(&format!("$.\"{}\"", field.key)))
    }

    fn is_missing(&self, json: &str) -> String {
        format!("coalesce(JSON_TYPE({json}) = 'NULL', 1)")
    }

    fn number(&self, json: &str) -> String {
        let is_number = format!("JSON_TYPE({json}) IN ('INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL')");
        format!("CASE WHEN {is_number} AND ABS({json} + 0e0) < {LARGEST} THEN {json} + 0e0 END")
    }

    fn double(&self, number: &str) -> String {
        format!("{number} + 0e0")
    }

    fn integer(&self, number: &str) -> String {
        format!("CAST({number} AS SIGNED)")
    }

    fn text(&self, value: &str) -> String {
        format!("CAST({value} AS CHAR)")
    }

    fn value(&self, value: &str, _: &str) -> String {
        format!("CASE WHEN ABS({value} + 0e0) < {LARGEST} THEN {value} + 0e0 END")
    }

    fn sum_of_hashes(&self, texts: &[String]) -> String {
        let told = format!("concat_ws(char(31), {})", texts.join(", "));
        format!("CAST(coalesce(sum(crc32({told})), 0) AS SIGNED)")
    }

    fn contexts(&self) -> Contexts {
        let columns = ["experiment_id", "variant_id"].map(|key| format!("{key} VARCHAR(64) PATH '$.{key}'"));
        Contexts {
            join: format!("JOIN JSON_TABLE(e.experiments, '$[*]' COLUMNS ({})) AS c", columns.join(", ")),
            experiment: "c.experiment_id".to_owned(),
            variant: "lower(c.variant_id)".to_owned(),
        }
    }
}
