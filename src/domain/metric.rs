//! What is measured per unit, independent of where the events lie.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::aggregate::Aggregate;
use super::fact::{Fact, Rows};

/// Which way a metric should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    Increase,
    /// Less is better.
    Decrease,
}

/// One number per unit, or a ratio of two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its unique name in the configuration.
    pub name: String,
    /// One sentence for the report.
    pub description: Option<String>,
    /// How numerator and denominator are to be read.
    pub form: MetricForm,
    /// Which way it should go.
    pub direction: Direction,
    /// Days after a unit's first exposure during which its events count.
    pub window_days: u16,
    /// Days before a unit's first exposure over which the same sums are its covariate, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariate_days: Option<u16>,
}

/// The shape of a metric's estimator (statistics.md section 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MetricForm {
    /// The mean over units of a per-unit sum; units without events count as zero.
    Mean {
        /// The per-unit sum.
        value: Measure,
    },
    /// Sum of the numerator over sum of the denominator, clustered by unit.
    Ratio {
        /// Per-unit sum above the line.
        numerator: Measure,
        /// Per-unit sum below the line.
        denominator: Measure,
    },
    /// Made from aggregates over events, as if these were independent; nothing is known of units.
    Aggregate(Aggregate),
    /// Two per-unit sums side by side, the second or both of them over the days before first exposure. No configuration
    /// has one: a metric with a covariate brings them along ([`Metric::companions`]).
    Pair {
        /// A per-unit sum.
        numerator: Measure,
        /// Another, over the days before.
        denominator: Measure,
        /// How many days before first exposure.
        days: u16,
        /// Whether the first lies there, too, or inside the window.
        both_before: bool,
    },
}

/// A per-unit sum over the events of one type, or over the rows of a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What is added up.
    #[serde(flatten)]
    pub of: Rows,
    /// What each event or row adds.
    pub value: Value,
}

impl Measure {
    /// A sum over events.
    pub fn of_event(event: impl Into<String>, value: Value) -> Self {
        Self { of: Rows::Event(event.into()), value }
    }
}

/// What one event adds to its unit's sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// One.
    Count,
    /// The number in that field; an event without it adds nothing.
    Sum(Field),
    /// One, where the number in that field exceeds a threshold frozen in the configuration.
    CountAbove(Field, f64),
    /// The same, where no threshold is frozen yet: it cannot be measured.
    CountUnfrozen(Field),
}

impl Value {
    /// The field that it reads, if any.
    pub fn field(&self) -> Option<&Field> {
        match self {
            Value::Count => None,
            Value::Sum(field) | Value::CountAbove(field, _) | Value::CountUnfrozen(field) => Some(field),
        }
    }
}

/// The JSON column of an event that a field lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldRoot {
    /// `metrics`: numbers. The default.
    Metrics,
    /// `context`.
    Context,
    /// `payload`.
    Payload,
    /// No JSON at all: a column of a fact.
    Fact,
}

impl FieldRoot {
    /// The column's name.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldRoot::Metrics => "metrics",
            FieldRoot::Context => "context",
            FieldRoot::Payload => "payload",
            FieldRoot::Fact => "fact",
        }
    }
}

/// A number inside an event: `latency_ms`, `metrics.latency_ms` or `payload.price`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Field {
    /// The JSON column.
    pub root: FieldRoot,
    /// The key in it.
    pub key: String,
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (root, key) = match text.split_once('.') {
            None => (FieldRoot::Metrics, text),
            Some(("metrics", key)) => (FieldRoot::Metrics, key),
            Some(("context", key)) => (FieldRoot::Context, key),
            Some(("payload", key)) => (FieldRoot::Payload, key),
            Some(("fact", key)) => (FieldRoot::Fact, key),
            Some((other, _)) => {
                return Err(format!("field {text:?}: {other:?} is not one of metrics, context, payload"));
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if key.is_empty() || !key.chars().all(plain) {
            return Err(format!("field {text:?}: a key has letters, digits, `_` and `-` only"));
        }
        Ok(Field { root, key: key.to_owned() })
    }
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Field> for String {
    fn from(field: Field) -> String {
        field.to_string()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.root.as_str(), self.key)
    }
}

