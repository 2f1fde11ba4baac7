//! `qualify`: the offline gate.

use anyhow::Context;

use super::connect::Connections;
use super::output::table;
use super::shown::{self, plain};
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, night, now};
use crate::config;
use crate::night::QualifyReport;

/// Which versions are judged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper qualify planner_policy/3

Ends with 1 if a version that is named as POLICY/VERSION has not passed.")]
pub(super) struct QualifyArguments {
    /// POLICY or POLICY/VERSION; every version that was evaluated against a baseline unless told.
    #[arg(value_name = "POLICY[/VERSION]")]
    version: Option<String>,
    /// Show the verdicts, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Judges them.
pub(super) async fn qualify(global: &Global, arguments: &QualifyArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let connections = Connections::without_warehouse(&config).await?;
    let asked = arguments.version.as_deref();
    let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
    let night = night::night(&config, &connections, global, now(global));
    let report = night.qualify(asked, arguments.dry_run, stop.wait()).await?;
    match global.output {
        OutputFormat::Json => shown::json(&report)?,
        OutputFormat::Text => print!("{}", told(&report)),
    }
    let named = asked.is_some_and(|asked| report.versions.len() == 1 && report.versions[0].version == asked);
    let passed = report.versions.iter().all(|version| version.verdict == "passed");
    Ok(match (named && !passed, report.unfinished.is_empty()) {
        (true, _) => Exit::Failed,
        (false, false) => Exit::FollowUpPending,
        (false, true) => Exit::Done,
    })
}

fn told(report: &QualifyReport) -> String {
    if report.versions.is_empty() {
        return "No version was evaluated against a baseline; offline results are rows of exp.offline_replay_results.\n"
            .to_owned();
    }
    let mut rows = table(&["version", "model", "verdict", "why"]);
    for version in &report.versions {
        let model = version.model.as_ref().map_or("–".to_owned(), ToString::to_string);
        let verdict = if version.verdict == "unjudged" { "no pass" } else { version.verdict };
        let why = version.told.split_once(": ").map_or(version.told.as_str(), |(_, why)| why).replace("; ", "\n");
        let why: Vec<String> = why.lines().map(plain).collect();
        rows.add_row([plain(&version.version), plain(&model), verdict.to_owned(), why.join("\n")]);
    }
    let mut told = format!("{rows}\n");
    if report.dry_run {
        told.push_str("Nothing was changed.\n");
    }
    for line in &report.unfinished {
        told.push_str(&format!("still to be done: {}\n", plain(line)));
    }
    told
}
