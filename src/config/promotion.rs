//! `promotion.yml`: how candidates are judged, with defaults for all experiments and overrides for some.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use super::fault::Fault;
use crate::domain::{
    Alpha, Alphas, Bound, Direction, ExistingUnits, Guardrail, Margin, Metric, OutOfRange, Policy, Require, Share,
    Stage, Success, SuccessMetric, SuccessTest,
};

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionFile {
    /// How every experiment is judged unless it says otherwise.
    pub defaults: PolicyEntry,
    /// What single experiments, by name, do differently. A list given here replaces the default list.
    #[serde(default)]
    pub experiments: BTreeMap<String, PolicyEntry>,
}

/// A policy, or the part of it that an experiment overrides.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyEntry {
    /// The name of the baseline variant; `control` unless told.
    control: Option<String>,
    /// The ramp; 10 % for 3 days, 25 % for 5, 50 % for 7, with 1000 units per arm, unless told.
    #[schemars(length(min = 1))]
    stages: Option<Vec<StageEntry>>,
    /// What must not get worse.
    #[schemars(length(min = 1))]
    guardrails: Option<Vec<GuardrailEntry>>,
    /// What promotion wants shown beside safe guardrails.
    success: Option<SuccessEntry>,
    /// The error rates over a whole experiment.
    alphas: Option<AlphasEntry>,
    /// The least harm that is rolled back, as a fraction of the margin; 0.5 unless told.
    #[schemars(range(min = 0.0, max = 1.0))]
    materiality: Option<f64>,
    /// After so many nights promotion is not tested any more; declares the planned looks of the group-sequential test.
    #[schemars(range(min = 1))]
    max_nights: Option<u32>,
    /// What a rollback does beside setting the allocation to 0.
    rollback: Option<RollbackEntry>,
    /// What a promotion does beside giving the candidate every unit.
    promote: Option<PromoteEntry>,
}

/// One step of the ramp.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageEntry {
    /// The candidate's share, such as 0.25.
    allocation: f64,
    /// Full days before the stage may be left upwards.
    min_days: u32,
    /// Units per arm in closed cohorts before the stage may be left upwards; 1000 unless told.
    #[schemars(range(min = 2))]
    min_units: Option<u64>,
}

/// A metric and exactly one limit for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailEntry {
    metric: String,
    /// The worst loss accepted, relative to control: 0.05 is five percent.
    margin: Option<f64>,
    /// The candidate's value must not exceed this.
    ceiling: Option<f64>,
    /// The candidate's value must not fall below this.
    floor: Option<f64>,
}

/// The success metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessEntry {
    /// `all` (the default) or `any` of the metrics.
    require: Option<RequireWord>,
    /// The metrics.
    #[schemars(length(min = 1))]
    metrics: Vec<SuccessMetricEntry>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RequireWord {
    Any,
    All,
}

/// One success metric.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessMetricEntry {
    metric: String,
    /// What is to be shown.
    test: SuccessTestWord,
    /// The non-inferiority margin, or the size of effect that a superiority test is tuned to.
    margin: f64,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SuccessTestWord {
    Superior,
    NonInferior,
}

/// Error rates in (0, 0.5).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlphasEntry {
    /// P(ever roll back a candidate that is no worse); 0.05 unless told.
    rollback: Option<f64>,
    /// P(ever promote a candidate worse than a margin); 0.05 unless told.
    promotion: Option<f64>,
    /// The level of harm evidence that stops the ramp already; 0.2 unless told.
    warn: Option<f64>,
    /// P(call a sound split mismatched); 0.001 unless told.
    srm: Option<f64>,
}

/// What a rollback does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackEntry {
    /// `move` (the default) takes the failed candidate's units back to control; `keep` leaves them.
    existing_units: Option<ExistingUnitsWord>,
    /// `rollback` (the default) or `hold`: whether proven harm is acted on while the split is mismatched.
    on_srm: Option<OnSrmWord>,
}

/// What a promotion does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromoteEntry {
    /// `move` (the default) takes the other variants' units onto the winner; `keep` leaves them.
    existing_units: Option<ExistingUnitsWord>,
    /// Whether the experiment is completed; true unless told.
    complete_experiment: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ExistingUnitsWord {
    Keep,
    Move,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnSrmWord {
    Rollback,
    Hold,
}

/// The policies of all experiments.
#[derive(Clone, Debug)]
pub struct Policies {
    default: Policy,
    by_experiment: BTreeMap<String, Policy>,
}

impl Policies {
    /// The policy for the experiment of that name.
    pub fn of(&self, experiment: &str) -> &Policy {
        self.by_experiment.get(experiment).unwrap_or(&self.default)
    }

    /// The names of the experiments with a policy of their own.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.by_experiment.keys().map(String::as_str)
    }
}

