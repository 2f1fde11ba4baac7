//! From the rows of assignments to exposed units: each in the cohort of its first row, or left out with a count.

use std::collections::HashMap;

use jiff::civil::Date;
use polars::prelude::{
    Column, DataFrame, ExplodeOptions, Expr, IntoColumn, IntoLazy, LazyFrame, NamedFrom, PolarsError, Series, col,
    cols, lit,
};
use sqlx::types::Uuid;

use crate::domain::ExposedBy;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{Micros, date_of};
use crate::warehouse::needs::Needs;

use super::columns::{Absence, Kind, Wanted, collect, scan};
use super::files::{Day, Folders, Table, broken};

/// One variant of one cohort.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Stratum {
    pub(super) cohort_date: Date,
    pub(super) epoch: i64,
    pub(super) variant_id: String,
}

/// The units of a request.
#[derive(Debug, Default)]
pub(super) struct Exposures {
    /// The strata that hold a unit, or lost one.
    pub(super) strata: Vec<Stratum>,
    /// Per stratum, the units left out because they met a second variant.
    pub(super) multiple_exposed: Vec<i64>,
    /// Per unit, its place in `strata`.
    pub(super) stratum_of: Vec<usize>,
    /// Per unit, its id.
    unit_ids: Vec<String>,
    /// Per unit, when it was exposed.
    assigned_at: Vec<Micros>,
}

/// The rows of assignments that bear on the request, by unit.
///
/// Whether a unit counts must not depend on the range of dates in a request, or a cohort read again would differ from
/// the one that was stored. So rows are read back to the start of the experiment, since only the first one counts, and
/// on to the end of the last window, since a second variant met before a cohort closes spoils the unit.
#[derive(Default)]
struct Seen<'a> {
    places: HashMap<&'a str, usize>,
    units: Vec<(&'a str, Arms)>,
    variants: Variants,
}

/// When a unit was first assigned to each of its variants. All but a few units have one.
struct Arms {
    first: (Micros, usize),
    others: Vec<(Micros, usize)>,
}

/// Variant keys in their usual spelling, each named once.
#[derive(Default)]
struct Variants {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Exposures {
    /// Reads the assignments that bear on the request.
    pub(super) fn read(folders: &Folders, needs: &Needs) -> Result<Self, WarehouseError> {
        let days = requested_days(folders, needs)?;
        let current = collect(rows(&days, needs)?, &days)?;
        refuse_nulls(&current, &days)?;
        let since = date_of(needs.assigning_since).unwrap_or(needs.from);
        let earlier_days = folders.days_before(source(needs), since, needs.from)?;
        let earlier = if current.height() == 0 || earlier_days.is_empty() {
            None
        } else {
            let failed = |error| failed(needs, error);
            let units = current.select(["unit_id"]).map_err(failed)?.lazy();
            let rows = rows(&earlier_days, needs)?.semi_join(units, col("unit_id"), col("unit_id"));
            let rows = collect(rows, &earlier_days)?;
            refuse_nulls(&rows, &earlier_days)?;
            Some(rows)
        };
        let mut seen = Seen::default();
        for rows in std::iter::once(&current).chain(&earlier) {
            seen.add(rows, needs)?;
        }
        Ok(seen.exposures(needs))
    }

    /// How many units count.
    pub(super) fn len(&self) -> usize {
        self.stratum_of.len()
    }

