//! Addresses of servers: no secret stands in them, and nothing of them is repeated.

use std::path::PathBuf;

use crate::config::secret::SecretRef;

/// The kinds of address that are known somewhere.
pub(super) struct Schemes {
    pub(super) known: &'static [&'static str],
    /// How they are written, for a message.
    pub(super) examples: &'static str,
}

/// Of the control store, and of a warehouse that may be the same.
pub(super) const POSTGRES_OR_SQLITE: Schemes =
    Schemes { known: &["postgres", "postgresql", "sqlite"], examples: "postgres://… or sqlite:…" };

/// The three ways to say where a database is.
pub(super) struct Connection<'a> {
    pub(super) url: &'a Option<String>,
    pub(super) url_from: &'a Option<SecretRef>,
    pub(super) password: &'a Option<SecretRef>,
}

impl Connection<'_> {
    /// Tells what is wrong, and gives the address where it stands in the file and is one.
    pub(super) fn check(
        &self,
        fault: &mut impl FnMut(&str, &str),
        at: &str,
        schemes: &Schemes,
        needed: bool,
    ) -> Option<url::Url> {
        let password = self.password.is_some();
        match (self.url, self.url_from) {
            (Some(_), Some(_)) => fault(at, "give `url` or `url_from`, not both"),
            (None, None) if needed => fault(at, "give `url`, or `url_from: { env: NAME }`"),
            (None, Some(_)) if password => fault(at, "`password` goes with `url`; `url_from` may hold its own"),
            (None, None) if password => fault(at, "`password` needs a `url`"),
            (Some(url), None) => {
                let instead = "`password: { env: NAME }` or `url_from`";
                match address(url, schemes.known, schemes.examples, instead) {
                    Ok(url) => return Some(url),
                    Err(message) => fault(&format!("{at}/url"), &message),
                }
            }
            _ => {}
        }
        None
    }
}

/// How an address says that it is to be encrypted, beside the file of certificates.
pub(super) fn encryption(
    fault: &mut impl FnMut(&str, &str),
    at: &str,
    url: &Option<String>,
    ca_file: &Option<PathBuf>,
) {
    // An address that cannot be read has told so already.
    let Some(url) = url.as_deref().and_then(|url| url::Url::parse(url).ok()) else { return };
    if url.scheme() == "sqlite" {
        if ca_file.is_some() {
            fault(&format!("{at}/ca_file"), "SQLite is a file and has no certificate to check");
        }
        return;
    }
    let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let mode = url.query_pairs().find(|(key, _)| key == "sslmode" || key == "ssl-mode").map(|(_, mode)| mode);
    match mode.as_deref() {
        Some(mode) if !modes.contains(&mode) => {
            // Not repeated: of an address it is not known which part is a secret.
            fault(&format!("{at}/url"), &format!("this `sslmode` is not one of {}", modes.join(", ")));
        }
        Some("disable" | "allow" | "prefer" | "require") if ca_file.is_some() => {
            let message = "this `sslmode` checks no certificate, so `ca_file` would be of no use; leave `sslmode` out";
            fault(&format!("{at}/ca_file"), message);
        }
        _ => {}
    }
}

/// An address of one of the schemes without a password, or why it is none. The text is never repeated: even a mistyped
/// address may hold a password.
pub(super) fn address(text: &str, schemes: &[&str], examples: &str, instead: &str) -> Result<url::Url, String> {
    let parsed = url::Url::parse(text).map_err(|error| format!("this is no address: {error}; write {examples}"))?;
    // Drivers take a password as a parameter as well: `?password=`, `?sslpassword=`.
    let is_secret = |key: &str| ["password", "token", "secret"].iter().any(|word| key.to_lowercase().contains(word));
    if parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| is_secret(&key)) {
        return Err(format!("a password must not stand in the file; use {instead}"));
    }
    if !schemes.contains(&parsed.scheme()) {
        return Err(format!("this kind of address is not supported; write {examples}"));
    }
    Ok(parsed)
}
