//! `explain`: one decision with every input, bound and reason.

mod numbers;
mod rules;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::named::{self, all};
use super::remake::{Again, is_with, remake};
use super::{Exit, Global, OutputFormat, connect, shown};
use crate::config;
use crate::control::{ControlStore, StoredDecision, Wanted};
use crate::decide::{Basis, Decision, Flips, Forecast, Gate, Passage, Reason, forecast};
use crate::domain::{Act, Epoch, Rules, Share};
use crate::evidence::{Assessment, standards};
use crate::night::{Recalled, Repeated, flips_of};

/// The arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper explain leftovers_exp/leftovers_v2 --flip

What is told was stored with the decision. The decision is made again from it on the way, and whether that gives the same \
stands at the end.")]
pub(super) struct ExplainArguments {
    /// The decision: its id, a unique beginning of it, or EXPERIMENT/CANDIDATE for its last one.
    decision: String,
    /// Also tell the smallest changes that would have given another outcome.
    #[arg(long)]
    flip: bool,
}

#[derive(Debug, Serialize)]
struct Explanation {
    schema_version: u32,
    id: Uuid,
    position: i64,
    run: Uuid,
    experiment: String,
    candidate: String,
    as_of: Date,
    revision: i64,
    decided_at: Timestamp,
    #[serde(flatten)]
    decision: Decision,
    explained: Vec<Explained>,
    gates: Vec<Walked>,
    forecast: Option<Forecast>,
    needed: Option<Needed>,
    assessment: Assessment,
    basis: Option<Basis>,
    cohorts: Vec<EpochUnits>,
    rules: Option<Rules>,
    acts: Vec<Act>,
    amendments: Vec<Amended>,
    record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    flip: Option<Flipped>,
}

/// A reason in its sentence, and in words for somebody who does not know the gates.
#[derive(Debug, Serialize)]
struct Explained {
    sentence: String,
    meaning: String,
    gate: Option<Gate>,
}

#[derive(Debug, Serialize)]
struct Walked {
    gate: Gate,
    passage: Passage,
}

/// What it takes.
#[derive(Debug, Serialize)]
struct Needed {
    /// Candidates that share the error rates.
    candidates: usize,
    /// The error rate of a rollback.
    alpha: f64,
    /// The average e-value of a rollback: candidates / alpha.
    rollback_e: f64,
    /// The average e-value that stops the way up.
    warn_e: f64,
    /// The e-value of a mismatched split.
    mismatch_e: f64,
    /// The bound of tonight's planned look at promotion in standard errors, where tonight is one.
    promotion_bound: Option<f64>,
}

/// What one allocation epoch brought.
#[derive(Debug, Serialize)]
struct EpochUnits {
    number: i64,
    started_at: Timestamp,
    outside: bool,
    moved_units: bool,
    control_share: Share,
    candidate_share: Share,
    /// Closed days.
    days: usize,
    from: Option<Date>,
    to: Option<Date>,
    control_units: u64,
    candidate_units: u64,
    /// Days that do not count, because the rules were changed after them.
    not_counting: usize,
}

#[derive(Debug, Serialize)]
struct Amended {
    as_of: Date,
    changes: Vec<String>,
    restarts: bool,
}

#[derive(Debug, Serialize)]
struct Record {
    inputs_digest: String,
    previous_hash: String,
    hash: String,
    hash_is_right: bool,
    #[serde(flatten)]
    again: Again,
}

#[derive(Debug, Serialize)]
struct Flipped {
    #[serde(flatten)]
    flips: Flips,
    sentences: Vec<String>,
}

/// Shows a decision.
pub(super) async fn explain(arguments: &ExplainArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let stored = named::decision(&control, &arguments.decision).await?;
    let explanation = gather(&control, stored, arguments.flip).await?;
    match global.output {
        OutputFormat::Json => shown::json(&explanation)?,
        OutputFormat::Text => print!("{}", text::text(&explanation, arguments.flip)),
    }
    Ok(Exit::Done)
}

