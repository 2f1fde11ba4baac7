//! What a file shows, as data: the text and the JSON of the command are both made from it.

use serde::Serialize;

use super::sums::{LeftOut, VariantUnits};
use crate::domain::Direction;
use crate::evidence::SplitReading;
use crate::stats::Interval;

/// What a file shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// Rows of the file.
    pub rows: u64,
    /// The variants, in order of name.
    pub variants: Vec<VariantUnits>,
    /// The variant that the others are compared with.
    pub control: String,
    /// The error rate, shared by the candidates: each verdict errs with at most this divided by their number.
    pub alpha: f64,
    /// Units that an arm needs before it is judged.
    pub min_units: u64,
    /// Whether no split was planned in so many words, so that equal shares are assumed.
    pub equal_split_assumed: bool,
    /// What enters no comparison.
    pub left_out: LeftOut,
    /// How strata were used, if they were asked for.
    pub strata: Option<StrataUse>,
    /// How the covariate was used, if one was asked for.
    pub covariate: Option<CovariateUse>,
    /// The other variants, each against control.
    pub candidates: Vec<CandidateResult>,
}

/// How strata were used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StrataUse {
    /// The column.
    pub column: String,
    /// How many there are.
    pub count: usize,
    /// Units whose stratum is not given; they are a stratum of their own.
    pub units_without: u64,
}

/// How the covariate was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CovariateUse {
    /// The column.
    pub column: String,
    /// Units without it; they keep their place, unadjusted, as strata of their own.
    pub units_without: u64,
}

/// One candidate against control.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CandidateResult {
    /// The variant.
    pub name: String,
    /// Whether units split as planned between the two.
    pub split: Option<SplitReading>,
    /// A result per metric, in the order asked.
    pub metrics: Vec<MetricResult>,
}

/// One arm's part in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ArmValue {
    /// Units with a value.
    pub units: u64,
    /// Units without one, left out of this metric.
    pub missing: u64,
    /// The mean or ratio, over strata with the weights that the other arm has too.
    pub value: Option<f64>,
}

/// What somebody sees who looks once, at a time that was fixed in advance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OneLook {
    /// Fieller's interval of the lift at 1 − alpha, with Student's t.
    pub interval: Interval,
    /// The two-sided p-value of a difference.
    pub p: f64,
}

/// Which test the verdict and the e-value come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedBy {
    /// The anytime interval, which inverts the sequential test.
    Interval,
    /// The score test, where an arm has no variance of its own (statistics.md 1.2).
    Score,
    /// The exact sequential test of units with and without an event, where counts are small (statistics.md 3.4).
    Exact,
    /// None: the data carry no answer.
    Nothing,
}

/// One metric of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricResult {
    /// Its name.
    pub metric: String,
    /// The column above the line.
    pub numerator: String,
    /// The column below the line.
    pub denominator: Option<String>,
    /// Which way it should go.
    pub direction: Direction,
    /// The worst loss that is accepted.
    pub margin: f64,
    /// Control's part.
    pub control: ArmValue,
    /// The candidate's part.
    pub candidate: ArmValue,
    /// The lift: 0.05 is five percent above control.
    pub lift: Option<f64>,
    /// At one look.
    pub one_look: Option<OneLook>,
    /// The interval of the lift that holds however often one looks; each end errs with at most alpha over the candidates.
    pub anytime: Option<Interval>,
    /// ln of the e-value of harm; 0 where there is none.
    pub log_e_harm: f64,
    /// The always-valid p-value of harm at this look: 1/e, at most 1.
    pub p_harm: f64,
    /// The verdict's word.
    pub verdict: &'static str,
    /// Why there is none, if the verdict is `insufficient`.
    pub why: Option<String>,
    /// Where verdict and e-value come from.
    pub judged_by: JudgedBy,
    /// CUPED's θ, of all units of the file.
    pub theta: Option<f64>,
    /// Units in strata where an arm has fewer than two; they enter nothing.
    pub units_in_small_strata: u64,
    /// Empty fields among the rows of units that have a value in another row.
    pub empty_fields: u64,
}
