//! What differs from one SQL engine to the next. A new engine is one more file beside this one.

/// The expressions that an engine has its own words for. Arguments and results are SQL text.
pub(crate) trait Dialect {
    /// An identifier in quotes.
    fn quote(&self, identifier: &str) -> String;

    /// The parameter at that place, from 1.
    fn placeholder(&self, place: usize) -> String;

    /// The keyword, if there is one, that has a common table expression computed once.
    fn materialized(&self) -> &'static str;

    /// The clause, if there is one, that keeps a subquery from being merged into its parent and computed twice.
    fn fence(&self) -> &'static str;

    /// The UTC date of an instant.
    fn utc_date(&self, instant: &str) -> String;

    /// An instant moved forward by a length of time.
    fn later(&self, instant: &str, length: &str) -> String;

    /// The member of a JSON column under a key, still as JSON; null if it is absent.
    fn json_member(&self, column: &str, key: &str) -> String;

    /// Whether a JSON member is absent or null; never null itself.
    fn is_missing(&self, json: &str) -> String;

    /// A JSON member as a double; null if it is not a number that a double can hold.
    fn number(&self, json: &str) -> String;

    /// Σ(y-ȳ)² over a group, without cancellation.
    fn centred_squares(&self, y: &str) -> String;

    /// Σ(y-ȳ)(d-d̄) over a group, without cancellation.
    fn centred_products(&self, y: &str, d: &str) -> String;
}
