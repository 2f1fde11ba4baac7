//! Dying at a chosen point, precisely: a library that is preloaded into the program counts the calls by which a process
//! leaves a mark outside of itself, and kills it at the nth. The program has no part in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

/// The compiled library; it goes with the test process.
static LIBRARY: LazyLock<Library> = LazyLock::new(Library::compile);

struct Library {
    _folder: TempDir,
    path: PathBuf,
}

impl Library {
    fn compile() -> Library {
        let folder = tempfile::tempdir().expect("a folder for the library");
        let path = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/crash/shim.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&path, &source])
            .arg("-ldl")
            .output()
            .unwrap_or_else(|error| panic!("{} cannot be run: {error}", compiler.display()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the library does not compile: {said}");
        Library { _folder: folder, path }
    }
}

/// When a process dies, seen from one of its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Instead of it.
    Before,
    /// In the middle of its bytes.
    Half,
    /// Right after it, before any answer to it is read.
    After,
}

/// A point to die at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The number of the mark, from 1.
    pub mark: usize,
    /// When.
    pub moment: Moment,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::Half => "half",
            Moment::After => "after",
        };
        write!(f, "{moment}:{}", self.mark)
    }
}

/// Lets a command's process die at a point.
pub fn die_at(command: &mut tokio::process::Command, point: Point) {
    command.env("LD_PRELOAD", &LIBRARY.path).env("CRASH_AT", point.to_string());
}

/// Lets a command's process find the disk full: from its `from`th mark on, files whose path holds `path` cannot grow.
pub fn fill_up(command: &mut tokio::process::Command, from: usize, path: &str) {
    command.env("LD_PRELOAD", &LIBRARY.path).env("CRASH_FULL", format!("{from}:{path}"));
}

/// Lets a command's process write down its marks.
pub fn trace(command: &mut tokio::process::Command, into: &Path) {
    command.env("LD_PRELOAD", &LIBRARY.path).env("CRASH_TRACE", into);
}

/// A mark that a process left.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Which one, from 1.
    pub number: usize,
    /// The call.
    pub call: String,
    /// The file's path, or `port:` and the port that a socket is connected to.
    pub place: String,
    /// How its bytes begin.
    pub begins: String,
}

/// The marks that a process has written down.
pub fn marks(file: &Path) -> Vec<Mark> {
    let text = std::fs::read_to_string(file).expect("a trace");
    let mut marks: Vec<Mark> = text.lines().map(mark).collect();
    marks.sort_by_key(|mark| mark.number);
    assert!(!marks.is_empty(), "the library was not loaded");
    marks
}

fn mark(line: &str) -> Mark {
    let mut words = line.splitn(5, ' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("not a mark: {line:?}")).to_owned();
    let (number, call, place, _bytes, begins) = (word(), word(), word(), word(), word());
    Mark { number: number.parse().expect("a number"), call, place, begins }
}

impl Mark {
    /// Whether it puts bytes somewhere; such a mark can be made by half.
    pub fn puts_bytes(&self) -> bool {
        matches!(self.call.as_str(), "write" | "pwrite" | "pwrite64" | "writev" | "send" | "sendto" | "sendmsg")
    }

    /// Whether a program beyond a socket hears it.
    pub fn is_said(&self) -> bool {
        self.place.starts_with("port:")
    }
}
