//! The built-in fonts: how wide words are, and how to make any name drawable.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// The family that all text asks for.
pub(super) const FAMILY: &str = "Noto Sans";

/// More of a name is never looked at.
const LONGEST_NAME: usize = 300;

/// The fonts, in the order in which they are asked for a letter.
pub(super) static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for data in [notosans::REGULAR_TTF, notosans::BOLD_TTF, dejavu::sans::regular()] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(data)));
    }
    Arc::new(fonts)
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// The font of a weight, then the one for scripts that it lacks.
fn faces(weight: Weight) -> impl Iterator<Item = FontRef<'static>> {
    let first = match weight {
        Weight::Regular => notosans::REGULAR_TTF,
        Weight::Bold => notosans::BOLD_TTF,
    };
    [first, dejavu::sans::regular()].into_iter().filter_map(|data| FontRef::new(data).ok())
}

/// How wide a text is in CSS pixels, without kerning and ligatures: hardly ever too little. A text with a letter that the
/// font lacks may be set in the other one as a whole, so it is as wide as the wider of both.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let faces: Vec<_> = faces(weight)
        .map(|face| (face.charmap(), face.glyph_metrics(Size::new(size as f32), LocationRef::default())))
        .collect();
    let advances =
        |letter| faces.iter().map(move |(map, metrics)| metrics.advance_width(map.map(letter)?).map(f64::from));
    let own = |letter| advances(letter).next().flatten();
    let own_width: Option<f64> = text.chars().map(own).sum();
    let widest = |letter| advances(letter).flatten().fold(0.0, f64::max);
    own_width.unwrap_or_else(|| text.chars().map(widest).sum())
}

/// A name as it can be drawn: one line, without control characters, direction marks and towers of accents; what no
/// built-in font has becomes `\u{fffd}`.
pub(super) fn legible(name: &str) -> String {
    let faces: Vec<_> = faces(Weight::Regular).map(|face| face.charmap()).collect();
    let mut text = String::new();
    let mut accents = 0;
    for letter in tidy(name).chars().take(LONGEST_NAME) {
        accents = if is_accent(letter) { accents + 1 } else { 0 };
        if accents > 1 {
            continue;
        }
        let known = faces.iter().any(|map| map.map(letter).is_some());
        text.push(if known { letter } else { char::REPLACEMENT_CHARACTER });
    }
    text
}

/// A name on one line: white space becomes a space, control characters and direction marks become `\u{fffd}`, joiners and
/// other letters without a shape are left out. Alternative texts and pictures both start from it.
pub(super) fn tidy(name: &str) -> String {
    let shapeless = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}');
    let unfit = |c: char| {
        let turns =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
        turns || c.is_control() || matches!(c, '\u{fff0}'..='\u{ffff}')
    };
    let letters = name.chars().filter(|c| !shapeless(c));
    let line: String = letters
        .map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if unfit(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    line.trim().to_owned()
}

/// A name for an alternative text: tidy and no longer than a line or two.
pub(super) fn spoken(name: &str) -> String {
    let name = tidy(name);
    if name.chars().count() <= 120 { name } else { name.chars().take(119).chain(['…']).collect() }
}

/// The beginning of an alternative text: `Forest plot: ranker_v7 against control, evidence as of 31 Mar 2026`.
pub(super) fn spoken_title(kind: &str, title: &str, subtitle: &str) -> String {
    let parts: Vec<String> = [title, subtitle].into_iter().map(spoken).filter(|part| !part.is_empty()).collect();
    format!("{kind}: {}", parts.join(", "))
}

fn is_accent(letter: char) -> bool {
    let blocks = [
        '\u{300}'..='\u{36f}',
        '\u{1ab0}'..='\u{1aff}',
        '\u{1dc0}'..='\u{1dff}',
        '\u{20d0}'..='\u{20ff}',
        '\u{fe20}'..='\u{fe2f}',
    ];
    blocks.iter().any(|block| block.contains(&letter))
}

/// A name cut to a width, with `…` where something is left out.
pub(super) fn cut(name: &str, size: f64, weight: Weight, room: f64) -> String {
    let name = legible(name);
    if width(&name, size, weight) <= room {
        return name;
    }
    let mut kept = name;
    while kept.pop().is_some() {
        let short = format!("{}…", kept.trim_end());
        if width(&short, size, weight) <= room {
            return short;
        }
    }
    String::new()
}

/// The first text that fits, or nothing: a number is never cut.
pub(super) fn fitting<const N: usize>(texts: [String; N], size: f64, room: f64) -> String {
    texts.into_iter().find(|text| width(text, size, Weight::Regular) <= room).unwrap_or_default()
}

/// A text in at most `lines` lines of a width, the last one cut where there is more.
pub(super) fn wrap(text: &str, size: f64, weight: Weight, room: f64, lines: usize) -> Vec<String> {
    let text = legible(text);
    let mut words = text.split_whitespace().peekable();
    let mut wrapped: Vec<String> = Vec::new();
    while words.peek().is_some() && wrapped.len() < lines {
        if wrapped.len() + 1 == lines {
            let rest: Vec<&str> = words.by_ref().collect();
            wrapped.push(cut(&rest.join(" "), size, weight, room));
            break;
        }
        let mut line = String::new();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
            if !line.is_empty() && width(&longer, size, weight) > room {
                break;
            }
            line = longer;
            words.next();
        }
        wrapped.push(cut(&line, size, weight, room));
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_equally_wide_so_that_numbers_stand_in_columns() {
        let widths: Vec<f64> = ('0'..='9').map(|digit| width(&digit.to_string(), 12.0, Weight::Regular)).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{widths:?}");
        assert!((width("00", 12.0, Weight::Regular) - 2.0 * widths[0]).abs() < 1e-6);
    }

    #[test]
    fn a_long_name_is_cut_and_says_so() {
        let cut = cut(&"latency".repeat(100), 12.0, Weight::Regular, 100.0);
        assert!(cut.ends_with('…') && cut.starts_with("latency"), "{cut}");
        assert!(width(&cut, 12.0, Weight::Regular) <= 100.0);
        assert_eq!(super::cut("short", 12.0, Weight::Bold, 100.0), "short");
        assert_eq!(super::cut("short", 12.0, Weight::Bold, 1.0), "");
    }

    #[test]
    fn what_cannot_be_drawn_is_replaced_and_never_turns_the_line_around() {
        assert_eq!(legible("a\u{0}b\u{202e}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(legible(" two\nlines\tand\u{a0}more "), "two lines and more");
        assert_eq!(legible("中文 עברית"), "\u{fffd}\u{fffd} עברית");
        assert_eq!(legible(&format!("z{}o", "\u{301}".repeat(50))), "z\u{301}o");
        assert_eq!(legible("\u{ffff}\u{fffe}"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn text_is_wrapped_at_words_and_its_last_line_cut() {
        let lines = wrap("too few units yet: 1204 of 5000 in the smaller arm", 11.0, Weight::Regular, 120.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert!(lines.iter().all(|line| width(line, 11.0, Weight::Regular) <= 120.0));
        assert!(wrap("", 11.0, Weight::Regular, 120.0, 2).is_empty());
    }
}
