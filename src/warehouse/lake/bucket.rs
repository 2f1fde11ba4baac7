//! A bucket of an object store, asked through what polars exposes of its own way there.
//!
//! Every question is bounded in time and in the number of its attempts. What the store says of a failure is told without
//! the secrets that it was asked with.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::civil::Date;
use polars::error::{PolarsError, PolarsResult};
use polars::io::cloud::concurrency_config::FetchConfig;
use polars::io::cloud::{
    AmazonS3ConfigKey, CloudOptions, CloudRetryConfig, ObjectStorePath, PolarsObjectStore, PolarsObjectStoreError,
    build_object_store, object_path_from_str,
};
use polars::io::parquet::read::_internal::to_deserializer;
use polars::prelude::{
    Column, DataFrame, FileMetadata, FileMetadataRef, ParquetObjectStore, PlRefPath, Series, infer_schema, polars_err,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Runtime;

use super::files::broken;
use super::shelf::Entry;
use crate::warehouse::error::{Cause, WarehouseError};

/// What is left out of messages.
const HIDDEN: &str = "…";

/// What the environment may hold that no message may repeat.
const SECRET_VARIABLES: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// The client's error. Its crate is none of ours, but this is the same type.
type StoreError = <AmazonS3ConfigKey as FromStr>::Err;

/// Where a bucket is, and how it is asked.
#[derive(Clone, Debug)]
pub struct BucketSettings {
    /// The lake's root: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
    /// `abfss://container@account.dfs.core.windows.net/prefix`.
    pub url: String,
    /// Settings of the client by the names that it has for them, such as `aws_region`. They go before the environment's.
    pub settings: Vec<(&'static str, String)>,
    /// The same for those that are secret, such as `aws_secret_access_key`.
    pub secrets: Vec<(&'static str, SecretString)>,
    /// How long one question may take, its attempts together.
    pub timeout: Duration,
    /// How often a request that failed is made again.
    pub retries: u32,
}

/// A bucket that can be asked.
pub(super) struct Bucket {
    store: PolarsObjectStore,
    options: CloudOptions,
    /// `s3://bucket`: what stands before the keys.
    base: String,
    timeout: Duration,
    secrets: BTreeSet<String>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Why a question was not answered.
enum Failed {
    /// There is no such bucket or object.
    Absent(Cause),
    /// The store lets us not.
    Refused(Cause),
    /// There was no answer, or none that could be understood.
    Away(Cause),
    /// There was an answer, and what came is not what it should be.
    Broken(Cause),
}

impl Bucket {
    /// Makes ready to ask; nothing is asked yet.
    pub(super) fn new(settings: &BucketSettings) -> Result<Self, WarehouseError> {
        let url = PlRefPath::new(settings.url.as_str());
        let mut secrets: BTreeSet<String> =
            settings.secrets.iter().map(|(_, secret)| secret.expose_secret().to_owned()).collect();
        secrets.extend(SECRET_VARIABLES.iter().filter_map(|name| std::env::var(name).ok()));
        secrets.retain(|secret| !secret.is_empty());
        let away = |source: Cause| WarehouseError::Unreachable { warehouse: settings.url.clone(), source };
        let exposed = settings.secrets.iter().map(|(key, secret)| (*key, secret.expose_secret().to_owned()));
        let pairs = settings.settings.iter().cloned().chain(exposed);
        let retries = CloudRetryConfig {
            max_retries: Some(settings.retries as usize),
            retry_timeout: Some(settings.timeout / 2),
            retry_init_backoff: Some(Duration::from_millis(200)),
            retry_max_backoff: Some(Duration::from_secs(5)),
            retry_base_multiplier: None,
        };
        let options = CloudOptions::from_untyped_config(url.scheme(), pairs)
            .map_err(|error| away(cleaned(&error, &secrets)))?
            .with_retry_config(retries);
        let base = url.as_str()[..url.authority_end_position()].to_owned();
        let built = wait(settings.timeout, build_object_store(url, Some(&options), false));
        let (_, store) = built.map_err(|error| away(error.told(&secrets)))?;
        Ok(Self { store, options, base, timeout: settings.timeout, secrets })
    }

    /// What lies under an address, up to the next slash; none if there is nothing.
    pub(super) fn list(&self, folder: &Path) -> Result<Option<Vec<Entry>>, WarehouseError> {
        let doing = || folder.display().to_string();
        let key = self.key(folder).map_err(|error| self.told(Failed::Broken(error.into()), doing(), None))?;
        let key = &key;
        let ask = self
            .store
            .exec_with_rebuild_retry_on_err(|store| async move { store.list_with_delimiter(Some(key)).await });
        let found = self.wait(ask).map_err(|failed| self.told(failed, doing(), None))?;
        let folders = found.common_prefixes.iter().map(|path| Entry { name: last(path.as_ref()), bytes: 0 });
        let files =
            found.objects.iter().map(|object| Entry { name: last(object.location.as_ref()), bytes: object.size });
        let entries: Vec<Entry> = folders.chain(files).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    pub(super) fn footer(&self, path: &Path, date: Date, bytes: u64) -> Result<FileMetadataRef, WarehouseError> {
        let told =
            |failed| self.told(failed, path.display().to_string(), Some((path, date, "it is no whole Parquet file")));
        if bytes == 0 {
            return Err(broken(path, date, "it is no whole Parquet file", Some("it is empty".into())));
        }
        let ask = async {
            let uri = PlRefPath::new(path.to_string_lossy().as_ref());
            let mut reader = ParquetObjectStore::from_uri(uri, Some(&self.options), None).await?;
            reader.get_metadata().await.cloned()
        };
        self.wait(ask).map_err(told)
    }

    /// Some columns of a row group. Only their bytes are fetched, and what lies between them where that is less than
    /// another request would cost.
    pub(super) fn read(
        &self,
        (path, date): (&Path, Date),
        (footer, group): (&FileMetadata, usize),
        columns: &[String],
    ) -> Result<DataFrame, WarehouseError> {
        let told =
            |failed| self.told(failed, path.display().to_string(), Some((path, date, "it cannot be read to its end")));
        let unreadable = |error: PolarsError| told(Failed::Broken(error.into()));
        let key = self.key(path).map_err(unreadable)?;
        let schema = infer_schema(footer).map_err(unreadable)?;
        let group = &footer.row_groups[group];
        let ranges = columns.iter().filter_map(|column| group.columns_under_root_iter(column)).flatten();
        let mut ranges: Vec<Range<usize>> = ranges.map(|chunk| in_memory(chunk.byte_range())).collect();
        let fetched =
            self.wait(self.store.get_ranges_sort(&key, &mut ranges, FetchConfig::random_access())).map_err(told)?;
        let column = |name: &String| -> PolarsResult<Column> {
            let gone = || polars_err!(ColumnNotFound: "{name}");
            let (_, _, field) = schema.get_full(name).ok_or_else(gone)?;
            let chunks = group.columns_under_root_iter(name).ok_or_else(gone)?;
            let bytes = chunks.map(|chunk| {
                let range = in_memory(chunk.byte_range());
                let held = fetched.get(&range.start).filter(|held| held.len() >= range.len()).ok_or_else(gone)?;
                Ok((chunk, held.clone().sliced(..range.len())))
            });
            let (arrays, _) = to_deserializer(bytes.collect::<PolarsResult<Vec<_>>>()?, field.clone(), None)?;
            Ok(Series::try_from((field, arrays))?.into())
        };
        let columns = columns.iter().map(column).collect::<PolarsResult<Vec<_>>>().map_err(unreadable)?;
        DataFrame::new_infer_height(columns).map_err(unreadable)
    }

    /// The key of an address in this bucket.
    fn key(&self, address: &Path) -> PolarsResult<ObjectStorePath> {
        let address = address.to_string_lossy();
        object_path_from_str(address.strip_prefix(self.base.as_str()).unwrap_or(&address).trim_matches('/'))
    }

    fn wait<T>(&self, ask: impl Future<Output = PolarsResult<T>>) -> Result<T, Failed> {
        wait(self.timeout, ask)
    }

    /// A failure in words. `of` is the file that was read, and what is the matter with it if the store is well.
    fn told(&self, failed: Failed, doing: String, of: Option<(&Path, Date, &str)>) -> WarehouseError {
        let warehouse = self.base.clone();
        match (failed, of) {
            (Failed::Absent(cause), Some((path, date, _))) => {
                let reason = "it was there when the day was listed, and is gone";
                broken(path, date, reason, Some(clean(&cause, &self.secrets)))
            }
            (Failed::Broken(cause), Some((path, date, reason))) => {
                broken(path, date, reason, Some(clean(&cause, &self.secrets)))
            }
            (Failed::Absent(_), None) => WarehouseError::MissingTable {
                table: warehouse,
                advice: format!("{doing} was to be listed; check the name of the bucket and the address of the store"),
            },
            (Failed::Refused(cause), _) => {
                WarehouseError::KeyRefused { warehouse, doing, source: clean(&cause, &self.secrets) }
            }
            (Failed::Away(cause) | Failed::Broken(cause), _) => {
                WarehouseError::Unreachable { warehouse, source: clean(&cause, &self.secrets) }
            }
        }
    }
}

impl Failed {
    fn told(self, secrets: &BTreeSet<String>) -> Cause {
        let (Failed::Absent(cause) | Failed::Refused(cause) | Failed::Away(cause) | Failed::Broken(cause)) = self;
        clean(&cause, secrets)
    }

    /// What kind of failure it is. A listing does not sort its refusals, but it writes them out.
    fn of(error: PolarsError) -> Self {
        let PolarsError::IO { error: io, .. } = &error else { return Failed::Broken(error.into()) };
        let Some(inner) = io.get_ref().and_then(|inner| inner.downcast_ref::<PolarsObjectStoreError>()) else {
            return Failed::Broken(error.into());
        };
        let text = chain(&inner.source);
        match &inner.source {
            StoreError::NotFound { .. } => Failed::Absent(text.into()),
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Failed::Refused(text.into()),
            _ if text.contains("status code: 404") => Failed::Absent(text.into()),
            _ if text.contains("status code: 403") || text.contains("status code: 401") => Failed::Refused(text.into()),
            _ => Failed::Away(text.into()),
        }
    }
}

fn wait<T>(timeout: Duration, ask: impl Future<Output = PolarsResult<T>>) -> Result<T, Failed> {
    let runtime = runtime().map_err(|error| Failed::Away(error.into()))?;
    let bounded = async { tokio::time::timeout(timeout, ask).await };
    match runtime.block_on(bounded) {
        Ok(answer) => answer.map_err(Failed::of),
        Err(_) => Err(Failed::Away(format!("there was no answer within {} s", timeout.as_secs_f64()).into())),
    }
}

/// The threads that wait for stores. Connections are kept for the next question and belong to them, so there is one such
/// runtime, and it ends with the program.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, Arc<io::Error>>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("object-store").enable_all().build().map_err(Arc::new)
    });
    made.as_ref().map_err(|error| io::Error::other(error.clone()))
}

fn in_memory(range: Range<u64>) -> Range<usize> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    place(range.start)..place(range.end)
}

/// What stands behind the last slash.
fn last(key: &str) -> String {
    key.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// An error with its causes, in one line, each told once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        next = cause.source();
    }
    told
}

fn cleaned(error: &PolarsError, secrets: &BTreeSet<String>) -> Cause {
    without(&error.to_string(), secrets).into()
}

fn clean(cause: &Cause, secrets: &BTreeSet<String>) -> Cause {
    without(&chain(cause.as_ref()), secrets).into()
}

/// The longest first: one secret may be a part of another.
fn without(text: &str, secrets: &BTreeSet<String>) -> String {
    let mut secrets: Vec<&String> = secrets.iter().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let spelled = |secret: &str| [secret.to_owned(), url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()];
    secrets
        .into_iter()
        .flat_map(|secret| spelled(secret))
        .fold(text.to_owned(), |text, secret: String| text.replace(&secret, HIDDEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_also_where_an_address_spells_them() {
        let secrets = ["pss/key+1".to_owned(), "pss".to_owned()].into();
        let text = "GET http://store/?sig=pss%2Fkey%2B1 by pss/key+1";
        assert_eq!(without(text, &secrets), "GET http://store/?sig=… by …");
    }

    #[test]
    fn a_key_is_what_follows_the_bucket() {
        assert_eq!(last("lake/events/date=2026-01-05"), "date=2026-01-05");
        assert_eq!(last("part-0.parquet"), "part-0.parquet");
    }
}
