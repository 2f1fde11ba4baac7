//! Scores as `decimal(10,6)` keeps them, in exact millionths.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Score(i64);

/// One millionth, as a part of a score.
const WHOLE: i64 = 1_000_000;

impl Score {
    /// 1.
    pub const ONE: Score = Score(WHOLE);

    /// From millionths.
    pub const fn from_millionths(parts: i64) -> Score {
        Score(parts)
    }

    /// As a number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whether it is at least that part of another score. Exact.
    pub fn reaches(self, part: Score, of: Score) -> bool {
        i128::from(self.0) * i128::from(WHOLE) >= i128::from(part.0) * i128::from(of.0)
    }

    /// That part of it, rounded up to a millionth: the least score that reaches it.
    pub fn part(self, part: Score) -> Score {
        let product = i128::from(self.0) * i128::from(part.0);
        let whole = i128::from(WHOLE);
        let up = product.div_euclid(whole) + i128::from(product.rem_euclid(whole) > 0);
        Score(i64::try_from(up).unwrap_or(i64::MAX))
    }

    /// How much is missing to another score.
    pub fn short_of(self, other: Score) -> Score {
        Score(other.0.saturating_sub(self.0))
    }
}

impl TryFrom<f64> for Score {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        let parts = (value * 1e6).round();
        if !value.is_finite() || parts.abs() > 1e15 {
            return Err(format!("{value} is no score"));
        }
        Ok(Score(parts as i64))
    }
}

impl From<Score> for f64 {
    fn from(score: Score) -> f64 {
        score.as_f64()
    }
}

impl FromStr for Score {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
        Score::try_from(value)
    }
}

impl fmt::Display for Score {
    /// Without needless decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// The five scores of an offline evaluation. More is better, for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreName {
    /// The part of constraints that hold.
    ConstraintRespect,
    /// How near plans are to what was wanted.
    PlanAlignment,
    /// One minus the normalised edits.
    EditDistance,
    /// How varied plans are.
    Diversity,
    /// How well leftovers are used.
    Leftovers,
}

impl ScoreName {
    /// All of them.
    pub const ALL: [ScoreName; 5] = [
        ScoreName::ConstraintRespect,
        ScoreName::PlanAlignment,
        ScoreName::EditDistance,
        ScoreName::Diversity,
        ScoreName::Leftovers,
    ];

    /// The word in files; the column is `…_score`.
    pub fn as_str(self) -> &'static str {
        match self {
            ScoreName::ConstraintRespect => "constraint_respect",
            ScoreName::PlanAlignment => "plan_alignment",
            ScoreName::EditDistance => "edit_distance",
            ScoreName::Diversity => "diversity",
            ScoreName::Leftovers => "leftovers",
        }
    }
}

impl fmt::Display for ScoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scores of one result; any of them may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// The part of constraints that hold.
    pub constraint_respect: Option<Score>,
    /// How near plans are to what was wanted.
    pub plan_alignment: Option<Score>,
    /// One minus the normalised edits.
    pub edit_distance: Option<Score>,
    /// How varied plans are.
    pub diversity: Option<Score>,
    /// How well leftovers are used.
    pub leftovers: Option<Score>,
}

impl Scores {
    /// The score of that name.
    pub fn get(&self, name: ScoreName) -> Option<Score> {
        match name {
            ScoreName::ConstraintRespect => self.constraint_respect,
            ScoreName::PlanAlignment => self.plan_alignment,
            ScoreName::EditDistance => self.edit_distance,
            ScoreName::Diversity => self.diversity,
            ScoreName::Leftovers => self.leftovers,
        }
    }
}
