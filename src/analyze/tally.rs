//! The batches of a frame, one after the other: who is in which variant and stratum, and what is left out.

use std::collections::HashMap;

use polars::prelude::{ChunkCompareEq, Column, DataFrame, PolarsError, StringChunked};

use super::error::FileFault;
use super::layout::{Layout, number};
use super::question::Question;
use super::spread::{MetricTally, Values};
use super::sums::{Cell, LeftOut, MetricSums, Sums, VariantUnits};
use crate::stats::cuped::RatioWithCovariate;

/// Variants that a file may have; more are a sign of another column.
pub(super) const MOST_VARIANTS: usize = 100;
/// Strata that a file may have.
pub(super) const MOST_STRATA: usize = 100_000;

/// A fault that a batch shows, told once the file is let go.
#[derive(Debug)]
pub(super) enum Fault {
    /// A value of that number, or of the covariate, is not finite.
    NotFinite(String),
    Variants(Vec<String>),
    Strata,
    Changes {
        unit: String,
        asked_by: &'static str,
        low: String,
        high: String,
    },
}

/// Why a batch was the last.
pub(super) enum Stop {
    Fault(Fault),
    Polars(PolarsError),
}

impl From<PolarsError> for Stop {
    fn from(error: PolarsError) -> Self {
        Stop::Polars(error)
    }
}

/// The place of units that enter nothing.
pub(super) const NOWHERE: usize = usize::MAX;

/// Names that are given numbers as they come.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, usize>,
    none: Option<usize>,
    names: Vec<Option<String>>,
    last: usize,
}

impl Names {
    fn number(&mut self, name: Option<&str>) -> usize {
        // Rows of one kind often follow each other.
        if self.names.get(self.last).is_some_and(|last| last.as_deref() == name) {
            return self.last;
        }
        let known = name.map_or(self.none, |name| self.numbers.get(name).copied());
        self.last = known.unwrap_or_else(|| {
            self.names.push(name.map(str::to_owned));
            let number = self.names.len() - 1;
            match name {
                Some(name) => drop(self.numbers.insert(name.to_owned(), number)),
                None => self.none = Some(number),
            }
            number
        });
        self.last
    }
}

/// What the batches so far add up to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    layout: Layout,
    pub(super) fault: Option<Fault>,
    rows: u64,
    left_out: LeftOut,
    without_stratum: u64,
    without_covariate: u64,
    variants: Names,
    /// Units per variant.
    units: Vec<u64>,
    strata: Names,
    /// The cells, which all metrics share: variant, stratum and whether there is a covariate.
    cells: Vec<(usize, usize, bool)>,
    /// The cell of 2 × stratum + covered, then of the variant.
    cell_of: Vec<Vec<usize>>,
    metrics: Vec<MetricTally>,
}

impl Tally {
    pub(super) fn new(layout: Layout) -> Self {
        let metrics = layout.metrics.iter().map(|_| MetricTally::default()).collect();
        Tally { layout, metrics, ..Tally::default() }
    }

    pub(super) fn add(&mut self, batch: &DataFrame) -> Result<(), Stop> {
        let covariate = if self.layout.covariate { Some(numbers(batch, "covariate")?) } else { None };
        let numbers: Vec<Vec<f64>> =
            (0..self.layout.numbers.len()).map(|place| numbers(batch, &number(place))).collect::<Result<_, _>>()?;
        if self.layout.per_unit {
            self.refuse_changes(batch)?;
        }
        let cells = self.place(batch, covariate.as_deref())?;
        let empty_fields = self.empty_fields(batch, &cells)?;
        for (metric, (numerator, denominator)) in self.metrics.iter_mut().zip(&self.layout.metrics) {
            let values = Values {
                y: &numbers[*numerator],
                d: denominator.map(|place| numbers[place].as_slice()),
                x: covariate.as_deref(),
            };
            metric.add(&values, &cells, &self.cells);
            metric.empty_fields += empty_fields.get(*numerator).copied().unwrap_or(0);
            metric.empty_fields += denominator.and_then(|place| empty_fields.get(place)).copied().unwrap_or(0);
        }
        Ok(())
    }

