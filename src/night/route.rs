//! The way into an experiment: the offline gate and the enrolment, by a person's hand or by the night's.
//!
//! The night lets a version in only where nothing speaks against it. What does is told once, and nothing is set aside.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::error::NightError;
use super::under_lease::under_lease;
use super::{Mode, Night};
use crate::apply::{Applier, action_of_candidate, actions_of_enrolment, chain, patiently};
use crate::control::{Catalogue, ExperimentRecord, Kind, NewEnrolment, NewQualification, RouteNote, digest_of};
use crate::domain::{
    Act, ActKind, ExperimentId, ExperimentStatus, Finding, Mode as PolicyMode, ModelVersion, Share, Unjudged, Verdict,
    VersionName,
};
use crate::report::NightReport;
use crate::route::{
    Asked, Candidate, Enrolling, Qualified, Refusal, Rule, newest_untried, plan_enrolment, versions_to_judge,
};

/// Who lets a version in by hand.
#[derive(Clone, Debug)]
pub struct ByHandOf {
    /// Who.
    pub by: String,
    /// Why; empty where nothing was set aside and nobody gave a reason.
    pub reason: String,
}

/// What became of the versions at the gate.
#[derive(Clone, Debug, Serialize)]
pub struct QualifyReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Each version.
    pub versions: Vec<QualifiedVersion>,
    /// What is still to be done, with the error that keeps it from being done.
    pub unfinished: Vec<String>,
}

/// One version at the gate.
#[derive(Clone, Debug, Serialize)]
pub struct QualifiedVersion {
    /// Its name.
    pub version: String,
    /// The model version behind it.
    pub model: Option<ModelVersion>,
    /// `passed`, `failed` or `unjudged`.
    pub verdict: &'static str,
    /// The verdict with what it rests on.
    pub told: String,
    /// Each criterion.
    pub findings: Vec<Finding>,
    /// Whether it was judged from these results for the first time.
    pub new: bool,
}

/// What became of an enrolment.
#[derive(Clone, Debug, Serialize)]
pub struct EnrolReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The experiment.
    pub experiment: String,
    /// The new variant.
    pub variant: String,
    /// The version that it serves.
    pub version: String,
    /// Its share.
    pub share: Share,
    /// The others' shares, before and after.
    pub shares: Vec<(String, Share, Share)>,
    /// What it serves.
    pub config: serde_json::Value,
    /// What follows in the registry.
    pub steps: Vec<String>,
    /// What the offline gate said.
    pub gate: Option<String>,
    /// Rules that were set aside.
    pub set_aside: Vec<String>,
    /// What is still to be done, with the error that keeps it from being done.
    pub unfinished: Vec<String>,
}

