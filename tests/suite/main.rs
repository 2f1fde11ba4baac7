//! Everything that needs more than one module: against real servers, and through the program as its users see it.

mod analyze;
mod architecture;
mod bad_input;
mod concurrency;
mod crash;
mod decide_properties;
mod embedded;
mod faults;
mod fuzz;
mod mail_real;
mod night_real;
mod operator;
mod program;
mod readme;
mod reference;
mod registry_real;
mod restated;
mod simulation;
mod stats_properties;
mod support;
mod support_smoke;
mod warehouse_postgres;
mod warehouses_agree;
