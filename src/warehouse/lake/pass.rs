//! One pass over the days of a lake, for the requests of many experiments at once.
//!
//! The days are read in order. A cohort is told from the assignments up to the end of its window, then its units' events
//! are added up day by day, and when the window has closed its moments are taken and its units forgotten. So a cohort is
//! the same whatever else is read with it, and memory follows the units of the open days, not the length of the history.

use std::collections::BTreeMap;

use super::ahead::ahead;
use super::assignments::{Assigned, Sought};
use super::days::Days;
use super::events::Reader;
use super::few::Few;
use super::files::Folders;
use super::groups::{Group, groups_of};
use super::noted::Noted;
use crate::domain::ExposedBy;
use crate::warehouse::Collected;
use crate::warehouse::cohort_rows::CohortRow;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::DAY;
use crate::warehouse::needs::Needs;
use crate::warehouse::open::ids::Keys;
use crate::warehouse::open::{Events, Open, Program, Reads};

/// How many rows may be decoded ahead.
pub(super) const ROWS_AHEAD: usize = 400_000;

/// The same of a short range, which has little else in memory and whose turns are less even.
const ROWS_AHEAD_OF_FEW_DAYS: usize = 800_000;

/// Assignments of which only a few units are looked for leave next to nothing behind: so many weigh as much as one row.
const GLANCES: usize = 8;

/// A range of at most that many windows is short: of the days before it only the units in it are looked for.
const SHORT: i64 = 4;

type Answer = Result<Collected, WarehouseError>;

/// What requests must share to be read together: the window, how long before exposure events count, and the source of
/// exposures.
type Shared = (u16, i64, Option<String>);

/// Answers all requests, each for itself.
pub(super) fn collect_many(folders: &Folders, requests: Vec<Result<Needs, WarehouseError>>) -> Vec<Answer> {
    let mut groups: BTreeMap<Shared, Vec<(usize, Needs)>> = BTreeMap::new();
    let mut answers: Vec<(usize, Answer)> = Vec::with_capacity(requests.len());
    for (place, needs) in requests.into_iter().enumerate() {
        match needs {
            Ok(needs) => {
                groups.entry((needs.window_days, needs.before, carried_by(&needs))).or_default().push((place, needs))
            }
            Err(error) => answers.push((place, Err(error))),
        }
    }
    for group in groups.into_values() {
        let (places, needs): (Vec<usize>, Vec<Needs>) = group.into_iter().unzip();
        let needs: Vec<&Needs> = needs.iter().collect();
        answers.extend(places.into_iter().zip(together(folders, &needs)));
    }
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The type of units whose events say what they met; none where assignments say it.
fn carried_by(needs: &Needs) -> Option<String> {
    (needs.exposed_by == ExposedBy::Event).then(|| needs.unit_type.clone())
}

/// Requests of one window and source. Where the pass fails for all, each is tried alone, so that only whom it concerns is hurt.
fn together(folders: &Folders, requests: &[&Needs]) -> Vec<Answer> {
    match Pass::new(folders, requests).and_then(Pass::run) {
        Ok(rows) => rows
            .into_iter()
            .zip(requests)
            .map(|(rows, needs)| rows.and_then(|rows| Collected::from_rows(needs, rows)))
            .collect(),
        Err(error) => match requests {
            [_] => vec![Err(error)],
            [_, rest @ ..] if error.is_outage() => {
                let others: Vec<Answer> = rest.iter().map(|_| Err(error.of_another("the lake"))).collect();
                [Err(error)].into_iter().chain(others).collect()
            }
            _ => requests.iter().flat_map(|needs| together(folders, &[needs])).collect(),
        },
    }
}

pub(super) struct Pass<'a> {
    keys: Keys,
    /// See [`carried_by`].
    pub(super) carried_by: Option<String>,
    requests: Vec<Request<'a>>,
    pub(super) days: Days<'a>,
    pub(super) window: i64,
    /// The days before exposure whose events count.
    before: i64,
}

/// A request and what it wants of the days, counted from 1970.
pub(super) struct Request<'a> {
    pub(super) needs: &'a Needs,
    /// The first and the last cohort date; none if no exposure may count.
    pub(super) cohorts: Option<(i64, i64)>,
    /// The first day of assignments.
    pub(super) since: i64,
    fault: Option<WarehouseError>,
}

