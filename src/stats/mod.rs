//! Statistics as pure functions of moments: what a night's numbers say, with error rates that hold over all nights.
//!
//! Nothing here knows a warehouse, a clock or a decision. Every method is a file of its own that opens with what it
//! estimates, what it assumes, how it fails, and where it is written down. Input that cannot carry an answer gives
//! [`Insufficient`] with the reason: never a pass, never a breach, never a panic.
//!
//! References name the paper and, where one number says it all, its equation; (~) marks a number that was taken from other
//! works that quote it. "statistics.md" is the project's own derivation, whose formulas these files implement.
//!
//! The way of a guardrail: per-stratum [`Moments`] → [`overlap`] → [`Arms`] → [`harm`], [`inside_margin`] → a [`Contrast`]
//! → [`log_e_one_sided`] over all nights, [`fieller`] for the picture.

pub mod breaker;
pub mod capped;
pub mod closure;
mod contrast;
pub mod cuped;
pub mod dirichlet;
mod evidence;
pub mod exact;
pub mod exceedance;
mod expected_loss;
mod fieller;
pub mod fixed_look;
pub mod group_sequential;
mod insufficient;
mod moments;
pub mod multiplicity;
pub mod non_inferiority;
pub mod normal;
pub mod novelty;
mod overlap;
mod pooled_score;
pub mod power;
pub mod proportion;
mod quadrature;
pub mod quantile;
pub mod ratio;
mod sequence;
pub mod spending;
pub mod srm;
pub mod student;
pub mod tails;

pub use contrast::{Better, Contrast, against_limit, better_than_control, harm, inside_margin};
pub use evidence::{always_valid_p, average_e, log_e_one_sided, log_e_two_sided, log10_always_valid_p};
pub use expected_loss::expected_loss;
pub use fieller::{Interval, fieller, lift};
pub use insufficient::{Arm, Insufficient};
pub use moments::Moments;
pub use overlap::{Arms, Estimate, Joined, OverlapSums, Stratum, merge_small, overlap};
pub use pooled_score::harm_by_score;
pub use sequence::{
    one_sided_multiplier, one_sided_multiplier_closed, optimal_information, optimal_information_approximate,
    two_sided_multiplier,
};
