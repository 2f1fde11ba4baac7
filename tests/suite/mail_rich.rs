//! The mails of a rich night, by the eyes of other programs: a strict parser, a validator of HTML, the data of what mail programs
//! show, a browser with axe in light and dark on a phone and on a desk, and SpamAssassin. `tests/mail` has them.
//!
//! The night (`night.rs`) has every outcome and every reason, and names that want to be something else. That a checker is not
//! silent for want of eyes is shown by mails that are broken on purpose (`broken.rs`).

mod broken;
mod night;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rampkeeper::notify::{Mail, Mailer, SmtpMailer, SmtpSettings, Tls, compose};
use rampkeeper::report::{
    ActionKind, Attach, MailDraft, NightReport, Pasts, Readers, Role, Stationery, Wants, mails_of,
};

use crate::scenarios::gates::{REASONS, place};
use crate::support::mail_checkers::Judgement;
use crate::support::smtp::{Rules, Smtp};

/// Files beside a digest. SpamAssassin reads them word for word, so the largest mails here go without.
const FILES: [Attach; 2] = [Attach::Csv, Attach::Json];

/// What a mail's HTML may weigh.
const MOST_BYTES: usize = 80_000;

/// All mails that a night gives, their digests with these files, before their pictures are drawn.
fn drafts(night: &NightReport, attach: &[Attach], pasts: &Pasts) -> Vec<MailDraft> {
    let to = vec!["Ops <ops@example.com>".into(), "Zo\u{eb} <zoe@example.com>".into()];
    let mut readers = Readers::new("Rampkeeper <rampkeeper@example.com>", to);
    readers.reply_to = Some("ml-team@example.com".into());
    readers.attach = attach.to_vec();
    readers.actions = vec![ActionKind::Rollback, ActionKind::Promote, ActionKind::Ramp];
    readers.roles = vec![Role {
        to: vec!["Risk <risk@example.com>".into()],
        experiments: None,
        wants: Wants { quiet: false, ..Wants::ALL },
    }];
    mails_of(night, &readers, &Stationery::built_in(), pasts)
}

/// The same, as they are sent.
fn mails(night: &NightReport, attach: &[Attach]) -> Vec<Mail> {
    drafts(night, attach, &night::pasts(night)).into_iter().map(Mail::from).collect()
}

/// Writes mails into a folder, numbered, and gives their names.
fn write(folder: &Path, group: &str, mails: &[Mail]) -> BTreeSet<String> {
    let write = |(number, mail): (usize, &Mail)| {
        let message = compose(mail).unwrap_or_else(|error| panic!("{}: {error}", mail.subject));
        let name = format!("{group}-{number:02}");
        std::fs::write(folder.join(format!("{name}.eml")), message.formatted()).expect("a mail is written");
        name
    };
    mails.iter().enumerate().map(write).collect()
}

#[test]
fn the_night_has_every_outcome_and_every_reason() {
    let night = night::rich();
    let told: BTreeSet<&str> = night
        .experiments
        .iter()
        .flat_map(|experiment| &experiment.candidates)
        .flat_map(|candidate| &candidate.decision.reasons)
        .map(|reason| place(reason).0)
        .collect();
    assert_eq!(told, REASONS.iter().copied().collect());
    let outcomes: BTreeSet<&str> =
        night.experiments.iter().flat_map(|e| &e.candidates).map(|c| c.decision.outcome.word()).collect();
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["hold", "promote", "ramp", "rollback"]);
    assert_eq!(night.experiments.len(), 20);
    let names: BTreeSet<&str> = night.experiments.iter().map(|experiment| experiment.name.as_str()).collect();
    assert_eq!(names, night::NAMES.into());
}

#[tokio::test]
async fn the_mails_of_a_rich_night_please_every_checker() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut names = write(folder.path(), "rich", &mails(&night::rich(), &[]));
    names.extend(write(folder.path(), "quiet", &mails(&night::empty(), &FILES)));
    let mut held = night::many(3);
    held.experiments.remove(0);
    names.extend(write(folder.path(), "held", &mails(&held, &FILES)));
    Judgement::of(folder.path(), &[]).await.assert_clean(&names);
}

