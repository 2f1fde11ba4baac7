//! Where the tables' rows lie, and which columns they have.

use super::{Clickhouse, columns, typed};
use crate::domain::TableName;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::sql::{Typed, literal};
use crate::warehouse::tables::{self, Holds, Needed, Tables};

/// What was found of the two tables.
pub(super) struct Layout {
    /// Their columns.
    pub(super) typed: Typed,
    /// The tables that the one query reads: those of each shard, or the tables themselves.
    pub(super) tables: Tables,
    /// The cluster, where they are `Distributed`.
    pub(super) cluster: Option<String>,
    /// What is wrong with them.
    pub(super) faults: Vec<WarehouseError>,
}

/// A `Distributed` table: `Distributed(cluster, database, table, sharding key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Distributed {
    cluster: String,
    local: TableName,
    key: Option<String>,
}

/// The server's names of the types that a column may have. Numbers are columns of their own, so JSON is not asked for.
fn types(holds: Holds) -> &'static [&'static str] {
    match holds {
        Holds::Text => &["String"],
        Holds::Key => &["String", "UUID"],
        Holds::Instant => &["DateTime", "Int64"],
        Holds::Count => &["UInt64", "Int64"],
        Holds::Number => &["Float64"],
        Holds::Json => &[],
    }
}

/// Looks at the two tables.
pub(super) async fn of(server: &Clickhouse) -> Result<Layout, WarehouseError> {
    let named = &server.tables;
    let mut layout = Layout { typed: Typed::default(), tables: named.clone(), cluster: None, faults: Vec::new() };
    let (of_events, of_assignments) = (columns_of(&named.events), columns_of(&named.assignments));
    let (events, assignments, spread_events, spread_assignments) = tokio::try_join!(
        server.look(&of_events),
        server.look(&of_assignments),
        distributed(server, &named.events),
        distributed(server, &named.assignments),
    )?;
    let (events, assignments): (Vec<_>, Vec<_>) = (columns(&events).collect(), columns(&assignments).collect());
    let without_json = |needed: &[Needed]| -> Vec<Needed> {
        needed.iter().filter(|needed| needed.holds != Holds::Json).copied().collect()
    };
    let (of_events, of_assignments) = (without_json(tables::EVENTS), without_json(tables::ASSIGNMENTS));
    let read = [(&named.assignments, of_assignments.as_slice()), (&named.events, of_events.as_slice())];
    let found =
        [(named.events.to_string(), zoneless(&events)), (named.assignments.to_string(), zoneless(&assignments))];
    let found = found.into_iter().filter(|(_, columns)| !columns.is_empty()).collect();
    let advice = "check that `url` and `database` name the right server and database, and `events` and `assignments` the \
                  right tables in it";
    layout.faults = tables::faults(&read, &found, types, advice);
    layout.typed = typed(&events, &assignments);
    match (spread_events, spread_assignments) {
        (None, None) => {}
        (Some(events), Some(assignments)) => {
            layout.faults.extend(apart(&events, &assignments));
            layout.cluster = Some(events.cluster);
            layout.tables = Tables { events: events.local, assignments: assignments.local, aggregates: None };
        }
        (events, _) => {
            let (there, here) = if events.is_some() { ("events", "assignments") } else { ("assignments", "events") };
            layout.faults.push(refused(format!(
                "the table of {there} lies on shards and that of {here} does not; both must, by the same expression of unit_id"
            )));
        }
    }
    Ok(layout)
}

/// How many shards a cluster has.
pub(super) async fn shards(server: &Clickhouse, cluster: &str) -> Result<i64, WarehouseError> {
    let sql =
        format!("SELECT toInt64(count(DISTINCT shard_num)) FROM system.clusters WHERE cluster = {}", literal(cluster));
    Ok(server.look(&sql).await?.first().and_then(|row| row[0].integer()).unwrap_or(0))
}

/// `DateTime('Europe/Berlin')` is an instant like any other.
fn zoneless(columns: &[(String, String)]) -> Vec<(String, String)> {
    let plain = |held: &String| if held.starts_with("DateTime(") { "DateTime".to_owned() } else { held.clone() };
    columns.iter().map(|(name, held)| (name.clone(), plain(held))).collect()
}

fn columns_of(table: &TableName) -> String {
    format!(
        "SELECT name, type FROM system.columns WHERE database = {} AND table = {}",
        database(table),
        literal(table.table())
    )
}

fn database(table: &TableName) -> String {
    table.schema().map_or_else(|| "currentDatabase()".to_owned(), literal)
}

async fn distributed(server: &Clickhouse, table: &TableName) -> Result<Option<Distributed>, WarehouseError> {
    let sql = format!(
        "SELECT engine_full, database FROM system.tables WHERE database = {} AND name = {} AND engine = 'Distributed'",
        database(table),
        literal(table.table())
    );
    let rows = server.look(&sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let told = row[0].text().unwrap_or_default();
    match parse(told) {
        Some(found) => Ok(Some(found)),
        None => Err(refused(format!("the engine of table {table} is not understood: {told}"))),
    }
}

/// The arguments of `Distributed(…)`, with or without quotes.
fn parse(engine: &str) -> Option<Distributed> {
    let arguments = engine.strip_prefix("Distributed(")?;
    let arguments = &arguments[..arguments.rfind(')')?];
    let mut parts = arguments.splitn(4, ',').map(|part| part.trim());
    let mut name =
        || parts.next().map(|part| part.trim_matches(['\'', '`', '"']).to_owned()).filter(|part| !part.is_empty());
    let (cluster, database, table) = (name()?, name()?, name()?);
    Some(Distributed { cluster, local: TableName::of(&database, &table), key: parts.next().map(str::to_owned) })
}

/// Why the units' events cannot be summed where their assignments lie, if they cannot.
fn apart(events: &Distributed, assignments: &Distributed) -> Option<WarehouseError> {
    let same = events.cluster == assignments.cluster && events.key == assignments.key;
    match &events.key {
        Some(key) if same && key.contains("unit_id") => None,
        _ => Some(refused(format!(
            "events lie on cluster {} by {}, assignments on cluster {} by {}; both must lie on the same one by the same \
             expression of unit_id, such as cityHash64(unit_id)",
            events.cluster,
            events.key.as_deref().unwrap_or("no expression"),
            assignments.cluster,
            assignments.key.as_deref().unwrap_or("no expression"),
        ))),
    }
}

fn refused(why: String) -> WarehouseError {
    WarehouseError::Query {
        doing: "finding a unit's events on the shard of its assignment".to_owned(),
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_read_in_both_spellings() {
        let wanted = Distributed {
            cluster: "shards".into(),
            local: TableName::of("shop", "events_local"),
            key: Some("cityHash64(unit_id, 1)".into()),
        };
        assert_eq!(parse("Distributed(shards, shop, events_local, cityHash64(unit_id, 1))"), Some(wanted.clone()));
        assert_eq!(
            parse("Distributed('shards', 'shop', 'events_local', cityHash64(unit_id, 1))"),
            Some(wanted.clone())
        );
        assert_eq!(apart(&wanted, &wanted).map(|fault| fault.to_string()), None);
        let by_chance = Distributed { key: Some("rand()".into()), ..wanted.clone() };
        assert!(apart(&by_chance, &by_chance).is_some());
        assert!(apart(&wanted, &Distributed { key: None, ..wanted.clone() }).is_some());
        assert_eq!(parse("Distributed(shards)"), None);
    }
}