    /// The cell of each unit, `NOWHERE` for those that are left out.
    fn place(&mut self, batch: &DataFrame, covariate: Option<&[f64]>) -> Result<Vec<usize>, Stop> {
        let variants = batch.column("variant")?.str()?;
        let highs = if self.layout.per_unit { Some(batch.column("variant_high")?.str()?) } else { None };
        let strata = if self.layout.stratum { Some(batch.column("stratum")?.str()?) } else { None };
        let mut highs = highs.map(StringChunked::iter);
        let mut strata = strata.map(StringChunked::iter);
        let rows = self.rows_of_units(batch)?;
        let mut cells = Vec::with_capacity(batch.height());
        for (row, variant) in variants.iter().enumerate() {
            let high = highs.as_mut().map_or(variant, |highs| highs.next().flatten());
            let stratum = strata.as_mut().and_then(|strata| strata.next().flatten());
            let Some(rows) = rows.get(row).copied().flatten() else {
                cells.push(NOWHERE);
                continue;
            };
            self.rows += rows;
            if variant.is_none() || variant != high {
                let counter = match variant {
                    None => &mut self.left_out.units_without_variant,
                    Some(_) => &mut self.left_out.units_in_two_variants,
                };
                *counter += 1;
                cells.push(NOWHERE);
                continue;
            }
            let variant = self.variants.number(variant);
            let stratum_number = self.strata.number(stratum);
            let covered = covariate.is_some_and(|x| !x[row].is_nan());
            self.without_stratum += u64::from(self.layout.stratum && stratum.is_none());
            self.without_covariate += u64::from(self.layout.covariate && !covered);
            cells.push(self.cell(variant, stratum_number, covered)?);
            self.units[variant] += 1;
        }
        Ok(cells)
    }

    /// The rows of each unit; `None` for rows that name no unit, which are counted here.
    fn rows_of_units(&mut self, batch: &DataFrame) -> Result<Vec<Option<u64>>, Stop> {
        if !self.layout.per_unit {
            return Ok(vec![Some(1); batch.height()]);
        }
        let nameless = batch.column("unit")?.is_null();
        let rows = batch.column("rows")?.i64()?;
        let mut of_units = Vec::with_capacity(batch.height());
        for (rows, nameless) in rows.iter().zip(nameless.iter()) {
            let rows = rows.unwrap_or(0).unsigned_abs();
            if nameless.unwrap_or(false) {
                self.rows += rows;
                self.left_out.rows_without_unit += rows;
                of_units.push(None);
            } else {
                of_units.push(Some(rows));
            }
        }
        Ok(of_units)
    }

    fn cell(&mut self, variant: usize, stratum: usize, covered: bool) -> Result<usize, Stop> {
        if variant >= MOST_VARIANTS {
            let examples = self.variants.names.iter().flatten().take(5).cloned().collect();
            return Err(Stop::Fault(Fault::Variants(examples)));
        }
        if stratum >= MOST_STRATA {
            return Err(Stop::Fault(Fault::Strata));
        }
        let place = 2 * stratum + usize::from(covered);
        if self.cell_of.len() <= place {
            self.cell_of.resize(place + 1, Vec::new());
        }
        if self.units.len() <= variant {
            self.units.resize(variant + 1, 0);
        }
        let cell_of = &mut self.cell_of[place];
        if cell_of.len() <= variant {
            cell_of.resize(variant + 1, NOWHERE);
        }
        if cell_of[variant] == NOWHERE {
            cell_of[variant] = self.cells.len();
            self.cells.push((variant, stratum, covered));
        }
        Ok(cell_of[variant])
    }

    /// Per number, rows without a value among those of a unit that has one.
    fn empty_fields(&self, batch: &DataFrame, cells: &[usize]) -> Result<Vec<u64>, Stop> {
        if !self.layout.per_unit {
            return Ok(Vec::new());
        }
        let rows = batch.column("rows")?.i64()?;
        let mut empty = Vec::with_capacity(self.layout.numbers.len());
        for place in 0..self.layout.numbers.len() {
            let filled = batch.column(&format!("{}_rows", number(place)))?.i64()?;
            let pairs = rows.iter().zip(filled.iter()).zip(cells);
            let of_unit = pairs.filter(|(_, cell)| **cell != NOWHERE).map(|((rows, filled), _)| match filled {
                Some(filled) if filled > 0 => (rows.unwrap_or(0) - filled).unsigned_abs(),
                _ => 0,
            });
            empty.push(of_unit.sum());
        }
        Ok(empty)
    }

