//! What is asked of a file: which columns mean what, and how strictly to judge.

use std::path::PathBuf;
use std::str::FromStr;

use crate::domain::{Alpha, Direction, Margin};

/// Everything that an analysis is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The CSV or Parquet file.
    pub file: PathBuf,
    /// The column that names the unit, if a unit may have several rows; without it every row is a unit.
    pub unit: Option<String>,
    /// The column that names the variant.
    pub variant: String,
    /// The variant that the others are compared with.
    pub control: String,
    /// What is measured.
    pub metrics: Vec<MetricQuestion>,
    /// The column with a number per unit from before the experiment (CUPED, statistics.md 1.7).
    pub covariate: Option<String>,
    /// The column whose values are compared apart and combined with overlap weights (statistics.md section 4).
    pub stratum: Option<String>,
    /// The planned split; equal shares unless told.
    pub split: Option<SplitAsked>,
    /// The error rate, which all candidates share.
    pub alpha: Alpha,
    /// Units that an arm needs before it is judged.
    pub min_units: u64,
}

/// One metric and its margin.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricQuestion {
    /// Its name, columns and direction.
    pub metric: MetricAsked,
    /// The worst loss that is accepted.
    pub margin: Margin,
}

/// A metric as it is written: `name=column`, `name=numerator/denominator`, either with `:increase` or `:decrease`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricAsked {
    /// Its name; what follows the `=`, if none is given.
    pub name: String,
    /// A column, or two with a `/` between them.
    pub columns: String,
    /// Which way it should go.
    pub direction: Direction,
}

/// A margin as it is written: `0.05` for all metrics, `cost=0.1` for one.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginAsked {
    /// The metric that it is for; all that have none of their own, if absent.
    pub metric: Option<String>,
    /// The margin.
    pub margin: Margin,
}

/// A planned split as it is written: `control=0.9,candidate=0.1`. Only the proportions matter.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitAsked(pub Vec<(String, f64)>);

/// An argument that cannot be meant.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum UsageError {
    /// A metric that names no column.
    #[error("{0:?} names no column; write name=column, or name=numerator/denominator")]
    NoColumn(String),
    /// A word after the colon that is no direction.
    #[error("{word:?} in {metric:?} is no direction; write :increase or :decrease")]
    Direction {
        /// The whole metric.
        metric: String,
        /// The word.
        word: String,
    },
    /// Something that is not a number.
    #[error("{0:?} is not a number")]
    NotANumber(String),
    /// A margin outside its bound.
    #[error(transparent)]
    Margin(#[from] crate::domain::OutOfRange),
    /// A share that is none.
    #[error("the share {share:?} of {variant:?} is not a number above 0")]
    Share {
        /// The variant.
        variant: String,
        /// What stands there.
        share: String,
    },
    /// A split that is not a list of shares.
    #[error("{0:?} is no split; write control=0.9,candidate=0.1")]
    Split(String),
    /// A variant twice in a split.
    #[error("the split names {0:?} twice")]
    VariantTwice(String),
    /// A metric name twice.
    #[error("two metrics are called {0:?}; give one of them another name")]
    MetricTwice(String),
    /// A margin for a metric that is not asked for.
    #[error("--margin names {metric:?}, but the metrics are {metrics}")]
    MarginOfNothing {
        /// The name.
        metric: String,
        /// The metrics that there are.
        metrics: String,
    },
    /// Two margins for the same.
    #[error("there are two margins for {0}; give one")]
    MarginTwice(String),
}

impl FromStr for MetricAsked {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        let (rest, direction) = match text.rsplit_once(':') {
            None => (text, Direction::Increase),
            Some((rest, "increase")) => (rest, Direction::Increase),
            Some((rest, "decrease")) => (rest, Direction::Decrease),
            Some((_, word)) => {
                return Err(UsageError::Direction { metric: text.to_owned(), word: word.to_owned() });
            }
        };
        let (name, columns) = rest.split_once('=').unwrap_or((rest, rest));
        let (name, columns) = (name.trim(), columns.trim());
        if name.is_empty() || columns.is_empty() {
            return Err(UsageError::NoColumn(text.to_owned()));
        }
        Ok(MetricAsked { name: name.to_owned(), columns: columns.to_owned(), direction })
    }
}

impl FromStr for MarginAsked {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        let (metric, number) = match text.rsplit_once('=') {
            Some((metric, number)) => (Some(metric.trim().to_owned()), number),
            None => (None, text),
        };
        let number: f64 = number.trim().parse().map_err(|_| UsageError::NotANumber(number.to_owned()))?;
        Ok(MarginAsked { metric, margin: Margin::try_from(number)? })
    }
}

