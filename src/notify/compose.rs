//! From a [`Mail`] to the message's bytes.
//!
//! ```text
//! mixed                        only with attachments
//! ├── alternative
//! │   ├── text/plain
//! │   └── related              only with pictures; else text/html stands here
//! │       ├── text/html
//! │       └── image/png …      by Content-ID
//! └── attachments …
//! ```

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{
    ContentDisposition, ContentId, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Mailboxes, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::{Attachment, InlineImage, Mail, MailError, header};

/// RFC 5322, 2.1.1: a line holds at most 998 bytes before its end.
const LONGEST_LINE: usize = 998;

/// Puts a message together. The same mail always gives the same bytes.
///
/// The message says that a program wrote it (RFC 3834) and asks Exchange for no absence notes, but lets bounces
/// through.
///
/// # Errors
/// No receiver; an address, identifier, header or media type that isn't one, each named with its value; a date before
/// 1970.
pub fn compose(mail: &Mail) -> Result<Message, MailError> {
    let subject = header::subject(&mail.subject);
    if mail.to.is_empty() {
        return Err(MailError::NoReceiver { subject });
    }
    let to: Mailboxes = mail.to.iter().map(|to| header::mailbox("receiver", to)).collect::<Result<_, _>>()?;
    let mut builder = Message::builder()
        .from(header::mailbox("sender", &mail.from)?)
        .mailbox(lettre::message::header::To::from(to))
        .subject(subject.as_str())
        .date(date(mail)?)
        .message_id(Some(header::message_id("message id", &mail.message_id)?))
        .raw_header(fixed("Auto-Submitted", "auto-generated"))
        .raw_header(fixed("X-Auto-Response-Suppress", "OOF, AutoReply"));
    if let Some(reply_to) = &mail.reply_to {
        builder = builder.reply_to(header::mailbox("reply-to", reply_to)?);
    }
    if let Some(id) = &mail.in_reply_to {
        let id = header::message_id("in-reply-to", id)?;
        builder = builder.in_reply_to(id.clone()).references(id);
    }
    if let Some(id) = &mail.list_id {
        builder = builder.raw_header(fixed("List-Id", &header::bracketed("list id", id)?));
    }
    for (name, value) in &mail.headers {
        builder = builder.raw_header(header::further(name, value)?);
    }
    let failed = |source| MailError::Compose { subject: subject.clone(), source };
    let message = builder.multipart(body(mail)?).map_err(failed)?;
    check_lines(&message)?;
    Ok(message)
}

/// A header whose name is a constant and whose value is clean.
fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The mail's date in whole seconds. Mail's date header can't say more, nor the time before 1970.
fn date(mail: &Mail) -> Result<SystemTime, MailError> {
    u64::try_from(mail.date.as_second()).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).map_err(
        |_| MailError::Field {
            field: "date",
            value: mail.date.to_string(),
            problem: "lies before 1970; is the as-of date right?".into(),
        },
    )
}

fn body(mail: &Mail) -> Result<MultiPart, MailError> {
    let alternative = multipart(mail, "alternative")?.singlepart(text(ContentType::TEXT_PLAIN, &mail.text));
    let html = text(ContentType::TEXT_HTML, &mail.html);
    let alternative = if mail.inline_images.is_empty() {
        alternative.singlepart(html)
    } else {
        let related = multipart(mail, "related")?.singlepart(html);
        let related = mail.inline_images.iter().try_fold(related, |part, i| Ok(part.singlepart(image(i)?)))?;
        alternative.multipart(related)
    };
    if mail.attachments.is_empty() {
        return Ok(alternative);
    }
    let mixed = multipart(mail, "mixed")?.multipart(alternative);
    mail.attachments.iter().try_fold(mixed, |part, a| Ok(part.singlepart(attachment(a)?)))
}

/// An empty multipart whose boundary follows from the Message-ID.
///
/// `=_` can't occur in quoted-printable text nor in base64, so no body can hold the boundary.
fn multipart(mail: &Mail, kind: &str) -> Result<MultiPart, MailError> {
    let digest = Sha256::digest(format!("{kind} {}", mail.message_id));
    let digest: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    // RFC 2387 asks for the type of the part that the others belong to.
    let root = if kind == "related" { "; type=\"text/html\"" } else { "" };
    let content_type = media_type(&format!("multipart/{kind}; boundary=\"=_{kind}_{digest}\"{root}"))?;
    Ok(MultiPart::builder().header(content_type).build())
}

fn text(content_type: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(content_type).header(ContentTransferEncoding::QuotedPrintable).body(text.to_owned())
}

fn image(image: &InlineImage) -> Result<SinglePart, MailError> {
    Ok(SinglePart::builder()
        .header(media_type("image/png")?)
        .header(ContentDisposition::inline_with_name(&header::filename(&image.filename)))
        .header(ContentId::from(header::bracketed("content id", &image.content_id)?))
        .header(ContentTransferEncoding::Base64)
        .body(image.png.clone()))
}

fn attachment(attachment: &Attachment) -> Result<SinglePart, MailError> {
    Ok(SinglePart::builder()
        .header(media_type(&attachment.content_type)?)
        .header(ContentDisposition::attachment(&header::filename(&attachment.filename)))
        .header(ContentTransferEncoding::Base64)
        .body(attachment.bytes.clone()))
}

fn media_type(text: &str) -> Result<ContentType, MailError> {
    let refuse = |problem: String| MailError::Field { field: "media type", value: header::shortened(text), problem };
    if text.chars().any(char::is_control) || text.len() > 200 {
        return Err(refuse("holds a control character or more than 200 bytes".into()));
    }
    ContentType::parse(text).map_err(|error| refuse(format!("is none ({error}); write one such as `text/csv`")))
}

/// The last look at what goes out, whatever the parts were: ASCII, whole line ends, no line too long.
fn check_lines(message: &Message) -> Result<(), MailError> {
    for line in message.formatted().split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LONGEST_LINE || !line.is_ascii() || line.contains(&b'\r') || line.contains(&0) {
            return Err(MailError::Field {
                field: "line",
                value: header::shortened(&String::from_utf8_lossy(line)),
                problem: format!("has {} bytes or isn't clean ASCII; RFC 5322 allows {LONGEST_LINE}", line.len()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
