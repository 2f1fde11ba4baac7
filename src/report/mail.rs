//! The night's mail: subject, text, HTML and a Message-ID that a repetition gets again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::night::NightReport;
use super::view::{render_html, render_text};

/// Who reads the mail, and whom it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Readers {
    /// The sender.
    pub from: String,
    /// The readers.
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
}

/// A mail as the journal keeps it until it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailDraft {
    /// The sender.
    pub from: String,
    /// The readers.
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// The Message-ID without its angle brackets.
    pub message_id: String,
    /// When the night ran.
    pub date: Timestamp,
    /// The List-Id without its angle brackets.
    pub list_id: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// The digest of a night. Its Message-ID follows from the decisions, so the same night gives the same mail.
pub fn digest_mail(report: &NightReport, readers: &Readers) -> MailDraft {
    let domain = domain_of(&readers.from);
    let mut told = Sha256::new();
    for experiment in &report.experiments {
        told.update(format!("{} {:?} {}\n", experiment.name, experiment.standing, experiment.outside_change));
        for candidate in &experiment.candidates {
            told.update(format!("{} {:?} {}\n", candidate.name, candidate.decision_id, candidate.revision));
        }
        for line in experiment.by_hand.iter().chain(&experiment.route) {
            told.update(format!("{line}\n"));
        }
    }
    for incident in report.incidents.iter().filter(|incident| incident.new) {
        told.update(format!("{}\n", incident.id));
    }
    let told = format!("{:x}", told.finalize());
    let mut headers = vec![("X-Rampkeeper-As-Of".to_owned(), report.as_of.to_string())];
    headers.extend(report.run.map(|run| ("X-Rampkeeper-Run".to_owned(), run.to_string())));
    MailDraft {
        from: readers.from.clone(),
        to: readers.to.clone(),
        reply_to: readers.reply_to.clone(),
        subject: format!("[rampkeeper] {}: {}", report.as_of, report.summary()),
        text: render_text(report),
        html: render_html(report),
        message_id: format!("night-{}.{}@{domain}", report.as_of, &told[..16]),
        date: report.at,
        list_id: format!("rampkeeper.{domain}"),
        headers,
    }
}

/// The domain of an address such as `Name <user@domain>`.
fn domain_of(address: &str) -> &str {
    let domain = address.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    if domain.is_empty() { "localhost" } else { domain }
}
