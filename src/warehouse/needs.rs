//! What a request needs to read, each thing named once: event types, facts, fields, per-unit sums, spans of exposure.
//!
//! Metrics share denominators and event types, so their needs are merged before a warehouse sees them: one pass over
//! the events serves all metrics.

use crate::domain::{CohortRequest, ExposedBy, Fact, Field, Measure, Rows, Value};

use super::error::WarehouseError;
use super::instants::{DAY, Micros, length, micros, next_midnight};

/// The merged needs of all metrics of a request. It owns what it names, so it may move to another thread.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    /// The name of the experiment, for messages.
    pub experiment: String,
    /// The key of the experiment.
    pub experiment_id: sqlx::types::Uuid,
    /// The keys of its variants, as far as they are known.
    pub variants: Vec<sqlx::types::Uuid>,
    /// What the experiment randomises.
    pub unit_type: String,
    /// What makes a unit exposed.
    pub exposed_by: ExposedBy,
    /// The event types in use, in order.
    pub events: Vec<String>,
    /// The fields of events in use, in order.
    pub fields: Vec<Field>,
    /// The facts in use, in order. Their places follow those of `events`, and those of their columns those of `fields`.
    pub facts: Vec<FactNeed>,
    /// Which event type must carry which field inside the window, as places in `events` and `fields`.
    pub readings: Vec<Reading>,
    /// The per-unit sums in use, in the order in which the metrics name them.
    pub sums: Vec<UnitSum>,
    /// The metrics in the order of the request.
    pub metrics: Vec<MetricNeed>,
    /// The spans that lie in the requested dates, clipped to them, in order of time and disjoint.
    pub spans: Vec<Span>,
    /// The first instant of the first cohort date.
    pub exposed_from: Micros,
    /// The first instant whose events may count: earlier by the days of a covariate.
    pub events_from: Micros,
    /// The first instant after the last window.
    pub events_to: Micros,
    /// The metric window in days.
    pub window_days: u16,
    /// The metric window.
    pub window: Micros,
    /// How long before exposure events count for covariates; 0 where no metric has one.
    pub before: Micros,
    /// The earliest instant at which the experiment may have assigned a unit.
    pub assigning_since: Micros,
}

/// A fact, and what is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactNeed {
    /// The fact.
    pub fact: Fact,
    /// The columns with values in use, in order.
    pub columns: Vec<String>,
}

/// A field that every event of a type should carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Place in [`Needs::events`], or behind them in [`Needs::facts`].
    pub event: usize,
    /// Place in [`Needs::fields`], or behind them among the columns of facts.
    pub field: usize,
}

/// One sum per unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UnitSum {
    /// Place in [`Needs::events`], or behind them in [`Needs::facts`], for what happens inside the window; for what happens before
    /// exposure [`Needs::inside`] places further. So an event is one or the other, and whatever comes after need not know which.
    pub event: usize,
    /// What each event adds.
    pub adds: Adds,
}

/// What an event adds to a sum; the numbers are places in [`Needs::fields`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Adds {
    /// One.
    One,
    /// The field's number.
    Number(usize),
    /// One where the field's number exceeds the threshold.
    OneAbove(usize, f64),
}

/// A metric as places in [`Needs::sums`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricNeed {
    /// Its name.
    pub name: String,
    /// The sum above the line.
    pub numerator: usize,
    /// The sum below the line; a mean has none.
    pub denominator: Option<usize>,
}

/// Exposures in `from..to` belong to `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The epoch's number.
    pub epoch: i64,
    /// The first instant that counts.
    pub from: Micros,
    /// The first instant that counts no more.
    pub to: Micros,
}

