//! From sums to verdicts: strata, the night's own reading of each metric, and the split. Pure.

use super::adjust::Adjusted;
use super::analysis::{Analysis, ArmValue, CandidateResult, CovariateUse, JudgedBy, MetricResult, OneLook, StrataUse};
use super::error::{FileFault, nearest};
use super::question::{MetricQuestion, Question};
use super::sums::{Cell, Sums, VariantUnits};
use crate::domain::{Bound, Direction};
use crate::evidence::{Judged, Reading, SplitReading, Verdict};
use crate::stats::breaker::{self, Affected};
use crate::stats::fixed_look::{self, FixedLook};
use crate::stats::proportion::Successes;
use crate::stats::{Better, Moments, Stratum, always_valid_p, fieller, overlap, srm, student};

/// The error rate of calling the split mismatched, at any look (statistics.md section 5).
const ALPHA_SPLIT: f64 = 0.001;

/// Judges every candidate of a file.
///
/// # Errors
/// [`FileFault`] if there are no two variants, control is not among them, the split names others, or the covariate does
/// not vary.
pub(super) fn judge(sums: &Sums, question: &Question) -> Result<Analysis, FileFault> {
    let control = control(sums, question)?;
    let shares = shares(sums, question)?;
    let candidates = sums.variants.len() - 1;
    let how = How { question, sums, control, candidates };
    let mut adjusted = Vec::with_capacity(question.metrics.len());
    for (asked, metric) in question.metrics.iter().zip(&sums.metrics) {
        adjusted.push(Adjusted::of(metric, asked, control, question)?);
    }
    let results = (0..sums.variants.len()).filter(|variant| *variant != control).map(|candidate| CandidateResult {
        name: sums.variants[candidate].name.clone(),
        split: how.split(candidate, shares[control], shares[candidate]),
        metrics: question
            .metrics
            .iter()
            .zip(&adjusted)
            .map(|(asked, metric)| how.metric(asked, metric, candidate))
            .collect(),
    });
    Ok(Analysis {
        rows: sums.rows,
        variants: sums.variants.clone(),
        control: question.control.clone(),
        alpha: question.alpha.get(),
        min_units: question.min_units,
        equal_split_assumed: question.split.is_none(),
        left_out: sums.left_out,
        strata: question.stratum.as_ref().map(|column| StrataUse {
            column: column.clone(),
            count: sums.strata.len(),
            units_without: sums.without_stratum,
        }),
        covariate: question
            .covariate
            .as_ref()
            .map(|column| CovariateUse { column: column.clone(), units_without: sums.without_covariate }),
        candidates: results.collect(),
    })
}

/// Control's place among the variants.
fn control(sums: &Sums, question: &Question) -> Result<usize, FileFault> {
    let column = question.variant.clone();
    let Some(found) = sums.variants.iter().position(|variant| variant.name == question.control) else {
        let nearest = nearest(&question.control, sums.variants.iter().map(|variant| variant.name.as_str()));
        let present = sums.variants.iter().map(|v| format!("{:?} ({} units)", v.name, v.units)).collect();
        return Err(FileFault::NoControl { column, control: question.control.clone(), nearest, present });
    };
    match sums.variants.as_slice() {
        [only] => Err(FileFault::OneVariant { column, variant: only.name.clone() }),
        _ => Ok(found),
    }
}

/// The planned share of each variant; only proportions matter.
fn shares(sums: &Sums, question: &Question) -> Result<Vec<f64>, FileFault> {
    let Some(split) = &question.split else { return Ok(vec![1.0; sums.variants.len()]) };
    let share =
        |variant: &VariantUnits| split.0.iter().find(|(named, _)| *named == variant.name).map(|(_, share)| *share);
    let shares: Option<Vec<f64>> = sums.variants.iter().map(share).collect();
    shares.filter(|shares| shares.len() == split.0.len()).ok_or_else(|| FileFault::Split {
        named: split.0.iter().map(|(name, _)| name.clone()).collect(),
        present: sums.variants.iter().map(|variant| variant.name.clone()).collect(),
    })
}

/// What judging every metric reads.
struct How<'a> {
    question: &'a Question,
    sums: &'a Sums,
    control: usize,
    candidates: usize,
}