/// The policies of a decoded file, or every fault in them. Without `metrics`, whose file has faults of its own, the
/// names of metrics are not checked.
pub(super) fn resolve(
    document: &Document,
    file: &PromotionFile,
    metrics: Option<&BTreeMap<String, Metric>>,
) -> Result<Policies, Vec<Fault>> {
    let mut faults = Vec::new();
    let default =
        Resolver { document, metrics, at: "/defaults".into(), faults: &mut faults }.policy(&file.defaults, None);
    let mut by_experiment = BTreeMap::new();
    for (name, entry) in &file.experiments {
        let at = format!("/experiments/{}", name.replace('~', "~0").replace('/', "~1"));
        let mut resolver = Resolver { document, metrics, at, faults: &mut faults };
        by_experiment.insert(name.clone(), resolver.policy(entry, Some(&default)));
    }
    if faults.is_empty() { Ok(Policies { default, by_experiment }) } else { Err(faults) }
}

/// Turns entries into policies, gathering faults on the way; a faulty value is replaced by a harmless one, and the
/// result is thrown away in the end.
struct Resolver<'a> {
    document: &'a Document,
    metrics: Option<&'a BTreeMap<String, Metric>>,
    at: String,
    faults: &'a mut Vec<Fault>,
}

impl Resolver<'_> {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        let fault = self.document.fault(&format!("{}/{key}", self.at), message);
        self.faults.push(fault);
    }

    fn policy(&mut self, entry: &PolicyEntry, base: Option<&Policy>) -> Policy {
        let stages = match &entry.stages {
            Some(stages) => self.stages(stages),
            None => base.map_or_else(default_stages, |b| b.stages.clone()),
        };
        let guardrails = match &entry.guardrails {
            Some(guardrails) => self.guardrails(guardrails),
            None => base.map(|b| b.guardrails.clone()).unwrap_or_default(),
        };
        // Guardrails that were given but are faulty have told so; an override without any stands on the defaults.
        if entry.guardrails.is_none() && base.is_none() {
            self.fault("guardrails", "at least one guardrail is needed; without one nothing could be judged harmful");
        }
        let success = match &entry.success {
            Some(success) => self.success(success),
            None => base.map_or(Success { require: Require::All, metrics: vec![] }, |b| b.success.clone()),
        };
        let alphas = self.alphas(entry.alphas.as_ref(), base.map(|b| b.alphas));
        let rollback = entry.rollback.clone().unwrap_or_default();
        let promote = entry.promote.clone().unwrap_or_default();
        let policy = Policy {
            control: entry.control.clone().or(base.map(|b| b.control.clone())).unwrap_or_else(|| "control".into()),
            stages,
            guardrails,
            success,
            alphas,
            materiality: entry.materiality.or(base.map(|b| b.materiality)).unwrap_or(0.5),
            max_nights: entry.max_nights.or(base.and_then(|b| b.max_nights)),
            on_rollback: existing(rollback.existing_units, base.map(|b| b.on_rollback)),
            on_promote: existing(promote.existing_units, base.map(|b| b.on_promote)),
            srm_blocks_rollback: match rollback.on_srm {
                Some(word) => word == OnSrmWord::Hold,
                None => base.is_some_and(|b| b.srm_blocks_rollback),
            },
            complete_on_promote: promote
                .complete_experiment
                .unwrap_or_else(|| base.is_none_or(|b| b.complete_on_promote)),
        };
        self.check_nights(entry, &policy);
        policy
    }

    /// A promotion that is planned must be possible before the last night. What both sides were inherited from has told
    /// so itself.
    fn check_nights(&mut self, entry: &PolicyEntry, policy: &Policy) {
        let first = policy.first_promotion_night();
        let Some(last) = policy.max_nights.filter(|last| *last < first) else { return };
        let key = match (entry.max_nights, &entry.stages) {
            (Some(_), _) => "max_nights",
            (None, Some(_)) => "stages",
            (None, None) => return,
        };
        self.fault(
            key,
            format!(
                "the stages take at least {first} nights (the sum of their `min_days`), so with `max_nights: {last}` \
                 promotion would never be tested; give {first} or more, or shorten the stages"
            ),
        );
    }

    fn stages(&mut self, entries: &[StageEntry]) -> Vec<Stage> {
        let mut stages: Vec<Stage> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let key = format!("stages/{index}/allocation");
            let allocation = Share::try_from(entry.allocation).unwrap_or_else(|error| {
                self.fault(&key, error.to_string());
                Share::NONE
            });
            let before = stages.last().map_or(Share::NONE, |s| s.allocation);
            if allocation <= before {
                self.fault(
                    &key,
                    format!("allocations must rise from stage to stage, but {allocation} follows {before}"),
                );
            }
            if allocation == Share::ALL {
                self.fault(&key, "the last step to 100 % is promotion and needs no stage");
            }
            stages.push(Stage { allocation, min_days: entry.min_days, min_units: entry.min_units.unwrap_or(1000) });
        }
        stages
    }

    fn guardrails(&mut self, entries: &[GuardrailEntry]) -> Vec<Guardrail> {
        let mut found: Vec<Guardrail> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let at = format!("guardrails/{index}");
            let direction = self.metric(&format!("{at}/metric"), &entry.metric);
            if found.iter().any(|g| g.metric == entry.metric) {
                self.fault(&format!("{at}/metric"), format!("metric `{}` is guarded twice", entry.metric));
            }
            let bound = match (entry.margin, entry.ceiling, entry.floor) {
                (Some(margin), None, None) => self.margin(&format!("{at}/margin"), margin).map(Bound::Margin),
                (None, Some(limit), None) if limit.is_finite() && limit > 0.0 => Some(Bound::Ceiling(limit)),
                (None, None, Some(limit)) if limit.is_finite() && limit > 0.0 => Some(Bound::Floor(limit)),
                (None, Some(limit), None) | (None, None, Some(limit)) => {
                    self.fault(&at, format!("a limit must be a positive number, but this is {limit}"));
                    None
                }
                (None, None, None) => {
                    self.fault(
                        &at,
                        "a guardrail without a condition judges nothing; give `margin`, `ceiling` or `floor`",
                    );
                    None
                }
                _ => {
                    self.fault(&at, "give one of `margin`, `ceiling` and `floor`, not several");
                    None
                }
            };
            match (direction, bound) {
                (Some(Direction::Increase), Some(Bound::Ceiling(_))) => {
                    self.fault(&at, "a ceiling guards a metric whose direction is decrease; this one should increase");
                }
                (Some(Direction::Decrease), Some(Bound::Floor(_))) => {
                    self.fault(&at, "a floor guards a metric whose direction is increase; this one should decrease");
                }
                _ => {}
            }
            if let Some(bound) = bound {
                found.push(Guardrail { metric: entry.metric.clone(), bound });
            }
        }
        found
    }

    fn success(&mut self, entry: &SuccessEntry) -> Success {
        let require = match entry.require {
            Some(RequireWord::Any) => Require::Any,
            Some(RequireWord::All) | None => Require::All,
        };
        let mut metrics = Vec::new();
        for (index, entry) in entry.metrics.iter().enumerate() {
            let at = format!("success/metrics/{index}");
            self.metric(&format!("{at}/metric"), &entry.metric);
            let test = match entry.test {
                SuccessTestWord::Superior => SuccessTest::Superior,
                SuccessTestWord::NonInferior => SuccessTest::NonInferior,
            };
            if let Some(margin) = self.margin(&format!("{at}/margin"), entry.margin) {
                metrics.push(SuccessMetric { metric: entry.metric.clone(), test, margin });
            }
        }
        Success { require, metrics }
    }

    fn alphas(&mut self, entry: Option<&AlphasEntry>, base: Option<Alphas>) -> Alphas {
        let entry = entry.cloned().unwrap_or_default();
        Alphas {
            rollback: self.alpha("alphas/rollback", entry.rollback, base.map(|b| b.rollback), 0.05),
            promotion: self.alpha("alphas/promotion", entry.promotion, base.map(|b| b.promotion), 0.05),
            warn: self.alpha("alphas/warn", entry.warn, base.map(|b| b.warn), 0.2),
            srm: self.alpha("alphas/srm", entry.srm, base.map(|b| b.srm), 0.001),
        }
    }

    fn alpha(&mut self, key: &str, given: Option<f64>, base: Option<Alpha>, otherwise: f64) -> Alpha {
        let wanted = given.or(base.map(Alpha::get)).unwrap_or(otherwise);
        Alpha::try_from(wanted).unwrap_or_else(|error| {
            self.fault(key, error.to_string());
            base.unwrap_or_else(|| default_alpha(otherwise))
        })
    }

    fn margin(&mut self, key: &str, value: f64) -> Option<Margin> {
        let checked: Result<Margin, OutOfRange> = Margin::try_from(value);
        checked.map_err(|error| self.fault(key, format!("{error}; five percent is 0.05"))).ok()
    }

    /// The direction of a declared metric, if the metrics could be read.
    fn metric(&mut self, key: &str, name: &str) -> Option<Direction> {
        let metrics = self.metrics?;
        let found = metrics.get(name).map(|metric| metric.direction);
        if found.is_none() {
            let near = metrics
                .keys()
                .map(|known| (strsim::damerau_levenshtein(name, known), known.as_str()))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
                .min();
            let hint = match near {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("known: {}", metrics.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.fault(key, format!("metric `{name}` is not declared in the metrics file; {hint}"));
        }
        found
    }
}

fn existing(given: Option<ExistingUnitsWord>, base: Option<ExistingUnits>) -> ExistingUnits {
    match given {
        Some(ExistingUnitsWord::Keep) => ExistingUnits::Keep,
        Some(ExistingUnitsWord::Move) => ExistingUnits::Move,
        None => base.unwrap_or(ExistingUnits::Move),
    }
}

fn default_alpha(value: f64) -> Alpha {
    Alpha::try_from(value).expect("the built-in error rates lie in (0, 0.5)")
}

/// The route's own ramp: 10 % for 3 days, 25 % for 5, 50 % for 7 (domain.md, rules of the route).
fn default_stages() -> Vec<Stage> {
    [(1_000, 3), (2_500, 5), (5_000, 7)]
        .into_iter()
        .map(|(parts, min_days)| Stage {
            allocation: Share::from_ten_thousandths(parts).expect("the built-in shares lie in 0..=1"),
            min_days,
            min_units: 1000,
        })
        .collect()
}
