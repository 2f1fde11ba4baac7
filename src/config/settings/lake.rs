//! A lake in `rampkeeper.yml`: a folder, or an address in an object store and how that is asked.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::address::address;
use crate::config::secret::SecretRef;

/// The lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeEntry {
    /// The folder that holds `events/` and `assignments/`, or the address of one in an object store, such as
    /// `s3://bucket/lake`, `gs://bucket/lake`, `az://container/lake` or
    /// `abfss://container@account.dfs.core.windows.net/lake`.
    pub path: PathBuf,
    /// What stands before `=` in the names of the days' folders, such as `dt`; `date` if it is not given.
    pub partition: Option<String>,
    /// How the object store is asked. What is not given here is taken from the environment, by the names that the
    /// stores' own clients know.
    pub store: Option<StoreEntry>,
}

/// An object store.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreEntry {
    /// The store's address, where it is not the provider's own, such as `https://minio:9000`; else AWS_ENDPOINT_URL.
    pub endpoint: Option<String>,
    /// The bucket's region, for `s3://`; else AWS_REGION, AWS_DEFAULT_REGION or `~/.aws/config`.
    pub region: Option<String>,
    /// The storage account, for `az://`; else AZURE_STORAGE_ACCOUNT_NAME, or what the address names.
    pub account: Option<String>,
    /// For `s3://`; else AWS_ACCESS_KEY_ID, `~/.aws/credentials`, or what the machine's role gives.
    pub access_key_id: Option<SecretRef>,
    /// The secret key that belongs to it; else AWS_SECRET_ACCESS_KEY.
    pub secret_access_key: Option<SecretRef>,
    /// The token of a key that was lent; else AWS_SESSION_TOKEN.
    pub session_token: Option<SecretRef>,
    /// The account's key, for `az://` and `abfss://`; else AZURE_STORAGE_ACCOUNT_KEY.
    pub account_key: Option<SecretRef>,
    /// A shared access signature, for `az://` and `abfss://`; else AZURE_STORAGE_SAS_TOKEN.
    pub sas_token: Option<SecretRef>,
    /// The JSON key of a service account, for `gs://`; else GOOGLE_APPLICATION_CREDENTIALS and what the machine gives.
    pub service_account: Option<SecretRef>,
    /// Seconds that one question may take, its attempts together; 120 unless told.
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u64>,
}

/// The kinds of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Amazon S3, and what speaks as it does.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

const EXAMPLES: &str = "s3://bucket/lake, gs://bucket/lake, az://container/lake or abfss://container@account…/lake";

impl LakeEntry {
    /// The address, where the lake is in an object store.
    pub fn address(&self) -> Option<&str> {
        self.path.to_str().filter(|path| path.contains("://"))
    }
}

impl StoreKind {
    /// The kind of store that an address speaks of.
    pub fn of(address: &str) -> Option<Self> {
        match address.split_once("://")?.0 {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" | "azure" | "abfs" | "abfss" => Some(Self::Azure),
            _ => None,
        }
    }
}

