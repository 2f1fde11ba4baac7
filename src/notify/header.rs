//! What may stand in a mail's header section. Experiment names, reasons and server messages end up here, and none of
//! them may start a header of its own, break a line or pass for encoded text.

use lettre::message::Mailbox;
use lettre::message::header::{HeaderName, HeaderValue};

use super::MailError;

/// The longest subject, in characters. Mail clients show the first 70 or so.
const LONGEST_SUBJECT: usize = 250;

/// The longest Message-ID, Content-ID or list name, in bytes: with its header's name it stays one line.
const LONGEST_ID: usize = 250;

/// The longest value of a further header, in bytes. RFC 5322 bounds a line by 998.
const LONGEST_VALUE: usize = 900;

/// The headers that the message itself sets, in lower case, beside every `content-…`.
const RESERVED: [&str; 17] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "list-id",
    "mime-version",
    "auto-submitted",
    "x-auto-response-suppress",
    "received",
    "return-path",
];

/// A text as one line: control characters become spaces, runs of spaces one, and `=?`, which opens an encoded word, is
/// taken apart.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").replace("=?", "= ?")
}

/// A subject as one line of bounded length.
pub(super) fn subject(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(LONGEST_SUBJECT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An address with or without a name.
pub(super) fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, MailError> {
    let refuse = |problem: String| MailError::Field { field, value: shortened(text), problem };
    let mailbox: Mailbox = one_line(text).parse().map_err(|error| {
        refuse(format!("is no address ({error}); write `user@example.com` or `Name <user@example.com>`"))
    })?;
    // Such an address needs SMTPUTF8 on every server of its way, and few have it.
    if !AsRef::<str>::as_ref(&mailbox.email).is_ascii() {
        return Err(refuse(
            "has an address beyond ASCII; write a domain such as münchen.de as xn--mnchen-3ya.de".into(),
        ));
    }
    Ok(mailbox)
}

/// The inside of a Message-ID or Content-ID: `left@right` without spaces and brackets (RFC 5322, 3.6.4).
pub(super) fn message_id(field: &'static str, id: &str) -> Result<String, MailError> {
    let sides = id.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    if !sides {
        return Err(MailError::Field { field, value: shortened(id), problem: "must be `left@right`".into() });
    }
    bracketed(field, id)
}

/// `<id>`, where the id is printable ASCII without spaces, brackets and quotes.
pub(super) fn bracketed(field: &'static str, id: &str) -> Result<String, MailError> {
    let allowed = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c);
    if id.is_empty() || id.len() > LONGEST_ID || !id.chars().all(allowed) {
        return Err(MailError::Field {
            field,
            value: shortened(id),
            problem: format!("must be 1 to {LONGEST_ID} ASCII letters, digits and signs, without spaces and brackets"),
        });
    }
    Ok(format!("<{id}>"))
}

/// A header beyond those that the message sets itself.
pub(super) fn further(name: &str, value: &str) -> Result<HeaderValue, MailError> {
    let refuse = |problem: &str| MailError::Field { field: "header", value: shortened(name), problem: problem.into() };
    let lower = name.to_ascii_lowercase();
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(refuse("a header's name is letters, digits and `-`"));
    }
    if RESERVED.contains(&lower.as_str()) || lower.starts_with("content-") {
        return Err(refuse("is set by the message itself; use its own field"));
    }
    let value = one_line(value);
    if value.len() > LONGEST_VALUE {
        return Err(refuse(&format!("its value has {} bytes; at most {LONGEST_VALUE} fit a line", value.len())));
    }
    let parsed =
        HeaderName::new_from_ascii(name.to_owned()).map_err(|_| refuse("a header's name has 1 to 76 characters"))?;
    Ok(HeaderValue::new(parsed, value))
}

/// A file's name without directories and control characters.
pub(super) fn filename(name: &str) -> String {
    let line = one_line(name).replace(['/', '\\', '"'], "_");
    let short: String = line.chars().take(100).collect();
    if short.is_empty() { "file".into() } else { short }
}

/// At most 80 characters as one line, for a message.
pub(super) fn shortened(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line() {
        assert_eq!(one_line("a\r\nBcc: x@y.z\t\u{85}b\0\u{2028} c"), "a Bcc: x@y.z b c");
        assert_eq!(one_line("=?utf-8?q?x?="), "= ?utf-8?q?x?=");
        assert_eq!(subject(&"x".repeat(999)).chars().count(), 251);
    }

    #[test]
    fn ids_hold_no_brackets_spaces_or_line_ends() {
        assert_eq!(message_id("message id", "run-1.a+b@example.com").unwrap(), "<run-1.a+b@example.com>");
        for bad in ["", "x", "@y", "x@", "a b@y", "a@y>\r\nBcc: z@z", "é@y", "<a@y>"] {
            assert!(message_id("message id", bad).is_err(), "{bad}");
        }
        assert!(bracketed("list id", &"x".repeat(251)).is_err());
    }

    #[test]
    fn further_headers_cannot_replace_the_message_s_own() {
        for name in ["From", "BCC", "Content-Type", "content-anything", "X A", "X:", "", "X\r\nBcc", "Ü"] {
            assert!(further(name, "x").is_err(), "{name}");
        }
        assert!(further("X-Run", &"x".repeat(901)).is_err());
        assert!(further("X-Run", "x\r\ny").is_ok());
    }

    #[test]
    fn a_file_s_name_has_no_directory() {
        assert_eq!(filename("../a\r\nb\".csv"), ".._a b_.csv");
        assert_eq!(filename("\n"), "file");
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        assert_eq!(mailbox("to", "Ops Team <ops@example.com>").unwrap().email.to_string(), "ops@example.com");
        assert!(mailbox("to", "ops@münchen.de").unwrap_err().to_string().contains("xn--"));
        assert!(mailbox("to", "Ö <ops@xn--mnchen-3ya.de>").is_ok());
        let error = mailbox("to", "ops at example").unwrap_err().to_string();
        assert!(error.contains("mail to `ops at example`") && error.contains("user@example.com"), "{error}");
    }
}
