//! Mail to a real SMTP server, read back by another program's strict parser.

use std::time::Duration;

use rampkeeper::notify::{Attachment, InlineImage, Mail, MailError, Mailer, SmtpMailer, SmtpSettings, Tls};

use crate::support::smtp::{Rules, Smtp};

fn mail() -> Mail {
    Mail {
        from: "Rampkeeper <rampkeeper@example.com>".into(),
        to: vec!["ops@example.com".into(), "Zoë Müller <zoe@example.com>".into()],
        reply_to: Some("ml-team@example.com".into()),
        subject: "[rampkeeper] ROLLED BACK \u{fc}ber checkout\r\nBcc: victim@example.org".into(),
        text: format!("1 rollback – limit +2 %\n.\nFrom here on {}\n", "long ".repeat(400)),
        html: "<p lang=\"en\">1 rollback – <img src=\"cid:chart@rampkeeper\" alt=\"\"></p>\n".into(),
        message_id: "run-2026-03-02.checkout@rampkeeper.example.com".into(),
        date: "2026-03-02T04:05:06Z".parse().expect("a time"),
        in_reply_to: Some("experiment.checkout@rampkeeper.example.com".into()),
        list_id: Some("checkout.rampkeeper.example.com".into()),
        headers: vec![("X-Rampkeeper-Run".into(), "2026-03-02".into())],
        inline_images: vec![InlineImage {
            content_id: "chart@rampkeeper".into(),
            filename: "latency.png".into(),
            png: vec![0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a],
        }],
        attachments: vec![Attachment {
            filename: "Prüfung.csv".into(),
            content_type: "text/csv; charset=utf-8".into(),
            bytes: "a,ü\n".into(),
        }],
    }
}

fn settings(smtp: &Smtp) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".into(),
        port: smtp.port(),
        tls: Tls::None,
        username: None,
        password: None,
        timeout: Duration::from_secs(20),
        ca_file: None,
        retries: 2,
        retry_delay: Duration::from_millis(20),
    }
}

fn mailer(settings: SmtpSettings) -> SmtpMailer {
    SmtpMailer::new(settings).expect("settings that work")
}

#[tokio::test]
async fn a_whole_mail_is_read_as_it_was_meant() {
    let smtp = Smtp::start(Rules::default()).await;
    let sent = mailer(settings(&smtp)).send(&mail()).await.expect("the mail is taken");
    assert!(sent.detail.starts_with("250 "), "{}", sent.detail);
    let mails = smtp.mails();
    let [kept] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(kept.to, ["ops@example.com", "zoe@example.com"]);
    let structure = [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/csv",
    ];
    assert_eq!(kept.structure, structure);
    assert_eq!(kept.header("subject"), Some("[rampkeeper] ROLLED BACK über checkout Bcc: victim@example.org"));
    assert_eq!(kept.header("bcc"), None);
    assert_eq!(kept.header("date"), Some("Mon, 02 Mar 2026 04:05:06 +0000"));
    assert_eq!(kept.header("message-id"), Some("<run-2026-03-02.checkout@rampkeeper.example.com>"));
    assert_eq!(kept.header("references"), Some("<experiment.checkout@rampkeeper.example.com>"));
    assert_eq!(kept.header("list-id"), Some("<checkout.rampkeeper.example.com>"));
    assert_eq!(kept.header("auto-submitted"), Some("auto-generated"));
    let text = |kind| kept.part(kind).and_then(|part| part.text.clone()).map(|text| text.replace("\r\n", "\n"));
    assert_eq!(text("text/plain").as_deref(), Some(mail().text.as_str()));
    assert_eq!(text("text/html").as_deref(), Some(mail().html.as_str()));
    let picture = kept.part("image/png").expect("the picture");
    assert_eq!((picture.content_id.as_deref(), picture.hex.as_str()), (Some("<chart@rampkeeper>"), "89504e470d0a1a0a"));
    let table = kept.part("text/csv").expect("the file");
    assert_eq!((table.file_name.as_deref(), table.text.as_deref()), (Some("Prüfung.csv"), Some("a,ü\n")));
    assert!(kept.raw.lines().all(|line| line.len() <= 998));
}

