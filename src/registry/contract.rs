//! What every registry must do, whichever it is. Run against the local registry, against MLflow's behaviour as written
//! down in `fake_mlflow.rs`, and (from `tests/suite/registry_real.rs`) against a real MLflow server.

use super::{ModelVersion, Registry, RegistryError};

/// Holds a registry to the contract.
///
/// `versions` are three existing versions of one model, by rising number, without aliases and without the tags that
/// are set here.
pub async fn holds(registry: &dyn Registry, versions: &[ModelVersion; 3]) {
    assert!(!registry.describe().is_empty());
    tags(registry, versions).await;
    aliases(registry, versions).await;
    refusals(registry, versions).await;
}

async fn tags(registry: &dyn Registry, versions: &[ModelVersion; 3]) {
    let [first, second, third] = versions;
    let model = first.model.as_str();
    assert!(registry.version(first).await.unwrap().unwrap().aliases.is_empty());
    assert!(registry.versions_tagged(model, "stage", "production").await.unwrap().is_empty());

    registry.set_tag(third, "stage", "production").await.unwrap();
    registry.set_tag(first, "stage", "production").await.unwrap();
    registry.set_tag(second, "stage", "Production").await.unwrap();
    let found = registry.versions_tagged(model, "stage", "production").await.unwrap();
    assert_eq!(found, [first.clone(), third.clone()], "by rising number, case and all");

    // Over what was there, and once more without a change.
    for _ in 0..2 {
        registry.set_tag(first, "stage", "archived").await.unwrap();
    }
    assert_eq!(registry.version(first).await.unwrap().unwrap().tags["stage"], "archived");
    assert_eq!(registry.versions_tagged(model, "stage", "production").await.unwrap(), std::slice::from_ref(third));

    // Values that a filter could trip over.
    for value in ["it's", "say \"no\"", "it's \"both\"", "a\\b", "ünï 100 %", "x' OR name = 'y", "`tick`"] {
        registry.set_tag(second, "rampkeeper.reason: a/b", value).await.unwrap();
        assert_eq!(registry.version(second).await.unwrap().unwrap().tags["rampkeeper.reason: a/b"], value);
        let found = registry.versions_tagged(model, "rampkeeper.reason: a/b", value).await.unwrap();
        assert_eq!(found, std::slice::from_ref(second), "{value}");
    }
}

async fn aliases(registry: &dyn Registry, versions: &[ModelVersion; 3]) {
    let [first, second, _] = versions;
    let model = first.model.as_str();
    assert_eq!(registry.alias(model, "champion").await.unwrap(), None);
    registry.delete_alias(model, "champion").await.unwrap();

    for _ in 0..2 {
        registry.set_alias(first, "champion").await.unwrap();
    }
    assert_eq!(registry.alias(model, "champion").await.unwrap().as_ref(), Some(first));
    registry.set_alias(second, "champion").await.unwrap();
    registry.set_alias(second, "archived-best").await.unwrap();
    assert_eq!(registry.alias(model, "champion").await.unwrap().as_ref(), Some(second));
    assert_eq!(registry.version(second).await.unwrap().unwrap().aliases, ["archived-best", "champion"]);
    assert!(registry.version(first).await.unwrap().unwrap().aliases.is_empty());
    let listed = registry.versions(model).await.unwrap().unwrap();
    let numbers: Vec<_> = listed.iter().map(|found| &found.version).collect();
    assert_eq!(numbers, versions.iter().collect::<Vec<_>>(), "all of them, by rising number");
    for found in &listed {
        assert_eq!(registry.version(&found.version).await.unwrap().as_ref(), Some(&found.info), "the same as alone");
    }
    // Two aliases that differ by case are two.
    assert_eq!(registry.alias(model, "Champion").await.unwrap(), None);

    for _ in 0..2 {
        registry.delete_alias(model, "champion").await.unwrap();
    }
    assert_eq!(registry.alias(model, "champion").await.unwrap(), None);
}

async fn refusals(registry: &dyn Registry, versions: &[ModelVersion; 3]) {
    let [first, ..] = versions;
    let missing = ModelVersion { model: first.model.clone(), version: "999999".into() };
    assert_eq!(registry.version(&missing).await.unwrap(), None);
    let error = registry.set_alias(&missing, "champion").await.unwrap_err();
    assert!(matches!(&error, RegistryError::NoSuchVersion { version, .. } if *version == missing), "{error}");
    assert!(!error.is_transient());
    assert_eq!(registry.alias(&first.model, "champion").await.unwrap(), None);

    let stranger = ModelVersion { model: "no such model".into(), version: "1".into() };
    assert_eq!(registry.version(&stranger).await.unwrap(), None);
    assert_eq!(registry.alias(&stranger.model, "champion").await.unwrap(), None);
    assert_eq!(registry.versions(&stranger.model).await.unwrap(), None);
    assert!(registry.versions_tagged(&stranger.model, "stage", "production").await.unwrap().is_empty());
    registry.delete_alias(&stranger.model, "champion").await.unwrap();

    for alias in ["latest", "v1", "no spaces", ""] {
        assert!(registry.set_alias(first, alias).await.is_err(), "{alias}");
    }
    assert!(registry.set_tag(first, "key'", "x").await.is_err());
}
