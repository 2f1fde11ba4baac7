//! `status`: where every candidate stands, what it waits for, and what is in force. From the stored records alone.

mod in_force;
mod text;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::named::{self, short};
use super::{Exit, Global, OutputFormat, connect, now, shown};
use in_force::{InForce, in_force};

use crate::apply;
use crate::config::{self, Config};
use crate::control::{ControlStore, ExperimentRecord, OpenAction, StoredDecision};
use crate::decide::{Forecast, Outcome, Reason};
use crate::domain::{ExperimentId, ExperimentStatus, ModelVersion, Policy, RolloutStatus, Share, VariantId};
use crate::evidence::Reading;
use crate::plan::is_retired;
use crate::report::ExperimentReport;
use crate::route::{Prospect, Waiting, waiting};

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper status

Nothing is asked of the warehouse and nothing is changed: what stands here is what the last night recorded, and what has \
been told by people since.")]
pub(super) struct StatusArguments {
    /// One experiment, by its name or key; all that are running or paused unless told.
    experiment: Option<String>,
}

/// Everything that stands.
#[derive(Debug, Serialize)]
struct Status {
    schema_version: u32,
    at: Timestamp,
    last_run: Option<Run>,
    lease: Option<Lease>,
    kill_switch: bool,
    /// Those of running and paused experiments, by name.
    candidates: Vec<Candidate>,
    /// Experiments that are running and have no candidate.
    without_candidate: Vec<String>,
    /// Versions that could become candidates of those experiments.
    waiting: Vec<WaitingVersion>,
    in_force: Vec<InForce>,
    actions: Vec<Action>,
    /// How many experiments are neither running nor paused.
    other_experiments: usize,
}

#[derive(Debug, Serialize)]
struct Run {
    id: Uuid,
    as_of: Date,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    summary: Option<String>,
}

#[derive(Debug, Serialize)]
struct Lease {
    holder: String,
    expires_at: Timestamp,
    expired: bool,
}

#[derive(Debug, Serialize)]
struct Candidate {
    experiment: String,
    experiment_status: ExperimentStatus,
    name: String,
    /// None before the first night.
    status: Option<RolloutStatus>,
    /// From 1.
    stage: Option<usize>,
    stages: usize,
    share: Share,
    /// Full days up to the last decided night.
    nights_at_stage: Option<i64>,
    guardrails: Vec<Reading>,
    /// What limits how far the last decision may be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<String>,
    /// What the last decision gave as its reasons, in a few words each.
    waits_for: Vec<String>,
    needs_somebody: bool,
    forecast: Option<Forecast>,
    decision: Option<LastDecision>,
}

/// A version at the offline gate, or past it.
#[derive(Debug, Serialize)]
struct WaitingVersion {
    experiment: String,
    version: String,
    model: Option<ModelVersion>,
    /// `passed`, `failed` or `unjudged`.
    verdict: &'static str,
    #[serde(flatten)]
    prospect: Prospect,
    /// All of it as a sentence.
    told: String,
}

#[derive(Debug, Serialize)]
struct LastDecision {
    id: Uuid,
    as_of: Date,
    decided_at: Timestamp,
    #[serde(flatten)]
    outcome: Outcome,
    reasons: Vec<Reason>,
}

#[derive(Debug, Serialize)]
struct Action {
    idempotency_key: String,
    decision: Option<Uuid>,
    what: String,
    given_up: bool,
    attempts: i64,
    last_error: Option<String>,
    not_before: Option<Timestamp>,
}

/// Shows where everything stands.
pub(super) async fn status(arguments: &StatusArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let wanted = match &arguments.experiment {
        Some(name) => Some(named::experiment(&control, name).await?),
        None => None,
    };
    let status = gather(&control, &config, wanted.as_ref().map(|named| named.id), now(global)).await?;
    match global.output {
        OutputFormat::Json => shown::json(&status)?,
        OutputFormat::Text => print!("{}", text::text(&status, wanted.as_ref().map(|named| named.name.as_str()))),
    }
    Ok(Exit::Done)
}

