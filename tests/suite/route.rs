//! The way from a trained model to an experiment, with the program as its users run it.

mod examples;
mod files;
mod gate;
mod real;
mod refusals;
mod thresholds;
