//! The way into an experiment, on record: what the offline gate said, who came in, and what readers are to be told of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use super::ControlStore;
use super::catalogue::Kind;
use super::error::{ControlError, while_doing};
use super::record::NewAction;
use super::rows::{Reader, text_of};
use super::snapshot::NewEpoch;
use super::statement;
use crate::domain::{Act, Experiment, ExperimentId, Judgement, Share, Threshold, VariantId};

/// A judgement of the offline gate that is to be kept.
#[derive(Clone, Debug)]
pub struct NewQualification<'a> {
    /// Its key.
    pub id: Uuid,
    /// What was judged, and from what.
    pub judgement: &'a Judgement,
    /// What follows for the registry, if it is a pass.
    pub action: Option<NewAction>,
    /// What the experiments that wait for it are told.
    pub notes: Vec<RouteNote>,
}

/// A judgement as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Qualification {
    /// Its key.
    pub id: Uuid,
    /// The version.
    pub policy_version: Uuid,
    /// `passed`, `failed` or `unjudged`.
    pub verdict: String,
    /// What was judged, and from what.
    pub judgement: Judgement,
    /// The digest of what it was judged from.
    pub inputs_digest: String,
    /// When.
    pub judged_at: Timestamp,
}

/// Something of an experiment's route that its next report tells, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteNote {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The same for the same thing.
    pub about: String,
    /// The sentence.
    pub line: String,
}

/// A note as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNote {
    /// Its key.
    pub id: Uuid,
    /// What it says.
    pub note: RouteNote,
    /// Whether a report told it.
    pub told: bool,
}

/// A version that becomes a variant.
#[derive(Clone, Debug)]
pub struct NewEnrolment<'a> {
    /// Its key.
    pub id: Uuid,
    /// The run.
    pub run: Uuid,
    /// The experiment as it was read.
    pub experiment: &'a Experiment,
    /// The new variant's key.
    pub variant: VariantId,
    /// Its name.
    pub name: String,
    /// What it is, for readers of the table.
    pub description: String,
    /// What kind of version it serves.
    pub kind: Kind,
    /// Which.
    pub version: Uuid,
    /// What it serves.
    pub config: Value,
    /// Its share.
    pub share: Share,
    /// The shares of the others, before and after.
    pub shrunk: Vec<(VariantId, Share, Share)>,
    /// The epochs that begin: one that nobody had noted yet, and that of the new split.
    pub epochs: Vec<(NewEpoch, &'static str)>,
    /// The thresholds that are frozen with it.
    pub thresholds: &'a [Threshold],
    /// What was looked at.
    pub detail: Value,
    /// Who lets it in: a name, or `night`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The same as an act, if it was a person.
    pub act: Option<&'a Act>,
    /// What follows for the registry.
    pub actions: Vec<NewAction>,
    /// What the next report tells.
    pub note: RouteNote,
    /// When.
    pub now: Timestamp,
}

/// Who came in, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    /// Its key.
    pub id: Uuid,
    /// The variant.
    pub variant: VariantId,
    /// `policy` or `prompt`.
    pub kind: String,
    /// The version.
    pub version: Uuid,
    /// The share that it began with.
    pub share: Share,
    /// What was looked at, with the shares before and after.
    pub detail: Value,
    /// Who let it in.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The digest of what a version was judged from. A result that is judged again from the same is the same judgement.
pub fn digest_of(judgement: &Judgement) -> String {
    // What the gate itself writes is not among it.
    let told = |result: &Option<crate::domain::OfflineResult>| {
        result.clone().map(|result| crate::domain::OfflineResult { is_better: None, ..result })
    };
    let inputs = json!([told(&judgement.result), told(&judgement.baseline), judgement.criteria, judgement.verdict]);
    format!("{:x}", Sha256::digest(inputs.to_string()))
}

impl ControlStore {
    /// Keeps a judgement with what follows from it: the mark on the result, and the registry's tag in the journal. Says
    /// whether it was not kept before.
    pub async fn keep_qualification(
        &self,
        run: Uuid,
        new: &NewQualification<'_>,
        now: Timestamp,
    ) -> Result<bool, ControlError> {
        let judgement = new.judgement;
        let doing = || while_doing(format!("keep what the offline gate said of version {}", judgement.policy_version));
        let mut transaction = self.begin().await?;
        let kept = sqlx::query(statement::INSERT_QUALIFICATION.sql(self.dialect))
            .bind(new.id.to_string())
            .bind(judgement.policy_version.to_string())
            .bind(judgement.result.as_ref().map(|result| result.id.to_string()))
            .bind(judgement.verdict.word())
            .bind(json!(judgement).to_string())
            .bind(digest_of(judgement))
            .bind(text_of(now))
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        if let (Some(better), Some(result)) = (judgement.is_better(), &judgement.result)
            && result.is_better != Some(better)
        {
            sqlx::query(statement::NOTE_OFFLINE_VERDICT.sql(self.dialect))
                .bind(result.id.to_string())
                .bind(i64::from(better))
                .execute(&mut *transaction)
                .await
                .map_err(doing())?;
        }
        if let Some(action) = &new.action {
            self.write_actions(&mut transaction, run, std::slice::from_ref(action), now).await?;
        }
        for note in &new.notes {
            self.write_note(&mut transaction, note, now).await?;
        }
        transaction.commit().await.map_err(doing())?;
        Ok(kept.rows_affected() == 1)
    }

