//! Experiments with known truth, run through the code that decides real ones: which error rates does a policy have?
//!
//! Only the moments are drawn. From there on everything is what a night does: [`evidence::Seen`] sums the strata,
//! [`evidence::Reading`] judges each metric, [`evidence::Assessment`] weighs them, and [`decide::decide`] decides. So what
//! is measured here are the error rates of the product, not of a model of it.
//!
//! ```text
//! World (what is true) + Policy (how it is judged) → Trial → many runs, each with its own seed → Tally
//! ```
//!
//! What is simplified: a day's units get one share (the night's job changes it at midnight), two arms, nobody's windows
//! overlap a change, and the bounds of planned looks are made from the planned counts where counts are drawn too.
//!
//! [`evidence::Seen`]: crate::evidence::Seen
//! [`evidence::Reading`]: crate::evidence::Reading
//! [`evidence::Assessment`]: crate::evidence::Assessment
//! [`decide::decide`]: crate::decide::decide

mod bounds;
mod crew;
mod draw;
mod run;
mod study;
mod tally;
mod trial;
mod world;

pub use crew::simulate;
pub use study::{Cell, Expected, Figure, Measure, Measured, Section, operating_characteristics};
pub use tally::{Rate, Spread, Tally};
pub use trial::Trial;
pub use world::{Base, Counts, Effects, MetricTruth, Ramp, Scenario, Shape, World};
