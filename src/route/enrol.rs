//! How a version becomes a variant: everything that speaks against it, or the exact plan.

mod case;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::Policies;
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, Kind, NewEpoch, VersionRow, observe_epochs};
use crate::domain::{Epoch, Judgement, ModelVersion, Share, Threshold, VariantConfig, VariantId, VersionName};
use crate::plan::Step;
use case::Case;

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

impl Asked {
    /// What a night asks for: nothing is set aside.
    pub fn by_night(experiment: String, version: VersionName) -> Self {
        Self { experiment, kind: Kind::Policy, version, share: None, name: None, force: false, reason: None }
    }
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
    /// The thresholds that are frozen for the experiment with it.
    pub thresholds: Vec<Threshold>,
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
        thresholds: Vec::new(),
    })
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
    vec![challenger(model, expect)]
}

/// What follows in the registry when a version comes in.
pub fn challenger(version: ModelVersion, expect: Vec<ModelVersion>) -> Step {
    Step::SetAlias { alias: CHALLENGER.to_owned(), version, expect, or_production: false }
}

impl Enrolling {
    /// What was looked at, for the record.
    pub fn detail(&self) -> Value {
        let shares: Vec<Value> = self
            .shrunk
            .iter()
            .map(|(id, name, from, to)| json!({ "variant": id, "name": name, "from": from, "to": to }))
            .collect();
        // What the gate itself notes of a result may be read before or after it did.
        let judgement = self.judgement.clone().map(|mut judgement| {
            for result in [&mut judgement.result, &mut judgement.baseline].into_iter().flatten() {
                result.is_better = None;
            }
            judgement
        });
        json!({
            "name": self.name,
            "version": self.version_name.to_string(),
            "config": self.config,
            "shares": shares,
            "judgement": judgement,
            "set_aside": self.set_aside,
            "thresholds": self.thresholds,
        })
    }

    /// The shares of the others, as a sentence: `control 100 % → 90 %`.
    pub fn shares(&self) -> String {
        let changed = self.shrunk.iter().filter(|(_, _, from, to)| from != to);
        changed.map(|(_, name, from, to)| format!("{name} {from} → {to}")).collect::<Vec<_>>().join(", ")
    }

    /// The experiment as it is afterwards.
    pub fn apply_to(&self, record: &mut ExperimentRecord) {
        record.thresholds.extend(self.thresholds.iter().cloned());
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
            new.clone().append_to(&mut record.epochs);
        }
    }
}
