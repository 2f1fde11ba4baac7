//! What there is: policies and prompts with their versions, offline results, and every experiment with its variants as
//! the tables have them. What the nights need of this they read in `snapshot`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::ControlStore;
use super::error::ControlError;
use super::rows::Reader;
use super::statement;
use crate::domain::{
    ExperimentId, ExperimentStatus, ModelVersion, OfflineResult, Scores, Share, VariantConfig, VariantId, VersionName,
    VersionStatus,
};

/// What a family of versions is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A policy, whose versions point at model versions.
    Policy,
    /// A prompt, whose versions point at files.
    Prompt,
}

impl Kind {
    /// The word for people, and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Policy => "policy",
            Kind::Prompt => "prompt",
        }
    }

    /// What a version of it points at, by column.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Policy => &["mlflow_model_name", "mlflow_model_version"],
            Kind::Prompt => &["file_path", "model_provider", "model_name"],
        }
    }
}

/// A policy or a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its key.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A version of a policy or of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRow {
    /// Its key.
    pub id: Uuid,
    /// What it is a version of.
    pub family: Uuid,
    /// Its number.
    pub version: u32,
    /// What it points at, by column.
    pub points_at: BTreeMap<&'static str, Option<String>>,
    /// What the serving side begins with.
    pub defaults: Value,
    /// Where it stands.
    pub status: VersionStatus,
}

impl VersionRow {
    /// The model version that a policy version points at.
    pub fn model(&self) -> Option<ModelVersion> {
        let text = |key| self.points_at.get(key).cloned().flatten();
        Some(ModelVersion { model: text("mlflow_model_name")?, version: text("mlflow_model_version")? })
    }
}

/// An experiment's row.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentRow {
    /// Its key.
    pub id: ExperimentId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it stands.
    pub status: ExperimentStatus,
    /// What is randomised.
    pub unit_type: String,
    /// When assignment begins.
    pub start_at: Option<Timestamp>,
    /// When it is to end.
    pub end_at: Option<Timestamp>,
    /// Its variants, in the assignment service's order.
    pub variants: Vec<VariantRow>,
}

/// A variant's row.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantRow {
    /// Its key.
    pub id: VariantId,
    /// Its name.
    pub name: String,
    /// What it tries.
    pub description: Option<String>,
    /// Its share.
    pub allocation: Share,
    /// What it serves, as it stands there.
    pub config: Value,
}

/// All that the route is walked with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// Policies by name.
    pub policies: Vec<Family>,
    /// Their versions.
    pub policy_versions: Vec<VersionRow>,
    /// Prompts by name.
    pub prompts: Vec<Family>,
    /// Their versions.
    pub prompt_versions: Vec<VersionRow>,
    /// Every experiment.
    pub experiments: Vec<ExperimentRow>,
    /// Every offline result, the oldest first.
    pub results: Vec<OfflineResult>,
    /// Versions and experiments whose status a night has set.
    pub settled: BTreeSet<Uuid>,
    /// Versions that became a variant, by experiment.
    pub enrolled: BTreeSet<(ExperimentId, Uuid)>,
}

impl Catalogue {
    /// The families of that kind, and their versions.
    pub fn of(&self, kind: Kind) -> (&[Family], &[VersionRow]) {
        match kind {
            Kind::Policy => (&self.policies, &self.policy_versions),
            Kind::Prompt => (&self.prompts, &self.prompt_versions),
        }
    }

    /// The version of that key, with its name.
    pub fn version(&self, kind: Kind, id: Uuid) -> Option<(VersionName, &VersionRow)> {
        let (families, versions) = self.of(kind);
        let row = versions.iter().find(|row| row.id == id)?;
        let family = families.iter().find(|family| family.id == row.family)?;
        Some((VersionName { name: family.name.clone(), version: row.version }, row))
    }

    /// The version of that name.
    pub fn named(&self, kind: Kind, name: &VersionName) -> Option<&VersionRow> {
        let (families, versions) = self.of(kind);
        let family = families.iter().find(|family| family.name == name.name)?;
        versions.iter().find(|row| row.family == family.id && row.version == name.version)
    }

    /// What has used a version, in a few words; nothing if nothing has.
    pub fn use_of(&self, kind: Kind, id: Uuid) -> Option<String> {
        for experiment in &self.experiments {
            for variant in &experiment.variants {
                let Ok(config) = VariantConfig::parse(&variant.config) else { continue };
                let served = match kind {
                    Kind::Policy => config.policy_version_id(),
                    Kind::Prompt => config.prompt_version_id(),
                };
                if served == Some(id) {
                    return Some(format!("variant {} of {} serves it", variant.name, experiment.name));
                }
            }
        }
        if self.enrolled.iter().any(|(_, version)| *version == id) || self.settled.contains(&id) {
            return Some("it was in an experiment".to_owned());
        }
        let evaluated = |r: &&OfflineResult| r.policy_version == id || r.baseline == Some(id);
        let result = self.results.iter().find(evaluated).filter(|_| kind == Kind::Policy)?;
        Some(format!("the offline result on dataset {} is about it", result.dataset))
    }
}

