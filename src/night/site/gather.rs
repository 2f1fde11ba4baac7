//! An experiment's story, read from the record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::control::{ControlError, ControlStore, IncidentOnRecord, JudgedExperiment, StoredDecision};
use crate::domain::{Epoch, ExperimentStatus, Judgement, RolloutStatus, Rules, VariantId};
use crate::night::route::BY_NIGHT;
use crate::report::site::{CandidateStory, Event, Happened, PastNight, Story, file_name};
use crate::report::{CandidateReport, ExperimentReport, Standing};

/// The e-value of a mismatch where no rules are kept.
const MISMATCH_FROM: f64 = 1000.0;

/// The file of an experiment's page. One whose row is gone may share its name with another.
pub(super) fn file_of(judged: &JudgedExperiment) -> String {
    let name = if judged.status.is_some() { judged.name.as_str() } else { "" };
    file_name(name, &judged.id.to_string())
}

/// Reads all that happened to an experiment in its latest nights.
pub(super) async fn story(
    control: &ControlStore,
    judged: &JudgedExperiment,
    nights: u32,
    pages: &[Date],
    incidents: &[IncidentOnRecord],
) -> Result<Story, ControlError> {
    let id = judged.id;
    let latest = control.latest_nights_of(id, i64::from(nights)).await?;
    let from = latest.last().copied().unwrap_or(judged.first_night);
    let decisions = control.decisions_since(id, from).await?;
    let variants = control.variants_of(id).await?;
    let rollouts = control.rollouts_of(id).await?;
    let earlier_nights = judged.nights.saturating_sub(latest.len() as u64);

    let mut names: BTreeMap<VariantId, String> = variants.iter().map(|v| (v.id, v.name.clone())).collect();
    note_names(&mut names, &decisions);
    let mut by_candidate: BTreeMap<VariantId, Vec<&StoredDecision>> = BTreeMap::new();
    decisions.iter().for_each(|decision| by_candidate.entry(decision.candidate).or_default().push(decision));
    let (mut candidates, mut newest): (Vec<CandidateStory>, Option<(i64, ExperimentReport)>) = (Vec::new(), None);
    for (candidate, ours) in by_candidate {
        let Some(last) = ours.last() else { continue };
        let report = control.report_of_run(last.run, id).await?;
        let report: Option<ExperimentReport> = report.and_then(|report| serde_json::from_value(report).ok());
        let rules = match &last.basis {
            Some(basis) => control.rules(&basis.rules).await?,
            None => None,
        };
        let name = last.name().to_owned();
        candidates.push(CandidateStory {
            folder: file_name(&name, &candidate.to_string()),
            state: rollouts.iter().find(|state| state.candidate == candidate).cloned(),
            share: variants.iter().find(|variant| variant.id == candidate).map(|variant| variant.allocation),
            last: told(last, report.as_ref(), rules.as_ref()),
            report: report.clone().unwrap_or_else(|| silent(&judged.name)),
            last_night: last.as_of,
            mismatch_from: mismatch_from(last, rules.as_ref()),
            nights: ours.iter().map(|decision| night(decision)).collect(),
            name,
        });
        if let Some(report) = report
            && newest.as_ref().is_none_or(|(position, _)| *position < last.position)
        {
            newest = Some((last.position, report));
        }
    }
    let on_ramp = |story: &CandidateStory| story.state.as_ref().is_some_and(|s| s.status == RolloutStatus::Ramping);
    candidates.sort_by(|a, b| (!on_ramp(a), &a.name, &a.folder).cmp(&(!on_ramp(b), &b.name, &b.folder)));
    let report = newest.map(|(_, report)| report);
    let running = matches!(judged.status, Some(ExperimentStatus::Active | ExperimentStatus::Paused));
    let mut events = events(control, judged, &names).await?;
    events.extend(incidents.iter().filter(|incident| incident.experiment == Some(id)).map(incident));
    if let (true, Some(first)) = (earlier_nights > 0, decisions.first()) {
        events.retain(|event| event.at >= first.decided_at);
    }
    let name = match (judged.status, &report) {
        (None, Some(report)) => report.name.clone(),
        (None, None) => id.to_string(),
        (Some(_), _) => judged.name.clone(),
    };
    Ok(Story {
        name,
        file: file_of(judged),
        status: judged.status,
        unit_type: judged.unit_type.clone(),
        started: judged.started_at,
        owners: report.as_ref().map(|report| report.owners.clone()).unwrap_or_default(),
        notes: report.as_ref().filter(|_| running).map(ExperimentReport::notes).unwrap_or_default(),
        variants: variants.into_iter().map(|variant| (variant.name, variant.allocation)).collect(),
        candidates,
        events,
        earlier_nights,
        pages: pages.to_vec(),
    })
}

