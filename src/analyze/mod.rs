//! A file of somebody's own: one row per unit, or one per event, judged as a night would judge it.
//!
//! `Source` opens a CSV or Parquet file and streams it through polars, `sums` turns its rows into centred
//! sums per variant and stratum, and `judge` is the pure rest: the same strata, intervals, e-values and verdicts as in a
//! night. It knows no experiment, no warehouse and no configuration; what it is asked comes as a `Question`.

mod adjust;
mod analysis;
mod error;
mod judge;
mod layout;
mod question;
mod source;
mod spread;
mod sums;
mod tally;
#[cfg(test)]
mod tests;

pub use analysis::{Analysis, ArmValue, CandidateResult, CovariateUse, JudgedBy, MetricResult, OneLook, StrataUse};
pub use error::{AnalyzeError, FileFault};
pub use question::{MarginAsked, MetricAsked, MetricQuestion, Question, SplitAsked, UsageError, with_margins};
pub use sums::{LeftOut, VariantUnits};

// Parts of a question and of its answer, so that whoever asks needs no other module.
pub use crate::domain::{Alpha, Direction};
pub use crate::evidence::SplitReading;
pub use crate::stats::Interval;

use source::Source;

/// Reads the file and answers the question. Blocks until the file is read; one pass, in memory that does not grow with the
/// rows unless they are summed per unit.
///
/// # Errors
/// [`AnalyzeError`] if the file cannot be read, lacks a column, holds text or no finite number where a number belongs, or
/// has no two variants to compare.
pub fn analyze(question: &Question) -> Result<Analysis, AnalyzeError> {
    let analysis = Source::open(&question.file)
        .and_then(|source| sums::read(&source, question))
        .and_then(|sums| judge::judge(&sums, question));
    analysis.map_err(|fault| AnalyzeError { path: question.file.clone(), fault: Box::new(fault) })
}
