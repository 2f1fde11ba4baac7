//! `demo`: the world, its nights, and the table of truth against outcome.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use comfy_table::{Cell, Color};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::output::{table, word};
use super::{Exit, OutputFormat};
use crate::decide::{Outcome, Percent};
use crate::demo::{Demo, Fate};
use crate::report::NightReport;

/// The demo's own arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: rampkeeper demo --seed 2 --dir /tmp/world")]
pub(super) struct DemoArguments {
    /// How many nights to live through.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=365))]
    nights: u32,
    /// The seed of the world's chances.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for everything that is made; it must not hold a world yet.
    #[arg(long, default_value = "demo")]
    dir: PathBuf,
}

/// Lives through the nights and compares the outcomes with the truth.
pub(super) async fn demo(arguments: &DemoArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    let mut demo = Demo::begin(&arguments.dir, arguments.seed).await?;
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new(u64::from(arguments.nights)) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} night {pos}/{len}  {elapsed}  {msg}")?);
    for night in 1..=arguments.nights {
        let report = demo.next_night(&arguments.dir).await?;
        for line in changes(night, &report) {
            if terminal { bar.println(line) } else { eprintln!("{line}") }
        }
        bar.set_message(report.summary());
        bar.inc(1);
    }
    bar.set_message("drawing the pages");
    let pages = demo.write_pages(&arguments.dir).await?;
    bar.finish_and_clear();
    let fates = demo.fates().await?;
    show(&fates, arguments, &pages.index, output)?;
    Ok(if fates.iter().all(Fate::is_right) { Exit::Done } else { Exit::Failed })
}

/// What changed in a night, a line each.
fn changes(night: u32, report: &NightReport) -> Vec<String> {
    let mut lines = Vec::new();
    for experiment in &report.experiments {
        for candidate in &experiment.candidates {
            let told = match &candidate.decision.outcome {
                Outcome::Hold => continue,
                Outcome::Ramp { to, .. } => format!("ramped to {to}"),
                Outcome::Promote => "promoted".to_owned(),
                Outcome::Rollback => "rolled back".to_owned(),
            };
            lines.push(format!("night {night:>2}  {}/{} {told}", experiment.name, candidate.name));
        }
    }
    lines
}

fn show(fates: &[Fate], arguments: &DemoArguments, page: &Path, output: OutputFormat) -> anyhow::Result<()> {
    let dir = &arguments.dir;
    let last = crate::demo::FIRST_DAY.checked_add(jiff::Span::new().days(i64::from(arguments.nights) - 1))?;
    if output == OutputFormat::Json {
        let fates: Vec<_> = fates
            .iter()
            .map(|fate| {
                json!({
                    "experiment": fate.scenario.experiment,
                    "candidate": fate.scenario.candidate,
                    "truth": fate.scenario.truth.told(),
                    "wanted": fate.scenario.truth.wanted(),
                    "outcome": fate.ending.told(),
                    "night": fate.night,
                    "share": fate.share,
                    "right": fate.is_right(),
                    "why": fate.why,
                })
            })
            .collect();
        let document =
            json!({ "schema_version": 1, "seed": arguments.seed, "nights": arguments.nights, "fates": fates });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    let mut rows = table(&["experiment", "truth", "wanted", "outcome", "night", "share", ""]);
    for fate in fates {
        let (mark, colour) = if fate.is_right() { ("right", Color::Green) } else { ("WRONG", Color::Red) };
        rows.add_row(vec![
            Cell::new(fate.scenario.experiment),
            Cell::new(fate.scenario.truth.told()),
            Cell::new(fate.scenario.truth.wanted()),
            Cell::new(fate.ending.told()),
            Cell::new(fate.night.map_or("–".into(), |night| night.to_string())),
            Cell::new(&fate.share),
            word(mark, Some(colour)),
        ]);
    }
    println!("{rows}");
    for fate in fates {
        println!("{}: {}", fate.scenario.experiment, fate.why);
        if let Some((pooled, stratified)) = fate.pooled_and_stratified {
            println!(
                "  pooled over the ramp its lift would read {}; day by day and epoch by epoch it reads {}",
                Percent(pooled),
                Percent(stratified)
            );
        }
    }
    println!("\nmails:  {}", dir.join("mails").display());
    println!("pages:  {}", page.display());
    println!("config: {}  (try: rampkeeper plan --config {0} --as-of {last})", dir.join("rampkeeper.yml").display());
    Ok(())
}
