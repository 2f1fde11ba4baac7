//! A real MariaDB server, and databases in it.
//!
//! The user `root` needs no password; any other user must have one, as in production.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::sync::OnceCell;

use super::launcher::Launcher;

static SHARED: OnceCell<Result<Mariadb, String>> = OnceCell::const_new();

/// A running server; stopped and removed when dropped.
pub struct Mariadb {
    _launcher: Launcher,
    port: u16,
    ca: Option<PathBuf>,
    databases: AtomicU32,
}

impl Mariadb {
    /// The server that all tests of this process share.
    pub async fn shared() -> &'static Self {
        let mariadb = SHARED.get_or_init(|| Self::try_start(Vec::new())).await;
        mariadb.as_ref().unwrap_or_else(|fault| panic!("MariaDB: {fault}"))
    }

    /// A server for one test alone that takes TLS as well, by a certificate with these names.
    pub async fn start_with_tls(names: &[&str]) -> Self {
        let names = names.iter().map(|name| format!("--tls={name}")).collect();
        Self::try_start(names).await.unwrap_or_else(|fault| panic!("MariaDB: {fault}"))
    }

    async fn try_start(arguments: Vec<String>) -> Result<Self, String> {
        let (launcher, ready) = Launcher::start("mariadb.py", arguments).await?;
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or_else(|| format!("no port in {ready}"))?;
        let ca = ready["ca"].as_str().map(PathBuf::from);
        Ok(Self { _launcher: launcher, port, ca, databases: AtomicU32::new(0) })
    }

    /// The certificate, as PEM, of the authority that signed this server's.
    pub fn ca(&self) -> &Path {
        self.ca.as_deref().expect("only a server that was started with TLS has a certificate")
    }

    /// Creates an empty database for one test and returns its URL. Its name starts with `name` and is the test's alone.
    pub async fn database(&self, name: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = format!("{name}_{number}");
        // The collation that servers have by default: `a` and `A` are one text to it.
        let made = format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
        self.sql(&self.url(""), &made).await;
        self.url(&database)
    }

    /// The URL of a database for the user `root`.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements, one by one as they are parted by `;`.
    pub async fn sql(&self, url: &str, statements: &str) {
        let mut connection = MySqlConnection::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
        connection.close().await.expect("a connection that closes");
        let told: String = statements.chars().take(500).collect();
        done.unwrap_or_else(|error| panic!("{error} in {told}"));
    }

    /// The rows of a question, their columns as text.
    pub async fn ask(&self, url: &str, question: &str) -> Vec<Vec<String>> {
        let mut connection = MySqlConnection::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let rows = sqlx::raw_sql(AssertSqlSafe(question.to_owned())).fetch_all(&mut connection).await;
        connection.close().await.expect("a connection that closes");
        let text =
            |row: &MySqlRow, place| row.try_get_unchecked::<Option<String>, _>(place).unwrap().unwrap_or_default();
        let rows = rows.unwrap_or_else(|error| panic!("{error} in {question}"));
        rows.iter().map(|row| (0..row.len()).map(|place| text(row, place)).collect()).collect()
    }
}
