//! `verify`: whether the ledger is whole, link by link, and whether every decision in it follows from what is stored.

mod chain;

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::named::{BATCH, short};
use super::remake::{Again, Stub, is_with, remake};
use super::replay::told;
use super::shown::{Tone, listed, painted, plain};
use super::{Exit, Global, OutputFormat, connect, shown};
use crate::config;
use crate::control::{ControlStore, StoredDecision, Wanted};
use chain::{Chain, Fault};

/// How many faults are told one by one.
const TOLD: usize = 10;

/// The arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper verify --quick

Each decision holds the hash of the one before, so a row that was altered, taken out or put in is found. Then each \
decision is made again from the stored moments, rules and facts. Nothing is changed. Ends with 3 if something is wrong. \
Keep the last hash somewhere else: with it, a ledger that was cut at its end or written anew is found, too.")]
pub(super) struct VerifyArguments {
    /// The chain alone; decisions are not made again.
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Serialize)]
struct Verified {
    schema_version: u32,
    decisions: i64,
    last_hash: Option<String>,
    /// In the order of the chain.
    faults: Vec<Fault>,
    /// None with `--quick`.
    made_again: Option<MadeAgain>,
}

#[derive(Debug, Default, Serialize)]
struct MadeAgain {
    same: usize,
    not_kept: usize,
    wrong: Vec<Wrong>,
}

#[derive(Debug, Serialize)]
struct Wrong {
    #[serde(flatten)]
    decision: Stub,
    #[serde(flatten)]
    again: Again,
}

/// Walks the ledger.
pub(super) async fn verify(arguments: &VerifyArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let verified = walk(&control, arguments.quick).await?;
    match global.output {
        OutputFormat::Json => shown::json(&verified)?,
        OutputFormat::Text => print!("{}", text(&verified)),
    }
    let wrong = verified.made_again.as_ref().is_some_and(|made| !made.wrong.is_empty());
    Ok(if wrong || !verified.faults.is_empty() { Exit::Partial } else { Exit::Done })
}

async fn walk(control: &ControlStore, quick: bool) -> anyhow::Result<Verified> {
    let head = control.chain_head().await?;
    let last = head.as_ref().map_or(0, |(position, _)| *position);
    let bar = bar(last)?;
    let mut chain = Chain::default();
    let mut made = MadeAgain::default();
    let mut waiting: Vec<StoredDecision> = Vec::new();
    let mut after = 0;
    loop {
        let (batch, unreadable) = chain::read(control, Wanted { after, ..Wanted::default() }, BATCH).await?;
        let read = batch.len() as i64;
        after = batch.last().map_or(after, |last| last.position);
        for decision in batch {
            chain.add(&decision);
            bar.set_position(u64::try_from(decision.position).unwrap_or(0));
            if quick {
                continue;
            }
            if waiting.last().is_some_and(|last| !is_with(last, &decision)) {
                make_again(control, std::mem::take(&mut waiting), &mut made).await?;
            }
            waiting.push(decision);
        }
        match unreadable {
            Some(fault) => {
                after = fault.position;
                chain.skip(fault);
            }
            None if read < BATCH => break,
            None => {}
        }
    }
    make_again(control, waiting, &mut made).await?;
    bar.finish_and_clear();
    chain.end(last, &control.reports_to_check().await?);
    Ok(Verified {
        schema_version: 1,
        decisions: chain.decisions,
        last_hash: head.map(|(_, hash)| hash),
        faults: chain.faults,
        made_again: (!quick).then_some(made),
    })
}

async fn make_again(control: &ControlStore, together: Vec<StoredDecision>, made: &mut MadeAgain) -> anyhow::Result<()> {
    for (decision, again) in remake(control, together).await?.0 {
        match again {
            Again::Same => made.same += 1,
            Again::NotKept => made.not_kept += 1,
            again => made.wrong.push(Wrong { decision, again }),
        }
    }
    Ok(())
}

fn bar(decisions: i64) -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::new(u64::try_from(decisions).unwrap_or(0));
    bar.set_style(ProgressStyle::with_template("{bar:30} decision {pos} of {len}  {eta}")?);
    Ok(bar)
}

fn text(verified: &Verified) -> String {
    let count = verified.decisions;
    let Some(hash) = &verified.last_hash else {
        let whole = "The ledger is empty: no night has decided anything yet.\n".to_owned();
        return format!("{whole}{}", faults(&verified.faults));
    };
    let mut told = match verified.faults.as_slice() {
        [] => {
            painted(&format!("✓ the chain is whole: {count} decisions, none altered, taken out or put in"), Tone::Good)
        }
        [_] => painted(&format!("✗ the chain is broken, among {count} decisions"), Tone::Bad),
        several => {
            painted(&format!("✗ the chain is broken at {} places, among {count} decisions", several.len()), Tone::Bad)
        }
    };
    told.push('\n');
    told.push_str(&faults(&verified.faults));
    if let Some(made) = &verified.made_again {
        let of = made.same + made.wrong.len();
        told.push_str(&match made.wrong.len() {
            0 => painted(&format!("✓ made again from the stored moments: {of} of {of} come out the same"), Tone::Good),
            wrong => {
                painted(&format!("✗ made again from the stored moments: {wrong} of {of} come out otherwise"), Tone::Bad)
            }
        });
        told.push('\n');
        if made.not_kept > 0 {
            told.push_str(&format!("– {} were made by an older version, which kept no facts\n", made.not_kept));
        }
        made.wrong.iter().take(TOLD).for_each(|wrong| told.push_str(&self::told(&wrong.decision, &wrong.again)));
        if made.wrong.len() > TOLD {
            told.push_str(&format!("\nand {} more\n", made.wrong.len() - TOLD));
        }
    }
    format!("{told}  last hash: {}\n", plain(hash))
}

fn faults(faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        let id = fault.id.map_or(String::new(), |id| format!(" ({})", short(id)));
        format!("position {}{id}: {}", fault.position, plain(&fault.what))
    };
    let more = faults.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    listed("·", faults.iter().take(TOLD).map(line).chain(more))
}
