//! What may be shown on a terminal: text from a database made harmless, and colour only where it is wanted.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use jiff::Timestamp;
use serde::Serialize;

use super::output::fit;
use crate::evidence::{Reading, Verdict};

/// How a text is meant; told by colour beside the words, never by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Open,
    Strong,
    Faint,
}

/// The text with nothing in it that a terminal would obey: control characters, and those that turn the direction of
/// writing or cannot be seen, are written as their number. Names, reasons and errors come from tables that others fill.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push(' '),
            letter if is_harmful(letter) => shown.extend(letter.escape_unicode()),
            letter => shown.push(letter),
        }
        shown
    })
}

fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// Whether standard output shows colours.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The text in a tone, where colours are shown.
pub(super) fn painted(text: &str, tone: Tone) -> String {
    if !colours() {
        return text.to_owned();
    }
    let style = match tone {
        Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Tone::Bad => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
        Tone::Open => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Tone::Strong => Style::new().bold(),
        Tone::Faint => Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}

/// A title on a line of its own, with an empty one before it.
pub(super) fn heading(text: &str) -> String {
    format!("\n{}\n", painted(text, Tone::Strong))
}

/// The text with its percentages held together where lines are folded. A pipe gets plain spaces, to be searched for.
pub(super) fn tight(text: &str) -> String {
    if std::io::stdout().is_terminal() { text.replace(" %", "\u{a0}%") } else { text.to_owned() }
}

/// The text with all its words held together where lines are folded.
pub(super) fn whole(text: &str) -> String {
    if std::io::stdout().is_terminal() { text.replace(' ', "\u{a0}") } else { text.to_owned() }
}

/// A reading's verdict as a sign and a word.
pub(super) fn mark(verdict: &Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Breach | Verdict::Harm => ("✗", Tone::Bad),
        Verdict::Safe => ("✓", Tone::Good),
        Verdict::Better => ("↑", Tone::Good),
        Verdict::Inconclusive => ("?", Tone::Open),
        Verdict::NoData => ("–", Tone::Open),
        Verdict::Insufficient { .. } => ("!", Tone::Open),
    }
}

/// A metric with the sign of its verdict. Its parts are held together where lines are folded.
pub(super) fn marked(reading: &Reading) -> String {
    let (sign, tone) = mark(&reading.verdict);
    painted(&whole(&format!("{sign} {}", plain(&reading.metric))), tone)
}

/// What the signs mean.
pub(super) const SIGNS: &str =
    "✓ shown safe · ↑ shown better · ? not shown yet · ✗ harm or breach · ! too few data · – no data";

/// A time to the minute.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Lines of a label and a text, folded to the width of the terminal.
pub(super) fn labelled<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    borderless(rows.into_iter().map(|(label, text)| vec![label.to_owned(), text]))
}

/// Lines that each begin with the same sign.
pub(super) fn listed(sign: &str, lines: impl IntoIterator<Item = String>) -> String {
    labelled(lines.into_iter().map(|line| (sign, line)))
}

/// A paragraph, folded to the width of the terminal.
pub(super) fn paragraph(text: &str) -> String {
    borderless([vec![text.to_owned()]])
}

/// Lines under each other, each folded to the width of the terminal.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    borderless(lines.into_iter().map(|line| vec![line]))
}

fn borderless(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    fit(&mut table);
    table.add_rows(rows);
    if let Some(first) = table.column_mut(0) {
        first.set_padding((2, 0));
    }
    if table.column_count() > 1
        && let Some(labels) = table.column_mut(0)
    {
        labels.set_padding((2, 1)).set_constraint(ColumnConstraint::ContentWidth);
    }
    if table.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) }
}

/// Writes a document to standard output. What a terminal would obey is escaped, as JSON allows.
pub(super) fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    let shown = text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        match letter {
            // Between values; inside of them a line break is escaped already.
            '\n' => shown.push(letter),
            // All of them lie in the basic plane, so that four digits are enough.
            letter if is_harmful(letter) => shown.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => shown.push(letter),
        }
        shown
    });
    println!("{shown}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\x1b[2J\x07\u{9b}31m\r\nb\u{202e}c\u{200b}\u{feff}\x7f";
        let shown = plain(hostile);
        assert_eq!(shown, "a\\u{1b}[2J\\u{7}\\u{9b}31m\\u{d}\\nb\\u{202e}c\\u{200b}\\u{feff}\\u{7f}");
        assert_eq!(plain("größer − ✓ 日本"), "größer − ✓ 日本");
    }
}
