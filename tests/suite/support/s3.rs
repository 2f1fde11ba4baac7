//! A real object store that speaks S3, and ways to it that break.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rampkeeper::warehouse::BucketSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell};

use super::launcher::Launcher;

static SHARED: OnceCell<Result<S3, String>> = OnceCell::const_new();

/// A running store; stopped and removed when dropped.
pub struct S3 {
    launcher: Mutex<Launcher>,
    pub port: u16,
    pub key: String,
    pub secret: String,
    buckets: AtomicU32,
}

impl S3 {
    /// The store that all tests of this process share.
    pub async fn shared() -> &'static Self {
        let s3 = SHARED.get_or_init(|| Self::try_start(Vec::new())).await;
        s3.as_ref().unwrap_or_else(|fault| panic!("S3: {fault}"))
    }

    /// A store for one test alone that refuses every key but its own.
    pub async fn closed() -> Self {
        Self::try_start(vec!["--closed".to_owned()]).await.unwrap_or_else(|fault| panic!("S3: {fault}"))
    }

    async fn try_start(arguments: Vec<String>) -> Result<Self, String> {
        let (launcher, ready) = Launcher::start("s3.py", arguments).await?;
        let text = |key: &str| ready[key].as_str().map(str::to_owned).ok_or(format!("no {key} in {ready}"));
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Ok(Self {
            launcher: Mutex::new(launcher),
            port: port.ok_or_else(|| format!("no port in {ready}"))?,
            key: text("key")?,
            secret: text("secret")?,
            buckets: AtomicU32::new(0),
        })
    }

    async fn ask(&self, command: &str) {
        let answer = self.launcher.lock().await.ask(command).unwrap_or_else(|fault| panic!("S3: {fault}"));
        assert!(answer.get("failed").is_none(), "{answer}");
    }

    /// Makes a bucket for one test. Its name starts with `name` and is the test's alone.
    pub async fn bucket(&self, name: &str) -> String {
        let bucket = format!("{name}-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.ask(&format!("bucket {bucket}")).await;
        bucket
    }

    /// Puts all files of a folder under a prefix.
    pub async fn put(&self, bucket: &str, folder: &Path, prefix: &str) {
        self.ask(&format!("put {bucket} {} {prefix}", folder.display())).await;
    }

    /// Removes an object.
    pub async fn remove(&self, bucket: &str, key: &str) {
        self.ask(&format!("remove {bucket} {key}")).await;
    }

    /// How a lake in that bucket is asked, at that port.
    pub fn settings(&self, bucket: &str, port: u16) -> BucketSettings {
        BucketSettings {
            url: format!("s3://{bucket}/lake"),
            settings: vec![
                ("aws_endpoint_url", format!("http://127.0.0.1:{port}")),
                ("aws_region", "us-east-1".to_owned()),
            ],
            secrets: vec![
                ("aws_access_key_id", self.key.clone().into()),
                ("aws_secret_access_key", self.secret.clone().into()),
            ],
            timeout: Duration::from_secs(60),
            retries: 1,
        }
    }
}

/// A way to a server that counts what comes back, and breaks when it is told to: what is under way ends in the middle, and
/// nobody is let in any more.
pub struct Road {
    pub port: u16,
    came: Arc<AtomicU64>,
    left: Arc<AtomicI64>,
}

impl Road {
    /// A way to that port of this machine.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (came, left) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicI64::new(i64::MAX)));
        let road = Self { port, came: came.clone(), left: left.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if left.load(Ordering::SeqCst) > 0 {
                    tokio::spawn(carry(client, server, came.clone(), left.clone()));
                }
            }
        });
        road
    }

    /// How many bytes came back so far.
    pub fn bytes(&self) -> u64 {
        self.came.load(Ordering::SeqCst)
    }

    /// Breaks once so many more bytes have come back.
    pub fn break_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, server: u16, came: Arc<AtomicU64>, left: Arc<AtomicI64>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut some = vec![0; 8 * 1024];
    while let Ok(count @ 1..) = from_server.read(&mut some).await {
        let allowed = left.fetch_sub(count as i64, Ordering::SeqCst);
        let passes = count.min(usize::try_from(allowed).unwrap_or(0));
        came.fetch_add(passes as u64, Ordering::SeqCst);
        if to_client.write_all(&some[..passes]).await.is_err() || passes < count {
            break;
        }
    }
    there.abort();
}
