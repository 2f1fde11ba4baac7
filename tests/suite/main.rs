//! Everything that needs more than one module: against real servers, and through the program as its users see it.

mod analyze;
mod architecture;
mod bad_input;
mod checks;
mod decide_properties;
mod embedded;
mod mail_real;
mod night_real;
mod program;
mod readme;
mod reference;
mod registry_real;
mod simulation;
mod stats_properties;
mod support;
mod support_smoke;
mod warehouse_postgres;
mod warehouses_agree;