impl Needs {
    /// The merged needs of a request, or why it cannot be met.
    pub(crate) fn of(request: &CohortRequest<'_>) -> Result<Self, WarehouseError> {
        let bad = |reason: String| WarehouseError::BadRequest { experiment: request.experiment.name.clone(), reason };
        if request.from > request.to {
            return Err(bad(format!("the first date {} lies after the last, {}", request.from, request.to)));
        }
        if request.metrics.is_empty() {
            return Err(bad("it names no metric".to_owned()));
        }
        if request.window_days == 0 {
            return Err(bad("a window of 0 days holds no event".to_owned()));
        }
        if let Some(other) = request.metrics.iter().find(|m| m.window_days != request.window_days) {
            let (name, days, window) = (&other.name, other.window_days, request.window_days);
            return Err(bad(format!("metric {name:?} has a window of {days} days among metrics of {window} days")));
        }
        let before = days_before(request).map_err(bad)?;
        let (exposed_from, exposed_to) = (micros(request.exposed_from()), micros(request.exposed_to()));
        let spans = clipped_spans(request, exposed_from, exposed_to).map_err(bad)?;
        let first_span = request.spans.iter().map(|span| micros(span.from)).min().unwrap_or(exposed_from);
        let start = request.experiment.start_at.map_or(first_span, micros);
        let mut needs = Needs {
            experiment: request.experiment.name.clone(),
            experiment_id: request.experiment.id.0,
            variants: request.experiment.variants.iter().map(|variant| variant.id.0).collect(),
            unit_type: request.experiment.unit_type.clone(),
            exposed_by: request.exposed_by,
            events: Vec::new(),
            fields: Vec::new(),
            facts: Vec::new(),
            readings: Vec::new(),
            sums: Vec::new(),
            metrics: Vec::new(),
            spans,
            exposed_from,
            events_from: exposed_from - before,
            events_to: micros(request.events_to()),
            window_days: request.window_days,
            window: length(request.window()),
            before,
            assigning_since: start.min(first_span),
        };
        needs.name_events_and_fields(request);
        for metric in &request.metrics {
            let unfrozen = || {
                let freeze = "`rampkeeper freeze-thresholds` takes it from the days before";
                bad(format!("metric {:?} has no threshold yet; {freeze}", metric.name))
            };
            let Some(numerator) = metric.numerator() else {
                return Err(bad(format!(
                    "metric {:?} is made from aggregates, and this warehouse has events",
                    metric.name
                )));
            };
            let (above, below) = metric.counts_before();
            let numerator = needs.sum(numerator, above).ok_or_else(unfrozen)?;
            let denominator = metric.denominator().map(|measure| needs.sum(measure, below).ok_or_else(unfrozen));
            let denominator = denominator.transpose()?;
            needs.metrics.push(MetricNeed { name: metric.name.clone(), numerator, denominator });
        }
        Ok(needs)
    }

    /// The epoch that an exposure at that instant belongs to, if it is in one of the cohorts asked for.
    pub(crate) fn epoch_at(&self, instant: Micros) -> Option<i64> {
        Some(self.spans.iter().find(|span| (span.from..span.to).contains(&instant))?.epoch)
    }

    /// Whether an exposure on that day, counted from 1970, may belong to a cohort asked for.
    pub(crate) fn has_cohort_on(&self, day: i64) -> bool {
        let begin = day * DAY;
        self.spans.iter().any(|span| span.from < begin + DAY && begin < span.to)
    }

    /// The first instant after the windows of all units exposed on the same UTC date as that instant.
    pub(crate) fn closes_at(&self, instant: Micros) -> Micros {
        next_midnight(instant) + self.window
    }

    /// The place of a fact's first column, behind the fields of events and the columns of the facts before it.
    pub(crate) fn first_column(&self, fact: usize) -> usize {
        self.fields.len() + self.facts[..fact].iter().map(|fact| fact.columns.len()).sum::<usize>()
    }

    /// The same, where there is no SQL to run a fact in.
    pub(crate) fn of_events_alone(request: &CohortRequest<'_>, warehouse: &str) -> Result<Self, WarehouseError> {
        let needs = Self::of(request)?;
        match needs.facts.first() {
            None => Ok(needs),
            Some(need) => Err(WarehouseError::BadRequest {
                experiment: needs.experiment,
                reason: format!("{warehouse} runs no SQL, so it has no fact {}", need.fact.name),
            }),
        }
    }

    /// How many places events, and facts behind them, have inside windows. The same have as many more before exposure, in the same order.
    pub(crate) fn inside(&self) -> usize {
        self.events.len() + self.facts.len()
    }

