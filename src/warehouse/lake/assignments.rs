//! The rows that say when units met variants, as far as they bear on a pass: assignments, or events that carry their
//! experiments.

use std::collections::HashMap;

use polars::prelude::{Column, DataFrame, DataType, ExplodeOptions, IntoLazy, PolarsResult, col, cols, lit};
use sqlx::types::Uuid;

use super::columns::{Absence, Kind, Wanted};
use super::groups::{Group, Recent, instants, texts};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::Micros;
use crate::warehouse::open::ids::Keys;
use crate::warehouse::open::sets::Sieve;

/// An assignment of one of the experiments in question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assignment {
    /// The experiment's place in [`Sought`].
    pub(super) experiment: u32,
    /// Hash of the unit's id.
    pub(super) unit: u64,
    pub(super) variant: u128,
    pub(super) at: Micros,
}

/// The assignments of a row group, and the experiments that cannot be told from it.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub(super) rows: Vec<Assignment>,
    pub(super) faults: Vec<(u32, Fault)>,
}

/// A column of assignments that holds what it should not.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    table: String,
    column: &'static str,
    expected: &'static str,
    found: String,
}

impl From<Fault> for WarehouseError {
    fn from(Fault { table, column, expected, found }: Fault) -> Self {
        WarehouseError::WrongColumn { table, column: column.to_owned(), expected: expected.to_owned(), found }
    }
}

/// The experiments that are sought.
pub(super) struct Sought {
    keys: Keys,
    /// The type of units whose events say what they met; assignments say it if there is none.
    carried_by: Option<String>,
    places: HashMap<String, u32>,
}

impl Sought {
    pub(super) fn new(keys: Keys, experiments: &[Uuid], carried_by: Option<&str>) -> Self {
        // Exports write UUIDs in small letters or in capitals.
        let spelled = |(place, key): (u32, &Uuid)| {
            let small = key.to_string();
            [(small.to_uppercase(), place), (small, place)]
        };
        let places = (0..).zip(experiments).flat_map(spelled).collect();
        Self { keys, carried_by: carried_by.map(str::to_owned), places }
    }

