//! `replay`: a stored night made again from its stored moments. It must give the stored decisions.

use anyhow::anyhow;
use comfy_table::Cell;
use jiff::civil::Date;
use serde::Serialize;

use super::named::{self, all, short};
use super::output::table;
use super::remake::{Again, Stub, remake, together};
use super::shown::{Tone, listed, painted, plain};
use super::{Exit, Global, OutputFormat, as_of, connect, now, shown};
use crate::config;
use crate::control::{ControlStore, Wanted};

/// The arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: rampkeeper replay --as-of 2026-03-31

What was seen then is stored with every decision, and so are the rules and the facts. From them alone the night is judged \
again: nothing is asked of the warehouse, the present configuration plays no part, and nothing is changed. Ends with 3 if \
a decision comes out otherwise.")]
pub(super) struct ReplayArguments {
    /// One experiment, by its name or key; all of that night unless told.
    experiment: Option<String>,
}

#[derive(Debug, Serialize)]
struct Replay {
    schema_version: u32,
    as_of: Date,
    same: usize,
    wrong: usize,
    decisions: Vec<Answer>,
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    decision: Stub,
    #[serde(flatten)]
    again: Again,
}

/// Makes a night's decisions again.
pub(super) async fn replay(arguments: &ReplayArguments, global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::control(&config).await?;
    let as_of = as_of(global, now(global));
    let experiment = match &arguments.experiment {
        Some(name) => Some(named::experiment(&control, name).await?),
        None => None,
    };
    let id = experiment.as_ref().map(|named| named.id);
    let decisions = all(&control, Wanted { experiment: id, as_of: Some(as_of), ..Wanted::default() }).await?;
    if decisions.is_empty() {
        let of = experiment.map_or(String::new(), |named| format!(" of {}", plain(&named.name)));
        return Err(anyhow!("nothing was decided{of} for the night of {as_of}; {}", nights(&control, id).await?));
    }
    let mut answers = Vec::new();
    for group in together(decisions) {
        let (made, _) = remake(&control, group).await?;
        answers.extend(made.into_iter().map(|(decision, again)| Answer { decision, again }));
    }
    let replay = Replay {
        schema_version: 1,
        as_of,
        same: answers.iter().filter(|answer| answer.again == Again::Same).count(),
        wrong: answers.iter().filter(|answer| answer.again.is_wrong()).count(),
        decisions: answers,
    };
    match global.output {
        OutputFormat::Json => shown::json(&replay)?,
        OutputFormat::Text => print!("{}", text(&replay)),
    }
    Ok(if replay.wrong > 0 { Exit::Partial } else { Exit::Done })
}

/// Which nights there are.
async fn nights(control: &ControlStore, experiment: Option<crate::domain::ExperimentId>) -> anyhow::Result<String> {
    let decisions = all(control, Wanted { experiment, ..Wanted::default() }).await?;
    let nights = || decisions.iter().map(|decision| decision.as_of);
    Ok(match (nights().min(), nights().max()) {
        (Some(first), Some(last)) => format!("the first is {first} and the last {last}; name one with --as-of"),
        _ => "there is no decision at all yet".to_owned(),
    })
}

fn text(replay: &Replay) -> String {
    let mut rows = table(&["decision", "candidate", "stored", "made again"]);
    let mut details = String::new();
    for Answer { decision, again } in &replay.decisions {
        let name = plain(&format!("{}/{}", decision.experiment, decision.candidate));
        let revision = if decision.revision > 0 { format!(", revision {}", decision.revision) } else { String::new() };
        rows.add_row(vec![
            Cell::new(short(decision.id)),
            Cell::new(format!("{name}{revision}")),
            Cell::new(plain(&decision.outcome)),
            Cell::new(in_words(again)),
        ]);
        details.push_str(&told(decision, again));
    }
    let (count, same) = (replay.decisions.len(), replay.same);
    format!("Night of {}: {same} of {count} decisions come out the same\n{rows}\n{details}", replay.as_of)
}

/// What came out, in few words.
fn in_words(again: &Again) -> String {
    match again {
        Again::Same => painted("✓ the same", Tone::Good),
        Again::Different { outcome, .. } => painted(&format!("✗ different: {}", plain(outcome)), Tone::Bad),
        Again::Lost { .. } => painted("✗ lost", Tone::Bad),
        Again::NotKept => painted("– not kept", Tone::Open),
    }
}

/// What is different about one decision.
pub(super) fn told(decision: &Stub, again: &Again) -> String {
    let of = plain(&format!("{}/{}", decision.experiment, decision.candidate));
    let head =
        |why: &str| format!("\nDecision {} about {of}, night of {}: {why}\n", short(decision.id), decision.as_of);
    match again {
        Again::Same => String::new(),
        Again::NotKept => head("an older version made it, which kept no facts; it cannot be made again"),
        Again::Lost { why } => head(&plain(why)),
        Again::Different { differences, .. } => {
            let line = |d: &super::remake::Difference| {
                format!("{}: stored {}, made again {}", plain(&d.at), cut(&d.stored), cut(&d.again))
            };
            let lines = differences.iter().map(line);
            let head = head("what is stored does not follow from the stored moments, rules and facts");
            format!("{head}{}", listed("·", lines))
        }
    }
}

/// At most 120 characters of a value.
fn cut(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", plain(&text[..end])),
        None => plain(text),
    }
}
