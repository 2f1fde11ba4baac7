//! The cohorts of the two arms of a comparison, laid out day by day once, so that each metric only adds up.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::assess::Comparison;
use super::by_metric::Sought;
use super::cohort::Cohort;
use crate::stats::Stratum;

/// Both arms' cohorts, and where they belong.
pub(super) struct Arms<'a> {
    /// In their order.
    cells: Vec<Cell<'a>>,
    /// The epoch of each stratum; strata are in order of epoch and date.
    epochs: Vec<i64>,
}

struct Cell<'a> {
    cohort: &'a Cohort,
    is_control: bool,
    stratum: usize,
}

impl<'a> Arms<'a> {
    pub(super) fn of(comparison: &Comparison<'a>) -> Self {
        let mut strata: BTreeMap<(i64, Date), usize> = BTreeMap::new();
        let mut cells = Vec::with_capacity(comparison.cohorts.len());
        for cohort in comparison.cohorts {
            let is_control = cohort.variant == comparison.control;
            if !is_control && cohort.variant != comparison.candidate {
                continue;
            }
            let next = strata.len();
            let stratum = *strata.entry((cohort.epoch, cohort.date)).or_insert(next);
            cells.push(Cell { cohort, is_control, stratum });
        }
        let mut places = vec![0; strata.len()];
        strata.values().enumerate().for_each(|(place, &met)| places[met] = place);
        cells.iter_mut().for_each(|cell| cell.stratum = places[cell.stratum]);
        Arms { cells, epochs: strata.into_keys().map(|(epoch, _)| epoch).collect() }
    }

    /// The days on which one of the arms has the metric, in order, epoch by epoch.
    pub(super) fn days_of(&self, metric: &str) -> Vec<Vec<Stratum>> {
        let mut strata: Vec<Option<Stratum>> = vec![None; self.epochs.len()];
        let mut sought = Sought::new(metric);
        for cell in &self.cells {
            let Some(moments) = sought.of(&cell.cohort.moments) else { continue };
            let stratum = strata[cell.stratum].get_or_insert_default();
            let arm = if cell.is_control { &mut stratum.control } else { &mut stratum.candidate };
            *arm = arm.merge(moments);
        }
        let mut by_epoch: Vec<Vec<Stratum>> = Vec::new();
        let mut epoch = None;
        for (of, stratum) in self.epochs.iter().zip(strata) {
            if epoch != Some(of) {
                by_epoch.push(Vec::new());
                epoch = Some(of);
            }
            if let (Some(days), Some(stratum)) = (by_epoch.last_mut(), stratum) {
                days.push(stratum);
            }
        }
        by_epoch
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
