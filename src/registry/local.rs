//! The embedded registry: tags and aliases in two tables of the control store, for a laptop, a demo or a site without
//! MLflow.
//!
//! It registers nothing: a version exists as soon as it has a tag.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{AnyPool, AssertSqlSafe, Row};

use crate::domain::ModelVersion;

use super::names::{by_number, check_alias, check_key, check_model, check_value, sort_by_number};
use super::{RegisteredVersion, Registry, RegistryError, VersionInfo, VersionStatus};

const TAGS: &str = include_str!("../../queries/registry/tags.sql");
const ALIASES: &str = include_str!("../../queries/registry/aliases.sql");
const VERSIONS: &str = include_str!("../../queries/registry/versions.sql");
const MODEL_ALIASES: &str = include_str!("../../queries/registry/model_aliases.sql");
const TAGGED: &str = include_str!("../../queries/registry/tagged.sql");
const SET_TAG: &str = include_str!("../../queries/registry/set_tag.sql");
const ALIAS: &str = include_str!("../../queries/registry/alias.sql");
const SET_ALIAS: &str = include_str!("../../queries/registry/set_alias.sql");
const DELETE_ALIAS: &str = include_str!("../../queries/registry/delete_alias.sql");

/// What stands before the control store's table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablePrefix {
    /// `rampkeeper_`: SQLite has no schemas.
    Sqlite,
    /// `rampkeeper.`: a schema of its own.
    Postgres,
}

impl TablePrefix {
    /// The text before a table's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "rampkeeper_",
            Self::Postgres => "rampkeeper.",
        }
    }
}

/// A registry in the control store.
#[derive(Clone, Debug)]
pub struct LocalRegistry {
    pool: AnyPool,
    prefix: TablePrefix,
}

impl LocalRegistry {
    /// A registry over a pool whose database has the two tables.
    pub fn new(pool: AnyPool, prefix: TablePrefix) -> Self {
        Self { pool, prefix }
    }

    /// The statement with its table names. The prefix is one of two constants, so the text is as safe as the constants
    /// above; every value is bound.
    fn sql(&self, statement: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace(TablePrefix::Postgres.as_str(), self.prefix.as_str()))
    }

    /// The one text column of every row.
    async fn texts(&self, statement: &str, values: &[&str], doing: &str) -> Result<Vec<String>, RegistryError> {
        let mut query = sqlx::query_scalar::<_, String>(self.sql(statement));
        for value in values {
            query = query.bind((*value).to_owned());
        }
        query.fetch_all(&self.pool).await.map_err(|source| failed(doing, source))
    }

    /// The text columns of every row.
    async fn rows<const N: usize>(
        &self,
        statement: &str,
        (value, columns): (&str, [&str; N]),
        doing: &str,
    ) -> Result<Vec<[String; N]>, RegistryError> {
        let query = sqlx::query(self.sql(statement)).bind(value.to_owned());
        let rows = query.fetch_all(&self.pool).await.map_err(|source| failed(doing, source))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let mut texts = [const { String::new() }; N];
            for (text, column) in texts.iter_mut().zip(columns) {
                *text = row.try_get(column).map_err(|source| failed(doing, source))?;
            }
            found.push(texts);
        }
        Ok(found)
    }

    /// Executes, and says how many rows it touched.
    async fn execute(&self, statement: &str, values: &[&str], doing: &str) -> Result<u64, RegistryError> {
        let mut query = sqlx::query(self.sql(statement));
        for value in values {
            query = query.bind((*value).to_owned());
        }
        query.execute(&self.pool).await.map(|done| done.rows_affected()).map_err(|source| failed(doing, source))
    }
}

fn failed(doing: &str, source: sqlx::Error) -> RegistryError {
    RegistryError::Store { doing: doing.to_owned(), source }
}

#[async_trait]
impl Registry for LocalRegistry {
    async fn version(&self, version: &ModelVersion) -> Result<Option<VersionInfo>, RegistryError> {
        check_model(&version.model)?;
        let doing = format!("read {version}");
        let rows = sqlx::query(self.sql(TAGS))
            .bind(version.model.clone())
            .bind(version.version.clone())
            .fetch_all(&self.pool)
            .await
            .map_err(|source| failed(&doing, source))?;
        let mut tags = BTreeMap::new();
        for row in rows {
            let pair = row.try_get("key").and_then(|key| Ok((key, row.try_get("value")?)));
            let (key, value) = pair.map_err(|source| failed(&doing, source))?;
            tags.insert(key, value);
        }
        if tags.is_empty() {
            return Ok(None);
        }
        let aliases = self.texts(ALIASES, &[&version.model, &version.version], &doing).await?;
        Ok(Some(VersionInfo { tags, aliases, status: VersionStatus::Ready }))
    }

    async fn versions_tagged(&self, model: &str, key: &str, value: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        check_model(model)?;
        check_key(key)?;
        let doing = format!("list the versions of {model} with tag {key}");
        let numbers = self.texts(TAGGED, &[model, key, value], &doing).await?;
        let mut found: Vec<ModelVersion> =
            numbers.into_iter().map(|version| ModelVersion { model: model.to_owned(), version }).collect();
        sort_by_number(&mut found);
        Ok(found)
    }