    /// The column of instants.
    pub(super) fn instants(&self) -> &'static str {
        if self.carried_by.is_some() { "timestamp" } else { "assigned_at" }
    }

    /// The assignments of a row group. `only` leaves out all units but some.
    pub(super) fn read(&self, group: &Group<'_>, only: Option<&Sieve>) -> Result<Assigned, WarehouseError> {
        if let Some(unit_type) = &self.carried_by {
            let events = group.read(&["unit_id", "unit_type", "timestamp", "experiments"])?;
            let met = met(events, unit_type).map_err(|error| group.failed(error))?;
            return self.of_frame(&met, group, only).map_err(|error| group.failed(error));
        }
        if let Some(only) = only {
            // Mostly there is none, and then the other columns need not be decoded.
            let ids = group.read(&["unit_id"])?;
            let any = self.has_any(&ids, only).map_err(|error| group.failed(error))?;
            if !any {
                return Ok(Assigned::default());
            }
        }
        let frame = group.read(&["experiment_id", "unit_id", "variant_id", "assigned_at"])?;
        self.of_frame(&frame, group, only).map_err(|error| group.failed(error))
    }

    fn has_any(&self, ids: &DataFrame, only: &Sieve) -> PolarsResult<bool> {
        let unit_ids = texts(ids.column("unit_id")?)?;
        // A unit without an id is a fault to be told.
        Ok(unit_ids.null_count() > 0
            || unit_ids.downcast_iter().any(|ids| ids.values_iter().any(|id| only.contains(self.keys.text(id)))))
    }

    fn of_frame(&self, frame: &DataFrame, group: &Group<'_>, only: Option<&Sieve>) -> PolarsResult<Assigned> {
        let experiments = texts(frame.column("experiment_id")?)?;
        let units = texts(frame.column("unit_id")?)?;
        let variants = texts(frame.column("variant_id")?)?;
        let (instants, to_micros) = instants(frame.column("assigned_at")?)?;
        let mut assigned = Assigned::default();
        let nulls = ["unit_id", "variant_id", "assigned_at"].into_iter().any(|name| has_nulls(frame, name));
        if nulls {
            self.find_nulls(frame, group, &experiments, &mut assigned)?;
        }
        let (mut known_experiments, mut known_variants) = (Recent::new(), Recent::new());
        let columns = (experiments.downcast_iter().zip(units.downcast_iter()))
            .zip(variants.downcast_iter().zip(instants.downcast_iter()));
        for ((experiments, units), (variants, instants)) in columns {
            for row in 0..experiments.len() {
                let Some(experiment) = experiments.get(row) else { continue };
                let view = experiments.views()[row].as_u128();
                let Some(experiment) = known_experiments.get(view, || self.places.get(experiment).copied()) else {
                    continue;
                };
                let (Some(unit), Some(variant)) = (units.get(row), variants.get(row)) else { continue };
                if instants.validity().is_some_and(|valid| !valid.get_bit(row)) {
                    continue;
                }
                let at = instants.value(row);
                let unit = self.keys.text(unit);
                if only.is_some_and(|only| !only.contains(unit)) {
                    continue;
                }
                let key = known_variants
                    .get(variants.views()[row].as_u128(), || Uuid::parse_str(variant).map(|key| key.as_u128()).ok());
                match key {
                    Some(key) => assigned.rows.push(Assignment { experiment, unit, variant: key, at: to_micros(at) }),
                    None => assigned.faults.push((experiment, no_key(group, variant))),
                }
            }
        }
        Ok(assigned)
    }

    /// A unit without id, variant or instant would be a unit lost without a word.
    fn find_nulls(
        &self,
        frame: &DataFrame,
        group: &Group<'_>,
        experiments: &polars::prelude::StringChunked,
        assigned: &mut Assigned,
    ) -> PolarsResult<()> {
        for name in ["unit_id", "variant_id", "assigned_at"] {
            let mut nulls: HashMap<u32, usize> = HashMap::new();
            for (experiment, null) in experiments.iter().zip(frame.column(name)?.is_null().iter()) {
                if let Some(place) = experiment.and_then(|name| self.places.get(name))
                    && null == Some(true)
                {
                    *nulls.entry(*place).or_default() += 1;
                }
            }
            assigned.faults.extend(nulls.into_iter().map(|(experiment, count)| {
                let fault = Fault {
                    table: table_of(group),
                    column: name,
                    expected: "a value in every row",
                    found: format!("{count} nulls"),
                };
                (experiment, fault)
            }));
        }
        Ok(())
    }
}

fn has_nulls(frame: &DataFrame, name: &str) -> bool {
    frame.column(name).map(Column::null_count).unwrap_or(0) > 0
}

fn no_key(group: &Group<'_>, spelling: &str) -> Fault {
    Fault {
        table: table_of(group),
        column: "variant_id",
        expected: "the keys of variants (UUIDs)",
        found: format!("{spelling:?}"),
    }
}

fn table_of(group: &Group<'_>) -> String {
    format!("the lake's {} ({})", group.day.describe(), group.file.path.display())
}

/// When the units of a type met variants, by the experiments that their events carry, in the columns of assignments.
fn met(events: DataFrame, unit_type: &str) -> PolarsResult<DataFrame> {
    let typed = events.column("unit_type").is_ok();
    let mut events = events.lazy();
    // A file without the column has one type of units.
    if typed {
        events = events.filter(col("unit_type").cast(DataType::String).eq(lit(unit_type)));
    }
    let carried = |name: &str| col("experiments").struct_().field_by_name(name).alias(name);
    events
        .explode(cols(["experiments"]), ExplodeOptions { empty_as_null: false, keep_nulls: false })
        .select([
            carried("experiment_id"),
            col("unit_id"),
            carried("variant_id"),
            col("timestamp").alias("assigned_at"),
        ])
        .filter(col("variant_id").is_not_null())
        .collect()
}

/// The columns of an event that say which variants its unit has met.
pub(super) fn carrying(unit_type: &str) -> Vec<Wanted> {
    vec![
        Wanted::required("unit_id", Kind::Text),
        Wanted { absence: Absence::Constant(unit_type.to_owned()), ..Wanted::required("unit_type", Kind::Text) },
        Wanted::required("timestamp", Kind::Instant),
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
