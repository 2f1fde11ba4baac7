//! What the assignments told so far of each request's units, and the cohorts that are opened from it.

use std::collections::HashMap;

use sqlx::types::Uuid;

use super::arms::Arms;
use super::assignments::{Assigned, Assignment, Fault};
use super::pass::Request;
use crate::warehouse::instants::DAY;
use crate::warehouse::open::{Open, Program};

/// What the assignments told so far.
pub(super) struct Noted<'a> {
    requests: &'a [Request<'a>],
    window: i64,
    /// The experiments of the requests, each once.
    pub(super) experiments: Vec<Uuid>,
    /// The requests of each experiment.
    places: Vec<Vec<usize>>,
    /// Per request.
    arms: Vec<Arms>,
    /// Per request, what is wrong with its assignments.
    pub(super) faults: Vec<Option<Fault>>,
    /// The last day whose cohorts were opened.
    opened: i64,
}

impl<'a> Noted<'a> {
    pub(super) fn new(requests: &'a [Request<'a>], window: i64) -> Self {
        let mut experiments: Vec<Uuid> = Vec::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        let mut known: HashMap<Uuid, usize> = HashMap::new();
        for (place, request) in requests.iter().enumerate() {
            let key = request.needs.experiment_id;
            let experiment = *known.entry(key).or_insert_with(|| {
                experiments.push(key);
                places.push(Vec::new());
                experiments.len() - 1
            });
            places[experiment].push(place);
        }
        Self {
            requests,
            window,
            experiments,
            places,
            arms: requests.iter().map(|request| Arms::new(request.needs)).collect(),
            faults: requests.iter().map(|_| None).collect(),
            opened: i64::MIN,
        }
    }

    /// Makes room for what will be noted.
    pub(super) fn make_room<'b>(&mut self, assigned: impl Iterator<Item = &'b Assigned>) {
        let mut units = vec![0; self.places.len()];
        assigned.flat_map(|assigned| &assigned.rows).for_each(|row| units[row.experiment as usize] += 1);
        for (places, units) in self.places.iter().zip(units) {
            places.iter().for_each(|place| self.arms[*place].make_room(units));
        }
    }

    /// Notes assignments that lie in the partition of that day.
    pub(super) fn note(&mut self, day: i64, assigned: Assigned) {
        for Assignment { experiment, unit, variant, at } in assigned.rows {
            let made_on = at.div_euclid(DAY);
            for place in &self.places[experiment as usize] {
                let request = &self.requests[*place];
                if request.reads_assignments_of(day, self.window) {
                    let arms = &mut self.arms[*place];
                    let variant = arms.variant(variant);
                    arms.add(unit, (at, variant), made_on > self.opened && request.has_cohort_on(made_on));
                }
            }
        }
        for (experiment, fault) in assigned.faults {
            for place in &self.places[experiment as usize] {
                if self.requests[*place].reads_assignments_of(day, self.window) {
                    self.faults[*place].get_or_insert_with(|| fault.clone());
                }
            }
        }
    }

    /// Opens the cohorts of a day.
    pub(super) fn open(&mut self, day: i64, programs: &[Program], open: &mut Open) {
        open.begin(day);
        for (place, request) in self.requests.iter().enumerate().filter(|(_, request)| request.has_cohort_on(day)) {
            let told = self.arms[place].tell(day, request.needs);
            let variants: Vec<String> =
                self.arms[place].variants.iter().map(|key| Uuid::from_u128(*key).to_string()).collect();
            open.add(place, request.needs, &programs[place], &told, &variants);
        }
        self.opened = day;
    }
}