async fn gather(control: &ControlStore, stored: StoredDecision, flip: bool) -> anyhow::Result<Explanation> {
    // Siblings depend on each other, so all that the run decided of the experiment is made again.
    let night = Wanted { experiment: Some(stored.experiment), as_of: Some(stored.as_of), ..Wanted::default() };
    let mut together = all(control, night).await?;
    together.retain(|decision| is_with(decision, &stored));
    let (answers, repeated) = remake(control, together).await?;
    let again = answers.into_iter().find(|(stub, _)| stub.id == stored.id).map_or(Again::NotKept, |(_, again)| again);
    let place = repeated.iter().position(|one| one.recalled.stored.id == stored.id);
    let one = place.and_then(|place| repeated.get(place));
    let flips = match (flip, place) {
        (true, Some(place)) => flips_of(&repeated, place),
        _ => None,
    };
    let acts = control.acts_of(stored.experiment).await?.into_iter().filter(|act| {
        act.at <= stored.decided_at && act.candidate.is_none_or(|candidate| candidate == stored.candidate)
    });
    let amendments = control
        .amendments_of(stored.experiment)
        .await?
        .into_iter()
        .filter(|amendment| amendment.noted_at <= stored.decided_at && !amendment.changes.is_empty());
    let explained = stored.decision.reasons.iter().map(|reason| Explained {
        sentence: reason.to_string(),
        meaning: words::meaning(reason),
        gate: reason.gate(),
    });
    let gates = stored.decision.passages().into_iter().map(|(gate, passage)| Walked { gate, passage });
    Ok(Explanation {
        schema_version: 1,
        id: stored.id,
        position: stored.position,
        run: stored.run,
        experiment: stored.experiment_name.clone(),
        candidate: stored.name().to_owned(),
        as_of: stored.as_of,
        revision: stored.revision,
        decided_at: stored.decided_at,
        explained: explained.collect(),
        gates: gates.collect(),
        forecast: one.and_then(forecast_of),
        needed: one.map(|one| needed(&one.recalled)),
        cohorts: one.map(|one| epochs(&one.recalled)).unwrap_or_default(),
        rules: one.map(|one| one.recalled.rules.clone()),
        acts: acts.collect(),
        amendments: amendments
            .map(|amendment| Amended {
                as_of: amendment.as_of,
                changes: amendment.changes,
                restarts: amendment.restarts,
            })
            .collect(),
        record: Record {
            hash_is_right: stored.link().hash() == stored.hash,
            inputs_digest: stored.inputs_digest,
            previous_hash: stored.previous_hash,
            hash: stored.hash,
            again,
        },
        flip: flips.map(|flips| Flipped { sentences: flips.flips.iter().map(ToString::to_string).collect(), flips }),
        decision: stored.decision,
        assessment: stored.assessment,
        basis: stored.basis,
    })
}

fn forecast_of(one: &Repeated) -> Option<Forecast> {
    let facts = &one.recalled.basis.facts;
    forecast(&one.recalled.comparison(), &one.assessment, facts, &one.recalled.stored.decision)
}

fn needed(recalled: &Recalled) -> Needed {
    let alphas = recalled.rules.policy.alphas;
    let candidates = recalled.basis.facts.candidates.max(1);
    let share = candidates as f64;
    Needed {
        candidates,
        alpha: alphas.rollback.get(),
        rollback_e: share / alphas.rollback.get(),
        warn_e: share / alphas.warn.get(),
        mismatch_e: share / alphas.srm.get(),
        promotion_bound: standards(&recalled.comparison()).promotion_bound(),
    }
}

/// What each epoch brought to the two arms.
fn epochs(recalled: &Recalled) -> Vec<EpochUnits> {
    let (control, candidate) = (recalled.basis.control, recalled.stored.candidate);
    // Metrics with different windows bring a cohort each of the same units.
    let mut units = BTreeMap::new();
    for cohort in &recalled.cohorts {
        units.insert((cohort.epoch, cohort.date, cohort.variant), cohort.health.units);
    }
    // The epoch that the decision itself opened is none of its data.
    let opened = |epoch: &&Epoch| epoch.number > 0 && !epoch.outside && epoch.started_at == recalled.stored.decided_at;
    let of_epoch = recalled.epochs.iter().filter(|epoch| !opened(epoch)).map(|epoch| {
        let share = |id| epoch.allocations.iter().find(|(v, _)| *v == id).map_or(Share::NONE, |(_, share)| *share);
        let ours = || units.iter().filter(|((number, ..), _)| *number == epoch.number);
        let sum = |arm| ours().filter(|((.., variant), _)| *variant == arm).map(|(_, units)| units).sum();
        let dates: BTreeSet<Date> = ours().map(|((_, date, _), _)| *date).collect();
        EpochUnits {
            number: epoch.number,
            started_at: epoch.started_at,
            outside: epoch.outside,
            moved_units: epoch.moved_units,
            control_share: share(control),
            candidate_share: share(candidate),
            days: dates.len(),
            from: dates.first().copied(),
            to: dates.last().copied(),
            control_units: sum(control),
            candidate_units: sum(candidate),
            not_counting: dates.iter().filter(|date| recalled.basis.since.is_some_and(|since| **date < since)).count(),
        }
    });
    of_epoch.collect()
}

/// The reasons that are asked for by name in the other files.
fn is_advice(reason: &Reason) -> bool {
    matches!(reason, Reason::AdviceOnly { .. })
}
