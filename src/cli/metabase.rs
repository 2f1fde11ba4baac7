//! `metabase`: dashboards, pushed to a Metabase server or written out as files.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;

use super::{Exit, OutputFormat, address, shown};
use crate::config::SecretRef;
use crate::metabase::{Api, Change, Content, Deed, FILES, Outcome, Target, push};

/// What `metabase` takes.
#[derive(Debug, clap::Args)]
pub(super) struct MetabaseArguments {
    #[command(subcommand)]
    command: MetabaseCommand,
}

#[derive(Debug, clap::Subcommand)]
enum MetabaseCommand {
    /// Make a Metabase have our models, questions and dashboards; touch nothing else in it.
    ///
    /// A second push changes nothing. Example: rampkeeper metabase push --url https://metabase.example.com --dry-run
    Push(PushArguments),
    /// Write the files, in the format that Metabase's own serialization reads.
    Export {
        /// The folder.
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct PushArguments {
    /// Metabase's address.
    #[arg(long, env = "METABASE_URL", value_name = "URL")]
    url: Option<String>,
    /// The environment variable that holds the API key.
    #[arg(long, value_name = "NAME", default_value = "METABASE_API_KEY", conflicts_with = "key_file")]
    key_env: String,
    /// A file that holds the API key.
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// The collection, by its name; it is made if it is not there.
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The database with the schema rampkeeper, as Metabase calls it; needed where it has several PostgreSQL databases.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Say what would be changed and change nothing; without --url, say what there is to push.
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub(super) async fn metabase(arguments: &MetabaseArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    match &arguments.command {
        MetabaseCommand::Push(arguments) => push_all(arguments, output).await,
        MetabaseCommand::Export { directory } => export(directory, output),
    }
}

async fn push_all(arguments: &PushArguments, output: OutputFormat) -> anyhow::Result<Exit> {
    let content = Content::embedded().map_err(|fault| anyhow!("the embedded files of Metabase: {fault}"))?;
    let Some(url) = &arguments.url else {
        if !arguments.dry_run {
            return Err(anyhow!(
                "where is Metabase? Give --url, or METABASE_URL; --dry-run alone says what there is to push"
            ));
        }
        tell_content(&content, output)?;
        return Ok(Exit::Done);
    };
    let key = match &arguments.key_file {
        Some(file) => SecretRef { env: None, file: Some(file.clone()) },
        None => SecretRef { env: Some(arguments.key_env.clone()), file: None },
    };
    let key = key.read(Path::new("")).map_err(|why| anyhow!("the API key of Metabase: {why}"))?;
    if url.starts_with("http://") && !address::is_local(url) {
        tracing::warn!("the API key is sent over http, where whoever is on the way can read it");
    }
    let api = Api::new(url, key)?;
    let target = Target {
        collection: arguments.collection.as_deref(),
        database: arguments.database.as_deref(),
        dry_run: arguments.dry_run,
    };
    let outcome =
        push(&api, &content, target).await.context("the push to Metabase stopped; repeat it, it goes on from there")?;
    for left in &outcome.left_alone {
        tracing::warn!("{left}");
    }
    match output {
        OutputFormat::Json => shown::json(&json!({
            "schema_version": 1,
            "server": api.server(),
            "dry_run": arguments.dry_run,
            "push": outcome,
        }))?,
        OutputFormat::Text => println!("{}", told(&outcome, &api, arguments.dry_run)),
    }
    Ok(Exit::Done)
}

fn told(outcome: &Outcome, api: &Api, dry_run: bool) -> String {
    let mut told = format!(
        "{}, collection {}, database {}\n",
        api.server(),
        shown::plain(&outcome.collection),
        shown::plain(&outcome.database)
    );
    for Change { deed, kind, name, what } in &outcome.changes {
        let deed = match (deed, dry_run) {
            (Deed::Create, false) => "created",
            (Deed::Create, true) => "would create",
            (Deed::Change, false) => "changed",
            (Deed::Change, true) => "would change",
            (Deed::Archive, false) => "archived",
            (Deed::Archive, true) => "would archive",
        };
        let what = if what.is_empty() { String::new() } else { format!(" ({})", what.join(", ")) };
        told.push_str(&format!("{deed:13} {kind:10} {}{what}\n", shown::plain(name)));
    }
    let as_it_should_be = match outcome.unchanged {
        1 => "1 is as it should be".to_owned(),
        n => format!("{n} are as they should be"),
    };
    told.push_str(&as_it_should_be);
    told
}

/// What there is to push.
fn tell_content(content: &Content, output: OutputFormat) -> anyhow::Result<()> {
    let cards = content.cards.iter().map(|card| (card.kind.as_str(), &card.name, &card.description));
    let dashboards = content.dashboards.iter().map(|d| ("dashboard", &d.name, &d.description));
    let all: Vec<_> = cards.chain(dashboards).collect();
    match output {
        OutputFormat::Json => {
            let all: Vec<_> = all
                .iter()
                .map(|(kind, name, description)| json!({ "kind": kind, "name": name, "description": description }))
                .collect();
            shown::json(&json!({ "schema_version": 1, "collection": content.collection.name, "content": all }))?;
        }
        OutputFormat::Text => {
            all.iter().for_each(|(kind, name, description)| println!("{kind:10} {name}: {description}"));
        }
    }
    Ok(())
}

fn export(directory: &Path, output: OutputFormat) -> anyhow::Result<Exit> {
    for (path, text) in FILES {
        let path = directory.join(path);
        let folder = path.parent().unwrap_or(directory);
        std::fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))?;
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    match output {
        OutputFormat::Json => shown::json(&json!({ "schema_version": 1, "files": FILES.len() }))?,
        OutputFormat::Text => println!("{} files are in {}", FILES.len(), directory.display()),
    }
    Ok(Exit::Done)
}
