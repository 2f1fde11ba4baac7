//! Counts and times as pages write them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::report::words::Count;

/// `1 night`, `2 nights`.
pub(super) fn several(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", Count(number)) }
}

/// A time to the minute.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// `Tue 31 Mar 2026`.
pub(super) fn day(date: Date) -> String {
    date.strftime("%a %-d %b %Y").to_string()
}

/// The text with its percentages held together where lines are folded.
pub(super) fn tight(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// The text without what turns the direction of writing or cannot be seen. In HTML the rest is harmless once escaped.
pub(super) fn visible(text: &str) -> String {
    let hidden = |letter: char| matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    let shown = |letter: char| match letter {
        '\n' | '\r' | '\t' => ' ',
        letter if letter.is_control() || hidden(letter) => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_is_left_in_a_text() {
        assert_eq!(visible("a\u{202e}b\r\nc\u{7}"), "a\u{fffd}b  c\u{fffd}");
        assert_eq!(visible("größer 日本 עברית"), "größer 日本 עברית");
    }
}
