//! `undo-moves`: the units that a decision moved go back to where they came from.

use anyhow::Context;

use super::night::holder;
use super::output::table;
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, as_of, connect, now};
use crate::config;
use crate::night::{Undo, UndoReport};

/// Which decision's moves are undone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: rampkeeper undo-moves 3f9a2c71 --dry-run")]
pub(super) struct UndoArguments {
    /// The decision's key as mails and reports show it, or as much of its beginning as no other has.
    #[arg(value_name = "DECISION")]
    decision: String,
    /// Count what would go back, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Takes units back.
pub(super) async fn undo_moves(arguments: &UndoArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let now = now(global);
    let undo = Undo {
        control: &control,
        decision: &arguments.decision,
        as_of: as_of(global, now),
        now,
        holder: holder(),
        config_digest: &config.digest,
    };
    let report = if arguments.dry_run {
        undo.dry_run().await?
    } else {
        let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
        undo.run_until(stop.wait()).await?
    };
    match global.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        OutputFormat::Text => print!("{}", told(&report)),
    }
    Ok(if report.stuck > 0 { Exit::Partial } else { Exit::Done })
}

fn told(report: &UndoReport) -> String {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "(deleted)".to_owned());
    let mut told = format!(
        "Decision {}: {} of {}/{}, as of {}\n",
        report.decision,
        report.outcome,
        name(&report.experiment),
        name(&report.candidate),
        report.as_of
    );
    if report.sweeps.is_empty() {
        told.push_str("It moved no units, so nothing is to be undone.\n");
        return told;
    }
    let mut rows = table(&[
        "from",
        "back to",
        "go back",
        "went before",
        "on another arm",
        "assigned anew",
        "removed",
        "arm deleted",
    ]);
    for sweep in &report.sweeps {
        let counts = [sweep.there, sweep.undone, sweep.elsewhere, sweep.reassigned, sweep.gone, sweep.arm_gone]
            .map(|n| n.to_string());
        rows.add_row([sweep.to_name.clone(), sweep.from_name.clone()].into_iter().chain(counts));
    }
    told.push_str(&format!("{rows}\n"));
    let (moved, left) = (report.moved_back, report.left_alone);
    told.push_str(&match report.dry_run {
        true => format!("{moved} units would go back, {left} would stay where they are. Nothing was changed.\n"),
        false => format!("{moved} units went back, {left} stay where they are.\n"),
    });
    if !report.left_alone_units.is_empty() {
        let more = if left > report.left_alone_units.len() as u64 { ", …" } else { "" };
        told.push_str(&format!("left alone: {}{more}\n", report.left_alone_units.join(", ")));
    }
    if report.stuck > 0 {
        told.push_str(&format!(
            "{} units did not go back: look for a trigger or a program that writes exp.assignments, and try again\n",
            report.stuck
        ));
    }
    told
}
