//! What speaks against an enrolment: each rule on its own, all of them told at once.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use super::{Asked, Refusal, Rule};
use crate::config::{MOST_AT_FIRST, Policies};
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, Kind, VersionRow};
use crate::domain::{
    ExperimentStatus, Freeze, Judgement, Newcomer, RolloutState, RolloutStatus, Share, VariantConfig, VariantId,
    VersionName, VersionStatus, Wish, config_of, judge_offline, make_room,
};
use crate::plan::is_retired;
use crate::route::waiting::was_in;

/// Everything that a plan is made from.
pub(super) struct Case<'a> {
    pub(super) asked: &'a Asked,
    pub(super) catalogue: &'a Catalogue,
    pub(super) policies: &'a Policies,
    pub(super) now: Timestamp,
    pub(super) refusals: Vec<Refusal>,
}

impl<'a> Case<'a> {
    fn refuse(&mut self, rule: Rule, about: &'static str, message: impl Into<String>) {
        self.refusals.push(Refusal { rule, about, message: message.into() });
    }

    fn firm(&mut self, about: &'static str, message: impl Into<String>) {
        self.refuse(Rule::Firm, about, message);
    }

    pub(super) fn experiment(&mut self) -> Option<&'a ExperimentRow> {
        let (name, experiments) = (&self.asked.experiment, &self.catalogue.experiments);
        let row = experiments.iter().find(|row| row.name == *name);
        match row {
            None => {
                let names: Vec<&str> = experiments.iter().map(|row| row.name.as_str()).collect();
                let there =
                    if names.is_empty() { "there is none".into() } else { format!("there are: {}", names.join(", ")) };
                self.firm("experiment", format!("there is no experiment {name:?}; {there}"));
            }
            Some(row) if row.status != ExperimentStatus::Active => {
                let status = row.status.as_str();
                self.firm("status", format!("{name} is {status}; candidates come into an active experiment only"));
            }
            Some(_) => {}
        }
        row
    }

    pub(super) fn version(&mut self) -> Option<&'a VersionRow> {
        let (kind, name) = (self.asked.kind, &self.asked.version);
        let row = self.catalogue.named(kind, name);
        if row.is_none() {
            let file = if kind == Kind::Policy { "policy sync" } else { "prompts sync" };
            self.firm(
                "version",
                format!("{} {name} is not in the tables; `rampkeeper {file}` adds versions", kind.as_str()),
            );
        }
        row
    }

    /// What forbids it now: a freeze, a hold, the kill switch, an end that has passed.
    pub(super) fn times(&mut self, row: &ExperimentRow, record: Option<&ExperimentRecord>) {
        if self.policies.kill_switch {
            self.firm(
                "kill_switch",
                "the kill switch is on (`kill_switch` in the promotion file), and nothing is changed",
            );
        }
        if let Some(frozen) = Freeze::first_at(&self.policies.of(&row.name).freezes, self.now) {
            let until = frozen.until.map_or_else(String::new, |until| format!(" until {until}"));
            self.firm("frozen", format!("{} is frozen ({}){until}", row.name, frozen.name));
        }
        if let Some(end) = row.end_at.filter(|end| *end <= self.now) {
            self.firm("ended", format!("{} was to end at {end}; begin a new experiment, or move its end", row.name));
        }
        let Some(record) = record else { return };
        let today = self.now.to_zoned(TimeZone::UTC).date();
        let newcomer = RolloutState {
            experiment: row.id,
            candidate: VariantId(Uuid::nil()),
            status: RolloutStatus::Ramping,
            stage: 0,
            entered_on: today,
            version: 0,
        };
        if let Some(hold) = Wish::of(&record.acts, &newcomer, today).hold {
            let until = hold.until.map_or_else(String::new, |until| format!(" until {until}"));
            let (by, reason) = (hold.said.by, hold.said.reason);
            self.firm(
                "held",
                format!("{} is held by {by}{until} ({reason}); `rampkeeper resume` lifts that", row.name),
            );
        }
        for fault in &record.faults {
            self.firm("unreadable", format!("{} cannot be read as a whole: {fault}", row.name));
        }
        self.at_work(row, record);
    }

    /// Candidates that are on their ramp already.
    fn at_work(&mut self, row: &ExperimentRow, record: &ExperimentRecord) {
        let control = &self.policies.of(&row.name).control;
        if record.experiment.variant(control).is_none() {
            // Told by itself; every arm would look like a candidate.
            return;
        }
        let state = |id| record.rollouts.iter().find(|state| state.candidate == id).map(|state| state.status);
        let at_work = record.experiment.variants.iter().filter(|variant| {
            variant.name != *control
                && !is_retired(variant)
                && match state(variant.id) {
                    Some(status) => status == RolloutStatus::Ramping,
                    None => variant.allocation > Share::NONE,
                }
        });
        let names: Vec<&str> = at_work.map(|variant| variant.name.as_str()).collect();
        let most = self.policies.enrolment_of(&row.name).most_candidates;
        if names.len() >= most {
            let message = format!(
                "{} has {} at work ({}), and `enrolment.most_candidates` is {most}; wait until it is decided, or raise that",
                row.name,
                if names.len() == 1 { "a candidate".to_owned() } else { format!("{} candidates", names.len()) },
                names.join(", ")
            );
            self.firm("at_work", message);
        }
    }

    pub(super) fn usable(&mut self, row: &ExperimentRow, version: &VersionRow) {
        let name = &self.asked.version;
        match version.status {
            VersionStatus::Active => {}
            VersionStatus::Deprecated => {
                let message = format!("{name} is deprecated: what uses it should move on from it");
                self.refuse(Rule::Forcible, "deprecated", message);
            }
            VersionStatus::Archived => {
                self.firm("archived", format!("{name} is archived and not available; a further try is a new version"));
            }
        }
        if let Some(how) = was_in(self.catalogue, row, self.asked.kind, version.id) {
            self.firm("enrolled", format!("{name} is in {} already, {how}", row.name));
        }
    }

    /// The offline gate. Prompts have none, so a person must answer for them.
    pub(super) fn passed(&mut self, row: &ExperimentRow, version: &VersionRow) -> Option<Judgement> {
        let name = self.asked.version.clone();
        if self.asked.kind == Kind::Prompt {
            if self.asked.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
                let message = format!(
                    "prompt {name} has no offline results that could speak for it; say why it may go in: --reason"
                );
                self.firm("reason", message);
            }
            return None;
        }
        let judgement = judge_offline(version.id, &self.catalogue.results, &self.policies.criteria);
        if !judgement.is_pass() {
            self.refuse(Rule::Forcible, "no_pass", format!("{name} has not passed offline evaluation ({judgement})"));
        } else if let Some(baseline) = judgement.result.as_ref().and_then(|result| result.baseline) {
            let control = &self.policies.of(&row.name).control;
            let served = row.variants.iter().find(|variant| variant.name == *control);
            let served = served.and_then(|v| VariantConfig::parse(&v.config).ok()).and_then(|c| c.policy_version_id());
            if let Some(served) = served.filter(|served| *served != baseline) {
                let told = |id| {
                    let found = self.catalogue.version(Kind::Policy, id);
                    found.map_or_else(|| format!("policy version {id}"), |(name, _)| name.to_string())
                };
                let message = format!(
                    "{name} was held against {}, but {control} of {} serves {}; evaluate it against that",
                    told(baseline),
                    row.name,
                    told(served)
                );
                self.refuse(Rule::Forcible, "other_baseline", message);
            }
        }
        Some(judgement)
    }

    pub(super) fn share(&mut self, experiment: &str) -> Share {
        let share = self.asked.share.unwrap_or(self.policies.enrolment_of(experiment).share);
        let most = Share::try_from(MOST_AT_FIRST).unwrap_or_default();
        if share > most {
            let message = format!("a new variant begins with {most} at most, and {share} is more");
            self.refuse(Rule::Forcible, "limit", message);
        }
        share
    }

    pub(super) fn name(&mut self, row: &ExperimentRow) -> String {
        let VersionName { name, version } = &self.asked.version;
        let name = self.asked.name.clone().unwrap_or_else(|| format!("{name}_v{version}"));
        if row.variants.iter().any(|variant| variant.name == name) {
            self.firm("name", format!("{} has a variant {name} already; give another name: --name", row.name));
        }
        if name.trim().is_empty() || name.chars().count() > 255 || name.contains("_retired_") {
            self.firm("name", format!("{name:?} is no name for a variant; give another: --name"));
        }
        name
    }

    pub(super) fn room(&mut self, row: &ExperimentRow, share: Share) -> Option<Vec<(VariantId, String, Share, Share)>> {
        let present: Vec<Share> = row.variants.iter().map(|variant| variant.allocation).collect();
        match make_room(&present, share) {
            Ok(shrunk) => {
                let both = row.variants.iter().zip(shrunk);
                Some(both.map(|(v, to)| (v.id, v.name.clone(), v.allocation, to)).collect())
            }
            Err(why) => {
                self.firm("room", format!("{}: {why}", row.name));
                None
            }
        }
    }

    pub(super) fn config(&mut self, row: &ExperimentRow, version: &VersionRow) -> Option<Value> {
        let name = &self.policies.of(&row.name).control;
        let Some(control) = row.variants.iter().find(|variant| variant.name == *name) else {
            let names: Vec<&str> = row.variants.iter().map(|variant| variant.name.as_str()).collect();
            let message = format!(
                "{} has no variant named {name:?} to compare with (there are: {}); name the control in the promotion file",
                row.name,
                names.join(", ")
            );
            self.firm("control", message);
            return None;
        };
        let text = |key| version.points_at.get(key).cloned().flatten();
        let newcomer = match self.asked.kind {
            Kind::Policy => Newcomer::Policy { id: version.id, model: text("mlflow_model_name").unwrap_or_default() },
            Kind::Prompt => Newcomer::Prompt {
                id: version.id,
                model_provider: text("model_provider"),
                model_name: text("model_name"),
            },
        };
        match config_of(&control.config, &newcomer) {
            Ok(config) => Some(config),
            Err(why) => {
                self.firm("config", format!("{}: {why}", row.name));
                None
            }
        }
    }
}
