//! What is true in a simulated world: its traffic, its metrics, and the scenarios of one candidate each.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{ConfigError, Fault};

/// The entry of `metrics` and of `effects` that speaks for all that are not named.
pub const DEFAULT: &str = "default";

/// Traffic and truth.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Units first exposed per day, both arms together; every scenario is run at each of them.
    pub units_per_day: Vec<u64>,
    /// How many nights an experiment is followed; 30 unless told.
    #[serde(default = "thirty")]
    pub nights: u32,
    /// The metrics by name; `default` speaks for those that are not named.
    pub metrics: BTreeMap<String, MetricTruth>,
    /// The correlation between any two metrics of a unit, 0 to 1; 0 unless told. Raw rows are drawn without it.
    #[serde(default)]
    pub correlation: f64,
    /// How everybody's level moves.
    #[serde(default)]
    pub base: Base,
    /// The chance that the job does not run on a night; the next one makes up for it.
    #[serde(default)]
    pub missing_nights: f64,
    /// The chance that a day's events are incomplete on its night; the next night then closes two cohorts.
    #[serde(default)]
    pub late_data: f64,
    /// Whether the arms' counts are as planned or drawn, unit by unit.
    #[serde(default)]
    pub counts: Counts,
    /// Whether the ramp follows the decisions, or the calendar of the stages' least days.
    #[serde(default)]
    pub ramp: Ramp,
    /// Days after first exposure until a cohort closes; each metric's window unless told.
    #[serde(default)]
    pub closes_after_days: Option<u32>,
    /// The candidates.
    pub scenarios: Vec<Scenario>,
}

/// One metric in control, on a day on which everybody's level is 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricTruth {
    /// Control's mean per unit, or its ratio.
    pub mean: f64,
    /// How its values are spread over units.
    #[serde(default)]
    pub shape: Shape,
    /// Standard deviation over mean, for `normal` and `ratio`; 1 unless told. The other shapes have their own.
    #[serde(default = "one")]
    pub cv: f64,
}

/// How a metric's values are spread over units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Bell-shaped.
    #[default]
    Normal,
    /// One or zero.
    Rate,
    /// Log-normal with σ = 1.5: a heavy right tail.
    Lognormal,
    /// Nine units in ten have nothing, the tenth a Pareto value with tail index 2.2.
    Pareto,
    /// A sum over a sum of events, a unit's events all at the unit's own level.
    Ratio,
}

/// How everybody's level moves from day to day, both arms alike.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Base {
    /// Relative change per day, compounding: −0.01 loses one percent a day.
    pub drift: f64,
    /// The level of each day of the week, the first day first; none means flat.
    pub weekly: Vec<f64>,
    /// The level of each day; the last one goes on. None means flat.
    pub daily: Vec<f64>,
}

/// Whether counts are as planned, or chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Each arm gets its share of the day's units, rounded. The split is then not judged.
    #[default]
    Planned,
    /// Each unit is assigned by chance, and the split is judged.
    Drawn,
}

/// Who moves the ramp on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ramp {
    /// The decisions, as in real life: suspicion and missing units hold it.
    #[default]
    Decided,
    /// The stages' least days alone. For comparing with figures of a fixed ramp.
    Calendar,
}

/// One candidate's truth.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in the results.
    pub name: String,
    /// By metric how much better (positive) or worse (negative) than control, in the metric's good direction: −0.05 is five
    /// percent worse, also where less is better. `default` speaks for those that are not named; otherwise 0.
    #[serde(default)]
    pub effects: Effects,
    /// The share of the candidate's units that are lost before they are counted.
    #[serde(default)]
    pub candidate_loss: f64,
}

/// Relative effects by metric.
pub type Effects = BTreeMap<String, f64>;

fn thirty() -> u32 {
    30
}

fn one() -> f64 {
    1.0
}

