//! Real ClickHouse servers: one, or two that are the shards of a cluster.
//!
//! The user `default` needs no password. `reader` (password `pss-reader`) may only read, `strict` may not even change a
//! setting, and `hasty` has `skip_unavailable_shards` switched on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::launcher::Launcher;

static SHARED: OnceCell<Result<Clickhouse, String>> = OnceCell::const_new();

/// Running servers; stopped and removed when dropped.
pub struct Clickhouse {
    launcher: Arc<Mutex<Launcher>>,
    ports: Vec<u16>,
}

impl Clickhouse {
    /// The two shards that all tests of this process share. A database of a test is made on both.
    pub async fn shared() -> &'static Self {
        let clickhouse = SHARED.get_or_init(|| Self::try_start(2)).await;
        clickhouse.as_ref().unwrap_or_else(|fault| panic!("ClickHouse: {fault}"))
    }

    /// Servers for one test alone, which may kill them.
    pub async fn start(shards: usize) -> Self {
        Self::try_start(shards).await.unwrap_or_else(|fault| panic!("ClickHouse: {fault}"))
    }

    async fn try_start(shards: usize) -> Result<Self, String> {
        let (launcher, ready) = Launcher::start("clickhouse.py", vec![shards.to_string()]).await?;
        let ports = ready["http"].as_array().into_iter().flatten();
        let ports = ports.filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect();
        Ok(Self { launcher: Arc::new(Mutex::new(launcher)), ports })
    }

    /// The address of a server's HTTP interface; the first one is the one to ask about the cluster.
    pub fn url(&self, server: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[server])
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.ports.len()
    }

    /// Runs a statement on one server and returns what it prints, tab-separated.
    pub async fn sql(&self, server: usize, statement: &str) -> String {
        let told: String = statement.chars().take(500).collect();
        let answer = client().post(self.url(server)).body(statement.to_owned()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("ClickHouse: {error} in {told}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_else(|error| panic!("ClickHouse: {error} in {told}"));
        assert!(status.is_success(), "ClickHouse: {text} in {told}");
        text.trim_end().to_owned()
    }

    /// Runs a statement on every server.
    pub async fn everywhere(&self, statement: &str) {
        for server in 0..self.servers() {
            self.sql(server, statement).await;
        }
    }

    /// What a server's log says of the statements that ended well: `columns` of them, tab-separated.
    ///
    /// A server writes the end of a statement down after it has sent the answer, so the log may be behind whoever has the
    /// answer already. The beginning is written first: this waits until every statement that began is told as ended.
    pub async fn logged(&self, server: usize, columns: &str, statements: &str) -> String {
        let of = format!("FROM system.query_log WHERE query NOT LIKE '%query_log%' AND {statements}");
        let complete = format!("SELECT count() > 0 AND countIf(type = 1) = countIf(type IN (2, 4)) {of}");
        let began = Instant::now();
        loop {
            self.sql(server, "SYSTEM FLUSH LOGS").await;
            if self.sql(server, &complete).await == "1" {
                return self.sql(server, &format!("SELECT {columns} {of} AND type = 2")).await;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no statement ended of those {statements}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// `kill 1`, `start 1`.
    pub async fn tell(&self, command: &str) {
        let (launcher, command) = (Arc::clone(&self.launcher), command.to_owned());
        let ask = move || match launcher.lock() {
            Ok(mut launcher) => launcher.ask(&command),
            Err(poisoned) => poisoned.into_inner().ask(&command),
        };
        let answer = tokio::task::spawn_blocking(ask).await.unwrap_or_else(|fault| Err(fault.to_string()));
        let answer = answer.unwrap_or_else(|fault| panic!("ClickHouse: {fault}"));
        assert!(answer["failed"].is_null(), "ClickHouse: {answer}");
    }
}

/// A new client for every call: a pooled connection would die with the runtime of the test that opened it.
fn client() -> reqwest::Client {
    // Installed already by an earlier call, or by the code under test: both are well.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().expect("a plain client needs nothing")
}
