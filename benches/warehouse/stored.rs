//! A night of many experiments whose cohorts are stored: from what is kept to the decisions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use async_trait::async_trait;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rampkeeper::config::{self, Config};
use rampkeeper::control::ControlStore;
use rampkeeper::domain::{CohortRequest, ExperimentId, VariantId};
use rampkeeper::evidence::{Cohort, CohortHealth, Day, MetricSet};
use rampkeeper::night::Night;
use rampkeeper::registry::{LocalRegistry, TablePrefix};
use rampkeeper::stats::Moments;
use rampkeeper::warehouse::{Collected, Partition, Warehouse, WarehouseError};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::{Map, json};
use sqlx::AssertSqlSafe;

use crate::lake::peak_mib;
use crate::world::id;

/// How many of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub experiments: u64,
    pub metrics: usize,
    pub variants: usize,
    pub days: i64,
}

const FIRST: Date = date(2026, 1, 1);

fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).expect("a date of the calendar").timestamp()
}

async fn connect(root: &Path) -> anyhow::Result<(Config, ControlStore)> {
    let config = config::load(&root.join("rampkeeper.yml"))?;
    let url = format!("sqlite:{}?mode=rwc", root.join("control.db").display());
    Ok((config, ControlStore::connect(&url.into()).await?))
}

fn metric_name(number: usize) -> String {
    format!("guarded_metric_{number:02}")
}

/// Writes settings and a control store whose cohorts are closed but for the last night.
pub async fn make(root: &Path, scale: Scale) -> anyhow::Result<()> {
    std::fs::create_dir_all(root.join("lake"))?;
    let metrics: Map<String, serde_json::Value> = (0..scale.metrics)
        .map(|number| {
            let form = json!({
                "direction": "decrease",
                "numerator": { "event": format!("event_{number}") },
                "denominator": { "event": "plan_generated" },
            });
            (metric_name(number), form)
        })
        .collect();
    let guardrails: Vec<_> =
        (0..scale.metrics).map(|number| json!({ "metric": metric_name(number), "margin": 0.05 })).collect();
    let write = |name: &str, value: serde_json::Value| std::fs::write(root.join(name), value.to_string());
    write("metrics.yml", json!({ "metrics": metrics }))?;
    write("promotion.yml", json!({ "defaults": { "guardrails": guardrails } }))?;
    let settings = json!({
        "control": { "url": "sqlite:control.db" },
        "warehouse": { "lake": { "path": "lake" } },
        "registry": { "local": {} },
    });
    write("rampkeeper.yml", settings)?;
    let (config, control) = connect(root).await?;
    control.migrate().await?;
    let last = FIRST.saturating_add((scale.days).days());
    let mut at = FIRST;
    while at <= last {
        let latest_event_at = Some(midnight(at.tomorrow()?) - 1.second());
        control.save_day(&Day { date: at, rows: 1_000_000, latest_event_at, content: None }).await?;
        at = at.tomorrow()?;
    }
    for number in 0..scale.experiments {
        fill(&control, &config, number, scale).await?;
    }
    // What is still in the log of writes counts with what is kept.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(control.pool()).await?;
    let bytes = std::fs::metadata(root.join("control.db"))?.len();
    let cohorts = scale.experiments as f64 * scale.variants as f64 * scale.days as f64;
    println!("{} MiB for {cohorts} cohorts, {:.0} bytes each", bytes >> 20, bytes as f64 / cohorts);
    Ok(())
}

