//! `simulate`: which error rates a policy really has, in a world whose truth is known.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use comfy_table::{Cell, Color};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::output::{table, word};
use super::{Exit, Global, OutputFormat};
use crate::config;
use crate::simulate::{
    Counts, Expected, Figure, Measure, Measured, Rate, Scenario, Section, Tally, Trial, World,
    operating_characteristics, simulate,
};

/// The simulation's own arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: rampkeeper simulate --config config/rampkeeper.yml --world config/simulation.yml --fail-above 0.05"
)]
pub(super) struct SimulateArguments {
    /// What is true: a file with traffic, metrics and scenarios.
    #[arg(long, value_name = "FILE", required_unless_present = "study")]
    world: Option<PathBuf>,
    /// The experiment whose policy is taken; the policy for all others unless told.
    #[arg(long, value_name = "NAME", conflicts_with = "study")]
    experiment: Option<String>,
    /// A built-in study instead. It needs no configuration.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "world")]
    study: Option<Study>,
    /// Only this section of the study.
    #[arg(long, value_name = "NUMBER", requires = "study")]
    section: Option<u32>,
    /// How many experiments per scenario.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    runs: u64,
    /// The seed of all chances: the same seed gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw units one by one instead of the moments of a day: slow, and true to skewed metrics.
    #[arg(long, conflicts_with = "study")]
    raw: bool,
    /// End with 1 if a rate of false rollbacks or false promotions exceeds this by more than two standard errors; for a
    /// study, if a figure disagrees.
    #[arg(long, value_name = "FRACTION")]
    fail_above: Option<f64>,
}

/// The studies that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Study {
    /// Error rates and power of the recommended policy, beside those of an independent simulation.
    OperatingCharacteristics,
}

/// Standard errors by which a rate must exceed its bound.
const SIGMAS: f64 = 2.0;

/// Simulates and shows.
pub(super) fn simulate_cli(arguments: &SimulateArguments, global: &Global) -> anyhow::Result<Exit> {
    match (arguments.study, &arguments.world) {
        (Some(Study::OperatingCharacteristics), _) => study(arguments, global.output),
        (None, Some(world)) => scenarios(arguments, global, world),
        (None, None) => anyhow::bail!("neither --world nor --study was given"),
    }
}

/// One scenario at one traffic, and what became of it.
struct Row<'a> {
    units_per_day: u64,
    scenario: &'a Scenario,
    trial: Trial,
    tally: Tally,
}

fn scenarios(arguments: &SimulateArguments, global: &Global, world: &Path) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    // A name without overrides has the defaults; so has no name.
    let policy = config.policies.of(arguments.experiment.as_deref().unwrap_or_default());
    let mut names: Vec<&str> = policy.judged_by().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let world = World::load(world, &names)?;
    let trials = world.units_per_day.iter().flat_map(|&units_per_day| {
        let config = &config;
        let world = &world;
        world.scenarios.iter().map(move |scenario| {
            let trial = Trial::new(policy, &config.metrics, world, scenario, units_per_day).raw(arguments.raw);
            (units_per_day, scenario, trial)
        })
    });
    let trials: Vec<_> = trials.collect();
    let bar = bar(trials.len() as u64 * arguments.runs)?;
    let mut rows = Vec::new();
    for (units_per_day, scenario, trial) in trials {
        bar.set_message(scenario.name.clone());
        let tally = run(&trial, arguments, &bar);
        rows.push(Row { units_per_day, scenario, trial, tally });
    }
    bar.finish_and_clear();
    let exceeded: Vec<String> = arguments
        .fail_above
        .into_iter()
        .flat_map(|bound| rows.iter().flat_map(move |row| row.exceeds(bound)))
        .collect();
    match global.output {
        OutputFormat::Json => {
            let document = json!({
                "schema_version": 1,
                "seed": arguments.seed,
                "runs": arguments.runs,
                "raw": arguments.raw,
                "results": rows.iter().map(Row::json).collect::<Vec<_>>(),
                "exceeded": exceeded,
            });
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
        OutputFormat::Text => print!("{}", text(&rows, &world, arguments)),
    }
    for line in &exceeded {
        eprintln!("exceeded: {line}");
    }
    Ok(if exceeded.is_empty() { Exit::Done } else { Exit::Failed })
}

fn run(trial: &Trial, arguments: &SimulateArguments, bar: &ProgressBar) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    simulate(trial, arguments.runs, arguments.seed, threads, &|done| bar.inc(done))
}

fn bar(length: u64) -> anyhow::Result<ProgressBar> {
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new(length) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} experiments  {elapsed}  {msg}")?);
    Ok(bar)
}

