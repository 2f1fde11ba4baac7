//! `metrics.yml`: what is measured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use super::fault::Fault;
use super::thresholds::{Freezable, FreezeEntry};
use crate::domain::{
    Aggregate, AggregateOf, COMPANION, DesignEffect, Direction, Field, Measure, Metric, MetricForm, Percentiles, Value,
};

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsFile {
    /// The metrics by name.
    pub metrics: BTreeMap<String, MetricEntry>,
    /// Fields whose percentiles are shown beside the metrics of every experiment, by the name that readers see. Nothing is
    /// decided by them.
    #[serde(default)]
    pub percentiles: BTreeMap<String, PercentilesEntry>,
}

/// A field's percentiles, found between two numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PercentilesEntry {
    /// The event type.
    #[schemars(length(min = 1, max = 100))]
    event: String,
    /// The field, such as `latency_ms`.
    field: String,
    /// The smallest number that is told apart, above 0.
    from: f64,
    /// The largest.
    to: f64,
    /// The percentiles; 0.5 and 0.99 unless told.
    #[schemars(length(min = 1, max = 5))]
    levels: Option<Vec<f64>>,
    /// Days after a unit's first exposure during which its events count; 1 unless told.
    #[schemars(range(min = 1, max = 90))]
    window_days: Option<u16>,
}

/// One metric: `value` for a mean per unit, `numerator` and `denominator` for a ratio of sums, or `aggregate`.
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
    /// What is made from aggregates over events, where `warehouse.aggregates` is all that there is.
    aggregate: Option<AggregateEntry>,
    /// The same sums over the days before a unit's first exposure, which explain a part of the metric's variance.
    covariate: Option<CovariateEntry>,
}

/// How far back a covariate reaches.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CovariateEntry {
    /// Days before first exposure whose events count.
    #[schemars(range(min = 1, max = 90))]
    days: u16,
}

/// A metric made from aggregates: `mean`, or `rate` and `of`, or `count` and `per`. The texts are values of `metric_name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateEntry {
    /// The mean of a number over its events, such as `latency_ms`.
    mean: Option<String>,
    /// The events of which at most one follows each event of `of`, such as `plan_accepted`.
    rate: Option<String>,
    /// What they follow, such as `plan_generated`.
    of: Option<String>,
    /// The events that are counted, such as `edit_applied`.
    count: Option<String>,
    /// What they are counted for, such as `plan_accepted`.
    per: Option<String>,
    /// By how much the variance is larger than that of independent events, since a unit's events are alike; 1 or more.
    #[schemars(range(min = 1.0))]
    design_effect: f64,
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
    /// The threshold. With `freeze`, `rampkeeper freeze-thresholds` writes it here.
    threshold: Option<f64>,
    /// What the threshold is taken from.
    freeze: Option<FreezeEntry>,
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
        if name.contains(COMPANION) {
            let message =
                format!("`{COMPANION}` does not go into a metric's name; what is read for covariates is named by it");
            faults.push(document.fault(&at, message));
        }
        if entry.aggregate.is_some() && entry.covariate.is_some() {
            let message = "aggregates know no unit's past; leave this out";
            faults.push(document.fault(&format!("{at}/covariate"), message));
        }
        let mut measure = |key: &str, entry: &MeasureEntry| {
            measure(entry).map_err(|message| faults.push(document.fault(&format!("{at}/{key}"), message))).ok()
        };
        let form = match (&entry.value, &entry.numerator, &entry.denominator) {
            (None, None, None) if entry.aggregate.is_some() => {
                if entry.window_days.is_some() {
                    let message =
                        "aggregates know no unit's first exposure, so nothing can be counted from it; leave this out";
                    faults.push(document.fault(&format!("{at}/window_days"), message));
                }
                let made = entry.aggregate.as_ref().map(aggregate);
                let mut refuse = |message| faults.push(document.fault(&format!("{at}/aggregate"), message));
                made.and_then(|made| made.map_err(&mut refuse).ok()).map(MetricForm::Aggregate)
            }
            _ if entry.aggregate.is_some() => {
                let message = "`aggregate` excludes `value`, `numerator` and `denominator`";
                faults.push(document.fault(&at, message));
                None
            }
            (Some(value), None, None) => measure("value", value).map(|value| MetricForm::Mean { value }),
            (None, Some(above), Some(below)) => {
                let numerator = measure("numerator", above);
                let denominator = measure("denominator", below);
                numerator.zip(denominator).map(|(n, d)| MetricForm::Ratio { numerator: n, denominator: d })
            }
            _ => {
                let message =
                    "a metric has either `value` (a mean per unit), both `numerator` and `denominator`, or `aggregate`";
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
                covariate_days: entry.covariate.map(|covariate| covariate.days),
            };
            metrics.insert(name.clone(), metric);
        }
    }
    if faults.is_empty() { Ok(metrics) } else { Err(faults) }
}

