//! The night's own hand: where `auto_enroll` says so, the newest version that passed comes in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::enrol::BY_NIGHT;
use super::notes::{about_enrolment, gate_note, note_of, refusal_note};
use crate::control::{Catalogue, Enrolment, ExperimentRecord, KeptNote, Kind, RouteNote};
use crate::domain::{ExperimentStatus, Mode as PolicyMode, VersionName};
use crate::night::error::NightError;
use crate::night::thresholds::FreezeFault;
use crate::night::{Mode, Night};
use crate::report::NightReport;
use crate::route::{Asked, Candidate, Qualified, challenger, newest_untried, plan_enrolment};

/// What a night tells of an experiment's route.
#[derive(Debug, Default)]
pub(in crate::night) struct Route {
    /// The keys of the notes that its report tells.
    pub(in crate::night) notes: Vec<Uuid>,
    /// The notes.
    pub(in crate::night) lines: Vec<String>,
    /// What follows in the registry.
    pub(in crate::night) steps: Vec<String>,
}

impl Night<'_> {
    /// The night's own hand: where `auto_enroll` says so, the newest version that passed comes in before the experiment is
    /// judged. `record` is then as if it had always been there. Gives what is to be told of the route, by whomever.
    pub(in crate::night) async fn walk_route(
        &self,
        record: &mut ExperimentRecord,
        mode: Mode,
        now: Timestamp,
        night: &mut NightReport,
    ) -> Result<Route, NightError> {
        let id = record.experiment.id;
        let mut notes = self.control.route_notes_of(id).await?;
        let mut route = Route::default();
        let fresh = self.enrol_by_night(record, (mode, night), now, &notes, &mut route.steps).await?;
        match mode {
            Mode::Act { .. } if !fresh.is_empty() => notes = self.control.route_notes_of(id).await?,
            Mode::Act { .. } => {}
            Mode::Plan => {
                let unknown = fresh.iter().filter(|note| !notes.contains_key(&note.about));
                route.lines.extend(unknown.map(|note| note.line.clone()));
            }
        }
        notes.retain(|_, kept| !kept.told);
        if route.steps.is_empty() {
            route.steps = self.steps_of_untold(record, &notes).await?;
        }
        for kept in notes.into_values() {
            route.notes.push(kept.id);
            route.lines.push(kept.note.line);
        }
        route.lines.sort();
        Ok(route)
    }

    /// What follows from an enrolment of a night that broke off before it told of it.
    async fn steps_of_untold(
        &self,
        record: &ExperimentRecord,
        untold: &BTreeMap<String, KeptNote>,
    ) -> Result<Vec<String>, NightError> {
        let is_untold = |enrolment: &Enrolment| untold.contains_key(&about_enrolment(enrolment.variant));
        if !record.experiment.variants.iter().any(|variant| untold.contains_key(&about_enrolment(variant.id))) {
            return Ok(Vec::new());
        }
        let catalogue = self.control.load_catalogue().await?;
        let enrolments = self.control.enrolments_of(record.experiment.id).await?;
        let by_night = enrolments.into_iter().filter(|enrolment| enrolment.by == BY_NIGHT && is_untold(enrolment));
        let models = by_night.filter_map(|enrolment| catalogue.version(Kind::Policy, enrolment.version)?.1.model());
        Ok(models.map(|model| challenger(model, Vec::new()).to_string()).collect())
    }

    /// The notes that this makes, which may have been made before. The run begins with the first thing that is new.
    async fn enrol_by_night(
        &self,
        record: &mut ExperimentRecord,
        (mode, night): (Mode, &mut NightReport),
        now: Timestamp,
        known: &BTreeMap<String, KeptNote>,
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
            let news = note.as_ref().is_some_and(|note| !known.contains_key(&note.about));
            if let Mode::Act { run } = mode
                && (news || !self.is_kept(&qualified).await?)
            {
                self.begin(night, run).await?;
                self.keep(run.id, &qualified, note.iter().cloned().collect(), now).await?;
            }
            notes.extend(note);
            if !passed {
                continue;
            }
            let asked = Asked::by_night(name.clone(), version.clone());
            let planned = plan_enrolment(&asked, &catalogue, Some(&*record), &self.config.policies, now);
            let mut refusals = planned.as_ref().err().cloned().unwrap_or_default();
            refusals.extend(self.ask_registry(&catalogue, &asked).await);
            let mut thresholds = Vec::new();
            if planned.is_ok() && refusals.is_empty() {
                match self.freeze(record).await {
                    Ok(frozen) => thresholds = frozen,
                    Err(FreezeFault::Night(error)) => return Err(error),
                    Err(FreezeFault::Refused(refusal)) => refusals.push(refusal),
                }
            }
            match planned {
                Ok(mut enrolling) if refusals.is_empty() => {
                    enrolling.thresholds = thresholds;
                    if let Mode::Act { run } = mode {
                        self.begin(night, run).await?;
                        self.let_in(run.id, record, &enrolling, None, now).await?;
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
