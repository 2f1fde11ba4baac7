//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault: file, line, key, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The dotted key, empty where the whole file is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// The longest key and message that are told, in characters: a fault is a line of a log.
const LONGEST_KEY: usize = 200;
const LONGEST_MESSAGE: usize = 1_000;

impl Fault {
    /// A fault told in one line of bounded length, whatever stands in the file.
    pub(super) fn new(path: &Path, (line, column): (usize, usize), key: &str, message: &str) -> Self {
        let (key, message) = (in_one_line(key, LONGEST_KEY), in_one_line(message, LONGEST_MESSAGE));
        Self { path: path.to_owned(), line, column, key, message }
    }
}

/// The text without control characters, cut after so many characters.
fn in_one_line(text: &str, longest: usize) -> String {
    let mut told = String::with_capacity(text.len().min(longest));
    for (nth, char) in text.chars().enumerate() {
        if nth == longest {
            told.push('…');
            break;
        }
        if char.is_control() { told.extend(char.escape_default()) } else { told.push(char) }
    }
    told
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = in_one_line(&self.path.to_string_lossy(), LONGEST_MESSAGE);
        write!(f, "{path}:{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every fault that was found; nothing was touched.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        writeln!(f, "the configuration has {n} fault{}; nothing was touched", if n == 1 { "" } else { "s" })?;
        for fault in &self.0 {
            writeln!(f, "  {fault}")?;
        }
        Ok(())
    }
}
