//! The offline gate, asked by a person, and what it said, kept.

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::told::{QualifyReport, qualify_report};
use crate::apply::{action_of_candidate, patiently};
use crate::control::{NewQualification, RouteNote, Run, digest_of};
use crate::domain::{Judgement, Unjudged, Verdict};
use crate::night::Night;
use crate::night::error::NightError;
use crate::night::under_lease::under_lease;
use crate::route::{Qualified, versions_to_judge};

impl Night<'_> {
    /// Judges versions by their offline results and marks those that passed.
    ///
    /// # Errors
    /// What was asked about is not there; the store cannot be read or written; another run holds the lease.
    pub async fn qualify(
        &self,
        asked: Option<&str>,
        dry_run: bool,
        stop: impl Future<Output = ()>,
    ) -> Result<QualifyReport, NightError> {
        if dry_run {
            let judged = self.at_the_gate(asked).await?;
            return Ok(qualify_report(true, judged.iter().map(|(qualified, new)| (qualified, *new)), Vec::new()));
        }
        let sending = Mutex::new(());
        let work = async {
            let run = Run::by_hand(self.run_id());
            let judged = self.at_the_gate(asked).await?;
            self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
            for (qualified, _) in &judged {
                self.keep(run.id, qualified, Vec::new(), self.now).await?;
            }
            let unfinished = self.follow_up(run, &sending).await?;
            let passed: Vec<String> = judged
                .iter()
                .filter(|(qualified, _)| qualified.judgement.is_pass())
                .map(|(qualified, _)| qualified.candidate.name.to_string())
                .collect();
            self.control
                .finish_run(run.id, &json!({ "qualified": passed, "unfinished": unfinished }), self.now)
                .await?;
            Ok(qualify_report(false, judged.iter().map(|(qualified, new)| (qualified, *new)), unfinished))
        };
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    /// Each version that is asked about, judged, and whether that is new.
    async fn at_the_gate(&self, asked: Option<&str>) -> Result<Vec<(Qualified, bool)>, NightError> {
        let catalogue = self.control.load_catalogue().await?;
        let candidates = versions_to_judge(&catalogue, asked).map_err(|why| NightError::Refused { why: vec![why] })?;
        let mut judged = Vec::new();
        for candidate in candidates {
            let qualified = candidate.judged(&catalogue, &self.config.policies.criteria);
            let known = self.control.has_qualification(&qualified.judgement).await?;
            judged.push((qualified, !known));
        }
        Ok(judged)
    }

    /// Whether keeping a judgement would change nothing.
    pub(super) async fn is_kept(&self, qualified: &Qualified) -> Result<bool, NightError> {
        let judgement = &qualified.judgement;
        if waits(judgement) {
            return Ok(true);
        }
        let marked = match (judgement.is_better(), &judgement.result) {
            (Some(better), Some(result)) => result.is_better == Some(better),
            _ => true,
        };
        Ok(marked && self.control.has_qualification(judgement).await?)
    }

    /// Keeps a judgement, with the registry's tag in the journal if it is a pass. What is not there yet leaves nothing.
    pub(super) async fn keep(
        &self,
        run: Uuid,
        qualified: &Qualified,
        notes: Vec<RouteNote>,
        now: Timestamp,
    ) -> Result<(), NightError> {
        let Qualified { candidate, judgement } = qualified;
        if waits(judgement) {
            for note in &notes {
                self.control.note_route(note, now).await?;
            }
            return Ok(());
        }
        let id = Uuid::new_v5(&candidate.id, digest_of(judgement).as_bytes());
        let action = candidate.model.as_ref().filter(|_| judgement.is_pass());
        let action = action.map(|model| action_of_candidate(id, model));
        let new = NewQualification { id, judgement, action, notes };
        patiently(|| self.control.keep_qualification(run, &new, now)).await?;
        Ok(())
    }
}

/// Whether there is nothing to judge yet.
fn waits(judgement: &Judgement) -> bool {
    use Unjudged::{BaselineRunning, Missing, Running};
    matches!(judgement.verdict, Verdict::Unjudged { why: Missing | Running { .. } | BaselineRunning { .. } })
}