impl StoreEntry {
    /// The keys that speak of one kind of store only, with whether they are given.
    fn of_kinds(&self) -> [(&'static str, StoreKind, bool); 8] {
        use StoreKind::{Azure, Google, S3};
        [
            ("region", S3, self.region.is_some()),
            ("access_key_id", S3, self.access_key_id.is_some()),
            ("secret_access_key", S3, self.secret_access_key.is_some()),
            ("session_token", S3, self.session_token.is_some()),
            ("account", Azure, self.account.is_some()),
            ("account_key", Azure, self.account_key.is_some()),
            ("sas_token", Azure, self.sas_token.is_some()),
            ("service_account", Google, self.service_account.is_some()),
        ]
    }
}

/// What is wrong with the entry. Of an address nothing is repeated: it may hold what it must not.
pub(super) fn check(fault: &mut impl FnMut(&str, &str), lake: &LakeEntry) {
    let at = "/warehouse/lake";
    let Some(text) = lake.address() else {
        if lake.store.is_some() {
            fault(
                &format!("{at}/store"),
                &format!("a folder of this machine has no store; as `path` write {EXAMPLES}"),
            );
        }
        return;
    };
    let kind = match kind_of(text) {
        Ok(kind) => kind,
        Err(message) => return fault(&format!("{at}/path"), &message),
    };
    let Some(store) = &lake.store else { return };
    for (key, of, given) in store.of_kinds() {
        if given && of != kind {
            let stores = match of {
                StoreKind::S3 => "s3://",
                StoreKind::Google => "gs://",
                StoreKind::Azure => "az:// and abfss://",
            };
            fault(&format!("{at}/store/{key}"), &format!("this is for {stores}, and the lake is in another store"));
        }
    }
    if store.access_key_id.is_some() != store.secret_access_key.is_some() {
        fault(&format!("{at}/store"), "`access_key_id` and `secret_access_key` go together");
    }
    if store.session_token.is_some() && store.access_key_id.is_none() {
        fault(&format!("{at}/store/session_token"), "this belongs to an `access_key_id`");
    }
    if store.account_key.is_some() && store.sas_token.is_some() {
        fault(&format!("{at}/store"), "give `account_key` or `sas_token`, not both");
    }
    if let Some(endpoint) = &store.endpoint {
        match address(endpoint, &["http", "https"], "http://… or https://…", "the keys beside it") {
            Err(message) => fault(&format!("{at}/store/endpoint"), &message),
            Ok(url) if !url.username().is_empty() || url.query().is_some() => {
                fault(&format!("{at}/store/endpoint"), "give scheme, host and port alone");
            }
            Ok(_) => {}
        }
    }
}

/// The kind of store, or why a lake cannot lie there.
fn kind_of(text: &str) -> Result<StoreKind, String> {
    let scheme = text.split_once("://").map_or(text, |(scheme, _)| scheme);
    let Some(kind) = StoreKind::of(text) else {
        return Err(match scheme {
            "http" | "https" => format!(
                "a web server cannot be asked which files there are, so a lake cannot lie there; write {EXAMPLES}, and the address \
                 of a store of your own as `store: {{ endpoint: https://… }}`"
            ),
            "file" => "write the folder's path, without `file://`".to_owned(),
            _ => format!("this kind of address is not supported; write {EXAMPLES}"),
        });
    };
    let url = Url::parse(text).map_err(|error| format!("this is no address: {error}; write {EXAMPLES}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("name the bucket; write {EXAMPLES}"));
    }
    let names_container = matches!(scheme, "abfs" | "abfss");
    if url.password().is_some() || (!url.username().is_empty() && !names_container) {
        return Err("a key must not stand in the address; use `store`, or the environment".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("nothing follows the path in this address; what else the store needs goes into `store`".to_owned());
    }
    if text.contains(['*', '[', ']']) {
        return Err("a lake has one root; nothing in its address may stand for several".to_owned());
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(yaml: &str) -> Vec<String> {
        let lake: LakeEntry = serde_saphyr::from_str(yaml).unwrap();
        let mut told = Vec::new();
        check(&mut |at: &str, message: &str| told.push(format!("{at}: {message}")), &lake);
        told
    }

    #[test]
    fn stores_and_folders_are_taken() {
        for path in [
            "lake",
            "/srv/lake",
            "s3://bucket",
            "s3://bucket/a/b",
            "gs://bucket/lake",
            "az://container/lake",
            "abfss://container@account.dfs.core.windows.net/lake",
        ] {
            assert_eq!(faults(&format!("path: {path}")), Vec::<String>::new(), "{path}");
        }
        let whole = "path: s3://bucket/lake\nstore: { endpoint: 'http://127.0.0.1:9000', region: eu-central-1, \
                     access_key_id: { env: A }, secret_access_key: { env: B }, session_token: { env: C } }";
        assert_eq!(faults(whole), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_is_told_without_repeating_the_address() {
        for (yaml, told) in [
            ("path: https://host/lake", "a web server cannot be asked"),
            ("path: ftp://pss-word@host/lake", "is not supported"),
            ("path: file:///srv/lake", "without `file://`"),
            ("path: s3:///lake", "name the bucket"),
            ("path: s3://pss-id:pss-key@bucket/lake", "must not stand in the address"),
            ("path: s3://pss-id@bucket/lake", "must not stand in the address"),
            ("path: az://container/lake?sig=pss", "nothing follows the path"),
            ("path: s3://bucket/*/lake", "nothing in its address may stand for several"),
            ("{ path: lake, store: {} }", "/warehouse/lake/store: a folder of this machine has no store"),
            ("{ path: gs://bucket/lake, store: { region: x } }", "/warehouse/lake/store/region: this is for s3://"),
            ("{ path: s3://bucket, store: { account_key: { env: A } } }", "/account_key: this is for az://"),
            ("{ path: s3://bucket, store: { access_key_id: { env: A } } }", "go together"),
            ("{ path: az://c, store: { account_key: { env: A }, sas_token: { env: B } } }", "not both"),
            ("{ path: s3://bucket, store: { endpoint: 'http://pss@host' } }", "scheme, host and port alone"),
            ("{ path: s3://bucket, store: { endpoint: 'tcp://host' } }", "http://… or https://…"),
        ] {
            let faults = faults(yaml);
            assert!(faults.iter().any(|fault| fault.contains(told)), "{yaml}: {faults:?}");
            assert!(!faults.join(" ").contains("pss"), "{faults:?}");
        }
    }
}
