//! Two proportions of units at one fixed look: Newcombe's interval, pooled z, Wald and the log risk ratio.
//!
//! What is estimated: p_t − p_c and p_t/p_c from counts of units.
//!
//! Assumes: one trial per unit, one stratum. Newcombe's interval is the one to show; Wald's collapses near 0 and 1.
//! Sequential work uses the moments with p(1 − p)/(n − 1) instead.
//!
//! Fails: zero successes leave the risk ratio undefined; counts below ten make every normal form here rough.
//!
//! Reference: Newcombe 1998 (method 10); Wilson 1927; Katz et al. 1978 (log risk ratio); statistics.md 1.2.

use serde::{Deserialize, Serialize};

use super::fieller::Interval;
use super::insufficient::{Arm, Insufficient, open_unit};
use super::moments::Moments;
use super::normal;

/// Beyond this, counts are no longer exact as floating-point numbers.
const MAX_UNITS: u64 = 1 << 53;

/// Units and how many of them succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Successes {
    /// Units.
    pub n: u64,
    /// Units with the event.
    pub x: u64,
}

impl Successes {
    /// x/n; NaN without units.
    pub fn rate(&self) -> f64 {
        self.x as f64 / self.n as f64
    }

    /// The counts behind a metric whose values are all 0 or 1; `None` if its moments are not those of such a metric.
    pub fn from_moments(moments: &Moments) -> Option<Self> {
        let n = moments.n as f64;
        let x = (moments.mean_y * n).round();
        let is_per_unit = moments.mean_d == 1.0 && moments.m2_d == 0.0;
        let is_count = (moments.mean_y * n - x).abs() <= 1e-6 * (1.0 + x.abs()).min(1e3) && (0.0..=n).contains(&x);
        let spread = x * (n - x) / n;
        (moments.n > 0 && is_per_unit && is_count && (moments.m2_y - spread).abs() <= 1e-9 * (1.0 + spread))
            .then_some(Successes { n: moments.n, x: x as u64 })
    }

    pub(crate) fn check(&self, arm: Arm) -> Result<(), Insufficient> {
        if self.n == 0 {
            return Err(Insufficient::NoUnits);
        }
        if self.n > MAX_UNITS {
            return Err(Insufficient::out_of_range("the number of units", self.n as f64, "at most 2^53"));
        }
        if self.x > self.n {
            let what = match arm {
                Arm::Control => "the number of control's successes",
                Arm::Candidate => "the number of candidate's successes",
            };
            return Err(Insufficient::out_of_range(what, self.x as f64, "at most its number of units"));
        }
        Ok(())
    }

    /// p(1 − p)/n.
    fn variance(&self) -> f64 {
        self.rate() * ((self.n - self.x) as f64 / self.n as f64) / self.n as f64
    }

    /// Wilson's score interval of the rate.
    pub fn wilson(&self, z: f64) -> Interval {
        let (n, p, z2) = (self.n as f64, self.rate(), z * z);
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = z * (self.variance() + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
        Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }
}

/// A z statistic with its two-sided p-value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZTest {
    /// The statistic.
    pub z: f64,
    /// Two-sided p-value.
    pub p: f64,
    /// log10 of `p`.
    pub log10_p: f64,
}

impl ZTest {
    pub(crate) fn two_sided(z: f64) -> Self {
        ZTest { z, p: normal::two_sided_p(z), log10_p: normal::log10_two_sided_p(z) }
    }
}

/// H0: p_t = p_c with the pooled rate in the standard error; z² is Pearson's chi-square.
///
/// # Errors
/// [`Insufficient`] without units, or if all units of both arms agree.
pub fn pooled_z(control: &Successes, candidate: &Successes) -> Result<ZTest, Insufficient> {
    check(control, candidate)?;
    let pooled = Successes { n: control.n.saturating_add(candidate.n), x: control.x.saturating_add(candidate.x) };
    if pooled.x == 0 || pooled.x == pooled.n {
        return Err(Insufficient::ZeroVariance { arm: Arm::Candidate });
    }
    let spread = pooled.rate() * (1.0 - pooled.rate()) * (1.0 / control.n as f64 + 1.0 / candidate.n as f64);
    Ok(ZTest::two_sided((candidate.rate() - control.rate()) / spread.sqrt()))
}

/// Newcombe's interval of p_t − p_c from the two Wilson intervals; it never leaves [−1, 1].
///
/// # Errors
/// [`Insufficient`] without units or with a confidence outside (0, 1).
pub fn newcombe(control: &Successes, candidate: &Successes, confidence: f64) -> Result<Interval, Insufficient> {
    let z = two_sided_z(control, candidate, confidence)?;
    let (c, t, difference) = (control.wilson(z), candidate.wilson(z), candidate.rate() - control.rate());
    Ok(Interval {
        low: difference - (candidate.rate() - t.low).hypot(c.high - control.rate()),
        high: difference + (t.high - candidate.rate()).hypot(control.rate() - c.low),
    })
}

/// Wald's interval of p_t − p_c.
///
/// # Errors
/// As [`newcombe`], and `ZeroVariance` if an arm's units all agree.
pub fn wald(control: &Successes, candidate: &Successes, confidence: f64) -> Result<Interval, Insufficient> {
    let z = two_sided_z(control, candidate, confidence)?;
    for (successes, arm) in [(control, Arm::Control), (candidate, Arm::Candidate)] {
        if successes.variance() == 0.0 {
            return Err(Insufficient::ZeroVariance { arm });
        }
    }
    let half = z * (control.variance() + candidate.variance()).sqrt();
    Ok(Interval::around(candidate.rate() - control.rate(), half))
}

/// Katz's interval of p_t/p_c: exp(ln ratio ± z·√(1/x_t − 1/n_t + 1/x_c − 1/n_c)).
///
/// # Errors
/// As [`newcombe`], and `TooFewEvents` if an arm has no success.
pub fn risk_ratio(control: &Successes, candidate: &Successes, confidence: f64) -> Result<Interval, Insufficient> {
    let z = two_sided_z(control, candidate, confidence)?;
    for (successes, arm) in [(control, Arm::Control), (candidate, Arm::Candidate)] {
        if successes.x == 0 {
            return Err(Insufficient::TooFewEvents { arm, events: 0, needed: 1 });
        }
    }
    let inverse = |s: &Successes| (s.n - s.x) as f64 / s.n as f64 / s.x as f64;
    let half = z * (inverse(control) + inverse(candidate)).sqrt();
    let ln_ratio = (candidate.rate() / control.rate()).ln();
    Ok(Interval { low: (ln_ratio - half).exp(), high: (ln_ratio + half).exp() })
}

fn two_sided_z(control: &Successes, candidate: &Successes, confidence: f64) -> Result<f64, Insufficient> {
    check(control, candidate)?;
    Ok(normal::upper_quantile(0.5 * (1.0 - open_unit("the confidence level", confidence)?)))
}

fn check(control: &Successes, candidate: &Successes) -> Result<(), Insufficient> {
    control.check(Arm::Control)?;
    candidate.check(Arm::Candidate)
}
