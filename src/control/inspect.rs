//! What the store says of itself when somebody asks how it is: migrations, the connection, the lease, the open follow-ups.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::error::{ControlError, while_doing};
use super::rows::{Reader, text_of};
use super::statement::{self, Dialect};
use super::{ControlStore, POSTGRES, SQLITE};
use crate::domain::Session;

/// A migration as this program and the store know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// How it stands.
    pub state: MigrationState,
}

/// How a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// The store has it.
    Applied,
    /// The store does not have it yet.
    Pending,
    /// It was begun and not finished.
    Broken,
    /// The store has another migration under this number.
    Altered,
    /// The store has it, and this program does not know it: a later version made it.
    Unknown,
}

/// Follow-ups of one kind that are due or were given up.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenActions {
    /// What kind of deed.
    pub kind: String,
    /// Whether they were given up; otherwise each run tries them again.
    pub given_up: bool,
    /// How many.
    pub count: u64,
    /// How often one of them was tried at most.
    pub attempts: i64,
    /// When the oldest was journalled.
    pub oldest: Timestamp,
    /// What kept one of them from being done.
    pub last_error: Option<String>,
}

/// What the store knows of a migration: whether it was finished, its checksum, what it is about.
type Applied = (bool, Vec<u8>, String);

impl ControlStore {
    /// The version of the database's software, such as `PostgreSQL 15.18`.
    pub async fn software(&self) -> Result<String, ControlError> {
        let (sql, name) = match self.dialect {
            Dialect::Postgres => ("SELECT current_setting('server_version')", "PostgreSQL"),
            Dialect::Sqlite => ("SELECT sqlite_version()", "SQLite"),
        };
        let doing = || while_doing("ask for the version");
        let version: String = sqlx::query_scalar(sql).fetch_one(&self.pool).await.map_err(doing())?;
        Ok(format!("{name} {version}"))
    }

    /// What the server says of the connection; none where there is no server.
    pub async fn session(&self) -> Result<Option<Session>, ControlError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(None);
        }
        let doing = "ask the server about the connection";
        let text: String = sqlx::query_scalar(include_str!("../../queries/checks/session.sql"))
            .fetch_one(&self.pool)
            .await
            .map_err(while_doing(doing))?;
        let session = serde_json::from_str(&text);
        session.map(Some).map_err(|error| while_doing(doing)(sqlx::Error::Decode(error.into())))
    }

    /// All migrations that this program or the store knows, by number. A store without any has them all pending.
    pub async fn migrations(&self) -> Result<Vec<Migration>, ControlError> {
        let known = match self.dialect {
            Dialect::Postgres => &POSTGRES,
            Dialect::Sqlite => &SQLITE,
        };
        let rows = match self.rows(&statement::MIGRATIONS, "read which migrations were applied").await {
            Ok(rows) => rows,
            Err(ControlError::MissingTable { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut applied: BTreeMap<i64, Applied> = BTreeMap::new();
        for row in rows {
            let doing = || while_doing("read a migration");
            let success: i64 = row.try_get("success").map_err(doing())?;
            let checksum: Vec<u8> = row.try_get("checksum").map_err(doing())?;
            let description: String = row.try_get("description").map_err(doing())?;
            applied.insert(row.try_get("version").map_err(doing())?, (success != 0, checksum, description));
        }
        Ok(compare(known, &applied))
    }

    /// Who holds the lease, and until when, be it over or not.
    pub async fn lease_row(&self) -> Result<Option<(String, Timestamp)>, ControlError> {
        let rows = self.rows(&statement::LEASE_HOLDER, "look at the lease").await?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.leases", "holder", row)?;
            Ok((reader.get("holder")?, reader.parse("expires_at")?))
        };
        rows.first().map(read).transpose()
    }

    /// The follow-ups that are due by `now` and not done, or were given up.
    pub async fn due_actions(&self, now: Timestamp) -> Result<Vec<OpenActions>, ControlError> {
        let rows = sqlx::query(statement::DUE_ACTIONS.sql(self.dialect))
            .bind(text_of(now))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("read what the journal still holds"))?;
        let read = |row| {
            let reader = Reader::new("rampkeeper.actions", "kind", row)?;
            Ok(OpenActions {
                kind: reader.get("kind")?,
                given_up: reader.get::<String>("status")? == "failed",
                count: reader.count("actions")?,
                attempts: reader.get("attempts")?,
                oldest: reader.parse("oldest")?,
                last_error: reader.get("last_error")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The keys of all prompt versions.
    pub async fn load_prompt_versions(&self) -> Result<BTreeSet<Uuid>, ControlError> {
        let rows = self.rows(&statement::PROMPT_VERSIONS, "load the prompt versions").await?;
        rows.iter().map(|row| Reader::new("exp.prompt_versions", "id", row)?.parse("id")).collect()
    }
}

fn compare(known: &Migrator, applied: &BTreeMap<i64, Applied>) -> Vec<Migration> {
    let ours = known.iter().map(|migration| {
        let state = match applied.get(&migration.version) {
            None => MigrationState::Pending,
            Some((false, _, _)) => MigrationState::Broken,
            Some((true, checksum, _)) if *checksum != *migration.checksum => MigrationState::Altered,
            Some(_) => MigrationState::Applied,
        };
        Migration { version: migration.version, description: migration.description.to_string(), state }
    });
    let theirs = applied.iter().filter(|(version, _)| !known.version_exists(**version));
    let theirs = theirs.map(|(version, (_, _, description))| Migration {
        version: *version,
        description: description.clone(),
        state: MigrationState::Unknown,
    });
    let mut all: Vec<Migration> = ours.chain(theirs).collect();
    all.sort_by_key(|migration| migration.version);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_may_lack_a_migration_have_another_or_be_ahead() {
        let known: Vec<(i64, Vec<u8>)> = SQLITE.iter().map(|m| (m.version, m.checksum.to_vec())).collect();
        let states = |applied: &BTreeMap<i64, Applied>| -> Vec<MigrationState> {
            compare(&SQLITE, applied).into_iter().map(|migration| migration.state).collect()
        };
        assert!(states(&BTreeMap::new()).iter().all(|state| *state == MigrationState::Pending));
        let mut applied: BTreeMap<i64, Applied> =
            known.iter().map(|(version, checksum)| (*version, (true, checksum.clone(), String::new()))).collect();
        assert!(states(&applied).iter().all(|state| *state == MigrationState::Applied));
        applied.insert(known[0].0, (false, Vec::new(), String::new()));
        applied.insert(known[1].0, (true, vec![7], String::new()));
        applied.insert(9_999, (true, Vec::new(), "from the future".into()));
        let found = states(&applied);
        assert_eq!(found[..2], [MigrationState::Broken, MigrationState::Altered]);
        assert_eq!(found.last(), Some(&MigrationState::Unknown));
    }
}
