//! `metrics.yml`: what is measured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use super::fault::Fault;
use crate::domain::{Direction, Field, Measure, Metric, MetricForm, Value};

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsFile {
    /// The metrics by name.
    pub metrics: BTreeMap<String, MetricEntry>,
}

/// One metric: `value` for a mean per unit, or `numerator` and `denominator` for a ratio of sums.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricEntry {
    /// One sentence for the report.
    description: Option<String>,
    /// Which way the metric should go.
    direction: DirectionWord,
    /// Days after a unit's first exposure during which its events count; 1 unless told.
    #[schemars(range(min = 1, max = 90))]
    window_days: Option<u16>,
    /// The per-unit sum whose mean over units is the metric.
    value: Option<MeasureEntry>,
    /// The per-unit sum above the line of a ratio.
    numerator: Option<MeasureEntry>,
    /// The per-unit sum below the line of a ratio.
    denominator: Option<MeasureEntry>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum DirectionWord {
    Increase,
    Decrease,
}

/// A per-unit sum over the events of one type: their number, the sum of a field, or the number above a threshold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasureEntry {
    /// The event type.
    #[schemars(length(min = 1, max = 100))]
    event: String,
    /// Sum this number of each event, such as `cost` (a key of the event's metrics) or `payload.price`.
    sum: Option<String>,
    /// Count the events whose number exceeds a threshold that is frozen here.
    count_above: Option<ThresholdEntry>,
}

/// A field and the threshold frozen for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdEntry {
    field: String,
    threshold: f64,
}

/// The metrics of a decoded file, or every fault in them.
pub(super) fn resolve(document: &Document, file: &MetricsFile) -> Result<BTreeMap<String, Metric>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut metrics = BTreeMap::new();
    for (name, entry) in &file.metrics {
        let at = format!("/metrics/{name}");
        if name.is_empty() || name.len() > 100 {
            faults.push(document.fault(&at, "a metric's name has 1 to 100 characters"));
        }
        let mut measure = |key: &str, entry: &MeasureEntry| {
            measure(entry).map_err(|message| faults.push(document.fault(&format!("{at}/{key}"), message))).ok()
        };
        let form = match (&entry.value, &entry.numerator, &entry.denominator) {
            (Some(value), None, None) => measure("value", value).map(|value| MetricForm::Mean { value }),
            (None, Some(above), Some(below)) => {
                let numerator = measure("numerator", above);
                let denominator = measure("denominator", below);
                numerator.zip(denominator).map(|(n, d)| MetricForm::Ratio { numerator: n, denominator: d })
            }
            _ => {
                let message = "a metric has either `value` (a mean per unit) or both `numerator` and `denominator`";
                faults.push(document.fault(&at, message));
                None
            }
        };
        if let Some(form) = form {
            let direction = match entry.direction {
                DirectionWord::Increase => Direction::Increase,
                DirectionWord::Decrease => Direction::Decrease,
            };
            let metric = Metric {
                name: name.clone(),
                description: entry.description.clone(),
                form,
                direction,
                window_days: entry.window_days.unwrap_or(1),
            };
            metrics.insert(name.clone(), metric);
        }
    }
    if faults.is_empty() { Ok(metrics) } else { Err(faults) }
}

fn measure(entry: &MeasureEntry) -> Result<Measure, String> {
    let value = match (&entry.sum, &entry.count_above) {
        (None, None) => Value::Count,
        (Some(field), None) => Value::Sum(field.parse::<Field>()?),
        (None, Some(above)) if above.threshold.is_finite() => {
            Value::CountAbove(above.field.parse::<Field>()?, above.threshold)
        }
        (None, Some(above)) => {
            return Err(format!("threshold must be a finite number, but this is {}", above.threshold));
        }
        (Some(_), Some(_)) => return Err("`sum` and `count_above` exclude each other".to_owned()),
    };
    Ok(Measure { event: entry.event.clone(), value })
}
