//! A night as Slack's blocks, within Slack's bounds: what is beyond one of them is refused as a whole.

use serde_json::{Value, json};

use super::Mood;
use crate::decide::Outcome;
use crate::report::night::{CandidateReport, ExperimentReport, NightReport, Standing};

/// The most blocks that a message may have.
pub(super) const MOST_BLOCKS: usize = 50;
/// The longest header, in characters as they are sent.
pub(super) const LONGEST_HEADER: usize = 150;
/// The longest text of a section; so is the longest of a context block, by our own choice.
pub(super) const LONGEST_SECTION: usize = 3000;
/// The longest text for notifications. Slack would take more, and asks for no more than that.
pub(super) const LONGEST_TEXT: usize = 4000;
/// The most that one experiment may say, so that the others are heard.
const LONGEST_CANDIDATE: usize = 600;

/// The message: a header, a line of counts, what acted or needs somebody, then the rest in one line each.
pub(super) fn message(report: &NightReport) -> Value {
    let headline = headline(report);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": escaped(&headline, LONGEST_HEADER) } }),
        context(&format!("As of {}{}", report.as_of, report.run.map_or(String::new(), |run| format!(" · run {run}")))),
    ];
    let mut told: Vec<String> = report.cautions().iter().map(|caution| escaped(caution, LONGEST_CANDIDATE)).collect();
    told.extend(listed("Not as decided", report.incidents.iter().map(ToString::to_string)));
    told.extend(listed("Still to be done", report.unfinished.iter().cloned()));
    let (cards, lines): (Vec<_>, Vec<_>) = report.experiments.iter().partition(|experiment| has_card(experiment));
    told.extend(cards.into_iter().map(card));
    let quiet: Vec<String> = lines.into_iter().map(line).collect();
    if !quiet.is_empty() {
        told.push(joined(&quiet, LONGEST_SECTION));
    }
    // The last block says what was left out.
    let room = MOST_BLOCKS - blocks.len() - 1;
    let left_out = told.len().saturating_sub(room);
    // Slack shows this in notifications alone; those who imitate it know no blocks, and show nothing else.
    let head = escaped(&format!("{}: {headline}", report.as_of), LONGEST_SECTION);
    let text = joined(&[vec![head], told.clone()].concat(), LONGEST_TEXT);
    blocks.extend(told.into_iter().take(room).map(|text| section(&text)));
    if left_out > 0 {
        blocks.push(context(&format!("… and {left_out} more; the mail and the page have all of them")));
    }
    json!({ "text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// What the night was, in the order in which a reader needs to know it.
fn headline(report: &NightReport) -> String {
    let moods: Vec<&str> = Mood::of(report).into_iter().map(Mood::words).collect();
    let mut moods = moods.join(", ");
    if let Some(first) = moods.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{moods}: {}", report.summary())
}

fn has_card(experiment: &ExperimentReport) -> bool {
    let changed = |c: &CandidateReport| c.decision.outcome != Outcome::Hold;
    let tonight = experiment.standing != Standing::AlreadyDecided;
    experiment.needs_somebody()
        || !experiment.by_hand.is_empty()
        || matches!(experiment.standing, Standing::Failed { .. })
        || (tonight && experiment.candidates.iter().any(changed))
}

fn card(experiment: &ExperimentReport) -> String {
    let mut told = format!("*{}*", escaped(&experiment.name, 200));
    if let Standing::Failed { why } = &experiment.standing {
        told.push_str(&format!("\nFAILED: {}", escaped(why, LONGEST_CANDIDATE)));
    }
    let candidates = experiment.candidates.iter().map(|candidate| of_candidate(experiment, candidate));
    let notes = experiment.notes().into_iter().map(|note| escaped(&note, LONGEST_CANDIDATE));
    for line in candidates.chain(notes) {
        // A section that is full says so; the mail has the rest.
        if length(&told) + length(&line) + 3 > LONGEST_SECTION {
            told.push_str("\n…");
            break;
        }
        told.push_str(&format!("\n{line}"));
    }
    told
}

fn of_candidate(experiment: &ExperimentReport, candidate: &CandidateReport) -> String {
    let word = match candidate.decision.outcome {
        Outcome::Rollback => "ROLLED BACK",
        Outcome::Promote => "PROMOTED",
        Outcome::Ramp { .. } => "RAMPED",
        Outcome::Hold => "HELD",
    };
    let change = experiment.allocations.iter().find(|a| a.name == candidate.name && a.from != a.to);
    let change = change.map_or_else(|| format!("stays at {}", candidate.share), |a| format!("{} → {}", a.from, a.to));
    let reason = candidate.decision.reasons.first().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!("*{word}* {}", escaped(&format!("{}: {change}{reason}", candidate.name), LONGEST_CANDIDATE))
}

/// One line for an experiment in which nothing happened.
fn line(experiment: &ExperimentReport) -> String {
    let candidates = experiment.candidates.iter().map(|candidate| {
        let reason = candidate.decision.reasons.first().map(|reason| format!(", {reason}")).unwrap_or_default();
        format!("{} held at {}{reason}", candidate.name, candidate.share)
    });
    let candidates = candidates.collect::<Vec<_>>().join("; ");
    let state = if candidates.is_empty() { "nothing to decide".to_owned() } else { candidates };
    escaped(&format!("• {}: {state}", experiment.name), LONGEST_CANDIDATE)
}

fn listed(head: &str, lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.map(|line| escaped(&format!("• {line}"), LONGEST_CANDIDATE)).collect();
    (!lines.is_empty()).then(|| joined(&[vec![format!("*{head}*")], lines].concat(), LONGEST_SECTION))
}

/// Lines as long as there is room, and how many are left out.
fn joined(lines: &[String], room: usize) -> String {
    let mut told = String::new();
    for (index, line) in lines.iter().enumerate() {
        // Room is kept for the words about those that are left out.
        if length(&told) + length(line) + 40 > room {
            told.push_str(&format!("\n… and {} more", lines.len() - index));
            break;
        }
        if index > 0 {
            told.push('\n');
        }
        told.push_str(line);
    }
    told
}

fn section(text: &str) -> Value {
    // `verbatim` keeps Slack from making links and channels of what looks like one.
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "plain_text", "text": escaped(text, LONGEST_SECTION) }] })
}

