//! Metrics with a covariate: what a unit did before it was exposed explains a part of what it does after, and that part has
//! nothing to do with the candidate. Taken out, it leaves the effect as it is and its interval narrower (statistics.md 1.7).
//!
//! Per unit, y becomes y − θ(v − v̄), with v = x − R·m: x and m are the sums y and d of the days before, R is Σx/Σm, and
//! d stays; a mean per unit has d = m = 1. θ and R are frozen at the first look, out of the strata that it rests on, as
//! control's mean is that τ comes from. They are a function of the stored cohorts which no later night changes, so nothing
//! more needs to be kept, and a replay comes to the same.
//!
//! v̄ is the mean over both arms of the stratum. It moves both alike, and keeps control's mean where it is: by one v̄ for all
//! strata, a lift would be told relative to what control would be if its units were still those of the first days. Since v̄
//! comes from the same units, a contrast μ_t − k·μ_c has (1 − k)²·S/(n_t + n_c) more variance than two independent arms, where S is
//! what the adjustment saved per unit. The candidate is given that back for the k of its bound, so no error rate suffers.
//!
//! Any θ leaves the tests valid: it is the same for both arms, and what was before exposure is no effect of either. It comes from
//! the variation within arms and strata, so that no effect and no drift of the base rate gets into it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::arms::Arms;
use super::assess::strata;
use super::reading::{Judged, Reading};
use crate::domain::{Bound, Companion, Metric, MetricForm};
use crate::stats::cuped::{self, RatioWithCovariate};
use crate::stats::{Insufficient, Interval, Moments, Stratum};

/// The part of a metric's variance that its covariate must explain at the first look to be of use.
const LEAST_EXPLAINED: f64 = 0.01;

/// The covariate of a metric, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Covariate {
    /// Days before first exposure.
    pub days: u16,
    /// What became of it.
    #[serde(flatten)]
    pub adjustment: Adjustment,
}

/// Whether a metric is adjusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "adjustment", rename_all = "snake_case")]
pub enum Adjustment {
    /// Not before the first look.
    Waiting,
    /// It is.
    Made {
        /// What is taken from the metric's sum per unit of the covariate.
        theta: f64,
        /// The part of the effect's variance that is gone.
        saved: f64,
        /// The same night without it.
        unadjusted: Unadjusted,
    },
    /// It is not, and will not be on this evidence.
    NotMade {
        /// Why not.
        why: Useless,
    },
}

/// Why a covariate is of no use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Useless {
    /// No unit of the first look had events in the days before, or all had the same.
    Constant,
    /// It explains too little.
    Weak {
        /// The part of the variance that it explains.
        explained: f64,
    },
    /// The sums of the days before are not there, or cannot be.
    Unknown {
        /// Why not.
        why: Insufficient,
    },
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Useless::Constant => f.write_str("the units of the first look do not differ in what they did before"),
            Useless::Weak { explained } => {
                let part = 100.0 * explained;
                write!(f, "what units did before explains {part:.1} % of it, and less than 1 % is of no use")
            }
            Useless::Unknown { why } => write!(f, "what units did before cannot be told: {why}"),
        }
    }
}

/// What a metric reads without its covariate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unadjusted {
    /// Control's value.
    pub control: Option<f64>,
    /// The candidate's value.
    pub candidate: Option<f64>,
    /// The lift, or for a ceiling or floor the candidate's value.
    pub effect: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
}

impl Covariate {
    /// θ and the part of the variance that is gone, where the metric is adjusted.
    pub fn made(&self) -> Option<(f64, f64)> {
        match self.adjustment {
            Adjustment::Made { theta, saved, .. } => Some((theta, saved)),
            Adjustment::Waiting | Adjustment::NotMade { .. } => None,
        }
    }
}

