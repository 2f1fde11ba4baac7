//! The day partitions that a pass reads: found, and held against what the requests need of them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::assignments;
use super::columns::{Wanted, check};
use super::events;
use super::files::{Day, Folders, Table, broken};
use super::pass::Request;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{DAY, date_of, midnight};

/// The day partitions that a pass reads; none where there is none.
pub(super) struct Days<'a> {
    folders: &'a Folders,
    /// The table that says what units met, and what it must have.
    source: Table,
    exposing: Vec<Wanted>,
    /// The days of that table that have a folder.
    listed: Vec<i64>,
    pub(super) events: BTreeMap<i64, Option<Day>>,
    pub(super) assignments: BTreeMap<i64, Option<Day>>,
    /// Days of assignments whose columns are what they should be.
    checked: BTreeSet<i64>,
}

impl<'a> Days<'a> {
    pub(super) fn of(folders: &'a Folders, carried_by: Option<&str>) -> Result<Self, WarehouseError> {
        let (source, exposing) = match carried_by {
            None => (Table::Assignments, assignments::wanted().to_vec()),
            Some(unit_type) => (Table::Events, assignments::carrying(unit_type)),
        };
        let listed = folders.dates(source)?.into_iter().map(|date| midnight(date).div_euclid(DAY));
        let (events, assignments) = (BTreeMap::new(), BTreeMap::new());
        let listed = listed.collect();
        Ok(Self { folders, source, exposing, listed, events, assignments, checked: BTreeSet::new() })
    }

    /// Finds the days that a request reads, and refuses those that it cannot be met from.
    pub(super) fn find(&mut self, request: &Request<'_>, window: i64) -> Result<(), WarehouseError> {
        let Some((first, last)) = request.cohorts else { return Ok(()) };
        let wanted = events::wanted(request.needs);
        let before = request.before();
        if before > 0 {
            let wanted = events::wanted_before(request.needs);
            for day in (first - before..=last).filter(|day| request.reads_events_before_on(*day, window)) {
                // Nothing is known of a unit before its past was written, and that is the same in every arm.
                if let Some(found) = look(self.folders, &mut self.events, Table::Events, day)? {
                    check(found, &wanted)?;
                }
            }
        }
        for day in (first..=last + window).filter(|day| request.reads_windows_on(*day, window)) {
            // A day without any events would count as a day of zeros: missing is not zero.
            let reason = "there are no events, though the windows reach into that day";
            let found = look(self.folders, &mut self.events, Table::Events, day)?;
            check(found.ok_or_else(|| absent(self.folders, Table::Events, day, reason))?, &wanted)?;
        }
        let earlier: Vec<i64> =
            self.listed.iter().copied().filter(|day| (request.since..first).contains(day)).collect();
        for day in earlier.into_iter().chain(first..=last + window) {
            let found = look(self.folders, &mut self.assignments, self.source, day)?;
            // A cohort date without assignments beside a day with events is a fault of the lake, not a day without
            // units. Other days may be absent: they only serve to find units that met another variant.
            if found.is_none() && request.needs.has_cohort_on(day) {
                let reason = "there are no exposures for a date that has events";
                return Err(absent(self.folders, self.source, day, reason));
            }
            if let Some(found) = found
                && !self.checked.contains(&day)
            {
                check(found, &self.exposing)?;
                self.checked.insert(day);
            }
        }
        Ok(())
    }
}

/// The day's partition, looked for once.
fn look<'d>(
    folders: &Folders,
    known: &'d mut BTreeMap<i64, Option<Day>>,
    table: Table,
    day: i64,
) -> Result<Option<&'d Day>, WarehouseError> {
    let found = match known.entry(day) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(unknown) => {
            unknown.insert(date_of(day * DAY).map(|date| folders.day(table, date)).transpose()?.flatten())
        }
    };
    Ok(found.as_ref())
}

fn absent(folders: &Folders, table: Table, day: i64, reason: &str) -> WarehouseError {
    let date = date_of(day * DAY).unwrap_or(Date::MAX);
    broken(&folders.day_folder(table, date), date, reason, None)
}
