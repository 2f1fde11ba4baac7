//! `experiments.yml`: experiments and the variants that they begin with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Checked, each_once};
use crate::domain::{ExperimentStatus, Share};

/// The file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentsFile {
    /// The experiments.
    pub experiments: Vec<ExperimentEntry>,
}

/// An experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentEntry {
    /// Its unique name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What is randomised.
    pub unit_type: UnitTypeWord,
    /// draft → active ⇄ paused → completed; `draft` unless told.
    #[serde(default)]
    pub status: StatusWord,
    /// When assignment begins: 2026-03-01 or 2026-03-01T00:00:00Z.
    pub start_at: Option<String>,
    /// When it is to end. One without an end is warned of.
    pub end_at: Option<String>,
    /// Its arms.
    #[schemars(length(min = 1))]
    pub variants: Vec<VariantEntry>,
}

/// An arm.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantEntry {
    /// Its name, unique in its experiment.
    pub name: String,
    /// What it tries.
    pub description: Option<String>,
    /// Its share of new units, in steps of 0.0001. It is the one that the arm begins with: once a night has judged the
    /// experiment, the table's counts.
    pub allocation: f64,
    /// What it serves. In place of a `policy_version_id` the file may say `policy` and `version`, in place of a
    /// `prompt_version_id` `prompt` and `version`.
    pub config: serde_json::Map<String, Value>,
}

/// What is randomised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnitTypeWord {
    /// A user.
    User,
    /// A household.
    Household,
    /// A session.
    Session,
}

impl UnitTypeWord {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Household => "household",
            Self::Session => "session",
        }
    }
}

/// Where an experiment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusWord {
    /// Not yet started.
    #[default]
    Draft,
    /// Units are being assigned.
    Active,
    /// Stopped by hand for a while.
    Paused,
    /// Over.
    Completed,
}

impl From<StatusWord> for ExperimentStatus {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Draft => Self::Draft,
            StatusWord::Active => Self::Active,
            StatusWord::Paused => Self::Paused,
            StatusWord::Completed => Self::Completed,
        }
    }
}

impl VariantEntry {
    /// Its share; one that is none was a fault of the file.
    pub fn share(&self) -> Share {
        Share::try_from(self.allocation).unwrap_or_default()
    }
}

impl ExperimentEntry {
    /// When assignment begins.
    pub fn starts(&self) -> Option<jiff::Timestamp> {
        self.start_at.as_deref().and_then(|text| moment(text).ok())
    }

    /// When it is to end.
    pub fn ends(&self) -> Option<jiff::Timestamp> {
        self.end_at.as_deref().and_then(|text| moment(text).ok())
    }
}

/// A moment, or the beginning of a day in UTC.
fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at);
    }
    let day: Result<jiff::civil::Date, _> = text.parse();
    let day = day.map_err(|_| format!("{text:?} is no time; write 2026-03-01, or 2026-03-01T00:00:00Z"))?;
    day.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|error| error.to_string())
}

impl Checked for ExperimentsFile {
    fn check(&self, fault: &mut dyn FnMut(&str, String)) {
        let names = self.experiments.iter().enumerate();
        each_once("experiment", names.map(|(i, e)| (format!("/experiments/{i}/name"), e.name.as_str())), fault);
        for (i, experiment) in self.experiments.iter().enumerate() {
            let at = |key: &str| format!("/experiments/{i}/{key}");
            let variants = experiment.variants.iter().enumerate();
            each_once("variant", variants.map(|(j, v)| (at(&format!("variants/{j}/name")), v.name.as_str())), fault);
            let mut times = Vec::new();
            for (key, text) in [("start_at", &experiment.start_at), ("end_at", &experiment.end_at)] {
                match text.as_deref().map(moment) {
                    Some(Err(message)) => fault(&at(key), message),
                    Some(Ok(time)) => times.push(time),
                    None => {}
                }
            }
            if let [start, end] = times[..]
                && end <= start
            {
                fault(&at("end_at"), "it ends before it begins".to_owned());
            }
            let mut sum = 0u32;
            for (j, variant) in experiment.variants.iter().enumerate() {
                match Share::try_from(variant.allocation) {
                    Ok(share) => sum += u32::from(share.ten_thousandths()),
                    Err(error) => {
                        fault(&at(&format!("variants/{j}/allocation")), error.to_string());
                        sum = 10_000;
                        break;
                    }
                }
            }
            if sum != 10_000 {
                let sum = f64::from(sum) / 1e4;
                fault(&at("variants"), format!("the allocations sum to {sum}, and must sum to exactly 1"));
            }
        }
    }
}
