//! The programs that read, judge and show mails, as `tests/mail/check.py` runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

/// All checkers.
pub const ALL: [&str; 8] = ["axe", "caniemail", "html-validate", "mime", "overflow", "pictures", "rules", "spam"];

/// What the checkers say of a folder of mails.
#[derive(Debug, Deserialize)]
pub struct Judgement {
    /// The mails that each checker has looked at.
    pub checked: BTreeMap<String, BTreeSet<String>>,
    /// What they found.
    pub complaints: Vec<Complaint>,
}

/// What is wrong with a mail.
#[derive(Clone, Debug, Deserialize)]
pub struct Complaint {
    pub mail: String,
    pub checker: String,
    pub rule: String,
    pub place: String,
    pub words: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} at {}: {}", self.mail, self.checker, self.rule, self.place, self.words)
    }
}

impl Judgement {
    /// Runs checkers over the `.eml` files of a folder: all, or those of these groups (`mime`, `markup`, `looks`, `spam`).
    pub async fn of(folder: &Path, only: &[&str]) -> Judgement {
        let venv = std::env::var_os("RAMPKEEPER_TEST_VENV")
            .unwrap_or_else(|| panic!("RAMPKEEPER_TEST_VENV is not set: start the tests with tests/run"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/check.py");
        let mut command = Command::new(Path::new(&venv).join("bin/python"));
        command.arg("-B").arg(script).arg(folder).stdin(Stdio::null()).kill_on_drop(true);
        if !only.is_empty() {
            command.arg(format!("--only={}", only.join(",")));
        }
        let output = command.output().await.unwrap_or_else(|error| panic!("tests/mail/check.py: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the mails' checkers could not run (tests/run installs them):\n{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("tests/mail/check.py: {error}\n{said}"))
    }

    /// Panics with all complaints, if there are some, and if a checker of `ALL` has not looked at one of these mails.
    pub fn assert_clean(&self, mails: &BTreeSet<String>) {
        let checkers: Vec<&str> = self.checked.keys().map(String::as_str).collect();
        assert_eq!(checkers, ALL, "a checker did not run");
        for (checker, seen) in &self.checked {
            assert_eq!(seen, mails, "{checker} has not looked at every mail");
        }
        let told: Vec<String> = self.complaints.iter().map(Complaint::to_string).collect();
        assert!(told.is_empty(), "{} complaints about {} mails:\n{}", told.len(), mails.len(), told.join("\n"));
    }
}
