//! A decision for people: first in words, then in numbers.

use super::{Explanation, numbers, rules, words};
use crate::cli::named::short;
use crate::cli::remake::Again;
use crate::cli::shown::{Tone, clock, heading, labelled, lines, listed, painted, paragraph, plain};
use crate::decide::{Outcome, Passage, Reason};
use crate::domain::{Act, ActKind};

/// The whole page.
pub(super) fn text(told: &Explanation, flip: bool) -> String {
    let of = plain(&format!("{}/{}", told.experiment, told.candidate));
    let (word, tone) = match told.decision.outcome {
        Outcome::Rollback => ("ROLLED BACK", Tone::Bad),
        Outcome::Promote => ("PROMOTED", Tone::Good),
        Outcome::Ramp { .. } => ("RAMPED", Tone::Good),
        Outcome::Hold => ("HELD", Tone::Open),
    };
    let revision = if told.revision > 0 { format!(", revision {}", told.revision) } else { String::new() };
    let id = short(told.id);
    let mut page = format!("{}  {of}, night of {}{revision}, decision {id}\n", painted(word, tone), told.as_of);
    let share = told.basis.as_ref().map(|basis| basis.facts.share);
    page.push_str(&paragraph(&words::outcome(&told.decision, &plain(&told.candidate), share)));
    page.push_str(&heading("Why"));
    page.push_str(&listed("·", told.explained.iter().map(|reason| plain(&reason.meaning))));
    if let Some(forecast) = &told.forecast {
        page.push_str(&paragraph(&painted(&plain(&forecast.to_string()), Tone::Strong)));
    }
    if flip {
        page.push_str(&heading("What would have changed it"));
        page.push_str(&flips(told));
    }
    page.push_str(&heading("Gates, in their order"));
    page.push_str(&gates(told));
    page.push_str(&heading("Metrics"));
    page.push_str(&numbers::metrics(told));
    page.push_str(&heading("Evidence"));
    page.push_str(&numbers::evidence(told));
    if !told.cohorts.is_empty() {
        let through = told.assessment.evidence_through.map_or(String::new(), |date| format!(", through {date}"));
        page.push_str(&heading(&format!("Data{through}")));
        page.push_str(&numbers::cohorts(told));
    }
    if let Some(basis) = &told.basis {
        page.push_str(&heading("Facts"));
        page.push_str(&rules::facts(told, basis));
        if let Some(found) = &told.rules {
            page.push_str(&heading("Rules in force"));
            page.push_str(&rules::rules(found, &basis.rules));
        }
    }
    if !told.amendments.is_empty() {
        page.push_str(&heading("Amendments before it"));
        let lines = told.amendments.iter().map(|amendment| {
            let anew = if amendment.restarts { "; the evidence began anew" } else { "" };
            format!("{}: {}{anew}", amendment.as_of, plain(&amendment.changes.join("; ")))
        });
        page.push_str(&listed("·", lines));
    }
    if !told.acts.is_empty() {
        page.push_str(&heading("What people told the job before it"));
        page.push_str(&listed("·", told.acts.iter().map(act)));
    }
    page.push_str(&heading("Record"));
    page.push_str(&record(told));
    page
}

fn gates(told: &Explanation) -> String {
    let line = |walked: &super::Walked| {
        let (sign, tone) = match walked.passage {
            Passage::Open => ("✓", Tone::Good),
            Passage::Closed => ("✗", Tone::Bad),
            Passage::NotAsked => ("–", Tone::Faint),
        };
        let why: Vec<String> = told
            .decision
            .reasons
            .iter()
            .filter(|reason| reason.gate() == Some(walked.gate))
            .map(|reason| plain(&reason.brief()))
            .collect();
        let why = match walked.passage {
            Passage::Closed => format!(": {}", why.join("; ")),
            Passage::NotAsked => ": not asked".to_owned(),
            Passage::Open => String::new(),
        };
        painted(&format!("{sign} {}{why}", walked.gate.word()), tone)
    };
    // What was not asked behind the end of the walk says nothing, but its number does.
    let asked = told.gates.iter().filter(|walked| walked.passage != Passage::NotAsked).map(line);
    let left = told.gates.iter().filter(|walked| walked.passage == Passage::NotAsked).count();
    let left = match left {
        0 => None,
        1 => Some(painted("– one other was not asked any more", Tone::Faint)),
        left => Some(painted(&format!("– {left} others were not asked any more"), Tone::Faint)),
    };
    let notes = told.decision.reasons.iter().filter(|reason| reason.gate().is_none()).map(note);
    lines(asked.chain(left).chain(notes))
}

fn note(reason: &Reason) -> String {
    format!("→ {}", plain(&reason.brief()))
}

fn flips(told: &Explanation) -> String {
    let Some(flip) = &told.flip else {
        return paragraph("It cannot be made again, so nothing can be tried on it; see the end of this page.");
    };
    let mut page = listed("·", flip.sentences.iter().map(|sentence| plain(sentence)));
    if !flip.flips.any_metric() {
        let tried: Vec<String> = flip.flips.tried.iter().map(|metric| plain(metric)).collect();
        page.push_str(&paragraph(&format!(
            "No change of a single metric gives another outcome (tried from −95 % to +800 %: {}).",
            tried.join(", ")
        )));
    }
    page
}

fn act(act: &Act) -> String {
    let until = match &act.kind {
        ActKind::Hold { until: Some(until), .. } => format!(" until {until}"),
        ActKind::Enroll { version, share, forced } => {
            let forced = if *forced { ", forced" } else { "" };
            format!(" ({} with {share}{forced})", plain(version))
        }
        _ => String::new(),
    };
    format!("{} {} by {}{until}: {}", clock(act.at), act.kind.word(), plain(&act.by), plain(&act.reason))
}

fn record(told: &Explanation) -> String {
    let record = &told.record;
    let again = match &record.again {
        Again::Same => painted("✓ the same, byte for byte", Tone::Good),
        Again::Different { outcome, .. } => painted(
            &format!("✗ something else: {}; see `rampkeeper replay --as-of {}`", plain(outcome), told.as_of),
            Tone::Bad,
        ),
        Again::Lost { why } => painted(&format!("✗ not possible: {}", plain(why)), Tone::Bad),
        Again::NotKept => "an older version made it, which kept no facts".to_owned(),
    };
    let hash = match record.hash_is_right {
        true => painted("✓ it follows from the contents", Tone::Good),
        false => painted("✗ it does not follow from the contents; see `rampkeeper verify`", Tone::Bad),
    };
    labelled([
        ("decision", format!("{}, position {} in the chain", told.id, told.position)),
        ("made", format!("{} by run {}", clock(told.decided_at), told.run)),
        ("inputs", plain(&record.inputs_digest)),
        (
            "before",
            if record.previous_hash.is_empty() {
                "none: it is the first".to_owned()
            } else {
                plain(&record.previous_hash)
            },
        ),
        ("hash", format!("{}\n{hash}", plain(&record.hash))),
        ("made again", again),
    ])
}
