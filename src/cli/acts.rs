//! What people tell the job: `approve`, `reject`, `hold`, `resume`, `rollback`.

use anyhow::{Context, anyhow, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use uuid::Uuid;

use super::connect::{self, Connections};
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, as_of, night, now};
use crate::config;
use crate::control::{ControlStore, ExperimentRecord, StoredDecision, Wanted};
use crate::decide::{Reason, Step};
use crate::domain::{Act, ActKind, Experiment, RolloutState, RolloutStatus, Variant, Wish};

/// Who says it, and why. Both are kept for ever.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Said {
    /// Who says so, as it is to stand in the record.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// A decision that waits for a person.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AnswerArguments {
    /// The decision's id, or as much of its beginning as is unique.
    decision: String,
    #[command(flatten)]
    said: Said,
}

/// What is held.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct HoldArguments {
    /// EXPERIMENT or EXPERIMENT/VARIANT.
    #[arg(required_unless_present = "all")]
    target: Option<String>,
    /// Everything, in every experiment.
    #[arg(long, conflicts_with = "target")]
    all: bool,
    /// The last day of the hold (UTC), such as 2026-04-02; without it, until it is lifted by `resume`.
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// Keep even proven harm from being rolled back meanwhile.
    #[arg(long)]
    even_if_harmful: bool,
    #[command(flatten)]
    said: Said,
}

/// What is held no longer.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ResumeArguments {
    /// EXPERIMENT or EXPERIMENT/VARIANT.
    #[arg(required_unless_present = "all")]
    target: Option<String>,
    /// Everything, in every experiment.
    #[arg(long, conflicts_with = "target")]
    all: bool,
    #[command(flatten)]
    said: Said,
}

/// What is taken off.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RollbackArguments {
    /// EXPERIMENT/VARIANT.
    target: String,
    #[command(flatten)]
    said: Said,
}

/// `approve` and `reject`.
pub(super) async fn answer(global: &Global, arguments: &AnswerArguments, yes: bool) -> anyhow::Result<Exit> {
    let control = open(global).await?;
    let stored = find_decision(&control, &arguments.decision).await?;
    let (stage, step) = waiting(&stored)?;
    let subject = format!("{}/{}", stored.experiment_name, stored.candidate_name);
    let records = control.load_experiments().await?;
    let state = records.iter().flat_map(|record| &record.rollouts).find(|state| state.candidate == stored.candidate);
    let here = state.is_some_and(|state| {
        state.status == RolloutStatus::Ramping && state.stage == stage && stored.as_of >= state.entered_on
    });
    if !here {
        bail!("decision {} waits no longer: {subject} has left that stage since", stored.id);
    }
    let (decision, as_of) = (stored.id, stored.as_of);
    let kind = match yes {
        true => ActKind::Approve { decision, as_of, stage },
        false => ActKind::Reject { decision, as_of, stage },
    };
    let act = Act {
        experiment: Some(stored.experiment),
        candidate: Some(stored.candidate),
        ..new_act(global, kind, &arguments.said)
    };
    control.tell_act(&act).await?;
    let told = match yes {
        true => format!(
            "Approved: {subject} may {step}. The next night does it if its evidence still allows; \
             `rampkeeper run --as-of {as_of}` does it at once."
        ),
        false => format!("Rejected: {subject} stays where it is until somebody approves a later decision."),
    };
    say(global, &act, &told)
}

/// `hold`.
pub(super) async fn hold(global: &Global, arguments: &HoldArguments) -> anyhow::Result<Exit> {
    let control = open(global).await?;
    let today = now(global).to_zoned(TimeZone::UTC).date();
    if let Some(until) = arguments.until.filter(|until| *until < today) {
        bail!("--until {until} is over already (today is {today} in UTC); give today or a later day");
    }
    let target = target(&control.load_experiments().await?, arguments.target.as_deref())?;
    let kind = ActKind::Hold { until: arguments.until, even_if_harmful: arguments.even_if_harmful };
    let act = target.act(new_act(global, kind, &arguments.said));
    control.tell_act(&act).await?;
    let until = arguments.until.map_or("until it is lifted".to_owned(), |until| format!("until {until}"));
    let harm = match arguments.even_if_harmful {
        true => "Proven harm is not rolled back meanwhile.",
        false => "Proven harm is still rolled back.",
    };
    say(global, &act, &format!("Held {until}: {}. {harm}", target.told()))
}

