//! A door before another server: TLS, or only another address.

use std::path::{Path, PathBuf};

use super::launcher::Launcher;

/// A running proxy; stopped when dropped.
pub struct Door {
    _launcher: Launcher,
    port: u16,
    ca: Option<PathBuf>,
}

impl Door {
    /// Takes TLS on 127.0.0.1 by a certificate with these names that is valid for so many days, and hands on to a port.
    pub async fn with_tls(upstream: u16, names: &[&str], days: u16) -> Self {
        let mut arguments = vec![upstream.to_string(), format!("--days={days}")];
        arguments.extend(names.iter().map(|name| format!("--name={name}")));
        Self::start(arguments).await
    }

    /// Takes what comes to that address of the loopback network, and hands it on as it is.
    pub async fn plain(upstream: u16, address: &str) -> Self {
        Self::start(vec![upstream.to_string(), "--plain".into(), format!("--listen={address}")]).await
    }

    async fn start(arguments: Vec<String>) -> Self {
        let (launcher, ready) =
            Launcher::start("tls.py", arguments).await.unwrap_or_else(|fault| panic!("TLS proxy: {fault}"));
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Self { _launcher: launcher, port, ca: ready["ca"].as_str().map(PathBuf::from) }
    }

    /// The port that it takes.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate, as PEM, of the authority that signed its own.
    pub fn ca(&self) -> &Path {
        self.ca.as_deref().expect("only a door with TLS has a certificate")
    }
}