/// What is read, in order.
#[derive(Clone, Copy)]
enum Task<'a> {
    Assignments(Group<'a>),
    Events(Group<'a>),
}

enum Read {
    Assignments(Assigned),
    Events(Events),
}

/// What is done, in order.
enum Turn {
    /// That day's assignments are noted: those held already, and so many row groups.
    Assignments { day: i64, groups: usize },
    /// The cohorts are opened for which that day is the first to be read, so many row groups of its events counted, and the
    /// cohorts whose window ends with it closed.
    Events { day: i64, groups: usize },
}

impl<'a> Request<'a> {
    fn of(needs: &'a Needs) -> Self {
        let begin = needs.spans.iter().map(|span| span.from.div_euclid(DAY)).min();
        let end = needs.spans.iter().map(|span| (span.to - 1).div_euclid(DAY)).max();
        let cohorts = begin.zip(end);
        let since = needs.assigning_since.div_euclid(DAY);
        Self { needs, cohorts, since: cohorts.map_or(since, |(first, _)| since.min(first)), fault: None }
    }

    pub(super) fn has_cohort_on(&self, day: i64) -> bool {
        self.fault.is_none() && self.cohorts.is_some_and(|(first, last)| (first..=last).contains(&day))
    }

    pub(super) fn reads_assignments_of(&self, day: i64, window: i64) -> bool {
        self.fault.is_none() && self.cohorts.is_some_and(|(_, last)| (self.since..=last + window).contains(&day))
    }

    /// The days before exposure whose events count.
    pub(super) fn before(&self) -> i64 {
        self.needs.before / DAY
    }

    /// Whether a window reaches into that day.
    pub(super) fn reads_windows_on(&self, day: i64, window: i64) -> bool {
        self.fault.is_none() && (day - window..=day).any(|day| self.needs.has_cohort_on(day))
    }

    /// Whether that day is read for what happened before exposure alone.
    pub(super) fn reads_events_before_on(&self, day: i64, window: i64) -> bool {
        self.reads_events_of(day, window) && !self.reads_windows_on(day, window)
    }

    fn reads_events_of(&self, day: i64, window: i64) -> bool {
        let cohorts = day - window..=day + self.before();
        self.fault.is_none() && cohorts.into_iter().any(|day| self.needs.has_cohort_on(day))
    }
}

impl<'a> Pass<'a> {
    fn new(folders: &'a Folders, requests: &[&'a Needs]) -> Result<Self, WarehouseError> {
        let window = requests.first().map_or(1, |needs| i64::from(needs.window_days));
        let before = requests.first().map_or(0, |needs| needs.before / DAY);
        let carried_by = requests.first().and_then(|needs| carried_by(needs));
        let mut days = Days::of(folders, carried_by.as_deref())?;
        let mut requests: Vec<Request<'_>> = requests.iter().map(|needs| Request::of(needs)).collect();
        for request in &mut requests {
            request.fault = days.find(request, window).err();
        }
        Ok(Self { keys: Keys::new(), carried_by, requests, days, window, before })
    }

    /// The rows of each request, or why it has none; an error where the pass as a whole broke off.
    fn run(self) -> Result<Vec<Result<Vec<CohortRow>, WarehouseError>>, WarehouseError> {
        let mut rows: Vec<Vec<CohortRow>> = self.requests.iter().map(|_| Vec::new()).collect();
        let live = || self.requests.iter().filter(|request| request.fault.is_none());
        let first = live().filter_map(|request| Some(request.cohorts?.0)).min();
        let last = live().filter_map(|request| Some(request.cohorts?.1)).max();
        let faults = match (first, last) {
            (Some(first), Some(last)) => self.read(first, last, &mut rows)?,
            _ => rows.iter().map(|_| None).collect(),
        };
        let answers = self.requests.into_iter().zip(faults).zip(rows);
        Ok(answers.map(|((request, fault), rows)| request.fault.or(fault).map_or(Ok(rows), Err)).collect())
    }

    /// Reads the days, and gives the faults that it found in them.
    fn read(
        &self,
        first: i64,
        last: i64,
        rows: &mut [Vec<CohortRow>],
    ) -> Result<Vec<Option<WarehouseError>>, WarehouseError> {
        let live = self.requests.iter().filter(|request| request.fault.is_none());
        let reads = Reads::of(live.clone().map(|request| request.needs));
        let programs: Vec<Program> = self.requests.iter().map(|request| Program::of(request.needs, &reads)).collect();
        let needs: Vec<&Needs> = self.requests.iter().map(|request| request.needs).collect();
        let earliest = live.map(|request| request.since).min().unwrap_or(first);
        let mut noted = Noted::new(&self.requests, self.window);
        let sought = Sought::new(self.keys, &noted.experiments, self.carried_by.as_deref());
        // Of a night's few days the units are read first, and then only they are looked for in the days before.
        let short = earliest < first && last - first < SHORT * self.window;
        let few = short.then(|| Few::of(self, &sought, first, last)).transpose()?;
        let (mut held, few) = few.map_or_else(Default::default, |(held, few)| (held, Some(few)));
        // Where events carry what units met, many of them tell the same.
        if self.carried_by.is_none() {
            noted.make_room(held.values().flatten());
        }
        let reader = Reader::new(self.keys, &reads, few.as_ref().map(|few| &few.exposed));
        let (tasks, turns) = self.turns(first, last, short);
        let work = |task: &Task<'_>| match task {
            Task::Assignments(group) => sought.read(group, few.as_ref().map(|few| &few.named)).map(Read::Assignments),
            Task::Events(group) => reader.read(group).map(Read::Events),
        };
        let mut open = Open::default();
        let weight = |task: &Task<'_>| match task {
            Task::Assignments(group) if short && self.carried_by.is_none() => group.rows() / GLANCES,
            Task::Assignments(group) | Task::Events(group) => group.rows(),
        };
        let limit = if short { ROWS_AHEAD_OF_FEW_DAYS } else { ROWS_AHEAD };
        ahead(&tasks, limit, weight, work, |next| {
            for turn in turns {
                match turn {
                    Turn::Assignments { day, groups } => {
                        held.remove(&day).into_iter().flatten().for_each(|assigned| noted.note(day, assigned));
                        for _ in 0..groups {
                            if let Some(Read::Assignments(assigned)) = next().transpose()? {
                                noted.note(day, assigned);
                            }
                        }
                    }
                    Turn::Events { day, groups } => {
                        if day + self.before <= last {
                            noted.open(day + self.before, &programs, &mut open);
                        }
                        open.index();
                        for _ in 0..groups {
                            if let Some(Read::Events(events)) = next().transpose()? {
                                open.count(&events, &programs);
                            }
                        }
                        if day >= first + self.window {
                            open.close(&needs).into_iter().for_each(|(place, row)| rows[place].push(row));
                        }
                    }
                }
            }
            Ok(noted.faults.into_iter().map(|fault| fault.map(WarehouseError::from)).collect())
        })
    }

    pub(super) fn assignments_of(&self, day: i64) -> impl Iterator<Item = Group<'_>> {
        let anybody = self.requests.iter().any(|request| request.reads_assignments_of(day, self.window));
        let day = self.days.assignments.get(&day).and_then(Option::as_ref).filter(|_| anybody);
        day.into_iter().flat_map(groups_of)
    }

    fn events_of(&self, day: i64) -> impl Iterator<Item = Group<'_>> {
        let anybody = self.requests.iter().any(|request| request.reads_events_of(day, self.window));
        let day = self.days.events.get(&day).and_then(Option::as_ref).filter(|_| anybody);
        day.into_iter().flat_map(groups_of)
    }

    /// What is read and what is done: a day's cohorts are opened once the assignments up to the end of their window are
    /// noted, and then their events are read from the first that counts. Assignments from `first` on may be held already.
    fn turns(&self, first: i64, last: i64, held: bool) -> (Vec<Task<'_>>, Vec<Turn>) {
        let (mut tasks, mut turns) = (Vec::new(), Vec::new());
        let earlier = self.days.assignments.range(..first).map(|(day, _)| *day);
        for day in earlier.chain(first..=last + self.window) {
            let held = held && day >= first;
            let groups: Vec<Group<'_>> = if held { Vec::new() } else { self.assignments_of(day).collect() };
            turns.push(Turn::Assignments { day, groups: groups.len() });
            tasks.extend(groups.into_iter().map(Task::Assignments));
            let opens = day - self.window;
            if opens >= first {
                self.count(opens - self.before, &mut tasks, &mut turns);
            }
        }
        for day in last + 1 - self.before..=last + self.window {
            self.count(day, &mut tasks, &mut turns);
        }
        (tasks, turns)
    }

    fn count<'b>(&'b self, day: i64, tasks: &mut Vec<Task<'b>>, turns: &mut Vec<Turn>) {
        let before = tasks.len();
        tasks.extend(self.events_of(day).map(Task::Events));
        turns.push(Turn::Events { day, groups: tasks.len() - before });
    }
}
