//! Which receivers a server takes mail for.
//!
//! A mail to several is one transaction, and the library gives it up at the first receiver who is refused. One address
//! that has gone must not keep the report from everybody else, so after such a refusal the receivers are asked for one by
//! one, without a mail.

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Mail, Rcpt, Rset};

use super::header;

/// What a server said of a mail's receivers.
pub(super) struct Asked {
    /// The envelope with those whom it takes; none if it takes nobody.
    pub(super) accepted: Option<Envelope>,
    /// The others, each with the server's words.
    pub(super) refused: Vec<String>,
    /// Whether one of them may be taken later.
    pub(super) for_now: bool,
}

/// Asks for each receiver, and leaves the connection ready for a mail.
///
/// # Errors
/// The server refuses the sender, or the connection breaks.
pub(super) async fn ask(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<Asked, Error> {
    // No parameters: addresses beyond ASCII are refused when a mail is composed.
    connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await?;
    let mut accepted = Vec::new();
    let (mut refused, mut for_now) = (Vec::new(), false);
    for receiver in envelope.to() {
        match connection.command(Rcpt::new(receiver.clone(), Vec::new())).await {
            Ok(_) => accepted.push(receiver.clone()),
            Err(error) if error.status().is_some() => {
                for_now |= error.is_transient();
                let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let code = error.status().map(|code| code.to_string()).unwrap_or_default();
                refused.push(header::shortened(&format!("{receiver}: {code} {words}")));
            }
            Err(error) => return Err(error),
        }
    }
    connection.command(Rset).await?;
    Ok(Asked { accepted: Envelope::new(envelope.from().cloned(), accepted).ok(), refused, for_now })
}