    /// Whether the same was judged from the same before.
    pub async fn has_qualification(&self, judgement: &Judgement) -> Result<bool, ControlError> {
        let doing = || while_doing(format!("look whether version {} was judged", judgement.policy_version));
        let row = sqlx::query(statement::QUALIFICATION_EXISTS.sql(self.dialect))
            .bind(judgement.policy_version.to_string())
            .bind(digest_of(judgement))
            .fetch_one(&self.pool)
            .await
            .map_err(doing())?;
        let found: i64 = row.try_get("found").map_err(doing())?;
        Ok(found > 0)
    }

    /// Every judgement, in order.
    pub async fn qualifications(&self) -> Result<Vec<Qualification>, ControlError> {
        let rows = self.rows(&statement::LOAD_QUALIFICATIONS, "load what the offline gate said").await?;
        rows.iter().map(qualification).collect()
    }

    /// Lets a version in, in one transaction: the variant, the others' shares, the epochs, the act, the registry's alias in
    /// the journal and what is to be told.
    ///
    /// # Errors
    /// [`ControlError::Conflict`] if the experiment, a share or the version's status is no longer as it was read.
    pub async fn enrol(&self, new: &NewEnrolment<'_>) -> Result<(), ControlError> {
        let experiment = new.experiment;
        let name = format!("{}/{}", experiment.name, new.name);
        let doing = || while_doing(format!("let {name} in"));
        let mut transaction = self.begin().await?;
        self.hold_still(&mut transaction, experiment).await?;
        self.must_be_usable(&mut transaction, new.kind, new.version).await?;
        sqlx::query(statement::INSERT_VARIANT.sql(self.dialect))
            .bind(new.variant.to_string())
            .bind(experiment.id.to_string())
            .bind(new.name.as_str())
            .bind(new.description.as_str())
            .bind(format!("{:.4}", new.share.as_f64()))
            .bind(new.config.to_string())
            .bind(text_of(new.now))
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        for (variant, from, to) in new.shrunk.iter().filter(|(_, from, to)| from != to) {
            let touched = sqlx::query(statement::CHANGE_ALLOCATION.sql(self.dialect))
                .bind(variant.to_string())
                .bind(format!("{:.4}", to.as_f64()))
                .bind(i64::from(from.ten_thousandths()))
                .execute(&mut *transaction)
                .await
                .map_err(doing())?;
            if touched.rows_affected() != 1 {
                return Err(ControlError::Conflict { what: format!("an allocation of {}", experiment.name) });
            }
        }
        self.must_sum_to_one(&mut transaction, experiment.id, &experiment.name).await?;
        for (epoch, opened_by) in &new.epochs {
            super::record::write_epoch(&mut transaction, self.dialect, experiment.id, epoch, opened_by).await?;
        }
        if let Some(act) = new.act {
            self.write_act(&mut transaction, act).await?;
        }
        sqlx::query(statement::INSERT_ENROLMENT.sql(self.dialect))
            .bind(new.id.to_string())
            .bind(experiment.id.to_string())
            .bind(new.variant.to_string())
            .bind(new.kind.as_str())
            .bind(new.version.to_string())
            .bind(format!("{:.4}", new.share.as_f64()))
            .bind(new.detail.to_string())
            .bind(new.by.as_str())
            .bind(new.reason.as_str())
            .bind(text_of(new.now))
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        for frozen in new.thresholds {
            sqlx::query(statement::INSERT_THRESHOLD.sql(self.dialect))
                .bind(experiment.id.to_string())
                .bind(frozen.metric.as_str())
                .bind(frozen.definition.as_str())
                .bind(frozen.threshold)
                .bind(frozen.value)
                .bind(frozen.from.to_string())
                .bind(frozen.to.to_string())
                .bind(i64::try_from(frozen.events).unwrap_or(i64::MAX))
                .bind(text_of(new.now))
                .execute(&mut *transaction)
                .await
                .map_err(doing())?;
        }
        self.write_actions(&mut transaction, new.run, &new.actions, new.now).await?;
        self.write_note(&mut transaction, &new.note, new.now).await?;
        transaction.commit().await.map_err(doing())
    }

