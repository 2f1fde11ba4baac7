//! The control store: the experiment tables and Rampkeeper's own, in PostgreSQL or, embedded, in SQLite.
//!
//! One set of statements under `queries/control/` serves both. Rows become domain values at the door
//! and every write checks the rows that it touched. It records what others decide and never decides itself.

mod acts;
mod archive;
mod catalogue;
mod collected;
mod error;
mod incidents;
mod inspect;
mod journal;
mod lease;
mod ledger;
mod moves;
mod overview;
mod packed;
mod record;
mod redraw;
mod route;
mod rows;
mod rules;
mod snapshot;
mod statement;
mod steps;
mod sync;
mod telling;
mod undo;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::{AnyPool, Connection, Executor};

pub use archive::{IncidentOnRecord, JournalledMail, JudgedExperiment, ReportOnRecord, RunOnRecord};
pub use catalogue::{Catalogue, ExperimentRow, Family, Kind, VariantRow, VersionRow};
pub use collected::{AllProgress, Progress};
pub use error::ControlError;
pub use incidents::{NewIncident, OpenIncident, RegistryWrite};
pub use inspect::{Migration, MigrationState, OpenActions};
pub use journal::{PendingAction, Run, RunKind, StoredReport};
pub use lease::Lease;
pub use ledger::{StoredDecision, Wanted};
pub use overview::{LeaseHolder, OpenAction, RunRecord, VariantShare};
pub use record::{Link, NewAction, NewDecision, NightRecord, RecordedDecision};
pub use redraw::Redrawing;
pub use route::{Enrolment, KeptNote, NewEnrolment, NewQualification, Qualification, RouteNote, digest_of};
pub use rules::{StoredAmendment, StoredRules};
pub use snapshot::{ExperimentRecord, LastDecision, NewEpoch, observe_epochs};
pub use statement::Dialect;
pub use steps::Change;
pub use sync::TableChange;
pub use telling::SettledLate;
pub use undo::{FoundDecision, SweepStanding, UNDO_MOVES};

/// How long the first connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

static POSTGRES: Migrator = sqlx::migrate!("queries/migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("queries/migrations/sqlite");

/// A connected control store.
#[derive(Clone, Debug)]
pub struct ControlStore {
    pool: AnyPool,
    dialect: Dialect,
    address: String,
}

impl ControlStore {
    /// Connects to `postgres://…` or `sqlite:…`. The address may hold a password and is never shown.
    pub async fn connect(url: &SecretString) -> Result<Self, ControlError> {
        install_default_drivers();
        let url = url.expose_secret();
        let dialect = if url.starts_with("sqlite:") { Dialect::Sqlite } else { Dialect::Postgres };
        let address = without_password(url);
        let setup = match dialect {
            // Dates and times are exchanged as text, so the session's zone must be known.
            Dialect::Postgres => "SET TIME ZONE 'UTC'",
            Dialect::Sqlite => "PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL",
        };
        let connect = |source| ControlError::connecting(&address, source);
        // One connection by hand first: a pool would try until its patience ends, and then not say why.
        let first = tokio::time::timeout(CONNECT_WITHIN, sqlx::AnyConnection::connect(url)).await;
        let first = first.map_err(|_| connect(sqlx::Error::PoolTimedOut))?.map_err(connect)?;
        first.close().await.map_err(connect)?;
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(20))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(setup).await?;
                    Ok(())
                })
            })
            .connect(url)
            .await
            .map_err(connect)?;
        Ok(Self { pool, dialect, address })
    }

    /// Creates or updates the tables; existing experiment tables are left as they are.
    pub async fn migrate(&self) -> Result<(), ControlError> {
        let mut migrator = match self.dialect {
            Dialect::Postgres => clone(&POSTGRES),
            Dialect::Sqlite => clone(&SQLITE),
        };
        match self.dialect {
            Dialect::Postgres => {
                migrator.create_schema("rampkeeper");
                migrator.dangerous_set_table_name("rampkeeper.migrations");
            }
            Dialect::Sqlite => {
                migrator.dangerous_set_table_name("rampkeeper_migrations");
            }
        }
        migrator.run(&self.pool).await.map_err(|source| ControlError::Migrate { address: self.address.clone(), source })
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connections, for adapters that keep tables of their own in the same database.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The address without a password, for logs.
    pub fn describe(&self) -> &str {
        &self.address
    }
}

fn clone(migrator: &Migrator) -> Migrator {
    Migrator { migrations: migrator.migrations.clone(), ..Migrator::DEFAULT }
}

fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        // Of anything else it is not known which part is the secret.
        Ok(mut parsed) if matches!(parsed.scheme(), "postgres" | "postgresql" | "sqlite") => {
            if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
                return "the control store".to_owned();
            }
            parsed.set_query(None);
            parsed.to_string()
        }
        Ok(_) | Err(_) => "the control store".to_owned(),
    }
}

#[cfg(test)]
mod tests;
