//! `prompts sync`: prompts and the files behind their versions.

use std::path::Path;

use clap::Subcommand;

use super::sync::{SyncArguments, carry_out};
use super::{Exit, Global, connect};
use crate::config::{self, Filed, PromptsFile};
use crate::control::Kind;
use crate::domain::VersionStatus;
use crate::route::{compare_versions, prompts_of};

/// What is done with prompts.
#[derive(Debug, Subcommand)]
pub(super) enum PromptsCommand {
    /// Write prompts.yml into exp.prompts and exp.prompt_versions: shows a plan, and carries it out in one transaction.
    ///
    /// Repeated, it finds nothing to do. Example: rampkeeper prompts sync --dry-run
    Sync(SyncArguments),
}

/// Carries out `prompts …`.
pub(super) async fn prompts(global: &Global, command: &PromptsCommand) -> anyhow::Result<Exit> {
    let PromptsCommand::Sync(arguments) = command;
    let config = config::load(&global.config)?;
    let given = arguments.file.clone();
    let path = given.unwrap_or_else(|| config.path_of(config.settings.prompts.as_ref(), "prompts.yml"));
    let filed = Filed::<PromptsFile>::load(&path)?;
    let control = connect::control(&config).await?;
    let catalogue = control.load_catalogue().await?;
    let fault = |at: &str, message: String| filed.fault(at, message);
    let mut comparison = compare_versions(Kind::Prompt, &prompts_of(&filed.file), &catalogue, &fault);
    let folder = path.parent().unwrap_or(Path::new(""));
    for (i, prompt) in filed.file.prompts.iter().enumerate() {
        for (j, version) in prompt.versions.iter().enumerate() {
            let template = folder.join(&version.file_path);
            // What is not available any more may be gone.
            if version.status != VersionStatus::Archived && !template.is_file() {
                let message =
                    format!("there is no file {}; a relative path starts at this file's folder", template.display());
                comparison.faults.push(filed.fault(&format!("/prompts/{i}/versions/{j}/file_path"), message));
            }
        }
    }
    carry_out(global, arguments, &control, comparison).await
}