/// `resume`.
pub(super) async fn resume(global: &Global, arguments: &ResumeArguments) -> anyhow::Result<Exit> {
    let control = open(global).await?;
    let records = control.load_experiments().await?;
    let target = target(&records, arguments.target.as_deref())?;
    let today = now(global).to_zoned(TimeZone::UTC).date();
    if !records.iter().any(|record| target.is_held(record, today)) {
        bail!("nothing holds {}; `rampkeeper status` shows what is held", target.told());
    }
    let act = target.act(new_act(global, ActKind::Resume, &arguments.said));
    control.tell_act(&act).await?;
    say(global, &act, &format!("Resumed: {}. The next night decides as the policy says.", target.told()))
}

/// `rollback`: at once, outside the schedule.
pub(super) async fn rollback(global: &Global, arguments: &RollbackArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let connections = Connections::without_warehouse(&config).await?;
    let records = connections.control.load_experiments().await?;
    let target = target(&records, Some(&arguments.target))?;
    let (Some(experiment), Some(variant)) = (&target.experiment, &target.variant) else {
        let names = target.experiment.as_ref().map(variant_names).unwrap_or_default().join(", ");
        bail!("name the variant as well: {}/VARIANT (there are: {names})", arguments.target);
    };
    if variant.name == config.policies.of(&experiment.name).control {
        bail!("{} is the control of {}; there is nothing to roll it back to", variant.name, experiment.name);
    }
    let state = records.iter().flat_map(|record| &record.rollouts).find(|state| state.candidate == variant.id);
    if let Some(state) = state.filter(|state| state.status != RolloutStatus::Ramping) {
        bail!("{} is {} already (since the night of {})", arguments.target, state.status.as_str(), state.entered_on);
    }
    let act = target.act(new_act(global, ActKind::Rollback, &arguments.said));
    let now = now(global);
    // Never older than the last night, which would refuse it.
    let last = records.iter().flat_map(|record| record.last_decisions.values()).map(|last| last.as_of).max();
    let as_of = last.map_or(as_of(global, now), |last| last.max(as_of(global, now)));
    let global = Global { as_of: Some(as_of), ..global.clone() };
    let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
    let report = night::night(&config, &connections, &global, now).carry_out(&act, stop.wait()).await?;
    night::show(&report, global.output)?;
    Ok(night::exit_of(&report))
}

async fn open(global: &Global) -> anyhow::Result<ControlStore> {
    connect::control(&config::load(&global.config)?).await
}

fn new_act(global: &Global, kind: ActKind, said: &Said) -> Act {
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    Act {
        id: Uuid::new_v4(),
        kind,
        experiment: None,
        candidate: None,
        by: clean(&said.by).trim().to_owned(),
        reason: clean(&said.reason).trim().to_owned(),
        at: now(global),
    }
}

fn say(global: &Global, act: &Act, told: &str) -> anyhow::Result<Exit> {
    match global.output {
        OutputFormat::Text => println!("{told}"),
        OutputFormat::Json => {
            println!("{}", serde_json::to_string_pretty(&json!({ "schema_version": 1, "act": act, "told": told }))?);
        }
    }
    Ok(Exit::Done)
}

/// The decision whose id begins so.
pub(super) async fn find_decision(control: &ControlStore, id: &str) -> anyhow::Result<StoredDecision> {
    let id = id.trim().to_lowercase();
    if id.len() < 4 || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        bail!(
            "{id:?} is no decision id; give 4 or more of its first characters, as reports and `rampkeeper history` show it"
        );
    }
    let mut found = control.decisions(Wanted { id: &id, ..Wanted::default() }, 3).await?;
    match found.len() {
        0 => bail!("there is no decision whose id begins with {id}; `rampkeeper history EXPERIMENT` lists them"),
        1 => Ok(found.remove(0)),
        _ => bail!("several decisions begin with {id}; give more of it (one is {})", found[0].id),
    }
}

