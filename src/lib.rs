pub mod config;
pub mod decide;
pub mod domain;
pub mod evidence;
pub mod plan;
pub mod stats;
