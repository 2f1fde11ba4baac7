//! The model registry: whether it answers and lets us in, and whether it has every version that an experiment serves.

use std::collections::BTreeMap;

use super::Asked;
use super::certificate;
use super::experiments::Known;
use super::finding::{Area, Finding, in_one_line, in_time};
use crate::cli::connect::{self, Patience};
use crate::cli::{address, mlflow};
use crate::control::ControlStore;
use crate::domain::{ModelVersion, Share};
use crate::registry::{Auth, MlflowRegistry, Registry, Service, VersionStatus};

const AREA: Area = Area::Registry;

/// What is to be said of the tracking server.
pub(super) async fn server(asked: &Asked<'_>) -> Vec<Finding> {
    let Some(entry) = &asked.config.settings.registry.mlflow else {
        return vec![Finding::ok(AREA, "registry", "embedded in the control store")];
    };
    let found = mlflow::find(asked.config, entry, Patience::SHORT, &mlflow::environment);
    let made = found.and_then(|found| Ok((MlflowRegistry::new(found.settings.clone())?, found)));
    let (registry, found) = match made {
        Ok(made) => made,
        Err(error) => {
            return vec![Finding::fail(
                AREA,
                "settings",
                in_one_line(&error),
                "correct `registry.mlflow` in the configuration, or the variable",
            )];
        }
    };
    let mut findings = vec![Finding::ok(AREA, "settings", found.origins.join(", "))];
    if !found.unheeded.is_empty() {
        let detail = format!("set for MLflow's own clients and not heeded here: {}", found.unheeded.join(", "));
        let mend = "if the server asks for it, let it in by a password or a token, too";
        findings.push(Finding::warn(AREA, "environment", detail, mend));
    }
    // A model that nobody has: an answer without any version is as good as one with some.
    let nobodys = match found.settings.service {
        Service::UnityCatalog => "main.default.rampkeeper-check",
        Service::Mlflow | Service::Databricks => "rampkeeper-check",
    };
    let (about, let_in) =
        tokio::join!(in_time(registry.about()), in_time(registry.versions_tagged(nobodys, "stage", "production")));
    let certificate = about.as_ref().ok().and_then(|about| about.certificate.clone());
    match let_in {
        Ok(_) => {
            let version = about.ok().and_then(|about| about.version);
            let version =
                version.map_or_else(|| "which does not tell its version".to_owned(), |v| format!("version {v}"));
            findings.push(Finding::ok(AREA, "server", format!("{}, {version}", registry.describe())));
        }
        Err(error) => {
            let mend = if error.contains("Invalid Host header") {
                "start MLflow with `--allowed-hosts` and the name by which it is called here"
            } else if error.contains(" 401") || error.contains(" 403") {
                "correct the user and password, or the token, where the line about the settings says they come from; the user must be allowed to edit the models"
            } else {
                "correct `registry.mlflow` in the configuration, or mend the server"
            };
            findings.push(Finding::fail(AREA, "server", error, mend));
        }
    }
    findings.extend(certificate::finding(AREA, certificate.as_deref(), asked.now));
    let secret = !matches!(found.settings.auth, Auth::None);
    let url = &found.settings.url;
    if secret && url.scheme() == "http" && !address::is_local(url.as_str()) {
        let detail = "the password or token is sent over http, where whoever is on the way can read it";
        findings.push(Finding::warn(
            AREA,
            "encryption",
            detail,
            "reach MLflow by https://…, with `ca_file` if the authority is your own",
        ));
    }
    findings
}

/// Whether the registry has the versions that the running experiments serve.
pub(super) async fn versions(asked: &Asked<'_>, store: Option<&ControlStore>, known: Option<&Known>) -> Vec<Finding> {
    let (Some(store), Some(known)) = (store, known) else { return Vec::new() };
    let registry = match connect::registry(asked.config, store, Patience::SHORT) {
        Ok(registry) => registry,
        // The server's line says so already.
        Err(_) => return Vec::new(),
    };
    let mut served: BTreeMap<&ModelVersion, String> = BTreeMap::new();
    for record in known.active() {
        for variant in record.experiment.variants.iter().filter(|variant| variant.allocation > Share::NONE) {
            let version = variant.config.as_ref().ok().and_then(|config| config.policy_version_id());
            if let Some(version) = version.and_then(|id| known.versions.get(&id)) {
                served.entry(version).or_insert_with(|| format!("{}, {}", record.experiment.name, variant.name));
            }
        }
    }
    let count = served.len();
    let looked_up = in_time(async {
        let mut findings = Vec::new();
        for (version, by) in served {
            findings.extend(look_up(registry.as_ref(), version, &by).await?);
        }
        Ok::<_, anyhow::Error>(findings)
    });
    match looked_up.await {
        Ok(findings) if !findings.is_empty() => findings,
        Ok(_) if count == 0 => vec![Finding::ok(AREA, "versions", "no running experiment serves any")],
        Ok(_) => vec![Finding::ok(AREA, "versions", format!("all {count} that are served are registered"))],
        Err(error) => vec![Finding::fail(AREA, "versions", error, "see what the line about the server says")],
    }
}

async fn look_up(registry: &dyn Registry, version: &ModelVersion, by: &str) -> anyhow::Result<Option<Finding>> {
    let what = version.to_string();
    let Some(found) = registry.version(version).await? else {
        let detail = format!("is served by {by}, and {} does not know it", registry.describe());
        let mend =
            "register it (in the embedded registry: give it a tag `stage`), or correct its row in exp.policy_versions";
        return Ok(Some(Finding::fail(AREA, what, detail, mend)));
    };
    let state = match found.status {
        VersionStatus::Ready => return Ok(None),
        VersionStatus::Pending => "is still being registered".to_owned(),
        VersionStatus::Failed(why) => format!("could not be registered: {why}"),
        VersionStatus::Other(status) => format!("has the status {status}"),
    };
    let detail = format!("is served by {by}, and {state}");
    Ok(Some(Finding::warn(AREA, what, detail, "see in the registry what became of it")))
}
