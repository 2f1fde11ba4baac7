//! Configuration: three YAML files, read and checked as a whole before anything is touched.
//!
//! Every fault of every file is reported at once, each with its file, line and key. Secrets are references; they are
//! read when the connection that needs them is made.

mod catalogue;
mod document;
mod facts;
mod fault;
mod metrics;
mod promotion;
mod schema;
mod secret;
mod settings;
mod telling;
mod thresholds;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

pub use catalogue::{
    Appended, Checked, ExperimentEntry, ExperimentsFile, Filed, PoliciesFile, PolicyCatalogueEntry, PolicyVersionEntry,
    PromptEntry, PromptVersionEntry, PromptsFile, VariantEntry, append_version,
};
pub use fault::{ConfigError, Fault};
pub use promotion::{Enrolment, MOST_AT_FIRST, Policies};
pub use schema::ConfigFile;
pub use secret::SecretRef;
pub use settings::{
    ActionWord, AggregatesEntry, AttachWord, BucketWord, ClickhouseEntry, DigestEntry, EncryptionWord, ExposureWord,
    LakeEntry, MailEntry, MlflowEntry, MysqlEntry, PostgresEntry, QuietWord, RestatementWord, ScheduleEntry,
    SettingsFile, SmtpEntry, SqliteEntry, StoreKind, TellWord,
};
pub use telling::{ChatEntry, ChatKind, ChatNight, HeartbeatEntry};
pub use thresholds::{Freezable, FreezeEntry, with_thresholds};

use crate::domain::{ExposedBy, Metric, Percentiles, Threshold};
use document::Document;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the main file; relative paths start here.
    pub base: PathBuf,
    /// Where everything lies, and when the night runs.
    pub settings: SettingsFile,
    /// What is measured, by name.
    pub metrics: BTreeMap<String, Metric>,
    /// Fields whose percentiles are shown.
    pub percentiles: Vec<Percentiles>,
    /// Thresholds that say what they are taken from, be they frozen already or not.
    pub freezable: Vec<Freezable>,
    /// The files of the facts that metrics name, by name.
    pub facts: BTreeMap<String, PathBuf>,
    /// How candidates are judged.
    pub policies: Policies,
    /// SHA-256 of the metrics and promotion files and of the facts, in hexadecimal: what a decision was made under.
    pub digest: String,
    metrics_file: Arc<Document>,
    promotion_file: Arc<Document>,
}

impl Config {
    /// The share of units seen in two arms above which nothing goes up.
    pub fn max_multiple_exposure(&self) -> f64 {
        self.settings.evidence.max_multiple_exposure.unwrap_or(0.001)
    }

    /// What makes the units of that experiment exposed.
    pub fn exposed_by(&self, experiment: &str) -> ExposedBy {
        let warehouse = &self.settings.warehouse;
        match warehouse.exposure_of.get(experiment).copied().unwrap_or(warehouse.exposure) {
            ExposureWord::Assignments => ExposedBy::Assignment,
            ExposureWord::Events => ExposedBy::Event,
        }
    }

    /// What is measured in an experiment that has these thresholds of its own. A number in the file goes before.
    pub fn metrics_with(&self, thresholds: &[Threshold]) -> Cow<'_, BTreeMap<String, Metric>> {
        let mut metrics = Cow::Borrowed(&self.metrics);
        for freezable in self.freezable.iter().filter(|freezable| freezable.frozen.is_none()) {
            if let Some(known) = threshold_of(freezable, thresholds)
                && let Some(metric) = metrics.get(&freezable.metric)
            {
                let metric = metric.with_threshold(freezable.below, known.threshold);
                metrics.to_mut().insert(freezable.metric.clone(), metric);
            }
        }
        metrics
    }

    /// The thresholds that an experiment is judged by and that are frozen neither in the file nor for it.
    pub fn unfrozen(&self, experiment: &str, thresholds: &[Threshold]) -> Vec<&Freezable> {
        let policy = self.policies.of(experiment);
        let missing = self.freezable.iter().filter(|freezable| freezable.frozen.is_none());
        let missing = missing.filter(|freezable| threshold_of(freezable, thresholds).is_none());
        missing.filter(|freezable| policy.judged_by().any(|name| *name == freezable.metric)).collect()
    }

    /// Where a key of the metrics file stands, as `FILE:LINE`. `keys` lead there from the file's top; of those that do not
    /// stand in the file, the nearest that does is meant.
    pub fn place_in_metrics(&self, keys: &[&str]) -> String {
        self.metrics_file.place(keys)
    }

    /// The same for the promotion file.
    pub fn place_in_promotion(&self, keys: &[&str]) -> String {
        self.promotion_file.place(keys)
    }

    /// The folder that facts lie in.
    pub fn facts_folder(&self) -> PathBuf {
        self.path_of(self.settings.facts.as_ref(), facts::FOLDER)
    }

    /// Where one of the files lies that say what there is: the path that the main file gives, or `otherwise` beside it.
    pub fn path_of(&self, given: Option<&PathBuf>, otherwise: &str) -> PathBuf {
        self.base.join(given.map_or(Path::new(otherwise), PathBuf::as_path))
    }
}