impl Row<'_> {
    /// The rates of errors that lie above the bound, beyond chance.
    fn exceeds(&self, bound: f64) -> Vec<String> {
        let rollback = (!self.trial.is_harmful()).then(|| ("false rollback", self.tally.rate(&self.tally.rollbacks)));
        let promotion = self.trial.is_unworthy().then(|| ("false promotion", self.tally.rate(&self.tally.promotions)));
        let named = rollback.into_iter().chain(promotion);
        let exceeding = named.filter(|(_, rate)| rate.share - SIGMAS * rate.error > bound);
        exceeding
            .map(|(what, rate)| {
                let (scenario, n) = (&self.scenario.name, self.units_per_day);
                format!("{what} in {scenario:?} at {n} units a day: {}, more than {}", percent(rate), 100.0 * bound)
            })
            .collect()
    }

    fn json(&self) -> Value {
        let rate = |rate: Rate| json!({ "share": rate.share, "error": rate.error });
        let tally = &self.tally;
        json!({
            "scenario": self.scenario.name,
            "units_per_day": self.units_per_day,
            "harmful": self.trial.is_harmful(),
            "promotion_would_be_false": self.trial.is_unworthy(),
            "rollback": rate(tally.rate(&tally.rollbacks)),
            "promote": rate(tally.rate(&tally.promotions)),
            "hold": rate(tally.held()),
            "mismatch": rate(tally.rate(&tally.mismatches)),
            "median_night_of_rollback": tally.median(&tally.rollbacks),
            "median_night_of_promotion": tally.median(&tally.promotions),
            "units_harmed": self.trial.is_harmful().then(|| tally.exposed_per_run()),
            "rollbacks_by_night": tally.rollbacks.get(1..),
            "promotions_by_night": tally.promotions.get(1..),
        })
    }
}

