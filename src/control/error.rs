//! What can go wrong with the control store.

use sqlx::migrate::MigrateError;

use crate::domain::tls_advice;

/// A fault of the control store; each names what was being done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No connection.
    #[error("could not connect to the control store {address}{}", advice.map(|advice| format!(": {advice}")).unwrap_or_default())]
    Connect {
        /// Its address, without a password.
        address: String,
        /// What to do, when that is known.
        advice: Option<&'static str>,
        /// Why.
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("could not migrate the control store {address}")]
    Migrate {
        /// Its address, without a password.
        address: String,
        /// Why.
        source: MigrateError,
    },
    /// A table is missing.
    #[error("could not {doing}: a table is missing; run `rampkeeper migrate` first")]
    MissingTable {
        /// What was being done.
        doing: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("could not {doing}")]
    Statement {
        /// What was being done.
        doing: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A row that cannot be.
    #[error("table {table}, row {key}: column `{column}` is {found}, expected {expected}")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// Somebody else changed what a plan was computed from; nothing was applied.
    #[error("{what} changed since this night read it; nothing was applied, the next run decides anew")]
    Conflict {
        /// What changed.
        what: String,
    },
    /// A row that a follow-up is about was deleted.
    #[error("{what} is not there any more; nothing is left to do")]
    Gone {
        /// What it was.
        what: String,
    },
    /// Another run is at work.
    #[error("another run holds the lease: {holder}, until {until}")]
    LeaseHeld {
        /// Who holds it.
        holder: String,
        /// Until when.
        until: String,
    },
    /// The lease of this run is about to end.
    #[error("the lease could not be renewed before it ends; this run stops here and the next one goes on")]
    LeaseLost {
        /// Why the last renewal failed; None if it got no answer.
        source: Option<Box<ControlError>>,
    },
}

impl ControlError {
    /// A connection that could not be made.
    pub(super) fn connecting(address: &str, source: sqlx::Error) -> ControlError {
        let advice = match &source {
            sqlx::Error::Tls(error) => Some(tls_advice(&error.to_string())),
            sqlx::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Some(tls_advice(&error.to_string()))
            }
            _ => None,
        };
        ControlError::Connect { address: address.to_owned(), advice, source }
    }
}

/// Says what was being done when a statement failed, and names the migration where a table is missing.
pub(super) fn while_doing(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> ControlError {
    let doing = doing.into();
    move |source| {
        let missing = source.as_database_error().is_some_and(|error| {
            error.code().is_some_and(|code| code == "42P01" || code == "3F000")
                || error.message().starts_with("no such table")
        });
        if missing { ControlError::MissingTable { doing, source } } else { ControlError::Statement { doing, source } }
    }
}
