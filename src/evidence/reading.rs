//! One metric, judged: effect, interval and verdict, all from the same test.

use serde::{Deserialize, Serialize};

use super::adjust::Covariate;
use crate::domain::{Bound, Direction};
use crate::stats::{
    self, Arm, Arms, Better, Contrast, Insufficient, Interval, OverlapSums, Stratum, fieller, lift, log_e_one_sided,
    one_sided_multiplier,
};

/// What a night can say of one metric (design.md, words for outcomes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Shown worse than the bound.
    Breach,
    /// Shown worse than control, and not shown within the bound.
    Harm,
    /// Shown within the bound.
    Safe,
    /// Shown better than control.
    Better,
    /// Not shown either way yet.
    Inconclusive,
    /// Not measured in a single unit.
    NoData,
    /// Measured, but the data do not carry an answer.
    Insufficient {
        /// Why not.
        why: Insufficient,
    },
}

impl Verdict {
    /// The word in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Breach => "breach",
            Verdict::Harm => "harm",
            Verdict::Safe => "safe",
            Verdict::Better => "better",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NoData => "no data",
            Verdict::Insufficient { .. } => "insufficient",
        }
    }

    /// Whether the metric was shown within its bound.
    pub fn is_safe(&self) -> bool {
        matches!(self, Verdict::Safe | Verdict::Better)
    }

    /// Whether the metric was shown worse than control or its limit.
    pub fn is_harm(&self) -> bool {
        matches!(self, Verdict::Breach | Verdict::Harm)
    }
}

/// What a metric is judged as, and with which error rates.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The bound.
    pub bound: Bound,
    /// Which way the metric should go.
    pub direction: Direction,
    /// The error rate of calling it harmful, at any night.
    pub alpha_harm: f64,
    /// The error rate of calling it safe or better, at any night.
    pub alpha_safe: f64,
    /// The bound of tonight's planned look at promotion, in standard errors, which then takes the place of the confidence
    /// sequence on the safe side; infinite where tonight is no look.
    pub planned_bound: Option<f64>,
    /// Units per arm before the first look.
    pub first_look_units: u64,
}

/// Whether an effect is told relative to control, or as the candidate's own value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Lift over control: 0.05 is five percent.
    Lift,
    /// The candidate's value, in the metric's unit.
    Value,
}

/// One metric's numbers at one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The metric's name.
    pub metric: String,
    /// Its bound.
    pub bound: Bound,
    /// Which way it should go.
    pub direction: Direction,
    /// What was shown.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Control's value, over strata with the weights that the candidate's has too.
    pub control: Option<f64>,
    /// The candidate's value.
    pub candidate: Option<f64>,
    /// Whether `effect` and `interval` are lifts or values.
    pub scale: Scale,
    /// The lift, or for a ceiling or floor the candidate's value.
    pub effect: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// What no night's test has ruled out: each end inverts the test that its side's verdict comes from.
    pub interval: Option<Interval>,
    /// ln of the e-value of harm; 0 before the first look.
    pub log_e_harm: f64,
    /// The same, adjusted by closure for having looked at all guardrails: what singles this one out.
    pub log_e_adjusted: f64,
    /// Whether control breaks the same ceiling or floor; then it is an incident and not the candidate's harm.
    pub control_breaks_limit: bool,
    /// Units in control that entered.
    pub control_units: u64,
    /// Units in the candidate that entered.
    pub candidate_units: u64,
    /// The metric's covariate, if it has one; then the numbers here are those with it, as far as it is of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariate: Option<Covariate>,
}

/// The effect size that a test against an absolute limit is tuned to, relative to the limit.
pub(super) const LIMIT_TAU: f64 = 0.1;

impl Reading {
    /// The worst harm that is not ruled out, relative to control or to the limit, positive is worse; `None` before the
    /// first look.
    pub fn worst_harm(&self) -> Option<f64> {
        let interval = self.interval?;
        Some(match self.direction {
            Direction::Increase => -interval.low,
            Direction::Decrease => interval.high,
        })
    }

    /// The harm in the point estimate relative to control or to the limit, positive is worse; `None` where unknown.
    pub fn estimated_harm(&self) -> Option<f64> {
        let effect = self.effect?;
        let worse = match self.direction {
            Direction::Increase => -1.0,
            Direction::Decrease => 1.0,
        };
        Some(match self.bound {
            Bound::Margin(_) => worse * effect,
            Bound::Ceiling(limit) | Bound::Floor(limit) => worse * (effect - limit) / limit.abs(),
        })
    }

