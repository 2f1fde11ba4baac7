//! The events' day partitions: each is looked at until it is complete, and never again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::error::NightError;
use super::restate::{RestatedDay, touched_by};
use crate::apply::chain;
use crate::config::{Config, RestatementWord};
use crate::control::ControlStore;
use crate::domain::FieldRoot;
use crate::evidence::{Day, DayState, MetricSet, judge_day};
use crate::warehouse::{Warehouse, WarehouseError};

/// What is known of the day partitions.
pub(super) struct Days<'a> {
    warehouse: &'a dyn Warehouse,
    control: &'a ControlStore,
    accepted: &'a [Date],
    /// The JSON columns that checksums are taken of; none where days are only counted.
    checked: Option<Vec<FieldRoot>>,
    save: bool,
    complete: BTreeMap<Date, Day>,
    incomplete: BTreeMap<Date, DayState>,
    restated: Vec<RestatedDay>,
    unread: BTreeSet<Date>,
}

impl<'a> Days<'a> {
    /// With what earlier nights found complete. `save` keeps what this one finds.
    pub(super) async fn new(
        warehouse: &'a dyn Warehouse,
        control: &'a ControlStore,
        config: &'a Config,
        as_of: Date,
        save: bool,
    ) -> Result<Days<'a>, NightError> {
        // As far back as an experiment may reach that is caught up for the first time.
        let since = as_of.checked_sub(400.days()).unwrap_or(Date::MIN);
        let complete = control.load_days(since).await?;
        let accepted = &config.settings.evidence.accept_days;
        Ok(Days {
            warehouse,
            control,
            accepted,
            checked: checked(config),
            save,
            complete,
            incomplete: BTreeMap::new(),
            restated: Vec::new(),
            unread: BTreeSet::new(),
        })
    }

    /// Looks at every day of `from..=to` that is not known yet, in order, since a day's size is judged by earlier ones.
    pub(super) async fn look_at(&mut self, from: Date, to: Date) -> Result<(), NightError> {
        for date in from.series(1.days()).take_while(|date| *date <= to) {
            if !self.complete.contains_key(&date) && !self.incomplete.contains_key(&date) {
                self.look_at_one(date).await?;
            }
        }
        Ok(())
    }

    async fn look_at_one(&mut self, date: Date) -> Result<(), NightError> {
        let day = match self.warehouse.partition(date).await {
            Ok(Some(found)) => {
                let content = self.content(date).await;
                Some(Day { date, rows: found.rows, latest_event_at: found.latest_event_at, content })
            }
            Ok(None) => None,
            Err(error @ WarehouseError::BrokenPartition { .. }) => {
                self.incomplete.insert(date, DayState::Broken { why: chain(&error) });
                return Ok(());
            }
            Err(source) => {
                return Err(NightError::Outage { warehouse: self.warehouse.describe(), source: Box::new(source) });
            }
        };
        let state = judge_day(date, day.as_ref(), |before| self.complete.get(&before).map(|day| day.rows));
        match day {
            // Somebody has looked at the day and takes it as it is.
            Some(day) if state.is_complete() || self.accepted.contains(&date) => {
                if self.save {
                    self.control.save_day(&day).await?;
                }
                self.complete.insert(date, day);
            }
            _ => {
                tracing::warn!(%date, "the events of {date} are {state}");
                self.incomplete.insert(date, state);
            }
        }
        Ok(())
    }

    /// Counts the `back` days before `as_of` again that were found complete earlier, and notes those that changed.
    ///
    /// A day that shrank to less than half is no restatement but a partition on its way out, or one that is written anew
    /// just now; what was read of it stands.
    pub(super) async fn count_again(&mut self, as_of: Date, back: u32) -> Result<(), NightError> {
        let since = as_of.saturating_sub(i64::from(back).days());
        let known: Vec<Day> = self.complete.range(since..as_of).map(|(_, day)| day.clone()).collect();
        for before in known {
            let date = before.date;
            let found = match self.warehouse.partition(date).await {
                Ok(found) => found,
                Err(error) if error.is_outage() => {
                    return Err(NightError::Outage { warehouse: self.warehouse.describe(), source: Box::new(error) });
                }
                Err(error) => {
                    tracing::warn!(%date, "could not count the events of {date} again: {}", chain(&error));
                    continue;
                }
            };
            let Some(now) = found else { continue };
            let content = self.content(date).await;
            let altered = before.content.is_some() && content.is_some() && before.content != content;
            let day = Day { date, rows: now.rows, latest_event_at: now.latest_event_at, content };
            if now.rows == before.rows && !altered {
                // A day that was only counted before has a checksum from now on.
                if self.save && before.content.is_none() && content.is_some() {
                    self.control.restate_day(&day).await?;
                    self.complete.insert(date, day);
                }
                continue;
            }
            if now.rows < before.rows / 2 {
                tracing::warn!(%date, "{} events of {date} are left of {}; what was read of them stands", now.rows, before.rows);
                continue;
            }
            tracing::info!(%date, "the events of {date} were restated: {} before, {} now", before.rows, now.rows);
            self.restated.push(RestatedDay { date, rows_before: before.rows, rows_now: now.rows });
            self.complete.insert(date, day);
        }
        Ok(())
    }

    /// The checksum of a day, where one is wanted. Without it the day is only counted, as ever.
    async fn content(&self, date: Date) -> Option<i64> {
        let roots = self.checked.as_ref()?;
        match self.warehouse.content(date, roots).await {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(%date, "the events of {date} are only counted: {}", chain(&error));
                None
            }
        }
    }

    /// The days that changed since they were read.
    pub(super) fn restated(&self) -> &[RestatedDay] {
        &self.restated
    }

    /// The closed cohorts of `first..=last` that the restated days touch, from the first to the last.
    pub(super) fn touched(&self, set: &MetricSet, first: Date, last: Date) -> Option<(Date, Date)> {
        let touched = self.restated.iter().filter_map(|day| touched_by(day.date, set, first, last));
        touched.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Leaves a restated day for the next night to find again.
    pub(super) fn keep_restated(&mut self, date: Date) {
        self.unread.insert(date);
    }

    /// Notes the restated days as they are now, once everything that they touch was read again.
    pub(super) async fn settle(&self) -> Result<(), NightError> {
        for restated in self.restated.iter().filter(|day| self.save && !self.unread.contains(&day.date)) {
            if let Some(day) = self.complete.get(&restated.date) {
                self.control.restate_day(day).await?;
            }
        }
        Ok(())
    }

    /// Whether that day's partition is complete.
    pub(super) fn is_complete(&self, date: Date) -> bool {
        self.complete.contains_key(&date)
    }

    /// The first day of `from..=to` whose partition is not complete.
    pub(super) fn first_incomplete(&self, from: Date, to: Date) -> Option<(Date, DayState)> {
        // An experiment that begins today has no day to look at yet.
        if from > to {
            return None;
        }
        self.incomplete.range(from..=to).next().map(|(date, state)| (*date, state.clone()))
    }
}

/// The JSON columns that the metrics read, where the configuration wants checksums.
fn checked(config: &Config) -> Option<Vec<FieldRoot>> {
    if config.settings.evidence.restatement != RestatementWord::Checksums {
        return None;
    }
    let measures = config.metrics.values().flat_map(|metric| metric.measures());
    let read = measures.filter_map(|measure| Some(measure.value.field()?.root));
    let roots: BTreeSet<FieldRoot> = read.chain([FieldRoot::Metrics]).collect();
    Some(roots.into_iter().collect())
}
