//! Asking ahead: what many experiments want of the warehouse is asked for together, before the first of them is judged.
//!
//! A warehouse may then read the events of a day once for all. Nothing depends on it: whatever is not answered here is
//! asked when the experiment's turn comes, and each answer stands for itself, so that one cannot spoil another.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Night;
use super::days::Days;
use super::error::NightError;
use super::stored::Stored;
use crate::control::{ExperimentRecord, observe_epochs};
use crate::domain::{CohortRequest, EpochSpan, ExperimentId, ExperimentStatus, ExposedBy, exposure_spans};
use crate::evidence::MetricSet;
use crate::warehouse::{Collected, WarehouseError};

/// How many moments are held at most: rows of some 150 bytes.
const MOMENTS: usize = 250_000;

/// What the warehouse answered beforehand.
#[derive(Default)]
pub(super) struct Ahead {
    answers: Vec<Answer>,
    /// How many experiments it was asked for.
    pub(super) experiments: usize,
}

struct Answer {
    wish: Wish,
    collected: Result<Collected, WarehouseError>,
}

/// The cohorts of an experiment that are wanted of one set of metrics.
struct Wish {
    /// The experiment's place among those that are asked for.
    place: usize,
    experiment: ExperimentId,
    set: Arc<MetricSet>,
    from: Date,
    to: Date,
    exposed_by: ExposedBy,
    spans: Vec<EpochSpan>,
}

impl Ahead {
    /// What was answered for the cohorts of those dates, if it was; there may be further dates in it.
    pub(super) fn answer(
        &self,
        request: &CohortRequest<'_>,
        set: &MetricSet,
    ) -> Option<&Result<Collected, WarehouseError>> {
        let found = self.answers.iter().find(|Answer { wish, collected }| {
            wish.experiment == request.experiment.id
                && wish.set.digest == set.digest
                && wish.exposed_by == request.exposed_by
                && wish.from <= request.from
                && request.to <= wish.to
                && clipped(&wish.spans, request) == clipped(&request.spans, request)
                // What failed for more dates may go well for fewer.
                && (collected.is_ok() || (wish.from, wish.to) == (request.from, request.to))
        });
        found.map(|answer| &answer.collected)
    }
}

/// The parts of spans that lie in the dates of a request.
fn clipped(spans: &[EpochSpan], request: &CohortRequest<'_>) -> Vec<EpochSpan> {
    let (begin, end) = (request.exposed_from(), request.exposed_to());
    let clip = |span: &EpochSpan| EpochSpan { epoch: span.epoch, from: span.from.max(begin), to: span.to.min(end) };
    spans.iter().map(clip).filter(|span| span.from < span.to).collect()
}

impl Night<'_> {
    /// Asks for the first of these experiments together, as many as fit into memory; at least one.
    pub(super) async fn ask_ahead(
        &self,
        records: &[ExperimentRecord],
        stored: &Stored<'_>,
        days: &mut Days<'_>,
    ) -> Result<Ahead, NightError> {
        let mut wishes: Vec<Wish> = Vec::new();
        let mut moments = 0;
        let mut experiments = 0;
        for (place, record) in records.iter().enumerate() {
            let wanted = self.wishes(place, record, stored, days).await?;
            moments += wanted.iter().map(|wish| wish.moments(record)).sum::<usize>();
            if moments > MOMENTS && experiments > 0 {
                break;
            }
            wishes.extend(wanted);
            experiments += 1;
        }
        // Alone it is asked as well when its turn comes.
        if wishes.len() < 2 {
            return Ok(Ahead { answers: Vec::new(), experiments });
        }
        let requests: Vec<CohortRequest<'_>> = wishes.iter().map(|wish| wish.request(&records[wish.place])).collect();
        let answers = self.warehouse.collect_many(&requests).await;
        drop(requests);
        let answers = wishes.into_iter().zip(answers).map(|(wish, collected)| Answer { wish, collected });
        // An outage ends the night, so it is made sure of.
        let outage = |answer: &Answer| matches!(&answer.collected, Err(error) if error.is_outage());
        Ok(Ahead { answers: answers.filter(|answer| !outage(answer)).collect(), experiments })
    }

    /// What an experiment will want tonight, as far as that can be told before its turn.
    async fn wishes(
        &self,
        place: usize,
        record: &ExperimentRecord,
        stored: &Stored<'_>,
        days: &mut Days<'_>,
    ) -> Result<Vec<Wish>, NightError> {
        let experiment = &record.experiment;
        let mut epochs = record.epochs.clone();
        if let Some(new) = observe_epochs(record, self.now) {
            new.append_to(&mut epochs);
        }
        let Some(first) = epochs.first() else { return Ok(Vec::new()) };
        let first_date = first.started_at.to_zoned(TimeZone::UTC).date();
        let mut wishes = Vec::new();
        if experiment.status != ExperimentStatus::Active {
            return Ok(wishes);
        }
        for set in stored.sets_of(experiment.id).iter().map(Arc::clone) {
            let closed = stored.closed_through(experiment.id, &set);
            let from = closed.map_or(first_date, |through| through.saturating_add(1.days()));
            let new = self.closable(&set, from, days).await?.map(|through| (from, through));
            let again = closed.and_then(|through| days.touched(&set, first_date, through));
            // Both are closed dates and lie next to each other, or nearly so.
            let Some((from, to)) = [new, again].into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            else {
                continue;
            };
            let exposed_by = self.config.exposed_by(&experiment.name);
            let mut wish = Wish { place, experiment: experiment.id, set, from, to, exposed_by, spans: Vec::new() };
            wish.spans = exposure_spans(&epochs, self.settling_time(), wish.request(record).exposed_to());
            wishes.push(wish);
        }
        Ok(wishes)
    }
}

impl Wish {
    fn request<'a>(&'a self, record: &'a ExperimentRecord) -> CohortRequest<'a> {
        CohortRequest {
            experiment: &record.experiment,
            metrics: self.set.metrics.iter().collect(),
            window_days: self.set.window_days,
            from: self.from,
            to: self.to,
            exposed_by: self.exposed_by,
            spans: self.spans.clone(),
        }
    }

    /// About how many moments the answer has.
    fn moments(&self, record: &ExperimentRecord) -> usize {
        let days = (self.to - self.from).get_days().unsigned_abs() as usize + 1;
        days * record.experiment.variants.len() * self.set.metrics.len()
    }
}
