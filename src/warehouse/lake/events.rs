//! From the rows of events to sums per exposed unit, in one streaming pass that serves all metrics.

use polars::prelude::{
    Column, DataFrame, DataType, Expr, IntoLazy, JoinArgs, JoinBuildSide, JoinType, LazyFrame, Null, PolarsError,
    UniqueKeepStrategy, col, len, lit, when,
};

use crate::domain::{Field, FieldRoot};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{date_of, midnight, next_midnight};
use crate::warehouse::needs::{Adds, Needs, Reading};

use super::columns::{Absence, Kind, Wanted, collect, key_type, scan};
use super::exposures::Exposures;
use super::files::{Day, Folders, Table, broken};

/// What the events of each unit add up to; a unit without events keeps its zeros.
#[derive(Debug)]
pub(super) struct UnitSums {
    /// Per sum of [`Needs::sums`], per unit.
    pub(super) sums: Vec<Vec<f64>>,
    /// Per unit, events of the used types inside its window.
    pub(super) events: Vec<i64>,
    /// Per unit, needed fields that were absent or null.
    pub(super) missing: Vec<i64>,
    /// Per unit, needed fields that were NaN or infinite.
    pub(super) not_numbers: Vec<i64>,
}

/// The partitions of events that the windows reach into. A day without any would count as a day of zeros, so it is
/// an error: missing is not zero.
pub(super) fn days(folders: &Folders, needs: &Needs) -> Result<Vec<Day>, WarehouseError> {
    let mut days = Vec::new();
    let end = date_of(needs.events_to).unwrap_or(needs.to);
    for date in needs.from.series(jiff::Span::new().days(1)).take_while(|date| *date < end) {
        match folders.day(Table::Events, date)? {
            Some(day) => days.push(day),
            None => {
                let folder = folders.day_folder(Table::Events, date);
                return Err(broken(&folder, date, "there are no events, though the windows reach into that day", None));
            }
        }
    }
    Ok(days)
}

/// Sums the events of those days over the exposed units.
pub(super) fn sum(days: &[Day], needs: &Needs, exposures: &Exposures) -> Result<UnitSums, WarehouseError> {
    let failed = |error: PolarsError| WarehouseError::Query {
        doing: format!("summing the events of experiment {:?}", needs.experiment),
        source: error.into(),
    };
    let id_type = key_type(days, "event_id");
    let has_ids = id_type.is_some();
    let units = exposures.frame().map_err(failed)?.lazy();
    let mut events = scan(days, &wanted(needs, id_type))?.filter(in_request(needs));
    if has_ids {
        events = events.with_row_index("row", None);
    }
    let mut events = events.join(units, [col("unit_id")], [col("unit_id")], units_are_few()).filter(in_window(needs));
    if has_ids {
        events = each_event_once(events);
    }
    let per_unit = collect(events.group_by([col("unit")]).agg(aggregates(needs)), days)?;
    UnitSums::scatter(&per_unit, needs, exposures.len()).map_err(failed)
}

impl UnitSums {
    /// One place per unit, in the order of the exposures; group order in polars is not fixed.
    fn scatter(per_unit: &DataFrame, needs: &Needs, units: usize) -> Result<Self, PolarsError> {
        let places: Vec<usize> = per_unit.column("unit")?.u32()?.iter().flatten().map(|unit| unit as usize).collect();
        let counts = |name: &str| -> Result<Vec<i64>, PolarsError> {
            let mut by_unit = vec![0; units];
            for (place, count) in places.iter().zip(per_unit.column(name)?.i64()?.iter()) {
                by_unit[*place] = count.unwrap_or(0);
            }
            Ok(by_unit)
        };
        let sums = |place: usize| -> Result<Vec<f64>, PolarsError> {
            let mut by_unit = vec![0.0; units];
            for (unit, sum) in places.iter().zip(per_unit.column(&format!("sum_{place}"))?.f64()?.iter()) {
                by_unit[*unit] = sum.unwrap_or(0.0);
            }
            Ok(by_unit)
        };
        Ok(Self {
            sums: (0..needs.sums.len()).map(sums).collect::<Result<_, _>>()?,
            events: counts("events")?,
            missing: counts("missing")?,
            not_numbers: counts("not_numbers")?,
        })
    }
}

/// The columns of an event, whatever its type.
pub(super) fn base(unit_type: &str) -> Vec<Wanted> {
    vec![
        Wanted::required("event_type", Kind::Text),
        Wanted::required("unit_id", Kind::Text),
        Wanted::required("timestamp", Kind::Instant),
        Wanted { absence: Absence::Constant(unit_type.to_owned()), ..Wanted::required("unit_type", Kind::Text) },
    ]
}

