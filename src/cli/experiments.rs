//! `experiments sync`: experiments and the variants that they begin with.

use clap::Subcommand;

use super::sync::{SyncArguments, carry_out};
use super::{Exit, Global, connect, now};
use crate::config::{self, ExperimentsFile, Filed};
use crate::route::{Around, compare_experiments};

/// What is done with experiments.
#[derive(Debug, Subcommand)]
pub(super) enum ExperimentsCommand {
    /// Write experiments.yml into exp.experiments and exp.variants: shows a plan, and carries it out in one transaction.
    ///
    /// Allocations of an experiment that a night has a candidate of are the ramp's, and are left alone. Example: rampkeeper
    /// experiments sync --dry-run
    Sync(SyncArguments),
}

/// Carries out `experiments …`.
pub(super) async fn experiments(global: &Global, command: &ExperimentsCommand) -> anyhow::Result<Exit> {
    let ExperimentsCommand::Sync(arguments) = command;
    let config = config::load(&global.config)?;
    let given = arguments.file.clone();
    let path = given.unwrap_or_else(|| config.path_of(config.settings.experiments.as_ref(), "experiments.yml"));
    let filed = Filed::<ExperimentsFile>::load(&path)?;
    let control = connect::control(&config).await?;
    let (catalogue, records) = (control.load_catalogue().await?, control.load_experiments().await?);
    let around = Around { catalogue: &catalogue, records: &records, policies: &config.policies, now: now(global) };
    let fault = |at: &str, message: String| filed.fault(at, message);
    let comparison = compare_experiments(&filed.file.experiments, around, &fault);
    carry_out(global, arguments, &control, comparison).await
}
