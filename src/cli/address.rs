//! How a database is reached: encrypted and checked unless it is this machine, or somebody says otherwise.

use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// The parameters by which an address may name another host than it seems to.
const HOSTS: [&str; 2] = ["host", "hostaddr"];

/// The parameters, of PostgreSQL's client library and of ours, that say how a connection is encrypted.
const MODES: [&str; 2] = ["sslmode", "ssl-mode"];

/// The parameters that the driver knows.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The address with what it leaves open about encryption. Beyond this machine, and wherever an authority is given, a
/// connection is encrypted, and the certificate and the name in it are checked; `?sslmode=` or PGSSLMODE say otherwise.
pub(super) fn with_encryption(
    address: SecretString,
    ca_file: Option<&Path>,
    pgsslmode: Option<&str>,
) -> anyhow::Result<SecretString> {
    // One that cannot be read is told by whoever connects.
    let Ok(mut url) = Url::parse(address.expose_secret()) else { return Ok(address) };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Ok(address);
    }
    leave_out_unknown(&mut url);
    let told = pgsslmode.is_some() || url.query_pairs().any(|(key, _)| MODES.contains(&key.as_ref()));
    let mut more = Vec::new();
    if !told && (ca_file.is_some() || !is_of_this_machine(&url)) {
        more.push(("sslmode", "verify-full".to_owned()));
    }
    if let Some(path) = ca_file {
        more.push(("sslrootcert", readable(path)?));
    }
    if !more.is_empty() {
        url.query_pairs_mut().extend_pairs(more);
    }
    Ok(url.to_string().into())
}

/// The same for MySQL, whose driver has other words for it.
pub(super) fn with_mysql_encryption(address: SecretString, ca_file: Option<&Path>) -> anyhow::Result<SecretString> {
    // One that cannot be read is told by whoever connects.
    let Ok(mut url) = Url::parse(address.expose_secret()) else { return Ok(address) };
    let told = url.query_pairs().any(|(key, _)| MODES.contains(&key.as_ref()));
    let mut more = Vec::new();
    if !told {
        more.push(match ca_file.is_some() || !is_of_this_machine(&url) {
            true => ("ssl-mode", "VERIFY_IDENTITY".to_owned()),
            // Without a word the driver would encrypt where it can, and check nothing.
            false => ("ssl-mode", "PREFERRED".to_owned()),
        });
    }
    if let Some(path) = ca_file {
        more.push(("ssl-ca", readable(path)?));
    }
    if !more.is_empty() {
        url.query_pairs_mut().extend_pairs(more);
    }
    Ok(url.to_string().into())
}

/// The driver would log what it does not know, value and all, and a value may be a secret (`sslpassword`).
fn leave_out_unknown(url: &mut Url) {
    let is_known = |key: &str| KNOWN.contains(&key) || key.starts_with("options[");
    let all: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (known, unknown): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| is_known(key));
    if unknown.is_empty() {
        return;
    }
    for (parameter, _) in unknown {
        tracing::warn!(parameter, "a parameter of the database's address is not known here and left out");
    }
    url.set_query(None);
    if !known.is_empty() {
        url.query_pairs_mut().extend_pairs(known);
    }
}

/// How the way to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protection {
    /// Whether it stays on this machine.
    pub(super) local: bool,
    /// Whether the server's certificate is checked, and nothing is sent without one.
    pub(super) checked: bool,
}

/// How an address is protected that [`with_encryption`] has made whole.
pub(super) fn protection(address: &SecretString) -> Protection {
    let Ok(url) = Url::parse(address.expose_secret()) else { return Protection { local: true, checked: false } };
    let mode =
        url.query_pairs().filter(|(key, _)| MODES.contains(&key.as_ref())).last().map(|(_, mode)| mode.into_owned());
    let mode = mode.or_else(pgsslmode);
    let checked = mode.is_some_and(|mode| mode == "verify-full" || mode == "verify-ca");
    Protection { local: is_of_this_machine(&url), checked }
}

/// What the environment says, as for all programs that speak to PostgreSQL.
pub(super) fn pgsslmode() -> Option<String> {
    std::env::var("PGSSLMODE").ok().filter(|mode| !mode.is_empty())
}

