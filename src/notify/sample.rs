//! The mail that the tests send.

use super::{Attachment, InlineImage, Mail};

/// A mail with everything in it.
pub(super) fn report() -> Mail {
    Mail {
        from: "Rampkeeper <rampkeeper@example.com>".into(),
        to: vec!["ops@example.com".into(), "Zoë Müller <zoe@example.com>".into()],
        reply_to: Some("ml-team@example.com".into()),
        subject: "[rampkeeper] ROLLED BACK checkout: latency +4.1 %".into(),
        text: "1 rollback\n\nlatency p95 is +4.1 % [+2.2 %, +6.0 %] – limit +2 %\n".into(),
        html: "<p lang=\"en\">1 rollback – <img src=\"cid:chart-1@rampkeeper\"></p>\n".into(),
        message_id: "run-2026-03-02.checkout@rampkeeper.example.com".into(),
        date: "2026-03-02T04:05:06.789Z".parse().unwrap(),
        in_reply_to: Some("experiment.checkout@rampkeeper.example.com".into()),
        list_id: Some("checkout.rampkeeper.example.com".into()),
        headers: vec![("X-Rampkeeper-Run".into(), "2026-03-02".into())],
        inline_images: vec![InlineImage {
            content_id: "chart-1@rampkeeper".into(),
            filename: "latency.png".into(),
            png: (0..=255).cycle().take(3000).collect(),
        }],
        attachments: vec![Attachment {
            filename: "evidence.csv".into(),
            content_type: "text/csv".into(),
            bytes: b"variant,n\ncontrol,1000\n".to_vec(),
        }],
    }
}
