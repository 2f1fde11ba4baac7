//! How a version becomes a variant: everything that speaks against it, or the exact plan.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::{MOST_AT_FIRST, Policies};
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, Kind, NewEpoch, VersionRow, observe_epochs};
use crate::domain::{
    Epoch, ExperimentStatus, Freeze, Judgement, ModelVersion, Newcomer, RolloutState, RolloutStatus, Share,
    VariantConfig, VariantId, VersionName, VersionStatus, Wish, config_of, judge_offline, make_room,
};
use crate::plan::{Step, is_retired};

const CHALLENGER: &str = "challenger";

/// What somebody, or the night, wants to let in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The experiment's name.
    pub experiment: String,
    /// A model's version, or a prompt's.
    pub kind: Kind,
    /// Which.
    pub version: VersionName,
    /// With which share; the configured one unless told.
    pub share: Option<Share>,
    /// Under which name; `NAME_vVERSION` unless told.
    pub name: Option<String>,
    /// Whether rules that may be set aside are.
    pub force: bool,
    /// Why, in a person's words.
    pub reason: Option<String>,
}

/// Whether a rule may be set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By force, with a reason.
    Forcible,
    /// Never.
    Firm,
}

/// What speaks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether it may be set aside.
    pub rule: Rule,
    /// The same word for the same reason.
    pub about: &'static str,
    /// The sentence.
    pub message: String,
}

/// The plan by which a version becomes a variant.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// The new variant's key.
    pub variant: VariantId,
    /// Its name.
    pub name: String,
    /// What kind of version it serves.
    pub kind: Kind,
    /// The version's key.
    pub version: Uuid,
    /// Its name.
    pub version_name: VersionName,
    /// What it serves.
    pub config: Value,
    /// Its share.
    pub share: Share,
    /// The others' shares, before and after, in their order.
    pub shrunk: Vec<(VariantId, String, Share, Share)>,
    /// The epochs that begin, each with who opened it.
    pub epochs: Vec<(NewEpoch, &'static str)>,
    /// What follows in the registry.
    pub steps: Vec<Step>,
    /// What the offline gate said.
    pub judgement: Option<Judgement>,
    /// Rules that were set aside.
    pub set_aside: Vec<String>,
}

/// Versions of a policy that the night may let in, the newest first: active, newer than control's, and never in the
/// experiment before.
pub fn newest_untried(
    catalogue: &Catalogue,
    experiment: &ExperimentRow,
    policy: &str,
    control: &str,
) -> Vec<VersionName> {
    let Some(family) = catalogue.policies.iter().find(|family| family.name == policy) else { return Vec::new() };
    let served = experiment.variants.iter().find(|variant| variant.name == control);
    let served =
        served.and_then(|v| VariantConfig::parse(&v.config).ok()).and_then(|config| config.policy_version_id());
    let served = served.and_then(|id| catalogue.version(Kind::Policy, id));
    // Where control serves another policy, or none, nothing says which versions are newer.
    let Some((served, _)) = served.filter(|(_, row)| row.family == family.id) else { return Vec::new() };
    let mut versions: Vec<&VersionRow> = catalogue
        .policy_versions
        .iter()
        .filter(|row| row.family == family.id && row.status == VersionStatus::Active && row.version > served.version)
        .filter(|row| was_in(catalogue, experiment, Kind::Policy, row.id).is_none())
        .collect();
    versions.sort_by_key(|row| std::cmp::Reverse(row.version));
    versions.into_iter().map(|row| VersionName { name: policy.to_owned(), version: row.version }).collect()
}

/// As what a version is, or was, in an experiment.
fn was_in(catalogue: &Catalogue, experiment: &ExperimentRow, kind: Kind, id: Uuid) -> Option<String> {
    let serves = |config: &Value| {
        let config = VariantConfig::parse(config).ok()?;
        match kind {
            Kind::Policy => config.policy_version_id(),
            Kind::Prompt => config.prompt_version_id(),
        }
    };
    let variant = experiment.variants.iter().find(|variant| serves(&variant.config) == Some(id));
    let as_variant = variant.map(|variant| format!("as variant {}", variant.name));
    as_variant
        .or_else(|| catalogue.enrolled.contains(&(experiment.id, id)).then(|| "as a variant that was deleted".into()))
}

/// Everything that a plan is made from.
struct Case<'a> {
    asked: &'a Asked,
    catalogue: &'a Catalogue,
    policies: &'a Policies,
    now: Timestamp,
    refusals: Vec<Refusal>,
}

/// Plans it, or says all that speaks against it.
///
/// # Errors
/// Every rule that forbids it and was not set aside.
pub fn plan_enrolment(
    asked: &Asked,
    catalogue: &Catalogue,
    record: Option<&ExperimentRecord>,
    policies: &Policies,
    now: Timestamp,
) -> Result<Enrolling, Vec<Refusal>> {
    let mut case = Case { asked, catalogue, policies, now, refusals: Vec::new() };
    let row = case.experiment();
    let version = case.version();
    let (Some(row), Some(version)) = (row, version) else { return Err(case.refusals) };
    case.times(row, record);
    case.usable(row, version);
    let judgement = case.passed(row, version);
    let share = case.share(&row.name);
    let name = case.name(row);
    let shrunk = case.room(row, share);
    let config = case.config(row, version);
    let (aside, refused): (Vec<Refusal>, Vec<Refusal>) =
        case.refusals.into_iter().partition(|refusal| asked.force && refusal.rule == Rule::Forcible);
    let (Some(record), Some(shrunk), Some(config), true) = (record, shrunk, config, refused.is_empty()) else {
        return Err(refused);
    };
    let variant =
        VariantId(Uuid::new_v5(&row.id.0, format!("enrolled {} {}", asked.kind.as_str(), version.id).as_bytes()));
    let split: Vec<(VariantId, Share)> =
        shrunk.iter().map(|(id, _, _, to)| (*id, *to)).chain([(variant, share)]).collect();
    Ok(Enrolling {
        variant,
        name,
        kind: asked.kind,
        version: version.id,
        version_name: asked.version.clone(),
        config,
        share,
        epochs: epochs(record, split, now),
        steps: steps(catalogue, row, &policies.of(&row.name).control, version),
        shrunk,
        judgement,
        set_aside: aside.into_iter().map(|refusal| refusal.message).collect(),
    })
}

