//! A night's collecting, as the job does it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use polars::prelude::ChunkAgg;
use rampkeeper::domain::{
    CohortRequest, Direction, EpochSpan, Experiment, ExperimentId, ExperimentStatus, ExposedBy, Measure, Metric,
    MetricForm, Share, Value, Variant, VariantConfig, VariantId,
};
use rampkeeper::warehouse::{Collected, LakeWarehouse, Warehouse};

use crate::generate::{Facts, date_of, facts};
use crate::world::Trial;

pub fn run(root: &Path, night: bool, one_by_one: bool, out: Option<&Path>) -> anyhow::Result<()> {
    let facts = facts(root)?;
    let warehouse = LakeWarehouse::open(root.to_owned())?;
    collect(&crate::runtime()?, &warehouse, &facts, night, one_by_one, out)
}

/// Asks for the cohorts of all experiments and says what came.
pub fn collect(
    runtime: &tokio::runtime::Runtime,
    warehouse: &dyn Warehouse,
    facts: &Facts,
    night: bool,
    one_by_one: bool,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    // The last cohort date whose window of a day has ended.
    let through = date_of(facts.size.days - 2);
    let experiments: Vec<(Experiment, Vec<Metric>)> =
        facts.trials.iter().map(|trial| (experiment(trial), metrics(trial))).collect();
    let requests: Vec<CohortRequest<'_>> = facts
        .trials
        .iter()
        .zip(&experiments)
        .map(|(trial, (experiment, metrics))| {
            request(trial, experiment, metrics, if night { through } else { date_of(trial.first_day) }, through)
        })
        .collect();
    let answers = runtime.block_on(async {
        match one_by_one {
            true => {
                let mut answers = Vec::new();
                for request in &requests {
                    answers.push(warehouse.collect(request).await);
                }
                answers
            }
            false => warehouse.collect_many(&requests).await,
        }
    });
    let answers: Vec<Collected> = answers.into_iter().collect::<Result<_, _>>()?;
    let units: i64 = answers.iter().map(|answer| sum(answer, "units")).sum();
    let rows: usize = answers.iter().map(|answer| answer.moments.height()).sum();
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(out) = out {
        write(out, facts, &answers)?;
    }
    println!("rows {rows} units {units} seconds {seconds:.3} peak_mib {:.0}", peak_mib());
    Ok(())
}

fn sum(answer: &Collected, name: &str) -> i64 {
    answer.health.column(name).and_then(|column| Ok(column.i64()?.sum().unwrap_or(0))).unwrap_or(0)
}

/// The most memory that this process has held, in MiB.
pub fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

fn experiment(trial: &Trial) -> Experiment {
    Experiment {
        id: ExperimentId(trial.id),
        name: trial.name.clone(),
        status: ExperimentStatus::Active,
        unit_type: "user".to_owned(),
        start_at: Timestamp::from_microsecond(trial.epochs[0].1).ok(),
        end_at: None,
        variants: [("control", trial.control), ("candidate", trial.candidate)].map(variant).into(),
    }
}

fn variant((name, id): (&str, uuid::Uuid)) -> Variant {
    Variant { id: VariantId(id), name: name.to_owned(), allocation: Share::NONE, config: Ok(VariantConfig::Flag) }
}

fn request<'a>(
    trial: &Trial,
    experiment: &'a Experiment,
    metrics: &'a [Metric],
    from: Date,
    to: Date,
) -> CohortRequest<'a> {
    let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
    let spans = trial.epochs.iter().map(|(epoch, from, to)| EpochSpan { epoch: *epoch, from: at(*from), to: at(*to) });
    CohortRequest {
        experiment,
        metrics: metrics.iter().collect(),
        window_days: 1,
        from,
        to,
        exposed_by: ExposedBy::Assignment,
        spans: spans.collect(),
    }
}

/// The eight metrics: six ratios to the plans, two of them above thresholds, a cost and the plans themselves.
fn metrics(trial: &Trial) -> Vec<Metric> {
    let measure = |event: &str, value: Value| Measure::of_event(event, value);
    let latency = || "latency_ms".parse().expect("a field");
    let plans = || measure("plan_generated", Value::Count);
    let metric = |name: &str, form: MetricForm| Metric {
        name: name.to_owned(),
        description: None,
        form,
        direction: Direction::Decrease,
        window_days: 1,
        covariate_days: None,
    };
    let ratio = |name: &str, numerator: Measure| metric(name, MetricForm::Ratio { numerator, denominator: plans() });
    vec![
        ratio("acceptance", measure("plan_accepted", Value::Count)),
        ratio("edits", measure("edit_applied", Value::Count)),
        ratio("interventions", measure("validator_intervention", Value::Count)),
        ratio("cost", measure("plan_generated", Value::Sum("cost".parse().expect("a field")))),
        ratio("latency", measure("plan_generated", Value::Sum(latency()))),
        ratio("over_2s", measure("plan_generated", Value::CountAbove(latency(), 2_000.0))),
        ratio("over_threshold", measure("plan_generated", Value::CountAbove(latency(), trial.threshold))),
        metric("plans", MetricForm::Mean { value: plans() }),
    ]
}

/// One line per experiment, date, epoch, variant and metric, in that order.
fn write(out: &Path, facts: &Facts, answers: &[Collected]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for (trial, answer) in facts.trials.iter().zip(answers) {
        let frame = &answer.moments;
        let float = |name: &str, row: usize| -> anyhow::Result<f64> {
            Ok(frame.column(name)?.f64()?.get(row).unwrap_or(f64::NAN))
        };
        let dates = frame.column("cohort_date")?.cast(&polars::prelude::DataType::Int32)?;
        for row in 0..frame.height() {
            let text = |name: &str| -> anyhow::Result<String> {
                Ok(frame.column(name)?.str()?.get(row).unwrap_or_default().to_owned())
            };
            let date = jiff::civil::date(1970, 1, 1).checked_add(dates.i32()?.get(row).unwrap_or(0).days())?;
            let epoch = frame.column("epoch")?.i64()?.get(row).unwrap_or(-1);
            let n = frame.column("n")?.i64()?.get(row).unwrap_or(-1);
            let mut line = format!("{},{date},{epoch},{},{},{n}", trial.id, text("variant_id")?, text("metric")?);
            for name in ["mean_y", "m2_y", "mean_d", "m2_d", "c_yd"] {
                line.push_str(&format!(",{:e}", float(name, row)?));
            }
            lines.push(line);
        }
    }
    lines.sort();
    let mut file = BufWriter::new(File::create(out)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    Ok(())
}
