//! What stands behind the variants: model versions in the registry, policy and prompt versions in the tables.

use serde_json::{Value, json};
use uuid::Uuid;

use super::planner::Planner;
use super::step::Step;
use crate::domain::{ModelVersion, Share, Variant, VariantConfig};

pub(super) const CHAMPION: &str = "champion";
pub(super) const CHALLENGER: &str = "challenger";
pub(super) const CANDIDATE: &str = "candidate";
pub(super) const PRODUCTION: &str = "production";
pub(super) const ARCHIVED: &str = "archived";

impl Planner<'_> {
    pub(super) fn tag_stage(
        &mut self,
        candidate: &Variant,
        version: ModelVersion,
        value: &str,
        expect: &[&str],
        insist: bool,
    ) {
        let (key, value) = ("stage".to_owned(), value.to_owned());
        let expect = expect.iter().map(|&value| value.to_owned()).collect();
        self.step(candidate, Step::SetTag { version, key, value, expect, insist });
    }

    pub(super) fn model(&self, variant: &Variant) -> Option<ModelVersion> {
        let id = variant.config.as_ref().ok()?.policy_version_id()?;
        self.versions.get(&id).cloned()
    }

    /// Whether another arm that has units serves that version, too.
    pub(super) fn serves_elsewhere(&self, candidate: &Variant, version: &ModelVersion) -> bool {
        let others = self.others(candidate);
        others.into_iter().any(|other| self.model(other).as_ref() == Some(version))
    }

    /// The arms that keep units after the plan, but for that one.
    pub(super) fn others(&self, candidate: &Variant) -> Vec<&Variant> {
        let variants = self.experiment.variants.iter();
        variants.filter(|v| v.id != candidate.id && self.share(v.id) > Share::NONE).collect()
    }

    /// Sets the statuses of the versions behind `of`, but for those that an arm with units goes on serving.
    pub(super) fn set_version_statuses(&mut self, candidate: &Variant, of: &Variant, status: &str, expect: &[&str]) {
        let Ok(config) = &of.config else { return };
        let kept: Vec<_> = self.others(of).into_iter().filter_map(|v| v.config.as_ref().ok()).collect();
        let policy = config.policy_version_id().filter(|id| kept.iter().all(|k| k.policy_version_id() != Some(*id)));
        let prompt = config.prompt_version_id().filter(|id| kept.iter().all(|k| k.prompt_version_id() != Some(*id)));
        let expect: Vec<String> = expect.iter().map(|&status| status.to_owned()).collect();
        let status = status.to_owned();
        if let Some(id) = policy {
            let (status, expect) = (status.clone(), expect.clone());
            self.step(candidate, Step::SetPolicyVersionStatus { id, status, expect });
        }
        if let Some(id) = prompt {
            self.step(candidate, Step::SetPromptVersionStatus { id, status, expect });
        }
    }

    /// Writes `model_…` for a model that the candidate tries and `prompt_…` for a prompt. What control serves just as
    /// well is not on trial, unless the two differ in their parameters alone. A flag has no version to name.
    pub(super) fn log(&mut self, candidate: &Variant, what: &str, extra: Value) {
        let Ok(config) = &candidate.config else { return };
        let control = self.control.config.as_ref().ok();
        let new = |of: fn(&VariantConfig) -> Option<Uuid>| of(config).filter(|id| control.and_then(of) != Some(*id));
        let (policy, prompt) = (VariantConfig::policy_version_id, VariantConfig::prompt_version_id);
        let (policy, prompt) = match (new(policy), new(prompt)) {
            (None, None) => (policy(config), prompt(config)),
            on_trial => on_trial,
        };
        let mut events = Vec::new();
        if let Some(id) = policy {
            let version = self.versions.get(&id).map(|v| v.version.clone());
            events.push((format!("model_{what}"), json!({ "policy_version_id": id, "mlflow_model_version": version })));
        }
        if let Some(id) = prompt {
            events.push((format!("prompt_{what}"), json!({ "prompt_version_id": id })));
        }
        if events.is_empty() {
            events.push((format!("custom.flag_{what}"), json!({ "variant": candidate.name })));
        }
        for (event_type, mut payload) in events {
            if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
                payload.extend(extra.clone());
            }
            self.step(candidate, Step::LogEvent { event_type, variant: candidate.id, payload });
        }
    }
}
