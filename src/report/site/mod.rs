//! The report as a site: plain files, readable without a server and without scripts.
//!
//! ```text
//! index.html                              what needs somebody, the nights, the experiments
//! style.css
//! nights/2026-03-30.html                  what was done that night, and why
//! experiments/<name>.html                 state, evidence, pictures, history
//! experiments/<name>/<candidate>/*.png    its pictures
//! ```
//!
//! Everything here is made from plain values; what is on record is looked up, and files are written, by `night`. The same
//! record gives the same bytes.

mod card;
mod experiment;
mod front;
mod history;
mod names;
mod night;
mod pictures;
mod render;
mod story;
mod words;

pub use experiment::Drawn;
pub use names::file_name;
pub use pictures::Sketch;
pub use render::{STYLE, look};
pub use story::{
    CandidateLine, CandidateStory, Deed, Event, ExperimentLine, Front, Happened, NightLine, NightStory, PastNight,
    Story,
};
