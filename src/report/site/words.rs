//! Counts, times and commands as pages write them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A count: `1,204`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 night`, `2 nights`.
pub(super) fn several(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", count(number)) }
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

/// A name as one word of a POSIX shell. What no shell could be given is left out.
pub(super) fn shell(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._/@%+=:,-".contains(letter);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(plain) {
        return name.to_owned();
    }
    let visible: String = name.chars().filter(|letter| !letter.is_control()).collect();
    format!("'{}'", visible.replace('\'', "'\\''"))
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
    fn a_name_is_one_word_to_a_shell() {
        assert_eq!(shell("planner_exp/v2"), "planner_exp/v2");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's $(rm -rf /)"), "'it'\\''s $(rm -rf /)'");
        assert_eq!(shell("--as-of"), "'--as-of'");
        assert_eq!(shell("a\nb"), "'ab'");
    }

    #[test]
    fn nothing_unseen_is_left_in_a_text() {
        assert_eq!(visible("a\u{202e}b\r\nc\u{7}"), "a\u{fffd}b  c\u{fffd}");
        assert_eq!(visible("größer 日本 עברית"), "größer 日本 עברית");
    }
}
