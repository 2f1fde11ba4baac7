//! Entries → policies, with every fault on the way.

use std::collections::BTreeMap;

use super::super::document::Document;
use super::super::fault::Fault;
use super::entries::{
    AfterDeadlineWord, AlphasEntry, ApprovalWord, ConfirmationEntry, ExistingUnitsWord, FromAggregatesWord,
    GuardrailEntry, ModeWord, OnHarmWord, OnSrmWord, PolicyEntry, RequireWord, StageEntry, SuccessEntry,
    SuccessTestWord,
};
use crate::domain::{
    AfterDeadline, Alpha, Alphas, Approval, Bound, Confirmation, Direction, ExistingUnits, FromAggregates, Guardrail,
    Margin, Metric, Mode, OnHarm, OutOfRange, Policy, Require, Share, Stage, Success, SuccessMetric, SuccessTest,
};

/// Turns entries into policies, gathering faults on the way; a faulty value is replaced by a harmless one, and the
/// result is thrown away in the end.
pub(super) struct Resolver<'a> {
    pub(super) document: &'a Document,
    pub(super) metrics: Option<&'a BTreeMap<String, Metric>>,
    pub(super) at: String,
    pub(super) faults: &'a mut Vec<Fault>,
}

impl Resolver<'_> {
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let fault = self.document.fault(&format!("{}/{key}", self.at), message);
        self.faults.push(fault);
    }

    /// The policy of an entry; what it leaves out is taken from `base`, and without one from the standard.
    pub(super) fn policy(&mut self, entry: &PolicyEntry, base: Option<&Policy>) -> Policy {
        let standard = Policy::standard();
        let before = base.unwrap_or(&standard);
        // Guardrails that were given but are faulty have told so; an override without any stands on the defaults.
        if entry.guardrails.is_none() && base.is_none() {
            self.fault("guardrails", "at least one guardrail is needed; without one nothing could be judged harmful");
        }
        let ramp = entry.ramp.clone().unwrap_or_default();
        let rollback = entry.rollback.clone().unwrap_or_default();
        let promote = entry.promote.clone().unwrap_or_default();
        let policy = Policy {
            control: entry.control.clone().unwrap_or_else(|| before.control.clone()),
            stages: entry.stages.as_ref().map_or_else(|| before.stages.clone(), |stages| self.stages(stages)),
            guardrails: match &entry.guardrails {
                Some(guardrails) => self.guardrails(guardrails),
                None => before.guardrails.clone(),
            },
            success: entry.success.as_ref().map_or_else(|| before.success.clone(), |success| self.success(success)),
            alphas: self.alphas(entry.alphas.as_ref(), before.alphas),
            materiality: entry.materiality.unwrap_or(before.materiality),
            max_nights: entry.max_nights.or(before.max_nights),
            after_max_nights: match entry.after_max_nights {
                Some(AfterDeadlineWord::Hold) => AfterDeadline::Hold,
                Some(AfterDeadlineWord::Rollback) => AfterDeadline::Rollback,
                Some(AfterDeadlineWord::PromoteIfNonInferior) => AfterDeadline::PromoteIfNonInferior,
                None => before.after_max_nights,
            },
            confirmation: match &entry.confirmation {
                Some(confirmation) => self.confirmation(confirmation),
                None => before.confirmation,
            },
            cooldown_days: entry.cooldown_days.unwrap_or(before.cooldown_days),
            risk_budget: entry.risk_budget.or(before.risk_budget),
            page_after_nights: entry.page_after_nights.unwrap_or(before.page_after_nights),
            freezes: match &entry.freezes {
                Some(freezes) => self.freezes(freezes),
                None => before.freezes.clone(),
            },
            mode: match entry.mode {
                Some(ModeWord::Act) => Mode::Act,
                Some(ModeWord::Advise) => Mode::Advise,
                None => before.mode,
            },
            owners: match &entry.owners {
                Some(owners) => self.owners(owners),
                None => before.owners.clone(),
            },
            on_ramp: existing(ramp.existing_units, before.on_ramp),
            on_rollback: existing(rollback.existing_units, before.on_rollback),
            on_promote: existing(promote.existing_units, before.on_promote),
            srm_blocks_rollback: match rollback.on_srm {
                Some(word) => word == OnSrmWord::Hold,
                None => before.srm_blocks_rollback,
            },
            complete_on_promote: promote.complete_experiment.unwrap_or(before.complete_on_promote),
            from_aggregates: match entry.from_aggregates {
                Some(FromAggregatesWord::Lower) => FromAggregates::Lower,
                Some(FromAggregatesWord::Ramp) => FromAggregates::Ramp,
                Some(FromAggregatesWord::Promote) => FromAggregates::Promote,
                None => before.from_aggregates,
            },
        };
        self.check_nights(entry, &policy);
        if entry.after_max_nights.is_some() && policy.max_nights.is_none() {
            self.fault("after_max_nights", "without `max_nights` there is no last night; give it, or leave this out");
        }
        policy
    }

    fn confirmation(&mut self, entry: &ConfirmationEntry) -> Option<Confirmation> {
        if entry.nights > entry.of {
            let message = format!("{} of {} nights cannot be; `nights` must not exceed `of`", entry.nights, entry.of);
            self.fault("confirmation/nights", message);
        }
        Some(Confirmation { nights: entry.nights, of: entry.of })
    }

    fn owners(&mut self, owners: &[String]) -> Vec<String> {
        for (index, owner) in owners.iter().enumerate() {
            if let Err(error) = owner.parse::<lettre::message::Mailbox>() {
                let message = format!("{owner:?} is no mail address ({error}); write name@example.com");
                self.fault(&format!("owners/{index}"), message);
            }
        }
        owners.to_vec()
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
            stages.push(Stage {
                allocation,
                min_days: entry.min_days,
                min_units: entry.min_units.unwrap_or(1000),
                whole_weeks: entry.whole_weeks,
                approval: match entry.approval {
                    Some(ApprovalWord::Required) => Approval::Required,
                    Some(ApprovalWord::Auto) | None => Approval::Auto,
                },
            });
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
                let on_harm = match entry.on_harm {
                    Some(OnHarmWord::Hold) => OnHarm::Hold,
                    Some(OnHarmWord::Warn) => OnHarm::Warn,
                    Some(OnHarmWord::Rollback) | None => OnHarm::Rollback,
                };
                found.push(Guardrail { on_harm, ..Guardrail::new(&entry.metric, bound) });
            }
        }
        if !found.is_empty() && found.iter().all(|guardrail| guardrail.on_harm != OnHarm::Rollback) {
            self.fault(
                "guardrails",
                "no guardrail has `on_harm: rollback`, so nothing would ever be rolled back; use `mode: advise` for a trial",
            );
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

    fn alphas(&mut self, entry: Option<&AlphasEntry>, before: Alphas) -> Alphas {
        let entry = entry.cloned().unwrap_or_default();
        Alphas {
            rollback: self.alpha("alphas/rollback", entry.rollback, before.rollback),
            promotion: self.alpha("alphas/promotion", entry.promotion, before.promotion),
            warn: self.alpha("alphas/warn", entry.warn, before.warn),
            srm: self.alpha("alphas/srm", entry.srm, before.srm),
        }
    }

    fn alpha(&mut self, key: &str, given: Option<f64>, before: Alpha) -> Alpha {
        let Some(wanted) = given else { return before };
        Alpha::try_from(wanted).unwrap_or_else(|error| {
            self.fault(key, error.to_string());
            before
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

fn existing(given: Option<ExistingUnitsWord>, before: ExistingUnits) -> ExistingUnits {
    match given {
        Some(ExistingUnitsWord::Keep) => ExistingUnits::Keep,
        Some(ExistingUnitsWord::Move) => ExistingUnits::Move,
        None => before,
    }
}
