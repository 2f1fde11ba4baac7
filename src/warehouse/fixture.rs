//! One experiment with two arms, a few metrics and short ways to write requests, for the tests of this module.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::{
    CohortRequest, Direction, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Measure, Metric,
    MetricForm, Share, Value, Variant, VariantConfig, VariantId,
};

pub(crate) const EXPERIMENT: &str = "00000000-0000-4000-8000-0000000000e1";
pub(crate) const CONTROL: &str = "00000000-0000-4000-9000-00000000000c";
pub(crate) const CANDIDATE: &str = "00000000-0000-4000-9000-00000000000d";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// Two arms, half and half, since 2026-01-01.
pub(crate) fn experiment() -> Experiment {
    let variant = |id: &str, name: &str| Variant {
        id: id.parse::<VariantId>().unwrap(),
        name: name.to_owned(),
        allocation: Share::try_from(0.5).unwrap(),
        config: Ok(VariantConfig::Flag),
    };
    Experiment {
        id: EXPERIMENT.parse::<ExperimentId>().unwrap(),
        name: "planner_v2".to_owned(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: Some(at("2026-01-01T00:00:00Z")),
        end_at: None,
        variants: vec![variant(CONTROL, "control"), variant(CANDIDATE, "candidate")],
    }
}

pub(crate) fn count(event: &str) -> Measure {
    Measure { event: event.to_owned(), value: Value::Count }
}

pub(crate) fn sum(event: &str, field: &str) -> Measure {
    Measure { event: event.to_owned(), value: Value::Sum(field.parse().unwrap()) }
}

pub(crate) fn above(event: &str, field: &str, threshold: f64) -> Measure {
    Measure { event: event.to_owned(), value: Value::CountAbove(field.parse().unwrap(), threshold) }
}

pub(crate) fn mean(name: &str, value: Measure) -> Metric {
    metric(name, MetricForm::Mean { value })
}

pub(crate) fn ratio(name: &str, numerator: Measure, denominator: Measure) -> Metric {
    metric(name, MetricForm::Ratio { numerator, denominator })
}

fn metric(name: &str, form: MetricForm) -> Metric {
    Metric {
        name: name.to_owned(),
        description: None,
        form,
        direction: Direction::Increase,
        window_days: 1,
        covariate_days: None,
    }
}

/// Cohorts of `from..=to`, all in epoch 0.
pub(crate) fn request<'a>(
    experiment: &'a Experiment,
    metrics: &'a [Metric],
    from: &str,
    to: &str,
) -> CohortRequest<'a> {
    CohortRequest {
        experiment,
        metrics: metrics.iter().collect(),
        window_days: 1,
        from: day(from),
        to: day(to),
        exposed_by: ExposedBy::Assignment,
        spans: vec![EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-02-01T00:00:00Z") }],
    }
}
