//! Work that only the holder of the lease may do, until it ends, the lease is lost, or somebody asks it to stop.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::NightError;
use crate::apply::chain;
use crate::control::{ControlError, ControlStore};

/// How long a mail that is on its way is waited for when the run is to stop.
const MAIL_MAY_TAKE: Duration = Duration::from_secs(10);
/// How long giving the lease back may take; it expires by itself.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// Takes the lease for `holder`, does the work, and gives the lease back.
///
/// The work is left where it stands when the lease is lost or `stop` ends: a transaction that is open is rolled back
/// then, and a registry call may be repeated. Only a mail is waited for, as long as `sending` is locked: else it might
/// be out and not noted.
pub(super) async fn under_lease<T>(
    (control, holder, now): (&ControlStore, &str, Timestamp),
    sending: &Mutex<()>,
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, NightError>>,
) -> Result<T, NightError> {
    let lease = control.acquire_lease(holder, now).await?;
    let stopped = async {
        stop.await;
        // What is not over by then is broken off.
        timeout(MAIL_MAY_TAKE, sending.lock()).await.ok();
    };
    let result = tokio::select! {
        result = work => result,
        error = control.keep_lease(&lease, now) => Err(error.into()),
        () = stopped => Err(NightError::Stopped),
    };
    let released = timeout(RELEASE_WITHIN, control.release_lease(lease)).await;
    if let Err(error) = released.unwrap_or(Err(ControlError::LeaseLost { source: None })) {
        // It expires by itself; what was done stands.
        tracing::warn!("the lease could not be given back: {}", chain(&error));
    }
    result
}

/// Work that sends no mail, done while no night is at work.
///
/// # Errors
/// As the work, or if another run holds the lease.
pub async fn alone<T>(
    control: &ControlStore,
    holder: &str,
    now: Timestamp,
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, NightError>>,
) -> Result<T, NightError> {
    under_lease((control, holder, now), &Mutex::new(()), stop, work).await
}
