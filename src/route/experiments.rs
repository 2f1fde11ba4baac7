//! `experiments.yml` against the tables.
//!
//! A file says how an experiment begins. What it becomes is decided elsewhere: once a night knows a candidate of it, the
//! allocations in the table are the ramp's, and those in the file are what they began with.

mod served;
mod variants;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Comparison, Drift};
use crate::config::{ExperimentEntry, Fault, Policies};
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, TableChange};
use crate::domain::{ExperimentId, ExperimentStatus};

/// What the file is held against.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The tables.
    pub catalogue: &'a Catalogue,
    /// What is kept of running experiments.
    pub records: &'a [ExperimentRecord],
    /// The control's name of each experiment, and the offline gate's criteria.
    pub policies: &'a Policies,
    /// When an epoch would begin.
    pub now: Timestamp,
}

/// One experiment of the file, and where it stands there.
struct Case<'a> {
    around: Around<'a>,
    at: String,
    wanted: &'a ExperimentEntry,
    control: &'a str,
    row: Option<&'a ExperimentRow>,
    record: Option<&'a ExperimentRecord>,
    fault: &'a dyn Fn(&str, String) -> Fault,
}

/// Holds the file against the tables.
pub fn compare_experiments(
    wanted: &[ExperimentEntry],
    around: Around<'_>,
    fault: &dyn Fn(&str, String) -> Fault,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (i, entry) in wanted.iter().enumerate() {
        let row = around.catalogue.experiments.iter().find(|row| row.name == entry.name);
        let record = row.and_then(|row| around.records.iter().find(|record| record.experiment.id == row.id));
        let control = around.policies.of(&entry.name).control.as_str();
        let case = Case { around, at: format!("/experiments/{i}"), wanted: entry, control, row, record, fault };
        case.compare(&mut comparison);
    }
    for row in &around.catalogue.experiments {
        let named = wanted.iter().any(|entry| entry.name == row.name);
        if !named && row.status != ExperimentStatus::Completed {
            let detail = format!(
                "it is in the tables ({}) and not in the file; nothing is deleted: add it to the file",
                row.status.as_str()
            );
            comparison.drift.push(Drift::new(row.name.clone(), detail));
        }
    }
    comparison
}

impl Case<'_> {
    fn compare(&self, comparison: &mut Comparison) {
        let (name, wanted) = (&self.wanted.name, ExperimentStatus::from(self.wanted.status));
        if self.wanted.end_at.is_none() {
            comparison
                .warnings
                .push(format!("{name} has no end_at; an experiment without an end is never looked at again"));
        }
        match self.row {
            None => self.create(comparison, wanted),
            Some(row) if row.status == ExperimentStatus::Completed => self.completed(comparison, row, wanted),
            Some(row) => self.update(comparison, row, wanted),
        }
    }

    /// What is over is left alone.
    fn completed(&self, comparison: &mut Comparison, row: &ExperimentRow, wanted: ExperimentStatus) {
        if wanted == ExperimentStatus::Completed {
            return;
        }
        let name = &self.wanted.name;
        if self.around.catalogue.settled.contains(&row.id.0) {
            let detail = format!("a night has completed it, and the file says {}; write completed", wanted.as_str());
            comparison.drift.push(Drift::new(name.clone(), detail));
        } else {
            self.status_fault(comparison, row.status, wanted);
        }
    }

    fn status_fault(&self, comparison: &mut Comparison, from: ExperimentStatus, to: ExperimentStatus) {
        let message = format!(
            "{} is {} in the tables and cannot become {}; it goes draft → active ⇄ paused → completed",
            self.wanted.name,
            from.as_str(),
            to.as_str()
        );
        comparison.faults.push((self.fault)(&format!("{}/status", self.at), message));
    }

    fn create(&self, comparison: &mut Comparison, status: ExperimentStatus) {
        let name = self.wanted.name.clone();
        if status == ExperimentStatus::Completed {
            let message = format!("{name} is not in the tables, and a new experiment cannot be completed");
            comparison.faults.push((self.fault)(&format!("{}/status", self.at), message));
        }
        let id = ExperimentId(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("rampkeeper experiment {name}").as_bytes()));
        let change = TableChange::NewExperiment {
            id,
            name: name.clone(),
            description: self.wanted.description.clone(),
            status,
            unit_type: self.wanted.unit_type.as_str().to_owned(),
            times: (self.wanted.starts(), self.wanted.ends()),
        };
        let detail = format!("{}, split by {}", status.as_str(), self.wanted.unit_type.as_str());
        comparison.plan("add", format!("experiment {name}"), detail, change);
        for (j, variant) in self.wanted.variants.iter().enumerate() {
            self.add_variant(comparison, id, (j, variant), status != ExperimentStatus::Draft);
        }
        comparison.plan("check", format!("experiment {name}"), "allocations sum to 1", self.sums_to_one(id));
        if !self.wanted.variants.iter().any(|variant| variant.name == self.control) {
            let warning =
                format!("{name} has no variant named {:?}, so nothing could be compared with it", self.control);
            comparison.warnings.push(warning);
        }
    }

    fn sums_to_one(&self, experiment: ExperimentId) -> TableChange {
        TableChange::SumsToOne { experiment, name: self.wanted.name.clone() }
    }

    fn update(&self, comparison: &mut Comparison, row: &ExperimentRow, wanted: ExperimentStatus) {
        let draft = row.status == ExperimentStatus::Draft;
        self.change_itself(comparison, row, draft);
        self.change_variants(comparison, row, draft, wanted);
        use ExperimentStatus::{Active, Completed, Draft, Paused};
        match (row.status, wanted) {
            (from, to) if from == to => {}
            (Draft, Active) | (Active, Paused | Completed) | (Paused, Active | Completed) => {
                let change = TableChange::ExperimentStatus { id: row.id, from: row.status, to: wanted };
                let detail = format!("{} → {}", row.status.as_str(), wanted.as_str());
                comparison.plan("status", format!("experiment {}", row.name), detail, change);
            }
            (from, to) => self.status_fault(comparison, from, to),
        }
    }

    /// Description, unit and times. What is left out of the file is left as it is.
    fn change_itself(&self, comparison: &mut Comparison, row: &ExperimentRow, draft: bool) {
        let unit_type = self.wanted.unit_type.as_str().to_owned();
        let description = self.wanted.description.clone().or_else(|| row.description.clone());
        let times = (self.wanted.starts().or(row.start_at), self.wanted.ends().or(row.end_at));
        if !draft {
            for (key, differs) in [("unit_type", unit_type != row.unit_type), ("start_at", times.0 != row.start_at)] {
                if differs {
                    let message = format!(
                        "{} is {}; its {key} was fixed when it began: write it as the table has it",
                        row.name,
                        row.status.as_str()
                    );
                    comparison.faults.push((self.fault)(&format!("{}/{key}", self.at), message));
                }
            }
        }
        let mut differences = Vec::new();
        if description != row.description {
            differences.push("description".to_owned());
        }
        if unit_type != row.unit_type {
            differences.push(format!("unit_type {} → {unit_type}", row.unit_type));
        }
        let told = |at: Option<Timestamp>| at.map_or("none".to_owned(), |at| at.to_string());
        for (key, from, to) in [("start_at", row.start_at, times.0), ("end_at", row.end_at, times.1)] {
            if from != to {
                differences.push(format!("{key} {} → {}", told(from), told(to)));
            }
        }
        if !differences.is_empty() {
            let change = TableChange::ChangeExperiment { id: row.id, description, unit_type, times };
            comparison.plan("change", format!("experiment {}", row.name), differences.join(", "), change);
        }
    }
}
