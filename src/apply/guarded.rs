//! Registry writes that trust nobody: read, compare with what may stand there, set, read again.
//!
//! A registry has no compare-and-set, so between the reading and the setting somebody else may still slip in; the second
//! reading then finds what he left. What is expected is named by the plan. Nothing at all, and what Rampkeeper itself
//! wrote last, is always expected. A step that finds its own result is done.

use super::error::ActionError;
use super::incidents::{Subject, Words, alias_item, tag_item};
use super::step::{End, StepRun};
use crate::domain::ModelVersion;

const STAGE: &str = "stage";
const PRODUCTION: &str = "production";
const ARCHIVED: &str = "archived";
const CHAMPION: &str = "champion";

impl StepRun<'_> {
    /// Points an alias at a version, if it may be taken from where it points.
    pub(super) async fn point_alias(
        &self,
        alias: &str,
        version: &ModelVersion,
        expected: &[ModelVersion],
        or_production: bool,
    ) -> Result<End, ActionError> {
        let registry = self.applier.registry;
        let subject = Subject::Alias { alias: alias.to_owned(), wanted: version.clone() };
        let what = format!("alias {alias} of {}", version.model);
        let found = registry.alias(&version.model, alias).await?;
        if found.as_ref() != Some(version) {
            if let Some(found) = &found
                && !self.may_lose(alias, found, expected, or_production).await?
            {
                let known: Vec<String> = expected.iter().map(|v| format!("version {}", v.version)).collect();
                let words = Words {
                    what: what.clone(),
                    expected: format!("{} or none, before it is pointed at version {}", or(&known), version.version),
                    found: format!("version {}", found.version),
                    advice: format!(
                        "somebody else has pointed it there, so it was left alone; point it at version {} yourself, or \
                         leave it if version {} is meant to have it",
                        version.version, found.version
                    ),
                };
                return self.left_alone(words, Some(&subject)).await;
            }
            registry.set_alias(version, alias).await?;
            let kept = registry.alias(&version.model, alias).await?;
            if kept.as_ref() != Some(version) {
                let found = kept.map_or("on no version".to_owned(), |kept| format!("version {}", kept.version));
                return self.not_kept(what, format!("version {}", version.version), found, &subject).await;
            }
        }
        self.note_write(&version.model, &alias_item(alias), &version.version).await
    }

    /// Whether an alias may be taken from that version.
    async fn may_lose(
        &self,
        alias: &str,
        found: &ModelVersion,
        expected: &[ModelVersion],
        or_production: bool,
    ) -> Result<bool, ActionError> {
        if expected.contains(found) || self.wrote(&found.model, &alias_item(alias), &found.version).await? {
            return Ok(true);
        }
        Ok(or_production && self.tag(found, STAGE).await?.as_deref() == Some(PRODUCTION))
    }

    /// Removes an alias, if it points at that version. If it does not, somebody else has found it a better place.
    pub(super) async fn release_alias(&self, alias: &str, version: &ModelVersion) -> Result<End, ActionError> {
        let registry = self.applier.registry;
        if registry.alias(&version.model, alias).await?.as_ref() != Some(version) {
            return Ok(End::Done);
        }
        registry.delete_alias(&version.model, alias).await?;
        if registry.alias(&version.model, alias).await?.as_ref() == Some(version) {
            let what = format!("alias {alias} of {}", version.model);
            let words = Words {
                what,
                expected: "on no version".to_owned(),
                found: format!("version {} again", version.version),
                advice: TRIED_AGAIN.to_owned(),
            };
            self.applier.note(self.decision, Some(self.key), words, None).await?;
            return Ok(End::Again(format!("alias {alias} points at {version} again, right after it was removed")));
        }
        self.note_write(&version.model, &alias_item(alias), "").await
    }

    /// Sets a tag, if its value may be replaced. Who insists replaces any value, and tells which it was.
    pub(super) async fn write_tag(
        &self,
        version: &ModelVersion,
        (key, value): (&str, &str),
        expected: &[String],
        insist: bool,
    ) -> Result<End, ActionError> {
        let registry = self.applier.registry;
        let item = tag_item(version, key);
        let what = format!("tag {key} of {version}");
        let subject = Subject::Tag { version: version.clone(), key: key.to_owned(), wanted: value.to_owned() };
        let found = self.tag(version, key).await?;
        if found.as_deref() != Some(value) {
            if let Some(found) = found
                && !expected.contains(&found)
                && !self.wrote(&version.model, &item, &found).await?
            {
                let advice = if insist {
                    format!("somebody else has set that; it was replaced by {value} all the same: ask why it was set")
                } else {
                    format!("somebody else has set that, so it was left alone; set it to {value} yourself, or leave it")
                };
                let expected = format!("{} or none, before it is set to {value}", or(expected));
                let words = Words { what: what.clone(), expected, found, advice };
                if !insist {
                    return self.left_alone(words, Some(&subject)).await;
                }
                // Noted before it is replaced: afterwards nobody could know it any more.
                self.applier.note(self.decision, Some(self.key), words, None).await?;
            }
            registry.set_tag(version, key, value).await?;
            let kept = self.tag(version, key).await?;
            if kept.as_deref() != Some(value) {
                let found = kept.unwrap_or_else(|| "not there".to_owned());
                return self.not_kept(what, value.to_owned(), found, &subject).await;
            }
        }
        self.note_write(&version.model, &item, value).await
    }

    /// Archives every version of the model that is tagged as production, but for one, and tells of those that nobody
    /// knew of. A stranger that bears the champion's alias is left alone: the alias was left there, too, and told.
    pub(super) async fn archive_other_production(
        &self,
        keep: &ModelVersion,
        expected: &[ModelVersion],
    ) -> Result<End, ActionError> {
        let registry = self.applier.registry;
        let champion = registry.alias(&keep.model, CHAMPION).await?;
        let mut end = End::Done;
        for version in registry.versions_tagged(&keep.model, STAGE, PRODUCTION).await? {
            if version == *keep {
                continue;
            }
            let item = tag_item(&version, STAGE);
            let known = expected.contains(&version) || self.wrote(&version.model, &item, PRODUCTION).await?;
            if !known && champion.as_ref() == Some(&version) {
                tracing::warn!("{version} bears alias {CHAMPION} and was not put there by us; its stage is left alone");
                continue;
            }
            if !known {
                let known: Vec<String> = expected.iter().map(|v| format!("version {}", v.version)).collect();
                let words = Words {
                    what: format!("tag {STAGE} of {version}"),
                    expected: format!("{PRODUCTION} on {} alone", or(&known)),
                    found: PRODUCTION.to_owned(),
                    advice: format!(
                        "the promotion archives every other production version, and so this one; set it to {PRODUCTION} \
                         again if it is still served"
                    ),
                };
                self.applier.note(self.decision, Some(self.key), words, None).await?;
            }
            match self.write_tag(&version, (STAGE, ARCHIVED), &[PRODUCTION.to_owned()], false).await? {
                End::Done => {}
                other => end = other,
            }
        }
        Ok(end)
    }

    /// The value of a version's tag. A version that is not there has none; setting it then says so.
    async fn tag(&self, version: &ModelVersion, key: &str) -> Result<Option<String>, ActionError> {
        Ok(self.applier.registry.version(version).await?.and_then(|found| found.tags.get(key).cloned()))
    }

    /// Whether it was Rampkeeper that wrote that value there last.
    async fn wrote(&self, model: &str, item: &str, value: &str) -> Result<bool, ActionError> {
        let written = self.applier.control.last_registry_write((model, item)).await?;
        Ok(written.is_some_and(|written| written.value == value))
    }

    async fn note_write(&self, model: &str, item: &str, value: &str) -> Result<End, ActionError> {
        self.applier.control.note_registry_write((model, item), value, self.key, self.applier.now).await?;
        Ok(End::Done)
    }

    async fn not_kept(
        &self,
        what: String,
        expected: String,
        found: String,
        subject: &Subject,
    ) -> Result<End, ActionError> {
        let again = format!("{what} is {found} right after it was set to {expected}");
        let words = Words { what, expected, found, advice: TRIED_AGAIN.to_owned() };
        self.applier.note(self.decision, Some(self.key), words, Some(subject)).await?;
        Ok(End::Again(again))
    }
}

const TRIED_AGAIN: &str =
    "it was set and reads otherwise, so something else writes it at the same time; the next run tries again";

/// `a, b or c`; nobody at all is `none known`.
fn or(values: &[String]) -> String {
    match values {
        [] => "none known".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
