//! An experiment's arms in the file against those in the table: who is new, who is gone, and whose share is whose.

use jiff::SignedDuration;
use serde_json::Value;
use uuid::Uuid;

use super::Case;
use super::served::{self, Served};
use crate::config::{MOST_AT_FIRST, VariantEntry};
use crate::control::{ExperimentRow, NewEpoch, TableChange, VariantRow, observe_epochs};
use crate::domain::{Criteria, Epoch, ExperimentId, ExperimentStatus, Share, VariantConfig, VariantId};
use crate::route::{Comparison, Drift};

impl Case<'_> {
    /// Adds, changes and reallocates the arms, and begins an epoch where the split changes.
    pub(super) fn change_variants(
        &self,
        comparison: &mut Comparison,
        row: &ExperimentRow,
        draft: bool,
        wanted: ExperimentStatus,
    ) {
        // What came in by `enroll`, or by a night, has begun a ramp as well, and need not stand in the file.
        let enrolled = self.around.catalogue.enrolled.iter().any(|(experiment, _)| *experiment == row.id);
        let ramped = enrolled || self.record.is_some_and(|record| !record.rollouts.is_empty());
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
    pub(super) fn add_variant(
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
