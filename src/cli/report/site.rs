//! `report --html` and `--open`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{ReportArguments, wanted};
use crate::cli::{Exit, Global, OutputFormat, shown};
use crate::config::Config;
use crate::control::ControlStore;
use crate::night::{Extent, SiteWritten, write_site};

/// Writes the site, or brings it up to date, and opens it if that is wanted.
pub(super) async fn site(
    config: &Config,
    control: &ControlStore,
    arguments: &ReportArguments,
    global: &Global,
) -> anyhow::Result<Exit> {
    let folder = match (&arguments.html, &config.settings.reports) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => config.base.join(folder),
        (None, None) => {
            eprintln!(
                "error: there are no pages to open: give a folder by --html DIR, or set `reports` in {}",
                global.config.display()
            );
            return Ok(Exit::Usage);
        }
    };
    // Before anything is written: a night that is not there has no page.
    let night = match global.as_of {
        Some(as_of) => Some(wanted(control, Some(as_of)).await?),
        None => None,
    };
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} experiment {pos}/{len}  {elapsed}")?);
    let progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let extent = Extent { nights: arguments.nights, pages: None };
    let written = write_site(control, &folder, extent, &progress).await;
    bar.finish_and_clear();
    let written = written?;
    let page = match night {
        Some(as_of) => folder.join("nights").join(format!("{as_of}.html")),
        None => written.index.clone(),
    };
    if !page.exists() {
        return Err(anyhow!(
            "{} is not among the last {} nights; give more by --nights",
            page.display(),
            arguments.nights
        ));
    }
    let opened = arguments.open.then(|| open(&page));
    show(&written, &page, opened, global.output)?;
    Ok(Exit::Done)
}

/// Shows a page in the browser of whoever asked. Gives where it lies, and why it was not shown.
fn open(page: &Path) -> (PathBuf, Option<String>) {
    let page = page.canonicalize().unwrap_or_else(|_| page.to_owned());
    let why = open::that_detached(&page).err().map(|error| error.to_string());
    (page, why)
}

fn show(
    written: &SiteWritten,
    page: &Path,
    opened: Option<(PathBuf, Option<String>)>,
    output: OutputFormat,
) -> anyhow::Result<()> {
    if output == OutputFormat::Json {
        return shown::json(&json!({
            "schema_version": 1,
            "page": page,
            "nights": written.nights,
            "experiments": written.experiments,
            "written": written.written,
            "unchanged": written.unchanged,
            "removed": written.removed,
            "opened": opened.as_ref().map(|(_, why)| why.is_none()),
        }));
    }
    let SiteWritten { nights, experiments, written, unchanged, removed, .. } = written;
    println!(
        "nights: {nights}, experiments: {experiments}; files: {written} written, {unchanged} unchanged, {removed} removed"
    );
    match opened {
        None => println!("{}", shown::plain(&page.display().to_string())),
        Some((page, None)) => println!("opened {}", shown::plain(&page.display().to_string())),
        Some((page, Some(why))) => {
            eprintln!("no browser could be opened ({}); the page is", shown::plain(&why));
            println!("{}", shown::plain(&page.display().to_string()));
        }
    }
    Ok(())
}
