//! `history`: what happened to an experiment, night by night, with everything that came in between.

mod text;

use std::collections::BTreeMap;

use anyhow::anyhow;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::named::{self, Named, all, is_called, unknown};
use super::{Exit, Global, OutputFormat, connect, shown};
use crate::config;
use crate::control::{ControlStore, StoredDecision, Wanted};
use crate::decide::{Outcome, Reason};
use crate::domain::{ActKind, Epoch, ExperimentStatus, Judgement, Share, VariantId};
use crate::evidence::Reading;

/// The arguments of `history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper history planner_policy_exp --limit 14

The oldest stands first. Experiments that are over have their history, too.")]
pub(super) struct HistoryArguments {
    /// The experiment, by its name or key.
    experiment: String,
    /// One candidate, by its name or key; all of them unless told.
    #[arg(long, value_name = "NAME")]
    candidate: Option<String>,
    /// Only so many of the latest nights, with what came in between.
    #[arg(long, value_name = "NIGHTS", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize)]
struct History {
    schema_version: u32,
    experiment: String,
    id: String,
    /// None if its row is gone.
    status: Option<ExperimentStatus>,
    /// Nights before the first that is shown.
    earlier_nights: usize,
    entries: Vec<Entry>,
}

/// One line of the history.
#[derive(Debug, Serialize)]
struct Entry {
    at: Timestamp,
    #[serde(flatten)]
    event: Event,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// What people told the job.
    Act { by: String, reason: String, candidate: Option<String>, act: ActKind },
    /// The rules changed; the first entry has no changes.
    Amendment { as_of: Date, changes: Vec<String>, restarts: bool, evidence_from: Option<Date> },
    /// The shares changed.
    Epoch {
        number: i64,
        outside: bool,
        moved_units: bool,
        redrawn: bool,
        /// Whether a version came in, which is before the night decides.
        enrolled: bool,
        shares: BTreeMap<String, Share>,
    },
    /// A version came in, with its share, the offline gate's verdict, and the rules that were set aside.
    Enrolled {
        by: String,
        candidate: String,
        version: String,
        share: Share,
        gate: Option<String>,
        set_aside: Vec<String>,
    },
    /// A night was decided.
    Night(Box<Night>),
}

#[derive(Debug, Serialize)]
struct Night {
    id: Uuid,
    candidate: String,
    as_of: Date,
    revision: i64,
    #[serde(flatten)]
    outcome: Outcome,
    /// The candidate's share before; none where an older version kept none.
    share: Option<Share>,
    reasons: Vec<Reason>,
    in_short: Vec<String>,
    /// The guardrail with the most evidence of harm.
    leading_guardrail: Option<Reading>,
    control_units: u64,
    candidate_units: u64,
}

impl Event {
    /// What comes first of what bears the same time: what people said, then what a night noticed, decided and set.
    fn rank(&self) -> u8 {
        match self {
            Event::Act { .. } | Event::Enrolled { .. } => 0,
            Event::Amendment { .. } => 1,
            Event::Epoch { outside, number, enrolled, .. } if *outside || *enrolled || *number == 0 => 2,
            Event::Night(_) => 3,
            Event::Epoch { .. } => 4,
        }
    }
}

/// Shows what happened.
pub(super) async fn history(arguments: &HistoryArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let experiment = named::experiment(&control, &arguments.experiment).await?;
    let history = gather(&control, experiment, arguments).await?;
    match global.output {
        OutputFormat::Json => shown::json(&history)?,
        OutputFormat::Text => print!("{}", text::text(&history)),
    }
    Ok(Exit::Done)
}

async fn gather(control: &ControlStore, named: Named, arguments: &HistoryArguments) -> anyhow::Result<History> {
    let mut decisions = all(control, Wanted { experiment: Some(named.id), ..Wanted::default() }).await?;
    let names = names(control, &named, &decisions).await?;
    let mut wanted: Option<VariantId> = None;
    if let Some(candidate) = &arguments.candidate {
        let known: Vec<String> = names.values().cloned().collect();
        decisions.retain(|decision| is_called(decision, candidate));
        let found = decisions.first().map(|decision| decision.candidate);
        let what = format!("candidate with a decision in {}, called", shown::plain(&named.name));
        wanted = Some(found.ok_or_else(|| anyhow!(unknown(&what, candidate, &known)))?);
    }
    let mut nights: Vec<(Date, i64)> = decisions.iter().map(|decision| (decision.as_of, decision.revision)).collect();
    nights.sort();
    nights.dedup();
    let earlier_nights = arguments.limit.map_or(0, |limit| nights.len().saturating_sub(limit as usize));
    let first = nights.get(earlier_nights).copied();
    if earlier_nights > 0 {
        decisions.retain(|decision| first.is_some_and(|first| (decision.as_of, decision.revision) >= first));
    }
    let since = if earlier_nights > 0 { decisions.first().map(|decision| decision.decided_at) } else { None };
    let name_of = |id: &VariantId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
    let mut entries: Vec<Entry> = decisions.iter().map(night).collect();
    let enrolments = control.enrolments_of(named.id).await?;
    for epoch in control.epochs_of(named.id).await? {
        let shares = epoch.allocations.iter().map(|(id, share)| (name_of(id), *share)).collect();
        let Epoch { number, outside, moved_units, started_at, redrawn_at, .. } = epoch;
        let redrawn = redrawn_at.is_some();
        let enrolled = enrolments.iter().any(|enrolment| enrolment.at == started_at);
        let event = Event::Epoch { number, outside, moved_units, redrawn, enrolled, shares };
        entries.push(Entry { at: started_at, event });
    }
    for amendment in control.amendments_of(named.id).await? {
        let event = Event::Amendment {
            as_of: amendment.as_of,
            changes: amendment.changes,
            restarts: amendment.restarts,
            evidence_from: amendment.evidence_from,
        };
        entries.push(Entry { at: amendment.noted_at, event });
    }
    for act in control.acts_of(named.id).await? {
        if wanted.is_some() && act.candidate.is_some() && act.candidate != wanted {
            continue;
        }
        let candidate = act.candidate.as_ref().map(name_of);
        entries
            .push(Entry { at: act.at, event: Event::Act { by: act.by, reason: act.reason, candidate, act: act.kind } });
    }
    for enrolment in enrolments {
        if wanted.is_some_and(|wanted| wanted != enrolment.variant) {
            continue;
        }
        let text = |key: &str| enrolment.detail.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let judgement =
            enrolment.detail.get("judgement").and_then(|j| serde_json::from_value::<Judgement>(j.clone()).ok());
        let set_aside = enrolment.detail.get("set_aside").and_then(|rules| serde_json::from_value(rules.clone()).ok());
        let event = Event::Enrolled {
            candidate: text("name"),
            version: text("version"),
            by: enrolment.by,
            share: enrolment.share,
            gate: judgement.map(|judgement| judgement.to_string()),
            set_aside: set_aside.unwrap_or_default(),
        };
        entries.push(Entry { at: enrolment.at, event });
    }
    entries.retain(|entry| since.is_none_or(|since| entry.at >= since));
    entries.sort_by_key(|entry| (entry.at, entry.event.rank()));
    Ok(History {
        schema_version: 1,
        status: control.experiment_status(named.id).await?,
        id: named.id.to_string(),
        experiment: named.name,
        earlier_nights,
        entries,
    })
}

/// The variants' names: as decisions knew them, since a promotion renames those that it retires.
async fn names(
    control: &ControlStore,
    named: &Named,
    decisions: &[StoredDecision],
) -> anyhow::Result<BTreeMap<VariantId, String>> {
    let variants = control.variants_of(named.id).await?;
    let mut names: BTreeMap<VariantId, String> = variants.into_iter().map(|v| (v.id, v.name)).collect();
    for decision in decisions {
        let Some(basis) = &decision.basis else { continue };
        names.insert(decision.candidate, basis.name.clone());
        if let Some(name) = names.get_mut(&basis.control)
            && let Some((before, _)) = name.split_once("_retired_")
        {
            *name = before.to_owned();
        }
    }
    Ok(names)
}

fn night(stored: &StoredDecision) -> Entry {
    let guardrails = &stored.assessment.guardrails;
    let leading = guardrails.iter().rev().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm));
    let night = Night {
        id: stored.id,
        candidate: stored.name().to_owned(),
        as_of: stored.as_of,
        revision: stored.revision,
        outcome: stored.decision.outcome.clone(),
        share: stored.basis.as_ref().map(|basis| basis.facts.share),
        in_short: stored.decision.in_short(),
        reasons: stored.decision.reasons.clone(),
        leading_guardrail: leading.cloned(),
        control_units: stored.assessment.control_units,
        candidate_units: stored.assessment.candidate_units,
    };
    Entry { at: stored.decided_at, event: Event::Night(Box::new(night)) }
}
