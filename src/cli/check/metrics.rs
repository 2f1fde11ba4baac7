//! Each metric, rehearsed: its query prepared as a night would ask it, and some of the events that it reads looked at.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::civil::Date;

use super::Asked;
use super::experiments::Known;
use super::facts;
use super::finding::{Area, Finding, in_time};
use crate::config::Config;
use crate::domain::{Measure, Metric, MetricForm, Rows, Value};
use crate::warehouse::{Examine, Sample};

const AREA: Area = Area::Metrics;

/// The part of events with text where a number belongs above which a night lets nothing rise (statistics.md section 6).
const MOST_NOT_NUMBERS: f64 = 0.001;

/// Whether experiments may have thresholds that the metrics file lacks.
pub(super) fn asks_the_store(asked: &Asked<'_>) -> bool {
    asked.wants(AREA) && asked.config.freezable.iter().any(|freezable| freezable.frozen.is_none())
}

/// What is to be said of the metrics.
pub(super) async fn findings(
    asked: &Asked<'_>,
    warehouse: Option<&dyn Examine>,
    known: Option<&Known>,
) -> Vec<Finding> {
    let Some(warehouse) = warehouse else { return Vec::new() };
    let newest = match in_time(warehouse.newest(asked.as_of)).await {
        Ok(newest) => newest,
        Err(error) => {
            let mend = "see what the lines about the warehouse say";
            return vec![Finding::fail(AREA, "events", error, mend)];
        }
    };
    let (mut findings, faulty) = facts::findings(asked, warehouse, newest).await;
    let metrics = asked.config.metrics.values();
    let rehearsed = metrics.map(|metric| rehearse(asked, (warehouse, known), metric, newest, &faulty));
    findings.extend(join_all(rehearsed).await.concat());
    if newest.is_none() {
        let detail = format!("there is none up to {}, so no metric could be tried on any", asked.as_of);
        findings.push(Finding::warn(AREA, "events", detail, "once there are some, check again"));
    }
    findings
}

/// The experiment that has thresholds for its own where the file gives none, and the metric with them, if no other that is
/// judged by the metric lacks them.
fn own_of<'a>(asked: &Asked<'_>, known: Option<&'a Known>, metric: &Metric) -> Option<(&'a str, Metric)> {
    let judged = known?.active().filter(|record| {
        let policy = asked.config.policies.of(&record.experiment.name);
        policy.judged_by().any(|name| *name == metric.name)
    });
    let mut own = None;
    for record in judged {
        let with = asked.config.metrics_with(&record.thresholds).get(&metric.name).cloned()?;
        if !with.is_frozen() {
            return None;
        }
        own.get_or_insert((record.experiment.name.as_str(), with));
    }
    own
}

async fn rehearse(
    asked: &Asked<'_>,
    (warehouse, known): (&dyn Examine, Option<&Known>),
    metric: &Metric,
    newest: Option<Date>,
    faulty: &BTreeSet<String>,
) -> Vec<Finding> {
    let what = &metric.name;
    if let Some(measure) = metric.measures().find(|measure| measure.of.fact().is_some_and(|f| faulty.contains(&f.name)))
    {
        let detail =
            format!("{}: fact {} cannot be read", place(asked.config, metric, Some(measure)), measure.of.name());
        return vec![Finding::fail(AREA, what, detail, "see what the lines about the fact say")];
    }
    let day = newest.unwrap_or(asked.as_of);
    let own = if metric.is_frozen() { None } else { own_of(asked, known, metric) };
    let frozen = own.as_ref().map_or(String::new(), |(name, _)| format!("its threshold is frozen for {name}; "));
    let metric = own.as_ref().map_or(metric, |(_, metric)| metric);
    if let Some(measure) = metric.measures().find(|measure| matches!(measure.value, Value::CountUnfrozen(_))) {
        let place = place(asked.config, metric, Some(measure));
        let detail =
            format!("{place}: no threshold is frozen, so it cannot be measured, and who is judged by it is held");
        let mend = "run `rampkeeper freeze-thresholds`, or let a version in: that freezes it for its experiment";
        return vec![Finding::fail(AREA, what, detail, mend)];
    }
    match in_time(warehouse.rehearse(metric, day)).await {
        Ok(samples) if newest.is_some() => {
            let faults: Vec<Finding> =
                samples.iter().filter_map(|sample| judge(asked.config, metric, sample, day)).collect();
            if !faults.is_empty() {
                return faults;
            }
            // A ratio may read the same events above and below its line.
            let read: BTreeMap<&str, u64> = samples.iter().map(|sample| (sample.of.name(), sample.events)).collect();
            let read: Vec<String> = read.iter().map(|(event, events)| format!("{events} {event}")).collect();
            vec![Finding::ok(AREA, what, format!("{frozen}its query is sound; looked at {} of {day}", read.join(", ")))]
        }
        Ok(_) => vec![Finding::ok(AREA, what, format!("{frozen}its query is sound"))],
        Err(error) => {
            let named = metric
                .measures()
                .find(|measure| measure.value.field().is_some_and(|field| error.contains(&field.to_string())));
            let place = place(asked.config, metric, named);
            let mend = "correct the metric, or mend what writes the events";
            vec![Finding::fail(AREA, what, format!("{place}: {error}"), mend)]
        }
    }
}

