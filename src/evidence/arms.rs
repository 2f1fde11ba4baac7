//! The cohorts of the two arms of a comparison, put in order once, so that each metric only adds up.

use super::assess::Comparison;
use super::by_metric::Sought;
use super::cohort::Cohort;
use crate::stats::{Joined, Stratum};

/// Both arms' cohorts, and where they belong.
pub(super) struct Arms<'a> {
    /// In order of epoch and date.
    cells: Vec<Cell<'a>>,
}

struct Cell<'a> {
    cohort: &'a Cohort,
    is_control: bool,
}

impl<'a> Arms<'a> {
    pub(super) fn of(comparison: &Comparison<'a>) -> Self {
        let of_arm = |cohort: &'a Cohort| {
            let is_control = cohort.variant == comparison.control;
            (is_control || cohort.variant == comparison.candidate).then_some(Cell { cohort, is_control })
        };
        let mut cells: Vec<Cell<'_>> = comparison.cohorts.iter().filter_map(of_arm).collect();
        cells.sort_by_key(|cell| (cell.cohort.epoch, cell.cohort.date));
        Arms { cells }
    }

    /// The strata of a metric: the days on which one of the arms has it, in order, epoch by epoch, small ones joined within
    /// their epoch.
    pub(super) fn strata_of(&self, metric: &str, min_candidate: u64) -> Vec<Joined> {
        let mut sought = Sought::new(metric);
        let mut of_epoch = |cells: &[Cell<'a>]| {
            let mut joined = Joined::new(min_candidate);
            joined.whole.reserve(cells.len() / 2);
            for day in cells.chunk_by(|a, b| a.cohort.date == b.cohort.date) {
                let mut stratum = None;
                for cell in day {
                    let Some(moments) = sought.of(&cell.cohort.moments) else { continue };
                    let stratum: &mut Stratum = stratum.get_or_insert_default();
                    let arm = if cell.is_control { &mut stratum.control } else { &mut stratum.candidate };
                    *arm = arm.merge(moments);
                }
                stratum.iter().for_each(|stratum| joined.add(stratum));
            }
            joined
        };
        self.cells.chunk_by(|a, b| a.cohort.epoch == b.cohort.epoch).map(&mut of_epoch).collect()
    }

    /// The least units that any of the metrics has, in control and in the candidate.
    pub(super) fn least_units<'b>(&self, metrics: impl Iterator<Item = &'b str>) -> (u64, u64)
    where
        'a: 'b,
    {
        let units = |metric: &'b str| {
            let mut sought = Sought::new(metric);
            let (mut control, mut candidate) = (0, 0);
            for cell in &self.cells {
                let units = sought.of(&cell.cohort.moments).map_or(0, |moments| moments.n);
                *(if cell.is_control { &mut control } else { &mut candidate }) += units;
            }
            (control, candidate)
        };
        metrics.map(units).reduce(|a: (u64, u64), b| (a.0.min(b.0), a.1.min(b.1))).unwrap_or_default()
    }
}
