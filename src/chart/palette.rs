//! The colours, and what they mean.
//!
//! Text colours have a contrast of at least 4.5 on white, colours of marks at least 3. Bad is red and good is blue, which
//! eyes that mix up red and green keep apart.

use serde::{Deserialize, Serialize};

/// A colour as SVG writes it.
pub(super) type Colour = &'static str;

pub(super) const PLATE: Colour = "#ffffff";
/// Titles, names, the line of zero.
pub(super) const INK: Colour = "#101828";
/// What stands beside: units, dates, axis labels.
pub(super) const SOFT: Colour = "#475467";
/// Lines that only guide the eye, and the ground where chance alone leads.
pub(super) const PALE: Colour = "#d9dee5";
pub(super) const RED: Colour = "#b42318";
pub(super) const BLUE: Colour = "#175cd3";
/// What a person did.
pub(super) const BROWN: Colour = "#93370d";
/// The ground beyond a margin.
pub(super) const RED_GROUND: Colour = "#fdecea";
pub(super) const BLUE_GROUND: Colour = "#d3e3fb";

/// All that a picture consists of: the colours above, and what the edges of letters and lines are blended from. With so
/// few colours a picture weighs a third less than with 64, and nobody sees the difference at two dots per pixel.
pub(super) const PALETTE: [Colour; 14] = [
    PLATE,
    INK,
    SOFT,
    PALE,
    RED,
    BLUE,
    BROWN,
    RED_GROUND,
    BLUE_GROUND,
    "#7f8896",
    "#ce6d66",
    "#e8b9b5",
    "#7aa3e7",
    "#c99b86",
];

/// Red, green and blue of a colour.
pub(super) fn rgb(colour: Colour) -> [u8; 3] {
    let bits = u32::from_str_radix(colour.trim_start_matches('#'), 16).unwrap_or(0);
    let [_, red, green, blue] = bits.to_be_bytes();
    [red, green, blue]
}

/// What a verdict means for the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    /// Shown worse.
    Bad,
    /// Shown safe or better.
    Good,
    /// Not shown either way, or not measured.
    Open,
}

impl Tone {
    pub(super) fn colour(self) -> Colour {
        match self {
            Tone::Bad => RED,
            Tone::Good => BLUE,
            Tone::Open => SOFT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: Colour) -> f64 {
        let [red, green, blue] = rgb(colour).map(|part| {
            let value = f64::from(part) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: Colour, other: Colour) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_ground() {
        for text in [INK, SOFT, RED, BLUE, BROWN] {
            for ground in [PLATE, RED_GROUND] {
                assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {}", contrast(text, ground));
            }
        }
    }

    #[test]
    fn marks_stand_out_from_the_bands_that_they_lie_on() {
        for (mark, ground) in [(RED, RED_GROUND), (BLUE, BLUE_GROUND), (RED, PALE), (BLUE, PALE)] {
            assert!(contrast(mark, ground) >= 3.0, "{mark} on {ground}");
        }
    }
}
