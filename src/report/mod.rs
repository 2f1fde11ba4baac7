//! The night as data, and the mail made from it.
//!
//! A report is built once from what was recorded; mail, page and `--output json` show the same numbers and the same
//! sentences. Nothing here decides, looks anything up or reads a clock.

mod mail;
mod night;
pub mod site;
mod view;

pub use mail::{MailDraft, Readers, digest_mail};
pub use night::{CandidateReport, ExperimentReport, Incident, NightReport, Restatement, Standing, WouldHaveBeen};
pub use view::{render_html, render_text};

#[cfg(test)]
mod tests;
