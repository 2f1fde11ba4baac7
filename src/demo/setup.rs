//! The world's own side of the tables: configuration, experiments, assignments; what services around the job do.

use std::path::Path;

use anyhow::{Context, anyhow};
use jiff::ToSpan;
use serde_json::json;
use uuid::Uuid;

use super::traffic::{Assignment, Shares};
use super::world::Scenario;
use super::{FIRST_DAY, Fate};
use crate::config::{Config, ConfigFile};
use crate::control::ControlStore;
use crate::domain::{Experiment, ExperimentId, ExperimentStatus, ModelVersion, Share, VariantId};
use crate::evidence::{Comparison, MetricSet, assess};
use crate::registry::{LocalRegistry, Registry};
use crate::stats::Moments;

/// Writes the example configuration into the folder; the demo runs on it as it is.
pub(super) fn write_configuration(dir: &Path) -> anyhow::Result<()> {
    if dir.join("control.db").exists() {
        return Err(anyhow!("{} holds a world already; give another --dir or remove it", dir.display()));
    }
    std::fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    for (name, text) in [
        ("rampkeeper.yml", include_str!("../../config/rampkeeper.example.yml")),
        ("metrics.example.yml", include_str!("../../config/metrics.example.yml")),
        ("promotion.example.yml", include_str!("../../config/promotion.example.yml")),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    // The files name their schemas in their first lines, for editors.
    let schemas = dir.join("schema");
    std::fs::create_dir_all(&schemas).with_context(|| format!("could not make {}", schemas.display()))?;
    for (name, file) in
        [("config", ConfigFile::Settings), ("metrics", ConfigFile::Metrics), ("promotion", ConfigFile::Promotion)]
    {
        let path = schemas.join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&file.schema())?;
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

/// A key that is the same in every world.
fn key(of: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, of.as_bytes())
}

/// Policies, versions, experiments at 90/10, and their models in the registry.
pub(super) async fn create_experiments(
    control: &ControlStore,
    registry: &LocalRegistry,
    scenarios: &[Scenario],
) -> anyhow::Result<()> {
    let created_at = format!("{FIRST_DAY}T00:00:00.000000Z");
    let pool = control.pool();
    for scenario in scenarios {
        let (experiment, policy) = (key(scenario.experiment), key(&format!("policy {}", scenario.experiment)));
        sqlx::query("INSERT INTO exp_policies (id, name) VALUES ($1, $2)")
            .bind(policy.to_string())
            .bind(format!("{} policy", scenario.experiment))
            .execute(pool)
            .await?;
        sqlx::query(
            "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at)
             VALUES ($1, $2, 'active', 'user', $3, $3, $3)",
        )
        .bind(experiment.to_string())
        .bind(scenario.experiment)
        .bind(created_at.as_str())
        .execute(pool)
        .await?;
        let model = scenario.experiment.trim_end_matches("_exp");
        let arms = [
            ("control", "0.9000", "production", "champion"),
            (scenario.candidate, "0.1000", "candidate", "challenger"),
        ];
        for (index, (name, share, stage, alias)) in arms.into_iter().enumerate() {
            let number = index as i64 + 1;
            let version = ModelVersion { model: model.to_owned(), version: number.to_string() };
            let policy_version = key(&format!("{model} {number}"));
            sqlx::query(
                "INSERT INTO exp_policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(policy_version.to_string())
            .bind(policy.to_string())
            .bind(number)
            .bind(version.model.as_str())
            .bind(version.version.as_str())
            .execute(pool)
            .await?;
            let config = json!({
                "execution_strategy": "mlflow_model",
                "mlflow_model": { "policy_version_id": policy_version, "model_name": model },
            });
            sqlx::query(
                "INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(key(&format!("{} {name}", scenario.experiment)).to_string())
            .bind(experiment.to_string())
            .bind(name)
            .bind(share)
            .bind(config.to_string())
            // The assignment service walks variants by age.
            .bind(format!("{FIRST_DAY}T00:00:0{index}.000000Z"))
            .execute(pool)
            .await?;
            registry.set_tag(&version, "stage", stage).await?;
            registry.set_alias(&version, alias).await?;
        }
    }
    Ok(())
}

/// The allocation tables, as the assignment service reads them.
pub(super) async fn shares(control: &ControlStore) -> anyhow::Result<Vec<Shares>> {
    let records = control.load_experiments().await?;
    let tables = records.into_iter().map(|record| {
        let Experiment { id, name, status, variants, .. } = record.experiment;
        Shares {
            name,
            experiment: id.0,
            active: status == ExperimentStatus::Active,
            variants: variants.into_iter().map(|v| (v.id.0, v.name, Share::ten_thousandths(v.allocation))).collect(),
        }
    });
    Ok(tables.collect())
}

/// Keeps first exposures, as the assignment service does.
pub(super) async fn store_assignments(control: &ControlStore, assignments: &[Assignment]) -> anyhow::Result<()> {
    for batch in assignments.chunks(20_000) {
        let rows: Vec<_> = batch.iter().map(|a| json!([a.experiment, a.unit, a.variant, a.at.to_string()])).collect();
        sqlx::query(
            "INSERT INTO exp_assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
             SELECT json_extract(value, '$[0]'), 'user', json_extract(value, '$[1]'), json_extract(value, '$[2]'),
                    json_extract(value, '$[3]')
             FROM json_each($1)",
        )
        .bind(json!(rows).to_string())
        .execute(control.pool())
        .await?;
    }
    Ok(())
}

/// The days of the ramp: what comes later is all at one share and dilutes what pooling gets wrong.
const RAMP_DAYS: i64 = 15;

/// What pooling over the ramp would read as the lift of the first guardrail, and what stratifying reads.
pub(super) async fn pooled_and_stratified(
    control: &ControlStore,
    config: &Config,
    fate: &Fate,
) -> anyhow::Result<Option<(f64, f64)>> {
    let policy = config.policies.of(fate.scenario.experiment);
    let Some(metric) = policy.guardrails.first().and_then(|g| config.metrics.get(&g.metric)) else { return Ok(None) };
    let id_of = |name: &str| VariantId(key(&format!("{} {name}", fate.scenario.experiment)));
    let (control_arm, candidate_arm) = (id_of("control"), id_of(fate.scenario.candidate));
    let end = FIRST_DAY.checked_add(RAMP_DAYS.days())?;
    let mut cohorts = Vec::new();
    for set in MetricSet::group([metric]) {
        let all = control.load_cohorts(ExperimentId(key(fate.scenario.experiment)), &set).await?;
        cohorts.extend(all.into_iter().filter(|cohort| cohort.date < end));
    }
    let pooled = |arm| {
        let ours = cohorts.iter().filter(|cohort| cohort.variant == arm);
        ours.filter_map(|cohort| cohort.moments.get(&metric.name)).fold(Moments::EMPTY, |sum, m| sum.merge(m)).mean_y
    };
    let assessment = assess(&Comparison {
        control: control_arm,
        candidate: candidate_arm,
        candidates: 1,
        policy,
        metrics: &config.metrics,
        cohorts: &cohorts,
        epochs: &[],
        since: None,
        as_of: end,
    });
    let stratified = assessment.guardrails.first().and_then(|reading| reading.effect);
    let pooled = (pooled(control_arm) > 0.0).then(|| pooled(candidate_arm) / pooled(control_arm) - 1.0);
    Ok(pooled.zip(stratified))
}