    /// Judges one metric over its strata, which are in order of date.
    ///
    /// The test: for a margin m, harm is ψ = −s(μ_t − μ_c) and safety ψ = s(μ_t − (1 − s·m)μ_c) (statistics.md 2.3); for a
    /// limit ψ = −s(μ_t − L) (2.4). Harm, and safety unless its looks are planned, use the one-sided normal mixture with
    /// τ = m × control's mean at the first look, frozen there (3.2). The interval's ends are Fieller's with the same
    /// multipliers, so it inverts the verdict.
    pub fn judge(metric: &str, strata: &[Stratum], how: &Judged) -> Reading {
        let mut seen = Seen::default();
        let summed = strata.iter().try_for_each(|stratum| seen.add(stratum, how.first_look_units));
        let mut reading = Reading::empty(metric, how);
        let units = |pick: fn(&Stratum) -> u64| strata.iter().map(pick).fold(0, u64::saturating_add);
        reading.control_units = units(|s| s.control.n);
        reading.candidate_units = units(|s| s.candidate.n);
        if reading.control_units == 0 && reading.candidate_units == 0 {
            return reading;
        }
        if let Err(why) = summed.and_then(|()| reading.fill(&seen, strata, how)) {
            reading.verdict = Verdict::Insufficient { why };
        }
        reading
    }

    /// The same from sums that were carried along night by night, for whom strata are not at hand any more.
    pub fn judge_seen(metric: &str, seen: &Seen, how: &Judged) -> Reading {
        let mut reading = Reading::empty(metric, how);
        (reading.control_units, reading.candidate_units) = seen.sums.units();
        if let Err(why) = reading.fill(seen, &[], how) {
            reading.verdict = Verdict::Insufficient { why };
        }
        reading
    }

    fn empty(metric: &str, how: &Judged) -> Reading {
        Reading {
            metric: metric.to_owned(),
            bound: how.bound,
            direction: how.direction,
            verdict: Verdict::NoData,
            control: None,
            candidate: None,
            scale: if matches!(how.bound, Bound::Margin(_)) { Scale::Lift } else { Scale::Value },
            effect: None,
            standard_error: None,
            interval: None,
            log_e_harm: 0.0,
            log_e_adjusted: 0.0,
            control_breaks_limit: false,
            control_units: 0,
            candidate_units: 0,
            covariate: None,
        }
    }

    fn fill(&mut self, seen: &Seen, strata: &[Stratum], how: &Judged) -> Result<(), Insufficient> {
        let arms = seen.sums.arms()?;
        self.control = Some(arms.control.mean);
        self.candidate = Some(arms.candidate.mean);
        match how.bound {
            Bound::Margin(margin) => self.fill_lift(&arms, seen, strata, margin.get(), how),
            Bound::Ceiling(limit) | Bound::Floor(limit) => self.fill_limit(&arms, seen, limit, how),
        }
    }

    fn fill_lift(
        &mut self,
        arms: &Arms,
        seen: &Seen,
        strata: &[Stratum],
        margin: f64,
        how: &Judged,
    ) -> Result<(), Insufficient> {
        let better = better(how.direction);
        let effect = lift(arms)?;
        let ratio = effect + 1.0;
        let variance = arms.candidate.variance + ratio * ratio * arms.control.variance;
        self.effect = Some(effect);
        self.standard_error = Some(variance.sqrt() / arms.control.mean.abs());
        let tau = margin * seen.first_look(how.first_look_units)?.abs();
        let harm = match stats::harm(arms, better) {
            // A rate that fell to nothing has no variance of its own. Against "no difference" it has one.
            Err(why @ Insufficient::ZeroVariance { .. }) => return self.fill_score(strata, tau, how).map_err(|_| why),
            harm => harm?,
        };
        let (q_harm, q_safe) = multipliers(&harm, tau, how);
        let wide = fieller(arms, q_safe)?;
        let narrow = fieller(arms, q_harm)?;
        // The end on the bad side rules out that the metric is safe; the end on the good side, that it is harmed.
        let interval = match better {
            Better::Higher => Interval { low: wide.low, high: narrow.high },
            Better::Lower => Interval { low: narrow.low, high: wide.high },
        };
        self.interval = Some(interval);
        self.log_e_harm = log_e_one_sided(&harm, tau);
        let (bad, good) = match better {
            Better::Higher => (interval.low, interval.high),
            Better::Lower => (-interval.high, -interval.low),
        };
        self.verdict = if good < -margin {
            Verdict::Breach
        } else if bad > 0.0 {
            Verdict::Better
        } else if bad > -margin {
            Verdict::Safe
        } else if good < 0.0 {
            Verdict::Harm
        } else {
            Verdict::Inconclusive
        };
        Ok(())
    }

