//! `enroll`: a version becomes a variant.

use anyhow::{Context, anyhow, bail};

use super::connect::Connections;
use super::output::table;
use super::shown::{self, plain};
use super::stop::StopSignal;
use super::{Exit, Global, OutputFormat, night, now};
use crate::config;
use crate::control::Kind;
use crate::domain::{Share, VersionName};
use crate::night::{ByHandOf, EnrolReport};
use crate::route::Asked;

/// Which version, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rampkeeper enroll planner_policy_exp planner_policy/3 --dry-run
  rampkeeper enroll planner_chat_exp planner_chat/2 --prompt --by ana --reason \"read 50 conversations\"

--force sets aside that a version has not passed offline evaluation, was held against another baseline, is deprecated, has
a stage in the registry that contradicts, or would begin with more than 10 %. All else stays a refusal. Forced or not, who
and why are kept for ever.")]
pub(super) struct EnrollArguments {
    /// The experiment.
    experiment: String,
    /// POLICY/VERSION, or PROMPT/VERSION with --prompt.
    #[arg(value_name = "VERSION")]
    version: String,
    /// It is a prompt's version.
    #[arg(long)]
    prompt: bool,
    /// The share that it begins with, such as 0.05; the configured one, at most 0.10, unless told.
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
    /// The new variant's name; NAME_vVERSION unless told.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Set aside what may be set aside.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Who says so, as it is to stand in the record.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "somebody")]
    by: String,
    /// Why; needed with --force and with --prompt.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Show the plan, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Lets it in.
pub(super) async fn enroll(global: &Global, arguments: &EnrollArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let version: VersionName = arguments.version.parse().map_err(|why: String| anyhow!(why))?;
    let share = arguments.share.map(Share::try_from).transpose().context("--share is none")?;
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let reason = arguments.reason.as_deref().map(|reason| clean(reason).trim().to_owned());
    if arguments.force && reason.as_deref().is_none_or(str::is_empty) {
        bail!("--force wants a --reason that says why the rule is set aside");
    }
    let asked = Asked {
        experiment: arguments.experiment.clone(),
        kind: if arguments.prompt { Kind::Prompt } else { Kind::Policy },
        version,
        share,
        name: arguments.name.clone(),
        force: arguments.force,
        reason: reason.clone(),
    };
    let hand = ByHandOf { by: clean(&arguments.by).trim().to_owned(), reason: reason.unwrap_or_default() };
    // A threshold that is to be frozen is taken from the warehouse; without one, none is needed.
    let connections = match config.unfrozen(&asked.experiment, &[]).is_empty() {
        true => Connections::without_warehouse(&config).await?,
        false => Connections::open(&config).await?,
    };
    let stop = StopSignal::listen().context("could not listen for SIGTERM")?;
    let night = night::night(&config, &connections, global, now(global));
    let report = night.enroll(&asked, &hand, arguments.dry_run, stop.wait()).await?;
    match global.output {
        OutputFormat::Json => shown::json(&report)?,
        OutputFormat::Text => print!("{}", told(&report)),
    }
    Ok(if report.unfinished.is_empty() { Exit::Done } else { Exit::FollowUpPending })
}

fn told(report: &EnrolReport) -> String {
    let begins = if report.dry_run { "would begin" } else { "begins" };
    let mut told = format!(
        "{} {begins} as {} in {} with {}\n",
        plain(&report.version),
        plain(&report.variant),
        plain(&report.experiment),
        report.share
    );
    let mut rows = table(&["variant", "before", "after"]);
    for (name, from, to) in &report.shares {
        rows.add_row([plain(name), from.to_string(), to.to_string()]);
    }
    rows.add_row([plain(&report.variant), "–".to_owned(), report.share.to_string()]);
    told.push_str(&format!("{rows}\n"));
    if let Some(gate) = &report.gate {
        told.push_str(&format!("offline evaluation {}\n", plain(gate)));
    }
    for frozen in &report.thresholds {
        told.push_str(&format!("frozen: {}\n", plain(&frozen.to_string())));
    }
    for rule in &report.set_aside {
        told.push_str(&format!("set aside: {}\n", plain(rule)));
    }
    for step in &report.steps {
        told.push_str(&format!("registry: {}\n", plain(step)));
    }
    for line in &report.unfinished {
        told.push_str(&format!("still to be done: {}\n", plain(line)));
    }
    told.push_str(match report.dry_run {
        true => "Nothing was changed.\n",
        false => "The next night judges it, and its mail tells this.\n",
    });
    told
}
