//! A version becomes a variant: what the tables and the registry have against it, and the one transaction.

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::notes::{note_of, told};
use super::told::{EnrolReport, enrol_report};
use crate::apply::{actions_of_enrolment, chain, patiently};
use crate::control::{Catalogue, ExperimentRecord, Kind, NewEnrolment, Run};
use crate::domain::{Act, ActKind};
use crate::night::Night;
use crate::night::error::NightError;
use crate::night::thresholds::FreezeFault;
use crate::night::under_lease::under_lease;
use crate::route::{Asked, Enrolling, Refusal, Rule, plan_enrolment};

/// Who lets a version in where nobody does by hand, as the table has it.
pub(in crate::night) const BY_NIGHT: &str = "night";

/// Who lets a version in by hand.
#[derive(Clone, Debug)]
pub struct ByHandOf {
    /// Who.
    pub by: String,
    /// Why; empty where nothing was set aside and nobody gave a reason.
    pub reason: String,
}

impl Night<'_> {
    /// Lets a version in, under the lease, or says what would be done.
    ///
    /// # Errors
    /// [`NightError::Refused`] with all that speaks against it; a held lease; or the store cannot be read or written.
    pub async fn enroll(
        &self,
        asked: &Asked,
        hand: &ByHandOf,
        dry_run: bool,
        stop: impl Future<Output = ()>,
    ) -> Result<EnrolReport, NightError> {
        if dry_run {
            let (_, enrolling) = self.planned(asked).await?;
            return Ok(enrol_report(&asked.experiment, &enrolling, true, Vec::new()));
        }
        let sending = Mutex::new(());
        let work = async {
            let run = Run::by_hand(self.run_id());
            let (record, enrolling) = self.planned(asked).await?;
            self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
            let act = Act {
                id: Uuid::new_v4(),
                kind: ActKind::Enroll {
                    version: asked.version.to_string(),
                    share: enrolling.share,
                    forced: !enrolling.set_aside.is_empty(),
                },
                experiment: Some(record.experiment.id),
                candidate: Some(enrolling.variant),
                by: hand.by.clone(),
                reason: hand.reason.clone(),
                at: self.now,
            };
            self.let_in(run.id, &record, &enrolling, Some(&act), self.now).await?;
            let unfinished = self.follow_up(run, &sending).await?;
            let told = format!("{}/{}", asked.experiment, enrolling.name);
            self.control.finish_run(run.id, &json!({ "enrolled": told, "unfinished": unfinished }), self.now).await?;
            Ok(enrol_report(&asked.experiment, &enrolling, false, unfinished))
        };
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    async fn planned(&self, asked: &Asked) -> Result<(ExperimentRecord, Enrolling), NightError> {
        let catalogue = self.control.load_catalogue().await?;
        let records = self.control.load_experiments().await?;
        let record = records.into_iter().find(|record| record.experiment.name == asked.experiment);
        let planned = plan_enrolment(asked, &catalogue, record.as_ref(), &self.config.policies, self.now);
        let mut refusals = planned.as_ref().err().cloned().unwrap_or_default();
        refusals.extend(self.ask_registry(&catalogue, asked).await);
        let thresholds = match (&record, &planned) {
            (Some(record), Ok(_)) => self.freeze(record).await,
            _ => Ok(Vec::new()),
        };
        let thresholds = match thresholds {
            Ok(thresholds) => thresholds,
            Err(FreezeFault::Night(error)) => return Err(error),
            Err(FreezeFault::Refused(refusal)) => {
                refusals.push(refusal);
                Vec::new()
            }
        };
        let (aside, refused): (Vec<Refusal>, Vec<Refusal>) =
            refusals.into_iter().partition(|refusal| asked.force && refusal.rule == Rule::Forcible);
        match (record, planned) {
            (Some(record), Ok(mut enrolling)) if refused.is_empty() => {
                enrolling.set_aside.extend(aside.into_iter().map(|refusal| refusal.message));
                enrolling.thresholds = thresholds;
                Ok((record, enrolling))
            }
            _ => Err(NightError::Refused { why: told(&refused, !asked.force) }),
        }
    }

    /// What the registry has against a version.
    pub(super) async fn ask_registry(&self, catalogue: &Catalogue, asked: &Asked) -> Vec<Refusal> {
        let model = catalogue.named(asked.kind, &asked.version).and_then(|row| row.model());
        let Some(model) = model.filter(|_| asked.kind == Kind::Policy) else { return Vec::new() };
        let refusal = |rule, about, message| vec![Refusal { rule, about, message }];
        match self.registry.version(&model).await {
            Err(error) => refusal(
                Rule::Forcible,
                "registry",
                format!("{} could not be asked about {model} ({})", self.registry.describe(), chain(&error)),
            ),
            // The embedded registry knows a version once something is said of it.
            Ok(None) if self.config.settings.registry.mlflow.is_none() => Vec::new(),
            Ok(None) => refusal(Rule::Firm, "registry", format!("{} has no {model}", self.registry.describe())),
            Ok(Some(info)) => match info.tags.get("stage").map(String::as_str) {
                Some(stage @ ("archived" | "production")) => refusal(
                    Rule::Forcible,
                    "stage",
                    format!("the stage of {model} in the registry is {stage}, so it is no candidate"),
                ),
                _ => Vec::new(),
            },
        }
    }

    /// The transaction by which a version comes in.
    pub(super) async fn let_in(
        &self,
        run: Uuid,
        record: &ExperimentRecord,
        enrolling: &Enrolling,
        act: Option<&Act>,
        now: Timestamp,
    ) -> Result<(), NightError> {
        let id = Uuid::new_v5(&record.experiment.id.0, format!("enrolment {}", enrolling.variant).as_bytes());
        let by = act.map_or(BY_NIGHT.to_owned(), |act| act.by.clone());
        let reason = act.map(|act| act.reason.clone()).filter(|reason| !reason.is_empty());
        let new = NewEnrolment {
            id,
            run,
            experiment: &record.experiment,
            variant: enrolling.variant,
            name: enrolling.name.clone(),
            description: format!("{} {}", enrolling.kind.as_str(), enrolling.version_name),
            kind: enrolling.kind,
            version: enrolling.version,
            config: enrolling.config.clone(),
            share: enrolling.share,
            shrunk: enrolling.shrunk.iter().map(|(id, _, from, to)| (*id, *from, *to)).collect(),
            epochs: enrolling.epochs.clone(),
            thresholds: &enrolling.thresholds,
            detail: enrolling.detail(),
            by,
            reason: reason.unwrap_or_else(|| "it passed offline evaluation".to_owned()),
            act,
            actions: actions_of_enrolment(&record.experiment, id, &enrolling.steps),
            note: note_of(record.experiment.id, enrolling, act),
            now,
        };
        patiently(|| self.control.enrol(&new)).await?;
        tracing::info!(experiment = %record.experiment.name, variant = %enrolling.name, "{}", new.note.line);
        Ok(())
    }
}