/// In UTF-16's units, which is the most that anybody counts a text for.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Text as Slack takes it: `&`, `<` and `>` are the signs of its markup (`<!channel>` calls everybody), and what would
/// turn the line around or break it is a space. Cut before it is longer than `room`, never inside of an entity.
fn escaped(text: &str, room: usize) -> String {
    let mut told = String::new();
    let mut used = 0;
    // Where a cut text ends: the last place that leaves room for the sign of the cut.
    let mut cut = 0;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c if c.is_control() || turns_around(c) => " ".to_owned(),
            c => c.to_string(),
        };
        used += length(&piece);
        if used > room {
            told.truncate(cut);
            told.push('…');
            return told;
        }
        told.push_str(&piece);
        if used < room {
            cut = told.len();
        }
    }
    told
}

/// The signs by which a text may be shown in another order than it has.
fn turns_around(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text_and_a_cut_leaves_entities_whole() {
        assert_eq!(escaped("<!channel> & \"all\"\r\n", 100), "&lt;!channel&gt; &amp; \"all\"  ");
        assert_eq!(escaped("a\u{202e}b", 100), "a b");
        assert_eq!(escaped("abcdef", 6), "abcdef");
        assert_eq!(escaped("abcdefg", 6), "abcde…");
        assert_eq!(escaped("abc<d", 6), "abc…");
        assert_eq!(escaped("<<<<", 6), "&lt;…");
        assert_eq!(escaped("🦀🦀🦀🦀", 5), "🦀🦀…");
        for room in 1..40 {
            assert!(length(&escaped(&"<é&".repeat(20), room)) <= room, "{room}");
        }
    }
}
