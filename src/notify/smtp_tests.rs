use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::sample::report;
use super::*;

const PASSWORD: &str = "hunter2-not-to-be-seen";

/// A server that follows the protocol and answers the end of each mail from a list; "hang" answers nothing, and an
/// empty list is a yes.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<&'static str> = answers.iter().copied().collect();
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = converse(&stream, &mut answers, &shared);
            }
        });
        Self { port, heard }
    }

    /// What the clients said, one line each.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn mails(&self) -> usize {
        self.heard().iter().filter(|line| *line == "DATA").count()
    }
}

fn converse(
    mut stream: &TcpStream,
    answers: &mut VecDeque<&'static str>,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    stream.write_all(b"220 mail.example ready\r\n")?;
    let mut in_mail = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        heard.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if in_mail => {
                in_mail = false;
                answers.pop_front().unwrap_or("250 2.0.0 queued as 4711")
            }
            _ if in_mail => continue,
            "EHLO" => "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "DATA" => {
                in_mail = true;
                "354 go on"
            }
            "AUTH" if line.ends_with("d3Jvbmc=") => "535 5.7.8 no",
            "QUIT" => return stream.write_all(b"221 bye\r\n"),
            _ => "250 ok",
        };
        if answer == "hang" {
            thread::sleep(Duration::from_secs(2));
            return Ok(());
        }
        stream.write_all(answer.as_bytes())?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}

fn settings(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::None,
        username: None,
        password: None,
        timeout: Duration::from_secs(5),
        ca_file: None,
        retries: 2,
        retry_delay: Duration::from_millis(1),
    }
}

fn with_password(settings: SmtpSettings, password: &str) -> SmtpSettings {
    SmtpSettings { username: Some("ops".into()), password: Some(password.into()), ..settings }
}

#[tokio::test]
async fn hands_the_mail_over_as_composed() {
    let server = Server::start(&[]);
    let mail = report();
    let sent = SmtpMailer::new(settings(server.port)).unwrap().send(&mail).await.unwrap();
    assert_eq!(sent.message_id, mail.message_id);
    assert_eq!(sent.detail, "250 2.0.0 queued as 4711");
    let heard = server.heard();
    for line in ["MAIL FROM:<rampkeeper@example.com>", "RCPT TO:<ops@example.com>", "RCPT TO:<zoe@example.com>", "QUIT"]
    {
        assert!(heard.iter().any(|said| said == line), "{line} in {heard:?}");
    }
    let start = heard.iter().position(|line| line == "DATA").unwrap() + 1;
    let end = heard.iter().position(|line| line == ".").unwrap();
    let bytes = compose(&mail).unwrap().formatted();
    let composed = String::from_utf8(bytes).unwrap();
    assert_eq!(heard[start..end].join("\r\n").trim_end(), composed.trim_end());
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = Server::start(&["451 4.7.1 greylisted", "421 4.3.2 shutting down"]);
    SmtpMailer::new(settings(server.port)).unwrap().send(&report()).await.unwrap();
    assert_eq!(server.mails(), 3);
}

#[tokio::test]
async fn a_busy_server_is_given_up_after_bounded_attempts() {
    let server = Server::start(&["451 4.7.1 greylisted"; 9]);
    let error = SmtpMailer::new(settings(server.port)).unwrap().send(&report()).await.unwrap_err();
    assert_eq!(server.mails(), 3);
    assert!(!error.is_permanent());
    let words = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(words.contains("handing over the mail failed in each of 3 attempts"), "{words}");
    assert!(words.contains("451") && words.contains("greylisted"), "{words}");
}

#[tokio::test]
async fn a_final_no_is_not_asked_again() {
    let server = Server::start(&["554 5.7.1 refused"]);
    let error = SmtpMailer::new(settings(server.port)).unwrap().send(&report()).await.unwrap_err();
    assert_eq!(server.mails(), 1);
    assert!(error.is_permanent());
}

#[tokio::test]
async fn only_a_refusal_of_the_mail_itself_is_for_good() {
    for (answer, for_good) in [
        ("552 5.3.4 too big", true),
        ("550 no", true),
        ("554 5.7.1 relay access denied", false),
        ("530 5.7.0 must issue a STARTTLS command first", false),
        ("535 no", false),
        ("451 4.3.0 later", false),
    ] {
        let server = Server::start(&[answer; 3]);
        let error = SmtpMailer::new(settings(server.port)).unwrap().send(&report()).await.unwrap_err();
        assert_eq!((error.is_for_good(), error.is_outage()), (for_good, false), "{answer}");
    }
    let server = Server::start(&[]);
    let starttls = SmtpSettings { tls: Tls::StartTls, ..settings(server.port) };
    for wrong in [with_password(settings(server.port), ".wrong"), starttls] {
        let error = SmtpMailer::new(wrong).unwrap().send(&report()).await.unwrap_err();
        assert!(error.is_permanent() && !error.is_for_good() && error.is_outage(), "{error}");
    }
    let nobody = Mail { to: Vec::new(), ..report() };
    let error = SmtpMailer::new(settings(server.port)).unwrap().send(&nobody).await.unwrap_err();
    assert!(error.is_for_good() && !error.is_outage(), "{error}");
}

