//! What was read back and is not as decided: noted when it is found, looked at again by each run until it is over.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::error::{ActionError, chain};
use super::{Applier, DISTANT};
use crate::control::{ControlError, NewIncident, OpenIncident};
use crate::domain::{ExperimentId, ModelVersion, VariantId};
use crate::report::{Incident, NightReport, Standing};

/// How long an incident is told, night after night. Who was told for so long has chosen.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Where an incident's value can be looked at again, and what should stand there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub(super) enum Subject {
    /// An alias and the version that it should point at.
    Alias { alias: String, wanted: ModelVersion },
    /// A version's tag and its value.
    Tag { version: ModelVersion, key: String, wanted: String },
    /// An arm that should have no units.
    Units { experiment: ExperimentId, variant: VariantId },
}

/// What an incident says.
pub(super) struct Words {
    /// What has the value.
    pub(super) what: String,
    /// What was expected there.
    pub(super) expected: String,
    /// What stands there.
    pub(super) found: String,
    /// What was done about it, and what to do.
    pub(super) advice: String,
}

/// The registry's item that holds a version's tag, for the note of what we wrote.
pub(super) fn tag_item(version: &ModelVersion, key: &str) -> String {
    format!("version {}, tag {key}", version.version)
}

/// The registry's item that is an alias.
pub(super) fn alias_item(alias: &str) -> String {
    format!("alias {alias}")
}

impl Applier<'_> {
    /// Keeps an incident, to be told by this run or, should it break off, by the next.
    pub(super) async fn note(
        &self,
        decision: Option<Uuid>,
        action: Option<&str>,
        words: Words,
        subject: Option<&Subject>,
    ) -> Result<(), ControlError> {
        let Words { what, expected, found, advice } = words;
        tracing::warn!(action, "{what} is {found}, expected {expected}: {advice}");
        let subject = subject.map(|subject| json!(subject));
        let (run, at, action) = (self.run, self.now, action.map(str::to_owned));
        let incident = NewIncident { run, decision, action, what, expected, found, advice, subject, at };
        self.control.note_incident(&incident).await
    }

    /// Reads the allocations that tonight's decisions have set again, once everything else is applied, and notes each
    /// that is not what was decided.
    ///
    /// # Errors
    /// The control store cannot be read or written.
    pub async fn read_back(&self, night: &NightReport) -> Result<(), ControlError> {
        for experiment in night.experiments.iter().filter(|e| e.standing == Standing::Decided) {
            // Control gets what a candidate loses, so it is the candidate whose decision this was.
            let changed = |name: &str| experiment.allocations.iter().any(|a| a.name == name && a.from != a.to);
            let acted = experiment.candidates.iter().find(|candidate| changed(&candidate.name));
            let decision = acted.and_then(|candidate| candidate.decision_id);
            for change in &experiment.allocations {
                let found = self.control.load_share(change.variant).await?;
                if found == Some(change.to) {
                    continue;
                }
                let words = Words {
                    what: format!("the allocation of {}/{}", experiment.name, change.name),
                    expected: change.to.to_string(),
                    found: found.map_or("gone, with its variant".to_owned(), |share| share.to_string()),
                    advice: "somebody else, or another program, has set it since the decision was committed: set it \
                             right, or the next night takes it for a change from outside"
                        .to_owned(),
                };
                self.note(decision, None, words, None).await?;
            }
        }
        Ok(())
    }

    /// Looks again at what earlier runs found otherwise than decided, and gives everything that is not over.
    ///
    /// # Errors
    /// The control store cannot be read or written. A registry that does not answer leaves its incidents open.
    pub async fn incidents(&self) -> Result<Vec<Incident>, ControlError> {
        for open in self.control.open_incidents().await? {
            if open.incident.run != self.run
                && let Some(because) = self.over(&open).await?
            {
                tracing::info!(incident = %open.id, "{}: over, {because}", open.incident.what);
                self.control.close_incident(open.id, because, self.now).await?;
            }
        }
        Ok(self.control.open_incidents().await?.into_iter().map(told).collect())
    }

    /// Why an incident is over, if it is.
    async fn over(&self, open: &OpenIncident) -> Result<Option<&'static str>, ControlError> {
        if open.told_at.is_some_and(|told| self.now.duration_since(told) >= TOLD_FOR) {
            return Ok(Some("left as it is for a week"));
        }
        let subject = open.incident.subject.clone().map(serde_json::from_value::<Subject>);
        let Some(Ok(subject)) = subject else { return Ok(None) };
        let item = match &subject {
            Subject::Alias { alias, wanted } => Some((wanted.model.as_str(), alias_item(alias))),
            Subject::Tag { version, key, .. } => Some((version.model.as_str(), tag_item(version, key))),
            Subject::Units { .. } => None,
        };
        if let Some((model, item)) = item {
            let written = self.control.last_registry_write((model, &item)).await?;
            if written.is_some_and(|written| written.written_at > open.incident.at) {
                return Ok(Some("a later decision has set it"));
            }
            if self.registry_is_away {
                return Ok(None);
            }
        }
        match self.stands(&subject).await {
            Ok(true) => Ok(Some("it is as decided now")),
            Ok(false) => Ok(None),
            Err(ActionError::Control(error)) => Err(error),
            Err(error) => {
                tracing::warn!("could not look again at {}: {}", open.incident.what, chain(&error));
                Ok(None)
            }
        }
    }

    /// Whether a value is what it should be by now.
    async fn stands(&self, subject: &Subject) -> Result<bool, ActionError> {
        Ok(match subject {
            Subject::Alias { alias, wanted } => {
                self.registry.alias(&wanted.model, alias).await?.as_ref() == Some(wanted)
            }
            Subject::Tag { version, key, wanted } => {
                let found = self.registry.version(version).await?;
                found.is_some_and(|found| found.tags.get(key) == Some(wanted))
            }
            Subject::Units { experiment, variant } => self.control.units_on(*experiment, *variant, DISTANT).await? == 0,
        })
    }
}

fn told(open: OpenIncident) -> Incident {
    let NewIncident { decision, action, what, expected, found, advice, at, .. } = open.incident;
    let new = open.told_at.is_none();
    Incident { id: open.id, what, expected, found, advice, decision, experiment: None, action, found_at: at, new }
}
