//! The warehouse that the configuration names, connected.

use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Patience, control_address, encrypted};
use crate::cli::address::{self, Protection};
use crate::config::{AggregatesEntry, BucketWord, ClickhouseEntry, Config, MysqlEntry, PostgresEntry, SqliteEntry};
use crate::domain::TableName;
use crate::warehouse::{
    AggregatesWarehouse, BucketSize, ClickhouseSettings, ClickhouseWarehouse, Examine, LakeWarehouse, MysqlSettings,
    MysqlWarehouse, PostgresSettings, PostgresWarehouse, SqliteSettings, SqliteWarehouse, Tables,
};

/// Seconds that one query may take, unless told.
const STATEMENT_TIMEOUT_SECONDS: u64 = 600;

/// Connects to it.
pub(super) async fn open(config: &Config, patience: Patience) -> anyhow::Result<Box<dyn Examine>> {
    let entry = &config.settings.warehouse;
    let limit = statement_timeout(config).min(patience.longest);
    if let Some(aggregates) = &entry.aggregates {
        return open_aggregates(config, aggregates, limit).await;
    }
    if let Some(entry) = &entry.postgres {
        return Ok(Box::new(postgres(config, entry, limit).await?));
    }
    if let Some(entry) = &entry.sqlite {
        return Ok(Box::new(sqlite(config, entry, limit).await?));
    }
    if let Some(entry) = &entry.mysql {
        return Ok(Box::new(mysql(config, entry, limit).await?));
    }
    if let Some(entry) = &entry.clickhouse {
        return Ok(Box::new(clickhouse(config, entry, limit).await?));
    }
    match &entry.lake {
        Some(lake) => {
            let word = lake.partition.as_deref().unwrap_or("date");
            Ok(Box::new(LakeWarehouse::open_by(config.base.join(&lake.path), word)?))
        }
        None => Err(anyhow!("warehouse: give one of `postgres`, `sqlite`, `mysql`, `clickhouse` and `lake`")),
    }
}

/// Aggregates in the database that is named beside them.
async fn open_aggregates(
    config: &Config,
    entry: &AggregatesEntry,
    limit: Duration,
) -> anyhow::Result<Box<dyn Examine>> {
    let bucket = match entry.bucket {
        BucketWord::Hourly => BucketSize::Hour,
        BucketWord::Daily => BucketSize::Day,
    };
    let nowhere = || anyhow!("warehouse.aggregates: give `postgres` or `sqlite` beside it");
    let warehouse = &config.settings.warehouse;
    Ok(match (&warehouse.postgres, &warehouse.sqlite) {
        (Some(postgres), _) => Box::new(
            AggregatesWarehouse::over(self::postgres(config, postgres, limit).await?, bucket).ok_or_else(nowhere)?,
        ),
        (None, Some(sqlite)) => {
            Box::new(AggregatesWarehouse::over(self::sqlite(config, sqlite, limit).await?, bucket).ok_or_else(nowhere)?)
        }
        (None, None) => return Err(nowhere()),
    })
}

/// The tables of a database, with the aggregates in place of both where these are configured.
fn or_aggregates(config: &Config, tables: Tables, otherwise: TableName) -> Tables {
    match &config.settings.warehouse.aggregates {
        Some(entry) => tables.with_aggregates(entry.table.clone().unwrap_or(otherwise)),
        None => tables,
    }
}

/// The longest that one query of a night may take.
pub(in crate::cli) fn statement_timeout(config: &Config) -> Duration {
    let entry = &config.settings.warehouse;
    let told = [
        entry.postgres.as_ref().and_then(|entry| entry.statement_timeout_seconds),
        entry.sqlite.as_ref().and_then(|entry| entry.statement_timeout_seconds),
        entry.mysql.as_ref().and_then(|entry| entry.statement_timeout_seconds),
        entry.clickhouse.as_ref().and_then(|entry| entry.statement_timeout_seconds),
    ];
    Duration::from_secs(told.into_iter().flatten().next().unwrap_or(STATEMENT_TIMEOUT_SECONDS))
}