/// The stage and the step that a decision waits to be allowed.
fn waiting(stored: &StoredDecision) -> anyhow::Result<(usize, Step)> {
    let waits = stored.decision.reasons.iter().find_map(|reason| match reason {
        Reason::AwaitingApproval { stage, step } => Some((*stage, *step)),
        // Who rejected may change their mind.
        Reason::Rejected { .. } => Some((stored.basis.as_ref()?.facts.state.stage, Step::Stay)),
        _ => None,
    });
    waits.ok_or_else(|| {
        let why = stored.decision.reasons.first().map(ToString::to_string).unwrap_or_default();
        anyhow!(
            "decision {} does not wait for an approval; it is {:?}: {why}",
            stored.id,
            stored.decision.outcome.word()
        )
    })
}

/// What an act is about: everything, an experiment, or one of its variants.
struct Target {
    experiment: Option<Experiment>,
    variant: Option<Variant>,
}

impl Target {
    fn act(&self, act: Act) -> Act {
        let experiment = self.experiment.as_ref().map(|experiment| experiment.id);
        Act { experiment, candidate: self.variant.as_ref().map(|variant| variant.id), ..act }
    }

    fn told(&self) -> String {
        match (&self.experiment, &self.variant) {
            (None, _) => "every experiment".to_owned(),
            (Some(experiment), None) => experiment.name.clone(),
            (Some(experiment), Some(variant)) => format!("{}/{}", experiment.name, variant.name),
        }
    }

    /// Whether a hold stands that concerns it. A candidate that no night has seen yet has no state of its own; the acts
    /// are then read for one that has just begun.
    fn is_held(&self, record: &ExperimentRecord, today: Date) -> bool {
        let experiment = &record.experiment;
        if self.experiment.as_ref().is_some_and(|ours| ours.id != experiment.id) {
            return false;
        }
        let ours = |variant: &&Variant| self.variant.as_ref().is_none_or(|named| named.id == variant.id);
        experiment.variants.iter().filter(ours).any(|variant| {
            let known = record.rollouts.iter().find(|state| state.candidate == variant.id).cloned();
            let state = known.unwrap_or(RolloutState {
                experiment: experiment.id,
                candidate: variant.id,
                status: RolloutStatus::Ramping,
                stage: 0,
                entered_on: today,
                version: 0,
            });
            Wish::of(&record.acts, &state, today).hold.is_some()
        })
    }
}

/// Finds EXPERIMENT or EXPERIMENT/VARIANT among the running and paused experiments; names may hold slashes themselves.
fn target(records: &[ExperimentRecord], text: Option<&str>) -> anyhow::Result<Target> {
    let Some(text) = text else { return Ok(Target { experiment: None, variant: None }) };
    let named = |name: &str| records.iter().map(|record| &record.experiment).find(|experiment| experiment.name == name);
    if let Some(experiment) = named(text) {
        return Ok(Target { experiment: Some(experiment.clone()), variant: None });
    }
    for (slash, _) in text.match_indices('/') {
        let Some(experiment) = named(&text[..slash]) else { continue };
        let name = &text[slash + 1..];
        let Some(variant) = experiment.variant(name).cloned() else {
            let names = variant_names(experiment).join(", ");
            bail!("experiment {} has no variant {name:?}; there are: {names}", experiment.name);
        };
        return Ok(Target { experiment: Some(experiment.clone()), variant: Some(variant) });
    }
    let names: Vec<&str> = records.iter().map(|record| record.experiment.name.as_str()).collect();
    let there = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    bail!("no running or paused experiment is named {text:?}; {there}")
}

fn variant_names(experiment: &Experiment) -> Vec<&str> {
    experiment.variants.iter().map(|variant| variant.name.as_str()).collect()
}