impl How<'_> {
    /// Units without a covariate are strata of their own.
    fn is_stratified(&self) -> bool {
        self.question.stratum.is_some() || self.question.covariate.is_some()
    }

    /// The strata in the order of their names, so that dates are in order; those without a covariate apart.
    fn strata(&self, cells: &[Cell], candidate: usize, moments: impl Fn(&Cell) -> Moments) -> Vec<Stratum> {
        let key =
            |cell: &Cell| (self.sums.strata[cell.stratum].is_none(), &self.sums.strata[cell.stratum], cell.covered);
        let mut ours: Vec<&Cell> =
            cells.iter().filter(|cell| [self.control, candidate].contains(&cell.variant)).collect();
        ours.sort_by(|a, b| key(a).cmp(&key(b)));
        let mut strata: Vec<Stratum> = Vec::new();
        let mut last = None;
        for cell in ours {
            if last != Some((cell.stratum, cell.covered)) {
                strata.push(Stratum::default());
                last = Some((cell.stratum, cell.covered));
            }
            if let Some(stratum) = strata.last_mut() {
                *if cell.variant == self.control { &mut stratum.control } else { &mut stratum.candidate } =
                    moments(cell);
            }
        }
        strata
    }

    fn metric(&self, asked: &MetricQuestion, metric: &Adjusted<'_>, candidate: usize) -> MetricResult {
        let alpha = self.question.alpha.get() / self.candidates as f64;
        let direction = asked.metric.direction;
        let how = Judged {
            bound: Bound::Margin(asked.margin),
            direction,
            alpha_harm: alpha,
            alpha_safe: alpha,
            planned_bound: None,
            first_look_units: self.question.min_units,
        };
        let strata = self.strata(&metric.sums.cells, candidate, |cell| metric.moments(cell));
        let reading = Reading::judge(&asked.metric.name, &strata, &how);
        let mut result = MetricResult {
            metric: asked.metric.name.clone(),
            numerator: metric.sums.numerator.clone(),
            denominator: metric.sums.denominator.clone(),
            direction,
            margin: asked.margin.get(),
            control: arm(reading.control_units, metric.sums.missing[self.control], reading.control),
            candidate: arm(reading.candidate_units, metric.sums.missing[candidate], reading.candidate),
            lift: reading.effect,
            one_look: one_look(&strata, self.question.alpha.get()),
            anytime: reading.interval,
            log_e_harm: reading.log_e_harm,
            p_harm: 1.0,
            verdict: reading.verdict.word(),
            why: None,
            judged_by: match (&reading.verdict, reading.interval) {
                (Verdict::Insufficient { .. } | Verdict::NoData, _) => JudgedBy::Nothing,
                (_, Some(_)) => JudgedBy::Interval,
                (_, None) => JudgedBy::Score,
            },
            theta: metric.theta,
            units_in_small_strata: if self.is_stratified() { strata.iter().map(too_small).sum() } else { 0 },
            empty_fields: metric.sums.empty_fields,
        };
        if let Verdict::Insufficient { why } = &reading.verdict {
            let small = result.units_in_small_strata;
            result.why = Some(if small > 0 && small == reading.control_units + reading.candidate_units {
                "no stratum has two units in each arm".to_owned()
            } else {
                why.to_string()
            });
            let plain = self.strata(&metric.sums.cells, candidate, |cell| metric.plain(cell));
            result.try_exactly(&plain, alpha);
        }
        result.p_harm = always_valid_p(&[result.log_e_harm]);
        result
    }

    /// The split against the plan, by the test that a night uses (statistics.md section 5).
    fn split(&self, candidate: usize, control_share: f64, candidate_share: f64) -> Option<SplitReading> {
        let (of_control, of_candidate) = (self.sums.variants[self.control].units, self.sums.variants[candidate].units);
        let share = candidate_share / (control_share + candidate_share);
        let pair = srm::PairSplit { control: of_control, candidate: of_candidate, candidate_share: share };
        let split =
            srm::Split { observed: vec![of_control, of_candidate], planned: vec![control_share, candidate_share] };
        let log_e = srm::log_e(&[pair], srm::DEFAULT_TAU).ok()?;
        Some(SplitReading {
            control_units: of_control,
            candidate_units: of_candidate,
            planned_candidate_units: share * (of_control + of_candidate) as f64,
            log_e,
            chi_square_p: srm::chi_square(&[split]).ok().map(|chi| chi.p),
            mismatch: log_e >= (self.candidates as f64 / ALPHA_SPLIT).ln(),
        })
    }
}

fn arm(units: u64, missing: u64, value: Option<f64>) -> ArmValue {
    ArmValue { units, missing, value }
}

/// Units of a stratum that the weights cannot use.
fn too_small(stratum: &Stratum) -> u64 {
    if stratum.control.n < 2 || stratum.candidate.n < 2 { stratum.control.n + stratum.candidate.n } else { 0 }
}

/// Student's t with Welch's degrees of freedom, inverted as Fieller does. `None` where an arm has no variance.
fn one_look(strata: &[Stratum], alpha: f64) -> Option<OneLook> {
    let arms = overlap(strata).ok()?;
    let compared = fixed_look::difference(&arms, &FixedLook::two_sided(1.0 - alpha)).ok()?;
    let interval = fieller(&arms, student::upper_quantile(0.5 * alpha, compared.df)).ok()?;
    Some(OneLook { interval, p: compared.p })
}

impl MetricResult {
    /// A metric of zeros and ones whose reading is insufficient may still be shown harmful: exactly, from the counts.
    fn try_exactly(&mut self, strata: &[Stratum], alpha: f64) {
        let counts = |moments: &Moments| match moments.n {
            0 => Some(Successes::default()),
            _ => Successes::from_moments(moments),
        };
        let tables: Option<Vec<Affected>> = strata
            .iter()
            .map(|s| Some(Affected { control: counts(&s.control)?, candidate: counts(&s.candidate)? }))
            .collect();
        let better = match self.direction {
            Direction::Increase => Better::Higher,
            Direction::Decrease => Better::Lower,
        };
        let Some(Ok(log_e)) = tables.map(|tables| breaker::log_e(&tables, better)) else { return };
        self.log_e_harm = log_e;
        self.judged_by = JudgedBy::Exact;
        if log_e >= -alpha.ln() {
            self.verdict = Verdict::Harm.word();
            self.why = None;
        }
    }
}