    /// Sorted names first, so that equal requests make equal queries whatever the order of their metrics.
    fn name_events_and_fields(&mut self, request: &CohortRequest<'_>) {
        let measures = || request.metrics.iter().flat_map(|metric| metric.measures());
        for measure in measures() {
            let field = measure.value.field().cloned();
            match &measure.of {
                Rows::Event(event) => {
                    self.events.push(event.clone());
                    self.fields.extend(field);
                }
                Rows::Fact(fact) => self.name_fact(fact, field),
            }
        }
        self.events.sort();
        self.events.dedup();
        self.fields.sort();
        self.fields.dedup();
        self.facts.sort_by(|a, b| a.fact.cmp(&b.fact));
        for fact in &mut self.facts {
            fact.columns.sort();
            fact.columns.dedup();
        }
    }

    fn name_fact(&mut self, fact: &Fact, column: Option<Field>) {
        let place = self.facts.iter().position(|known| known.fact == *fact).unwrap_or_else(|| {
            self.facts.push(FactNeed { fact: fact.clone(), columns: Vec::new() });
            self.facts.len() - 1
        });
        self.facts[place].columns.extend(column.map(|column| column.key));
    }

    /// The place of a measure's sum inside the window or before exposure, added if it is new. There is none of what has no
    /// threshold yet.
    fn sum(&mut self, measure: &Measure, before: bool) -> Option<usize> {
        let (event, of_fact) = match &measure.of {
            Rows::Event(event) => (self.events.partition_point(|name| name < event), None),
            Rows::Fact(fact) => {
                let place = self.facts.partition_point(|known| known.fact < *fact);
                (self.events.len() + place, Some((self.first_column(place), &self.facts[place].columns)))
            }
        };
        let mut place_of = |field: &Field| {
            let field = match of_fact {
                None => self.fields.partition_point(|known| known < field),
                Some((first, columns)) => first + columns.partition_point(|known| *known < field.key),
            };
            let reading = Reading { event, field };
            if !self.readings.contains(&reading) {
                self.readings.push(reading);
            }
            field
        };
        let adds = match &measure.value {
            Value::Count => Adds::One,
            Value::Sum(field) => Adds::Number(place_of(field)),
            Value::CountAbove(field, threshold) => Adds::OneAbove(place_of(field), *threshold),
            Value::CountUnfrozen(_) => return None,
        };
        let sum = UnitSum { event: if before { self.inside() + event } else { event }, adds };
        Some(self.sums.iter().position(|known| *known == sum).unwrap_or_else(|| {
            self.sums.push(sum);
            self.sums.len() - 1
        }))
    }
}

/// How long before exposure the request's metrics count events. One length for all, so that an event is either inside the
/// window, or before, or neither.
fn days_before(request: &CohortRequest<'_>) -> Result<Micros, String> {
    let mut lengths = request.metrics.iter().filter_map(|metric| Some((metric, metric.days_before()?)));
    let Some((_, days)) = lengths.next() else { return Ok(0) };
    match lengths.find(|(_, other)| *other != days) {
        Some((metric, other)) => {
            let name = &metric.name;
            Err(format!("metric {name:?} counts events of {other} days before exposure among metrics of {days} days"))
        }
        None => Ok(i64::from(days) * DAY),
    }
}

/// The request's spans within the requested dates, in order; overlapping ones would count a unit twice.
fn clipped_spans(request: &CohortRequest<'_>, first: Micros, end: Micros) -> Result<Vec<Span>, String> {
    let mut spans: Vec<Span> = request
        .spans
        .iter()
        .map(|span| Span { epoch: span.epoch, from: micros(span.from).max(first), to: micros(span.to).min(end) })
        .filter(|span| span.from < span.to)
        .collect();
    spans.sort_by_key(|span| span.from);
    match spans.windows(2).find(|pair| pair[0].to > pair[1].from) {
        Some(pair) => Err(format!("the spans of epochs {} and {} overlap", pair[0].epoch, pair[1].epoch)),
        None => Ok(spans),
    }
}
