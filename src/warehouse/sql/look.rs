//! A look at a fact by itself: its columns, some of its rows, and what a day of it comes to.

use jiff::civil::Date;

use super::facts::{Columns, subquery};
use super::shapes::Shapes;
use super::statement::{Bind, Binder};
use super::{Dialect, Engine, Row, rows};
use crate::domain::Fact;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::{FactLook, FactSample, SAMPLE};
use crate::warehouse::facts::{Shape, faults};
use crate::warehouse::instants::{midnight, next_midnight};
use crate::warehouse::needs::FactNeed;

/// How many rows are looked at for instants that are none, where an engine keeps what it is given: an index may put them last.
const DATED: i64 = 1_000_000;

/// What a fact gives, what is wrong with it, and some of its rows of that day.
pub(super) async fn look(engine: &dyn Engine, need: &FactNeed, day: Date) -> Result<FactLook, WarehouseError> {
    let shape = engine.describe(&need.fact).await?;
    let known = engine.known().await?;
    let faults = faults(need, &shape, known.dialect.as_ref());
    let sample = match faults.is_empty() {
        true => Some(sample_of(engine, need, &shape, known.dialect.as_ref(), day).await?),
        false => None,
    };
    Ok(FactLook { columns: shape.columns, faults, sample })
}

async fn sample_of(
    engine: &dyn Engine,
    need: &FactNeed,
    shape: &Shape,
    dialect: &dyn Dialect,
    day: Date,
) -> Result<FactSample, WarehouseError> {
    let FactNeed { fact, columns: names } = need;
    let columns = Columns::of(dialect, shape);
    let doing = format!("looking at some rows of fact {}", fact.name);
    let undated = match dialect.may_misread() {
        true => undated(engine, fact, &columns, dialect).await?,
        false => 0,
    };
    let mut binder = Binder::default();
    let filter = of_day(&columns, day, &mut binder);
    let limit = binder.bind(Bind::Integer(i64::from(SAMPLE)));
    let value = |name: &String| {
        let missing = columns.is_missing(name);
        let number = columns.finite_value(name);
        format!(
            ",\n       count(CASE WHEN {missing} THEN 1 END), count(CASE WHEN NOT ({missing}) AND {number} IS NULL THEN 1 END)"
        )
    };
    let text = include_str!("../../../queries/warehouse/fact_sample.sql")
        .replace("{unit}", &columns.text("unit_id"))
        .replace("{values}", &names.iter().map(value).collect::<String>())
        .replace("{filter}", &filter)
        .replace("{limit}", &limit)
        .replace("{fact}", &subquery(fact));
    let answer = engine.rows(&binder.finish(&text, dialect), &doing).await;
    let answer = answer.map_err(|error| error.of_fact(fact, None))?;
    let row = rows::only(&answer, &doing)?;
    let counts: Result<Vec<u64>, WarehouseError> =
        row.iter().map(|cell| cell.count(&doing).map(i64::unsigned_abs)).collect();
    let counts = counts?;
    let values = counts[2..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Ok(FactSample { rows: counts[0], without_unit: counts[1], undated, values })
}

async fn undated(
    engine: &dyn Engine,
    fact: &Fact,
    columns: &Columns<'_>,
    dialect: &dyn Dialect,
) -> Result<u64, WarehouseError> {
    let doing = format!("dating some rows of fact {}", fact.name);
    let mut binder = Binder::default();
    let limit = binder.bind(Bind::Integer(DATED));
    let text = include_str!("../../../queries/warehouse/fact_misread.sql")
        .replace("{instant}", &columns.instant())
        .replace("{limit}", &limit)
        .replace("{fact}", &subquery(fact));
    let answer = engine.rows(&binder.finish(&text, dialect), &doing).await;
    let answer: Vec<Row> = answer.map_err(|error| error.of_fact(fact, None))?;
    Ok(rows::only(&answer, &doing)?[0].count(&doing)?.unsigned_abs())
}

/// How many rows a day of a fact has, or their checksum, where there is one.
pub(super) async fn content(
    engine: &dyn Engine,
    shapes: &Shapes,
    fact: &Fact,
    (day, checksum): (Date, bool),
) -> Result<i64, WarehouseError> {
    let doing = format!("counting the rows of fact {} of {day}", fact.name);
    let known = engine.known().await?;
    let dialect = known.dialect.as_ref();
    let shape = shapes.of(engine, fact).await?;
    let columns = Columns::of(dialect, &shape);
    let told: Vec<String> = shape.columns.iter().map(|(name, _)| columns.told(name)).collect();
    let hashes = checksum.then(|| dialect.sum_of_hashes(&told));
    let mut binder = Binder::default();
    let filter = of_day(&columns, day, &mut binder);
    let text = include_str!("../../../queries/warehouse/fact_content.sql")
        .replace("{content}", hashes.as_deref().unwrap_or(&dialect.integer("count(*)")))
        .replace("{filter}", &filter)
        .replace("{fact}", &subquery(fact));
    let statement = binder.finish(&text, dialect);
    if checksum {
        let content = engine.checksum(&statement, &doing).await.map_err(|error| error.of_fact(fact, None))?;
        return Ok(content.unwrap_or(0));
    }
    let answer = engine.rows(&statement, &doing).await.map_err(|error| error.of_fact(fact, None))?;
    rows::only(&answer, &doing)?[0].count(&doing)
}

/// The condition for a fact's rows of one day.
fn of_day(columns: &Columns<'_>, day: Date, binder: &mut Binder) -> String {
    let (from, to) = (midnight(day), next_midnight(midnight(day)));
    let instant = columns.instant();
    let bounds = [from, to].map(|at| binder.bind(Bind::Instant(at)));
    let exactly = format!("{instant} >= {} AND {instant} < {}", bounds[0], bounds[1]);
    let filter = [columns.reach(from, to, binder), Some(exactly)];
    filter.into_iter().flatten().collect::<Vec<_>>().join(" AND ")
}