fn text(rows: &[Row<'_>], world: &World, arguments: &SimulateArguments) -> String {
    let drawn = world.counts == Counts::Drawn;
    let mut head = vec!["units/day", "truth", "rolled back", "promoted", "held"];
    if drawn {
        head.push("mismatch");
    }
    head.extend(["night of rollback", "of promotion", "units harmed"]);
    let mut shown = table(&head);
    for row in rows {
        let tally = &row.tally;
        let (rollback, promotion) = (tally.rate(&tally.rollbacks), tally.rate(&tally.promotions));
        let wrong = |is_wrong: bool| is_wrong.then_some(Color::Red);
        let mut cells = vec![
            Cell::new(row.units_per_day),
            Cell::new(&row.scenario.name),
            word(&percent(rollback), wrong(!row.trial.is_harmful() && rollback.share > 0.05)),
            word(&percent(promotion), wrong(row.trial.is_unworthy() && promotion.share > 0.05)),
            Cell::new(percent(tally.held())),
        ];
        if drawn {
            cells.push(Cell::new(percent(tally.rate(&tally.mismatches))));
        }
        let night = |by_night: &[u64]| tally.median(by_night).map_or("–".into(), |night| night.to_string());
        cells.push(Cell::new(night(&tally.rollbacks)));
        cells.push(Cell::new(night(&tally.promotions)));
        let harmed = row.trial.is_harmful().then(|| format!("{:.0}", tally.exposed_per_run()));
        cells.push(Cell::new(harmed.unwrap_or_else(|| "–".into())));
        shown.add_row(cells);
    }
    let how = if arguments.raw { "unit by unit" } else { "by the moments of their days" };
    format!(
        "{} experiments a row over {} nights, drawn {how}, seed {}\n{shown}\n\n{}",
        arguments.runs,
        world.nights,
        arguments.seed,
        charts(rows)
    )
}

/// When things happened: a line per row and outcome, a bar per night.
fn charts(rows: &[Row<'_>]) -> String {
    let label = |row: &Row<'_>| format!("{}/day, {}", row.units_per_day, row.scenario.name);
    let width = rows.iter().map(|row| label(row).chars().count()).max().unwrap_or(0);
    let mut told = format!("{:width$}  by night, as a share of the fullest\n", "");
    for row in rows {
        for (what, by_night) in [("rolled back", &row.tally.rollbacks), ("promoted", &row.tally.promotions)] {
            if by_night.iter().any(|&count| count > 0) {
                told.push_str(&format!("{:width$}  {what:11}  {}\n", label(row), bars(by_night)));
            }
        }
    }
    told
}

/// A bar a night: `··▁▃█▅▂···`.
fn bars(by_night: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = by_night.iter().copied().max().unwrap_or(0).max(1);
    let bar = |&count: &u64| match count {
        0 => '·',
        count => BARS[((count * 8).div_ceil(highest) as usize).clamp(1, 8) - 1],
    };
    by_night.iter().skip(1).map(bar).collect()
}

/// A share in percent with its error: `1.32 ± 0.08 %`.
fn percent(rate: Rate) -> String {
    format!("{:.2} ± {:.2} %", 100.0 * rate.share, 100.0 * rate.error)
}

fn study(arguments: &SimulateArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    let mut sections = operating_characteristics()?;
    if let Some(number) = arguments.section {
        let known: Vec<String> = sections.iter().map(|section| section.number.to_string()).collect();
        sections.retain(|section| section.number == number);
        anyhow::ensure!(!sections.is_empty(), "the study has no section {number}; there are {}", known.join(", "));
    }
    let cells: usize = sections.iter().map(|section| section.cells.len()).sum();
    let bar = bar(cells as u64 * arguments.runs)?;
    let mut disagreeing = 0;
    let mut documents = Vec::new();
    for section in &sections {
        let tallies: Vec<Tally> = section.cells.iter().map(|cell| run(&cell.trial(), arguments, &bar)).collect();
        let figures =
            section.cells.iter().zip(&tallies).flat_map(|(cell, tally)| cell.figures.iter().map(move |f| (f, tally)));
        disagreeing += figures.filter(|(figure, tally)| !figure.agrees(tally)).count();
        match output {
            OutputFormat::Text => bar.suspend(|| println!("{}", study_text(section, &tallies))),
            OutputFormat::Json => documents.push(study_json(section, &tallies)),
        }
    }
    bar.finish_and_clear();
    if output == OutputFormat::Json {
        let document = json!({
            "schema_version": 1, "seed": arguments.seed, "runs": arguments.runs, "sections": documents,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    }
    Ok(if disagreeing > 0 && arguments.fail_above.is_some() { Exit::Failed } else { Exit::Done })
}

/// A row per trial and a column per measure; what is expected stands in brackets, and `≠` where it is something else.
fn study_text(section: &Section, tallies: &[Tally]) -> String {
    let mut measures: Vec<Measure> = Vec::new();
    for figure in section.cells.iter().flat_map(|cell| &cell.figures) {
        if !measures.contains(&figure.measure) {
            measures.push(figure.measure);
        }
    }
    let head: Vec<&str> = std::iter::once("trial").chain(measures.iter().map(|measure| measure.told())).collect();
    let mut rows: Vec<(&str, Vec<(String, bool)>)> = Vec::new();
    for (cell, tally) in section.cells.iter().zip(tallies) {
        // Trials of one label share a row.
        if rows.last().is_none_or(|(label, _)| *label != cell.label) {
            rows.push((&cell.label, vec![(String::new(), true); measures.len()]));
        }
        let Some((_, row)) = rows.last_mut() else { continue };
        for (place, &measure) in row.iter_mut().zip(&measures) {
            let figures: Vec<&Figure> = cell.figures.iter().filter(|figure| figure.measure == measure).collect();
            if figures.is_empty() {
                continue;
            }
            let expected: Vec<String> = figures.iter().filter_map(|figure| figure.expected.map(told)).collect();
            let agrees = figures.iter().all(|figure| figure.agrees(tally));
            let measured = match measure.of(tally) {
                Measured::Share(rate) => percent(rate),
                Measured::Mean(mean, error) => format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * error),
                Measured::Night(night) => night.map_or("–".into(), |night| night.to_string()),
            };
            let brackets = if expected.is_empty() { String::new() } else { format!(" ({})", expected.join(", ")) };
            *place = (format!("{}{measured}{brackets}", if agrees { "" } else { "≠ " }), agrees);
        }
    }
    let mut shown = table(&head);
    for (label, row) in rows {
        let cells = row.iter().map(|(text, agrees)| word(text, (!agrees).then_some(Color::Yellow)));
        shown.add_row(std::iter::once(Cell::new(label)).chain(cells));
    }
    format!("{}. {}\n   {}\n{shown}\n", section.number, section.title, section.remark)
}

fn told(expected: Expected) -> String {
    match expected {
        Expected::Near(value, _) => format!("{:.1}", 100.0 * value),
        Expected::AtMost(bound) => format!("≤ {}", 100.0 * bound),
        Expected::Night(night) => night.map_or("–".into(), |night| night.to_string()),
    }
}

fn study_json(section: &Section, tallies: &[Tally]) -> Value {
    let cells = section.cells.iter().zip(tallies).map(|(cell, tally)| {
        let figures = cell.figures.iter().map(|figure| {
            let (measured, error) = match figure.measure.of(tally) {
                Measured::Share(rate) => (json!(rate.share), json!(rate.error)),
                Measured::Mean(mean, error) => (json!(mean), json!(error)),
                Measured::Night(night) => (json!(night), Value::Null),
            };
            let expected = match figure.expected {
                None => Value::Null,
                Some(Expected::Near(value, _)) => json!(value),
                Some(Expected::AtMost(bound)) => json!({ "at_most": bound }),
                Some(Expected::Night(night)) => json!(night),
            };
            json!({
                "figure": figure.measure.told(),
                "measured": measured,
                "error": error,
                "expected": expected,
                "agrees": figure.agrees(tally),
            })
        });
        json!({ "trial": cell.label, "figures": figures.collect::<Vec<_>>() })
    });
    json!({ "number": section.number, "title": section.title, "remark": section.remark, "cells": cells.collect::<Vec<_>>() })
}
