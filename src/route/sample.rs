//! A small world for tests: one policy with three versions, one prompt with two, one experiment.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::{Fault, Policies};
use crate::control::{Catalogue, ExperimentRecord, ExperimentRow, Family, Kind, VariantRow, VersionRow};
use crate::domain::{
    Epoch, Experiment, ExperimentId, ExperimentStatus, OfflineResult, OfflineStatus, Score, Scores, Share, Variant,
    VariantConfig, VariantId, VersionStatus,
};

pub(super) const POLICY: Uuid = Uuid::from_u128(1);
pub(super) const PROMPT: Uuid = Uuid::from_u128(2);
pub(super) const EXPERIMENT: ExperimentId = ExperimentId(Uuid::from_u128(3));

/// The key of a version.
pub(super) fn version(kind: Kind, number: u32) -> Uuid {
    let base = if kind == Kind::Policy { 100 } else { 200 };
    Uuid::from_u128(base + u128::from(number))
}

pub(super) fn now() -> Timestamp {
    "2026-04-01T02:00:00Z".parse().unwrap()
}

pub(super) fn share(value: f64) -> Share {
    Share::try_from(value).unwrap()
}

/// A fault as the files make them, without a file.
pub(super) fn fault(at: &str, message: String) -> Fault {
    Fault { path: Path::new("file.yml").to_owned(), line: 1, column: 1, key: at.to_owned(), message }
}

fn row(kind: Kind, number: u32) -> VersionRow {
    let points_at = match kind {
        Kind::Policy => BTreeMap::from([
            ("mlflow_model_name", Some("planner_model".to_owned())),
            ("mlflow_model_version", Some(number.to_string())),
        ]),
        Kind::Prompt => BTreeMap::from([
            ("file_path", Some(format!("p{number}.md"))),
            ("model_provider", Some("openai".to_owned())),
            ("model_name", None),
        ]),
    };
    VersionRow {
        id: version(kind, number),
        family: if kind == Kind::Policy { POLICY } else { PROMPT },
        version: number,
        points_at,
        defaults: json!({}),
        status: VersionStatus::Active,
    }
}

pub(super) fn result(number: u32, alignment: i64) -> OfflineResult {
    let score = |millionths| Some(Score::from_millionths(millionths));
    OfflineResult {
        id: Uuid::from_u128(300 + u128::from(number)),
        policy_version: version(Kind::Policy, number),
        dataset: "2026-03".into(),
        status: OfflineStatus::Completed,
        scores: Scores {
            constraint_respect: score(1_000_000),
            plan_alignment: score(alignment),
            edit_distance: score(700_000),
            diversity: score(600_000),
            leftovers: score(500_000),
        },
        baseline: (number > 1).then(|| version(Kind::Policy, 1)),
        is_better: None,
        error: None,
        created_at: "2026-03-20T00:00:00Z".parse().unwrap(),
    }
}

pub(super) fn serving(number: u32) -> Value {
    json!({"execution_strategy": "mlflow_model", "mlflow_model": {"policy_version_id": version(Kind::Policy, number)}})
}

pub(super) fn variant(id: u128, name: &str, share: f64, config: Value) -> VariantRow {
    let allocation = Share::try_from(share).unwrap();
    VariantRow { id: VariantId(Uuid::from_u128(id)), name: name.into(), description: None, allocation, config }
}

/// Versions 2 and 3 passed; control serves version 1 to all.
pub(super) fn catalogue() -> Catalogue {
    Catalogue {
        policies: vec![Family { id: POLICY, name: "planner".into(), description: None }],
        policy_versions: (1..=3).map(|n| row(Kind::Policy, n)).collect(),
        prompts: vec![Family { id: PROMPT, name: "chat".into(), description: None }],
        prompt_versions: (1..=2).map(|n| row(Kind::Prompt, n)).collect(),
        experiments: vec![ExperimentRow {
            id: EXPERIMENT,
            name: "exp".into(),
            description: None,
            status: ExperimentStatus::Active,
            unit_type: "user".into(),
            start_at: None,
            end_at: None,
            variants: vec![variant(10, "control", 1.0, serving(1))],
        }],
        results: vec![result(1, 800_000), result(2, 800_000), result(3, 850_000)],
        ..Catalogue::default()
    }
}

/// What is kept of the experiment: an epoch since a month ago, and no candidate.
pub(super) fn record(catalogue: &Catalogue) -> ExperimentRecord {
    let row = &catalogue.experiments[0];
    let variants: Vec<Variant> = row
        .variants
        .iter()
        .map(|v| Variant {
            id: v.id,
            name: v.name.clone(),
            allocation: v.allocation,
            config: VariantConfig::parse(&v.config),
        })
        .collect();
    let epoch = Epoch {
        number: 0,
        started_at: "2026-03-01T00:00:00Z".parse().unwrap(),
        ended_at: None,
        allocations: variants.iter().map(|v| (v.id, v.allocation)).collect(),
        moved_units: false,
        outside: false,
        redrawn_at: None,
    };
    ExperimentRecord {
        experiment: Experiment {
            id: row.id,
            name: row.name.clone(),
            status: row.status,
            unit_type: row.unit_type.clone(),
            start_at: None,
            end_at: row.end_at,
            variants,
        },
        created_at: "2026-03-01T00:00:00Z".parse().unwrap(),
        epochs: vec![epoch],
        rollouts: vec![],
        last_decisions: BTreeMap::new(),
        rules: None,
        acts: vec![],
        thresholds: vec![],
        faults: vec![],
    }
}

/// The policies of a promotion file with this after its guardrail.
pub(super) fn policies(more: &str) -> Policies {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "rampkeeper.yml",
        "control: { url: \"sqlite:c.db\" }\nwarehouse: { lake: { path: lake } }\nregistry: { local: {} }\n",
    );
    write("metrics.yml", include_str!("../../config/metrics.example.yml"));
    write("promotion.yml", &format!("defaults:\n  guardrails: [{{ metric: acceptance_rate, margin: 0.05 }}]\n{more}"));
    crate::config::load(&dir.path().join("rampkeeper.yml")).unwrap().policies
}
