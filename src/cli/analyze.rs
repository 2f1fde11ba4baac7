//! `analyze`: a file of somebody's own, judged as a night would judge it.

use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::ErrorKind;
use comfy_table::{Cell, Color};
use serde_json::json;

use super::output::{table, word};
use super::{Arguments, Exit, OutputFormat};
use crate::analyze::{
    Alpha, Analysis, ArmValue, CandidateResult, Direction, Interval, JudgedBy, MarginAsked, MetricAsked, MetricResult,
    Question, SplitAsked, SplitReading, analyze, with_margins,
};
use crate::decide::Rounded;

/// The arguments of `analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper analyze units.csv --metric ordered --metric cost=cost/plans:decrease

Every row is a unit, unless --unit names the column that tells which rows belong together; their numbers are then added \
up. An empty field leaves its unit out of that metric, and is counted: missing is not zero. Nothing is written but the \
answer, and no configuration is read.")]
pub(super) struct AnalyzeArguments {
    /// A CSV or Parquet file with a row per unit or, with --unit, per event.
    file: PathBuf,
    /// What is measured: NAME=COLUMN for a mean per unit, NAME=NUMERATOR/DENOMINATOR for a ratio of sums; a column alone
    /// is its own name. With :decrease behind it, less is better. May be repeated.
    #[arg(long = "metric", required = true, value_name = "METRIC")]
    metrics: Vec<MetricAsked>,
    /// The worst loss that is accepted, relative to control: 0.05 for all metrics, NAME=0.1 for one. May be repeated.
    /// [default: 0.05]
    #[arg(long = "margin", value_name = "MARGIN")]
    margins: Vec<MarginAsked>,
    /// The column that names the variant.
    #[arg(long, value_name = "COLUMN", default_value = "variant")]
    variant: String,
    /// The variant that all others are compared with.
    #[arg(long, value_name = "NAME", default_value = "control")]
    control: String,
    /// The column that names the unit, where a unit may have several rows; their numbers are added up.
    #[arg(long, value_name = "COLUMN")]
    unit: Option<String>,
    /// A column with a number per unit from before the experiment, which takes chance out of the comparison (CUPED).
    #[arg(long, value_name = "COLUMN")]
    covariate: Option<String>,
    /// A column within whose values the variants are compared, such as the date of first exposure where shares changed.
    #[arg(long, value_name = "COLUMN")]
    stratum: Option<String>,
    /// The planned split, such as control=0.9,candidate=0.1; equal shares unless told.
    #[arg(long, value_name = "SHARES")]
    split: Option<SplitAsked>,
    /// The error rate of a verdict, however often one looks; divided by the number of candidates.
    #[arg(long, default_value = "0.05", value_parser = alpha)]
    alpha: Alpha,
    /// Units that each arm needs before a metric is judged.
    #[arg(long, value_name = "UNITS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(2..))]
    min_units: u64,
}

fn alpha(text: &str) -> Result<Alpha, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    Alpha::try_from(number).map_err(|error| error.to_string())
}

/// Reads, judges and shows. A verdict of harm is an answer like any other and ends with 0.
pub(super) async fn run(arguments: AnalyzeArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    let metrics = match with_margins(&arguments.metrics, &arguments.margins) {
        Ok(metrics) => metrics,
        Err(error) => {
            Arguments::command().error(ErrorKind::ValueValidation, error).print()?;
            return Ok(Exit::Usage);
        }
    };
    let question = Question {
        file: arguments.file,
        unit: arguments.unit,
        variant: arguments.variant,
        control: arguments.control,
        metrics,
        covariate: arguments.covariate,
        stratum: arguments.stratum,
        split: arguments.split,
        alpha: arguments.alpha,
        min_units: arguments.min_units,
    };
    let file = question.file.display().to_string();
    // Reading blocks its thread, so it must not be one that serves other tasks.
    let analysis = tokio::task::spawn_blocking(move || analyze(&question)).await??;
    match output {
        OutputFormat::Json => {
            let mut document = json!({ "schema_version": 1, "file": file });
            if let (Some(document), serde_json::Value::Object(analysis)) =
                (document.as_object_mut(), serde_json::to_value(&analysis)?)
            {
                document.extend(analysis);
            }
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
        OutputFormat::Text => print!("{}", text(&file, &analysis)),
    }
    Ok(Exit::Done)
}

/// What people read: a table per candidate, what was left out, and how to read the numbers.
fn text(file: &str, analysis: &Analysis) -> String {
    let variants: Vec<String> = analysis.variants.iter().map(|v| format!("{} {} units", v.name, v.units)).collect();
    let mut told = format!("{file}: {} rows; {}\n", analysis.rows, variants.join(", "));
    for line in left_out(analysis) {
        told.push_str(&format!("{line}\n"));
    }
    for candidate in &analysis.candidates {
        told.push_str(&format!("\n{} against {}\n", candidate.name, analysis.control));
        if let Some(split) = &candidate.split {
            told.push_str(&format!("{}\n", split_in_words(split, analysis.equal_split_assumed)));
        }
        told.push_str(&format!("{}\n", results(candidate, analysis)));
        for line in candidate.metrics.iter().flat_map(notes) {
            told.push_str(&format!("{line}\n"));
        }
    }
    let error_rate = Rounded(100.0 * analysis.alpha / analysis.candidates.len().max(1) as f64);
    told.push_str(&format!(
        "\nOne look: for somebody who looks once, at a time fixed beforehand. Any look: holds however often one looks; each \
         end\nerrs with at most {error_rate} %, and the verdict is read off it. e: the evidence of harm; p = 1/e, valid at any \
         look.\n"
    ));
    told
}

fn results(candidate: &CandidateResult, analysis: &Analysis) -> comfy_table::Table {
    let one_look = format!("one look, {} %", Rounded(100.0 * (1.0 - analysis.alpha)));
    let mut rows = table(&[
        "metric",
        &analysis.control,
        &candidate.name,
        "lift",
        &one_look,
        "any look",
        "e (harm)",
        "p (harm)",
        "verdict",
    ]);
    for metric in &candidate.metrics {
        let colour = match metric.verdict {
            "breach" | "harm" => Some(Color::Red),
            "safe" | "better" => Some(Color::Green),
            _ => None,
        };
        rows.add_row(vec![
            Cell::new(format!("{}\n{}", metric.metric, bound(metric))),
            Cell::new(arm(&metric.control)),
            Cell::new(arm(&metric.candidate)),
            Cell::new(metric.lift.map_or("–".to_owned(), percent)),
            Cell::new(metric.one_look.map_or("–".to_owned(), |look| interval(&look.interval))),
            Cell::new(metric.anytime.as_ref().map_or("–".to_owned(), interval)),
            Cell::new(e_value(metric.log_e_harm)),
            Cell::new(p_value(metric.p_harm)),
            word(metric.verdict, colour),
        ]);
    }
    rows
}

fn bound(metric: &MetricResult) -> String {
    let sign = match metric.direction {
        Direction::Increase => '−',
        Direction::Decrease => '+',
    };
    format!("margin {sign}{} %", Rounded(100.0 * metric.margin))
}

fn arm(arm: &ArmValue) -> String {
    let value = arm.value.map_or("–".to_owned(), |value| Rounded(value).to_string());
    format!("{value}\nn {}", arm.units)
}

fn interval(interval: &Interval) -> String {
    if interval.is_bounded() {
        format!("{} to\n{}", percent(interval.low), percent(interval.high))
    } else {
        "unbounded".to_owned()
    }
}

/// Tells an e-value by its logarithm, which may be far beyond what a number can hold.
fn e_value(log_e: f64) -> String {
    let log10 = log_e / std::f64::consts::LN_10;
    if log10 >= 5.0 { format!("10^{log10:.0}") } else { Rounded(log_e.exp()).to_string() }
}

fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { Rounded(p).to_string() }
}

