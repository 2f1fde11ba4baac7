//! Mail in `rampkeeper.yml`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::secret::SecretRef;

/// The report's way to its readers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailEntry {
    /// The sender, such as `Rampkeeper <rampkeeper@example.com>`.
    pub from: String,
    /// The readers of everything.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Whether the owners of an experiment read of theirs; true unless told.
    pub owners: Option<bool>,
    /// Those who read a part.
    #[serde(default)]
    pub digests: Vec<DigestEntry>,
    /// What becomes of a night on which nothing happened: `send` (the default) or `skip`. A missing mail then no longer
    /// means a broken job.
    #[serde(default)]
    pub quiet: QuietWord,
    /// Which decisions have a mail of their own, with a thread for what follows; `[rollback, promote]` unless told.
    pub actions: Option<Vec<ActionWord>>,
    /// Whether mails have pictures; true unless told.
    pub pictures: Option<bool>,
    /// The night as files beside the digests.
    #[serde(default)]
    pub attach: Vec<AttachWord>,
    /// A folder with templates and texts of your own; what is not in it is built in.
    pub templates: Option<PathBuf>,
    /// A mail server.
    pub smtp: Option<SmtpEntry>,
    /// A folder that mails are written to as `.eml` files instead.
    pub directory: Option<PathBuf>,
}

/// Readers of a part.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestEntry {
    /// The readers.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
    /// Names of experiments, in which `*` stands for anything; all unless told.
    #[schemars(length(min = 1))]
    pub experiments: Option<Vec<String>>,
    /// What of them; everything unless told.
    #[schemars(length(min = 1))]
    pub tell: Option<Vec<TellWord>>,
}

/// What is told of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TellWord {
    /// The job changed it.
    Acted,
    /// Somebody must do something about it.
    NeedsYou,
    /// It could not be evaluated, or is not as decided.
    Broken,
    /// Nothing of that.
    Quiet,
}

/// What becomes of a night on which nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuietWord {
    /// It is told.
    #[default]
    Send,
    /// It is not.
    Skip,
}

/// A decision that may have a mail of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionWord {
    /// A candidate was taken off.
    Rollback,
    /// A candidate became the baseline.
    Promote,
    /// A candidate got more.
    Ramp,
}

/// A file beside a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachWord {
    /// A row per metric of each candidate.
    Csv,
    /// As `--output json` has it.
    Json,
}

/// A mail server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpEntry {
    /// Its host name.
    pub host: String,
    /// Its port; 587 with STARTTLS, 465 with TLS, 25 without, unless told.
    pub port: Option<u16>,
    /// `starttls` (the default), `tls` or `none`.
    #[serde(default)]
    pub encryption: EncryptionWord,
    /// The user, if it wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretRef>,
    /// A PEM file with a certificate authority to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionWord {
    /// Plain first, then upgraded; without the upgrade nothing is sent.
    #[default]
    Starttls,
    /// Encrypted from the start.
    Tls,
    /// Not at all.
    None,
}

/// Checks of meaning that the schema cannot express.
pub(super) fn check(fault: &mut impl FnMut(&str, &str), mail: &MailEntry) {
    if mail.smtp.is_some() == mail.directory.is_some() {
        fault("/mail", "give exactly one of `smtp` and `directory`");
    }
    let addresses = std::iter::once(("/mail/from".to_owned(), &mail.from))
        .chain(mail.to.iter().enumerate().map(|(i, to)| (format!("/mail/to/{i}"), to)))
        .chain(mail.digests.iter().enumerate().flat_map(|(i, digest)| {
            let to = digest.to.iter().enumerate();
            to.map(move |(j, to)| (format!("/mail/digests/{i}/to/{j}"), to))
        }))
        .chain(mail.reply_to.iter().map(|to| ("/mail/reply_to".to_owned(), to)));
    for (at, address) in addresses {
        if let Err(error) = address.parse::<lettre::message::Mailbox>() {
            fault(&at, &format!("{address:?} is no mail address ({error}); write name@example.com"));
        }
    }
    for (i, digest) in mail.digests.iter().enumerate() {
        let empty = |list: Option<usize>| list == Some(0);
        if digest.to.is_empty() {
            fault(&format!("/mail/digests/{i}"), "`to` names nobody; give an address, or leave the digest out");
        }
        if empty(digest.experiments.as_ref().map(Vec::len)) {
            let message = "`experiments` names none; leave it out for all of them";
            fault(&format!("/mail/digests/{i}/experiments"), message);
        }
        if empty(digest.tell.as_ref().map(Vec::len)) {
            let message = "`tell` says nothing; leave it out for everything, or name acted, needs_you, broken or quiet";
            fault(&format!("/mail/digests/{i}/tell"), message);
        }
    }
    if let Some(smtp) = &mail.smtp
        && smtp.username.is_some() != smtp.password.is_some()
    {
        fault("/mail/smtp", "`username` and `password` belong together");
    }
}
