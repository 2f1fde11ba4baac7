use std::collections::BTreeMap;

use super::super::sample::report;
use super::*;

/// One part of a message as a reader sees it: headers unfolded and by lower-case name, and the raw body.
struct Part {
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

impl Part {
    fn parse(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in head.replace("\r\n ", " ").split("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
        }
        Self { headers, body: body.to_owned() }
    }

    fn header(&self, name: &str) -> &str {
        let values = &self.headers[name];
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        &values[0]
    }

    fn kind(&self) -> &str {
        self.header("content-type").split(';').next().unwrap()
    }

    fn parts(&self) -> Vec<Part> {
        let content_type = self.header("content-type");
        let boundary = content_type.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let (inside, rest) = self.body.split_once(&format!("--{boundary}--")).unwrap();
        assert_eq!(rest.trim(), "");
        let delimiter = format!("--{boundary}\r\n");
        inside.split(&delimiter).skip(1).map(|part| Part::parse(part.strip_suffix("\r\n").unwrap())).collect()
    }

    /// The text of a quoted-printable body.
    fn text(&self) -> String {
        assert_eq!(self.header("content-transfer-encoding"), "quoted-printable");
        let joined = self.body.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = joined.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            if *first == b'=' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(*first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }
}

fn formatted(mail: &Mail) -> String {
    String::from_utf8(compose(mail).unwrap().formatted()).unwrap()
}

fn kinds(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(Part::kind).collect()
}

#[test]
fn a_whole_mail_has_the_drawn_structure() {
    let mail = report();
    let message = Part::parse(&formatted(&mail));
    assert_eq!(message.kind(), "multipart/mixed");
    let outer = message.parts();
    assert_eq!(kinds(&outer), ["multipart/alternative", "text/csv"]);
    let alternative = outer[0].parts();
    assert_eq!(kinds(&alternative), ["text/plain", "multipart/related"]);
    assert!(alternative[1].header("content-type").contains("type=\"text/html\""));
    let related = alternative[1].parts();
    assert_eq!(kinds(&related), ["text/html", "image/png"]);

    assert_eq!(alternative[0].header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(alternative[0].text(), mail.text.replace('\n', "\r\n"));
    assert_eq!(related[0].text(), mail.html.replace('\n', "\r\n"));
    assert_eq!(related[1].header("content-id"), "<chart-1@rampkeeper>");
    assert!(related[1].header("content-disposition").starts_with("inline; filename=\"latency.png\""));
    assert_eq!(related[1].header("content-transfer-encoding"), "base64");
    assert!(outer[1].header("content-disposition").starts_with("attachment; filename=\"evidence.csv\""));
    // base64 of the file's content
    assert_eq!(outer[1].body, "dmFyaWFudCxuCmNvbnRyb2wsMTAwMAo=");
}

#[test]
fn without_pictures_and_files_two_alternatives_remain() {
    let mail = Mail { inline_images: vec![], attachments: vec![], ..report() };
    let message = Part::parse(&formatted(&mail));
    assert_eq!(message.kind(), "multipart/alternative");
    assert_eq!(kinds(&message.parts()), ["text/plain", "text/html"]);
}

#[test]
fn the_headers_say_who_when_and_why() {
    let message = Part::parse(&formatted(&report()));
    for (name, value) in [
        ("from", "Rampkeeper <rampkeeper@example.com>"),
        ("to", "ops@example.com, =?utf-8?b?Wm/DqyBNw7xsbGVy?= <zoe@example.com>"),
        ("reply-to", "ml-team@example.com"),
        ("subject", "[rampkeeper] ROLLED BACK checkout: latency +4.1 %"),
        ("date", "Mon, 02 Mar 2026 04:05:06 +0000"),
        ("message-id", "<run-2026-03-02.checkout@rampkeeper.example.com>"),
        ("in-reply-to", "<experiment.checkout@rampkeeper.example.com>"),
        ("references", "<experiment.checkout@rampkeeper.example.com>"),
        ("list-id", "<checkout.rampkeeper.example.com>"),
        ("auto-submitted", "auto-generated"),
        ("x-auto-response-suppress", "OOF, AutoReply"),
        ("x-rampkeeper-run", "2026-03-02"),
        ("mime-version", "1.0"),
    ] {
        assert_eq!(message.header(name), value, "{name}");
    }
    let envelope = compose(&report()).unwrap().envelope().clone();
    assert_eq!(envelope.to().len(), 2);
    assert_eq!(envelope.from().unwrap().to_string(), "rampkeeper@example.com");
}

#[test]
fn the_same_mail_gives_the_same_bytes() {
    assert_eq!(formatted(&report()), formatted(&report()));
    let other = Mail { message_id: "other@example.com".into(), ..report() };
    let boundary = |mail: &Mail| Part::parse(&formatted(mail)).header("content-type").to_owned();
    assert_ne!(boundary(&report()), boundary(&other));
}

#[test]
fn a_subject_beyond_ascii_is_encoded_in_full() {
    let mail = Mail { subject: "ünï – 模型 rolled back ✓".into(), ..report() };
    let raw = formatted(&mail);
    let subject = Part::parse(&raw).header("subject").to_owned();
    assert!(subject.is_ascii() && subject.contains("=?utf-8?b?") && subject.contains("rolled back"), "{subject}");
}

#[test]
fn nothing_that_is_given_can_start_a_header() {
    let attack = "x\r\nBcc: victim@example.org\r\n\r\n<h1>";
    let mail = Mail {
        from: "\"Ramp\r\nBcc: victim@example.org\" <rampkeeper@example.com>".into(),
        subject: attack.into(),
        headers: vec![("X-Rampkeeper-Reason".into(), format!("{attack}\u{85}\u{2028}\0\u{7f}"))],
        inline_images: vec![InlineImage { filename: attack.into(), ..report().inline_images[0].clone() }],
        attachments: vec![Attachment { filename: attack.into(), ..report().attachments[0].clone() }],
        ..report()
    };
    let raw = formatted(&mail);
    let lines: Vec<&str> = raw.split("\r\n").collect();
    assert!(!lines.iter().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{raw}");
    let message = Part::parse(&raw);
    assert!(!message.headers.contains_key("bcc"));
    assert_eq!(message.header("subject"), "x Bcc: victim@example.org <h1>");
    assert_eq!(message.header("x-rampkeeper-reason"), "x Bcc: victim@example.org <h1>");
    assert_eq!(compose(&mail).unwrap().envelope().to().len(), 2);
}

#[test]
fn what_cannot_be_cleaned_is_refused() {
    let line = "a@b\r\nBcc: c@d";
    for mail in [
        Mail { to: vec![], ..report() },
        Mail { to: vec!["a@b.example\r\nBcc: c@d.example".into()], ..report() },
        Mail { message_id: line.into(), ..report() },
        Mail { in_reply_to: Some(line.into()), ..report() },
        Mail { list_id: Some("list>\r\nBcc: c@d".into()), ..report() },
        Mail { headers: vec![("Bcc".into(), "c@d".into())], ..report() },
        Mail { headers: vec![("X-A\r\nBcc".into(), "c@d".into())], ..report() },
        Mail { date: "1969-12-31T23:59:59Z".parse().unwrap(), ..report() },
        Mail {
            inline_images: vec![InlineImage { content_id: line.into(), ..report().inline_images[0].clone() }],
            ..report()
        },
        Mail {
            attachments: vec![Attachment {
                content_type: "text/csv\r\nBcc: c@d".into(),
                ..report().attachments[0].clone()
            }],
            ..report()
        },
    ] {
        let error = compose(&mail).unwrap_err();
        assert!(error.is_permanent());
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn no_line_is_too_long() {
    let long = "x".repeat(5000);
    let mail = Mail {
        subject: long.clone(),
        text: long.clone(),
        html: format!("<p>{}</p>", "ü".repeat(5000)),
        to: (0..200).map(|n| format!("Receiver Number {n} <receiver-{n}@example.com>")).collect(),
        attachments: vec![Attachment {
            filename: format!("{}.csv", "ü".repeat(300)),
            content_type: "text/csv".into(),
            bytes: vec![b'x'; 5000],
        }],
        ..report()
    };
    let raw = formatted(&mail);
    let longest = raw.split("\r\n").map(str::len).max().unwrap();
    assert!(longest <= LONGEST_LINE, "{longest}");
    assert!(!raw.replace("\r\n", "").contains(['\r', '\n']));
    // A name without spaces can't be folded: it is refused, not sent.
    let unfoldable = Mail { from: format!("{long} <a@example.com>"), ..report() };
    assert!(compose(&unfoldable).unwrap_err().to_string().contains("998"));
}

#[test]
fn lone_line_ends_and_dots_survive() {
    let mail = Mail { text: "a\r\n.\r\nb\rc\n.\n".into(), ..report() };
    let message = Part::parse(&formatted(&mail));
    let text = message.parts()[0].parts()[0].text();
    assert_eq!(text, "a\r\n.\r\nb\rc\r\n.\r\n");
}
