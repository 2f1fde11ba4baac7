//! Rampkeeper: a nightly guardrail job for model candidates.
//!
//! It reads what every running experiment's variants did, decides from evidence that stays valid under nightly
//! looking, and acts: it ramps, promotes, holds or rolls back each candidate, then tells people by mail.

pub mod analyze;
pub mod apply;
pub mod chart;
pub mod cli;
pub mod config;
pub mod control;
pub mod decide;
pub mod demo;
pub mod domain;
pub mod evidence;
pub mod metabase;
pub mod night;
pub mod notify;
pub mod plan;
pub mod registry;
pub mod report;
pub mod route;
pub mod schedule;
pub mod simulate;
pub mod stats;
pub mod warehouse;
