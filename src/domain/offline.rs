//! The offline gate: a version's results of an offline evaluation, held against its baseline's by the criteria.
//!
//! Only what was shown is a pass. A result that is missing, at work, failed, incomplete, or of another dataset than the
//! baseline's is none, and each of these has its own words.

mod score;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use score::{Score, ScoreName, Scores};

/// How far an offline evaluation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfflineStatus {
    /// At work.
    Running,
    /// Done.
    Completed,
    /// Broken off.
    Failed,
}

impl std::str::FromStr for OfflineStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "running" => Self::Running,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            other => return Err(format!("{other:?} is not one of running, completed, failed")),
        })
    }
}

/// A row of `exp.offline_replay_results`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfflineResult {
    /// Its key.
    pub id: Uuid,
    /// The version that was evaluated.
    pub policy_version: Uuid,
    /// On which data.
    pub dataset: String,
    /// How far it has come.
    pub status: OfflineStatus,
    /// What it measured.
    pub scores: Scores,
    /// The version that it is to be compared with.
    pub baseline: Option<Uuid>,
    /// What was noted about it.
    pub is_better: Option<bool>,
    /// Why it failed.
    pub error: Option<String>,
    /// When its row was created.
    pub created_at: Timestamp,
}

/// What one score has to reach. Without either limit it is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// At least this.
    pub at_least: Option<Score>,
    /// At least this part of the baseline's score.
    pub of_baseline: Option<Score>,
}

/// What a version has to reach, score by score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criteria(pub BTreeMap<ScoreName, Criterion>);

impl Default for Criteria {
    /// The route's own: no constraint broken, plans and edits no worse than the baseline's, diversity and leftovers at 95 %
    /// of the baseline's.
    fn default() -> Self {
        let of = |part| Criterion { at_least: None, of_baseline: Some(part) };
        let (whole, most) = (Score::ONE, Score::from_millionths(950_000));
        Self(BTreeMap::from([
            (ScoreName::ConstraintRespect, Criterion { at_least: Some(whole), of_baseline: None }),
            (ScoreName::PlanAlignment, of(whole)),
            (ScoreName::EditDistance, of(whole)),
            (ScoreName::Diversity, of(most)),
            (ScoreName::Leftovers, of(most)),
        ]))
    }
}

/// One criterion, looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The score.
    pub score: ScoreName,
    /// The candidate's.
    pub candidate: Score,
    /// The baseline's.
    pub baseline: Score,
    /// What it had to reach, and whence.
    pub needed: Score,
    /// The part of the baseline's that this is; none where it is a limit of its own.
    pub of_baseline: Option<Score>,
    /// Whether it did.
    pub met: bool,
}

/// Why a version cannot be judged. None of these is a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Unjudged {
    /// There is no result.
    Missing,
    /// The evaluation is at work.
    Running {
        /// On which data.
        dataset: String,
    },
    /// The evaluation failed.
    Failed {
        /// On which data.
        dataset: String,
        /// Its own words.
        error: Option<String>,
    },
    /// Scores are missing.
    Incomplete {
        /// Which.
        scores: Vec<ScoreName>,
    },
    /// A score that cannot be.
    Impossible {
        /// Which.
        score: ScoreName,
        /// What stands there.
        value: Score,
    },
    /// The result names no baseline.
    NoBaseline,
    /// It is its own baseline.
    OwnBaseline,
    /// The baseline has no result on that dataset.
    BaselineMissing {
        /// The candidate's dataset.
        dataset: String,
    },
    /// The baseline was evaluated on other data only.
    OtherDataset {
        /// The candidate's.
        dataset: String,
        /// The baseline's last.
        baseline: String,
    },
    /// The baseline's evaluation on that dataset is at work.
    BaselineRunning {
        /// The dataset.
        dataset: String,
    },
    /// The baseline's evaluation on that dataset failed.
    BaselineFailed {
        /// The dataset.
        dataset: String,
    },
    /// The baseline's scores are missing.
    BaselineIncomplete {
        /// Which.
        scores: Vec<ScoreName>,
    },
}

/// What became of a version at the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every criterion is met.
    Passed,
    /// At least one is not.
    Failed,
    /// Nothing can be said.
    Unjudged {
        /// Why.
        why: Unjudged,
    },
}

impl Verdict {
    /// The word in the tables.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Unjudged { .. } => "unjudged",
        }
    }
}

