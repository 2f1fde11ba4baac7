//! Mail as files: for a dry run, a demo, a test, or a site whose mail is picked up by something else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{Mail, MailError, Mailer, Sent, compose};

/// The longest file name that a Message-ID gives, in bytes.
const LONGEST_NAME: usize = 120;

/// Writes each mail to `<dir>/<message id>.eml`. The same mail again replaces its file.
#[derive(Debug)]
pub struct FileMailer {
    dir: PathBuf,
    /// Tells the unfinished files of one process apart.
    written: AtomicU64,
}

impl FileMailer {
    /// A mailer into this directory, which is made when the first mail is sent.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), written: AtomicU64::new(0) }
    }

    /// A name in the directory that no other write of this process uses.
    fn unfinished(&self) -> PathBuf {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!(".{}-{number}.tmp", std::process::id()))
    }
}

/// Writes beside the target and renames, so that a reader sees a whole mail or none.
fn write(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let outcome = File::create(unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(unfinished, path));
    if outcome.is_err() {
        // The first error is the one to report; the unfinished file may not even exist.
        let _ = fs::remove_file(unfinished);
    }
    outcome
}

#[async_trait]
impl Mailer for FileMailer {
    async fn send(&self, mail: &Mail) -> Result<Sent, MailError> {
        let bytes = compose(mail)?.formatted();
        let path = self.dir.join(file_name(&mail.message_id));
        let (target, unfinished) = (path.clone(), self.unfinished());
        let written = tokio::task::spawn_blocking(move || write(&unfinished, &target, &bytes)).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                let detail = path.display().to_string();
                Ok(Sent { message_id: mail.message_id.clone(), detail, refused: Vec::new() })
            }
            Err(source) => Err(MailError::File { path, source }),
        }
    }

    fn describe(&self) -> String {
        format!("files in {}", self.dir.display())
    }
}

/// A file's name for a Message-ID. Where the id must be changed or cut, a part of its hash keeps two ids apart.
fn file_name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    let safe: String = id.chars().take(LONGEST_NAME).map(|c| if allowed(c) { c } else { '_' }).collect();
    let safe = if safe.starts_with('.') { format!("_{safe}") } else { safe };
    if safe == id {
        return format!("{safe}.eml");
    }
    let digest: String = Sha256::digest(id).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{safe}.{digest}.eml")
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[tokio::test]
    async fn writes_one_file_a_message_and_replaces_it() {
        let place = tempfile::tempdir().unwrap();
        let mailer = FileMailer::new(place.path().join("out/mail"));
        let mut mail = report();
        mailer.send(&mail).await.unwrap();
        mail.subject = "changed".into();
        let sent = mailer.send(&mail).await.unwrap();
        assert_eq!(sent.message_id, mail.message_id);
        assert_eq!(std::fs::read(&sent.detail).unwrap(), compose(&mail).unwrap().formatted());
        let names: Vec<_> = std::fs::read_dir(place.path().join("out/mail")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0].file_name().to_str().unwrap(), "run-2026-03-02.checkout@rampkeeper.example.com.eml");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_named_and_left_clean() {
        let place = tempfile::tempdir().unwrap();
        let blocked = place.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let error = FileMailer::new(&blocked).send(&report()).await.unwrap_err();
        assert!(error.to_string().contains(blocked.to_str().unwrap()), "{error}");
        assert!(!error.is_permanent());

        // The target is a directory: the write works and the rename doesn't.
        let dir = place.path().join("dir");
        std::fs::create_dir_all(dir.join(file_name(&report().message_id)).join("x")).unwrap();
        assert!(FileMailer::new(&dir).send(&report()).await.is_err());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn a_file_s_name_stays_in_its_directory_and_apart() {
        assert_eq!(file_name("a@b"), "a@b.eml");
        let up = file_name("../../etc/x@b");
        assert!(!up.contains('/') && !up.starts_with('.'), "{up}");
        assert_ne!(file_name("a/b@c"), file_name("a!b@c"));
        let long = |end: &str| file_name(&format!("{}{end}@b", "x".repeat(200)));
        assert_ne!(long("1"), long("2"));
        assert!(long("1").len() < 150);
    }
}
