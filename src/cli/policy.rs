//! `policy sync` and `policy add`: policies and the model versions behind theirs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use serde_json::json;

use super::connect::{self, Patience};
use super::shown::{self, plain};
use super::sync::{SyncArguments, carry_out};
use super::{Exit, Global, OutputFormat};
use crate::config::{self, Config, Filed, PoliciesFile, PolicyVersionEntry, append_version};
use crate::control::{Catalogue, ControlStore, Kind};
use crate::domain::{ModelVersion, VersionStatus};
use crate::registry::Registry;
use crate::route::{Comparison, Registered, WantedFamily, compare_versions, drift, policies_of};

/// What is done with policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Write policies.yml into exp.policies and exp.policy_versions: shows a plan, and carries it out in one transaction.
    ///
    /// Repeated, it finds nothing to do. Example: rampkeeper policy sync --dry-run
    Sync(SyncArguments),
    /// Make the next version of a policy from a model version of the registry.
    ///
    /// Without --write it shows what would be added to policies.yml, and changes nothing. Example: rampkeeper policy add
    /// planner_policy --model planner_model --version 5 --write
    Add(AddArguments),
}

/// A version that is to be added.
#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// The policy.
    policy: String,
    /// The registered model.
    #[arg(long, value_name = "NAME")]
    model: String,
    /// The model's version, as the registry has it.
    #[arg(long, value_name = "VERSION")]
    version: String,
    /// What is new in it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Add it to policies.yml, whose other lines stay as they are, and to the tables.
    #[arg(long)]
    write: bool,
}

/// Carries out `policy …`.
pub(super) async fn policy(global: &Global, command: &PolicyCommand) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Sync(arguments) => sync(global, arguments).await,
        PolicyCommand::Add(arguments) => add(global, arguments).await,
    }
}

async fn sync(global: &Global, arguments: &SyncArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let given = arguments.file.clone();
    let path = given.unwrap_or_else(|| config.path_of(config.settings.policies.as_ref(), "policies.yml"));
    let filed = Filed::<PoliciesFile>::load(&path)?;
    let control = connect::control(&config).await?;
    let registry = connect::registry(&config, &control, Patience::OF_A_NIGHT)?;
    let comparison = compare(&config, &control, registry.as_ref(), &filed).await?;
    carry_out(global, arguments, &control, comparison).await
}

async fn compare(
    config: &Config,
    control: &ControlStore,
    registry: &dyn Registry,
    filed: &Filed<PoliciesFile>,
) -> anyhow::Result<Comparison> {
    let wanted = policies_of(&filed.file);
    let catalogue = control.load_catalogue().await?;
    let fault = |at: &str, message: String| filed.fault(at, message);
    let mut comparison = compare_versions(Kind::Policy, &wanted, &catalogue, &fault);
    let mut registered = ask(registry, &wanted, &catalogue).await?;
    if config.settings.registry.mlflow.is_none() {
        // The embedded registry knows a version once something is said of it.
        registered.versions.retain(|_, info| info.is_some());
    }
    drift(&mut comparison, &wanted, &catalogue, &registered, &fault);
    Ok(comparison)
}

/// What the registry says of every model version that the file or the tables name.
async fn ask(registry: &dyn Registry, wanted: &[WantedFamily], catalogue: &Catalogue) -> anyhow::Result<Registered> {
    let in_file = wanted.iter().flat_map(|family| &family.versions).filter_map(|version| version.model());
    let in_tables = catalogue.policy_versions.iter().filter_map(|row| row.model());
    let versions: BTreeSet<ModelVersion> = in_file.chain(in_tables).collect();
    let models: BTreeSet<&str> = versions.iter().map(|version| version.model.as_str()).collect();
    let mut registered = Registered { registry: registry.describe(), ..Registered::default() };
    let asking = || format!("the model versions were not checked against {}", registry.describe());
    for version in &versions {
        let info = registry.version(version).await.with_context(asking)?;
        registered.versions.insert(version.clone(), info);
    }
    for model in models {
        for alias in ["champion", "challenger"] {
            if let Some(found) = registry.alias(model, alias).await.with_context(asking)? {
                registered.aliases.insert((model.to_owned(), alias.to_owned()), found);
            }
        }
    }
    Ok(registered)
}

