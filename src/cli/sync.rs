//! What a file says there should be, shown as a plan and carried out: the part that `policy sync`, `experiments sync` and
//! `prompts sync` share.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::night::holder;
use super::output::table;
use super::shown::{self, plain};
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, now};
use crate::config::ConfigError;
use crate::control::ControlStore;
use crate::night::alone;
use crate::route::Comparison;

/// How a file is carried out.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SyncArguments {
    /// The file; the one that the configuration names unless told.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Show the plan, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// End with 2 if something would change (with --dry-run).
    #[arg(long, requires = "dry_run")]
    pub(super) detailed_exitcode: bool,
}

/// Tells every fault at once, or shows the plan and carries it out in one transaction.
pub(super) async fn carry_out(
    global: &Global,
    arguments: &SyncArguments,
    control: &ControlStore,
    mut comparison: Comparison,
) -> anyhow::Result<Exit> {
    if !comparison.faults.is_empty() {
        // What else differs helps to mend them.
        for drift in &comparison.drift {
            tracing::warn!("{}: {}", plain(&drift.what), plain(&drift.detail));
        }
        comparison.faults.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
        return Err(ConfigError(comparison.faults).into());
    }
    let changes = comparison.table_changes();
    let (dry_run, now) = (arguments.dry_run, now(global));
    if !dry_run && !changes.is_empty() {
        let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
        let work = async { control.sync(&changes, now).await.map_err(Into::into) };
        alone(control, &holder(), now, stop.wait(), work).await?;
    }
    match global.output {
        OutputFormat::Json => shown::json(&json!({
            "schema_version": 1,
            "dry_run": dry_run,
            "changes": comparison.changes,
            "warnings": comparison.warnings,
            "drift": comparison.drift,
        }))?,
        OutputFormat::Text => print!("{}", told(&comparison, dry_run)),
    }
    let pending = arguments.detailed_exitcode && !changes.is_empty();
    Ok(if pending { Exit::ChangesPending } else { Exit::Done })
}

fn told(comparison: &Comparison, dry_run: bool) -> String {
    let mut told = String::new();
    if comparison.changes.is_empty() {
        told.push_str("Nothing to do: the tables are as the file says.\n");
    } else {
        let mut rows = table(&["", "what", "detail"]);
        for change in &comparison.changes {
            rows.add_row([change.action.to_owned(), plain(&change.what), plain(&change.detail)]);
        }
        let count = comparison.changes.len();
        let done = if dry_run { "would be made; nothing was changed" } else { "made, in one transaction" };
        let word = if count == 1 { "change" } else { "changes" };
        told.push_str(&format!("{rows}\n{count} {word} {done}.\n"));
    }
    for warning in &comparison.warnings {
        told.push_str(&format!("warning: {}\n", plain(warning)));
    }
    for drift in &comparison.drift {
        told.push_str(&format!("drift: {}: {}\n", plain(&drift.what), plain(&drift.detail)));
    }
    told
}
