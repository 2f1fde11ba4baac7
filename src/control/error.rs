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
    /// An action of the journal was dealt with by somebody else.
    #[error(
        "action {key} is not pending in the journal any more: another run or a person has dealt with it; this run stops here and the next one goes on"
    )]
    Overtaken {
        /// Its key.
        key: String,
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
    /// Whether the same call may succeed in a moment: the database is locked, busy, restarting or out of reach. What
    /// was begun is rolled back then.
    pub fn is_transient(&self) -> bool {
        match self {
            ControlError::Connect { source, .. } | ControlError::Statement { source, .. } => is_transient(source),
            ControlError::Migrate { .. }
            | ControlError::MissingTable { .. }
            | ControlError::Row { .. }
            | ControlError::Conflict { .. }
            | ControlError::Gone { .. }
            | ControlError::Overtaken { .. }
            | ControlError::LeaseHeld { .. }
            | ControlError::LeaseLost { .. } => false,
        }
    }
}

/// PostgreSQL: connection exceptions (08), a deadlock or a serialization that failed (40), too many connections (53300),
/// a server that stops or starts (57P), a lock that is not free (55P03). SQLite: busy (5) and locked (6), with their
/// extended codes in the higher bytes.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            let of_postgres = ["08", "40", "57P"].iter().any(|class| code.len() == 5 && code.starts_with(class));
            let of_sqlite =
                code.parse().is_ok_and(|code: i32| code.to_string().len() < 5 && [5, 6].contains(&(code & 0xff)));
            of_postgres || of_sqlite || ["53300", "55P03"].contains(&&*code)
        }),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A database's answer with that code.
    #[derive(Debug)]
    struct Answer(&'static str);

    impl std::fmt::Display for Answer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Answer {}

    impl sqlx::error::DatabaseError for Answer {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    #[test]
    fn what_may_be_better_in_a_moment_is_told_from_what_will_not() {
        let transient = |code| while_doing("ask")(sqlx::Error::Database(Box::new(Answer(code)))).is_transient();
        for code in ["5", "6", "261", "517", "262", "08006", "40001", "40P01", "57P01", "57P03", "53300", "55P03"] {
            assert!(transient(code), "{code}");
        }
        // A constraint, a full disk, a missing column, and codes that merely begin alike.
        for code in ["19", "1299", "13", "23505", "42703", "42P01", "53100", "4", "1"] {
            assert!(!transient(code), "{code}");
        }
        assert!(while_doing("ask")(sqlx::Error::PoolTimedOut).is_transient());
        assert!(!ControlError::Gone { what: "it".into() }.is_transient());
    }
}
