//! PostgreSQL 12 and later, JSON kept as `jsonb`.

use sqlx::types::Uuid;

use crate::domain::{Field, FieldRoot};
use crate::warehouse::facts::{Kind, Types};
use crate::warehouse::sql::dialect::{Contexts, Dialect, Parameters, quoted};
use crate::warehouse::sql::statement::{Bind, Binder};

/// A number this long may leave the range of a double, and a cast of it would fail the whole query.
const LONGEST_NUMBER: usize = 300;

/// The dialect of PostgreSQL.
pub(crate) struct Postgres;

/// The largest double, and the smallest that is told apart from nothing; beyond them a cast fails the whole query.
const LARGEST: &str = "1.7976931348623157e308";
const SMALLEST: &str = "2.2250738585072014e-308";

impl Types for Postgres {
    fn kind(&self, held: &str) -> Kind {
        match held {
            "text" | "varchar" | "char" | "name" => Kind::Text,
            "uuid" => Kind::Key,
            "int2" | "int4" | "int8" => Kind::Whole,
            "float4" | "float8" | "numeric" => Kind::Number,
            "timestamptz" => Kind::Instant,
            _ => Kind::Other,
        }
    }

    fn as_instant(&self, column: &str, held: &str) -> String {
        match held {
            "timestamp" => format!("{column} AT TIME ZONE 'UTC'"),
            _ => format!("CAST({column} AS timestamptz)"),
        }
    }

    fn as_number(&self, column: &str) -> String {
        format!("CAST({column} AS double precision)")
    }
}

impl Dialect for Postgres {
    fn quote(&self, identifier: &str) -> String {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }

    fn parameters(&self) -> Parameters {
        Parameters::Numbered('$')
    }

    fn materialized(&self) -> Option<&'static str> {
        Some("MATERIALIZED")
    }

    fn fence(&self) -> &'static str {
        "OFFSET 0"
    }

    fn explain(&self) -> Option<&'static str> {
        Some("EXPLAIN ")
    }

    fn is_key(&self, column: &str, key: Uuid, binder: &mut Binder) -> String {
        format!("{column} = {}", binder.bind(Bind::Key(key)))
    }

    fn key_is_native(&self) -> bool {
        true
    }

    fn key_text(&self, key: &str) -> String {
        format!("CAST({key} AS text)")
    }

    fn day(&self, instant: &str) -> String {
        format!("(CAST({instant} AT TIME ZONE 'UTC' AS date) - DATE '1970-01-01')")
    }

    fn micros(&self, instant: &str) -> String {
        format!("CAST(extract(epoch FROM {instant}) * 1000000 AS bigint)")
    }

    fn later(&self, instant: &str, length: &str) -> String {
        format!("{instant} + {length}")
    }

    fn next_midnight(&self, instant: &str) -> String {
        format!("(date_trunc('day', {instant} AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'")
    }

    fn field(&self, field: &Field) -> String {
        format!("e.{} -> {}", self.quote(field.root.as_str()), quoted(&field.key))
    }

    fn is_missing(&self, json: &str) -> String {
        format!("coalesce(jsonb_typeof({json}) = 'null', true)")
    }

    fn number(&self, json: &str) -> String {
        let text = format!("{json} #>> '{{}}'");
        // jsonb prints numbers without an exponent, so their length bounds their size from above and below.
        let fits = format!("jsonb_typeof({json}) = 'number' AND length({text}) <= {LONGEST_NUMBER}");
        format!("CASE WHEN {fits} THEN CAST({text} AS double precision) END")
    }

    fn double(&self, number: &str) -> String {
        format!("CAST({number} AS double precision)")
    }

    fn integer(&self, number: &str) -> String {
        format!("CAST({number} AS bigint)")
    }

    fn checksum(&self, roots: &[FieldRoot]) -> String {
        let micros = self.micros("e.timestamp");
        let json: Vec<String> =
            roots.iter().map(|root| format!("CAST(e.{} AS text)", self.quote(root.as_str()))).collect();
        let told = ["e.event_type", "e.unit_type", "e.unit_id", micros.as_str()].map(str::to_owned);
        self.sum_of_hashes(&[told.as_slice(), json.as_slice()].concat())
    }

    /// NaN is greater than every number.
    fn value(&self, value: &str, held: &str) -> String {
        let fits = match held {
            "numeric" => format!("abs({value}) <= {LARGEST} AND ({value} = 0 OR abs({value}) >= {SMALLEST})"),
            _ => format!("abs({value}) <= {LARGEST}"),
        };
        format!("CASE WHEN {fits} THEN CAST({value} AS double precision) END")
    }

    fn sum_of_hashes(&self, texts: &[String]) -> String {
        let told = format!("concat_ws(chr(31), {})", texts.join(", "));
        format!(
            "CAST(mod(coalesce(sum(CAST(hashtextextended({told}, 0) AS numeric)), 0), 9223372036854775807) AS bigint)"
        )
    }

    fn contexts(&self) -> Contexts {
        let array = "CASE WHEN jsonb_typeof(e.experiments) = 'array' THEN e.experiments ELSE '[]' END";
        Contexts {
            join: format!("CROSS JOIN LATERAL jsonb_array_elements({array}) AS c(item)"),
            experiment: "c.item ->> 'experiment_id'".to_owned(),
            variant: "lower(c.item ->> 'variant_id')".to_owned(),
        }
    }

    /// The index on `experiments` finds what contains this.
    fn carries(&self, key: Uuid, binder: &mut Binder) -> Option<String> {
        let key = key.to_string();
        let contains = [key.clone(), key.to_uppercase()].map(|key| {
            let item = serde_json::json!([{ "experiment_id": key }]).to_string();
            format!("e.experiments @> CAST({} AS jsonb)", binder.bind(Bind::Text(item)))
        });
        Some(format!("({})", contains.join(" OR ")))
    }
}