    /// An arm without variance: harm is judged by the score test, whose variance is that of both arms under "no difference".
    /// It can show harm and nothing else, since no margin can be tested without a variance.
    fn fill_score(&mut self, strata: &[Stratum], tau: f64, how: &Judged) -> Result<(), Insufficient> {
        let harm = stats::harm_by_score(strata, better(how.direction))?;
        self.log_e_harm = log_e_one_sided(&harm, tau);
        let (q_harm, _) = multipliers(&harm, tau, how);
        self.verdict = if harm.z() > q_harm { Verdict::Harm } else { Verdict::Inconclusive };
        Ok(())
    }

    fn fill_limit(&mut self, arms: &Arms, seen: &Seen, limit: f64, how: &Judged) -> Result<(), Insufficient> {
        let better = better(how.direction);
        self.effect = Some(arms.candidate.mean);
        self.standard_error = Some(arms.candidate.standard_error());
        seen.first_look(how.first_look_units)?;
        let violation = stats::against_limit(&arms.candidate, better, limit)?;
        let tau = LIMIT_TAU * limit.abs();
        let (q_harm, q_safe) = multipliers(&violation, tau, how);
        let se = arms.candidate.standard_error();
        let mean = arms.candidate.mean;
        let interval = match better {
            Better::Higher => Interval { low: mean - q_safe * se, high: mean + q_harm * se },
            Better::Lower => Interval { low: mean - q_harm * se, high: mean + q_safe * se },
        };
        self.interval = Some(interval);
        let (breach, safe) = match better {
            Better::Higher => (interval.high < limit, interval.low > limit),
            Better::Lower => (interval.low > limit, interval.high < limit),
        };
        self.control_breaks_limit = better.sign() * (arms.control.mean - limit) < 0.0;
        self.log_e_harm = log_e_one_sided(&violation, tau);
        if self.control_breaks_limit {
            // Evidence of an incident that both arms share must not count against the candidate.
            self.log_e_harm = self.log_e_harm.min(0.0);
        }
        self.verdict = match (breach, safe) {
            (true, _) => Verdict::Breach,
            (_, true) => Verdict::Safe,
            _ => Verdict::Inconclusive,
        };
        Ok(())
    }
}

/// What was seen of one metric so far: the weighted sums, and control's mean at the first look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    sums: OverlapSums,
    first_look: Option<f64>,
}

impl Seen {
    /// Adds a stratum, in order of date. The first look is frozen when both arms reach `first_look_units`; it depends on
    /// the oldest strata alone and never changes once it exists.
    ///
    /// # Errors
    /// [`Insufficient`] if one of the stratum's moments cannot be.
    pub fn add(&mut self, stratum: &Stratum, first_look_units: u64) -> Result<(), Insufficient> {
        self.sums.add(stratum)?;
        let (control, candidate) = self.sums.units();
        if self.first_look.is_none() && control >= first_look_units && candidate >= first_look_units {
            self.first_look = self.sums.arms().ok().map(|arms| arms.control.mean);
        }
        Ok(())
    }

    /// The harmonic number of units seen.
    pub fn weight(&self) -> f64 {
        self.sums.weight()
    }

    /// Control's mean at the first look.
    fn first_look(&self, needed: u64) -> Result<f64, Insufficient> {
        self.first_look.ok_or_else(|| {
            let (control, candidate) = self.sums.units();
            let (arm, units) = if control < candidate { (Arm::Control, control) } else { (Arm::Candidate, candidate) };
            Insufficient::TooFewUnits { arm, units, needed }
        })
    }
}

fn better(direction: Direction) -> Better {
    match direction {
        Direction::Increase => Better::Higher,
        Direction::Decrease => Better::Lower,
    }
}

