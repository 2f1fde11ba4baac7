//! The score test of "no difference": it still speaks when an arm has no variance of its own.
//!
//! What is estimated: the overlap-weighted difference as in [`super::overlap`], with the variance that both arms would share
//! if they did not differ, taken from their units together: V = Σ w_s² σ²_s (1/n_ts + 1/n_cs)/W². For 0/1 values σ² is
//! p̄(1 − p̄), which makes this the Mantel–Haenszel score test. A candidate whose conversion falls from 10 % to exactly 0 has
//! variance zero; here that is the strongest harm, not a missing number.
//!
//! Assumes: H0 of equal distributions; under it both arms expect at least ten units on either side of the metric (checked,
//! for other than 0/1 values by the effective number of contributing units). Valid as a contrast for the e-values.
//!
//! Fails: as a non-inferiority test (the arms differ under that null); with few expected events, where
//! [`super::exact`] and [`super::breaker`] apply.
//!
//! Reference: Cochran 1954; Mantel & Haenszel 1959; Rao 1948 (score tests); statistics.md 1.2 and 4.

use super::contrast::{Better, Contrast};
use super::insufficient::{Arm, Insufficient, finite};
use super::moments::Moments;
use super::overlap::Stratum;

/// Units that each arm must expect on either side of the metric.
const MIN_EXPECTED: f64 = 10.0;

/// Positive when the candidate looks worse than control: the contrast of [`super::harm`] with its variance under "no
/// difference". Use it when `harm` answers `ZeroVariance`.
///
/// # Errors
/// [`Insufficient`] if the strata are unusable, if even both arms together have no variance, or if an arm expects too few
/// events for a normal approximation.
pub fn harm_by_score(strata: &[Stratum], better: Better) -> Result<Contrast, Insufficient> {
    let (mut weight, mut control, mut candidate) = (0.0, (0.0, 0.0), (0.0, 0.0));
    for (s, w) in weighted(strata) {
        s.control.check(Arm::Control)?;
        s.candidate.check(Arm::Candidate)?;
        weight += w;
        control = (control.0 + w * s.control.mean_y, control.1 + w * s.control.mean_d);
        candidate = (candidate.0 + w * s.candidate.mean_y, candidate.1 + w * s.candidate.mean_d);
    }
    if weight == 0.0 {
        return Err(Insufficient::NoUnits);
    }
    let denominator = (control.1 + candidate.1) / (2.0 * weight);
    if denominator == 0.0 || control.1 == 0.0 || candidate.1 == 0.0 {
        return Err(Insufficient::DenominatorNearZero { arm: Arm::Control });
    }
    let common = (control.0 + candidate.0) / (control.1 + candidate.1);
    let (mut variance, mut events) = (0.0, Expected::default());
    for (s, w) in weighted(strata) {
        let both = s.control.merge(&s.candidate);
        let spread = both.residual_variance(common, Arm::Candidate)?;
        let share = w / weight;
        variance += share * share * spread * (1.0 / s.control.n as f64 + 1.0 / s.candidate.n as f64);
        events.add(&s, &both);
    }
    if variance == 0.0 {
        return Err(Insufficient::ZeroVariance { arm: Arm::Control });
    }
    events.check()?;
    let difference = (candidate.0 / candidate.1 - control.0 / control.1) * -better.sign();
    Ok(Contrast {
        estimate: finite("the pooled contrast", difference)?,
        variance: finite("the pooled variance", variance / (denominator * denominator))?,
    })
}

fn weighted(strata: &[Stratum]) -> impl Iterator<Item = (Stratum, f64)> + '_ {
    strata.iter().filter(|s| s.control.n > 0 && s.candidate.n > 0 && s.control.n.saturating_add(s.candidate.n) > 2).map(
        |s| {
            let (c, t) = (s.control.n as f64, s.candidate.n as f64);
            (*s, c * (t / (c + t)))
        },
    )
}

/// Units that contribute, as each arm expects them under "no difference".
#[derive(Default)]
struct Expected {
    control: f64,
    candidate: f64,
}

impl Expected {
    fn add(&mut self, stratum: &Stratum, both: &Moments) {
        let n = both.n as f64;
        let raw = |m2: f64, mean: f64| m2 + n * mean * mean;
        // (Σy)²/Σy²: the number of equal contributions that would spread as these do; the successes if y is 0 or 1.
        let total = n * both.mean_y;
        let squares = raw(both.m2_y, both.mean_y);
        let mut effective = if squares > 0.0 { total * total / squares } else { 0.0 };
        let successes = both.mean_y * n;
        let is_binary = both.m2_d == 0.0 && both.mean_d == 1.0 && (squares - successes).abs() <= 1e-9 * n;
        if is_binary {
            effective = successes.min(n - successes);
        }
        self.control += effective * (stratum.control.n as f64 / n);
        self.candidate += effective * (stratum.candidate.n as f64 / n);
    }

    fn check(&self) -> Result<(), Insufficient> {
        let (arm, expected) =
            if self.control < self.candidate { (Arm::Control, self.control) } else { (Arm::Candidate, self.candidate) };
        if expected < MIN_EXPECTED {
            return Err(Insufficient::TooFewEvents { arm, events: expected as u64, needed: MIN_EXPECTED as u64 });
        }
        Ok(())
    }
}
