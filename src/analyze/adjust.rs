//! CUPED over a whole file: the part of a metric that each unit's past explains, taken out of the sums (statistics.md 1.7).

use super::error::FileFault;
use super::question::{MetricQuestion, Question};
use super::sums::{Cell, MetricSums};
use crate::stats::Moments;
use crate::stats::cuped::{self, RatioWithCovariate};

/// A metric's sums with the covariate's part taken out.
pub(super) struct Adjusted<'a> {
    /// As they were read.
    pub(super) sums: &'a MetricSums,
    /// θ; `None` without a covariate.
    pub(super) theta: Option<f64>,
    centre: f64,
}

impl<'a> Adjusted<'a> {
    /// θ and the centre come from all units of the file that have a covariate, so they are the same for all candidates.
    pub(super) fn of(
        sums: &'a MetricSums,
        asked: &MetricQuestion,
        control: usize,
        q: &Question,
    ) -> Result<Self, FileFault> {
        let Some(column) = &q.covariate else { return Ok(Adjusted { sums, theta: None, centre: 0.0 }) };
        let pooled = |of_control: bool| {
            let cells = sums.cells.iter().filter(|cell| cell.covered && (cell.variant == control) == of_control);
            cells.fold(RatioWithCovariate::default(), |all, cell| all.merge(&cell.sums))
        };
        let (of_control, others) = (pooled(true), pooled(false));
        if of_control.n + others.n == 0 && sums.cells.iter().all(|cell| cell.sums.n == 0) {
            // Nobody was measured; that is told as such.
            return Ok(Adjusted { sums, theta: None, centre: 0.0 });
        }
        let refused =
            |source| FileFault::Covariate { column: column.clone(), metric: asked.metric.name.clone(), source };
        let of_ratio = cuped::theta_ratio(&of_control, &others).map_err(refused)?;
        let centre = cuped::covariate_ratio(&of_control, &others).map_err(refused)?;
        // θ of the ratio is per unit of its denominator; times that, it is θ of the sum above the line.
        let theta = of_ratio * of_control.merge(&others).mean[1];
        Ok(Adjusted { sums, theta: Some(theta), centre })
    }

    /// The moments of (y − θ(x − centre), d). They add up over units, so strata and ratios work as they do without.
    pub(super) fn moments(&self, cell: &Cell) -> Moments {
        let RatioWithCovariate { n, mean: [y, d, x, _], m2 } = cell.sums;
        let plain = Moments { n, mean_y: y, m2_y: m2[0][0], mean_d: d, m2_d: m2[1][1], c_yd: m2[0][1] };
        let Some(theta) = self.theta.filter(|_| cell.covered) else { return plain };
        let spread = m2[0][0] - 2.0 * theta * m2[0][2] + theta * theta * m2[2][2];
        Moments {
            mean_y: y - theta * (x - self.centre),
            // What rounding leaves below zero is zero.
            m2_y: if spread < 0.0 && -spread <= 1e-12 * m2[0][0] { 0.0 } else { spread },
            c_yd: m2[0][1] - theta * m2[1][2],
            ..plain
        }
    }

    /// The moments as they were read.
    pub(super) fn plain(&self, cell: &Cell) -> Moments {
        Adjusted { theta: None, ..*self }.moments(cell)
    }
}
