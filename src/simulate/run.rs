//! One simulated experiment: day by day units arrive, cohorts close, the night judges and decides.

use jiff::civil::Date;
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::draw;
use super::tally::Tally;
use super::trial::{CANDIDATE, CONTROL, Model, Trial};
use super::world::{Counts, Ramp};
use crate::decide::{Facts, Look, Outcome, Situation, decide};
use crate::domain::{RolloutState, RolloutStatus, Share};
use crate::evidence::{
    Assessment, Cohort, CohortHealth, DayState, Judged, MIN_STRATUM_UNITS, PromotionLook, Reading, Seen, SplitReading,
    Standards,
};
use crate::stats::{Moments, Stratum, lift, overlap};

/// What one run needs of memory, kept from run to run.
pub(super) struct Runner<'a> {
    trial: &'a Trial,
    /// Moments by day and metric.
    strata: Vec<Stratum>,
    /// The epoch of each day.
    epoch_of: Vec<usize>,
    /// Harmonic numbers of units planned, summed over the days.
    planned: Vec<f64>,
    metrics: Vec<Progress>,
    /// First exposures by epoch and arm, as far as the first metric's cohorts have closed.
    cohorts: Vec<Cohort>,
    pooled: Stratum,
    assessment: Assessment,
    state: RolloutState,
    /// The harmonic numbers of units that the looks so far have seen, as bits.
    looks: Vec<u64>,
}

/// How far one metric's evidence has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Days whose cohort has closed.
    closed: u32,
    seen: Seen,
    /// Days that are too small for a stratum of their own, and their epoch.
    waiting: Option<(usize, Stratum)>,
    units: (u64, u64),
}

/// What became of a run.
#[derive(Default)]
struct Fate {
    rollback: Option<u32>,
    promotion: Option<u32>,
    shown_safe: Option<u32>,
    mismatch: Option<u32>,
    pooled_harm: Option<u32>,
    exposed: u64,
}

impl<'a> Runner<'a> {
    pub(super) fn new(trial: &'a Trial) -> Self {
        let days = trial.nights as usize;
        let cohort = |epoch: i64, variant| Cohort {
            date: trial.dates[0],
            epoch,
            variant,
            moments: Default::default(),
            health: CohortHealth::default(),
        };
        let epochs = 0..trial.policy.stages.len() as i64;
        Runner {
            trial,
            strata: vec![Stratum::default(); days * trial.models.len()],
            epoch_of: vec![0; days],
            planned: vec![0.0; days + 1],
            metrics: vec![Progress::default(); trial.models.len()],
            cohorts: epochs.flat_map(|e| [cohort(e, CONTROL), cohort(e, CANDIDATE)]).collect(),
            pooled: Stratum::default(),
            assessment: Assessment {
                evidence_through: None,
                control_units: 0,
                candidate_units: 0,
                guardrails: Vec::with_capacity(trial.guardrails.len()),
                success: Vec::with_capacity(trial.success.len()),
                log_e_rollback: 0.0,
                promotion_look: PromotionLook::EveryNight,
                split: None,
                multiple_exposure: 0.0,
                events: 0,
                not_numbers: 0,
                from_events: None,
            },
            state: RolloutState {
                experiment: trial.experiment.id,
                candidate: CANDIDATE,
                status: RolloutStatus::Ramping,
                stage: 0,
                entered_on: trial.dates[0],
                version: 0,
            },
            looks: Vec::with_capacity(days),
        }
    }

    /// Lives through one experiment.
    pub(super) fn run(&mut self, rng: &mut Pcg64Mcg, tally: &mut Tally) {
        let trial = self.trial;
        self.reset();
        let mut fate = Fate::default();
        for night in 1..=trial.nights {
            if trial.ramp == Ramp::Calendar {
                self.follow_the_calendar(night);
            }
            fate.exposed += self.live(night, rng);
            let late = trial.late_data > 0.0 && rng.random::<f64>() < trial.late_data;
            if trial.missing_nights > 0.0 && rng.random::<f64>() < trial.missing_nights {
                continue;
            }
            self.close(if late { night - 1 } else { night });
            self.assess(night, &mut fate);
            match self.decide(night, late) {
                Outcome::Rollback => {
                    fate.rollback = Some(night);
                    break;
                }
                Outcome::Promote => {
                    fate.promotion = Some(night);
                    // From here on everybody has the candidate.
                    fate.exposed += u64::from(trial.nights - night) * trial.units_per_day;
                    break;
                }
                Outcome::Ramp { stage, .. } if trial.ramp == Ramp::Decided => {
                    self.state.stage = stage;
                    self.state.entered_on = trial.dates[night as usize];
                }
                Outcome::Ramp { .. } | Outcome::Hold => {}
            }
        }
        self.count(&fate, tally);
    }

