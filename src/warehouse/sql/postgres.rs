//! PostgreSQL 12 and later, JSON kept as `jsonb`.

use super::dialect::Dialect;

/// A number this long may leave the range of a double, and a cast of it would fail the whole query.
const LONGEST_NUMBER: usize = 300;

/// The dialect of PostgreSQL.
pub(crate) struct Postgres;

impl Dialect for Postgres {
    fn quote(&self, identifier: &str) -> String {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }

    fn placeholder(&self, place: usize) -> String {
        format!("${place}")
    }

    fn materialized(&self) -> &'static str {
        "MATERIALIZED"
    }

    fn fence(&self) -> &'static str {
        "OFFSET 0"
    }

    fn utc_date(&self, instant: &str) -> String {
        format!("CAST({instant} AT TIME ZONE 'UTC' AS date)")
    }

    fn later(&self, instant: &str, length: &str) -> String {
        format!("{instant} + {length}")
    }

    fn json_member(&self, column: &str, key: &str) -> String {
        format!("{column} -> '{}'", key.replace('\'', "''"))
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

    fn centred_squares(&self, y: &str) -> String {
        // Computed by Youngs and Cramer's recurrence since version 12, not from raw sums of squares.
        format!("regr_sxx({y}, {y})")
    }

    fn centred_products(&self, y: &str, d: &str) -> String {
        format!("regr_sxy({y}, {d})")
    }
}