async fn fill(control: &ControlStore, config: &Config, number: u64, scale: Scale) -> anyhow::Result<()> {
    let mut rng = Pcg64Mcg::seed_from_u64(number);
    let experiment = ExperimentId(id(0, "experiment", number));
    let starts = midnight(FIRST);
    let mut sql = vec![format!(
        "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at)
         VALUES ('{experiment}', 'experiment_{number:04}', 'active', 'user', '{starts}', '{starts}', '{starts}')"
    )];
    let arms: Vec<VariantId> =
        (0..scale.variants as u64).map(|arm| VariantId(id(arm + 1, "variant", number))).collect();
    for (place, arm) in arms.iter().enumerate() {
        let (name, share) = match place {
            0 => ("control".to_owned(), 1.0 - 0.1 * (scale.variants - 1) as f64),
            _ => (format!("candidate_{place}"), 0.1),
        };
        sql.push(format!(
            "INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at)
             VALUES ('{arm}', '{experiment}', '{name}', '{share:.4}', '{{\"feature_enabled\":true}}', '{starts}')"
        ));
    }
    for statement in sql {
        sqlx::query(AssertSqlSafe(statement)).execute(control.pool()).await?;
    }
    let set = MetricSet::group(config.metrics.values()).remove(0);
    let mut cohorts = Vec::new();
    for day in 0..scale.days {
        for (place, variant) in arms.iter().enumerate() {
            let units = if place == 0 { 1_400 } else { 200 } + rng.random_range(0..50);
            let moments = (0..scale.metrics).map(|metric| (metric_name(metric), drawn(units, &mut rng)));
            let health = CohortHealth { units, events: units * 12, ..CohortHealth::default() };
            let date = FIRST.saturating_add(day.days());
            cohorts.push(Cohort { date, epoch: 0, variant: *variant, moments: moments.collect(), health });
        }
    }
    let through = FIRST.saturating_add((scale.days - 1).days());
    control.save_cohorts(experiment, &set, &cohorts, through, starts).await?;
    Ok(())
}

/// A ratio of about 0.4, whose denominator is heavy-tailed.
fn drawn(units: u64, rng: &mut Pcg64Mcg) -> Moments {
    let n = units as f64;
    let mean_d = 3.0 + rng.random::<f64>() / n.sqrt();
    let m2_d = n * 9.0 * (0.9 + 0.2 * rng.random::<f64>());
    let mean_y = mean_d * (0.4 + 0.2 * (rng.random::<f64>() - 0.5) / n.sqrt());
    Moments { n: units, mean_y, m2_y: m2_d * 0.2, mean_d, m2_d, c_yd: m2_d * 0.4 }
}

/// Days that are complete; nothing else is asked of it.
struct Complete;

#[async_trait]
impl Warehouse for Complete {
    async fn partition(&self, date: Date) -> Result<Option<Partition>, WarehouseError> {
        let latest_event_at = date.tomorrow().ok().map(|next| midnight(next) - 1.second());
        Ok(Some(Partition { date, rows: 1_000_000, latest_event_at }))
    }

    async fn collect(&self, request: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        let experiment = request.experiment.name.clone();
        Err(WarehouseError::BadRequest { experiment, reason: "everything is stored".to_owned() })
    }

    fn describe(&self) -> String {
        "complete days".to_owned()
    }
}

/// What the night after the last stored day would decide; `act` records it, too.
pub async fn night(root: &Path, days: i64, act: bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (config, control) = connect(root).await?;
    let registry = LocalRegistry::new(control.pool().clone(), TablePrefix::Sqlite);
    let as_of = FIRST.saturating_add(days.days());
    let night = Night {
        config: &config,
        control: &control,
        warehouse: &Complete,
        registry: &registry,
        mailer: None,
        chat: None,
        as_of,
        now: midnight(as_of.tomorrow()?) + 2.hours(),
        holder: "benchmark".to_owned(),
    };
    let report = if act { night.run().await? } else { night.plan().await? };
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in report.experiments.iter().flat_map(|experiment| &experiment.candidates) {
        let word = json!(candidate.decision.outcome);
        let word = word["outcome"].as_str().or(word.as_str()).unwrap_or("?").to_owned();
        *outcomes.entry(word).or_default() += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{outcomes:?} seconds {seconds:.3} peak_mib {:.0}", peak_mib());
    Ok(())
}
