//! The gate's sentences.

use std::fmt;

use super::{Finding, Judgement, ScoreName, Unjudged, Verdict};

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { score, candidate, baseline, needed, of_baseline, met } = self;
        let whence = match of_baseline {
            Some(part) if part.as_f64() == 1.0 => format!("the baseline's {baseline}"),
            Some(part) => {
                format!("{needed}, which is {} % of the baseline's {baseline}", trimmed(part.as_f64() * 100.0))
            }
            None => needed.to_string(),
        };
        match met {
            true => write!(f, "{score} {candidate} reaches {whence}"),
            false => write!(f, "{score} {candidate} misses {whence} by {}", candidate.short_of(*needed)),
        }
    }
}

/// Six decimals are more than enough, and needless ones are left out.
fn trimmed(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unjudged::Missing => {
                f.write_str("it has no offline result; evaluate it, and write that to exp.offline_replay_results")
            }
            Unjudged::Running { dataset } => {
                write!(f, "its offline evaluation on dataset {dataset} is still running; ask again when it is done")
            }
            Unjudged::Failed { dataset, error } => {
                let error = error.as_deref().filter(|error| !error.trim().is_empty()).unwrap_or("without a message");
                write!(f, "its offline evaluation on dataset {dataset} failed ({error}); mend it and evaluate again")
            }
            Unjudged::Incomplete { scores } => {
                write!(f, "its offline result lacks {}; a score that is not there is no pass", columns(scores))
            }
            Unjudged::Impossible { score, value } => {
                write!(f, "its {score}_score is {value}, which cannot be: it is a part of 1; mend the evaluation")
            }
            Unjudged::NoBaseline => f.write_str(
                "its offline result names no baseline (baseline_version_id is NULL), so there is nothing to hold it against",
            ),
            Unjudged::OwnBaseline => f.write_str("its offline result names itself as the baseline"),
            Unjudged::BaselineMissing { dataset } => {
                write!(f, "its baseline has no offline result; evaluate that on dataset {dataset}, too")
            }
            Unjudged::OtherDataset { dataset, baseline } => write!(
                f,
                "it was evaluated on dataset {dataset}, and its baseline on {baseline}; results of two datasets do not \
                 compare: evaluate both on one"
            ),
            Unjudged::BaselineRunning { dataset } => {
                write!(f, "its baseline's evaluation on dataset {dataset} is still running; ask again when it is done")
            }
            Unjudged::BaselineFailed { dataset } => {
                write!(f, "its baseline's evaluation on dataset {dataset} failed; evaluate the baseline again")
            }
            Unjudged::BaselineIncomplete { scores } => {
                write!(f, "its baseline's offline result lacks {}; evaluate the baseline again", columns(scores))
            }
        }
    }
}

fn columns(scores: &[ScoreName]) -> String {
    scores.iter().map(|score| format!("{score}_score")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Judgement {
    /// The verdict with what it rests on: of a fail, the criteria that are missed, each with by how much.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |met: bool| {
            let found = self.findings.iter().filter(|finding| finding.met == met).map(ToString::to_string);
            found.collect::<Vec<_>>().join("; ")
        };
        match &self.verdict {
            Verdict::Passed => write!(f, "passed: {}", listed(true)),
            Verdict::Failed => write!(f, "failed: {}", listed(false)),
            Verdict::Unjudged { why } => write!(f, "no pass: {why}"),
        }
    }
}
