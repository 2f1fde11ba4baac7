//! The units of a short range of days. They are read first, so that of all other days only they are looked for.

use std::collections::BTreeMap;

use super::ahead::ahead;
use super::assignments::{Assigned, Sought};
use super::groups::Group;
use super::pass::{Pass, ROWS_AHEAD};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::DAY;
use crate::warehouse::open::sets::Sieve;

/// How many events carry what one assignment says.
const TELLINGS: usize = 8;

/// The assignments of each day, as far as they are read and not noted yet.
pub(super) type Held = BTreeMap<i64, Vec<Assigned>>;

/// The units of a short range.
pub(super) struct Few {
    /// Those of all assignments that its cohorts are told from: a second variant may spoil a unit.
    pub(super) named: Sieve,
    /// Those that were exposed on one of its days: no other can be in its cohorts.
    pub(super) exposed: Sieve,
}

impl Few {
    /// Reads the assignments that the cohorts of those days are told from. What lies in the partitions from `first` on is
    /// held; those before may hold a row of these days, too, and are only looked at.
    pub(super) fn of(pass: &Pass<'_>, sought: &Sought, first: i64, last: i64) -> Result<(Held, Self), WarehouseError> {
        let (since, until) = (first * DAY, (last + 1) * DAY);
        let earlier = pass.days.assignments.range(..first).map(|(day, _)| *day);
        let groups: Vec<(i64, Group<'_>)> = earlier
            .chain(first..=last + pass.window)
            .flat_map(|day| pass.assignments_of(day).map(move |group| (day, group)))
            .filter(|(day, group)| *day >= first || group.may_reach(sought.instants(), since))
            .collect();
        let rows: usize = groups.iter().filter(|(day, _)| *day >= first).map(|(_, group)| group.rows()).sum();
        let units = if pass.carried_by.is_some() { rows / TELLINGS } else { rows };
        let mut few = Self { named: Sieve::with_room(units), exposed: Sieve::with_room(units) };
        let mut held = Held::new();
        let weight = |(_, group): &(i64, Group<'_>)| group.rows();
        let work = |(day, group): &(i64, Group<'_>)| (*day, sought.read(group, None));
        ahead(&groups, ROWS_AHEAD, weight, work, |next| {
            while let Some((day, assigned)) = next() {
                let assigned = assigned?;
                for row in assigned.rows.iter().filter(|row| day >= first || row.at >= since) {
                    few.named.add(row.unit);
                    if (since..until).contains(&row.at) {
                        few.exposed.add(row.unit);
                    }
                }
                if day >= first {
                    held.entry(day).or_default().push(assigned);
                }
            }
            Ok((held, few))
        })
    }
}
