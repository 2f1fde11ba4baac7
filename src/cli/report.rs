//! `report`: a recorded night again: as text, as JSON, as a site, or as its mail.

mod resend;
mod site;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::anyhow;
use jiff::civil::Date;

use super::{Exit, Global, OutputFormat, connect, shown};
use crate::config;
use crate::control::ControlStore;
use crate::night::{NIGHTS, NightOnRecord, SiteError, night_on_record};
use crate::report::render_text;

/// The arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rampkeeper report                                   the last night, as its mail told it
  rampkeeper report --as-of 2026-03-30 --output json  that night as it is stored
  rampkeeper report --html site --open                every night and experiment as pages, opened in a browser
  rampkeeper report --resend --to ana@example.com     the last night's mail again, to somebody else

Nothing is decided and nothing is changed: what is shown is what was recorded.")]
pub(super) struct ReportArguments {
    /// Write pages into this folder: an index, the nights, the experiments with their pictures and their history. They are
    /// read without a server. Written again, only what changed is written.
    #[arg(long, value_name = "DIR", conflicts_with = "resend")]
    html: Option<PathBuf>,
    /// How many of the latest nights the pages show; of each experiment, too.
    #[arg(long, value_name = "NIGHTS", default_value_t = NIGHTS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    nights: u32,
    /// Open the pages in a browser, those of `--html` or else those in the folder `reports` of the configuration; with
    /// `--as-of` the page of that night. Where there is no browser, the path is printed.
    #[arg(long, conflicts_with = "resend")]
    open: bool,
    /// Send the mails of the night again: the same, under the same Message-ID.
    #[arg(long)]
    resend: bool,
    /// Send them to this address instead, under a new Message-ID; may be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "resend")]
    to: Vec<String>,
}

/// Shows, writes or sends a night that is on record.
pub(super) async fn report(arguments: &ReportArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    if arguments.resend {
        let as_of = wanted(&control, global.as_of).await?;
        return resend::resend(&config, &control, as_of, &arguments.to, global.output).await;
    }
    if arguments.html.is_some() || arguments.open {
        return site::site(&config, &control, arguments, global).await;
    }
    let night = night(&control, global.as_of).await?;
    match global.output {
        OutputFormat::Json => shown::json(&night.report)?,
        OutputFormat::Text => {
            let width = if std::io::stdout().is_terminal() { comfy_table::Table::new().width() } else { None };
            for line in render_text(&night.report).lines() {
                let line = shown::plain(line);
                println!("{}", width.map_or(line.clone(), |width| fold(&line, usize::from(width))));
            }
        }
    }
    Ok(Exit::Done)
}

/// The night that is asked for, or the last one.
async fn night(control: &ControlStore, as_of: Option<Date>) -> anyhow::Result<NightOnRecord> {
    let as_of = wanted(control, as_of).await?;
    night_on_record(control, as_of).await?.ok_or_else(|| anyhow!("the night of {as_of} is not on record any more"))
}

/// The date of the night that is asked for, or of the last one.
async fn wanted(control: &ControlStore, as_of: Option<Date>) -> anyhow::Result<Date> {
    let latest = control.nights(as_of.unwrap_or(Date::MAX), 1).await?;
    match (as_of, latest.first()) {
        (None, Some(last)) => Ok(*last),
        (Some(as_of), Some(found)) if as_of == *found => Ok(as_of),
        (None, None) => Err(anyhow!("no night is on record yet; `rampkeeper run` makes the first")),
        (Some(as_of), _) => {
            let known = control.nights(Date::MAX, 3).await?;
            Err(SiteError::NoNight { as_of, known }.into())
        }
    }
}

/// A line folded between its words, what follows as far from the edge as its beginning.
fn fold(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let indent = " ".repeat(indent.min(width / 2));
    let (mut folded, mut used) = (indent.clone(), indent.len());
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > indent.len() {
            if used + 1 + length > width {
                folded.push_str(&format!("\n{indent}"));
                used = indent.len();
            } else {
                folded.push(' ');
                used += 1;
            }
        }
        for letter in word.chars() {
            if used >= width {
                folded.push_str(&format!("\n{indent}"));
                used = indent.len();
            }
            folded.push(letter);
            used += 1;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn lines_are_folded_between_words_and_long_words_anywhere() {
        assert_eq!(fold("  a bb ccc", 6), "  a bb\n  ccc");
        assert_eq!(fold("abcdefgh ij", 5), "abcde\nfgh\nij");
        assert_eq!(fold("", 5), "");
    }
}
