//! A real mail server that keeps what it accepts, and can misbehave as mail servers do.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::launcher::Launcher;

/// How a server behaves. By default: no encryption, no login, every message accepted.
#[derive(Default)]
pub struct Rules<'a> {
    /// Offer STARTTLS, and take no mail without it.
    pub starttls: bool,
    /// Take mail only after AUTH as this user with this password.
    pub login: Option<(&'a str, &'a str)>,
    /// Answer 550 to these recipients.
    pub refuse: &'a [&'a str],
    /// Answer 451 to these recipients so often.
    pub defer: &'a [(&'a str, u32)],
    /// Answer each message so many seconds later.
    pub slow: u32,
    /// Answer this to every message, and keep none.
    pub answer: Option<&'a str>,
    /// Answer 451 to so many messages before the first is taken.
    pub busy: u32,
    /// Keep so many messages but hang up instead of answering: the one instant that SMTP leaves open.
    pub vanish: u32,
}

/// A running server; stopped and removed when dropped. It lets no malformed message in.
pub struct Smtp {
    _launcher: Launcher,
    port: u16,
    folder: PathBuf,
    ca: Option<PathBuf>,
}

impl Smtp {
    /// Starts a server, on `localhost`.
    pub async fn start(rules: Rules<'_>) -> Self {
        let mut arguments = vec![format!("--busy={}", rules.busy), format!("--vanish={}", rules.vanish)];
        arguments.extend(rules.starttls.then(|| "--starttls".to_owned()));
        arguments.extend(rules.refuse.iter().map(|address| format!("--refuse={address}")));
        arguments.extend(rules.defer.iter().map(|(address, times)| format!("--defer={address}={times}")));
        arguments.push(format!("--slow={}", rules.slow));
        arguments.extend(rules.answer.map(|answer| format!("--answer={answer}")));
        if let Some((user, password)) = rules.login {
            arguments.extend([format!("--user={user}"), format!("--password={password}")]);
        }
        #[derive(Deserialize)]
        struct Ready {
            port: u16,
            folder: PathBuf,
            ca: Option<PathBuf>,
        }
        let (launcher, ready) =
            Launcher::start("smtp.py", arguments).await.unwrap_or_else(|fault| panic!("mail server: {fault}"));
        let Ready { port, folder, ca } =
            serde_json::from_value(ready).unwrap_or_else(|cause| panic!("mail server: not ready: {cause}"));
        Self { _launcher: launcher, port, folder, ca }
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate, as PEM, of the authority that signed this server's; the server is `localhost` or `127.0.0.1`.
    pub fn ca(&self) -> &Path {
        self.ca.as_deref().expect("only a server with `starttls` has a certificate")
    }

    /// Throws away what was kept.
    pub fn empty(&self) {
        for file in self.files() {
            std::fs::remove_file(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
        }
    }

    /// Waits until the server has dealt with all that was said to it before. It is one loop: by the answers to a
    /// conversation that begins now, it has read what lay there.
    pub async fn calm(&self) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the mail server listens");
        let mut lines = BufReader::new(stream);
        for say in ["", "EHLO test\r\n", "NOOP\r\n", "NOOP\r\n", "QUIT\r\n"] {
            lines.get_mut().write_all(say.as_bytes()).await.expect("the mail server hears");
            let mut line = String::new();
            // A reply goes on as long as its lines have a dash after the number.
            while line.is_empty() || line.as_bytes().get(3) == Some(&b'-') {
                line.clear();
                let read = lines.read_line(&mut line).await.expect("the mail server answers");
                assert!(read > 0, "the mail server hung up");
            }
        }
    }

    /// Every message kept so far, in order of arrival.
    pub fn mails(&self) -> Vec<Mail> {
        self.files().iter().map(|file| read(file)).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = self.folder.read_dir().unwrap_or_else(|cause| panic!("mail server's folder: {cause}"));
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files
    }
}

fn read(file: &Path) -> Mail {
    let text = std::fs::read_to_string(file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
}

/// One message: its envelope, and its content as another program reads it.
#[derive(Deserialize)]
pub struct Mail {
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// Whether it came over an encrypted connection.
    pub tls: bool,
    /// Who had logged in.
    pub user: Option<String>,
    /// The message as it came.
    pub raw: String,
    /// Names and decoded values, in their order.
    pub headers: Vec<(String, String)>,
    /// The content type of every part, from the outermost inwards.
    pub structure: Vec<String>,
    /// The parts that hold content.
    pub parts: Vec<Part>,
}

/// One part of a message, decoded.
#[derive(Deserialize)]
pub struct Part {
    /// For example `text/html`.
    pub content_type: String,
    /// As in the header, with its angle brackets.
    pub content_id: Option<String>,
    /// Name of an attachment.
    pub file_name: Option<String>,
    /// The content, if it is text.
    pub text: Option<String>,
    /// The content's bytes, two hexadecimal digits each.
    pub hex: String,
}

impl Mail {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first part of this content type.
    pub fn part(&self, content_type: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.content_type == content_type)
    }
}