    /// A stratum or covariate that differs between the rows of a unit belongs to no unit.
    fn refuse_changes(&self, batch: &DataFrame) -> Result<(), Stop> {
        let asked =
            [("stratum", "--stratum", self.layout.stratum), ("covariate", "--covariate", self.layout.covariate)];
        for (name, asked_by, _) in asked.into_iter().filter(|(_, _, asked)| *asked) {
            let (low, high) = (batch.column(name)?, batch.column(&format!("{name}_high"))?);
            let unit = batch.column("unit")?;
            let differ = low.as_materialized_series().not_equal(high.as_materialized_series())?;
            // The rows without a unit are no unit.
            let differ = &differ & &unit.is_not_null();
            if let Some(row) = differ.iter().position(|differ| differ == Some(true)) {
                let show = |column: &Column| column.get(row).map(|value| value.to_string());
                let unit = unit.get(row)?;
                let unit = unit.get_str().map_or_else(|| unit.to_string(), str::to_owned);
                return Err(Stop::Fault(Fault::Changes { unit, asked_by, low: show(low)?, high: show(high)? }));
            }
        }
        Ok(())
    }

    /// Variants in order of name, with everything that is counted by them.
    pub(super) fn finish(self, question: &Question) -> Result<Sums, FileFault> {
        if self.rows == 0 {
            return Err(FileFault::NoRows);
        }
        let mut order: Vec<usize> = (0..self.units.len()).collect();
        let name = |variant: usize| self.variants.names[variant].clone().unwrap_or_default();
        order.sort_by_key(|variant| name(*variant));
        let mut place_of = vec![0; order.len()];
        for (place, variant) in order.iter().enumerate() {
            place_of[*variant] = place;
        }
        let metric = |(tally, asked): (MetricTally, &(usize, Option<usize>))| {
            let cell = |(sums, (variant, stratum, covered)): (RatioWithCovariate, &(usize, usize, bool))| Cell {
                variant: place_of[*variant],
                stratum: *stratum,
                covered: *covered,
                sums,
            };
            MetricSums {
                numerator: self.layout.numbers[asked.0].clone(),
                denominator: asked.1.map(|place| self.layout.numbers[place].clone()),
                cells: tally.sums.into_iter().zip(&self.cells).map(cell).collect(),
                missing: order.iter().map(|variant| tally.missing.get(*variant).copied().unwrap_or(0)).collect(),
                empty_fields: tally.empty_fields,
            }
        };
        let metrics = self.metrics.into_iter().zip(&self.layout.metrics).map(metric).collect();
        if order.is_empty() {
            return Err(match self.left_out.units_in_two_variants {
                0 => FileFault::NoVariant { column: question.variant.clone() },
                _ => FileFault::NobodyInOne { unit: question.unit.clone().unwrap_or_default() },
            });
        }
        Ok(Sums {
            rows: self.rows,
            variants: order.iter().map(|v| VariantUnits { name: name(*v), units: self.units[*v] }).collect(),
            strata: self.strata.names,
            left_out: self.left_out,
            without_stratum: self.without_stratum,
            without_covariate: self.without_covariate,
            metrics,
        })
    }
}

/// The numbers of a batch; NaN stands for a missing one.
fn numbers(batch: &DataFrame, name: &str) -> Result<Vec<f64>, Stop> {
    let column = batch.column(name)?.f64()?;
    let not_finite = || Stop::Fault(Fault::NotFinite(name.to_owned()));
    if let Ok(sum) = batch.column(&format!("{name}_sum"))
        && sum.f64()?.iter().flatten().any(|sum| !sum.is_finite())
    {
        return Err(not_finite());
    }
    let mut numbers = Vec::with_capacity(column.len());
    for value in column.iter() {
        match value {
            Some(value) if !value.is_finite() => return Err(not_finite()),
            value => numbers.push(value.unwrap_or(f64::NAN)),
        }
    }
    Ok(numbers)
}
