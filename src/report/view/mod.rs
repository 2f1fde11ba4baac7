//! What templates are given: words and formatted numbers, in the order in which they are read. Every number of a mail or
//! page is formatted here and nowhere else.

mod card;
mod change;
mod command;
mod line;
mod metric;
mod night;

use serde::Serialize;

pub(super) use card::word_of;
pub use card::{CandidateCard, Card, PictureView, SplitView};
pub use command::Command;
pub(super) use line::leading;
pub use line::{Bar, Line};
pub use metric::MetricRow;
pub(super) use metric::{bound_of, effect_of};
pub(super) use night::{Class, counted, outcomes, parts, preheader, rank, shortened};
pub use night::{Digest, Foot, Part};

/// What a colour says; a word always says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Harm, a rollback, a fault.
    Bad,
    /// Safe, promoted.
    Good,
    /// Acted.
    Act,
    /// Somebody is needed.
    Warn,
    /// Nothing.
    Open,
}

/// A name or sentence of somebody's as one line of plain text: no control characters, and nothing that turns the direction
/// of the text that follows.
pub(super) fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().filter(|c| !turns(*c)).map(|c| if ends(c) { ' ' } else { c }).collect()
}