/// The percentiles that are shown.
pub(super) fn percentiles(document: &Document, file: &MetricsFile) -> Result<Vec<Percentiles>, Vec<Fault>> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (name, entry) in &file.percentiles {
        let at = format!("/percentiles/{name}");
        let levels = entry.levels.clone().unwrap_or_else(|| vec![0.5, 0.99]);
        if let Some(level) = levels.iter().find(|level| !(**level > 0.0 && **level < 1.0)) {
            let message = format!("a percentile lies between 0 and 1, such as 0.99, but this is {level}");
            faults.push(document.fault(&format!("{at}/levels"), message));
        }
        if !(entry.from > 0.0 && entry.to.is_finite() && entry.from < entry.to) {
            faults.push(
                document.fault(&at, "`from` must be above 0 and `to` above it; numbers outside are not told apart"),
            );
            continue;
        }
        match entry.field.parse::<Field>() {
            Ok(field) => found.push(Percentiles {
                name: name.clone(),
                event: entry.event.clone(),
                field,
                levels,
                edges: Percentiles::edges(entry.from, entry.to),
                window_days: entry.window_days.unwrap_or(1),
            }),
            Err(message) => faults.push(document.fault(&format!("{at}/field"), message)),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// The thresholds that say what they are taken from, in the order of the metrics.
pub(super) fn freezable(document: &Document, file: &MetricsFile) -> Result<Vec<Freezable>, Vec<Fault>> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (name, entry) in &file.metrics {
        let parts = [("value", &entry.value), ("numerator", &entry.numerator), ("denominator", &entry.denominator)];
        for (part, measure) in parts {
            let Some(measure) = measure else { continue };
            let Some((above, freeze)) = measure.count_above.as_ref().and_then(|a| Some((a, a.freeze.as_ref()?))) else {
                continue;
            };
            // A field that cannot be read was told with the metric.
            let Ok(field) = above.field.parse::<Field>() else { continue };
            let key = name.replace('~', "~0").replace('/', "~1");
            let pointer = format!("/metrics/{key}/{part}/count_above");
            match freeze.resolve((name, &measure.event, &field), above.threshold, pointer.clone()) {
                Ok(freezable) => found.push(freezable),
                Err(message) => faults.push(document.fault(&format!("{pointer}/freeze"), message)),
            }
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn aggregate(entry: &AggregateEntry) -> Result<Aggregate, String> {
    let design_effect = DesignEffect::try_from(entry.design_effect)?;
    let of = match entry {
        AggregateEntry { mean: Some(name), rate: None, of: None, count: None, per: None, .. } => {
            AggregateOf::Mean(name.clone())
        }
        AggregateEntry { mean: None, rate: Some(of), of: Some(among), count: None, per: None, .. } => {
            AggregateOf::Rate { of: of.clone(), among: among.clone() }
        }
        AggregateEntry { mean: None, rate: None, of: None, count: Some(of), per: Some(per), .. } => {
            AggregateOf::Count { of: of.clone(), per: per.clone() }
        }
        _ => return Err("give `mean`, or `rate` and `of`, or `count` and `per`".to_owned()),
    };
    match of.names().iter().all(|name| (1..=100).contains(&name.len())) {
        true => Ok(Aggregate { of, design_effect }),
        false => Err("a name in exp.metric_aggregates has 1 to 100 characters".to_owned()),
    }
}

fn measure(entry: &MeasureEntry) -> Result<Measure, String> {
    let value = match (&entry.sum, &entry.count_above) {
        (None, None) => Value::Count,
        (Some(field), None) => Value::Sum(field.parse::<Field>()?),
        (None, Some(above)) => {
            let field = above.field.parse::<Field>()?;
            match (above.threshold, &above.freeze) {
                (Some(threshold), _) if threshold.is_finite() => Value::CountAbove(field, threshold),
                (Some(threshold), _) => {
                    return Err(format!("threshold must be a finite number, but this is {threshold}"));
                }
                (None, Some(_)) => Value::CountUnfrozen(field),
                (None, None) => {
                    return Err("give a `threshold`, or say by `freeze` what it is to be taken from".to_owned());
                }
            }
        }
        (Some(_), Some(_)) => return Err("`sum` and `count_above` exclude each other".to_owned()),
    };
    Ok(Measure { event: entry.event.clone(), value })
}