    async fn versions(&self, model: &str) -> Result<Option<Vec<RegisteredVersion>>, RegistryError> {
        check_model(model)?;
        let doing = format!("list the versions of {model}");
        let mut infos: BTreeMap<String, VersionInfo> = BTreeMap::new();
        for [version, key, value] in self.rows(VERSIONS, (model, ["version", "key", "value"]), &doing).await? {
            infos.entry(version).or_insert_with(VersionInfo::bare).tags.insert(key, value);
        }
        for [alias, version] in self.rows(MODEL_ALIASES, (model, ["alias", "version"]), &doing).await? {
            // An alias needs a version, but its tags may have been taken away since by hand.
            if let Some(info) = infos.get_mut(&version) {
                info.aliases.push(alias);
            }
        }
        let version = |version| ModelVersion { model: model.to_owned(), version };
        let mut found: Vec<_> =
            infos.into_iter().map(|(v, info)| RegisteredVersion { version: version(v), info }).collect();
        found.sort_by_cached_key(|found| by_number(&found.version));
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    async fn set_tag(&self, version: &ModelVersion, key: &str, value: &str) -> Result<(), RegistryError> {
        check_model(&version.model)?;
        check_key(key)?;
        check_value(key, value)?;
        let doing = format!("set tag {key} of {version}");
        self.execute(SET_TAG, &[&version.model, &version.version, key, value], &doing).await.map(|_| ())
    }

    async fn alias(&self, model: &str, alias: &str) -> Result<Option<ModelVersion>, RegistryError> {
        check_model(model)?;
        check_alias(alias)?;
        let found = self.texts(ALIAS, &[model, alias], &format!("read alias {alias} of {model}")).await?;
        Ok(found.into_iter().next().map(|version| ModelVersion { model: model.to_owned(), version }))
    }

    async fn set_alias(&self, version: &ModelVersion, alias: &str) -> Result<(), RegistryError> {
        check_model(&version.model)?;
        check_alias(alias)?;
        let doing = format!("point alias {alias} to {version}");
        match self.execute(SET_ALIAS, &[&version.model, alias, &version.version], &doing).await? {
            0 => Err(RegistryError::NoSuchVersion { registry: self.describe(), version: version.clone() }),
            _ => Ok(()),
        }
    }

    async fn delete_alias(&self, model: &str, alias: &str) -> Result<(), RegistryError> {
        check_model(model)?;
        check_alias(alias)?;
        self.execute(DELETE_ALIAS, &[model, alias], &format!("remove alias {alias} of {model}")).await.map(|_| ())
    }

    fn describe(&self) -> String {
        "the local registry in the control store".into()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::any::{AnyPoolOptions, install_default_drivers};

    use super::super::contract;
    use super::*;

    const TABLES: [&str; 2] = [
        "CREATE TABLE rampkeeper_registry_tags (model TEXT NOT NULL, version TEXT NOT NULL, key TEXT NOT NULL, \
         value TEXT NOT NULL, PRIMARY KEY (model, version, key))",
        "CREATE TABLE rampkeeper_registry_aliases (model TEXT NOT NULL, alias TEXT NOT NULL, version TEXT NOT NULL, \
         PRIMARY KEY (model, alias))",
    ];

    /// One connection, since each connection to `:memory:` has a database of its own.
    async fn empty() -> AnyPool {
        install_default_drivers();
        AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap()
    }

    async fn registry() -> LocalRegistry {
        let pool = empty().await;
        for table in TABLES {
            sqlx::query(table).execute(&pool).await.unwrap();
        }
        LocalRegistry::new(pool, TablePrefix::Sqlite)
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let registry = registry().await;
        let versions = ["9", "10", "11"].map(|v| ModelVersion { model: "planner 'x'".into(), version: v.into() });
        for version in &versions {
            registry.set_tag(version, "made", "by hand").await.unwrap();
        }
        contract::holds(&registry, &versions).await;
    }

    #[tokio::test]
    async fn a_version_exists_as_soon_as_it_has_a_tag() {
        let registry = registry().await;
        let version = ModelVersion { model: "planner".into(), version: "1".into() };
        assert_eq!(registry.version(&version).await.unwrap(), None);
        registry.set_tag(&version, "stage", "").await.unwrap();
        let info = registry.version(&version).await.unwrap().unwrap();
        assert_eq!(info.tags["stage"], "");
        assert_eq!(info.status, VersionStatus::Ready);
    }

    #[tokio::test]
    async fn without_tables_it_says_what_to_run() {
        let registry = LocalRegistry::new(empty().await, TablePrefix::Sqlite);
        let error = registry.alias("planner", "champion").await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("read alias champion of planner") && words.contains("rampkeeper migrate"), "{words}");
        assert!(!error.is_transient());
    }

    #[tokio::test]
    async fn a_database_that_is_locked_is_worth_a_moment() {
        install_default_drivers();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", dir.path().join("control.db").display());
        let pool = AnyPoolOptions::new().connect(&url).await.unwrap();
        for table in TABLES {
            sqlx::query(table).execute(&pool).await.unwrap();
        }
        sqlx::query("PRAGMA busy_timeout = 0").execute(&pool).await.unwrap();
        let other = pool.begin_with("BEGIN EXCLUSIVE").await.unwrap();
        let quick = AnyPoolOptions::new()
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("PRAGMA busy_timeout = 0").execute(connection).await?;
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .unwrap();
        let registry = LocalRegistry::new(quick, TablePrefix::Sqlite);
        let version = ModelVersion { model: "planner".into(), version: "1".into() };
        let locked = registry.set_tag(&version, "stage", "archived").await.unwrap_err();
        assert!(locked.is_transient() && locked.is_worth_a_moment(), "{locked:?}");
        other.rollback().await.unwrap();
        registry.set_tag(&version, "stage", "archived").await.unwrap();
    }

    #[test]
    fn the_prefix_makes_a_schema_or_a_name() {
        assert_eq!(TablePrefix::Sqlite.as_str(), "rampkeeper_");
        assert_eq!(TablePrefix::Postgres.as_str(), "rampkeeper.");
    }
}
