//! A real MLflow server, spoken to by plain HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::launcher::Launcher;

static SHARED: OnceCell<Result<Mlflow, String>> = OnceCell::const_new();

/// A running server with an empty registry. It takes seconds to start, so one serves all tests of the process: each test
/// names its models after itself.
pub struct Mlflow {
    _launcher: Launcher,
    url: String,
    login: Option<(&'static str, &'static str)>,
}

impl Mlflow {
    /// The server that all tests of this process share.
    pub async fn shared() -> &'static Self {
        let mlflow = SHARED.get_or_init(|| Self::start(None)).await;
        mlflow.as_ref().unwrap_or_else(|fault| panic!("MLflow: {fault}"))
    }

    /// A server for one test alone, which asks for a login; this user may do everything.
    pub async fn with_login(user: &'static str, password: &'static str) -> Self {
        Self::start(Some((user, password))).await.unwrap_or_else(|fault| panic!("MLflow: {fault}"))
    }

    async fn start(login: Option<(&'static str, &'static str)>) -> Result<Self, String> {
        let arguments = login.map(|(user, password)| vec![format!("--user={user}"), format!("--password={password}")]);
        let (launcher, ready) = Launcher::start("mlflow_server.py", arguments.unwrap_or_default()).await?;
        let port = ready["port"].as_u64().ok_or_else(|| format!("no port in {ready}"))?;
        Ok(Self { _launcher: launcher, url: format!("http://127.0.0.1:{port}"), login })
    }

    /// The tracking URI, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets another user in, who may read.
    pub async fn create_user(&self, name: &str, password: &str) {
        self.post("users/create", json!({ "username": name, "password": password })).await;
    }

    /// Registers a model.
    pub async fn create_model(&self, name: &str) {
        self.post("registered-models/create", json!({ "name": name })).await;
    }

    /// Registers the next version of a model and returns its number, as MLflow has it: text.
    pub async fn create_version(&self, model: &str) -> String {
        let body = json!({ "name": model, "source": format!("s3://models/{model}") });
        let created = self.post("model-versions/create", body).await;
        created["model_version"]["version"].as_str().expect("a version is text").to_owned()
    }

    /// Sets a tag of a version, as someone else would.
    pub async fn set_version_tag(&self, model: &str, version: &str, key: &str, value: &str) {
        let body = json!({ "name": model, "version": version, "key": key, "value": value });
        self.post("model-versions/set-tag", body).await;
    }

    /// Points an alias of a model at a version, as someone else would.
    pub async fn set_alias(&self, model: &str, alias: &str, version: &str) {
        self.post("registered-models/alias", json!({ "name": model, "alias": alias, "version": version })).await;
    }

    /// All tags of a version.
    pub async fn version_tags(&self, model: &str, version: &str) -> BTreeMap<String, String> {
        let found = self.get("model-versions/get", &[("name", model), ("version", version)]).await;
        pairs(&found["model_version"]["tags"], "key", "value")
    }

    /// All aliases of a model with the version each points at.
    pub async fn aliases(&self, model: &str) -> BTreeMap<String, String> {
        let found = self.get("registered-models/get", &[("name", model)]).await;
        pairs(&found["registered_model"]["aliases"], "alias", "version")
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = client().post(format!("{}/api/2.0/mlflow/{path}", self.url)).json(&body);
        answer(path, self.let_in(request)).await
    }

    fn let_in(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = client().get(format!("{}/api/2.0/mlflow/{path}", self.url)).query(query);
        answer(path, self.let_in(request)).await
    }
}

/// A new client for every call: a pooled connection would die with the runtime of the test that opened it.
fn client() -> reqwest::Client {
    // Installed already by an earlier call, or by the code under test: both are well.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().expect("a plain client needs nothing")
}

async fn answer(path: &str, request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap_or_else(|cause| panic!("MLflow, {path}: {cause}"));
    let status = response.status();
    let text = response.text().await.unwrap_or_else(|cause| panic!("MLflow, {path}: {cause}"));
    assert!(status.is_success(), "MLflow, {path}: {status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|cause| panic!("MLflow, {path}: {cause} in {text}"))
}

/// MLflow's lists of pairs; absent when empty.
fn pairs(list: &Value, key: &str, value: &str) -> BTreeMap<String, String> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    list.as_array().into_iter().flatten().map(|item| (text(item, key), text(item, value))).collect()
}