impl Field {
    /// A column of a fact.
    pub fn of_fact(column: &str) -> Result<Self, String> {
        let field: Field = format!("fact.{column}").parse().map_err(|_| {
            format!("{column:?} is no column of a fact; its name has letters, digits, `_` and `-` only")
        })?;
        Ok(field)
    }
}

impl Metric {
    /// The mean per unit of a sum over its first day, of which nobody says which way is good.
    pub fn of_units(name: &str, value: Measure) -> Metric {
        let form = MetricForm::Mean { value };
        Metric {
            name: name.to_owned(),
            description: None,
            form,
            direction: Direction::Decrease,
            window_days: 1,
            covariate_days: None,
        }
    }

    /// The per-unit sum above the line; what is made from aggregates has none.
    pub fn numerator(&self) -> Option<&Measure> {
        match &self.form {
            MetricForm::Mean { value } => Some(value),
            MetricForm::Ratio { numerator, .. } | MetricForm::Pair { numerator, .. } => Some(numerator),
            MetricForm::Aggregate(_) => None,
        }
    }

    /// The per-unit sum below the line; a mean has none and divides by one per unit.
    pub fn denominator(&self) -> Option<&Measure> {
        match &self.form {
            MetricForm::Mean { .. } | MetricForm::Aggregate(_) => None,
            MetricForm::Ratio { denominator, .. } | MetricForm::Pair { denominator, .. } => Some(denominator),
        }
    }

    /// Whether the sum above the line, and whether the one below it, counts events before first exposure.
    pub fn counts_before(&self) -> (bool, bool) {
        match self.form {
            MetricForm::Mean { .. } | MetricForm::Ratio { .. } | MetricForm::Aggregate(_) => (false, false),
            MetricForm::Pair { both_before, .. } => (both_before, true),
        }
    }

    /// Numerator and, if there is one, denominator.
    pub fn measures(&self) -> impl Iterator<Item = &Measure> {
        self.numerator().into_iter().chain(self.denominator())
    }

    /// The facts that it is made from.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.measures().filter_map(|measure| measure.of.fact())
    }

    /// Whether all of its thresholds are known, so that it can be measured.
    pub fn is_frozen(&self) -> bool {
        !self.measures().any(|measure| matches!(measure.value, Value::CountUnfrozen(_)))
    }

    /// The same metric with that threshold in place of one that is not frozen yet, below the line or above it.
    pub fn with_threshold(&self, below: bool, threshold: f64) -> Metric {
        let mut metric = self.clone();
        let measure = match (&mut metric.form, below) {
            (MetricForm::Mean { value }, false) => Some(value),
            (MetricForm::Ratio { numerator, .. }, false) => Some(numerator),
            (MetricForm::Ratio { denominator, .. }, true) => Some(denominator),
            // A companion is made from its metric, thresholds and all.
            (MetricForm::Mean { .. }, true) | (MetricForm::Aggregate(_) | MetricForm::Pair { .. }, _) => None,
        };
        if let Some(measure) = measure
            && let Value::CountUnfrozen(field) = &measure.value
        {
            measure.value = Value::CountAbove(field.clone(), threshold);
        }
        metric
    }

    /// How it is made from aggregates, if it is.
    pub fn aggregate(&self) -> Option<&Aggregate> {
        match &self.form {
            MetricForm::Aggregate(aggregate) => Some(aggregate),
            MetricForm::Mean { .. } | MetricForm::Ratio { .. } | MetricForm::Pair { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_key_lies_in_metrics() {
        assert_eq!("cost".parse::<Field>().unwrap().to_string(), "metrics.cost");
        assert_eq!("payload.price".parse::<Field>().unwrap().root, FieldRoot::Payload);
        assert!("other.price".parse::<Field>().is_err());
        assert!("metrics.a'b".parse::<Field>().is_err());
    }
}