/// Names as decisions knew them, since a promotion renames those that it retires.
fn note_names(names: &mut BTreeMap<VariantId, String>, decisions: &[StoredDecision]) {
    for decision in decisions {
        let Some(basis) = &decision.basis else { continue };
        names.insert(decision.candidate, basis.name.clone());
        if let Some(name) = names.get_mut(&basis.control)
            && let Some((before, _)) = name.split_once("_retired_")
        {
            *name = before.to_owned();
        }
    }
}

/// What readers were told of a decision; put together anew where that is not on record.
fn told(last: &StoredDecision, report: Option<&ExperimentReport>, rules: Option<&Rules>) -> CandidateReport {
    let candidates = report.map(|report| report.candidates.as_slice()).unwrap_or_default();
    if let Some(told) = candidates.iter().find(|candidate| candidate.decision_id == Some(last.id)) {
        return told.clone();
    }
    let facts = last.basis.as_ref().map(|basis| &basis.facts);
    let stages = rules.map_or(0, |rules| rules.policy.stages.len());
    CandidateReport {
        name: last.name().to_owned(),
        decision_id: Some(last.id),
        revision: last.revision,
        share: facts.map(|facts| facts.share).unwrap_or_default(),
        stage: (facts.map_or(1, |facts| facts.state.stage + 1), stages.max(1)),
        decision: last.decision.clone(),
        assessment: last.assessment.clone(),
        forecast: None,
        before: None,
        split_needed: None,
        percentiles: Vec::new(),
    }
}

/// The report of a run that left none.
fn silent(name: &str) -> ExperimentReport {
    ExperimentReport::bare(name.to_owned(), Standing::Decided)
}

fn mismatch_from(last: &StoredDecision, rules: Option<&Rules>) -> f64 {
    let candidates = last.basis.as_ref().map_or(1, |basis| basis.facts.candidates.max(1));
    rules.map_or(MISMATCH_FROM, |rules| candidates as f64 / rules.policy.alphas.srm.get())
}

fn night(decision: &StoredDecision) -> PastNight {
    PastNight {
        id: decision.id,
        as_of: decision.as_of,
        revision: decision.revision,
        decided_at: decision.decided_at,
        share: decision.basis.as_ref().map(|basis| basis.facts.share),
        decision: decision.decision.clone(),
        assessment: decision.assessment.clone(),
    }
}

async fn events(
    control: &ControlStore,
    judged: &JudgedExperiment,
    names: &BTreeMap<VariantId, String>,
) -> Result<Vec<Happened>, ControlError> {
    let name_of = |id: &VariantId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
    let mut events = Vec::new();
    let enrolments = control.enrolments_of(judged.id).await?;
    let came_in: Vec<Timestamp> = enrolments.iter().map(|enrolment| enrolment.at).collect();
    // What a hand has let in is among the acts.
    for enrolment in enrolments.iter().filter(|enrolment| enrolment.by == BY_NIGHT) {
        let text = |key: &str| enrolment.detail.get(key).and_then(|text| text.as_str()).unwrap_or_default().to_owned();
        let judgement = enrolment.detail.get("judgement").cloned();
        let judgement = judgement.and_then(|judgement| serde_json::from_value::<Judgement>(judgement).ok());
        let gate = judgement.map(|judgement| judgement.to_string());
        let what = Event::Enrolled { candidate: text("name"), version: text("version"), gate };
        events.push(Happened { at: enrolment.at, what });
    }
    for epoch in control.epochs_of(judged.id).await? {
        let shares = epoch.allocations.iter().map(|(id, share)| (name_of(id), *share)).collect();
        let Epoch { number, outside, moved_units, started_at, redrawn_at, .. } = epoch;
        let redrawn = redrawn_at.is_some();
        let enrolled = came_in.contains(&started_at);
        let what = Event::Epoch { number, outside, moved_units, redrawn, enrolled, shares };
        events.push(Happened { at: started_at, what });
    }
    for amendment in control.amendments_of(judged.id).await? {
        let restarts_with = amendment.evidence_from.filter(|_| amendment.restarts);
        let what = Event::Amendment { changes: amendment.changes, restarts_with };
        events.push(Happened { at: amendment.noted_at, what });
    }
    let over = judged.status == Some(ExperimentStatus::Completed) || judged.status.is_none();
    for act in control.acts_of(judged.id).await? {
        // What was said of everything long after this was over did not concern it.
        let late = act.at.to_zoned(jiff::tz::TimeZone::UTC).date()
            > judged.last_night.saturating_add(jiff::Span::new().days(2));
        if act.experiment.is_none() && over && late {
            continue;
        }
        let candidate = act.candidate.as_ref().map(name_of);
        let what = Event::Act { by: act.by, reason: act.reason, candidate, act: act.kind };
        events.push(Happened { at: act.at, what });
    }
    Ok(events)
}

fn incident(found: &IncidentOnRecord) -> Happened {
    let what = Event::Incident {
        what: found.what.clone(),
        expected: found.expected.clone(),
        found: found.found.clone(),
        advice: found.advice.clone(),
        over: found.closed_at,
    };
    Happened { at: found.found_at, what }
}
