//! Starts the launchers in `tests/servers`, and holds the pipe that keeps their servers alive.
//!
//! A launcher ends its server and removes its files when its standard input closes. Dropping a [`Launcher`] closes it; so does
//! the end of this process, which is what ends the shared servers, whose statics are never dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// One running launcher.
pub struct Launcher {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    complaints: File,
}

impl Launcher {
    /// Starts `tests/servers/<script>` and waits until it says that its server is ready; returns what it said.
    ///
    /// Fails with the end of the server's log when the server does not start.
    pub async fn start(script: &'static str, arguments: Vec<String>) -> Result<(Self, Value), String> {
        let start = move || Self::start_blocking(script, &arguments);
        tokio::task::spawn_blocking(start).await.map_err(|fault| fault.to_string())?
    }

    fn start_blocking(script: &str, arguments: &[String]) -> Result<(Self, Value), String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
        let fault = |doing: &str, cause: std::io::Error| format!("{script}: could not {doing}: {cause}");
        let complaints = tempfile::tempfile().map_err(|cause| fault("make a file for its messages", cause))?;
        let stderr = complaints.try_clone().map_err(|cause| fault("share the file for its messages", cause))?;
        let mut child = Command::new(python()?)
            // No compiled files beside the sources.
            .arg("-B")
            .arg(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A Ctrl-C is meant for the tests; the launcher follows when they are gone.
            .process_group(0)
            .spawn()
            .map_err(|cause| fault("start", cause))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{script}: was started without pipes"));
        };
        let mut launcher = Self { child, input: Some(input), answers: BufReader::new(output), complaints };
        let ready = launcher.answer()?;
        Ok((launcher, ready))
    }

    /// Gives the launcher a command and waits for its answer.
    pub fn ask(&mut self, command: &str) -> Result<Value, String> {
        let input = self.input.as_mut().ok_or("the launcher was already let go")?;
        writeln!(input, "{command}").map_err(|cause| format!("could not ask for {command}: {cause}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line).map_err(|cause| format!("not an answer: {line:?}: {cause}")),
            Ok(0) => Err(self.complaints()),
            Err(cause) => Err(format!("could not read the launcher's answer: {cause}")),
        }
    }

    /// What the launcher wrote to its standard error before it ended.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        match self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut text)) {
            Ok(_) => format!("the server did not start:\n{text}"),
            Err(cause) => format!("the server did not start, and its messages cannot be read: {cause}"),
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        drop(self.input.take());
        // Nothing to do about a failure here: the process is gone either way.
        let _ = self.child.wait();
    }
}

/// The Python of the virtual environment that `tests/run` made.
fn python() -> Result<PathBuf, String> {
    let missing = "RAMPKEEPER_TEST_VENV is not set: start the tests with tests/run, which installs the servers";
    let python = PathBuf::from(std::env::var_os("RAMPKEEPER_TEST_VENV").ok_or(missing)?).join("bin/python");
    if python.exists() { Ok(python) } else { Err(format!("{} is missing: run tests/run", python.display())) }
}
