//! What happened, for people.

use std::collections::BTreeSet;

use comfy_table::Cell;

use super::{Entry, Event, History, Night};
use crate::cli::named::short;
use crate::cli::output::{keep_whole, table};
use crate::cli::shown::{Tone, mark, painted, plain, tight};
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
    let mut rows = table(&["night", "decision", "leading guardrail", "why"]);
    // The rules that it began with are no change.
    let first_rules = |event: &Event| matches!(event, Event::Amendment { changes, .. } if changes.is_empty());
    for entry in history.entries.iter().filter(|entry| !first_rules(&entry.event)) {
        rows.add_row(row(entry, several));
    }
    keep_whole(&mut rows, &[0, 1, 2]);
    format!("{told}\n{rows}\n")
}

fn row(entry: &Entry, several: bool) -> Vec<Cell> {
    let faint = |text: &str| Cell::new(painted(text, Tone::Faint));
    let date = entry.at.strftime("%Y-%m-%d\n%H:%M UTC").to_string();
    let between = |what: &str, why: String| vec![faint(&date), faint(what), Cell::new(""), faint(&tight(&why))];
    match &entry.event {
        Event::Night(told) => night(told, several),
        Event::Epoch { number, outside, moved_units, redrawn, shares, enrolled: _ } => {
            let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{} {share}", plain(name))).collect();
            let mut why = shares.join(", ");
            if *outside {
                why.push_str("; changed by somebody else");
            }
            if *redrawn {
                why.push_str("; units on control were drawn anew in these proportions");
            } else if *moved_units {
                why.push_str("; units were moved");
            }
            between(&format!("epoch {number}"), why)
        }
        Event::Amendment { changes, evidence_from, restarts, .. } => {
            let mut why: Vec<String> = changes.iter().map(|change| plain(change)).collect();
            if let (true, Some(from)) = (restarts, evidence_from) {
                why.push(format!("the evidence begins anew with {from}"));
            }
            between("amended", why.join("; "))
        }
        Event::Enrolled { by, candidate, version, share, gate, set_aside } => {
            let mut why = vec![format!("{} comes in with {share}, by {}", plain(version), plain(by))];
            why.extend(gate.iter().map(|gate| format!("offline evaluation {}", plain(gate))));
            why.extend(set_aside.iter().map(|rule| format!("set aside: {}", plain(rule))));
            let what = painted(&format!("enrolled\n{}", plain(candidate)), Tone::Strong);
            vec![Cell::new(date), Cell::new(what), Cell::new(""), Cell::new(tight(&why.join("; ")))]
        }
        Event::Act { by, reason, candidate, act } => {
            let mut what = vec![act.word().to_owned()];
            what.extend(candidate.as_ref().map(|name| plain(name)));
            let until = match act {
                ActKind::Hold { until: Some(until), .. } => format!(" until {until}"),
                ActKind::Enroll { version, share, forced } => {
                    let forced = if *forced { ", forced" } else { "" };
                    format!(" ({} with {share}{forced})", plain(version))
                }
                _ => String::new(),
            };
            let even = matches!(act, ActKind::Hold { even_if_harmful: true, .. });
            let even = if even { ", even if harmful" } else { "" };
            vec![
                Cell::new(date),
                Cell::new(painted(&what.join("\n"), Tone::Strong)),
                Cell::new(""),
                Cell::new(format!("{} by {}{until}{even}: {}", act.word(), plain(by), plain(reason))),
            ]
        }
    }
}

fn night(night: &Night, several: bool) -> Vec<Cell> {
    let revision = if night.revision > 0 { format!("\nrevision {}", night.revision) } else { String::new() };
    let when = format!("{}\n{}{revision}", night.as_of, short(night.id));
    let before = night.share.map_or("?".to_owned(), |share| share.to_string());
    let (tone, share) = match &night.outcome {
        Outcome::Rollback => (Tone::Bad, format!("{before} → 0 %")),
        Outcome::Promote => (Tone::Good, format!("{before} → 100 %")),
        Outcome::Ramp { to, .. } => (Tone::Good, format!("{before} → {to}")),
        Outcome::Hold => (Tone::Open, before),
    };
    let candidate = if several { format!("{}\n", plain(&night.candidate)) } else { String::new() };
    let what = format!("{candidate}{}\n{share}", painted(night.outcome.word(), tone));
    let mut why: Vec<String> = night.in_short.iter().take(2).map(|reason| tight(&plain(reason))).collect();
    let more = night.in_short.len().saturating_sub(2);
    if let (true, Some(last)) = (more > 0, why.last_mut()) {
        last.push_str(&format!("; and {more} more"));
    }
    let leading = night.leading_guardrail.as_ref().map_or("–".to_owned(), guardrail);
    [when, what, leading, why.join("\n")].map(Cell::new).into()
}

/// `✗ cost_per_plan +13.5 % [+10.7 %, +16.4 %]`.
fn guardrail(reading: &Reading) -> String {
    let (sign, tone) = mark(&reading.verdict);
    format!("{} {}\n{}", painted(sign, tone), plain(&reading.metric), Finding::from(reading).measured())
}
