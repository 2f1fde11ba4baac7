//! The lease that keeps two runs from acting at once: a row with a holder and an expiry, so that it works behind a
//! connection pooler and a killed run frees it by dying.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::text_of;
use super::statement;

/// How long a lease lasts without being renewed.
const LASTS: SignedDuration = SignedDuration::from_mins(5);
/// How often a holder should renew it.
pub const RENEW_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// The right to act, until it is released or expires.
#[derive(Debug)]
pub struct Lease {
    holder: String,
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
