//! A file, summed: what the rows come to, and the one streaming pass that sums them.
//!
//! polars reads, and sums rows to units where units have several; its batches end in the tally.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{DataFrame, Engine, LazyFrame, PlanCallback, PolarsResult};
use serde::Serialize;

use super::error::FileFault;
use super::layout::Layout;
use super::question::Question;
use super::source::Source;
use super::tally::{Stop, Tally};
use crate::stats::cuped::RatioWithCovariate;

/// Rows that are summed at a time.
const ROWS_AT_ONCE: usize = 1 << 16;

/// A file, summed.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Rows of the file.
    pub(super) rows: u64,
    /// The variants, in order of name.
    pub(super) variants: Vec<VariantUnits>,
    /// Strata by number; `None` are the units without one.
    pub(super) strata: Vec<Option<String>>,
    /// What was left out.
    pub(super) left_out: LeftOut,
    /// Units whose stratum is not given.
    pub(super) without_stratum: u64,
    /// Units whose covariate is not given.
    pub(super) without_covariate: u64,
    /// Per metric of the question.
    pub(super) metrics: Vec<MetricSums>,
}

/// A variant and its units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariantUnits {
    /// The variant.
    pub name: String,
    /// Its units, those without a value included.
    pub units: u64,
}

/// What enters no comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Rows that name no unit.
    pub rows_without_unit: u64,
    /// Units that have no variant.
    pub units_without_variant: u64,
    /// Units with rows of more than one variant.
    pub units_in_two_variants: u64,
}

/// One metric, summed.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricSums {
    /// The column above the line.
    pub(super) numerator: String,
    /// The column below the line.
    pub(super) denominator: Option<String>,
    /// Sums per cell.
    pub(super) cells: Vec<Cell>,
    /// Per variant, units without a value, which enter nothing.
    pub(super) missing: Vec<u64>,
    /// Rows without a value among those of a unit that has one in another row.
    pub(super) empty_fields: u64,
}

/// The units of one variant in one stratum that do, or do not, have a covariate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The variant's place.
    pub(super) variant: usize,
    /// The stratum's number.
    pub(super) stratum: usize,
    /// Whether its units have a covariate.
    pub(super) covered: bool,
    /// (y, d, x, 1) per unit; d is 1 for a mean, and x is 0 where there is no covariate.
    pub(super) sums: RatioWithCovariate,
}

/// Reads the file once and sums it.
pub(super) fn read(source: &Source, question: &Question) -> Result<Sums, FileFault> {
    let layout = Layout::of(source, question)?;
    let mut frame = source.frame(&layout.wanted)?;
    if question.unit.is_some() {
        frame = layout.per_unit(frame);
    }
    let tally = Arc::new(Mutex::new(Tally::new(layout.clone())));
    let ended = stream(frame, &tally);
    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    match tally.fault.take() {
        Some(fault) => return Err(layout.tell(fault, source, question)),
        None => ended.map_err(|error| source.explain(&layout.wanted, error))?,
    }
    tally.finish(question)
}

/// Hands every batch to the tally, one after the other and in the order of the file.
fn stream(frame: LazyFrame, tally: &Arc<Mutex<Tally>>) -> PolarsResult<()> {
    let tally = Arc::clone(tally);
    let callback = PlanCallback::new(move |batch: DataFrame| {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match tally.add(&batch) {
            Ok(()) => Ok(false),
            Err(Stop::Fault(fault)) => {
                tally.fault = Some(fault);
                Ok(true)
            }
            Err(Stop::Polars(error)) => Err(error),
        }
    });
    frame.sink_batches(callback, true, NonZeroUsize::new(ROWS_AT_ONCE))?.collect_with_engine(Engine::Streaming)?;
    Ok(())
}