impl ControlStore {
    /// Reads all of it.
    ///
    /// # Errors
    /// A row that cannot be read is named.
    pub async fn load_catalogue(&self) -> Result<Catalogue, ControlError> {
        let mut catalogue = Catalogue::default();
        for row in self.rows(&statement::LOAD_POLICIES, "load the policies").await? {
            catalogue.policies.push(family("exp.policies", &row)?);
        }
        for row in self.rows(&statement::LOAD_PROMPTS, "load the prompts").await? {
            catalogue.prompts.push(family("exp.prompts", &row)?);
        }
        for row in self.rows(&statement::LOAD_POLICY_VERSIONS, "load the policy versions").await? {
            catalogue.policy_versions.push(version("exp.policy_versions", Kind::Policy, &row)?);
        }
        for row in self.rows(&statement::LOAD_PROMPT_VERSIONS, "load the prompt versions").await? {
            catalogue.prompt_versions.push(version("exp.prompt_versions", Kind::Prompt, &row)?);
        }
        for row in self.rows(&statement::LOAD_ALL_EXPERIMENTS, "load every experiment").await? {
            catalogue.experiments.push(experiment(&row)?);
        }
        for row in self.rows(&statement::LOAD_ALL_VARIANTS, "load every variant").await? {
            let reader = Reader::new("exp.variants", "id", &row)?;
            let owner: ExperimentId = reader.parse("experiment_id")?;
            let variant = variant(&reader)?;
            if let Some(experiment) = catalogue.experiments.iter_mut().find(|experiment| experiment.id == owner) {
                experiment.variants.push(variant);
            }
        }
        catalogue.results = self.load_offline_results().await?;
        for row in self.rows(&statement::LOAD_SETTLED, "load what nights have set").await? {
            let reader = Reader::new("rampkeeper.actions", "idempotency_key", &row)?;
            let payload: Value = reader.json("payload")?;
            let id = payload.pointer("/step/id").or_else(|| payload.get("experiment")).and_then(Value::as_str);
            catalogue.settled.extend(id.and_then(|id| Uuid::parse_str(id).ok()));
        }
        for row in self.rows(&statement::LOAD_ENROLLED_VERSIONS, "load what was enrolled").await? {
            let reader = Reader::new("rampkeeper.enrolments", "id", &row)?;
            catalogue.enrolled.insert((reader.parse("experiment_id")?, reader.parse("version_id")?));
        }
        Ok(catalogue)
    }

    /// Every offline result, the oldest first.
    pub async fn load_offline_results(&self) -> Result<Vec<OfflineResult>, ControlError> {
        let rows = self.rows(&statement::LOAD_OFFLINE_RESULTS, "load the offline results").await?;
        rows.iter().map(result).collect()
    }
}

fn family(table: &'static str, row: &AnyRow) -> Result<Family, ControlError> {
    let reader = Reader::new(table, "id", row)?;
    Ok(Family { id: reader.parse("id")?, name: reader.get("name")?, description: reader.get("description")? })
}

fn version(table: &'static str, kind: Kind, row: &AnyRow) -> Result<VersionRow, ControlError> {
    let reader = Reader::new(table, "id", row)?;
    let number = reader.count("version")?;
    let mut points_at = BTreeMap::new();
    for &column in kind.columns() {
        points_at.insert(column, reader.get(column)?);
    }
    Ok(VersionRow {
        id: reader.parse("id")?,
        family: reader.parse("family_id")?,
        version: u32::try_from(number)
            .map_err(|_| reader.wrong("version", number.to_string(), "a number that fits".into()))?,
        points_at,
        defaults: json_or(&reader, "config_defaults")?,
        status: reader.parse("status")?,
    })
}

/// A JSON column; nothing there is an empty mapping.
fn json_or(reader: &Reader<'_>, column: &'static str) -> Result<Value, ControlError> {
    match reader.get::<Option<String>>(column)? {
        Some(_) => reader.json(column),
        None => Ok(Value::Object(Default::default())),
    }
}

fn experiment(row: &AnyRow) -> Result<ExperimentRow, ControlError> {
    let reader = Reader::new("exp.experiments", "id", row)?;
    Ok(ExperimentRow {
        id: reader.parse("id")?,
        name: reader.get("name")?,
        description: reader.get("description")?,
        status: reader.parse("status")?,
        unit_type: reader.get("unit_type")?,
        start_at: reader.parse_optional("start_at")?,
        end_at: reader.parse_optional("end_at")?,
        variants: Vec::new(),
    })
}

fn variant(reader: &Reader<'_>) -> Result<VariantRow, ControlError> {
    Ok(VariantRow {
        id: reader.parse("id")?,
        name: reader.get("name")?,
        description: reader.get("description")?,
        allocation: reader.parse("allocation")?,
        config: json_or(reader, "config")?,
    })
}

fn result(row: &AnyRow) -> Result<OfflineResult, ControlError> {
    let reader = Reader::new("exp.offline_replay_results", "id", row)?;
    let better: Option<i64> = reader.get("is_better")?;
    Ok(OfflineResult {
        id: reader.parse("id")?,
        policy_version: reader.parse("policy_version_id")?,
        dataset: reader.get("dataset_version")?,
        status: reader.parse("status")?,
        scores: Scores {
            constraint_respect: reader.parse_optional("constraint_respect_score")?,
            plan_alignment: reader.parse_optional("plan_alignment_score")?,
            edit_distance: reader.parse_optional("edit_distance_score")?,
            diversity: reader.parse_optional("diversity_score")?,
            leftovers: reader.parse_optional("leftovers_score")?,
        },
        baseline: reader.parse_optional("baseline_version_id")?,
        is_better: better.map(|better| better != 0),
        error: reader.get("error_message")?,
        created_at: reader.parse("created_at")?,
    })
}