    /// Columns `unit_id`, `unit` (its place) and `assigned_at` (microseconds).
    pub(super) fn frame(&self) -> Result<DataFrame, PolarsError> {
        let units: Vec<u32> = (0_u32..).take(self.len()).collect();
        let column = |series: Series| -> Column { series.into_column() };
        DataFrame::new(
            self.len(),
            vec![
                column(Series::new("unit_id".into(), &self.unit_ids)),
                column(Series::new("unit".into(), units)),
                column(Series::new("assigned_at".into(), &self.assigned_at)),
            ],
        )
    }
}

impl<'a> Seen<'a> {
    fn add(&mut self, rows: &'a DataFrame, needs: &Needs) -> Result<(), WarehouseError> {
        let failed = |error| failed(needs, error);
        let unit_ids = rows.column("unit_id").and_then(Column::str).map_err(failed)?;
        let variant_ids = rows.column("variant_id").and_then(Column::str).map_err(failed)?;
        let instants = rows.column("assigned_at").and_then(Column::i64).map_err(failed)?;
        for ((unit, variant), at) in unit_ids.iter().zip(variant_ids.iter()).zip(instants.iter()) {
            let (Some(unit), Some(variant), Some(at)) = (unit, variant, at) else { continue };
            let arm = (at, self.variants.place_of(variant)?);
            match self.places.get(unit) {
                Some(place) => self.units[*place].1.add(arm),
                None => {
                    self.places.insert(unit, self.units.len());
                    self.units.push((unit, Arms { first: arm, others: Vec::new() }));
                }
            }
        }
        Ok(())
    }

    fn exposures(self, needs: &Needs) -> Exposures {
        let mut exposures = Exposures::default();
        let mut strata = HashMap::new();
        let mut stratum_at = |exposures: &mut Exposures, (at, variant): (Micros, usize)| -> Option<usize> {
            let (cohort_date, epoch) = needs.cohort_at(at)?;
            Some(*strata.entry((cohort_date, epoch, variant)).or_insert_with(|| {
                let variant_id = self.variants.names[variant].clone();
                exposures.strata.push(Stratum { cohort_date, epoch, variant_id });
                exposures.multiple_exposed.push(0);
                exposures.strata.len() - 1
            }))
        };
        for (unit, arms) in &self.units {
            let (first, second) = arms.in_order(&self.variants);
            let spoiled = second.is_some_and(|(at, _)| at < needs.closes_at(first.0));
            if !spoiled && let Some(stratum) = stratum_at(&mut exposures, first) {
                exposures.stratum_of.push(stratum);
                exposures.unit_ids.push((*unit).to_owned());
                exposures.assigned_at.push(first.0);
            }
            // A second variant met after its cohort closed can no longer take the unit out of it: it is counted in the
            // cohort of that second row, to which the unit does not belong either.
            let counted_at = if spoiled { Some(first) } else { second };
            if let Some(stratum) = counted_at.and_then(|arm| stratum_at(&mut exposures, arm)) {
                exposures.multiple_exposed[stratum] += 1;
            }
        }
        exposures
    }
}

impl Arms {
    fn add(&mut self, (at, variant): (Micros, usize)) {
        let known = std::iter::once(&mut self.first).chain(&mut self.others).find(|arm| arm.1 == variant);
        match known {
            Some(arm) => arm.0 = arm.0.min(at),
            None => self.others.push((at, variant)),
        }
    }