/// The columns of the events that are needed, with the fields that are read.
pub(super) fn wanted(needs: &Needs, id_type: Option<DataType>) -> Vec<Wanted> {
    let mut wanted = base(&needs.unit_type);
    if let Some(id_type) = id_type {
        wanted.push(Wanted { absence: Absence::Null, ..Wanted::required("event_id", Kind::Key(id_type)) });
    }
    for (place, field) in needs.fields.iter().enumerate() {
        let event = needs.readings.iter().find(|reading| reading.field == place).map(|reading| reading.event);
        let event = event.map(|event| needs.events[event].clone()).unwrap_or_default();
        wanted.push(Wanted {
            column: column_of(field),
            alias: format!("number_{place}"),
            absence: Absence::FaultForWholeDay(format!("field {field} of event {event:?}")),
            kind: Kind::Number { event, field: field.to_string() },
        });
    }
    wanted
}

/// A key of `metrics` is a column of its own name; those of the other roots carry the root before a dot.
pub(super) fn column_of(field: &Field) -> String {
    match field.root {
        FieldRoot::Metrics => field.key.clone(),
        FieldRoot::Context | FieldRoot::Payload => field.to_string(),
    }
}

fn in_request(needs: &Needs) -> Expr {
    let used = needs.events.iter().map(|event| is_type(event)).reduce(Expr::or).unwrap_or_else(|| lit(false));
    used.and(col("unit_type").eq(lit(needs.unit_type.as_str())))
        .and(col("timestamp").gt_eq(lit(needs.exposed_from)))
        .and(col("timestamp").lt(lit(needs.events_to)))
}

fn in_window(needs: &Needs) -> Expr {
    let since_exposure = col("timestamp") - col("assigned_at");
    since_exposure.clone().gt_eq(lit(0_i64)).and(since_exposure.lt(lit(needs.window)))
}

fn is_type(event: &str) -> Expr {
    col("event_type").eq(lit(event))
}

/// The units of one experiment are fewer than the events of all.
fn units_are_few() -> JoinArgs {
    JoinArgs { build_side: Some(JoinBuildSide::PreferRight), ..JoinArgs::new(JoinType::Inner) }
}

/// Keeps one of the events that share an id; copies of an event are equal, so it matters not which. An event without
/// id is like no other: its row number stands in.
fn each_event_once(events: LazyFrame) -> LazyFrame {
    let row = when(col("event_id").is_null()).then(col("row")).otherwise(lit(Null {})).alias("row");
    events.with_columns([row]).unique_generic(Some(vec![col("event_id"), col("row")]), UniqueKeepStrategy::Any)
}

fn aggregates(needs: &Needs) -> Vec<Expr> {
    let sums = needs.sums.iter().enumerate().map(|(place, sum)| {
        let of_type = is_type(&needs.events[sum.event]);
        let total = match sum.adds {
            Adds::One => of_type.sum(),
            Adds::Number(field) => {
                when(of_type.and(number(field).is_finite())).then(number(field)).otherwise(lit(0.0)).sum()
            }
            Adds::OneAbove(field, threshold) => {
                of_type.and(number(field).is_finite()).and(number(field).gt(lit(threshold))).sum()
            }
        };
        total.cast(DataType::Float64).alias(format!("sum_{place}"))
    });
    let count = |of: fn(&Needs, &Reading) -> Expr, name: &str| {
        let total = needs.readings.iter().map(|reading| of(needs, reading).sum().cast(DataType::Int64));
        total.reduce(|a, b| a + b).unwrap_or_else(|| len().cast(DataType::Int64) * lit(0_i64)).alias(name)
    };
    let health =
        [len().cast(DataType::Int64).alias("events"), count(missing, "missing"), count(not_number, "not_numbers")];
    sums.chain(health).collect()
}

fn number(field: usize) -> Expr {
    col(format!("number_{field}"))
}

fn missing(needs: &Needs, reading: &Reading) -> Expr {
    is_type(&needs.events[reading.event]).and(number(reading.field).is_null())
}

fn not_number(needs: &Needs, reading: &Reading) -> Expr {
    let x = || number(reading.field);
    is_type(&needs.events[reading.event]).and(x().is_not_null()).and(x().is_finite().not())
}

/// Only for the latest event of a day: its count comes from the footers. An event that lies in the day's folder and
/// happened on another, such as one of a clock that is ahead, says nothing of how far the day was written.
pub(super) fn latest(day: &Day) -> Result<Option<i64>, WarehouseError> {
    let days = std::slice::from_ref(day);
    let begin = midnight(day.date);
    let on_that_day = col("timestamp").gt_eq(lit(begin)).and(col("timestamp").lt(lit(next_midnight(begin))));
    let events = scan(days, &[Wanted::required("timestamp", Kind::Instant)])?.filter(on_that_day);
    let frame = collect(events.select([col("timestamp").max()]), days)?;
    let latest = frame.column("timestamp").and_then(Column::i64).map(|latest| latest.get(0));
    latest.map_err(|error| WarehouseError::Query {
        doing: format!("dating the {}", day.describe()),
        source: error.into(),
    })
}
