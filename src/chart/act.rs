//! What was done to a candidate, by whom, and the marks for it.

use serde::{Deserialize, Serialize};

use super::drawing::{Drawing, Stroke, Towards};
use super::palette::{BLUE, BROWN, Colour, PLATE, RED, SOFT};

/// What was done to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// It got more.
    Ramp,
    /// It stayed.
    Hold,
    /// It became the baseline.
    Promote,
    /// It was taken off.
    Rollback,
    /// Its share was set to something else.
    Set,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecidedBy {
    /// A night of Rampkeeper.
    Job,
    /// A person, or another program.
    Hand,
}

impl Act {
    pub(super) fn word(self) -> &'static str {
        match self {
            Act::Ramp => "RAMP",
            Act::Hold => "HOLD",
            Act::Promote => "PROMOTE",
            Act::Rollback => "ROLLBACK",
            Act::Set => "SET",
        }
    }

    pub(super) fn colour(self) -> Colour {
        match self {
            Act::Ramp | Act::Promote => BLUE,
            Act::Hold => SOFT,
            Act::Rollback => RED,
            Act::Set => BROWN,
        }
    }

    /// A triangle up for more, down for off, a diamond for promoted, a square for set, a ring for held.
    pub(super) fn draw(self, drawing: &mut Drawing, x: f64, y: f64) {
        let colour = self.colour();
        match self {
            Act::Ramp => {
                drawing.arrow(x, y - 8.5, Towards::Up, 14.5, PLATE);
                drawing.arrow(x, y - 6.0, Towards::Up, 11.0, colour);
            }
            Act::Rollback => {
                drawing.arrow(x, y + 8.5, Towards::Down, 14.5, PLATE);
                drawing.arrow(x, y + 6.0, Towards::Down, 11.0, colour);
            }
            Act::Promote => drawing.diamond(x, y, 6.5, colour),
            Act::Set => {
                drawing.rect(x - 6.0, y - 6.0, 12.0, 12.0, PLATE);
                drawing.rect(x - 4.5, y - 4.5, 9.0, 9.0, colour);
            }
            Act::Hold => drawing.circle(x, y, 2.75, PLATE, Stroke::new(colour, 1.5)),
        }
    }
}

impl DecidedBy {
    pub(super) fn word(self) -> &'static str {
        match self {
            DecidedBy::Job => "by job",
            DecidedBy::Hand => "by hand",
        }
    }

    pub(super) fn colour(self) -> Colour {
        match self {
            DecidedBy::Job => SOFT,
            DecidedBy::Hand => BROWN,
        }
    }
}
