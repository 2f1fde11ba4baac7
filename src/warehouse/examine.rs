//! A closer look at a warehouse than a night takes: for somebody who wants to know beforehand whether a night will work.

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::Warehouse;
use super::error::WarehouseError;
use super::facts::FactFault;
use super::instants::{instant_of, midnight, next_midnight};
use super::needs::Needs;
use crate::domain::{
    CohortRequest, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Fact, Field, Measure, Metric,
    Rows, Session,
};

/// How many events of a type are looked at, at most.
pub(super) const SAMPLE: u32 = 1_000;

/// A warehouse that can be looked at closely. Nothing here reads more than `SAMPLE` events of a kind.
#[async_trait]
pub trait Examine: Warehouse {
    /// What the server says of the connection; none where there is no server.
    async fn session(&self) -> Result<Option<Session>, WarehouseError>;

    /// What somebody should know of the server and of what the user may do there.
    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        Ok(Vec::new())
    }

    /// Everything that is wrong with the tables, or with their newest days up to that date.
    async fn faults(&self, until: Date) -> Result<Vec<WarehouseError>, WarehouseError>;

    /// How the engine would go about a request, in its own words; none of one that does not tell.
    async fn explain(&self, _request: &CohortRequest<'_>) -> Result<Option<String>, WarehouseError> {
        Ok(None)
    }

    /// The newest day up to that date that has an event.
    async fn newest(&self, until: Date) -> Result<Option<Date>, WarehouseError>;

    /// The columns of a fact, what is wrong with those that are read, and some of its rows of that day.
    async fn look_at_fact(&self, fact: &Fact, _columns: &[String], _day: Date) -> Result<FactLook, WarehouseError> {
        let source = format!("{} runs no SQL; write these rows as events", self.describe()).into();
        Err(WarehouseError::FactRefused { fact: fact.name.clone(), line: None, source })
    }

    /// Prepares the query of a metric as a night would ask it, and looks at some events of that day that it would read.
    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError>;
}

/// What a fact's SQL gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactLook {
    /// Its columns, with the engine's names of their types.
    pub columns: Vec<(String, String)>,
    /// What is wrong with them.
    pub faults: Vec<FactFault>,
    /// Some rows of a day, where nothing is wrong.
    pub sample: Option<FactSample>,
}

/// Some rows of a fact on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactSample {
    /// How many were looked at; 0 if there is none that day.
    pub rows: u64,
    /// How many of them belong to no unit.
    pub without_unit: u64,
    /// How many of some rows of any day bear no instant that could be read.
    pub undated: u64,
    /// By column with values: how many lack it, and how many hold something else than a finite number.
    pub values: Vec<(u64, u64)>,
}

/// A question for counts of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Exceeding<'a> {
    /// The event type.
    pub event: &'a str,
    /// The field.
    pub field: &'a Field,
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// What the numbers are compared with.
    pub edges: &'a [f64],
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// How many numbers there are.
    pub numbers: u64,
    /// How many exceed each edge, in the order of the question.
    pub beyond: Vec<u64>,
}

/// One thing about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about.
    pub what: &'static str,
    /// What was found.
    pub detail: String,
    /// How to mend it; none where it is well.
    pub mend: Option<&'static str>,
}

impl Remark {
    pub(super) fn well(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, detail: detail.into(), mend: None }
    }

    pub(super) fn amiss(what: &'static str, detail: impl Into<String>, mend: &'static str) -> Self {
        Self { what, detail: detail.into(), mend: Some(mend) }
    }
}

/// Some events of one type, or rows of a fact, on one day, under the field that a metric reads of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which events or rows.
    pub of: Rows,
    /// The field; none if they are only counted.
    pub field: Option<Field>,
    /// How many were looked at; 0 if there is none that day.
    pub events: u64,
    /// How many of them lack the field.
    pub missing: u64,
    /// How many hold something else than a finite number there.
    pub not_numbers: u64,
}

impl Sample {
    /// What each sum of the metric reads, each event type with each field once.
    pub(super) fn of(metric: &Metric) -> Vec<Sample> {
        let mut samples: Vec<Sample> = Vec::new();
        for Measure { of, value } in metric.measures() {
            let field = value.field().cloned();
            if !samples.iter().any(|sample| sample.of == *of && sample.field == field) {
                samples.push(Sample { of: of.clone(), field, events: 0, missing: 0, not_numbers: 0 });
            }
        }
        samples
    }
}

/// What a night would need for one metric and the units of one day, of an experiment that nobody has.
pub(super) fn rehearsal(metric: &Metric, day: Date) -> Result<Needs, WarehouseError> {
    let experiment = Experiment {
        id: ExperimentId(uuid::Uuid::nil()),
        name: format!("the rehearsal of {}", metric.name),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: None,
        end_at: None,
        variants: Vec::new(),
    };
    let begin = instant_of(midnight(day)).unwrap_or(Timestamp::UNIX_EPOCH);
    let end = instant_of(next_midnight(midnight(day))).unwrap_or(begin + SignedDuration::from_hours(24));
    let companions = metric.companions();
    Needs::of(&CohortRequest {
        experiment: &experiment,
        metrics: std::iter::once(metric).chain(&companions).collect(),
        window_days: metric.window_days,
        from: day,
        to: day,
        exposed_by: ExposedBy::Assignment,
        spans: vec![EpochSpan { epoch: 0, from: begin, to: end }],
    })
}