/// A version, judged, with all that it was judged from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The version.
    pub policy_version: Uuid,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each criterion, where they could be looked at.
    pub findings: Vec<Finding>,
    /// The result that was judged.
    pub result: Option<OfflineResult>,
    /// The baseline's result that it was held against.
    pub baseline: Option<OfflineResult>,
    /// By what.
    pub criteria: Criteria,
}

impl Judgement {
    /// Whether it is a pass.
    pub fn is_pass(&self) -> bool {
        self.verdict == Verdict::Passed
    }

    /// What `is_better_than_baseline` is to be; nothing where nothing can be said.
    pub fn is_better(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Passed => Some(true),
            Verdict::Failed => Some(false),
            Verdict::Unjudged { .. } => None,
        }
    }
}

/// Judges a version by its latest result. `results` may hold those of any versions.
pub fn judge_offline(version: Uuid, results: &[OfflineResult], criteria: &Criteria) -> Judgement {
    let latest = |of: Uuid, dataset: Option<&str>| {
        let ours = results.iter().filter(|r| r.policy_version == of && dataset.is_none_or(|d| r.dataset == d));
        ours.max_by_key(|r| (r.created_at, r.id))
    };
    let mut judgement = Judgement {
        policy_version: version,
        verdict: Verdict::Passed,
        findings: Vec::new(),
        result: None,
        baseline: None,
        criteria: criteria.clone(),
    };
    let judged = (|| {
        let result = latest(version, None).ok_or(Unjudged::Missing)?;
        judgement.result = Some(result.clone());
        let dataset = result.dataset.clone();
        match result.status {
            OfflineStatus::Running => return Err(Unjudged::Running { dataset }),
            OfflineStatus::Failed => return Err(Unjudged::Failed { dataset, error: result.error.clone() }),
            OfflineStatus::Completed => {}
        }
        let scores = complete(result, criteria).map_err(|scores| Unjudged::Incomplete { scores })?;
        let baseline = result.baseline.ok_or(Unjudged::NoBaseline)?;
        if baseline == version {
            return Err(Unjudged::OwnBaseline);
        }
        let Some(theirs) = latest(baseline, Some(&dataset)) else {
            return Err(match latest(baseline, None) {
                Some(other) => Unjudged::OtherDataset { dataset, baseline: other.dataset.clone() },
                None => Unjudged::BaselineMissing { dataset },
            });
        };
        judgement.baseline = Some(theirs.clone());
        match theirs.status {
            OfflineStatus::Running => return Err(Unjudged::BaselineRunning { dataset }),
            OfflineStatus::Failed => return Err(Unjudged::BaselineFailed { dataset }),
            OfflineStatus::Completed => {}
        }
        let baselines = complete(theirs, criteria).map_err(|scores| Unjudged::BaselineIncomplete { scores })?;
        // A share of constraints cannot be more than all of them.
        if let Some(&value) = scores.get(&ScoreName::ConstraintRespect).filter(|value| **value > Score::ONE) {
            return Err(Unjudged::Impossible { score: ScoreName::ConstraintRespect, value });
        }
        Ok(findings(&scores, &baselines, criteria))
    })();
    match judged {
        Ok(findings) => {
            let met = findings.iter().all(|finding| finding.met);
            judgement.verdict = if met { Verdict::Passed } else { Verdict::Failed };
            judgement.findings = findings;
        }
        Err(why) => judgement.verdict = Verdict::Unjudged { why },
    }
    judgement
}

/// The scores that the criteria ask for, or those that are missing.
fn complete(result: &OfflineResult, criteria: &Criteria) -> Result<BTreeMap<ScoreName, Score>, Vec<ScoreName>> {
    let missing: Vec<ScoreName> =
        criteria.0.keys().copied().filter(|name| result.scores.get(*name).is_none()).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(criteria.0.keys().filter_map(|name| Some((*name, result.scores.get(*name)?))).collect())
}

/// Each limit, looked at; the comparison is exact.
fn findings(
    candidate: &BTreeMap<ScoreName, Score>,
    baseline: &BTreeMap<ScoreName, Score>,
    criteria: &Criteria,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, criterion) in &criteria.0 {
        let (Some(&ours), Some(&theirs)) = (candidate.get(name), baseline.get(name)) else { continue };
        let mut note = |needed: Score, of_baseline, met| {
            findings.push(Finding { score: *name, candidate: ours, baseline: theirs, needed, of_baseline, met });
        };
        if let Some(limit) = criterion.at_least {
            note(limit, None, ours >= limit);
        }
        if let Some(part) = criterion.of_baseline {
            note(theirs.part(part), Some(part), ours.reaches(part, theirs));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
