//! Pictures for mails and pages: plain data in, a PNG and its words out.
//!
//! | picture | what it shows |
//! |---|---|
//! | [`Forest`] | every metric's interval beside its margin, tonight |
//! | [`Trajectory`] | one metric's interval, night by night |
//! | [`Ramp`] | a candidate's share over time, and who changed it |
//! | [`Split`] | whether units split as planned |
//!
//! Nothing here decides or computes evidence: what is drawn was handed in. The left side and the lower side are always
//! the worse ones, whichever way a metric should go. No colour stands alone: a word or a shape says the same, and
//! [`Picture::alt`] says all of it for readers whose mail program shows no pictures.
//!
//! A picture is 560 CSS pixels wide, so it fits into the 600 of a mail, and has two dots per pixel. It is opaque, because
//! mail programs put dark grounds behind transparent ones. The same input gives the same bytes.
//!
//! Each picture is composed as SVG and rasterised by resvg, with the fonts Noto Sans (SIL Open Font License 1.1) and, for
//! scripts that it lacks, DejaVu Sans (Bitstream Vera licence) built in. Plotting libraries were tried first: their forest
//! plots have no margin per row, and no room for words beside it.
//!
//! ```
//! use rampkeeper::chart::{Forest, ForestRow, Scale, Tone};
//! use rampkeeper::domain::Direction;
//!
//! let picture = Forest {
//!     title: "ranker_v7 against control".into(),
//!     subtitle: "evidence as of 31 Mar 2026".into(),
//!     rows: vec![ForestRow {
//!         metric: "latency_p95".into(),
//!         better: Direction::Decrease,
//!         scale: Scale::Lift,
//!         bound: Some(0.02),
//!         estimate: Some(0.041),
//!         interval: Some((0.027, 0.055)),
//!         verdict: "breach".into(),
//!         tone: Tone::Bad,
//!         missing: String::new(),
//!     }],
//! }
//! .draw()?;
//! assert!(picture.png.starts_with(b"\x89PNG"));
//! assert!(picture.alt.contains("latency_p95: breach, +4.1 % (+2.7 to +5.5 %), lower is better, margin +2 %"));
//! # Ok::<(), rampkeeper::chart::ChartError>(())
//! ```

mod act;
mod axis;
mod drawing;
mod forest;
mod lanes;
mod letters;
mod palette;
mod ramp;
mod raster;
mod scale;
mod split;
mod spoken;
mod trajectory;
mod words;

pub use act::{Act, DecidedBy};
pub use forest::{Forest, ForestRow};
pub use palette::Tone;
pub use ramp::{Ramp, RampNight};
pub use scale::Scale;
pub use split::{Split, SplitRow};
pub use trajectory::{Crossing, Night, Trajectory};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

/// A picture, ready to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The PNG: opaque, two dots per CSS pixel in both directions.
    pub png: Vec<u8>,
    /// The width in CSS pixels, for the attribute of `img`.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// What the picture says, in words and numbers. Plain text: whoever puts it into HTML must escape it.
    pub alt: String,
}

/// A picture that is not drawn yet: what a mail must say of it before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    /// The width in CSS pixels.
    pub width: u32,
    /// The height in CSS pixels.
    pub height: u32,
    /// As [`Picture::alt`].
    pub alt: String,
}

impl Sketch {
    fn of(height: f64, alt: String) -> Sketch {
        let (width, height) = raster::size(height);
        Sketch { width, height, alt }
    }
}

/// Why a picture could not be made. The data are never the reason: what cannot be drawn is told in words instead.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The composed drawing is not what the rasteriser reads.
    #[error("the drawing of a picture could not be read back; leave the picture out and report this")]
    Drawing(#[source] resvg::usvg::Error),
    /// There is no canvas of that size.
    #[error("no canvas of {width} × {height} dots could be had; leave the picture out")]
    Canvas {
        /// Dots across.
        width: u32,
        /// Dots down.
        height: u32,
    },
    /// The dots could not be written as PNG.
    #[error("a picture could not be written as PNG; leave the picture out")]
    Encoding(#[source] png::EncodingError),
}