    fn reset(&mut self) {
        self.metrics.fill(Progress::default());
        self.cohorts.iter_mut().for_each(|cohort| cohort.health.units = 0);
        self.pooled = Stratum::default();
        self.state.stage = 0;
        self.state.entered_on = self.trial.dates[0];
    }

    /// The stage that the least days alone lead to.
    fn follow_the_calendar(&mut self, night: u32) {
        let mut entered = 0;
        let stages = &self.trial.policy.stages;
        for (stage, until) in stages.iter().enumerate() {
            self.state.stage = stage;
            self.state.entered_on = self.trial.dates[entered as usize];
            if night <= entered + until.min_days || stage + 1 == stages.len() {
                break;
            }
            entered += until.min_days;
        }
    }

    /// A day's units and what they do. Returns the units that met the candidate.
    fn live(&mut self, day: u32, rng: &mut Pcg64Mcg) -> u64 {
        let (trial, index) = (self.trial, day as usize - 1);
        let share = self.share().as_f64();
        let units = draw::units(trial, share, rng);
        let models = trial.models.len();
        let place = &mut self.strata[index * models..(index + 1) * models];
        draw::day(trial, trial.levels[index], units, place, rng);
        self.epoch_of[index] = self.state.stage;
        let (control, candidate) = draw::planned_units(trial, share);
        let (c, t) = (control as f64, candidate as f64);
        let weight = if c + t > 0.0 { c * (t / (c + t)) } else { 0.0 };
        self.planned[day as usize] = self.planned[index] + weight;
        (trial.units_per_day as f64 * share).round() as u64
    }

    fn share(&self) -> Share {
        self.trial.policy.stages[self.state.stage].allocation
    }

    /// Closes every cohort whose window lies in the days up to `complete`, in order.
    fn close(&mut self, complete: u32) {
        let trial = self.trial;
        let models = trial.models.len();
        for (place, (model, metric)) in trial.models.iter().zip(&mut self.metrics).enumerate() {
            while metric.closed + 1 + model.closes_after <= complete {
                let index = metric.closed as usize;
                let stratum = &self.strata[index * models + place];
                metric.take(stratum, self.epoch_of[index], first_look_units(trial));
                if place == 0 {
                    let epoch = 2 * self.epoch_of[index];
                    self.cohorts[epoch].health.units += stratum.control.n;
                    self.cohorts[epoch + 1].health.units += stratum.candidate.n;
                    if trial.pooling {
                        self.pooled = self.pooled.merge(stratum);
                    }
                }
            }
        }
    }

    /// All that the night can say.
    fn assess(&mut self, night: u32, fate: &mut Fate) {
        let trial = self.trial;
        let look = PromotionLook::on(&trial.policy, night);
        let standards = self.standards(look);
        let Runner { assessment, metrics, .. } = self;
        assessment.promotion_look = look;
        assessment.guardrails.clear();
        for (guardrail, &place) in trial.policy.guardrails.iter().zip(&trial.guardrails) {
            let model = &trial.models[place];
            let how = standards.guardrail(guardrail.bound, model.direction);
            assessment.guardrails.push(read(model, &metrics[place], &how));
        }
        assessment.success.clear();
        for (wanted, &place) in trial.policy.success.metrics.iter().zip(&trial.success) {
            let model = &trial.models[place];
            let how = standards.success(crate::domain::Bound::Margin(wanted.margin), model.direction);
            assessment.success.push(read(model, &metrics[place], &how));
        }
        assessment.control_units = metrics.iter().map(|m| m.units.0).min().unwrap_or(0);
        assessment.candidate_units = metrics.iter().map(|m| m.units.1).min().unwrap_or(0);
        assessment.weigh(&self.trial.policy);
        // With counts as planned the split is the plan.
        assessment.split = match trial.counts {
            Counts::Planned => None,
            Counts::Drawn => {
                let alpha = trial.policy.alphas.srm.get();
                SplitReading::judge(&self.cohorts, &trial.epochs, CONTROL, CANDIDATE, alpha)
            }
        };
        self.watch(night, look, fate);
    }

