//! A night as it stands on record: what its runs said of each experiment, and what they noted of themselves.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::control::{ControlError, ControlStore, IncidentOnRecord, ReportOnRecord, RunOnRecord};
use crate::domain::ExperimentId;
use crate::report::{ExperimentReport, Incident, NightReport, Standing};

/// A night on record.
#[derive(Clone, Debug)]
pub struct NightOnRecord {
    /// The night, as its mail told it.
    pub report: NightReport,
    /// The keys of its experiments, in their order; none for one that failed, which leaves no report.
    pub experiments: Vec<Option<ExperimentId>>,
}

/// What a run notes at its end. Older ones noted less.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Summary {
    unfinished: Vec<String>,
    resumed: Vec<String>,
    moved: Vec<String>,
    failed: Vec<ExperimentReport>,
}

/// The night of that date; none if no run was ever made for it.
pub async fn night_on_record(control: &ControlStore, as_of: Date) -> Result<Option<NightOnRecord>, ControlError> {
    let mut runs = control.runs_since(as_of).await?;
    runs.retain(|run| run.as_of == as_of);
    let reports = control.all_reports_of_night(as_of).await?;
    Ok(assemble(as_of, &runs, reports, &control.all_incidents().await?))
}

/// The same from what was read already.
pub(super) fn assemble(
    as_of: Date,
    runs: &[RunOnRecord],
    reports: Vec<ReportOnRecord>,
    incidents: &[IncidentOnRecord],
) -> Option<NightOnRecord> {
    let last = runs.last()?;
    let summaries: Vec<Summary> = runs.iter().map(summary).collect();
    // The last word on each experiment counts, whichever run has it.
    let mut told: BTreeMap<String, (ExperimentReport, Option<ExperimentId>)> = BTreeMap::new();
    let mut reports = reports;
    for (run, summary) in runs.iter().zip(&summaries) {
        for failed in &summary.failed {
            told.insert(failed.name.clone(), (failed.clone(), None));
        }
        for stored in reports.extract_if(.., |report| report.run == run.id) {
            let experiment = stored.experiment;
            let report = read(stored);
            told.insert(report.name.clone(), (report, Some(experiment)));
        }
    }
    let (experiments, keys) = told.into_values().unzip();
    let summary = summaries.into_iter().next_back().unwrap_or_default();
    let ours = |incident: &&IncidentOnRecord| runs.iter().any(|run| run.id == incident.run);
    let report = NightReport {
        schema_version: 1,
        as_of,
        run: Some(last.id),
        at: last.started_at,
        experiments,
        resumed: summary.resumed,
        moved: summary.moved,
        unfinished: summary.unfinished,
        incidents: incidents.iter().filter(ours).map(incident).collect(),
    };
    Some(NightOnRecord { report, experiments: keys })
}

fn summary(run: &RunOnRecord) -> Summary {
    run.summary.clone().and_then(|summary| serde_json::from_value(summary).ok()).unwrap_or_default()
}

fn read(stored: ReportOnRecord) -> ExperimentReport {
    let name = stored.report.get("name").and_then(|name| name.as_str());
    let name = name.map_or_else(|| stored.experiment.to_string(), str::to_owned);
    serde_json::from_value(stored.report).unwrap_or_else(|error| {
        let why = format!("what run {} said of it cannot be read: {error}", stored.run);
        ExperimentReport::bare(name, Standing::Failed { why })
    })
}

fn incident(found: &IncidentOnRecord) -> Incident {
    Incident {
        id: found.id,
        what: found.what.clone(),
        expected: found.expected.clone(),
        found: found.found.clone(),
        advice: found.advice.clone(),
        decision: found.decision,
        experiment: found.experiment_name.clone(),
        action: found.action.clone(),
        found_at: found.found_at,
        new: true,
    }
}