/// Judges a metric, by its covariate if it has one.
pub(super) fn read(arms: &Arms<'_>, metric: &Metric, how: &Judged) -> Reading {
    let plain = strata(arms, &metric.name);
    let unadjusted = Reading::judge(&metric.name, &plain, how);
    let Some(days) = metric.covariate_days else { return unadjusted };
    let told = |reading: Reading, adjustment| Reading { covariate: Some(Covariate { days, adjustment }), ..reading };
    let not_made = |why: Useless| told(unadjusted.clone(), Adjustment::NotMade { why });
    let Some(joint) = joint(arms, metric, &plain) else {
        return not_made(Useless::Unknown { why: Insufficient::NoUnits });
    };
    let frozen = match Frozen::of(&joint, how.first_look_units) {
        None => return told(unadjusted.clone(), Adjustment::Waiting),
        Some(Err(why)) => return not_made(why),
        Some(Ok(frozen)) => frozen,
    };
    let given_back = match how.bound {
        Bound::Margin(margin) => margin.get().powi(2),
        Bound::Ceiling(_) | Bound::Floor(_) => 1.0,
    };
    let adjusted: Vec<Stratum> = joint.iter().map(|stratum| frozen.adjust(stratum, given_back)).collect();
    let reading = Reading::judge(&metric.name, &adjusted, how);
    let saved = match (reading.standard_error, unadjusted.standard_error) {
        (Some(with), Some(without)) if without > 0.0 => 1.0 - (with / without).powi(2),
        _ => 0.0,
    };
    let Reading { control, candidate, effect, standard_error, interval, .. } = unadjusted;
    let unadjusted = Unadjusted { control, candidate, effect, standard_error, interval };
    told(reading, Adjustment::Made { theta: frozen.theta, saved, unadjusted })
}

/// One stratum's (y, d, x, m), control first.
type Joint = [RatioWithCovariate; 2];

/// The strata with what was before; none where that is not stored for the same units.
fn joint(arms: &Arms<'_>, metric: &Metric, plain: &[Stratum]) -> Option<Vec<Joint>> {
    let of = |companion: Companion| {
        let strata = strata(arms, &companion.of(&metric.name));
        let same = |(a, b): (&Stratum, &Stratum)| a.control.n == b.control.n && a.candidate.n == b.candidate.n;
        (strata.len() == plain.len() && strata.iter().zip(plain).all(same)).then_some(strata)
    };
    let arm = |stratum: &Stratum, of_control: bool| if of_control { stratum.control } else { stratum.candidate };
    let yx = of(Companion::YX)?;
    match metric.form {
        MetricForm::Ratio { .. } => {
            let [ym, dx, dm, xm] = [of(Companion::YM)?, of(Companion::DX)?, of(Companion::DM)?, of(Companion::XM)?];
            let joint = |place: usize, c: bool| {
                let [yd, yx, ym, dx, dm, xm] =
                    [plain, &yx, &ym, &dx, &dm, &xm].map(|strata: &[Stratum]| arm(&strata[place], c));
                of_ratio(&yd, [&yx, &ym, &dx, &dm, &xm])
            };
            Some((0..plain.len()).map(|place| [true, false].map(|c| joint(place, c))).collect())
        }
        MetricForm::Mean { .. } => {
            Some(yx.iter().map(|stratum| [true, false].map(|c| of_mean(&arm(stratum, c)))).collect())
        }
        MetricForm::Aggregate(_) | MetricForm::Pair { .. } => None,
    }
}

fn of_mean(yx: &Moments) -> RatioWithCovariate {
    let mut m2 = [[0.0; 4]; 4];
    (m2[0][0], m2[2][2], m2[0][2], m2[2][0]) = (yx.m2_y, yx.m2_d, yx.c_yd, yx.c_yd);
    RatioWithCovariate { n: yx.n, mean: [yx.mean_y, 1.0, yx.mean_d, 1.0], m2 }
}

fn of_ratio(yd: &Moments, [yx, ym, dx, dm, xm]: [&Moments; 5]) -> RatioWithCovariate {
    RatioWithCovariate {
        n: yd.n,
        mean: [yd.mean_y, yd.mean_d, xm.mean_y, xm.mean_d],
        m2: [
            [yd.m2_y, yd.c_yd, yx.c_yd, ym.c_yd],
            [yd.c_yd, yd.m2_d, dx.c_yd, dm.c_yd],
            [yx.c_yd, dx.c_yd, xm.m2_y, xm.c_yd],
            [ym.c_yd, dm.c_yd, xm.c_yd, xm.m2_d],
        ],
    }
}

/// What no later night changes.
#[derive(Clone, Copy, Debug)]
struct Frozen {
    theta: f64,
    /// R: Σx/Σm.
    ratio: f64,
}