#[tokio::test]
async fn starttls_trusts_only_a_known_authority() {
    let smtp = Smtp::start(Rules { starttls: true, login: Some(("guard", "secret")), ..Rules::default() }).await;
    let encrypted = |password: &str| SmtpSettings {
        tls: Tls::StartTls,
        username: Some("guard".into()),
        password: Some(password.into()),
        ..settings(&smtp)
    };
    let trusting = |password: &str| SmtpSettings { ca_file: Some(smtp.ca().to_owned()), ..encrypted(password) };

    let stranger = mailer(encrypted("secret")).check().await.expect_err("the authority is unknown");
    assert!(stranger.is_permanent() && stranger.to_string().contains("CA file"), "{stranger}");

    let wrong = mailer(trusting("wrong")).send(&mail()).await.expect_err("the password is wrong");
    assert!(wrong.is_permanent() && wrong.to_string().contains("password"), "{wrong}");

    let right = mailer(trusting("secret"));
    right.check().await.expect("the server lets us in");
    assert!(smtp.mails().is_empty());
    right.send(&mail()).await.expect("the mail is taken");
    let mails = smtp.mails();
    let [kept] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert!(kept.tls);
    assert_eq!(kept.user.as_deref(), Some("guard"));

    let plain = mailer(settings(&smtp)).send(&mail()).await.expect_err("nothing goes in the clear");
    assert!(matches!(&plain, MailError::Smtp { step: "handing over the mail", .. }), "{plain}");
    assert!(plain.is_permanent() && plain.to_string().contains("TLS"), "{plain}");
}

#[tokio::test]
async fn a_busy_server_gets_the_mail_in_the_end() {
    let smtp = Smtp::start(Rules { busy: 2, ..Rules::default() }).await;
    mailer(settings(&smtp)).send(&mail()).await.expect("the third attempt is taken");
    assert_eq!(smtp.mails().len(), 1);

    let busier = Smtp::start(Rules { busy: 9, ..Rules::default() }).await;
    let error = mailer(settings(&busier)).send(&mail()).await.expect_err("three attempts are all");
    assert!(!error.is_permanent() && error.to_string().contains("each of 3 attempts"), "{error}");
}

#[tokio::test]
async fn a_lost_answer_repeats_the_same_mail() {
    let smtp = Smtp::start(Rules { vanish: 1, ..Rules::default() }).await;
    mailer(settings(&smtp)).send(&mail()).await.expect("the second attempt is answered");
    let mails = smtp.mails();
    let [first, second] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(first.raw, second.raw);
}

#[tokio::test]
async fn a_refused_receiver_keeps_the_mail_from_nobody_else() {
    let smtp = Smtp::start(Rules { refuse: &["zoe@example.com"], ..Rules::default() }).await;
    let sent = mailer(settings(&smtp)).send(&mail()).await.expect("one receiver is left");
    assert_eq!(sent.refused, ["zoe@example.com: 550 5.1.1 No such mailbox here"]);
    let mails = smtp.mails();
    let [kept] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(kept.to, ["ops@example.com"]);
    assert_eq!(kept.header("to"), Some("ops@example.com, Zoë Müller <zoe@example.com>"), "the mail itself is the same");
}

#[tokio::test]
async fn a_receiver_refused_for_now_is_waited_for_within_bounds() {
    // Each attempt asks twice: with the mail, and without it to learn who is meant.
    let smtp = Smtp::start(Rules { defer: &[("zoe@example.com", 4)], ..Rules::default() }).await;
    let sent = mailer(settings(&smtp)).send(&mail()).await.expect("the third attempt is taken");
    assert!(sent.refused.is_empty(), "{:?}", sent.refused);
    let mails = smtp.mails();
    let [kept] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(kept.to, ["ops@example.com", "zoe@example.com"]);

    let longer = Smtp::start(Rules { defer: &[("zoe@example.com", 99)], ..Rules::default() }).await;
    let sent = mailer(settings(&longer)).send(&mail()).await.expect("the others are not kept waiting");
    assert_eq!(sent.refused, ["zoe@example.com: 451 4.7.1 Not yet, try again later"]);
    assert_eq!(longer.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_that_every_receiver_is_refused_for_is_not_taken() {
    let smtp = Smtp::start(Rules { refuse: &["ops@example.com", "zoe@example.com"], ..Rules::default() }).await;
    let error = mailer(settings(&smtp)).send(&mail()).await.expect_err("nobody is left");
    assert!(error.is_permanent() && error.is_for_good(), "{error}");
    assert!(smtp.mails().is_empty());
}