    /// The first arm and the second, if there is one; the spelling of the keys decides between equal instants.
    fn in_order(&self, variants: &Variants) -> ((Micros, usize), Option<(Micros, usize)>) {
        let mut arms: Vec<_> = std::iter::once(self.first).chain(self.others.iter().copied()).collect();
        arms.sort_by_key(|(at, variant)| (*at, &variants.names[*variant]));
        (arms[0], arms.get(1).copied())
    }
}

impl Variants {
    fn place_of(&mut self, spelling: &str) -> Result<usize, WarehouseError> {
        if let Some(place) = self.places.get(spelling) {
            return Ok(*place);
        }
        let key = Uuid::parse_str(spelling).map_err(|_| WarehouseError::WrongColumn {
            table: "the lake's assignments".to_owned(),
            column: "variant_id".to_owned(),
            expected: "the keys of variants (UUIDs)".to_owned(),
            found: format!("{spelling:?}"),
        })?;
        let name = key.to_string();
        let place = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        self.places.insert(spelling.to_owned(), place);
        Ok(place)
    }
}

/// The partitions from the first cohort date to the end of the last window.
///
/// A cohort date without assignments beside a day with events is a fault of the lake, not a day without units. Days
/// after the last cohort date may be absent: they only serve to find units that met a second variant.
fn requested_days(folders: &Folders, needs: &Needs) -> Result<Vec<Day>, WarehouseError> {
    let mut days = Vec::new();
    let end = date_of(needs.events_to).unwrap_or(needs.to);
    for date in needs.from.series(jiff::Span::new().days(1)).take_while(|date| *date < end) {
        match folders.day(source(needs), date)? {
            Some(day) => days.push(day),
            None if date > needs.to => {}
            None => {
                let folder = folders.day_folder(source(needs), date);
                return Err(broken(&folder, date, "there are no exposures for a date that has events", None));
            }
        }
    }
    Ok(days)
}

/// The table that exposures are read from.
fn source(needs: &Needs) -> Table {
    match needs.exposed_by {
        ExposedBy::Assignment => Table::Assignments,
        ExposedBy::Event => Table::Events,
    }
}

/// When units met variants of the experiment: `unit_id`, `variant_id` and `assigned_at`.
fn rows(days: &[Day], needs: &Needs) -> Result<LazyFrame, WarehouseError> {
    let columns = ["unit_id", "variant_id", "assigned_at"].map(col);
    match needs.exposed_by {
        ExposedBy::Assignment => Ok(scan(days, &wanted())?.filter(of_experiment(needs)).select(columns)),
        ExposedBy::Event => {
            let carried = |name: &str| col("experiments").struct_().field_by_name(name).alias(name);
            let met = scan(days, &carrying(needs))?
                .filter(col("unit_type").eq(lit(needs.unit_type.as_str())))
                .explode(cols(["experiments"]), ExplodeOptions { empty_as_null: false, keep_nulls: false })
                .with_columns([carried("experiment_id"), carried("variant_id")])
                .filter(of_experiment(needs).and(col("variant_id").is_not_null()));
            // Of many events of a unit only the first counts.
            Ok(met.group_by([col("unit_id"), col("variant_id")]).agg([col("assigned_at").min()]).select(columns))
        }
    }
}

/// The columns of an event that say which variants its unit has met.
fn carrying(needs: &Needs) -> [Wanted; 4] {
    [
        Wanted::required("unit_id", Kind::Text),
        Wanted { absence: Absence::Constant(needs.unit_type.clone()), ..Wanted::required("unit_type", Kind::Text) },
        Wanted { alias: "assigned_at".to_owned(), ..Wanted::required("timestamp", Kind::Instant) },
        Wanted::required("experiments", Kind::Experiments),
    ]
}

/// The columns of an assignment.
pub(super) fn wanted() -> [Wanted; 4] {
    [
        Wanted::required("experiment_id", Kind::Text),
        Wanted::required("unit_id", Kind::Text),
        Wanted::required("variant_id", Kind::Text),
        Wanted::required("assigned_at", Kind::Instant),
    ]
}

/// Exports write UUIDs in small letters or in capitals.
fn of_experiment(needs: &Needs) -> Expr {
    let key = needs.experiment_id.to_string();
    let capitals = key.to_uppercase();
    col("experiment_id").eq(lit(key)).or(col("experiment_id").eq(lit(capitals)))
}

/// A unit without id, variant or instant would be a unit lost without a word.
fn refuse_nulls(rows: &DataFrame, days: &[Day]) -> Result<(), WarehouseError> {
    for column in rows.columns() {
        if column.null_count() > 0 {
            let days: Vec<String> = days.iter().map(|day| day.date.to_string()).collect();
            return Err(WarehouseError::WrongColumn {
                table: format!("the lake's assignments of {}", days.join(", ")),
                column: column.name().to_string(),
                expected: "a value in every row".to_owned(),
                found: format!("{} nulls", column.null_count()),
            });
        }
    }
    Ok(())
}

fn failed(needs: &Needs, error: PolarsError) -> WarehouseError {
    WarehouseError::Query {
        doing: format!("reading the assignments of experiment {:?}", needs.experiment),
        source: error.into(),
    }
}