fn split_in_words(split: &SplitReading, equal_assumed: bool) -> String {
    let chi = split.chi_square_p.map_or(String::new(), |p| format!(", chi-square p {}", p_value(p)));
    let mut told = format!(
        "split {} planned: {} candidate units, planned {:.0} (e-value {}{chi})",
        if split.mismatch { "NOT as" } else { "as" },
        split.candidate_units,
        split.planned_candidate_units,
        e_value(split.log_e)
    );
    if split.mismatch {
        told.push_str("; units get lost in one arm, and what follows may be biased");
        if equal_assumed {
            told.push_str("\n(equal shares throughout are assumed; if others were planned, name them with --split)");
        }
    }
    told
}

/// A lift at two decimals: a file may have many more units than an experiment of one night.
fn percent(lift: f64) -> String {
    let percent = 100.0 * lift;
    if percent.abs() < 0.005 { "0.00 %".to_owned() } else { format!("{percent:+.2} %").replace('-', "−") }
}

/// What entered no comparison, and how strata and covariate were used.
fn left_out(analysis: &Analysis) -> Vec<String> {
    let left = &analysis.left_out;
    let mut lines = Vec::new();
    let mut count = |what: &str, count: u64| {
        if count > 0 {
            lines.push(format!("{what}: {count}"));
        }
    };
    count("left out, rows without a unit", left.rows_without_unit);
    count("left out, units without a variant", left.units_without_variant);
    count("left out, units seen in two variants", left.units_in_two_variants);
    if let Some(strata) = &analysis.strata {
        count(&format!("strata of {}, combined with overlap weights", strata.column), strata.count as u64);
        count("units without a stratum, which are one of their own", strata.units_without);
    }
    if let Some(covariate) = &analysis.covariate {
        let what = format!("units without {}, compared unadjusted and as strata of their own", covariate.column);
        count(&what, covariate.units_without);
    }
    lines
}

/// What a row of the table has no room for.
fn notes(metric: &MetricResult) -> Vec<String> {
    let name = &metric.metric;
    let mut lines = Vec::new();
    if let Some(why) = &metric.why {
        lines.push(format!("{name}: {why}"));
    }
    let (control, candidate) = (metric.control.missing, metric.candidate.missing);
    if control + candidate > 0 {
        lines.push(format!(
            "{name}: left out, units without a value: {control} in control, {candidate} in the candidate"
        ));
    }
    if metric.empty_fields > 0 {
        lines.push(format!(
            "{name}: empty fields beside other rows of the unit, adding nothing: {}",
            metric.empty_fields
        ));
    }
    if metric.units_in_small_strata > 0 {
        let units = metric.units_in_small_strata;
        lines.push(format!("{name}: left out, units in strata with fewer than two in an arm: {units}"));
    }
    match metric.judged_by {
        JudgedBy::Score => lines.push(format!("{name}: an arm has no variance; judged by the score test")),
        JudgedBy::Exact => {
            lines.push(format!("{name}: the evidence is exact, from the counts of units with and without"))
        }
        JudgedBy::Interval | JudgedBy::Nothing => {}
    }
    if let Some(theta) = metric.theta {
        lines.push(format!("{name}: adjusted by the covariate with theta {} from the whole file", Rounded(theta)));
    }
    lines
}