/// How the way to the warehouse is protected, where it is PostgreSQL.
pub(in crate::cli) fn protected(config: &Config) -> Option<Protection> {
    let entry = config.settings.warehouse.postgres.as_ref()?;
    postgres_address(config, entry).ok().map(|whole| address::protection(&whole))
}

/// The address, made whole; without one of its own it is the control store's.
fn postgres_address(config: &Config, entry: &PostgresEntry) -> anyhow::Result<SecretString> {
    match super::address(config, "warehouse.postgres", &entry.url, &entry.url_from, &entry.password)? {
        Some(url) => encrypted(config, "warehouse.postgres", url, &entry.ca_file),
        None => control_address(config),
    }
}

fn tables(otherwise: Tables, events: &Option<TableName>, assignments: &Option<TableName>) -> Tables {
    Tables {
        events: events.clone().unwrap_or(otherwise.events),
        assignments: assignments.clone().unwrap_or(otherwise.assignments),
        aggregates: None,
    }
}

async fn postgres(config: &Config, entry: &PostgresEntry, limit: Duration) -> anyhow::Result<PostgresWarehouse> {
    let settings = PostgresSettings {
        url: postgres_address(config, entry)?.expose_secret().to_owned(),
        statement_timeout: limit,
        max_connections: 2,
        tables: or_aggregates(
            config,
            tables(Tables::of_schema("exp"), &entry.events, &entry.assignments),
            TableName::of("exp", "metric_aggregates"),
        ),
    };
    Ok(PostgresWarehouse::connect(settings).await?)
}

async fn sqlite(config: &Config, entry: &SqliteEntry, limit: Duration) -> anyhow::Result<SqliteWarehouse> {
    let settings = SqliteSettings {
        path: config.base.join(&entry.path),
        statement_timeout: limit,
        tables: or_aggregates(
            config,
            tables(Tables::embedded(), &entry.events, &entry.assignments),
            TableName::plain("exp_metric_aggregates"),
        ),
    };
    Ok(SqliteWarehouse::open(settings).await?)
}

async fn mysql(config: &Config, entry: &MysqlEntry, limit: Duration) -> anyhow::Result<MysqlWarehouse> {
    let url = super::address(config, "warehouse.mysql", &entry.url, &entry.url_from, &entry.password)?;
    let url = url.ok_or_else(|| anyhow!("warehouse.mysql: no url is configured"))?;
    let ca_file = entry.ca_file.as_ref().map(|file| config.base.join(file));
    let url =
        address::with_mysql_encryption(url, ca_file.as_deref()).context("warehouse.mysql.ca_file cannot be used")?;
    let settings = MysqlSettings {
        url,
        statement_timeout: limit,
        max_connections: 2,
        tables: tables(Tables::plain(), &entry.events, &entry.assignments),
    };
    Ok(MysqlWarehouse::connect(settings).await?)
}

async fn clickhouse(config: &Config, entry: &ClickhouseEntry, limit: Duration) -> anyhow::Result<ClickhouseWarehouse> {
    let read = |secret: &crate::config::SecretRef| {
        secret.read(&config.base).map_err(|why| anyhow!("warehouse.clickhouse.password: {why}"))
    };
    let settings = ClickhouseSettings {
        url: Url::parse(&entry.url).context("warehouse.clickhouse.url is no address")?,
        username: entry.username.clone(),
        password: entry.password.as_ref().map(read).transpose()?,
        database: entry.database.clone(),
        ca_file: entry.ca_file.as_ref().map(|file| config.base.join(file)),
        statement_timeout: limit,
        tables: tables(Tables::plain(), &entry.events, &entry.assignments),
    };
    Ok(ClickhouseWarehouse::connect(settings).await?)
}
