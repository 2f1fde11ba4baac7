//! A version that passed offline evaluation, marked in the registry: tag `stage` = `candidate`.
//!
//! The weakest of marks: it is set where none stands, and no other is ever replaced by it. What Rampkeeper itself has made
//! of the version since is a later word; what somebody else has made of it is told.

use super::error::ActionError;
use super::incidents::{Subject, Words, tag_item};
use super::step::{End, StepRun};
use crate::domain::ModelVersion;

const STAGE: &str = "stage";
const CANDIDATE: &str = "candidate";
const PRODUCTION: &str = "production";

impl StepRun<'_> {
    /// Sets the tag where there is none, and reads it back.
    pub(super) async fn mark_candidate(&self, version: &ModelVersion) -> Result<End, ActionError> {
        let registry = self.applier.registry;
        let found = registry.version(version).await?.and_then(|info| info.tags.get(STAGE).cloned());
        let item = tag_item(version, STAGE);
        match found.as_deref() {
            Some(CANDIDATE) => {}
            Some(PRODUCTION) => {
                tracing::info!(action = self.key, "{version} is in production, and its stage is left at that");
                return Ok(End::Done);
            }
            Some(other) => {
                let written = self.applier.control.last_registry_write((&version.model, &item)).await?;
                if written.is_some_and(|written| written.value == other) {
                    tracing::info!(action = self.key, "{version} was set to {other} since, and is left at that");
                    return Ok(End::Done);
                }
                let words = Words {
                    what: format!("tag {STAGE} of {version}"),
                    expected: format!("none, before it is set to {CANDIDATE}"),
                    found: other.to_owned(),
                    advice: format!(
                        "it passed offline evaluation, but somebody else has set that, so it was left alone; set it to \
                         {CANDIDATE} yourself, or leave it"
                    ),
                };
                return self.left_alone(words, None).await;
            }
            None => {
                registry.set_tag(version, STAGE, CANDIDATE).await?;
                let kept = registry.version(version).await?.and_then(|info| info.tags.get(STAGE).cloned());
                if kept.as_deref() != Some(CANDIDATE) {
                    let found = kept.unwrap_or_else(|| "not there".to_owned());
                    let words = Words {
                        what: format!("tag {STAGE} of {version}"),
                        expected: CANDIDATE.to_owned(),
                        found: found.clone(),
                        advice:
                            "it was set and reads otherwise, so something else writes it at the same time; the next \
                                 run tries again"
                                .to_owned(),
                    };
                    let subject =
                        Subject::Tag { version: version.clone(), key: STAGE.to_owned(), wanted: CANDIDATE.to_owned() };
                    self.applier.note(self.decision, Some(self.key), words, Some(&subject)).await?;
                    return Ok(End::Again(format!("tag {STAGE} of {version} is {found} right after it was set")));
                }
            }
        }
        let control = self.applier.control;
        control.note_registry_write((&version.model, &item), CANDIDATE, self.key, self.applier.now).await?;
        Ok(End::Done)
    }
}
