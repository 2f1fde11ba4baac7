//! Telling people: a mail as a value, its bytes, and the ways to send it; posts to chats, and the heartbeat.
//!
//! What a mail says is the report's business; this module knows how mail is put together and carried. The same
//! [`Mail`] always gives the same bytes, its Message-ID included: a night that is repeated sends nothing new, and
//! where a mail does go out twice, the receiving server can tell.

use async_trait::async_trait;
use jiff::Timestamp;

mod call_error;
mod compose;
mod error;
mod file;
mod header;
mod heartbeat;
mod receivers;
#[cfg(test)]
mod sample;
mod smtp;
mod web;
mod webhook;

pub use call_error::CallError;
pub use compose::compose;
pub use error::MailError;
pub use file::FileMailer;
pub use heartbeat::{Beat, Heartbeat};
pub use smtp::{SmtpMailer, SmtpSettings, Tls};
pub use web::WebSettings;
pub use webhook::{Chat, Post, Webhook, Webhooks};

/// One mail. Line ends and other control characters in any of its texts can't reach the header section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// The receivers, at least one, each as the sender.
    pub to: Vec<String>,
    /// Who reads the answers, when it isn't the sender.
    pub reply_to: Option<String>,
    /// The subject. It is cut after 250 characters.
    pub subject: String,
    /// The whole message as plain text.
    pub text: String,
    /// The same as HTML; pictures are `<img src="cid:…">`.
    pub html: String,
    /// The Message-ID without `<>`: `local@domain`, the same whenever the same mail is made.
    pub message_id: String,
    /// The moment that the mail bears.
    pub date: Timestamp,
    /// The Message-ID, without `<>`, of the mail that this one follows.
    pub in_reply_to: Option<String>,
    /// The list's name without `<>`, such as `checkout.rampkeeper.example.com`.
    pub list_id: Option<String>,
    /// Further headers, such as `X-Rampkeeper-Run`. None may be one that this module writes itself.
    pub headers: Vec<(String, String)>,
    /// The pictures that the HTML shows.
    pub inline_images: Vec<InlineImage>,
    /// Files beside the message.
    pub attachments: Vec<Attachment>,
}

/// A PNG that the HTML shows by `cid:content_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineImage {
    /// The Content-ID without `<>`.
    pub content_id: String,
    /// The name under which a reader may save it.
    pub filename: String,
    /// The picture as PNG.
    pub png: Vec<u8>,
}

/// A file beside the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The file's name.
    pub filename: String,
    /// Its media type, such as `text/csv`.
    pub content_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The mail's Message-ID without `<>`.
    pub message_id: String,
    /// What the server answered, or where the file lies.
    pub detail: String,
    /// The receivers whom the server refused while it took the mail for others, each with its words.
    pub refused: Vec<String>,
}

/// A way to send mail.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends one mail to all of its receivers. If some of them are refused, the others get it, and [`Sent::refused`]
    /// names those who don't: sending it again would reach the others twice.
    ///
    /// # Errors
    /// The mail can't be composed or wasn't taken for anybody. [`MailError::is_permanent`] tells whether trying later can help.
    async fn send(&self, mail: &Mail) -> Result<Sent, MailError>;

    /// The way in a few words, without secrets.
    fn describe(&self) -> String;
}
