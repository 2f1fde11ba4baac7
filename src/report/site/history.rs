//! What happened to an experiment, the latest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::card::done;
use super::story::{CandidateStory, Event, Happened, PastNight, Story};
use super::words::{clock, visible};
use crate::decide::{Finding, Outcome};
use crate::domain::ActKind;

/// A line of the history.
#[derive(Serialize)]
pub(super) struct Row {
    /// `night`, or what else it was.
    kind: &'static str,
    /// When, as people read it.
    when: String,
    /// The night's page, if it has one.
    page: Option<String>,
    /// What.
    word: String,
    tone: &'static str,
    /// Of which candidate.
    candidate: Option<String>,
    /// The share, before and after.
    share: Option<String>,
    /// Why, a sentence each.
    why: Vec<String>,
    /// The guardrail with the most evidence of harm.
    leading: Option<String>,
    /// The decision's key.
    decision: Option<String>,
    revision: i64,
}

/// Nights on which nothing changed, told as one line.
const QUIET_ALIKE: usize = 2;

/// All lines.
pub(super) fn rows(story: &Story) -> Vec<Row> {
    let several = story.candidates.len() > 1;
    let mut rows: Vec<(Timestamp, u8, Row)> = Vec::new();
    for candidate in &story.candidates {
        rows.extend(nights(candidate, several, &story.pages));
    }
    for happened in &story.events {
        if let Some(row) = between(happened) {
            rows.push((happened.at, rank(&happened.what), row));
        }
    }
    rows.sort_by_key(|(at, rank, _)| (*at, *rank));
    rows.into_iter().rev().map(|(_, _, row)| row).collect()
}

/// What comes first of what bears the same time: what people said, then what a night noticed, decided and set.
fn rank(event: &Event) -> u8 {
    match event {
        Event::Act { .. } | Event::Enrolled { .. } => 0,
        Event::Amendment { .. } => 1,
        Event::Epoch { outside, number, enrolled, .. } if *outside || *enrolled || *number == 0 => 2,
        Event::Epoch { .. } => 4,
        Event::Incident { .. } => 5,
    }
}

fn nights(candidate: &CandidateStory, several: bool, pages: &[Date]) -> Vec<(Timestamp, u8, Row)> {
    let mut rows = Vec::new();
    let mut at = 0;
    while let Some(night) = candidate.nights.get(at) {
        let alike = candidate.nights[at..].iter().take_while(|other| is_same_hold(night, other)).count();
        let row = if alike > QUIET_ALIKE {
            // Of nights that were held for the same, the last one stands for all.
            let last = &candidate.nights[at + alike - 1];
            let mut row = row(last, several.then_some(candidate), pages);
            row.when = format!("{} to {}", night.as_of, last.as_of);
            row.word = format!("held, {alike} nights");
            rows.push((last.decided_at, 3, row));
            at += alike;
            continue;
        } else {
            row(night, several.then_some(candidate), pages)
        };
        rows.push((night.decided_at, 3, row));
        at += 1;
    }
    rows
}

/// Whether both nights held, and for reasons of the same kind.
fn is_same_hold(one: &PastNight, other: &PastNight) -> bool {
    let kinds = |night: &PastNight| night.decision.reasons.iter().map(|reason| reason.kind()).collect::<Vec<_>>();
    let held = |night: &PastNight| night.decision.outcome == Outcome::Hold && night.revision == 0;
    held(one) && held(other) && one.share == other.share && kinds(one) == kinds(other)
}

fn row(night: &PastNight, of: Option<&CandidateStory>, pages: &[Date]) -> Row {
    let (word, tone) = done(&night.decision.outcome);
    let before = night.share.map_or("?".to_owned(), |share| share.to_string());
    let share = match &night.decision.outcome {
        Outcome::Rollback => format!("{before} → 0 %"),
        Outcome::Promote => format!("{before} → 100 %"),
        Outcome::Ramp { to, .. } => format!("{before} → {to}"),
        Outcome::Hold => before,
    };
    let guardrails = &night.assessment.guardrails;
    let leading = guardrails.iter().rev().max_by(|a, b| a.log_e_harm.total_cmp(&b.log_e_harm));
    Row {
        kind: "night",
        when: night.as_of.to_string(),
        page: pages.binary_search(&night.as_of).is_ok().then(|| format!("../nights/{}.html", night.as_of)),
        word: word.to_owned(),
        tone,
        candidate: of.map(|candidate| visible(&candidate.name)),
        share: Some(share),
        why: night.decision.reasons.iter().map(|reason| visible(&reason.to_string())).collect(),
        leading: leading.map(|reading| format!("{} {}", visible(&reading.metric), Finding::from(reading).measured())),
        decision: Some(night.id.to_string()),
        revision: night.revision,
    }
}

fn between(happened: &Happened) -> Option<Row> {
    let row = |kind, word: String, why: Vec<String>, candidate: Option<&String>| Row {
        kind,
        when: clock(happened.at),
        page: None,
        word,
        tone: "open",
        candidate: candidate.map(|name| visible(name)),
        share: None,
        why: why.iter().map(|why| visible(why)).collect(),
        leading: None,
        decision: None,
        revision: 0,
    };
    Some(match &happened.what {
        // The rules that it began with are no change.
        Event::Amendment { changes, .. } if changes.is_empty() => return None,
        Event::Amendment { changes, restarts_with } => {
            let mut why = changes.clone();
            why.extend(restarts_with.map(|from| format!("the evidence begins anew with the units of {from}")));
            row("rules", "rules changed".to_owned(), why, None)
        }
        Event::Act { by, reason, candidate, act } => {
            let until = match act {
                ActKind::Hold { until: Some(until), .. } => format!(" until {until}"),
                _ => String::new(),
            };
            let even = matches!(act, ActKind::Hold { even_if_harmful: true, .. });
            let even = if even { ", even if harmful" } else { "" };
            let why = format!("{} by {by}{until}{even}: {reason}", act.word());
            row("hand", format!("{} by hand", act.word()), vec![why], candidate.as_ref())
        }
        Event::Epoch { number, outside, moved_units, redrawn, shares, enrolled: _ } => {
            let shares: BTreeMap<&str, String> =
                shares.iter().map(|(name, share)| (name.as_str(), share.to_string())).collect();
            let mut why =
                vec![shares.iter().map(|(name, share)| format!("{name} {share}")).collect::<Vec<_>>().join(", ")];
            if *outside {
                why.push("changed by somebody else".to_owned());
            }
            if *redrawn {
                why.push("units on control were drawn anew in these proportions".to_owned());
            } else if *moved_units {
                why.push("units were moved".to_owned());
            }
            row("split", format!("epoch {number}"), why, None)
        }
        Event::Enrolled { candidate, version, gate } => {
            let mut why = vec![format!("{version}, let in by the night")];
            why.extend(gate.iter().map(|gate| format!("offline evaluation {gate}")));
            row("split", "came in".to_owned(), why, Some(candidate))
        }
        Event::Incident { what, expected, found, advice, over } => {
            let mut why = vec![format!("{what}: found {found}, expected {expected}; {advice}")];
            why.extend(over.map(|over| format!("over since {}", clock(over))));
            Row { tone: "bad", ..row("incident", "not as decided".to_owned(), why, None) }
        }
    })
}