impl World {
    /// The JSON Schema of such a file.
    pub fn schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(World).to_value();
        if let Some(object) = schema.as_object_mut() {
            object.insert("title".to_owned(), serde_json::json!("simulation.yml"));
        }
        schema
    }

    /// Reads and checks a description of traffic and truth; `metrics` are those that it may name.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of meaning, or the first fault of form.
    pub fn load(path: &Path, metrics: &[&str]) -> Result<World, ConfigError> {
        let fault = |line: usize, column: usize, key: String, message: String| Fault {
            path: path.to_owned(),
            line,
            column,
            key,
            message,
        };
        let one = |fault: Fault| ConfigError(vec![fault]);
        let text = std::fs::read_to_string(path)
            .map_err(|error| one(fault(1, 1, String::new(), format!("could not read the file: {error}"))))?;
        let world: World = serde_saphyr::from_str(&text).map_err(|error| {
            let place = error.location();
            let whole = error.to_string();
            let message = whole.lines().next().unwrap_or_default();
            let message = message.strip_prefix("error: ").unwrap_or(message).to_owned();
            let (line, column) = place.map_or((1, 1), |l| (l.line() as usize, l.column() as usize));
            one(fault(line, column, String::new(), message))
        })?;
        let line_of = |key: &str| {
            let top = key.split(['.', '[']).next().unwrap_or_default();
            text.lines().position(|line| line.starts_with(&format!("{top}:"))).map_or(1, |index| index + 1)
        };
        let faults: Vec<Fault> =
            world.faults(metrics).into_iter().map(|(key, message)| fault(line_of(&key), 1, key, message)).collect();
        if faults.is_empty() { Ok(world) } else { Err(ConfigError(faults)) }
    }

    /// What cannot be, as key and message.
    fn faults(&self, metrics: &[&str]) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: String, message: String| faults.push((key, message));
        if self.units_per_day.is_empty() || self.units_per_day.iter().any(|n| !(1..=1_000_000_000).contains(n)) {
            fault("units_per_day".into(), "at least one number of units, each between 1 and 1000000000".into());
        }
        if !(1..=1000).contains(&self.nights) {
            fault("nights".into(), format!("must lie in 1..=1000, but this is {}", self.nights));
        }
        if self.closes_after_days.is_some_and(|days| days > 90) {
            fault("closes_after_days".into(), "must lie in 0..=90".into());
        }
        let chances = [("missing_nights", self.missing_nights), ("late_data", self.late_data)];
        for (key, value) in chances.into_iter().chain([("correlation", self.correlation)]) {
            if !(0.0..1.0).contains(&value) {
                fault(key.into(), format!("must be at least 0 and below 1, but this is {value}"));
            }
        }
        if self.base.drift.abs() > 0.5 || self.base.drift.is_nan() {
            fault("base.drift".into(), format!("must lie in -0.5..=0.5, but this is {}", self.base.drift));
        }
        if !self.base.weekly.is_empty() && self.base.weekly.len() != 7 {
            fault("base.weekly".into(), format!("must have seven levels, but has {}", self.base.weekly.len()));
        }
        if self.base.weekly.iter().chain(&self.base.daily).any(|level| !(*level > 0.0 && level.is_finite())) {
            fault("base".into(), "a level must be above 0".into());
        }
        let known = |name: &str| name == DEFAULT || metrics.contains(&name);
        let unknown = |name: &str| format!("no metric of the policy is named {name:?}; known: {}", metrics.join(", "));
        for (name, truth) in &self.metrics {
            let key = format!("metrics.{name}");
            if !known(name) {
                fault(key.clone(), unknown(name));
            }
            if !truth.mean.is_finite() || truth.mean == 0.0 {
                fault(format!("{key}.mean"), format!("must be a number other than 0, but this is {}", truth.mean));
            } else if truth.shape != Shape::Normal && truth.mean < 0.0 {
                fault(format!("{key}.mean"), format!("must be above 0 for this shape, but this is {}", truth.mean));
            }
            if truth.shape == Shape::Rate && truth.mean >= 1.0 {
                fault(format!("{key}.mean"), format!("a rate lies between 0 and 1, but this is {}", truth.mean));
            }
            if !(truth.cv > 0.0 && truth.cv <= 1000.0) {
                fault(format!("{key}.cv"), format!("must be above 0 and at most 1000, but this is {}", truth.cv));
            }
        }
        for name in metrics {
            if !self.metrics.contains_key(*name) && !self.metrics.contains_key(DEFAULT) {
                fault("metrics".into(), format!("{name} is not described, and there is no `default`"));
            }
        }
        if self.scenarios.is_empty() {
            fault("scenarios".into(), "at least one is needed".into());
        }
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let key = format!("scenarios[{index}]");
            if !(0.0..1.0).contains(&scenario.candidate_loss) {
                let loss = scenario.candidate_loss;
                fault(format!("{key}.candidate_loss"), format!("must be at least 0 and below 1, but this is {loss}"));
            }
            for (name, effect) in &scenario.effects {
                let key = format!("{key}.effects.{name}");
                if !known(name) {
                    fault(key.clone(), unknown(name));
                }
                if effect.is_nan() || effect.abs() >= 1.0 {
                    fault(key, format!("must lie between -1 and 1, but this is {effect}"));
                }
            }
        }
        faults
    }

    /// Everybody's level on a day, the first day being 1.
    pub(super) fn level(&self, day: u32) -> f64 {
        let index = day.saturating_sub(1) as usize;
        let weekly = if self.base.weekly.is_empty() { 1.0 } else { self.base.weekly[index % self.base.weekly.len()] };
        let daily = self.base.daily.get(index).or(self.base.daily.last()).copied().unwrap_or(1.0);
        weekly * daily * (1.0 + self.base.drift).powi(index as i32)
    }
}

impl Scenario {
    /// The effect on a metric, in its good direction.
    pub fn effect(&self, metric: &str) -> f64 {
        self.effects.get(metric).or_else(|| self.effects.get(DEFAULT)).copied().unwrap_or(0.0)
    }
}