    /// Notes what is no decision and worth counting.
    fn watch(&self, night: u32, look: PromotionLook, fate: &mut Fate) {
        let may_promote = match look {
            PromotionLook::Planned { .. } => true,
            PromotionLook::EveryNight => night >= self.trial.policy.first_promotion_night(),
            PromotionLook::NotYet { .. } | PromotionLook::Over { .. } => false,
        };
        if may_promote && self.assessment.guardrails.iter().all(|reading| reading.verdict.is_safe()) {
            fate.shown_safe.get_or_insert(night);
        }
        if self.assessment.split.as_ref().is_some_and(|split| split.mismatch) {
            fate.mismatch.get_or_insert(night);
        }
        if self.trial.pooling && self.pooled_harm() {
            fate.pooled_harm.get_or_insert(night);
        }
    }

    /// Whether the first guardrail would be called harmful if all days were thrown together.
    fn pooled_harm(&self) -> bool {
        let (Some(guardrail), Some(&place)) = (self.trial.policy.guardrails.first(), self.trial.guardrails.first())
        else {
            return false;
        };
        let mut seen = Seen::default();
        // What cannot be summed has shown nothing.
        let Ok(()) = seen.add(&self.pooled, first_look_units(self.trial)) else { return false };
        let model = &self.trial.models[place];
        let how = self.trial.bounds.unplanned().guardrail(guardrail.bound, model.direction);
        Reading::judge_seen(&model.name, &seen, &how).log_e_harm >= -how.alpha_harm.ln()
    }

    /// Tonight's error rates and bounds. A planned look is told apart by what it and those before it have seen.
    fn standards(&mut self, look: PromotionLook) -> Standards {
        let trial = self.trial;
        let PromotionLook::Planned { look, of } = look else { return trial.bounds.unplanned() };
        let window = trial.models.iter().map(|model| model.closes_after).max().unwrap_or(1);
        let closed = self.metrics.iter().map(|metric| metric.closed).max().unwrap_or(0);
        let first = trial.policy.first_promotion_night();
        self.looks.clear();
        for index in 0..look {
            let through = (first + index).saturating_sub(window).min(closed);
            self.looks.push(self.planned[through as usize].to_bits());
        }
        trial.bounds.planned(&trial.policy, &self.looks, of)
    }

    fn decide(&self, night: u32, late: bool) -> Outcome {
        let as_of: Date = self.trial.dates[night as usize];
        let look = if late { Look::Stale { date: as_of, state: DayState::Missing } } else { Look::Fresh };
        let share = self.share();
        let facts = Facts {
            look,
            max_multiple_exposure: 1.0,
            ..Facts::plain(self.state.clone(), share, Share::ALL.saturating_sub(share), as_of)
        };
        decide(&Situation { policy: &self.trial.policy, assessment: &self.assessment, facts: &facts }).outcome
    }

    fn count(&self, fate: &Fate, tally: &mut Tally) {
        tally.runs += 1;
        tally.exposed_units += fate.exposed;
        let noted = [
            (fate.rollback, &mut tally.rollbacks),
            (fate.promotion, &mut tally.promotions),
            (fate.shown_safe, &mut tally.shown_safe),
            (fate.mismatch, &mut tally.mismatches),
            (fate.pooled_harm, &mut tally.pooled_harms),
        ];
        for (night, by_night) in noted {
            if let Some(night) = night {
                by_night[night as usize] += 1;
            }
        }
        if let Some(effect) = self.assessment.guardrails.first().and_then(|reading| reading.effect) {
            tally.effect.add(effect);
        }
        if self.trial.pooling
            && let Ok(effect) = overlap(&[self.pooled]).and_then(|arms| lift(&arms))
        {
            tally.pooled_effect.add(effect);
        }
    }
}

impl Progress {
    /// Takes the next day in, joined to those before it that were too small.
    fn take(&mut self, stratum: &Stratum, epoch: usize, first_look_units: u64) {
        self.closed += 1;
        self.units.0 += stratum.control.n;
        self.units.1 += stratum.candidate.n;
        // What waits for more days of its epoch waits no longer when the next epoch begins.
        let joined = match self.waiting.take() {
            Some((waits_in, waiting)) if waits_in == epoch => waiting.merge(stratum),
            _ => *stratum,
        };
        if is_large_enough(&joined.control, &joined.candidate) {
            // Drawn moments are moments; one that could not be is left out, as a night would leave it out.
            let _ = self.seen.add(&joined, first_look_units);
        } else {
            self.waiting = Some((epoch, joined));
        }
    }
}

fn is_large_enough(control: &Moments, candidate: &Moments) -> bool {
    control.n >= 2 && candidate.n >= MIN_STRATUM_UNITS
}

fn first_look_units(trial: &Trial) -> u64 {
    trial.policy.stages.first().map_or(2, |stage| stage.min_units)
}

fn read(model: &Model, metric: &Progress, how: &Judged) -> Reading {
    Reading::judge_seen(&model.name, &metric.seen, how)
}
