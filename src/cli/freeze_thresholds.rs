//! `freeze-thresholds`: exceedance thresholds from the days before an experiment, written into metrics.yml for good.

use anyhow::{Context, bail};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::policy::replace;
use super::shown::{self, plain};
use super::{Exit, Global, OutputFormat, as_of, connect, now};
use crate::config::{self, Config, Freezable, with_thresholds};
use crate::control::ExperimentRecord;
use crate::night;
use crate::warehouse::Warehouse;

/// The arguments of `freeze-thresholds`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper freeze-thresholds --dry-run

A metric asks for it in metrics.yml: count_above: { field: latency_ms, freeze: { percentile: 0.99, times: 1.1 } }. The \
percentile is that of all events of the type over the days before the first experiment that is judged by the metric, or \
else up to the as-of day: units are on control then. A threshold that is there stays. The numbers go into metrics.yml, \
whose other lines stay as they are.")]
pub(super) struct FreezeArguments {
    /// Metrics; all that ask for it unless told.
    metrics: Vec<String>,
    /// Take thresholds anew that are frozen already; refused for metrics that a running experiment is judged by.
    #[arg(long, requires = "metrics")]
    again: bool,
    /// Show the thresholds, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// One threshold.
#[derive(Debug, Serialize)]
struct Threshold {
    metric: String,
    event: String,
    field: String,
    threshold: f64,
    /// None of one that was frozen before.
    #[serde(flatten)]
    taken: Option<Taken>,
    /// The experiment that has it for its own, frozen as a version came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<String>,
}

/// Where a threshold was taken from.
#[derive(Debug, Serialize)]
struct Taken {
    percentile: f64,
    value: f64,
    times: f64,
    from: Date,
    to: Date,
    events: u64,
}

#[derive(Debug, Serialize)]
struct Frozen {
    schema_version: u32,
    written: bool,
    thresholds: Vec<Threshold>,
}

/// Freezes what is not frozen.
pub(super) async fn freeze(arguments: &FreezeArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let wanted = wanted(&config, arguments)?;
    let control = connect::control(&config).await?;
    let records = control.load_experiments().await?;
    let mut thresholds: Vec<Threshold> = Vec::new();
    let mut missing: Vec<&Freezable> = Vec::new();
    for freezable in wanted {
        let own = own_of(&config, &records, freezable);
        if own.is_empty() {
            missing.push(freezable);
        }
        thresholds.extend(own);
    }
    let (kept, new): (Vec<&Freezable>, Vec<&Freezable>) =
        missing.into_iter().partition(|freezable| freezable.frozen.is_some() && !arguments.again);
    let judged_by = |freezable: &Freezable| {
        let judged = records.iter().filter(|record| is_judged_by(&config, record, &freezable.metric));
        judged.collect::<Vec<&ExperimentRecord>>()
    };
    for freezable in new.iter().filter(|freezable| freezable.frozen.is_some()) {
        if let Some(record) = judged_by(freezable).first() {
            bail!(
                "{} is judged by {}, whose threshold is {}: it must not change while the experiment runs; end the experiment, \
                 or declare another metric",
                plain(&record.experiment.name),
                freezable.metric,
                freezable.frozen.unwrap_or_default()
            );
        }
    }
    let mut written: Vec<(&Freezable, f64)> = Vec::new();
    if !new.is_empty() {
        let warehouse = connect::warehouse_to_examine_at_length(&config).await?;
        for freezable in new {
            let to = before_all(&judged_by(freezable), as_of(global, now(global)));
            let (threshold, taken) = take(warehouse.as_ref(), freezable, to).await?;
            written.push((freezable, threshold));
            thresholds.push(Threshold { taken: Some(taken), ..shown_as(freezable, threshold) });
        }
    }
    thresholds.extend(kept.iter().filter_map(|freezable| Some(shown_as(freezable, freezable.frozen?))));
    thresholds.sort_by(|a, b| (&a.metric, &a.field).cmp(&(&b.metric, &b.field)));
    let writes = !arguments.dry_run && !written.is_empty();
    if writes {
        let path = config.path_of(config.settings.metrics.as_ref(), "metrics.yml");
        let before = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let after = with_thresholds(&path, &before, &written).map_err(|why| anyhow::anyhow!(why))?;
        replace(&path, &before, &after)?;
    }
    let frozen = Frozen { schema_version: 1, written: writes, thresholds };
    match global.output {
        OutputFormat::Json => shown::json(&frozen)?,
        OutputFormat::Text => print!("{}", text(&frozen)),
    }
    Ok(Exit::Done)
}

fn wanted<'a>(config: &'a Config, arguments: &FreezeArguments) -> anyhow::Result<Vec<&'a Freezable>> {
    for name in &arguments.metrics {
        if !config.freezable.iter().any(|freezable| freezable.metric == *name) {
            let why = match config.metrics.contains_key(name) {
                true => "has no `freeze`, so nothing says what its threshold would be taken from",
                false => "is not declared in the metrics file",
            };
            bail!("metric {} {why}", plain(name));
        }
    }
    let named = |freezable: &&Freezable| arguments.metrics.is_empty() || arguments.metrics.contains(&freezable.metric);
    Ok(config.freezable.iter().filter(named).collect())
}

