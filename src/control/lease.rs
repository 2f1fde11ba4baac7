//! The lease that keeps two runs from acting at once: a row with a holder and an expiry, so that it works behind a
//! connection pooler and a killed run frees it by dying.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use tokio::time::{Instant, sleep, timeout_at};

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement;

/// How long a lease lasts without being renewed.
const LASTS: SignedDuration = SignedDuration::from_mins(5);
/// How often a holder should renew it.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How [`ControlStore::keep_lease`] renews it.
const PACE: Pace = Pace {
    renew_every: RENEW_EVERY,
    retry_every: Duration::from_secs(10),
    // A minute before it expires: what is under way then must have ended when another run begins.
    give_up_after: Duration::from_secs(4 * 60),
};

/// The right to act, until it is released or expires.
#[derive(Debug)]
pub struct Lease {
    holder: String,
}

/// When a lease is renewed, and when that is given up.
#[derive(Clone, Copy, Debug)]
struct Pace {
    renew_every: Duration,
    /// The wait after a renewal that failed.
    retry_every: Duration,
    /// How long after the last renewal that succeeded.
    give_up_after: Duration,
}

impl ControlStore {
    /// Takes the lease for `holder`.
    ///
    /// # Errors
    /// [`ControlError::LeaseHeld`] if another holder has it and it has not expired.
    pub async fn acquire_lease(&self, holder: &str, now: Timestamp) -> Result<Lease, ControlError> {
        self.extend(holder, now).await?;
        Ok(Lease { holder: holder.to_owned() })
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`ControlError::LeaseHeld`] if it expired and another holder took it: then this run must stop.
    pub async fn renew_lease(&self, lease: &Lease, now: Timestamp) -> Result<(), ControlError> {
        self.extend(&lease.holder, now).await
    }

    /// Renews the lease for as long as it is polled, counting on from `now`, when it was taken. Returns only when the
    /// right to act is lost: a database that is away for a moment costs nothing while the lease lasts.
    ///
    /// The answer is [`ControlError::LeaseHeld`] if another holder took it, and [`ControlError::LeaseLost`] if it could
    /// not be renewed before it ends.
    pub async fn keep_lease(&self, lease: &Lease, now: Timestamp) -> ControlError {
        keep(PACE, now, |at| self.renew_lease(lease, at)).await
    }

    /// Gives the lease back.
    pub async fn release_lease(&self, lease: Lease) -> Result<(), ControlError> {
        sqlx::query(statement::RELEASE_LEASE.sql(self.dialect))
            .bind(lease.holder)
            .execute(&self.pool)
            .await
            .map_err(while_doing("release the lease"))?;
        Ok(())
    }

    async fn extend(&self, holder: &str, now: Timestamp) -> Result<(), ControlError> {
        let doing = || while_doing("take the lease");
        let touched = sqlx::query(statement::ACQUIRE_LEASE.sql(self.dialect))
            .bind(holder)
            .bind(text_of(now))
            .bind(text_of(now + LASTS))
            .execute(&self.pool)
            .await
            .map_err(doing())?;
        if touched.rows_affected() == 1 {
            return Ok(());
        }
        let row =
            sqlx::query(statement::LEASE_HOLDER.sql(self.dialect)).fetch_optional(&self.pool).await.map_err(doing())?;
        let (holder, until) = match row {
            Some(row) => (row.try_get("holder").map_err(doing())?, row.try_get("expires_at").map_err(doing())?),
            None => ("somebody who has just released it".to_owned(), "now".to_owned()),
        };
        Err(ControlError::LeaseHeld { holder, until })
    }
}

/// Calls `renew` at that pace, with the time that it is by then, until it tells of another holder or has failed for too
/// long. A call that hangs is a failed one.
async fn keep<F>(pace: Pace, now: Timestamp, mut renew: impl FnMut(Timestamp) -> F) -> ControlError
where
    F: Future<Output = Result<(), ControlError>>,
{
    let begun = Instant::now();
    let mut ends = begun + pace.give_up_after;
    let mut wait = pace.renew_every;
    let mut last = None;
    loop {
        sleep(wait).await;
        let tried = Instant::now();
        if tried >= ends {
            return ControlError::LeaseLost { source: last };
        }
        match timeout_at(ends, renew(now + (tried - begun))).await {
            Ok(Ok(())) => {
                ends = tried + pace.give_up_after;
                wait = pace.renew_every;
                last = None;
            }
            Ok(Err(held @ ControlError::LeaseHeld { .. })) => return held,
            Ok(Err(error)) => {
                let told: &dyn std::error::Error = &error;
                tracing::warn!(error = told, "the lease could not be renewed; trying again while it lasts");
                wait = pace.retry_every;
                last = Some(Box::new(error));
            }
            Err(_) => return ControlError::LeaseLost { source: last },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const QUICK: Pace = Pace {
        renew_every: Duration::from_millis(40),
        retry_every: Duration::from_millis(5),
        give_up_after: Duration::from_millis(200),
    };

    fn now() -> Timestamp {
        "2026-03-05T02:00:00Z".parse().unwrap()
    }

    fn away() -> ControlError {
        while_doing("take the lease")(sqlx::Error::PoolTimedOut)
    }

    fn robbed() -> ControlError {
        ControlError::LeaseHeld { holder: "another".into(), until: "soon".into() }
    }

    #[tokio::test]
    async fn a_database_that_is_away_for_a_moment_does_not_end_the_night() {
        let calls = RefCell::new(Vec::new());
        let end = keep(QUICK, now(), |at| {
            let mut calls = calls.borrow_mut();
            calls.push(at);
            let answer = match calls.len() {
                1 | 2 => Err(away()),
                3 => Ok(()),
                _ => Err(robbed()),
            };
            async { answer }
        });
        assert!(matches!(end.await, ControlError::LeaseHeld { .. }));
        let calls = calls.into_inner();
        assert_eq!(calls.len(), 4, "two failures, a renewal, and the end");
        assert!(calls[0] >= now() + QUICK.renew_every && calls.is_sorted(), "time goes on: {calls:?}");
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_renewed_is_lost_before_it_ends() {
        let end = keep(QUICK, now(), |_| async { Err(away()) }).await;
        assert!(matches!(&end, ControlError::LeaseLost { source: Some(_) }), "{end}");
        // A call that never answers must not outlast the lease either.
        let begun = Instant::now();
        let end = keep(QUICK, now(), |_| std::future::pending()).await;
        assert!(matches!(&end, ControlError::LeaseLost { source: None }), "{end}");
        assert!(begun.elapsed() < 10 * QUICK.give_up_after);
    }
}