impl FromStr for SplitAsked {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        let mut shares: Vec<(String, f64)> = Vec::new();
        for part in text.split(',') {
            let (variant, share) = part.rsplit_once('=').ok_or_else(|| UsageError::Split(text.to_owned()))?;
            let variant = variant.trim().to_owned();
            let number = share.trim().parse().ok().filter(|share: &f64| *share > 0.0 && share.is_finite());
            let Some(number) = number else {
                return Err(UsageError::Share { variant, share: share.to_owned() });
            };
            if shares.iter().any(|(named, _)| *named == variant) {
                return Err(UsageError::VariantTwice(variant));
            }
            shares.push((variant, number));
        }
        Ok(SplitAsked(shares))
    }
}

/// Gives every metric its margin: its own, or the one for all, or five percent.
///
/// # Errors
/// [`UsageError`] if two metrics share a name, a margin names none of them, or two margins are for the same.
pub fn with_margins(metrics: &[MetricAsked], margins: &[MarginAsked]) -> Result<Vec<MetricQuestion>, UsageError> {
    for (place, metric) in metrics.iter().enumerate() {
        if metrics[..place].iter().any(|other| other.name == metric.name) {
            return Err(UsageError::MetricTwice(metric.name.clone()));
        }
    }
    for (place, margin) in margins.iter().enumerate() {
        if let Some(name) = &margin.metric
            && !metrics.iter().any(|metric| metric.name == *name)
        {
            let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            return Err(UsageError::MarginOfNothing { metric: name.clone(), metrics: names.join(", ") });
        }
        if margins[..place].iter().any(|other| other.metric == margin.metric) {
            return Err(UsageError::MarginTwice(margin.metric.clone().unwrap_or_else(|| "all metrics".to_owned())));
        }
    }
    let five_percent = Margin::try_from(0.05)?;
    let of = |name: Option<&str>| margins.iter().find(|m| m.metric.as_deref() == name).map(|m| m.margin);
    Ok(metrics
        .iter()
        .map(|metric| MetricQuestion {
            metric: metric.clone(),
            margin: of(Some(&metric.name)).or_else(|| of(None)).unwrap_or(five_percent),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(text: &str) -> MetricAsked {
        text.parse().unwrap()
    }

    #[test]
    fn a_metric_is_a_name_its_columns_and_a_direction() {
        let asked = |name: &str, columns: &str, direction| MetricAsked {
            name: name.to_owned(),
            columns: columns.to_owned(),
            direction,
        };
        assert_eq!(metric("conv=converted"), asked("conv", "converted", Direction::Increase));
        assert_eq!(metric("cost=cost/plans:decrease"), asked("cost", "cost/plans", Direction::Decrease));
        assert_eq!(metric("converted"), asked("converted", "converted", Direction::Increase));
        assert_eq!(metric("t=a:b:increase"), asked("t", "a:b", Direction::Increase));
        for (text, told) in [("=x", "names no column"), ("x=", "names no column"), ("x=y:up", "\"up\"")] {
            let error = text.parse::<MetricAsked>().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_margin_is_for_one_metric_or_for_all_that_have_none() {
        let metrics = [metric("a"), metric("b")];
        let margins: Vec<MarginAsked> = ["0.1", "b=0.2"].iter().map(|text| text.parse().unwrap()).collect();
        let of = |margins: &[MarginAsked]| -> Vec<f64> {
            with_margins(&metrics, margins).unwrap().iter().map(|m| m.margin.get()).collect()
        };
        assert_eq!(of(&margins), [0.1, 0.2]);
        assert_eq!(of(&[]), [0.05, 0.05]);
        let refused = |margins: &[&str]| {
            let margins: Vec<MarginAsked> = margins.iter().map(|text| text.parse().unwrap()).collect();
            with_margins(&metrics, &margins).unwrap_err().to_string()
        };
        assert_eq!(refused(&["c=0.1"]), "--margin names \"c\", but the metrics are a, b");
        assert!(refused(&["0.1", "0.2"]).contains("two margins for all metrics"));
        assert!(with_margins(&[metric("a"), metric("a=b")], &[]).is_err());
        assert!("1.5".parse::<MarginAsked>().unwrap_err().to_string().contains("strictly between 0 and 1"));
        assert!("five".parse::<MarginAsked>().is_err());
    }

    #[test]
    fn a_split_names_each_variant_once_with_a_share_above_nothing() {
        let split: SplitAsked = "control=0.9, candidate=0.1".parse().unwrap();
        assert_eq!(split.0, [("control".to_owned(), 0.9), ("candidate".to_owned(), 0.1)]);
        for text in ["", "control", "a=0.5,a=0.5", "a=0,b=1", "a=x,b=1", "a=inf,b=1"] {
            assert!(text.parse::<SplitAsked>().is_err(), "{text}");
        }
    }
}
