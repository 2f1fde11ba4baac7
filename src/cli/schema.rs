//! `schema`: the JSON Schema of the configuration files, for editors and for CI.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Exit, OutputFormat, shown};
use crate::config::ConfigFile;
use crate::simulate::World;

/// The arguments of `schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper schema --directory config/schema

An editor with a YAML language server checks a file and completes its keys after this first line:

  # yaml-language-server: $schema=schema/promotion.schema.json")]
pub(super) struct SchemaArguments {
    /// One file's schema; all of them unless told.
    #[arg(value_enum)]
    of: Option<SchemaName>,
    /// Write them into this folder, as NAME.schema.json, and not to standard output.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SchemaName {
    /// rampkeeper.yml: where everything lies.
    Config,
    /// metrics.yml: what is measured.
    Metrics,
    /// promotion.yml: how candidates are judged.
    Promotion,
    /// policies.yml: policies and the model versions behind theirs.
    Policies,
    /// experiments.yml: experiments and what they begin with.
    Experiments,
    /// prompts.yml: prompts and the files behind their versions.
    Prompts,
    /// The file of `simulate --world`.
    Simulation,
}

impl SchemaName {
    fn word(self) -> &'static str {
        match self {
            SchemaName::Config => "config",
            SchemaName::Metrics => "metrics",
            SchemaName::Promotion => "promotion",
            SchemaName::Policies => "policies",
            SchemaName::Experiments => "experiments",
            SchemaName::Prompts => "prompts",
            SchemaName::Simulation => "simulation",
        }
    }

    fn schema(self) -> Value {
        match self {
            SchemaName::Config => ConfigFile::Settings.schema(),
            SchemaName::Metrics => ConfigFile::Metrics.schema(),
            SchemaName::Promotion => ConfigFile::Promotion.schema(),
            SchemaName::Policies => ConfigFile::Policies.schema(),
            SchemaName::Experiments => ConfigFile::Experiments.schema(),
            SchemaName::Prompts => ConfigFile::Prompts.schema(),
            SchemaName::Simulation => World::schema(),
        }
    }
}

/// Writes the schemas.
pub(super) fn schema(arguments: &SchemaArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    let wanted = match arguments.of {
        Some(one) => vec![one],
        None => SchemaName::value_variants().to_vec(),
    };
    let Some(directory) = &arguments.directory else {
        // One schema as it is, so that it can be piped into a file; several under their names.
        match wanted.as_slice() {
            [one] => shown::json(&one.schema())?,
            several => {
                let schemas: serde_json::Map<String, Value> =
                    several.iter().map(|name| (name.word().to_owned(), name.schema())).collect();
                shown::json(&json!({ "schema_version": 1, "schemas": schemas }))?;
            }
        }
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(directory).with_context(|| format!("could not make the folder {}", directory.display()))?;
    let mut written = Vec::new();
    for name in wanted {
        let path = directory.join(format!("{}.schema.json", name.word()));
        let text = format!("{}\n", serde_json::to_string_pretty(&name.schema())?);
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        written.push(path.display().to_string());
    }
    match output {
        OutputFormat::Json => shown::json(&json!({ "schema_version": 1, "written": written }))?,
        OutputFormat::Text => written.iter().for_each(|path| println!("{}", shown::plain(path))),
    }
    Ok(Exit::Done)
}
