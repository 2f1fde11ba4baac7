//! What happened, for people.

use std::collections::BTreeSet;

use comfy_table::Cell;

use super::{Entry, Event, History, Night};
use crate::cli::named::short;
use crate::cli::output::table;
use crate::cli::shown::{Tone, mark, painted, plain};
use crate::decide::{Finding, Outcome};
use crate::domain::ActKind;
use crate::evidence::Reading;

/// The whole page.
pub(super) fn text(history: &History) -> String {
    let status = history.status.map_or("gone", |status| status.as_str());
    let mut told = format!("{}, {status}", plain(&history.experiment));
    let nights = history.entries.iter().filter(|entry| matches!(entry.event, Event::Night(_))).count();
    if nights == 0 && history.earlier_nights == 0 {
        told.push_str(": nothing was decided of it yet. `rampkeeper plan` shows what would be.\n");
        return told;
    }
    if history.earlier_nights > 0 {
        told.push_str(&format!("; {} earlier nights are not shown", history.earlier_nights));
    }
    let candidates: BTreeSet<&str> = history
        .entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Night(night) => Some(night.candidate.as_str()),
            _ => None,
        })
        .collect();
    let several = candidates.len() > 1;
    if let (false, Some(only)) = (several, candidates.first()) {
        told.push_str(&format!("; candidate {}", plain(only)));
    }
    let mut rows = table(&["night", "what", "share", "leading guardrail", "why", "decision"]);
    for entry in &history.entries {
        rows.add_row(row(entry, several));
    }
    format!("{told}\n{rows}\n")
}

fn row(entry: &Entry, several: bool) -> Vec<Cell> {
    let faint = |text: &str| Cell::new(painted(text, Tone::Faint));
    let date = entry.at.strftime("%Y-%m-%d").to_string();
    let between = |what: &str, share: String, why: String| {
        vec![faint(&date), faint(what), faint(&share), Cell::new(""), faint(&why), Cell::new("")]
    };
    match &entry.event {
        Event::Night(told) => night(told, several),
        Event::Epoch { number, outside, moved_units, shares } => {
            let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{} {share}", plain(name))).collect();
            let mut why = shares.join(", ");
            if *outside {
                why.push_str("; changed by somebody else");
            }
            if *moved_units {
                why.push_str("; units were moved");
            }
            between(&format!("epoch {number}"), String::new(), why)
        }
        Event::Amendment { changes, .. } if changes.is_empty() => {
            between("rules", String::new(), "the rules of its first night".to_owned())
        }
        Event::Amendment { changes, evidence_from, restarts, .. } => {
            let mut why: Vec<String> = changes.iter().map(|change| plain(change)).collect();
            if let (true, Some(from)) = (restarts, evidence_from) {
                why.push(format!("the evidence begins anew with {from}"));
            }
            between("amended", String::new(), why.join("; "))
        }
        Event::Act { by, reason, candidate, act } => {
            let mut what = vec![act.word().to_owned()];
            what.extend(candidate.as_ref().map(|name| plain(name)));
            let until = match act {
                ActKind::Hold { until: Some(until), .. } => format!(" until {until}"),
                _ => String::new(),
            };
            let even = matches!(act, ActKind::Hold { even_if_harmful: true, .. });
            let even = if even { ", even if harmful" } else { "" };
            vec![
                Cell::new(date),
                Cell::new(painted(&what.join("\n"), Tone::Strong)),
                Cell::new(""),
                Cell::new(""),
                Cell::new(format!("{} by {}{until}{even}: {}", act.word(), plain(by), plain(reason))),
                Cell::new(""),
            ]
        }
    }
}

fn night(night: &Night, several: bool) -> Vec<Cell> {
    let mut when = night.as_of.to_string();
    if night.revision > 0 {
        when.push_str(&format!("\nrevision\u{a0}{}", night.revision));
    }
    let before = night.share.map_or("?".to_owned(), |share| share.to_string());
    let (tone, share) = match &night.outcome {
        Outcome::Rollback => (Tone::Bad, format!("{before} → 0 %")),
        Outcome::Promote => (Tone::Good, format!("{before} → 100 %")),
        Outcome::Ramp { to, .. } => (Tone::Good, format!("{before} → {to}")),
        Outcome::Hold => (Tone::Open, before),
    };
    let mut what = painted(night.outcome.word(), tone);
    if several {
        what = format!("{what}\n{}", plain(&night.candidate));
    }
    let mut why: Vec<String> = night.in_short.iter().take(2).map(|reason| plain(reason)).collect();
    let more = night.in_short.len().saturating_sub(2);
    if more > 0 {
        why.push(format!("and {more} more"));
    }
    let leading = night.leading_guardrail.as_ref().map_or("–".to_owned(), guardrail);
    [when, what, share, leading, why.join("\n"), short(night.id)].map(Cell::new).into()
}

/// `✗ cost_per_plan +13.5 % [+10.7 %, +16.4 %]`.
fn guardrail(reading: &Reading) -> String {
    let (sign, tone) = mark(&reading.verdict);
    format!("{} {}\n{}", painted(sign, tone), plain(&reading.metric), Finding::from(reading).measured())
}
