pub mod domain;
pub mod warehouse;