/// What the sampled events say against the metric, if anything.
fn judge(config: &Config, metric: &Metric, sample: &Sample, day: Date) -> Option<Finding> {
    let Sample { of, events, missing, not_numbers, .. } = sample;
    let of_sample = |measure: &&Measure| measure.of == *of && measure.value.field() == sample.field.as_ref();
    let measure = metric.measures().find(of_sample);
    let place = place(config, metric, measure);
    let (told, mend) = match (of, &sample.field) {
        (Rows::Event(_), field) => (
            field.as_ref().map(ToString::to_string).unwrap_or_default(),
            format!("correct the name at {place}, or mend what writes the events"),
        ),
        (Rows::Fact(fact), field) => (
            field.as_ref().map(|field| field.key.clone()).unwrap_or_default(),
            format!("correct the SQL of fact {}, or mend what writes its rows", fact.name),
        ),
    };
    let what = &metric.name;
    if *events == 0 {
        let detail = match metric.aggregate() {
            Some(_) => format!("{place}: there are no aggregates of {:?} on {day}", of.name()),
            None => format!("{place}: there is no {} on {day}", of.one()),
        };
        return Some(Finding::warn(AREA, what, detail, mend));
    }
    if *missing == *events {
        let detail = format!("{place}: {told} is in none of {events} {of} of {day}");
        return Some(Finding::fail(AREA, what, detail, mend));
    }
    if *not_numbers > 0 {
        let detail = format!("{place}: {told} is no number in {not_numbers} of {events} {of} of {day}");
        let many = *not_numbers as f64 > MOST_NOT_NUMBERS * *events as f64;
        return Some(if many {
            Finding::fail(AREA, what, detail, mend)
        } else {
            Finding::warn(AREA, what, detail, mend)
        });
    }
    if missing * 2 > *events {
        let detail = format!("{place}: {told} is missing in {missing} of {events} {of} of {day}");
        return Some(Finding::warn(AREA, what, detail, mend));
    }
    None
}

/// Where a measure of the metric stands in the metrics file: its field, else its event; without a measure, the metric.
pub(super) fn place(config: &Config, metric: &Metric, measure: Option<&Measure>) -> String {
    let mut keys = vec!["metrics", metric.name.as_str()];
    if let Some(measure) = measure {
        keys.push(match &metric.form {
            MetricForm::Mean { .. } => "value",
            MetricForm::Ratio { numerator, .. } if numerator == measure => "numerator",
            MetricForm::Ratio { .. } | MetricForm::Pair { .. } => "denominator",
            MetricForm::Aggregate(_) => "aggregate",
        });
        keys.extend(match &measure.value {
            Value::Count if measure.of.fact().is_some() => vec!["fact"],
            Value::Count => vec!["event"],
            Value::Sum(_) => vec!["sum"],
            Value::CountAbove(..) | Value::CountUnfrozen(_) => vec!["count_above", "field"],
        });
    }
    config.place_in_metrics(&keys)
}