impl Frozen {
    /// From the strata of the first look; none while there are not as many units.
    fn of(strata: &[Joint], first_look_units: u64) -> Option<Result<Frozen, Useless>> {
        let mut pooled = RatioWithCovariate::default();
        let mut within = [[0.0; 4]; 4];
        let (mut control, mut candidate) = (0u64, 0u64);
        // As the first look itself counts units.
        for [c, t] in strata.iter().filter(|[c, t]| c.n >= 2 && t.n >= 2) {
            for arm in [c, t] {
                pooled = pooled.merge(arm);
                for (sums, more) in within.iter_mut().flatten().zip(arm.m2.iter().flatten()) {
                    *sums += more;
                }
            }
            (control, candidate) = (control.saturating_add(c.n), candidate.saturating_add(t.n));
            if control >= first_look_units && candidate >= first_look_units {
                return Some(Frozen::from(&RatioWithCovariate { m2: within, ..pooled }));
            }
        }
        None
    }

    fn from(pooled: &RatioWithCovariate) -> Result<Frozen, Useless> {
        let nobody = RatioWithCovariate::default();
        let useless = |why: Insufficient| match why {
            Insufficient::ZeroVariance { .. } => Useless::Constant,
            Insufficient::DenominatorNearZero { .. } if pooled.mean[3] == 0.0 => Useless::Constant,
            why => Useless::Unknown { why },
        };
        let of_ratio = cuped::theta_ratio(pooled, &nobody).map_err(useless)?;
        let ratio = cuped::covariate_ratio(pooled, &nobody).map_err(useless)?;
        // θ of linearised values, Z = (y − R_y·d)/d̄ on W = (x − R·m)/m̄, is this of the sums themselves.
        let frozen = Frozen { theta: of_ratio * pooled.mean[1] / pooled.mean[3], ratio };
        let before = spread(&plain(pooled));
        let explained = 1.0 - spread(&frozen.adjusted(pooled, frozen.of_past(pooled).0)) / before;
        match explained >= LEAST_EXPLAINED && frozen.theta.is_finite() {
            true => Ok(frozen),
            false => Err(Useless::Weak { explained: if explained.is_finite() { explained.max(0.0) } else { 0.0 } }),
        }
    }

    /// Mean and centred sum of squares of v.
    fn of_past(&self, arm: &RatioWithCovariate) -> (f64, f64) {
        let (m2, r) = (&arm.m2, self.ratio);
        (arm.mean[2] - r * arm.mean[3], m2[2][2] - 2.0 * r * m2[2][3] + r * r * m2[3][3])
    }

    /// The moments of (y − θ(v − `centre`), d).
    fn adjusted(&self, arm: &RatioWithCovariate, centre: f64) -> Moments {
        let Frozen { theta, ratio } = *self;
        let m2 = &arm.m2;
        let (mean_v, m2_v) = self.of_past(arm);
        let [c_yv, c_dv] = [0, 1].map(|sum| m2[sum][2] - ratio * m2[sum][3]);
        let spread = m2[0][0] - 2.0 * theta * c_yv + theta * theta * m2_v;
        Moments {
            mean_y: arm.mean[0] - theta * (mean_v - centre),
            // What rounding leaves below zero is zero.
            m2_y: if spread < 0.0 && -spread <= 1e-12 * m2[0][0] { 0.0 } else { spread },
            c_yd: m2[0][1] - theta * c_dv,
            ..plain(arm)
        }
    }

    /// Both arms of a stratum about what both were before.
    fn adjust(&self, [control, candidate]: &Joint, given_back: f64) -> Stratum {
        let units = control.n as f64 + candidate.n as f64;
        if units == 0.0 {
            return Stratum { control: plain(control), candidate: plain(candidate) };
        }
        let of_candidate = candidate.n as f64 / units;
        let (before_c, before_t) = (self.of_past(control).0, self.of_past(candidate).0);
        let centre = before_c + of_candidate * (before_t - before_c);
        let mut stratum =
            Stratum { control: self.adjusted(control, centre), candidate: self.adjusted(candidate, centre) };
        let saved = spread(&plain(candidate)) - spread(&stratum.candidate);
        stratum.candidate.m2_y += given_back * of_candidate * saved.max(0.0);
        stratum
    }
}

fn plain(arm: &RatioWithCovariate) -> Moments {
    let RatioWithCovariate { n, mean: [y, d, ..], m2 } = *arm;
    Moments { n, mean_y: y, m2_y: m2[0][0], mean_d: d, m2_d: m2[1][1], c_yd: m2[0][1] }
}

/// Σ of squares of y − R·d about its mean.
fn spread(arm: &Moments) -> f64 {
    let ratio = arm.level();
    arm.m2_y - 2.0 * ratio * arm.c_yd + ratio * ratio * arm.m2_d
}

#[cfg(test)]
#[path = "adjust_tests.rs"]
mod tests;