fn multipliers(contrast: &Contrast, tau: f64, how: &Judged) -> (f64, f64) {
    let u = tau * tau * contrast.information();
    let q_harm = one_sided_multiplier(u, how.alpha_harm);
    let q_safe = match how.planned_bound {
        Some(bound) => bound,
        // The usual case, and the multiplier is the dearest number of a reading.
        None if how.alpha_safe == how.alpha_harm => q_harm,
        None => one_sided_multiplier(u, how.alpha_safe),
    };
    (q_harm, q_safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Margin;
    use crate::stats::Moments;

    /// A rate over `n` units per arm and stratum.
    fn strata(control: f64, candidate: f64, n: u64, count: usize) -> Vec<Stratum> {
        let arm = |p: f64| Moments::of_units(n, p, p * (1.0 - p) * n as f64);
        vec![Stratum { control: arm(control), candidate: arm(candidate) }; count]
    }

    fn how(bound: Bound, direction: Direction) -> Judged {
        Judged { bound, direction, alpha_harm: 0.05, alpha_safe: 0.05, planned_bound: None, first_look_units: 1000 }
    }

    fn margin(value: f64) -> Bound {
        Bound::Margin(Margin::try_from(value).unwrap())
    }

    fn verdict(control: f64, candidate: f64, bound: Bound, direction: Direction) -> Verdict {
        Reading::judge("m", &strata(control, candidate, 5_000, 20), &how(bound, direction)).verdict
    }

    #[test]
    fn the_verdicts_keep_their_order() {
        let rate = |candidate| verdict(0.5, candidate, margin(0.05), Direction::Increase);
        assert_eq!(rate(0.40), Verdict::Breach);
        assert_eq!(rate(0.477), Verdict::Harm);
        assert_eq!(rate(0.5), Verdict::Safe);
        assert_eq!(rate(0.55), Verdict::Better);
        let cost = |candidate| verdict(0.5, candidate, margin(0.05), Direction::Decrease);
        assert_eq!(cost(0.40), Verdict::Better);
        assert_eq!(cost(0.60), Verdict::Breach);
    }

    #[test]
    fn the_interval_and_the_verdict_agree() {
        for step in 0..60 {
            let candidate = 0.44 + 0.002 * f64::from(step);
            let reading =
                Reading::judge("m", &strata(0.5, candidate, 2_000, 10), &how(margin(0.05), Direction::Increase));
            let interval = reading.interval.unwrap();
            assert_eq!(reading.verdict.is_safe(), interval.low > -0.05, "{reading:?}");
            assert_eq!(reading.verdict == Verdict::Breach, interval.high < -0.05, "{reading:?}");
        }
    }

    #[test]
    fn a_limit_that_control_breaks_too_is_no_evidence_against_the_candidate() {
        let own = Reading::judge("m", &strata(0.01, 0.05, 5_000, 20), &how(Bound::Ceiling(0.02), Direction::Decrease));
        assert_eq!(own.verdict, Verdict::Breach);
        assert!(own.log_e_harm > 3.0 && !own.control_breaks_limit);
        let both = Reading::judge("m", &strata(0.05, 0.05, 5_000, 20), &how(Bound::Ceiling(0.02), Direction::Decrease));
        assert!(both.log_e_harm <= 0.0 && both.control_breaks_limit);
    }

    #[test]
    fn a_rate_that_falls_to_nothing_is_harm() {
        let gone = Reading::judge("m", &strata(0.1, 0.0, 5_000, 20), &how(margin(0.05), Direction::Increase));
        assert_eq!(gone.verdict, Verdict::Harm);
        assert!(gone.log_e_harm > 100.0);
    }

    #[test]
    fn sums_carried_along_judge_as_strata_do() {
        let strata = strata(0.5, 0.49, 800, 12);
        let how = how(margin(0.05), Direction::Increase);
        let mut seen = Seen::default();
        strata.iter().for_each(|s| seen.add(s, how.first_look_units).unwrap());
        assert_eq!(Reading::judge_seen("m", &seen, &how), Reading::judge("m", &strata, &how));
    }

    #[test]
    fn nothing_is_looked_at_before_the_first_look() {
        let few = Reading::judge("m", &strata(0.5, 0.1, 100, 5), &how(margin(0.05), Direction::Increase));
        assert!(matches!(few.verdict, Verdict::Insufficient { why: Insufficient::TooFewUnits { units: 500, .. } }));
        assert_eq!(few.log_e_harm, 0.0);
        let none = Reading::judge("m", &[], &how(margin(0.05), Direction::Increase));
        assert_eq!(none.verdict, Verdict::NoData);
    }
}
