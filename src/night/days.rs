//! The events' day partitions: each is looked at until it is complete, and never again.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::error::NightError;
use crate::apply::chain;
use crate::config::Config;
use crate::control::ControlStore;
use crate::evidence::{Day, DayState, judge_day};
use crate::warehouse::{Warehouse, WarehouseError};

/// What is known of the day partitions.
pub(super) struct Days<'a> {
    warehouse: &'a dyn Warehouse,
    control: &'a ControlStore,
    accepted: &'a [Date],
    save: bool,
    complete: BTreeMap<Date, Day>,
    incomplete: BTreeMap<Date, DayState>,
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
        Ok(Days { warehouse, control, accepted, save, complete, incomplete: BTreeMap::new() })
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
            Ok(partition) => partition.map(|p| Day { date, rows: p.rows, latest_event_at: p.latest_event_at }),
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
