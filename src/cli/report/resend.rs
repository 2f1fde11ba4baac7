//! `report --resend`: the mails of a night once more, as the journal keeps them.

use anyhow::anyhow;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::apply::chain;
use crate::cli::{Exit, OutputFormat, connect, shown};
use crate::config::Config;
use crate::control::{ControlStore, JournalledMail};
use crate::notify::{Mail, Mailer};
use crate::report::MailDraft;

/// The header that names the night of a mail.
const NIGHT: &str = "X-Rampkeeper-As-Of";

#[derive(Serialize)]
struct Resent {
    schema_version: u32,
    as_of: Date,
    mails: Vec<Outcome>,
}

/// What became of one mail.
#[derive(Serialize)]
struct Outcome {
    subject: String,
    to: Vec<String>,
    message_id: String,
    sent: bool,
    /// What the server said, or why it was not sent.
    detail: String,
    /// Readers whom the server refused while it took the mail for others.
    refused: Vec<String>,
}

/// Sends the mails of a night again, to `to` if anybody is named.
pub(super) async fn resend(
    config: &Config,
    control: &ControlStore,
    as_of: Date,
    to: &[String],
    output: OutputFormat,
) -> anyhow::Result<Exit> {
    let Some(mailer) = connect::mailer(config)? else {
        return Err(anyhow!("no mail is configured, so nothing can be sent; give `mail` with `smtp` or `directory`"));
    };
    let mut mails = Vec::new();
    for journalled in control.mails_that_name(&as_of.to_string()).await? {
        let draft: MailDraft = serde_json::from_value(journalled.action.payload.clone()).map_err(|error| {
            let key = shown::plain(&journalled.action.idempotency_key);
            anyhow!("the mail {key} of the journal cannot be read ({error}); it was written by another version")
        })?;
        if draft.headers.iter().any(|(name, value)| name == NIGHT && *value == as_of.to_string()) {
            mails.push((journalled, draft));
        }
    }
    if mails.is_empty() {
        return Err(anyhow!(
            "the journal has no mail about the night of {as_of}: no mail was configured then, or nothing was to be told"
        ));
    }
    let mut told = Resent { schema_version: 1, as_of, mails: Vec::new() };
    for (journalled, draft) in mails {
        told.mails.push(send(mailer.as_ref(), &journalled, draft, to).await);
    }
    match output {
        OutputFormat::Json => shown::json(&told)?,
        OutputFormat::Text => told.mails.iter().for_each(|mail| print!("{}", text(mail))),
    }
    let all = told.mails.iter().all(|mail| mail.sent);
    Ok(if all { Exit::Done } else { Exit::FollowUpPending })
}

async fn send(mailer: &dyn Mailer, journalled: &JournalledMail, mut draft: MailDraft, to: &[String]) -> Outcome {
    let is_waiting = journalled.status == "pending" && to.is_empty();
    if !to.is_empty() {
        draft.message_id = for_others(&draft.message_id, to);
        draft.to = to.to_vec();
    }
    let mut outcome = Outcome {
        subject: draft.subject.clone(),
        to: draft.to.clone(),
        message_id: draft.message_id.clone(),
        sent: false,
        detail: "it was not sent yet; the next run sends it".to_owned(),
        refused: Vec::new(),
    };
    if is_waiting {
        return outcome;
    }
    match mailer.send(&Mail::from(draft)).await {
        Ok(sent) => (outcome.sent, outcome.detail, outcome.refused) = (true, sent.detail, sent.refused),
        Err(error) => outcome.detail = chain(&error),
    }
    outcome
}

/// The Message-ID of a mail that goes to other readers: a new one, and the same for the same readers.
fn for_others(message_id: &str, to: &[String]) -> String {
    let digest = format!("{:x}", Sha256::digest(to.join("\n")));
    match message_id.rsplit_once('@') {
        Some((local, domain)) => format!("{local}.to-{}@{domain}", &digest[..12]),
        None => format!("{message_id}.to-{}", &digest[..12]),
    }
}

fn text(mail: &Outcome) -> String {
    let word = if mail.sent { "sent" } else { "NOT SENT" };
    let to: Vec<String> = mail.to.iter().map(|to| shown::plain(to)).collect();
    let (subject, to, detail) = (shown::plain(&mail.subject), to.join(", "), shown::plain(&mail.detail));
    let mut told = format!("{word}  {subject}\n  to {to}, as <{}>\n  {detail}\n", shown::plain(&mail.message_id));
    for refused in &mail.refused {
        told.push_str(&format!("  refused: {}\n", shown::plain(refused)));
    }
    told
}
