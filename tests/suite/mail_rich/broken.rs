//! Mails that are broken on purpose, each in one way, and what is to be said of it.

use rampkeeper::notify::{InlineImage, Mail, compose};

/// A broken mail.
pub struct Case {
    pub name: &'static str,
    pub checker: &'static str,
    /// The rule, or a part of its name.
    pub rule: &'static str,
    pub bytes: Box<dyn Fn() -> Vec<u8>>,
}

/// A white picture, twice 280 × 60 pixels.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = vec![255; width as usize * height as usize * 3];
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    png
}

const SENTENCE: &str =
    "The candidate leftovers_v2 was taken off, since its cost per plan is 12.4 percent above control.";

/// A mail that nobody has anything to say against.
pub fn good() -> Mail {
    let words: String =
        (1..=60).map(|n| format!("<p class=\"words\" style=\"margin:0 0 8px\">{n}. {SENTENCE}</p>\n")).collect();
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>A night</title>\n<style>\n\
         @media (prefers-color-scheme: dark) {{ .sheet {{ color: #eeeeee !important; background-color: #101010 !important; }} }}\n\
         </style>\n</head>\n<body style=\"margin:0\">\n\
         <div class=\"sheet\" role=\"article\" lang=\"en\" aria-roledescription=\"email\" aria-label=\"A night\" \
         style=\"color:#222222;background-color:#ffffff\">\n<h1>Rolled back</h1>\n{words}\
         <img src=\"cid:chart@rampkeeper\" width=\"280\" height=\"60\" alt=\"cost per plan: +12.4 %\" style=\"display:block\">\n\
         <p><a href=\"https://example.com/report\" style=\"color:#0b5cad\">The page</a></p>\n</div>\n</body>\n</html>\n",
    );
    // A link's colour is for both grounds.
    let html = html.replace("<p><a href", "<p style=\"background-color:#ffffff\"><a href");
    Mail {
        from: "Rampkeeper <rampkeeper@example.com>".into(),
        to: vec!["Ops <ops@example.com>".into()],
        reply_to: None,
        subject: "[rampkeeper] 2026-03-30: 1 rolled back".into(),
        text: (1..=60).map(|n| format!("{n}. {SENTENCE}\n\n")).collect::<String>()
            + "The page: https://example.com/report\n",
        html,
        message_id: "night-2026-03-30.0123456789abcdef@example.com".into(),
        date: "2026-03-31T02:30:00Z".parse().expect("a time"),
        in_reply_to: None,
        list_id: Some("rampkeeper.example.com".into()),
        headers: vec![],
        inline_images: vec![InlineImage {
            content_id: "chart@rampkeeper".into(),
            filename: "chart.png".into(),
            png: picture(560, 120),
        }],
        attachments: vec![],
    }
}

/// A mail whose HTML has something in place of something else.
fn with(name: &'static str, checker: &'static str, rule: &'static str, from: &'static str, to: &'static str) -> Case {
    let bytes = move || {
        let mut mail = good();
        assert!(mail.html.contains(from), "{from:?} is not in the mail");
        mail.html = mail.html.replacen(from, to, 1);
        compose(&mail).expect("a mail").formatted()
    };
    Case { name, checker, rule, bytes: Box::new(bytes) }
}

/// A mail that was changed before it was put together.
fn changed(name: &'static str, checker: &'static str, rule: &'static str, change: fn(&mut Mail)) -> Case {
    let bytes = move || {
        let mut mail = good();
        change(&mut mail);
        compose(&mail).expect("a mail").formatted()
    };
    Case { name, checker, rule, bytes: Box::new(bytes) }
}

/// A message that was changed on its way.
fn raw(name: &'static str, rule: &'static str, change: fn(String) -> String) -> Case {
    let bytes = move || {
        let message = compose(&good()).expect("a mail").formatted();
        let text = String::from_utf8(message).expect("a message is ASCII");
        let changed = change(text.clone());
        assert_ne!(changed, text, "{name}: nothing was changed");
        changed.into_bytes()
    };
    Case { name, checker: "mime", rule, bytes: Box::new(bytes) }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![
        raw("mime-boundary", "defect", |text| {
            let end = text.rfind("--=_alternative").expect("a boundary");
            text[..end].to_owned()
        }),
        raw("mime-header-twice", "header", |text| format!("Subject: another\r\n{text}")),
        raw("mime-no-list", "header", |text| text.replacen("List-Id: ", "X-List: ", 1)),
        raw("mime-bare-line-end", "line-end", |text| {
            text.replacen("The=20page", "The\npage", 1).replacen("The page", "The\npage", 1)
        }),
        raw("mime-long-line", "line-length", |text| {
            text.replacen("Subject: ", &format!("X-Long: {}\r\nSubject: ", "x".repeat(1200)), 1)
        }),
        raw("mime-not-ascii", "line-bytes", |text| text.replacen("Subject: ", "Subject: \u{fc}", 1)),
        raw("mime-order", "structure", |text| text.replacen("text/plain", "text/enriched", 1)),
        with("mime-picture-missing", "mime", "picture", "cid:chart@rampkeeper", "cid:other@rampkeeper"),
        changed("mime-picture-unused", "mime", "picture", |mail| {
            let second = InlineImage { content_id: "unused@rampkeeper".into(), ..mail.inline_images[0].clone() };
            mail.inline_images.push(second);
        }),
        changed("mime-picture-odd", "mime", "picture-size", |mail| mail.inline_images[0].png = picture(561, 120)),
        changed("mime-picture-small", "mime", "picture-size", |mail| mail.inline_images[0].png = picture(280, 60)),
        changed("mime-no-picture", "mime", "picture", |mail| mail.inline_images[0].png = b"GIF89a".to_vec()),
        changed("mime-text-differs", "mime", "text-differs", |mail| {
            mail.text = mail.text.replace("12.4 percent", "a lot")
        }),
        with("validate-unclosed", "html-validate", "close-order", "</h1>", ""),
        with("validate-alt", "html-validate", "wcag/h37", " alt=\"cost per plan: +12.4 %\"", ""),
        with("validate-entity", "html-validate", "no-raw-characters", "Rolled back", "Rolled & back"),
        with("support-flex", "caniemail", "display:flex", "margin:0 0 8px", "margin:0 0 8px;display:flex"),
        with("support-position", "caniemail", "position", "margin:0 0 8px", "margin:0 0 8px;position:absolute"),
        with("rules-data", "rules", "address", "cid:chart@rampkeeper", "data:image/png;base64,AAAA"),
        with("rules-remote", "rules", "address", "cid:chart@rampkeeper", "https://example.com/chart.png"),
        with("rules-svg", "rules", "element", "<h1>", "<svg width=\"1\" height=\"1\"></svg><h1>"),
        with("rules-variable", "rules", "style", "margin:0 0 8px", "margin:0 0 8px;color:var(--ink)"),
        with("rules-import", "rules", "style", "@media (prefers", "@import \"x.css\"; @media (prefers"),
        with("rules-script", "rules", "element", "<h1>", "<script>alert(1)</script><h1>"),
        with("rules-script-link", "rules", "address", "https://example.com/report", "javascript:alert(1)"),
        with("rules-handler", "rules", "handler", "<h1>", "<h1 onclick=\"alert(1)\">"),
        with("rules-size", "rules", "picture-size", "width=\"280\"", "style=\"width:280px\""),
        with("rules-language", "rules", "language", " role=\"article\"", ""),
        changed("rules-weight", "rules", "weight", |mail| {
            mail.html = mail.html.replacen("<h1>", &format!("<p>{}</p><h1>", "word ".repeat(17_000)), 1);
        }),
        with("axe-contrast", "axe", "color-contrast", "margin:0 0 8px", "margin:0 0 8px;color:#bbbbbb"),
        with(
            "axe-contrast-in-the-dark",
            "axe",
            "color-contrast",
            "color: #eeeeee !important",
            "color: #333333 !important",
        ),
        with(
            "axe-table",
            "axe",
            "td-headers-attr",
            "<h1>",
            "<table><tr><th id=\"a\">a</th><td headers=\"b\">b</td></tr></table><h1>",
        ),
        with("overflow-fixed", "overflow", "320 px", "margin:0 0 8px", "margin:0 0 8px;width:500px"),
        with("pictures-broken", "pictures", "shown", "cid:chart@rampkeeper", "cid:other@rampkeeper"),
        changed("spam-gtube", "spam", "GTUBE", |mail| {
            let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
            mail.text.push_str(gtube);
        }),
        // The picture in place of words is 0.6 of the 2 points, the text that says something else the rest.
        changed("spam-picture-only", "spam", "HTML_IMAGE_ONLY", |mail| {
            mail.text = "Whoever reads this mail as text learns nothing of what was done.\n".into();
            let (head, rest) = mail.html.split_once("<h1>").expect("a heading");
            let (_, picture) = rest.split_once("<img").expect("a picture");
            mail.html = format!("{head}<p>See the picture.</p><img{picture}");
        }),
    ]
}