async fn gather(
    control: &ControlStore,
    config: &Config,
    wanted: Option<ExperimentId>,
    now: Timestamp,
) -> anyhow::Result<Status> {
    let mut records = control.load_experiments().await?;
    let other_experiments = control.experiment_names().await?.len() - records.len();
    records.retain(|record| wanted.is_none_or(|id| id == record.experiment.id));
    let decisions = control.latest_decisions().await?;
    let reports = control.latest_reports().await?;
    let mut status = Status {
        schema_version: 1,
        at: now,
        last_run: control.last_run().await?.map(|run| Run {
            id: run.id,
            as_of: run.as_of,
            started_at: run.started_at,
            finished_at: run.finished_at,
            summary: run.summary,
        }),
        lease: control.lease().await?.map(|lease| Lease {
            holder: lease.holder,
            expired: lease.expires_at <= now,
            expires_at: lease.expires_at,
        }),
        kill_switch: config.policies.kill_switch,
        candidates: Vec::new(),
        without_candidate: Vec::new(),
        waiting: Vec::new(),
        in_force: Vec::new(),
        actions: Vec::new(),
        other_experiments,
    };
    let catalogue = control.load_catalogue().await?;
    for record in &records {
        status.waiting.extend(waiting(&catalogue, record, &config.policies, now).into_iter().map(waiting_version));
        let policy = config.policies.of(&record.experiment.name);
        let candidates = candidates_of(record, policy, &decisions, &reports);
        if candidates.is_empty() {
            status.without_candidate.push(record.experiment.name.clone());
        }
        status.candidates.extend(candidates);
        let amendments = match &record.rules {
            Some(rules) if rules.number > 0 => control.amendments_of(record.experiment.id).await?,
            _ => Vec::new(),
        };
        status.in_force.extend(in_force(record, policy, amendments.last(), now));
    }
    let ours: Vec<Uuid> = status.candidates.iter().filter_map(|c| Some(c.decision.as_ref()?.id)).collect();
    let concerns = |open: &OpenAction| match wanted {
        None => true,
        Some(id) => {
            apply::experiment_of(&open.action) == Some(id) || open.action.decision.is_some_and(|id| ours.contains(&id))
        }
    };
    let open = control.open_actions().await?;
    status.actions = open.iter().filter(|open| concerns(open)).map(action).collect();
    Ok(status)
}

fn waiting_version(waiting: Waiting) -> WaitingVersion {
    WaitingVersion {
        told: waiting.to_string(),
        verdict: waiting.judgement.verdict.word(),
        experiment: waiting.experiment,
        version: waiting.version.to_string(),
        model: waiting.model,
        prospect: waiting.prospect,
    }
}

fn action(open: &OpenAction) -> Action {
    Action {
        idempotency_key: open.action.idempotency_key.clone(),
        decision: open.action.decision,
        what: apply::sentence_of(&open.action),
        given_up: open.given_up,
        attempts: open.action.attempts,
        last_error: open.last_error.clone(),
        not_before: open.not_before,
    }
}

/// The variants that are, or were, judged against control, by name.
fn candidates_of(
    record: &ExperimentRecord,
    policy: &Policy,
    decisions: &[StoredDecision],
    reports: &BTreeMap<(Uuid, ExperimentId), Value>,
) -> Vec<Candidate> {
    let rules = record.rules.as_ref().map_or(policy, |stored| &stored.rules.policy);
    let known = |id: VariantId| record.rollouts.iter().find(|rollout| rollout.candidate == id);
    let variants = record.experiment.variants.iter().filter(|variant| {
        let judged = variant.name != rules.control && !is_retired(variant);
        judged && (variant.allocation > Share::NONE || known(variant.id).is_some())
    });
    let mut candidates: Vec<Candidate> = variants
        .map(|variant| {
            let rollout = known(variant.id);
            let last = decisions.iter().find(|decision| decision.candidate == variant.id);
            let nights = |last: &StoredDecision| {
                let entered = rollout?.entered_on;
                Some(i64::from(entered.until((Unit::Day, last.as_of)).ok()?.get_days()))
            };
            Candidate {
                experiment: record.experiment.name.clone(),
                experiment_status: record.experiment.status,
                name: variant.name.clone(),
                status: rollout.map(|rollout| rollout.status),
                stage: rollout.map(|rollout| rollout.stage + 1),
                stages: rules.stages.len(),
                share: variant.allocation,
                nights_at_stage: last.and_then(nights),
                guardrails: last.map(|last| last.assessment.guardrails.clone()).unwrap_or_default(),
                caution: last.and_then(|last| Some(last.assessment.from_events.as_ref()?.to_string())),
                waits_for: last.map_or_else(Vec::new, |last| last.decision.in_short()),
                needs_somebody: last.is_some_and(|last| last.decision.needs_somebody()),
                forecast: last.and_then(|last| forecast(last, reports)),
                decision: last.map(|last| LastDecision {
                    id: last.id,
                    as_of: last.as_of,
                    decided_at: last.decided_at,
                    outcome: last.decision.outcome.clone(),
                    reasons: last.decision.reasons.clone(),
                }),
            }
        })
        .collect();
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    candidates
}

/// The forecast that readers were told with a decision. A report of another version tells none.
fn forecast(last: &StoredDecision, reports: &BTreeMap<(Uuid, ExperimentId), Value>) -> Option<Forecast> {
    let report = reports.get(&(last.run, last.experiment))?;
    let report: ExperimentReport = serde_json::from_value(report.clone()).ok()?;
    report.candidates.into_iter().find(|candidate| candidate.decision_id == Some(last.id))?.forecast
}