/// Whether an address is this machine's; of one that cannot be read, it is not known.
pub(super) fn is_local(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| is_of_this_machine(&url))
}

/// A loopback address, a socket, or nothing at all.
fn is_of_this_machine(url: &Url) -> bool {
    let named = url.query_pairs().filter(|(key, _)| HOSTS.contains(&key.as_ref())).last();
    if let Some((_, host)) = named {
        return host.starts_with('/') || is_loopback(&host);
    }
    match url.host() {
        None => true,
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        // Where the scheme is not one of the web's, a number stands here as a name; a socket's path begins with an escaped /.
        Some(Host::Domain(name)) => {
            name.is_empty() || is_loopback(name) || name.to_ascii_lowercase().starts_with("%2f")
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// A file without a certificate would be read without complaint, and the handshake would then fail far from here.
fn readable(path: &Path) -> anyhow::Result<String> {
    let pem = std::fs::read_to_string(path)
        .map_err(|error| anyhow!("the certificate file {} could not be read: {error}", path.display()))?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(anyhow!("there is no `-----BEGIN CERTIFICATE-----` in the certificate file {}", path.display()));
    }
    let path = path.to_str().ok_or_else(|| anyhow!("the path {} is no UTF-8", path.display()))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(address: &str, ca_file: Option<&Path>, pgsslmode: Option<&str>) -> String {
        let found = with_encryption(address.to_owned().into(), ca_file, pgsslmode).unwrap();
        found.expose_secret().to_owned()
    }

    #[test]
    fn beyond_this_machine_certificates_are_checked_unless_somebody_says_otherwise() {
        for local in [
            "postgres://guard@localhost:5432/app",
            "postgres://guard@127.0.0.1/app",
            "postgres://guard@127.9.9.9/app",
            "postgres://guard@[::1]:5432/app",
            "postgres://%2Fvar%2Frun%2Fpostgresql/app",
            "postgres://guard@db.example.com/app?host=/var/run/postgresql",
            "postgres:///app",
            "sqlite:control.db",
        ] {
            assert_eq!(with(local, None, None), local);
        }
        for afar in
            ["postgres://guard:x@db.example.com/app", "postgresql://10.0.0.7/app", "postgres://[2001:db8::1]/app"]
        {
            assert_eq!(with(afar, None, None), format!("{afar}?sslmode=verify-full"));
            assert_eq!(with(afar, None, Some("disable")), afar, "PGSSLMODE");
            let plain = format!("{afar}?sslmode=disable");
            assert_eq!(with(&plain, None, None), plain);
        }
        assert_eq!(
            with("postgres://localhost/app?host=10.0.0.7", None, None),
            "postgres://localhost/app?host=10.0.0.7&sslmode=verify-full"
        );
    }

    #[test]
    fn what_the_driver_does_not_know_it_is_not_given() {
        assert_eq!(
            with(
                "postgres://localhost/app?sslpassword=s3cret&application_name=a%20b&channel_binding=require",
                None,
                None
            ),
            "postgres://localhost/app?application_name=a+b"
        );
        assert_eq!(with("postgres://localhost/app?target_session_attrs=any", None, None), "postgres://localhost/app");
    }

    #[test]
    fn an_authority_is_for_checking() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("an authority.pem");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let escaped = file.to_str().unwrap().replace('/', "%2F").replace(' ', "+");
        assert_eq!(
            with("postgres://localhost/app", Some(&file), None),
            format!("postgres://localhost/app?sslmode=verify-full&sslrootcert={escaped}")
        );
        assert_eq!(
            with("postgres://localhost/app?sslmode=verify-ca", Some(&file), None),
            format!("postgres://localhost/app?sslmode=verify-ca&sslrootcert={escaped}")
        );
        std::fs::write(&file, "a key\n").unwrap();
        let refused = |path: &Path| {
            with_encryption("postgres://localhost/app".to_owned().into(), Some(path), None).unwrap_err().to_string()
        };
        assert!(refused(&file).contains("no `-----BEGIN CERTIFICATE-----`"));
        assert!(refused(&dir.path().join("nowhere.pem")).contains("could not be read"));
    }
}