async fn add(global: &Global, arguments: &AddArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let path = config.path_of(config.settings.policies.as_ref(), "policies.yml");
    let filed = Filed::<PoliciesFile>::load(&path)?;
    let control = connect::control(&config).await?;
    let registry = connect::registry(&config, &control, Patience::OF_A_NIGHT)?;
    let catalogue = control.load_catalogue().await?;
    let model = ModelVersion { model: arguments.model.clone(), version: arguments.version.clone() };
    let listed = filed.file.policies.iter().filter(|policy| policy.name == arguments.policy);
    let in_file: Vec<&PolicyVersionEntry> = listed.flat_map(|policy| &policy.versions).collect();
    let same = |v: &&&PolicyVersionEntry| v.mlflow_model_name == model.model && v.mlflow_model_version == model.version;
    if let Some(before) = in_file.iter().find(same) {
        bail!("{model} is version {} of {} already ({})", before.version, arguments.policy, path.display());
    }
    let family = catalogue.policies.iter().find(|policy| policy.name == arguments.policy);
    let in_tables = catalogue.policy_versions.iter().filter(|row| family.is_some_and(|f| f.id == row.family));
    let last = in_tables.map(|row| row.version).chain(in_file.iter().map(|v| v.version)).max().unwrap_or(0);
    let entry = PolicyVersionEntry {
        version: last + 1,
        description: arguments.description.clone(),
        mlflow_model_name: model.model.clone(),
        mlflow_model_version: model.version.clone(),
        status: VersionStatus::Active,
        config_defaults: in_file
            .iter()
            .max_by_key(|v| v.version)
            .map(|v| v.config_defaults.clone())
            .unwrap_or_default(),
    };
    let appended = append_version(&filed, &arguments.policy, &entry).map_err(|why| anyhow!(why))?;
    // The whole file as it would be, so that whatever else is wrong is told before anything is written.
    let after = Filed::<PoliciesFile>::parse(&path, &appended.text)?;
    let comparison = compare(&config, &control, registry.as_ref(), &after).await?;
    if arguments.write && comparison.faults.is_empty() {
        replace(&path, &filed.text, &appended.text)?;
    }
    let shown_as = format!("{}/{}", arguments.policy, entry.version);
    if !arguments.write && comparison.faults.is_empty() {
        match global.output {
            OutputFormat::Json => shown::json(&json!({
                "schema_version": 1, "written": false, "version": shown_as, "lines": appended.lines,
            }))?,
            OutputFormat::Text => println!(
                "{} would be {}. Nothing was changed; --write adds these lines to {}, and the version to the tables:\n\n{}",
                plain(&shown_as),
                plain(&model.to_string()),
                path.display(),
                appended.lines.trim_end()
            ),
        }
        return Ok(Exit::Done);
    }
    let faulty = !comparison.faults.is_empty();
    let arguments = SyncArguments { file: None, dry_run: false, detailed_exitcode: false };
    if faulty {
        return carry_out(global, &arguments, &control, comparison).await;
    }
    carry_out(global, &arguments, &control, comparison).await.with_context(|| {
        format!("{shown_as} is in {} and not in the tables yet; `rampkeeper policy sync` adds it", path.display())
    })
}

/// Replaces the file's text at once, if it is still what was read.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    let now = std::fs::read_to_string(path).with_context(|| format!("could not read {} again", path.display()))?;
    if now != before {
        bail!("{} changed while it was looked at; nothing was written, try again", path.display());
    }
    let unfinished = path.with_extension("yml.tmp");
    std::fs::write(&unfinished, after).with_context(|| format!("could not write {}", unfinished.display()))?;
    if let Ok(meta) = std::fs::metadata(path) {
        std::fs::set_permissions(&unfinished, meta.permissions()).ok();
    }
    std::fs::rename(&unfinished, path).with_context(|| format!("could not replace {}", path.display()))
}
