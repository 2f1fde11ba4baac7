//! Statistics as pure functions of moments: what a night's numbers say, with error rates that hold over all nights.
//!
//! Nothing here knows a warehouse, a clock or a decision. Every method is a file of its own that opens with what it
//! estimates, what it assumes, how it fails, and where it is written down. Input that cannot carry an answer gives
//! [`Insufficient`] with the reason: never a pass, never a breach, never a panic.
//!
//! The way of a guardrail: per-stratum [`Moments`] → [`overlap`] → [`Arms`] → [`harm`], [`inside_margin`] → a [`Contrast`]
//! → [`log_e_one_sided`] over all nights, [`fieller`] for the picture.

mod contrast;
mod evidence;
mod fieller;
mod insufficient;
mod moments;
pub mod normal;
mod overlap;
mod sequence;
pub mod srm;
pub mod tails;

pub use contrast::{Better, Contrast, against_limit, better_than_control, harm, inside_margin};
pub use evidence::{always_valid_p, average_e, log_e_one_sided, log_e_two_sided, log10_always_valid_p};
pub use fieller::{Interval, fieller, lift};
pub use insufficient::{Arm, Insufficient};
pub use moments::Moments;
pub use overlap::{Arms, Estimate, Stratum, merge_small, overlap};
pub use sequence::{one_sided_multiplier, one_sided_multiplier_closed, two_sided_multiplier};