fn is_judged_by(config: &Config, record: &ExperimentRecord, metric: &str) -> bool {
    config.policies.of(&record.experiment.name).judged_by().any(|judged| judged == metric)
}

/// The thresholds that running experiments have for their own. A number in the file would take their evidence from them.
fn own_of(config: &Config, records: &[ExperimentRecord], freezable: &Freezable) -> Vec<Threshold> {
    if freezable.frozen.is_some() {
        return Vec::new();
    }
    let judged = records.iter().filter(|record| is_judged_by(config, record, &freezable.metric));
    let own = judged.filter_map(|record| {
        let known = config::threshold_of(freezable, &record.thresholds)?;
        let experiment = Some(record.experiment.name.clone());
        Some(Threshold { experiment, ..shown_as(freezable, known.threshold) })
    });
    own.collect()
}

/// The last day before any of the experiments began, that of the evidence at the latest.
fn before_all(records: &[&ExperimentRecord], as_of: Date) -> Date {
    let began = records.iter().map(|record| {
        let begun = record.experiment.start_at.unwrap_or(record.created_at);
        begun.to_zoned(TimeZone::UTC).date().saturating_sub(1.days())
    });
    began.min().map_or(as_of, |before| before.min(as_of))
}

async fn take(warehouse: &dyn Warehouse, freezable: &Freezable, to: Date) -> anyhow::Result<(f64, Taken)> {
    let Freezable { metric, percentile, times, days, .. } = freezable;
    let from = to.saturating_sub((i64::from(*days) - 1).days());
    let asking = || format!("the threshold of {metric} could not be taken from {from} to {to}");
    let found = night::threshold(warehouse, freezable, to).await.with_context(asking)?;
    let taken = Taken { percentile: *percentile, value: found.value, times: *times, from, to, events: found.events };
    Ok((found.threshold, taken))
}

fn shown_as(freezable: &Freezable, threshold: f64) -> Threshold {
    Threshold {
        metric: freezable.metric.clone(),
        event: freezable.event.clone(),
        field: freezable.field.to_string(),
        threshold,
        taken: None,
        experiment: None,
    }
}

fn text(frozen: &Frozen) -> String {
    if frozen.thresholds.is_empty() {
        return "No metric asks for a frozen threshold; `freeze` beside `count_above` does.\n".to_owned();
    }
    let line = |threshold: &Threshold| {
        let Threshold { metric, event, field, threshold, taken, experiment } = threshold;
        let how = match taken {
            None => match experiment {
                Some(experiment) => format!("frozen as a version came into {}", plain(experiment)),
                None => "frozen before".to_owned(),
            },
            Some(Taken { percentile, value, times, from, to, events }) => {
                let times = if *times == 1.0 { String::new() } else { format!(", times {times}") };
                let what = format!("p{} is {value}{times}", 100.0 * percentile);
                format!("{what}, from {events} events of {from} to {to}")
            }
        };
        format!("{metric}: {field} of {} above {threshold} ({how})\n", plain(event))
    };
    let mut told: String = frozen.thresholds.iter().map(line).collect();
    told.push_str(match frozen.written {
        true => "Written into the metrics file. The evidence of experiments that are judged by them begins anew.\n",
        false => "Nothing was written.\n",
    });
    told
}
