//! Everything that needs more than one module: against real servers, and through the program as its users see it.

mod support;
mod support_smoke;
