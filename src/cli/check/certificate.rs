//! How long a server's certificate still lasts.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};

use super::finding::{Area, Finding};

/// Days that a certificate should still last: whoever renews it by hand needs some.
const SOON_DAYS: i64 = 14;

/// What is to be said of a certificate (DER); nothing where it cannot be read, which the handshake has judged already.
pub(super) fn finding(area: Area, certificate: Option<&[u8]>, now: Timestamp) -> Option<Finding> {
    let ends = ends(certificate?)?;
    let days = ends.duration_since(now).as_hours().div_euclid(24);
    let date = ends.to_zoned(jiff::tz::TimeZone::UTC).date();
    let detail = format!("valid until {date}, for {days} more days");
    Some(match days {
        SOON_DAYS.. => Finding::ok(area, "certificate", detail),
        _ => {
            Finding::warn(area, "certificate", detail, "have it renewed; a server without a valid one is not spoken to")
        }
    })
}

/// When a certificate ends. A verifier that is asked about a day far off refuses it, and says since when it would.
fn ends(certificate: &[u8]) -> Option<Timestamp> {
    const FAR_OFF: Duration = Duration::from_secs(200_000_000_000);
    let certificate = CertificateDer::from(certificate.to_vec());
    let mut roots = RootCertStore::empty();
    // Whom it is signed by matters not here; its own authority is as good as any.
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let day = UnixTime::since_unix_epoch(FAR_OFF);
    match verifier.verify_server_cert(&certificate, &[], &name, &[], day) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
        }
        _ => None,
    }
}