    /// Who came into an experiment, in order.
    pub async fn enrolments_of(&self, experiment: ExperimentId) -> Result<Vec<Enrolment>, ControlError> {
        let rows = sqlx::query(statement::ENROLMENTS_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load who came into experiment {experiment}")))?;
        rows.iter().map(enrolment).collect()
    }

    /// Keeps something to tell, unless it was kept before.
    pub async fn note_route(&self, note: &RouteNote, now: Timestamp) -> Result<(), ControlError> {
        let mut transaction = self.begin().await?;
        self.write_note(&mut transaction, note, now).await?;
        transaction.commit().await.map_err(while_doing("keep what is to be told of the route"))
    }

    /// All that was ever to be told of an experiment's route, by what it is about.
    pub async fn route_notes_of(&self, experiment: ExperimentId) -> Result<BTreeMap<String, KeptNote>, ControlError> {
        let rows = sqlx::query(statement::ROUTE_NOTES_OF.sql(self.dialect))
            .bind(experiment.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing(format!("load what is to be told of the route of experiment {experiment}")))?;
        let mut notes = BTreeMap::new();
        for row in &rows {
            let reader = Reader::new("rampkeeper.route_notes", "id", row)?;
            let note = RouteNote { experiment, about: reader.get("about")?, line: reader.get("line")? };
            let told: Option<String> = reader.get("told_in")?;
            notes.insert(note.about.clone(), KeptNote { id: reader.parse("id")?, note, told: told.is_some() });
        }
        Ok(notes)
    }

    /// Marks notes as told by the report that the same transaction commits.
    pub(super) async fn tell_notes(
        &self,
        transaction: &mut Transaction<'static, Any>,
        run: Uuid,
        notes: &[Uuid],
    ) -> Result<(), ControlError> {
        for id in notes {
            sqlx::query(statement::TELL_ROUTE_NOTE.sql(self.dialect))
                .bind(id.to_string())
                .bind(run.to_string())
                .execute(&mut **transaction)
                .await
                .map_err(while_doing("note what is told of the route"))?;
        }
        Ok(())
    }

    async fn write_note(
        &self,
        transaction: &mut Transaction<'static, Any>,
        note: &RouteNote,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let id = Uuid::new_v5(&note.experiment.0, note.about.as_bytes());
        sqlx::query(statement::INSERT_ROUTE_NOTE.sql(self.dialect))
            .bind(id.to_string())
            .bind(note.experiment.to_string())
            .bind(note.about.as_str())
            .bind(note.line.as_str())
            .bind(text_of(now))
            .execute(&mut **transaction)
            .await
            .map_err(while_doing("keep what is to be told of the route"))?;
        Ok(())
    }

    async fn must_be_usable(
        &self,
        transaction: &mut Transaction<'static, Any>,
        kind: Kind,
        version: Uuid,
    ) -> Result<(), ControlError> {
        let what = format!("the status of {} version {version}", kind.as_str());
        let doing = || while_doing(format!("read {what}"));
        let read = match kind {
            Kind::Policy => &statement::POLICY_VERSION_STATUS,
            Kind::Prompt => &statement::PROMPT_VERSION_STATUS,
        };
        let row =
            sqlx::query(read.sql(self.dialect)).bind(version.to_string()).fetch_optional(&mut **transaction).await;
        let status: Option<String> =
            row.map_err(doing())?.map(|row| row.try_get("value")).transpose().map_err(doing())?;
        match status.as_deref() {
            Some("active" | "deprecated") => Ok(()),
            _ => Err(ControlError::Conflict { what }),
        }
    }
}

fn qualification(row: &AnyRow) -> Result<Qualification, ControlError> {
    let reader = Reader::new("rampkeeper.qualifications", "id", row)?;
    Ok(Qualification {
        id: reader.parse("id")?,
        policy_version: reader.parse("policy_version_id")?,
        verdict: reader.get("verdict")?,
        judgement: reader.json("judgement")?,
        inputs_digest: reader.get("inputs_digest")?,
        judged_at: reader.parse("judged_at")?,
    })
}

fn enrolment(row: &AnyRow) -> Result<Enrolment, ControlError> {
    let reader = Reader::new("rampkeeper.enrolments", "id", row)?;
    Ok(Enrolment {
        id: reader.parse("id")?,
        variant: reader.parse("variant_id")?,
        kind: reader.get("version_kind")?,
        version: reader.parse("version_id")?,
        share: reader.parse("share")?,
        detail: reader.json("detail")?,
        by: reader.get("enrolled_by")?,
        reason: reader.get("reason")?,
        at: reader.parse("enrolled_at")?,
    })
}
