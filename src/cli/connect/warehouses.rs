//! The warehouse that the configuration names, connected.

use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Patience, control_address, encrypted};
use crate::cli::address::{self, Protection};
use crate::config::{
    AggregatesEntry, BucketWord, ClickhouseEntry, Config, LakeEntry, MysqlEntry, PostgresEntry, SecretRef, SqliteEntry,
    StoreKind,
};
use crate::domain::TableName;
use crate::warehouse::{
    AggregatesWarehouse, BucketSettings, BucketSize, ClickhouseSettings, ClickhouseWarehouse, Examine, LakeWarehouse,
    MysqlSettings, MysqlWarehouse, PostgresSettings, PostgresWarehouse, SqliteSettings, SqliteWarehouse, Tables,
};

/// Seconds that one query may take, unless told.
const STATEMENT_TIMEOUT_SECONDS: u64 = 600;

/// Seconds that one question to an object store may take, unless told.
const STORE_TIMEOUT_SECONDS: u64 = 120;

/// How often a request to an object store that failed is made again.
const STORE_RETRIES: u32 = 3;

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
        Some(entry) => Ok(Box::new(lake(config, entry, patience).await?)),
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
    let read =
        |secret: &SecretRef| secret.read(&config.base).map_err(|why| anyhow!("warehouse.clickhouse.password: {why}"));
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

async fn lake(config: &Config, entry: &LakeEntry, patience: Patience) -> anyhow::Result<LakeWarehouse> {
    let word = entry.partition.as_deref().unwrap_or("date");
    match entry.address() {
        None => Ok(LakeWarehouse::open_by(config.base.join(&entry.path), word)?),
        Some(address) => Ok(LakeWarehouse::in_bucket(bucket(config, entry, address, patience)?, word).await?),
    }
}

/// What an object store is asked with, by the names that its client has for it.
fn bucket(config: &Config, entry: &LakeEntry, address: &str, patience: Patience) -> anyhow::Result<BucketSettings> {
    let store = entry.store.clone().unwrap_or_default();
    let kind =
        StoreKind::of(address).ok_or_else(|| anyhow!("warehouse.lake.path: no object store has such an address"))?;
    let endpoint = match kind {
        StoreKind::S3 => "aws_endpoint_url",
        StoreKind::Google => "google_base_url",
        StoreKind::Azure => "azure_storage_endpoint",
    };
    let settings =
        [(endpoint, store.endpoint), ("aws_region", store.region), ("azure_storage_account_name", store.account)];
    let secrets = [
        ("aws_access_key_id", "access_key_id", store.access_key_id),
        ("aws_secret_access_key", "secret_access_key", store.secret_access_key),
        ("aws_session_token", "session_token", store.session_token),
        ("azure_storage_account_key", "account_key", store.account_key),
        ("azure_storage_sas_token", "sas_token", store.sas_token),
        ("google_service_account_key", "service_account", store.service_account),
    ];
    let read = |(name, key, secret): (&'static str, &str, Option<SecretRef>)| {
        let read =
            |secret: SecretRef| secret.read(&config.base).map_err(|why| anyhow!("warehouse.lake.store.{key}: {why}"));
        secret.map(|secret| Ok((name, read(secret)?)))
    };
    Ok(BucketSettings {
        url: address.to_owned(),
        settings: settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        secrets: secrets.into_iter().filter_map(read).collect::<anyhow::Result<_>>()?,
        timeout: Duration::from_secs(store.timeout_seconds.unwrap_or(STORE_TIMEOUT_SECONDS)).min(patience.longest()),
        retries: patience.retries(STORE_RETRIES),
    })
}