/// What a night tells of an experiment's route.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The keys of the notes that its report tells.
    pub(super) notes: Vec<Uuid>,
    /// The notes.
    pub(super) lines: Vec<String>,
    /// What follows in the registry.
    pub(super) steps: Vec<String>,
}

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
            let run = self.run_id();
            let judged = self.at_the_gate(asked).await?;
            self.control.start_run(run, self.as_of, &self.config.digest, self.now).await?;
            for (qualified, _) in &judged {
                self.keep(run, qualified, Vec::new(), self.now).await?;
            }
            let unfinished = self.follow_up(run, &sending).await?;
            let passed: Vec<String> = judged
                .iter()
                .filter(|(qualified, _)| qualified.judgement.is_pass())
                .map(|(qualified, _)| qualified.candidate.name.to_string())
                .collect();
            self.control.finish_run(run, &json!({ "qualified": passed, "unfinished": unfinished }), self.now).await?;
            Ok(qualify_report(false, judged.iter().map(|(qualified, new)| (qualified, *new)), unfinished))
        };
        under_lease((self.control, &self.holder, self.now), &sending, stop, work).await
    }

    /// Each version that is asked about, judged, and whether that is new.
    async fn at_the_gate(&self, asked: Option<&str>) -> Result<Vec<(Qualified, bool)>, NightError> {
        let catalogue = self.control.load_catalogue().await?;
        let candidates = versions_to_judge(&catalogue, asked).map_err(|why| NightError::Refused { why: vec![why] })?;
        let known = self.control.qualifications().await?;
        let criteria = &self.config.policies.criteria;
        let judged = candidates.into_iter().map(|candidate| candidate.judged(&catalogue, criteria));
        Ok(judged
            .map(|qualified| {
                let digest = digest_of(&qualified.judgement);
                let before =
                    known.iter().any(|k| k.policy_version == qualified.candidate.id && k.inputs_digest == digest);
                (qualified, !before)
            })
            .collect())
    }

    /// Keeps a judgement, with the registry's tag in the journal if it is a pass. What is not there yet leaves nothing.
    async fn keep(
        &self,
        run: Uuid,
        qualified: &Qualified,
        notes: Vec<RouteNote>,
        now: Timestamp,
    ) -> Result<(), NightError> {
        let Qualified { candidate, judgement } = qualified;
        let waits = matches!(
            judgement.verdict,
            Verdict::Unjudged { why: Unjudged::Missing | Unjudged::Running { .. } | Unjudged::BaselineRunning { .. } }
        );
        if waits {
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
            let run = self.run_id();
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
            self.let_in(run, &record, &enrolling, Some(&act), self.now).await?;
            let unfinished = self.follow_up(run, &sending).await?;
            let told = format!("{}/{}", asked.experiment, enrolling.name);
            self.control.finish_run(run, &json!({ "enrolled": told, "unfinished": unfinished }), self.now).await?;
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
        let (aside, refused): (Vec<Refusal>, Vec<Refusal>) =
            refusals.into_iter().partition(|refusal| asked.force && refusal.rule == Rule::Forcible);
        match (record, planned) {
            (Some(record), Ok(mut enrolling)) if refused.is_empty() => {
                enrolling.set_aside.extend(aside.into_iter().map(|refusal| refusal.message));
                Ok((record, enrolling))
            }
            _ => Err(NightError::Refused { why: told(&refused, !asked.force) }),
        }
    }

    /// What the registry has against a version.
    async fn ask_registry(&self, catalogue: &Catalogue, asked: &Asked) -> Vec<Refusal> {
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

    async fn let_in(
        &self,
        run: Uuid,
        record: &ExperimentRecord,
        enrolling: &Enrolling,
        act: Option<&Act>,
        now: Timestamp,
    ) -> Result<(), NightError> {
        let id = Uuid::new_v5(&record.experiment.id.0, format!("enrolment {}", enrolling.variant).as_bytes());
        let by = act.map_or("night".to_owned(), |act| act.by.clone());
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

    /// Carries out what is due, and says what is left.
    async fn follow_up(&self, run: Uuid, sending: &Mutex<()>) -> Result<Vec<String>, NightError> {
        let mut applier =
            Applier::new(self.control, self.registry, self.mailer, (run, self.now), sending).with_chat(self.chat);
        applier.apply_pending().await?;
        Ok(applier.unfinished())
    }

    /// The night's own hand: where `auto_enroll` says so, the newest version that passed comes in before the experiment is
    /// judged. `record` is then as if it had always been there. Gives what is to be told of the route, by whomever.
    pub(super) async fn walk_route(
        &self,
        record: &mut ExperimentRecord,
        mode: Mode,
        now: Timestamp,
        night: &mut NightReport,
    ) -> Result<Route, NightError> {
        let id = record.experiment.id;
        let mut notes = self.control.route_notes_of(id).await?;
        let mut route = Route::default();
        let fresh = self.enrol_by_night(record, mode, now, night, &mut route.steps).await?;
        match mode {
            Mode::Act { .. } if !fresh.is_empty() => notes = self.control.route_notes_of(id).await?,
            Mode::Act { .. } => {}
            Mode::Plan => {
                let unknown = fresh.iter().filter(|note| !notes.contains_key(&note.about));
                route.lines.extend(unknown.map(|note| note.line.clone()));
            }
        }
        for kept in notes.into_values().filter(|kept| !kept.told) {
            route.notes.push(kept.id);
            route.lines.push(kept.note.line);
        }
        route.lines.sort();
        Ok(route)
    }

    /// The notes that this makes, which may have been made before.
    async fn enrol_by_night(
        &self,
        record: &mut ExperimentRecord,
        mode: Mode,
        now: Timestamp,
        night: &mut NightReport,
        steps: &mut Vec<String>,
    ) -> Result<Vec<RouteNote>, NightError> {
        let (id, name) = (record.experiment.id, record.experiment.name.clone());
        let (policy, enrolment) = (self.config.policies.of(&name), self.config.policies.enrolment_of(&name));
        let acts = policy.mode == PolicyMode::Act && !self.config.policies.kill_switch;
        let wanted = enrolment.policy.as_ref().filter(|_| enrolment.auto && acts);
        let Some(wanted) = wanted.filter(|_| record.experiment.status == ExperimentStatus::Active) else {
            return Ok(Vec::new());
        };
        let catalogue = self.control.load_catalogue().await?;
        let Some(row) = catalogue.experiments.iter().find(|row| row.id == id) else { return Ok(Vec::new()) };
        let mut notes = Vec::new();
        for version in newest_untried(&catalogue, row, wanted, &policy.control) {
            let Some(qualified) = self.judged(&catalogue, &version) else { continue };
            let passed = qualified.judgement.is_pass();
            let note = (!passed).then(|| gate_note(id, &qualified));
            if let Mode::Act { run } = mode {
                self.begin(night, run).await?;
                self.keep(run, &qualified, note.iter().cloned().collect(), now).await?;
            }
            notes.extend(note);
            if !passed {
                continue;
            }
            let asked = Asked {
                experiment: name.clone(),
                kind: Kind::Policy,
                version: version.clone(),
                share: None,
                name: None,
                force: false,
                reason: None,
            };
            let planned = plan_enrolment(&asked, &catalogue, Some(&*record), &self.config.policies, now);
            let mut refusals = planned.as_ref().err().cloned().unwrap_or_default();
            refusals.extend(self.ask_registry(&catalogue, &asked).await);
            match planned {
                Ok(enrolling) if refusals.is_empty() => {
                    if let Mode::Act { run } = mode {
                        self.let_in(run, record, &enrolling, None, now).await?;
                    }
                    notes.push(note_of(id, &enrolling, None));
                    steps.extend(enrolling.steps.iter().map(ToString::to_string));
                    enrolling.apply_to(record);
                }
                Ok(_) | Err(_) => {
                    let note = refusal_note(id, &version, &refusals);
                    if let Mode::Act { .. } = mode {
                        self.control.note_route(&note, now).await?;
                    }
                    notes.push(note);
                }
            }
            // An older version does not come in past a newer one that passed.
            break;
        }
        Ok(notes)
    }

    fn judged(&self, catalogue: &Catalogue, version: &VersionName) -> Option<Qualified> {
        let row = catalogue.named(Kind::Policy, version)?;
        let candidate = Candidate { id: row.id, name: version.clone(), model: row.model() };
        Some(candidate.judged(catalogue, &self.config.policies.criteria))
    }
}

/// The refusals as sentences; those that may be set aside say so, where they were not.
fn told(refusals: &[Refusal], may_force: bool) -> Vec<String> {
    let told = refusals.iter().map(|refusal| match refusal.rule {
        Rule::Forcible if may_force => format!("{} (--force with a --reason sets this aside)", refusal.message),
        Rule::Forcible | Rule::Firm => refusal.message.clone(),
    });
    told.collect()
}

/// That a version came in.
fn note_of(experiment: ExperimentId, enrolling: &Enrolling, act: Option<&Act>) -> RouteNote {
    let by = act.map_or("by the night".to_owned(), |act| match act.reason.is_empty() {
        true => format!("by {}", act.by),
        false => format!("by {} ({})", act.by, act.reason),
    });
    let mut line = format!(
        "enrolled {by}: {} as {} with {}; {}",
        enrolling.version_name,
        enrolling.name,
        enrolling.share,
        enrolling.shares()
    );
    if let Some(judgement) = &enrolling.judgement {
        line.push_str(&format!("; offline evaluation {judgement}"));
    }
    if !enrolling.set_aside.is_empty() {
        line.push_str(&format!("; set aside: {}", enrolling.set_aside.join("; ")));
    }
    RouteNote { experiment, about: format!("enrolled {}", enrolling.variant), line }
}

/// That a version has not passed.
fn gate_note(experiment: ExperimentId, qualified: &Qualified) -> RouteNote {
    let Qualified { candidate, judgement } = qualified;
    let about = format!("gate {} {}", candidate.id, digest_of(judgement));
    RouteNote { experiment, about, line: format!("not enrolled: {}: offline evaluation {judgement}", candidate.name) }
}

/// That a version passed and did not come in. The same reasons are told once.
fn refusal_note(experiment: ExperimentId, version: &VersionName, refusals: &[Refusal]) -> RouteNote {
    let reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.about).collect();
    let messages: Vec<&str> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    RouteNote {
        experiment,
        about: format!("refused {version} {}", reasons.join(" ")),
        line: format!("not enrolled: {version}, which passed offline evaluation: {}", messages.join("; ")),
    }
}

fn qualify_report<'a>(
    dry_run: bool,
    judged: impl Iterator<Item = (&'a Qualified, bool)>,
    unfinished: Vec<String>,
) -> QualifyReport {
    let versions = judged.map(|(Qualified { candidate, judgement }, new)| QualifiedVersion {
        version: candidate.name.to_string(),
        model: candidate.model.clone(),
        verdict: judgement.verdict.word(),
        told: judgement.to_string(),
        findings: judgement.findings.clone(),
        new,
    });
    QualifyReport { schema_version: 1, dry_run, versions: versions.collect(), unfinished }
}

fn enrol_report(experiment: &str, enrolling: &Enrolling, dry_run: bool, unfinished: Vec<String>) -> EnrolReport {
    EnrolReport {
        schema_version: 1,
        dry_run,
        experiment: experiment.to_owned(),
        variant: enrolling.name.clone(),
        version: enrolling.version_name.to_string(),
        share: enrolling.share,
        shares: enrolling.shrunk.iter().map(|(_, name, from, to)| (name.clone(), *from, *to)).collect(),
        config: enrolling.config.clone(),
        steps: enrolling.steps.iter().map(ToString::to_string).collect(),
        gate: enrolling.judgement.as_ref().map(ToString::to_string),
        set_aside: enrolling.set_aside.clone(),
        unfinished,
    }
}
