//! `experiments.yml` against the tables.
//!
//! A file says how an experiment begins. What it becomes is decided elsewhere: once a night knows a candidate of it, the
//! allocations in the table are the ramp's, and those in the file are what they began with.

mod served;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::{Comparison, Drift};
use crate::config::{ExperimentEntry, Fault, MOST_AT_FIRST, Policies, VariantEntry};
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, NewEpoch, TableChange, VariantRow, observe_epochs};
use crate::domain::{Criteria, Epoch, ExperimentId, ExperimentStatus, Share, VariantConfig, VariantId};
use served::Served;

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

    fn change_variants(&self, comparison: &mut Comparison, row: &ExperimentRow, draft: bool, wanted: ExperimentStatus) {
        let ramped = self.record.is_some_and(|record| !record.rollouts.is_empty());
        let (begins, name) = (draft && wanted != ExperimentStatus::Draft, &row.name);
        let mut split: Vec<(VariantId, Share)> = Vec::new();
        let mut reallocated = false;
        for (j, variant) in self.wanted.variants.iter().enumerate() {
            let at = format!("{}/variants/{j}", self.at);
            let Some(known) = found(row, &variant.name) else {
                if ramped {
                    let message = format!(
                        "{name} is on a ramp, and its split is not the file's any more; let {} in by `rampkeeper enroll \
                         {name} POLICY/VERSION --name {}`",
                        variant.name, variant.name
                    );
                    comparison.faults.push((self.fault)(&at, message));
                    continue;
                }
                if let Some(id) = self.add_variant(comparison, row.id, (j, variant), !draft || begins) {
                    split.push((id, variant.share()));
                    reallocated |= variant.share() > Share::NONE;
                }
                continue;
            };
            self.change_variant(comparison, (&at, variant), known, draft);
            if begins {
                // Its version may have left its status since the draft was written.
                self.check_served(comparison, (&at, variant), true, variant.name != self.control);
            }
            let (from, to) = (known.allocation, variant.share());
            if from == to || ramped {
                if from != to {
                    let detail = format!(
                        "the table has {from} and the file {to}; a ramp is on its way, so the table's stays (the file's is \
                         what it began with)"
                    );
                    comparison.drift.push(Drift::new(format!("{name}/{}", known.name), detail));
                }
                split.push((known.id, from));
                continue;
            }
            split.push((known.id, to));
            reallocated = true;
            let change = TableChange::Reallocate { id: known.id, from, to };
            comparison.plan("allocate", format!("{name}/{}", known.name), format!("{from} → {to}"), change);
        }
        for other in &row.variants {
            let in_file = self.wanted.variants.iter().any(|v| found(row, &v.name).is_some_and(|k| k.id == other.id));
            if in_file {
                continue;
            }
            split.push((other.id, other.allocation));
            if other.allocation == Share::NONE || ramped {
                let enrolled = self.around.catalogue.enrolled.iter().any(|(e, _)| *e == row.id);
                // What came in by `enroll` need not stand in the file.
                if !enrolled {
                    let detail = "it is in the tables and not in the file; nothing is deleted: add it to the file";
                    comparison.drift.push(Drift::new(format!("{name}/{}", other.name), detail));
                }
            } else {
                let message = format!(
                    "variant {} is in the tables with {} and not in the file, so the allocations would not sum to 1; add it, \
                     with an allocation of 0 if it is to go",
                    other.name, other.allocation
                );
                comparison.faults.push((self.fault)(&format!("{}/variants", self.at), message));
            }
        }
        if reallocated {
            comparison.plan("check", format!("experiment {name}"), "allocations sum to 1", self.sums_to_one(row.id));
            self.open_epoch(comparison, split);
        }
    }

    /// A split that is changed by hand begins an epoch in the same transaction, if a night has seen the one before.
    fn open_epoch(&self, comparison: &mut Comparison, split: Vec<(VariantId, Share)>) {
        let Some(record) = self.record.filter(|record| !record.epochs.is_empty()) else { return };
        let experiment = record.experiment.id;
        let before = observe_epochs(record, self.around.now);
        let Some(last) = before.as_ref().map(|new| &new.epoch).or_else(|| record.epochs.last()) else { return };
        let started_at = self.around.now.max(last.started_at + SignedDuration::from_micros(1));
        let epoch = Epoch {
            number: last.number + 1,
            started_at,
            ended_at: None,
            allocations: split,
            moved_units: false,
            outside: true,
            redrawn_at: None,
        };
        let new = NewEpoch { epoch, ends: Some((last.number, started_at)) };
        let what = format!("epoch {} of {}", new.epoch.number, self.wanted.name);
        if let Some(epoch) = before {
            let change = TableChange::OpenEpoch { experiment, epoch, opened_by: "outside" };
            comparison.plan("begin", what.clone(), "a change that nobody had noted yet", change);
        }
        let change = TableChange::OpenEpoch { experiment, epoch: new, opened_by: "outside" };
        comparison.plan("begin", what, "the split changes", change);
    }

    fn change_variant(
        &self,
        comparison: &mut Comparison,
        (at, wanted): (&str, &VariantEntry),
        known: &VariantRow,
        draft: bool,
    ) {
        let what = format!("{}/{}", self.wanted.name, known.name);
        let config = match self.served(wanted) {
            Ok(served) => served.config,
            Err((key, message)) => {
                comparison.faults.push((self.fault)(&format!("{at}/config{key}"), message));
                return;
            }
        };
        let description = wanted.description.clone().or_else(|| known.description.clone());
        let same = same_config(&config, &known.config);
        if !same && !draft {
            let message = format!(
                "variants of a running experiment do not change but for their allocation, and {what} serves {} in the \
                 table; try something else as a new variant",
                known.config
            );
            comparison.faults.push((self.fault)(&format!("{at}/config"), message));
            return;
        }
        if !same {
            self.check_served(comparison, (at, wanted), false, wanted.name != self.control);
        }
        if !same || description != known.description {
            let detail = if same { "description".to_owned() } else { format!("{} → {config}", known.config) };
            let config = if same { known.config.clone() } else { config };
            comparison.plan("change", what, detail, TableChange::ChangeVariant { id: known.id, description, config });
        }
    }

    /// Adds a variant, unless something is wrong with it. `running`: units are assigned to it at once.
    fn add_variant(
        &self,
        comparison: &mut Comparison,
        experiment: ExperimentId,
        (place, wanted): (usize, &VariantEntry),
        running: bool,
    ) -> Option<VariantId> {
        let at = format!("{}/variants/{place}", self.at);
        let candidate = wanted.name != self.control;
        let most = Share::try_from(MOST_AT_FIRST).unwrap_or_default();
        if candidate && wanted.share() > most {
            let message = format!(
                "{} is new and would begin with {}; a new variant begins with {most} at most, and is ramped from there",
                wanted.name,
                wanted.share()
            );
            comparison.faults.push((self.fault)(&format!("{at}/allocation"), message));
        }
        let served = self.check_served(comparison, (&at, wanted), running, candidate)?;
        let id = VariantId(Uuid::new_v5(&experiment.0, format!("variant {}", wanted.name).as_bytes()));
        let change = TableChange::NewVariant {
            id,
            experiment,
            name: wanted.name.clone(),
            description: wanted.description.clone(),
            share: wanted.share(),
            config: served.config,
            place: u32::try_from(place).unwrap_or(u32::MAX),
        };
        let what = format!("{}/{}", self.wanted.name, wanted.name);
        comparison.plan("add", what, format!("{}, {}", wanted.share(), served.told), change);
        Some(id)
    }

    fn served(&self, wanted: &VariantEntry) -> Result<Served, (String, String)> {
        served::of(&wanted.config, self.around.catalogue)
    }

    /// What a variant serves, if it may be served: a version that is there and usable and, where units come to a candidate
    /// at once, one that passed offline evaluation.
    fn check_served(
        &self,
        comparison: &mut Comparison,
        (at, wanted): (&str, &VariantEntry),
        running: bool,
        candidate: bool,
    ) -> Option<Served> {
        let served = match self.served(wanted) {
            Ok(served) => served,
            Err((key, message)) => {
                comparison.faults.push((self.fault)(&format!("{at}/config{key}"), message));
                return None;
            }
        };
        let what = format!("{}/{}", self.wanted.name, wanted.name);
        for (key, message) in served.faults(self.around.catalogue) {
            comparison.faults.push((self.fault)(&format!("{at}/config/{key}"), message));
        }
        comparison.warnings.extend(served.warnings(self.around.catalogue, &what));
        if candidate && wanted.share() > Share::NONE {
            let criteria: &Criteria = &self.around.policies.criteria;
            if let Some(not_passed) = served.not_passed(self.around.catalogue, criteria) {
                if running {
                    let message =
                        format!("{not_passed}; only what passed offline evaluation gets units (`rampkeeper qualify`)");
                    comparison.faults.push((self.fault)(&format!("{at}/config"), message));
                } else {
                    comparison.warnings.push(format!(
                        "{what}: {not_passed}; it must have passed before {} is active",
                        self.wanted.name
                    ));
                }
            }
        }
        Some(served)
    }
}

/// The variant of that name; one that a promotion retired has its date behind it.
fn found<'a>(row: &'a ExperimentRow, name: &str) -> Option<&'a VariantRow> {
    let retired = format!("{name}_retired_");
    let exact = row.variants.iter().find(|variant| variant.name == name);
    exact.or_else(|| row.variants.iter().find(|variant| variant.name.starts_with(&retired)))
}

/// Whether two configs serve the same. The legacy form of one is the unified form of the other.
fn same_config(a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    let legacy = |value: &Value| value.get("execution_strategy").is_none() && value.get("policy_version_id").is_some();
    let params = |value: &Value| value.get("params").cloned();
    (legacy(a) || legacy(b))
        && VariantConfig::parse(a).is_ok()
        && VariantConfig::parse(a).ok() == VariantConfig::parse(b).ok()
        && params(a) == params(b)
}