/// The one among an experiment's thresholds that is meant.
pub fn threshold_of<'a>(freezable: &Freezable, thresholds: &'a [Threshold]) -> Option<&'a Threshold> {
    let definition = freezable.definition();
    thresholds.iter().find(|known| known.metric == freezable.metric && known.definition == definition)
}

/// Reads and checks the main file and the two that it names.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let base = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let (main, _) = read(path).map_err(|fault| ConfigError(vec![fault]))?;
    let settings = main.decode::<SettingsFile>();
    let name = |key: &str, otherwise: &str| {
        let given = main.get(key).and_then(|v| v.as_str()).unwrap_or(otherwise);
        base.join(given)
    };
    let mut faults = Vec::new();
    let metrics_file = decode_at::<metrics::MetricsFile>(&name("/metrics", "metrics.yml"), &mut faults);
    let promotion_file = decode_at::<promotion::PromotionFile>(&name("/promotion", "promotion.yml"), &mut faults);

    let settings = match settings {
        Ok(settings) => {
            faults.extend(settings::check(&main, &settings));
            Some(settings)
        }
        Err(found) => {
            faults.extend(found);
            None
        }
    };
    let mut facts = match &metrics_file {
        Some((document, _, file)) => facts::read(&main, &base, document, &file.facts()),
        None => facts::Facts::default(),
    };
    faults.append(&mut facts.faults);
    let metrics = metrics_file.as_ref().map(|(document, _, file)| metrics::resolve(document, file, &facts));
    let metrics = metrics.and_then(|resolved| resolved.map_err(|found| faults.extend(found)).ok());
    let percentiles = metrics_file.as_ref().map(|(document, _, file)| metrics::percentiles(document, file));
    let percentiles =
        percentiles.and_then(|found| found.map_err(|found| faults.extend(found)).ok()).unwrap_or_default();
    let freezable = metrics_file.as_ref().map(|(document, _, file)| metrics::freezable(document, file));
    let freezable = freezable.and_then(|found| found.map_err(|found| faults.extend(found)).ok()).unwrap_or_default();
    if let (Some(settings), Some(metrics), Some((document, ..))) = (&settings, &metrics, &metrics_file) {
        faults.extend(settings::agree((&main, &settings.warehouse), document, metrics));
    }
    let policies =
        promotion_file.as_ref().map(|(document, _, file)| promotion::resolve(document, file, metrics.as_ref()));
    let policies = policies.and_then(|resolved| resolved.map_err(|found| faults.extend(found)).ok());

    match (settings, metrics, policies, metrics_file, promotion_file) {
        (Some(settings), Some(metrics), Some(policies), Some((m, a, _)), Some((p, b, _))) if faults.is_empty() => {
            let files = Sha256::new().chain_update(a).chain_update([0]).chain_update(b);
            let parts = facts.found.values().flat_map(|fact| [&fact.name, &fact.sql]);
            let digest = parts.fold(files, |digest, part| digest.chain_update([0]).chain_update(part)).finalize();
            let digest = format!("{digest:x}");
            let (metrics_file, promotion_file) = (Arc::new(m), Arc::new(p));
            Ok(Config {
                base,
                settings,
                metrics,
                percentiles,
                freezable,
                facts: facts.paths,
                policies,
                digest,
                metrics_file,
                promotion_file,
            })
        }
        _ => {
            faults.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
            Err(ConfigError(faults))
        }
    }
}

fn read(path: &Path) -> Result<(Document, String), Fault> {
    let bytes = std::fs::read(path)
        .map_err(|error| Fault::new(path, (1, 1), "", &format!("could not read the file: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let column = 1 + before.chars().rev().take_while(|char| *char != '\n').count();
        let place = (1 + before.matches('\n').count(), column);
        Fault::new(path, place, "", "this is no UTF-8; save the file as UTF-8")
    })?;
    Ok((Document::parse(path, &text)?, text))
}

fn decode_at<T: DeserializeOwned + JsonSchema>(path: &Path, faults: &mut Vec<Fault>) -> Option<(Document, String, T)> {
    match read(path) {
        Err(fault) => {
            faults.push(fault);
            None
        }
        Ok((document, text)) => match document.decode::<T>() {
            Ok(value) => Some((document, text, value)),
            Err(found) => {
                faults.extend(found);
                None
            }
        },
    }
}

#[cfg(test)]
mod tests;
