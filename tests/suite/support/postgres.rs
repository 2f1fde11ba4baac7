//! A real PostgreSQL cluster, and databases in it.
//!
//! The role `postgres` needs no password; any other role must have one, as in production.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::launcher::Launcher;

static SHARED: OnceCell<Result<Postgres, String>> = OnceCell::const_new();

/// A running cluster; stopped and removed when dropped.
pub struct Postgres {
    launcher: Arc<Mutex<Launcher>>,
    bin: PathBuf,
    port: u16,
    ca: Option<PathBuf>,
    databases: AtomicU32,
}

impl Postgres {
    /// The cluster that all tests of this process share. Its disk writes are not synced.
    pub async fn shared() -> &'static Self {
        let postgres = SHARED.get_or_init(|| Self::try_start(&[], &[])).await;
        postgres.as_ref().unwrap_or_else(|fault| panic!("PostgreSQL: {fault}"))
    }

    /// A cluster for one test alone, which may crash it. `settings` are those of `postgresql.conf`, for example
    /// `[("fsync", "on")]`.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::try_start(settings, &[]).await.unwrap_or_else(|fault| panic!("PostgreSQL: {fault}"))
    }

    /// A cluster for one test alone that takes TLS as well, by a certificate with these names.
    pub async fn start_with_tls(names: &[&str]) -> Self {
        Self::try_start(&[], names).await.unwrap_or_else(|fault| panic!("PostgreSQL: {fault}"))
    }

    async fn try_start(settings: &[(&str, &str)], names: &[&str]) -> Result<Self, String> {
        let bin = bin_dir()?;
        let mut arguments = vec![bin.display().to_string()];
        arguments.extend(names.iter().map(|name| format!("--tls={name}")));
        arguments.extend(settings.iter().map(|(name, value)| format!("{name}={value}")));
        let (launcher, ready) = Launcher::start("postgres.py", arguments).await?;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or_else(|| format!("no port in {ready}"))?;
        let ca = ready["ca"].as_str().map(PathBuf::from);
        Ok(Self { launcher: Arc::new(Mutex::new(launcher)), bin, port, ca, databases: AtomicU32::new(0) })
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate, as PEM, of the authority that signed this server's.
    pub fn ca(&self) -> &Path {
        self.ca.as_deref().expect("only a server that was started with TLS has a certificate")
    }

    /// Creates an empty database for one test and returns its URL. Its name starts with `name` and is the test's alone, so
    /// two tests may ask for the same.
    pub async fn database(&self, name: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = format!("{name}_{number}");
        self.sql(&self.url("postgres"), &format!("create database \"{database}\" template template0")).await;
        self.url(&database)
    }

    /// The URL of a database for the role `postgres`.
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a file of the repository with `psql`, with these options beside.
    pub async fn file(&self, url: &str, file: &str, options: &[&str]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-d", url]).args(options).arg("-f").arg(path);
        let output = psql.output().await.unwrap_or_else(|cause| panic!("could not run psql: {cause}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql failed on {url}: {said}\nin {file}");
    }

    /// Runs statements with `psql` and returns what they print: a line per row, fields parted by `|`. Panics with psql's own
    /// message when one fails; those before it stay done.
    pub async fn sql(&self, url: &str, statements: &str) -> String {
        let mut file = NamedTempFile::new().expect("a file for the statements");
        file.write_all(statements.as_bytes()).expect("the statements are written");
        let psql = self.bin.join("psql");
        let output = Command::new(&psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"])
            .arg(file.path())
            .output()
            .await
            .unwrap_or_else(|cause| panic!("could not run {}: {cause}", psql.display()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql failed on {url}: {said}\nin: {statements}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Kills the server as a power cut would. What was not flushed is lost if `fsync` is off.
    pub async fn crash(&self) {
        self.tell("crash").await;
    }

    /// Starts the server again after [`Self::crash`], on the same port over the same data.
    pub async fn start_again(&self) {
        self.tell("start").await;
    }

    async fn tell(&self, command: &'static str) {
        let launcher = Arc::clone(&self.launcher);
        let ask = move || match launcher.lock() {
            Ok(mut launcher) => launcher.ask(command),
            Err(poisoned) => poisoned.into_inner().ask(command),
        };
        let answer = tokio::task::spawn_blocking(ask).await.unwrap_or_else(|fault| Err(fault.to_string()));
        let answer = answer.unwrap_or_else(|fault| panic!("PostgreSQL, {command}: {fault}"));
        assert_eq!(answer["done"], command, "PostgreSQL: {answer}");
    }
}

/// Where PostgreSQL's programs are: as the environment says, else Debian's newest.
fn bin_dir() -> Result<PathBuf, String> {
    if let Some(bin) = std::env::var_os("RAMPKEEPER_TEST_PG_BIN") {
        return Ok(bin.into());
    }
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let newest =
        newest.ok_or("no PostgreSQL in /usr/lib/postgresql: start the tests with tests/run, which installs it")?;
    Ok(format!("/usr/lib/postgresql/{newest}/bin").into())
}