#[tokio::test]
async fn every_checker_finds_what_is_broken_on_purpose() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut names = write(folder.path(), "good", &[broken::good()]);
    let cases = broken::cases();
    for case in &cases {
        std::fs::write(folder.path().join(format!("{}.eml", case.name)), (case.bytes)()).expect("a mail is written");
        names.insert(case.name.to_owned());
    }
    let found = Judgement::of(folder.path(), &[]).await;
    let of = |mail: &str| found.complaints.iter().filter(|c| c.mail == mail).cloned().collect::<Vec<_>>();
    assert!(of("good-00").is_empty(), "{:?}", of("good-00"));
    let mut missed = Vec::new();
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    for case in &cases {
        let complaints = of(case.name);
        match complaints.iter().find(|c| c.checker == case.checker && c.rule.contains(case.rule)) {
            Some(complaint) => {
                failed.insert(case.checker);
                assert!(!complaint.words.is_empty(), "{complaint}");
            }
            None => missed.push(format!("{} {} of {}: only {complaints:?}", case.checker, case.rule, case.name)),
        }
    }
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
    assert_eq!(failed, crate::support::mail_checkers::ALL.into(), "each checker must be seen to fail");
}

#[test]
fn a_night_of_a_thousand_experiments_is_rendered_in_time_and_stays_light() {
    let night = night::many(1_000);
    let pasts = night::pasts(&night);
    let began = Instant::now();
    let drafts = drafts(&night, &FILES, &pasts);
    let took = began.elapsed();
    println!("{} mails of 1,000 experiments in {took:.2?}", drafts.len());
    assert!(took < Duration::from_secs(5), "took {took:?}");
    for draft in &drafts {
        assert!(draft.html.len() <= MOST_BYTES, "{}: {} bytes of HTML", draft.subject, draft.html.len());
    }
    let everything = drafts.into_iter().next().expect("the digest");
    compose(&Mail::from(everything)).expect("a mail that can be sent");
}

#[tokio::test]
async fn the_mails_of_a_rich_night_come_out_of_a_real_server_as_they_went_in() {
    let smtp = Smtp::start(Rules { starttls: true, login: Some(("guard", "secret")), ..Rules::default() }).await;
    let mailer = SmtpMailer::new(SmtpSettings {
        host: "localhost".into(),
        port: smtp.port(),
        tls: Tls::StartTls,
        username: Some("guard".into()),
        password: Some("secret".into()),
        timeout: Duration::from_secs(30),
        ca_file: Some(smtp.ca().to_owned()),
        retries: 0,
        retry_delay: Duration::from_millis(20),
    });
    let mailer = mailer.expect("settings that work");
    let mails = mails(&night::rich(), &[]);
    for mail in &mails {
        mailer.send(mail).await.unwrap_or_else(|error| panic!("{}: {error}", mail.subject));
    }
    let kept = smtp.mails();
    assert_eq!(kept.len(), mails.len());
    for (kept, mail) in kept.iter().zip(&mails) {
        assert!(kept.tls && kept.user.as_deref() == Some("guard"));
        // What ends the conversation about a mail is not the mail's.
        let sent = String::from_utf8(compose(mail).expect("it was sent").formatted()).expect("ASCII");
        let differs = sent.trim_end().lines().zip(kept.raw.trim_end().lines()).find(|(sent, kept)| sent != kept);
        assert_eq!(differs, None, "{}", mail.subject);
        assert_eq!(sent.trim_end().len(), kept.raw.trim_end().len(), "{}", mail.subject);
        let text = |kind| kept.part(kind).and_then(|part| part.text.clone()).map(|text| text.replace("\r\n", "\n"));
        assert_eq!(text("text/plain"), Some(mail.text.replace("\r\n", "\n")));
        assert_eq!(text("text/html"), Some(mail.html.replace("\r\n", "\n")));
        for picture in &mail.inline_images {
            let id = format!("<{}>", picture.content_id);
            let part = kept.parts.iter().find(|part| part.content_id.as_deref() == Some(id.as_str()));
            let part = part.unwrap_or_else(|| panic!("{}: no part has the Content-ID {id}", mail.subject));
            let hex: String = picture.png.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((part.content_type.as_str(), &part.hex), ("image/png", &hex), "{id}");
            assert!(mail.html.contains(&format!("cid:{}", picture.content_id)), "{id} is shown nowhere");
            opaque(&picture.png);
        }
    }
}

/// On a dark ground, what is see-through is not to be read.
fn opaque(png: &[u8]) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    let pixels = &pixels[..frame.buffer_size()];
    let see_through = match frame.color_type {
        png::ColorType::Rgba => pixels.chunks(4).any(|pixel| pixel[3] < 255),
        png::ColorType::GrayscaleAlpha => pixels.chunks(2).any(|pixel| pixel[1] < 255),
        png::ColorType::Rgb | png::ColorType::Grayscale | png::ColorType::Indexed => false,
    };
    assert!(!see_through, "a picture is see-through somewhere");
}