#[tokio::test]
async fn a_silent_server_ends_in_time() {
    let server = Server::start(&["hang"]);
    let short = SmtpSettings { timeout: Duration::from_millis(300), retries: 0, ..settings(server.port) };
    let error = SmtpMailer::new(short).unwrap().send(&report()).await.unwrap_err();
    assert!(matches!(error, MailError::TimedOut { .. }), "{error}");
    assert!(!error.is_permanent());
}

#[tokio::test]
async fn no_server_is_said_with_its_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = SmtpMailer::new(settings(port)).unwrap().send(&report()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}: connecting failed in each of 3")), "{error}");
    assert!(!error.is_permanent());
}

#[tokio::test]
async fn encryption_that_is_not_offered_is_never_done_without() {
    let server = Server::start(&[]);
    let wanted = SmtpSettings { tls: Tls::StartTls, ..with_password(settings(server.port), PASSWORD) };
    let mailer = SmtpMailer::new(wanted).unwrap();
    for error in [mailer.send(&report()).await.unwrap_err(), mailer.check().await.unwrap_err()] {
        assert!(error.to_string().contains("offers no STARTTLS"), "{error}");
        assert!(error.is_permanent());
    }
    assert!(!server.heard().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
}

#[tokio::test]
async fn checks_the_password_without_showing_it() {
    let server = Server::start(&[]);
    let right = with_password(settings(server.port), PASSWORD);
    let shown = format!("{right:?}");
    let mailer = SmtpMailer::new(right).unwrap();
    mailer.check().await.unwrap();
    assert!(server.heard().iter().any(|line| line.starts_with("AUTH PLAIN ")));
    assert_eq!(server.mails(), 0);
    for text in [shown, format!("{mailer:?}"), mailer.describe()] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    assert_eq!(mailer.describe(), format!("SMTP 127.0.0.1:{} (no TLS, authenticated)", server.port));

    // base64 of "\0ops\0.wrong" ends as the server expects it to.
    let wrong = SmtpMailer::new(with_password(settings(server.port), ".wrong")).unwrap();
    let error = wrong.check().await.unwrap_err();
    assert!(error.is_permanent());
    assert!(error.to_string().contains("authenticating failed (check the mail user name and password)"), "{error}");
}

/// Log records into a text that the test can read.
#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<u8>>>);

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_password_is_in_no_log_record() {
    let records = Records::default();
    let writer = records.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(&["451 4.7.1 greylisted"]);
    let mailer = SmtpMailer::new(with_password(settings(server.port), PASSWORD)).unwrap();
    mailer.send(&report()).await.unwrap();
    drop(guard);
    let heard = server.heard();
    let spoken = heard.iter().find_map(|line| line.strip_prefix("AUTH PLAIN ")).unwrap();
    let logged = String::from_utf8(records.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("a mail was not taken; trying again"), "{logged}");
    assert!(!logged.contains(spoken) && !logged.contains(PASSWORD), "{logged}");
}

#[test]
fn refuses_settings_that_could_not_work() {
    let refuse = |settings: SmtpSettings| {
        let error = SmtpMailer::new(settings).unwrap_err();
        assert!(error.is_permanent());
        error.to_string()
    };
    let afar = SmtpSettings { host: "smtp.example.com".into(), ..settings(25) };
    assert!(refuse(with_password(afar.clone(), PASSWORD)).contains("in the clear"));
    assert!(refuse(SmtpSettings { username: Some("ops".into()), ..afar.clone() }).contains("no password"));
    assert!(refuse(SmtpSettings { password: Some(PASSWORD.into()), ..afar.clone() }).contains("no user name"));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    let with_file = SmtpSettings { tls: Tls::StartTls, ca_file: Some(file.clone()), ..afar };
    assert!(refuse(with_file.clone()).contains("could not be read"));
    std::fs::write(&file, "not a certificate").unwrap();
    assert!(refuse(with_file).contains("BEGIN CERTIFICATE"));
}
