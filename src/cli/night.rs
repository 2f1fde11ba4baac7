//! `plan` and `run`.

use anyhow::Context;
use jiff::Timestamp;

use super::connect::Connections;
use super::pulse::Pulse;
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, as_of, now, output, shown};
use crate::config::{self, Config};
use crate::night::Night;
use crate::report::NightReport;

/// Shows what `run` would do.
pub(super) async fn plan(global: &Global, detailed_exitcode: bool) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let connections = Connections::open(&config).await?;
    let now = now(global);
    let report = night(&config, &connections, global, now).plan().await?;
    show(&report, global.output)?;
    let changes = report.experiments.iter().any(|e| !e.allocations.is_empty() || !e.steps.is_empty());
    Ok(match exit_of(&report) {
        Exit::Done if detailed_exitcode && changes => Exit::ChangesPending,
        exit => exit,
    })
}

/// Decides, acts and reports.
pub(super) async fn run(global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let pulse = Pulse::begin(&config);
    let ended = run_once(&config, global).await;
    pulse.end(&ended).await;
    let report = ended?;
    show(&report, global.output)?;
    Ok(exit_of(&report))
}

async fn run_once(config: &Config, global: &Global) -> anyhow::Result<NightReport> {
    let connections = Connections::open(config).await?;
    let now = now(global);
    let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
    Ok(night(config, &connections, global, now).run_until(stop.wait()).await?)
}

/// One night as the arguments want it.
pub(super) fn night<'a>(
    config: &'a Config,
    connections: &'a Connections,
    global: &Global,
    now: Timestamp,
) -> Night<'a> {
    Night {
        config,
        control: &connections.control,
        warehouse: connections.warehouse.as_ref(),
        registry: connections.registry.as_ref(),
        mailer: connections.mailer.as_deref(),
        chat: Some(&connections.chat),
        as_of: as_of(global, now),
        now,
        holder: holder(),
    }
}

/// Names this process for the lease: host and process, as far as they are known.
pub(super) fn holder() -> String {
    let host = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.map_or_else(|| "unknown".to_owned(), |host| host.trim().to_owned());
    format!("{host}/{}/{}", std::process::id(), uuid::Uuid::new_v4())
}

pub(super) fn show(report: &NightReport, format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Json => shown::json(report)?,
        OutputFormat::Text => print!("{}", output::night(report)),
    }
    Ok(())
}

pub(super) fn exit_of(report: &NightReport) -> Exit {
    if report.has_failures() {
        Exit::Partial
    } else if !report.unfinished.is_empty() {
        Exit::FollowUpPending
    } else {
        Exit::Done
    }
}