impl<'a> Case<'a> {
    fn refuse(&mut self, rule: Rule, about: &'static str, message: impl Into<String>) {
        self.refusals.push(Refusal { rule, about, message: message.into() });
    }

    fn firm(&mut self, about: &'static str, message: impl Into<String>) {
        self.refuse(Rule::Firm, about, message);
    }

    fn experiment(&mut self) -> Option<&'a ExperimentRow> {
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

    fn version(&mut self) -> Option<&'a VersionRow> {
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
    fn times(&mut self, row: &ExperimentRow, record: Option<&ExperimentRecord>) {
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

    fn usable(&mut self, row: &ExperimentRow, version: &VersionRow) {
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
    fn passed(&mut self, row: &ExperimentRow, version: &VersionRow) -> Option<Judgement> {
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

    fn share(&mut self, experiment: &str) -> Share {
        let share = self.asked.share.unwrap_or(self.policies.enrolment_of(experiment).share);
        let most = Share::try_from(MOST_AT_FIRST).unwrap_or_default();
        if share > most {
            let message = format!("a new variant begins with {most} at most, and {share} is more");
            self.refuse(Rule::Forcible, "limit", message);
        }
        share
    }

    fn name(&mut self, row: &ExperimentRow) -> String {
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

    fn room(&mut self, row: &ExperimentRow, share: Share) -> Option<Vec<(VariantId, String, Share, Share)>> {
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

    fn config(&mut self, row: &ExperimentRow, version: &VersionRow) -> Option<Value> {
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

/// The epoch that the new split begins, after one that nobody had noted yet.
fn epochs(record: &ExperimentRecord, split: Vec<(VariantId, Share)>, now: Timestamp) -> Vec<(NewEpoch, &'static str)> {
    let unnoted = observe_epochs(record, now);
    let last = unnoted.as_ref().map(|new| &new.epoch).or_else(|| record.epochs.last());
    let (number, started_at) =
        last.map_or((0, now), |last| (last.number + 1, now.max(last.started_at + SignedDuration::from_micros(1))));
    let epoch = Epoch {
        number,
        started_at,
        ended_at: None,
        allocations: split,
        moved_units: false,
        outside: false,
        redrawn_at: None,
    };
    let ends = last.map(|last| (last.number, started_at));
    let mut epochs: Vec<_> =
        unnoted.into_iter().map(|new| if new.epoch.outside { (new, "outside") } else { (new, "start") }).collect();
    epochs.push((NewEpoch { epoch, ends }, "decision"));
    epochs
}

/// The alias of a candidate on its ramp; any of the experiment's other candidates may have had it.
fn steps(catalogue: &Catalogue, row: &ExperimentRow, control: &str, version: &VersionRow) -> Vec<Step> {
    let Some(model) = version.model() else { return Vec::new() };
    let others = row.variants.iter().filter(|variant| variant.name != control);
    let others = others.filter_map(|variant| VariantConfig::parse(&variant.config).ok()?.policy_version_id());
    let others = others.filter_map(|id| catalogue.version(Kind::Policy, id)?.1.model());
    let expect: Vec<ModelVersion> = others.filter(|other| other.model == model.model).collect();
    vec![Step::SetAlias { alias: CHALLENGER.to_owned(), version: model, expect, or_production: false }]
}

impl Enrolling {
    /// What was looked at, for the record.
    pub fn detail(&self) -> Value {
        let shares: Vec<Value> = self
            .shrunk
            .iter()
            .map(|(id, name, from, to)| json!({ "variant": id, "name": name, "from": from, "to": to }))
            .collect();
        json!({
            "name": self.name,
            "version": self.version_name.to_string(),
            "config": self.config,
            "shares": shares,
            "judgement": self.judgement,
            "set_aside": self.set_aside,
        })
    }

    /// The shares of the others, as a sentence: `control 100 % → 90 %`.
    pub fn shares(&self) -> String {
        let changed = self.shrunk.iter().filter(|(_, _, from, to)| from != to);
        changed.map(|(_, name, from, to)| format!("{name} {from} → {to}")).collect::<Vec<_>>().join(", ")
    }

    /// The experiment as it is afterwards.
    pub fn apply_to(&self, record: &mut ExperimentRecord) {
        for variant in &mut record.experiment.variants {
            if let Some((_, _, _, to)) = self.shrunk.iter().find(|(id, ..)| *id == variant.id) {
                variant.allocation = *to;
            }
        }
        record.experiment.variants.push(crate::domain::Variant {
            id: self.variant,
            name: self.name.clone(),
            allocation: self.share,
            config: VariantConfig::parse(&self.config),
        });
        for (new, _) in &self.epochs {
            if let (Some(last), Some((_, at))) = (record.epochs.last_mut(), new.ends) {
                last.ended_at = Some(at);
            }
            record.epochs.push(new.epoch.clone());
        }
    }
}
